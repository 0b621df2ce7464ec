//! Making and changing users.
use super::identities::is_dialable;
use super::{By, Refusal, double, fits, kept};
use crate::deliver::announce::Events;
use crate::time::Stamp;
use crate::world::World;
use crate::world::user::{Membership, Role, User};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An identity given with a new user.
#[derive(Clone, Debug, Deserialize)]
pub struct NewIdentity {
    /// email, phone_number, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The address or number.
    pub value: String,
}

/// An organization named with a user.
#[derive(Clone, Debug, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// What is to be different about a user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct UserPatch {
    pub name: Option<String>,
    #[serde(deserialize_with = "double")]
    pub email: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub phone: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub shared_phone_number: Option<Option<bool>>,
    pub role: Option<String>,
    #[serde(deserialize_with = "double")]
    pub external_id: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub alias: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub signature: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub details: Option<Option<String>>,
    #[serde(deserialize_with = "double")]
    pub notes: Option<Option<String>>,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    #[serde(deserialize_with = "double")]
    pub organization_id: Option<Option<i64>>,
    pub organization: Option<Named>,
    pub tags: Option<Vec<String>>,
    pub user_fields: Option<BTreeMap<String, Value>>,
    pub suspended: Option<bool>,
    pub verified: Option<bool>,
    pub identities: Option<Vec<NewIdentity>>,
    pub default_group_id: Option<i64>,
    pub remote_photo_url: Option<String>,
    pub only_private_comments: Option<bool>,
    /// Not Zendesk's: the user is another account's (admin door only).
    pub shared: Option<bool>,
    /// Not Zendesk's: the user signs in (admin door and life only).
    pub signs_in: bool,
}

fn text(value: Option<&str>) -> Value {
    value.unwrap_or_default().into()
}

impl World {
    /// Makes a user.
    pub fn create_user(&mut self, by: By, now: Stamp, patch: UserPatch) -> Result<i64, Refusal> {
        let name = patch.name.clone().unwrap_or_default();
        if name.is_empty() {
            let words = "Name: is too short (minimum is 1 characters)";
            return Err(Refusal::invalid("name", words, "ValueTooShort"));
        }
        self.check_user(None, &patch)?;
        let id = self.new_id();
        let seq = self.new_seq();
        self.users.insert(id, blank_user(id, seq, &name, now));
        self.index.users.insert((now, seq), id);
        let mut events: Events = vec![("user.created", json!({}))];
        if let Some(Some(email)) = patch.email.clone() {
            events.push(self.add_identity(id, "email", &email, patch.verified.unwrap_or(false), now));
        }
        for identity in patch.identities.clone().unwrap_or_default() {
            events.push(self.add_identity(id, &identity.kind, &identity.value, false, now));
        }
        let mut quiet = Events::new();
        let rest = UserPatch { name: None, email: None, identities: None, ..patch };
        self.apply_user(id, now, rest, &mut quiet)?;
        events.extend(quiet.into_iter().filter(|(kind, _)| kind.contains("identity") || kind.contains("membership")));
        let customer = self.users.get(&id).is_some_and(|user| user.role == Role::EndUser);
        let list = if customer { &mut self.index.customers } else { &mut self.index.agents };
        list.push(id);
        self.announce_user(id, now, events);
        let what = if customer { "customer" } else { "colleague" };
        self.note(now, "create_user", format!("{} added {what} {name}", self.name_of(by.user_id)), Some(id), None);
        Ok(id)
    }

    /// Changes a user; what is already so changes nothing.
    pub fn update_user(&mut self, by: By, now: Stamp, id: i64, patch: UserPatch) -> Result<(), Refusal> {
        let user = self.users.get(&id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let (before, was) = (user.name.clone(), user.updated_at);
        self.check_user(Some(id), &patch)?;
        let mut events = Events::new();
        let changed = self.apply_user(id, now, patch, &mut events)?;
        if !changed && events.is_empty() {
            return Ok(());
        }
        debug_assert!(was <= now || self.quiet);
        self.touch_user(id, now);
        let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.trim_start_matches("user.")).collect();
        let text = format!("{} changed {before}: {}", self.name_of(by.user_id), kinds.join(", "));
        self.announce_user(id, now, events);
        self.note(now, "update_user", text, Some(id), None);
        Ok(())
    }

