//! Zendesk Sell's envelopes: contacts, definitions of custom fields, errors (Z§9). Each bad part costs only itself.

use super::fault;
use super::json::{Json, elements, member, members, view};
use super::lenient::{Lenient, MAX_KEY};
use crate::model::activation::Target;
use crate::model::push::{Fault, Remote, Standing, TargetField, Values};
use serde_json::value::RawValue;

/// Options of a field that are kept.
const MAX_OPTIONS: usize = 5_000;

/// A contact in its envelope, `{"data": {…}}`, as activations look at it. None without an id.
pub fn contact(raw: &RawValue) -> Option<Remote> {
    let mut lenient = Lenient::default();
    let mut values = Values::new();
    let (mut id, mut tags, mut updated_at) = (None, None, None);
    members(member(raw, "data")?.get(), |key, value| match &*key {
        "id" => id = Some(value),
        "tags" => tags = Some(value),
        "updated_at" => updated_at = Some(value),
        "address" | "custom_fields" => {
            members(value.get(), |part, value| {
                if !part.is_empty() && part.len() <= MAX_KEY && !part.contains('\0') {
                    values.extend(lenient.any(&part, value).map(|value| (format!("{key}.{part}"), value)));
                }
            });
        }
        key if key.len() <= MAX_KEY && !matches!(view(value), Json::Array | Json::Object) => {
            values.extend(lenient.any(key, value).map(|value| (key.to_owned(), value)));
        }
        _ => {}
    });
    Some(Remote {
        id: lenient.id("id", id).value()?,
        values,
        tags: lenient.words("tags", tags).value().unwrap_or_default().into_iter().collect(),
        organizations: None,
        standing: Standing::Normal,
        updated_at: lenient.time("updated_at", updated_at).value(),
    })
}

/// A custom field of contacts in its envelope. None for one of companies only, and without a name.
pub fn contact_field(raw: &RawValue) -> Option<TargetField> {
    let data = member(raw, "data")?;
    let mut lenient = Lenient::default();
    if lenient.truth("for_contact", member(data, "for_contact")).value() == Some(false) {
        return None;
    }
    let name = lenient.text("name", member(data, "name")).filled().filter(|name| name.len() <= MAX_KEY)?;
    let kind = lenient.text("type", member(data, "type")).filled().unwrap_or_default();
    let mut options = Vec::new();
    // Clients know the choices by either name.
    for list in ["choices", "options"].into_iter().filter_map(|name| member(data, name)) {
        elements(list.get(), |choice| {
            let name = lenient.text("choice", Some(member(choice, "name").unwrap_or(choice))).filled();
            options.extend(name.filter(|_| options.len() < MAX_OPTIONS));
        });
    }
    Some(TargetField {
        name: format!("{}.{name}", Target::SellContacts.custom_prefix()),
        kind: kind_of(&kind).to_owned(),
        active: true,
        options,
        pattern: None,
        max_chars: None,
    })
}

/// Sell's word for a type by Support's, which activations know.
fn kind_of(kind: &str) -> &'static str {
    match kind {
        "number" => "decimal",
        "boolean" | "bool" => "checkbox",
        "date" => "date",
        "list" => "dropdown",
        "multi_select_list" => "multiselect",
        "email" => "email",
        "phone" => "phone",
        _ => "text",
    }
}

/// Code and fault of one of Sell's errors, `{"error": {"resource", "field", "code", "message", "details"}}`. Its words quote values and are
/// left out. None for an error of another shape.
pub(super) fn error(raw: &RawValue) -> Option<(String, Fault)> {
    let error = member(raw, "error").filter(|error| matches!(view(error), Json::Object))?;
    let text = |name: &str| match member(error, name).map(view) {
        Some(Json::Text(text)) if text.len() <= MAX_KEY && !text.chars().any(char::is_control) => text.into_owned(),
        _ => String::new(),
    };
    let code = text("code").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(80).collect::<String>();
    let mut found = fault::fault(&code, None, &code.replace('_', " "));
    // `custom_fields[Tier]` is what files call `custom_fields.Tier`.
    let field = text("field").replacen('[', ".", 1).trim_end_matches(']').to_owned();
    found.field = Some(field).filter(|field| !matches!(&**field, "" | "id") && text("resource") == "contact");
    Some((code, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).expect("a test writes JSON")
    }

    #[test]
    fn contacts_are_flat_for_comparison() {
        let told = json!({"data": {"id": 7, "first_name": "Ana", "last_name": null, "address": {"city": "Oslo"}, "tags": ["b", "a"],
            "custom_fields": {"Audience": "realized", "Likes": ["x"]}, "odd": {"a": 1}, "updated_at": "2026-06-15T12:00:00Z"},
            "meta": {"version": 1}});
        let found = contact(&raw(&told)).expect("a contact");
        assert_eq!(found.id, "7");
        assert_eq!(
            serde_json::to_value(&found.values).expect("values"),
            json!({"first_name": "Ana", "last_name": null, "address.city": "Oslo", "custom_fields.Audience": "realized",
                "custom_fields.Likes": ["x"]})
        );
        assert_eq!(found.tags.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(found.updated_at.is_some());
        for bad in [json!({}), json!({"data": []}), json!({"data": {"id": {}}}), json!([])] {
            assert_eq!(contact(&raw(&bad)), None, "{bad}");
        }
    }

    #[test]
    fn definitions_have_supports_words_for_types() {
        let check = |data: Value, expected: Option<(&str, &str, &[&str])>| {
            let found = contact_field(&raw(&json!({ "data": data })));
            let found = found.as_ref().map(|field| (field.name.as_str(), field.kind.as_str(), field.options.clone()));
            let expected =
                expected.map(|(name, kind, options)| (name, kind, options.iter().map(ToString::to_string).collect()));
            assert_eq!(found, expected, "{data}");
        };
        check(json!({"name": "Audience", "type": "string"}), Some(("custom_fields.Audience", "text", &[])));
        check(
            json!({"name": "Seats", "type": "number", "for_contact": true}),
            Some(("custom_fields.Seats", "decimal", &[])),
        );
        let choices = json!([{"id": 1, "name": "free"}, {"id": 2, "name": "paid"}]);
        let plan = Some(("custom_fields.Plan", "dropdown", ["free", "paid"].as_slice()));
        check(json!({"name": "Plan", "type": "list", "choices": choices}), plan);
        check(json!({"name": "Plan", "type": "list", "options": choices}), plan);
        check(json!({"name": "Branch", "type": "string", "for_contact": false}), None);
        check(json!({"type": "string"}), None);
    }

    #[test]
    fn errors_name_the_field_and_quote_nothing() {
        let check = |field: &str, code: &str, expected: (Option<&str>, &str)| {
            let told = json!({"error": {"resource": "contact", "field": field, "code": code, "message": "ana@x.example is wrong"}});
            let (said, fault) = error(&raw(&told)).expect("an error");
            assert_eq!((fault.field.as_deref(), fault.class.as_str()), expected);
            assert!(said == code && !fault.reason.contains("ana"), "{fault:?}");
        };
        check("last_name", "blank", (Some("last_name"), "required_missing"));
        check("custom_fields[Tier]", "invalid_type", (Some("custom_fields.Tier"), "invalid_value"));
        check("email", "already_exists", (Some("email"), "duplicate_value"));
        check("id", "not_found", (None, "not_found"));
        check("", "odd", (None, "refused"));
        assert_eq!(error(&raw(&json!({"code": "TooDeep"}))), None);
    }
}
