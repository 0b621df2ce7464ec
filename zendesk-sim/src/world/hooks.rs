//! Webhooks, what is due to them, and what became of it.
use crate::deliver::breaker::Breaker;
use crate::options::Options;
use crate::time::Stamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long the log of a webhook reaches back, in milliseconds.
const LOG_REACH_MS: i64 = 7 * 86_400_000;

/// How many tries a webhook's log holds at most.
const LOG_LENGTH: usize = 5_000;

/// How many webhooks a trial account may have.
pub const TRIAL_WEBHOOKS: usize = 10;

/// How many deliveries a minute a trial account may have.
const TRIAL_DELIVERIES: u32 = 60;

/// What a webhook of triggers and automations is subscribed to.
pub const CONDITIONAL: &str = "conditional_ticket_events";

/// A webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// A ULID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whether it is sent anything.
    pub active: bool,
    /// Event types, or [`CONDITIONAL`].
    pub subscriptions: Vec<String>,
    /// Where to.
    pub endpoint: String,
    /// GET, POST, …
    pub method: String,
    /// json, xml, form_encoded.
    pub format: String,
    /// How deliveries authenticate; holds secrets.
    pub authentication: Option<Value>,
    /// Extra headers.
    pub custom_headers: BTreeMap<String, String>,
    /// The signing secret.
    pub secret: String,
    /// When it was made, with the digits below a second as they are told at once.
    pub created: (Stamp, u32),
    /// Who made it.
    pub created_by: String,
    /// When it last changed, and by whom.
    pub updated: Option<(String, String)>,
    /// What was tried lately, the oldest first.
    pub log: VecDeque<Attempt>,
    /// Stops deliveries while they fail.
    pub breaker: Breaker,
}

/// One try to deliver an event, or why there was none.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// A ULID of this line of the log.
    pub line: String,
    /// The invocation, which several tries may belong to.
    pub invocation_id: String,
    /// success, failed (and tried again), terminated, throttled, circuit broken.
    pub status: &'static str,
    /// The answer's status; none when nothing was sent.
    pub status_code: Option<u16>,
    /// When it ended.
    pub completed_at: Stamp,
    /// `request` and `response` as REST shows them; null when nothing was sent.
    pub exchange: Value,
}

/// An event that is due to a webhook.
#[derive(Clone, Debug)]
pub struct Due {
    /// The webhook.
    pub webhook_id: String,
    /// The invocation.
    pub invocation_id: String,
    /// The exact bytes.
    pub body: Arc<str>,
    /// When, in simulated milliseconds.
    pub due_ms: i64,
    /// How often it was tried, by what went wrong.
    pub timeouts: u8,
    /// Tries that met a 409.
    pub conflicts: u8,
    /// Tries that met a 429 or 503 with a short Retry-After.
    pub deferrals: u8,
    /// Times it was held back by a breaker or the trial limit.
    pub held: u8,
}

/// What sends a body of its own to a webhook of triggers when a ticket is made or changed.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The webhook.
    pub webhook_id: String,
    /// Fires when a ticket is made.
    pub on_create: bool,
    /// Fires when a ticket is changed.
    pub on_update: bool,
    /// The body, with placeholders such as `{{ticket.id}}`.
    pub body: String,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Counts {
    /// Requests made.
    pub sent: u64,
    /// Invocations that ended well.
    pub ok: u64,
    /// Invocations given up.
    pub failed: u64,
    /// Events never sent, on purpose.
    pub dropped: u64,
    /// Events sent twice, on purpose.
    pub duplicated: u64,
}

/// All webhooks and what is due to them.
pub struct Hooks {
    /// Webhooks by id.
    pub all: BTreeMap<String, Webhook>,
    /// Triggers that have a webhook.
    pub triggers: Vec<Trigger>,
    /// What is due, in the order it came.
    pub due: VecDeque<Due>,
    /// How many are being sent now.
    pub in_flight: usize,
    /// Counts since the start.
    pub counts: Counts,
    /// Whether breakers work.
    pub breaker: bool,
    /// Whether the limits of a trial account hold.
    pub trial: bool,
    /// Deliveries of the present minute.
    minute: (i64, u32),
}

impl Hooks {
    /// No webhooks yet.
    pub fn new(options: &Options) -> Self {
        Self {
            all: BTreeMap::new(),
            triggers: Vec::new(),
            due: VecDeque::new(),
            in_flight: 0,
            counts: Counts::default(),
            breaker: options.breaker,
            trial: options.rates.trial,
            minute: (0, 0),
        }
    }

