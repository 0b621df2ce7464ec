//! What the parts of applying share: the surroundings of a batch, and whom and what it refers to.

use crate::config::Settings;
use crate::db;
use crate::model::person::PersonLink;
use crate::model::source::Source;
use crate::rules::requester;
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
    /// Are private comments of this source kept (A6)?
    pub fn keeps_private_comments(&self) -> bool {
        self.source.settings.private_comments.unwrap_or(self.settings.privacy.private_comments)
    }

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

    /// Who was requester of a ticket at a time (A4). Of a former one whom nobody knows (merged into another or deleted
    /// before the first sync, an agent who wrote for a customer) the present one takes the place: so it does not matter in
    /// which order the ticket and its history were read.
    pub fn requester_at<'a>(&self, ticket: &'a db::ticket::Known, at: DateTime<Utc>) -> Option<&'a str> {
        let present = ticket.requester.as_deref();
        let then = requester::at(at, &ticket.history, present);
        then.filter(|then| self.links.contains_key(*then)).or(present)
    }
}
