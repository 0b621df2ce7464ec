//! What is written to Zendesk and what became of it: rows, records, calls, results.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Values by target field: `name`, `user_fields.tier`. `null` is no value.
pub type Values = BTreeMap<String, Value>;

/// A record as Zendesk has it now, as far as activations look at it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Remote {
    /// Its id.
    pub id: String,
    /// Its fields, custom ones with their prefix; a missing one is `null` or not known to Zendesk.
    pub values: Values,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Organizations it belongs to, by their ids, where they were asked for; the default one first.
    pub organizations: Option<Vec<String>>,
    /// Whether it may be written.
    pub standing: Standing,
    /// When it last changed.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Whether a record may be written (§d 10 of the notes on peers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// An end user, or an organization.
    #[default]
    Normal,
    /// An end user who may not sign in: may be written, is reported.
    Suspended,
    /// Belongs to another account: Zendesk refuses changes.
    Shared,
    /// An agent or admin: never written.
    Agent,
    /// Deleted or merged into another.
    Deleted,
}

/// A user's place in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// Where.
    pub organization_id: String,
    /// Whether it is the user's default organization.
    pub default: bool,
}

/// What an activation wants of one record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Values, formed for the target's types.
    pub values: Values,
    /// Tags of ours: worn or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, bool>,
    /// Memberships of ours: in or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub organizations: BTreeMap<String, bool>,
}

/// One row of an activation, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `person:ID`, `organization:ID` or `key:VALUE`.
    pub row_key: String,
    /// Whose it is.
    pub person_id: Option<i64>,
    /// The record in Zendesk, where the CDP knows it.
    pub record_id: Option<String>,
    /// The value that finds the record.
    pub key_value: Option<String>,
    /// What is wanted, or why nothing can be.
    pub wanted: Result<Wanted, Fault>,
    /// Digest of `wanted` and of what finds the record.
    pub digest: i64,
    /// Whether the ledger has the row, and if so the digest of what was last confirmed: None while something newer is on its way.
    pub last: Option<Option<i64>>,
}

/// Why a record is not written, or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The target field at fault, where there is one.
    pub field: Option<String>,
    /// What kind of fault: a word from a fixed list, for counting.
    pub class: String,
    /// In words; never holds the value, which may be personal data.
    pub reason: String,
}

impl Fault {
    /// A fault of a record as a whole.
    pub fn new(class: &str, reason: impl Into<String>) -> Fault {
        Fault { field: None, class: class.to_owned(), reason: reason.into() }
    }

    /// A fault of one field.
    pub fn of(field: &str, class: &str, reason: impl Into<String>) -> Fault {
        Fault { field: Some(field.to_owned()), ..Fault::new(class, reason) }
    }
}

/// What is sent for one record: only what changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Fields to set; `null` clears.
    pub values: Values,
    /// Tags to add.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub add_tags: BTreeSet<String>,
    /// Tags to remove.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove_tags: BTreeSet<String>,
    /// Organizations to join.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub join: BTreeSet<String>,
    /// Organizations to leave.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub leave: BTreeSet<String>,
}

impl Changes {
    /// True when nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// What a target field of an account is: as its definition says, or as the reference says of system fields.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetField {
    /// Its name in files: `name`, `user_fields.tier`.
    pub name: String,
    /// Zendesk's word for its type: text, textarea, checkbox, date, integer, decimal, regexp, dropdown, multiselect, lookup; of system
    /// fields also name, email, phone, locale, time_zone, external_id.
    pub kind: String,
    /// False when switched off.
    pub active: bool,
    /// Values of options, where it has some.
    pub options: Vec<String>,
    /// Pattern that values have to fit.
    pub pattern: Option<String>,
    /// Characters it takes at most.
    pub max_chars: Option<usize>,
}

/// The kind of a field whose type the account does not tell.
pub const UNKNOWN: &str = "unknown";

/// What an account's custom fields are, as a list, when it does not tell them: one field of that name after their prefix.
pub const ANY_FIELD: &str = "*";

impl TargetField {
    /// A custom field of which nothing is known but its name.
    pub fn unknown(name: String) -> TargetField {
        TargetField { name, kind: UNKNOWN.into(), active: true, options: Vec::new(), pattern: None, max_chars: None }
    }
}

