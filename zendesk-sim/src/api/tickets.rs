//! `/tickets` and one ticket (Z§4).
use super::{ask, ticket_ask};
use crate::acts::Refusal;
use crate::acts::ticket_import::OldTimes;
use crate::http::page::{List, Shelf};
use crate::http::{Caller, Reply, Req, ids};
use crate::time::Stamp;
use crate::world::World;
use crate::world::ticket::{Gone, Status, Ticket};
use serde_json::{Value, json};

/// How long an idempotency key is remembered, in seconds.
const REMEMBERED: i64 = 7_200;

/// How long a ticket stays closed before it is archived, in seconds.
const ARCHIVED: i64 = 120 * 86_400;

/// Answers `/tickets...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => list(world, caller, req),
        ("POST", []) => create(world, caller, req),
        ("GET", ["count"]) => {
            let there = world.tickets.values().filter(|ticket| ticket.is_listed(caller.now));
            ask::count(caller, there.count())
        }
        ("GET", ["recent"]) => recent(world, caller, req),
        ("GET", ["show_many"]) => show_many(world, req),
        (_, ["create_many" | "update_many" | "destroy_many" | "mark_many_as_spam"]) => {
            return super::bulk::tickets(world, caller, req, parts[1]);
        }
        (method, [id]) => match ask::id(req, id) {
            Ok(id) => one(world, caller, req, method, id)?,
            Err(reply) => reply,
        },
        (_, [id, rest @ ..]) => return super::ticket_parts::route(world, caller, req, id.parse().ok()?, rest),
        _ => return None,
    };
    Some(reply)
}

impl Ticket {
    /// Whether lists show it: the deleted and the archived are left out.
    pub fn is_listed(&self, now: Stamp) -> bool {
        let archived = self.status == Status::Closed && self.updated_at < now.plus(-ARCHIVED);
        self.gone == Gone::No && !archived
    }
}

impl World {
    /// A ticket as a value, as outside the exports.
    pub fn ticket_json(&self, id: i64) -> Value {
        let view = |t: &Ticket| json!(t.view(self.frame(), self.rating_of(t), t.generated.0));
        self.tickets.get(&id).map_or(Value::Null, view)
    }

    /// The newest audit of a ticket.
    pub fn last_audit(&self, id: i64) -> Value {
        let audit = self.tickets.get(&id).and_then(|ticket| ticket.audits.last());
        audit.map_or(Value::Null, |audit| audit.as_rest(id, &self.host))
    }
}

/// Tickets of those wanted, in the order asked for.
pub fn list_of(world: &World, req: &Req, wanted: impl Fn(&Ticket) -> bool) -> Reply {
    let (by, down) = match order(req) {
        Ok(order) => order,
        Err(reply) => return reply,
    };
    if by == "id" && !down {
        let (host, rows) = (&world.host, &world.tickets);
        return Shelf { name: "tickets", host, rows, wanted }.page(req, |id| world.ticket_json(id));
    }
    let mut found: Vec<_> = world.tickets.values().filter(|ticket| wanted(ticket)).collect();
    match by {
        "updated_at" => found.sort_by_key(|ticket| (ticket.updated_at, ticket.id)),
        "created_at" => found.sort_by_key(|ticket| (ticket.created_at, ticket.id)),
        "status" => found.sort_by_key(|ticket| (ticket.status, ticket.id)),
        "subject" => found.sort_by_key(|ticket| (ticket.subject.as_str(), ticket.id)),
        "group" => found.sort_by_key(|ticket| (ticket.group_id, ticket.id)),
        "requester" | "requester.name" => found.sort_by_cached_key(|t| (world.name_of(t.requester_id), t.id)),
        "assignee" | "assignee.name" => found.sort_by_cached_key(|t| (t.assignee_id.map(|id| world.name_of(id)), t.id)),
        _ => {}
    }
    if down {
        found.reverse();
    }
    let ids = found.iter().map(|ticket| ticket.id).collect();
    List { name: "tickets", host: &world.host, ids }.page(req, |id| world.ticket_json(id))
}

/// What a list of tickets is ordered by, and whether it goes down. Each way of paging has its own parameters, and
/// those of the other are not looked at.
fn order(req: &Req) -> Result<(&str, bool), Reply> {
    if req.wants_cursor() {
        let sort = req.q("sort").unwrap_or("id");
        let by = sort.trim_start_matches('-');
        return match by {
            "id" | "updated_at" | "status" => Ok((by, sort.starts_with('-'))),
            _ => {
                let detail = format!("sort by {by} is not supported with cursor pagination");
                Err(Reply::errors("InvalidPaginationParameter", "InvalidPaginationParameter", &detail))
            }
        };
    }
    let sort = req.q("sort").unwrap_or_default();
    let by = req.q("sort_by").unwrap_or(match sort.trim_start_matches('-') {
        "" => "id",
        by => by,
    });
    Ok((by, req.q("sort_order") == Some("desc") || sort.starts_with('-')))
}

