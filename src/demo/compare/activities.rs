//! Activities: what should be there by the true history of each ticket, against what is; and the rollups.

use super::findings::Findings;
use super::truth::{Ours, Truth, id, seconds};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Names of fields in audits whose change is a `zd.ticket.updated`, besides custom ones.
const UPDATED: [&str; 11] = [
    "type",
    "subject",
    "requester_id",
    "submitter_id",
    "organization_id",
    "brand_id",
    "ticket_form_id",
    "custom_status_id",
    "external_id",
    "problem_id",
    "due_at",
];

/// One kind of thing that happened to a ticket in one second.
type Key = (String, i64, i64);

/// What should be there under one key.
#[derive(Debug, Default)]
struct Expected {
    /// That many at least, by what tells them apart.
    needed: BTreeSet<String>,
    /// That many more may be: who came early has seen what later arrivals cannot.
    possible: usize,
    /// Whose they are.
    owners: HashSet<i64>,
    /// What may stand as a text; None if no texts are expected.
    messages: Vec<Option<String>>,
}

/// Checks all activities of tickets, and the rollups.
pub fn check(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    let mut expected: BTreeMap<Key, Expected> = BTreeMap::new();
    let rows: HashSet<i64> = ours.tables.tickets.iter().filter_map(|row| row["id"].as_i64()).collect();
    for (number, ticket) in truth.tickets.iter().filter(|(number, _)| rows.contains(number)) {
        History { number: *number, ticket, ours, former: former(ticket), expected: &mut expected }.tell();
    }
    for rating in &truth.ratings {
        if let Some(ticket) = rating["ticket_id"].as_i64().and_then(|number| truth.tickets.get(&number)) {
            let number = ticket["id"].as_i64().unwrap_or_default();
            History { number, ticket, ours, former: former(ticket), expected: &mut expected }.rated(rating);
        }
    }
    compare(&expected, ours, findings);
    contacts(truth, ours, findings);
    for rollup in &ours.tables.rollups {
        findings.add(
            format!("person {}", rollup["person"]),
            &format!("rollup of {}", id(&rollup["type"])),
            rollup["ours"].clone(),
            rollup["theirs"].clone(),
        );
    }
}

/// Former requesters: until when, who.
fn former(ticket: &Value) -> Vec<(i64, String)> {
    let mut former = Vec::new();
    for audit in ticket["audits"].as_array().into_iter().flatten() {
        for event in audit["events"].as_array().into_iter().flatten() {
            if event["kind"] == "change" && event["field"] == "requester_id" {
                former.push((seconds(&audit["created_at"]), id(&event["before"])));
            }
        }
    }
    former
}

struct History<'a> {
    number: i64,
    ticket: &'a Value,
    ours: &'a Ours,
    former: Vec<(i64, String)>,
    expected: &'a mut BTreeMap<Key, Expected>,
}

