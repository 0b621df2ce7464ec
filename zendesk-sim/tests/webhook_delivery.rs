//! How webhook events are delivered: tries, breaker, limits, log, triggers, and what happens behind an owner's back.
mod common;

use common::{Receiver, World};
use serde_json::{Value, json};
use zendesk_sim::Settings;

async fn subscribe(world: &World, url: &str, kinds: &[&str]) -> String {
    let kinds: Vec<_> = kinds.iter().map(|kind| format!("zen:event-type:{kind}")).collect();
    let hook = json!({"webhook": {"name": "cdp", "endpoint": url, "http_method": "POST", "status": "active",
        "request_format": "json", "subscriptions": kinds}});
    let made = world.post("/api/v2/webhooks", hook).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["webhook"]["id"].as_str().expect("an id").to_owned()
}

async fn log(world: &World, id: &str, query: &str) -> Vec<Value> {
    let body = world.get(&format!("/api/v2/webhooks/{id}/invocations{query}")).await.body;
    body["invocations"].as_array().expect("rows").clone()
}

fn states(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["status"].as_str().expect("a status").to_owned()).collect()
}

async fn happen(world: &World, times: usize) {
    for n in 0..times {
        world.act(json!({"do": "create_user", "name": format!("Ana {n}")})).await;
    }
    world.post("/_sim/drain", json!({})).await;
}

#[tokio::test]
async fn each_answer_is_tried_again_as_often_as_its_rule_says() {
    // What the receiver answers for ever, and how many requests it gets.
    let table = [(200, 1), (201, 1), (400, 1), (404, 1), (409, 4), (500, 1), (502, 1), (504, 1), (301, 1)];
    for (status, expected) in table {
        let world = World::start(Settings { breaker: Some("off".into()), ..Settings::default() }).await;
        let receiver = Receiver::start(&[status; 30]).await;
        subscribe(&world, &receiver.url, &["user.created"]).await;
        happen(&world, 1).await;
        for _ in 0..10 {
            world.advance(20, 0).await;
        }
        assert_eq!(receiver.bodies().len(), expected, "{status}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_tried_five_times_more() {
    let world = World::start(Settings { breaker: Some("off".into()), ..Settings::default() }).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let id = subscribe(&world, &url, &["user.created"]).await;
    world.post("/_sim/faults", json!({"webhook_deadline": 0.05})).await;
    happen(&world, 1).await;
    for _ in 0..10 {
        world.advance(40, 0).await;
    }
    let rows = log(&world, &id, "").await;
    assert_eq!(states(&rows), ["terminated", "failed", "failed", "failed", "failed", "failed"]);
    assert!(rows.iter().all(|row| row.get("status_code").is_none()), "nothing answered");
}

#[tokio::test]
async fn the_log_tells_each_try_latest_first_and_for_seven_days() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[409, 200, 500]).await;
    let id = subscribe(&world, &receiver.url, &["user.created"]).await;
    happen(&world, 1).await;
    world.advance(5, 0).await;
    happen(&world, 1).await;
    let rows = log(&world, &id, "").await;
    assert_eq!(states(&rows), ["terminated", "success", "failed"]);
    assert_eq!((&rows[1]["id"], &rows[0]["status_code"]), (&rows[2]["id"], &json!(500)));
    assert_eq!(states(&log(&world, &id, "?filter[status]=success").await), ["success"]);
    assert_eq!(log(&world, &id, "?filter[from_ts]=2026-03-01T12:00:05Z").await.len(), 2);
    let path = |row: &Value| format!("/api/v2/webhooks/{id}/invocations/{}/attempts", row["id"].as_str().expect("id"));
    let tries = world.get(&path(&rows[1])).await.body["attempts"].clone();
    assert_eq!((&tries[0]["status_code"], &tries[1]["status_code"]), (&json!(200), &json!(409)));
    let bodies = receiver.got.lock().expect("not poisoned").clone();
    assert_eq!(tries[1]["request"]["payload"], bodies[0].1.as_str(), "the exact bytes");
    let header = |at: usize, name: &str| {
        let all = tries[at]["request"]["headers"].as_array().expect("headers");
        all.iter().find(|h| h["key"] == name).map(|h| h["value"].clone()).expect("a header")
    };
    let stamp = "X-Zendesk-Webhook-Signature-Timestamp";
    assert_ne!(header(0, stamp), header(1, stamp), "each try is signed anew");
    assert_eq!(world.get(&format!("/api/v2/webhooks/{id}/invocations/none/attempts")).await.status, 404);
    world.advance(7 * 86_400 + 10, 0).await;
    assert_eq!(log(&world, &id, "").await.len(), 0);
    assert_eq!(world.get(&path(&rows[1])).await.status, 404);
}

