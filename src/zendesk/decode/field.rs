//! Definitions of custom fields, and the keys under which their values stand.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::context::{NO_ID, NO_OBJECT, refuse};
use super::json::{Json, elements, members, parts, view};
use super::lenient::{Lenient, MAX_KEY};
use crate::model::batch::Refused;
use crate::model::field::FieldDef;
use crate::model::push::TargetField;
use crate::model::stream::Stream;

/// Keys of a person's `zd.…` fields that are ours (N1, N6, N8, A8) and that a custom field of the same name must not
/// write.
const PERSON_KEYS: &[&str] = &[
    "name",
    "name_prefix",
    "name_kind",
    "tags",
    "role",
    "suspended",
    "verified",
    "notes",
    "details",
    "alias",
    "organization_id",
    "email_invalid",
    "open_tickets",
    "tickets_total",
    "first_ticket_at",
    "last_ticket_at",
    "last_ticket_subject",
    "last_ticket_status",
    "last_rating",
    "last_rating_at",
    "good_ratings",
    "bad_ratings",
];

/// The same for organizations.
const ORGANIZATION_KEYS: &[&str] = &["tags", "notes", "details", "group_id", "shared_tickets", "shared_comments"];

/// Types of ticket fields that every ticket has; their values never stand among the custom fields.
const TICKET_SYSTEM: &[&str] = &[
    "subject",
    "description",
    "status",
    "tickettype",
    "priority",
    "basic_priority",
    "group",
    "assignee",
    "custom_status",
];

parts! {
    /// A field of users, organizations or tickets.
    Parts {
        id "id", key "key", kind "type", title "title", active "active", options "custom_field_options",
        pattern "regexp_for_validation",
    }
    left "url"
}

/// Where a custom field of users stands in `fields`: `zd.plan`, or `zd.field.tags` where the name is taken.
pub fn person_key(key: &str) -> String {
    under(PERSON_KEYS, key)
}

/// The same for organizations.
pub fn organization_key(key: &str) -> String {
    under(ORGANIZATION_KEYS, key)
}

fn under(taken: &[&str], key: &str) -> String {
    match taken.contains(&key) {
        true => format!("zd.field.{key}"),
        false => format!("zd.{key}"),
    }
}

/// All fields of an entity (`person`, `organization` or `ticket`), from the records of their pages.
pub fn field_defs(entity: &'static str, records: &[Box<RawValue>]) -> (Vec<FieldDef>, Vec<Refused>) {
    let mut defs = Vec::new();
    let mut refused = Vec::new();
    for raw in records {
        match field_def(entity, raw) {
            Ok(Some(def)) => defs.push(def),
            Ok(None) => {}
            Err(refusal) => refused.push(refusal),
        }
    }
    (defs, refused)
}

fn field_def(entity: &'static str, raw: &RawValue) -> Result<Option<FieldDef>, Refused> {
    let stream = Stream::Fields.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let mut lenient = Lenient::default();
    let remote_id = lenient.id("id", parts.id).value();
    let name = lenient.text("key", parts.key).filled().filter(|key| key.len() <= MAX_KEY);
    let kind = lenient.text("type", parts.kind).filled().unwrap_or_else(|| "text".to_owned());
    let key = match entity {
        "ticket" if TICKET_SYSTEM.contains(&kind.as_str()) => return Ok(None),
        "ticket" => remote_id.clone(),
        "organization" => name.as_deref().map(organization_key),
        _ => name.as_deref().map(person_key),
    };
    let key = key.ok_or_else(|| refuse(stream, remote_id.as_deref().unwrap_or_default(), NO_ID, raw))?;
    let title = lenient.text("title", parts.title).filled().or(name).unwrap_or_else(|| key.clone());
    let active = lenient.truth("active", parts.active).value().unwrap_or(true);
    Ok(Some(FieldDef { entity, key, kind, title, remote_id, options: parts.options.and_then(options), active }))
}

