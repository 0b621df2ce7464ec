//! Audiences are kept up to date by what changes and by time passing: at every moment who is in is who a full look finds.

mod command;
mod measure;

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::filter::Filter;
use deskbridge::pipeline::{audience, lifecycle, person, prune};
use deskbridge::rules::audience::define;
use deskbridge::rules::filter::words::Explained;
use rand::prelude::IndexedRandom;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

async fn apply(world: &World, written: Value) -> Result<(), audience::AudienceError> {
    audience::apply(&world.ctx, 1, &define(&written).expect("a definition")).await
}

async fn define_all(world: &World, all: &[Value]) {
    for written in all {
        apply(world, written.clone()).await.expect("applied");
    }
}

async fn members(world: &World, name: &str) -> Vec<i64> {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let id = audience::find(&mut db, 1, name).await.expect("found").stored.id;
    db::audience_member::inside(&mut db, 1, id).await.expect("members")
}

/// Checks that nothing is left to be done that a full look would do.
async fn check(world: &World, what: &str) {
    world.run_jobs().await;
    audience::catch_up(&world.ctx, 1).await.expect("caught up");
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let moment = audience::moment(&world.ctx);
    for one in audience::load(&mut db, 1).await.expect("audiences") {
        let change = audience::judge_all(&mut db, 1, &one, moment).await.expect("decided");
        assert!(change.is_empty(), "{what}: {} at {}: {change:?}", one.stored.name, moment.now);
        assert_eq!(one.stored.drift.unwrap_or(0), 0, "{what}: {}", one.stored.name);
    }
}

fn varied() -> Vec<Value> {
    let of = |name: &str, entry: Value| json!({"name": name, "entry": entry, "reentry": true});
    vec![
        of("everybody", json!({"all": []})),
        of("named-a", json!({"field": "first_name", "starts_with": "a"})),
        of("no-phone", json!({"field": "phone", "has_value": false})),
        of("may-mail", json!({"consent": "email"})),
        of("in-company", json!({"organization": [{"field": "name", "has_value": true}]})),
        of("open", json!({"tickets": [{"field": "status", "one_of": ["new", "open", "pending"]}]})),
        of(
            "unhappy",
            json!({"any": [{"field": "zd.last_rating", "is": "bad"}, {"field": "zd.open_tickets", "greater_than": 1}]}),
        ),
        of("wrote-today", json!({"activity": "zd.ticket.created", "within": "1 day", "zone": "America/New_York"})),
        of(
            "quiet",
            json!({"activity": "zd.ticket.comment_added", "last": "more than 3 days ago", "zone": "Europe/Berlin"}),
        ),
        of("just-now", json!({"activity": "zd.ticket.comment_added", "within": "90 minutes"})),
        of("twice", json!({"activity": "zd.ticket.comment_added", "count": ">= 2", "within": "5 days"})),
        of("new-here", json!({"field": "created_at", "when": "less than 2 days ago"})),
        of("both", json!({"all": [{"audience": "open"}, {"audience": "twice", "member": false}]})),
        json!({"name": "once", "entry": {"tickets": [{"field": "status", "is": "open"}]}}),
        json!({"name": "until-solved", "reentry": true, "entry": {"tickets": [{"field": "status", "is": "open"}]},
            "exit": {"activity": "zd.ticket.solved", "within": "2 hours"}}),
    ]
}

/// Daemons that are killed in the midst of their work; their leases end before the next one comes.
async fn crash(world: &World, rng: &mut StdRng, times: u32) {
    for _ in 0..times {
        let settings = (*world.ctx.settings).clone();
        let daemon = deskbridge::app::context(settings, world.clock.clone()).expect("a daemon");
        let pool = daemon.pool.clone();
        let working = tokio::spawn(async move { while let Ok(true) = deskbridge::worker::run_due(&daemon).await {} });
        for _ in 0..rng.random_range(0..3_000) {
            tokio::task::yield_now().await;
        }
        working.abort();
        _ = working.await;
        pool.close().await;
        world.advance(120, 0).await;
    }
}

