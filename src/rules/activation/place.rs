//! What reading the parts of an activation's file has in common: places in it, and texts, words and numbers with limits.

pub use crate::rules::filter::FilterError as ReadError;
pub use crate::rules::filter::read::Place;
use serde::de::DeserializeOwned;

/// The name of an audience.
pub fn audience_name(place: &Place<'_>) -> Result<String, ReadError> {
    name(place, "the name of an audience")
}

/// A name: small letters, digits, `-` and `_`.
pub fn name(place: &Place<'_>, expected: &str) -> Result<String, ReadError> {
    let text = place.text()?;
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    match begins && text.len() <= 100 && text.chars().all(known) {
        true => Ok(text.to_owned()),
        false => Err(place.wrong(expected)),
    }
}

/// A text that is not empty and has at most so many characters.
pub fn short<'a>(place: &Place<'a>, most: usize) -> Result<&'a str, ReadError> {
    let text = place.text()?;
    match !text.trim().is_empty() && text.chars().count() <= most && !text.contains('\0') {
        true => Ok(text),
        false => Err(place.wrong(&format!("a text of 1 to {most} characters"))),
    }
}

/// One of the words of a type.
pub fn word<T: DeserializeOwned>(place: &Place<'_>, expected: &str) -> Result<T, ReadError> {
    serde_json::from_value(place.value.clone()).map_err(|_| place.wrong(expected))
}

/// A whole number between two, both included.
pub fn whole_number(place: &Place<'_>, least: u64, most: u64) -> Result<u64, ReadError> {
    let number = place.value.as_u64().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| place.wrong(&format!("a whole number from {least} to {most}")))
}
