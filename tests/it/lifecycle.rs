//! The life of a source: connect, disconnect, reconnect, archive, delete, resync; and several of them side by side.

use crate::support::{Setup, World};
use deskbridge::model::source::{Credentials, SourceSettings, SourceState};
use deskbridge::pipeline::lifecycle::{self, Connect, LifecycleError, Resync};
use deskbridge::zendesk::account::AccountError;
use serde_json::{Value, json};

fn request<'a>(world: &'a World, name: &'a str, credentials: Credentials) -> Connect<'a> {
    Connect {
        workspace: 1,
        account: &world.sim.url,
        name: Some(name),
        credentials,
        manual_webhook: None,
        settings: SourceSettings::default(),
    }
}

async fn webhooks(world: &World) -> Vec<Value> {
    world.sim.get("state/webhooks").await["rows"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn only_an_admin_can_connect() {
    let world = World::new(Setup { users: 5, tickets: 1, ..Setup::default() }).await;
    let wrong = Credentials::ApiToken { email: "nobody@x.io".into(), token: "wrong".into() };
    let error = lifecycle::connect(&world.ctx, request(&world, "acme", wrong)).await.expect_err("refused");
    assert!(error.to_string().contains("credentials"), "{error}");
    let token = world.sim.post("tokens", json!({"role": "agent", "scopes": ["read", "write"]})).await;
    let agent = Credentials::Bearer { token: token["token"].as_str().expect("a token").into() };
    let error = lifecycle::connect(&world.ctx, request(&world, "acme", agent)).await.expect_err("refused");
    assert!(matches!(&error, LifecycleError::Account(AccountError::NotAdmin(role)) if role == "agent"), "{error}");
    assert_eq!(webhooks(&world).await.len(), 0);
    lifecycle::connect(&world.ctx, request(&world, "acme", world.sim.credentials())).await.expect("connected");
}

#[tokio::test]
async fn missing_scopes_say_what_will_not_work() {
    let world = World::new(Setup { users: 5, tickets: 1, ..Setup::default() }).await;
    let token = world
        .sim
        .post("tokens", json!({"role": "admin", "scopes": ["users:read", "webhooks:read", "webhooks:write"]}))
        .await;
    let bearer = Credentials::Bearer { token: token["token"].as_str().expect("a token").into() };
    let connection = lifecycle::connect(&world.ctx, request(&world, "acme", bearer)).await.expect("connected");
    assert!(connection.warnings.iter().any(|words| words.contains("tickets:read")), "{:?}", connection.warnings);
}

#[tokio::test]
async fn our_webhook_is_made_once_and_repaired() {
    let world = World::synced(Setup { users: 5, tickets: 1, ..Setup::default() }).await;
    let all = webhooks(&world).await;
    assert_eq!(all.len(), 1);
    let subscribed = all[0]["subscriptions"].as_array().expect("subscriptions").len();
    assert_eq!(subscribed, deskbridge::zendesk::decode::SUBSCRIBED.len(), "exactly what is applied");
    let source = world.source().await;
    let client = world.ctx.client(&source).expect("a client");
    let path = format!("/api/v2/webhooks/{}", source.webhook_id.clone().expect("an id"));
    let spoilt = json!({"webhook": {"status": "inactive", "endpoint": "http://127.0.0.1:9/elsewhere"}});
    client.send(reqwest::Method::PATCH, &path, Some(&spoilt)).await.expect("edited by an admin");
    let connection = lifecycle::reconnect(&world.ctx, source, None, None).await.expect("reconnected");
    assert_eq!(connection.repaired.map(|faults| faults.len()), Some(2));
    let all = webhooks(&world).await;
    assert_eq!((all.len(), all[0]["status"].as_str()), (1, Some("active")));
}

#[tokio::test]
async fn a_disconnected_source_takes_nothing_and_reads_only_changes_when_it_is_back() {
    let world = World::synced(Setup::default()).await;
    assert_eq!(lifecycle::disconnect(&world.ctx, &world.source().await).await.expect("disconnected"), None);
    assert_eq!(webhooks(&world).await.len(), 0, "our webhook is removed from Zendesk");
    world.act(json!({"do": "create_user", "name": "Troy McClure", "email": "troy@x.io"})).await;
    world.advance(86_400 * 2, 0).await;
    world.run_jobs().await;
    assert_eq!(world.count("person WHERE email = 'troy@x.io'").await, 0);
    lifecycle::reconnect(&world.ctx, world.source().await, None, None).await.expect("reconnected");
    world.sim.post("requests/reset", json!({})).await;
    world.sync().await;
    assert_eq!(world.count("person WHERE email = 'troy@x.io'").await, 1);
    let read: i64 =
        world.value("SELECT (counts->>'read')::bigint FROM run WHERE stream = 'users' ORDER BY id DESC LIMIT 1").await;
    assert!(read < 5, "changes only, {read} were read");
}

#[tokio::test]
async fn the_order_of_a_life_is_kept_and_people_outlive_their_source() {
    let world = World::synced(Setup::default()).await;
    let people = world.count("person").await;
    let refused = async |next| {
        lifecycle::set_state(&world.ctx, &world.source().await, next).await.expect_err("refused").to_string()
    };
    assert!(refused(SourceState::Deleted).await.contains("archive it first"));
    assert!(refused(SourceState::Archived).await.contains("disconnect it first"));
    lifecycle::disconnect(&world.ctx, &world.source().await).await.expect("disconnected");
    lifecycle::set_state(&world.ctx, &world.source().await, SourceState::Archived).await.expect("archived");
    lifecycle::set_state(&world.ctx, &world.source().await, SourceState::Disconnected).await.expect("restored");
    lifecycle::set_state(&world.ctx, &world.source().await, SourceState::Archived).await.expect("archived");
    lifecycle::set_state(&world.ctx, &world.source().await, SourceState::Deleted).await.expect("deleted");
    assert_eq!(world.count("person").await, people);
    assert_eq!(world.source().await.credentials, None);
}

#[tokio::test]
async fn two_accounts_feed_one_person() {
    let world = World::synced(Setup { users: 5, tickets: 1, ..Setup::default() }).await;
    let other = World::new(Setup { users: 5, tickets: 1, seed: 9, ..Setup::default() }).await;
    for door in [&world.sim, &other.sim] {
        door.post("act", json!({"do": "create_user", "name": "Kent Brockman", "email": "Kent@x.io"})).await;
    }
    let mut settings = (*world.ctx.settings).clone();
    settings.zendesk.allowed_base_urls.push(other.sim.url.clone());
    let ctx = deskbridge::app::context(settings, world.clock.clone()).expect("a context");
    let second = Connect { account: &other.sim.url, ..request(&world, "globex", other.sim.credentials()) };
    lifecycle::connect(&ctx, second).await.expect("connected");
    for _ in 0..20 {
        while deskbridge::worker::run_due(&ctx).await.expect("jobs run") {}
        world.clock.advance(std::time::Duration::from_secs(60));
    }
    assert_eq!(world.count("person WHERE email ILIKE 'kent@x.io'").await, 1);
    assert_eq!(world.count("person_source WHERE name = 'Kent Brockman'").await, 2);
    let same = lifecycle::connect(
        &ctx,
        Connect { account: &other.sim.url, ..request(&world, "again", other.sim.credentials()) },
    )
    .await;
    assert!(same.expect_err("refused").to_string().contains("connected already"));
}

#[tokio::test]
async fn fields_only_brings_no_activity() {
    let world = World::synced(Setup::default()).await;
    sqlx::query("DELETE FROM activity").execute(&world.ctx.pool).await.expect("gone");
    sqlx::query("UPDATE person_source SET seen = 0").execute(&world.ctx.pool).await.expect("forgotten");
    lifecycle::resync(&world.ctx, &world.source().await, Resync::FieldsOnly).await.expect("a resync");
    world.run_jobs().await;
    assert_eq!(world.count("activity WHERE type NOT LIKE 'zd.user.%'").await, 0);
    assert!(world.count("person_source WHERE seen <> 0").await > 0);
}

#[tokio::test]
async fn a_new_secret_key_opens_what_the_former_one_sealed_and_seals_it_again() {
    let world = World::synced(Setup { users: 5, tickets: 1, ..Setup::default() }).await;
    let mut settings = (*world.ctx.settings).clone();
    let former = settings.secret_key.clone();
    settings.secret_key = deskbridge::config::SecretText::new("bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3MDE=");
    settings.previous_secret_keys = vec![former];
    let both = deskbridge::app::context(settings.clone(), world.clock.clone()).expect("a context");
    assert_eq!(lifecycle::reseal(&both).await.expect("sealed again"), 1);
    assert_eq!(lifecycle::reseal(&both).await.expect("sealed again"), 0);
    settings.previous_secret_keys.clear();
    let new = deskbridge::app::context(settings, world.clock.clone()).expect("a context");
    new.credentials(&world.source().await).expect("the new key is enough");
    assert!(world.ctx.credentials(&world.source().await).is_err(), "the former one is not");
}
