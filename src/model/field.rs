//! Fields of a person: the system fields, what a record says of one, and who may write it.

use serde::{Deserialize, Serialize};

/// The fields every person has (R38). Everything else is a custom field, keyed by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemField {
    /// First name.
    FirstName,
    /// Last name.
    LastName,
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
    /// Language tag.
    Locale,
    /// Time zone.
    TimeZone,
    /// Id in the operator's own systems.
    ExternalId,
}

impl SystemField {
    /// All of them, in the order of the columns of `person`.
    pub const ALL: [SystemField; 7] = [
        SystemField::FirstName,
        SystemField::LastName,
        SystemField::Email,
        SystemField::Phone,
        SystemField::Locale,
        SystemField::TimeZone,
        SystemField::ExternalId,
    ];

    /// The name used in settings, provenance and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            SystemField::FirstName => "first_name",
            SystemField::LastName => "last_name",
            SystemField::Email => "email",
            SystemField::Phone => "phone",
            SystemField::Locale => "locale",
            SystemField::TimeZone => "time_zone",
            SystemField::ExternalId => "external_id",
        }
    }

    /// The field of that name.
    pub fn parse(text: &str) -> Option<SystemField> {
        SystemField::ALL.into_iter().find(|field| field.as_str() == text)
    }
}

/// One value for each system field.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PerField<T>([T; 7]);

impl<T> std::ops::Index<SystemField> for PerField<T> {
    type Output = T;

    fn index(&self, field: SystemField) -> &T {
        &self.0[field as usize]
    }
}

impl<T> std::ops::IndexMut<SystemField> for PerField<T> {
    fn index_mut(&mut self, field: SystemField) -> &mut T {
        &mut self.0[field as usize]
    }
}

/// What a record says of a field: nothing, that it is empty, or a value. `null` and absence differ (R28).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Given {
    /// The record does not mention the field.
    #[default]
    Absent,
    /// The record says that there is no value.
    Empty,
    /// The record says this value.
    Value(String),
}

impl Given {
    /// A value or, for `None`, an explicit emptiness.
    pub fn from_nullable(value: Option<String>) -> Given {
        value.map_or(Given::Empty, Given::Value)
    }
}

/// May a source write a field (R37–R40)?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum FieldPolicy {
    /// What the source says replaces what is there; an explicit emptiness clears it.
    #[default]
    Overwrite,
    /// Only where there is no value yet.
    FillEmpty,
    /// Never, not even on creation by another source's record; a person created by this source still gets it.
    Never,
}

/// The definition of a custom field in a source.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDef {
    /// person, organization or ticket.
    pub entity: &'static str,
    /// Key in `fields`, such as `zd.plan`.
    pub key: String,
    /// Type as the source names it.
    pub kind: String,
    /// Name shown to people.
    pub title: String,
    /// Its id in the source.
    pub remote_id: Option<String>,
    /// Values and their names, as the source lists them.
    pub options: Option<serde_json::Value>,
    /// False when switched off.
    pub active: bool,
}