fn list(world: &World, caller: &Caller, req: &Req) -> Reply {
    let external = req.q("external_id");
    list_of(world, req, |ticket| {
        ticket.is_listed(caller.now) && external.is_none_or(|text| ticket.external_id.as_deref() == Some(text))
    })
}

/// The tickets the asker worked on last.
fn recent(world: &World, caller: &Caller, req: &Req) -> Reply {
    let own = |ticket: &&Ticket| {
        ticket.is_listed(caller.now) && ticket.audits.iter().any(|audit| audit.author_id == caller.user_id)
    };
    let mut found: Vec<_> = world.tickets.values().filter(own).map(|t| (t.updated_at, t.id)).collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    let ids = found.into_iter().map(|(_, id)| id).take(5).collect();
    List { name: "tickets", host: &world.host, ids }.page(req, |id| world.ticket_json(id))
}

fn show_many(world: &World, req: &Req) -> Reply {
    let found = match ids(req.q("ids")) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let there = |id: &&i64| world.tickets.get(id).is_some_and(|t| t.gone == Gone::No);
    let rows: Vec<_> = found.iter().filter(there).map(|id| world.ticket_json(*id)).collect();
    Reply::ok(&json!({"count": rows.len(), "tickets": rows, "next_page": null, "previous_page": null}))
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let key = req.header("idempotency-key").map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.len() > 255) {
        return Reply::bad("IdempotentRequestError", "Idempotency key must not be longer than 255 characters");
    }
    world.idempotency.retain(|_, (.., at)| caller.now < at.plus(REMEMBERED));
    if let Some((params, id, _)) = key.as_ref().and_then(|key| world.idempotency.get(key)).cloned() {
        if params != req.body {
            let words = "Request parameters don't match the given idempotency key";
            return Reply::bad("IdempotentRequestError", words);
        }
        return created(world, req, id).with("x-idempotency-lookup", "hit");
    }
    let made = ask::given(req, "ticket").and_then(|given| Ok(world.make_ticket(caller, &given)?));
    match (made, key) {
        (Ok(id), Some(key)) => {
            world.idempotency.insert(key, (req.body.clone(), id, caller.now));
            created(world, req, id).with("x-idempotency-lookup", "miss")
        }
        (Ok(id), None) => created(world, req, id),
        (Err(reply), _) => reply,
    }
}

fn created(world: &World, req: &Req, id: i64) -> Reply {
    let mut ticket = world.ticket_json(id);
    ticket["generated_timestamp"] = 0.into();
    let reply = Reply::json(201, &json!({"ticket": ticket, "audit": world.last_audit(id)}))
        .with("location", format!("{}/api/v2/tickets/{id}.json", world.host));
    ask::warn(reply, req, "ticket", ticket_ask::PERMITTED, vec![])
}

/// Answers `/imports/tickets`.
pub fn import(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    let ("POST", ["tickets"]) = (req.method.as_str(), rest) else { return None };
    let made = ask::given(req, "ticket").and_then(|given| {
        let old: OldTimes = crate::acts::read(&given)?;
        let patch = world.ticket_patch(caller, None, &given)?;
        Ok(world.import_ticket(caller.by(), caller.now, patch, old)?)
    });
    Some(made.map_or_else(|reply| reply, |id| ask::one(201, "ticket", &world.ticket_json(id))))
}

fn one(world: &mut World, caller: &Caller, req: &Req, method: &str, id: i64) -> Option<Reply> {
    Some(match method {
        "GET" => match world.tickets.get(&id).filter(|t| t.gone == Gone::No) {
            Some(_) => Reply::ok(&json!({"ticket": world.ticket_json(id)})),
            None => Reply::not_found(),
        },
        "PUT" => {
            let done = ask::given(req, "ticket").and_then(|given| Ok(update(world, caller, id, &given)?));
            let told = |()| {
                let reply = Reply::ok(&json!({"ticket": world.ticket_json(id), "audit": world.last_audit(id)}));
                ask::warn(reply, req, "ticket", ticket_ask::PERMITTED, vec![])
            };
            done.map_or_else(|reply| reply, told)
        }
        "DELETE" => world.delete_ticket(caller.by(), caller.now, id).map_or_else(Reply::from, |()| Reply::nothing()),
        _ => return None,
    })
}

/// Changes a ticket as a request asks.
pub fn update(world: &mut World, caller: &Caller, id: i64, given: &Value) -> Result<(), Refusal> {
    world.change_ticket(caller, id, given)
}
