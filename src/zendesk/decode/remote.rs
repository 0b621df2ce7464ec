//! Records as they stand in Zendesk, for comparison with what is wanted of them: values as they are, nothing formed.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{Json, member, members, parts, view};
use super::lenient::{Lenient, MAX_KEY, Said};
use super::user::CUSTOMER;
use crate::model::activation::Target;
use crate::model::push::{Membership, Remote, Standing, Values};

parts! {
    /// A user or an organization: parts that the other kind lacks are simply not there.
    Parts {
        id "id", name "name", email "email", external_id "external_id", phone "phone", alias "alias", details "details",
        notes "notes", locale "locale", time_zone "time_zone", tags "tags", user_fields "user_fields",
        organization_fields "organization_fields", role "role", active "active", suspended "suspended", shared "shared",
        permanently_deleted "permanently_deleted", deleted_at "deleted_at", updated_at "updated_at",
    }
    left "url" | "created_at"
}

parts! {
    /// A membership.
    Member { id "id", user_id "user_id", organization_id "organization_id", default "default", }
    left "url" | "organization_name" | "view_tickets" | "created_at" | "updated_at"
}

/// A record as activations look at it. None without an id.
pub fn remote(raw: &RawValue, target: Target) -> Option<Remote> {
    let parts = Parts::read(raw.get())?;
    let mut lenient = Lenient::default();
    let mut values = Values::new();
    for (name, part) in system(&parts, target) {
        if let Some(raw) = part
            && let Some(value) = lenient.any(name, raw)
        {
            values.insert(name.to_owned(), value);
        }
    }
    let custom = if target == Target::Organizations { parts.organization_fields } else { parts.user_fields };
    if let Some(custom) = custom {
        fields(custom, target.custom_prefix(), &mut values, &mut lenient);
    }
    Some(Remote {
        id: lenient.id("id", parts.id).value()?,
        values,
        tags: lenient.words("tags", parts.tags).value().unwrap_or_default().into_iter().collect(),
        organizations: None,
        standing: standing(&parts, target, &mut lenient),
        updated_at: lenient.time("updated_at", parts.updated_at).value(),
    })
}

/// Id, external id and address of the record in the answer to a single write.
pub fn written(body: &[u8], wrapper: &str) -> Option<(Option<String>, Option<String>, Option<String>)> {
    let text = String::from_utf8_lossy(body);
    let raw = serde_json::from_str::<&RawValue>(text.trim()).ok()?;
    let parts = Parts::read(member(raw, wrapper)?.get())?;
    let mut lenient = Lenient::default();
    let id = lenient.id("id", parts.id).value();
    let external_id = lenient.text("external_id", parts.external_id).filled();
    Some((id, external_id, lenient.text("email", parts.email).filled()))
}

/// The address of an identity of a user, where it is one.
pub fn address(raw: &RawValue) -> Option<String> {
    let mut lenient = Lenient::default();
    let mut text = |name: &str| lenient.text(name, member(raw, name)).filled();
    text("type").filter(|kind| kind == "email").and_then(|_| text("value"))
}

/// A membership of a user in an organization. None where one of its ids is missing.
pub fn membership(raw: &RawValue) -> Option<Membership> {
    let parts = Member::read(raw.get())?;
    let mut lenient = Lenient::default();
    Some(Membership {
        id: lenient.id("id", parts.id).value()?,
        user_id: lenient.id("user_id", parts.user_id).value()?,
        organization_id: lenient.id("organization_id", parts.organization_id).value()?,
        default: lenient.truth("default", parts.default) == Said::Is(true),
    })
}

fn system<'a>(parts: &Parts<'a>, target: Target) -> Vec<(&'static str, Option<&'a RawValue>)> {
    let mut both = vec![
        ("name", parts.name),
        ("external_id", parts.external_id),
        ("details", parts.details),
        ("notes", parts.notes),
    ];
    if target != Target::Organizations {
        both.extend([
            ("email", parts.email),
            ("phone", parts.phone),
            ("alias", parts.alias),
            ("locale", parts.locale),
            ("time_zone", parts.time_zone),
        ]);
    }
    both
}

fn fields(raw: &RawValue, prefix: &str, values: &mut Values, lenient: &mut Lenient) {
    members(raw.get(), |key: Cow<'_, str>, value| {
        if !key.is_empty() && key.len() <= MAX_KEY && !key.contains('\0') {
            let value = lenient.any(&key, value).unwrap_or(Value::Null);
            values.insert(format!("{prefix}.{key}"), value);
        }
    });
}

fn standing(parts: &Parts<'_>, target: Target, lenient: &mut Lenient) -> Standing {
    let is = |said: Said<bool>| said == Said::Is(true);
    let is_deleted = lenient.truth("active", parts.active) == Said::Is(false)
        || is(lenient.truth("permanently_deleted", parts.permanently_deleted))
        || parts.deleted_at.is_some_and(|raw| !matches!(view(raw), Json::Null));
    if is_deleted {
        return Standing::Deleted;
    }
    if target == Target::Organizations {
        return Standing::Normal;
    }
    // Who does not say what they are is not taken for a customer.
    if lenient.text("role", parts.role).value().is_none_or(|role| role != CUSTOMER) {
        return Standing::Agent;
    }
    if is(lenient.truth("shared", parts.shared)) {
        return Standing::Shared;
    }
    match is(lenient.truth("suspended", parts.suspended)) {
        true => Standing::Suspended,
        false => Standing::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).expect("JSON")
    }

    #[test]
    fn standing_of_users_and_organizations() {
        let check = |target: Target, more: Value, expected: Standing| {
            let mut record = json!({"id": 5, "role": "end-user", "active": true});
            record.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            assert_eq!(remote(&raw(&record), target).expect("a record").standing, expected, "{record}");
        };
        use Target::{Organizations, Users};
        check(Users, json!({}), Standing::Normal);
        check(Users, json!({"role": "agent"}), Standing::Agent);
        check(Users, json!({"role": "admin", "suspended": true}), Standing::Agent);
        check(Users, json!({"role": null}), Standing::Agent);
        check(Users, json!({"shared": true, "suspended": true}), Standing::Shared);
        check(Users, json!({"suspended": true}), Standing::Suspended);
        check(Users, json!({"active": false, "role": "agent"}), Standing::Deleted);
        check(Organizations, json!({"role": "agent"}), Standing::Normal);
        check(Organizations, json!({"deleted_at": null}), Standing::Normal);
        check(Organizations, json!({"deleted_at": "2026-01-01T00:00:00Z"}), Standing::Deleted);
    }

    #[test]
    fn values_stand_under_the_names_of_files() {
        let record = json!({"id": "7", "name": "Homer", "email": null, "tags": ["b", "a"], "role": "end-user",
            "user_fields": {"tier": "gold", "n": 1.5, "": 1}, "organization_fields": {"x": 1}, "what_is_new": {}});
        let found = remote(&raw(&record), Target::Users).expect("a record");
        let values: Value = json!(found.values);
        assert_eq!(values, json!({"name": "Homer", "email": null, "user_fields.tier": "gold", "user_fields.n": 1.5}));
        assert_eq!((found.id.as_str(), found.tags.len()), ("7", 2));
        assert_eq!(remote(&raw(&json!({"id": 0})), Target::Users), None);
        assert_eq!(remote(&raw(&json!([])), Target::Users), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[{}\\[\\]\":,a-e0-9]{0,60}") {
            if let Ok(raw) = RawValue::from_string(text) {
                let _ = (remote(&raw, Target::Users), remote(&raw, Target::Organizations), membership(&raw));
            }
        }
    }
}