/// The state of a record in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordState {
    /// To be sent.
    Planned,
    /// Of a plan: its before-image is taken.
    Read,
    /// In a call that is stored.
    Sent,
    /// New in Zendesk.
    Created,
    /// Changed in Zendesk.
    Updated,
    /// Zendesk had it all.
    Unchanged,
    /// Not written, and why.
    Failed,
    /// Nobody can tell.
    Unknown,
    /// Left out on purpose.
    Skipped,
}

impl RecordState {
    /// All of them.
    pub const ALL: [RecordState; 9] = {
        use RecordState::*;
        [Planned, Read, Sent, Created, Updated, Unchanged, Failed, Unknown, Skipped]
    };

    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordState::Planned => "planned",
            RecordState::Read => "read",
            RecordState::Sent => "sent",
            RecordState::Created => "created",
            RecordState::Updated => "updated",
            RecordState::Unchanged => "unchanged",
            RecordState::Failed => "failed",
            RecordState::Unknown => "unknown",
            RecordState::Skipped => "skipped",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<RecordState> {
        RecordState::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True when nothing more becomes of it by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, RecordState::Planned | RecordState::Read | RecordState::Sent)
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// Looks, and writes only when it is applied.
    Plan,
    /// All rows.
    Run,
    /// What changed.
    Always,
    /// One row.
    Test,
    /// Gives back what a run replaced.
    Undo,
}

impl RunKind {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            RunKind::Plan => "plan",
            RunKind::Run => "run",
            RunKind::Always => "always",
            RunKind::Test => "test",
            RunKind::Undo => "undo",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<RunKind> {
        use RunKind::*;
        [Plan, Run, Always, Test, Undo].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Looks at rows.
    Planning,
    /// A plan takes before-images.
    Reading,
    /// A plan waits to be applied.
    Planned,
    /// A guard or a stage asks.
    Waiting,
    /// Records are sent and their results awaited.
    Sending,
    /// Every record has its result.
    Done,
    /// It could not go on.
    Failed,
    /// An operator or a guard ended it.
    Stopped,
}

impl RunState {
    /// All of them.
    pub const ALL: [RunState; 8] = {
        use RunState::*;
        [Planning, Reading, Planned, Waiting, Sending, Done, Failed, Stopped]
    };

    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Planning => "planning",
            RunState::Reading => "reading",
            RunState::Planned => "planned",
            RunState::Waiting => "waiting",
            RunState::Sending => "sending",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Stopped => "stopped",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<RunState> {
        RunState::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True while the daemon has something to do for it.
    pub fn is_active(self) -> bool {
        matches!(self, RunState::Planning | RunState::Reading | RunState::Sending)
    }
}

/// What a run counted, beside its records.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Rows looked at.
    pub looked_at: u64,
    /// Rows for which Zendesk was last given the same.
    pub same: u64,
    /// Rows that consent or suppression keeps out; those that were written before are delivered as exits, and stand
    /// among the rows as well.
    pub withheld: u64,
    /// Records it would change, as its before-images told.
    pub would_change: u64,
    /// Fields it would clear, likewise.
    pub would_clear: u64,
    /// Records it would create, likewise.
    pub would_create: u64,
    /// How rows and records meet, by the names of `rules::activation::adoption`; of a first sync only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub adoption: BTreeMap<String, u64>,
    /// Changed records for which an operator has said yes, of runs that are always on.
    pub approved: u64,
    /// Records by state when it ended, and by class where they failed: `updated`, `failed`, `failed.agent`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, u64>,
}

/// A value of ours that Zendesk confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The value.
    pub v: Value,
    /// The one before.
    #[serde(default)]
    pub was: Value,
    /// When it was confirmed.
    pub at: DateTime<Utc>,
    /// When it was sent: what Zendesk had earlier knows nothing of it. None of what was written before this was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<DateTime<Utc>>,
}

/// What we added to a record and therefore may remove.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Owned {
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Organizations, by their ids.
    pub organizations: BTreeSet<String>,
}

/// What Zendesk was last given for a row: an entry of the ledger.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivered {
    /// The row.
    pub row_key: String,
    /// Whose it is.
    pub person_id: Option<i64>,
    /// The record.
    pub record_id: Option<String>,
    /// Digest of what was wanted when it was last confirmed.
    pub digest: i64,
    /// Values of ours that Zendesk confirmed.
    pub written: BTreeMap<String, Written>,
    /// Values on their way, or of which nobody knows whether they arrived; beside them `tags` and `organizations` that are, and
    /// `sent`: since when, and what stood there before.
    pub pending: Values,
    /// What we may remove.
    pub owned: Owned,
}
