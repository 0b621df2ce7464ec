//! What hangs on a user: memberships, tickets, tags, the merge; and the deleted.
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::ticket::{Gone, Ticket};
use crate::world::user::User;
use serde_json::{Value, json};

/// Answers `/users/{id}/...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, id: i64, rest: &[&str]) -> Option<Reply> {
    let now = caller.now;
    if !world.users.contains_key(&id) {
        return Some(Reply::not_found());
    }
    let reply = match (req.method.as_str(), rest) {
        ("PUT", ["merge"]) => {
            let winner = req.body["user"]["id"].as_i64().unwrap_or_default();
            let merged = world.merge_users(caller.by(), now, id, winner);
            merged.map_or_else(Reply::from, |()| world.user_reply(200, winner))
        }
        (_, ["identities", rest @ ..]) => return super::identities::route(world, caller, req, id, rest),
        (_, ["organization_memberships", rest @ ..]) => {
            return super::memberships::route(world, caller, req, Some(id), rest);
        }
        (_, ["organizations", rest @ ..]) => {
            return super::memberships::organizations_of(world, caller, req, id, rest);
        }
        (_, ["group_memberships", rest @ ..]) => {
            return super::groups::route_memberships(world, caller, req, Some(id), rest);
        }
        ("GET", ["groups"]) => {
            let within = |group| world.group_memberships.values().any(|m| (m.user_id, m.group_id) == (id, group));
            super::groups::list(world, req, within)
        }
        ("GET", ["requests"]) => super::requests::list(world, req, id, |_| true),
        ("GET", ["tickets", "requested"]) => tickets(world, caller, req, |t| t.requester_id == id),
        ("GET", ["tickets", "assigned"]) => tickets(world, caller, req, |t| t.assignee_id == Some(id)),
        ("GET", ["tickets", "ccd"]) => tickets(world, caller, req, |t| t.email_cc_ids.contains(&id)),
        ("GET", ["related"]) => related(world, id),
        ("GET", ["compliance_deletion_statuses"]) => compliance(world, id),
        (_, ["tags"]) => return tags(world, caller, req, id),
        _ => return None,
    };
    Some(reply)
}

/// Answers `/users/{id}/tags`.
fn tags(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Option<Reply> {
    let before = world.users.get(&id)?.tags.clone();
    let status = if req.method == "POST" { 201 } else { 200 };
    let done = match super::ticket_parts::tags_after(req, &before) {
        Some(tags) => world.change_user(caller, id, &json!({ "tags": tags })),
        None => Ok(()),
    };
    Some(done.map_or_else(Reply::from, |()| Reply::json(status, &json!({"tags": world.users[&id].tags}))))
}

fn tickets(world: &World, caller: &Caller, req: &Req, wanted: impl Fn(&Ticket) -> bool) -> Reply {
    super::tickets::list_of(world, req, |ticket| ticket.is_listed(caller.now) && wanted(ticket))
}

fn related(world: &World, id: i64) -> Reply {
    let there = || world.tickets.values().filter(|t| t.gone == Gone::No);
    Reply::ok(&json!({"user_related": {
        "assigned_tickets": there().filter(|t| t.assignee_id == Some(id)).count(),
        "requested_tickets": there().filter(|t| t.requester_id == id).count(),
        "ccd_tickets": there().filter(|t| t.email_cc_ids.contains(&id)).count(),
        "organization_subscriptions": 0}}))
}

fn compliance(world: &World, id: i64) -> Reply {
    let user = world.users.get(&id).filter(|user| user.permanently_deleted);
    let statuses = match user {
        Some(user) => json!([{"action": "request_deletion", "application": "support", "user_id": id,
            "executer_id": null, "account_subdomain": world.subdomain, "created_at": user.updated_at}]),
        None => return Reply::not_found(),
    };
    Reply::ok(&json!({ "compliance_deletion_statuses": statuses }))
}

/// Answers `/deleted_users...`.
pub fn deleted(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let gone = |user: &&User| !user.active && !user.permanently_deleted && user.merged_into.is_none();
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => {
            let ids = world.users.values().filter(gone).map(|user| user.id).collect();
            List { name: "deleted_users", host: &world.host, ids }.page(req, |id| deleted_json(world, id))
        }
        ("GET", ["count"]) => {
            let value = world.users.values().filter(gone).count();
            Reply::ok(&json!({"count": {"value": value, "refreshed_at": caller.now}}))
        }
        ("GET", [id]) => {
            let id = id.parse().ok()?;
            match world.users.get(&id).filter(|user| gone(user)) {
                Some(_) => Reply::ok(&json!({"deleted_user": deleted_json(world, id)})),
                None => Reply::not_found(),
            }
        }
        ("DELETE", [id]) => {
            let id = id.parse().ok()?;
            match world.permanently_delete_user(caller.by(), caller.now, id) {
                Ok(()) => Reply::ok(&json!({"deleted_user": deleted_json(world, id)})),
                Err(refusal) => refusal.into(),
            }
        }
        _ => return None,
    };
    Some(reply)
}

/// A deleted user; here the address is still shown.
fn deleted_json(world: &World, id: i64) -> Value {
    let Some(user) = world.users.get(&id) else { return Value::Null };
    json!({"id": id, "url": format!("{}/api/v2/deleted_users/{id}.json", world.host), "name": user.name,
        "email": user.email, "created_at": user.created_at, "updated_at": user.updated_at,
        "time_zone": user.time_zone, "phone": user.phone, "shared_phone_number": user.shared_phone, "photo": null,
        "locale_id": crate::world::user::locale_id(&user.locale), "locale": user.locale,
        "organization_id": user.organization_id, "role": user.role, "active": false})
}
