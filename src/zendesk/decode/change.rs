//! What Zendesk's webhooks and its audits each call a field of a ticket, and the one text that a value of it becomes.
//!
//! Webhooks write `OPEN` and `"0"`, audits `open` and `null`: the key of an activity must not depend on it (A2, A3).

use serde_json::value::RawValue;

use super::json::{Json, elements, member, view};
use super::lenient::{Lenient, parse_time};
use crate::model::activity::ActivityDraft;
use crate::rules::activity::{Update, changed, tags_changed};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of a few words.
    Word,
    /// The id of something.
    Id,
    /// A time.
    Time,
    /// Free text.
    Text,
}

/// Our name, the webhook that tells of it, the names in audits, and what it holds.
const FIELDS: &[(&str, &str, &[&str], Kind)] = &[
    ("status", "ticket.status_changed", &["status"], Kind::Word),
    ("priority", "ticket.priority_changed", &["priority"], Kind::Word),
    ("type", "ticket.type_changed", &["type", "ticket_type"], Kind::Word),
    ("subject", "ticket.subject_changed", &["subject"], Kind::Text),
    ("assignee", "ticket.agent_assignment_changed", &["assignee_id"], Kind::Id),
    ("group", "ticket.group_assignment_changed", &["group_id"], Kind::Id),
    ("requester", "ticket.requester_changed", &["requester_id"], Kind::Id),
    ("submitter", "ticket.submitter_changed", &["submitter_id"], Kind::Id),
    ("organization", "ticket.organization_changed", &["organization_id"], Kind::Id),
    ("brand", "ticket.brand_changed", &["brand_id"], Kind::Id),
    ("form", "ticket.form_changed", &["ticket_form_id", "form_id"], Kind::Id),
    ("custom_status", "ticket.custom_status_changed", &["custom_status_id", "custom_status"], Kind::Id),
    ("external_id", "ticket.external_id_changed", &["external_id"], Kind::Text),
    ("problem", "ticket.problem_link_changed", &["problem_id", "linked_id"], Kind::Id),
    ("due_at", "ticket.task_due_at_changed", &["due_at"], Kind::Time),
];

/// A field of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// One that every ticket has, by our name.
    System(&'static str),
    /// One of the account, by its id.
    Custom(String),
    /// Its tags.
    Tags,
}

impl Field {
    /// The field that a webhook of this type tells of.
    pub(super) fn of_webhook(kind: &str) -> Option<Field> {
        FIELDS.iter().find(|(_, webhook, ..)| *webhook == kind).map(|(name, ..)| Field::System(name))
    }

    /// The field that audits call so; a custom one by its id. None for what is no part of a normalised ticket.
    pub(super) fn of_audit(name: &str) -> Option<Field> {
        if name == "tags" {
            return Some(Field::Tags);
        }
        if let Some(id) = name.strip_prefix("custom_fields_").or(Some(name)).and_then(|id| id.parse::<i64>().ok()) {
            return (id > 0).then(|| Field::Custom(id.to_string()));
        }
        FIELDS.iter().find(|(.., names, _)| names.contains(&name)).map(|(name, ..)| Field::System(name))
    }