impl History<'_> {
    fn tell(&mut self) {
        let ticket = self.ticket;
        let redacted = redacted(ticket);
        for (place, audit) in ticket["audits"].as_array().into_iter().flatten().enumerate() {
            let at = seconds(&audit["created_at"]);
            let events = audit["events"].as_array().map(Vec::as_slice).unwrap_or_default();
            for event in events {
                match event["kind"].as_str() {
                    Some("comment") => self.comment(place == 0, at, event, &redacted),
                    Some("change") => self.change(at, event),
                    _ => {}
                }
            }
            let closed = events
                .iter()
                .any(|event| event["field"] == "status" && (event["value"] == "closed" || event["value"] == "solved"));
            if closed && audit["channel"] == "system" && !ticket["merged_into"].is_null() {
                self.need("zd.ticket.merged", at, "merged");
            }
        }
    }

    fn comment(&mut self, opening: bool, at: i64, event: &Value, redacted: &HashSet<String>) {
        let comment = id(&event["id"]);
        let public = event["public"] == true;
        let erased = redacted.contains(&comment) || self.ticket["scrubbed"] == true;
        let text = event["body"]
            .as_str()
            .filter(|body| public && !body.is_empty())
            .and_then(|body| self.ours.message_bytes.map(|most| body[..body.floor_char_boundary(most)].to_string()));
        if opening {
            self.need("zd.ticket.created", at, "created");
            return self.message("zd.ticket.created", at, text, erased);
        }
        if !public {
            // One that was made private may have been seen while it was not; its text must be gone.
            self.may("zd.ticket.comment_added", at);
            return self.message("zd.ticket.comment_added", at, None, erased);
        }
        self.need("zd.ticket.comment_added", at, &comment);
        self.message("zd.ticket.comment_added", at, text, erased);
        let author = id(&event["author_id"]);
        if let Some(person) = self.ours.attachable(&author).filter(|person| self.owner(at) != Some(*person)) {
            // A customer who is not the requester wrote it: the activity is theirs too (A4).
            self.need("zd.ticket.comment_added", at, &format!("{comment} by author"));
            self.entry("zd.ticket.comment_added", at).owners.insert(person);
        }
    }

    fn change(&mut self, at: i64, event: &Value) {
        let field = event["field"].as_str().unwrap_or_default();
        let (from, to) = (text(field, &event["before"]), text(field, &event["value"]));
        let key = format!("{field}:{from}>{to}");
        if field == "satisfaction_score" {
            // Ratings change, and of those that a later one has replaced only who came early knows.
            return self.may(if to == "offered" { "zd.satisfaction.offered" } else { "zd.satisfaction.rated" }, at);
        }
        if from == to {
            if self.ticket["scrubbed"] == true {
                // Scrubbing has made both sides equal; before, they may have been seen.
                self.may("zd.ticket.updated", at);
            }
            return;
        }
        match field {
            "status" if to == "deleted" => {
                self.need("zd.ticket.deleted", at, "deleted");
                // Only a webhook tells.
                self.may("zd.ticket.spam", at);
            }
            "status" if from == "deleted" => self.need("zd.ticket.undeleted", at, "undeleted"),
            "status" => self.status(at, &from, &to, &key),
            "priority" => self.need("zd.ticket.priority_changed", at, &key),
            "assignee_id" | "group_id" => self.need("zd.ticket.assigned", at, &key),
            "tags" => {
                let (before, now) = (super::truth::sorted(&event["before"]), super::truth::sorted(&event["value"]));
                if now.iter().any(|tag| !before.contains(tag)) {
                    self.need("zd.ticket.tagged", at, &key);
                }
                if before.iter().any(|tag| !now.contains(tag)) {
                    self.need("zd.ticket.untagged", at, &key);
                }
            }
            field if UPDATED.contains(&field) || field.parse::<i64>().is_ok() => {
                self.need("zd.ticket.updated", at, &key)
            }
            _ => {}
        }
    }

    fn status(&mut self, at: i64, from: &str, to: &str, key: &str) {
        self.need("zd.ticket.status_changed", at, key);
        match (from, to) {
            (_, "solved") => self.need("zd.ticket.solved", at, key),
            (_, "closed") => self.need("zd.ticket.closed", at, key),
            ("solved", _) => self.need("zd.ticket.reopened", at, key),
            _ => {}
        }
    }

    fn rated(&mut self, rating: &Value) {
        let kind = if rating["score"] == "offered" { "zd.satisfaction.offered" } else { "zd.satisfaction.rated" };
        let score = id(&rating["score"]);
        let at = seconds(&rating["updated_at"]);
        self.need(kind, at, &score);
        // The audit of the same rating has allowed for it already.
        let entry = self.entry(kind, at);
        entry.possible = entry.possible.saturating_sub(1);
    }

    /// The person who was requester then; of one whom nobody knows, the present requester.
    fn owner(&self, at: i64) -> Option<i64> {
        let present = id(&self.ticket["requester_id"]);
        let then = self.former.iter().find(|(until, _)| at <= *until).map_or(&present, |(_, who)| who);
        let known = self.ours.person(then).is_some();
        self.ours.attachable(if known { then } else { &present })
    }

    fn entry(&mut self, kind: &str, at: i64) -> &mut Expected {
        self.expected.entry((kind.to_string(), self.number, at)).or_default()
    }

    fn need(&mut self, kind: &str, at: i64, what: &str) {
        let Some(owner) = self.owner(at) else { return self.may(kind, at) };
        let entry = self.entry(kind, at);
        entry.owners.insert(owner);
        entry.needed.insert(what.to_string());
    }

    fn may(&mut self, kind: &str, at: i64) {
        let owner = self.owner(at);
        let entry = self.entry(kind, at);
        // Without a person there is nobody to whom it could belong.
        entry.possible += usize::from(owner.is_some());
        entry.owners.extend(owner);
    }

    /// What may be read in the activity: the text itself, or nothing where it was taken out.
    fn message(&mut self, kind: &str, at: i64, text: Option<String>, erased: bool) {
        let entry = self.entry(kind, at);
        if erased {
            entry.messages.push(None);
        }
        if !(erased && text.as_deref() == Some("X")) {
            entry.messages.push(text);
        }
    }
}

