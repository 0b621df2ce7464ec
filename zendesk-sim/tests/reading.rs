//! What is read: searches, small lists, side-loads, wrong requests, what each role may do, and how long it takes.
mod common;

use common::World;
use reqwest::Method;
use serde_json::{Value, json};
use zendesk_sim::Settings;

const NONE: Value = Value::Null;

#[tokio::test]
async fn searches_speak_the_query_language() {
    let world = World::start(Settings::default()).await;
    let given = json!({"ticket": {"subject": "Zebra crossing", "comment": {"body": "x"}, "priority": "high", "tags": ["zz"],
        "external_id": "Z-9", "requester": {"name": "Zed", "email": "zed@x.example"}}});
    let made = world.expect("POST /tickets", given, 201, &[]).await["ticket"].clone();
    let found =
        [("/results/0/id", made["id"].clone()), ("/results/0/result_type", json!("ticket")), ("/count", json!(1))];
    for query in [
        "zebra",
        "type:ticket tags:zz",
        "type:ticket status<open tags:zz",
        "subject:\"zebra crossing\"",
        "type:ticket requester:zed@x.example",
        "type:ticket external_id:z-9 priority>normal",
        "tags:zz -status:solved",
        "tags:zz created>=2026-03-01",
        "tags:zz tags:nothing",
        "zeb*",
    ] {
        let query: String = url_encoded(query);
        world.expect(&format!("GET /search?query={query}&sort_by=created_at"), NONE, 200, &found).await;
        world.expect(&format!("GET /search/count?query={query}"), NONE, 200, &[("/count", json!(1))]).await;
    }
    for query in ["tags:zz priority<high", "tags:zz -tags:zz", "tags:zz created<2026-03-01", "type:organization zebra"]
    {
        world.expect(&format!("GET /search?query={}", url_encoded(query)), NONE, 200, &[("/count", json!(0))]).await;
    }
    let user = [("/results/0/result_type", json!("user")), ("/results/0/email", json!("zed@x.example"))];
    world.expect("GET /search?query=type:user%20zed@x.example", NONE, 200, &user).await;
    world.expect("GET /search?query=x&page[size]=2", NONE, 400, &[("/error/title", json!("Invalid attribute"))]).await;
    world.expect("GET /search?query=type:user&page=11", NONE, 422, &[("/error", json!("invalid"))]).await;
    world.expect("GET /search/export?query=x", NONE, 400, &[]).await;
    let page = "GET /search/export?query=*&filter[type]=user&page[size]=5";
    let export = world.expect(page, NONE, 200, &[("/meta/has_more", json!(true))]).await;
    assert_eq!(export["results"].as_array().map(Vec::len), Some(5));
    let loaded = "GET /search?query=zebra&include=tickets(users)";
    world.expect(loaded, NONE, 200, &[("/users/1/email", json!("zed@x.example"))]).await;
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[tokio::test]
async fn small_lists_are_there() {
    let world = World::start(Settings::default()).await;
    for (path, place) in [
        ("brands", "/brands/0/id"),
        ("ticket_forms", "/ticket_forms/0/id"),
        ("custom_roles", "/custom_roles/0/id"),
        ("custom_statuses?default=true", "/custom_statuses/0/id"),
        ("locales", "/locales/0/id"),
        ("locales/current", "/locale/id"),
        ("locales/en-US", "/locale/id"),
        ("account/settings", "/settings/users/tagging"),
        ("tags", "/tags/0/count"),
        ("tags/count", "/count/value"),
        ("views", "/views/0/id"),
        ("ticket_metrics", "/ticket_metrics/0/id"),
        ("groups/assignable", "/groups/0/id"),
        ("group_memberships", "/group_memberships/0/id"),
        ("business_hours/schedules", "/schedules/0/id"),
        ("macros", "/macros"),
        ("suspended_tickets", "/suspended_tickets"),
        ("slas/policies", "/sla_policies"),
        ("sharing_agreements", "/sharing_agreements"),
        ("requests", "/requests"),
        ("tickets/recent", "/tickets"),
        ("tickets/count", "/count/value"),
        ("satisfaction_reasons", "/reasons/0/id"),
        ("satisfaction_ratings?score=received", "/satisfaction_ratings"),
        ("problems", "/tickets"),
        ("deleted_users/count", "/count/value"),
    ] {
        let body = world.expect(&format!("GET /{path}"), NONE, 200, &[]).await;
        assert!(body.pointer(place).is_some(), "{path}: {body}");
        let (bare, _) = path.split_once('?').unwrap_or((path, ""));
        world.expect(&format!("GET /{bare}.json"), NONE, 200, &[]).await;
    }
    for (many, one) in [
        ("brands", "brand"),
        ("ticket_forms", "ticket_form"),
        ("custom_roles", "custom_role"),
        ("custom_statuses", "custom_status"),
        ("views", "view"),
        ("groups", "group"),
        ("group_memberships", "group_membership"),
    ] {
        let id = world.expect(&format!("GET /{many}"), NONE, 200, &[]).await[many][0]["id"].clone();
        world.expect(&format!("GET /{many}/{id}"), NONE, 200, &[(&format!("/{one}/id"), id)]).await;
        world.expect(&format!("GET /{many}/1"), NONE, 404, &[("/error", json!("RecordNotFound"))]).await;
    }
    let view = world.expect("GET /views", NONE, 200, &[]).await["views"][1]["id"].clone();
    for part in ["tickets", "execute", "count"] {
        world.expect(&format!("GET /views/{view}/{part}"), NONE, 200, &[]).await;
    }
}

#[tokio::test]
async fn wrong_requests_get_what_zendesk_answers() {
    let world = World::start(Settings::default()).await;
    let no_endpoint = [("/error", json!("InvalidEndpoint"))];
    for asked in ["GET /nothing", "PATCH /users", "DELETE /users", "PUT /groups", "POST /views"] {
        world.expect(asked, NONE, 404, &no_endpoint).await;
    }
    world.expect("GET /users/7", NONE, 404, &[("/error", json!("RecordNotFound"))]).await;
    world.expect("GET /users/seven", NONE, 400, &[("/error/title", json!("Invalid attribute"))]).await;
    world.expect("GET /users?page[size]=x", NONE, 400, &[("/error/title", json!("Invalid attribute"))]).await;
    world.expect("GET /users?page=x", NONE, 400, &[]).await;
    world
        .expect("GET /users?page[size]=2&page[after]=x", NONE, 400, &[("/errors/0/code", json!("InvalidCursor"))])
        .await;
    // A body that is not said to be JSON is not read; one that is said to be must be.
    for (kind, body, status) in [
        ("text/plain", "{\"user\":{\"name\":\"A\"}}", 422),
        ("application/json", "{\"user\":", 400),
        ("application/json", "{\"user\":{\"name\":\"A\"}}", 201),
    ] {
        let request = world.client.post(format!("{}/api/v2/users", world.sim.url)).bearer_auth(&world.token);
        let answer = request.header("content-type", kind).body(body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{kind} {body}");
    }
}

#[tokio::test]
async fn roles_and_scopes_keep_people_out() {
    let world = World::start(Settings::default()).await;
    let customer = world.expect("GET /users?role=end-user", NONE, 200, &[]).await["users"][0]["id"].clone();
    let cases = [
        ("agent", "GET", "/users".to_owned(), NONE, 200),
        ("agent", "POST", "/users".to_owned(), json!({"user": {"name": "A"}}), 201),
        ("agent", "POST", "/users".to_owned(), json!({"user": {"name": "A", "role": "agent"}}), 403),
        ("agent", "DELETE", format!("/users/{customer}"), NONE, 403),
        ("agent", "POST", "/user_fields".to_owned(), json!({"user_field": {"title": "A", "key": "a"}}), 403),
        ("agent", "POST", "/groups".to_owned(), json!({"group": {"name": "A"}}), 403),
        ("agent", "POST", "/organizations".to_owned(), json!({"organization": {"name": "A"}}), 403),
        ("end-user", "GET", "/users".to_owned(), NONE, 403),
        ("end-user", "GET", "/users/me".to_owned(), NONE, 200),
        ("end-user", "GET", "/requests".to_owned(), NONE, 200),
        (
            "end-user",
            "POST",
            "/requests".to_owned(),
            json!({"request": {"subject": "A", "comment": {"body": "A"}}}),
            201,
        ),
        ("end-user", "GET", "/tickets".to_owned(), NONE, 403),
    ];
    for (role, method, path, body, status) in cases {
        let token = world.post("/_sim/tokens", json!({ "role": role })).await.body["token"].clone();
        let method: Method = method.parse().expect("a method");
        let body = if body.is_null() { None } else { Some(body) };
        let answer = world.send(method.clone(), &format!("/api/v2{path}"), body, token.as_str()).await;
        assert_eq!(answer.status, status, "{role} {method} {path}: {}", answer.body);
    }
    for (scope, path, status) in
        [("tickets:read", "/tickets", 200), ("tickets:read", "/users", 403), ("read", "/groups", 200)]
    {
        let token = world.post("/_sim/tokens", json!({ "scopes": [scope] })).await.body["token"].clone();
        let answer = world.send(Method::GET, &format!("/api/v2{path}"), None, token.as_str()).await;
        assert_eq!(answer.status, status, "{scope} {path}");
    }
}

#[tokio::test]
async fn requesters_rate_and_see_their_requests() {
    let world = World::start(Settings::default()).await;
    let token = world.post("/_sim/tokens", json!({"role": "end-user"})).await.body["token"].clone();
    let me = world.send(Method::GET, "/api/v2/users/me", None, token.as_str()).await.body["user"]["id"].clone();
    let given = json!({"ticket": {"comment": {"body": "x"}, "requester_id": me}});
    let id = world.expect("POST /tickets", given, 201, &[]).await["ticket"]["id"].clone();
    let path = format!("/api/v2/tickets/{id}/satisfaction_rating");
    let rating = json!({"satisfaction_rating": {"score": "good", "comment": "fine"}});
    let rate = async || world.send(Method::POST, &path, Some(rating.clone()), token.as_str()).await;
    assert_eq!(rate().await.status, 422);
    world.expect(&format!("POST /tickets/{id}/satisfaction_rating"), rating.clone(), 403, &[]).await;
    world.expect(&format!("PUT /tickets/{id}"), json!({"ticket": {"status": "solved"}}), 200, &[]).await;
    assert_eq!(rate().await.body["satisfaction_rating"]["score"], "good");
    for (score, is_in) in
        [("good", true), ("received_with_comment", true), ("bad", false), ("good_without_comment", false)]
    {
        let body = world.expect(&format!("GET /satisfaction_ratings?score={score}"), NONE, 200, &[]).await;
        let rows = body["satisfaction_ratings"].as_array().expect("rows");
        assert_eq!(rows.iter().any(|row| row["ticket_id"] == id), is_in, "{score}");
    }
    let shown = world.send(Method::GET, &format!("/api/v2/requests/{id}"), None, token.as_str()).await;
    assert_eq!(shown.body["request"]["requester_id"], me);
    let nothing = json!({"request": {}});
    let refused = world.send(Method::PUT, &format!("/api/v2/requests/{id}"), Some(nothing), token.as_str()).await;
    assert_eq!((refused.status, &refused.body["error"]), (422, &json!("CommentRequired")));
}

#[tokio::test]
async fn many_users_are_read_page_by_page() {
    let world = World::start(Settings { tickets: Some(0), ..Settings::default() }).await;
    assert_eq!(world.post("/_sim/bulk_users", json!({"count": 20_000})).await.status, 200);
    let mut path = "/api/v2/users?page%5Bsize%5D=100".to_owned();
    let mut rows = 0;
    loop {
        let body = world.get(&path).await.body;
        rows += body["users"].as_array().expect("rows").len();
        let Some(next) = body["links"]["next"].as_str() else { break };
        path = next.split_once(".com").expect("an address").1.to_owned();
    }
    assert_eq!(world.get("/api/v2/users/count").await.body["count"]["value"], rows);
}
