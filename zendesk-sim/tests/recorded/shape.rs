//! The shape of answers: for each kind of record, which keys it has and which JSON types they hold.
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where a type was seen: the years of the recordings, 0 where the year is unknown.
pub type Years = BTreeSet<u16>;

/// The keys of one kind of record, nested with dots, and their types.
pub type Keys = BTreeMap<String, BTreeMap<&'static str, Years>>;

/// Shapes by kind of record; an answer's own members go by its endpoint.
#[derive(Debug, Default)]
pub struct Shapes(pub BTreeMap<String, Keys>);

/// Names under which lists and single records stand in answers.
const RECORDS: &[(&str, &str)] = &[
    ("abilities", "ability"),
    ("attempts", "attempt"),
    ("audits", "audit"),
    ("brands", "brand"),
    ("comments", "comment"),
    ("custom_field_options", "custom_field_option"),
    ("group_memberships", "group_membership"),
    ("groups", "group"),
    ("identities", "identity"),
    ("invocations", "invocation"),
    ("job_statuses", "job_status"),
    ("last_audits", "audit"),
    ("metric_sets", "ticket_metric"),
    ("organization_fields", "organization_field"),
    ("organization_memberships", "organization_membership"),
    ("organizations", "organization"),
    ("requests", "request"),
    ("roles", "role"),
    ("satisfaction_ratings", "satisfaction_rating"),
    ("sharing_agreements", "sharing_agreement"),
    ("suspended_tickets", "suspended_ticket"),
    ("ticket_events", "ticket_event"),
    ("ticket_fields", "ticket_field"),
    ("ticket_forms", "ticket_form"),
    ("ticket_metrics", "ticket_metric"),
    ("tickets", "ticket"),
    ("user_fields", "user_field"),
    ("users", "user"),
    ("webhooks", "webhook"),
];

/// Names under which records stand within records.
const PARTS: &[(&str, &str)] = &[
    ("attachments", "attachment"),
    ("attachment", "attachment"),
    ("last_audit", "audit"),
    ("logo", "photo"),
    ("metric_set", "ticket_metric"),
    ("photo", "photo"),
    ("thumbnails", "photo"),
    ("via", "via"),
];

/// Keys that say where in a list an answer stands. They hold something or nothing by the length of the list alone, so
/// their types are compared over all lists; of an endpoint only that it has the key.
const PLACES: &[&str] = &[
    "next_page",
    "previous_page",
    "links",
    "meta",
    "after_cursor",
    "after_url",
    "before_cursor",
    "before_url",
    "end_time",
];

/// Objects whose keys are data: names of custom fields, ids, what a client sent along.
const FREE: &[&str] = &["user_fields", "organization_fields", "custom", "open_ticket_count", "details"];

/// The name of a JSON type.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// What an endpoint is called: ids left out, and whether it pages by cursor or brings other records along.
pub fn endpoint(method: &str, target: &str) -> String {
    // Parameters after the path with `&` and no `?` are ignored.
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.split('&').next().unwrap_or_default();
    let path = path.trim_start_matches("/api/v2").trim_end_matches(".json");
    let part = |part: &str| {
        let id = part.parse::<i64>().is_ok() || part.len() > 24 && part.bytes().any(|b| b.is_ascii_digit());
        if id { "{}".to_owned() } else { part.to_owned() }
    };
    let path: Vec<_> = path.split('/').map(part).collect();
    let query = query.replace("%5B", "[").replace("%5D", "]");
    let has = |name: &str| {
        query.split('&').any(|pair| pair.split_once('=').is_some_and(|(key, value)| key == name && !value.is_empty()))
    };
    let flags = [("page[size]", " by cursor"), ("include", " with others")];
    let flags: String = flags.iter().filter(|(name, _)| has(name)).map(|(_, words)| *words).collect();
    format!("{method} {}{flags}", path.join("/"))
}

impl Shapes {
    /// Adds an answer.
    pub fn add(&mut self, endpoint: &str, status: u16, body: &Value, year: u16) {
        let name = if status < 400 { endpoint.to_owned() } else { "error".to_owned() };
        let Value::Object(members) = body else {
            self.see(&name, "", body, year);
            return;
        };
        for (key, value) in members {
            let found = RECORDS.iter().find(|(many, one)| key == many || key == one);
            match (found, value) {
                (Some((_, one)), Value::Object(_)) => self.see(one, "", value, year),
                (Some((_, one)), Value::Array(list)) => list.iter().for_each(|value| self.see(one, "", value, year)),
                (None, Value::Array(list)) if key == "results" => list.iter().for_each(|row| self.result(row, year)),
                _ if PLACES.contains(&key.as_str()) => {
                    let place = if name.contains(" /incremental/") { "place in an export" } else { "place in a list" };
                    self.see(place, key, value, year);
                    self.note(&name, key, "there", year);
                    continue;
                }
                _ => {
                    self.see(&name, key, value, year);
                    continue;
                }
            }
            self.note(&name, key, kind(value), year);
        }
    }

    fn note(&mut self, record: &str, path: &str, kind: &'static str, year: u16) {
        let keys = self.0.entry(record.to_owned()).or_default();
        keys.entry(path.to_owned()).or_default().entry(kind).or_default().insert(year);
    }

    /// What was found says itself what it is.
    fn result(&mut self, row: &Value, year: u16) {
        self.see(row["result_type"].as_str().unwrap_or("job result"), "", row, year);
    }

    fn see(&mut self, record: &str, path: &str, value: &Value, year: u16) {
        self.note(record, path, kind(value), year);
        let free = FREE.contains(&path.rsplit('.').next().unwrap_or_default());
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let name = if free { "*" } else { key };
                    let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    self.below(record, &below, key, value, year);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| self.see(record, &format!("{path}[]"), value, year)),
            _ => {}
        }
    }

    /// A member of a record: a record of its own, or more of this one.
    fn below(&mut self, record: &str, path: &str, key: &str, value: &Value, year: u16) {
        let part = PARTS.iter().find(|(name, _)| *name == key).map(|(_, part)| *part);
        match (part, value) {
            (Some(part), Value::Object(_)) => self.see(part, "", value, year),
            (Some(part), Value::Array(list)) => list.iter().for_each(|value| self.see(part, "", value, year)),
            (None, Value::Array(list)) if key == "events" && record == "audit" => {
                for event in list {
                    self.see(&format!("event {}", event["type"].as_str().unwrap_or("?")), "", event, year);
                }
            }
            (None, Value::Array(list)) if key == "results" && record == "job_status" => {
                list.iter().for_each(|row| self.see("job result", "", row, year));
            }
            _ => return self.see(record, path, value, year),
        }
        self.note(record, path, kind(value), year);
    }
}
