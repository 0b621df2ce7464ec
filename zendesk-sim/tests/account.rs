//! The rest of the account over HTTP: signing in, records, bulk jobs, limits and faults.
mod common;

use common::World;
use reqwest::Method;
use serde_json::{Value, json};
use zendesk_sim::Settings;

#[tokio::test]
async fn who_asks_matters() {
    let world = World::start(Settings::default()).await;
    let me = world.send(Method::GET, "/api/v2/users/me.json", None, None).await;
    assert_eq!((me.status, &me.body["user"]["id"]), (200, &Value::Null));
    let wrong = world.send(Method::GET, "/api/v2/users/me", None, Some("nonsense")).await;
    assert_eq!((wrong.status, &wrong.body["error"]), (401, &json!("invalid_token")));
    let agent = world.post("/_sim/tokens", json!({"role": "agent"})).await.body["token"].clone();
    let refused = world.send(Method::GET, "/api/v2/incremental/users?start_time=0", None, agent.as_str()).await;
    assert_eq!(refused.status, 403);
    let narrow = world.post("/_sim/tokens", json!({"scopes": ["tickets:read"]})).await.body["token"].clone();
    let refused = world.send(Method::GET, "/api/v2/users", None, narrow.as_str()).await;
    assert_eq!(refused.status, 403);
    world.post("/_sim/tokens", json!({"revoke": "all"})).await;
    assert_eq!(world.get("/api/v2/users/me").await.status, 401);
}

#[tokio::test]
async fn client_credentials_end_with_the_simulated_clock() {
    let world = World::start(Settings::default()).await;
    let grant = json!({"grant_type": "client_credentials", "client_id": world.sim.about["client_id"],
        "client_secret": world.sim.about["client_secret"], "scope": "read", "expires_in": 300});
    let token = world.post("/oauth/tokens", grant).await.body["access_token"].as_str().expect("a token").to_owned();
    let current = world.send(Method::GET, "/api/v2/oauth/tokens/current", None, Some(&token)).await;
    assert_eq!(current.body["token"]["scopes"], json!(["read"]));
    world.advance(301, 0).await;
    let late = world.send(Method::GET, "/api/v2/oauth/tokens/current", None, Some(&token)).await;
    assert_eq!(late.status, 401);
}

#[tokio::test]
async fn users_are_unique_merge_and_lose_everything() {
    let world = World::start(Settings::default()).await;
    let user = |email: &str| json!({"user": {"name": "Ana", "email": email, "external_id": email}});
    let first = world.post("/api/v2/users", user("a@x.example")).await;
    assert_eq!(first.status, 201);
    let again = world.post("/api/v2/users", user("A@x.example")).await;
    assert_eq!((again.status, &again.body["details"]["email"][0]["error"]), (422, &json!("DuplicateValue")));
    let second = world.post("/api/v2/users", user("b@x.example")).await.body["user"]["id"].clone();
    let first = first.body["user"]["id"].clone();
    let ticket = world.act(json!({"do": "create_ticket", "requester_id": first, "subject": "Hi"})).await["id"].clone();
    let path = format!("/api/v2/users/{first}/merge");
    assert_eq!(world.put(&path, json!({"user": {"id": second}})).await.status, 200);
    let moved = world.get(&format!("/api/v2/tickets/{ticket}")).await.body;
    assert_eq!(moved["ticket"]["requester_id"], second);
    let loser = world.get(&format!("/_sim/state/users?id={first}")).await.body;
    assert_eq!((&loser["active"], &loser["merged_into"]), (&json!(false), &second));
    let identities = world.get(&format!("/api/v2/users/{second}/identities")).await.body;
    assert_eq!(identities["count"], 2);
    let many = world.get(&format!("/api/v2/users/show_many?ids={first},{second}")).await.body;
    assert_eq!(many["count"], 1);
}

