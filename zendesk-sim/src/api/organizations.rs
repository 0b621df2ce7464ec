//! `/organizations` and their merges (Z§4).
use super::{ask, user_ask};
use crate::acts::organizations::OrganizationPatch;
use crate::acts::{self, Refusal};
use crate::http::page::{List, Shelf, Ways};
use crate::http::{Caller, Reply, Req, ids, words};
use crate::world::World;
use crate::world::organization::Organization;
use crate::world::ticket::Gone;
use serde_json::{Value, json};

/// What a request may say of an organization.
const PERMITTED: &[&str] = &[
    "name",
    "external_id",
    "domain_names",
    "details",
    "notes",
    "group_id",
    "tags",
    "organization_fields",
    "shared_tickets",
    "shared_comments",
];

/// Answers `/organizations...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => {
            let (host, rows) = (&world.host, &world.organizations);
            Shelf { name: "organizations", host, rows, wanted: is_live }.page(req, |id| world.organization_json(id))
        }
        ("GET", ["count"]) => ask::count(caller, world.organizations.values().filter(|o| is_live(o)).count()),
        ("GET", ["show_many"]) => show_many(world, req),
        ("GET", ["search"]) => search(world, req),
        ("GET", ["autocomplete"]) => autocomplete(world, req),
        ("POST", []) => {
            let made = ask::given(req, "organization")
                .and_then(|given| Ok(world.create_organization(caller.by(), caller.now, patch(&given)?)?));
            made.map_or_else(|reply| reply, |id| warn(world, req, world.organization_reply(201, id)))
        }
        ("POST", ["create_or_update"]) => {
            match ask::given(req, "organization").and_then(|given| Ok(upsert(world, caller, &given)?)) {
                Ok((id, made)) => warn(world, req, world.organization_reply(if made { 201 } else { 200 }, id)),
                Err(reply) => reply,
            }
        }
        (_, ["create_many" | "update_many" | "destroy_many"]) => {
            return super::bulk::organizations(world, caller, req, parts[1]);
        }
        (_, [id, rest @ ..]) => match ask::id(req, id) {
            Ok(id) => return one(world, caller, req, id, rest),
            Err(reply) => reply,
        },
        _ => return None,
    };
    Some(reply)
}

fn is_live(organization: &Organization) -> bool {
    organization.deleted_at.is_none()
}

impl World {
    /// An organization as a value.
    pub fn organization_json(&self, id: i64) -> Value {
        let found = self.organizations.get(&id);
        found.map_or(Value::Null, |o| json!(o.view(&self.host, &self.catalog.organization_fields, false)))
    }

    /// An organization in its wrapper.
    pub fn organization_reply(&self, status: u16, id: i64) -> Reply {
        match self.organizations.get(&id).filter(|o| o.deleted_at.is_none()) {
            Some(_) => Reply::json(status, &json!({"organization": self.organization_json(id)}))
                .with("location", format!("{}/api/v2/organizations/{id}.json", self.host)),
            None => Reply::not_found(),
        }
    }
}

/// Zendesk names what it ignored in a header: keys of the organization and custom fields that do not exist.
fn warn(world: &World, req: &Req, reply: Reply) -> Reply {
    let fields = req.body["organization"]["organization_fields"].as_object();
    let known = |key: &&String| world.catalog.organization_fields.iter().any(|def| &&def.key == key);
    let unknown = fields.into_iter().flat_map(|map| map.keys()).filter(|key| !known(key));
    let unknown = unknown.map(|key| format!("organization.organization_fields.{key}")).collect();
    ask::warn(reply, req, "organization", PERMITTED, unknown)
}

fn patch(given: &Value) -> Result<OrganizationPatch, Refusal> {
    let mut given = given.clone();
    user_ask::tidy(&mut given, &["name", "external_id"]);
    acts::read(&given)
}

fn listed(world: &World, req: &Req, wanted: impl Fn(&Organization) -> bool) -> Reply {
    let found = world.organizations.values().filter(|o| is_live(o) && wanted(o));
    let ids = found.map(|o| o.id).collect();
    List { name: "organizations", host: &world.host, ids }.paged(req, Ways::Number, |id| world.organization_json(id))
}

/// By external id or by exact name, neither with regard to case.
fn search(world: &World, req: &Req) -> Reply {
    let index = &world.index;
    let found = match (req.q("external_id"), req.q("name")) {
        (Some(external), _) => index.organization_external.get(&external.to_lowercase()),
        (None, Some(name)) => index.organization_names.get(&name.to_lowercase()),
        (None, None) => return Reply::invalid(req, "external_id", "a string"),
    };
    let found = found.copied();
    listed(world, req, |o| Some(o.id) == found)
}

fn autocomplete(world: &World, req: &Req) -> Reply {
    let start = req.q("name").unwrap_or_default().to_lowercase();
    if start.chars().count() < 2 {
        return Reply::bad("InvalidValue", "name must be at least 2 characters long");
    }
    listed(world, req, |o| o.name.to_lowercase().starts_with(&start))
}

