//! What has to wait, waits: nobody asks for its jobs again and again.

use super::whole::{FILE, apply, settle, work};
use crate::support::{Setup, World};
use deskbridge::pipeline::activate::{control, manage};
use deskbridge::pipeline::audience;
use deskbridge::rules::audience::define;
use deskbridge::worker;
use serde_json::{Value, json};
use std::time::Duration;

/// Counts how often a push job is taken up, whoever asked for it.
async fn count_claims(world: &World) {
    for sql in [
        "CREATE TABLE claimed (job_id bigint)",
        "CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO claimed VALUES (NEW.id); RETURN NEW; END'",
        "CREATE TRIGGER note_claim AFTER UPDATE ON job FOR EACH ROW
         WHEN (NEW.kind = 'push' AND NEW.attempt > OLD.attempt) EXECUTE FUNCTION note_claim()",
        // Nothing is read meanwhile, so that time passes quickly.
        "UPDATE checkpoint SET due_at = due_at + interval '1 year'",
        "UPDATE webhook_watch SET due_at = due_at + interval '1 year'",
    ] {
        sqlx::query(sql).execute(&world.ctx.pool).await.expect(sql);
    }
}

/// Lets an hour pass. Answers how often a push job was taken up in it.
async fn an_hour(world: &World) -> i64 {
    let before = world.count("claimed").await;
    let end = world.clock.now() + chrono::Duration::hours(1);
    while world.clock.now() < end {
        let ctx = world.ctx.clone();
        let task = tokio::spawn(async move { while worker::run_due(&ctx).await.expect("jobs run") {} });
        while !task.is_finished() && world.clock.now() < end {
            match world.clock.sleepers() {
                0 => tokio::task::yield_now().await,
                _ => world.clock.advance(Duration::from_secs(1)),
            }
        }
        task.abort();
        world.clock.advance(Duration::from_secs(30));
    }
    let now = world.clock.now();
    let behind = (now - world.sim.now().await).num_seconds();
    world.sim.post("advance", json!({"seconds": behind})).await;
    world.count("claimed").await - before
}

/// Something happens to everybody.
async fn tickets(world: &World) {
    let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
    for user in
        rows.as_array().expect("rows").iter().filter(|user| user["role"] == "end-user" && user["active"] == true)
    {
        world.act(json!({"do": "create_ticket", "requester_id": user["id"], "subject": "Help"})).await;
    }
    work(world).await;
}

#[tokio::test]
async fn what_has_to_wait_asks_for_no_jobs() {
    let world = World::synced(Setup { users: 5, tickets: 5, ..Setup::default() }).await;
    let everybody = json!({"name": "busy", "reentry": true, "entry": {"all": []}});
    audience::apply(&world.ctx, 1, &define(&everybody).expect("a definition")).await.expect("an audience");
    apply(&world, FILE).await;
    settle(&world).await;
    count_claims(&world).await;
    let open = |state: &'static str| format!("push_run WHERE ended_at IS NULL AND state = '{state}'");
    let claims = an_hour(&world).await;
    assert!(claims <= 2, "nothing to do: {claims}");

    // The run of a new definition asks, and so does what is always on.
    apply(&world, &format!("{FILE}[guards]\nmax_changed = 2\n[[map]]\nto = \"details\"\nvalue = \"new\"\n")).await;
    tickets(&world).await;
    // Once it waits, who becomes due stays so.
    tickets(&world).await;
    let claims = an_hour(&world).await;
    assert!(claims <= 10, "it asks: {claims}");
    assert!(world.count(&open("waiting")).await >= 1 && world.count("activation_due").await >= 1);

    manage::set_paused(&world.ctx, 1, "health", true).await.expect("paused");
    let claims = an_hour(&world).await;
    assert!(claims <= 1, "paused: {claims}");
    manage::set_paused(&world.ctx, 1, "health", false).await.expect("resumed");

    // Zendesk does not answer, and people are due.
    let runs: Vec<i64> = sqlx::query_scalar("SELECT id FROM push_run WHERE ended_at IS NULL")
        .fetch_all(&world.ctx.pool)
        .await
        .expect("runs");
    for run in runs {
        control::stop(&world.ctx, 1, run).await.expect("stopped");
    }
    apply(&world, FILE).await;
    world.sim.post("faults", json!({"http_500_share": 1.0})).await;
    tickets(&world).await;
    let claims = an_hour(&world).await;
    println!("dead: {claims}");
    assert!((1..=20).contains(&claims), "dead: {claims}");
    world.sim.post("faults", json!({})).await;
    settle(&world).await;
    let left: Value = world.value("SELECT coalesce(jsonb_agg(to_jsonb(r) - 'definition'), '[]') FROM push_run r WHERE kind <> 'always' AND state NOT IN ('done', 'planned', 'stopped')").await;
    assert_eq!(left, json!([]));
}
