//! Raw events: webhooks as they came. Only `zendesk::verify` can make a [`Verified`] one, so that nothing else is stored.

use chrono::{DateTime, Utc};

/// A webhook whose signature was checked and that is about to be stored.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The workspace.
    pub workspace_id: i64,
    /// The source.
    pub source_id: i64,
    /// Zendesk's id of the event, or `sha256:…` of a body that has none.
    pub event_id: String,
    /// Zendesk's type, where the body has one.
    pub event_type: Option<String>,
    /// Zendesk's id of the delivery.
    pub invocation_id: Option<String>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// Older than the freshness window.
    pub late: bool,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A stored webhook that is not yet applied.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Order of arrival.
    pub seq: i64,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// Zendesk's type.
    pub event_type: Option<String>,
    /// The bytes.
    pub body: Vec<u8>,
}
