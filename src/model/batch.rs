//! A batch: normalised records of one source that are applied in one transaction. One record is a batch of one.

use super::activity::{ActivityDraft, Owner};
use super::field::FieldDef;
use super::organization::OrganizationRecord;
use super::person::PersonRecord;
use super::ticket::{FormerRequester, Rating, TicketRecord};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

/// Something that could not be decoded, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stream it came by; `webhooks` for a webhook.
    pub stream: &'static str,
    /// Id of the record, where it could be read.
    pub record_id: String,
    /// Why, without personal data.
    pub reason: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A merge that the source reports (R35).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceMerge {
    /// Record that stays.
    pub winner: String,
    /// Record that went into it.
    pub loser: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Texts that must go from every stored copy (A7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redaction {
    /// One comment.
    Comment {
        /// The ticket.
        ticket_id: i64,
        /// The comment.
        comment_id: String,
    },
    /// One comment that was made private: customers no longer see it (A6).
    Private {
        /// The ticket.
        ticket_id: i64,
        /// The comment.
        comment_id: String,
    },
    /// Everything of a ticket.
    Ticket {
        /// The ticket.
        ticket_id: i64,
    },
}

/// Records of one source to be applied together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// People and agents.
    pub people: Vec<PersonRecord>,
    /// Organizations.
    pub organizations: Vec<OrganizationRecord>,
    /// Tickets.
    pub tickets: Vec<TicketRecord>,
    /// What happened.
    pub activities: Vec<ActivityDraft>,
    /// Ratings.
    pub ratings: Vec<Rating>,
    /// Former requesters by ticket.
    pub requesters: BTreeMap<i64, Vec<FormerRequester>>,
    /// Merges.
    pub merges: Vec<SourceMerge>,
    /// Texts to remove.
    pub redactions: Vec<Redaction>,
    /// Definitions of custom fields; a list replaces all of its entity.
    pub fields: Vec<FieldDef>,
    /// Users who were asked for and whom the source does not know.
    pub nobody: Vec<String>,
    /// What could not be decoded.
    pub refused: Vec<Refused>,
}

impl Batch {
    /// Records ids of every person the batch refers to.
    pub fn person_records(&self) -> impl Iterator<Item = &str> {
        let people = self.people.iter().map(|person| person.record_id.as_str());
        let people = people.chain(self.nobody.iter().map(String::as_str));
        let requesters = self.tickets.iter().filter_map(|ticket| ticket.requester.as_deref());
        let former = self.requesters.values().flatten().map(|former| former.requester.as_str());
        let owners = self.activities.iter().filter_map(|draft| match &draft.owner {
            Owner::Record(record) => Some(record.as_str()),
            Owner::Requester => None,
        });
        let merged = self.merges.iter().flat_map(|merge| [merge.winner.as_str(), merge.loser.as_str()]);
        let authors = self.activities.iter().filter_map(|draft| draft.actor.as_deref());
        people.chain(requesters).chain(former).chain(owners).chain(merged).chain(authors)
    }
}

/// What applying a batch did. Added up into a run's counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records read.
    pub read: u64,
    /// People created.
    pub people_created: u64,
    /// People changed.
    pub people_updated: u64,
    /// Organizations written.
    pub organizations: u64,
    /// Tickets written.
    pub tickets: u64,
    /// Activities added or corrected.
    pub activities: u64,
    /// Records that said nothing new.
    pub unchanged: u64,
    /// Left out: archived, deleted, no customer, or older news.
    pub skipped: u64,
    /// Could not be applied.
    pub dead_letters: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.read += other.read;
        self.people_created += other.people_created;
        self.people_updated += other.people_updated;
        self.organizations += other.organizations;
        self.tickets += other.tickets;
        self.activities += other.activities;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.dead_letters += other.dead_letters;
    }
}

impl Batch {
    /// True when there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.people.len()
            + self.organizations.len()
            + self.tickets.len()
            + self.activities.len()
            + self.ratings.len()
            + self.requesters.len()
            + self.merges.len()
            + self.redactions.len()
            + self.fields.len()
            + self.nobody.len()
            + self.refused.len()
    }

    /// Two halves, in order; itself when it holds no more than one record.
    pub fn halve(mut self) -> Result<(Batch, Batch), Box<Batch>> {
        if self.len() < 2 {
            return Err(Box::new(self));
        }
        let mut left = self.len() / 2;
        let mut first = Batch::default();
        take(&mut left, &mut self.people, &mut first.people);
        take(&mut left, &mut self.organizations, &mut first.organizations);
        take(&mut left, &mut self.fields, &mut first.fields);
        take(&mut left, &mut self.merges, &mut first.merges);
        take(&mut left, &mut self.tickets, &mut first.tickets);
        while left > 0
            && let Some((ticket, former)) = self.requesters.pop_first()
        {
            first.requesters.insert(ticket, former);
            left -= 1;
        }
        take(&mut left, &mut self.ratings, &mut first.ratings);
        take(&mut left, &mut self.activities, &mut first.activities);
        take(&mut left, &mut self.redactions, &mut first.redactions);
        take(&mut left, &mut self.nobody, &mut first.nobody);
        take(&mut left, &mut self.refused, &mut first.refused);
        Ok((first, self))
    }

    /// What is left of a batch that cannot be applied, as dead letters. Their records are read again when they are retried.
    pub fn refuse(self, reason: &str) -> Vec<Refused> {
        fn letter<T: Serialize>(stream: &'static str, record_id: String, record: &T, reason: &str) -> Refused {
            Refused {
                stream,
                record_id,
                reason: reason.to_string(),
                body: serde_json::to_vec(record).unwrap_or_default(),
            }
        }
        let people = self.people.iter().map(|record| letter("users", record.record_id.clone(), record, reason));
        let organizations =
            self.organizations.iter().map(|record| letter("organizations", record.record_id.clone(), record, reason));
        let tickets = self.tickets.iter().map(|record| letter("tickets", record.id.to_string(), record, reason));
        let of_ticket = self.activities.iter().filter_map(|draft| draft.ticket_id);
        let of_ticket =
            of_ticket.chain(self.ratings.iter().map(|rating| rating.ticket_id)).chain(self.requesters.keys().copied());
        let of_ticket = of_ticket.map(|ticket| letter("ticket_events", ticket.to_string(), &ticket, reason));
        let of_record = self.activities.iter().filter_map(|draft| match (&draft.owner, draft.ticket_id) {
            (Owner::Record(record), None) => {
                let what = (&draft.kind, draft.occurred_at, &draft.key);
                Some(letter("activities", record.clone(), &what, reason))
            }
            _ => None,
        });
        let records = people.chain(organizations).chain(tickets).chain(of_ticket).chain(of_record);
        records.chain(self.refused.clone()).collect()
    }
}

/// Moves up to `left` items from the front of one list to another.
fn take<T>(left: &mut usize, from: &mut Vec<T>, to: &mut Vec<T>) {
    let count = from.len().min(*left);
    to.extend(from.drain(..count));
    *left -= count;
}
