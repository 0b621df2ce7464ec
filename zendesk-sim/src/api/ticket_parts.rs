//! What hangs on a ticket: comments, audits, tags, redaction, merge; and the deleted.
use crate::acts::ticket_patch::TicketPatch;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::rating::Score;
use crate::world::ticket::{Gone, Ticket};
use serde_json::{Value, json};

/// Answers `/tickets/{id}/...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, id: i64, rest: &[&str]) -> Option<Reply> {
    if world.tickets.get(&id).is_none_or(|ticket| ticket.gone != Gone::No) {
        return Some(Reply::not_found());
    }
    let (by, now) = (caller.by(), caller.now);
    let outcome = match (req.method.as_str(), rest) {
        ("GET", ["comments"]) => return Some(comments(world, req, id)),
        ("GET", ["comments", "count"]) => {
            let value = world.tickets[&id].comments().count();
            return Some(Reply::ok(&json!({"count": {"value": value, "refreshed_at": now}})));
        }
        ("GET", ["audits"]) => return Some(audits(world, req, id)),
        ("GET", ["metrics"]) => {
            return Some(Reply::ok(&json!({"ticket_metric": world.ticket_metrics(&world.tickets[&id])})));
        }
        ("GET", ["tags"]) => return Some(Reply::ok(&json!({"tags": world.tickets[&id].tags}))),
        ("POST" | "PUT" | "DELETE", ["tags"]) => return Some(tags(world, caller, req, id)),
        ("PUT", ["comments", comment, "redact"]) => {
            let words = req.body["text"].as_str().unwrap_or_default();
            let comment = comment.parse().ok()?;
            let done = world.redact_comment(by, now, id, comment, words);
            return Some(done.map_or_else(Reply::from, |()| comment_reply(world, id, comment)));
        }
        ("PUT", ["comments", comment, "make_private"]) => world.make_private(by, now, id, comment.parse().ok()?),
        ("PUT", ["comments", comment, "attachments", file, "redact"]) => {
            let (comment, file) = (comment.parse().ok()?, file.parse().ok()?);
            let done = world.redact_attachment(by, now, id, comment, file);
            return Some(done.map_or_else(Reply::from, |()| attachment_reply(world, id, file)));
        }
        ("POST", ["merge"]) => return Some(merge(world, caller, req, id)),
        ("PUT", ["mark_as_spam"]) => world.mark_as_spam(by, now, id),
        ("POST", ["satisfaction_rating"]) => {
            let given = &req.body["satisfaction_rating"];
            let score = given["score"].as_str().and_then(Score::parse).unwrap_or(Score::Good);
            let rated = world.rate(now, id, score, given["comment"].as_str(), 0);
            let view =
                |rating: i64| Reply::ok(&json!({"satisfaction_rating": world.ratings[&rating].view(&world.host)}));
            return Some(rated.map_or_else(Reply::from, view));
        }
        _ => return None,
    };
    Some(outcome.map_or_else(Reply::from, |()| Reply::ok(&"")))
}

fn comments(world: &World, req: &Req, id: i64) -> Reply {
    let ticket = &world.tickets[&id];
    let mut ids: Vec<_> = ticket.comments().map(|(_, id, _)| id).collect();
    if req.q("sort") == Some("-created_at") || req.q("sort_order") == Some("desc") {
        ids.reverse();
    }
    let list = List { name: "comments", host: &world.host, ids };
    list.page(req, |comment| comment_json(world, ticket, comment))
}

fn comment_json(world: &World, ticket: &Ticket, comment: i64) -> Value {
    let found = ticket.comments().find(|(_, id, _)| *id == comment);
    found.map_or(Value::Null, |(audit, id, comment)| {
        json!(comment.view(id, audit, &world.host, crate::world::audit::Place::List))
    })
}

fn comment_reply(world: &World, id: i64, comment: i64) -> Reply {
    Reply::ok(&json!({"comment": comment_json(world, &world.tickets[&id], comment)}))
}

fn attachment_reply(world: &World, id: i64, file: i64) -> Reply {
    let mut files = world.tickets[&id].comments().flat_map(|(_, _, comment)| &comment.attachments);
    match files.find(|attachment| attachment.id == file) {
        Some(attachment) => Reply::ok(&json!({"attachment": attachment.view(&world.host)})),
        None => Reply::not_found(),
    }
}

