//! `/requests`: tickets as customers see them, public words only.
use super::ask;
use crate::acts::Refusal;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::audit::Place;
use crate::world::ticket::{Gone, Status, Ticket};
use crate::world::user::Role;
use serde_json::{Value, json};

/// What of a ticket a request says in the same words.
const SHARED: &[&str] = &[
    "id",
    "status",
    "priority",
    "type",
    "subject",
    "description",
    "organization_id",
    "via",
    "custom_fields",
    "fields",
    "requester_id",
    "collaborator_ids",
    "email_cc_ids",
    "is_public",
    "due_at",
    "created_at",
    "updated_at",
    "recipient",
    "assignee_id",
    "ticket_form_id",
    "custom_status_id",
    "group_id",
];

/// Answers `/requests...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), rest) {
        ("GET", [] | ["search"]) => list(world, req, caller.user_id, |_| true),
        ("GET", ["open"]) => list(world, req, caller.user_id, |ticket| ticket.status < Status::Solved),
        ("GET", ["solved"]) => list(world, req, caller.user_id, |ticket| ticket.status >= Status::Solved),
        ("POST", []) => create(world, caller, req),
        (_, [id, rest @ ..]) => {
            let id = id.parse().ok()?;
            let Some(ticket) = world.tickets.get(&id).filter(|ticket| sees(caller, ticket)) else {
                return Some(Reply::not_found());
            };
            match (req.method.as_str(), rest) {
                ("GET", []) => ask::one(200, "request", &write(world, ticket)),
                ("PUT", []) => update(world, caller, req, id),
                ("GET", ["comments"]) => comments(world, req, ticket),
                ("GET", ["comments", comment]) => {
                    let comment = comment.parse::<i64>().ok()?;
                    let found = ticket.comments().find(|(_, id, said)| *id == comment && said.public);
                    let told = |(audit, id, said): (_, i64, &crate::world::audit::Comment)| {
                        Reply::ok(&json!({"comment": said.view(id, audit, &world.host, Place::List)}))
                    };
                    found.map_or_else(Reply::not_found, told)
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(reply)
}

fn sees(caller: &Caller, ticket: &Ticket) -> bool {
    let own = ticket.requester_id == caller.user_id || ticket.email_cc_ids.contains(&caller.user_id);
    ticket.gone == Gone::No && (caller.role != Role::EndUser || (own && ticket.is_public()))
}

/// The requests of one user.
pub fn list(world: &World, req: &Req, user: i64, wanted: impl Fn(&Ticket) -> bool) -> Reply {
    let own = |ticket: &&Ticket| ticket.gone == Gone::No && ticket.requester_id == user && ticket.is_public();
    let found = world.tickets.values().filter(own).filter(|ticket| wanted(ticket));
    let ids = found.map(|ticket| ticket.id).collect();
    List { name: "requests", host: &world.host, ids }
        .page(req, |id| world.tickets.get(&id).map_or(Value::Null, |ticket| write(world, ticket)))
}

fn write(world: &World, ticket: &Ticket) -> Value {
    let whole = world.ticket_json(ticket.id);
    let mut value: Value = SHARED.iter().map(|key| ((*key).to_owned(), whole[*key].clone())).collect();
    value["url"] = format!("{}/api/v2/requests/{}.json", world.host, ticket.id).into();
    value["solved"] = (ticket.status >= Status::Solved).into();
    value["can_be_solved_by_me"] = (ticket.assignee_id.is_some() && ticket.status < Status::Solved).into();
    value["followup_source_id"] = json!(ticket.followup_of);
    // Said only where there is one: an end user may not see groups, and few requests follow others.
    for key in ["followup_source_id", "group_id", "recipient"] {
        if value[key].is_null() {
            value.as_object_mut().map(|request| request.remove(key));
        }
    }
    value
}

fn comments(world: &World, req: &Req, ticket: &Ticket) -> Reply {
    let public = ticket.comments().filter(|(.., said)| said.public);
    let ids = public.map(|(_, id, _)| id).collect();
    List { name: "comments", host: &world.host, ids }.page(req, |id| super::ticket_comments::write(world, ticket, id))
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let made = ask::given(req, "request").and_then(|given| Ok(world.make_ticket(caller, &given)?));
    match made {
        Ok(id) => ask::one(201, "request", &write(world, &world.tickets[&id])),
        Err(reply) => reply,
    }
}

/// A customer says something, or takes the matter as solved.
fn update(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Reply {
    let done = ask::given(req, "request").and_then(|given| {
        let solved = given["solved"] == true;
        if given["comment"].is_null() && !solved {
            return Err(Reply::json(
                422,
                &json!({"error": "CommentRequired", "description": "A comment is required to update your request."}),
            ));
        }
        let mut asked = json!({"comment": given["comment"]});
        if solved {
            if world.tickets[&id].assignee_id.is_none() {
                return Err(Refusal::Forbidden.into());
            }
            asked["status"] = "solved".into();
        }
        Ok(world.change_ticket(caller, id, &asked)?)
    });
    done.map_or_else(|reply| reply, |()| ask::one(200, "request", &write(world, &world.tickets[&id])))
}
