//! The way of a request: counting, faults, who asks, limits, and on to its endpoint.
use super::faults::{self, Fault};
use super::kept::Kept;
use super::limits::{self, Limits, Terms};
use super::{Reply, Req, auth, weight};
use crate::api;
use crate::clock::Clock;
use crate::journal::{self, Journal};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Requests counted since the start or the last reset.
#[derive(Default)]
pub struct Traffic {
    total: u64,
    throttled: u64,
    unauthorized: u64,
    by_endpoint: BTreeMap<String, u64>,
}

impl Traffic {
    /// Counts a request.
    pub fn count(&mut self, req: &Req) {
        self.total += 1;
        *self.by_endpoint.entry(req.endpoint()).or_default() += 1;
    }

    /// Counts a refusal for want of budget.
    pub fn throttled(&mut self) {
        self.throttled += 1;
    }

    /// The counts as the admin door tells them.
    pub fn as_json(&self) -> Value {
        json!({"total": self.total, "throttled": self.throttled, "unauthorized": self.unauthorized,
            "by_endpoint": self.by_endpoint})
    }
}

/// Everything a request passes through.
pub struct Gate {
    /// The account.
    pub world: World,
    /// Where its life is written down.
    pub journal: Option<Journal>,
    /// Its budgets.
    pub limits: Limits,
    /// What was asked so far.
    pub traffic: Traffic,
    /// The latest requests, where they are wanted.
    pub kept: Kept,
    /// Whether budgets hold.
    pub limited: bool,
    /// On which terms.
    pub terms: Terms,
}

impl Gate {
    /// Lets one thing happen.
    pub fn live(&mut self, clock: &Clock) {
        journal::live(&mut self.world, self.journal.as_mut(), clock.now());
    }

    /// Answers a request; none means that no answer comes.
    pub fn answer(&mut self, clock: &Clock, req: &Req) -> Option<Reply> {
        api::bulk::work::work(&mut self.world, clock.now_ms());
        self.traffic.count(req);
        let struck = match faults::strike(&mut self.world, req) {
            Fault::None => false,
            Fault::TooMany => true,
            Fault::Silence => return None,
            Fault::Instead(reply) => return Some(reply),
        };
        let caller = match auth::authenticate(&self.world, req, clock.now(), clock.now_ms()) {
            Ok(caller) => caller,
            Err(reply) => {
                self.traffic.unauthorized += 1;
                return Some(reply);
            }
        };
        if let Some(token) = self.world.tokens.oauth.iter_mut().find(|token| Some(token.id) == caller.token_id) {
            token.used_at = Some(caller.now);
        }
        let headers = match self.pass(&caller, req, struck) {
            Ok(headers) => headers,
            Err(reply) => {
                self.traffic.throttled();
                return Some(reply);
            }
        };
        let mut reply = self.serve(&caller, req);
        weight::multiply(req, &mut reply);
        reply.headers.extend(headers);
        reply.headers.push(("x-zendesk-api-version".into(), "v2".into()));
        reply.headers.push(("x-request-id".into(), format!("{:016x}-SIM", self.traffic.total)));
        faults::spoil(&self.world, req, &mut reply);
        (!faults::lost(&self.world, req)).then_some(reply)
    }

    /// Takes the request from its budgets; one that a fault struck is refused all the same.
    fn pass(&mut self, caller: &super::Caller, req: &Req, struck: bool) -> Result<Vec<(String, String)>, Reply> {
        let odd = limits::coin(&mut self.world.chance);
        let headers = match self.limited {
            true => self.limits.pass(&self.terms, &self.world, caller, req, odd)?,
            false => Vec::new(),
        };
        if struck {
            let mut reply = limits::too_many(&self.terms, 1, odd);
            reply.headers.extend(headers);
            return Err(reply);
        }
        Ok(headers)
    }

    fn serve(&mut self, caller: &super::Caller, req: &Req) -> Reply {
        if let Some(reply) = api::oauth::front(&mut self.world, caller, req) {
            return reply;
        }
        if !req.path.starts_with("/api/v2/") {
            return Reply::no_endpoint();
        }
        let parts = req.slices();
        if caller.user_id == 0 {
            return match (req.method.as_str(), parts.as_slice()) {
                ("GET", ["users", "me"]) => api::users::anonymous(&self.world),
                _ => {
                    self.traffic.unauthorized += 1;
                    auth::unauthenticated()
                }
            };
        }
        if let Some(missing) = auth::missing(caller, req) {
            let words = format!("You are missing the following required scopes: {missing}");
            return Reply::json(403, &json!({"error": "Forbidden", "description": words}));
        }
        api::route(&mut self.world, caller, req)
    }
}
