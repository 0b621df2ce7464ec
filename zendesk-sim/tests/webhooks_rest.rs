//! The webhooks API over HTTP: what is taken, what is refused, what is told.
mod common;

use common::{Receiver, World};
use reqwest::Method;
use serde_json::{Value, json};
use zendesk_sim::Settings;

fn hook(changes: Value) -> Value {
    let mut hook = json!({"name": "cdp", "endpoint": "https://cdp.example/zendesk", "http_method": "POST",
        "request_format": "json", "status": "active", "subscriptions": ["zen:event-type:user.created"]});
    for (key, value) in changes.as_object().expect("changes") {
        hook[key] = value.clone();
    }
    json!({ "webhook": hook })
}

async fn made(world: &World, changes: Value) -> Value {
    let made = world.post("/api/v2/webhooks", hook(changes)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["webhook"].clone()
}

async fn call(world: &World, method: Method, path: &str, body: Option<Value>) -> common::Answer {
    world.send(method, path, body, Some(&world.token)).await
}

#[tokio::test]
async fn what_would_be_wrong_is_refused_with_every_reason() {
    let world = World::start(Settings::default()).await;
    let headers: Value = (0..6).map(|n| (format!("X-{n}"), Value::from("a"))).collect();
    let table = [
        (json!({"name": ""}), "name is required"),
        (json!({"name": 5}), "name must be a text"),
        (json!({"endpoint": "ftp://x"}), "endpoint is not a valid URL"),
        (json!({"status": "on"}), "status is not one of"),
        (json!({"http_method": "GET"}), "event subscriptions need"),
        (json!({"request_format": "xml"}), "event subscriptions need"),
        (json!({"http_method": "HEAD", "subscriptions": ["conditional_ticket_events"]}), "http_method is not one of"),
        (json!({"subscriptions": ["zen:event-type:user.created", "conditional_ticket_events"]}), "cannot mix"),
        (json!({"subscriptions": ["zen:event-type:user.*"]}), "no event type"),
        (json!({"subscriptions": "all"}), "subscriptions must be a list"),
        (json!({"authentication": {"type": "bearer_token", "data": {}}}), "authentication is not complete"),
        (json!({"custom_headers": headers}), "5 custom_headers at most"),
        (json!({"custom_headers": {"X-Zendesk-Webhook-Id": "a"}}), "cannot begin with X-Zendesk-"),
    ];
    for (changes, expected) in table {
        let refused = world.post("/api/v2/webhooks", hook(changes.clone())).await;
        let error = &refused.body["errors"][0];
        assert_eq!((refused.status, &error["status"]), (400, &json!("400")), "{changes}");
        assert!(error["detail"].as_str().is_some_and(|words| words.contains(expected)), "{changes}: {}", refused.body);
    }
    let two = world.post("/api/v2/webhooks", hook(json!({"name": "", "endpoint": "x"}))).await;
    assert_eq!(two.body["errors"].as_array().map(Vec::len), Some(2));
    let free =
        json!({"http_method": "DELETE", "request_format": "xml", "subscriptions": ["conditional_ticket_events"]});
    made(&world, free).await;
}

#[tokio::test]
async fn secrets_are_taken_and_never_told_and_times_are_exact_once() {
    let world = World::start(Settings::default()).await;
    let table = [
        (json!({"type": "basic_auth", "data": {"username": "jo", "password": "hush"}}), json!({"username": "jo"})),
        (json!({"type": "bearer_token", "data": {"token": "hush"}}), Value::Null),
        (json!({"type": "api_key", "data": {"name": "X-Key", "value": "hush"}}), json!({"name": "X-Key"})),
    ];
    for (authentication, shown) in table {
        let chosen = json!({"algorithm": "SHA256", "secret": "chosen"});
        let answer = made(&world, json!({"authentication": authentication, "signing_secret": chosen})).await;
        assert_eq!(answer["authentication"]["data"], shown);
        assert!(!answer.to_string().contains("hush") && !answer.to_string().contains("chosen"));
        let path = format!("/api/v2/webhooks/{}", answer["id"].as_str().expect("an id"));
        let secret = world.get(&format!("{path}/signing_secret")).await.body;
        assert_eq!(secret, json!({"signing_secret": {"secret": "chosen", "algorithm": "SHA256"}}));
        let exact = answer["created_at"].as_str().expect("a time");
        assert!(exact.len() > 22 && exact.starts_with("2026-03-01T12:00:00."), "{exact}");
        let later = world.get(&path).await.body["webhook"].clone();
        assert_eq!(later["created_at"].as_str().map(str::len), Some(20));
        assert_eq!((&later["updated_at"], &later["created_by"]), (&Value::Null, &answer["created_by"]));
    }
}

#[tokio::test]
async fn put_replaces_patch_changes_and_the_kind_stays() {
    let world = World::start(Settings::default()).await;
    let id = made(&world, json!({"description": "old", "custom_headers": {"X-A": "1"}})).await["id"].clone();
    let path = format!("/api/v2/webhooks/{}", id.as_str().expect("an id"));
    let patched = call(&world, Method::PATCH, &path, Some(json!({"webhook": {"name": "new"}}))).await;
    assert_eq!((patched.status, patched.body), (204, json!("")));
    let now = world.get(&path).await.body["webhook"].clone();
    assert_eq!((&now["name"], &now["description"]), (&json!("new"), &json!("old")));
    assert!(now["updated_at"].is_string() && now["updated_by"].is_string());
    let put = call(&world, Method::PUT, &path, Some(hook(json!({})))).await;
    assert_eq!(put.status, 204);
    let now = world.get(&path).await.body["webhook"].clone();
    assert_eq!((&now["name"], &now["description"]), (&json!("cdp"), &Value::Null));
    assert_eq!(now["custom_headers"], Value::Null);
    let half = call(&world, Method::PUT, &path, Some(json!({"webhook": {"name": "x"}}))).await;
    assert_eq!((half.status, half.body["errors"].as_array().map(Vec::len)), (400, Some(4)));
    let other = json!({"webhook": {"subscriptions": ["conditional_ticket_events"]}});
    assert_eq!(call(&world, Method::PATCH, &path, Some(other)).await.status, 400, "the kind of a webhook stays");
    assert_eq!(call(&world, Method::DELETE, &path, None).await.status, 204);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/signing_secret")),
        (Method::POST, format!("{path}/signing_secret")),
        (Method::GET, format!("{path}/invocations")),
    ] {
        let gone = call(&world, method.clone(), &path, Some(json!({"webhook": {}}))).await;
        assert_eq!((gone.status, &gone.body["errors"][0]["status"]), (404, &json!("404")), "{method} {path}");
    }
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged_without_links_at_the_end() {
    let world = World::start(Settings::default()).await;
    for name in ["b one", "a two", "c three"] {
        made(&world, json!({ "name": name })).await;
        world.advance(1, 0).await;
    }
    made(&world, json!({"name": "off", "status": "inactive"})).await;
    let names = |body: &Value| -> Vec<String> {
        let rows = body["webhooks"].as_array().expect("rows").iter();
        rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
    };
    let table = [
        ("", vec!["b one", "a two", "c three", "off"]),
        ("?filter[status]=inactive", vec!["off"]),
        ("?filter[name_contains]=E&sort=name", vec!["b one", "c three"]),
        ("?sort=-name", vec!["off", "c three", "b one", "a two"]),
    ];
    for (query, expected) in table {
        let body = world.get(&format!("/api/v2/webhooks{query}")).await.body;
        assert_eq!((names(&body), &body["links"]), (expected.iter().map(ToString::to_string).collect(), &Value::Null));
        assert_eq!(body["meta"], json!({"has_more": false}));
    }
    let first = world.get("/api/v2/webhooks?page[size]=3").await;
    assert_eq!((names(&first.body).len(), &first.body["meta"]["has_more"]), (3, &json!(true)));
    let next = first.body["links"]["next"].as_str().expect("a link");
    assert!(first.headers["link"].to_str().expect("text").contains("rel=\"next\""));
    let (_, query) = next.split_once(":443").expect("the port is told");
    let last = world.get(query).await;
    assert_eq!((names(&last.body), &last.body["meta"]["has_more"]), (vec!["off".to_owned()], &json!(false)));
    let (_, query) = last.body["links"]["prev"].as_str().expect("a link").split_once(":443").expect("a port");
    assert_eq!(names(&world.get(query).await.body), names(&first.body));
    for query in ["?page[size]=0", "?page[size]=101", "?page[after]=%25", "?filter[status]=odd"] {
        assert_eq!(world.get(&format!("/api/v2/webhooks{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn copies_are_other_webhooks() {
    let world = World::start(Settings::default()).await;
    let first = made(&world, json!({})).await;
    let id = first["id"].as_str().expect("an id");
    let copy = world.post(&format!("/api/v2/webhooks?clone_webhook_id={id}"), Value::Null).await;
    assert_eq!((copy.status, &copy.body["webhook"]["name"]), (201, &json!("cdp (copy)")));
    let secret = |id: &Value| format!("/api/v2/webhooks/{}/signing_secret", id.as_str().expect("an id"));
    let secrets = [world.get(&secret(&first["id"])).await, world.get(&secret(&copy.body["webhook"]["id"])).await];
    assert_ne!(secrets[0].body, secrets[1].body);
    assert_eq!(world.post("/api/v2/webhooks?clone_webhook_id=nobody", Value::Null).await.status, 404);
}

#[tokio::test]
async fn tests_go_out_before_and_after_there_is_a_webhook() {
    let world = World::start(Settings::default()).await;
    let receiver = Receiver::start(&[]).await;
    let before = json!({"request": {"endpoint": receiver.url, "http_method": "PUT", "request_format": "json",
        "payload": "{\"a\": 1}", "authentication": {"type": "bearer_token", "data": {"token": "t"}}}});
    let answer = world.post("/api/v2/webhooks/test", before).await;
    assert_eq!((answer.status, &answer.body["response"]["status_code"]), (200, &json!(200)));
    let got = receiver.got.lock().expect("not poisoned").clone();
    assert_eq!((got[0].1.as_str(), got[0].0["authorization"].to_str().expect("text")), ("{\"a\": 1}", "Bearer t"));
    let id = made(&world, json!({"endpoint": receiver.url})).await["id"].clone();
    let path = format!("/api/v2/webhooks/test?webhook_id={}", id.as_str().expect("an id"));
    let elsewhere = json!({"request": {"endpoint": "http://127.0.0.1:9/"}});
    let answer = world.post(&path, elsewhere).await;
    assert_eq!((answer.status, &answer.body["response"]["status_code"]), (200, &json!(502)));
    assert_eq!(world.post("/api/v2/webhooks/test?webhook_id=nobody", json!({"request": {}})).await.status, 404);
    assert_eq!(world.post("/api/v2/webhooks/test", json!({"request": {}})).await.status, 400);
}

fn trial() -> Settings {
    let rates = serde_json::from_value(json!({"trial": true})).expect("rates");
    Settings { rates: Some(rates), ..Settings::default() }
}

#[tokio::test]
async fn a_trial_account_has_ten_webhooks() {
    let world = World::start(trial()).await;
    for n in 0..10 {
        made(&world, json!({"name": format!("w{n}")})).await;
    }
    assert_eq!(world.post("/api/v2/webhooks", hook(json!({}))).await.status, 400);
}

#[tokio::test]
async fn webhooks_are_for_admins() {
    let world = World::start(Settings::default()).await;
    let agent = world.post("/_sim/tokens", json!({"role": "agent", "scopes": ["read", "write"]})).await.body;
    let reader = world.post("/_sim/tokens", json!({"role": "admin", "scopes": ["webhooks:read"]})).await.body;
    let table = [(&agent, "GET", 403), (&reader, "GET", 200), (&reader, "POST", 403)];
    for (token, method, expected) in table {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let token = token["token"].as_str().expect("a token");
        let body = (method == Method::POST).then(|| hook(json!({})));
        assert_eq!(world.send(method, "/api/v2/webhooks", body, Some(token)).await.status, expected);
    }
}
