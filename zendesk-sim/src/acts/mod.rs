//! Everything that can be done to the account, by the API, by the admin door or by life; each act keeps all
//! records, orders, histories and webhooks in agreement.
pub mod end_users;
pub mod fields;
pub mod groups;
pub mod identities;
pub mod memberships;
pub mod organizations;
pub mod ticket_ends;
pub mod ticket_import;
pub mod ticket_patch;
pub mod tickets;
pub mod uploads;
pub mod users;

use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Who does something, and by which channel.
#[derive(Clone, Copy, Debug)]
pub struct By {
    /// The user; -1 is the system.
    pub user_id: i64,
    /// web, email, api, …
    pub channel: &'static str,
}

/// Why something cannot be done.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// No such record.
    NotFound,
    /// The record would be wrong: field, words, Zendesk's error name.
    Invalid(String, String, &'static str),
    /// Not allowed.
    Forbidden,
    /// Changed by somebody else meanwhile.
    Conflict,
    /// The request itself is wrong: Zendesk's error name and words.
    Bad(&'static str, String),
    /// Something in the request is of the wrong kind, in words.
    Attribute(String),
}

impl Refusal {
    /// A record that would be wrong.
    pub fn invalid(field: &str, words: impl Into<String>, error: &'static str) -> Self {
        Self::Invalid(field.to_owned(), words.into(), error)
    }

    /// The status and body Zendesk answers.
    pub fn answer(&self) -> (u16, Value) {
        match self {
            Self::NotFound => (404, json!({"error": "RecordNotFound", "description": "Not found"})),
            Self::Invalid(field, words, error) => {
                let mut detail = json!({"description": words});
                if !error.is_empty() {
                    detail["error"] = (*error).into();
                }
                (
                    422,
                    json!({"error": "RecordInvalid", "description": "Record validation errors",
                    "details": {field: [detail]}}),
                )
            }
            Self::Forbidden => (
                403,
                json!({"error": {"title": "Forbidden", "message":
                "You do not have access to this page. Please contact the account owner of this help desk for further help."}}),
            ),
            Self::Conflict => (
                409,
                json!({"error": "UpdateConflict", "description":
                "Safe Update prevented the update due to outdated ticket data. Please fetch the latest ticket data and try again."}),
            ),
            Self::Bad(error, words) => (400, json!({"error": error, "description": words})),
            Self::Attribute(words) => (400, json!({"error": {"title": "Invalid attribute", "message": words}})),
        }
    }

    /// The words for a bulk job's row.
    pub fn row(&self) -> (String, String) {
        let (_, body) = self.answer();
        let error = body["error"].as_str().unwrap_or("Forbidden").to_owned();
        match self {
            Self::Invalid(_, words, _) => (error, words.clone()),
            Self::Attribute(words) => ("InvalidAttribute".into(), words.clone()),
            _ => (error, body["description"].as_str().unwrap_or_default().to_owned()),
        }
    }
}

/// Tells `null` (clear it) from absence (leave it).
pub fn double<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Reads a patch leniently: what has the wrong type is the caller's mistake.
pub fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, Refusal> {
    let empty = json!({});
    let value = if value.is_null() { &empty } else { value };
    T::deserialize(value).map_err(|e| Refusal::Attribute(format!("You passed an invalid value: {e}")))
}

/// Whether a value may stand in a custom field of this kind.
pub fn fits(def: &crate::world::catalog::FieldDef, value: &Value) -> bool {
    let choice = |text: &Value| def.choices.iter().any(|c| Some(c.value.as_str()) == text.as_str());
    match def.kind {
        _ if value.is_null() => true,
        "checkbox" => value.is_boolean(),
        "integer" => value.is_i64() || value.as_str().is_some_and(|t| t.parse::<i64>().is_ok()),
        "decimal" => value.is_number() || value.as_str().is_some_and(|t| t.parse::<f64>().is_ok()),
        "date" => value.as_str().is_some_and(|t| t.get(..10).is_some_and(is_date)),
        "dropdown" | "tagger" => choice(value),
        "regexp" => value.as_str().is_some_and(|text| {
            // A pattern that cannot be read here refuses nothing.
            def.regexp.as_deref().and_then(|pattern| Regex::new(pattern).ok()).is_none_or(|p| p.is_match(text))
        }),
        "multiselect" => value.as_array().is_some_and(|all| all.iter().all(choice)),
        _ => value.is_string(),
    }
}

fn is_date(text: &str) -> bool {
    crate::time::Stamp::parse(&format!("{text}T00:00:00Z")).is_some()
}

/// A value as a custom field of users and organizations keeps it: dates come back as midnight.
pub fn kept(kind: &str, value: &Value) -> Value {
    match (kind, value) {
        ("date", Value::String(text)) if text.len() == 10 => format!("{text}T00:00:00Z").into(),
        ("integer", Value::String(text)) => text.parse::<i64>().map_or(Value::Null, Value::from),
        ("decimal", Value::String(text)) => text.parse::<f64>().map_or(Value::Null, Value::from),
        _ => value.clone(),
    }
}
