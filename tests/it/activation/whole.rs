//! Activations as a whole, by the daemon's own jobs: from a file to what the simulated account has.

use crate::support::{Setup, World, with_sell};
use deskbridge::pipeline::activate::{manage, preflight};
use deskbridge::pipeline::{audience, lifecycle, person};
use deskbridge::rules::activation::read::read;
use deskbridge::rules::audience::define;
use deskbridge::worker;
use serde_json::{Value, json};

pub const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
[rows]
audiences = ["busy"]
[when]
always = true
[[map]]
to = "user_fields.busy"
audience = "busy"
entered_to = "user_fields.busy_since"
exited_to = "user_fields.busy_until"
[[map]]
to = "user_fields.open_tickets"
from = "zd.open_tickets"
[[map]]
to = "user_fields.last_rating"
from = "zd.last_rating"
write = "never_clear"
[[tag]]
tag = "busy"
audience = "busy"
"#;

/// Runs jobs until none is due; time passes while one of them waits.
pub async fn work(world: &World) {
    let ctx = world.ctx.clone();
    let task = tokio::spawn(async move { while worker::run_due(&ctx).await.expect("jobs run") {} });
    while !task.is_finished() {
        match world.clock.sleepers() {
            0 => tokio::task::yield_now().await,
            _ => world.advance(1, 0).await,
        }
    }
    task.await.expect("jobs end");
}

/// Reads every stream again, and delivers until nothing is left to do.
pub async fn settle(world: &World) {
    world.advance(120, 0).await;
    work(world).await;
    lifecycle::resync(&world.ctx, &world.source().await, lifecycle::Resync::Incremental).await.expect("a resync");
    for _ in 0..400 {
        work(world).await;
        let left = world.count("activation_due").await
            + world.count("push_job WHERE ended_at IS NULL").await
            + world.count("push_record WHERE state IN ('planned', 'sent')").await;

        let now = world.clock.now();
        let due: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM audience_touched WHERE due_at <= $1) + (SELECT count(*) FROM job WHERE due_at <= $1)",
        )
        .bind(now + chrono::Duration::seconds(5))
        .fetch_one(&world.ctx.pool)
        .await
        .expect("a count");
        if left + due == 0 {
            return;
        }
        world.advance(5, 0).await;
    }
    let left: Value = world
        .value("SELECT jsonb_build_object('runs', (SELECT jsonb_agg(to_jsonb(r) - 'definition') FROM push_run r),
            'jobs', (SELECT jsonb_agg(to_jsonb(j)) FROM job j), 'calls', (SELECT jsonb_agg(to_jsonb(c)) FROM push_job c WHERE ended_at IS NULL),
            'due', (SELECT count(*) FROM activation_due), 'trouble', (SELECT jsonb_agg(to_jsonb(a) - 'definition') FROM activation a))")
        .await;
    panic!("it never settles: {left:#}");
}

pub async fn apply(world: &World, text: &str) {
    let activation = read(text).expect("a definition");
    let source = lifecycle::find(&world.ctx, 1, &activation.source).await.expect("the source");
    let checked = preflight::look(&world.ctx, &source, &activation, true).await.expect("looked at");
    assert_eq!(checked.problems, []);
    manage::apply(&world.ctx, 1, &activation).await.expect("applied");
}

async fn busy(world: &World, within: &str) {
    let busy =
        json!({"name": "busy", "reentry": true, "entry": {"activity": "zd.ticket.comment_added", "within": within}});
    audience::apply(&world.ctx, 1, &define(&busy).expect("a definition")).await.expect("an audience");
}

#[tokio::test]
async fn a_clock_begins_a_run_at_its_time_once() {
    let world = World::synced(Setup { users: 5, tickets: 5, ..Setup::default() }).await;
    busy(&world, "20 hours").await;
    apply(&world, &FILE.replace("always = true", "cron = \"30 2 * * *\"\nzone = \"Europe/Amsterdam\"")).await;
    // Old runs are pruned meanwhile; their numbers go on.
    let runs = async || world.value::<i64>("SELECT coalesce(max(id), 0) FROM push_run").await;
    let to = async |time: &str| {
        let time = chrono::DateTime::parse_from_rfc3339(time).expect("a time").to_utc();
        world.advance((time - world.clock.now()).num_seconds() as u64, 0).await;
        work(&world).await;
    };
    work(&world).await;
    assert_eq!(runs().await, 0);
    to("2026-06-16T00:29:50Z").await;
    let before = runs().await;
    to("2026-06-16T00:31:00Z").await;
    to("2026-06-16T00:40:00Z").await;
    assert_eq!((before, runs().await), (0, 1));
    // Clocks go back at 01:00 UTC: 02:30 comes twice, the run once. The months before count once, too.
    to("2026-10-24T12:00:00Z").await;
    assert_eq!(runs().await, 2);
    to("2026-10-25T00:31:00Z").await;
    to("2026-10-25T01:31:00Z").await;
    to("2026-10-25T05:00:00Z").await;
    assert_eq!(runs().await, 3);
    // One that has not ended is not begun twice.
    sqlx::query("UPDATE push_run SET state = 'waiting', ended_at = NULL WHERE id = (SELECT max(id) FROM push_run)")
        .execute(&world.ctx.pool)
        .await
        .expect("it waits");
    to("2026-10-26T01:31:00Z").await;
    assert_eq!(runs().await, 3);
}

