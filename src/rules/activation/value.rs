//! A value formed for the type of its target field, or why it cannot be.
//!
//! An empty value (`null`, `""`, spaces, `[]`) is `null`, which clears. Whatever else does not fit is refused with one of these
//! classes: `type`, `not_a_number`, `not_integer`, `not_a_date`, `option`, `pattern`, `too_long`, `range`, `phone`, `email`, `state`,
//! `locale`, `time_zone`. Nothing is cut: half a text is another text.

use super::number;
use super::state;
use crate::model::activation::Phones;
use crate::model::email::Email;
use crate::model::phone::Phone;
use crate::model::push::{Fault, TargetField, UNKNOWN};
use chrono::NaiveDate;
use chrono_tz::Tz;
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Characters of a text that its field does not limit further.
const LONGEST: usize = 65_535;

/// Bytes that a pattern may take, compiled.
const PATTERN_BYTES: usize = 1 << 20;

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Lines,
    Checkbox,
    Date,
    Integer,
    Decimal,
    Option,
    Options,
    Lookup,
    Email,
    Phone,
    State,
    Locale,
    TimeZone,
    ExternalId,
    /// Nobody knows: values go as they are.
    Unknown,
}

impl Kind {
    fn of(field: &TargetField) -> Kind {
        match field.kind.as_str() {
            "textarea" => Kind::Lines,
            "checkbox" => Kind::Checkbox,
            "date" => Kind::Date,
            "integer" => Kind::Integer,
            "decimal" => Kind::Decimal,
            "dropdown" => Kind::Option,
            "multiselect" => Kind::Options,
            "lookup" => Kind::Lookup,
            "email" => Kind::Email,
            "phone" => Kind::Phone,
            "locale" => Kind::Locale,
            "time_zone" => Kind::TimeZone,
            "external_id" => Kind::ExternalId,
            UNKNOWN => Kind::Unknown,
            _ if state::is_state(field) => Kind::State,
            _ => Kind::Line,
        }
    }
}

/// What values of one target field must be like, prepared once for many values.
#[derive(Debug, Clone)]
pub struct Form {
    field: TargetField,
    kind: Kind,
    pattern: Option<Regex>,
    phones: Phones,
    region: Option<String>,
}

/// Forms one value; many of one field are better formed by a [`Form`]. `region` is where phone numbers without a country are.
pub fn form(value: &Value, field: &TargetField, phones: Phones, region: Option<&str>) -> Result<Value, Fault> {
    Form::new(field, phones, region).form(value)
}

/// A field's pattern, if it can be read: Zendesk's are Ruby's, of which nearly all can. Anchors of lines are anchors of the text, as
/// Zendesk takes them; look-around and back references cannot be read.
pub fn pattern(text: &str) -> Option<Regex> {
    let text = text.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!").replace("\\Z", "\\z");
    RegexBuilder::new(&text).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().ok()
}

impl Form {
    /// Prepares it.
    pub fn new(field: &TargetField, phones: Phones, region: Option<&str>) -> Form {
        Form {
            kind: Kind::of(field),
            pattern: field.pattern.as_deref().and_then(pattern),
            field: field.clone(),
            phones,
            region: region.map(str::to_owned),
        }
    }

    /// The field.
    pub fn field(&self) -> &TargetField {
        &self.field
    }

    /// The value as the field takes it.
    ///
    /// # Errors
    /// A fault with the field, its class, and what was expected; never with the value.
    pub fn form(&self, value: &Value) -> Result<Value, Fault> {
        if is_empty(value) {
            return Ok(Value::Null);
        }
        match self.kind {
            Kind::Checkbox => truth(value).map(Value::Bool).ok_or_else(|| self.fault("type", "expected true or false")),
            Kind::Options => self.options(value),
            Kind::Integer => self.integer(value),
            Kind::Decimal => self.decimal(value),
            Kind::Unknown if !(value.is_string() || value.is_object()) => Ok(value.clone()),
            _ => self.of_text(&self.text(value)?),
        }
    }

    fn fault(&self, class: &str, reason: &str) -> Fault {
        Fault::of(&self.field.name, class, reason)
    }

