//! The three-way comparison, by tables and by a property.

use super::*;
use crate::model::push::{Owned, Written};
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;

fn terms() -> Terms {
    let names = ["name", "email", "external_id", "a", "over", "if_empty", "never_clear", "user_fields.tier", "status"];
    let mut terms = Terms::plain(Target::Users, &names);
    terms.fields.get_mut("over").expect("a term").conflict = Conflict::Overwrite;
    terms.fields.get_mut("if_empty").expect("a term").write = Write::IfEmpty;
    terms.fields.get_mut("never_clear").expect("a term").write = Write::NeverClear;
    terms.fields.get_mut("status").expect("a term").audience = Some(AudiencePart::Status);
    terms
}

fn wanted(value: Value) -> Wanted {
    serde_json::from_value(value).expect("wanted")
}

fn remote(values: Value) -> Remote {
    Remote { id: "1".into(), values: serde_json::from_value(values).expect("values"), ..Remote::default() }
}

fn written(v: Value) -> Written {
    Written { v, was: Value::Null, at: DateTime::UNIX_EPOCH, sent: None }
}

#[test]
fn a_field_is_written_kept_or_left_by_what_all_three_have() {
    let terms = terms();
    let check = |name: &str, wanted: Value, theirs: Value, last: Option<Value>, expected: Step| {
        let found = step(&terms.fields[name], &wanted, &theirs, last.as_ref());
        assert_eq!(found, expected, "{name}: wanted {wanted}, theirs {theirs}, last {last:?}");
    };
    let changed = || Step::Keep("changed_in_zendesk");
    check("a", json!("x"), json!("x"), None, Step::Nothing);
    check("a", json!(null), json!(""), None, Step::Nothing);
    check("a", json!("x"), json!("y"), None, Step::Write);
    check("a", json!(null), json!("y"), None, Step::Write);
    check("a", json!("x"), json!("y"), Some(json!("y")), Step::Write);
    check("a", json!("x"), json!("y"), Some(json!("x")), changed());
    check("a", json!("x"), json!("y"), Some(json!("z")), changed());
    check("over", json!("x"), json!("y"), Some(json!("z")), Step::Write);
    check("over", json!("x"), json!("y"), Some(json!("x")), changed());
    check("if_empty", json!("x"), json!(""), None, Step::Write);
    check("if_empty", json!("x"), json!("y"), None, Step::Keep("filled"));
    check("if_empty", json!("x"), json!("y"), Some(json!("y")), Step::Write);
    check("if_empty", json!("x"), json!("y"), Some(json!("z")), Step::Keep("filled"));
    check("if_empty", json!("x"), json!(null), Some(json!("x")), changed());
    check("never_clear", json!(null), json!("y"), Some(json!("y")), Step::Nothing);
    check("never_clear", json!("x"), json!("y"), None, Step::Write);
    check("external_id", json!("AB-1"), json!("ab-1"), None, Step::Nothing);
    check("email", json!("b@x.io"), json!("a@x.io"), None, Step::Write);
    check("email", json!("b@x.io"), json!("a@x.io"), Some(json!("b@x.io")), Step::Nothing);
}

#[test]
fn who_may_not_be_written_is_not() {
    let terms = terms();
    let check = |standing: Standing, wants: Value, expected: &str| {
        let theirs = Remote { standing, ..remote(json!({"a": "y"})) };
        let found = match diff(&terms, &wanted(wants), None, true, Some(&theirs), None) {
            Decision::Write { .. } => "write".to_string(),
            Decision::Unchanged { .. } => "unchanged".to_string(),
            Decision::Skip(fault) => format!("skip {}", fault.class),
            Decision::Fail(fault) => format!("fail {}", fault.class),
        };
        assert_eq!(found, expected, "{standing:?}");
    };
    let some = || json!({"values": {"a": "x"}});
    check(Standing::Normal, some(), "write");
    check(Standing::Suspended, some(), "write");
    check(Standing::Agent, some(), "fail agent");
    check(Standing::Shared, some(), "fail shared");
    check(Standing::Deleted, some(), "fail deleted");
    check(Standing::Deleted, json!({"values": {"status": "exited"}, "tags": {"t": false}}), "skip deleted");
    check(Standing::Deleted, json!({"values": {"status": "realized"}}), "fail deleted");
    check(Standing::Normal, json!({"values": {"role": "admin"}}), "fail forbidden_field");
    check(Standing::Normal, json!({"values": {"b": "x"}}), "fail field_missing");
    check(Standing::Normal, json!({"values": {"user_fields.tier": "x"}}), "fail field_missing");
}

