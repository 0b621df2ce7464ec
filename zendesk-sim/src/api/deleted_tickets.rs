//! `/deleted_tickets`: restored within thirty days, or deleted for ever.
use super::bulk;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req, ids};
use crate::world::World;
use crate::world::ticket::{Gone, Ticket};
use serde_json::{Value, json};

/// How long a deleted ticket is kept, in seconds.
const KEPT: i64 = 30 * 86_400;

/// Answers `/deleted_tickets...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    let (by, now) = (caller.by(), caller.now);
    let reply = match (req.method.as_str(), rest) {
        ("GET", []) => list(world, caller, req),
        ("PUT", ["restore_many"]) => match ids(req.q("ids")) {
            Ok(ids) => {
                let restored = ids.into_iter().try_for_each(|id| world.restore_ticket(by, now, id));
                restored.map_or_else(Reply::from, |()| Reply::ok(&""))
            }
            Err(reply) => reply,
        },
        ("DELETE", ["destroy_many"]) => match ids(req.q("ids")) {
            Ok(ids) => bulk::erase(world, caller, &ids),
            Err(reply) => reply,
        },
        ("PUT", [id, "restore"]) => {
            let done = world.restore_ticket(by, now, id.parse().ok()?);
            done.map_or_else(Reply::from, |()| Reply::ok(&""))
        }
        ("DELETE", [id]) => bulk::erase(world, caller, &[id.parse().ok()?]),
        _ => return None,
    };
    Some(reply)
}

fn list(world: &World, caller: &Caller, req: &Req) -> Reply {
    let kept = |ticket: &&Ticket| {
        ticket.gone == Gone::Deleted && ticket.deleted.is_some_and(|(at, _)| at.plus(KEPT) > caller.now)
    };
    let mut gone: Vec<_> = world.tickets.values().filter(kept).collect();
    match req.q("sort_by") {
        Some("deleted_at") => gone.sort_by_key(|ticket| (ticket.deleted, ticket.id)),
        Some("subject") => gone.sort_by_key(|ticket| (ticket.subject.as_str(), ticket.id)),
        _ => {}
    }
    if req.q("sort_order") == Some("desc") {
        gone.reverse();
    }
    let ids = gone.iter().map(|ticket| ticket.id).collect();
    List { name: "deleted_tickets", host: &world.host, ids }.page(req, |id| write(world, id))
}

fn write(world: &World, id: i64) -> Value {
    let Some(ticket) = world.tickets.get(&id) else { return Value::Null };
    let actor = ticket.deleted.map(|(_, by)| json!({"id": by, "name": world.name_of(by)}));
    json!({"id": id, "subject": ticket.subject, "description": ticket.description(), "actor": actor,
        "deleted_at": ticket.deleted.map(|(at, _)| at), "previous_state": ticket.status.word()})
}
