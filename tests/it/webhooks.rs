//! The way in for webhooks: what is taken, what is refused, and what is never lost.

use crate::support::{Setup, World};
use deskbridge::zendesk::verify::sign;
use serde_json::{Value, json};
use std::time::Duration;

/// One delivery, as it can be.
#[derive(Default)]
struct Delivery<'a> {
    body: &'a [u8],
    secret: Option<&'a str>,
    signature: Option<&'a str>,
    timestamp: Option<&'a str>,
    twice: bool,
}

const EVENT: &[u8] =
    br#"{"type":"zen:event-type:user.note_taken","id":"e-1","account_id":1,"time":"2026-06-15T12:00:00Z",
    "zendesk_event_version":"2022-06-20","subject":"zen:user:1","detail":{"id":"1"},"event":{}}"#;

async fn secret(world: &World) -> String {
    let source = world.source().await;
    let sealed = source.webhook_secret.clone().expect("a webhook");
    world.ctx.sealer.open_text(&sealed, &source.sealed_as("webhook_secret")).expect("opens").expose().to_string()
}

async fn deliver(world: &World, delivery: Delivery<'_>) -> (u16, Option<String>) {
    let at = delivery.timestamp.map_or_else(|| world.clock.now().to_rfc3339(), str::to_string);
    let secret = match delivery.secret {
        Some(secret) => secret.to_string(),
        None => secret(world).await,
    };
    let signature = delivery.signature.map_or_else(|| sign(&secret, &at, delivery.body), str::to_string);
    let mut request = reqwest::Client::new()
        .post(format!("{}/webhooks/zendesk/acme", world.public_url))
        .header("x-zendesk-webhook-signature-timestamp", &at)
        .body(delivery.body.to_vec());
    for _ in 0..=usize::from(delivery.twice) {
        request = request.header("x-zendesk-webhook-signature", &signature);
    }
    let response = request.send().await.expect("an answer");
    let retry = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_string);
    (response.status().as_u16(), retry)
}

#[tokio::test]
async fn only_what_zendesk_signed_is_stored() {
    let world = World::synced(Setup::default()).await;
    let good = sign(&secret(&world).await, &world.clock.now().to_rfc3339(), EVENT);
    let refused = [
        Delivery { body: EVENT, secret: Some("another"), ..Delivery::default() },
        Delivery { body: EVENT, signature: Some(""), ..Delivery::default() },
        Delivery { body: EVENT, signature: Some(&good[..good.len() / 2]), ..Delivery::default() },
        Delivery { body: b"{}", signature: Some(&good), ..Delivery::default() },
        Delivery { body: EVENT, twice: true, ..Delivery::default() },
    ];
    for delivery in refused {
        world.clock.advance(Duration::from_secs(2));
        assert_eq!(deliver(&world, delivery).await.0, 401);
    }
    assert_eq!(world.count("raw_event").await, 0, "nothing is stored without a signature");
    assert_eq!(deliver(&world, Delivery { body: EVENT, ..Delivery::default() }).await.0, 200);
    assert_eq!(deliver(&world, Delivery { body: EVENT, ..Delivery::default() }).await.0, 200, "a repeat");
    assert_eq!(world.count("raw_event").await, 1);
}

#[tokio::test]
async fn what_cannot_be_understood_is_kept_and_buried() {
    let world = World::synced(Setup::default()).await;
    for body in [b"no json".as_slice(), b"", b"[1,2]", br#"{"type":7,"id":[]}"#, b"\xff\xfe\x00"] {
        assert_eq!(deliver(&world, Delivery { body, ..Delivery::default() }).await.0, 200);
    }
    assert_eq!(deliver(&world, Delivery { body: EVENT, ..Delivery::default() }).await.0, 200);
    world.run_jobs().await;
    assert_eq!(world.count("raw_event").await, 6);
    assert_eq!(world.count("raw_event_pending").await, 0);
    assert_eq!(world.count("dead_letter WHERE stream = 'webhooks'").await, 5, "an unknown type is no dead letter");
}

#[tokio::test]
async fn a_large_body_is_refused_and_an_unknown_source_too() {
    let world = World::synced(Setup::default()).await;
    let large = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(deliver(&world, Delivery { body: &large, secret: Some("x"), ..Delivery::default() }).await.0, 413);
    let response = reqwest::Client::new().post(format!("{}/webhooks/zendesk/nobody", world.public_url)).send().await;
    assert_eq!(response.expect("an answer").status().as_u16(), 404);
}

