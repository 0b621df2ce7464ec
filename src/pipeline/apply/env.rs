//! What the parts of applying share: the surroundings of a batch, and whom and what it refers to.

use crate::config::Settings;
use crate::db;
use crate::model::person::PersonLink;
use crate::model::source::Source;
use crate::secret::Sealer;
use chrono::{DateTime, Duration, Utc};
use std::collections::{HashMap, HashSet};

/// Tickets that a batch refers to, as they stand after it.
pub type Tickets = HashMap<i64, db::ticket::Known>;

/// What applying needs besides the records.
pub struct Env<'a> {
    /// Now.
    pub now: DateTime<Utc>,
    /// Configuration.
    pub settings: &'a Settings,
    /// Keyed digests for tombstones and suppressions.
    pub sealer: &'a Sealer,
    /// The source.
    pub source: &'a Source,
}

impl Env<'_> {
    /// When a person who is archived now is deleted (R48).
    pub fn delete_after(&self) -> Option<DateTime<Utc>> {
        let days = i64::from(self.settings.retention.archived_person_days);
        (days > 0).then(|| self.now + Duration::days(days))
    }
}

/// Who the records of a source are, as far as a batch refers to them.
#[derive(Default)]
pub struct Known {
    /// Links by record id.
    pub links: HashMap<String, PersonLink>,
    /// People who are archived: nothing is attached to them.
    pub archived: HashSet<i64>,
}

impl Known {
    /// The person of a record, if it has one.
    pub fn person(&self, record_id: &str) -> Option<i64> {
        self.links.get(record_id).map(|link| link.person_id)
    }

    /// The person of a record to whom something may be attached.
    pub fn attachable(&self, record_id: &str) -> Option<i64> {
        self.person(record_id).filter(|person| !self.archived.contains(person))
    }
}
