//! A phone number in E.164, and whether it may find a person.

use std::fmt;

use rlibphonenumber::enums::Region;
use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumberFormat};

/// The longest text that is looked at: E.164 has 15 digits, the rest is punctuation and an extension.
const MAX_PHONE_BYTES: usize = 64;

/// A number that can be dialled from anywhere. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phone {
    e164: String,
    extension: Option<String>,
}

/// Why a text is not a number. It never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing but space.
    #[error("the phone number is empty")]
    Empty,
    /// Longer than any number with its extension.
    #[error("the phone number is longer than {MAX_PHONE_BYTES} bytes")]
    TooLong,
    /// A character that does not belong in a number (I4): the library below would read over it.
    #[error("the text is not a phone number")]
    Implausible,
    /// No number of its country (or of the region given) looks like this; without a `+` a region is needed.
    #[error("no such phone number in its country")]
    Impossible,
}

impl Phone {
    /// I4: E.164, and only if the whole text is plausible. `region` is an ISO country code, for numbers written
    /// without `+`; one that is not known counts as none.
    pub fn parse(text: &str, region: Option<&str>) -> Result<Phone, PhoneError> {
        let text = text.trim_matches(is_edge);
        if text.is_empty() {
            return Err(PhoneError::Empty);
        }
        if text.len() > MAX_PHONE_BYTES {
            return Err(PhoneError::TooLong);
        }
        let (number, extension) = split_extension(text)?;
        if !is_plausible(number) {
            return Err(PhoneError::Implausible);
        }
        let region = region.and_then(|code| Region::from_code(code.trim()).ok());
        let number = PHONE_NUMBER_UTIL.parse(number, region).map_err(|_| PhoneError::Impossible)?;
        match number.is_possible_with_reason() {
            Ok(NumberLengthType::IsPossible) => {}
            Ok(NumberLengthType::IsPossibleLocalOnly) | Err(_) => return Err(PhoneError::Impossible),
        }
        let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
        Ok(Phone { e164, extension: extension.map(str::to_owned) })
    }

    /// The number as `+61401234567`, without its extension.
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// The digits of the extension, if there was one.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The identity key (I4): none with an extension, which is a switchboard and not a person.
    pub fn key(&self) -> Option<&str> {
        match self.extension {
            Some(_) => None,
            None => Some(&self.e164),
        }
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(***)")
    }
}

/// Space, and the direction marks that phones put round a copied number.
fn is_edge(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{200B}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// `…ext. 12`, `…x12` (Zendesk's own way) → the number and the extension's digits.
fn split_extension(text: &str) -> Result<(&str, Option<&str>), PhoneError> {
    let Some(at) = text.find(['e', 'E', 'x', 'X']) else {
        return Ok((text, None));
    };
    let (number, rest) = text.split_at(at);
    let word = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, rest) = rest.split_at(word);
    if !word.eq_ignore_ascii_case("ext") && !word.eq_ignore_ascii_case("x") {
        return Err(PhoneError::Implausible);
    }
    let digits = rest.strip_prefix('.').unwrap_or(rest).trim_start();
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok((number, Some(digits))),
        false => Err(PhoneError::Implausible),
    }
}

/// Only `+ ( ) digits space . / -`, at least one digit, and a `+` nowhere but in front of all digits.
fn is_plausible(number: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || c.is_whitespace() || "+()./-".contains(c);
    let Some(first_digit) = number.find(|c: char| c.is_ascii_digit()) else {
        return false;
    };
    let (before, after) = number.split_at(first_digit);
    number.chars().all(fits) && before.matches('+').count() <= 1 && !after.contains('+')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, region: Option<&str>, expected: Result<(&str, Option<&str>), PhoneError>) {
        let parsed = Phone::parse(input, region);
        let found = parsed.as_ref().map(|phone| (phone.e164(), phone.key())).map_err(|error| *error);
        assert_eq!(found, expected, "{input:?} in {region:?}");
    }

    #[test]
    fn one_number_has_one_key_i4() {
        let au = Ok(("+61401234567", Some("+61401234567")));
        check("+61 401 234 567", None, au);
        check("+61401234567", Some("US"), au);
        check("0401 234 567", Some("AU"), au);
        check("0401.234.567", Some("au"), au);
        check("(0401) 234-567", Some("AU"), au);
        check("\u{202A}+61\u{A0}401\u{A0}234\u{A0}567\u{202C}", None, au);
        check("0011 61 401 234 567", Some("AU"), au);
        check("+44 (0)20 7031 3000", None, Ok(("+442070313000", Some("+442070313000"))));
        check("(+1) 202-555-0173", None, Ok(("+12025550173", Some("+12025550173"))));
        check("+39 06 698 12345", None, Ok(("+390669812345", Some("+390669812345"))));
    }

    #[test]
    fn an_extension_is_kept_but_is_no_key_i4() {
        for input in ["+1 202-555-0173 ext. 89", "+12025550173x89", "+1 202 555 0173 EXT 89", "+12025550173 ext89"] {
            check(input, None, Ok(("+12025550173", None)));
            assert_eq!(Phone::parse(input, None).expect("a good number").extension(), Some("89"));
        }
    }

    #[test]
    fn what_is_not_a_number() {
        check("", None, Err(PhoneError::Empty));
        check(" \u{200E} ", None, Err(PhoneError::Empty));
        check(&"1".repeat(65), None, Err(PhoneError::TooLong));
        check("CD(+48X666666644", None, Err(PhoneError::Implausible));
        check("1-800-FLOWERS", Some("US"), Err(PhoneError::Implausible));
        check("+1 202 555 0173 ext", None, Err(PhoneError::Implausible));
        check("+1 202 555 0173 extra 1", None, Err(PhoneError::Implausible));
        check("+1 202 555 0173 / +1 202 555 0174", None, Err(PhoneError::Implausible));
        check("++12025550173", None, Err(PhoneError::Implausible));
        check("homer@example.com", None, Err(PhoneError::Implausible));
        check("()", None, Err(PhoneError::Implausible));
        check("0401 234 567", None, Err(PhoneError::Impossible));
        check("0401 234 567", Some("nowhere"), Err(PhoneError::Impossible));
        check("555-0173", Some("US"), Err(PhoneError::Impossible));
        check("+999 123 456 789", None, Err(PhoneError::Impossible));
        check("000", Some("US"), Err(PhoneError::Impossible));
    }

    #[test]
    fn it_prints_nothing_of_itself() {
        let phone = Phone::parse("+61401234567", None).expect("a good number");
        assert_eq!(format!("{phone:?}"), "Phone(***)");
    }

    proptest! {
        #[test]
        fn e164_is_its_own_key(text in "\\+?[0-9 ()./-]{4,18}", region in "[A-Z]{2}") {
            if let Ok(phone) = Phone::parse(&text, Some(&region)) {
                prop_assert!(phone.e164().starts_with('+') && phone.e164().len() <= 18);
                prop_assert!(phone.e164()[1..].bytes().all(|byte| byte.is_ascii_digit()));
                let again = Phone::parse(phone.e164(), None);
                prop_assert_eq!(again.as_ref().ok().and_then(Phone::key), phone.key());
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,70}", region in ".{0,3}") {
            let _ = Phone::parse(&text, Some(&region));
        }
    }
}