fn audits(world: &World, req: &Req, id: i64) -> Reply {
    let ticket = &world.tickets[&id];
    let ids = ticket.audits.iter().map(|audit| audit.id).collect();
    let list = List { name: "audits", host: &world.host, ids };
    list.page(req, |audit| {
        let found = ticket.audits.iter().find(|other| other.id == audit);
        found.map_or(Value::Null, |audit| audit.as_rest(id, &world.host))
    })
}

fn tags(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Reply {
    let given: Vec<String> = serde_json::from_value(req.body["tags"].clone()).unwrap_or_default();
    let mut patch = TicketPatch {
        safe_update: req.body["safe_update"].as_bool().unwrap_or(false),
        updated_stamp: req.body["updated_stamp"].as_str().map(str::to_owned),
        ..TicketPatch::default()
    };
    match req.method.as_str() {
        "POST" => patch.tags = Some(given),
        "PUT" => patch.additional_tags = Some(given),
        _ => patch.remove_tags = Some(given),
    }
    let done = world.update_ticket(caller.by(), caller.now, id, patch);
    let told = |status| Reply::json(status, &json!({"tags": world.tickets[&id].tags}));
    done.map_or_else(Reply::from, |()| match req.method.as_str() {
        "POST" => told(201),
        "PUT" => told(200),
        _ => Reply::nothing(),
    })
}

fn merge(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Reply {
    let ids: Vec<i64> = serde_json::from_value(req.body["ids"].clone()).unwrap_or_default();
    let target = req.body["target_comment"].as_str().unwrap_or("Other requests were merged into this one.");
    let source = req.body["source_comment"].as_str().unwrap_or("This request was closed and merged.");
    let done = world.merge_tickets(caller.by(), caller.now, id, &ids, (target, source));
    done.map_or_else(Reply::from, |()| {
        let results =
            ids.iter().map(|id| json!({"id": id, "action": "update", "status": "Updated", "success": true})).collect();
        super::bulk::finish(world, caller, results)
    })
}

/// Answers `/ticket_metrics...`.
pub fn metrics(world: &World, req: &Req, rest: &[&str]) -> Option<Reply> {
    let write = |id| world.tickets.get(&id).map_or(Value::Null, |ticket| world.ticket_metrics(ticket));
    match (req.method.as_str(), rest) {
        ("GET", []) => {
            let there = world.tickets.values().rev().filter(|ticket| ticket.gone == Gone::No);
            let ids = there.map(|ticket| ticket.id).collect();
            Some(List { name: "ticket_metrics", host: &world.host, ids }.page(req, write))
        }
        ("GET", [id]) => {
            let ticket = world.ticket_of_metric(id.parse().ok()?).filter(|ticket| ticket.gone == Gone::No);
            let told = |ticket: &Ticket| Reply::ok(&json!({"ticket_metric": [world.ticket_metrics(ticket)]}));
            Some(ticket.map_or_else(Reply::not_found, told))
        }
        _ => None,
    }
}

/// Answers `/deleted_tickets...`.
pub fn deleted(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let (by, now) = (caller.by(), caller.now);
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => {
            let gone = world.tickets.values().filter(|t| t.gone == Gone::Deleted);
            let ids = gone.map(|ticket| ticket.id).collect();
            List { name: "deleted_tickets", host: &world.host, ids }.page(req, |id| deleted_json(world, id))
        }
        ("PUT", [id, "restore"]) => {
            let done = world.restore_ticket(by, now, id.parse().ok()?);
            done.map_or_else(Reply::from, |()| Reply::ok(&""))
        }
        ("DELETE", ["destroy_many"]) => match crate::http::ids(req.q("ids")) {
            Ok(ids) => super::bulk::erase(world, caller, &ids),
            Err(reply) => reply,
        },
        ("DELETE", [id]) => super::bulk::erase(world, caller, &[id.parse().ok()?]),
        _ => return None,
    };
    Some(reply)
}

fn deleted_json(world: &World, id: i64) -> Value {
    let Some(ticket) = world.tickets.get(&id) else { return Value::Null };
    let actor = ticket.deleted.map(|(_, by)| json!({"id": by, "name": world.name_of(by)}));
    json!({"id": id, "subject": ticket.subject, "description": ticket.description(), "actor": actor,
        "deleted_at": ticket.deleted.map(|(at, _)| at), "previous_state": ticket.status.word()})
}
