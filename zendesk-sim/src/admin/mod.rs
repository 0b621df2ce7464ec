//! The admin door: time, life, acts, truth and faults; no sign-in, loopback only.
pub mod act;
pub mod hook_acts;
pub mod hook_test;
pub mod tokens;
pub mod truth;

use crate::api::bulk;
use crate::http::kept::Kept;
use crate::http::{Reply, Req};
use crate::life::generate;
use crate::options::Faults;
use crate::server::Shared;
use crate::world::World;
use serde_json::json;

/// Answers `/_sim/...`.
pub async fn answer(shared: &Shared, req: &Req) -> Reply {
    let parts = req.slices();
    bulk::work::work(&mut shared.gate().world, shared.clock.now_ms());
    match (req.method.as_str(), &parts[1..]) {
        ("POST", ["advance"]) => advance(shared, req).await,
        ("POST", ["drain"]) => drain(shared, req).await,
        ("POST", ["life"]) => {
            let reply = live(shared, req.body["acts"].as_i64().unwrap_or(1));
            shared.wake.notify_one();
            reply
        }
        (method, rest) => {
            let reply = at_once(shared, req, method, rest);
            shared.wake.notify_one();
            reply
        }
    }
}

fn at_once(shared: &Shared, req: &Req, method: &str, rest: &[&str]) -> Reply {
    let now = shared.clock.now();
    let mut gate = shared.gate();
    match (method, rest) {
        ("GET", ["health"]) => Reply::ok(&json!({"ok": true, "now": now})),
        ("GET", ["clock"]) => Reply::ok(&json!({"now": now, "now_ms": shared.clock.now_ms(),
            "driven": shared.clock.is_driven(), "factor": shared.clock.factor()})),
        ("GET", ["deliveries"]) => Reply::ok(&gate.world.hooks.as_json()),
        ("GET", ["requests"]) => Reply::ok(&gate.traffic.as_json()),
        ("GET", ["requests", "kept"]) => Reply::ok(&gate.kept.as_json()),
        ("POST", ["requests", "keep"]) => {
            gate.kept = Kept::new(req.body["latest"].as_u64().unwrap_or(0) as usize);
            Reply::ok(&gate.kept.as_json())
        }
        ("POST", ["requests", "reset"]) => {
            gate.traffic = crate::http::gate::Traffic::default();
            Reply::ok(&gate.traffic.as_json())
        }
        ("POST", ["limits"]) => {
            gate.limited = req.body["on"].as_bool().unwrap_or(true);
            gate.limits = crate::http::limits::Limits::default();
            Reply::ok(&json!({"on": gate.limited}))
        }
        ("POST", ["faults"]) => match serde_json::from_value::<Faults>(req.body.clone()) {
            Ok(faults) => {
                gate.world.faults = faults;
                Reply::ok(&json!({"ok": true}))
            }
            Err(e) => Reply::bad("BadRequest", &e.to_string()),
        },
        (_, ["tokens" | "consent", ..]) => tokens::answer(&mut gate.world, req, now),
        ("POST", ["act"]) if hook_acts::is_one(&req.body) => {
            hook_acts::answer(&mut gate.world, &req.body, shared.clock.now_ms())
        }
        ("POST", ["act"]) => act::answer(&mut gate.world, &req.body, now),
        ("POST", ["bulk_users"]) => {
            let count = req.body["count"].as_u64().unwrap_or(100) as usize;
            generate::more_customers(&mut gate.world, count, now);
            Reply::ok(&json!({"users": gate.world.users.len()}))
        }
        ("GET", ["acts"]) => acts(&gate.world, req),
        ("GET", ["state", "contacts"]) => shared.sell().truth(req),
        ("GET", ["state", what]) => truth::answer(&gate.world, req, what),
        _ => Reply::no_endpoint(),
    }
}

/// Moves a driven clock, lets life happen on the way, and waits for what is due.
async fn advance(shared: &Shared, req: &Req) -> Reply {
    let seconds = req.body["seconds"].as_f64().unwrap_or(0.0).max(0.0);
    let usual = if shared.clock.is_driven() { shared.life * seconds / 60.0 } else { 0.0 };
    let acts = req.body["life"].as_i64().unwrap_or(usual.round() as i64).max(0);
    let total_ms = (seconds * 1000.0) as i64;
    let before = shared.gate().world.next_act();
    let mut moved = 0;
    for n in 1..=acts {
        let until = total_ms * n / (acts + 1);
        shared.clock.advance_ms(until - moved);
        moved = until;
        shared.gate().live(&shared.clock);
        shared.wake.notify_one();
    }
    shared.clock.advance_ms(total_ms - moved);
    bulk::work::work(&mut shared.gate().world, shared.clock.now_ms());
    if req.body["wait"] != false {
        shared.drained().await;
    }
    told(shared, before)
}

fn live(shared: &Shared, acts: i64) -> Reply {
    let before = shared.gate().world.next_act();
    for _ in 0..acts {
        shared.gate().live(&shared.clock);
    }
    told(shared, before)
}

fn told(shared: &Shared, before: u64) -> Reply {
    let gate = shared.gate();
    let since: Vec<_> = gate.world.acts.iter().rev().take_while(|act| act.seq >= before).collect();
    let since: Vec<_> = since.into_iter().rev().collect();
    Reply::ok(&json!({"now": shared.clock.now(), "acts": since, "deliveries": gate.world.hooks.as_json()}))
}

/// Waits for deliveries; with `all`, those held back for later are sent now.
async fn drain(shared: &Shared, req: &Req) -> Reply {
    if req.body["all"] == true {
        let now_ms = shared.clock.now_ms();
        for due in &mut shared.gate().world.hooks.due {
            due.due_ms = due.due_ms.min(now_ms);
        }
    }
    shared.drained().await;
    Reply::ok(&shared.gate().world.hooks.as_json())
}

fn acts(world: &World, req: &Req) -> Reply {
    let after = req.number("after").unwrap_or(0);
    let limit = req.number("limit").unwrap_or(1000).clamp(1, 100_000) as usize;
    let found: Vec<_> = world.acts.iter().filter(|act| act.seq as i64 > after).take(limit).collect();
    Reply::ok(&json!({ "acts": found }))
}
