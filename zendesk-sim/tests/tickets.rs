//! Tickets over HTTP: lists, making and changing, comments, tags, merging, and their ends.
mod common;

use common::World;
use serde_json::{Value, json};
use zendesk_sim::Settings;

const NONE: Value = Value::Null;

async fn ticket(world: &World, given: Value) -> Value {
    world.expect("POST /tickets", json!({ "ticket": given }), 201, &[]).await["ticket"].clone()
}

fn saying(words: &str) -> Value {
    json!({"comment": {"body": words}})
}

#[tokio::test]
async fn lists_have_orders_of_their_own_for_each_way_of_paging() {
    let world = World::start(Settings::default()).await;
    let at = |body: &Value, key: &str| -> Vec<Value> {
        body["tickets"].as_array().expect("rows").iter().map(|row| row[key].clone()).collect()
    };
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    let texts =
        |all: Vec<Value>| all.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    for path in ["/tickets?sort_by=created_at", "/tickets?sort_by=updated_at", "/tickets?page[size]=99&sort=updated_at"]
    {
        let key = if path.contains("created") { "created_at" } else { "updated_at" };
        let found = texts(at(&world.expect(&format!("GET {path}"), NONE, 200, &[]).await, key));
        assert_eq!(found, sorted(found.clone()), "{path}");
    }
    let wrong = [("/errors/0/code", json!("InvalidPaginationParameter"))];
    world.expect("GET /tickets?page[size]=2&sort=created_at", NONE, 400, &wrong).await;
    world
        .expect("GET /tickets?page=1001&per_page=10", NONE, 400, &[("/errors/0/code", json!("InvalidPaginationDepth"))])
        .await;
    // Forwards and backwards over the same pages.
    let first = world.expect("GET /tickets?page[size]=3", NONE, 200, &[("/meta/has_more", json!(true))]).await;
    let after = first["meta"]["after_cursor"].as_str().expect("a cursor").replace('=', "%3D").replace('+', "%2B");
    let second = world.expect(&format!("GET /tickets?page[size]=3&page[after]={after}"), NONE, 200, &[]).await;
    let before = second["meta"]["before_cursor"].as_str().expect("a cursor").replace('=', "%3D").replace('+', "%2B");
    let back = world.expect(&format!("GET /tickets?page[size]=3&page[before]={before}"), NONE, 200, &[]).await;
    assert_eq!(at(&back, "id"), at(&first, "id"));
    assert_eq!(back["links"]["prev"], NONE);
    world.expect("GET /tickets/abc", NONE, 400, &[("/error/title", json!("Invalid attribute"))]).await;
}

#[tokio::test]
async fn a_ticket_is_made_in_many_ways() {
    let world = World::start(Settings::default()).await;
    let blank = [("/details/base/0/error", json!("BlankValue"))];
    world.expect("POST /tickets", json!({"ticket": {"subject": "x"}}), 422, &blank).await;
    world.expect("POST /tickets", json!({"ticket": 7}), 400, &[("/error/title", json!("Invalid attribute"))]).await;
    let made = ticket(&world, json!({"description": "Hello", "tags": ["a"]})).await;
    assert_eq!((&made["description"], &made["status"]), (&json!("Hello"), &json!("new")));
    let nameless = json!({"ticket": {"comment": {"body": "x"}, "requester": {"email": "new@x.example"}}});
    world.expect("POST /tickets", nameless, 422, &[("/error", json!("RecordInvalid"))]).await;
    let given = json!({"comment": {"body": "x"}, "requester": {"email": "new@x.example", "name": "New"}});
    let made = ticket(&world, given).await;
    let user = world.expect(&format!("GET /users/{}", made["requester_id"]), NONE, 200, &[]).await;
    assert_eq!(user["user"]["email"], "new@x.example");
    for (key, value) in [("status", "odd"), ("priority", "odd"), ("type", "odd")] {
        let given = json!({"ticket": {"comment": {"body": "x"}, key: value}});
        world.expect("POST /tickets", given, 422, &[(&format!("/details/{key}/0/error"), json!("InvalidValue"))]).await;
    }
    for key in ["assignee_id", "group_id", "organization_id", "requester_id"] {
        world.expect("POST /tickets", json!({"ticket": {"comment": {"body": "x"}, key: 1}}), 422, &[]).await;
    }
    let warned = world.post("/api/v2/tickets", json!({"ticket": {"comment": {"body": "x"}, "url": "u"}})).await;
    assert!(warned.headers["x-zendesk-api-warn"].to_str().expect("text").contains("\"ticket.url\""));
}

