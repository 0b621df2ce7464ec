//! What comes back from Zendesk and is our own writing.
//!
//! A value that we wrote is no statement of Zendesk's: were it taken for one, it could replace what the CDP has learned since, or
//! feed an activation with its own result. So it is taken out of the record before policies decide, where the activation that wrote
//! it reads that very field; likewise the value that it replaced, where a record from before comes late. Every other field that we write has no other origin in the CDP than Zendesk: there the record is
//! followed as ever, so that the CDP shows what Zendesk has.

use crate::model::field::{Given, SystemField};
use crate::model::person::{NameGiven, Person, PersonRecord};
use crate::model::push::{Values, Written};
use crate::rules::activation::ledger;
use chrono::{DateTime, SubsecRound, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// What one activation gave a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Ours {
    /// What was confirmed last: while a call is under way, what stood there before it.
    pub written: BTreeMap<String, Written>,
    /// What is on its way.
    pub pending: Values,
    /// What the activation looks at.
    pub needs: Vec<String>,
}

/// A record without what is ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Stripped {
    /// The record.
    pub record: PersonRecord,
    /// The name that it has is ours: it is remembered as Zendesk's present one, and says nothing of first and last name.
    pub name_is_ours: bool,
}

/// System fields by the target field that writes them.
const SYSTEM: [(&str, SystemField); 5] = [
    ("email", SystemField::Email),
    ("phone", SystemField::Phone),
    ("external_id", SystemField::ExternalId),
    ("locale", SystemField::Locale),
    ("time_zone", SystemField::TimeZone),
];

/// Takes out of a record what is ours; None when nothing is. `person` is whose it is, `key_of` says where a custom field of a user
/// stands (`zd.plan`).
pub fn strip(
    record: &PersonRecord,
    person: Option<&Person>,
    source_id: i64,
    ours: &[Ours],
    key_of: fn(&str) -> String,
) -> Option<Stripped> {
    let look = Look { person, source_id, updated_at: record.updated_at };
    let mut stripped = Stripped { record: record.clone(), name_is_ours: false };
    for entry in ours {
        if let NameGiven::Whole(name) = &record.name {
            let names = ["first_name", "last_name"];
            stripped.name_is_ours |=
                names.iter().any(|field| look.is_echo(entry, "name", field, &name.as_str().into()));
        }
        for (target, field) in SYSTEM {
            let said = match &record.system[field] {
                Given::Value(said) => said.as_str().into(),
                Given::Empty => Value::Null,
                Given::Absent => continue,
            };
            if look.is_echo(entry, target, field.as_str(), &said) {
                stripped.record.system[field] = Given::Absent;
            }
        }
        let targets = entry.written.keys().chain(entry.pending.keys());
        for target in targets {
            let key = match target.split_once('.') {
                Some(("user_fields", key)) => key_of(key),
                Some(_) => continue,
                None => format!("zd.{target}"),
            };
            let said = record.fields.get(&key);
            if said.is_some_and(|said| look.is_echo(entry, target, &key, said)) {
                stripped.record.fields.remove(&key);
            }
        }
    }
    (stripped.name_is_ours || stripped.record != *record).then_some(stripped)
}

struct Look<'a> {
    person: Option<&'a Person>,
    source_id: i64,
    /// When the record last changed in Zendesk.
    updated_at: Option<DateTime<Utc>>,
}

impl Look<'_> {
    /// Is what a record says of a field the value that this activation, which reads the same field, gave it, or the one that it
    /// replaced, said by a record from before that?
    fn is_echo(&self, ours: &Ours, target: &str, field: &str, said: &Value) -> bool {
        let reads = ours.needs.iter().any(|need| need.strip_prefix("field:") == Some(field));
        let pending = || ours.pending.get(target).is_some_and(|value| same(target, value, said));
        let written = || {
            ours.written
                .get(target)
                .is_some_and(|written| same(target, &written.v, said) && !self.spoke_since(field, written.at))
        };
        reads && (pending() || written() || self.is_replaced(ours, target, said))
    }

    /// Is this what stood there before we wrote, from a record that is older than our writing? It comes late and says nothing new.
    /// Who sets the same value again afterwards makes a newer record.
    fn is_replaced(&self, ours: &Ours, target: &str, said: &Value) -> bool {
        let is_older = |sent: Option<DateTime<Utc>>| sent.zip(self.updated_at).is_some_and(|(sent, at)| at < sent);
        let on_its_way = ledger::sent(&ours.pending);
        let before_pending = on_its_way.was.get(target).is_some_and(|was| same(target, was, said));
        let replaced = |written: &Written| is_older(written.sent) && same(target, &written.was, said);
        (before_pending && is_older(on_its_way.at)) || ours.written.get(target).is_some_and(replaced)
    }

    /// Has the source said something else of the field since? Then the same value again is a person's, who took it back.
    fn spoke_since(&self, field: &str, at: DateTime<Utc>) -> bool {
        let Some(entry) = self.person.and_then(|person| person.provenance.get(field)) else { return false };
        let by_source = entry.get("source").and_then(Value::as_i64) == Some(self.source_id);
        let when = entry.get("at").and_then(Value::as_str).and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        // Provenance knows whole seconds.
        by_source && when.is_some_and(|when| when >= at.trunc_subsecs(0))
    }
}

