//! `/users/{id}/identities` (Z§3).
use super::ask;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::user::User;
use serde_json::{Value, json};

/// Answers `/users/{id}/identities...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, user: i64, rest: &[&str]) -> Option<Reply> {
    let now = caller.now;
    let (first, what) = match rest {
        [] => (None, rest),
        [id, what @ ..] => (Some(id.parse::<i64>().ok()?), what),
    };
    let reply = match (req.method.as_str(), first, what) {
        ("GET", None, _) => identities(world, req, user),
        ("POST", None, _) => match ask::given(req, "identity") {
            Ok(given) => world
                .create_identity(user, now, &given)
                .map_or_else(Reply::from, |id| identity_reply(world, 201, user, id)),
            Err(reply) => reply,
        },
        ("GET", Some(id), []) => identity_reply(world, 200, user, id),
        ("PUT", Some(id), []) => change(world, caller, user, id, &req.body["identity"]),
        ("PUT", Some(id), ["verify"]) => change(world, caller, user, id, &json!({"verified": true})),
        ("PUT" | "POST", Some(id), ["make_primary"]) => {
            world.make_primary(user, id, now).map_or_else(Reply::from, |()| identities(world, req, user))
        }
        ("PUT", Some(id), ["request_verification"]) => match identity_reply(world, 200, user, id) {
            reply if reply.status == 200 => Reply::ok(&""),
            reply => reply,
        },
        ("DELETE", Some(id), []) => {
            world.delete_identity(user, id, now).map_or_else(Reply::from, |()| Reply::nothing())
        }
        _ => return None,
    };
    Some(reply)
}

fn change(world: &mut World, caller: &Caller, user: i64, id: i64, given: &Value) -> Reply {
    let done = world.update_identity(user, id, caller.now, given);
    done.map_or_else(Reply::from, |()| identity_reply(world, 200, user, id))
}

fn identities(world: &World, req: &Req, id: i64) -> Reply {
    let Some(user) = world.users.get(&id).filter(|user| user.active) else { return Reply::not_found() };
    let kinds: Vec<_> =
        req.query.iter().filter(|(k, _)| k == "type[]" || k == "type").map(|(_, v)| v.as_str()).collect();
    let wanted = user.identities.iter().filter(|i| kinds.is_empty() || kinds.contains(&i.kind.as_ref()));
    let all: Vec<_> = wanted.map(|i| i.id).collect();
    List { name: "identities", host: &world.host, ids: all }
        .page(req, |identity| identity_json(user, identity, &world.host))
}

fn identity_json(user: &User, identity: i64, host: &str) -> Value {
    let found = user.identities.iter().find(|i| i.id == identity);
    found.map_or(Value::Null, |i| i.as_rest(user.id, host))
}

fn identity_reply(world: &World, status: u16, user_id: i64, identity: i64) -> Reply {
    let found = world.users.get(&user_id).filter(|user| user.active).map(|u| identity_json(u, identity, &world.host));
    match found.filter(|value| !value.is_null()) {
        Some(value) => Reply::json(status, &json!({ "identity": value })),
        None => Reply::not_found(),
    }
}
