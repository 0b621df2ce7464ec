//! Making, changing and deleting organizations.
use super::{By, Refusal, double, fits, kept};
use crate::deliver::announce::Events;
use crate::time::Stamp;
use crate::world::World;
use crate::world::audit::{EventKind, Field};
use crate::world::organization::Organization;
use crate::world::user::User;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is to be different about an organization.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct OrganizationPatch {
    pub id: Option<i64>,
    pub name: Option<String>,
    #[serde(deserialize_with = "double")]
    pub external_id: Option<Option<String>>,
    pub domain_names: Option<Vec<String>>,
    #[serde(deserialize_with = "double")]
    pub details: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub notes: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub group_id: Option<Option<i64>>,
    pub tags: Option<Vec<String>>,
    pub organization_fields: Option<BTreeMap<String, Value>>,
    pub shared_tickets: Option<bool>,
    pub shared_comments: Option<bool>,
}

impl World {
    /// Makes an organization.
    pub fn create_organization(&mut self, by: By, now: Stamp, patch: OrganizationPatch) -> Result<i64, Refusal> {
        let name = patch.name.clone().unwrap_or_default();
        if name.is_empty() {
            return Err(Refusal::invalid("name", "Name: cannot be blank", "BlankValue"));
        }
        self.check_organization(None, &patch)?;
        let id = self.new_id();
        let seq = self.new_seq();
        self.organizations.insert(id, blank(id, seq, &name, now));
        self.index.organizations.insert((now, seq), id);
        self.index.organization_names.insert(name.to_lowercase(), id);
        self.apply_organization(id, patch, &mut Events::new());
        self.announce_organization(id, now, vec![("organization.created", json!({}))]);
        let text = format!("{} added organization {name}", self.name_of(by.user_id));
        self.note(now, "create_organization", text, None, None);
        Ok(id)
    }

    /// The organization of a name, made if there is none.
    pub fn organization_named(&mut self, name: &str, now: Stamp) -> i64 {
        if let Some(id) = self.index.organization_names.get(&name.to_lowercase()) {
            return *id;
        }
        let patch = OrganizationPatch { name: Some(name.to_owned()), ..OrganizationPatch::default() };
        self.create_organization(By { user_id: -1, channel: "api" }, now, patch).unwrap_or_default()
    }

    /// Changes an organization.
    pub fn update_organization(
        &mut self,
        by: By,
        now: Stamp,
        id: i64,
        patch: OrganizationPatch,
    ) -> Result<(), Refusal> {
        let found = self.organizations.get(&id).filter(|o| o.deleted_at.is_none()).ok_or(Refusal::NotFound)?;
        let before = found.name.clone();
        self.check_organization(Some(id), &patch)?;
        let mut events = Events::new();
        if !self.apply_organization(id, patch, &mut events) && events.is_empty() {
            return Ok(());
        }
        self.touch_organization(id, now);
        self.announce_organization(id, now, events);
        let text = format!("{} changed organization {before}", self.name_of(by.user_id));
        self.note(now, "update_organization", text, None, None);
        Ok(())
    }

    /// Deletes an organization; its members stay, without it.
    pub fn delete_organization(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        let found = self.organizations.get_mut(&id).filter(|o| o.deleted_at.is_none()).ok_or(Refusal::NotFound)?;
        found.deleted_at = Some(now);
        let name = found.name.clone();
        self.index.organization_names.remove(&name.to_lowercase());
        if let Some(external) = &found.external_id {
            self.index.organization_external.remove(&external.to_lowercase());
        }
        self.touch_organization(id, now);
        self.announce_organization(id, now, vec![("organization.deleted", json!({}))]);
        self.empty_organization(now, id);
        let text = format!("{} deleted organization {name}", self.name_of(by.user_id));
        self.note(now, "delete_organization", text, None, None);
        Ok(())
    }

    /// Merges one organization into another: its members and tickets move, then it is gone.
    pub fn merge_organizations(&mut self, by: By, now: Stamp, loser: i64, winner: i64) -> Result<(), Refusal> {
        for id in [loser, winner] {
            self.organizations.get(&id).filter(|o| o.deleted_at.is_none()).ok_or(Refusal::NotFound)?;
        }
        if loser == winner {
            return Err(Refusal::Forbidden);
        }
        let is_in = |user: &&User, id: i64| user.memberships.iter().any(|m| m.organization_id == id);
        let members = self.users.values().filter(|user| is_in(user, loser));
        let members = members.map(|user| (user.id, is_in(&user, winner), user.organization_id == Some(loser)));
        for (member, already, default) in members.collect::<Vec<_>>() {
            if !already {
                self.create_membership(now, member, winner, default)?;
            }
        }
        let theirs: Vec<_> = self.tickets.values().filter(|t| t.organization_id == Some(loser)).map(|t| t.id).collect();
        for id in theirs {
            if let Some(ticket) = self.tickets.get_mut(&id) {
                ticket.organization_id = Some(winner);
            }
            let change = EventKind::Change(Field::Named("organization_id"), winner.into(), loser.into());
            self.push_audit(id, By { user_id: -1, channel: "system" }, now, vec![change]);
            self.touch_ticket(id, now, true);
            let event = json!({"current": winner.to_string(), "previous": loser.to_string()});
            self.announce_ticket(id, -1, now, vec![("ticket.organization_changed", event)]);
        }
        self.delete_organization(by, now, loser)
    }

