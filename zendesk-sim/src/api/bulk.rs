//! Bulk calls: done at once, told as a job that is polled to its end.
use super::{organizations, tickets, users};
use crate::acts::Refusal;
use crate::http::{Caller, Reply, Req, ids, words};
use crate::world::{Job, World};
use rand::RngExt;
use serde_json::{Value, json};

/// How many jobs may be on their way at once.
const IN_FLIGHT: usize = 30;

/// How long, in simulated milliseconds, a job is queued and then at work.
const QUEUED_MS: i64 = 300;
const WORKING_MS: i64 = 600;

/// How long its outcome is told.
const KEPT_MS: i64 = 3_600_000;

type Done = Result<Value, Refusal>;

/// What is done with one row.
type Each<'a> = dyn FnMut(&mut World, &Value) -> Done + 'a;

/// What to do with each row of a request.
struct Plan<'a> {
    word: &'static str,
    action: &'static str,
    rows: Vec<Value>,
    each: &'a mut Each<'a>,
}

/// Keeps a job that is done and answers as if it were queued.
pub fn finish(world: &mut World, caller: &Caller, total: usize, results: Value) -> Reply {
    let id = format!("V3-{:032x}", world.chance.random::<u128>());
    world.jobs.push_back(Job { id: id.clone(), queued_ms: caller.now_ms, polls: 0, total, results });
    if world.jobs.len() > 2_000 {
        world.jobs.pop_front();
    }
    let left = IN_FLIGHT - busy(world, caller).len().min(IN_FLIGHT);
    Reply::ok(&json!({"job_status": job_json(world, caller, &id)}))
        .with("zendesk-ratelimit-inflight-jobs", format!("total={IN_FLIGHT}; remaining={left}; resets=60"))
}

fn busy(world: &World, caller: &Caller) -> Vec<String> {
    // On a driven clock no time passes between a request and the next, so jobs are done at once there.
    let on_way = |job: &&Job| caller.now_ms - job.queued_ms < WORKING_MS && caller.now_ms > job.queued_ms;
    world.jobs.iter().rev().take(200).filter(on_way).map(|job| job.id.clone()).collect()
}

fn job_json(world: &World, caller: &Caller, id: &str) -> Value {
    let Some(job) = world.jobs.iter().find(|job| job.id == id) else { return Value::Null };
    let age = caller.now_ms - job.queued_ms + job.polls * QUEUED_MS;
    let url = format!("{}/api/v2/job_statuses/{id}.json", world.host);
    let mut value = json!({"id": id, "url": url, "total": job.total, "progress": null, "status": "queued",
        "message": null, "results": null});
    if age >= WORKING_MS {
        value["status"] = "completed".into();
        value["progress"] = job.total.into();
        let at = crate::time::Stamp((job.queued_ms + WORKING_MS) / 1000).to_string();
        value["message"] = format!("Completed at {} +0000", at.replace('T', " ").trim_end_matches('Z')).into();
        value["results"] = job.results.clone();
        if job.results.is_object() {
            (value["total"], value["progress"]) = (Value::Null, Value::Null);
        }
    } else if age >= QUEUED_MS {
        value["status"] = "working".into();
        value["progress"] = (job.total / 2).into();
        value["message"] = "Working".into();
    }
    value
}

/// Answers `/job_statuses...`.
pub fn status(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let asked = req.q("ids").unwrap_or(parts.get(1).copied().unwrap_or_default()).to_owned();
    for job in world.jobs.iter_mut().filter(|job| asked.contains(&job.id)) {
        job.polls += 1;
    }
    let fresh = |id: &str| {
        let job = world.jobs.iter().find(|job| job.id == id);
        job.is_some_and(|job| caller.now_ms - job.queued_ms < KEPT_MS)
    };
    match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => {
            let rows: Vec<_> = world.jobs.iter().rev().take(100).map(|j| job_json(world, caller, &j.id)).collect();
            Some(Reply::ok(&json!({"job_statuses": rows, "meta": {"has_more": false}, "links": {}})))
        }
        ("GET", ["show_many"]) => Some(match words(req.q("ids")) {
            Ok(all) => {
                let rows: Vec<_> = all.iter().filter(|id| fresh(id)).map(|id| job_json(world, caller, id)).collect();
                Reply::ok(&json!({ "job_statuses": rows }))
            }
            Err(reply) => reply,
        }),
        ("GET", [id]) if fresh(id) => Some(Reply::ok(&json!({"job_status": job_json(world, caller, id)}))),
        ("GET", [_]) => Some(Reply::not_found()),
        _ => None,
    }
}

