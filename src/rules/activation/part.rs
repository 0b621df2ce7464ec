//! What single parts of a row's facts give as values: fields, rollups, stays, consents.

use crate::model::activation::{AudiencePart, RollupPart};
use crate::model::consent::{Channel, ConsentState};
use crate::model::field::SystemField;
use crate::model::filter::{Field, Summary};
use crate::model::row::{OrganizationRow, PersonFacts, RowFacts, Stay};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// A text, or nothing.
pub fn text(text: Option<&str>) -> Value {
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

/// A consent in Deskbridge's words to Zendesk.
pub fn consent(state: ConsentState) -> Value {
    match state {
        ConsentState::Granted => "granted".into(),
        ConsentState::Denied | ConsentState::Withdrawn | ConsentState::Suppressed => "withdrawn".into(),
        ConsentState::Unknown | ConsentState::Pending => Value::Null,
    }
}

/// First and last name with a space between; None where there is neither.
fn full_name(person: &PersonFacts) -> Value {
    let part = |field: SystemField| person.system[field].as_deref().map(str::trim).filter(|part| !part.is_empty());
    match (part(SystemField::FirstName), part(SystemField::LastName)) {
        (Some(first), Some(last)) => Value::String(format!("{first} {last}")),
        (first, last) => text(first.or(last)),
    }
}

/// A field of a person. Who has no tickets has none open: counts are then 0, the rest is nothing.
fn field_of(field: &Field, person: &PersonFacts, zone: Tz) -> Value {
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

/// A field of an organization; what only people have is nothing.
fn of_organization(field: &Field, organization: &OrganizationRow, zone: Tz) -> Value {
    match field {
        Field::System(SystemField::ExternalId) => text(organization.external_id.as_deref()),
        Field::Custom(key) => organization.fields.get(key).cloned().unwrap_or_default(),
        Field::CreatedAt => time(organization.created_at, zone),
        Field::System(_) | Field::Summary(_) => Value::Null,
    }
}

/// A field of a row: of its organization, or else of its person; nothing where there is neither.
pub fn field_in(field: &Field, row: &RowFacts, zone: Tz) -> Value {
    match (&row.organization, &row.person) {
        (Some(organization), _) => of_organization(field, organization, zone),
        (None, Some(person)) => field_of(field, person, zone),
        (None, None) => Value::Null,
    }
}

/// The name of a row: of its organization, or else of its person.
pub fn name_in(row: &RowFacts) -> Value {
    match (&row.organization, &row.person) {
        (Some(organization), _) => text(organization.name.as_deref()),
        (None, person) => person.as_ref().map_or(Value::Null, full_name),
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
