//! Everything about one person that a filter may ask about.

use super::consent::ConsentState;
use super::field::PerField;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a filter may ask of a person.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// System fields.
    pub system: PerField<Option<String>>,
    /// Custom fields.
    pub fields: Map<String, Value>,
    /// When the CDP first met the person.
    pub created_at: DateTime<Utc>,
    /// May be sent e-mail.
    pub email_consent: ConsentState,
    /// May be sent text messages.
    pub sms_consent: ConsentState,
    /// Organizations that are not deleted.
    pub organizations: Vec<OrganizationFacts>,
    /// Tickets that are not deleted.
    pub tickets: Vec<TicketFacts>,
    /// Activities that are still kept: type, time, attributes.
    pub activities: Vec<(String, DateTime<Utc>, Map<String, Value>)>,
    /// First and last occurrence of each type ever (R7).
    pub rollups: Vec<(String, DateTime<Utc>, DateTime<Utc>)>,
    /// Names of the audiences that the person is in.
    pub audiences: BTreeSet<String>,
}

/// An organization of the person.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in `model::organization`")]
pub struct OrganizationFacts {
    pub name: Option<String>,
    pub external_id: Option<String>,
    pub domains: Vec<String>,
    pub fields: Map<String, Value>,
}

/// A ticket of the person.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in `model::ticket`")]
pub struct TicketFacts {
    pub id: i64,
    pub subject: Option<String>,
    pub status: Option<String>,
    pub priority: Option<String>,
    pub kind: Option<String>,
    pub channel: Option<String>,
    pub rating: Option<String>,
    pub rating_at: Option<DateTime<Utc>>,
    pub brand: Option<String>,
    pub group: Option<String>,
    pub tags: Vec<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub fields: Map<String, Value>,
}
