//! Orders and look-ups over the records, so that a page costs what a page holds.
use super::World;
use super::membership::GroupMembership;
use crate::time::Stamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Things in the order they changed in: the second first, then the order of changes within it.
pub type Order<T> = BTreeMap<(Stamp, u64), T>;

/// All orders and look-ups.
#[derive(Default)]
pub struct Index {
    /// Users by `updated_at`.
    pub users: Order<i64>,
    /// Organizations by `updated_at`.
    pub organizations: Order<i64>,
    /// Tickets by `generated_timestamp`.
    pub tickets: Order<i64>,
    /// Audits by `created_at`: ticket and place in its history.
    pub audits: Order<(i64, usize)>,
    /// Active users by lower-case address.
    pub emails: HashMap<String, i64>,
    /// Active users by lower-case external id.
    pub user_external: HashMap<String, i64>,
    /// Live organizations by lower-case name.
    pub organization_names: HashMap<String, i64>,
    /// Live organizations by lower-case external id.
    pub organization_external: HashMap<String, i64>,
    /// Tickets that have incidents.
    pub problems: BTreeSet<i64>,
    /// Customers who may act, most of them still active.
    pub customers: Vec<i64>,
    /// Agents and admins.
    pub agents: Vec<i64>,
}

impl World {
    /// Puts everything in order at once, after history was made quietly; audits get ids that grow with time.
    pub fn reindex(&mut self) {
        let mut users: Vec<_> = self.users.values().map(|u| (u.updated_at, u.id)).collect();
        users.sort_unstable();
        for (at, id) in users {
            let seq = self.new_seq();
            self.index.users.insert((at, seq), id);
            if let Some(user) = self.users.get_mut(&id) {
                user.seq = seq;
            }
        }
        let mut organizations: Vec<_> = self.organizations.values().map(|o| (o.updated_at, o.id)).collect();
        organizations.sort_unstable();
        for (at, id) in organizations {
            let seq = self.new_seq();
            self.index.organizations.insert((at, seq), id);
            if let Some(organization) = self.organizations.get_mut(&id) {
                organization.seq = seq;
            }
        }
        let mut tickets: Vec<_> = self.tickets.values().map(|t| (t.generated, t.id)).collect();
        tickets.sort_unstable();
        for (at, id) in tickets {
            let seq = self.new_seq();
            self.index.tickets.insert((at, seq), id);
            if let Some(ticket) = self.tickets.get_mut(&id) {
                ticket.seq = seq;
            }
        }
        self.index.problems = self.tickets.values().filter_map(|ticket| ticket.problem_id).collect();
        self.reindex_audits();
        self.reindex_people();
    }

    fn reindex_audits(&mut self) {
        let mut audits = Vec::new();
        for ticket in self.tickets.values() {
            audits.extend(ticket.audits.iter().enumerate().map(|(place, a)| (a.created_at, ticket.id, place)));
        }
        audits.sort_unstable();
        for (at, ticket_id, place) in audits {
            let seq = self.new_seq();
            self.index.audits.insert((at, seq), (ticket_id, place));
            let mut next = self.new_id();
            let Some(ticket) = self.tickets.get_mut(&ticket_id) else { continue };
            let audit = &mut ticket.audits[place];
            audit.id = next;
            let mut ids = Vec::with_capacity(audit.events.len());
            for _ in &audit.events {
                next += 1;
                ids.push(next);
            }
            for (event, id) in audit.events.iter_mut().zip(ids) {
                event.id = id;
            }
            // Events took ids between this audit's and the next one's.
            let spent = audit.events.len() / 13;
            for _ in 0..spent {
                self.new_id();
            }
        }
    }

    fn reindex_people(&mut self) {
        for user in self.users.values() {
            if user.role == super::user::Role::EndUser {
                self.index.customers.push(user.id);
            } else {
                self.index.agents.push(user.id);
            }
            if let Some(group_id) = user.default_group_id {
                let (id, at) = (user.id + 3, user.created_at);
                let membership = GroupMembership { id, user_id: user.id, group_id, created_at: at, updated_at: at };
                self.group_memberships.insert(id, membership);
            }
            if !user.active {
                continue;
            }
            for identity in user.identities.iter().filter(|i| i.kind == "email") {
                self.index.emails.insert(identity.value.to_lowercase(), user.id);
            }
            if let Some(external) = &user.external_id {
                self.index.user_external.insert(external.to_lowercase(), user.id);
            }
        }
        for organization in self.organizations.values().filter(|o| o.deleted_at.is_none()) {
            self.index.organization_names.insert(organization.name.to_lowercase(), organization.id);
            if let Some(external) = &organization.external_id {
                self.index.organization_external.insert(external.to_lowercase(), organization.id);
            }
        }
    }
}
