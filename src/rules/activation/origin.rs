//! What an origin gives for one row.

use super::template::{self, Template};
use crate::model::activation::{Activation, AudiencePart, Origin, RollupPart, Rows};
use crate::model::consent::{Channel, ConsentState};
use crate::model::field::SystemField;
use crate::model::filter::{Field, Summary};
use crate::model::push::Fault;
use crate::model::row::{Needed, OrganizationRow, PersonFacts, RowFacts, Stay};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// An origin, prepared once for many rows.
#[derive(Debug, Clone)]
pub enum Source {
    /// A field of the person, or of the organization.
    Field(Field),
    /// First and last name as one; the name of an organization.
    FullName,
    /// Part of a rollup.
    Rollup(String, RollupPart),
    /// A consent.
    Consent(Channel),
    /// How the row stands to an audience: its place among the activation's.
    Audience(usize, AudiencePart),
    /// A column.
    Column(String),
    /// Always this.
    Constant(Value),
    /// A template.
    Template(Template),
}

/// Names of the audiences that an activation looks at: those of its rows first, then those that mappings and tags name.
pub fn audiences(activation: &Activation) -> Vec<String> {
    let of_rows = match &activation.rows {
        Rows::Audiences(names) => names.as_slice(),
        Rows::Query { .. } => &[],
    };
    let of_mappings = activation.mappings.iter().filter_map(|mapping| match &mapping.from {
        Origin::Audience(name, _) => Some(name),
        _ => None,
    });
    let of_tags = activation.tags.iter().filter_map(|tag| tag.audience.as_ref());
    let mut all: Vec<String> = Vec::new();
    for name in of_rows.iter().chain(of_mappings).chain(of_tags) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

impl Source {
    /// Prepares an origin.
    ///
    /// # Errors
    /// A template that is not understood, in words.
    pub fn new(origin: &Origin, audiences: &[String]) -> Result<Source, String> {
        Ok(match origin {
            Origin::Field(field) => Source::Field(field.clone()),
            Origin::FullName => Source::FullName,
            Origin::Rollup(kind, part) => Source::Rollup(kind.clone(), *part),
            Origin::Consent(channel) => Source::Consent(*channel),
            Origin::Audience(name, part) => {
                let place = audiences.iter().position(|known| known == name);
                Source::Audience(place.ok_or_else(|| format!("audience {name:?} is not known"))?, *part)
            }
            Origin::Column(name) => Source::Column(name.clone()),
            Origin::Constant(value) => Source::Constant(value.clone()),
            Origin::Template(text) => Source::Template(template::parse(text)?),
        })
    }

    /// Adds what it looks at.
    pub fn need(&self, needed: &mut Needed) {
        match self {
            Source::Field(Field::System(field)) => _ = needed.system.insert(*field),
            Source::Field(Field::Custom(key)) => _ = needed.custom.insert(key.clone()),
            Source::Field(Field::Summary(_)) => needed.summary = true,
            Source::FullName => needed.system.extend([SystemField::FirstName, SystemField::LastName]),
            Source::Rollup(kind, _) => _ = needed.rollups.insert(kind.clone()),
            Source::Template(template) => template.need(needed),
            Source::Field(Field::CreatedAt)
            | Source::Consent(_)
            | Source::Audience(..)
            | Source::Column(_)
            | Source::Constant(_) => {}
        }
    }

    /// What it gives; `null` where there is nothing. Times come as text with the offset of the workspace's zone, so that their day is
    /// the day there.
    pub fn value(&self, row: &RowFacts, audiences: &[String], zone: Tz) -> Result<Value, Fault> {
        let of_person = |value: &dyn Fn(&PersonFacts) -> Value| row.person.as_ref().map_or(Value::Null, value);
        Ok(match (self, &row.organization) {
            (Source::Field(field), Some(organization)) => of_organization(field, organization, zone),
            (Source::FullName, Some(organization)) => text(organization.name.as_deref()),
            (Source::Field(field), None) => of_person(&|person| field_of(field, person, zone)),
            (Source::FullName, None) => of_person(&full_name),
            (Source::Rollup(kind, part), _) => of_person(&|person| rollup(person, kind, *part, zone)),
            (Source::Consent(channel), _) => of_person(&|person| consent(state(person, *channel))),
            (Source::Audience(place, part), _) => stay(row.stays.get(*place).copied().flatten(), *part, zone),
            (Source::Column(name), _) => row.columns.get(name).cloned().unwrap_or_default(),
            (Source::Constant(value), _) => value.clone(),
            (Source::Template(template), _) => template.render(row, audiences, zone)?,
        })
    }
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

/// A time as text, seen from the zone.
pub fn time(at: DateTime<Utc>, zone: Tz) -> Value {
    Value::String(at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false))
}

/// A person's state on a channel.
pub fn state(person: &PersonFacts, channel: Channel) -> ConsentState {
    match channel {
        Channel::Email => person.email_consent,
        Channel::Sms => person.sms_consent,
    }
}

fn consent(state: ConsentState) -> Value {
    match state {
        ConsentState::Granted => "granted".into(),
        ConsentState::Denied | ConsentState::Withdrawn | ConsentState::Suppressed => "withdrawn".into(),
        ConsentState::Unknown | ConsentState::Pending => Value::Null,
    }
}

/// First and last name with a space between; None where there is neither.
pub fn full_name(person: &PersonFacts) -> Value {
    let part = |field: SystemField| person.system[field].as_deref().map(str::trim).filter(|part| !part.is_empty());
    match (part(SystemField::FirstName), part(SystemField::LastName)) {
        (Some(first), Some(last)) => Value::String(format!("{first} {last}")),
        (first, last) => text(first.or(last)),
    }
}

/// A field of a person. Who has no tickets has none open: counts are then 0, the rest is nothing.
pub fn field_of(field: &Field, person: &PersonFacts, zone: Tz) -> Value {
    match field {
        Field::System(field) => text(person.system[*field].as_deref()),
        Field::Custom(key) => person.fields.get(key).cloned().unwrap_or_default(),
        Field::CreatedAt => time(person.created_at, zone),
        Field::Summary(summary) => {
            let column = summary.as_str().trim_start_matches("zd.");
            let value = person.summary.get(column).cloned().unwrap_or_default();
            let is_count = matches!(
                summary,
                Summary::OpenTickets | Summary::TicketsTotal | Summary::GoodRatings | Summary::BadRatings
            );
            let at = value.as_str().filter(|_| column.ends_with("_at")).and_then(|at| at.parse::<DateTime<Utc>>().ok());
            match (at, is_count && value.is_null()) {
                (Some(at), _) => time(at, zone),
                (None, true) => 0.into(),
                (None, false) => value,
            }
        }
    }
}

fn of_organization(field: &Field, organization: &OrganizationRow, zone: Tz) -> Value {
    match field {
        Field::System(SystemField::ExternalId) => text(organization.external_id.as_deref()),
        Field::Custom(key) => organization.fields.get(key).cloned().unwrap_or_default(),
        Field::CreatedAt => time(organization.created_at, zone),
        Field::System(_) | Field::Summary(_) => Value::Null,
    }
}

/// Part of a rollup; what never happened did so 0 times.
pub fn rollup(person: &PersonFacts, kind: &str, part: RollupPart, zone: Tz) -> Value {
    match (person.rollups.get(kind), part) {
        (Some((_, _, total)), RollupPart::Count) => (*total).into(),
        (None, RollupPart::Count) => 0.into(),
        (Some((first, ..)), RollupPart::First) => time(*first, zone),
        (Some((_, last, _)), RollupPart::Last) => time(*last, zone),
        (None, RollupPart::First | RollupPart::Last) => Value::Null,
    }
}

/// Part of a stay (Adobe's words for the status; peers-outbound §b.1).
pub fn stay(stay: Option<Stay>, part: AudiencePart, zone: Tz) -> Value {
    let Some(stay) = stay else { return Value::Null };
    match part {
        AudiencePart::Status => if stay.exited_at.is_none() { "realized" } else { "exited" }.into(),
        AudiencePart::EnteredAt => time(stay.entered_at, zone),
        AudiencePart::ExitedAt => stay.exited_at.map_or(Value::Null, |at| time(at, zone)),
    }
}
