//! What goes wrong on purpose.
use crate::http::bad::Bad;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How webhook events are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventIds {
    /// At random.
    Uuid,
    /// By time.
    Ulid,
}

/// What goes wrong on purpose; an empty object is a healthy account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of requests answered 500.
    pub http_500_share: f64,
    /// Share of requests answered 503 with Retry-After.
    pub http_503_share: f64,
    /// Share of requests answered 429 although the budget is not used up.
    pub http_429_share: f64,
    /// Requests whose path contains one of these never get an answer.
    pub timeout_paths: Vec<String>,
    /// Requests whose path contains one of these are carried out, and their answers are lost.
    pub lost_answer_paths: Vec<String>,
    /// Real milliseconds that every answer to a client takes longer.
    pub latency_ms: u64,
    /// These get a 200 with an HTML page.
    pub html_paths: Vec<String>,
    /// These get a 200 with an empty body.
    pub empty_body_paths: Vec<String>,
    /// These get a 200 whose JSON is cut in half.
    pub truncate_paths: Vec<String>,
    /// These get a 403.
    pub forbidden_paths: Vec<String>,
    /// These get a 404 InvalidEndpoint.
    pub missing_paths: Vec<String>,
    /// Share of bulk jobs that never end: they work on half of their rows for ever.
    pub job_stuck_share: f64,
    /// Share of bulk jobs that fail whole, with half of their rows done.
    pub job_fail_share: f64,
    /// Share of bulk jobs that end like that as `killed`.
    pub job_kill_share: f64,
    /// Share of webhook events never sent.
    pub drop_webhooks: f64,
    /// Event types (without prefix) that are never dropped, such as `user.merged`.
    pub keep_webhooks: Vec<String>,
    /// Share of webhook events sent twice.
    pub duplicate_webhooks: f64,
    /// Share of webhook events held back some simulated seconds, so that later ones overtake them.
    pub reorder_webhooks: f64,
    /// Simulated seconds every webhook event waits before it is sent.
    pub delay_webhooks: f64,
    /// Share of deliveries held back as `throttled`.
    pub throttle_webhooks: f64,
    /// Simulated seconds after which what a breaker or a limit held back is tried again, as the same invocation; 0: never.
    pub retry_held_webhooks: f64,
    /// Real seconds a receiver has for a whole delivery; unset: 12.
    pub webhook_deadline: Option<f64>,
    /// How webhook events are numbered: uuid or ulid; unset: mostly the former.
    pub webhook_event_ids: Option<EventIds>,
    /// Digits below a second in the time of webhook events, 0 to 9; unset: 0, 3 or 9.
    pub webhook_time_digits: Option<usize>,
    /// Any `cursor=` is answered 400.
    pub refuse_cursor: bool,
    /// Cursor exports give back the cursor they were asked with, and no end.
    pub stall_cursor: bool,
    /// Exports asked for more rows than this answer 504.
    pub gateway_timeout_over_per_page: Option<usize>,
    /// Ids, per stream (users, organizations, tickets, ticket_events), served with wrong types.
    pub poison_records: BTreeMap<String, Vec<i64>>,
    /// Answers that no client should be sent; the first that fits a request strikes.
    pub bad_answers: Vec<Bad>,
}
