//! Single values of a file: texts, times, typed fields. What is no good says why, and never what it was.

use super::mapping::{FieldType, MAX_KEY};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use serde_json::{Map, Number, Value};

/// The longest text of a custom field, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// Why a value is left out, or was changed.
pub type Reason = &'static str;

/// A text without NUL and with an end; whether it had to be changed for that.
pub fn clean(text: &str, max: usize) -> (String, Option<Reason>) {
    let nul = text.contains('\0');
    let mut text = if nul { text.replace('\0', "") } else { text.to_owned() };
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        return (text, Some("too long; cut"));
    }
    (text, nul.then_some("NUL characters were taken out"))
}

/// The text of a value that may be a text or a number.
pub fn text_of(value: &Value) -> Result<String, Reason> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("not a text; left out"),
    }
}

/// A time: RFC 3339, or a date with or without a time of day, which is then UTC. As fine as Postgres keeps it.
pub fn time(text: &str) -> Option<DateTime<Utc>> {
    const FORMS: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc)).ok();
    let plain =
        || FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|time| time.and_utc());
    let time = zoned.or_else(plain).or_else(|| Some(day(text)?.and_time(chrono::NaiveTime::MIN).and_utc()))?;
    (1900..=2200).contains(&time.year()).then(|| time.trunc_subsecs(6))
}

fn day(text: &str) -> Option<NaiveDate> {
    let digits = text.len() == 10 && text.is_ascii();
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| digits && (1..=9999).contains(&day.year()))
}

/// A value as a custom field: of its type, or as JSON has it.
pub fn custom(value: Value, kind: Option<FieldType>) -> Result<(Value, Option<Reason>), Reason> {
    let Some(kind) = kind else {
        let mut noted = None;
        let value = tidy(value, &mut noted);
        return Ok((value, noted));
    };
    if value.is_null() {
        return Ok((Value::Null, None));
    }
    match (kind, &value) {
        (FieldType::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok((value, None)),
        (FieldType::Decimal, Value::Number(_)) | (FieldType::Boolean, Value::Bool(_)) => Ok((value, None)),
        (FieldType::List, Value::Array(_)) => custom(value, None),
        (FieldType::Text, Value::Bool(truth)) => Ok((Value::String(truth.to_string()), None)),
        _ => typed(text_of(&value).map_err(|_| wrong(kind))?.as_str(), kind),
    }
}

fn typed(text: &str, kind: FieldType) -> Result<(Value, Option<Reason>), Reason> {
    let short = text.trim();
    let value = match kind {
        FieldType::Text => {
            let (text, noted) = clean(text, MAX_TEXT);
            return Ok((Value::String(text), noted));
        }
        FieldType::List => {
            let (text, noted) = clean(text, MAX_TEXT);
            let words = text.split([',', ';']).map(str::trim).filter(|word| !word.is_empty());
            return Ok((words.map(Value::from).collect(), noted));
        }
        FieldType::Integer => short.parse::<i64>().ok().map(Value::from),
        FieldType::Decimal => short.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        FieldType::Boolean => truth(short).map(Value::Bool),
        FieldType::Date => match day(short) {
            Some(day) => Some(Value::String(day.to_string())),
            None => time(short).map(|time| Value::String(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))),
        },
    };
    value.map(|value| (value, None)).ok_or(wrong(kind))
}

fn wrong(kind: FieldType) -> Reason {
    match kind {
        FieldType::Text => "not a text; left out",
        FieldType::Integer => "not a whole number; left out",
        FieldType::Decimal => "not a number; left out",
        FieldType::Boolean => "neither true nor false; left out",
        FieldType::Date => "not a date; left out",
        FieldType::List => "not a list; left out",
    }
}

fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A tree of JSON without NUL, with ends to its texts and keys. Its depth has an end: that of the parser.
fn tidy(value: Value, noted: &mut Option<Reason>) -> Value {
    match value {
        Value::String(text) => {
            let (text, reason) = clean(&text, MAX_TEXT);
            *noted = noted.or(reason);
            Value::String(text)
        }
        Value::Array(list) => list.into_iter().map(|value| tidy(value, noted)).collect(),
        Value::Object(object) => Value::Object(tidy_object(object, noted)),
        value => value,
    }
}

fn tidy_object(object: Map<String, Value>, noted: &mut Option<Reason>) -> Map<String, Value> {
    let mut tidied = Map::new();
    for (name, value) in object {
        let (name, reason) = clean(&name, MAX_KEY);
        *noted = noted.or(reason);
        tidied.insert(name, tidy(value, noted));
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check_time(text: &str, expected: &str) {
        let found = time(text).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
        assert_eq!(found.unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn times() {
        check_time("2024-02-29", "2024-02-29T00:00:00Z");
        check_time(" 2024-02-29T10:11:12+02:00 ", "2024-02-29T08:11:12Z");
        check_time("2024-02-29 10:11:12.1234567", "2024-02-29T10:11:12.123456Z");
        check_time("2024-02-29T10:11", "2024-02-29T10:11:00Z");
        for bad in ["", "2023-02-29", "29.02.2024", "02/29/2024", "1709200000", "0001-01-01", "9999-12-31", "24-02-29"]
        {
            check_time(bad, "");
        }
    }

    fn check(value: Value, kind: Option<FieldType>, expected: Value) {
        let found = custom(value.clone(), kind).map_or(json!("bad"), |(value, _)| value);
        assert_eq!(found, expected, "{value} {kind:?}");
    }

    #[test]
    fn typed_fields() {
        use FieldType::{Boolean, Date, Decimal, Integer, List, Text};
        check(json!(" 12 "), Some(Integer), json!(12));
        check(json!(12.5), Some(Integer), json!("bad"));
        check(json!("1,5"), Some(Decimal), json!("bad"));
        check(json!("1.5"), Some(Decimal), json!(1.5));
        check(json!("NaN"), Some(Decimal), json!("bad"));
        check(json!("Yes"), Some(Boolean), json!(true));
        check(json!("perhaps"), Some(Boolean), json!("bad"));
        check(json!("2024-02-29"), Some(Date), json!("2024-02-29"));
        check(json!("2024-02-29 10:00"), Some(Date), json!("2024-02-29T10:00:00Z"));
        check(json!("a; b,,c"), Some(List), json!(["a", "b", "c"]));
        check(json!(7), Some(Text), json!("7"));
        check(json!(null), Some(Integer), json!(null));
        check(json!({"a\u{0}": ["\u{0}x", 1.5, null, ""]}), None, json!({"a": ["x", 1.5, null, ""]}));
        let (cut, noted) = custom(json!("é".repeat(MAX_TEXT)), None).expect("a text");
        assert_eq!((cut.as_str().map(str::len), noted), (Some(MAX_TEXT), Some("too long; cut")));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in any::<String>(), max in 0usize..9) {
            let (cleaned, _) = clean(&text, max);
            prop_assert!(cleaned.len() <= max && !cleaned.contains('\0'));
            let _ = time(&text);
            for kind in [FieldType::Text, FieldType::Integer, FieldType::Decimal, FieldType::Boolean, FieldType::Date, FieldType::List] {
                let _ = custom(Value::String(text.clone()), Some(kind));
            }
        }
    }
}
