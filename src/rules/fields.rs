//! What a record changes in a person's fields: policies, names, provenance (R37–R40, N9, invariant 8).

use super::name;
use crate::model::field::{FieldPolicy, Given, PerField, SystemField};
use crate::model::name::NameSplitting;
use crate::model::person::{NameGiven, Person, PersonRecord};
use crate::model::source::{MergeStrategy, SourceSettings};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Who writes, when, and from which record.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The source.
    pub source_id: i64,
    /// Its record.
    pub record_id: &'a str,
    /// Now.
    pub at: DateTime<Utc>,
}

impl Stamp<'_> {
    fn to_value(self) -> Value {
        json!({
            "source": self.source_id,
            "at": self.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "record": self.record_id,
        })
    }
}

/// What the record says of each system field. The parts of a whole name count only when that name is new (N9).
pub fn given(record: &PersonRecord, former_name: Option<&str>, settings: &SourceSettings) -> PerField<Given> {
    let mut given = record.system.clone();
    let NameGiven::Whole(whole) = &record.name else { return given };
    if former_name == Some(whole.as_str()) {
        given[SystemField::FirstName] = Given::Absent;
        given[SystemField::LastName] = Given::Absent;
        return given;
    }
    let locale = match &record.system[SystemField::Locale] {
        Given::Value(locale) => Some(locale.as_str()),
        _ => None,
    };
    let split = name::split(whole, settings.name_splitting, locale);
    given[SystemField::FirstName] = Given::from_nullable(split.first);
    given[SystemField::LastName] = Given::from_nullable(split.last);
    given
}

/// What `smart` splitting tells besides the two parts: the honorific taken off, and what the name is (N6, N8).
fn told_by_name(record: &PersonRecord, settings: &SourceSettings) -> Vec<(&'static str, Value)> {
    let NameGiven::Whole(whole) = &record.name else { return Vec::new() };
    if settings.name_splitting != NameSplitting::Smart {
        return Vec::new();
    }
    let split = name::split(whole, settings.name_splitting, None);
    vec![
        ("zd.name_prefix", split.prefix.map_or(Value::Null, Value::String)),
        ("zd.name_kind", split.kind.as_str().into()),
    ]
}

/// The fields of a person whom this record creates: all that it says, whatever the policies.
pub fn create(person: &mut Person, record: &PersonRecord, settings: &SourceSettings) {
    let given = given(record, None, settings);
    for field in SystemField::ALL {
        if let Given::Value(value) = &given[field] {
            person.system[field] = Some(value.clone());
        }
    }
    let told = told_by_name(record, settings);
    let told = told.iter().map(|(key, value)| (*key, value));
    for (key, value) in record.fields.iter().map(|(key, value)| (key.as_str(), value)).chain(told) {
        if !value.is_null() {
            person.fields.insert(key.to_string(), value.clone());
        }
    }
}

/// Changes a person who is there already. True when anything changed.
pub fn update(
    person: &mut Person,
    record: &PersonRecord,
    former_name: Option<&str>,
    settings: &SourceSettings,
    stamp: Stamp<'_>,
) -> bool {
    let given = given(record, former_name, settings);
    let mut changed = false;
    for field in SystemField::ALL {
        let ours = || wrote(person, field.as_str(), stamp.source_id);
        let next = match (&given[field], settings.policy(field)) {
            (Given::Absent, _) | (_, FieldPolicy::Never) => continue,
            (Given::Value(_), FieldPolicy::FillEmpty) if person.system[field].is_some() => continue,
            (Given::Value(value), _) => Some(value.clone()),
            // An emptiness clears only what this source wrote itself: it takes back its own word, not another's.
            (Given::Empty, FieldPolicy::Overwrite) if ours() => None,
            (Given::Empty, _) => continue,
        };
        if person.system[field] != next {
            person.system[field] = next;
            person.provenance.insert(field.as_str().to_string(), stamp.to_value());
            changed = true;
        }
    }
    changed | update_custom(person, record, settings, stamp)
}

/// Custom fields: `zd.*` always follows Zendesk; those of an import follow its merge strategy (R28, R39).
fn update_custom(person: &mut Person, record: &PersonRecord, settings: &SourceSettings, stamp: Stamp<'_>) -> bool {
    let mut changed = false;
    let told = told_by_name(record, settings);
    let told = told.iter().map(|(key, value)| (*key, value));
    for (key, value) in record.fields.iter().map(|(key, value)| (key.as_str(), value)).chain(told) {
        let before = person.fields.get(key);
        let blocked = match settings.merge {
            _ if key.starts_with("zd.") => false,
            MergeStrategy::Overwrite => false,
            MergeStrategy::Append => before.is_some(),
            MergeStrategy::Ignore => true,
        };
        if blocked || before == Some(value) || (before.is_none() && value.is_null()) {
            continue;
        }
        if value.is_null() {
            person.fields.remove(key);
        } else {
            person.fields.insert(key.to_string(), value.clone());
        }
        person.provenance.insert(key.to_string(), stamp.to_value());
        changed = true;
    }
    changed
}

/// Did this source write the field last? What provenance does not name was written at creation.
pub fn wrote(person: &Person, field: &str, source_id: i64) -> bool {
    match person.provenance.get(field) {
        Some(entry) => entry.get("source").and_then(Value::as_i64) == Some(source_id),
        None => person.created_source_id == source_id,
    }
}
