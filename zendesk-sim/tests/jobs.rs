//! Bulk jobs over HTTP: queued, working, ended, forgotten, and how they go wrong.
mod common;

use common::{Answer, World};
use reqwest::Method;
use serde_json::{Value, json};
use zendesk_sim::Settings;

/// A world whose jobs are queued for a second and work a second on each row, moved by the clock alone.
async fn world(jobs: Value) -> World {
    let mut all = json!({"queued_ms": 1_000, "row_ms": 1_000, "poll_ms": 0});
    for (key, value) in jobs.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    World::start(Settings { jobs: Some(serde_json::from_value(all).expect("jobs")), ..Settings::default() }).await
}

fn users(count: usize) -> Value {
    let user = |n: usize| json!({"name": format!("User {n}"), "external_id": format!("x{n}")});
    json!({"users": (0..count).map(user).collect::<Vec<_>>()})
}

async fn send(world: &World, method: Method, path: &str, body: Value) -> Answer {
    world.send(method, path, Some(body), Some(&world.token)).await
}

async fn look(world: &World, job: &Value) -> Value {
    let id = job["job_status"]["id"].as_str().expect("an id");
    world.get(&format!("/api/v2/job_statuses/{id}")).await.body["job_status"].clone()
}

#[tokio::test]
async fn a_job_is_queued_works_ends_and_is_forgotten() {
    let world = world(json!({})).await;
    let answer = world.post("/api/v2/users/create_many", users(4)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["zendesk-ratelimit-inflight-jobs"], "total=30; remaining=29; resets=60");
    let id = answer.body["job_status"]["id"].as_str().expect("an id").to_owned();
    let queued = json!({"id": id, "url": format!("https://acme.zendesk.com/api/v2/job_statuses/{id}.json"),
        "total": 4, "progress": null, "status": "queued", "message": null, "results": null});
    assert_eq!(answer.body["job_status"], queued);
    assert_eq!(look(&world, &answer.body).await, queued, "time stands still");
    let there = async || world.get("/api/v2/users/show_many?external_ids=x0,x1,x2,x3").await.body["count"].clone();
    assert_eq!(there().await, 0, "nothing happened at the request");

    world.advance(3, 0).await;
    let job = look(&world, &answer.body).await;
    assert_eq!((&job["status"], &job["progress"]), (&json!("working"), &json!(2)));
    assert_eq!((&job["message"], &job["results"]), (&json!("Creating User #2"), &Value::Null));
    assert_eq!(there().await, 2, "a job's rows take effect one after the other");

    world.advance(2, 0).await;
    let job = look(&world, &answer.body).await;
    assert_eq!((&job["status"], &job["progress"]), (&json!("completed"), &json!(4)));
    assert_eq!(job["message"], "Completed at 2026-03-01 12:00:05 +0000");
    let rows = job["results"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["status"] == "Created" && row.as_object().map(|o| o.len()) == Some(2)));
    let many = world.get(&format!("/api/v2/job_statuses/show_many?ids={id},nonsense")).await.body;
    assert_eq!(many["job_statuses"], json!([job]));

    world.advance(3_600, 0).await;
    let path = format!("/api/v2/job_statuses/{id}");
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(world.get("/api/v2/job_statuses").await.body["job_statuses"], json!([]));
}

#[tokio::test]
async fn a_client_that_only_looks_sees_the_end_on_a_standing_clock() {
    let world = World::start(Settings::default()).await;
    let job = world.post("/api/v2/users/create_many", users(3)).await.body;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(look(&world, &job).await["status"].clone());
    }
    assert_eq!(seen, ["working", "completed", "completed"]);
}

#[tokio::test]
async fn thirty_at_once() {
    let world = world(json!({})).await;
    for left in (0..30).rev() {
        let answer = world.post("/api/v2/users/create_many", users(1)).await;
        let told = format!("total=30; remaining={left}; resets=60");
        assert_eq!(
            (answer.status, answer.headers["zendesk-ratelimit-inflight-jobs"].to_str().ok()),
            (200, Some(&*told))
        );
    }
    let id = world.truth("users").await[0]["id"].clone();
    let change = json!({"user": {"notes": "x"}});
    let path = format!("/api/v2/users/update_many?ids={id}");
    let refused = world.put(&path, change.clone()).await;
    assert_eq!((refused.status, &refused.body["error"]), (429, &json!("TooManyJobs")));
    assert_eq!(
        refused.body["description"],
        "Too many UserBulkUpdateJobV2 jobs are currently queued or running. Try again later."
    );
    assert_eq!(refused.body["current_job_ids"].as_array().map(Vec::len), Some(30));
    world.advance(2, 0).await;
    assert_eq!(world.put(&path, change).await.status, 200, "they have ended");
}

