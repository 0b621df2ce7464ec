//! The whole account in memory: records, the order they changed in, and what is due to be told.
pub mod audit;
pub mod catalog;
pub mod event_rows;
pub mod event_types;
pub mod hooks;
pub mod index;
pub mod jobs;
pub mod membership;
pub mod metric_events;
pub mod metrics;
pub mod organization;
pub mod rating;
pub mod ticket;
pub mod tokens;
pub mod user;

use crate::acts::uploads::Upload;
use crate::options::{Exports, Faults, Options};
use crate::time::Stamp;
use catalog::Catalog;
use hooks::Hooks;
use index::Index;
use jobs::Jobs;
use membership::GroupMembership;
use organization::Organization;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rating::Rating;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use ticket::{Ticket, TicketFrame};
use tokens::Tokens;
use user::User;

/// Ids are long, as real ones are.
pub const ID_BASE: i64 = 7_400_000_000_000;

/// One thing that somebody did, in plain words.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// Its place in the log.
    pub seq: u64,
    /// When.
    pub at: Stamp,
    /// What sort of act.
    pub kind: &'static str,
    /// The act in words.
    pub text: String,
    /// The user it is about.
    pub user_id: Option<i64>,
    /// The ticket it is about.
    pub ticket_id: Option<i64>,
}

/// Everything there is.
pub struct World {
    /// The subdomain.
    pub subdomain: String,
    /// `https://…` as bodies spell the account, on purpose not where it is served.
    pub host: String,
    /// The numeric id webhooks carry.
    pub account_id: i64,
    /// Whether satisfaction is told as survey responses.
    pub surveys: bool,
    /// Users by id, the deleted included.
    pub users: BTreeMap<i64, User>,
    /// Organizations by id, the deleted included.
    pub organizations: BTreeMap<i64, Organization>,
    /// Tickets by id, the deleted included.
    pub tickets: BTreeMap<i64, Ticket>,
    /// Ratings by id.
    pub ratings: BTreeMap<i64, Rating>,
    /// Who is in which group, by the id of the membership.
    pub group_memberships: BTreeMap<i64, GroupMembership>,
    /// Fields, groups and so on.
    pub catalog: Catalog,
    /// Orders and look-ups.
    pub index: Index,
    /// Webhooks and what is due to them.
    pub hooks: Hooks,
    /// Credentials.
    pub tokens: Tokens,
    /// How exports end.
    pub exports: Exports,
    /// Bulk jobs.
    pub jobs: Jobs,
    /// What went wrong on purpose.
    pub faults: Faults,
    /// What was done.
    pub acts: VecDeque<Act>,
    /// Organizations merged away, and into which.
    pub merges: BTreeMap<i64, i64>,
    /// Files that wait for their comment, by token.
    pub uploads: BTreeMap<String, Upload>,
    /// Replies by idempotency key: parameters, ticket id, when.
    pub idempotency: BTreeMap<String, (Value, i64, Stamp)>,
    /// Randomness of life: nothing else may draw from it.
    pub life: ChaCha8Rng,
    /// Randomness of everything else.
    pub chance: ChaCha8Rng,
    /// Set while history is made: nothing is indexed, told or logged.
    pub quiet: bool,
    next_id: i64,
    next_ticket: i64,
    next_seq: u64,
    next_act: u64,
}

