//! Input that nobody sends in good faith: JSON of any shape, and records as Zendesk writes them with parts exchanged.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// A change of a record: where, and what. The place is taken modulo the number of its parts.
#[derive(Debug, Clone)]
pub struct Change {
    place: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Put(String),
    LeaveOut,
    Double(String),
    Add(String, String),
}

/// Many times the same small thing.
fn many() -> impl Strategy<Value = String> {
    let size = prop_oneof![4 => 0..50_usize, 2 => 0..3_000_usize, 1 => 0..40_000_usize];
    (0..14_u8, size).prop_map(|(kind, size)| {
        let list = |one: &dyn Fn(usize) -> String| (0..size).map(one).collect::<Vec<_>>().join(",");
        match kind {
            0 => format!("\"{}\"", "é ".repeat(size)),
            1 => format!("\"{}\"", "\\u0000".repeat(size)),
            2 => format!("\"{}\"", "[".repeat(size)),
            3 => "9".repeat(size + 1),
            4 => format!("{}1{}", "[".repeat(size), "]".repeat(size)),
            5 => format!("{}1{}", "{\"a\":".repeat(size), "}".repeat(size)),
            6 => format!("[{}]", list(&|_| "\"\"".into())),
            7 => format!("[{}]", list(&|_| "{}".into())),
            8 => format!("[{}]", list(&|_| "0".into())),
            9 => format!("[{}]", list(&|n| format!("\"{n}\""))),
            10 => format!("{{{}}}", list(&|n| format!("\"{n}\":{n}"))),
            11 => format!("{{{}}}", list(&|_| "\"\":{\"\":1}".into())),
            12 => format!(
                "[{}]",
                list(&|n| format!("{{\"id\":{n},\"value\":\"{n}\",\"type\":\"Change\",\"status\":\"{n}\"}}"))
            ),
            _ => format!("[{}]", list(&|n| format!("{{\"value\":\"{n}\"}}"))),
        }
    })
}

/// Small values that break what trusts its input.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-1",
            "1.5",
            "-0.0",
            "1e999",
            "1e-999",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551616",
            "253402300800",
            "\"\"",
            "\" \"",
            "\"-\"",
            "\"0\"",
            "\"\\u0000\"",
            "\"\\ud83d\"",
            "\"\\ude00\\ud83d\"",
            "\"2024-99-99T00:00:00Z\"",
            "\"+262143-12-31T23:59:59Z\"",
            "\"-262144-01-01T00:00:00Z\"",
            "\"0000-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:60.999999999999Z\"",
            "[]",
            "{}",
            "[null,1,{\"id\":[]}]",
            "{\"id\":{},\"value\":[],\"\\u0000\":\"\\u0000\"}",
            "\"zen:ticket:5\"",
            "\"zen:user:99999999999999999999\"",
            "\"archived\"",
            "\"deleted\"",
            "\"a@b@c\"",
            "\"+1 (234) 567 ext. 8\"",
            "[\"b\",\"a\",\"b\",\"\"]",
            "{\"channel\":{\"channel\":1}}",
            "\"\u{202e}\u{feff}\u{1f468}\u{200d}\u{1f469}\"",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no such numbers", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        any::<String>().prop_map(|text| Value::String(text).to_string()),
    ]
}

/// A key that records have, or any.
fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "id",
        "type",
        "value",
        "status",
        "tags",
        "custom_fields",
        "360001",
        "field_name",
        "previous_value",
        "error",
        "meta",
    ];
    prop_oneof![prop::sample::select(known).prop_map(str::to_owned), any::<String>()]
}

/// JSON of any shape.
pub fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![8 => odd(), 1 => many()];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|list| format!("[{}]", list.join(","))),
            vec((key(), inner), 0..6).prop_map(|members| {
                let members = members.into_iter().map(|(key, value)| format!("{}:{value}", Value::String(key)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Bytes that are none of that: cut off, not UTF-8, other formats.
pub fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        "(?s)[{}\\[\\]\",:\\\\udD8c0 a1<>é]{0,200}".prop_map(String::into_bytes),
        (json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
            let mut bytes = text.into_bytes();
            let place = at.index(bytes.len());
            if byte < 128 {
                bytes.truncate(place)
            } else {
                bytes[place] = byte
            }
            bytes
        }),
    ]
}

/// Changes of a record: few, so that some of it stays whole.
pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    let value = prop_oneof![4 => odd(), 2 => many(), 2 => json()].boxed();
    let what = prop_oneof![
        6 => value.clone().prop_map(What::Put),
        1 => Just(What::LeaveOut),
        1 => value.clone().prop_map(What::Double),
        2 => (key(), value).prop_map(|(key, value)| What::Add(key, value)),
    ];
    vec((any::<usize>(), what).prop_map(|(place, what)| Change { place, what }), 1..5)
}

/// The record with these changes, in the order of its parts.
pub fn changed(record: &Value, changes: &[Change]) -> String {
    let parts = count(record).max(1);
    let mut text = String::new();
    write(record, changes, parts, &mut 0, &mut text);
    text
}

/// Members of all objects and elements of all lists.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(|one| 1 + count(one)).sum(),
        Value::Object(map) => map.values().map(|one| 1 + count(one)).sum(),
        _ => 0,
    }
}

fn write(value: &Value, changes: &[Change], parts: usize, next: &mut usize, text: &mut String) {
    let mut part = |name: Option<&str>, inner: &Value, text: &mut String| {
        let change = changes.iter().find(|change| change.place % parts == *next);
        *next += 1;
        let mut whole = String::new();
        write(inner, changes, parts, next, &mut whole);
        let before = name.map(|name| format!("{}:", Value::from(name))).unwrap_or_default();
        let piece = match change.map(|change| &change.what) {
            None => format!("{before}{whole}"),
            Some(What::Put(other)) => format!("{before}{other}"),
            Some(What::LeaveOut) => return,
            Some(What::Double(other)) => format!("{before}{whole},{before}{other}"),
            Some(What::Add(key, other)) if name.is_some() => {
                format!("{before}{whole},{}:{other}", Value::from(key.as_str()))
            }
            Some(What::Add(_, other)) => format!("{whole},{other}"),
        };
        if !text.ends_with(['[', '{']) {
            text.push(',');
        }
        text.push_str(&piece);
    };
    match value {
        Value::Array(list) => {
            text.push('[');
            list.iter().for_each(|one| part(None, one, text));
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            map.iter().for_each(|(name, one)| part(Some(name), one, text));
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}
