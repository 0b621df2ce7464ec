//! Reading one part of a record at a time: what is no good is left out with a [`Problem`], and the rest of the record
//! stands.

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::json::{Json, MAX_UNKNOWN, elements, members, view};
use crate::model::field::Given;
use crate::model::record::Problem;

/// The longest text that is kept, in bytes.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// The longest list or object of a custom field that is kept, in bytes of JSON, and of all unknown keys together.
const MAX_TREE: usize = 256 * 1024;

/// The longest key of a custom field, in bytes.
pub(super) const MAX_KEY: usize = 255;

/// The most JSON of all custom fields of one record, in bytes: a tree takes many times its text in memory.
const MAX_TREES: usize = 1024 * 1024;

/// The most problems of one record that are noted.
const MAX_PROBLEMS: usize = 50;

/// Levels of a custom field that are looked into; what is deeper stays JSON in a text.
const MAX_DEPTH: usize = 16;

/// What a part says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// Not there, or not usable.
    Nothing,
    /// There is no value: `null`, and for ids and times also `""` and `0`.
    Null,
    /// A value.
    Is(T),
}

impl<T> Said<T> {
    /// The value, if there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Said::Is(value) => Some(value),
            Said::Nothing | Said::Null => None,
        }
    }
}

impl Said<String> {
    /// As a system field; an empty text is an explicit emptiness, as `null` is.
    pub(super) fn given(self) -> Given {
        match self {
            Said::Nothing => Given::Absent,
            Said::Is(text) if !text.trim().is_empty() => Given::Value(text),
            Said::Null | Said::Is(_) => Given::Empty,
        }
    }

    /// The text, if it is not empty.
    pub(super) fn filled(self) -> Option<String> {
        self.value().filter(|text| !text.is_empty())
    }
}

/// Collects the problems of a record while its parts are read. A part that is absent is `None` and no problem.
#[derive(Default)]
pub(super) struct Lenient {
    pub(super) problems: Vec<Problem>,
    /// Bytes of JSON that became trees.
    trees: usize,
}