fn run(world: &mut World, caller: &Caller, plan: Plan<'_>) -> Reply {
    if plan.rows.len() > 100 {
        let verb = if plan.action == "create" { "created" } else { "updated" };
        return Reply::bad("TooManyValues", &format!("Maximum 100 {} may be {verb} per call", plan.word));
    }
    let waiting = busy(world, caller);
    if waiting.len() >= IN_FLIGHT {
        let words = "Too many UserBulkUpdateJobV2 jobs are currently queued or running. Try again later.";
        return Reply::json(429, &json!({"error": "TooManyJobs", "description": words, "current_job_ids": waiting}))
            .with("retry-after", "1");
    }
    let mut results = Vec::new();
    for (index, row) in plan.rows.iter().enumerate() {
        results.push(match (plan.each)(world, row) {
            Ok(result) => result,
            Err(refusal) => {
                let (error, details) = refusal.row();
                let mut failed = json!({"action": plan.action, "success": false, "error": error, "details": details,
                    "status": "Failed", "index": index});
                if let Some(id) = row.get("id") {
                    failed["id"] = id.clone();
                }
                failed
            }
        });
    }
    // Ticket rows come back in another order than they were sent in: their index tells.
    if plan.word == "tickets" && plan.action == "create" {
        results.reverse();
    }
    let total = plan.rows.len();
    finish(world, caller, total, results.into())
}

fn updated(id: i64) -> Value {
    json!({"id": id, "action": "update", "status": "Updated", "success": true})
}

fn removed(id: i64) -> Value {
    json!({"id": id, "action": "delete", "status": "Deleted", "success": true})
}

/// The rows of a request: a list of records, or the same change for every id in the query.
fn rows(world: &World, req: &Req, many: &str, one: &str) -> Result<Vec<Value>, Reply> {
    if let Some(list) = req.body[many].as_array() {
        return Ok(list.clone());
    }
    let mut found = ids(req.q("ids"))?;
    for external in words(req.q("external_ids"))? {
        let index = if many == "users" { &world.index.user_external } else { &world.index.organization_external };
        found.push(index.get(&external.to_lowercase()).copied().unwrap_or_default());
    }
    let with_id = |id: &i64| {
        let mut row = req.body[one].clone();
        row["id"] = (*id).into();
        row
    };
    Ok(found.iter().map(with_id).collect())
}

/// The user a row is about, by id or external id.
fn user_of(world: &World, row: &Value) -> Result<i64, Refusal> {
    let external = || row["external_id"].as_str().and_then(|text| world.index.user_external.get(&text.to_lowercase()));
    row["id"].as_i64().or_else(|| external().copied()).ok_or(Refusal::NotFound)
}