#[tokio::test]
async fn old_signatures_are_stored_and_marked() {
    let world = World::synced(Setup::default()).await;
    let old = (world.clock.now() - chrono::Duration::minutes(16)).to_rfc3339();
    assert_eq!(deliver(&world, Delivery { body: EVENT, timestamp: Some(&old), ..Delivery::default() }).await.0, 200);
    assert_eq!(world.count("raw_event WHERE late").await, 1);
}

#[tokio::test]
async fn old_and_new_secret_are_both_valid_during_a_rotation() {
    let world = World::synced(Setup::default()).await;
    let old = secret(&world).await;
    let source = world.source().await;
    let path = format!("/api/v2/webhooks/{}/signing_secret", source.webhook_id.clone().expect("a webhook"));
    let client = world.ctx.client(&source).expect("a client");
    client.send(reqwest::Method::POST, &path, None).await.expect("rotated in Zendesk");
    deskbridge::pipeline::lifecycle::reconnect(&world.ctx, source, None, None).await.expect("reconnected");
    let new = secret(&world).await;
    assert_ne!(old, new);
    world.clock.advance(Duration::from_secs(11));
    let event = |id: &str| json!({"type": "zen:event-type:x.y", "id": id}).to_string();
    for (id, secret) in [("a", &old), ("b", &new)] {
        let body = event(id);
        let delivery = Delivery { body: body.as_bytes(), secret: Some(secret), ..Delivery::default() };
        assert_eq!(deliver(&world, delivery).await.0, 200, "{id}");
    }
}

#[tokio::test]
async fn a_database_that_refuses_writes_is_503_and_nothing_is_lost() {
    let world = World::synced(Setup::default()).await;
    let secret = secret(&world).await;
    set_read_only(&world, true).await;
    let delivery = Delivery { body: EVENT, secret: Some(&secret), ..Delivery::default() };
    assert_eq!(deliver(&world, delivery).await, (503, Some("5".into())));
    set_read_only(&world, false).await;
    let delivery = Delivery { body: EVENT, secret: Some(&secret), ..Delivery::default() };
    assert_eq!(deliver(&world, delivery).await.0, 200);
    assert_eq!(world.count("raw_event").await, 1);
}

/// Makes every session of the database read-only, the present ones included by ending them.
async fn set_read_only(world: &World, on: bool) {
    let name: String = world.value("SELECT current_database()::text").await;
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}");
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    sqlx::query("SET default_transaction_read_only = off").execute(&mut *db).await.expect("set");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *db).await.expect("altered");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(&mut *db).await.expect("ended");
    db.close().await.expect("closed");
}

#[tokio::test]
async fn a_paused_source_keeps_its_webhooks_and_applies_them_later() {
    let world = World::synced(Setup::default()).await;
    let source = world.source().await;
    deskbridge::pipeline::lifecycle::set_paused(&world.ctx, &source, true).await.expect("paused");
    world.act(json!({"do": "create_user", "name": "Ned Flanders", "email": "ned@springfield.io"})).await;
    world.run_jobs().await;
    assert_eq!(world.count("person WHERE last_name = 'Flanders'").await, 0);
    assert!(world.count("raw_event_pending").await > 0);
    deskbridge::pipeline::lifecycle::set_paused(&world.ctx, &source, false).await.expect("resumed");
    world.run_jobs().await;
    assert_eq!(world.count("person WHERE last_name = 'Flanders'").await, 1);
    assert_eq!(world.count("raw_event_pending").await, 0);
}

#[tokio::test]
async fn a_spent_budget_applies_what_the_webhook_says() {
    let world = World::synced(Setup::default()).await;
    world.sim.post("faults", json!({"http_429_share": 1.0})).await;
    world.act(json!({"do": "create_user", "name": "Moe Szyslak", "email": "moe@springfield.io"})).await;
    world.run_jobs().await;
    let name: Option<String> = world.value("SELECT first_name FROM person WHERE email = 'moe@springfield.io'").await;
    assert_eq!(name, None, "the webhook does not carry the name");
    world.sim.post("faults", json!({})).await;
    world.settle().await;
    let name: Value = world.value("SELECT to_jsonb(p) FROM person p WHERE email = 'moe@springfield.io'").await;
    assert_eq!((name["first_name"].as_str(), name["last_name"].as_str()), (Some("Moe"), Some("Szyslak")));
}
