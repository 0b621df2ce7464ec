//! Bulk calls: a request becomes a job, which is polled to its end (Z§5).
pub mod status;
pub mod work;

use crate::http::{Caller, Reply, Req, ids, words};
use crate::world::World;
use crate::world::jobs::{Deed, Fate, Job, Kind};
use crate::world::ticket::Gone;
use rand::RngExt;
use serde_json::{Value, json};

/// How many rows a call may have.
const ROWS: usize = 100;

/// Queues the merging of tickets into another one: the first row has all there is to do, the others tell of their ticket.
pub fn merge(world: &mut World, caller: &Caller, target: i64, ids: &[i64], said: [(String, bool); 2]) -> Reply {
    let mut rows: Vec<_> = ids.iter().map(|id| json!({"id": id, "target": target})).collect();
    if let Some(first) = rows.first_mut() {
        (first["ids"], first["said"]) = (json!(ids), json!(said));
    }
    queue(world, caller, Deed::Merge, rows, None)
}

/// Queues a job, unless too many are on their way.
fn queue(world: &mut World, caller: &Caller, deed: Deed, rows: Vec<Value>, whole: Option<Value>) -> Reply {
    let most = world.jobs.settings.in_flight;
    let on_way = world.jobs.in_flight();
    if on_way.len() >= most {
        let words = format!("Too many {} jobs are currently queued or running. Try again later.", class(deed));
        let body = json!({"error": "TooManyJobs", "description": words, "current_job_ids": on_way});
        return in_flight(Reply::json(429, &body).with("retry-after", "1"), most, 0);
    }
    let id = format!("V3-{:032x}", world.chance.random::<u128>());
    let job = Job {
        id,
        deed,
        caller: caller.clone(),
        queued_ms: caller.now_ms,
        borrowed_ms: 0,
        total: rows.len(),
        rows,
        results: Vec::new(),
        whole,
        fate: fate(world),
        ended_ms: None,
    };
    let told = status::job_json(world, &job, caller.now_ms);
    world.jobs.all.push_back(job);
    in_flight(Reply::ok(&json!({ "job_status": told })), most, most - on_way.len() - 1)
}

fn in_flight(reply: Reply, most: usize, left: usize) -> Reply {
    reply.with("zendesk-ratelimit-inflight-jobs", format!("total={most}; remaining={left}; resets=60"))
}

/// How the next job ends, as the faults have it.
fn fate(world: &mut World) -> Fate {
    let faults = &world.faults;
    let (stuck, fail, kill) = (faults.job_stuck_share, faults.job_fail_share, faults.job_kill_share);
    if stuck + fail + kill <= 0.0 {
        return Fate::Completed;
    }
    let roll: f64 = world.chance.random();
    match roll {
        roll if roll < stuck => Fate::Stuck,
        roll if roll < stuck + fail => Fate::Failed,
        roll if roll < stuck + fail + kill => Fate::Killed,
        _ => Fate::Completed,
    }
}

/// The name of the worker in the words for too many jobs, as recorded for users.
fn class(deed: Deed) -> &'static str {
    match deed {
        Deed::Create(Kind::User) | Deed::Upsert(_) => "UserBulkCreateJob",
        Deed::Update(Kind::User) | Deed::Delete(Kind::User) => "UserBulkUpdateJobV2",
        Deed::Create(Kind::Organization) => "OrganizationBulkCreateJob",
        Deed::Update(Kind::Organization) => "OrganizationBulkUpdateJob",
        Deed::Delete(Kind::Organization) => "OrganizationBulkDeleteJob",
        Deed::Create(Kind::Ticket) => "TicketBulkImportJob",
        Deed::Erase => "TicketBulkScrubJob",
        Deed::Update(Kind::Ticket) | Deed::Delete(Kind::Ticket) | Deed::Spam | Deed::Merge => "TicketBulkUpdateJob",
        Deed::Create(Kind::Membership | Kind::GroupMembership) => "MembershipBulkCreateJob",
        Deed::Update(Kind::Membership | Kind::GroupMembership) => "MembershipBulkUpdateJob",
        Deed::Delete(Kind::Membership | Kind::GroupMembership) => "MembershipBulkDeleteJob",
    }
}

/// Answers the bulk calls of `/users`.
pub fn users(world: &mut World, caller: &Caller, req: &Req, verb: &str) -> Option<Reply> {
    if matches!(verb, "create_many" | "create_or_update_many") && !world.jobs.settings.bulk_import {
        return Some(Reply::forbidden());
    }
    call(world, caller, req, verb, Kind::User, ("users", "user"))
}

