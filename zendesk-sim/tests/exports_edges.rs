//! The edges of the incremental exports: their ends, their parameters, and what is loaded beside them.
mod common;

use common::World;
use serde_json::{Value, json};
use zendesk_sim::Settings;

async fn ending(end: &str) -> World {
    let exports = serde_json::from_value(json!({ "end": end })).expect("exports");
    World::start(Settings { exports: Some(exports), ..Settings::default() }).await
}

fn rows<'a>(body: &'a Value, stream: &str) -> &'a Vec<Value> {
    body[stream].as_array().unwrap_or_else(|| panic!("{stream} in {body}"))
}

#[tokio::test]
async fn the_end_of_a_cursor_export_in_its_shapes() {
    // Whether the last page with rows says so, and what the empty one after it says.
    for (end, last, empty) in [("nulls", true, false), ("repeat", true, true), ("late", false, false)] {
        let world = ending(end).await;
        let body = world.get("/api/v2/incremental/users/cursor?start_time=0").await.body;
        assert_eq!(body["end_of_stream"], last, "{end}");
        let cursor = body["after_cursor"].as_str().expect("a cursor").to_owned();
        let path = format!("/api/v2/incremental/users/cursor?cursor={}", cursor.replace('=', "%3D"));
        let body = world.get(&path).await.body;
        let expected = if empty { json!(cursor) } else { Value::Null };
        assert_eq!((&body["after_cursor"], &body["end_of_stream"]), (&expected, &json!(true)), "{end}");
        assert_eq!((body["after_url"].is_string(), rows(&body, "users").len()), (empty, 0), "{end}");
        assert_eq!((&body["before_url"], &body["before_cursor"]), (&Value::Null, &Value::Null), "{end}");
    }
}

#[tokio::test]
async fn the_end_of_a_time_export_in_its_shapes() {
    for end in ["nulls", "repeat", "unsaid"] {
        let world = ending(end).await;
        let body = world.get("/api/v2/incremental/tickets?start_time=0").await.body;
        let said = if end == "unsaid" { Value::Null } else { json!(true) };
        assert_eq!(body.get("end_of_stream").cloned().unwrap_or_default(), said, "{end}");
        let after = body["end_time"].as_i64().expect("a time");
        let next = format!("https://acme.zendesk.com/api/v2/incremental/tickets.json?start_time={after}");
        assert_eq!(body["next_page"], next, "{end}");
        world.advance(120, 0).await;
        let body = world.get(&format!("/api/v2/incremental/tickets?start_time={}", after + 60)).await.body;
        assert_eq!(rows(&body, "tickets").len(), 0, "{end}");
        let expected = if end == "repeat" { json!(after + 60) } else { Value::Null };
        assert_eq!((&body["end_time"], body["next_page"].is_string()), (&expected, end == "repeat"), "{end}");
    }
}

#[tokio::test]
async fn pages_by_time_never_split_a_second() {
    let world = World::start(Settings::default()).await;
    world.post("/_sim/bulk_users", json!({"count": 30})).await;
    world.advance(120, 0).await;
    let start = 1_772_366_400;
    let body = world.get(&format!("/api/v2/incremental/users?start_time={start}&per_page=1")).await.body;
    assert_eq!((rows(&body, "users").len(), &body["count"]), (30, &json!(30)));
    let body = world.get(&format!("/api/v2/incremental/users/cursor?start_time={start}&per_page=1")).await.body;
    assert_eq!(rows(&body, "users").len(), 1, "pages by cursor do");
}

#[tokio::test]
async fn a_start_must_be_a_minute_old_and_pages_have_a_size() {
    let world = World::start(Settings::default()).await;
    let now = 1_772_366_400;
    let check = async |path: &str, status: u16, error: &str| {
        let answer = world.get(&format!("/api/v2/incremental/{path}")).await;
        let told = answer.body["error"].as_str().unwrap_or_default();
        assert_eq!((answer.status, told), (status, error), "{path}");
    };
    for stream in ["users", "users/cursor", "tickets", "tickets/cursor", "organizations", "ticket_events"] {
        check(&format!("{stream}?start_time={}", now - 59), 400, "StartTimeTooRecent").await;
        check(&format!("{stream}?start_time={}", now - 60), 200, "").await;
        check(stream, 400, "InvalidValue").await;
    }
    check("organizations/cursor?start_time=0", 404, "InvalidEndpoint").await;
    check("tickets?start_time=0&support_type_scope=robots", 400, "InvalidValue").await;
    check("users/cursor?cursor=nonsense", 400, "InvalidValue").await;
    world.post("/_sim/bulk_users", json!({"count": 1_100})).await;
    for (size, expected) in [("5000", 1000), ("0", 1), ("7", 7)] {
        let body = world.get(&format!("/api/v2/incremental/users/cursor?start_time=0&per_page={size}")).await.body;
        assert_eq!(rows(&body, "users").len(), expected, "per_page={size}");
    }
}