impl World {
    /// An empty account.
    pub fn new(options: &Options, now: Stamp) -> Self {
        let made_at = now.plus(-options.history_days * 86_400 * 4);
        Self {
            subdomain: options.subdomain.clone(),
            host: format!("https://{}.zendesk.com", options.subdomain),
            account_id: 20_000_000 + (options.seed % 1_000_000) as i64,
            surveys: options.surveys,
            users: BTreeMap::new(),
            organizations: BTreeMap::new(),
            tickets: BTreeMap::new(),
            ratings: BTreeMap::new(),
            group_memberships: BTreeMap::new(),
            catalog: Catalog::new(ID_BASE, made_at),
            index: Index::default(),
            hooks: Hooks::new(options),
            tokens: Tokens::default(),
            exports: options.exports.clone(),
            jobs: Jobs { all: VecDeque::new(), settings: options.jobs.clone() },
            faults: options.faults.clone(),
            acts: VecDeque::new(),
            merges: BTreeMap::new(),
            uploads: BTreeMap::new(),
            idempotency: BTreeMap::new(),
            life: ChaCha8Rng::seed_from_u64(options.seed),
            chance: ChaCha8Rng::seed_from_u64(options.seed ^ 0x00ff_00ff),
            quiet: false,
            next_id: ID_BASE + 100_000,
            next_ticket: 1,
            next_seq: 1,
            next_act: 1,
        }
    }

    /// A fresh id for anything but a ticket.
    pub fn new_id(&mut self) -> i64 {
        self.next_id += 13;
        self.next_id
    }

    /// A fresh ticket number.
    pub fn new_ticket_id(&mut self) -> i64 {
        self.next_ticket += 1;
        self.next_ticket - 1
    }

    /// The next place in the order of changes.
    pub fn new_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }

    /// What a ticket's JSON needs of the account.
    pub fn frame(&self) -> TicketFrame<'_> {
        TicketFrame {
            host: &self.host,
            users: &self.users,
            problems: &self.index.problems,
            defs: &self.catalog.ticket_fields,
            form_id: self.catalog.form_id,
            brand_id: self.catalog.brand_id,
        }
    }

    /// The rating inside a ticket's JSON: accounts with surveys have none there.
    pub fn rating_of(&self, ticket: &Ticket) -> Option<&Rating> {
        if self.surveys {
            return None;
        }
        ticket.rating_id.and_then(|id| self.ratings.get(&id))
    }

    /// A user's name for the log, or what stands in for one.
    pub fn name_of(&self, id: i64) -> String {
        match self.users.get(&id) {
            Some(user) => user.name.clone(),
            None => "the system".to_owned(),
        }
    }

    /// Writes an act into the log, keeping the last hundred thousand.
    pub fn note(&mut self, at: Stamp, kind: &'static str, text: String, user: Option<i64>, ticket: Option<i64>) {
        if self.quiet {
            return;
        }
        let seq = self.next_act;
        self.next_act += 1;
        self.acts.push_back(Act { seq, at, kind, text, user_id: user, ticket_id: ticket });
        if self.acts.len() > 100_000 {
            self.acts.pop_front();
        }
    }

    /// The place in the log the next act will have.
    pub fn next_act(&self) -> u64 {
        self.next_act
    }

    /// Marks a user as changed now.
    pub fn touch_user(&mut self, id: i64, now: Stamp) {
        if self.quiet {
            return;
        }
        let seq = self.new_seq();
        if let Some(user) = self.users.get_mut(&id) {
            self.index.users.remove(&(user.updated_at, user.seq));
            (user.updated_at, user.seq) = (now, seq);
            self.index.users.insert((now, seq), id);
        }
    }

    /// Marks an organization as changed now.
    pub fn touch_organization(&mut self, id: i64, now: Stamp) {
        if self.quiet {
            return;
        }
        let seq = self.new_seq();
        if let Some(organization) = self.organizations.get_mut(&id) {
            self.index.organizations.remove(&(organization.updated_at, organization.seq));
            (organization.updated_at, organization.seq) = (now, seq);
            self.index.organizations.insert((now, seq), id);
        }
    }

    /// Marks a ticket as changed now; `updated_at` moves only when an event was made.
    pub fn touch_ticket(&mut self, id: i64, now: Stamp, event: bool) {
        let seq = self.new_seq();
        let quiet = self.quiet;
        if let Some(ticket) = self.tickets.get_mut(&id) {
            if !quiet {
                self.index.tickets.remove(&(ticket.generated, ticket.seq));
                self.index.tickets.insert((now, seq), id);
            }
            (ticket.generated, ticket.seq) = (now, seq);
            if event {
                ticket.updated_at = now;
            }
        }
    }
}