    fn of_text(&self, text: &str) -> Result<Value, Fault> {
        let formed: Cow<'_, str> = match self.kind {
            Kind::Option => self.option(text)?.into(),
            Kind::Date => date(text).ok_or_else(|| self.fault("not_a_date", "expected a date: YYYY-MM-DD"))?.into(),
            Kind::Lookup => match text.bytes().all(|byte| byte.is_ascii_digit()) {
                true => text.into(),
                false => return Err(self.fault("type", "expected the id of a record: digits")),
            },
            Kind::Email => self.email(text)?.into(),
            Kind::Phone => self.phone(text)?.into(),
            Kind::State => state::code(text)
                .ok_or_else(|| {
                    self.fault("state", "expected a state as two capital letters, or the name of a US state")
                })?
                .into(),
            Kind::Locale => {
                locale(text).ok_or_else(|| self.fault("locale", "expected a language tag such as pt-BR"))?.into()
            }
            Kind::TimeZone => match is_zone(text) {
                true => text.into(),
                false => return Err(self.fault("time_zone", "expected the name of a time zone")),
            },
            _ => text.into(),
        };
        self.fits(&formed)?;
        Ok(Value::String(formed.into_owned()))
    }

    /// Length and pattern, which hold for the value as it is sent.
    fn fits(&self, text: &str) -> Result<(), Fault> {
        let most = self.field.max_chars.unwrap_or(LONGEST);
        if text.len() > most && text.chars().count() > most {
            return Err(self.fault("too_long", &format!("longer than {most} characters")));
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(text) => Err(self.fault("pattern", "does not fit the field's pattern")),
            _ => Ok(()),
        }
    }

    /// Any single value as text, trimmed, without control characters: those of a line become spaces.
    fn text<'v>(&self, value: &'v Value) -> Result<Cow<'v, str>, Fault> {
        let text: Cow<'v, str> = match value {
            Value::String(text) => text.trim().into(),
            Value::Number(number) => number.to_string().into(),
            Value::Bool(truth) => if *truth { "true" } else { "false" }.into(),
            Value::Array(all) if self.kind == Kind::Line || self.kind == Kind::Lines => {
                let parts: Result<Vec<_>, _> = all.iter().map(|one| self.text(one)).collect();
                parts?.join(", ").into()
            }
            _ => return Err(self.fault("type", "expected a single value, not a list or an object")),
        };
        if !text.chars().any(char::is_control) {
            return Ok(text);
        }
        let keeps_lines = self.kind == Kind::Lines;
        let clean = |c: char| match c {
            '\n' | '\t' if keeps_lines => c,
            c if c.is_control() => ' ',
            c => c,
        };
        Ok(text.replace("\r\n", "\n").chars().map(clean).collect::<String>().trim().to_owned().into())
    }

    fn number(&self, value: &Value) -> Result<String, Fault> {
        let wrong = || self.fault("not_a_number", "expected a number");
        match value {
            Value::String(_) | Value::Number(_) => Ok(self.text(value)?.into_owned()),
            _ => Err(wrong()),
        }
    }

    fn integer(&self, value: &Value) -> Result<Value, Fault> {
        let text = self.number(value)?;
        let scaled = number::rounded(&text, 18).ok_or_else(|| self.fault("not_a_number", "expected a whole number"))?;
        let (whole, rest) = scaled.split_once('.').unwrap_or((&scaled, ""));
        if rest.bytes().any(|digit| digit != b'0') {
            return Err(self.fault("not_integer", "expected a whole number"));
        }
        let whole: i64 = whole.parse().map_err(|_| self.fault("range", "too large a number"))?;
        Ok(whole.into())
    }

    /// Two places, as text: a number with a point would pass through binary fractions on its way.
    fn decimal(&self, value: &Value) -> Result<Value, Fault> {
        let text = self.number(value)?;
        let rounded = number::rounded(&text, 2).ok_or_else(|| self.fault("not_a_number", "expected a number"))?;
        match rounded.len() <= 18 {
            true => Ok(Value::String(rounded)),
            false => Err(self.fault("range", "too large a number")),
        }
    }

    /// The one option of that value, whatever its case; titles are not looked at.
    fn option(&self, text: &str) -> Result<String, Fault> {
        let unknown = || self.fault("option", "is the value of no option of the field");
        if let Some(exact) = self.field.options.iter().find(|option| *option == text) {
            return Ok(exact.clone());
        }
        let mut alike = self.field.options.iter().filter(|option| same_text(option, text));
        match (alike.next(), alike.next()) {
            (Some(only), None) => Ok(only.clone()),
            (None, _) => Err(unknown()),
            _ => Err(self.fault("option", "is the value of several options of the field")),
        }
    }

    fn options(&self, value: &Value) -> Result<Value, Fault> {
        let parts: Vec<Cow<'_, str>> = match value {
            Value::Array(all) => all.iter().map(|one| self.text(one)).collect::<Result<_, _>>()?,
            one => self.text(one)?.split(',').map(|part| part.trim().to_owned().into()).collect(),
        };
        let mut chosen = BTreeSet::new();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            chosen.insert(self.option(part)?);
        }
        Ok(if chosen.is_empty() { Value::Null } else { chosen.into_iter().collect() })
    }

    fn email(&self, text: &str) -> Result<String, Fault> {
        let email = Email::parse(text).map_err(|error| self.fault("email", &error.to_string()))?;
        Ok(email.as_written().to_owned())
    }

    fn phone(&self, text: &str) -> Result<String, Fault> {
        let region = match self.phones {
            Phones::E164 => self.region.as_deref(),
            Phones::Us => Some("US"),
        };
        let phone = Phone::parse(text, region).map_err(|error| self.fault("phone", &error.to_string()))?;
        if phone.extension().is_some() {
            return Err(self.fault("phone", "the phone number has an extension, which E.164 has no place for"));
        }
        let is_us = phone.e164().strip_prefix("+1").is_some_and(|digits| digits.len() == 10);
        match self.phones == Phones::E164 || is_us {
            true => Ok(phone.e164().to_owned()),
            false => Err(self.fault("phone", "expected +1 and ten digits")),
        }
    }
}

