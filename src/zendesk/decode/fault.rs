//! Why Zendesk refused a record, in words of ours: its own quote values, which may be personal data.

use super::json::{Json, elements, member, members, view};
use crate::model::push::Fault;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Fields that Zendesk's words begin with, when they are about one.
const FIELDS: [(&str, &str); 12] = [
    ("name", "name"),
    ("email", "email"),
    ("external", "external_id"),
    ("external_id", "external_id"),
    ("phone", "phone"),
    ("alias", "alias"),
    ("details", "details"),
    ("notes", "notes"),
    ("locale", "locale"),
    ("time_zone", "time_zone"),
    ("tags", "tags"),
    ("organization", "organization"),
];

/// Kinds of refusals: the class, what is looked for in Zendesk's word and words, and what we say of it. The first that fits.
const CLASSES: [(&str, &[&str], &str); 7] = [
    ("duplicate_value", &["duplicate", "already", "taken", "not unique"], "the value belongs to another record"),
    ("required_missing", &["blank", "required", "missing", "empty"], "a value is required"),
    ("too_long", &["too long", "toolong", "too large", "maximum", "exceed"], "the value is too long"),
    ("not_found", &["notfound", "not found", "does not exist"], "Zendesk does not know the record"),
    ("forbidden", &["forbidden", "permission", "denied", "not allowed", "access"], "Zendesk does not allow it"),
    ("conflict", &["conflict", "stale"], "the record was being changed by somebody else"),
    ("invalid_value", &["invalid", "not valid", "must be", "malformed"], "Zendesk does not accept the value"),
];

/// The class of a refusal that is none of those.
const OTHER: (&str, &str) = ("refused", "Zendesk refused it");

/// The fault that Zendesk tells by `code` (`RecordInvalid`), the field where it names one, and words.
///
/// Without a field the first word of `words` is looked at: `Email: homer@… is already being used by another user`.
pub(super) fn fault(code: &str, field: Option<&str>, words: &str) -> Fault {
    let field = field.map(plain).filter(|field| !field.is_empty() && field != "base").or_else(|| named_first(words));
    let said = format!("{code} {words}").to_lowercase();
    let class = CLASSES.iter().find(|(_, signs, _)| signs.iter().any(|sign| said.contains(sign)));
    let (class, meaning) = class.map_or(OTHER, |(class, _, meaning)| (class, meaning));
    let is_word = !code.is_empty() && code.len() <= 80 && code.chars().all(|c| c.is_ascii_alphanumeric());
    let code = if is_word { format!(" ({code})") } else { String::new() };
    Fault { field, class: class.to_owned(), reason: format!("{meaning}{code}") }
}

/// The fault that `{field: [{description, error}]}` tells first. A field without a word of its own has `code`.
pub(super) fn of_details(code: &str, details: &RawValue) -> Option<Fault> {
    let mut found = None;
    members(details.get(), |field, list| {
        elements(list.get(), |each| {
            if found.is_none() {
                let text = |name: &str| match member(each, name).map(view) {
                    Some(Json::Text(text)) => text,
                    _ => Cow::Borrowed(""),
                };
                let own = text("error");
                let code = if own.is_empty() { code } else { &own };
                found = Some(fault(code, Some(&field), &text("description")));
            }
        });
    });
    found
}

/// The name of a field, fit for a report: Zendesk puts no values there, and what is no name is not kept.
fn plain(name: &str) -> String {
    let name = name.trim().trim_end_matches(':').to_lowercase().replace(' ', "_");
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if name.chars().all(is_name) && name.len() <= 80 { name } else { String::new() }
}

fn named_first(words: &str) -> Option<String> {
    let first = words.split([' ', ':']).next()?.to_lowercase();
    FIELDS.iter().find(|(word, _)| *word == first).map(|(_, field)| (*field).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zendesks_words_become_classes_without_values() {
        let check = |code: &str, field: Option<&str>, words: &str, expected: (Option<&str>, &str)| {
            let found = fault(code, field, words);
            assert_eq!((found.field.as_deref(), found.class.as_str()), expected, "{code} {words}");
            assert!(!found.reason.contains("homer"), "{}", found.reason);
        };
        let owned = "Email: homer@springfield.io is already being used by another user";
        check("RecordInvalid", None, owned, (Some("email"), "duplicate_value"));
        check("DuplicateValue", Some("email"), "", (Some("email"), "duplicate_value"));
        check("RecordInvalid", None, "External has already been taken", (Some("external_id"), "duplicate_value"));
        check("BlankValue", Some("name"), "Name: cannot be blank", (Some("name"), "required_missing"));
        check("RecordNotFound", None, "Not found", (None, "not_found"));
        check("Forbidden", None, "", (None, "forbidden"));
        check("", None, "homer is unhappy", (None, "refused"));
        check("homer@springfield.io", Some("homer simpson's"), "", (None, "refused"));
    }
}
