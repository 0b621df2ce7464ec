//! Values and what becomes of them, type by type.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn field(kind: &str) -> TargetField {
    TargetField {
        name: format!("user_fields.{kind}"),
        kind: kind.into(),
        active: true,
        options: ["gold", "Silver", "tin_plate"].map(String::from).to_vec(),
        pattern: (kind == "regexp").then(|| "\\A[a-z]{3}-\\d+\\Z".into()),
        max_chars: (kind == "short").then_some(5),
    }
}

fn check(kind: &str, value: Value, expected: Result<Value, &str>) {
    let found = form(&value, &field(kind), Phones::E164, Some("AU"));
    let found = found.map_err(|fault| {
        assert_eq!(fault.field.as_deref(), Some(format!("user_fields.{kind}").as_str()));
        fault.class
    });
    assert_eq!(found, expected.map_err(str::to_owned), "{kind} {value}");
}

#[test]
fn nothing_is_null_for_every_type() {
    for kind in [
        "text",
        "textarea",
        "checkbox",
        "date",
        "integer",
        "decimal",
        "regexp",
        "dropdown",
        "multiselect",
        "phone",
        "email",
    ] {
        for value in [json!(null), json!(""), json!("  \t"), json!([]), json!([""])] {
            check(kind, value, Ok(Value::Null));
        }
    }
}

#[test]
fn texts() {
    check("text", json!("  Ada\u{0}\tLovelace "), Ok(json!("Ada  Lovelace")));
    check("text", json!(12), Ok(json!("12")));
    check("text", json!(true), Ok(json!("true")));
    check("text", json!(["a", "b"]), Ok(json!("a, b")));
    check("text", json!({"a": 1}), Err("type"));
    check("textarea", json!("a\r\nb\u{7}"), Ok(json!("a\nb")));
    check("short", json!("übung"), Ok(json!("übung")));
    check("short", json!("übungen"), Err("too_long"));
    check("text", json!("x".repeat(70_000)), Err("too_long"));
    check("regexp", json!("abc-12"), Ok(json!("abc-12")));
    check("regexp", json!("abc-"), Err("pattern"));
    check("regexp", json!("xabc-12"), Err("pattern"));
}

#[test]
fn numbers() {
    check("integer", json!(7), Ok(json!(7)));
    check("integer", json!(" 7 "), Ok(json!(7)));
    check("integer", json!(7.0), Ok(json!(7)));
    check("integer", json!("7.5"), Err("not_integer"));
    check("integer", json!("many"), Err("not_a_number"));
    check("integer", json!(true), Err("not_a_number"));
    check("integer", json!("99999999999999999999"), Err("range"));
    check("decimal", json!(1.005), Ok(json!("1.01")));
    check("decimal", json!("0.1"), Ok(json!("0.10")));
    check("decimal", json!(0.1 + 0.2), Ok(json!("0.30")));
    check("decimal", json!("1,5"), Err("not_a_number"));
    check("decimal", json!("1e30"), Err("range"));
}

#[test]
fn dates() {
    check("date", json!("2026-02-28"), Ok(json!("2026-02-28")));
    check("date", json!("2026-02-28T23:30:00+02:00"), Ok(json!("2026-02-28")));
    check("date", json!("2012-07-23T00:00:00Z"), Ok(json!("2012-07-23")));
    check("date", json!("2026-02-30"), Err("not_a_date"));
    check("date", json!("28.02.2026"), Err("not_a_date"));
    check("date", json!("2026-02-281"), Err("not_a_date"));
    check("date", json!("+026-02-28"), Err("not_a_date"));
    check("date", json!(20260228), Err("not_a_date"));
    check("date", json!("ä026-02-28"), Err("not_a_date"));
}

#[test]
fn choices() {
    check("checkbox", json!("Yes"), Ok(json!(true)));
    check("checkbox", json!(0), Ok(json!(false)));
    check("checkbox", json!("maybe"), Err("type"));
    check("dropdown", json!("GOLD"), Ok(json!("gold")));
    check("dropdown", json!("silver"), Ok(json!("Silver")));
    check("dropdown", json!("tin plate"), Err("option"));
    check("multiselect", json!(["silver", "gold", "gold"]), Ok(json!(["Silver", "gold"])));
    check("multiselect", json!("gold, silver"), Ok(json!(["Silver", "gold"])));
    check("multiselect", json!(["gold", "lead"]), Err("option"));
    let twice = TargetField { options: vec!["Gold".into(), "GOLD".into()], ..field("dropdown") };
    let formed = |text: &str| form(&json!(text), &twice, Phones::E164, None).map_err(|fault| fault.class);
    assert_eq!(formed("gold"), Err("option".into()));
    assert_eq!(formed("GOLD"), Ok(json!("GOLD")));
}