    fn check_user(&self, id: Option<i64>, patch: &UserPatch) -> Result<(), Refusal> {
        if let Some(Some(email)) = &patch.email {
            self.check_email(id, email)?;
        }
        for identity in patch.identities.iter().flatten() {
            self.check_identity(id, &identity.kind, &identity.value)?;
        }
        if let Some(Some(external)) = &patch.external_id {
            let owner = self.index.user_external.get(&external.to_lowercase());
            if owner.is_some_and(|owner| Some(*owner) != id) {
                let words = format!("External: {external} has already been taken");
                return Err(Refusal::invalid("external_id", words, "DuplicateValue"));
            }
        }
        if let Some(Some(organization)) = patch.organization_id {
            let found = self.organizations.get(&organization).filter(|o| o.deleted_at.is_none());
            found.ok_or_else(|| Refusal::invalid("organization", "Organization: is invalid", "InvalidValue"))?;
        }
        if patch.role.as_deref().is_some_and(|role| Role::parse(role).is_none()) {
            return Err(Refusal::invalid("role", "Role: is invalid", "InvalidValue"));
        }
        for (key, value) in patch.user_fields.iter().flatten() {
            let def = self.catalog.user_fields.iter().find(|def| &def.key == key);
            if let Some(def) = def.filter(|def| !fits(def, value)) {
                let words = format!("{}: is invalid", def.title);
                return Err(Refusal::invalid(key, words, "InvalidValue"));
            }
        }
        Ok(())
    }

    /// Whether an address is free, or the user's own.
    pub fn check_email(&self, id: Option<i64>, email: &str) -> Result<(), Refusal> {
        if !email.contains('@') || email.contains(' ') {
            return Err(Refusal::invalid("email", format!("Email: {email} is not properly formatted"), "InvalidValue"));
        }
        let owner = self.index.emails.get(&email.to_lowercase());
        if owner.is_some_and(|owner| Some(*owner) != id) {
            let words = format!("Email: {email} is already being used by another user");
            return Err(Refusal::invalid("email", words, "DuplicateValue"));
        }
        Ok(())
    }

    /// Applies a checked patch; answers whether anything changed that no event tells.
    fn apply_user(&mut self, id: i64, now: Stamp, patch: UserPatch, events: &mut Events) -> Result<bool, Refusal> {
        let mut silent = false;
        if let Some(Some(email)) = &patch.email {
            let own = self.users[&id].identities.iter().any(|i| i.value.eq_ignore_ascii_case(email));
            if !own {
                events.push(self.add_identity(id, "email", email, false, now));
            }
        }
        if let Some(external) = &patch.external_id {
            self.set_external_id(id, external.as_deref(), events);
        }
        let place = match (&patch.organization_id, &patch.organization) {
            (Some(place), _) => Some(*place),
            (None, Some(named)) => Some(Some(self.organization_named(&named.name, now))),
            (None, None) => None,
        };
        if let Some(place) = place {
            silent |= self.set_organization(id, place, now, events);
        }
        silent |= self.set_phone(id, now, &patch, events);
        if let Some(fields) = &patch.user_fields {
            self.set_user_fields(id, fields, events);
        }
        let user = self.users.get_mut(&id).ok_or(Refusal::NotFound)?;
        silent |= set_words(user, &patch, events);
        silent |= set_flags(user, &patch, events);
        set_rare(user, &patch, now, events);
        if patch.default_group_id.is_some() {
            self.join_default_group(now, id);
        }
        Ok(silent)
    }