fn show_many(world: &World, req: &Req) -> Reply {
    let found = match req.q("external_ids") {
        Some(text) => words(Some(text)).map(|all| {
            let find = |word: &String| world.index.organization_external.get(&word.to_lowercase()).copied();
            all.iter().filter_map(find).collect()
        }),
        None => ids(req.q("ids")),
    };
    let found: Vec<i64> = match found {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let live = |id: &&i64| world.organizations.get(id).is_some_and(is_live);
    let rows: Vec<_> = found.iter().filter(live).map(|id| world.organization_json(*id)).collect();
    Reply::ok(&json!({"count": rows.len(), "organizations": rows, "next_page": null, "previous_page": null}))
}

fn one(world: &mut World, caller: &Caller, req: &Req, id: i64, rest: &[&str]) -> Option<Reply> {
    if !world.organizations.get(&id).is_some_and(is_live) && rest != ["merges"] {
        return Some(Reply::not_found());
    }
    let reply = match (req.method.as_str(), rest) {
        ("GET", []) => world.organization_reply(200, id),
        ("PUT", []) => change(world, caller, id, ask::given(req, "organization"))
            .map_or_else(|reply| reply, |()| warn(world, req, world.organization_reply(200, id))),
        ("DELETE", []) => {
            world.delete_organization(caller.by(), caller.now, id).map_or_else(Reply::from, |()| Reply::nothing())
        }
        ("POST", ["merge"]) => merge(world, caller, req, id),
        ("GET", ["merges"]) => {
            let all = world.merges.iter().filter(|(_, winner)| **winner == id);
            let rows: Vec<_> = all.map(|(loser, _)| merge_json(world, *loser)).collect();
            Reply::ok(&json!({"organization_merges": rows, "meta": {"has_more": false}, "links": {}}))
        }
        ("GET", ["related"]) => related(world, id),
        ("GET", ["organization_memberships"]) => super::memberships::list(world, req, None, Some(id)),
        ("GET", ["users"]) => {
            let is_in = |user: &crate::world::user::User| user.memberships.iter().any(|m| m.organization_id == id);
            let (host, rows) = (&world.host, &world.users);
            Shelf { name: "users", host, rows, wanted: is_in }.page(req, |id| world.user_json(id))
        }
        ("GET", ["tickets"]) => {
            super::tickets::list_of(world, req, |t| t.is_listed(caller.now) && t.organization_id == Some(id))
        }
        (method, ["tags"]) => {
            let before = world.organizations.get(&id)?.tags.clone();
            let status = if method == "POST" { 201 } else { 200 };
            let done = match super::ticket_parts::tags_after(req, &before) {
                Some(tags) => change(world, caller, id, Ok(json!({ "tags": tags }))),
                None => Ok(()),
            };
            let told = |()| Reply::json(status, &json!({"tags": world.organizations[&id].tags}));
            done.map_or_else(|reply| reply, told)
        }
        _ => return None,
    };
    Some(reply)
}

fn change(world: &mut World, caller: &Caller, id: i64, given: Result<Value, Reply>) -> Result<(), Reply> {
    Ok(world.update_organization(caller.by(), caller.now, id, patch(&given?)?)?)
}

fn related(world: &World, id: i64) -> Reply {
    let tickets = world.tickets.values().filter(|t| t.gone == Gone::No && t.organization_id == Some(id));
    let is_in = |user: &&crate::world::user::User| user.memberships.iter().any(|m| m.organization_id == id);
    let users = world.users.values().filter(|user| user.active).filter(is_in);
    Reply::ok(&json!({"organization_related": {"tickets_count": tickets.count(), "users_count": users.count()}}))
}

fn merge(world: &mut World, caller: &Caller, req: &Req, loser: i64) -> Reply {
    let winner = req.body["organization_merge"]["winner_id"].as_i64().unwrap_or_default();
    match world.merge_organizations(caller.by(), caller.now, loser, winner) {
        Ok(()) => {
            world.merges.insert(loser, winner);
            Reply::json(200, &json!({"organization_merge": merge_json(world, loser)}))
        }
        Err(refusal) => refusal.into(),
    }
}

/// A merge goes by the organization that it ended.
fn merge_json(world: &World, loser: i64) -> Value {
    let id = format!("01HPZM{loser:020}");
    json!({"id": id, "loser_id": loser, "winner_id": world.merges.get(&loser), "status": "complete",
        "url": format!("{}/api/v2/organization_merges/{id}.json", world.host)})
}

/// Answers `/organization_merges/{id}`.
pub fn merges(world: &World, req: &Req, rest: &[&str]) -> Option<Reply> {
    let ("GET", [id]) = (req.method.as_str(), rest) else { return None };
    let loser = id.strip_prefix("01HPZM").and_then(|text| text.parse().ok());
    let known = loser.filter(|loser| world.merges.contains_key(loser));
    let told = |loser| Reply::ok(&json!({"organization_merge": merge_json(world, loser)}));
    Some(known.map_or_else(Reply::not_found, told))
}

/// Finds an organization by id or external id and changes it, or makes one.
pub fn upsert(world: &mut World, caller: &Caller, given: &Value) -> Result<(i64, bool), Refusal> {
    let patch = patch(given)?;
    let external = patch.external_id.clone().flatten();
    let by_external = external.and_then(|text| world.index.organization_external.get(&text.to_lowercase()).copied());
    match patch.id.filter(|id| world.organizations.contains_key(id)).or(by_external) {
        Some(id) => {
            world.update_organization(caller.by(), caller.now, id, patch)?;
            Ok((id, false))
        }
        None => Ok((world.create_organization(caller.by(), caller.now, patch)?, true)),
    }
}