#[tokio::test]
async fn keys_make_posts_safe_to_repeat() {
    let world = World::start(Settings::default()).await;
    let send = async |key: &str, words: &str| {
        let request = world.client.post(format!("{}/api/v2/tickets", world.sim.url)).bearer_auth(&world.token);
        let answer = request.header("idempotency-key", key).json(&json!({"ticket": saying(words)})).send().await;
        let answer = answer.expect("an answer");
        let lookup = answer.headers().get("x-idempotency-lookup").map(|v| v.to_str().expect("text").to_owned());
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        (status, lookup, body)
    };
    let (status, lookup, first) = send("k", "Hello").await;
    assert_eq!((status, lookup.as_deref()), (201, Some("miss")));
    let (status, lookup, again) = send("k", "Hello").await;
    assert_eq!((status, lookup.as_deref(), &again["ticket"]["id"]), (201, Some("hit"), &first["ticket"]["id"]));
    let (status, _, other) = send("k", "Bye").await;
    assert_eq!((status, &other["error"]), (400, &json!("IdempotentRequestError")));
    world.advance(7_201, 0).await;
    let (status, lookup, _) = send("k", "Bye").await;
    assert_eq!((status, lookup.as_deref()), (201, Some("miss")));
    assert_eq!(send(&"k".repeat(256), "Hello").await.0, 400);
}

#[tokio::test]
async fn updates_are_safe_when_asked_and_closed_tickets_refuse() {
    let world = World::start(Settings::default()).await;
    let made = ticket(&world, saying("Hello")).await;
    let path = format!("/tickets/{}", made["id"]);
    let stamp = &made["updated_at"];
    world.advance(5, 0).await;
    let update = |more: Value| {
        let mut given = json!({"priority": "high", "updated_stamp": stamp});
        more.as_object().into_iter().flatten().for_each(|(key, value)| given[key] = value.clone());
        json!({ "ticket": given })
    };
    world.expect(&format!("PUT {path}"), update(json!({"safe_update": true})), 200, &[]).await;
    for safe in [true, false] {
        world.expect(&format!("PUT {path}"), update(json!({"safe_update": safe, "type": "task"})), 409, &[]).await;
    }
    world
        .expect(&format!("PUT {path}"), update(json!({"type": "task"})), 200, &[("/ticket/type", json!("task"))])
        .await;
    let tags = json!({"tags": ["a"], "safe_update": true, "updated_stamp": stamp});
    world.expect(&format!("PUT {path}/tags"), tags, 409, &[]).await;
    world.expect(&format!("PUT {path}"), json!({"ticket": {"status": "closed"}}), 200, &[]).await;
    let closed = [("/details/status/0/description", json!("Status: closed prevents ticket update"))];
    world.expect(&format!("PUT {path}"), json!({"ticket": saying("more")}), 422, &closed).await;
    let follow = json!({"comment": {"body": "Again"}, "via_followup_source_id": made["id"]});
    let next = ticket(&world, follow.clone()).await;
    world.expect(&format!("GET {path}"), NONE, 200, &[("/ticket/followup_ids/0", next["id"].clone())]).await;
    let mut wrong = follow;
    wrong["via_followup_source_id"] = next["id"].clone();
    world.expect("POST /tickets", json!({ "ticket": wrong }), 422, &[]).await;
}