    fn set_external_id(&mut self, id: i64, external: Option<&str>, events: &mut Events) {
        let Some(user) = self.users.get_mut(&id) else { return };
        if user.external_id.as_deref() == external {
            return;
        }
        events.push((
            "user.external_id_changed",
            json!({"current": text(external), "previous": text(user.external_id.as_deref())}),
        ));
        if let Some(old) = user.external_id.take() {
            self.index.user_external.remove(&old.to_lowercase());
        }
        if let Some(new) = external {
            self.index.user_external.insert(new.to_lowercase(), id);
        }
        user.external_id = external.map(str::to_owned);
    }

    fn set_organization(&mut self, id: i64, place: Option<i64>, now: Stamp, events: &mut Events) -> bool {
        let membership_id = self.new_id();
        let Some(user) = self.users.get_mut(&id) else { return false };
        if user.organization_id == place {
            return false;
        }
        let (kept, gone): (Vec<_>, Vec<_>) = user.memberships.drain(..).partition(|m| Some(m.organization_id) == place);
        user.memberships = kept;
        for old in gone {
            let told = json!({"organization": {"id": old.organization_id.to_string()}});
            events.push(("user.organization_membership_deleted", told));
        }
        user.organization_id = place;
        if let Some(organization_id) = place.filter(|_| user.memberships.is_empty()) {
            user.memberships.push(Membership { id: membership_id, organization_id, created_at: now });
            events.push((
                "user.organization_membership_created",
                json!({"organization": {"id": organization_id.to_string()}}),
            ));
        }
        true
    }

    fn set_phone(&mut self, id: i64, now: Stamp, patch: &UserPatch, events: &mut Events) -> bool {
        let Some(phone) = &patch.phone else { return false };
        let shared = patch.shared_phone_number.flatten().unwrap_or(false);
        let Some(user) = self.users.get_mut(&id) else { return false };
        if user.phone == *phone {
            return false;
        }
        user.phone.clone_from(phone);
        user.shared_phone = phone.is_some().then_some(shared);
        if let Some(at) = user.identities.iter().position(|i| i.kind == "phone_number") {
            let old = user.identities.remove(at);
            events.push(("user.identity_deleted", json!({"current": super::identities::as_event(&old)})));
        }
        // Only a number that can be dialled from anywhere finds its user (Z§3).
        if let (Some(number), false) = (phone.as_ref().filter(|number| is_dialable(number)), shared) {
            events.push(self.add_identity(id, "phone_number", number, false, now));
        }
        true
    }

    fn set_user_fields(&mut self, id: i64, fields: &BTreeMap<String, Value>, events: &mut Events) {
        let defs = &self.catalog.user_fields;
        let Some(user) = self.users.get_mut(&id) else { return };
        for def in defs {
            let Some(value) = fields.get(&def.key).map(|value| kept(def.kind, value)) else { continue };
            let before = user.fields.get(&def.key).cloned().unwrap_or_default();
            if before == value {
                continue;
            }
            events.push((
                "user.custom_field_changed",
                json!({"current": value, "previous": before,
                "field": {"id": def.id.to_string(), "title": def.title, "type": def.kind}}),
            ));
            match value {
                Value::Null => user.fields.remove(&def.key),
                value => user.fields.insert(def.key.clone(), value),
            };
        }
    }
}

fn set_words(user: &mut User, patch: &UserPatch, events: &mut Events) -> bool {
    let mut silent = false;
    if let Some(name) = patch.name.as_ref().filter(|name| **name != user.name) {
        events.push(("user.name_changed", json!({"current": name, "previous": user.name})));
        user.name.clone_from(name);
    }
    let pairs = [
        ("user.alias_changed", &patch.alias, &mut user.alias),
        ("user.details_changed", &patch.details, &mut user.details),
        ("user.notes_changed", &patch.notes, &mut user.notes),
    ];
    for (kind, new, old) in pairs {
        if let Some(new) = new.as_ref().filter(|new| **new != *old) {
            events.push((kind, json!({"current": text(new.as_deref()), "previous": text(old.as_deref())})));
            old.clone_from(new);
        }
    }
    if let Some(signature) = patch.signature.as_ref().filter(|new| **new != user.signature) {
        user.signature.clone_from(signature);
        silent = true;
    }
    if let Some(zone) = patch.time_zone.as_ref().filter(|zone| **zone != user.time_zone) {
        events.push(("user.time_zone_changed", json!({"current": zone, "previous": user.time_zone})));
        user.time_zone = zone.clone().into();
    }
    if let Some(locale) = patch.locale.as_ref().filter(|locale| **locale != user.locale) {
        user.locale = locale.clone().into();
        silent = true;
    }
    if let Some(tags) = patch.tags.as_ref().filter(|tags| **tags != user.tags) {
        let added: Vec<_> = tags.iter().filter(|tag| !user.tags.contains(tag)).collect();
        let removed: Vec<_> = user.tags.iter().filter(|tag| !tags.contains(tag)).collect();
        events.push(("user.tags_changed", json!({"added": {"tags": added}, "removed": {"tags": removed}})));
        user.tags.clone_from(tags);
    }
    silent
}

