//! The ends of users: deletion, permanent deletion, and merging into another.
use super::{By, Refusal};
use crate::time::Stamp;
use crate::world::World;
use crate::world::audit::{AuditEvent, EventKind, Field};
use crate::world::ticket::Gone;
use crate::world::user::{Role, User};
use serde_json::json;

/// How many requested tickets a user may have to be merged into another (Z§3).
const MOST_MOVED: usize = 10_000;

impl World {
    /// Deletes a user: the id and the history stay, the addresses become free.
    pub fn delete_user(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        let user = self.users.get(&id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        if user.role == Role::Admin {
            return Err(Refusal::Forbidden);
        }
        let name = user.name.clone();
        let mut events = vec![("user.active_changed", json!({"current": false, "previous": true}))];
        for membership in &user.memberships {
            events.push((
                "user.organization_membership_deleted",
                json!({"organization": {"id": membership.organization_id.to_string()}}),
            ));
        }
        events.push(("user.deleted", json!({})));
        self.forget_user(id);
        if let Some(user) = self.users.get_mut(&id) {
            user.active = false;
            user.organization_id = None;
            user.memberships.clear();
            user.identities.clear();
            (user.phone, user.shared_phone) = (None, None);
        }
        self.touch_user(id, now);
        self.announce_user(id, now, events);
        self.note(now, "delete_user", format!("{} deleted {name}", self.name_of(by.user_id)), Some(id), None);
        Ok(())
    }

    /// Frees a user's addresses and external id.
    fn forget_user(&mut self, id: i64) {
        let Some(user) = self.users.get(&id) else { return };
        for identity in user.identities.iter().filter(|i| i.kind == "email") {
            self.index.emails.remove(&identity.value.to_lowercase());
        }
        if let Some(external) = &user.external_id {
            self.index.user_external.remove(&external.to_lowercase());
        }
    }

    /// Leaves nothing of a deleted user but the id.
    pub fn permanently_delete_user(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        let user = self.users.get_mut(&id).ok_or(Refusal::NotFound)?;
        if user.permanently_deleted {
            return Err(Refusal::NotFound);
        }
        if user.active {
            return Err(Refusal::invalid("base", "User must be soft deleted first", "InvalidValue"));
        }
        erase(user);
        self.touch_user(id, now);
        let text = format!("{} permanently deleted user {id}", self.name_of(by.user_id));
        self.note(now, "permanently_delete_user", text, Some(id), None);
        Ok(())
    }

    /// Merges one customer into another: tickets and addresses move, everything else of the loser is lost.
    pub fn merge_users(&mut self, by: By, now: Stamp, loser: i64, winner: i64) -> Result<(), Refusal> {
        for id in [loser, winner] {
            let user = self.users.get(&id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
            if user.role != Role::EndUser || user.shared || loser == winner {
                return Err(Refusal::Forbidden);
            }
        }
        let requested = self.tickets.values().filter(|ticket| ticket.requester_id == loser).count();
        if requested > MOST_MOVED {
            let words = format!("User has more than {MOST_MOVED} requested tickets and cannot be merged");
            return Err(Refusal::invalid("base", words, "InvalidValue"));
        }
        let names = (self.name_of(loser), self.name_of(winner));
        self.forget_user(loser);
        let mut moved = Vec::new();
        if let Some(user) = self.users.get_mut(&loser) {
            user.active = false;
            user.merged_into = Some(winner);
            moved.extend(user.identities.drain(..).filter(|i| i.kind == "email"));
            user.email = None;
            (user.phone, user.shared_phone, user.external_id) = (None, None, None);
            (user.organization_id, user.alias, user.details, user.notes) = (None, None, None, None);
            user.tags.clear();
            user.fields.clear();
            user.memberships.clear();
        }
        let mut told = vec![("user.merged", json!({"user": {"id": winner.to_string()}}))];
        told.push(("user.active_changed", json!({"current": false, "previous": true})));
        self.touch_user(loser, now);
        let mut won = Vec::new();
        for identity in moved {
            won.push(self.add_identity(winner, "email", &identity.value, identity.verified, now));
        }
        self.touch_user(winner, now);
        self.announce_user(loser, now, told);
        self.announce_user(winner, now, won);
        self.move_tickets(loser, winner, now);
        let text = format!("{} merged {} into {}", self.name_of(by.user_id), names.0, names.1);
        self.note(now, "merge_users", text, Some(winner), None);
        Ok(())
    }

    fn move_tickets(&mut self, loser: i64, winner: i64, now: Stamp) {
        let theirs: Vec<_> = self.tickets.values().filter(|t| t.requester_id == loser).map(|t| t.id).collect();
        let organization_id = self.users.get(&winner).and_then(|user| user.organization_id);
        for id in theirs {
            let Some(ticket) = self.tickets.get_mut(&id) else { continue };
            ticket.requester_id = winner;
            let before = std::mem::replace(&mut ticket.organization_id, organization_id);
            if let Some(rating) = ticket.rating_id.and_then(|id| self.ratings.get_mut(&id)) {
                rating.requester_id = winner;
            }
            let mut history = vec![EventKind::Change(Field::Named("requester_id"), winner.into(), loser.into())];
            let event = json!({"current": winner.to_string(), "previous": loser.to_string()});
            let mut told = vec![("ticket.requester_changed", event)];
            if before != organization_id {
                let field = Field::Named("organization_id");
                history.push(EventKind::Change(field, organization_id.into(), before.into()));
                let words = |id: Option<i64>| id.map(|id| id.to_string());
                let event = json!({"current": words(organization_id), "previous": words(before)});
                told.push(("ticket.organization_changed", event));
            }
            self.push_audit(id, By { user_id: -1, channel: "system" }, now, history);
            // A deleted ticket stays as old as its deletion.
            let alive = self.tickets.get(&id).is_some_and(|ticket| ticket.gone == Gone::No);
            self.touch_ticket(id, now, alive);
            self.announce_ticket(id, -1, now, told);
        }
    }

    /// Adds an update to a ticket's history; answers the ids of its events.
    pub fn push_audit(&mut self, ticket_id: i64, by: By, now: Stamp, kinds: Vec<EventKind>) -> Vec<i64> {
        let id = self.new_id();
        let seq = self.new_seq();
        let events: Vec<_> = kinds.into_iter().map(|kind| AuditEvent { id: self.new_id(), kind }).collect();
        let ids = events.iter().map(|event| event.id).collect();
        if let Some(ticket) = self.tickets.get_mut(&ticket_id) {
            if !self.quiet {
                self.index.audits.insert((now, seq), (ticket_id, ticket.audits.len()));
            }
            ticket.audits.push(crate::world::audit::Audit {
                id,
                created_at: now,
                author_id: by.user_id,
                channel: by.channel,
                events,
                custom: serde_json::Value::Null,
            });
        }
        ids
    }
}

/// Empties a user who was permanently deleted.
pub fn erase(user: &mut User) {
    user.permanently_deleted = true;
    user.name = "Permanently Deleted User".into();
    (user.email, user.phone, user.shared_phone, user.external_id) = (None, None, None, None);
    (user.alias, user.details, user.notes) = (None, None, None);
    user.tags.clear();
    user.fields.clear();
    user.identities.clear();
    user.has_photo = false;
}