/// Answers the bulk calls of `/users`.
pub fn users(world: &mut World, caller: &Caller, req: &Req, verb: &str) -> Option<Reply> {
    let rows = match rows(world, req, "users", "user") {
        Ok(rows) => rows,
        Err(reply) => return Some(reply),
    };
    let (by, now) = (caller.by(), caller.now);
    let mut create = |w: &mut World, row: &Value| {
        let id = w.create_user(by, now, crate::acts::read(row)?)?;
        Ok(json!({"id": id, "status": "Created"}))
    };
    let mut upsert = |w: &mut World, row: &Value| {
        let (id, made) = users::upsert(w, caller, row)?;
        let mut result = json!({"id": id, "status": if made { "Created" } else { "Updated" },
            "action": if made { "create" } else { "update" }, "success": true});
        for key in ["email", "external_id"] {
            if let Some(value) = row.get(key) {
                result[key] = value.clone();
            }
        }
        Ok(result)
    };
    let mut update = |w: &mut World, row: &Value| {
        let id = user_of(w, row)?;
        w.update_user(by, now, id, crate::acts::read(row)?)?;
        Ok(updated(id))
    };
    let mut destroy = |w: &mut World, row: &Value| {
        let id = user_of(w, row)?;
        w.delete_user(by, now, id)?;
        Ok(removed(id))
    };
    let (action, each): (_, &mut Each<'_>) = match (req.method.as_str(), verb) {
        ("POST", "create_many") => ("create", &mut create),
        ("POST", "create_or_update_many") => ("update", &mut upsert),
        ("PUT", "update_many") => ("update", &mut update),
        ("DELETE", "destroy_many") => ("delete", &mut destroy),
        _ => return None,
    };
    Some(run(world, caller, Plan { word: "users", action, rows, each }))
}

/// Answers the bulk calls of `/organizations`.
pub fn organizations(world: &mut World, caller: &Caller, req: &Req, verb: &str) -> Option<Reply> {
    let rows = match rows(world, req, "organizations", "organization") {
        Ok(rows) => rows,
        Err(reply) => return Some(reply),
    };
    let (by, now) = (caller.by(), caller.now);
    let mut create = |w: &mut World, row: &Value| {
        let id = w.create_organization(by, now, crate::acts::read(row)?)?;
        Ok(json!({"id": id, "status": "Created"}))
    };
    let mut update = |w: &mut World, row: &Value| {
        let known = row["id"].as_i64().is_some_and(|id| w.organizations.contains_key(&id));
        let external = row["external_id"].as_str().unwrap_or_default().to_lowercase();
        if !known && !w.index.organization_external.contains_key(&external) {
            return Err(Refusal::NotFound);
        }
        organizations::upsert(w, caller, row).map(|(id, _)| updated(id))
    };
    let mut destroy = |w: &mut World, row: &Value| {
        let id = row["id"].as_i64().unwrap_or_default();
        w.delete_organization(by, now, id)?;
        Ok(removed(id))
    };
    let (action, each): (_, &mut Each<'_>) = match (req.method.as_str(), verb) {
        ("POST", "create_many") => ("create", &mut create),
        ("PUT", "update_many") => ("update", &mut update),
        ("DELETE", "destroy_many") => ("delete", &mut destroy),
        _ => return None,
    };
    Some(run(world, caller, Plan { word: "organizations", action, rows, each }))
}

/// Answers the bulk calls of `/tickets`.
pub fn tickets(world: &mut World, caller: &Caller, req: &Req, verb: &str) -> Option<Reply> {
    let rows = match rows(world, req, "tickets", "ticket") {
        Ok(rows) => rows,
        Err(reply) => return Some(reply),
    };
    let account = world.account_id;
    let mut index = 0;
    let mut create = |w: &mut World, row: &Value| {
        let id = w.create_ticket(caller.by(), caller.now, crate::acts::read(row)?)?;
        index += 1;
        Ok(json!({"index": index - 1, "id": id, "account_id": account}))
    };
    let mut update = |w: &mut World, row: &Value| {
        let id = row["id"].as_i64().ok_or(Refusal::NotFound)?;
        tickets::update(w, caller, id, row).map(|()| updated(id))
    };
    let mut destroy = |w: &mut World, row: &Value| {
        let id = row["id"].as_i64().unwrap_or_default();
        w.delete_ticket(caller.by(), caller.now, id).map(|()| removed(id))
    };
    let (action, each): (_, &mut Each<'_>) = match (req.method.as_str(), verb) {
        ("POST", "create_many") => ("create", &mut create),
        ("PUT", "update_many") => ("update", &mut update),
        ("DELETE", "destroy_many") => ("delete", &mut destroy),
        _ => return None,
    };
    Some(run(world, caller, Plan { word: "tickets", action, rows, each }))
}
