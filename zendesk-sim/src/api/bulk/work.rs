//! Jobs at work: each row has its effect when its time comes, not when it was asked for.
use crate::acts::{self, Refusal};
use crate::api::{organizations, tickets, users};
use crate::http::Caller;
use crate::server::Shared;
use crate::time::Stamp;
use crate::world::World;
use crate::world::jobs::{Deed, Fate, Kind};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

type Done = Result<Value, Refusal>;

/// How often, in real time, jobs are looked after when nobody asks for anything.
const TICK: Duration = Duration::from_millis(100);

/// Keeps jobs at work on a clock that goes by itself.
pub async fn background(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TICK).await;
        let busy = {
            let mut gate = shared.gate();
            let busy = !gate.world.jobs.in_flight().is_empty();
            work(&mut gate.world, shared.clock.now_ms());
            busy
        };
        if busy {
            // What a job did may be told to webhooks.
            shared.wake.notify_one();
        }
    }
}

/// Lets every job do what falls due by this simulated millisecond.
pub fn work(world: &mut World, now_ms: i64) {
    if world.jobs.all.is_empty() {
        return;
    }
    world.jobs.forget(now_ms);
    for place in 0..world.jobs.all.len() {
        while let Some((deed, caller, row, index)) = next_row(world, place, now_ms) {
            let done = carry_out(world, &caller, deed, index, &row).unwrap_or_else(|e| failed(deed, index, &row, &e));
            world.jobs.all[place].results.push(done);
        }
        end(world, place, now_ms);
    }
}

/// The next row of a job whose time has come.
fn next_row(world: &World, place: usize, now_ms: i64) -> Option<(Deed, Caller, Value, usize)> {
    let (settings, job) = (&world.jobs.settings, &world.jobs.all[place]);
    let index = job.results.len();
    let due = settings.queued_ms + settings.row_ms * (index as i64 + 1);
    if job.ended_ms.is_some() || index >= job.reach() || job.age(now_ms) < due {
        return None;
    }
    let caller = Caller { now: Stamp(now_ms.div_euclid(1000)), now_ms, ..job.caller.clone() };
    Some((job.deed, caller, job.rows.get(index).cloned().unwrap_or_default(), index))
}

fn end(world: &mut World, place: usize, now_ms: i64) {
    let (queued_ms, row_ms) = (world.jobs.settings.queued_ms, world.jobs.settings.row_ms);
    let job = &mut world.jobs.all[place];
    // Without rows to work on a job still takes a row's time.
    let due = queued_ms + row_ms * job.reach().max(1) as i64;
    let over = job.results.len() >= job.reach() && job.age(now_ms) >= due;
    if job.ended_ms.is_none() && job.fate != Fate::Stuck && over {
        job.ended_ms = Some(now_ms);
        job.rows = Vec::new();
    }
}

/// A row that could not be done: by id if it has one, by its place in the request otherwise.
fn failed(deed: Deed, index: usize, row: &Value, refusal: &Refusal) -> Value {
    let (error, details) = refusal.row();
    let mut failed = json!({"action": deed.action(), "success": false, "error": error, "details": details});
    match row.get("id") {
        Some(id) => failed["id"] = id.clone(),
        None => failed["index"] = index.into(),
    }
    failed
}

fn carry_out(world: &mut World, caller: &Caller, deed: Deed, index: usize, row: &Value) -> Done {
    match deed {
        Deed::Create(kind) => create(world, caller, kind, index, row),
        Deed::Upsert(_) => upsert(world, caller, row),
        Deed::Update(kind) => update(world, caller, kind, row),
        Deed::Delete(kind) => delete(world, caller, kind, row),
        Deed::Erase => {
            let id = meant(world, Kind::Ticket, row)?;
            world.permanently_delete_ticket(caller.by(), caller.now, id)?;
            Ok(json!({"id": id, "action": "delete", "status": "Deleted", "success": true}))
        }
        Deed::Spam => {
            let id = meant(world, Kind::Ticket, row)?;
            world.mark_as_spam(caller.by(), caller.now, id)?;
            Ok(json!({"id": id, "action": "delete", "status": "Deleted", "success": true}))
        }
        Deed::Merge => merge(world, caller, row),
    }
}