#[tokio::test]
async fn closed_tickets_refuse_and_scrubbed_ones_are_shells() {
    let world = World::start(Settings::default()).await;
    let ticket = json!({"ticket": {"subject": "Hi", "comment": {"body": "Hello"}}});
    let id = world.post("/api/v2/tickets", ticket).await.body["ticket"]["id"].clone();
    let path = format!("/api/v2/tickets/{id}");
    world.act(json!({"do": "close_ticket", "ticket_id": id})).await;
    let refused = world.put(&path, json!({"ticket": {"priority": "high"}})).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.body["details"]["status"][0]["description"], "Status: closed prevents ticket update");
    world.act(json!({"do": "permanently_delete_ticket", "ticket_id": id})).await;
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(world.get(&format!("{path}/comments")).await.status, 404);
    world.advance(61, 0).await;
    let (rows, _) = world.export("tickets", 1000).await;
    let row = rows.iter().find(|row| row["id"] == id).expect("still exported");
    let shell = (&row["subject"], &row["description"], &row["status"]);
    assert_eq!(shell, (&json!("SCRUBBED"), &json!("X"), &json!("deleted")));
}

#[tokio::test]
async fn bulk_jobs_are_polled_to_their_end() {
    let world = World::start(Settings::default()).await;
    let users: Vec<_> = (0..3).map(|n| json!({"name": format!("U{n}"), "external_id": format!("x{n}")})).collect();
    let job = world.post("/api/v2/users/create_or_update_many", json!({"users": users})).await.body;
    assert_eq!(job["job_status"]["status"], "queued");
    let path = format!("/api/v2/job_statuses/{}", job["job_status"]["id"].as_str().expect("an id"));
    let mut last = Value::Null;
    for _ in 0..3 {
        last = world.get(&path).await.body["job_status"].clone();
    }
    assert_eq!((&last["status"], last["results"].as_array().map(Vec::len)), (&json!("completed"), Some(3)));
    let many: Vec<_> = (0..101).map(|_| json!({"name": "x"})).collect();
    let refused = world.post("/api/v2/users/create_many", json!({"users": many})).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("TooManyValues")));
}

#[tokio::test]
async fn the_eleventh_export_of_a_minute_is_refused() {
    let world = World::start(Settings { limits: Some("on".into()), ..Settings::default() }).await;
    let path = "/api/v2/incremental/users/cursor?start_time=0&per_page=1";
    for left in (0..10).rev() {
        let answer = world.get(path).await;
        let header = answer.headers["zendesk-ratelimit-incremental-exports"].to_str().expect("text").to_owned();
        assert_eq!(header, format!("total=10; remaining={left}; resets=60"));
    }
    let refused = world.get(path).await;
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().ok()), (429, Some("60")));
    world.advance(60, 0).await;
    assert_eq!(world.get(path).await.status, 200);
    let requests = world.get("/_sim/requests").await.body;
    assert_eq!(requests["by_endpoint"]["GET /api/v2/incremental/users/cursor"], 12);
    assert_eq!(requests["throttled"], 1);
}

#[tokio::test]
async fn faults_strike_where_they_are_told_to() {
    let world = World::start(Settings::default()).await;
    let (rows, _) = world.export("users", 1000).await;
    let id = rows[0]["id"].as_i64().expect("an id");
    let faults = json!({"missing_paths": ["/brands"], "html_paths": ["/groups"], "gateway_timeout_over_per_page": 250,
        "poison_records": {"users": [id]}, "refuse_cursor": true});
    assert_eq!(world.post("/_sim/faults", faults).await.status, 200);
    assert_eq!(world.get("/api/v2/brands").await.body["error"], "InvalidEndpoint");
    assert_eq!(world.get("/api/v2/groups").await.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(world.get("/api/v2/incremental/users/cursor?start_time=0").await.status, 504);
    assert_eq!(world.get("/api/v2/incremental/users/cursor?cursor=abc&per_page=10").await.status, 400);
    let page = world.get("/api/v2/incremental/users/cursor?start_time=0&per_page=10").await.body;
    assert_ne!(page["users"][0], rows[0]);
    assert_eq!(page["users"][1], rows[1]);
    world.post("/_sim/faults", json!({})).await;
    assert_eq!(world.get("/api/v2/brands").await.status, 200);
}

#[tokio::test]
async fn an_account_has_ratings_or_surveys() {
    for (satisfaction, ratings, surveys) in [("classic", 200, 404), ("survey", 403, 200)] {
        let world = World::start(Settings { satisfaction: Some(satisfaction.into()), ..Settings::default() }).await;
        assert_eq!(world.get("/api/v2/satisfaction_ratings?page%5Bsize%5D=5").await.status, ratings);
        assert_eq!(world.get("/api/v2/guide/survey_responses?page%5Bsize%5D=5").await.status, surveys);
    }
}