#[tokio::test]
async fn tags_are_set_added_and_removed() {
    let world = World::start(Settings::default()).await;
    let made = ticket(&world, saying("Hello")).await;
    let path = format!("/tickets/{}/tags", made["id"]);
    let steps = [
        ("POST", 201, json!(["a", "b"]), json!(["a", "b"])),
        ("PUT", 200, json!(["c"]), json!(["a", "b", "c"])),
        ("DELETE", 204, json!(["b"]), NONE),
        ("GET", 200, NONE, json!(["a", "c"])),
    ];
    for (method, status, given, expected) in steps {
        let body = if given.is_null() { NONE } else { json!({ "tags": given }) };
        let told = [("/tags", expected)];
        let told = if status == 204 { &told[..0] } else { &told[..] };
        world.expect(&format!("{method} {path}"), body, status, told).await;
    }
}

#[tokio::test]
async fn comments_are_listed_hidden_and_redacted() {
    let world = World::start(Settings::default()).await;
    let made = ticket(&world, json!({"comment": {"body": "one secret", "public": false}})).await;
    let path = format!("/tickets/{}", made["id"]);
    world.advance(5, 0).await;
    // What is not said to be public is as the ticket began.
    world.expect(&format!("PUT {path}"), json!({"ticket": saying("two")}), 200, &[]).await;
    let list = world.expect(&format!("GET {path}/comments"), NONE, 200, &[("/count", json!(2))]).await;
    assert_eq!(list["comments"][1]["public"], false);
    let two = list["comments"][1]["id"].clone();
    world
        .expect(&format!("GET {path}/comments?sort=-created_at&page[size]=1"), NONE, 200, &[("/comments/0/id", two)])
        .await;
    let one = list["comments"][0]["id"].clone();
    let redact = format!("PUT {path}/comments/{one}/redact");
    world.expect(&redact, json!({"text": "secret"}), 200, &[("/comment/body", json!("one ▇▇▇▇▇▇"))]).await;
    world.expect(&redact, json!({"text": "nowhere"}), 422, &[]).await;
    let with = format!("GET {path}/comments?include=users");
    world.expect(&with, NONE, 200, &[("/users/0/id", made["submitter_id"].clone())]).await;
    world.expect(&format!("GET {path}/audits"), NONE, 200, &[("/count", json!(3))]).await;
    world.expect(&format!("GET {path}/comments/count"), NONE, 200, &[("/count/value", json!(2))]).await;
    let public = ticket(&world, saying("open")).await["id"].clone();
    let list = world.expect(&format!("GET /tickets/{public}/comments"), NONE, 200, &[]).await;
    let comment = list["comments"][0]["id"].clone();
    world.expect(&format!("PUT /tickets/{public}/comments/{comment}/make_private"), NONE, 200, &[]).await;
    let hidden = [("/comments/0/public", json!(false))];
    world.expect(&format!("GET /tickets/{public}/comments"), NONE, 200, &hidden).await;
}

#[tokio::test]
async fn files_are_sent_ahead_of_their_comment() {
    let world = World::start(Settings::default()).await;
    let url = format!("{}/api/v2/uploads.json?filename=a.png", world.sim.url);
    let request = world.client.post(url).bearer_auth(&world.token).header("content-type", "image/png");
    let answer = request.body(vec![0xff_u8; 99]).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 201);
    let upload: Value = answer.json().await.expect("JSON");
    let given = json!({"comment": {"body": "see", "uploads": [upload["upload"]["token"]]}});
    let made = ticket(&world, given.clone()).await;
    let list = world.expect(&format!("GET /tickets/{}/comments", made["id"]), NONE, 200, &[]).await;
    let file = &list["comments"][0]["attachments"][0];
    assert_eq!((&file["file_name"], &file["size"]), (&json!("a.png"), &json!(99)));
    let path = format!("GET /attachments/{}", file["id"]);
    world.expect(&path, NONE, 200, &[("/attachment/content_type", json!("image/png"))]).await;
    world.expect("POST /tickets", json!({ "ticket": given }), 422, &[]).await;
}

