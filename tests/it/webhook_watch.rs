//! What becomes of our webhook in Zendesk behind our back: noticed by the next look, repaired or reported, and nothing
//! missing afterwards. Two worlds live through the same; in one of them the webhook is spoilt for a while. What both have in
//! the end is compared row for row, as `convergence` does it, with no resync: what looks and polls bring must be enough.

use crate::convergence::dump;
use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::source::SourceSettings;
use deskbridge::model::watch::Watch;
use deskbridge::pipeline::lifecycle::{self, Connect};
use deskbridge::pipeline::{inspect, webhook};
use deskbridge::zendesk::webhooks::{self, Api};
use serde_json::{Value, json};

/// Something that spoils the webhook.
#[derive(Clone)]
struct Spoil {
    name: &'static str,
    /// Acts in the simulated account.
    acts: Vec<Value>,
    /// Faults of the simulated account, until they are lifted.
    faults: Value,
    /// What must have been repaired, or be told as a problem.
    repaired: &'static str,
    problem: &'static str,
    /// Whether Zendesk's log shows deliveries that did not arrive.
    lost: bool,
}

impl Spoil {
    fn new(name: &'static str, acts: Value) -> Spoil {
        let acts = acts.as_array().cloned().unwrap_or_default();
        Spoil { name, acts, faults: json!({}), repaired: "", problem: "", lost: false }
    }

    fn edit(name: &'static str, changes: Value) -> Spoil {
        Spoil::new(name, json!([{"do": "edit_webhook", "changes": changes}]))
    }
}

fn repaired_by_ourselves() -> Vec<Spoil> {
    let endpoint = json!({"endpoint": "http://127.0.0.1:9/nowhere"});
    let few = json!({"subscriptions": ["zen:event-type:organization.created"]});
    vec![
        Spoil { repaired: "not there", ..Spoil::new("deleted", json!([{"do": "delete_webhook"}])) },
        Spoil { repaired: "switched off", ..Spoil::new("deactivated", json!([{"do": "deactivate_webhook"}])) },
        Spoil { repaired: "another address", lost: true, ..Spoil::edit("endpoint", endpoint) },
        Spoil { repaired: "every type of event", ..Spoil::edit("subscriptions", few) },
        Spoil { repaired: "another name", ..Spoil::edit("renamed", json!({"name": "Deskbridge old"})) },
        Spoil { lost: true, ..Spoil::new("secret rotated", json!([{"do": "rotate_webhook_secret"}])) },
        Spoil { lost: true, ..Spoil::new("breaker", json!([{"do": "trip_breaker", "seconds": 30}])) },
        Spoil { lost: true, faults: json!({"throttle_webhooks": 1.0}), ..Spoil::new("throttled", json!([])) },
        Spoil {
            repaired: "second webhook of ours",
            ..Spoil::new("doubled", json!([{"do": "clone_webhook", "name": "Deskbridge acme"}]))
        },
        Spoil { problem: "another webhook", ..Spoil::new("cloned", json!([{"do": "clone_webhook"}])) },
    ]
}

/// What happens while the webhook is spoilt: something of every kind that exports can tell.
async fn busy(world: &World) {
    let user = world.act(json!({"do": "create_user", "name": "Lisa Simpson", "email": "lisa@springfield.io"})).await;
    let old = world.act(json!({"do": "create_user", "name": "Abe Simpson", "email": "abe@springfield.io"})).await;
    world.act(json!({"do": "update_user", "user_id": user["id"], "phone": "+15550100", "tags": ["vip"]})).await;
    world.act(json!({"do": "change_email", "user_id": old["id"], "email": "grampa@springfield.io"})).await;
    world.act(json!({"do": "create_organization", "name": "Springfield Elementary"})).await;
    let ticket = world.act(json!({"do": "create_ticket", "requester_id": user["id"], "subject": "Saxophone"})).await;
    world.act(json!({"do": "comment", "ticket_id": ticket["id"], "body": "Soon", "status": "pending"})).await;
    world.act(json!({"do": "update_ticket", "ticket_id": ticket["id"], "priority": "high", "tags": ["music"]})).await;
    world.act(json!({"do": "delete_user", "user_id": old["id"]})).await;
}

async fn spoil(world: &World, spoil: &Spoil) {
    for act in &spoil.acts {
        world.sim.post("act", act.clone()).await;
    }
    world.sim.post("faults", spoil.faults.clone()).await;
}

