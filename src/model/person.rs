//! People: the row as it stands, and what a record of a source says of one.

use super::consent::{Channel, ConsentAction, ConsentState, Evidence};
use super::field::{Given, PerField};
use super::record::Problem;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A person as the CDP has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// Number of the person.
    pub id: i64,
    /// System fields.
    pub system: PerField<Option<String>>,
    /// All other fields by key.
    pub fields: Map<String, Value>,
    /// May be sent e-mail.
    pub email_consent: ConsentState,
    /// May be sent text messages.
    pub sms_consent: ConsentState,
    /// When the CDP first met the person.
    pub created_at: DateTime<Utc>,
    /// Source that created the person.
    pub created_source_id: i64,
    /// Per field its last writer, for fields written after creation.
    pub provenance: Map<String, Value>,
    /// Set while archived.
    pub archived_at: Option<DateTime<Utc>>,
}

/// What a source's record is at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// A customer.
    Active,
    /// A customer who may not write to support at present.
    Suspended,
    /// Deleted in the source; may be restored there.
    Deleted,
    /// Deleted for good in the source.
    Erased,
    /// Went into another record.
    Merged,
    /// No customer: an agent or admin (R36).
    Agent,
}

impl RecordStatus {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordStatus::Active => "active",
            RecordStatus::Suspended => "suspended",
            RecordStatus::Deleted => "deleted",
            RecordStatus::Erased => "erased",
            RecordStatus::Merged => "merged",
            RecordStatus::Agent => "agent",
        }
    }

    /// True for a record whose fields may be applied to a person.
    pub fn is_customer(self) -> bool {
        matches!(self, RecordStatus::Active | RecordStatus::Suspended)
    }

    /// True when the source no longer has the customer (R50).
    pub fn is_gone(self) -> bool {
        matches!(self, RecordStatus::Deleted | RecordStatus::Erased)
    }
}

/// What can find a person besides the record itself, in the order in which it is tried (R34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// Id in the operator's own systems, compared without case (I5).
    ExternalId,
    /// Normalised e-mail address (I1).
    Email,
    /// E.164 phone number (I4).
    Phone,
}

impl IdentityKind {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityKind::ExternalId => "external_id",
            IdentityKind::Email => "email",
            IdentityKind::Phone => "phone",
        }
    }
}

/// A normalised value that finds a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Identity {
    /// Kind.
    pub kind: IdentityKind,
    /// Normalised value.
    pub value: String,
    /// True when the source says it is verified.
    pub verified: bool,
}

/// A name as a source has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub enum NameGiven {
    /// Not mentioned.
    #[default]
    Absent,
    /// One text, to be split (N1–N8).
    Whole(String),
    /// Already in parts, which stand in the system fields.
    Parts,
}

/// A consent that a record brings with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsentGiven {
    /// Channel.
    pub channel: Channel,
    /// What happened.
    pub action: ConsentAction,
    /// How strong it is.
    pub evidence: Evidence,
    /// When; the time of recording where the source does not say.
    pub occurred_at: Option<DateTime<Utc>>,
    /// What the person was told.
    pub wording: Option<String>,
}

/// A person as one record of a source has them, normalised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonRecord {
    /// Id in the source.
    pub record_id: String,
    /// What the record is.
    pub status: RecordStatus,
    /// Role as the source names it.
    pub role: String,
    /// The name.
    pub name: NameGiven,
    /// System fields other than a whole name.
    pub system: PerField<Given>,
    /// Custom fields by key; `null` clears.
    pub fields: Map<String, Value>,
    /// What else finds the person.
    pub identities: Vec<Identity>,
    /// Id of the organization in the source.
    pub organization_record_id: Option<String>,
    /// When the source made the record.
    pub created_at: Option<DateTime<Utc>>,
    /// When the source last changed it.
    #[serde(skip)]
    pub updated_at: Option<DateTime<Utc>>,
    /// Keys that were not understood, as they came.
    pub unknown: Option<Value>,
    /// Parts that could not be used.
    pub problems: Vec<Problem>,
    /// Consents it brings.
    pub consents: Vec<ConsentGiven>,
    /// False for what a webhook alone says: absent parts are then unknown, not empty.
    pub complete: bool,
    /// True for a row of a file: what it does not mention stays as it is, although the row is all there is (R28).
    #[serde(skip)]
    pub sparse: bool,
}

/// The link between a record of a source and a person, with what was last applied.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonLink {
    /// Id in the source.
    pub record_id: String,
    /// The person; 0 in a plan for one who is being created.
    pub person_id: i64,
    /// Its organization in the source.
    pub organization_record_id: Option<String>,
    /// The name as last seen in the source.
    pub name: Option<String>,
    /// What the record was.
    pub status: String,
    /// When the source had last changed it.
    pub record_updated_at: Option<DateTime<Utc>>,
    /// Digest of the record as last applied.
    pub seen: i64,
}

/// A pair that one record matched at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The person the record was attached to.
    pub person_id: i64,
    /// The other one.
    pub other_id: i64,
    /// What matched.
    pub reason: String,
    /// The record.
    pub record_id: String,
}