#[tokio::test]
async fn tickets_are_deleted_restored_and_deleted_for_ever() {
    let world = World::start(Settings::default()).await;
    let id = ticket(&world, saying("Hello")).await["id"].clone();
    let path = format!("/tickets/{id}");
    world.expect(&format!("DELETE {path}"), NONE, 204, &[]).await;
    world.expect(&format!("GET {path}"), NONE, 404, &[("/error", json!("RecordNotFound"))]).await;
    let newest = "GET /deleted_tickets?sort_by=deleted_at&sort_order=desc";
    let places = [("/deleted_tickets/0/id", id.clone()), ("/deleted_tickets/0/previous_state", json!("new"))];
    world.expect(newest, NONE, 200, &places).await;
    world.expect(&format!("PUT /deleted_tickets/{id}/restore"), NONE, 200, &[]).await;
    world.expect(&format!("GET {path}"), NONE, 200, &[]).await;
    world.expect(&format!("PUT {path}/mark_as_spam"), NONE, 200, &[]).await;
    let job = world.expect(&format!("DELETE /deleted_tickets/{id}"), NONE, 200, &[]).await;
    assert_eq!(job["job_status"]["status"], "queued");
    world.advance(60, 0).await;
    world.expect(&format!("PUT /deleted_tickets/{id}/restore"), NONE, 404, &[]).await;
}

#[tokio::test]
async fn merging_is_a_job_that_closes_the_others() {
    let world = World::start(Settings::default()).await;
    let (one, two) = (ticket(&world, saying("one")).await, ticket(&world, saying("two")).await);
    let merge = json!({"ids": [two["id"]], "target_comment": "Joined", "target_comment_is_public": true});
    let path = format!("/tickets/{}", one["id"]);
    world.expect(&format!("POST {path}/merge"), merge, 200, &[("/job_status/status", json!("queued"))]).await;
    // Asked for, it is not done yet.
    world.expect(&format!("GET /tickets/{}", two["id"]), NONE, 200, &[("/ticket/status", json!("new"))]).await;
    world.advance(5, 0).await;
    world.expect(&format!("GET /tickets/{}", two["id"]), NONE, 200, &[("/ticket/status", json!("closed"))]).await;
    let said = [("/comments/1/body", json!("Joined")), ("/comments/1/public", json!(true))];
    world.expect(&format!("GET {path}/comments"), NONE, 200, &said).await;
}

#[tokio::test]
async fn a_merge_is_of_all_or_of_none_and_its_job_says_so() {
    let world = World::start(Settings::default()).await;
    let (one, two, three) = (
        ticket(&world, saying("one")).await,
        ticket(&world, saying("two")).await,
        ticket(&world, saying("three")).await,
    );
    world.act(json!({"do": "close_ticket", "ticket_id": three["id"]})).await;
    let merge = json!({"ids": [two["id"], three["id"]]});
    let made = world.expect(&format!("POST /tickets/{}/merge", one["id"]), merge, 200, &[]).await;
    world.advance(5, 0).await;
    let path = format!("GET /job_statuses/{}", made["job_status"]["id"].as_str().expect("an id"));
    let failed = json!("merge");
    let places = [("/job_status/results/0/action", failed.clone()), ("/job_status/results/1/action", failed)];
    world.expect(&path, NONE, 200, &places).await;
    world.expect(&format!("GET /tickets/{}", two["id"]), NONE, 200, &[("/ticket/status", json!("new"))]).await;
}