/// Until the next look, and what is due with it.
async fn look(world: &World) -> Watch {
    world.advance(300, 0).await;
    world.run_jobs().await;
    watch(world).await
}

async fn watch(world: &World) -> Watch {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let id: i64 =
        sqlx::query_scalar("SELECT id FROM source WHERE name = 'acme'").fetch_one(&mut *db).await.expect("it");
    db::webhook_watch::get(&mut db, id).await.expect("read").expect("a watch")
}

/// The rest of a life: news by webhooks, and time for what the look has asked for.
async fn go_on(world: &World) {
    world.sim.post("faults", json!({})).await;
    world.act(json!({"do": "create_user", "name": "Bart Simpson", "email": "bart@springfield.io"})).await;
    world.run_jobs().await;
    for _ in 0..3 {
        world.advance(150, 0).await;
        world.run_jobs().await;
    }
}

async fn world(setting: fn(&mut SourceSettings)) -> World {
    let world = World::new(Setup::default()).await;
    let mut settings = SourceSettings::default();
    setting(&mut settings);
    world.connect(settings).await;
    world.sync().await;
    world.advance(120, 0).await;
    world.run_jobs().await;
    world
}

async fn calm() -> Vec<String> {
    let world = world(|_| {}).await;
    busy(&world).await;
    look(&world).await;
    go_on(&world).await;
    dump(&world).await
}