async fn live(seed: u64) {
    let world = World::synced(Setup {
        seed,
        users: 50,
        tickets: 40,
        settings: |settings| settings.workspace.time_zone = chrono_tz::Tz::Europe__Berlin,
        ..Setup::default()
    })
    .await;
    define_all(&world, &varied()).await;
    check(&world, "at first").await;
    world.sim.post("faults", json!({"drop_webhooks": 0.2, "keep_webhooks": ["user.merged"], "duplicate_webhooks": 0.2, "delay_webhooks": 90})).await;
    let mut rng = StdRng::seed_from_u64(seed);
    for step in 0..24 {
        let people: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM person").fetch_all(&world.ctx.pool).await.expect("people");
        let person = *people.choose(&mut rng).expect("somebody");
        let what = match rng.random_range(0..10) {
            0 => {
                person::archive(&world.ctx, 1, &[person], "a test").await.expect("archived");
                "an archive"
            }
            1 => {
                person::restore(&world.ctx, 1, &people).await.expect("restored");
                "a return"
            }
            2 => {
                person::delete(&world.ctx, 1, &[person], "a test").await.expect("deleted");
                "a deletion"
            }
            3 => {
                prune::prune(&world.ctx).await.expect("pruned");
                "a pruning"
            }
            4 => {
                let since = world.clock.now() - chrono::Duration::days(9);
                let again = lifecycle::Resync::Backfill(since);
                lifecycle::resync(&world.ctx, &world.source().await, again).await.expect("a backfill");
                world.sync().await;
                "a backfill"
            }
            5 => {
                world.advance(rng.random_range(3_600..90_000), 3).await;
                "hours"
            }
            _ => {
                world.advance(rng.random_range(60..1_200), 10).await;
                let crashes = rng.random_range(0..3);
                crash(&world, &mut rng, crashes).await;
                world.settle().await;
                "life"
            }
        };
        check(&world, &format!("seed {seed} step {step} after {what}")).await;
    }
    let changes = world.count("audience_member WHERE exited_at IS NOT NULL").await;
    assert!(changes > 20, "seed {seed}: people came and went: {changes}");
    world.advance(86_400, 0).await;
    check(&world, &format!("seed {seed} the night after")).await;
    assert_eq!(world.count("audience WHERE passed_at IS NULL").await, 0, "each had its nightly pass");
    assert_eq!(world.count("audience WHERE drift <> 0").await, 0);
}

