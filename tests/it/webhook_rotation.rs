//! The signing secret is replaced by us: no delivery is refused meanwhile, wherever it breaks off.

use crate::support::{Setup, World};
use deskbridge::pipeline::webhook;
use serde_json::json;
use std::time::Duration;

async fn secret(world: &World) -> String {
    let source = world.source().await;
    let sealed = source.webhook_secret.clone().expect("a webhook");
    world.ctx.sealer.open_text(&sealed, &source.sealed_as("webhook_secret")).expect("opens").expose().to_string()
}

/// Changes a user in the simulated account and has the webhook delivered, with its later tries.
async fn happen(world: &World, name: &str) {
    world.sim.post("act", json!({"do": "create_user", "name": name, "email": format!("{name}@springfield.io")})).await;
    world.sim.post("drain", json!({})).await;
}

async fn refused(world: &World) -> i64 {
    world.sim.get("deliveries").await["failed"].as_i64().expect("a count")
}

#[tokio::test]
async fn no_delivery_is_refused_while_the_secret_is_replaced() {
    let world = World::synced(Setup::default()).await;
    let (source, old) = (world.source().await, secret(&world).await);
    happen(&world, "before").await;
    let ctx = world.ctx.clone();
    let rotating = tokio::spawn(async move { webhook::rotate(&ctx, &source).await });
    // Told to every daemon, and not yet asked of Zendesk: signed with the former secret.
    while world.count("webhook_watch WHERE rotating_since IS NOT NULL").await == 0 {
        tokio::task::yield_now().await;
    }
    happen(&world, "between").await;
    world.drive(rotating).await.expect("rotated");
    assert_ne!(secret(&world).await, old);
    assert_eq!(world.count("webhook_watch WHERE rotating_since IS NOT NULL").await, 0);
    // Daemons go by what they know for some seconds more.
    happen(&world, "after").await;
    world.advance(30, 0).await;
    world.sim.post("drain", json!({"all": true})).await;
    world.run_jobs().await;
    assert_eq!(refused(&world).await, 0);
    assert_eq!(world.count("person WHERE email LIKE '%@springfield.io'").await, 3);
}

#[tokio::test]
async fn a_rotation_that_breaks_off_after_zendesk_did_it_is_completed_by_the_next_look() {
    let world = World::synced(Setup::default()).await;
    let old = secret(&world).await;
    let now = world.clock.now();
    // As far as `rotate` comes when it is killed: every daemon knows, Zendesk has a new secret, we have not.
    sqlx::query("UPDATE webhook_watch SET rotating_since = $1, due_at = $1")
        .bind(now + chrono::Duration::seconds(30))
        .execute(&world.ctx.pool)
        .await
        .expect("begun");
    world.clock.advance(Duration::from_secs(12));
    world.sim.post("act", json!({"do": "rotate_webhook_secret"})).await;
    happen(&world, "between").await;
    let deliveries = world.sim.get("deliveries").await;
    assert!(deliveries["pending"].as_i64() > Some(0) && deliveries["failed"] == 0, "asked for again, not refused");
    world.advance(31, 0).await;
    world.run_jobs().await;
    assert_ne!(secret(&world).await, old);
    assert_eq!(world.count("webhook_watch WHERE rotating_since IS NOT NULL").await, 0);
    world.clock.advance(Duration::from_secs(12));
    world.sim.post("drain", json!({"all": true})).await;
    world.run_jobs().await;
    assert_eq!(refused(&world).await, 0);
    assert_eq!(world.count("person WHERE email = 'between@springfield.io'").await, 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_nothing_in_doubt() {
    let settings = |settings: &mut deskbridge::config::Settings| settings.zendesk.timeout_secs = 1;
    let world = World::synced(Setup { settings, ..Setup::default() }).await;
    let (source, old) = (world.source().await, secret(&world).await);
    world.sim.post("faults", json!({"lost_answer_paths": ["signing_secret"]})).await;
    let ctx = world.ctx.clone();
    let rotating = tokio::spawn(async move { webhook::rotate(&ctx, &source).await });
    while world.count("webhook_watch WHERE rotating_since IS NOT NULL").await == 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.drive(rotating).await.is_err(), "nobody knows what Zendesk has");
    happen(&world, "doubtful").await;
    let deliveries = world.sim.get("deliveries").await;
    assert!(deliveries["pending"].as_i64() > Some(0) && deliveries["failed"] == 0, "asked for again, not refused");
    world.sim.post("faults", json!({})).await;
    world.advance(31, 0).await;
    world.run_jobs().await;
    assert_ne!(secret(&world).await, old, "what Zendesk has in the end is what is stored");
    world.clock.advance(Duration::from_secs(12));
    world.sim.post("drain", json!({"all": true})).await;
    assert_eq!(refused(&world).await, 0);
}

#[tokio::test]
async fn only_our_own_is_replaced() {
    let world = World::synced(Setup::default()).await;
    let mut source = world.source().await;
    for (id, expected) in [(Some("manual"), "was set up by hand"), (None, "has no webhook")] {
        source.webhook_id = id.map(str::to_string);
        let error = webhook::rotate(&world.ctx, &source).await.expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}