#[test]
fn ways_to_reach_a_person() {
    check("phone", json!("0401 234 567"), Ok(json!("+61401234567")));
    check("phone", json!("+1 202 555 0173 x89"), Err("phone"));
    check("phone", json!("call me"), Err("phone"));
    check("email", json!(" <Ada@Example.COM> "), Ok(json!("Ada@Example.COM")));
    check("email", json!("nobody"), Err("email"));
    check("locale", json!("pt_BR"), Ok(json!("pt-BR")));
    check("locale", json!("portuguese!"), Err("locale"));
    check("time_zone", json!("Europe/Berlin"), Ok(json!("Europe/Berlin")));
    check("time_zone", json!("Eastern Time (US & Canada)"), Ok(json!("Eastern Time (US & Canada)")));
    check("time_zone", json!("42"), Err("time_zone"));
    check("lookup", json!(123), Ok(json!("123")));
    check("lookup", json!("x1"), Err("type"));
    let us = |text: &str| form(&json!(text), &field("phone"), Phones::Us, Some("AU")).map_err(|fault| fault.class);
    assert_eq!(us("(202) 555-0173"), Ok(json!("+12025550173")));
    assert_eq!(us("+61401234567"), Err("phone".into()));
}

#[test]
fn states_of_addresses() {
    let state = TargetField { name: "user_fields.state".into(), ..field("text") };
    let formed = |text: &str| form(&json!(text), &state, Phones::E164, None).map_err(|fault| fault.class);
    assert_eq!(formed("california"), Ok(json!("CA")));
    assert_eq!(formed("tx"), Ok(json!("TX")));
    assert_eq!(formed("Bavaria"), Err("state".into()));
}

#[test]
fn patterns_of_ruby_are_read_or_left() {
    let check = |text: &str, expected: bool| assert_eq!(pattern(text).is_some(), expected, "{text}");
    check("\\A\\d{3}\\Z", true);
    check("(?<year>\\d+)", true);
    check("(?=x)y", false);
    check("(?<!x)y", false);
    check("(a)\\1", false);
    check("(((a{100}){100}){100}){100}", false);
}

#[test]
fn sameness_is_the_fields() {
    let check = |kind: &str, a: Value, b: Value, expected: bool| {
        assert_eq!(same(&field(kind), &a, &b), expected, "{kind} {a} {b}");
        assert_eq!(same(&field(kind), &b, &a), expected, "{kind} {b} {a}");
    };
    check("date", json!("2012-07-23"), json!("2012-07-23T00:00:00Z"), true);
    check("date", json!("2012-07-23"), json!("2012-07-24T00:00:00Z"), false);
    check("dropdown", json!("Silver"), json!("silver"), true);
    check("multiselect", json!(["a", "B"]), json!(["b", "a"]), true);
    check("multiselect", json!(["a"]), json!(["b", "a"]), false);
    check("decimal", json!("12.30"), json!(12.3), true);
    check("decimal", json!("12.30"), json!("12.31"), false);
    check("integer", json!(7), json!("7"), true);
    check("checkbox", json!(false), json!(null), true);
    check("checkbox", json!(true), json!("true"), true);
    check("checkbox", json!(true), json!(null), false);
    check("text", json!(""), json!(null), true);
    check("text", json!("a"), json!(null), false);
    check("text", json!("a"), json!(" a "), true);
    check("text", json!("a"), json!("A"), false);
    check("textarea", json!("a\nb"), json!("a\r\nb"), true);
    check("email", json!("Ada@Example.com"), json!("ada@example.com"), true);
    check("phone", json!("+61401234567"), json!("+61 401 234 567"), true);
    check("external_id", json!("A-1"), json!("a-1"), true);
    check("locale", json!("pt-br"), json!("pt-BR"), true);
}

proptest! {
    #[test]
    fn what_is_formed_is_formed_alike_again_and_the_same(
        kind in prop::sample::select(vec!["text", "textarea", "checkbox", "date", "integer", "decimal", "dropdown", "multiselect", "phone",
            "email", "locale", "time_zone", "lookup"]),
        text in prop_oneof!["[ -~\\n\\t]{0,40}", "[0-9.eE-]{1,12}", "(gold|SILVER|yes|2026-0[1-9]-1[0-9].*)", "\\PC{0,12}"],
    ) {
        let field = field(kind);
        if let Ok(formed) = form(&json!(text), &field, Phones::E164, None) {
            prop_assert_eq!(form(&formed, &field, Phones::E164, None), Ok(formed.clone()));
            prop_assert!(same(&field, &formed, &formed));
        }
    }
}
