//! What an activation wants of the record of one row.
//!
//! A row is **in** while its person is in one of the activation's audiences (or the query gives it) and may be written about. Otherwise
//! it is an **exit**: its audience statuses say `exited`, our tags and memberships go, and nothing else is wanted. Who was never written
//! and has nothing to leave makes no row.

use super::origin::{Source, audiences};
use super::part::{self, state};
use super::value::Form;
use crate::model::activation::{Activation, AudiencePart, KeyKind, Rows, Target};
use crate::model::consent::{Channel, ConsentState};
use crate::model::field::SystemField;
use crate::model::push::{Fault, Row, TargetField, Wanted};
use crate::model::record::digest;
use crate::model::row::{Given, Needed, PersonFacts, RowFacts};
use chrono_tz::Tz;
use serde_json::Value;

/// Fields whose emptiness cannot be sent: Zendesk refuses a record without a name, and an address is not taken away by a write.
const NEVER_CLEARED: [&str; 3] = ["name", "email", "last_name"];

/// One mapping, prepared.
#[derive(Debug, Clone)]
struct Prepared {
    to: String,
    from: Source,
    form: Result<Form, Fault>,
}

/// How rows of an activation are formed: all that is the same for each of them.
#[derive(Debug, Clone)]
pub struct Forming {
    mappings: Vec<Prepared>,
    key: Option<(Source, Form)>,
    activation: Activation,
    audiences: Vec<String>,
    of_rows: usize,
    /// What has to be read of a person.
    pub needed: Needed,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Formed {
    /// It is to be compared.
    Row(Box<Row>),
    /// Consent or suppression keeps it from being written, and nothing of it ever was.
    Withheld,
    /// It never had to do with Zendesk and has nothing to leave.
    Nothing,
}

impl Forming {
    /// Prepares an activation for the fields that its account has. A mapping whose field is not there makes a fault of each row:
    /// nothing is silently left out.
    ///
    /// # Errors
    /// A template that is not understood, with the target field.
    pub fn new(activation: &Activation, fields: &[TargetField], region: Option<&str>) -> Result<Forming, Fault> {
        let audiences = audiences(activation);
        let source =
            |origin, to: &str| Source::new(origin, &audiences).map_err(|error| Fault::of(to, "template", error));
        let mut mappings = Vec::with_capacity(activation.mappings.len());
        for mapping in &activation.mappings {
            let form = target(&mapping.to, fields).map(|field| Form::new(field, activation.phones, region));
            mappings.push(Prepared { to: mapping.to.clone(), from: source(&mapping.from, &mapping.to)?, form });
        }
        let key = match &activation.key.from {
            Some(from) => Some((source(from, "key")?, key_form(activation, fields, region))),
            None => None,
        };
        let mut needed = Needed { organizations: activation.memberships, ..Needed::default() };
        needed.system.extend(activation.consent.map(address));
        for from in mappings.iter().map(|mapping| &mapping.from).chain(key.iter().map(|(from, _)| from)) {
            from.need(&mut needed);
        }
        let is_status = |from: &Source| matches!(from, Source::Audience(_, AudiencePart::Status));
        let statuses = mappings.iter().filter(|mapping| is_status(&mapping.from));
        needed.written = statuses.map(|mapping| mapping.to.clone()).collect();
        let of_rows = match &activation.rows {
            Rows::Audiences(names) => names.len(),
            Rows::Query { .. } => 0,
        };
        Ok(Forming { mappings, key, activation: activation.clone(), audiences, of_rows, needed })
    }

    /// Names of the audiences that it looks at; those of its rows come first.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// How many of them make rows.
    pub fn of_rows(&self) -> usize {
        self.of_rows
    }

    /// Whether the row would be in if nothing forbade it: its person is in one of the audiences, or the query gives it.
    pub fn is_in(&self, row: &RowFacts) -> bool {
        if row.person.as_ref().is_some_and(|person| person.archived) {
            return false;
        }
        match &self.activation.rows {
            Rows::Audiences(_) => {
                let inside = row.stays.iter().take(self.of_rows).flatten().any(|stay| stay.exited_at.is_none());
                inside && (row.person.is_some() || row.organization.is_some())
            }
            Rows::Query { .. } => !row.columns.is_empty(),
        }
    }