impl Lenient {
    /// Notes a problem, once. The reason must never hold the value.
    pub(super) fn problem(&mut self, part: &str, reason: &str) {
        let noted = self.problems.iter().any(|problem| problem.part == part && problem.reason == reason);
        if !noted && self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::new(part, reason));
        }
    }

    fn unusable<T>(&mut self, part: &str, reason: &str) -> Said<T> {
        self.problem(part, reason);
        Said::Nothing
    }

    /// A text, without NUL and not longer than [`MAX_TEXT`].
    pub(super) fn text(&mut self, part: &str, raw: Option<&RawValue>) -> Said<String> {
        match raw.map(view) {
            None => Said::Nothing,
            Some(Json::Null) => Said::Null,
            Some(Json::Text(text)) => Said::Is(self.clean(part, text)),
            Some(_) => self.unusable(part, "not a text; left out"),
        }
    }

    fn clean(&mut self, part: &str, text: Cow<'_, str>) -> String {
        let (cleaned, nul, cut) = clean_text(text);
        if nul {
            self.problem(part, "NUL characters were taken out");
        }
        if cut {
            self.problem(part, "too long; cut");
        }
        cleaned
    }

    /// An id of another record: a whole number or its digits, as canonical text. `0`, `""` and `-1` (the system) are
    /// none.
    pub(super) fn id(&mut self, part: &str, raw: Option<&RawValue>) -> Said<String> {
        match self.number(part, raw) {
            Said::Is(id) if id > 0 => Said::Is(id.to_string()),
            Said::Is(_) | Said::Null => Said::Null,
            Said::Nothing => Said::Nothing,
        }
    }

    /// A whole number, or its digits in a text; `""` is none.
    pub(super) fn number(&mut self, part: &str, raw: Option<&RawValue>) -> Said<i64> {
        let digits = match raw.map(view) {
            None => return Said::Nothing,
            Some(Json::Null) => return Said::Null,
            Some(Json::Number(digits)) => Cow::Borrowed(digits),
            Some(Json::Text(text)) if text.trim().is_empty() => return Said::Null,
            Some(Json::Text(text)) => text,
            Some(_) => return self.unusable(part, "not a whole number; left out"),
        };
        match digits.trim().parse() {
            Ok(number) => Said::Is(number),
            Err(_) => self.unusable(part, "not a whole number; left out"),
        }
    }

    /// A time, as fine as Postgres keeps it.
    pub(super) fn time(&mut self, part: &str, raw: Option<&RawValue>) -> Said<DateTime<Utc>> {
        match raw.map(view) {
            None => Said::Nothing,
            Some(Json::Null) => Said::Null,
            Some(Json::Text(text)) if text.is_empty() => Said::Null,
            Some(Json::Text(text)) => match parse_time(&text) {
                Some(time) => Said::Is(time),
                None => self.unusable(part, "not a time; left out"),
            },
            Some(_) => self.unusable(part, "not a time; left out"),
        }
    }

    /// True or false.
    pub(super) fn truth(&mut self, part: &str, raw: Option<&RawValue>) -> Said<bool> {
        match raw.map(view) {
            None => Said::Nothing,
            Some(Json::Null) => Said::Null,
            Some(Json::Bool(truth)) => Said::Is(truth),
            Some(_) => self.unusable(part, "neither true nor false; left out"),
        }
    }

    /// A list of texts, or one text with spaces between them; sorted, each once.
    pub(super) fn words(&mut self, part: &str, raw: Option<&RawValue>) -> Said<Vec<String>> {
        let Some(raw) = raw else { return Said::Nothing };
        let mut words: Vec<String> = match view(raw) {
            Json::Null => return Said::Null,
            Json::Text(text) => self.clean(part, text).split_whitespace().map(str::to_owned).collect(),
            Json::Array => self.list(part, raw),
            _ => return self.unusable(part, "not a list of texts; left out"),
        };
        words.sort_unstable();
        words.dedup();
        Said::Is(words)
    }

    fn list(&mut self, part: &str, raw: &RawValue) -> Vec<String> {
        let mut words = Vec::new();
        let mut size = 0;
        elements(raw.get(), |element| match view(element) {
            Json::Text(text) if text.is_empty() => {}
            Json::Text(text) if size + text.len() <= MAX_TREE => {
                size += text.len();
                words.push(self.clean(part, text));
            }
            Json::Text(_) => self.problem(part, "too many; the rest was left out"),
            _ => self.problem(part, "one of the list is not a text; left out"),
        });
        words.retain(|word| !word.is_empty());
        words
    }

    /// A value of any type, such as a custom field's, fit for Postgres.
    pub(super) fn any(&mut self, part: &str, raw: &RawValue) -> Option<Value> {
        let tree = raw.get().starts_with(['[', '{']);
        if tree {
            let trees = self.trees + raw.get().len();
            if raw.get().len() > MAX_TREE || trees > MAX_TREES {
                self.problem(part, "too long; left out");
                return None;
            }
            self.trees = trees;
        }
        let mut marks = Marks::default();
        let value = tidy(raw, MAX_DEPTH, &mut marks);
        if marks.nul {
            self.problem(part, "NUL characters were taken out");
        }
        if marks.cut {
            self.problem(part, "too long; cut");
        }
        if marks.number {
            self.problem(part, "a number too large for a number; kept as text");
        }
        if marks.deep {
            self.problem(part, "too deep; the inner part is kept as text");
        }
        Some(value)
    }

    /// The keys that nobody knows, as they came.
    pub(super) fn unknown(&mut self, keys: Vec<(Cow<'_, str>, &RawValue)>) -> Option<Value> {
        if keys.is_empty() {
            return None;
        }
        let mut left = MAX_TREE;
        let mut kept = Map::new();
        if keys.len() > MAX_UNKNOWN {
            self.problem("unknown keys", "too many; some were left out");
        }
        for (key, raw) in keys.into_iter().take(MAX_UNKNOWN) {
            match left.checked_sub(key.len() + raw.get().len()) {
                Some(rest) => left = rest,
                None => {
                    self.problem("unknown keys", "too long; some were left out");
                    continue;
                }
            }
            if let Some(value) = self.any("unknown keys", raw) {
                kept.insert(clean_text(key).0, value);
            }
        }
        Some(Value::Object(kept))
    }
}

/// A time as Zendesk writes it, with 0 to 9 digits of a second.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc).trunc_subsecs(6))
}

/// Without NUL and cut to [`MAX_TEXT`]; whether there was a NUL, and whether it was cut.
fn clean_text(text: Cow<'_, str>) -> (String, bool, bool) {
    let nul = text.contains('\0');
    let mut text = if nul { text.replace('\0', "") } else { text.into_owned() };
    let cut = text.len() > MAX_TEXT;
    if cut {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.shrink_to_fit();
    }
    (text, nul, cut)
}

/// What was done to a tree.
#[derive(Default)]
struct Marks {
    nul: bool,
    cut: bool,
    number: bool,
    deep: bool,
}

fn tidy(raw: &RawValue, depth: usize, marks: &mut Marks) -> Value {
    let mut text_of = |text: Cow<'_, str>| {
        let (text, nul, cut) = clean_text(text);
        marks.nul |= nul;
        marks.cut |= cut;
        text
    };
    match view(raw) {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Text(text) => Value::String(text_of(text)),
        Json::Number(digits) => number(digits).unwrap_or_else(|| {
            let text = text_of(Cow::Borrowed(digits));
            marks.number = true;
            Value::String(text)
        }),
        Json::Array | Json::Object if depth == 0 => {
            let text = text_of(Cow::Borrowed(raw.get()));
            marks.deep = true;
            Value::String(text)
        }
        Json::Array => {
            let mut list = Vec::new();
            elements(raw.get(), |element| list.push(tidy(element, depth - 1, marks)));
            Value::Array(list)
        }
        Json::Object => {
            let mut map = Map::new();
            members(raw.get(), |key, value| {
                map.insert(clean_text(key).0, tidy(value, depth - 1, marks));
            });
            Value::Object(map)
        }
    }
}