#[test]
fn only_who_can_be_found_again_is_created() {
    let check = |key: KeyKind, create: bool, wants: Value, key_value: Option<&str>, expected: &str| {
        let terms = Terms { key, create, ..terms() };
        let found = match diff(&terms, &wanted(wants), key_value, false, None, None) {
            Decision::Write { before: None, changes, .. } => json!(changes).to_string(),
            Decision::Fail(fault) | Decision::Skip(fault) => fault.class,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected);
    };
    let named = || json!({"values": {"name": "Homer", "a": null}, "tags": {"t": true, "u": false}});
    let sent = r#"{"add_tags":["t"],"values":{"name":"Homer"}}"#;
    check(KeyKind::ExternalId, true, named(), Some("e1"), sent);
    check(KeyKind::ExternalId, false, named(), Some("e1"), "not_in_zendesk");
    check(KeyKind::Email, true, json!({"values": {"status": "exited"}}), Some("a@x.io"), "not_in_zendesk");
    check(KeyKind::RecordId, true, named(), None, "not_identified");
    check(KeyKind::Field("user_fields.tier".into()), true, json!({"values": {"a": "x"}}), Some("v"), "not_identified");
    let mailed = json!({"values": {"email": "a@x.io"}});
    check(KeyKind::Field("user_fields.tier".into()), true, mailed, Some("v"), r#"{"values":{"email":"a@x.io"}}"#);
}

#[test]
fn tags_and_memberships_are_taken_away_only_where_we_gave_them() {
    let theirs = Remote {
        tags: ["vip", "old"].map(String::from).into(),
        organizations: Some(["7", "8", "9"].map(String::from).into()),
        ..remote(json!({}))
    };
    let wants = wanted(json!({"values": {}, "tags": {"VIP": true, "old": false, "new": true, "gone": false},
        "organizations": {"7": false, "8": false, "9": false, "10": true}}));
    let mut last = Delivered { record_id: Some("1".into()), ..Delivered::default() };
    last.owned.organizations = ["7", "8"].map(String::from).into();
    let check = |last: &Delivered, expected: Value| {
        let Decision::Write { changes, .. } = diff(&terms(), &wants, None, true, Some(&theirs), Some(last)) else {
            panic!("nothing to write");
        };
        assert_eq!(json!(changes), expected);
    };
    check(&last, json!({"values": {}, "add_tags": ["new"], "join": ["10"], "leave": ["8"]}));
    last.owned = Owned { tags: ["old".to_string()].into(), ..Owned::default() };
    check(&last, json!({"values": {}, "add_tags": ["new"], "remove_tags": ["old"], "join": ["10"]}));
    last.record_id = Some("2".into());
    check(&last, json!({"values": {}, "add_tags": ["new"], "join": ["10"]}));
}

const FIELDS: [&str; 4] = ["a", "over", "if_empty", "never_clear"];

fn values() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(prop::sample::select(vec![json!(null), json!("1"), json!("2"), json!("3")]), 4)
}

fn flags() -> impl Strategy<Value = Vec<Option<bool>>> {
    proptest::collection::vec(prop::option::of(any::<bool>()), 4)
}

/// A record after a change, as Zendesk has it.
fn applied(mut record: Remote, changes: &Changes) -> Remote {
    record.tags = tags_after(Some(&record), changes);
    record.values.extend(changes.values.clone());
    let joined = record.organizations.get_or_insert_default();
    joined.retain(|id| !changes.leave.contains(id));
    joined.extend(changes.join.iter().cloned());
    record
}

proptest! {
    #[test]
    fn what_was_applied_is_not_wanted_again(
        want in values(), has in values(), wrote in values(), wrote_any in flags(),
        tags in flags(), worn in flags(), ours in flags(),
    ) {
        let names = || FIELDS.iter().map(|name| name.to_string());
        let on = |flags: &[Option<bool>]| -> BTreeSet<String> {
            names().zip(flags).filter(|(_, flag)| **flag == Some(true)).map(|(name, _)| name).collect()
        };
        let flagged: BTreeMap<String, bool> =
            names().zip(&tags).filter_map(|(name, flag)| Some((name, (*flag)?))).collect();
        let wanted = Wanted { values: names().zip(want).collect(), tags: flagged.clone(), organizations: flagged };
        let default = std::iter::once("0".to_string());
        let theirs = Remote {
            id: "1".into(),
            values: names().zip(has).collect(),
            tags: on(&worn),
            organizations: Some(default.chain(on(&worn)).collect()),
            ..Remote::default()
        };
        let known = names().zip(wrote).zip(&wrote_any).filter(|(_, flag)| **flag == Some(true));
        let mut last = Delivered {
            written: known.map(|((name, value), _)| (name, written(value))).collect(),
            owned: Owned { tags: on(&ours), organizations: on(&ours) },
            ..Delivered::default()
        };
        let Decision::Write { changes, before, .. } = diff(&terms(), &wanted, None, true, Some(&theirs), Some(&last)) else {
            return Ok(());
        };
        for (name, value) in &changes.values {
            let ours = last.written.get(name).map(|written| &written.v);
            let theirs = &theirs.values[name];
            prop_assert!(ours.is_none_or(|v| v == theirs) || name == "over", "{name}: {value} over {theirs}, ours {ours:?}");
            prop_assert!(!(name == "never_clear" && value.is_null()));
        }
        prop_assert!(changes.remove_tags.is_subset(&last.owned.tags));
        prop_assert!(changes.leave.is_subset(&last.owned.organizations));
        let after = applied(theirs.clone(), &changes);
        prop_assert!(theirs.tags.difference(&after.tags).all(|tag| changes.remove_tags.contains(tag)));
        prop_assert_eq!(before, Some(excerpt(&theirs, &wanted)));
        for (name, value) in &changes.values {
            last.written.insert(name.clone(), written(value.clone()));
        }
        let again = diff(&terms(), &wanted, None, true, Some(&after), Some(&last));
        prop_assert!(matches!(again, Decision::Unchanged { .. }), "{again:?}");
    }
}