#[tokio::test]
async fn a_hundred_rows_a_call() {
    let world = world(json!({})).await;
    let check = async |method: Method, path: &str, body: Value, error: Value| {
        let refused = send(&world, method, path, body).await;
        assert_eq!((refused.status, refused.body), (400, error), "{path}");
    };
    let many: Vec<_> = (1..=101).map(|n| n.to_string()).collect();
    let many = many.join(",");
    let words = |text: &str| json!({"error": "TooManyValues", "description": text});
    let users = users(101);
    check(Method::POST, "/api/v2/users/create_many", users.clone(), words("Maximum 100 users may be created per call"))
        .await;
    check(Method::PUT, "/api/v2/users/update_many", users, words("Maximum 100 users may be updated per call")).await;
    let tickets = json!({"tickets": vec![json!({"subject": "x"}); 101]});
    let told = words("Maximum 100 tickets may be created per call");
    check(Method::POST, "/api/v2/tickets/create_many", tickets, told).await;
    let told = json!({"error": "TooManyValues", "description": "Parameter  cannot specify more than 100 values", "max_count": 100});
    for path in ["users/destroy_many", "organizations/destroy_many", "tickets/destroy_many"] {
        check(Method::DELETE, &format!("/api/v2/{path}?ids={many}"), json!({}), told.clone()).await;
    }
}

const MADE: &[&str] = &["id", "status"];
const DONE: &[&str] = &["action", "id", "status", "success"];
const FAILED: &[&str] = &["action", "details", "error", "id", "success"];
const NOT_MADE: &[&str] = &["action", "details", "error", "index", "success"];

/// Sends a bulk call, lets its job end, and compares the keys of the rows it told.
async fn check(world: &World, method: Method, path: &str, body: Value, expected: &[&[&str]]) -> Vec<Value> {
    let job = send(world, method, path, body).await.body;
    world.advance(10, 0).await;
    let ended = look(world, &job).await;
    assert_eq!(ended["status"], "completed", "{path}");
    let rows = ended["results"].as_array().expect("rows").clone();
    let keys = |row: &Value| row.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(rows.iter().map(keys).collect::<Vec<_>>(), expected, "{path}: {rows:?}");
    rows
}

#[tokio::test]
async fn rows_of_users_as_they_were_recorded() {
    let world = world(json!({})).await;
    let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
    check(&world, post.clone(), "/api/v2/users/create_many", users(2), &[MADE, MADE]).await;

    let unnamed = json!({"users": [{"name": "New", "external_id": "x1"}, {"name": "New", "external_id": "n1"}]});
    let rows = check(&world, post.clone(), "/api/v2/users/create_many", unnamed, &[NOT_MADE, MADE]).await;
    assert_eq!((&rows[0]["index"], &rows[0]["action"]), (&json!(0), &json!("create")));

    let upserts = json!({"users": [{"name": "A", "external_id": "X0"}, {"name": "B", "email": "b@x.example"}]});
    let rows = check(
        &world,
        post.clone(),
        "/api/v2/users/create_or_update_many",
        upserts,
        &[&["action", "external_id", "id", "status", "success"], &["action", "email", "id", "status", "success"]],
    )
    .await;
    assert_eq!((&rows[0]["action"], &rows[1]["action"]), (&json!("update"), &json!("create")));
    let (first, second) = (rows[0]["id"].clone(), rows[1]["id"].clone());

    let each =
        json!({"users": [{"id": second, "notes": "n"}, {"external_id": "x1", "notes": "m"}, {"id": 5, "notes": "n"}]});
    let rows = check(&world, put.clone(), "/api/v2/users/update_many", each, &[DONE, DONE, FAILED]).await;
    assert_eq!((&rows[2]["id"], &rows[2]["error"]), (&json!(5), &json!("RecordNotFound")));
    let path = format!("/api/v2/users/update_many?ids={first},{second}");
    check(&world, put.clone(), &path, json!({"user": {"details": "same"}}), &[DONE, DONE]).await;
    let path = "/api/v2/users/update_many?external_ids=x0,x1";
    check(&world, put.clone(), path, json!({"user": {"details": "other"}}), &[DONE, DONE]).await;
    let user = world.get(&format!("/api/v2/users/{first}")).await.body["user"].clone();
    assert_eq!((&user["details"], &user["external_id"]), (&json!("other"), &json!("X0")));
    check(&world, delete.clone(), &format!("/api/v2/users/destroy_many?ids={first}"), json!({}), &[DONE]).await;
    check(&world, delete.clone(), "/api/v2/users/destroy_many?external_ids=x1", json!({}), &[DONE]).await;
}

