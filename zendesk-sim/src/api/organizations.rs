//! `/organizations`.
use crate::acts::organizations::OrganizationPatch;
use crate::acts::{self, Refusal};
use crate::http::page::List;
use crate::http::{Caller, Reply, Req, ids, words};
use crate::world::World;
use serde_json::{Value, json};

/// Answers `/organizations...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => list(world, req, "organizations", |_| true),
        ("GET", ["count"]) => {
            let value = world.organizations.values().filter(|o| o.deleted_at.is_none()).count();
            Reply::ok(&json!({"count": {"value": value, "refreshed_at": caller.now}}))
        }
        ("GET", ["show_many"]) => show_many(world, req),
        ("GET", ["search"]) => {
            let external = req.q("external_id").map(str::to_lowercase);
            let name = req.q("name").map(str::to_lowercase);
            list(world, req, "organizations", |o| {
                name.as_ref().is_some_and(|n| o.name.to_lowercase() == *n)
                    || external.as_ref().is_some_and(|e| o.external_id.as_ref().is_some_and(|x| x.to_lowercase() == *e))
            })
        }
        ("GET", ["autocomplete"]) => {
            let start = req.q("name").unwrap_or_default().to_lowercase();
            list(world, req, "organizations", |o| o.name.to_lowercase().starts_with(&start))
        }
        ("POST", []) => {
            let made = acts::read::<OrganizationPatch>(&req.body["organization"])
                .and_then(|patch| world.create_organization(caller.by(), caller.now, patch));
            made.map_or_else(Reply::from, |id| world.organization_reply(201, id))
        }
        ("POST", ["create_or_update"]) => match upsert(world, caller, &req.body["organization"]) {
            Ok((id, made)) => world.organization_reply(if made { 201 } else { 200 }, id),
            Err(refusal) => refusal.into(),
        },
        (_, ["create_many" | "update_many" | "destroy_many"]) => {
            return super::bulk::organizations(world, caller, req, parts[1]);
        }
        (method, [id]) => one(world, caller, req, method, id.parse().ok()?)?,
        ("POST", [loser, "merge"]) => {
            let winner = req.body["organization_merge"]["winner_id"].as_i64().unwrap_or_default();
            let merged = world.merge_organizations(caller.by(), caller.now, loser.parse().ok()?, winner);
            merged.map_or_else(Reply::from, |()| {
                let id = format!("01J0MERGE{loser}");
                Reply::json(
                    200,
                    &json!({"organization_merge": {"id": id, "loser_id": loser.parse::<i64>().ok(),
                    "winner_id": winner, "status": "complete",
                    "url": format!("{}/api/v2/organization_merges/{id}.json", world.host)}}),
                )
            })
        }
        ("GET", [id, "organization_memberships"]) => super::memberships::list(world, req, None, id.parse().ok()),
        ("GET", [id, "users"]) => {
            let id = id.parse().ok()?;
            let members = world.users.values().filter(|u| u.active && u.organization_id == Some(id));
            let ids = members.map(|user| user.id).collect();
            List { name: "users", host: &world.host, ids }.page(req, |id| world.user_json(id))
        }
        ("GET", [id, "tickets"]) => {
            let id = id.parse().ok()?;
            super::tickets::list_of(world, req, |t| t.is_listed(caller.now) && t.organization_id == Some(id))
        }
        _ => return None,
    };
    Some(reply)
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

fn list(
    world: &World,
    req: &Req,
    name: &'static str,
    wanted: impl Fn(&crate::world::organization::Organization) -> bool,
) -> Reply {
    let live = world.organizations.values().filter(|o| o.deleted_at.is_none() && wanted(o));
    let ids = live.map(|o| o.id).collect();
    List { name, host: &world.host, ids }.page(req, |id| world.organization_json(id))
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
    let live = |id: &&i64| world.organizations.get(id).is_some_and(|o| o.deleted_at.is_none());
    let rows: Vec<_> = found.iter().filter(live).map(|id| world.organization_json(*id)).collect();
    Reply::ok(&json!({"count": rows.len(), "organizations": rows, "next_page": null, "previous_page": null}))
}

fn one(world: &mut World, caller: &Caller, req: &Req, method: &str, id: i64) -> Option<Reply> {
    Some(match method {
        "GET" => world.organization_reply(200, id),
        "PUT" => acts::read::<OrganizationPatch>(&req.body["organization"])
            .and_then(|patch| world.update_organization(caller.by(), caller.now, id, patch))
            .map_or_else(Reply::from, |()| world.organization_reply(200, id)),
        "DELETE" => {
            world.delete_organization(caller.by(), caller.now, id).map_or_else(Reply::from, |()| Reply::nothing())
        }
        _ => return None,
    })
}

/// Finds an organization by id or external id and changes it, or makes one.
pub fn upsert(world: &mut World, caller: &Caller, given: &Value) -> Result<(i64, bool), Refusal> {
    let patch = acts::read::<OrganizationPatch>(given)?;
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