    /// Forms one row. `withheld`: consent or suppression forbids to write about it.
    pub fn form(&self, row_key: &str, row: &RowFacts, withheld: bool, zone: Tz) -> Formed {
        // Who was archived before anything was written is left alone.
        if row.given.is_none() && row.person.as_ref().is_some_and(|person| person.archived) {
            return Formed::Nothing;
        }
        if withheld && row.given.is_none() {
            return Formed::Withheld;
        }
        let exit = withheld || !self.is_in(row);
        let wanted = if exit { Ok(self.leaving(row, zone)) } else { self.wanted(row, zone) };
        if exit
            && wanted.as_ref().is_ok_and(|wanted| {
                wanted.values.is_empty() && wanted.tags.is_empty() && wanted.organizations.is_empty()
            })
        {
            return Formed::Nothing;
        }
        let found = self.record(row);
        let key_value = self.key_value(row, zone);
        // Whom nothing finds can still be left alone when there is nothing to do but leave.
        let known = found.as_ref().is_ok_and(Option::is_some);
        let nothing_finds = !known && matches!(key_value, Ok(None));
        if exit && nothing_finds {
            return Formed::Nothing;
        }
        let person_id =
            row.person.as_ref().map(|person| person.id).or(row.given.as_ref().and_then(|known| known.person_id));
        let (record_id, found_fault) = match found {
            Ok(id) => (id, None),
            Err(fault) => (None, Some(fault)),
        };
        let (key_value, key_fault) = match key_value {
            Ok(value) => (value, None),
            Err(fault) => (None, Some(fault)),
        };
        let unfindable = || nothing_finds.then(|| self.nothing_finds());
        let fault = found_fault.or(key_fault.filter(|_| record_id.is_none())).or_else(unfindable);
        let wanted = match fault {
            Some(fault) => Err(fault),
            None => wanted,
        };
        let digest = digest_of(&wanted, key_value.as_deref(), record_id.as_deref(), row.given.as_ref());
        let last = row.given.as_ref().map(|given| given.digest);
        Formed::Row(Box::new(Row {
            row_key: row_key.to_owned(),
            person_id,
            record_id,
            key_value,
            wanted,
            digest,
            last,
        }))
    }

    fn nothing_finds(&self) -> Fault {
        match (&self.key, &self.activation.key.by) {
            (None, _) => Fault::new("not_in_zendesk", "no record of the source stands for the person"),
            (Some(_), by) => Fault::new("no_key", format!("nothing finds the record: the row has no {}", key_word(by))),
        }
    }

    /// Everything that is wanted of one who is in.
    fn wanted(&self, row: &RowFacts, zone: Tz) -> Result<Wanted, Fault> {
        let mut wanted = Wanted::default();
        for mapping in &self.mappings {
            let form = mapping.form.as_ref().map_err(Clone::clone)?;
            let in_field = |fault: Fault| Fault { field: Some(mapping.to.clone()), ..fault };
            let value = form.form(&mapping.from.value(row, &self.audiences, zone).map_err(in_field)?)?;
            if !(value.is_null() && NEVER_CLEARED.contains(&mapping.to.as_str())) {
                wanted.values.insert(mapping.to.clone(), value);
            }
        }
        for tag in &self.activation.tags {
            let place = tag.audience.as_ref().and_then(|name| self.audiences.iter().position(|known| known == name));
            let inside =
                |place: usize| row.stays.get(place).copied().flatten().is_some_and(|stay| stay.exited_at.is_none());
            wanted.tags.insert(tag.tag.clone(), tag.audience.is_none() || place.is_some_and(inside));
        }
        let owned = row.given.as_ref().map(|given| &given.owned);
        for tag in owned.into_iter().flat_map(|owned| &owned.tags) {
            wanted.tags.entry(tag.clone()).or_insert(false);
        }
        if self.activation.memberships {
            let of_person = row.person.iter().flat_map(|person| &person.organizations);
            wanted.organizations.extend(of_person.map(|id| (id.clone(), true)));
        }
        for id in owned.into_iter().flat_map(|owned| &owned.organizations) {
            wanted.organizations.entry(id.clone()).or_insert(false);
        }
        Ok(wanted)
    }

    /// What is wanted of one who leaves: statuses `exited`, with the days of the stay, and what is ours taken away.
    fn leaving(&self, row: &RowFacts, zone: Tz) -> Wanted {
        let mut wanted = Wanted::default();
        for mapping in &self.mappings {
            let Source::Audience(place, part) = &mapping.from else { continue };
            let stay = row.stays.get(*place).copied().flatten();
            let was_written = || row.given.as_ref().is_some_and(|known| known.written.contains(&mapping.to));
            let value = match part {
                // Who was never in it has nothing to leave, unless we wrote so for one who was merged away since.
                AudiencePart::Status if stay.is_some() || was_written() => Value::from("exited"),
                AudiencePart::Status => continue,
                AudiencePart::EnteredAt | AudiencePart::ExitedAt => part::stay(stay, *part, zone),
            };
            // A stay that consent cut short has no end that is known.
            if let Ok(form) = &mapping.form
                && let Ok(value) = form.form(&value)
                && !value.is_null()
            {
                wanted.values.insert(mapping.to.clone(), value);
            }
        }
        // What is on its way is not known to be ours yet: all that could be is named, and only what turns out to be ours goes.
        let Some(known) = &row.given else { return wanted };
        let tags = self.activation.tags.iter().map(|tag| &tag.tag).chain(&known.owned.tags);
        wanted.tags = tags.map(|tag| (tag.clone(), false)).collect();
        let of_person =
            row.person.iter().filter(|_| self.activation.memberships).flat_map(|person| &person.organizations);
        wanted.organizations = of_person.chain(&known.owned.organizations).map(|id| (id.clone(), false)).collect();
        wanted
    }