    /// Whether anyone wants this sort of event.
    pub fn wants(&self, kind: &str) -> bool {
        self.all.values().any(|hook| hook.wants(kind))
    }

    /// Counts as the admin door tells them.
    pub fn as_json(&self) -> Value {
        json!({"sent": self.counts.sent, "ok": self.counts.ok, "failed": self.counts.failed,
            "dropped": self.counts.dropped, "duplicated": self.counts.duplicated,
            "pending": self.due.len() + self.in_flight, "in_flight": self.in_flight})
    }

    /// Whether something is due by this moment or on its way.
    pub fn busy(&self, by_ms: i64) -> bool {
        self.in_flight > 0 || self.due.iter().any(|due| due.due_ms <= by_ms)
    }

    /// Takes one delivery from what a trial account may send this minute; false when that is spent.
    pub fn within_trial(&mut self, now_ms: i64) -> bool {
        let minute = now_ms.div_euclid(60_000);
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        self.minute.1 += 1;
        !self.trial || self.minute.1 <= TRIAL_DELIVERIES
    }
}

impl Webhook {
    /// Whether this webhook wants this sort of event.
    pub fn wants(&self, kind: &str) -> bool {
        self.active && self.subscriptions.iter().any(|s| s.strip_prefix("zen:event-type:") == Some(kind))
    }

    /// Whether triggers and automations send to it.
    pub fn is_conditional(&self) -> bool {
        self.subscriptions.iter().any(|s| s == CONDITIONAL)
    }

    /// Whether events are sent to it.
    pub fn is_of_events(&self) -> bool {
        self.subscriptions.iter().any(|s| s.starts_with("zen:event-type:"))
    }

    /// The webhook as REST writes it when it is asked for: secrets are never echoed.
    pub fn as_rest(&self) -> Value {
        // Kept in whole seconds, rounded, while the answer to its making tells it exactly.
        let created_at = self.created.0.plus(i64::from(self.created.1 >= 500_000_000));
        let mut value = json!({"id": self.id, "name": self.name, "description": self.description,
            "status": if self.active { "active" } else { "inactive" }, "subscriptions": self.subscriptions,
            "created_at": created_at, "created_by": self.created_by, "endpoint": self.endpoint,
            "http_method": self.method, "request_format": self.format});
        if let Some((at, by)) = &self.updated {
            value["updated_at"] = at.as_str().into();
            value["updated_by"] = by.as_str().into();
        }
        if let Some(authentication) = &self.authentication {
            let mut shown = json!({"type": authentication["type"], "add_position": "header"});
            match authentication["type"].as_str() {
                Some("basic_auth") => shown["data"] = json!({"username": authentication["data"]["username"]}),
                Some("api_key") => shown["data"] = json!({"name": authentication["data"]["name"]}),
                _ => {}
            }
            value["authentication"] = shown;
        }
        if !self.custom_headers.is_empty() {
            value["custom_headers"] = json!(self.custom_headers);
        }
        value
    }

    /// Writes down a try, and forgets what is older than the log reaches back.
    pub fn note(&mut self, attempt: Attempt) {
        let oldest = attempt.completed_at.plus(-LOG_REACH_MS / 1000);
        self.log.push_back(attempt);
        self.forget(oldest);
    }

    /// Forgets what was before a moment, and more than the log holds.
    pub fn forget(&mut self, oldest: Stamp) {
        while self.log.len() > LOG_LENGTH || self.log.front().is_some_and(|first| first.completed_at < oldest) {
            self.log.pop_front();
        }
    }

    /// The moment before which nothing is known any more.
    pub fn known_since(now: Stamp) -> Stamp {
        now.plus(-LOG_REACH_MS / 1000)
    }
}

impl Attempt {
    /// The line as the list of invocations shows it.
    pub fn as_invocation(&self) -> Value {
        let mut row =
            json!({"id": self.invocation_id, "status": self.status, "latest_completed_at": self.completed_at});
        if let Some(code) = self.status_code {
            row["status_code"] = code.into();
        }
        row
    }

    /// The line as the attempts of its invocation show it.
    pub fn as_attempt(&self, webhook_id: &str) -> Value {
        let mut row = json!({"id": webhook_id, "invocation_id": self.invocation_id, "status": self.status,
            "completed_at": self.completed_at});
        if let Some(code) = self.status_code {
            row["status_code"] = code.into();
        }
        if let Some(exchange) = self.exchange.as_object() {
            row["request"] = exchange["request"].clone();
            row["response"] = exchange["response"].clone();
        }
        row
    }
}