#[tokio::test]
async fn a_run_follows_every_reading_of_the_contacts() {
    let world = World::synced(Setup { users: 5, tickets: 5, ..Setup::default() }).await;
    busy(&world, "20 hours").await;
    apply(&world, &FILE.replace("always = true", "after_sync = true")).await;
    work(&world).await;
    let before = world.count("push_run").await;
    settle(&world).await;
    let runs = world.count("push_run WHERE kind = 'run' AND state = 'done'").await;
    assert!(before == 0 && runs > 0, "{before} {runs}");
}

pub const SELL: &str = r#"
name = "sales"
source = "sell"
target = "sell_contacts"
personal_data = ["email", "last_name", "first_name"]
[rows]
audiences = ["all"]
[key]
by = "email"
from = "email"
create = true
[when]
always = true
[[map]]
to = "email"
from = "email"
[[map]]
to = "last_name"
from = "last_name"
[[map]]
to = "custom_fields.Audience"
audience = "all"
"#;

pub async fn sell_world() -> World {
    let world = World::synced(Setup { users: 0, tickets: 0, account: with_sell, ..Setup::default() }).await;
    world.connect_sell().await;
    for (name, email) in [("Ana Lee", "ana@x.example"), ("Cher", "cher@x.example"), ("Bob Ray", "bob@x.example")] {
        world.act(json!({"do": "create_user", "name": name, "email": email})).await;
    }
    settle(&world).await;
    let all = json!({"name": "all", "reentry": true, "entry": {"field": "email", "contains": "x.example"}});
    audience::apply(&world.ctx, 1, &define(&all).expect("a definition")).await.expect("an audience");
    world
}

pub async fn contacts(world: &World) -> Vec<(String, Value)> {
    let rows = world.sim.get("state/contacts").await["rows"].clone();
    let rows = rows.as_array().expect("rows").iter();
    let mut all: Vec<(String, Value)> = rows
        .map(|row| (row["email"].as_str().unwrap_or("").to_owned(), row["custom_fields"]["Audience"].clone()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

pub async fn results(world: &World) -> Value {
    world
        .value(
            "SELECT coalesce(jsonb_object_agg(key, n), '{}') FROM (
            SELECT concat_ws('.', r.state, r.class, r.field) AS key, count(*) AS n
            FROM push_record r GROUP BY 1) t",
        )
        .await
}

#[tokio::test]
async fn contacts_of_sell_are_written_by_email_and_exits_too() {
    let world = sell_world().await;
    apply(&world, SELL).await;
    settle(&world).await;
    let realized = |email: &str| (email.to_owned(), json!("realized"));
    let found = contacts(&world).await;
    println!("{found:?} {}", results(&world).await);
    assert!(found.contains(&realized("ana@x.example")) && found.contains(&realized("bob@x.example")), "{found:?}");
    person::archive(
        &world.ctx,
        1,
        &[world.value("SELECT id FROM person WHERE email = 'ana@x.example'").await],
        "a test",
    )
    .await
    .expect("archived");
    settle(&world).await;
    let found = contacts(&world).await;
    assert!(found.contains(&("ana@x.example".to_owned(), json!("exited"))), "{found:?} {}", results(&world).await);
}

#[tokio::test]
async fn contacts_of_sell_that_are_not_there_are_not_made_unasked() {
    let world = sell_world().await;
    apply(&world, &SELL.replace("create = true\n", "")).await;
    settle(&world).await;
    assert_eq!(contacts(&world).await, [], "{}", results(&world).await);
}

#[tokio::test]
async fn every_contact_of_sell_gets_its_result_whatever_happens_on_the_way() {
    // One has no last name, one an address that is none; the answers of the others are lost, or they are
    // put off.
    let addresses = "template = \"{% if person.first_name == 'Dan' %}nobody{% else %}{{ person.email }}{% endif %}\"";
    let file = SELL.replace("to = \"email\"\nfrom = \"email\"", &format!("to = \"email\"\n{addresses}"));
    let upsert = "/v2/contacts/upsert";
    let faults = [json!({"lost_answer_paths": [upsert]}), json!({"http_429_share": 0.4})];
    for fault in faults {
        let world = sell_world().await;
        world.act(json!({"do": "create_user", "name": "Dan Roe", "email": "dan@x.example"})).await;
        settle(&world).await;
        apply(&world, &file).await;
        world.sim.post("faults", fault.clone()).await;
        work(&world).await;
        for _ in 0..3 {
            world.advance(60, 0).await;
            work(&world).await;
        }
        world.sim.post("faults", json!({})).await;
        world.advance(300, 0).await;
        settle(&world).await;
        let realized = |email: &str| (email.to_owned(), json!("realized"));
        let is = results(&world).await;
        assert_eq!(contacts(&world).await, [realized("ana@x.example"), realized("bob@x.example")], "{fault}: {is}");
        let expected = json!({"created": 2, "failed.email.email": 1, "failed.required_missing.last_name": 1});
        assert_eq!(is, expected, "{fault}");
    }
}