#[tokio::test]
async fn many_are_marked_as_spam_by_a_job() {
    let world = World::start(Settings::default()).await;
    let person = world.act(json!({"do": "create_user", "name": "Spam", "email": "spam@x.example"})).await["id"].clone();
    let made = ticket(&world, json!({"comment": {"body": "Buy"}, "requester_id": person})).await;
    world.expect(&format!("PUT /tickets/mark_many_as_spam?ids={}", made["id"]), NONE, 200, &[]).await;
    world.expect(&format!("GET /tickets/{}", made["id"]), NONE, 200, &[]).await;
    world.advance(5, 0).await;
    world.expect(&format!("GET /tickets/{}", made["id"]), NONE, 404, &[]).await;
    world.expect(&format!("GET /users/{person}"), NONE, 200, &[("/user/suspended", json!(true))]).await;
}

#[tokio::test]
async fn metadata_is_kept_with_its_audit() {
    let world = World::start(Settings::default()).await;
    let given = json!({"ticket": {"comment": {"body": "Hi"}, "metadata": {"order": 7}}});
    let places = [("/audit/metadata/custom", json!({"order": 7}))];
    let made = world.expect("POST /tickets", given, 201, &places).await;
    let path = format!("PUT /tickets/{}", made["ticket"]["id"]);
    let given = |value: Value| json!({"ticket": {"priority": "low", "metadata": value}});
    let places = [("/audit/metadata/custom", json!({"step": "two"}))];
    world.expect(&path, given(json!({"step": "two"})), 200, &places).await;
    // What changes nothing leaves no audit, and nothing is kept.
    world.expect(&path, given(json!({"step": "three"})), 200, &places).await;
    let places = [("/audits/0/metadata/custom", json!({"order": 7})), ("/count", json!(2))];
    world.expect(&format!("GET /tickets/{}/audits", made["ticket"]["id"]), NONE, 200, &places).await;
}

#[tokio::test]
async fn a_ticket_takes_five_thousand_comments() {
    let world = World::start(Settings { users: Some(5), tickets: Some(0), ..Settings::default() }).await;
    let me = world.expect("GET /users/me", NONE, 200, &[]).await["user"]["id"].clone();
    let comments = (0..4_999).map(|n| json!({"author_id": me, "value": n.to_string()})).collect::<Vec<_>>();
    let old = json!({"ticket": {"subject": "Long", "requester_id": me, "comments": comments}});
    let made = world.expect("POST /imports/tickets", old, 201, &[]).await;
    let path = format!("PUT /tickets/{}", made["ticket"]["id"]);
    let counted = format!("GET /tickets/{}/comments/count", made["ticket"]["id"]);
    world.expect(&counted, NONE, 200, &[("/count/value", json!(4_999))]).await;
    let say = || json!({"ticket": {"comment": {"body": "One more"}}});
    world.expect(&path, say(), 200, &[]).await;
    world.expect(&path, say(), 422, &[("/details/comment/0/error", json!("LimitExceeded"))]).await;
    // Anything else can still be changed.
    world.expect(&path, json!({"ticket": {"priority": "low"}}), 200, &[]).await;
}

#[tokio::test]
async fn old_tickets_are_brought_in_with_their_times() {
    let world = World::start(Settings::default()).await;
    let given = json!({"subject": "Old", "status": "closed", "created_at": "2020-01-02T03:04:05Z",
        "solved_at": "2020-01-05T00:00:00Z", "comments": [
        {"value": "first", "created_at": "2020-01-02T03:04:05Z"}, {"value": "second", "created_at": "2020-01-03T00:00:00Z"}]});
    let places = [("/ticket/created_at", json!("2020-01-02T03:04:05Z")), ("/ticket/status", json!("closed"))];
    let made = world.expect("POST /imports/tickets", json!({ "ticket": given }), 201, &places).await;
    let path = format!("/tickets/{}", made["ticket"]["id"]);
    let times = [("/comments/1/created_at", json!("2020-01-03T00:00:00Z")), ("/comments/1/body", json!("second"))];
    world.expect(&format!("GET {path}/comments"), NONE, 200, &times).await;
    let solved = [("/ticket_metric/ticket_id", made["ticket"]["id"].clone())];
    world.expect(&format!("GET {path}/metrics"), NONE, 200, &solved).await;
}
