//! `/tickets` and one ticket.
use crate::acts::ticket_patch::TicketPatch;
use crate::acts::{self, Refusal};
use crate::http::page::List;
use crate::http::{Caller, Reply, Req, ids};
use crate::world::World;
use crate::world::ticket::{Gone, Ticket};
use serde_json::{Value, json};

/// Answers `/tickets...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => list(world, req),
        ("POST", []) => create(world, caller, req),
        ("GET", ["count"]) => {
            let value = world.tickets.values().filter(|t| t.gone == Gone::No).count();
            Reply::ok(&json!({"count": {"value": value, "refreshed_at": caller.now}}))
        }
        ("GET", ["show_many"]) => show_many(world, req),
        (_, ["create_many" | "update_many" | "destroy_many"]) => {
            return super::bulk::tickets(world, caller, req, parts[1]);
        }
        (method, [id]) => one(world, caller, req, method, id.parse().ok()?)?,
        (_, [id, rest @ ..]) => return super::ticket_parts::route(world, caller, req, id.parse().ok()?, rest),
        _ => return None,
    };
    Some(reply)
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

fn list(world: &World, req: &Req) -> Reply {
    let external = req.q("external_id");
    let wanted = |t: &&Ticket| t.gone == Gone::No && external.is_none_or(|text| t.external_id.as_deref() == Some(text));
    let mut found: Vec<_> = world.tickets.values().filter(wanted).collect();
    let sort = req.q("sort").unwrap_or("id");
    if sort.trim_start_matches('-') == "updated_at" {
        found.sort_by_key(|ticket| (ticket.updated_at, ticket.id));
    }
    if sort.starts_with('-') {
        found.reverse();
    }
    let ids = found.iter().map(|ticket| ticket.id).collect();
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
    if let Some(key) = &key
        && let Some((params, id, at)) = world.idempotency.get(key).cloned()
        && caller.now < at.plus(7_200)
    {
        if params != req.body {
            let words = "Request parameters don't match the given idempotency key";
            return Reply::bad("IdempotentRequestError", words);
        }
        return created(world, id).with("x-idempotency-lookup", "hit");
    }
    let made = acts::read::<TicketPatch>(&req.body["ticket"])
        .and_then(|patch| world.create_ticket(caller.by(), caller.now, patch));
    match (made, key) {
        (Ok(id), Some(key)) => {
            world.idempotency.insert(key, (req.body.clone(), id, caller.now));
            created(world, id).with("x-idempotency-lookup", "miss")
        }
        (Ok(id), None) => created(world, id),
        (Err(refusal), _) => refusal.into(),
    }
}

fn created(world: &World, id: i64) -> Reply {
    let mut ticket = world.ticket_json(id);
    ticket["generated_timestamp"] = 0.into();
    Reply::json(201, &json!({"ticket": ticket, "audit": world.last_audit(id)}))
        .with("location", format!("{}/api/v2/tickets/{id}.json", world.host))
}

fn one(world: &mut World, caller: &Caller, req: &Req, method: &str, id: i64) -> Option<Reply> {
    Some(match method {
        "GET" => match world.tickets.get(&id).filter(|t| t.gone == Gone::No) {
            Some(_) => Reply::ok(&json!({"ticket": world.ticket_json(id)})),
            None => Reply::not_found(),
        },
        "PUT" => update(world, caller, id, &req.body["ticket"]).map_or_else(Reply::from, |()| {
            Reply::ok(&json!({"ticket": world.ticket_json(id), "audit": world.last_audit(id)}))
        }),
        "DELETE" => world.delete_ticket(caller.by(), caller.now, id).map_or_else(Reply::from, |()| Reply::nothing()),
        _ => return None,
    })
}

/// Changes a ticket as a request asks.
pub fn update(world: &mut World, caller: &Caller, id: i64, given: &Value) -> Result<(), Refusal> {
    let patch = acts::read::<TicketPatch>(given)?;
    world.update_ticket(caller.by(), caller.now, id, patch)
}
