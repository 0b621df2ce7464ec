//! What activations should have written, worked out from the simulated Zendesk's own tickets and ratings.

use super::findings::Findings;
use super::truth::{Ours, Truth, id, seconds};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Whom the demo's audience holds for now, and who has left it.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// In it.
    pub inside: BTreeSet<i64>,
    /// Was in it.
    pub left: BTreeSet<i64>,
}

/// Checks the fields of everybody who is or was a member, and that nobody else has any.
pub fn check(truth: &Truth, ours: &Ours, members: &Members, findings: &mut Findings) {
    let support = support(truth, ours);
    for (record, user) in truth.users.iter().filter(|(_, user)| user["active"] == true) {
        let Some(person) = ours.person(record) else { continue };
        let about = support.get(&person).cloned().unwrap_or_default();
        let fields = &user["fields"];
        let name = || format!("user {record}");
        let status = match (members.inside.contains(&person), members.left.contains(&person)) {
            (true, _) => json!("realized"),
            (false, true) => json!("exited"),
            (false, false) => Value::Null,
        };
        findings.check(name(), "unhappy", &status, &fields["unhappy"]);
        if members.inside.contains(&person) {
            findings.check(name(), "open_tickets", &json!(about.open), &fields["open_tickets"]);
            let rating = about.rated.map_or(Value::Null, |(.., score)| json!(score));
            findings.check(name(), "last_rating", &rating, &fields["last_rating"]);
        }
    }
}

/// What support knows of a person.
#[derive(Debug, Clone, Default)]
struct Support {
    open: i64,
    /// When, on which ticket, and how.
    rated: Option<(i64, i64, String)>,
}

fn support(truth: &Truth, ours: &Ours) -> BTreeMap<i64, Support> {
    let mut all: BTreeMap<i64, Support> = BTreeMap::new();
    let living = |number: i64| truth.tickets.get(&number).filter(|ticket| ticket["deleted"] != true);
    let person = |ticket: &Value| ours.person(&id(&ticket["requester_id"]));
    for ticket in truth.tickets.keys().filter_map(|number| living(*number)) {
        let is_open = matches!(ticket["status"].as_str(), Some("new" | "open" | "pending" | "hold"));
        if let Some(person) = person(ticket).filter(|_| is_open) {
            all.entry(person).or_default().open += 1;
        }
    }
    for rating in truth.ratings.iter().filter(|rating| matches!(rating["score"].as_str(), Some("good" | "bad"))) {
        let number = rating["ticket_id"].as_i64().unwrap_or_default();
        if let Some(person) = living(number).and_then(person) {
            let rated = Some((seconds(&rating["updated_at"]), number, id(&rating["score"])));
            let entry = all.entry(person).or_default();
            entry.rated = entry.rated.take().max(rated);
        }
    }
    all
}