#[tokio::test]
async fn what_is_kept_up_to_date_is_what_a_full_look_finds() {
    let seeds: u64 = std::env::var("DESKBRIDGE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1);
    for seed in 1..=seeds {
        live(seed).await;
    }
}

#[tokio::test]
async fn days_of_23_and_25_hours_begin_where_they_do() {
    // Clocks are put back on 25 October in Berlin, on 1 November in New York, and forward on 27 September in Auckland.
    let world = World::synced(Setup {
        users: 20,
        tickets: 15,
        settings: |settings| settings.workspace.time_zone = chrono_tz::Tz::Europe__Berlin,
        ..Setup::default()
    })
    .await;
    let of = |name: &str, zone: &str, within: &str| {
        let entry = json!({"activity": "zd.ticket.comment_added", "within": within, "zone": zone});
        json!({"name": name, "entry": entry, "reentry": true})
    };
    let all = [
        of("berlin", "Europe/Berlin", "1 day"),
        of("berlin-two", "Europe/Berlin", "2 days"),
        of("new-york", "America/New_York", "1 day"),
        of("auckland", "Pacific/Auckland", "1 day"),
        json!({"name": "new", "entry": {"field": "created_at", "when": "less than 2 days ago"}}),
    ];
    define_all(&world, &all).await;
    for change in ["2026-09-26T08:00:00Z", "2026-10-24T18:00:00Z", "2026-11-01T00:00:00Z"] {
        let until: chrono::DateTime<chrono::Utc> = change.parse().expect("a time");
        world.advance((until - world.clock.now()).num_seconds() as u64, 0).await;
        check(&world, change).await;
        for hours in 0..16 {
            world.advance(2 * 3_600 + 7, 6).await;
            world.settle().await;
            check(&world, &format!("{change} and {} hours", 2 * hours)).await;
        }
    }
    assert!(world.count("audience_member WHERE exited_at IS NOT NULL").await > 10, "people came and went");
}

#[tokio::test]
async fn drift_is_found_repaired_and_told() {
    let world = World::synced(Setup::default()).await;
    apply(&world, json!({"name": "everybody", "entry": {"all": []}})).await.expect("applied");
    let all = members(&world, "everybody").await;
    sqlx::query("DELETE FROM audience_member WHERE person_id = $1")
        .bind(all[0])
        .execute(&world.ctx.pool)
        .await
        .expect("gone");
    world.advance(86_400, 0).await;
    world.run_jobs().await;
    assert_eq!(members(&world, "everybody").await, all);
    assert_eq!(world.value::<i64>("SELECT drift FROM audience").await, 1);
}

#[tokio::test]
async fn by_hand_and_again() {
    let world = World::synced(Setup::default()).await;
    let lisa = world.act(json!({"do": "create_user", "name": "Lisa Simpson", "email": "lisa@springfield.io"})).await;
    world.run_jobs().await;
    let id: i64 = world.value("SELECT id FROM person WHERE email = 'lisa@springfield.io'").await;
    let entry = json!({"field": "first_name", "is": "lisa"});
    apply(&world, json!({"name": "once", "entry": entry})).await.expect("applied");
    apply(&world, json!({"name": "again", "entry": entry, "reentry": true})).await.expect("applied");
    assert_eq!(members(&world, "once").await, [id]);
    let rename = async |name: &str| {
        world.act(json!({"do": "update_user", "user_id": lisa["id"], "name": name})).await;
        world.run_jobs().await;
    };
    rename("Maggie Simpson").await;
    assert_eq!((members(&world, "once").await, members(&world, "again").await), (vec![], vec![]));
    rename("Lisa Simpson").await;
    assert_eq!(members(&world, "again").await, [0; 0], "less than a minute has passed (R57)");
    world.advance(61, 0).await;
    world.run_jobs().await;
    assert_eq!((members(&world, "once").await, members(&world, "again").await), (vec![], vec![id]));
    audience::set_manual(&world.ctx, 1, "once", id, Some(true)).await.expect("in");
    audience::set_manual(&world.ctx, 1, "again", id, Some(false)).await.expect("out");
    assert_eq!((members(&world, "once").await, members(&world, "again").await), (vec![id], vec![]));
    rename("Maggie Simpson").await;
    assert_eq!(members(&world, "once").await, [id], "by hand wins");
    person::archive(&world.ctx, 1, &[id], "a test").await.expect("archived");
    world.run_jobs().await;
    assert_eq!(members(&world, "once").await, [0; 0], "the archived are in none");
    assert_eq!(world.count("audience_member WHERE exited_at IS NOT NULL").await, 4, "what was is kept");
    person::delete(&world.ctx, 1, &[id], "a test").await.expect("deleted");
    assert_eq!(world.count("audience_member").await + world.count("audience_manual").await, 0);
    check(&world, "in the end").await;
}

#[tokio::test]
async fn merges_join_stays() {
    let world = World::synced(Setup::default()).await;
    let old = world.act(json!({"do": "create_user", "name": "Ann One", "email": "a1@x.io"})).await;
    world.run_jobs().await;
    apply(&world, json!({"name": "anns", "entry": {"field": "first_name", "is": "Ann"}})).await.expect("applied");
    world.advance(3_600, 0).await;
    let new = world.act(json!({"do": "create_user", "name": "Ann Two", "email": "a2@x.io"})).await;
    world.run_jobs().await;
    assert_eq!(members(&world, "anns").await.len(), 2);
    world.act(json!({"do": "merge_users", "loser": old["id"], "winner": new["id"]})).await;
    world.run_jobs().await;
    assert_eq!(members(&world, "anns").await.len(), 1);
    assert_eq!(world.count("audience_member").await, 1, "the longer stay goes on");
    check(&world, "after a merge").await;
}

#[tokio::test]
async fn explanations_agree_with_membership() {
    let world = World::synced(Setup::default()).await;
    let rng = &mut StdRng::seed_from_u64(3);
    define_all(&world, &varied()).await;
    let people: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM person").fetch_all(&world.ctx.pool).await.expect("people");
    for written in varied().iter().filter(|written| written.get("exit").is_none()) {
        let name = written["name"].as_str().expect("a name");
        let inside = members(&world, name).await;
        for person in people.sample(rng, 8) {
            let reasons = audience::explain(&world.ctx, 1, name, *person).await.expect("explained").expect("there");
            let Explained { holds, .. } = reasons.entry;
            assert_eq!((holds, reasons.member), (inside.contains(person), holds), "{name} {person}");
        }
    }
    assert_eq!(audience::preview(&world.ctx, 1, &Filter::All(vec![])).await.expect("found").len(), people.len());
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_words() {
    let world = World::new(Setup::default()).await;
    let of = |name: &str, other: &str| json!({"name": name, "entry": {"audience": other}});
    let check = |refused: Result<(), audience::AudienceError>, expected: &str| {
        assert_eq!(refused.expect_err("refused").to_string(), expected);
    };
    check(
        apply(&world, of("a", "b")).await,
        "the filter names audience \"b\", which is not there; define that one first",
    );
    apply(&world, json!({"name": "b", "entry": {"all": []}})).await.expect("applied");
    apply(&world, of("a", "b")).await.expect("applied");
    check(apply(&world, of("b", "a")).await, "audiences cannot be made of each other in a circle: b → a → b");
    check(audience::delete(&world.ctx, 1, "b").await, "audience \"a\" is made of it; change or delete that one first");
    check(audience::delete(&world.ctx, 1, "c").await, "there is no audience \"c\"");
    audience::delete(&world.ctx, 1, "a").await.expect("deleted");
    audience::delete(&world.ctx, 1, "b").await.expect("deleted");
}