/// A custom field as a target, its name with the prefix of its kind of record. None without a key.
pub fn target_field(raw: &RawValue, prefix: &str) -> Option<TargetField> {
    let parts = Parts::read(raw.get())?;
    let mut lenient = Lenient::default();
    let key = lenient.text("key", parts.key).filled().filter(|key| key.len() <= MAX_KEY)?;
    let kind = lenient.text("type", parts.kind).filled().unwrap_or_else(|| "text".to_owned());
    let listed = parts.options.and_then(options);
    let values = listed.iter().filter_map(Value::as_array).flatten().filter_map(|option| option["value"].as_str());
    Some(TargetField {
        name: format!("{prefix}.{key}"),
        // The same thing is called so of tickets, and by some of users.
        kind: if kind == "tagger" { "dropdown".to_owned() } else { kind },
        active: lenient.truth("active", parts.active).value().unwrap_or(true),
        options: values.map(str::to_owned).collect(),
        pattern: lenient.text("regexp_for_validation", parts.pattern).filled(),
        max_chars: None,
    })
}

/// Options of a field that are kept.
const MAX_OPTIONS: usize = 5_000;

/// `[{value, name}]`, in Zendesk's order.
fn options(raw: &RawValue) -> Option<Value> {
    let mut list = Vec::new();
    let text = |raw: &RawValue| match view(raw) {
        Json::Text(text) => Cow::Owned(text.replace('\0', "")),
        _ => Cow::Borrowed(""),
    };
    elements(raw.get(), |option| {
        let (mut value, mut name) = (Cow::Borrowed(""), Cow::Borrowed(""));
        members(option.get(), |key, raw| match &*key {
            "value" => value = text(raw),
            "name" => name = text(raw),
            _ => {}
        });
        if !value.is_empty() && list.len() < MAX_OPTIONS {
            list.push(json!({"value": value, "name": name}));
        }
    });
    (!list.is_empty()).then_some(Value::Array(list))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("a test writes JSON")
    }

    fn check(entity: &'static str, input: &str, expected: Option<(&str, &str, &str, bool)>) {
        let (defs, _) = field_defs(entity, &[raw(input)]);
        let found = defs.first().map(|def| (def.key.as_str(), def.kind.as_str(), def.title.as_str(), def.active));
        assert_eq!(found, expected, "{entity} {input}");
    }

    #[test]
    fn definitions() {
        check(
            "person",
            r#"{"id":7,"key":"plan","type":"dropdown","title":"Plan"}"#,
            Some(("zd.plan", "dropdown", "Plan", true)),
        );
        check(
            "person",
            r#"{"id":7,"key":"tags","type":"text","active":false}"#,
            Some(("zd.field.tags", "text", "tags", false)),
        );
        check("organization", r#"{"id":7,"key":"role","type":1}"#, Some(("zd.role", "text", "role", true)));
        check("ticket", r#"{"id":7,"type":"tagger","title":"Why"}"#, Some(("7", "tagger", "Why", true)));
        check("ticket", r#"{"id":7,"type":"subject","title":"Subject"}"#, None);
        check("person", r#"{"id":7,"type":"text"}"#, None);
        let (defs, refused) = field_defs("person", &[raw("[]"), raw(r#"{"id":7}"#)]);
        assert_eq!((defs.len(), refused.len(), refused[1].record_id.as_str()), (0, 2, "7"));
    }

    #[test]
    fn options_keep_their_order() {
        let input = r#"{"id":7,"type":"tagger","custom_field_options":[{"id":1,"name":"Gold","value":"gold"},3,{"name":"x"},
            {"value":"tin"}]}"#;
        let (defs, _) = field_defs("ticket", &[raw(input)]);
        let expected = json!([{"value": "gold", "name": "Gold"}, {"value": "tin", "name": ""}]);
        assert_eq!(defs[0].options, Some(expected));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(key in ".{0,9}", kind in ".{0,9}", id in any::<i64>()) {
            let text = json!({"id": id, "key": key, "type": kind, "custom_field_options": [{"value": kind}]}).to_string();
            let (defs, refused) = field_defs("person", &[raw(&text)]);
            prop_assert_eq!(defs.len() + refused.len(), 1);
        }
    }
}