#[tokio::test]
async fn the_log_is_read_page_by_page() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let id = subscribe(&world, &receiver.url, &["user.created"]).await;
    happen(&world, 5).await;
    let mut path = format!("/api/v2/webhooks/{id}/invocations?page[size]=2");
    let mut seen = Vec::new();
    loop {
        let body = world.get(&path).await.body;
        seen.extend(body["invocations"].as_array().expect("rows").iter().map(|row| row["id"].to_string()));
        match body["links"]["next"].as_str().and_then(|next| next.split_once(":443")) {
            Some((_, next)) => next.clone_into(&mut path),
            None => break,
        }
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((count, seen.len()), (5, 5));
}

#[tokio::test]
async fn the_breaker_opens_pauses_and_lets_one_through_again() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[500; 10]).await;
    let id = subscribe(&world, &receiver.url, &["user.created"]).await;
    happen(&world, 10).await;
    happen(&world, 3).await;
    let rows = log(&world, &id, "").await;
    assert_eq!(states(&rows)[..4], ["circuit broken", "circuit broken", "circuit broken", "terminated"]);
    assert!(rows[0].get("status_code").is_none());
    let tries =
        world.get(&format!("/api/v2/webhooks/{id}/invocations/{}/attempts", rows[0]["id"].as_str().unwrap())).await;
    assert_eq!(tries.body["attempts"][0].get("request"), None, "nothing was sent");
    world.advance(6, 0).await;
    happen(&world, 1).await;
    happen(&world, 1).await;
    assert_eq!(states(&log(&world, &id, "").await)[..2], ["success", "success"]);
    assert_eq!(receiver.bodies().len(), 12);
}

#[tokio::test]
async fn what_was_held_back_may_come_later_as_the_same_invocation() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let id = subscribe(&world, &receiver.url, &["user.created"]).await;
    world.post("/_sim/faults", json!({"throttle_webhooks": 1.0, "retry_held_webhooks": 480})).await;
    happen(&world, 1).await;
    assert_eq!(states(&log(&world, &id, "").await), ["throttled"]);
    world.post("/_sim/faults", json!({})).await;
    world.advance(480, 0).await;
    let rows = log(&world, &id, "").await;
    assert_eq!((states(&rows), &rows[0]["id"]), (vec!["success".to_owned(), "throttled".into()], &rows[1]["id"]));
    world.act(json!({"do": "trip_breaker", "seconds": 60})).await;
    happen(&world, 1).await;
    assert_eq!(states(&log(&world, &id, "").await)[0], "circuit broken");
}

fn trial() -> Settings {
    let rates = serde_json::from_value(json!({"trial": true})).expect("rates");
    Settings { rates: Some(rates), ..Settings::default() }
}

#[tokio::test]
async fn a_trial_account_is_throttled_after_sixty_a_minute() {
    let world = World::start(trial()).await;
    let receiver = Receiver::start(&[]).await;
    let id = subscribe(&world, &receiver.url, &["user.created"]).await;
    happen(&world, 63).await;
    assert_eq!(receiver.bodies().len(), 60);
    assert_eq!(log(&world, &id, "?filter[status]=throttled").await.len(), 3);
    world.advance(60, 0).await;
    happen(&world, 1).await;
    assert_eq!(receiver.bodies().len(), 61);
}

#[tokio::test]
async fn ids_and_fractions_of_events_are_as_asked() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    subscribe(&world, &receiver.url, &["user.created"]).await;
    let table = [("uuid", 0, 36, 20), ("ulid", 3, 26, 24), ("ulid", 9, 26, 30)];
    for (place, (ids, digits, id_length, time_length)) in table.into_iter().enumerate() {
        let faults = json!({"webhook_event_ids": ids, "webhook_time_digits": digits});
        world.post("/_sim/faults", faults).await;
        happen(&world, 1).await;
        let body = &receiver.bodies()[place];
        let length = |key: &str| body[key].as_str().map(str::len);
        assert_eq!((length("id"), length("time")), (Some(id_length), Some(time_length)), "{ids} {digits}");
    }
}

