//! Rate limits: fixed windows on the simulated clock, with the headers Zendesk sends.
use super::{Caller, Reply, Req};
use crate::options::Plan;
use rand::RngExt;
use serde_json::json;
use std::collections::HashMap;

/// Every budget, by name.
#[derive(Default)]
pub struct Limits {
    windows: HashMap<String, (i64, u32)>,
}

/// What a request took from a budget.
struct Taken {
    total: u32,
    left: u32,
    resets: i64,
    over: bool,
}

impl Limits {
    fn take(&mut self, name: &str, seconds: i64, total: u32, now: i64) -> Taken {
        let window = now.div_euclid(seconds);
        let entry = self.windows.entry(name.to_owned()).or_insert((window, 0));
        if entry.0 != window {
            *entry = (window, 0);
        }
        let over = entry.1 >= total;
        if !over {
            entry.1 += 1;
        }
        Taken { total, left: total - entry.1, resets: seconds - now.rem_euclid(seconds), over }
    }

    /// Takes a request from its budgets; answers the headers to add, or the 429.
    pub fn pass(
        &mut self,
        plan: Plan,
        caller: &Caller,
        req: &Req,
        factor: f64,
        odd: bool,
    ) -> Result<Vec<(String, String)>, Reply> {
        let now = caller.now.0;
        let webhooks = req.parts.first().is_some_and(|part| part == "webhooks");
        let whole = match webhooks {
            true => self.take("webhooks", 60, 100, now),
            false => self.take("account", 60, plan.requests(), now),
        };
        let mut headers = vec![
            ("x-rate-limit".to_owned(), whole.total.to_string()),
            ("x-rate-limit-remaining".to_owned(), whole.left.to_string()),
        ];
        if !webhooks {
            headers.push(("ratelimit-limit".to_owned(), whole.total.to_string()));
            headers.push(("ratelimit-remaining".to_owned(), whole.left.to_string()));
            headers.push(("ratelimit-reset".to_owned(), whole.resets.to_string()));
        }
        if whole.over {
            return Err(refuse(&whole, headers, factor, odd));
        }
        for (name, key, seconds, total) in special(plan, req) {
            let taken = self.take(&key, seconds, total, now);
            let text = format!("total={}; remaining={}; resets={}", taken.total, taken.left, taken.resets);
            headers.push((format!("zendesk-ratelimit-{name}"), text));
            if taken.over {
                return Err(refuse(&taken, headers, factor, odd));
            }
        }
        Ok(headers)
    }
}

/// Budgets of single endpoints: header name, key, window, total.
fn special(plan: Plan, req: &Req) -> Vec<(&'static str, String, i64, u32)> {
    let high = plan == Plan::HighVolume;
    let parts = req.slices();
    match (req.method.as_str(), parts.as_slice()) {
        ("GET", ["incremental", ..]) => vec![("incremental-exports", "exports".into(), 60, plan.exports())],
        ("GET", ["tickets"]) => vec![("tickets-index", "tickets-index".into(), 60, if high { 300 } else { 100 })],
        ("GET", ["search", "export"]) => vec![("search-export", "search-export".into(), 60, 100)],
        ("GET", ["deleted_tickets"]) => vec![("deleted-tickets-index", "deleted-tickets".into(), 60, 10)],
        ("PUT", ["tickets", id]) if id.parse::<i64>().is_ok() => vec![
            ("tickets-update", "tickets-update".into(), 60, if high { 300 } else { 100 }),
            ("per-ticket-updates", format!("ticket {id}"), 600, 30),
        ],
        ("PUT", ["users", id]) if id.parse::<i64>().is_ok() => vec![
            ("create-update-user", format!("user {id}"), 60, 5),
            ("create-update-user-account", "user-updates".into(), 1, 1),
        ],
        ("POST", ["users", "create_or_update"]) => {
            let who = req.body["user"]["external_id"].to_string() + &req.body["user"]["email"].to_string();
            vec![
                ("create-update-user", format!("user {who}"), 60, 5),
                ("create-update-user-account", "user-updates".into(), 1, 1),
            ]
        }
        ("PUT", ["organizations", id]) if id.parse::<i64>().is_ok() => {
            vec![("organizations-update", format!("organization {id}"), 60, 5)]
        }
        ("DELETE", ["deleted_users", _]) => vec![("permanently-delete-user", "erase".into(), 600, 700)],
        ("DELETE", ["tickets", _]) => vec![("tickets-delete", "tickets-delete".into(), 60, 400)],
        _ => Vec::new(),
    }
}

fn refuse(taken: &Taken, headers: Vec<(String, String)>, factor: f64, odd: bool) -> Reply {
    // A client waits in real seconds, of which a fast clock needs fewer.
    let wait = (taken.resets as f64 / factor).ceil().max(1.0) as i64;
    let mut reply = too_many(wait, odd);
    reply.headers.extend(headers);
    reply
}

/// The 429, in one of its two shapes.
pub fn too_many(wait: i64, odd: bool) -> Reply {
    let words = "Number of allowed API requests per minute exceeded";
    let reply = match odd {
        true => Reply::text(429, "text/plain; charset=utf-8", words),
        false => Reply::json(429, &json!({"error": "APIRateLimitExceeded", "description": words})),
    };
    reply.with("retry-after", wait.to_string())
}

/// Whether this 429 is plain text.
pub fn coin(rng: &mut impl rand::Rng) -> bool {
    rng.random_bool(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stamp;
    use crate::world::user::Role;

    #[test]
    fn ten_exports_a_minute_and_the_header_says_so() {
        let parts = vec!["incremental".to_owned(), "users".into(), "cursor".into()];
        let req = Req { parts, ..Req::get() };
        let mut caller = Caller {
            now: Stamp(1_000_000_058),
            now_ms: 0,
            user_id: 1,
            role: Role::Admin,
            scopes: None,
            token_id: None,
        };
        let mut limits = Limits::default();
        let first = limits.pass(Plan::Enterprise, &caller, &req, 1.0, false).expect("the first passes");
        let header = first.iter().find(|(name, _)| name == "zendesk-ratelimit-incremental-exports");
        assert_eq!(header.map(|(_, text)| text.as_str()), Some("total=10; remaining=9; resets=22"));
        for _ in 0..9 {
            limits.pass(Plan::Enterprise, &caller, &req, 1.0, false).expect("ten pass");
        }
        let refused = limits.pass(Plan::Enterprise, &caller, &req, 1.0, false).expect_err("the eleventh does not");
        assert_eq!(refused.status, 429);
        assert!(refused.headers.contains(&("retry-after".to_owned(), "22".to_owned())));
        caller.now = Stamp(1_000_000_080);
        assert!(limits.pass(Plan::Enterprise, &caller, &req, 1.0, false).is_ok(), "a new minute");
    }
}