/// Answers the bulk calls of `/organizations`.
pub fn organizations(world: &mut World, caller: &Caller, req: &Req, verb: &str) -> Option<Reply> {
    call(world, caller, req, verb, Kind::Organization, ("organizations", "organization"))
}

/// Answers the bulk calls of `/tickets`.
pub fn tickets(world: &mut World, caller: &Caller, req: &Req, verb: &str) -> Option<Reply> {
    call(world, caller, req, verb, Kind::Ticket, ("tickets", "ticket"))
}

/// Answers the bulk calls of both kinds of memberships.
pub fn memberships(world: &mut World, caller: &Caller, req: &Req, of: &str, verb: &str) -> Option<Reply> {
    match of {
        "group_memberships" => {
            call(world, caller, req, verb, Kind::GroupMembership, ("group_memberships", "group_membership"))
        }
        _ => {
            let names = ("organization_memberships", "organization_membership");
            call(world, caller, req, verb, Kind::Membership, names)
        }
    }
}

/// Leaves nothing of deleted tickets but their shells; of none that is not there.
pub fn erase(world: &mut World, caller: &Caller, ids: &[i64]) -> Reply {
    let gone = |id: &i64| world.tickets.get(id).is_some_and(|ticket| ticket.gone == Gone::Deleted);
    if ids.is_empty() || !ids.iter().all(gone) {
        return Reply::not_found();
    }
    let rows = ids.iter().map(|id| json!({ "id": id })).collect();
    queue(world, caller, Deed::Erase, rows, Some(json!({"success": true})))
}

fn call(
    world: &mut World,
    caller: &Caller,
    req: &Req,
    verb: &str,
    kind: Kind,
    names: (&'static str, &'static str),
) -> Option<Reply> {
    let (deed, past) = match (req.method.as_str(), verb) {
        ("POST", "create_many") => (Deed::Create(kind), "created"),
        ("POST", "create_or_update_many") if kind == Kind::User => (Deed::Upsert(kind), "updated"),
        ("PUT", "update_many") if !matches!(kind, Kind::Membership | Kind::GroupMembership) => {
            (Deed::Update(kind), "updated")
        }
        ("DELETE", "destroy_many") => (Deed::Delete(kind), "deleted"),
        ("PUT", "mark_many_as_spam") if kind == Kind::Ticket => (Deed::Spam, "updated"),
        _ => return None,
    };
    let rows = match rows(world, req, kind, names) {
        Ok(rows) => rows,
        Err(reply) => return Some(reply),
    };
    if rows.len() > ROWS {
        let words = format!("Maximum {ROWS} {} may be {past} per call", names.0.replace('_', " "));
        return Some(Reply::bad("TooManyValues", &words));
    }
    Some(queue(world, caller, deed, rows, None))
}

/// The rows of a request: a list of records, or the same change for every id in the query.
fn rows(world: &World, req: &Req, kind: Kind, (many, one): (&str, &str)) -> Result<Vec<Value>, Reply> {
    if let Some(list) = req.body[many].as_array() {
        return Ok(list.clone());
    }
    if req.q("ids").is_none() && req.q("external_ids").is_none() {
        return Err(Reply::bad("InvalidValue", &format!("{many} or ids is missing")));
    }
    let change = || if req.body[one].is_object() { req.body[one].clone() } else { json!({}) };
    let with = |name: &str, value: Value| {
        let mut row = change();
        row[name] = value;
        row
    };
    let mut found: Vec<_> = ids(req.q("ids"))?.into_iter().map(|id| with("id", id.into())).collect();
    for external in words(req.q("external_ids"))? {
        let known = find_external(world, kind, &external);
        found.push(known.map_or_else(|| with("external_id", external.into()), |id| with("id", id.into())));
    }
    Ok(found)
}

/// The record of this external id.
fn find_external(world: &World, kind: Kind, external: &str) -> Option<i64> {
    let lower = external.to_lowercase();
    match kind {
        Kind::User => world.index.user_external.get(&lower).copied(),
        Kind::Organization => world.index.organization_external.get(&lower).copied(),
        Kind::Ticket => world.tickets.values().find(|t| t.external_id.as_deref() == Some(external)).map(|t| t.id),
        Kind::Membership | Kind::GroupMembership => None,
    }
}