fn same(name: &str, calm: &[String], spoilt: &[String]) {
    let missing: Vec<&String> = calm.iter().filter(|line| !spoilt.contains(line)).take(8).collect();
    let extra: Vec<&String> = spoilt.iter().filter(|line| !calm.contains(line)).take(8).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{name}\nmissing: {missing:#?}\nextra: {extra:#?}");
}

async fn hooks(world: &World) -> Vec<Value> {
    let rows = world.sim.get("state/webhooks").await;
    rows["rows"].as_array().or_else(|| rows["webhooks"].as_array()).or_else(|| rows.as_array()).expect("rows").clone()
}

#[tokio::test]
async fn what_is_ours_is_repaired_by_the_next_look_and_nothing_is_missing() {
    let calm = calm().await;
    assert!(calm.len() > 200, "something is compared");
    for case in repaired_by_ourselves() {
        let world = world(|_| {}).await;
        spoil(&world, &case).await;
        busy(&world).await;
        let seen = look(&world).await;
        let name = case.name;
        assert!(seen.repaired.clone().unwrap_or_default().contains(case.repaired), "{name}: {seen:?}");
        assert_eq!(seen.repaired.is_some(), !case.repaired.is_empty(), "{name}: {seen:?}");
        assert!(seen.problem.clone().unwrap_or_default().contains(case.problem), "{name}: {seen:?}");
        assert_eq!(seen.problem.is_some(), !case.problem.is_empty(), "{name}: {seen:?}");
        assert_eq!(seen.failed + seen.held > 0, case.lost, "{name}: {seen:?}");
        let found = inspect::webhook(&world.ctx, &world.source().await).await.expect("seen").expect("a webhook");
        assert_eq!(found.faults.is_empty(), case.problem.is_empty(), "{name}: {:?}", found.faults);
        assert!(found.secret_is_stored, "{name}");
        assert_eq!(hooks(&world).await.len(), if name == "cloned" { 2 } else { 1 }, "{name}");
        go_on(&world).await;
        same(name, &calm, &dump(&world).await);
        let count = world.count("person WHERE last_name = 'Simpson' AND first_name = 'Bart'").await;
        assert_eq!(count, 1, "{name}: webhooks arrive again");
    }
}

#[tokio::test]
async fn what_may_not_be_repaired_is_told_and_the_exports_bring_the_rest() {
    let calm = calm().await;
    let cases = repaired_by_ourselves().into_iter().filter(|case| !case.repaired.is_empty() && case.name != "doubled");
    for case in cases {
        let world = world(|settings| settings.repair_webhook = false).await;
        spoil(&world, &case).await;
        let before = hooks(&world).await;
        busy(&world).await;
        let seen = look(&world).await;
        assert!(seen.problem.clone().unwrap_or_default().contains(case.repaired), "{}: {seen:?}", case.name);
        assert!(seen.remedy.is_some_and(|remedy| remedy.contains("source reconnect acme")), "{}", case.name);
        assert_eq!((seen.repaired, before), (None, hooks(&world).await), "{}: nothing is changed", case.name);
        let health = inspect::health(&world.ctx).await.expect("health");
        assert!(health[0].problems.iter().any(|problem| problem.part == "webhook"), "{}", case.name);
        go_on(&world).await;
        look(&world).await;
        look(&world).await;
        same(case.name, &calm, &dump(&world).await);
    }
}

/// Life as `convergence` lives it, merges of users included: what is refused or cannot be delivered stands in Zendesk's log,
/// and nothing of it is lost.
async fn lived(seed: u64, spoils: &[(u64, Value)]) -> Vec<String> {
    let world = World::synced(Setup { seed, users: 60, tickets: 60, ..Setup::default() }).await;
    for step in 0..16 {
        for (_, act) in spoils.iter().filter(|(at, _)| *at == step) {
            world.sim.post("act", act.clone()).await;
        }
        world.advance(60, 12).await;
        world.run_jobs().await;
    }
    for _ in 0..10 {
        world.advance(60, 0).await;
        world.run_jobs().await;
    }
    world.settle().await;
    let seen = watch(&world).await;
    assert!(spoils.is_empty() || seen.recovered > 60, "more than one look recovers: {seen:?}");
    dump(&world).await
}

#[tokio::test]
async fn a_busy_life_loses_nothing_that_zendesk_tried_to_deliver() {
    for seed in 1..3 {
        let calm = lived(seed, &[]).await;
        let elsewhere = json!({"do": "edit_webhook", "changes": {"endpoint": "http://127.0.0.1:9/"}});
        let spoilt = lived(seed, &[(2, json!({"do": "rotate_webhook_secret"})), (8, elsewhere)]).await;
        same(&format!("seed {seed}"), &calm, &spoilt);
    }
}

#[tokio::test]
async fn a_merge_whose_webhook_was_refused_is_taken_from_zendesks_log() {
    let world = world(|_| {}).await;
    let user = |name: &str| json!({"do": "create_user", "name": name, "email": format!("{name}@springfield.io")});
    let (loser, winner) = (world.act(user("patty")).await, world.act(user("selma")).await);
    world.run_jobs().await;
    let people = world.count("person").await;
    world.sim.post("act", json!({"do": "rotate_webhook_secret"})).await;
    world.act(json!({"do": "merge_users", "loser": loser["id"], "winner": winner["id"]})).await;
    let seen = look(&world).await;
    assert!(seen.recovered > 0 && seen.recovered <= seen.failed, "{seen:?}");
    world.run_jobs().await;
    assert_eq!(world.count("person").await, people - 1, "the merge is known");
    let again = look(&world).await;
    assert_eq!((again.failed, again.recovered), (seen.failed, seen.recovered), "each is counted once");
}

#[tokio::test]
async fn what_was_refused_has_the_webhook_looked_at_at_once() {
    let world = world(|_| {}).await;
    world.sim.post("act", json!({"do": "rotate_webhook_secret"})).await;
    world.advance(61, 0).await;
    world.run_jobs().await;
    let before = watch(&world).await.checked_at;
    world.act(json!({"do": "create_user", "name": "Milhouse"})).await;
    // The wish is written beside the answer.
    for _ in 0..200 {
        if world.count("webhook_watch WHERE due_at <= checked_at + interval '2 minutes'").await == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    world.run_jobs().await;
    assert!(watch(&world).await.checked_at > before, "not only after five minutes");
    world.clock.advance(std::time::Duration::from_secs(2));
    world.act(json!({"do": "create_user", "name": "Rod Flanders", "email": "rod@springfield.io"})).await;
    world.run_jobs().await;
    assert_eq!(world.count("person WHERE email = 'rod@springfield.io'").await, 1, "and webhooks are taken again");
}

#[tokio::test]
async fn two_who_repair_at_once_make_one_webhook() {
    let world = world(|_| {}).await;
    world.sim.post("act", json!({"do": "delete_webhook"})).await;
    let source = world.source().await;
    let client = world.ctx.client(&source).expect("a client");
    let endpoint = webhook::endpoint(&world.ctx, "acme").expect("an address");
    let api = Api::passing(&client);
    let one = || webhooks::ensure(&api, "acme", source.webhook_id.as_deref(), &endpoint);
    let (a, b, c) = tokio::join!(one(), one(), one());
    let ids = [a.expect("made").0.id, b.expect("made").0.id, c.expect("made").0.id];
    look(&world).await;
    let left = hooks(&world).await;
    assert_eq!(left.len(), 1, "{ids:?} {left:?}");
    assert_eq!(left[0]["id"].as_str(), world.source().await.webhook_id.as_deref());
}

#[tokio::test]
async fn anothers_webhook_of_our_name_is_left_alone() {
    let world = World::new(Setup::default()).await;
    let theirs = json!({"webhook": {"name": "Deskbridge acme", "endpoint": "https://other.example/webhooks/zendesk/acme",
        "http_method": "POST", "request_format": "json", "status": "active",
        "subscriptions": ["zen:event-type:user.created"]}});
    let source = world.connect(SourceSettings::default()).await;
    let client = world.ctx.client(&source).expect("a client");
    client.send(reqwest::Method::POST, "/api/v2/webhooks", Some(&theirs)).await.expect("made");
    let before = hooks(&world).await;
    world.sync().await;
    look(&world).await;
    assert_eq!(hooks(&world).await, before);
    world.sim.post("act", json!({"do": "delete_webhook", "webhook_id": source.webhook_id})).await;
    look(&world).await;
    let names: Vec<_> = hooks(&world).await.iter().map(|hook| hook["endpoint"].to_string()).collect();
    assert!(names.len() == 2 && names.iter().any(|endpoint| endpoint.contains("other.example")), "{names:?}");
}

#[tokio::test]
async fn who_undoes_every_repair_is_told_of_after_five() {
    let world = world(|_| {}).await;
    let undo = json!({"do": "edit_webhook", "changes": {"endpoint": "https://other.example/"}});
    let mut last = Watch::default();
    for _ in 0..7 {
        world.sim.post("act", undo.clone()).await;
        last = look(&world).await;
    }
    assert_eq!(last.repairs, 5);
    assert!(last.remedy.clone().unwrap_or_default().contains("undoes each repair"), "{last:?}");
    assert_eq!(hooks(&world).await[0]["endpoint"], "https://other.example/");
    for _ in 0..12 {
        last = look(&world).await;
    }
    assert_eq!((last.problem, last.repairs), (None, 1), "an hour later it is tried again");
}

#[tokio::test]
async fn a_webhook_set_up_by_hand_is_only_told_about() {
    let world = World::new(Setup::default()).await;
    let endpoint = format!("{}/webhooks/zendesk/acme", world.public_url);
    let request = Connect {
        workspace: 1,
        account: &world.sim.url,
        name: Some("acme"),
        credentials: world.sim.credentials(),
        manual_webhook: Some(Some("chosen by hand".into())),
        settings: SourceSettings::default(),
    };
    let source = lifecycle::connect(&world.ctx, request).await.expect("connected").source;
    world.sync().await;
    let problem = |watch: Watch| watch.problem.unwrap_or_default();
    assert!(problem(watch(&world).await).contains("is not there"));
    let theirs = json!({"webhook": {"name": "by hand", "endpoint": endpoint, "http_method": "POST", "status": "active",
        "request_format": "json", "subscriptions": webhooks::subscriptions(),
        "signing_secret": {"algorithm": "SHA256", "secret": "chosen by hand"}}});
    let client = world.ctx.client(&source).expect("a client");
    client.send(reqwest::Method::POST, "/api/v2/webhooks", Some(&theirs)).await.expect("made");
    assert_eq!(look(&world).await.problem, None);
    world.act(json!({"do": "create_user", "name": "Todd Flanders", "email": "todd@springfield.io"})).await;
    world.run_jobs().await;
    assert_eq!(world.count("person WHERE email = 'todd@springfield.io'").await, 1);
    for (act, expected) in [
        (json!({"do": "rotate_webhook_secret"}), "signing secret"),
        (json!({"do": "deactivate_webhook"}), "switched off"),
    ] {
        world.sim.post("act", act).await;
        let before = hooks(&world).await;
        assert!(problem(look(&world).await).contains(expected), "{expected}");
        assert_eq!(hooks(&world).await, before, "nothing is changed");
    }
    let stored = world.source().await;
    assert_eq!((stored.webhook_id.as_deref(), stored.webhook_secret), (Some("manual"), source.webhook_secret));
}
