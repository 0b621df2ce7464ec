//! Webhooks, what is due to them, and what became of it.
use crate::deliver::breaker::Breaker;
use crate::options::Options;
use crate::time::Stamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

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
    /// Event types.
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
    /// When it was made.
    pub created_at: String,
    /// Who made it.
    pub created_by: String,
    /// When it last changed, and by whom.
    pub updated: Option<(String, String)>,
    /// What was sent lately.
    pub invocations: VecDeque<Invocation>,
    /// Stops deliveries while they fail.
    pub breaker: Breaker,
}

/// One event on its way to one webhook, with every try.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// A ULID.
    pub id: String,
    /// pending, success, terminated, circuit broken, …
    pub status: &'static str,
    /// The last answer's status.
    pub status_code: Option<u16>,
    /// When the last try ended.
    pub completed_at: Option<Stamp>,
    /// Every try.
    pub attempts: Vec<Value>,
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
    /// What is due, in the order it came.
    pub due: VecDeque<Due>,
    /// How many are being sent now.
    pub in_flight: usize,
    /// Counts since the start.
    pub counts: Counts,
    /// Whether breakers work.
    pub breaker: bool,
}

impl Hooks {
    /// No webhooks yet.
    pub fn new(options: &Options) -> Self {
        Self {
            all: BTreeMap::new(),
            due: VecDeque::new(),
            in_flight: 0,
            counts: Counts::default(),
            breaker: options.breaker,
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
}

impl Webhook {
    /// Whether this webhook wants this sort of event.
    pub fn wants(&self, kind: &str) -> bool {
        self.active && self.subscriptions.iter().any(|s| s.strip_prefix("zen:event-type:") == Some(kind))
    }

    /// The webhook as REST writes it: secrets are never echoed.
    pub fn as_rest(&self) -> Value {
        let mut value = json!({"id": self.id, "name": self.name, "description": self.description,
            "status": if self.active { "active" } else { "inactive" }, "subscriptions": self.subscriptions,
            "created_at": self.created_at, "created_by": self.created_by, "endpoint": self.endpoint,
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

    /// The invocation of an id.
    pub fn invocation(&mut self, id: &str) -> Option<&mut Invocation> {
        self.invocations.iter_mut().find(|invocation| invocation.id == id)
    }
}
