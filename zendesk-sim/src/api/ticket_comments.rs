//! `/tickets/{id}/comments` and `/comment_redactions`.
use super::ask;
use crate::acts::Refusal;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::audit::Place;
use crate::world::ticket::Ticket;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Answers `/tickets/{id}/comments...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, id: i64, rest: &[&str]) -> Option<Reply> {
    let (by, now) = (caller.by(), caller.now);
    let reply = match (req.method.as_str(), rest) {
        ("GET", []) => list(world, req, id),
        ("GET", ["count"]) => ask::count(caller, world.tickets[&id].comments().count()),
        ("PUT", [comment, "redact"]) => {
            let words = req.body["text"].as_str().unwrap_or_default();
            let comment = comment.parse().ok()?;
            let done = world.redact_comment(by, now, id, comment, words);
            done.map_or_else(Reply::from, |()| one(world, id, comment))
        }
        ("PUT", [comment, "make_private"]) => {
            let done = world.make_private(by, now, id, comment.parse().ok()?);
            done.map_or_else(Reply::from, |()| Reply::ok(&""))
        }
        ("PUT", [comment, "attachments", file, "redact"]) => {
            let (comment, file) = (comment.parse().ok()?, file.parse().ok()?);
            let done = world.redact_attachment(by, now, id, comment, file);
            done.map_or_else(Reply::from, |()| attachment(world, id, file))
        }
        _ => return None,
    };
    Some(reply)
}

fn list(world: &World, req: &Req, id: i64) -> Reply {
    let ticket = &world.tickets[&id];
    let mut ids: Vec<_> = ticket.comments().map(|(_, id, _)| id).collect();
    if req.q("sort") == Some("-created_at") || req.q("sort_order") == Some("desc") {
        ids.reverse();
    }
    let found: HashMap<_, _> = ticket.comments().map(|(audit, id, comment)| (id, (audit, comment))).collect();
    let list = List { name: "comments", host: &world.host, ids };
    list.page(req, |id| {
        let Some((audit, comment)) = found.get(&id) else { return Value::Null };
        json!(comment.view(id, audit, &world.host, Place::List))
    })
}

/// A comment as lists write it.
pub fn write(world: &World, ticket: &Ticket, comment: i64) -> Value {
    let found = ticket.comments().find(|(_, id, _)| *id == comment);
    found.map_or(Value::Null, |(audit, id, comment)| json!(comment.view(id, audit, &world.host, Place::List)))
}

fn one(world: &World, id: i64, comment: i64) -> Reply {
    Reply::ok(&json!({"comment": write(world, &world.tickets[&id], comment)}))
}

fn attachment(world: &World, id: i64, file: i64) -> Reply {
    let mut files = world.tickets[&id].comments().flat_map(|(_, _, comment)| &comment.attachments);
    match files.find(|attachment| attachment.id == file) {
        Some(attachment) => Reply::ok(&json!({"attachment": attachment.view(&world.host)})),
        None => Reply::not_found(),
    }
}

/// Answers `/comment_redactions/{id}`: the words to take out stand in `<redact>` tags.
pub fn redaction(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    let ("PUT", [comment]) = (req.method.as_str(), rest) else { return None };
    let comment = comment.parse().ok()?;
    let Some(id) = req.body["ticket_id"].as_i64().filter(|id| world.tickets.contains_key(id)) else {
        return Some(Reply::not_found());
    };
    let html = req.body["html_body"].as_str().unwrap_or_default();
    let words: Vec<_> = html.split("<redact>").skip(1).filter_map(|part| part.split("</redact>").next()).collect();
    let files: Vec<i64> = serde_json::from_value(req.body["external_attachment_ids"].clone()).unwrap_or_default();
    let mut done: Result<(), Refusal> = Ok(());
    for text in words.iter().filter(|text| !text.is_empty()) {
        done = done.and_then(|()| world.redact_comment(caller.by(), caller.now, id, comment, text));
    }
    for file in files {
        done = done.and_then(|()| world.redact_attachment(caller.by(), caller.now, id, comment, file));
    }
    Some(done.map_or_else(Reply::from, |()| one(world, id, comment)))
}
