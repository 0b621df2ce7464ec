//! JSON as a tree that is looked at in place: nothing is parsed that nobody asks for, and nothing that is valid JSON
//! fails.
//!
//! serde_json's own types refuse a number of 2,000 digits, half a surrogate pair or 200 levels, and with them the whole
//! document. A [`RawValue`] takes all of these without recursion, so that one bad field costs no more than itself.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One value, not yet looked into.
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// Its digits as they came.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array,
    Object,
}

/// What a value is.
pub(super) fn view(raw: &RawValue) -> Json<'_> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => Json::Text(unescape(text)),
        Some(b'{') => Json::Object,
        Some(b'[') => Json::Array,
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'n') | None => Json::Null,
        Some(_) => Json::Number(text),
    }
}

/// Each member of an object, in order. False when the text is no object; members before a syntax error have been seen
/// by then.
pub(super) fn members<'a>(text: &'a str, each: impl FnMut(Cow<'a, str>, &'a RawValue)) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members(each)).is_ok() && deserializer.end().is_ok()
}

/// Each element of an array. False when the text is no array.
pub(super) fn elements<'a>(text: &'a str, each: impl FnMut(&'a RawValue)) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Elements(each)).is_ok() && deserializer.end().is_ok()
}

/// The first member of that name.
pub(super) fn member<'a>(raw: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let mut found = None;
    members(raw.get(), |key, value| {
        if key == name {
            found = Some(value);
        }
    });
    found
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            (self.0)(unescape(key.get()), map.next_value()?);
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<&'de RawValue>()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// The text of a JSON string that stands in its quotes. Half a surrogate pair becomes U+FFFD.
fn unescape(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted);
    let Some(first) = inner.find('\\') else {
        return Cow::Borrowed(inner);
    };
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    let mut next = Some(first);
    while let Some(at) = next {
        text.push_str(&rest[..at]);
        let (c, used) = escape(&rest[at..]);
        text.push(c);
        rest = &rest[at + used..];
        next = rest.find('\\');
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character that an escape at the start of `text` stands for, and how many bytes of it were used.
fn escape(text: &str) -> (char, usize) {
    let simple = |c| (c, 2);
    match text.as_bytes().get(1) {
        Some(b'n') => simple('\n'),
        Some(b't') => simple('\t'),
        Some(b'r') => simple('\r'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'u') => unicode(text),
        Some(c) if c.is_ascii() => simple(char::from(*c)),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

fn unicode(text: &str) -> (char, usize) {
    let hex = |at: usize| text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(high) = hex(2) else {
        return (char::REPLACEMENT_CHARACTER, 2);
    };
    if let Some(c) = char::from_u32(high) {
        return (c, 6);
    }
    let low = text.get(6..8).filter(|mark| *mark == "\\u").and_then(|_| hex(8));
    match low {
        Some(low @ 0xDC00..=0xDFFF) if high < 0xDC00 => {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

/// Keys that nobody knows of one object that are kept; Zendesk's largest records have fewer than 100 keys in all.
pub(super) const MAX_UNKNOWN: usize = 1_000;

/// Declares the parts of a wire object: the keys that are read, the keys that are known and left alone, and all others.
macro_rules! parts {
    ($(#[$doc:meta])* $name:ident { $($field:ident $key:literal,)* } left $left:pat) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $name<'a> {
            $($field: Option<&'a RawValue>,)*
            /// Keys that nobody knows; one more than [`MAX_UNKNOWN`](super::json::MAX_UNKNOWN) where there were too many.
            #[allow(dead_code, reason = "not every kind of record has a place for them")]
            unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
        }

        impl<'a> $name<'a> {
            /// None when the text is no object.
            fn read(text: &'a str) -> Option<Self> {
                let mut parts = Self::default();
                let whole = members(text, |key, value| match &*key {
                    $($key => parts.$field = Some(value),)*
                    $left => {}
                    _ if parts.unknown.len() <= super::json::MAX_UNKNOWN => parts.unknown.push((key, value)),
                    _ => {}
                });
                whole.then_some(parts)
            }
        }
    };
}
pub(super) use parts;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(quoted: &str, expected: &str) {
        assert_eq!(unescape(quoted), expected, "{quoted}");
    }

    #[test]
    fn texts() {
        check(r#""plain""#, "plain");
        check(r#""""#, "");
        check(r#""a\n\t\r\b\f\/\\\"z""#, "a\n\t\r\u{8}\u{c}/\\\"z");
        check(r#""\u00e9\ud83d\ude00!""#, "é😀!");
        check(r#""\ud83d""#, "\u{FFFD}");
        check(r#""\ud83dx""#, "\u{FFFD}x");
        check(r#""\ud83d\u0041""#, "\u{FFFD}A");
        check(r#""\ude00\ud83d""#, "\u{FFFD}\u{FFFD}");
        check(r#""a\u0000b""#, "a\0b");
    }

    #[test]
    fn one_bad_field_costs_only_itself() {
        let digits = "9".repeat(2_000);
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let text = format!(r#"{{"n":{digits},"e":1e999,"s":"\ud83d","d":{deep},"\u0069d":1}}"#);
        let mut seen = Vec::new();
        assert!(members(&text, |key, _| seen.push(key.into_owned())));
        assert_eq!(seen, ["n", "e", "s", "d", "id"]);
        assert!(!members("[1]", |_, _| {}) && !members("{\"a\":1", |_, _| {}) && !members("{} x", |_, _| {}));
        assert!(!elements("{}", |_| {}) && elements("[1,[2]]", |_| {}));
    }

    proptest! {
        #[test]
        fn an_escaped_text_comes_back(text in "(?s).{0,40}") {
            let quoted = serde_json::to_string(&text).expect("a text serialises");
            prop_assert_eq!(unescape(&quoted), text);
        }

        #[test]
        fn nothing_makes_it_panic(text in "(?s)[{}\\[\\]\",:\\\\udD8c0 a1]{0,40}") {
            let _ = unescape(&text);
            members(&text, |_, _| {});
            elements(&text, |_| {});
        }
    }
}
