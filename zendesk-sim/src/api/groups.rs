//! `/groups` and `/group_memberships` (Z§4).
use super::ask;
use crate::acts;
use crate::acts::groups::GroupPatch;
use crate::http::page::{List, Shelf};
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::membership::GroupMembership;
use serde_json::{Value, json};

/// What a request may say of a group.
const PERMITTED: &[&str] = &["name", "description", "is_public"];

impl World {
    /// A group as REST writes it.
    pub fn group_json(&self, id: i64) -> Value {
        let Some(group) = self.catalog.groups.iter().find(|group| group.id == id) else { return Value::Null };
        let default = self.catalog.groups.first().is_some_and(|first| first.id == id);
        json!({"id": id, "url": format!("{}/api/v2/groups/{id}.json", self.host), "name": group.name,
            "description": group.description, "default": default, "deleted": group.deleted,
            "is_public": group.is_public, "created_at": group.created_at, "updated_at": group.updated_at})
    }
}

/// Answers `/groups...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), rest) {
        ("GET", [] | ["assignable"]) => list(world, req, |_| true),
        ("GET", ["count"]) => ask::count(caller, world.catalog.groups.iter().filter(|group| !group.deleted).count()),
        ("POST", []) => {
            let made = ask::given(req, "group")
                .and_then(|given| Ok(world.create_group(caller.now, acts::read::<GroupPatch>(&given)?)?));
            told(world, req, 201, made)
        }
        (method, [id]) => match (method, ask::id(req, id)) {
            (_, Err(reply)) => reply,
            ("GET", Ok(id)) => match world.catalog.groups.iter().find(|group| group.id == id) {
                Some(_) => ask::one(200, "group", &world.group_json(id)),
                None => Reply::not_found(),
            },
            ("PUT", Ok(id)) => {
                let done = ask::given(req, "group").and_then(|given| {
                    world.update_group(caller.now, id, acts::read::<GroupPatch>(&given)?)?;
                    Ok(id)
                });
                told(world, req, 200, done)
            }
            ("DELETE", Ok(id)) => world.delete_group(caller.now, id).map_or_else(Reply::from, |()| Reply::nothing()),
            _ => return None,
        },
        ("GET", [id, "memberships"]) => {
            let id = id.parse::<i64>().ok()?;
            memberships(world, req, |m| m.group_id == id)
        }
        ("GET", [id, "users"]) => {
            let id = id.parse::<i64>().ok()?;
            let within = world.group_memberships.values().filter(|m| m.group_id == id);
            let ids = within.map(|m| m.user_id).collect();
            List { name: "users", host: &world.host, ids }.page(req, |id| world.user_json(id))
        }
        _ => return None,
    };
    Some(reply)
}

fn told(world: &World, req: &Req, status: u16, done: Result<i64, Reply>) -> Reply {
    let told = |id| ask::warn(ask::one(status, "group", &world.group_json(id)), req, "group", PERMITTED, vec![]);
    done.map_or_else(|reply| reply, told)
}

/// Groups that are there, of those wanted.
pub fn list(world: &World, req: &Req, wanted: impl Fn(i64) -> bool) -> Reply {
    let there = world.catalog.groups.iter().filter(|group| !group.deleted && wanted(group.id));
    let ids = there.map(|group| group.id).collect();
    List { name: "groups", host: &world.host, ids }.page(req, |id| world.group_json(id))
}

/// Memberships, of those wanted.
pub fn memberships(world: &World, req: &Req, wanted: impl Fn(&GroupMembership) -> bool) -> Reply {
    let rows = &world.group_memberships;
    Shelf { name: "group_memberships", host: &world.host, rows, wanted }.page(req, |id| world.group_membership_json(id))
}

/// Answers `/group_memberships...`, and the same below a user.
pub fn route_memberships(
    world: &mut World,
    caller: &Caller,
    req: &Req,
    of: Option<i64>,
    rest: &[&str],
) -> Option<Reply> {
    let reply = match (req.method.as_str(), rest) {
        ("GET", [] | ["assignable"]) => memberships(world, req, |m| of.is_none_or(|id| m.user_id == id)),
        ("POST", []) => {
            let given = &req.body["group_membership"];
            let user = of.or(given["user_id"].as_i64()).unwrap_or_default();
            let group = given["group_id"].as_i64().unwrap_or_default();
            let made = world.create_group_membership(caller.now, user, group, given["default"] == true);
            let told = |id| ask::one(201, "group_membership", &world.group_membership_json(id));
            made.map_or_else(Reply::from, told)
        }
        (method, [id, rest @ ..]) => {
            let own = |m: &&GroupMembership| of.is_none_or(|user| m.user_id == user);
            let found = world.group_memberships.get(&id.parse().ok()?).filter(own).map(|m| (m.id, m.user_id));
            let Some((id, user)) = found else { return Some(Reply::not_found()) };
            match (method, rest) {
                ("GET", []) => ask::one(200, "group_membership", &world.group_membership_json(id)),
                ("DELETE", []) => {
                    world.delete_group_membership(caller.now, id).map_or_else(Reply::from, |()| Reply::nothing())
                }
                ("PUT", ["make_default"]) => world
                    .make_default_group(caller.now, id)
                    .map_or_else(Reply::from, |()| memberships(world, req, |m| m.user_id == user)),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(reply)
}