#[tokio::test]
async fn rows_of_the_others_as_they_were_recorded() {
    let world = world(json!({})).await;
    let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
    let named = json!({"organizations": [{"name": "One", "external_id": "o1"}, {"name": "Two"}]});
    let rows = check(&world, post.clone(), "/api/v2/organizations/create_many", named, &[MADE, MADE]).await;
    let path = "/api/v2/organizations/update_many?external_ids=o1";
    check(&world, put.clone(), path, json!({"organization": {"notes": "n"}}), &[DONE]).await;
    let user = &world.truth("users").await[0]["id"];
    let joins = json!({"organization_memberships": [
        {"user_id": user, "organization_id": rows[1]["id"]}, {"user_id": user, "organization_id": 1}]});
    let joined =
        check(&world, post.clone(), "/api/v2/organization_memberships/create_many", joins, &[MADE, NOT_MADE]).await;
    let path = format!("/api/v2/organization_memberships/destroy_many?ids={}", joined[0]["id"]);
    check(&world, delete.clone(), &path, json!({}), &[DONE]).await;
    check(&world, delete.clone(), &path, json!({}), &[FAILED]).await;
    let path = format!("/api/v2/organizations/destroy_many?ids={},{}", rows[0]["id"], rows[1]["id"]);
    check(&world, delete.clone(), &path, json!({}), &[DONE, DONE]).await;

    let ticket = |n: usize| json!({"subject": n.to_string(), "comment": {"body": "b"}});
    let tickets = json!({"tickets": (0..4).map(ticket).collect::<Vec<_>>()});
    let placed: &[&str] = &["account_id", "id", "index"];
    let rows = check(&world, post, "/api/v2/tickets/create_many", tickets, &[placed, placed, placed, placed]).await;
    let order: Vec<_> = rows.iter().map(|row| row["index"].as_i64().expect("an index")).collect();
    assert_eq!(order, [0, 3, 2, 1], "not in the order of the request");
    let id = &rows[0]["id"];
    let path = format!("/api/v2/tickets/update_many?ids={id}");
    check(&world, put, &path, json!({"ticket": {"additional_tags": ["a"]}}), &[DONE]).await;
    check(&world, delete, &format!("/api/v2/tickets/destroy_many?ids={id}"), json!({}), &[DONE]).await;
}

#[tokio::test]
async fn erasing_tickets_has_one_outcome_for_all() {
    let world = world(json!({})).await;
    let ids: Vec<_> = world.truth("tickets").await.iter().take(2).map(|ticket| ticket["id"].to_string()).collect();
    let ids = ids.join(",");
    let path = format!("/api/v2/deleted_tickets/destroy_many?ids={ids}");
    assert_eq!(send(&world, Method::DELETE, &path, json!({})).await.status, 404, "they are not deleted yet");
    send(&world, Method::DELETE, &format!("/api/v2/tickets/destroy_many?ids={ids}"), json!({})).await;
    world.advance(10, 0).await;
    let job = send(&world, Method::DELETE, &path, json!({})).await.body;
    let subjects = async || {
        let rows = world.export("tickets", 1000).await.0;
        rows.iter().filter(|row| row["subject"] == "SCRUBBED").count()
    };
    let before = subjects().await;
    world.advance(10, 0).await;
    world.advance(61, 0).await;
    let ended = look(&world, &job).await;
    assert_eq!((&ended["total"], &ended["results"]), (&Value::Null, &json!({"success": true})));
    assert_eq!(subjects().await, before + 2);
}