/// A number that Postgres gives back as it was; None for one that would lose digits or has no end.
fn number(digits: &str) -> Option<Value> {
    if let Ok(whole) = digits.parse::<i64>() {
        return Some(whole.into());
    }
    if !digits.contains(['.', 'e', 'E']) {
        return digits.parse::<u64>().ok().map(Value::from);
    }
    let float: f64 = digits.parse().ok()?;
    // Adding zero makes +0.0 of -0.0, which Postgres does not know.
    Number::from_f64(float + 0.0).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("a test writes JSON")
    }

    fn check(input: &str, expected: &str, problems: usize) {
        let mut lenient = Lenient::default();
        let value = lenient.any("part", &raw(input)).expect("not too long");
        assert_eq!(value.to_string(), expected, "{input}");
        assert_eq!(lenient.problems.len(), problems, "{input}");
    }

    #[test]
    fn values_survive_postgres() {
        check("null", "null", 0);
        check("[true,1,-2,1.5,1e3,\"x\",{}]", "[true,1,-2,1.5,1000.0,\"x\",{}]", 0);
        check("18446744073709551615", "18446744073709551615", 0);
        check("18446744073709551616", "\"18446744073709551616\"", 1);
        check("1e999", "\"1e999\"", 1);
        check("-0.0", "0.0", 0);
        check("-0", "0", 0);
        check(r#"{"a\u0000":"b\u0000c"}"#, r#"{"a":"bc"}"#, 1);
        check(r#""\ud83d""#, "\"\u{FFFD}\"", 0);
        let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
        check(&deep, &format!("{}\"[]\"{}", "[".repeat(16), "]".repeat(16)), 1);
    }

    #[test]
    fn long_values_are_cut_or_left_out() {
        let mut lenient = Lenient::default();
        let long = raw(&format!("\"{}\"", "é".repeat(MAX_TEXT)));
        let text = lenient.text("notes", Some(&long)).value().expect("cut, not lost");
        assert_eq!(text.len(), MAX_TEXT);
        let tree = raw(&format!("[{}1]", "1,".repeat(MAX_TREE)));
        assert_eq!(lenient.any("tree", &tree), None);
        assert_eq!(lenient.problems.iter().map(|problem| problem.part.as_str()).collect::<Vec<_>>(), ["notes", "tree"]);
    }

    #[test]
    fn many_small_parts_are_no_way_around_the_limits() {
        let mut lenient = Lenient::default();
        let empty = raw(&format!("[{}\"a\"]", "\"\",".repeat(100_000)));
        let words = lenient.words("tags", Some(&empty)).value().expect("a list");
        assert_eq!((words.as_slice(), words.capacity() < 100), (&["a".to_owned()][..], true));
        let one = raw("1");
        let keys = (0..=MAX_UNKNOWN).map(|number| (Cow::Owned(number.to_string()), &*one)).collect();
        let kept = lenient.unknown(keys).expect("some are kept");
        assert_eq!(kept.as_object().map(Map::len), Some(MAX_UNKNOWN));
        let tree = raw(&format!("[{}1]", "1,".repeat(MAX_TREE / 2 - 2)));
        let kept = (0..8).filter(|_| lenient.any("tree", &tree).is_some()).count();
        assert_eq!(kept, MAX_TREES / MAX_TREE);
        assert_eq!(
            lenient.problems.iter().map(|problem| problem.part.as_str()).collect::<Vec<_>>(),
            ["unknown keys", "tree"]
        );
    }

    #[test]
    fn ids_are_whole_numbers_or_their_digits() {
        let mut lenient = Lenient::default();
        for (input, expected) in [
            ("6164039664282", Said::Is("6164039664282")),
            ("\"00042\"", Said::Is("42")),
            ("0", Said::Null),
            ("\"0\"", Said::Null),
            ("\"\"", Said::Null),
            ("null", Said::Null),
            ("-1", Said::Null),
            ("1.0", Said::Nothing),
            ("1e3", Said::Nothing),
            ("\"abc\"", Said::Nothing),
            ("99999999999999999999", Said::Nothing),
            ("true", Said::Nothing),
        ] {
            let found = lenient.id("id", Some(&raw(input)));
            let expected = match expected {
                Said::Is(id) => Said::Is(id.to_owned()),
                Said::Null => Said::Null,
                Said::Nothing => Said::Nothing,
            };
            assert_eq!(found, expected, "{input}");
        }
        assert_eq!(lenient.problems.len(), 1, "the same problem is noted once");
    }

    #[test]
    fn times_have_any_number_of_digits() {
        for (input, expected) in [
            ("2023-09-18T23:28:11Z", Some("2023-09-18T23:28:11+00:00")),
            ("2025-01-08T10:12:07.672717030Z", Some("2025-01-08T10:12:07.672717+00:00")),
            ("2018-11-04T02:00:00.123+02:00", Some("2018-11-04T00:00:00.123+00:00")),
            ("2018-13-04T00:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(input).map(|time| time.to_rfc3339()).as_deref(), expected, "{input}");
        }
    }
}
