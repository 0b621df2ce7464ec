//! What each column of a file means: by its header, or by what the operator says of it.

use crate::model::consent::Channel;
use crate::model::field::SystemField;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The longest key of a custom field or attribute, in bytes.
pub const MAX_KEY: usize = 255;

/// What a column means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Nothing: it is left out.
    Ignore,
    /// A system field.
    System(SystemField),
    /// A whole name, to be split.
    Name,
    /// A custom field; without a type it keeps the one it has in JSON.
    Field(String, Option<FieldType>),
    /// A part of a consent.
    Consent(Channel, ConsentPart),
    /// A part of the organization.
    Organization(OrganizationPart),
    /// A part of the row's activity.
    Activity(ActivityPart),
    /// A list of activities (NDJSON).
    Activities,
}

/// The type a custom field is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// As it stands.
    Text,
    /// A whole number.
    Integer,
    /// A number with a decimal point.
    Decimal,
    /// true, false, yes, no, 1 or 0.
    Boolean,
    /// A day, or a time.
    Date,
    /// Several texts, with commas or semicolons between them.
    List,
}

/// A part of a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConsentPart {
    /// grant, deny or withdraw.
    Action,
    /// When.
    At,
    /// What the person was told.
    Wording,
    /// How strong it is.
    Evidence,
}

/// A part of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrganizationPart {
    /// Its name.
    Name,
    /// Its id in the operator's own systems.
    ExternalId,
    /// The domain of its people.
    Domain,
}

/// A part of an activity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActivityPart {
    /// Its type.
    Type,
    /// When it happened.
    OccurredAt,
    /// What tells it from others of its type and second.
    Key,
    /// Text of a message.
    Message,
    /// An attribute.
    Attribute(String),
}

/// Why a mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Not TOML, or not of the form.
    #[error("the mapping file cannot be read: {0}")]
    File(String),
    /// Not `column=field`.
    #[error("--map {0:?} is not of the form column=field")]
    Pair(String),
    /// Fields of Zendesk follow Zendesk alone.
    #[error("{0:?} belongs to Zendesk, which alone writes zd.*: map the column to another field, or to ignore")]
    Zendesk(String),
    /// A key that cannot be stored.
    #[error("{0:?} cannot be a field's key: it must have 1 to 255 bytes and no control character")]
    Key(String),
    /// Two columns for one field.
    #[error("columns {0:?} and {1:?} both mean {2}: map one of them to another field, or to ignore")]
    Twice(String, String, String),
    /// A column that the file does not have.
    #[error("the file has no column {0:?}; it has {1}")]
    NoColumn(String, String),
}

/// What the operator says of columns; the others mean what their header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    named: BTreeMap<String, Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    columns: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Word(String),
    Typed(Typed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    field: String,
    #[serde(rename = "type")]
    kind: Option<FieldType>,
}

impl Mapping {
    /// From the text of a mapping file and pairs `column=field`; a pair goes before the file.
    pub fn read(file: Option<&str>, pairs: &[String]) -> Result<Mapping, MappingError> {
        let mut mapping = Mapping::default();
        if let Some(text) = file {
            let file: MappingFile = toml::from_str(text).map_err(|error| MappingError::File(error.to_string()))?;
            for (column, entry) in file.columns {
                let target = match entry {
                    Entry::Word(word) => wanted(&word)?,
                    Entry::Typed(typed) => {
                        field(typed.field.strip_prefix("field.").unwrap_or(&typed.field), typed.kind)?
                    }
                };
                mapping.named.insert(column.trim().to_owned(), target);
            }
        }
        for pair in pairs {
            let (column, word) = pair.rsplit_once('=').ok_or_else(|| MappingError::Pair(pair.clone()))?;
            mapping.named.insert(column.trim().to_owned(), wanted(word)?);
        }
        Ok(mapping)
    }

    /// What a column means.
    pub fn target(&self, column: &str) -> Result<Target, MappingError> {
        let column = column.trim();
        match self.named.get(column) {
            Some(target) => Ok(target.clone()),
            None => by_header(column),
        }
    }