#[tokio::test]
async fn samples_are_small() {
    let world = World::start(Settings { users: Some(80), organizations: Some(60), ..Settings::default() }).await;
    for stream in ["users", "tickets", "organizations", "ticket_events"] {
        let body = world.get(&format!("/api/v2/incremental/{stream}/sample?start_time=0")).await.body;
        let count = rows(&body, stream).len();
        assert!((1..=50).contains(&count), "{stream}: {count}");
        assert_eq!((&body["end_of_stream"], &body["next_page"]), (&json!(true), &Value::Null), "{stream}");
    }
}

#[tokio::test]
async fn deleted_tickets_may_be_left_out() {
    let world = World::start(Settings::default()).await;
    let id = world.truth("tickets").await[0]["id"].clone();
    world.act(json!({"do": "delete_ticket", "ticket_id": id})).await;
    world.advance(61, 0).await;
    for kind in ["tickets", "tickets/cursor"] {
        let all = world.get(&format!("/api/v2/incremental/{kind}?start_time=0")).await.body;
        let deleted = |body: &Value| rows(body, "tickets").iter().filter(|row| row["status"] == "deleted").count();
        assert!(deleted(&all) >= 1, "{kind}");
        let kept = world.get(&format!("/api/v2/incremental/{kind}?start_time=0&exclude_deleted=true")).await.body;
        assert_eq!(deleted(&kept), 0, "{kind}");
        assert_eq!(rows(&kept, "tickets").len(), rows(&all, "tickets").len() - deleted(&all), "{kind}");
        let machines = world.get(&format!("/api/v2/incremental/{kind}?start_time=0&support_type_scope=ai_agent")).await;
        assert_eq!(rows(&machines.body, "tickets").len(), 0, "{kind}");
    }
}

#[tokio::test]
async fn side_loads() {
    let world = World::start(Settings::default()).await;
    let path = "/api/v2/incremental/tickets/cursor?start_time=0&include=users,groups,organizations,metric_sets,comment_count,slas,last_audits";
    let body = world.get(path).await.body;
    let tickets = rows(&body, "tickets");
    let ids = |key: &str| rows(&body, key).iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert!(tickets.iter().all(|ticket| ids("users").contains(&ticket["requester_id"])));
    assert!(
        tickets.iter().filter(|t| !t["group_id"].is_null()).all(|ticket| ids("groups").contains(&ticket["group_id"]))
    );
    let within = tickets.iter().filter(|ticket| !ticket["organization_id"].is_null());
    assert!(within.clone().count() > 0 && within.clone().all(|t| ids("organizations").contains(&t["organization_id"])));
    assert!(tickets.iter().all(|ticket| ticket["metric_set"]["ticket_id"] == ticket["id"]), "one in each ticket");
    assert!(tickets.iter().all(|ticket| ticket["comment_count"].is_u64() && ticket["slas"].is_object()));
    assert_eq!(body.get("last_audits"), None, "not in exports");
    let next = body["after_url"].as_str().expect("an address");
    assert!(next.contains("&include=users%2Cgroups"), "{next}");

    let path = "/api/v2/incremental/users/cursor?start_time=0&include=identities,organizations,groups";
    let body = world.get(path).await.body;
    for key in ["identities", "organizations", "groups"] {
        assert!(!rows(&body, key).is_empty(), "{key}");
    }
    let body = world.get("/api/v2/incremental/ticket_events?start_time=0").await.body;
    let children = rows(&body, "ticket_events").iter().flat_map(|row| rows(row, "child_events"));
    assert!(children.clone().any(|child| child["comment_present"] == true));
    assert!(children.clone().all(|child| child["event_type"] != "Comment" || child.get("body").is_none()));
}

#[tokio::test]
async fn metric_events_tell_of_every_ticket() {
    let world = World::start(Settings::default()).await;
    let mut start = 0;
    let mut seen = Vec::new();
    loop {
        let path = format!("/api/v2/incremental/ticket_metric_events?start_time={start}&per_page=100");
        let body = world.get(&path).await.body;
        let page = rows(&body, "ticket_metric_events");
        assert_eq!(body["count"], page.len());
        seen.extend(page.iter().map(|row| (row["ticket_id"].as_i64(), row["id"].as_i64(), row.clone())));
        if body["end_of_stream"] == true {
            break;
        }
        start = body["end_time"].as_i64().expect("a time");
    }
    seen.sort_by_key(|(ticket, id, _)| (*ticket, *id));
    seen.dedup_by_key(|(ticket, id, _)| (*ticket, *id));
    for ticket in world.truth("tickets").await {
        let of = seen.iter().filter(|(id, ..)| *id == ticket["id"].as_i64()).map(|(.., row)| row);
        let count =
            |kind: &str| of.clone().filter(|row| row["type"] == kind && row["metric"] == "resolution_time").count();
        assert_eq!(count("measure"), 1, "{}", ticket["id"]);
        let over = matches!(ticket["status"].as_str(), Some("solved" | "closed"));
        assert_eq!(count("activate") - count("fulfill"), usize::from(!over), "{}: {}", ticket["id"], ticket["status"]);
    }
}
