//! Is the CDP what the simulated Zendesk is? A comparison, field by field, with its true state.
//!
//! It reads the admin door's own JSON and shares nothing with the daemon's decoders, so that a mistake there cannot hide.
//! What it takes from the daemon are words (`rules::name`, `model::phone`), each tested by itself.

mod activities;
mod people;
mod tickets;
mod truth;

use super::sim::{Door, SimError};
use crate::db;
use crate::pipeline::context::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use truth::{Ours, Truth};

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
struct Findings {
    found: Vec<Difference>,
}

impl Findings {
    fn add(&mut self, record: impl fmt::Display, field: &str, ours: impl Into<Value>, theirs: impl Into<Value>) {
        let (ours, theirs) = (ours.into(), theirs.into());
        self.found.push(Difference { record: record.to_string(), field: field.to_string(), ours, theirs });
    }

    /// Notes a difference if there is one. Absent, null and empty are the same: Zendesk itself writes now one, now another.
    fn check(&mut self, record: impl fmt::Display, field: &str, ours: &Value, theirs: &Value) {
        if plain(ours) != plain(theirs) {
            self.add(record, field, ours.clone(), theirs.clone());
        }
    }
}

fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(list) if list.is_empty() => Value::Null,
        other => other.clone(),
    }
}

/// Compares all that a source has brought with the simulated Zendesk behind `door` (`http://127.0.0.1:PORT/_sim`).
///
/// To be asked when everything has arrived: life has stopped, every stream was read past its end, nothing is pending.
///
/// # Errors
/// When one side cannot be read.
pub async fn compare(ctx: &Context, source_id: i64, door: &str) -> Result<Vec<Difference>, CompareError> {
    let truth = Truth::read(&Door::new(door)?).await?;
    let ours = Ours::read(ctx, source_id).await?;
    let mut findings = Findings::default();
    people::check(&truth, &ours, &mut findings);
    people::check_agents(&truth, &ours, &mut findings);
    people::check_organizations(&truth, &ours, &mut findings);
    tickets::check(&truth, &ours, &mut findings);
    activities::check(&truth, &ours, &mut findings);
    Ok(findings.found)
}

/// How many differences there are of each field, most first: for a summary.
pub fn by_field(differences: &[Difference]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for difference in differences {
        let kind = difference.record.split(' ').next().unwrap_or_default();
        *counts.entry(format!("{kind} {}", difference.field)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
