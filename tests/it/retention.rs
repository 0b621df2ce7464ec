//! What goes with time, and what stays (R1–R12).

use crate::support::{Setup, World};
use deskbridge::model::retention::{Keep, Retention};
use deskbridge::model::source::SourceSettings;
use deskbridge::pipeline::{lifecycle, prune};

const ROLLUPS: &str = "SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY person_id, type), '[]') FROM activity_rollup r";

#[tokio::test]
async fn activities_go_after_90_days_and_their_effects_stay() {
    let world = World::synced(Setup::default()).await;
    let before: serde_json::Value = world.value(ROLLUPS).await;
    let tickets = world.count("ticket").await;
    world.advance(91 * 86_400, 0).await;
    let dry = prune::dry_run(&world.ctx).await.expect("a dry run");
    let activities = world.count("activity").await as u64;
    let pruned = prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!((dry.activities, pruned.activities), (activities, activities), "what was said is what was done");
    assert!(pruned.activity_partitions > 0, "whole months go as a whole");
    assert_eq!(world.count("activity").await, 0);
    assert_eq!(world.value::<serde_json::Value>(ROLLUPS).await, before, "first, last and counts outlive it (R7)");
    assert_eq!(world.count("ticket").await, tickets);
    assert_eq!(prune::prune(&world.ctx).await.expect("again").activities, 0);
}

#[tokio::test]
async fn chosen_types_stay_longer_and_what_comes_back_is_not_counted_twice() {
    let retention =
        Retention { extended: Some(Keep::Forever), activity_types: vec!["comments".into()], ..Retention::default() };
    let world = World::new(Setup::default()).await;
    world.connect(SourceSettings { retention, ..SourceSettings::default() }).await;
    world.sync().await;
    let comments = world.count("activity WHERE type = 'zd.ticket.comment_added'").await;
    world.advance(91 * 86_400, 0).await;
    prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(world.count("activity").await, comments);
    let rollups: serde_json::Value = world.value(ROLLUPS).await;

    let source = world.source().await;
    let forever = Retention { default: Keep::Forever, ..Retention::default() };
    let settings = SourceSettings { retention: forever, ..source.settings.clone() };
    lifecycle::set_settings(&world.ctx, &source, &source.title, &settings).await.expect("set");
    let source = world.source().await;
    let since = world.clock.now() - chrono::Duration::days(200);
    lifecycle::resync(&world.ctx, &source, lifecycle::Resync::Backfill(since)).await.expect("a backfill");
    world.sync().await;
    assert!(world.count("activity").await > comments, "a longer retention and a backfill bring them back (R8)");
    assert_eq!(world.value::<serde_json::Value>(ROLLUPS).await, rollups, "and count none twice");
}

#[tokio::test]
async fn a_shorter_retention_says_what_will_go() {
    let world = World::synced(Setup::default()).await;
    let source = world.source().await;
    let month = Retention { default: Keep::Days(30), ..Retention::default() };
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let said = prune::expired(&mut db, &source, &month, world.clock.now()).await.expect("counted");
    drop(db);
    assert!(said > 0);
    let settings = SourceSettings { retention: month, ..source.settings.clone() };
    lifecycle::set_settings(&world.ctx, &source, &source.title, &settings).await.expect("set");
    assert_eq!(prune::prune(&world.ctx).await.expect("pruned").activities, said);
}

#[tokio::test]
async fn stored_webhooks_go_by_the_day_unless_they_wait() {
    let world = World::synced(Setup::default()).await;
    world.act(serde_json::json!({"do": "create_user", "name": "A B", "email": "a@x.io"})).await;
    assert!(world.count("raw_event_pending").await > 0);
    world.advance(20 * 86_400, 0).await;
    let kept = world.count("raw_event").await;
    prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(world.count("raw_event").await, kept, "what is not applied is not dropped");
    world.run_jobs().await;
    prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(world.count("raw_event").await, 0);
}

#[tokio::test]
async fn runs_of_activations_go_with_their_records() {
    let world = World::synced(Setup::default()).await;
    sqlx::query(
        "INSERT INTO push_run (workspace_id, activation_id, source_id, kind, state, definition, stage, counts, started_at, ended_at)
         SELECT 1, 1, s.id, 'run', CASE WHEN n = 25 THEN 'sending' ELSE 'done' END, '{}', 4, '{}', $1, CASE WHEN n < 25 THEN $1 END
         FROM source s, generate_series(1, 25) n",
    )
    .bind(world.clock.now())
    .execute(&world.ctx.pool)
    .await
    .expect("runs");
    sqlx::query(
        "INSERT INTO push_record (workspace_id, run_id, activation_id, row_key, state, stage, digest, wanted, tries, updated_at)
         SELECT 1, id, 1, 'person:1', 'updated', 4, 0, '{}', 1, started_at FROM push_run",
    )
    .execute(&world.ctx.pool)
    .await
    .expect("records");
    let runs = async || (world.count("push_run").await, world.count("push_record").await);
    prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(runs().await, (25, 25), "none is past its time");
    world.advance(31 * 86_400, 0).await;
    let dry = prune::dry_run(&world.ctx).await.expect("a dry run");
    let pruned = prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(dry.runs, pruned.runs, "what was said is what was done");
    assert!(pruned.runs >= 24, "{pruned:?}");
    assert_eq!(runs().await, (1, 1), "what has not ended stays");
}
