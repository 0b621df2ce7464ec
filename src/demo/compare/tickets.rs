//! Tickets, and that nothing is left of the scrubbed ones.

use super::findings::Findings;
use super::truth::{Ours, Truth, id, seconds, sorted};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Columns that hold the same value under another name.
const SAME: [(&str, &str); 5] = [
    ("subject", "subject"),
    ("status", "status"),
    ("priority", "priority"),
    ("type", "type"),
    ("external_id", "external_id"),
];

/// Columns that hold ids of other records.
const IDS: [(&str, &str); 6] = [
    ("requester_record_id", "requester_id"),
    ("submitter_record_id", "submitter_id"),
    ("assignee_record_id", "assignee_id"),
    ("organization_record_id", "organization_id"),
    ("group_id", "group_id"),
    ("custom_status_id", "custom_status_id"),
];

/// Checks every ticket.
pub fn check(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    let ratings: HashMap<i64, &Value> =
        truth.ratings.iter().filter_map(|rating| Some((rating["ticket_id"].as_i64()?, rating))).collect();
    let rows: HashMap<i64, &Value> =
        ours.tables.tickets.iter().filter_map(|row| Some((row["id"].as_i64()?, row))).collect();
    for (number, there) in &truth.tickets {
        match rows.get(number) {
            Some(here) => one(*number, here, there, ratings.get(number).copied(), ours, findings),
            None if ours.is_read(there["generated_timestamp"].as_i64().unwrap_or_default()) => {
                findings.add(format!("ticket {number}"), "row", Value::Null, there["status"].clone());
            }
            None => {}
        }
    }
    for number in rows.keys().filter(|number| !truth.tickets.contains_key(number)) {
        findings.add(format!("ticket {number}"), "row", "a ticket", Value::Null);
    }
    for left in &ours.tables.leftovers {
        findings.add(format!("ticket {}", left["ticket"]), "webhook body", "text of a scrubbed ticket", Value::Null);
    }
}

fn one(number: i64, here: &Value, there: &Value, rating: Option<&Value>, ours: &Ours, findings: &mut Findings) {
    let record = format!("ticket {number}");
    let scrubbed = there["scrubbed"] == true;
    findings.check(&record, "scrubbed", &here["scrubbed"], &there["scrubbed"]);
    for (column, name) in SAME {
        let erased = scrubbed && matches!(column, "subject" | "external_id");
        findings.check(&record, column, &here[column], if erased { &Value::Null } else { &there[name] });
    }
    for (column, name) in IDS {
        findings.check(&record, column, &here[column], &json!(id(&there[name])));
    }
    findings.check(&record, "channel", &here["channel"], &there["channel"]);
    findings.check(&record, "tags", &json!(sorted(&here["tags"])), &json!(sorted(&there["tags"])));
    findings.check(&record, "created_at", &here["created"], &json!(seconds(&there["created_at"])));
    findings.check(&record, "updated_at", &here["updated"], &json!(seconds(&there["updated_at"])));
    findings.check(&record, "deleted", &json!(!here["deleted_at"].is_null()), &there["deleted"]);
    findings.check(&record, "person", &here["person_id"], &json!(ours.person(&id(&there["requester_id"]))));
    let empty = json!({});
    let fields = if scrubbed { &empty } else { &there["fields"] };
    custom(&record, &here["fields"], fields, findings);
    if let Some(rating) = rating {
        findings.check(&record, "rating", &here["rating"], &rating["score"]);
        let comment = if scrubbed { &Value::Null } else { &rating["comment"] };
        findings.check(&record, "rating_comment", &here["rating_comment"], comment);
    }
}

fn custom(record: &str, here: &Value, there: &Value, findings: &mut Findings) {
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut all = [keys(here), keys(there)].concat();
    all.sort();
    all.dedup();
    for key in all {
        findings.check(record, &format!("field {key}"), &here[&key], &there[&key]);
    }
}
