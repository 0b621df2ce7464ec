//! Webhooks over HTTP: signed, shaped, tried again, and faulty on request.
mod common;

use base64::Engine;
use common::{Receiver, World};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use zendesk_sim::Settings;

async fn subscribe(world: &World, receiver: &Receiver, kinds: &[&str]) -> (String, String) {
    let kinds: Vec<_> = kinds.iter().map(|kind| format!("zen:event-type:{kind}")).collect();
    let hook = json!({"webhook": {"name": "cdp", "endpoint": receiver.url, "http_method": "POST", "status": "active",
        "request_format": "json", "subscriptions": kinds,
        "authentication": {"type": "bearer_token", "data": {"token": "hush"}, "add_position": "header"}}});
    let made = world.post("/api/v2/webhooks", hook).await;
    assert_eq!(made.status, 201);
    assert!(!made.body.to_string().contains("hush"), "secrets are not echoed");
    let id = made.body["webhook"]["id"].as_str().expect("an id").to_owned();
    let secret = world.get(&format!("/api/v2/webhooks/{id}/signing_secret")).await.body;
    (id, secret["signing_secret"]["secret"].as_str().expect("a secret").to_owned())
}

fn signature(secret: &str, at: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{at}{body}").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_change_of_a_ticket_is_told_signed_and_in_sequence() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let kinds = ["ticket.created", "ticket.status_changed", "ticket.comment_added", "user.created"];
    let (_, secret) = subscribe(&world, &receiver, &kinds).await;
    let user = world.act(json!({"do": "create_user", "name": "Ana"})).await["id"].clone();
    let ticket = world.act(json!({"do": "create_ticket", "requester_id": user, "subject": "Hi"})).await["id"].clone();
    world.post("/_sim/drain", json!({})).await;
    let change = json!({"do": "comment", "ticket_id": ticket, "body": "Done", "status": "solved"});
    world.act(change).await;
    world.post("/_sim/drain", json!({})).await;
    let bodies = receiver.bodies();
    let find = |kind: &str| bodies.iter().find(|b| b["type"] == format!("zen:event-type:{kind}")).expect(kind);
    assert_eq!(find("user.created")["detail"]["organization_id"], "0");
    let status = find("ticket.status_changed");
    assert_eq!((&status["event"]["current"], &status["event"]["previous"]), (&json!("SOLVED"), &json!("NEW")));
    assert_eq!(status["detail"]["id"], ticket.to_string());
    assert_eq!(status["detail"]["status"], "SOLVED");
    assert!(status["time"].as_str().expect("a time").starts_with("2026-03-01T12:00:00"));
    let comments: Vec<_> = bodies.iter().filter(|b| b["type"] == "zen:event-type:ticket.comment_added").collect();
    assert!(comments.iter().any(|b| b["event"]["meta"]["sequence"]["id"] == status["event"]["meta"]["sequence"]["id"]));
    for (headers, body) in receiver.got.lock().expect("not poisoned").iter() {
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        let at = header("x-zendesk-webhook-signature-timestamp");
        assert_eq!(header("x-zendesk-webhook-signature"), signature(&secret, &at, body));
        assert_eq!(header("authorization"), "Bearer hush");
    }
}

#[tokio::test]
async fn a_busy_receiver_is_tried_again_after_its_time_with_the_same_id() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[503, 409, 200, 500]).await;
    let (id, _) = subscribe(&world, &receiver, &["user.created"]).await;
    world.act(json!({"do": "create_user", "name": "Ana"})).await;
    let counts = world.post("/_sim/drain", json!({})).await.body;
    assert_eq!((&counts["sent"], &counts["pending"]), (&json!(1), &json!(1)));
    world.advance(5, 0).await;
    world.advance(60, 0).await;
    assert_eq!(receiver.bodies().len(), 3);
    let got = receiver.got.lock().expect("not poisoned").clone();
    assert_eq!(got[0].1, got[1].1, "the same bytes");
    assert_ne!(got[0].0["x-zendesk-webhook-signature"], got[1].0["x-zendesk-webhook-signature"]);
    world.act(json!({"do": "create_user", "name": "Bo"})).await;
    let counts = world.post("/_sim/drain", json!({})).await.body;
    let ended: Vec<_> = ["ok", "failed", "pending"].iter().map(|key| counts[*key].clone()).collect();
    assert_eq!(ended, [1, 1, 0], "a 500 is not tried again");
    let log = world.get(&format!("/api/v2/webhooks/{id}/invocations")).await.body;
    let states: Vec<_> = log["invocations"].as_array().expect("rows").iter().map(|i| i["status"].clone()).collect();
    assert_eq!(states, ["terminated", "success", "failed", "failed"]);
}

#[tokio::test]
async fn faults_drop_and_double_events() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    subscribe(&world, &receiver, &["user.created", "user.name_changed"]).await;
    world.post("/_sim/faults", json!({"duplicate_webhooks": 1.0})).await;
    let user = world.act(json!({"do": "create_user", "name": "Ana"})).await["id"].clone();
    world.post("/_sim/drain", json!({})).await;
    let bodies = receiver.bodies();
    assert_eq!((bodies.len(), &bodies[0]["id"]), (2, &bodies[1]["id"]));
    world.post("/_sim/faults", json!({"drop_webhooks": 1.0})).await;
    world.act(json!({"do": "update_user", "user_id": user, "name": "Anna"})).await;
    assert_eq!(world.post("/_sim/drain", json!({})).await.body["dropped"], 1);
    world.post("/_sim/faults", json!({"reorder_webhooks": 1.0})).await;
    world.act(json!({"do": "update_user", "user_id": user, "name": "Anne"})).await;
    assert_eq!(world.post("/_sim/drain", json!({})).await.body["pending"], 1);
    world.advance(30, 0).await;
    assert_eq!(receiver.bodies().len(), 3);
}

#[tokio::test]
async fn a_webhook_is_made_found_changed_tested_and_removed() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let (id, secret) = subscribe(&world, &receiver, &["user.created"]).await;
    let found = world.get("/api/v2/webhooks?filter%5Bname_contains%5D=CDP&page%5Bsize%5D=10").await.body;
    assert_eq!((&found["meta"]["has_more"], &found["webhooks"][0]["id"]), (&json!(false), &json!(id)));
    let path = format!("/api/v2/webhooks/{id}");
    let patch = json!({"webhook": {"status": "inactive"}});
    let patched = world.send(reqwest::Method::PATCH, &path, Some(patch), Some(&world.token)).await;
    assert_eq!(patched.status, 204);
    assert_eq!(world.get(&path).await.body["webhook"]["status"], "inactive");
    let rotated = world.post(&format!("{path}/signing_secret"), Value::Null).await;
    assert_eq!(rotated.status, 201);
    assert_ne!(rotated.body["signing_secret"]["secret"], secret);
    let tested = world.post(&format!("/api/v2/webhooks/test?webhook_id={id}"), json!({"request": {}})).await;
    assert_eq!(tested.body["response"]["status_code"], 200);
    let gone = world.send(reqwest::Method::DELETE, &path, None, Some(&world.token)).await;
    assert_eq!((gone.status, world.get(&path).await.status), (204, 404));
}
