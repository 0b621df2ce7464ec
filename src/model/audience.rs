//! Audiences: a filter by which people enter, when they leave, and who stays in or out whatever it says (R56–R58).

use super::filter::Filter;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// An audience as it is defined.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Name by which commands, activations and other audiences know it.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Whether who has left may enter again (R8).
    pub reentry: bool,
    /// Who enters.
    pub entry: Filter,
    /// Who leaves; without it, for whom `entry` holds no longer (R56).
    pub exit: Option<Filter>,
    /// What was written.
    pub written: Value,
}

impl Definition {
    /// Both filters.
    pub fn filters(&self) -> impl Iterator<Item = &Filter> {
        std::iter::once(&self.entry).chain(&self.exit)
    }
}

/// How a person stands to an audience: who was ever in it, or was put in or out by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub person_id: i64,
    /// Is in it.
    pub inside: bool,
    /// When the last stay ended.
    pub left_at: Option<DateTime<Utc>>,
    /// Put in or out by hand.
    pub manual: Option<bool>,
    /// Is there, and not archived.
    pub live: bool,
}

/// Who enters and who leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Who enters.
    pub enter: Vec<i64>,
    /// Who leaves.
    pub leave: Vec<i64>,
    /// Who would enter again, less than a minute after leaving, and when that minute is over (R57).
    pub later: Vec<(i64, DateTime<Utc>)>,
}

impl Change {
    /// How many memberships change.
    pub fn len(&self) -> usize {
        self.enter.len() + self.leave.len()
    }

    /// True when none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
