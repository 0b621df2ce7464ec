//! Both grammars, by example: the same filter written twice is one filter, and a wrong one is refused at the wrong part.

use super::read;
use crate::model::filter::{About, Asked, Filter};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Checks that the two read as the same filter.
fn same(ortto: Value, readable: Value) {
    assert_eq!(read(&ortto).expect("Ortto's"), read(&readable).expect("the readable"), "{ortto} {readable}");
}

#[test]
fn both_grammars_say_the_same() {
    let leaf = |operator: &str, field: &str, value: Value| json!({operator: {"field_id": field, "value": value}});
    same(leaf("$str::is", "str::email", json!("a@b.c")), json!({"field": "email", "is": "a@b.c"}));
    same(leaf("$str::is_not", "str::first", json!("Ann")), json!({"field": "first_name", "is_not": "Ann"}));
    same(leaf("$str::contains", "str:zd:notes", json!("x")), json!({"field": "zd.notes", "contains": "x"}));
    same(leaf("$int::greater_than", "int:zd:seats", json!(5)), json!({"field": "zd.seats", "greater_than": 5}));
    same(leaf("$int::between", "int:zd:seats", json!([1, 5])), json!({"field": "zd.seats", "between": [1, 5]}));
    same(leaf("$bol::is", "bol:zd:vip", json!(true)), json!({"field": "zd.vip", "is": true}));
    same(leaf("$bol::is", "bol::p", json!(true)), json!({"consent": "email"}));
    same(leaf("$bol::is", "bol::sp", json!(false)), json!({"consent": "sms", "granted": false}));
    same(leaf("$geo::is", "geo:zd:city", json!({"name": "Rome"})), json!({"field": "zd.city", "is": "Rome"}));
    same(leaf("$str::is", "str:o:name", json!("Acme")), json!({"organization": [{"field": "name", "is": "Acme"}]}));
    same(
        leaf("$id_set_is", "sst:zd:tier", json!(["gold", {"id": "silver"}])),
        json!({"field": "zd.tier", "one_of": ["gold", "silver"]}),
    );
    same(json!({"$has_no_value": {"field_id": "str::ei"}}), json!({"field": "external_id", "has_value": false}));
    same(json!({"$is_not_member_of": {"value": "regulars"}}), json!({"audience": "regulars", "member": false}));
    let when = |operator: &str, value: Value, words: &str| {
        same(leaf(operator, "dtz:zd:renewal", value), json!({"field": "zd.renewal", "when": words}));
    };
    when("$dtz::absolute_on", json!({"year": 2026, "month": 3, "day": 31}), "on 2026-03-31");
    when(
        "$dtz::absolute_between",
        json!({"from": "2026-03-01T00:00:00Z", "to": "2026-03-31"}),
        "from 2026-03-01 to 2026-03-31",
    );
    when("$dtz::relative_less_than", json!(7), "less than 7 days ago");
    when(
        "$dtz::relative_more_than",
        json!({"value": 2, "unit": "weeks", "direction": "future"}),
        "more than 2 weeks ahead",
    );
    when("$dtz::occurs_in", json!(3), "exactly 3 days ahead");
    when("$dtz::age_exactly", json!({"value": 18, "unit": "years"}), "age exactly 18 years");
    when("$dtz::anniversary", Value::Null, "anniversary");
}

#[test]
fn activities_groups_and_zones() {
    same(
        json!({"$and": [
            {"$act::has_occurred": {"field_id": "act:zd:ticket.created", "times": ">= 3", "within": "30 days", "timezone": "Europe/Berlin",
                "attributes": [{"$str::is": {"field_id": "str:zd:channel", "value": "email"}}], "label": "Ticket created", "icon": "zd"}},
            {"$orgroup": [{"$act::has_not_occurred": {"field_id": "act:zd:satisfaction.rated"}},
                {"$act::last": {"field_id": "act:zd:satisfaction.rated", "value": {"$dtz::relative_more_than": {"value": 90}}}}]},
        ], "name": "pasted", "formData": {}}),
        json!({"all": [
            {"activity": "zd.ticket.created", "count": ">= 3", "within": "30 days", "zone": "Europe/Berlin",
                "where": [{"attribute": "channel", "is": "email"}]},
            {"any": [{"activity": "zd.satisfaction.rated", "count": 0},
                {"activity": "zd.satisfaction.rated", "last": "more than 90 days ago"}]},
        ]}),
    );
}

