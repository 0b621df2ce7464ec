//! Organizations as a record of a source has them.

use super::record::Problem;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

/// An organization, normalised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrganizationRecord {
    /// Id in the source.
    pub record_id: String,
    /// Name.
    pub name: Option<String>,
    /// Id in the operator's own systems.
    pub external_id: Option<String>,
    /// Domains of its people.
    pub domains: Vec<String>,
    /// Other fields by key.
    pub fields: Map<String, Value>,
    /// When the source made it.
    pub created_at: Option<DateTime<Utc>>,
    /// When the source last changed it.
    #[serde(skip)]
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was deleted there.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Keys that were not understood.
    pub unknown: Option<Value>,
    /// Parts that could not be used.
    pub problems: Vec<Problem>,
    /// False for what a webhook alone says.
    pub complete: bool,
}
