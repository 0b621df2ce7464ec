//! Searching: just enough of the query language to find people, tickets and organizations again.
use crate::http::page::List;
use crate::http::{Reply, Req};
use crate::world::World;
use crate::world::ticket::Gone;
use serde_json::{Value, json};

/// Answers `/users/search`.
pub fn users(world: &World, req: &Req) -> Reply {
    if req.q("page[size]").is_some() {
        return Reply::bad("InvalidValue", "page must be an integer");
    }
    let ids = match req.q("external_id") {
        Some(external) => world.index.user_external.get(&external.to_lowercase()).copied().into_iter().collect(),
        None => find_users(world, req.q("query").unwrap_or_default()),
    };
    List { name: "users", host: &world.host, ids }.page(req, |id| world.user_json(id))
}

fn find_users(world: &World, query: &str) -> Vec<i64> {
    let query = query.replace("type:user", "").to_lowercase();
    let query = query.trim().trim_start_matches("email:").trim_start_matches("phone:").trim_matches('"');
    let (field, text) = match query.split_once(':') {
        Some(("external_id" | "name", text)) => (query.split(':').next(), text),
        _ => (None, query),
    };
    if field == Some("external_id") {
        return world.index.user_external.get(text).copied().into_iter().collect();
    }
    if let Some(id) = world.index.emails.get(text) {
        return vec![*id];
    }
    let found = world
        .users
        .values()
        .filter(|user| user.active && (user.name.to_lowercase().contains(text) || user.phone.as_deref() == Some(text)));
    found.map(|user| user.id).take(10_000).collect()
}

/// Answers `/search...`.
pub fn route(world: &World, req: &Req, parts: &[&str]) -> Option<Reply> {
    let query = req.q("query").unwrap_or_default().to_lowercase();
    let kind = req
        .q("filter[type]")
        .map(str::to_owned)
        .or_else(|| query.split_whitespace().find_map(|word| word.strip_prefix("type:")).map(str::to_owned));
    let kind = kind.unwrap_or_else(|| "ticket".into());
    let ids = match kind.as_str() {
        "user" => find_users(world, &query),
        "organization" => {
            let text = query.replace("type:organization", "");
            let text = text.trim().trim_start_matches("name:").trim_matches('"').to_owned();
            let live = world.organizations.values().filter(|o| o.deleted_at.is_none());
            live.filter(|o| o.name.to_lowercase().contains(&text)).map(|o| o.id).collect()
        }
        _ => find_tickets(world, &query),
    };
    let write = |id: i64| {
        let mut row = match kind.as_str() {
            "user" => world.user_json(id),
            "organization" => world.organization_json(id),
            _ => world.ticket_json(id),
        };
        row["result_type"] = Value::from(kind.as_str());
        row
    };
    match (req.method.as_str(), &parts[1..]) {
        ("GET", []) if req.number("page").unwrap_or(1) * req.number("per_page").unwrap_or(100) > 1000 => {
            let words = "Requested response size was greater than Search Response Limits";
            Some(Reply::json(422, &json!({"error": "RecordInvalid", "description": words})))
        }
        ("GET", []) => Some(List { name: "results", host: &world.host, ids }.page(req, write)),
        ("GET", ["count"]) => Some(Reply::ok(&json!({"count": ids.len()}))),
        ("GET", ["export"]) => Some(List { name: "results", host: &world.host, ids }.page(req, write)),
        _ => None,
    }
}

fn find_tickets(world: &World, query: &str) -> Vec<i64> {
    let there = world.tickets.values().filter(|t| t.gone == Gone::No);
    let matches = |ticket: &crate::world::ticket::Ticket| {
        query.split_whitespace().all(|word| match word.split_once(':') {
            Some(("type", _)) => true,
            Some(("status", status)) => ticket.status.word() == status,
            Some(("tags", tag)) => ticket.tags.iter().any(|t| t == tag),
            Some(("requester_id" | "requester", id)) => ticket.requester_id.to_string() == id,
            Some(("external_id", id)) => ticket.external_id.as_deref() == Some(id),
            _ => ticket.subject.to_lowercase().contains(word),
        })
    };
    there.filter(|ticket| matches(ticket)).map(|ticket| ticket.id).collect()
}
