//! What a comparison finds.

use crate::db;
use crate::demo::sim::SimError;
use serde_json::Value;
use std::fmt;

/// Something that is not as it is in Zendesk.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Which record: `user 123`, `ticket 45`.
    pub record: String,
    /// What of it.
    pub field: String,
    /// What the CDP has.
    pub ours: Value,
    /// What Zendesk has.
    pub theirs: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {} here and {} there", self.record, self.field, self.ours, self.theirs)
    }
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The true state cannot be read.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The CDP cannot be read.
    #[error("database: {0}")]
    Database(#[from] db::Error),
    /// There is no such source.
    #[error("there is no source with id {0}")]
    Unknown(i64),
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings {
    /// All of it.
    pub found: Vec<Difference>,
}

impl Findings {
    /// Notes a difference.
    pub fn add(&mut self, record: impl fmt::Display, field: &str, ours: impl Into<Value>, theirs: impl Into<Value>) {
        let (ours, theirs) = (ours.into(), theirs.into());
        self.found.push(Difference { record: record.to_string(), field: field.to_string(), ours, theirs });
    }

    /// Notes a difference if there is one. Absent, null and empty are the same: Zendesk itself writes now one, now another.
    pub fn check(&mut self, record: impl fmt::Display, field: &str, ours: &Value, theirs: &Value) {
        if plain(ours) != plain(theirs) {
            self.add(record, field, ours.clone(), theirs.clone());
        }
    }
}

/// A value without the ways of saying nothing.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(list) if list.is_empty() => Value::Null,
        other => other.clone(),
    }
}