fn set_flags(user: &mut User, patch: &UserPatch, events: &mut Events) -> bool {
    if let Some(suspended) = patch.suspended.filter(|suspended| *suspended != user.suspended) {
        events.push(("user.suspended_changed", json!({"current": suspended, "previous": user.suspended})));
        user.suspended = suspended;
    }
    if let Some(role) = patch.role.as_deref().and_then(Role::parse).filter(|role| *role != user.role) {
        events.push(("user.role_changed", json!({"current": role.word(), "previous": user.role.word()})));
        user.role = role;
    }
    let verified = patch.verified.is_some_and(|verified| verified != user.verified);
    user.verified = patch.verified.unwrap_or(user.verified);
    verified
}

/// What changes seldom: picture, group, sign-in.
fn set_rare(user: &mut User, patch: &UserPatch, now: Stamp, events: &mut Events) {
    if let Some(url) = &patch.remote_photo_url {
        let before = if user.has_photo { "https://acme.example/old.png" } else { "" };
        events.push(("user.photo_changed", json!({"current": url, "previous": before})));
        user.has_photo = !url.is_empty();
    }
    if let Some(group) = patch.default_group_id.filter(|group| Some(*group) != user.default_group_id) {
        let before = user.default_group_id.replace(group);
        let words = |id: Option<i64>| id.unwrap_or(0).to_string();
        events.push(("user.default_group_changed", json!({"current": words(Some(group)), "previous": words(before)})));
        events.push(("user.group_membership_created", json!({"group": {"id": group.to_string()}})));
    }
    if let Some(signature) = &patch.signature {
        user.signature.clone_from(signature);
    }
    if let Some(only) = patch.only_private_comments.filter(|only| *only != user.only_private_comments) {
        events.push(("user.only_private_comments_changed", json!({"current": only, "previous": !only})));
        user.only_private_comments = only;
    }
    user.shared = patch.shared.unwrap_or(user.shared);
    if patch.signs_in {
        let words = |at: Option<Stamp>| at.map_or_else(String::new, |at| at.to_string());
        let event = json!({"current": words(Some(now)), "previous": words(user.last_login_at)});
        events.push(("user.last_login_changed", event));
        user.last_login_at = Some(now);
    }
}

/// A user of whom only the name is known.
pub fn blank_user(id: i64, seq: u64, name: &str, now: Stamp) -> User {
    User {
        id,
        seq,
        name: name.to_owned(),
        email: None,
        phone: None,
        shared_phone: None,
        role: Role::EndUser,
        external_id: None,
        alias: None,
        signature: None,
        details: None,
        notes: None,
        locale: "en-US".into(),
        time_zone: "Eastern Time (US & Canada)".into(),
        organization_id: None,
        tags: Vec::new(),
        fields: BTreeMap::new(),
        created_at: now,
        updated_at: now,
        active: true,
        permanently_deleted: false,
        merged_into: None,
        suspended: false,
        shared: false,
        verified: false,
        last_login_at: None,
        default_group_id: None,
        has_photo: false,
        only_private_comments: false,
        identities: Vec::new(),
        memberships: Vec::new(),
    }
}