#[tokio::test]
async fn triggers_send_what_their_admin_wrote() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let mut hooks = Vec::new();
    for (method, format) in [("POST", "json"), ("PUT", "form_encoded"), ("GET", "json")] {
        let hook = json!({"webhook": {"name": method, "endpoint": receiver.url, "http_method": method,
            "request_format": format, "subscriptions": ["conditional_ticket_events"]}});
        hooks.push(world.post("/api/v2/webhooks", hook).await.body["webhook"]["id"].clone());
    }
    let bodies = [r#"{"id": {{ticket.id}}, "title": "{{ticket.title}}"}"#, "s={{ticket.status}}", ""];
    for ((hook, body), on) in
        hooks.iter().zip(bodies).zip([json!(["create", "update"]), json!(["update"]), json!(["create"])])
    {
        world.act(json!({"do": "set_trigger", "webhook_id": hook, "body": body, "on": on})).await;
    }
    let user = world.act(json!({"do": "create_user", "name": "Ana"})).await["id"].clone();
    let ticket =
        world.act(json!({"do": "create_ticket", "requester_id": user, "subject": "A \"b\""})).await["id"].clone();
    world.post("/_sim/drain", json!({})).await;
    let mut got: Vec<_> = receiver.got.lock().expect("not poisoned").drain(..).map(|(_, body)| body).collect();
    got.sort();
    assert_eq!(got, [String::new(), format!(r#"{{"id": {ticket}, "title": "A \"b\""}}"#)]);
    world.act(json!({"do": "update_ticket", "ticket_id": ticket, "status": "pending"})).await;
    world.post("/_sim/drain", json!({})).await;
    let got: Vec<_> = receiver.got.lock().expect("not poisoned").drain(..).collect();
    assert!(got.iter().any(|(headers, body)| body == "s=Pending"
        && headers["content-type"] == "application/x-www-form-urlencoded; charset=utf-8"));
    assert_eq!(got.len(), 2);
}

#[tokio::test]
async fn events_of_every_type_can_be_had() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    subscribe(&world, &receiver.url, &["ticket.sla_policy_changed", "user.password_changed"]).await;
    let ticket = world.truth("tickets").await[0]["id"].clone();
    let user = world.truth("users").await[0]["id"].clone();
    let event = json!({"current": "b", "previous": "a"});
    world.act(json!({"do": "announce", "type": "ticket.sla_policy_changed", "id": ticket, "event": event})).await;
    world.act(json!({"do": "announce", "type": "user.password_changed", "id": user})).await;
    world.post("/_sim/drain", json!({})).await;
    let kinds: Vec<_> = receiver.bodies().iter().map(|body| body["type"].to_string()).collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
}

#[tokio::test]
async fn an_admin_changes_things_behind_their_owners_back() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let id = subscribe(&world, &receiver.url, &["user.created"]).await;
    let path = format!("/api/v2/webhooks/{id}");
    let before = world.get(&format!("{path}/signing_secret")).await.body;
    world.act(json!({"do": "rotate_webhook_secret"})).await;
    assert_ne!(world.get(&format!("{path}/signing_secret")).await.body, before);
    world.act(json!({"do": "edit_webhook", "changes": {"endpoint": "https://else.example/"}})).await;
    assert_eq!(world.get(&path).await.body["webhook"]["endpoint"], "https://else.example/");
    world.act(json!({"do": "deactivate_webhook"})).await;
    let now = world.get(&path).await.body["webhook"].clone();
    assert_eq!((&now["status"], &now["updated_by"]), (&json!("inactive"), &json!("-1")));
    let copy = world.act(json!({"do": "clone_webhook"})).await;
    assert_eq!(copy["name"], "cdp (copy)");
    world.act(json!({"do": "delete_webhook", "webhook_id": id})).await;
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(receiver.bodies().len(), 0);
}

/// Every text in quotes in the sources of the acts.
fn said_in_acts() -> std::collections::BTreeSet<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/acts");
    let mut said = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the acts") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a source");
        said.extend(text.split('"').map(str::to_owned));
    }
    said
}

#[test]
fn the_readme_names_every_type_that_no_act_causes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let types = std::fs::read_to_string(folder.join("src/world/event_types.rs")).expect("the types");
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("the README");
    let (_, never) = readme.split_once("caused by no act").expect("the list");
    let said = said_in_acts();
    let mut known = 0;
    for (name, prefix) in [("USER", "user"), ("ORGANIZATION", "organization"), ("TICKET", "ticket")] {
        let (_, rest) = types.split_once(&format!("const {name}: &str = \"")).expect("a list");
        let (list, _) = rest.split_once("\";").expect("its end");
        for kind in list.split_whitespace().filter(|word| *word != "\\") {
            let kind = format!("{prefix}.{kind}");
            known += 1;
            assert_ne!(said.contains(&kind), never.contains(&format!("`{kind}`")), "{kind}");
        }
    }
    assert!(known > 60, "{known}");
}
