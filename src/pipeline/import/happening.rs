//! Activities that a row tells of. Types are the operator's own: `zd.*` belongs to Zendesk. Pure.

use super::mapping::{ActivityPart, MAX_KEY};
use super::value::{self, MAX_TEXT, Reason};
use crate::model::activity::{ActivityDraft, Origin, Owner};
use crate::model::record::digest;
use chrono::SubsecRound;
use serde_json::{Map, Value};

/// An activity as it is told, not yet read.
#[derive(Debug, Default)]
pub struct Told {
    kind: Option<Value>,
    occurred_at: Option<Value>,
    key: Option<Value>,
    message: Option<Value>,
    attributes: Map<String, Value>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Read {
    /// The activity, unless it cannot be used.
    pub draft: Option<ActivityDraft>,
    /// What is wrong with it.
    pub problems: Vec<(String, Reason)>,
}

impl Told {
    /// Takes what a column says.
    pub fn take(&mut self, part: &ActivityPart, value: Value) {
        if value.is_null() {
            return;
        }
        match part {
            ActivityPart::Type => self.kind = Some(value),
            ActivityPart::OccurredAt => self.occurred_at = Some(value),
            ActivityPart::Key => self.key = Some(value),
            ActivityPart::Message => self.message = Some(value),
            ActivityPart::Attribute(name) => _ = self.attributes.insert(name.clone(), value),
        }
    }
}

/// The activity of a row's own columns; none where they are empty.
pub fn one(told: Told, record_id: &str, message_bytes: Option<usize>) -> Option<Read> {
    let silent = told.kind.is_none() && told.occurred_at.is_none();
    (!silent).then(|| read(told, "activity", record_id, message_bytes))
}

/// The activities of a list; a text is JSON of one.
pub fn list(value: Value, record_id: &str, message_bytes: Option<usize>) -> Vec<Read> {
    let value = match value {
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        value => value,
    };
    let refuse = |reason| Read { draft: None, problems: vec![("activities".to_owned(), reason)] };
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list
            .into_iter()
            .map(|element| match element {
                Value::Object(object) => read(told(object), "activities", record_id, message_bytes),
                _ => refuse("one that is no object; left out"),
            })
            .collect(),
        _ => vec![refuse("not a list; left out")],
    }
}

fn told(object: Map<String, Value>) -> Told {
    let mut told = Told::default();
    for (name, value) in object {
        match (name.as_str(), value) {
            ("type", value) => told.take(&ActivityPart::Type, value),
            ("occurred_at", value) => told.take(&ActivityPart::OccurredAt, value),
            ("key", value) => told.take(&ActivityPart::Key, value),
            ("message", value) => told.take(&ActivityPart::Message, value),
            ("attributes", Value::Object(attributes)) => told.attributes.extend(attributes),
            (_, value) => _ = told.attributes.insert(name, value),
        }
    }
    told
}

fn read(told: Told, part: &str, record_id: &str, message_bytes: Option<usize>) -> Read {
    let mut read = Read::default();
    let text = |value: Option<Value>| value.and_then(|value| value::text_of(&value).ok());
    let kind = text(told.kind).map(|kind| kind.trim().to_owned()).filter(|kind| is_kind(kind));
    let Some(kind) = kind else {
        let reason = "no type, or one that is zd.*, too long or has control characters; the activity was left out";
        read.problems.push((format!("{part}.type"), reason));
        return read;
    };
    let Some(at) = text(told.occurred_at).and_then(|at| value::time(&at)) else {
        read.problems.push((format!("{part}.occurred_at"), "not a time; the activity was left out"));
        return read;
    };
    let (attributes, noted) = value::custom(Value::Object(told.attributes), None).unwrap_or_default();
    let attributes = attributes.as_object().cloned().unwrap_or_default();
    read.problems.extend(noted.map(|reason| (format!("{part}.attributes"), reason)));
    let whole = text(told.message).map(|message| value::clean(&message, MAX_TEXT).0).filter(|text| !text.is_empty());
    let key = match text(told.key).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()) {
        Some(key) => key,
        // Told twice in the same words it is one activity; in other words it is another.
        None => format!("{:016x}", digest(&(&attributes, &whole), 0) as u64),
    };
    let message = whole.and_then(|text| {
        let (kept, noted) = value::clean(&text, message_bytes?);
        read.problems.extend(noted.map(|reason| (format!("{part}.message"), reason)));
        Some(kept)
    });
    read.draft = Some(ActivityDraft {
        kind,
        occurred_at: at.trunc_subsecs(0),
        owner: Owner::Record(record_id.to_owned()),
        ticket_id: None,
        actor: None,
        key,
        attributes,
        message,
        public: true,
        origin: Origin::Import,
    });
    read
}

fn is_kind(kind: &str) -> bool {
    let fits = !kind.is_empty() && kind.len() <= MAX_KEY && !kind.chars().any(char::is_control);
    fits && !kind.to_lowercase().starts_with("zd.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(element: Value, expected: Result<&str, &str>) {
        let found = list(json!([element.clone()]), "r", Some(4)).pop().expect("one");
        let shown = found.draft.as_ref().map(|draft| {
            let attributes = serde_json::to_string(&draft.attributes).expect("a map");
            format!(
                "{} {} {attributes} {}",
                draft.kind,
                draft.occurred_at.timestamp(),
                draft.message.clone().unwrap_or_default()
            )
        });
        let part = found.problems.first().map(|(part, _)| part.as_str()).unwrap_or_default();
        assert_eq!(shown.as_deref().ok_or(part), expected, "{element}");
    }

    #[test]
    fn activities_of_the_operators_own() {
        check(
            json!({"type": "order.paid", "occurred_at": "2024-01-01T00:00:00.9Z", "attributes": {"total": 3}}),
            Ok("order.paid 1704067200 {\"total\":3} "),
        );
        check(
            json!({"type": "a", "occurred_at": "2024-01-01", "message": "hello", "total": 3}),
            Ok("a 1704067200 {\"total\":3} hell"),
        );
        check(json!({"type": "zd.ticket.created", "occurred_at": "2024-01-01"}), Err("activities.type"));
        check(json!({"occurred_at": "2024-01-01"}), Err("activities.type"));
        check(json!({"type": "a", "occurred_at": "yesterday"}), Err("activities.occurred_at"));
        check(json!({"type": "a"}), Err("activities.occurred_at"));
        check(json!(7), Err("activities"));
    }

    #[test]
    fn keys_tell_activities_apart() {
        let key =
            |element: Value| list(json!([element]), "r", None).pop().and_then(|read| read.draft).map(|draft| draft.key);
        let plain = json!({"type": "a", "occurred_at": "2024-01-01", "n": 1, "message": "x"});
        assert_eq!(key(plain.clone()), key(plain.clone()));
        assert_ne!(key(plain), key(json!({"type": "a", "occurred_at": "2024-01-01", "n": 2, "message": "x"})));
        assert_eq!(key(json!({"type": "a", "occurred_at": "2024-01-01", "key": 7})), Some("7".into()));
    }

    #[test]
    fn lists_in_a_cell() {
        assert_eq!(list(json!(r#"[{"type":"a","occurred_at":"2024-01-01"}]"#), "r", None).len(), 1);
        assert!(list(json!(null), "r", None).is_empty());
        assert!(list(json!({"a": 1}), "r", None)[0].draft.is_none());
        assert!(one(Told::default(), "r", None).is_none());
    }
}
