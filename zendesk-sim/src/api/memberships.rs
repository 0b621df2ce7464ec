//! `/organization_memberships`, and the same below users and organizations (Z§3).
use super::ask;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::user::{Membership, User};
use serde_json::{Value, json};

/// Answers `/organization_memberships...`, and the same below a user.
pub fn route(world: &mut World, caller: &Caller, req: &Req, of: Option<i64>, rest: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), rest) {
        ("GET", []) => list(world, req, of, None),
        ("POST", []) => {
            let given = &req.body["organization_membership"];
            let user = of.or(given["user_id"].as_i64()).unwrap_or_default();
            let organization = given["organization_id"].as_i64().unwrap_or_default();
            let made = world.create_membership(caller.now, user, organization, given["default"] == true);
            made.map_or_else(Reply::from, |id| told(world, 201, user, id))
        }
        (method, [id, rest @ ..]) => {
            let id = id.parse().ok()?;
            let owner = world.member_of(id).filter(|owner| of.is_none_or(|of| of == *owner));
            let Some(owner) = owner else { return Some(Reply::not_found()) };
            match (method, rest) {
                ("GET", []) => told(world, 200, owner, id),
                ("DELETE", []) => {
                    world.delete_membership(caller.now, owner, id).map_or_else(Reply::from, |()| Reply::nothing())
                }
                ("PUT", ["make_default"]) => world
                    .make_default_organization(caller.now, owner, id)
                    .map_or_else(Reply::from, |()| list(world, req, Some(owner), None)),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(reply)
}

/// Answers `/users/{id}/organizations...`.
pub fn organizations_of(world: &mut World, caller: &Caller, req: &Req, user: i64, rest: &[&str]) -> Option<Reply> {
    let place = |world: &World, organization: &str| {
        let memberships = world.users.get(&user).map(|user| user.memberships.as_slice()).unwrap_or_default();
        memberships.iter().find(|m| m.organization_id.to_string() == organization).map(|m| m.id)
    };
    let reply = match (req.method.as_str(), rest) {
        ("GET", []) => {
            let mut ids: Vec<_> = world.users.get(&user)?.memberships.iter().map(|m| m.organization_id).collect();
            ids.sort_unstable();
            List { name: "organizations", host: &world.host, ids }.page(req, |id| world.organization_json(id))
        }
        ("DELETE", [organization]) => match place(world, organization) {
            Some(id) => world.delete_membership(caller.now, user, id).map_or_else(Reply::from, |()| Reply::nothing()),
            None => Reply::not_found(),
        },
        ("PUT", [organization, "make_default"]) => match place(world, organization) {
            Some(id) => world
                .make_default_organization(caller.now, user, id)
                .map_or_else(Reply::from, |()| list(world, req, Some(user), None)),
            None => Reply::not_found(),
        },
        _ => return None,
    };
    Some(reply)
}

/// Memberships, of one user, of one organization, or all.
pub fn list(world: &World, req: &Req, of: Option<i64>, within: Option<i64>) -> Reply {
    let one = of.and_then(|id| world.users.get(&id));
    let all = world.users.values().filter(|_| of.is_none()).chain(one).filter(|user| user.active);
    let all = all.flat_map(|user| user.memberships.iter().map(move |m| (m, user.id)));
    let wanted = all.filter(|(m, _)| within.is_none_or(|id| id == m.organization_id));
    let mut owners: Vec<_> = wanted.map(|(m, owner)| (m.id, owner)).collect();
    owners.sort_unstable();
    let ids = owners.iter().map(|(id, _)| *id).collect();
    List { name: "organization_memberships", host: &world.host, ids }.page(req, |id| {
        let place = owners.binary_search_by_key(&id, |(id, _)| *id);
        place.map_or(Value::Null, |place| write(world, owners[place].1, id))
    })
}

fn told(world: &World, status: u16, owner: i64, id: i64) -> Reply {
    ask::one(status, "organization_membership", &write(world, owner, id))
}

fn write(world: &World, owner: i64, id: i64) -> Value {
    let found = world.users.get(&owner).and_then(|user| Some((user, user.memberships.iter().find(|m| m.id == id)?)));
    found.map_or(Value::Null, |(user, membership)| as_rest(world, user, membership))
}

fn as_rest(world: &World, user: &User, m: &Membership) -> Value {
    let name = world.organizations.get(&m.organization_id).map(|o| o.name.as_str());
    json!({"id": m.id, "url": format!("{}/api/v2/organization_memberships/{}.json", world.host, m.id),
        "user_id": user.id, "organization_id": m.organization_id, "organization_name": name,
        "default": (user.organization_id == Some(m.organization_id)).then_some(true),
        "view_tickets": true, "created_at": m.created_at, "updated_at": m.created_at})
}