    /// What the operator says of a column; none where he says nothing.
    pub fn said_of(&self, column: &str) -> Option<&Target> {
        self.named.get(column.trim())
    }

    /// What the columns of a header mean. No two may mean the same, and each that is mapped must be there.
    pub fn columns(&self, header: &[String]) -> Result<Vec<Target>, MappingError> {
        let mut taken: BTreeMap<Target, &str> = BTreeMap::new();
        let mut targets = Vec::with_capacity(header.len());
        for column in header {
            // A column without a name means nothing: spreadsheets leave such behind.
            let target = if column.trim().is_empty() { Target::Ignore } else { self.target(column)? };
            let same = match &target {
                Target::Field(key, _) => Target::Field(key.clone(), None),
                other => other.clone(),
            };
            if let Some(first) = taken.insert(same, column)
                && target != Target::Ignore
            {
                return Err(MappingError::Twice(first.to_owned(), column.clone(), target.to_string()));
            }
            targets.push(target);
        }
        let missing = self.named.keys().find(|name| !header.iter().any(|column| column.trim() == *name));
        match missing {
            Some(name) => Err(MappingError::NoColumn(name.clone(), header.join(", "))),
            None => Ok(targets),
        }
    }
}

/// What an operator's word means: as in a header, or `ignore`.
fn wanted(word: &str) -> Result<Target, MappingError> {
    match word.trim() {
        "ignore" => Ok(Target::Ignore),
        word => by_header(word),
    }
}

/// What a column without a mapping means: what its name says, else a custom field of that name.
fn by_header(column: &str) -> Result<Target, MappingError> {
    let plain = column.to_lowercase().replace([' ', '-'], "_");
    if let Some(field) = SystemField::parse(&plain) {
        return Ok(Target::System(field));
    }
    let target = match plain.as_str() {
        "e_mail" => Target::System(SystemField::Email),
        "name" => Target::Name,
        "organization" | "organization.name" => Target::Organization(OrganizationPart::Name),
        "organization.external_id" => Target::Organization(OrganizationPart::ExternalId),
        "organization.domain" => Target::Organization(OrganizationPart::Domain),
        "activities" => Target::Activities,
        "activity.type" => Target::Activity(ActivityPart::Type),
        "activity.occurred_at" => Target::Activity(ActivityPart::OccurredAt),
        "activity.key" => Target::Activity(ActivityPart::Key),
        "activity.message" => Target::Activity(ActivityPart::Message),
        _ => return by_prefix(column),
    };
    Ok(target)
}

fn by_prefix(column: &str) -> Result<Target, MappingError> {
    if let Some(rest) = column.strip_prefix("consent.") {
        let (channel, part) = rest.split_once('.').unwrap_or((rest, ""));
        let part = match part {
            "" => Some(ConsentPart::Action),
            "at" => Some(ConsentPart::At),
            "wording" => Some(ConsentPart::Wording),
            "evidence" => Some(ConsentPart::Evidence),
            _ => None,
        };
        // Nobody may lose a consent to a slip of the pen: what looks like one and is none is no custom field.
        return match (Channel::parse(channel), part) {
            (Some(channel), Some(part)) => Ok(Target::Consent(channel, part)),
            _ => Err(MappingError::Key(column.to_owned())),
        };
    }
    match column.strip_prefix("activity.") {
        Some(name) => Ok(Target::Activity(ActivityPart::Attribute(key(name)?))),
        None => field(column.strip_prefix("field.").unwrap_or(column), None),
    }
}

fn field(name: &str, kind: Option<FieldType>) -> Result<Target, MappingError> {
    let name = name.trim();
    if name.to_lowercase().starts_with("zd.") {
        return Err(MappingError::Zendesk(name.to_owned()));
    }
    Ok(Target::Field(key(name)?, kind))
}

