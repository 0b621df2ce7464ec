//! Who belongs to which organization: a user may be in several, one of which is the default.
use super::Refusal;
use crate::deliver::announce::Events;
use crate::time::Stamp;
use crate::world::World;
use crate::world::user::Membership;
use serde_json::{Value, json};

fn told(kind: &'static str, organization_id: i64) -> (&'static str, Value) {
    (kind, json!({"organization": {"id": organization_id.to_string()}}))
}

impl World {
    /// Whose membership this is.
    pub fn member_of(&self, id: i64) -> Option<i64> {
        let owner = self.users.values().find(|user| user.active && user.memberships.iter().any(|m| m.id == id));
        owner.map(|user| user.id)
    }

    /// Puts a user into one more organization; the first is the default.
    pub fn create_membership(
        &mut self,
        now: Stamp,
        user_id: i64,
        organization_id: i64,
        default: bool,
    ) -> Result<i64, Refusal> {
        let live = self.organizations.get(&organization_id).is_some_and(|o| o.deleted_at.is_none());
        if !live {
            return Err(Refusal::invalid("organization", "Organization: is invalid", "InvalidValue"));
        }
        let id = self.new_id();
        let user = self.users.get_mut(&user_id).filter(|user| user.active);
        let user = user.ok_or_else(|| Refusal::invalid("user", "User: is invalid", "InvalidValue"))?;
        if user.memberships.iter().any(|m| m.organization_id == organization_id) {
            let words = "Organization: has already been taken";
            return Err(Refusal::invalid("organization_id", words, "DuplicateValue"));
        }
        user.memberships.push(Membership { id, organization_id, created_at: now });
        if default || user.organization_id.is_none() {
            user.organization_id = Some(organization_id);
        }
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, vec![told("user.organization_membership_created", organization_id)]);
        let text = format!("{} joined an organization", self.name_of(user_id));
        self.note(now, "update_user", text, Some(user_id), None);
        Ok(id)
    }

    /// Takes a user out of an organization; the oldest that is left becomes the default.
    pub fn delete_membership(&mut self, now: Stamp, user_id: i64, id: i64) -> Result<(), Refusal> {
        let user = self.users.get_mut(&user_id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let place = user.memberships.iter().position(|m| m.id == id).ok_or(Refusal::NotFound)?;
        let events = vec![leave(user, place)];
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, events);
        let text = format!("{} left an organization", self.name_of(user_id));
        self.note(now, "update_user", text, Some(user_id), None);
        Ok(())
    }

    /// Makes an organization a user is in their default.
    pub fn make_default_organization(&mut self, now: Stamp, user_id: i64, id: i64) -> Result<(), Refusal> {
        let user = self.users.get_mut(&user_id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let chosen = user.memberships.iter().find(|m| m.id == id).ok_or(Refusal::NotFound)?;
        if user.organization_id != Some(chosen.organization_id) {
            user.organization_id = Some(chosen.organization_id);
            self.touch_user(user_id, now);
        }
        Ok(())
    }

    /// Takes everybody out of an organization that is gone.
    pub fn empty_organization(&mut self, now: Stamp, organization_id: i64) {
        let is_in = |m: &Membership| m.organization_id == organization_id;
        let members = self.users.values().filter(|user| user.memberships.iter().any(is_in)).map(|user| user.id);
        for member in members.collect::<Vec<_>>() {
            let Some(user) = self.users.get_mut(&member) else { continue };
            let Some(place) = user.memberships.iter().position(is_in) else { continue };
            let events: Events = vec![leave(user, place)];
            self.touch_user(member, now);
            self.announce_user(member, now, events);
        }
    }
}

fn leave(user: &mut crate::world::user::User, place: usize) -> (&'static str, Value) {
    let gone = user.memberships.remove(place);
    if user.organization_id == Some(gone.organization_id) {
        user.organization_id = user.memberships.first().map(|m| m.organization_id);
    }
    told("user.organization_membership_deleted", gone.organization_id)
}
