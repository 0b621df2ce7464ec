//! What hangs on a ticket: audits, tags, people, incidents, metrics, merge, spam, rating.
use super::{ask, bulk, ticket_comments};
use crate::acts::ticket_patch::TicketPatch;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::ticket::{Gone, Ticket, TicketType};
use serde_json::{Value, json};

/// Answers `/tickets/{id}/...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, id: i64, rest: &[&str]) -> Option<Reply> {
    let Some(ticket) = world.tickets.get(&id).filter(|ticket| ticket.gone == Gone::No) else {
        return Some(Reply::not_found());
    };
    let reply = match (req.method.as_str(), rest) {
        (_, ["comments", rest @ ..]) => return ticket_comments::route(world, caller, req, id, rest),
        (_, ["satisfaction_rating"]) => return super::ratings::of_ticket(world, caller, req, id),
        ("GET", ["audits", rest @ ..]) => return audits(world, caller, req, ticket, rest),
        ("GET", ["metrics"]) => Reply::ok(&json!({"ticket_metric": world.ticket_metrics(ticket)})),
        ("GET", ["tags"]) => Reply::ok(&json!({"tags": ticket.tags})),
        ("POST" | "PUT" | "DELETE", ["tags"]) => tags(world, caller, req, id),
        ("GET", ["collaborators" | "email_ccs"]) => people(world, req, ticket.email_cc_ids.clone()),
        ("GET", ["followers"]) => people(world, req, ticket.follower_ids.clone()),
        ("GET", ["incidents"]) => super::tickets::list_of(world, req, |other| other.problem_id == Some(id)),
        ("GET", ["related"]) => {
            let sources: Vec<_> = ticket.followup_of.iter().map(i64::to_string).collect();
            Reply::ok(&json!({"ticket_related": {"topic_id": null, "jira_issue_ids": [],
                "followup_source_ids": sources, "from_archive": false, "incidents": world.incidents(id)}}))
        }
        ("POST", ["merge"]) => merge(world, caller, req, id),
        ("PUT", ["mark_as_spam"]) => {
            let done = world.mark_as_spam(caller.by(), caller.now, id);
            done.map_or_else(Reply::from, |()| Reply::ok(&""))
        }
        _ => return None,
    };
    Some(reply)
}

fn people(world: &World, req: &Req, ids: Vec<i64>) -> Reply {
    List { name: "users", host: &world.host, ids }.page(req, |id| world.user_json(id))
}

fn audits(world: &World, caller: &Caller, req: &Req, ticket: &Ticket, rest: &[&str]) -> Option<Reply> {
    let find = |id: i64| ticket.audits.iter().find(|audit| audit.id == id);
    let reply = match rest {
        [] => {
            let mut ids: Vec<_> = ticket.audits.iter().map(|audit| audit.id).collect();
            if req.q("sort") == Some("-created_at") || req.q("sort_order") == Some("desc") {
                ids.reverse();
            }
            let list = List { name: "audits", host: &world.host, ids };
            list.page(req, |id| find(id).map_or(Value::Null, |audit| audit.as_rest(ticket.id, &world.host)))
        }
        ["count"] => ask::count(caller, ticket.audits.len()),
        [id] => match find(id.parse().ok()?) {
            Some(audit) => Reply::ok(&json!({"audit": audit.as_rest(ticket.id, &world.host)})),
            None => Reply::not_found(),
        },
        _ => return None,
    };
    Some(reply)
}

/// Tags a request names: a list, or words in a text.
fn asked_tags(req: &Req) -> Vec<String> {
    let given = &req.body["tags"];
    let listed = given.as_array().into_iter().flatten().filter_map(Value::as_str);
    let words = given.as_str().or_else(|| req.q("tags")).unwrap_or_default();
    listed.chain(words.split([' ', ','])).filter(|tag| !tag.is_empty()).map(str::to_lowercase).collect()
}

/// The tags after a request: POST sets, PUT adds, DELETE takes away; none if it only asks.
pub fn tags_after(req: &Req, before: &[String]) -> Option<Vec<String>> {
    let asked = asked_tags(req);
    let kept = before.iter().cloned();
    match req.method.as_str() {
        "POST" => Some(asked),
        "PUT" => Some(kept.chain(asked.iter().filter(|tag| !before.contains(tag)).cloned()).collect()),
        "DELETE" => Some(kept.filter(|tag| !asked.contains(tag)).collect()),
        _ => None,
    }
}

fn tags(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Reply {
    let mut patch = TicketPatch {
        safe_update: !req.body["safe_update"].is_null(),
        updated_stamp: req.body["updated_stamp"].as_str().map(str::to_owned),
        ..TicketPatch::default()
    };
    let given = asked_tags(req);
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

/// Merging is a job: what cannot be merged is told there.
fn merge(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Reply {
    let Ok(ids) = serde_json::from_value::<Vec<i64>>(req.body["ids"].clone()) else {
        return Reply::invalid(req, "ids", "an array");
    };
    let words = |key: &str, default: &'static str| req.body[key].as_str().unwrap_or(default).to_owned();
    let public = |key: &str| req.body[key].as_bool().unwrap_or(false);
    let target = words("target_comment", "Other requests were merged into this one.");
    let source = words("source_comment", "This request was closed and merged.");
    let said = [(target, public("target_comment_is_public")), (source, public("source_comment_is_public"))];
    bulk::merge(world, caller, id, &ids, said)
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

/// Answers `/problems...`: tickets that are problems and not solved.
pub fn problems(world: &World, req: &Req, rest: &[&str]) -> Option<Reply> {
    if req.method != "GET" || !rest.is_empty() {
        return None;
    }
    let is_problem = |ticket: &Ticket| ticket.gone == Gone::No && ticket.kind == Some(TicketType::Problem);
    Some(super::tickets::list_of(world, req, is_problem))
}
