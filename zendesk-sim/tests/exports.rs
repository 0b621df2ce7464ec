//! The incremental exports over HTTP: complete, in order, held back, and agreeing with the truth.
mod common;

use common::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use zendesk_sim::Settings;

fn ids(rows: &[Value]) -> BTreeSet<i64> {
    rows.iter().map(|row| row["id"].as_i64().expect("an id")).collect()
}

#[tokio::test]
async fn a_cursor_export_gives_every_user_once_and_goes_on_from_its_end() {
    let world = World::start(Settings::default()).await;
    let (rows, cursor) = world.export("users", 7).await;
    assert_eq!(ids(&rows).len(), rows.len(), "no row comes twice");
    assert_eq!(ids(&rows), ids(&world.truth("users").await));
    let made = world.act(json!({"do": "create_user", "name": "Ana", "email": "ana@example.com"})).await;
    let again = world.get(&format!("/api/v2/incremental/users/cursor.json?cursor={cursor}")).await.body;
    assert_eq!(again["users"][0]["id"], made["id"]);
    assert!(again["after_url"].as_str().expect("a link").starts_with("https://acme.zendesk.com/"));
    world.act(json!({"do": "delete_user", "user_id": made["id"]})).await;
    let (rows, _) = world.export("users", 1000).await;
    let row = rows.last().expect("a row");
    assert_eq!(
        (&row["active"], &row["permanently_deleted"], &row["email"]),
        (&json!(false), &json!(false), &json!(null))
    );
}

#[tokio::test]
async fn tickets_are_held_back_for_a_minute() {
    let world = World::start(Settings::default()).await;
    let (_, cursor) = world.export("tickets", 1000).await;
    let user = world.act(json!({"do": "create_user", "name": "Ana"})).await["id"].clone();
    let ticket =
        world.act(json!({"do": "create_ticket", "requester_id": user, "subject": "Hi", "body": "Hello"})).await;
    let next = format!("/api/v2/incremental/tickets/cursor.json?cursor={cursor}");
    assert_eq!(world.get(&next).await.body["tickets"], json!([]));
    world.advance(59, 0).await;
    assert_eq!(world.get(&next).await.body["tickets"], json!([]));
    world.advance(1, 0).await;
    assert_eq!(world.get(&next).await.body["tickets"][0]["id"], ticket["id"]);
    let too_recent = "/api/v2/incremental/tickets/cursor.json?start_time=1772366460";
    let refused = world.get(too_recent).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("StartTimeTooRecent")));
}

#[tokio::test]
async fn time_exports_reach_the_end_and_repeat_only_what_is_whole() {
    let world = World::start(Settings { organizations: Some(40), ..Settings::default() }).await;
    for stream in ["users", "organizations", "tickets"] {
        let mut start = 0;
        let mut seen = BTreeSet::new();
        loop {
            let path = format!("/api/v2/incremental/{stream}.json?start_time={start}&per_page=5");
            let body = world.get(&path).await.body;
            seen.extend(ids(body[stream].as_array().expect("rows")));
            if body["end_of_stream"] == true {
                break;
            }
            let end = body["end_time"].as_i64().expect("an end");
            assert!(end > start, "{stream} moves on");
            start = end;
        }
        assert_eq!(seen, ids(&world.truth(stream).await), "{stream}");
    }
}

/// Replays ticket events into the fields they tell of.
fn replay(rows: &[Value]) -> BTreeMap<i64, BTreeMap<String, Value>> {
    let mut tickets: BTreeMap<i64, BTreeMap<String, Value>> = BTreeMap::new();
    for row in rows {
        let ticket = tickets.entry(row["ticket_id"].as_i64().expect("an id")).or_default();
        // What a trigger wrote to people has a subject too, its own.
        let children = row["child_events"].as_array().expect("children").iter();
        for child in children.filter(|child| child["event_type"] != "Notification") {
            for name in ["status", "priority", "tags", "requester_id", "assignee_id", "organization_id", "subject"] {
                if let Some(value) = child.get(name) {
                    ticket.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    tickets
}

#[tokio::test]
async fn ticket_events_agree_with_the_tickets() {
    let world = World::start(Settings { tickets: Some(150), ..Settings::default() }).await;
    world.advance(7_200, 150).await;
    world.advance(61, 0).await;
    let body = world.get("/api/v2/incremental/ticket_events.json?start_time=0&include=comment_events").await.body;
    let mut rows = body["ticket_events"].as_array().expect("rows").clone();
    let end = &body["end_time"];
    if body["end_of_stream"] == false {
        let path = format!("/api/v2/incremental/ticket_events.json?start_time={end}&include=comment_events");
        let rest = world.get(&path).await.body;
        assert_eq!(rest["end_of_stream"], true, "two pages are enough here");
        let known = ids(&rows);
        let fresh = rest["ticket_events"].as_array().expect("rows").iter();
        rows.extend(fresh.filter(|row| !known.contains(&row["id"].as_i64().unwrap_or(0))).cloned());
    }
    let replayed = replay(&rows);
    let truth = world.truth("tickets").await;
    assert!(truth.len() > 150, "life went on");
    for ticket in &truth {
        let id = ticket["id"].as_i64().expect("an id");
        let told = replayed.get(&id).unwrap_or_else(|| panic!("ticket {id} has events"));
        assert_eq!(told["status"], ticket["status"], "ticket {id}");
        assert_eq!(told["requester_id"], ticket["requester_id"], "ticket {id}");
        assert_eq!(told.get("assignee_id").unwrap_or(&Value::Null), &ticket["assignee_id"], "ticket {id}");
        if ticket["scrubbed"] == false {
            assert_eq!(told["subject"], ticket["subject"], "ticket {id}");
            assert_eq!(told.get("priority").unwrap_or(&Value::Null), &ticket["priority"], "ticket {id}");
            assert_eq!(told.get("tags").unwrap_or(&json!([])), &ticket["tags"], "ticket {id}");
            let organization = told.get("organization_id").unwrap_or(&Value::Null);
            assert_eq!(organization, &ticket["organization_id"], "ticket {id}");
        }
    }
}

#[tokio::test]
async fn the_same_seed_makes_the_same_account_and_life() {
    let mut told = Vec::new();
    for _ in 0..2 {
        let world = World::start(Settings::default()).await;
        world.advance(3_600, 200).await;
        told.push((world.truth("users").await, world.truth("tickets").await, world.truth("ratings").await));
    }
    assert!(told[0] == told[1]);
}