    /// The record that stands for the row, where the CDP knows it.
    fn record(&self, row: &RowFacts) -> Result<Option<String>, Fault> {
        let known = row.given.as_ref().and_then(|given| given.record_id.as_deref());
        if let Some(organization) = &row.organization {
            return Ok(Some(organization.record_id.clone()));
        }
        match (&row.person, self.activation.target) {
            (Some(person), Target::Users) => record_of(person, known).map(|id| id.map(str::to_owned)),
            _ => Ok(known.map(str::to_owned)),
        }
    }

    fn key_value(&self, row: &RowFacts, zone: Tz) -> Result<Option<String>, Fault> {
        let Some((from, form)) = &self.key else { return Ok(None) };
        let value = form.form(&from.value(row, &self.audiences, zone)?)?;
        Ok(match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        })
    }

    /// Whether the person's consent keeps the row from being written; what is suppressed is told apart by the caller.
    pub fn is_without_consent(&self, row: &RowFacts) -> bool {
        let Some(channel) = self.activation.consent else { return false };
        row.person.as_ref().is_some_and(|person| state(person, channel) != ConsentState::Granted)
    }
}

/// The address that a channel reaches.
pub fn address(channel: Channel) -> SystemField {
    match channel {
        Channel::Email => SystemField::Email,
        Channel::Sms => SystemField::Phone,
    }
}

/// Digest of what is wanted and of what finds the record. The record itself counts only where it is another one than was last written, so
/// that a record that was just found or made is not looked at again.
fn digest_of(wanted: &Result<Wanted, Fault>, key: Option<&str>, record: Option<&str>, known: Option<&Given>) -> i64 {
    let last = known.and_then(|known| known.record_id.as_deref());
    let moved = record.filter(|record| last.is_some_and(|last| last != *record));
    match wanted {
        Ok(wanted) => digest(&(wanted, key, moved), 1),
        Err(fault) => digest(&(fault, key, moved), 2),
    }
}

/// Whether a record of that status is there to be written.
pub fn lives(status: &str) -> bool {
    matches!(status, "active" | "suspended")
}

/// The record of a person: the living one; of several, the one that was written before. Who has none that lives keeps the one that was,
/// so that nobody who was deleted is created again.
fn record_of<'a>(person: &'a PersonFacts, known: Option<&'a str>) -> Result<Option<&'a str>, Fault> {
    let living: Vec<&str> =
        person.records.iter().filter(|(_, status)| lives(status)).map(|(id, _)| id.as_str()).collect();
    match living.as_slice() {
        [only] => Ok(Some(only)),
        [] => {
            let gone = |id: &&(String, String)| known.is_none_or(|known| known == id.0);
            let last = person.records.iter().rev().find(gone).or(person.records.last());
            Ok(known.filter(|_| person.records.is_empty()).or(last.map(|(id, _)| id.as_str())))
        }
        several => match known.filter(|known| several.contains(known)) {
            Some(known) => Ok(Some(known)),
            None => {
                Err(Fault::new("ambiguous", format!("{} records of the source stand for the person", several.len())))
            }
        },
    }
}

/// The target field of that name.
pub fn target<'a>(name: &str, fields: &'a [TargetField]) -> Result<&'a TargetField, Fault> {
    match fields.iter().find(|field| field.name == name) {
        None => Err(Fault::of(name, "field_missing", "the account has no such field")),
        Some(field) if !field.active => {
            Err(Fault::of(name, "field_inactive", "the field is switched off in the account"))
        }
        Some(field) => Ok(field),
    }
}

fn key_form(activation: &Activation, fields: &[TargetField], region: Option<&str>) -> Form {
    let plain = |name: &str, kind: &str| TargetField {
        name: name.into(),
        kind: kind.into(),
        active: true,
        options: Vec::new(),
        pattern: None,
        max_chars: Some(255),
    };
    let field = match &activation.key.by {
        KeyKind::Email if activation.target == Target::Organizations => plain("name", "text"),
        KeyKind::RecordId => plain("id", "lookup"),
        KeyKind::ExternalId => plain("external_id", "external_id"),
        KeyKind::Email => plain("email", "email"),
        KeyKind::Field(name) => {
            fields.iter().find(|field| field.name == *name).cloned().unwrap_or_else(|| plain(name, "text"))
        }
    };
    Form::new(&field, activation.phones, region)
}

/// A key in words.
pub fn key_word(by: &KeyKind) -> &str {
    match by {
        KeyKind::RecordId => "record id",
        KeyKind::ExternalId => "external id",
        KeyKind::Email => "e-mail address",
        KeyKind::Field(name) => name,
    }
}