/// The comments of which something was taken out.
fn redacted(ticket: &Value) -> HashSet<String> {
    let audits = ticket["audits"].as_array().into_iter().flatten();
    let events = audits.flat_map(|audit| audit["events"].as_array().into_iter().flatten());
    events.filter(|event| !event["comment_id"].is_null()).map(|event| id(&event["comment_id"])).collect()
}

/// One text for a value, however it is written.
fn text(field: &str, value: &Value) -> String {
    let custom = field.parse::<i64>().is_ok();
    match value {
        Value::Bool(truth) => i64::from(*truth).to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(word) => match word.as_str() {
            "true" if custom => "1".to_string(),
            "false" if custom => "0".to_string(),
            word if custom => word.trim_end_matches("T00:00:00Z").to_string(),
            word => word.to_string(),
        },
        Value::Array(_) => super::truth::sorted(value).join(","),
        Value::Null | Value::Object(_) => String::new(),
    }
}

fn compare(expected: &BTreeMap<Key, Expected>, ours: &Ours, findings: &mut Findings) {
    let mut found: HashMap<Key, Vec<&Value>> = HashMap::new();
    for activity in ours.tables.activities.iter().filter(|activity| !activity["ticket"].is_null()) {
        let key = (
            id(&activity["type"]),
            activity["ticket"].as_i64().unwrap_or_default(),
            activity["at"].as_i64().unwrap_or_default(),
        );
        found.entry(key).or_default().push(activity);
    }
    for (key, wanted) in expected {
        let here = found.remove(key).unwrap_or_default();
        let needed = if ours.is_kept(&key.0, key.2) { wanted.needed.len() } else { 0 };
        if here.len() < needed || here.len() > wanted.needed.len() + wanted.possible {
            findings.add(record(key), &key.0, here.len(), json!([wanted.needed.len(), wanted.possible]));
            continue;
        }
        for activity in here {
            let person = activity["person"].as_i64().unwrap_or_default();
            if !wanted.owners.contains(&person) {
                findings.add(record(key), &format!("{} owner", key.0), person, json!(wanted.owners));
            }
            let message = activity["message"].as_str().map(str::to_string);
            let expected =
                if wanted.messages.is_empty() { message.is_none() } else { wanted.messages.contains(&message) };
            if !expected {
                findings.add(record(key), &format!("{} message", key.0), json!(message), json!(wanted.messages));
            }
        }
    }
    for (key, here) in found {
        findings.add(record(&key), &key.0, here.len(), json!([0, 0]));
    }
}

fn record(key: &Key) -> String {
    let at = chrono::DateTime::from_timestamp(key.2, 0).map(|at| at.to_rfc3339()).unwrap_or_default();
    format!("ticket {} at {at}", key.1)
}

/// Whoever became a contact within the time that activities are kept became one once.
fn contacts(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    const CREATED: &str = "zd.user.created";
    let mut created: HashMap<i64, Vec<i64>> = HashMap::new();
    for activity in ours.tables.activities.iter().filter(|activity| activity["type"] == CREATED) {
        let person = activity["person"].as_i64().unwrap_or_default();
        created.entry(person).or_default().push(activity["at"].as_i64().unwrap_or_default());
    }
    for (user, link) in &ours.links {
        let (Some(person), Some(there)) = (link["person_id"].as_i64(), truth.users.get(user)) else { continue };
        let at = seconds(&there["created_at"]);
        let times = created.get(&person).map(Vec::as_slice).unwrap_or_default();
        let is_there = times.contains(&at);
        if there["active"] == true && ours.is_kept(CREATED, at) && !is_there {
            findings.add(format!("user {user}"), CREATED, "none", there["created_at"].clone());
        }
        if times.len() > ours.shares.get(&person).copied().unwrap_or_default() {
            findings.add(format!("user {user}"), CREATED, times.len(), 1);
        }
    }
}
