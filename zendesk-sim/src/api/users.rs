//! `/users` and one user.
use crate::acts::users::UserPatch;
use crate::acts::{self, Refusal};
use crate::http::page::List;
use crate::http::{Caller, Reply, Req, ids, words};
use crate::world::World;
use crate::world::user::User;
use serde_json::{Value, json};

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
        (method, [id]) => one(world, caller, req, method, id.parse().ok()?)?,
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
    let wanted = |user: &&User| {
        user.active
            && (roles.is_empty() || roles.contains(&user.role.word()))
            && req
                .q("external_id")
                .is_none_or(|e| user.external_id.as_deref().is_some_and(|x| x.eq_ignore_ascii_case(e)))
    };
    let ids = world.users.values().filter(wanted).map(|user| user.id).collect();
    List { name: "users", host: &world.host, ids }.page(req, |id| world.user_json(id))
}

fn count(world: &World, caller: &Caller) -> Reply {
    let value = world.users.values().filter(|user| user.active).count();
    Reply::ok(&json!({"count": {"value": value, "refreshed_at": caller.now}}))
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
    let outcome = match method {
        "GET" => {
            let there = world.users.get(&id).is_some_and(|user| !user.permanently_deleted);
            return Some(if there { world.user_reply(200, id) } else { Reply::not_found() });
        }
        "PUT" => acts::read::<UserPatch>(&req.body["user"])
            .and_then(|patch| world.update_user(caller.by(), caller.now, id, patch)),
        "DELETE" => world.delete_user(caller.by(), caller.now, id),
        _ => return None,
    };
    Some(match outcome {
        Ok(()) => warn_unknown(world, world.user_reply(200, id), &req.body["user"]),
        Err(refusal) => refusal.into(),
    })
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let made =
        acts::read::<UserPatch>(&req.body["user"]).and_then(|patch| world.create_user(caller.by(), caller.now, patch));
    match made {
        Ok(id) => warn_unknown(world, world.user_reply(201, id), &req.body["user"]),
        Err(refusal) => refusal.into(),
    }
}

/// Zendesk names what it ignored in a header.
fn warn_unknown(world: &World, reply: Reply, given: &Value) -> Reply {
    let known = |key: &String| world.catalog.user_fields.iter().any(|def| &def.key == key);
    let fields = given["user_fields"].as_object();
    let unknown: Vec<_> = fields.into_iter().flat_map(|map| map.keys()).filter(|key| !known(key)).cloned().collect();
    match unknown.is_empty() {
        true => reply,
        false => reply.with("x-zendesk-api-warn", format!("unpermitted_keys: {}", json!(unknown))),
    }
}

fn create_or_update(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    match upsert(world, caller, &req.body["user"]) {
        Ok((id, made)) => warn_unknown(world, world.user_reply(if made { 201 } else { 200 }, id), &req.body["user"]),
        Err(refusal) => refusal.into(),
    }
}

/// Finds a user by external id or address and changes it, or makes one; answers whether it was made.
pub fn upsert(world: &mut World, caller: &Caller, given: &Value) -> Result<(i64, bool), Refusal> {
    let patch = acts::read::<UserPatch>(given)?;
    let external = patch.external_id.clone().flatten();
    let by_external = external.and_then(|text| world.index.user_external.get(&text.to_lowercase()).copied());
    let email = patch.email.clone().flatten();
    let by_email = email.and_then(|text| world.index.emails.get(&text.to_lowercase()).copied());
    match by_external.or(by_email) {
        Some(id) => {
            world.update_user(caller.by(), caller.now, id, patch)?;
            Ok((id, false))
        }
        None => Ok((world.create_user(caller.by(), caller.now, patch)?, true)),
    }
}
