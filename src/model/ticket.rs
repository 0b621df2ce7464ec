//! Tickets as a record of a source has them, and the ratings given to them.

use super::record::Problem;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A ticket, normalised. All ids of other records are text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TicketRecord {
    /// Number in Zendesk.
    pub id: i64,
    /// Requester.
    pub requester: Option<String>,
    /// Submitter.
    pub submitter: Option<String>,
    /// Assigned agent.
    pub assignee: Option<String>,
    /// Organization.
    pub organization: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Text of the first message; kept only in its activity.
    #[serde(skip)]
    pub description: Option<String>,
    /// Status, lower case.
    pub status: Option<String>,
    /// Priority, lower case.
    pub priority: Option<String>,
    /// Type, lower case.
    pub kind: Option<String>,
    /// Channel it came by.
    pub channel: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// Brand.
    pub brand: Option<String>,
    /// Form.
    pub form: Option<String>,
    /// Custom status.
    pub custom_status: Option<String>,
    /// Id in the operator's own systems.
    pub external_id: Option<String>,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Custom fields by id, where they have a value.
    pub fields: Map<String, Value>,
    /// Has a public comment.
    pub is_public: Option<bool>,
    /// When it was opened.
    pub created_at: Option<DateTime<Utc>>,
    /// When a ticket event last changed it.
    pub updated_at: Option<DateTime<Utc>>,
    /// The newest stamp of it: orders versions.
    #[serde(skip)]
    pub version_at: DateTime<Utc>,
    /// Deleted for good, its texts replaced.
    pub scrubbed: bool,
    /// Keys that were not understood.
    pub unknown: Option<Value>,
    /// Parts that could not be used.
    pub problems: Vec<Problem>,
    /// False for what a webhook alone says: custom fields are then unknown.
    pub complete: bool,
}

impl TicketRecord {
    /// True when it was deleted.
    pub fn is_deleted(&self) -> bool {
        self.scrubbed || self.status.as_deref() == Some("deleted")
    }
}

/// Somebody who was requester of a ticket until a time (A4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerRequester {
    /// Until when.
    pub until: DateTime<Utc>,
    /// Record id of the requester.
    pub requester: String,
}

/// A satisfaction rating, classic or from a survey (A5).
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    /// The ticket.
    pub ticket_id: i64,
    /// offered, good or bad.
    pub score: String,
    /// Points and the size of the scale, for surveys.
    pub scale: Option<(i64, i64)>,
    /// What the customer wrote.
    pub comment: Option<String>,
    /// Reason chosen.
    pub reason: Option<String>,
    /// Requester.
    pub requester: Option<String>,
    /// Agent at the time.
    pub assignee: Option<String>,
    /// Group at the time.
    pub group: Option<String>,
    /// When it was given or last changed.
    pub rated_at: DateTime<Utc>,
}
