//! Sending webhook events: a queue on the simulated clock, a few at a time, with Zendesk's rules for trying again.
pub mod announce;
pub mod breaker;
pub mod letter;
pub mod sign;
pub mod trigger;
pub mod ulid;

use crate::server::Shared;
use crate::world::World;
use crate::world::hooks::{Attempt, Due};
use letter::{Letter, Outcome};
use rand::RngExt;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use ulid::ulid;

/// How many deliveries go at once.
const AT_ONCE: usize = 8;

/// How often a delivery that a breaker or a limit holds back is looked at again.
const MOST_HELD: u8 = 20;

/// The largest body that is sent.
const LARGEST: usize = 256 * 1024;

/// Sends what falls due, for ever.
pub async fn run(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut gate = shared.gate();
            let now_ms = shared.clock.now_ms();
            let hooks = &mut gate.world.hooks;
            let place = hooks.due.iter().position(|due| due.due_ms <= now_ms);
            match place.filter(|_| hooks.in_flight < AT_ONCE).and_then(|place| hooks.due.remove(place)) {
                Some(due) => {
                    hooks.in_flight += 1;
                    tokio::spawn(deliver(Arc::clone(&shared), due));
                    continue;
                }
                None if hooks.in_flight >= AT_ONCE => None,
                None => hooks.due.iter().map(|due| due.due_ms).min(),
            }
        };
        match next {
            None => shared.wake.notified().await,
            Some(due_ms) => tokio::select! {
                () = shared.wake.notified() => {}
                () = shared.clock.wait_towards(due_ms) => {}
            },
        }
    }
}

async fn deliver(shared: Arc<Shared>, due: Due) {
    let now_ms = shared.clock.now_ms();
    let prepared = shared.gate().world.prepare_delivery(due, now_ms);
    if let Some((due, letter)) = prepared {
        let outcome = letter::send(&shared.client, &letter).await;
        let now_ms = shared.clock.now_ms();
        shared.gate().world.conclude_delivery(due, &letter, &outcome, now_ms);
    }
    shared.gate().world.hooks.in_flight -= 1;
    shared.wake.notify_one();
    shared.settled.notify_waiters();
}

impl World {
    /// How long a receiver has.
    pub fn deadline(&self) -> Duration {
        self.faults
            .webhook_deadline
            .map_or(letter::LONGEST, |seconds| Duration::from_secs_f64(seconds.clamp(0.001, 60.0)))
    }

    /// Signs a delivery; or ends it when its webhook is gone or off, or holds it back for its breaker or a limit.
    fn prepare_delivery(&mut self, due: Due, now_ms: i64) -> Option<(Due, Letter)> {
        let throttled =
            !self.hooks.within_trial(now_ms) || self.chance.random_bool(self.faults.throttle_webhooks.clamp(0.0, 1.0));
        let (account_id, breaking, within) = (self.account_id, self.hooks.breaker, self.deadline());
        let Some(hook) = self.hooks.all.get_mut(&due.webhook_id).filter(|hook| hook.active) else {
            self.hooks.counts.failed += 1;
            return None;
        };
        if throttled || due.body.len() > LARGEST {
            self.hold(due, if throttled { "throttled" } else { "terminated" }, now_ms);
            return None;
        }
        if breaking && !hook.breaker.allows(now_ms) {
            self.hold(due, "circuit broken", now_ms);
            return None;
        }
        let now = crate::time::Stamp(now_ms.div_euclid(1000));
        let letter = letter::letter(hook, account_id, &due.invocation_id, now, &due.body, within);
        self.hooks.counts.sent += 1;
        Some((due, letter))
    }

    /// Writes down that nothing was sent; it is tried again later if the faults have it so.
    fn hold(&mut self, mut due: Due, status: &'static str, now_ms: i64) {
        self.note_attempt(&due, status, None, Value::Null, now_ms);
        due.held += 1;
        let after_ms = (self.faults.retry_held_webhooks * 1000.0) as i64;
        if after_ms > 0 && due.held <= MOST_HELD && status != "terminated" {
            due.due_ms = now_ms + after_ms;
            self.hooks.due.push_back(due);
        } else {
            self.hooks.counts.failed += 1;
        }
    }

    fn note_attempt(
        &mut self,
        due: &Due,
        status: &'static str,
        status_code: Option<u16>,
        exchange: Value,
        now_ms: i64,
    ) {
        let attempt = Attempt {
            line: ulid(now_ms, self.chance.random()),
            invocation_id: due.invocation_id.clone(),
            status,
            status_code,
            completed_at: crate::time::Stamp(now_ms.div_euclid(1000)),
            exchange,
        };
        if let Some(hook) = self.hooks.all.get_mut(&due.webhook_id) {
            hook.note(attempt);
        }
    }

    /// Writes down how a try ended, and puts the event back if the rules allow another.
    fn conclude_delivery(&mut self, mut due: Due, letter: &Letter, outcome: &Outcome, now_ms: i64) {
        let ok = matches!(outcome, Outcome::Answer { status, .. } if (200..300).contains(status));
        let wait = if ok { None } else { wait(&mut due, outcome) };
        self.hooks.counts.ok += u64::from(ok);
        self.hooks.counts.failed += u64::from(!ok && wait.is_none());
        if let Some(hook) = self.hooks.all.get_mut(&due.webhook_id) {
            hook.breaker.note(now_ms, ok);
        }
        let status = match (ok, wait) {
            (true, _) => "success",
            (false, Some(_)) => "failed",
            (false, None) => "terminated",
        };
        self.note_attempt(&due, status, outcome.status(), letter::exchange(letter, outcome), now_ms);
        if let Some(seconds) = wait {
            due.due_ms = now_ms + seconds * 1000;
            self.hooks.due.push_back(due);
        }
    }
}

/// How many simulated seconds until the next try, if there is one.
fn wait(due: &mut Due, outcome: &Outcome) -> Option<i64> {
    match outcome {
        Outcome::Timeout => {
            due.timeouts += 1;
            (due.timeouts <= 5).then(|| 1 << due.timeouts)
        }
        Outcome::Answer { status: 409, .. } => {
            due.conflicts += 1;
            (due.conflicts <= 3).then(|| 1 << due.conflicts)
        }
        Outcome::Answer { status: 429 | 503, retry_after: Some(seconds), .. } if (0..60).contains(seconds) => {
            due.deferrals += 1;
            (due.deferrals <= 20).then_some((*seconds).max(1))
        }
        Outcome::Answer { .. } | Outcome::Unreachable(_) => None,
    }
}