fn key(name: &str) -> Result<String, MappingError> {
    let name = name.trim();
    match name.is_empty() || name.len() > MAX_KEY || name.chars().any(char::is_control) {
        true => Err(MappingError::Key(name.chars().take(100).collect())),
        false => Ok(name.to_owned()),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Ignore => f.write_str("ignore"),
            Target::System(field) => f.write_str(field.as_str()),
            Target::Name => f.write_str("name"),
            Target::Field(key, _) => write!(f, "field.{key}"),
            Target::Consent(channel, part) => {
                let part = match part {
                    ConsentPart::Action => "",
                    ConsentPart::At => ".at",
                    ConsentPart::Wording => ".wording",
                    ConsentPart::Evidence => ".evidence",
                };
                write!(f, "consent.{}{part}", channel.as_str())
            }
            Target::Organization(OrganizationPart::Name) => f.write_str("organization"),
            Target::Organization(OrganizationPart::ExternalId) => f.write_str("organization.external_id"),
            Target::Organization(OrganizationPart::Domain) => f.write_str("organization.domain"),
            Target::Activity(ActivityPart::Type) => f.write_str("activity.type"),
            Target::Activity(ActivityPart::OccurredAt) => f.write_str("activity.occurred_at"),
            Target::Activity(ActivityPart::Key) => f.write_str("activity.key"),
            Target::Activity(ActivityPart::Message) => f.write_str("activity.message"),
            Target::Activity(ActivityPart::Attribute(name)) => write!(f, "activity.{name}"),
            Target::Activities => f.write_str("activities"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(column: &str, expected: Result<&str, ()>) {
        let found = Mapping::default().target(column).map(|target| target.to_string());
        assert_eq!(found.as_deref().map_err(|_| ()), expected, "{column:?}");
    }

    #[test]
    fn headers_speak_for_themselves() {
        check("email", Ok("email"));
        check(" E-Mail ", Ok("email"));
        check("First Name", Ok("first_name"));
        check("Time zone", Ok("time_zone"));
        check("NAME", Ok("name"));
        check("plan", Ok("field.plan"));
        check("field.email", Ok("field.email"));
        check("Favourite Colour", Ok("field.Favourite Colour"));
        check("organization.name", Ok("organization"));
        check("consent.email", Ok("consent.email"));
        check("consent.sms.at", Ok("consent.sms.at"));
        check("activity.type", Ok("activity.type"));
        check("activity.amount", Ok("activity.amount"));
        check("consent.fax", Err(()));
        check("consent.email.date", Err(()));
        check("zd.plan", Err(()));
        check("field.ZD.plan", Err(()));
        check("field.", Err(()));
        check("a\0b", Err(()));
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let file =
            "[columns]\n\"E-Mail\" = \"email\"\nPlan = { field = \"plan\", type = \"integer\" }\nNotes = \"ignore\"\n";
        let mapping = Mapping::read(Some(file), &["Notes=field.notes".into(), "a=b=locale".into()]).expect("a mapping");
        assert_eq!(mapping.target("Plan"), Ok(Target::Field("plan".into(), Some(FieldType::Integer))));
        assert_eq!(mapping.target("Notes"), Ok(Target::Field("notes".into(), None)));
        assert_eq!(mapping.target("a=b"), Ok(Target::System(SystemField::Locale)));
        let header = ["E-Mail", "Plan", "Notes"].map(str::to_owned);
        assert!(matches!(mapping.columns(&header), Err(MappingError::NoColumn(name, _)) if name == "a=b"));
        let twice = ["email", "E-Mail"].map(str::to_owned);
        assert!(matches!(Mapping::default().columns(&twice), Err(MappingError::Twice(..))));
        assert!(Mapping::default().columns(&["email", "", ""].map(str::to_owned)).is_ok());
        for bad in ["", "[columns]\na = 1", "[columns]\na = { field = \"b\", type = \"blob\" }", "[column]\n", "{"] {
            assert!(matches!(Mapping::read(Some(bad), &[]), Err(MappingError::File(_))), "{bad}");
        }
        assert!(Mapping::read(None, &["email".into()]).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in any::<String>(), pair in any::<String>()) {
            let _ = Mapping::read(Some(&text), &[pair]);
            let _ = Mapping::default().target(&text);
        }
    }
}