/// Are two values one, whichever way they are written? Addresses, ids and languages without regard to case (Z§3), names without
/// regard to spaces, numbers by value, dates by their day, nothing as nothing.
fn same(target: &str, ours: &Value, said: &Value) -> bool {
    ours == said || plain(target, ours) == plain(target, said)
}

fn plain(target: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    match target {
        "email" | "external_id" | "locale" => text.to_lowercase(),
        "phone" => text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '+').collect(),
        _ => match text.parse::<f64>() {
            Ok(number) if text.parse::<i64>().is_err() && number.is_finite() => number.to_string(),
            _ => day(&text).unwrap_or(&text).to_string(),
        },
    }
}

/// The day of a date that is written with the midnight it begins at.
fn day(text: &str) -> Option<&str> {
    let (day, time) = text.split_once(['T', ' '])?;
    (day.len() == 10 && day.parse::<chrono::NaiveDate>().is_ok() && time.starts_with("00:00:00")).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::consent::ConsentState;
    use crate::model::field::PerField;
    use crate::model::person::RecordStatus;
    use serde_json::{Map, json};

    const BEFORE: &str = "2026-06-15T11:00:00Z";
    const WRITTEN: &str = "2026-06-15T12:00:00.500Z";
    const AFTER: &str = "2026-06-15T12:00:01Z";

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).expect("a time").with_timezone(&Utc)
    }

    fn record(name: &str, email: &str, fields: Value) -> PersonRecord {
        let mut system = PerField::default();
        system[SystemField::Email] = Given::Value(email.to_string());
        PersonRecord {
            record_id: "1".into(),
            status: RecordStatus::Active,
            role: "end-user".into(),
            name: NameGiven::Whole(name.into()),
            system,
            fields: fields.as_object().cloned().unwrap_or_default(),
            identities: Vec::new(),
            organization_record_id: None,
            created_at: None,
            updated_at: None,
            unknown: None,
            problems: Vec::new(),
            consents: Vec::new(),
            complete: true,
            sparse: false,
        }
    }

    /// A person of whom another source, or this one, last wrote every field at a time.
    fn person(source: i64, when: &str) -> Person {
        let fields = ["email", "first_name", "last_name", "zd.tier"];
        let stamp = json!({"source": source, "at": when});
        Person {
            id: 1,
            system: PerField::default(),
            fields: Map::new(),
            email_consent: ConsentState::Unknown,
            sms_consent: ConsentState::Unknown,
            created_at: at(BEFORE),
            created_source_id: 7,
            provenance: fields.iter().map(|field| ((*field).to_string(), stamp.clone())).collect(),
            archived_at: None,
        }
    }

    fn ours(written: &[(&str, Value)], pending: &[(&str, Value)], needs: &[&str]) -> Ours {
        let entry = |value: &Value| Written { v: value.clone(), was: json!("never"), at: at(WRITTEN), sent: None };
        Ours {
            written: written.iter().map(|(field, value)| ((*field).to_string(), entry(value))).collect(),
            pending: pending.iter().map(|(field, value)| ((*field).to_string(), value.clone())).collect(),
            needs: needs.iter().map(|need| format!("field:{need}")).collect(),
        }
    }

    /// What is taken out of a record of Lisa, tier gold.
    #[track_caller]
    fn check(person: &Person, ours: Ours, expected: &[&str]) {
        let record = record(
            "Lisa Simpson",
            "Lisa@springfield.io",
            json!({"zd.tier": "gold", "zd.since": "2026-06-15T00:00:00+00:00"}),
        );
        let mut found = Vec::new();
        if let Some(stripped) = strip(&record, Some(person), 7, &[ours], |key| format!("zd.{key}")) {
            found.extend(stripped.name_is_ours.then_some("name"));
            found.extend((stripped.record.system[SystemField::Email] == Given::Absent).then_some("email"));
            found.extend(
                ["tier", "since"].into_iter().filter(|key| !stripped.record.fields.contains_key(&format!("zd.{key}"))),
            );
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn what_we_wrote_is_taken_out_where_we_read_it() {
        let other = person(9, AFTER);
        let tier = |value: &str| [("user_fields.tier", json!(value))];
        check(&other, ours(&tier("gold"), &[], &["zd.tier"]), &["tier"]);
        check(&other, ours(&tier("silver"), &tier("gold"), &["zd.tier"]), &["tier"]);
        check(&other, ours(&tier("gold"), &tier("platinum"), &["zd.tier"]), &["tier"]);
        check(&other, ours(&tier("silver"), &tier("platinum"), &["zd.tier"]), &[]);
        check(&other, ours(&tier("gold"), &[], &["zd.open_tickets"]), &[]);
        check(&other, ours(&[("user_fields.since", json!("2026-06-15"))], &[], &["zd.since"]), &["since"]);
        check(&other, ours(&[("email", json!("lisa@springfield.io"))], &[], &["email"]), &["email"]);
        check(&other, ours(&[("email", json!("lisa@shelbyville.io"))], &[], &["email"]), &[]);
        check(&other, ours(&[("name", json!("Lisa  Simpson"))], &[], &["first_name"]), &["name"]);
        check(&other, ours(&[("name", json!("Lisa Bouvier"))], &[], &["last_name"]), &[]);
    }

    #[test]
    fn who_takes_our_value_back_in_zendesk_is_heard() {
        let tier = || ours(&[("user_fields.tier", json!("gold"))], &[], &["zd.tier"]);
        check(&person(7, BEFORE), tier(), &["tier"]);
        check(&person(7, AFTER), tier(), &[]);
        check(&person(9, AFTER), tier(), &["tier"]);
    }

    #[test]
    fn what_we_replaced_is_taken_out_of_records_from_before() {
        let check = |updated_at: Option<&str>, written: bool, said: Value, expected: bool| {
            let mut record = record("Lisa", "lisa@springfield.io", json!({ "zd.tier": said }));
            record.updated_at = updated_at.map(at);
            let mut ours = ours(&[], &[], &["zd.tier"]);
            if written {
                let one = Written { v: json!("gold"), was: json!("tin"), at: at(AFTER), sent: Some(at(WRITTEN)) };
                ours.written.insert("user_fields.tier".into(), one);
            } else {
                let sent = json!({"at": WRITTEN, "was": {"user_fields.tier": "tin"}});
                ours.pending = [("user_fields.tier".to_string(), json!("gold")), ("sent".to_string(), sent)].into();
            }
            let found = strip(&record, Some(&person(9, AFTER)), 7, &[ours], |key| format!("zd.{key}"));
            assert_eq!(found.is_some(), expected, "{updated_at:?} {written} {:?}", record.fields);
        };
        for written in [true, false] {
            check(Some(BEFORE), written, json!("tin"), true);
            check(Some(BEFORE), written, json!("silver"), false);
            // Somebody set it back, in the same second or later.
            check(Some("2026-06-15T12:00:00.500Z"), written, json!("tin"), false);
            check(Some(AFTER), written, json!("tin"), false);
            check(None, written, json!("tin"), false);
        }
    }

    #[test]
    fn values_are_compared_as_they_are_meant() {
        let check = |target: &str, ours: Value, said: Value, expected: bool| {
            assert_eq!(same(target, &ours, &said), expected, "{target} {ours} {said}");
        };
        check("user_fields.a", json!(null), json!(""), true);
        check("user_fields.a", json!("12.50"), json!(12.5), true);
        check("user_fields.a", json!(3), json!("3"), true);
        check("user_fields.a", json!("Gold"), json!("gold"), false);
        check("user_fields.a", json!("2026-06-15"), json!("2026-06-15T00:00:00Z"), true);
        check("user_fields.a", json!("2026-06-15"), json!("2026-06-15T10:00:00Z"), false);
        check("phone", json!("+31 20 1234567"), json!("+31201234567"), true);
        check("external_id", json!("A-1"), json!("a-1"), true);
        check("notes", json!("a\nb"), json!("a b"), true);
    }
}
