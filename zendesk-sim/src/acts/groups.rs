//! Groups of agents, and who is in them.
use super::{By, Refusal};
use crate::time::Stamp;
use crate::world::World;
use crate::world::catalog::Group;
use crate::world::membership::GroupMembership;
use crate::world::user::Role;
use serde::Deserialize;
use serde_json::json;

/// What is to be different about a group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct GroupPatch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub is_public: Option<bool>,
}

impl World {
    /// Makes a group.
    pub fn create_group(&mut self, now: Stamp, patch: GroupPatch) -> Result<i64, Refusal> {
        let name = patch.name.clone().unwrap_or_default();
        self.check_group_name(None, &name)?;
        let id = self.new_id();
        let group = Group {
            description: patch.description.unwrap_or_default(),
            is_public: patch.is_public.unwrap_or(true),
            ..Group::new(id, &name, now)
        };
        self.catalog.groups.push(group);
        Ok(id)
    }

    fn check_group_name(&self, id: Option<i64>, name: &str) -> Result<(), Refusal> {
        if name.trim().is_empty() {
            return Err(Refusal::invalid("name", "Name: cannot be blank", "BlankValue"));
        }
        let same = |group: &&Group| !group.deleted && Some(group.id) != id && group.name.eq_ignore_ascii_case(name);
        match self.catalog.groups.iter().find(same) {
            Some(_) => Err(Refusal::invalid("name", "Name: has already been taken", "DuplicateValue")),
            None => Ok(()),
        }
    }

    /// Changes a group. A private group cannot be made public.
    pub fn update_group(&mut self, now: Stamp, id: i64, patch: GroupPatch) -> Result<(), Refusal> {
        if let Some(name) = &patch.name {
            self.check_group_name(Some(id), name)?;
        }
        let group = self.catalog.groups.iter_mut().find(|group| group.id == id && !group.deleted);
        let group = group.ok_or(Refusal::NotFound)?;
        if patch.is_public == Some(true) && !group.is_public {
            let words = "Is public: a private group cannot be made public";
            return Err(Refusal::invalid("is_public", words, "InvalidValue"));
        }
        group.name = patch.name.unwrap_or_else(|| group.name.clone());
        group.description = patch.description.unwrap_or_else(|| group.description.clone());
        group.is_public = patch.is_public.unwrap_or(group.is_public);
        group.updated_at = now;
        Ok(())
    }

    /// Deletes a group; nobody is in it any more. The default group stays.
    pub fn delete_group(&mut self, now: Stamp, id: i64) -> Result<(), Refusal> {
        let default = self.catalog.groups.first().map(|group| group.id);
        let group = self.catalog.groups.iter_mut().find(|group| group.id == id && !group.deleted);
        let group = group.ok_or(Refusal::NotFound)?;
        if default == Some(id) {
            return Err(Refusal::invalid("base", "The default group cannot be deleted", "InvalidValue"));
        }
        (group.deleted, group.updated_at) = (true, now);
        let within = self.group_memberships.values().filter(|m| m.group_id == id).map(|m| m.id);
        for membership in within.collect::<Vec<_>>() {
            self.delete_group_membership(now, membership)?;
        }
        Ok(())
    }

    /// Puts an agent into a group; answers the membership.
    pub fn create_group_membership(
        &mut self,
        now: Stamp,
        user_id: i64,
        group_id: i64,
        default: bool,
    ) -> Result<i64, Refusal> {
        let agent = self.users.get(&user_id).filter(|user| user.active && user.role != Role::EndUser);
        agent.ok_or_else(|| Refusal::invalid("user_id", "User: is invalid", "InvalidValue"))?;
        let group = self.catalog.group(group_id);
        group.ok_or_else(|| Refusal::invalid("group_id", "Group: is invalid", "InvalidValue"))?;
        if self.group_memberships.values().any(|m| (m.user_id, m.group_id) == (user_id, group_id)) {
            let words = "User has already been taken";
            return Err(Refusal::invalid("user_id", words, "DuplicateValue"));
        }
        let id = self.add_group_membership(now, user_id, group_id);
        if default || self.users.get(&user_id).is_some_and(|user| user.default_group_id.is_none()) {
            self.make_default_group(now, id)?;
        }
        let event = json!({"group": {"id": group_id.to_string()}});
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, vec![("user.group_membership_created", event)]);
        Ok(id)
    }

    fn add_group_membership(&mut self, now: Stamp, user_id: i64, group_id: i64) -> i64 {
        let id = self.new_id();
        let membership = GroupMembership { id, user_id, group_id, created_at: now, updated_at: now };
        self.group_memberships.insert(id, membership);
        id
    }

    /// An agent whose default group was set is in it.
    pub fn join_default_group(&mut self, now: Stamp, user_id: i64) {
        let Some(group_id) = self.users.get(&user_id).and_then(|user| user.default_group_id) else { return };
        if !self.group_memberships.values().any(|m| (m.user_id, m.group_id) == (user_id, group_id)) {
            self.add_group_membership(now, user_id, group_id);
        }
    }

    /// Makes a membership an agent's first.
    pub fn make_default_group(&mut self, now: Stamp, id: i64) -> Result<(), Refusal> {
        let membership = self.group_memberships.get_mut(&id).ok_or(Refusal::NotFound)?;
        membership.updated_at = now;
        let (user_id, group_id) = (membership.user_id, membership.group_id);
        let patch = super::users::UserPatch { default_group_id: Some(group_id), ..Default::default() };
        self.update_user(By { user_id: -1, channel: "api" }, now, user_id, patch)
    }

    /// Takes an agent out of a group; another group becomes the first.
    pub fn delete_group_membership(&mut self, now: Stamp, id: i64) -> Result<(), Refusal> {
        let gone = self.group_memberships.remove(&id).ok_or(Refusal::NotFound)?;
        let other = self.group_memberships.values().find(|m| m.user_id == gone.user_id).map(|m| m.group_id);
        let Some(user) = self.users.get_mut(&gone.user_id) else { return Ok(()) };
        let mut events = vec![("user.group_membership_deleted", json!({"group": {"id": gone.group_id.to_string()}}))];
        if user.default_group_id == Some(gone.group_id) {
            user.default_group_id = other;
            let words = |id: Option<i64>| id.unwrap_or(0).to_string();
            let event = json!({"current": words(other), "previous": words(Some(gone.group_id))});
            events.push(("user.default_group_changed", event));
        }
        self.touch_user(gone.user_id, now);
        self.announce_user(gone.user_id, now, events);
        Ok(())
    }

    /// A membership as REST writes it.
    pub fn group_membership_json(&self, id: i64) -> serde_json::Value {
        let Some(membership) = self.group_memberships.get(&id) else { return serde_json::Value::Null };
        let first = self.users.get(&membership.user_id).and_then(|user| user.default_group_id);
        membership.as_rest(&self.host, first == Some(membership.group_id))
    }
}
