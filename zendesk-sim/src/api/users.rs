//! `/users` and one user.
use super::{ask, user_ask};
use crate::acts::{self, Refusal};
use crate::http::page::Shelf;
use crate::http::{Caller, Reply, Req, ids, words};
use crate::world::World;
use crate::world::user::{ADMIN_ROLE, Role, User};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Answers `/users...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", ["me"]) => me(world, caller),
        ("GET", []) => list(world, req),
        ("POST", []) => create(world, caller, req),
        ("GET", ["count"]) => count(world, caller),
        ("GET", ["show_many"]) => show_many(world, req),
        ("GET", ["search"]) => super::search::users(world, caller, req),
        ("GET", ["autocomplete"]) => super::search::autocomplete(world, req),
        ("POST", ["create_or_update"]) => create_or_update(world, caller, req),
        (_, ["create_many" | "create_or_update_many" | "update_many" | "destroy_many"]) => {
            return super::bulk::users(world, caller, req, parts[1]);
        }
        (method, [id]) => match ask::id(req, id) {
            Ok(id) => one(world, caller, req, method, id)?,
            Err(reply) => reply,
        },
        (_, [id, rest @ ..]) => return super::user_parts::route(world, caller, req, id.parse().ok()?, rest),
        _ => return None,
    };
    Some(reply)
}

impl World {
    /// A user in the `user` wrapper.
    pub fn user_reply(&self, status: u16, id: i64) -> Reply {
        match self.users.get(&id) {
            Some(user) => {
                let view = user.view(&self.host, &self.catalog.user_fields, false);
                Reply::json(status, &json!({ "user": view }))
                    .with("location", format!("{}/api/v2/users/{id}.json", self.host))
            }
            None => Reply::not_found(),
        }
    }

    /// A user as a value.
    pub fn user_json(&self, id: i64) -> Value {
        let view = |user: &User| json!(user.view(&self.host, &self.catalog.user_fields, false));
        self.users.get(&id).map_or(Value::Null, view)
    }
}

/// What `/users/me` tells somebody who did not say who they are.
pub fn anonymous(world: &World) -> Reply {
    let blank = acts::users::blank_user(0, 0, "Anonymous user", world.catalog.made_at);
    let mut user = json!(blank.view(&world.host, &world.catalog.user_fields, false));
    user["id"] = Value::Null;
    user["email"] = json!("invalid@example.com");
    Reply::ok(&json!({ "user": user }))
}

fn me(world: &World, caller: &Caller) -> Reply {
    let mut user = world.user_json(caller.user_id);
    user["role"] = json!(caller.role);
    user["authenticity_token"] = json!("not-for-use");
    Reply::ok(&json!({ "user": user }))
}

fn list(world: &World, req: &Req) -> Reply {
    let roles: Vec<_> =
        req.query.iter().filter(|(k, _)| k == "role" || k == "role[]").map(|(_, v)| v.as_str()).collect();
    let external = req.q("external_id");
    let role = req.number("permission_set");
    let wanted = |user: &User| {
        let own = user.external_id.as_deref();
        user.active
            && (roles.is_empty() || roles.contains(&user.role.word()))
            && external.is_none_or(|asked| own.is_some_and(|own| own.eq_ignore_ascii_case(asked)))
            && role.is_none_or(|role| role == ADMIN_ROLE && user.role == Role::Admin)
    };
    let (host, rows) = (&world.host, &world.users);
    Shelf { name: "users", host, rows, wanted }.page(req, |id| world.user_json(id))
}

fn count(world: &World, caller: &Caller) -> Reply {
    ask::count(caller, world.users.values().filter(|user| user.active).count())
}

fn show_many(world: &World, req: &Req) -> Reply {
    let found = match req.q("external_ids") {
        Some(text) => words(Some(text)).map(|all| {
            all.iter().filter_map(|word| world.index.user_external.get(&word.to_lowercase()).copied()).collect()
        }),
        None => ids(req.q("ids")),
    };
    let found: Vec<i64> = match found {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let deleted = req.q("include_deleted") == Some("true");
    let users = found.iter().filter_map(|id| world.users.get(id)).filter(|user| user.active || deleted);
    let views: Vec<_> = users.map(|u| u.view(&world.host, &world.catalog.user_fields, false)).collect();
    Reply::ok(&json!({"users": views, "next_page": null, "previous_page": null, "count": views.len()}))
}

fn one(world: &mut World, caller: &Caller, req: &Req, method: &str, id: i64) -> Option<Reply> {
    let done = match method {
        "GET" => {
            let there = world.users.get(&id).is_some_and(|user| !user.permanently_deleted);
            return Some(if there { world.user_reply(200, id) } else { Reply::not_found() });
        }
        "PUT" => ask::given(req, "user").and_then(|given| Ok(world.change_user(caller, id, &given)?)),
        "DELETE" => world.delete_user(caller.by(), caller.now, id).map_err(Reply::from),
        _ => return None,
    };
    Some(done.map_or_else(|reply| reply, |()| user_ask::warn(world, req, world.user_reply(200, id))))
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    match ask::given(req, "user").and_then(|given| Ok(world.make_user(caller, &given)?)) {
        Ok(id) => user_ask::warn(world, req, world.user_reply(201, id)),
        Err(reply) => reply,
    }
}

fn create_or_update(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    match ask::given(req, "user").and_then(|given| Ok(upsert(world, caller, &given)?)) {
        Ok((id, made)) => user_ask::warn(world, req, world.user_reply(if made { 201 } else { 200 }, id)),
        Err(reply) => reply,
    }
}

/// Finds a user by external id or address and changes it, or makes one; answers whether it was made.
pub fn upsert(world: &mut World, caller: &Caller, given: &Value) -> Result<(i64, bool), Refusal> {
    let find = |index: &HashMap<String, i64>, key: &str| match &given[key] {
        Value::String(text) => index.get(&text.to_lowercase()).copied(),
        Value::Number(number) => index.get(&number.to_string()).copied(),
        _ => None,
    };
    let by_external = find(&world.index.user_external, "external_id");
    match by_external.or_else(|| find(&world.index.emails, "email")) {
        Some(id) => {
            world.change_user(caller, id, given)?;
            Ok((id, false))
        }
        None => Ok((world.make_user(caller, given)?, true)),
    }
}
