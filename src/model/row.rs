//! What is known of one row of an activation before its values are formed: only what the mappings look at.

use super::consent::ConsentState;
use super::field::{PerField, SystemField};
use super::push::Owned;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A row as the CDP has it.
#[derive(Debug, Clone, Default)]
pub struct RowFacts {
    /// The person; None when the row is no person's, or the person is gone.
    pub person: Option<PersonFacts>,
    /// The organization, where organizations are the target; None when it is deleted.
    pub organization: Option<OrganizationRow>,
    /// Stays in the activation's audiences, in their order there; None where there never was one.
    pub stays: Vec<Option<Stay>>,
    /// Columns of the query.
    pub columns: Map<String, Value>,
    /// What Zendesk was last given.
    pub given: Option<Given>,
}

/// A person, as far as mappings look at it.
#[derive(Debug, Clone, Default)]
pub struct PersonFacts {
    /// Number.
    pub id: i64,
    /// Archived people are in nothing: of them only is known where they can be left.
    pub archived: bool,
    /// System fields that are needed.
    pub system: PerField<Option<String>>,
    /// Custom fields that are needed and there.
    pub fields: BTreeMap<String, Value>,
    /// When the CDP first met the person.
    pub created_at: DateTime<Utc>,
    /// May be sent e-mail.
    pub email_consent: ConsentState,
    /// May be sent text messages.
    pub sms_consent: ConsentState,
    /// Columns of `support_summary`, by their names there; empty for who has no ticket.
    pub summary: Map<String, Value>,
    /// Rollups that are needed: first, last, total, by type.
    pub rollups: BTreeMap<String, (DateTime<Utc>, DateTime<Utc>, i64)>,
    /// Records of the source that stand for the person: id and status.
    pub records: Vec<(String, String)>,
    /// Ids, in the source, of the organizations that the person belongs to there.
    pub organizations: Vec<String>,
}

/// An organization, as far as mappings look at it.
#[derive(Debug, Clone, Default)]
pub struct OrganizationRow {
    /// Number.
    pub id: i64,
    /// Id in the source.
    pub record_id: String,
    /// Name.
    pub name: Option<String>,
    /// Id in the operator's own systems.
    pub external_id: Option<String>,
    /// Custom fields.
    pub fields: Map<String, Value>,
    /// When the CDP first met it.
    pub created_at: DateTime<Utc>,
}

/// The stay in an audience that counts: the present one, else the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// Since when.
    pub entered_at: DateTime<Utc>,
    /// Until when; None while in it.
    pub exited_at: Option<DateTime<Utc>>,
}

/// What the ledger has of a row, as far as forming it needs that.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given {
    /// The row.
    pub row_key: String,
    /// Whose.
    pub person_id: Option<i64>,
    /// The record.
    pub record_id: Option<String>,
    /// Names of the fields that have a value of ours, of those at least that are needed.
    pub written: Vec<String>,
    /// Tags and memberships that are ours.
    pub owned: Owned,
    /// Digest of what was last confirmed; None while something newer is on its way, so that nobody takes the row for what it was before.
    pub digest: Option<i64>,
}

/// What has to be read of a person for an activation's mappings and key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Needed {
    /// System fields.
    pub system: BTreeSet<SystemField>,
    /// Custom fields.
    pub custom: BTreeSet<String>,
    /// Anything of `support_summary`.
    pub summary: bool,
    /// Types of activities.
    pub rollups: BTreeSet<String>,
    /// Organizations.
    pub organizations: bool,
    /// Target fields of which it has to be known whether they have a value of ours.
    pub written: Vec<String>,
}
