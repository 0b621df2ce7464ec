//! Addresses and numbers of a user.
use super::{By, Refusal};
use crate::time::Stamp;
use crate::world::World;
use crate::world::user::Identity;
use serde_json::{Value, json};

/// An identity as webhook events write it.
pub fn as_event(identity: &Identity) -> Value {
    json!({"id": identity.id.to_string(), "primary": identity.primary, "type": identity.kind, "value": identity.value})
}

/// Kinds of identities there are.
const KINDS: &[&str] = &[
    "email",
    "twitter",
    "facebook",
    "google",
    "phone_number",
    "agent_forwarding",
    "any_channel",
    "foreign",
    "sdk",
    "messaging",
    "microsoft",
];

/// Whether a number is written as E.164 has it: a plus and 8 to 15 digits.
pub fn is_dialable(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

impl Identity {
    /// The identity as REST writes it.
    pub fn as_rest(&self, user_id: i64, host: &str) -> Value {
        let mut value = json!({"id": self.id, "url": format!("{host}/api/v2/users/{user_id}/identities/{}.json", self.id),
            "user_id": user_id, "type": self.kind, "value": self.value, "verified": self.verified,
            "verification_method": if self.verified { "low" } else { "none" }, "primary": self.primary,
            "created_at": self.created_at, "updated_at": self.updated_at,
            "verified_at": self.verified.then_some(self.created_at)});
        if self.kind == "email" {
            value["undeliverable_count"] = 0.into();
            value["deliverable_state"] = "deliverable".into();
        }
        value
    }
}

impl World {
    /// Adds an identity that was checked; the first of its kind is primary. Answers the event to tell.
    pub fn add_identity(
        &mut self,
        user_id: i64,
        kind: &str,
        value: &str,
        verified: bool,
        now: Stamp,
    ) -> (&'static str, Value) {
        let id = self.new_id();
        let mut told = Value::Null;
        if let Some(user) = self.users.get_mut(&user_id) {
            let primary = !user.identities.iter().any(|i| i.kind == kind);
            let identity = Identity {
                id,
                kind: kind.to_owned().into(),
                value: value.to_owned(),
                verified,
                primary,
                created_at: now,
                updated_at: now,
            };
            told = as_event(&identity);
            user.identities.push(identity);
            user.verified |= verified;
            if kind == "email" {
                self.index.emails.insert(value.to_lowercase(), user_id);
                if primary {
                    user.email = Some(value.to_owned());
                }
            }
        }
        ("user.identity_created", json!({ "current": told }))
    }

    /// Whether an identity may be added: its kind is known, its value well formed and nobody's (Z§3).
    pub fn check_identity(&self, own: Option<i64>, kind: &str, value: &str) -> Result<(), Refusal> {
        let refuse = |words: String, error| Err(Refusal::invalid("value", words, error));
        if !KINDS.contains(&kind) {
            return Err(Refusal::invalid("type", format!("Type: {kind} is invalid"), "InvalidValue"));
        }
        if value.is_empty() {
            return refuse("Value: cannot be blank".into(), "BlankValue");
        }
        if kind == "email" {
            return self.check_email(own, value).or_else(|refusal| match refusal {
                Refusal::Invalid(_, words, error) => refuse(words.replacen("Email: ", "Value: ", 1), error),
                other => Err(other),
            });
        }
        if kind == "phone_number" && !is_dialable(value) {
            return refuse(format!("Value: {value} is not a valid phone number"), "InvalidValue");
        }
        let same = |identity: &Identity| identity.kind == kind && identity.value == value;
        let others = self.users.values().filter(|user| user.active && Some(user.id) != own);
        match others.flat_map(|user| &user.identities).any(same) {
            true => refuse(format!("Value: {value} is already being used by another user"), "DuplicateValue"),
            false => Ok(()),
        }
    }

    /// Adds an identity to a user who is there.
    pub fn create_identity(&mut self, user_id: i64, now: Stamp, given: &Value) -> Result<i64, Refusal> {
        let kind = given["type"].as_str().unwrap_or("email").to_owned();
        let value = given["value"].as_str().unwrap_or_default().to_owned();
        self.users.get(&user_id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        self.check_identity(None, &kind, &value)?;
        let verified = given["verified"].as_bool().unwrap_or(false);
        let event = self.add_identity(user_id, &kind, &value, verified, now);
        if given["primary"] == true {
            let id = self.users[&user_id].identities.last().map_or(0, |i| i.id);
            self.make_primary(user_id, id, now)?;
        }
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, vec![event]);
        let name = self.name_of(user_id);
        self.note(now, "update_user", format!("{name} got {kind} {value}"), Some(user_id), None);
        Ok(self.users[&user_id].identities.last().map_or(0, |i| i.id))
    }

    /// Makes an identity the first of its kind.
    pub fn make_primary(&mut self, user_id: i64, identity_id: i64, now: Stamp) -> Result<(), Refusal> {
        let user = self.users.get_mut(&user_id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let chosen = user.identities.iter().find(|i| i.id == identity_id).ok_or(Refusal::NotFound)?;
        let (kind, value, was) = (chosen.kind.clone(), chosen.value.clone(), chosen.primary);
        if was {
            return Ok(());
        }
        let mut events = Vec::new();
        for identity in user.identities.iter_mut().filter(|i| i.kind == kind) {
            let before = as_event(identity);
            let primary = identity.id == identity_id;
            if identity.primary != primary {
                identity.primary = primary;
                identity.updated_at = now;
                events.push(("user.identity_changed", json!({"current": as_event(identity), "previous": before})));
            }
        }
        if kind == "email" {
            user.email = Some(value);
        }
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, events);
        Ok(())
    }

    /// Changes an identity's value or marks it as verified.
    pub fn update_identity(&mut self, user_id: i64, id: i64, now: Stamp, given: &Value) -> Result<(), Refusal> {
        let value = given["value"].as_str().map(str::to_owned);
        let user = self.users.get(&user_id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let kind = user.identities.iter().find(|i| i.id == id).ok_or(Refusal::NotFound)?.kind.clone();
        if let Some(email) = value.as_ref().filter(|_| kind == "email") {
            self.check_email(Some(user_id), email)?;
        }
        let user = self.users.get_mut(&user_id).ok_or(Refusal::NotFound)?;
        let identity = user.identities.iter_mut().find(|i| i.id == id).ok_or(Refusal::NotFound)?;
        let before = as_event(identity);
        let verified = given["verified"].as_bool().unwrap_or(identity.verified);
        let new = value.clone().unwrap_or_else(|| identity.value.clone());
        if new == identity.value && verified == identity.verified {
            return Ok(());
        }
        let old = std::mem::replace(&mut identity.value, new.clone());
        (identity.verified, identity.updated_at) = (verified, now);
        let event = json!({"current": as_event(identity), "previous": before});
        let primary = identity.primary;
        user.verified |= verified;
        if kind == "email" {
            if primary {
                user.email = Some(new.clone());
            }
            self.index.emails.remove(&old.to_lowercase());
            self.index.emails.insert(new.to_lowercase(), user_id);
        } else if kind == "phone_number" {
            user.phone = Some(new);
        }
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, vec![("user.identity_changed", event)]);
        Ok(())
    }

    /// Takes an identity away; the primary address goes only with the user.
    pub fn delete_identity(&mut self, user_id: i64, id: i64, now: Stamp) -> Result<(), Refusal> {
        let user = self.users.get_mut(&user_id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let at = user.identities.iter().position(|i| i.id == id).ok_or(Refusal::NotFound)?;
        if user.identities[at].primary && user.identities[at].kind == "email" {
            let words = "Cannot delete the primary email identity";
            return Err(Refusal::invalid("base", words, "InvalidValue"));
        }
        let gone = user.identities.remove(at);
        if gone.kind == "phone_number" {
            (user.phone, user.shared_phone) = (None, None);
        } else if gone.kind == "email" {
            self.index.emails.remove(&gone.value.to_lowercase());
        }
        self.touch_user(user_id, now);
        self.announce_user(user_id, now, vec![("user.identity_deleted", json!({"current": as_event(&gone)}))]);
        Ok(())
    }

    /// Gives a user another primary address: what a person does when they change it.
    pub fn change_email(&mut self, by: By, now: Stamp, user_id: i64, email: &str) -> Result<(), Refusal> {
        self.check_email(Some(user_id), email)?;
        let old = self
            .users
            .get(&user_id)
            .and_then(|user| user.identities.iter().find(|i| i.kind == "email" && i.primary).map(|i| i.id));
        let given = json!({"type": "email", "value": email, "verified": true, "primary": true});
        self.create_identity(user_id, now, &given)?;
        if let Some(old) = old {
            self.delete_identity(user_id, old, now)?;
        }
        let text = format!("{} changed the address of {} to {email}", self.name_of(by.user_id), self.name_of(user_id));
        self.note(now, "change_email", text, Some(user_id), None);
        Ok(())
    }
}