#[tokio::test]
async fn a_bulk_update_of_tickets_is_safe() {
    let world = world(json!({})).await;
    let ticket = json!({"ticket": {"subject": "Hi", "comment": {"body": "Hello"}}});
    let ticket = world.post("/api/v2/tickets", ticket).await.body["ticket"].clone();
    let row = json!({"id": ticket["id"], "updated_stamp": ticket["updated_at"], "priority": "high"});
    let job = world.put("/api/v2/tickets/update_many", json!({"tickets": [row]})).await.body;
    world.advance(1, 0).await;
    world.put(&format!("/api/v2/tickets/{}", ticket["id"]), json!({"ticket": {"priority": "low"}})).await;
    world.advance(5, 0).await;
    let ended = look(&world, &job).await;
    assert_eq!(ended["results"][0]["error"], "UpdateConflict", "changed between the request and the work: {ended}");
}

#[tokio::test]
async fn rows_out_of_order_and_with_an_index() {
    let world = world(json!({"shuffled": true, "indexed": true, "typed": true})).await;
    let job = world.post("/api/v2/users/create_many", users(4)).await.body;
    assert_eq!(job["job_status"]["job_type"], "Bulk Create User");
    world.advance(10, 0).await;
    let rows = look(&world, &job).await["results"].clone();
    let order: Vec<_> = rows.as_array().expect("rows").iter().map(|row| row["index"].clone()).collect();
    assert_eq!(order, [0, 3, 2, 1]);
}

#[tokio::test]
async fn jobs_that_do_not_end_well() {
    for (fault, status) in [("job_stuck_share", "working"), ("job_fail_share", "failed"), ("job_kill_share", "killed")]
    {
        let world = world(json!({})).await;
        world.post("/_sim/faults", json!({fault: 1.0})).await;
        let job = world.post("/api/v2/users/create_many", users(4)).await.body;
        world.advance(86_400, 0).await;
        let path = format!("/api/v2/job_statuses/{}", job["job_status"]["id"].as_str().expect("an id"));
        if status == "working" {
            assert_eq!(look(&world, &job).await["status"], status);
            continue;
        }
        // The look that comes a day late is the first thing that happens: it ends now.
        let answer = world.get(&path).await;
        assert_eq!(
            (&answer.body["job_status"]["status"], &answer.body["job_status"]["results"]),
            (&json!(status), &Value::Null)
        );
        let there = world.get("/api/v2/users/show_many?external_ids=x0,x1,x2,x3").await.body;
        assert_eq!(there["count"], 2, "half of the rows were done");
    }
}

#[tokio::test]
async fn an_account_may_lack_bulk_import() {
    let world = world(json!({"bulk_import": false})).await;
    for verb in ["create_many", "create_or_update_many"] {
        assert_eq!(world.post(&format!("/api/v2/users/{verb}"), users(1)).await.status, 403);
    }
    assert_eq!(world.put("/api/v2/users/update_many", users(1)).await.status, 200);
}

#[tokio::test]
async fn jobs_are_listed_by_cursor() {
    let world = world(json!({})).await;
    for _ in 0..5 {
        world.post("/api/v2/users/create_many", users(1)).await;
        world.advance(1, 0).await;
    }
    let mut path = "/api/v2/job_statuses?page%5Bsize%5D=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let body = world.get(&path).await.body;
        seen.extend(body["job_statuses"].as_array().expect("rows").iter().map(|job| job["id"].clone()));
        let Some(next) = body["links"]["next"].as_str() else { break };
        path = next.strip_prefix("https://acme.zendesk.com").expect("of the account").to_owned();
    }
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn jobs_work_while_nobody_asks() {
    let settings = Settings { clock: Some("scaled:100".into()), ..Settings::default() };
    let world = World::start(settings).await;
    let receiver = common::Receiver::start(&[]).await;
    let hook = json!({"webhook": {"name": "w", "status": "active", "endpoint": receiver.url, "http_method": "POST",
        "request_format": "json", "subscriptions": ["zen:event-type:user.created"]}});
    assert_eq!(world.post("/api/v2/webhooks", hook).await.status, 201);
    world.post("/api/v2/users/create_many", users(1)).await;
    let told = async {
        while receiver.bodies().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.expect("the job works");
}