    fn check_organization(&self, id: Option<i64>, patch: &OrganizationPatch) -> Result<(), Refusal> {
        if let Some(name) = &patch.name {
            let owner = self.index.organization_names.get(&name.to_lowercase());
            if owner.is_some_and(|owner| Some(*owner) != id) {
                let words = format!("Name: {name} has already been taken");
                return Err(Refusal::invalid("name", words, "DuplicateValue"));
            }
        }
        if let Some(Some(external)) = &patch.external_id {
            let owner = self.index.organization_external.get(&external.to_lowercase());
            if owner.is_some_and(|owner| Some(*owner) != id) {
                let words = format!("External: {external} has already been taken");
                return Err(Refusal::invalid("external_id", words, "DuplicateValue"));
            }
        }
        if let Some(Some(id)) = patch.group_id {
            self.catalog.group(id).ok_or_else(|| Refusal::invalid("group", "Group: is invalid", "InvalidValue"))?;
        }
        if patch.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Refusal::invalid("name", "Name: cannot be blank", "BlankValue"));
        }
        for (key, value) in patch.organization_fields.iter().flatten() {
            let def = self.catalog.organization_fields.iter().find(|def| &def.key == key);
            if let Some(def) = def.filter(|def| !fits(def, value)) {
                return Err(Refusal::invalid(key, format!("{}: is invalid", def.title), "InvalidValue"));
            }
        }
        Ok(())
    }

    /// Applies a checked patch; answers whether anything changed that no event tells.
    fn apply_organization(&mut self, id: i64, patch: OrganizationPatch, events: &mut Events) -> bool {
        let Some(organization) = self.organizations.get_mut(&id) else { return false };
        let mut silent = false;
        if let Some(name) = patch.name.filter(|name| *name != organization.name) {
            events.push(("organization.name_changed", json!({"current": name, "previous": organization.name})));
            self.index.organization_names.remove(&organization.name.to_lowercase());
            self.index.organization_names.insert(name.to_lowercase(), id);
            organization.name = name;
        }
        if let Some(external) = patch.external_id.filter(|new| *new != organization.external_id) {
            let words = |value: &Option<String>| value.clone().unwrap_or_default();
            events.push((
                "organization.external_id_changed",
                json!({"current": words(&external), "previous": words(&organization.external_id)}),
            ));
            if let Some(old) = &organization.external_id {
                self.index.organization_external.remove(&old.to_lowercase());
            }
            if let Some(new) = &external {
                self.index.organization_external.insert(new.to_lowercase(), id);
            }
            organization.external_id = external;
        }
        if let Some(tags) = patch.tags.filter(|tags| *tags != organization.tags) {
            let added: Vec<_> = tags.iter().filter(|tag| !organization.tags.contains(tag)).collect();
            let removed: Vec<_> = organization.tags.iter().filter(|tag| !tags.contains(tag)).collect();
            events.push(("organization.tags_changed", json!({"added": {"tags": added}, "removed": {"tags": removed}})));
            organization.tags = tags;
        }
        for def in &self.catalog.organization_fields {
            let given = patch.organization_fields.as_ref().and_then(|fields| fields.get(&def.key));
            let Some(value) = given.map(|value| kept(def.kind, value)) else { continue };
            let before = organization.fields.get(&def.key).cloned().unwrap_or_default();
            if before != value {
                events.push((
                    "organization.custom_field_changed",
                    json!({"current": value, "previous": before,
                    "field": {"id": def.id.to_string(), "title": def.title, "type": def.kind}}),
                ));
                organization.fields.insert(def.key.clone(), value);
            }
        }
        silent |= set(&mut organization.domain_names, patch.domain_names);
        silent |= set(&mut organization.details, patch.details);
        silent |= set(&mut organization.notes, patch.notes);
        silent |= set(&mut organization.group_id, patch.group_id);
        silent |= set(&mut organization.shared_comments, patch.shared_comments);
        silent | set(&mut organization.shared_tickets, patch.shared_tickets)
    }
}

fn set<T: PartialEq>(place: &mut T, new: Option<T>) -> bool {
    match new {
        Some(new) if new != *place => {
            *place = new;
            true
        }
        _ => false,
    }
}

/// An organization of which only the name is known.
pub fn blank(id: i64, seq: u64, name: &str, now: Stamp) -> Organization {
    Organization {
        id,
        seq,
        name: name.to_owned(),
        external_id: None,
        domain_names: Vec::new(),
        details: None,
        notes: None,
        group_id: None,
        tags: Vec::new(),
        fields: BTreeMap::new(),
        shared_tickets: false,
        shared_comments: false,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}
