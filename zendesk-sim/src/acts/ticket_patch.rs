//! What is asked of a ticket, read from a request.
use super::{double, users::Named};
use crate::time::Stamp;
use crate::world::audit::Attachment;
use crate::world::ticket::{Priority, Status, TicketType};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Something to be said on a ticket.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NewComment {
    /// The words; older clients call them `value`.
    #[serde(alias = "value")]
    pub body: Option<String>,
    /// The words, as HTML.
    pub html_body: Option<String>,
    /// Whether the customer sees it (yes, if not said).
    pub public: Option<bool>,
    /// Who says it, if not whoever asks.
    pub author_id: Option<i64>,
    /// File names to attach.
    pub files: Vec<String>,
    /// Files sent ahead.
    #[serde(skip)]
    pub uploads: Vec<Attachment>,
}

/// A custom field's new value.
#[derive(Clone, Debug, Deserialize)]
pub struct NewField {
    /// The field.
    pub id: i64,
    /// The value.
    #[serde(default)]
    pub value: Value,
}

/// A requester given by address.
#[derive(Clone, Debug, Deserialize)]
pub struct Requester {
    /// Name, for a new user.
    pub name: Option<String>,
    /// Address, to find or to make one.
    pub email: Option<String>,
}

/// What is to be different about a ticket, or to be so from the start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct TicketPatch {
    pub subject: Option<String>,
    /// The first comment's words, for those who send no comment.
    pub description: Option<String>,
    pub comment: Option<NewComment>,
    pub status: Option<Status>,
    #[serde(deserialize_with = "double")]
    pub priority: Option<Option<Priority>>,
    #[serde(rename = "type", deserialize_with = "double")]
    pub kind: Option<Option<TicketType>>,
    pub requester_id: Option<i64>,
    pub requester: Option<Requester>,
    pub submitter_id: Option<i64>,
    #[serde(deserialize_with = "double")]
    pub assignee_id: Option<Option<i64>>,
    #[serde(deserialize_with = "double")]
    pub group_id: Option<Option<i64>>,
    #[serde(deserialize_with = "double")]
    pub external_id: Option<Option<String>>,
    pub tags: Option<Vec<String>>,
    pub additional_tags: Option<Vec<String>>,
    pub remove_tags: Option<Vec<String>>,
    pub custom_fields: Vec<NewField>,
    pub custom_status_id: Option<i64>,
    pub email_ccs: Option<Vec<i64>>,
    #[serde(deserialize_with = "double")]
    pub problem_id: Option<Option<i64>>,
    pub followers: Option<Vec<i64>>,
    #[serde(deserialize_with = "double")]
    pub due_at: Option<Option<String>>,
    /// Whether it is asked for at all: `false` is taken for yes (Z§4).
    #[serde(deserialize_with = "present")]
    pub safe_update: bool,
    pub updated_stamp: Option<String>,
    pub organization: Option<Named>,
    #[serde(deserialize_with = "double")]
    pub organization_id: Option<Option<i64>>,
    /// The closed ticket this one follows.
    pub via_followup_source_id: Option<i64>,
}

/// Whether anything but null is given.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(!Value::deserialize(from)?.is_null())
}

impl TicketPatch {
    /// The moment the asker last saw the ticket change, if they want it checked.
    pub fn seen_at(&self) -> Option<Stamp> {
        self.updated_stamp.as_deref().filter(|_| self.safe_update).and_then(Stamp::parse)
    }

    /// Nothing but something said.
    pub fn saying(author_id: i64, body: &str, public: bool) -> Self {
        let comment = NewComment {
            body: Some(body.to_owned()),
            public: Some(public),
            author_id: Some(author_id),
            ..NewComment::default()
        };
        Self { comment: Some(comment), ..Self::default() }
    }

    /// Also a new status.
    #[must_use]
    pub fn and_status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }
}
