//! What real accounts send that nobody would think of: one named test for each oddity of the recordings. Each takes
//! made-up bytes, which are always there, and the recorded ones where the recordings are.

mod answers;
mod contacts;
mod deliveries;
mod names;
mod records;
mod streams;

use crate::corpus;
use deskbridge::model::person::{PersonRecord, RecordStatus};
use deskbridge::model::source::SourceSettings;
use deskbridge::model::ticket::TicketRecord;
use deskbridge::zendesk::decode::{self, DecodeContext};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::LazyLock;

/// The recordings, read once.
pub struct Recordings {
    /// Every answer of the API: its file, what the recorder noted of it, its bytes.
    pub answers: Vec<(String, Value, Vec<u8>)>,
    /// Every delivery of a webhook, likewise.
    pub deliveries: Vec<(String, Value, Vec<u8>)>,
}

/// The recordings; says so when they are not there.
pub fn recordings() -> Option<&'static Recordings> {
    static READ: LazyLock<Option<Recordings>> = LazyLock::new(|| corpus::corpus().map(read));
    let found = READ.as_ref();
    if found.is_none() {
        println!("skipped the recorded part: there are no recordings");
    }
    found
}

fn read(folder: PathBuf) -> Recordings {
    let mut found = Recordings { answers: Vec::new(), deliveries: Vec::new() };
    for (kind, resource, file) in corpus::manifest(&folder) {
        let Ok(body) = std::fs::read(folder.join(&file)) else { continue };
        let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
        let meta = std::fs::read(folder.join(format!("{stem}.meta.json"))).unwrap_or_default();
        let meta = serde_json::from_slice(&meta).unwrap_or_default();
        match kind.as_str() {
            "api-response" if resource != "session" => found.answers.push((file, meta, body)),
            "webhook-body" | "webhook-signature" => found.deliveries.push((file, meta, body)),
            _ => {}
        }
    }
    found
}

/// What decoding needs besides the bytes.
pub fn decoding<T>(with: impl FnOnce(&DecodeContext<'_>) -> T) -> T {
    let settings = SourceSettings::default();
    with(&DecodeContext {
        settings: &settings,
        subdomain: None,
        default_region: None,
        blocked: &[],
        message_max_bytes: 16_384,
        store_message_bodies: true,
        private_comments: true,
    })
}

fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("a record is JSON")
}

/// The made-up records, each of which must be odd, and the recorded ones that are, of which there must be `least`.
fn odd_ones(
    made: Vec<Value>,
    least: usize,
    names: (&str, &str),
    odd: impl Fn(&Value) -> bool,
) -> Vec<(Value, Box<RawValue>)> {
    let mut found: Vec<_> = made.into_iter().map(|made| (made.clone(), to_raw_value(&made).expect("JSON"))).collect();
    for (made, _) in &found {
        assert!(odd(made), "not odd: {made}");
    }
    let before = found.len();
    for (_, _, body) in recordings().into_iter().flat_map(|recordings| &recordings.answers) {
        let records = corpus::records(body, names.0, names.1).into_iter().map(|raw| (value(&raw), raw));
        found.extend(records.filter(|(value, _)| value.is_object() && odd(value)));
    }
    let recorded = found.len() - before;
    assert!(recordings().is_none() || recorded >= least, "{recorded} recorded, not {least}");
    found
}

/// Users that are odd in one way, as they came and as they were decoded.
pub fn odd_users(made: Vec<Value>, least: usize, odd: impl Fn(&Value) -> bool) -> Vec<(Value, PersonRecord)> {
    let decode = |(value, raw): (Value, Box<RawValue>)| {
        let record = decoding(|ctx| decode::user(&raw, ctx)).expect("a user decodes");
        (value, record)
    };
    odd_ones(made, least, ("users", "user"), odd).into_iter().map(decode).collect()
}

/// The same, of customers who are there.
pub fn odd_customers(made: Vec<Value>, least: usize, odd: impl Fn(&Value) -> bool) -> Vec<(Value, PersonRecord)> {
    let there = |user: &Value| user["role"] == "end-user" && user["active"] != false && user["suspended"] != true;
    let found = odd_users(made, least, |user| there(user) && odd(user));
    for (value, record) in &found {
        assert_eq!(record.status, RecordStatus::Active, "{value}");
    }
    found
}

/// Tickets that are odd in one way.
pub fn odd_tickets(made: Vec<Value>, least: usize, odd: impl Fn(&Value) -> bool) -> Vec<(Value, TicketRecord)> {
    // What recovering a suspended ticket answers is called a ticket too, and is none.
    let odd = |ticket: &Value| ticket["status"].is_string() && odd(ticket);
    let decode = |(value, raw): (Value, Box<RawValue>)| {
        let record = decoding(|ctx| decode::ticket(&raw, ctx)).expect("a ticket decodes");
        (value, record)
    };
    odd_ones(made, least, ("tickets", "ticket"), odd).into_iter().map(decode).collect()
}

/// A made-up customer with these parts.
pub fn customer(parts: Value) -> Value {
    let mut user = json!({"id": 7_001, "role": "end-user", "active": true, "suspended": false, "name": "Ana Lima",
        "email": "ana@shop.example", "phone": null, "updated_at": "2026-01-01T00:00:00Z"});
    user.as_object_mut().expect("an object").extend(parts.as_object().expect("parts").clone());
    user
}

/// A made-up ticket with these parts.
pub fn ticket(parts: Value) -> Value {
    let mut ticket = json!({"id": 41, "status": "open", "subject": "Hello", "description": "Hi", "requester_id": 7_001,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "generated_timestamp": 1_767_225_600});
    ticket.as_object_mut().expect("an object").extend(parts.as_object().expect("parts").clone());
    ticket
}
