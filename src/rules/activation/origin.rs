//! What an origin gives for one row.

use super::part::{consent, field_in, name_in, rollup, state, stay};
use super::template::{self, Template};
use crate::model::activation::{Activation, AudiencePart, Origin, RollupPart, Rows};
use crate::model::consent::Channel;
use crate::model::field::SystemField;
use crate::model::filter::Field;
use crate::model::push::Fault;
use crate::model::row::{Needed, PersonFacts, RowFacts};
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
        Ok(match self {
            Source::Field(field) => field_in(field, row, zone),
            Source::FullName => name_in(row),
            Source::Rollup(kind, part) => of_person(&|person| rollup(person, kind, *part, zone)),
            Source::Consent(channel) => of_person(&|person| consent(state(person, *channel))),
            Source::Audience(place, part) => stay(row.stays.get(*place).copied().flatten(), *part, zone),
            Source::Column(name) => row.columns.get(name).cloned().unwrap_or_default(),
            Source::Constant(value) => value.clone(),
            Source::Template(template) => template.render(row, audiences, zone)?,
        })
    }
}