#[test]
fn a_wrong_filter_is_refused_at_the_wrong_part() {
    let check = |filter: Value, path: &str, words: &str| {
        let error = read(&filter).expect_err("refused");
        assert_eq!(error.path, path, "{error}");
        assert!(error.problem.contains(words), "{error}");
    };
    check(json!({"$and": [{"$str::is": {"field_id": "str::email"}}]}), "filter.$and[0].$str::is.value", "missing");
    check(
        json!({"$str::is": {"field_id": "str::email", "value": 5}}),
        "filter.$str::is.value",
        "expected a text, found 5",
    );
    check(json!({"$str::like": {"field_id": "str::email", "value": "x"}}), "filter.$str::like", "no such operator");
    check(json!({"$int::is": {"field_id": "str::shoe", "value": 1}}), "filter.$int::is.field_id", "field id");
    check(json!({"$and": [], "$or": []}), "filter", "one operator");
    check(json!({"all": [{"field": "email", "iss": "x"}]}), "filter.all[0].iss", "unknown here");
    check(json!({"all": [{"field": "shoe_size", "is": "x"}]}), "filter.all[0].field", "a field such as");
    check(json!({"field": "email", "is": "x", "contains": "y"}), "filter", "exactly one of");
    check(json!({"field": "zd.renewal", "when": "30 days ago"}), "filter.when", "less than 30 days ago");
    check(json!({"activity": "zd.ticket.created", "within": "0 days"}), "filter.within", "a frame");
    check(json!({"activity": "zd.ticket.created", "count": "5..2"}), "filter.count", "a count");
    check(json!({"tickets": [{"field": "colour", "is": "x"}]}), "filter.tickets[0].field", "status, priority");
    check(json!({"field": "email", "is": "x", "zone": "Mars/Base"}), "filter.zone", "time zone");
    check(json!("email"), "filter", "a table");
    check(json!([1]), "filter", "a table");
}

#[test]
fn filters_have_limits_r55() {
    let many = |number, leaf: Value| json!({"any": vec![leaf; number]});
    let field = json!({"field": "email", "has_value": true});
    let activity = json!({"activity": "zd.ticket.created"});
    assert!(read(&many(50, field.clone())).is_ok());
    assert!(read(&many(51, field.clone())).expect_err("too many").problem.contains("51 conditions"));
    assert!(read(&many(15, activity.clone())).is_ok());
    assert!(read(&many(16, activity)).expect_err("too many").problem.contains("16 conditions about activities"));
    let deep = (0..12).fold(field, |inner, _| json!({"all": [inner]}));
    assert!(read(&deep).expect_err("too deep").problem.contains("deep"));
}

#[test]
fn a_frame_of_days_holds_today() {
    let Ok(Filter::Is(condition)) = read(&json!({"activity": "a.b", "within": "12 hours"})) else {
        panic!("one condition")
    };
    let About::Activity(activity) = condition.about else { panic!("an activity") };
    assert_eq!(
        activity.asked,
        Asked::Times(crate::model::filter::Count::SOME, Some(crate::model::filter::Frame::LastMinutes(720)))
    );
}

/// Values that look like filters, and anything else.
fn anything() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "$and",
        "$str::is",
        "$dtz::occurs_in",
        "$act::last",
        "$id_set_is",
        "field_id",
        "value",
        "all",
        "any",
        "field",
        "is",
        "when",
        "activity",
        "count",
        "within",
        "where",
        "attribute",
        "zone",
        "email",
        "zd.tier",
        "less than 3 days ago",
        "2026-02-30",
        ">= 9",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(words.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(value in anything()) {
        if let Err(error) = read(&value) {
            prop_assert!(error.path.starts_with("filter"));
        }
    }
}