/// True for what clears a field.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(all) => all.iter().all(is_empty),
        _ => false,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => match number.as_i64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" | "t" | "y" | "on" => Some(true),
            "false" | "no" | "0" | "f" | "n" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The day of a date or of a time, as the text itself has it: times come with the offset of the zone in which they are meant.
fn date(text: &str) -> Option<String> {
    let day = text.get(..10)?;
    let rest = &text[10..];
    let is_time = rest.is_empty() || rest.starts_with(['T', 't', ' ']);
    let shaped =
        day.bytes().enumerate().all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    let valid = || day.parse::<NaiveDate>().is_ok() && day > "0000-12-31";
    (is_time && shaped && valid()).then(|| day.to_owned())
}

fn locale(text: &str) -> Option<String> {
    let tag = text.replace('_', "-");
    let mut parts = tag.split('-');
    let language = parts
        .next()
        .is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let rest = parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    (language && rest).then_some(tag)
}

/// An IANA name, or what looks like one of Zendesk's own: `Eastern Time (US & Canada)`.
fn is_zone(text: &str) -> bool {
    text.parse::<Tz>().is_ok()
        || text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_alphabetic() || " .&()'-".contains(c))
}

fn same_text(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

/// Whether two values are the same to a field, one of them as Zendesk gives it back: dates as `2012-07-23T00:00:00Z`, options in
/// lower case, numbers as text, nothing as `null`, as `""` or not at all; an unset checkbox as `false`.
pub fn same(field: &TargetField, a: &Value, b: &Value) -> bool {
    let kind = Kind::of(field);
    if kind == Kind::Checkbox {
        let truth = |value: &Value| if is_empty(value) { Some(false) } else { truth(value) };
        return truth(a) == truth(b) && (truth(a).is_some() || a == b);
    }
    match (is_empty(a), is_empty(b)) {
        (false, false) => {
            kind == Kind::Options && chosen(a) == chosen(b) || kind != Kind::Options && plain(kind, a) == plain(kind, b)
        }
        (a, b) => a == b,
    }
}

fn chosen(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(all) => all.iter().flat_map(chosen).collect(),
        one => plain(Kind::Line, one)
            .split(',')
            .map(|part| part.trim().to_lowercase())
            .filter(|part| !part.is_empty())
            .collect(),
    }
}

/// A value as text that is equal for equal values.
fn plain(kind: Kind, value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    match kind {
        Kind::Date => date(&text).unwrap_or(text),
        Kind::Integer | Kind::Decimal => {
            number::rounded(&text, if kind == Kind::Decimal { 2 } else { 18 }).unwrap_or(text)
        }
        Kind::Option | Kind::ExternalId => text.to_lowercase(),
        Kind::Email => Email::parse(&text).map(|email| email.key().to_owned()).unwrap_or(text),
        Kind::Phone => Phone::parse(&text, None).ok().and_then(|phone| phone.key().map(str::to_owned)).unwrap_or(text),
        Kind::Locale => text.replace('_', "-").to_ascii_lowercase(),
        _ => text.replace("\r\n", "\n"),
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