/// Merges everything at its first row; a later one tells whether its ticket was.
fn merge(world: &mut World, caller: &Caller, row: &Value) -> Done {
    let (id, target) = (row["id"].as_i64().unwrap_or_default(), row["target"].as_i64().unwrap_or_default());
    if row.get("ids").is_some() {
        let (ids, said): (Vec<i64>, [(String, bool); 2]) = (acts::read(&row["ids"])?, acts::read(&row["said"])?);
        let said = [(said[0].0.as_str(), said[0].1), (said[1].0.as_str(), said[1].1)];
        world.merge_tickets(caller.by(), caller.now, target, &ids, said)?;
    }
    if world.tickets.get(&id).is_none_or(|ticket| ticket.merged_into != Some(target)) {
        return Err(Refusal::invalid("base", format!("Ticket {id} cannot be merged"), "InvalidValue"));
    }
    Ok(json!({"id": id, "action": "update", "status": "Updated", "success": true}))
}

fn create(world: &mut World, caller: &Caller, kind: Kind, index: usize, row: &Value) -> Done {
    let (by, now) = (caller.by(), caller.now);
    let number = |name: &str| row[name].as_i64().unwrap_or_default();
    let default = row["default"] == true;
    let id = match kind {
        Kind::User => world.make_user(caller, row)?,
        Kind::Organization => world.create_organization(by, now, acts::read(row)?)?,
        Kind::Ticket => {
            let id = world.make_ticket(caller, row)?;
            return Ok(json!({"index": index, "id": id, "account_id": world.account_id}));
        }
        Kind::Membership => world.create_membership(now, number("user_id"), number("organization_id"), default)?,
        Kind::GroupMembership => world.create_group_membership(now, number("user_id"), number("group_id"), default)?,
    };
    Ok(json!({"id": id, "status": "Created"}))
}

/// Changes a user or makes it; the row is known again by what it was found with.
fn upsert(world: &mut World, caller: &Caller, row: &Value) -> Done {
    let (id, made) = users::upsert(world, caller, row)?;
    let mut result = json!({"id": id, "status": if made { "Created" } else { "Updated" },
        "action": if made { "create" } else { "update" }, "success": true});
    for key in ["email", "external_id"] {
        if let Some(value) = row.get(key) {
            result[key] = value.clone();
        }
    }
    Ok(result)
}

fn update(world: &mut World, caller: &Caller, kind: Kind, row: &Value) -> Done {
    let id = meant(world, kind, row)?;
    match kind {
        Kind::User => world.change_user(caller, id, row)?,
        Kind::Organization => {
            let mut row = row.clone();
            row["id"] = id.into();
            organizations::upsert(world, caller, &row).map(|_| ())?;
        }
        Kind::Ticket => {
            let mut row = row.clone();
            // Bulk updates are always safe: a stamp is enough to ask for it.
            if row.get("updated_stamp").is_some() {
                row["safe_update"] = true.into();
            }
            tickets::update(world, caller, id, &row)?;
        }
        // No endpoint changes memberships.
        Kind::Membership | Kind::GroupMembership => return Err(Refusal::NotFound),
    }
    Ok(json!({"id": id, "action": "update", "status": "Updated", "success": true}))
}

fn delete(world: &mut World, caller: &Caller, kind: Kind, row: &Value) -> Done {
    let id = meant(world, kind, row)?;
    let (by, now) = (caller.by(), caller.now);
    match kind {
        Kind::User => world.delete_user(by, now, id)?,
        Kind::Organization => world.delete_organization(by, now, id)?,
        Kind::Ticket => world.delete_ticket(by, now, id)?,
        Kind::Membership => {
            let owner = world.member_of(id).ok_or(Refusal::NotFound)?;
            world.delete_membership(now, owner, id)?;
        }
        Kind::GroupMembership => world.delete_group_membership(now, id)?,
    }
    Ok(json!({"id": id, "action": "delete", "status": "Deleted", "success": true}))
}

/// The record that a row is about, by id or external id.
fn meant(world: &World, kind: Kind, row: &Value) -> Result<i64, Refusal> {
    let external = row["external_id"].as_str().unwrap_or_default().to_lowercase();
    let by_external = || match kind {
        Kind::User => world.index.user_external.get(&external).copied(),
        Kind::Organization => world.index.organization_external.get(&external).copied(),
        Kind::Ticket | Kind::Membership | Kind::GroupMembership => None,
    };
    let id = row["id"].as_i64().or_else(by_external).ok_or(Refusal::NotFound)?;
    let there = match kind {
        Kind::User => world.users.contains_key(&id),
        Kind::Organization => world.organizations.contains_key(&id),
        Kind::Ticket => world.tickets.contains_key(&id),
        Kind::Membership => world.member_of(id).is_some(),
        Kind::GroupMembership => world.group_memberships.contains_key(&id),
    };
    if there { Ok(id) } else { Err(Refusal::NotFound) }
}
