//! What goes wrong on purpose before, and after, a request is answered.
use super::{Reply, Req, limits};
use crate::world::World;
use rand::RngExt;
use serde_json::{Value, json};

/// What a fault does with a request.
pub enum Fault {
    /// Nothing.
    None,
    /// No answer ever comes.
    Silence,
    /// This answer comes instead.
    Instead(Reply),
    /// A 429 comes although budget is left, as its headers say.
    TooMany,
}

/// Whether a fault strikes this request.
pub fn strike(world: &mut World, req: &Req) -> Fault {
    let faults = &world.faults;
    let hits = |paths: &[String]| paths.iter().any(|path| req.path.contains(path.as_str()));
    if hits(&faults.timeout_paths) {
        return Fault::Silence;
    }
    if hits(&faults.html_paths) {
        let page = "<!DOCTYPE html><html><head><title>One moment</title></head><body>Please wait.</body></html>";
        return Fault::Instead(Reply::text(200, "text/html; charset=utf-8", page));
    }
    if hits(&faults.empty_body_paths) {
        return Fault::Instead(Reply::bytes(200, Vec::new()));
    }
    if hits(&faults.forbidden_paths) {
        return Fault::Instead(Reply::forbidden());
    }
    if hits(&faults.missing_paths) {
        return Fault::Instead(Reply::no_endpoint());
    }
    let incremental = req.parts.first().is_some_and(|part| part == "incremental");
    if incremental {
        let size = req.number("per_page").unwrap_or(1000) as usize;
        if faults.gateway_timeout_over_per_page.is_some_and(|most| size > most) {
            return Fault::Instead(Reply::text(504, "text/html", "<html><body>504 Gateway Time-out</body></html>"));
        }
        if faults.refuse_cursor && req.q("cursor").is_some() {
            return Fault::Instead(Reply::bad("InvalidValue", "Invalid cursor"));
        }
    }
    let (five, busy, many) = (faults.http_500_share, faults.http_503_share, faults.http_429_share);
    let roll: f64 = world.chance.random();
    let odd = limits::coin(&mut world.chance);
    if roll < five {
        let reply = match odd {
            true => Reply::text(500, "text/html", "<html><body>Internal Server Error</body></html>"),
            false => Reply::json(500, &json!({"error": "InternalError", "description": "Something went wrong"})),
        };
        Fault::Instead(reply)
    } else if roll < five + busy {
        let reply = Reply::json(503, &json!({"error": "DatabaseError", "description": "Down for maintenance"}));
        Fault::Instead(reply.with("retry-after", "1"))
    } else if roll < five + busy + many {
        Fault::TooMany
    } else {
        Fault::None
    }
}

/// Whether the answer to this request, which was carried out, is lost on its way.
pub fn lost(world: &World, req: &Req) -> bool {
    world.faults.lost_answer_paths.iter().any(|path| req.path.contains(path.as_str()))
}

/// Cuts an answer short, if its path asks for that.
pub fn spoil(world: &World, req: &Req, reply: &mut Reply) {
    let cut = world.faults.truncate_paths.iter().any(|path| req.path.contains(path.as_str()));
    if cut && reply.status == 200 {
        reply.body.truncate(reply.body.len() / 2);
    }
}

/// A record made indigestible, in one of four ways.
pub fn poison(mut record: Value, id: i64) -> Value {
    let stamp = if record.get("updated_at").is_some() { "updated_at" } else { "created_at" };
    match id.rem_euclid(4) {
        0 => record["created_at"] = json!({"seconds": "soon"}),
        1 => record["id"] = json!("not-a-number"),
        2 => record[stamp] = json!("9999-99-99T99:99:99Z"),
        _ => record["organization_id"] = json!(1e300),
    }
    for key in ["name", "subject", "via"] {
        if record.get(key).is_some_and(Value::is_string) {
            record[key] = json!("poison \u{0} text");
        }
    }
    record
}
