//! Jobs as they are told: `/job_statuses` and the answer to a bulk call.
use crate::http::{Caller, Reply, Req, words};
use crate::time::Stamp;
use crate::world::World;
use crate::world::jobs::{Deed, Fate, Job};
use serde_json::{Value, json};

/// A job as it stands at this moment.
pub fn job_json(world: &World, job: &Job, now_ms: i64) -> Value {
    let settings = &world.jobs.settings;
    let url = format!("{}/api/v2/job_statuses/{}.json", world.host, job.id);
    let mut value = json!({"id": job.id, "url": url, "total": job.total, "progress": null, "status": "queued",
        "message": null, "results": null});
    if settings.typed {
        value["job_type"] = job.deed.job_type().into();
    }
    let done = job.results.len();
    match (job.ended_ms, job.fate) {
        (Some(at), Fate::Completed) => {
            value["status"] = "completed".into();
            value["progress"] = job.total.into();
            let at = Stamp(at.div_euclid(1000)).to_string();
            value["message"] = format!("Completed at {} +0000", at.replace('T', " ").trim_end_matches('Z')).into();
            value["results"] = outcome(job, settings.shuffled, settings.indexed);
        }
        (Some(_), fate) => {
            value["status"] = if fate == Fate::Killed { "killed" } else { "failed" }.into();
            value["progress"] = done.into();
            value["message"] = "The job could not be finished".into();
        }
        (None, _) if job.age(now_ms) >= settings.queued_ms => {
            value["status"] = "working".into();
            value["progress"] = done.into();
            value["message"] = job.deed.message(done).into();
        }
        (None, _) => {}
    }
    if job.whole.is_some() {
        (value["total"], value["progress"]) = (Value::Null, Value::Null);
    }
    value
}

/// What the rows became. Tickets that were made come in another order than they were sent in, as recorded; others on
/// request.
fn outcome(job: &Job, shuffled: bool, indexed: bool) -> Value {
    if let Some(whole) = &job.whole {
        return whole.clone();
    }
    let mut rows = job.results.clone();
    for (index, row) in rows.iter_mut().enumerate().filter(|_| indexed) {
        row["index"] = index.into();
    }
    let made_tickets = matches!(job.deed, Deed::Create(crate::world::jobs::Kind::Ticket));
    if (shuffled || made_tickets) && rows.len() > 2 {
        rows[1..].reverse();
    } else if shuffled {
        rows.reverse();
    }
    rows.into()
}

/// Answers `/job_statuses...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    if req.method != "GET" {
        return None;
    }
    let reply = match &parts[1..] {
        [] => list(world, caller, req),
        ["show_many"] => match words(req.q("ids")) {
            Ok(ids) => {
                look(world, caller, &ids);
                let found = ids.iter().filter_map(|id| world.jobs.find(id));
                let rows: Vec<_> = found.map(|job| job_json(world, job, caller.now_ms)).collect();
                Reply::ok(
                    &json!({ "job_statuses": rows, "count": rows.len(), "next_page": null, "previous_page": null }),
                )
            }
            Err(reply) => reply,
        },
        [id] => {
            look(world, caller, &[(*id).to_owned()]);
            match world.jobs.find(id) {
                Some(job) => Reply::ok(&json!({"job_status": job_json(world, job, caller.now_ms)})),
                None => Reply::not_found(),
            }
        }
        _ => return None,
    };
    Some(reply)
}

/// Whoever looks at jobs may make time pass for them.
fn look(world: &mut World, caller: &Caller, ids: &[String]) {
    let passes = world.jobs.settings.poll_ms.unwrap_or_default();
    for job in world.jobs.all.iter_mut().filter(|job| job.ended_ms.is_none() && ids.contains(&job.id)) {
        job.borrowed_ms += passes;
    }
    super::work::work(world, caller.now_ms);
}

/// The list: what ended last comes first, then what was asked for last; by cursor only.
fn list(world: &World, caller: &Caller, req: &Req) -> Reply {
    let size = req.number("page[size]").unwrap_or(100).clamp(1, 100) as usize;
    let mut all: Vec<_> = world.jobs.all.iter().rev().collect();
    all.sort_by_key(|job| std::cmp::Reverse(job.ended_ms));
    let from = match req.q("page[after]") {
        None => 0,
        Some(id) => match all.iter().position(|job| job.id == id) {
            Some(place) => place + 1,
            None => return Reply::bad("InvalidCursor", "page[after] is not a valid cursor"),
        },
    };
    let page: Vec<_> = all.iter().skip(from).take(size).collect();
    let more = from + page.len() < all.len();
    let (first, last) = (page.first().map(|job| &job.id), page.last().map(|job| &job.id));
    let link = |name: &str, id: &String| {
        format!("{}/api/v2/job_statuses.json?page%5B{name}%5D={id}&page%5Bsize%5D={size}", world.host)
    };
    let rows: Vec<_> = page.iter().map(|job| job_json(world, job, caller.now_ms)).collect();
    Reply::ok(&json!({"job_statuses": rows,
        "meta": {"has_more": more, "after_cursor": last, "before_cursor": first},
        "links": {"prev": first.filter(|_| from > 0).map(|id| link("before", id)),
            "next": last.filter(|_| more).map(|id| link("after", id))}}))
}
