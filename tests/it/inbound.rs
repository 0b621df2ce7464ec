//! Zendesk into the CDP: polls and webhooks on real Postgres and the simulated Zendesk.

use crate::support::{Setup, World};
use serde_json::json;

#[tokio::test]
async fn a_first_sync_brings_everybody() {
    let world = World::synced(Setup::default()).await;
    let source = world.source().await;
    assert_eq!(source.state.as_str(), "connected");
    assert!(world.count("person").await > 20);
    assert!(world.count("ticket").await >= 30);
    assert!(world.count("activity").await > 30);
    assert_eq!(world.count("dead_letter").await, 0);
}

#[tokio::test]
async fn the_same_again_writes_nothing() {
    let world = World::synced(Setup::default()).await;
    let before = tuples(&world).await;
    let source = world.source().await;
    let since = world.clock.now() - chrono::Duration::days(90);
    deskbridge::pipeline::lifecycle::resync(
        &world.ctx,
        &source,
        deskbridge::pipeline::lifecycle::Resync::Backfill(since),
    )
    .await
    .expect("a backfill");
    world.sync().await;
    assert_eq!(tuples(&world).await, before);
}

#[tokio::test]
async fn a_webhook_becomes_an_activity_once() {
    let world = World::synced(Setup::default()).await;
    let user = world.act(json!({"do": "create_user", "name": "Homer Simpson", "email": "homer@springfield.io"})).await;
    world.run_jobs().await;
    assert_eq!(world.count("person WHERE first_name = 'Homer' AND last_name = 'Simpson'").await, 1);
    let before = world.count("activity").await;
    world
        .act(json!({"do": "create_ticket", "requester_id": user["id"], "subject": "Donuts", "body": "Where are they?"}))
        .await;
    world.run_jobs().await;
    assert_eq!(world.count("activity WHERE type = 'zd.ticket.created' AND message = 'Where are they?'").await, 1);
    let after_webhook = world.count("activity").await;
    assert!(after_webhook > before);
    world.settle().await;
    assert_eq!(world.count("activity").await, after_webhook, "the export tells nothing that the webhook did not");
}

/// Place and transaction of every tuple of data: whoever writes one, even the same again, changes this.
async fn tuples(world: &World) -> Vec<(String, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
         AND relname NOT IN ('checkpoint', 'job', 'rate_budget', 'run', 'source', 'schedule') ORDER BY 1",
    )
    .fetch_all(&world.ctx.pool)
    .await
    .expect("tables");
    let mut all = Vec::new();
    for table in tables {
        let sql =
            format!("SELECT coalesce(md5(string_agg(ctid::text || xmin::text, ',' ORDER BY ctid)), '') FROM {table}");
        let print = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.ctx.pool).await.expect("a print");
        all.push((table, print));
    }
    all
}

#[tokio::test]
async fn an_export_corrects_what_a_webhook_could_not_know() {
    let world = World::synced(Setup::default()).await;
    let user = world.act(json!({"do": "create_user", "name": "Lisa", "email": "lisa@springfield.io"})).await;
    let ticket = world
        .act(json!({"do": "create_ticket", "requester_id": user["id"], "subject": "Sax", "body": "Too loud"}))
        .await;
    world.advance(30, 0).await;
    world.act(json!({"do": "comment", "ticket_id": ticket["id"], "author_id": user["id"], "body": "Still"})).await;
    world.run_jobs().await;
    let attachments = "SELECT attributes->>'attachment_count' FROM activity WHERE message = 'Still'";
    assert_eq!(world.value::<Option<String>>(attachments).await, None, "a webhook does not say");
    world.settle().await;
    assert_eq!(world.value::<Option<String>>(attachments).await.as_deref(), Some("0"));
}