    /// The one text of a value, empty for none.
    pub(super) fn text(&self, raw: Option<&RawValue>) -> String {
        let kind = match self {
            Field::Tags => return words(raw).join(","),
            Field::Custom(_) => return custom(raw),
            Field::System(name) => {
                FIELDS.iter().find(|(field, ..)| field == name).map_or(Kind::Text, |(.., kind)| *kind)
            }
        };
        let mut lenient = Lenient::default();
        match kind {
            Kind::Id => lenient.id("", raw).value().unwrap_or_default(),
            Kind::Word => match lenient.text("", raw).value().unwrap_or_default().trim().to_lowercase().as_str() {
                "-" => String::new(),
                "archived" => "closed".to_owned(),
                word => word.to_owned(),
            },
            Kind::Time => {
                let text = lenient.text("", raw).value().unwrap_or_default();
                parse_time(&text).map_or(text, |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
            }
            Kind::Text => lenient.text("", raw).value().unwrap_or_default(),
        }
    }

    /// What is made of a change of this field.
    pub(super) fn activities(
        &self,
        update: Update<'_>,
        from: Option<&RawValue>,
        to: Option<&RawValue>,
    ) -> Vec<ActivityDraft> {
        match self {
            Field::Tags => {
                // Sorted: a hundred thousand tags must not be compared each with each.
                let (from, to) = (words(from), words(to));
                let added: Vec<String> = to.iter().filter(|tag| from.binary_search(tag).is_err()).cloned().collect();
                let removed: Vec<String> = from.iter().filter(|tag| to.binary_search(tag).is_err()).cloned().collect();
                tags_changed(update, &added, &removed)
            }
            Field::System(name) => changed(update, name, &self.text(from), &self.text(to)),
            Field::Custom(id) => changed(update, id, &self.text(from), &self.text(to)),
        }
    }
}

/// A list of tags, in either of its shapes; sorted.
pub(super) fn words(raw: Option<&RawValue>) -> Vec<String> {
    Lenient::default().words("", raw).value().unwrap_or_default()
}

/// A value of a custom field. It may stand in an object, a checkbox may be `true` or `"1"`, a date may have a midnight.
fn custom(raw: Option<&RawValue>) -> String {
    let Some(raw) = raw else { return String::new() };
    match view(raw) {
        Json::Null => String::new(),
        Json::Bool(true) => "1".to_owned(),
        Json::Bool(false) => "0".to_owned(),
        Json::Number(digits) => digits.to_owned(),
        Json::Text(text) => match text.replace('\0', "").as_str() {
            "true" => "1".to_owned(),
            "false" => "0".to_owned(),
            text => {
                let midnight = ["T00:00:00Z", "T00:00:00+00:00"].into_iter().find_map(|end| text.strip_suffix(end));
                midnight.unwrap_or(text).to_owned()
            }
        },
        Json::Array => {
            let mut list = Vec::new();
            elements(raw.get(), |element| {
                if !matches!(view(element), Json::Array | Json::Object) {
                    list.push(custom(Some(element)));
                }
            });
            list.sort_unstable();
            list.join(",")
        }
        Json::Object => {
            let inner = ["value", "id"].into_iter().find_map(|name| member(raw, name));
            match inner.map(view) {
                None | Some(Json::Object) => String::new(),
                Some(_) => custom(inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, input: &str, expected: &str) {
        let field = Field::of_audit(field).expect("a field of a ticket");
        let raw = RawValue::from_string(input.to_owned()).expect("a test writes JSON");
        assert_eq!(field.text(Some(&raw)), expected, "{field:?} {input}");
    }

    #[test]
    fn one_text_for_both_spellings_a3() {
        check("status", "\"OPEN\"", "open");
        check("status", "\"Open\"", "open");
        check("status", "\"ARCHIVED\"", "closed");
        check("priority", "null", "");
        check("priority", "\"-\"", "");
        check("assignee_id", "\"0\"", "");
        check("assignee_id", "8447388090494", "8447388090494");
        check("assignee_id", "\"8447388090494\"", "8447388090494");
        check("due_at", "\"2024-01-02T03:04:05.000+00:00\"", "2024-01-02T03:04:05Z");
        check("360001", "true", "1");
        check("360001", "\"true\"", "1");
        check("360001", "{\"value\":5}", "5");
        check("360001", "{\"id\":\"7\",\"x\":{}}", "7");
        check("360001", "{\"value\":{\"value\":1}}", "");
        check("360001", "\"2012-07-23T00:00:00Z\"", "2012-07-23");
        check("360001", "[\"b\",\"a\",[1]]", "a,b");
        check("subject", "\"A  b\"", "A  b");
    }

    #[test]
    fn what_is_no_field_of_ours() {
        for name in ["current_collaborators", "satisfaction_score", "0", "-5", ""] {
            assert_eq!(Field::of_audit(name), None, "{name}");
        }
        assert_eq!(Field::of_webhook("ticket.followers_changed"), None);
    }
}
