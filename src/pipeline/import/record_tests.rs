//! Tests of [`super`].

use super::*;
use crate::pipeline::import::mapping::Mapping;
use crate::pipeline::import::rows::{Format, How, Item, Rows};
use proptest::prelude::*;

fn reading() -> Reading {
    let identifiers = vec![IdentityKind::Email, IdentityKind::ExternalId];
    Reading { identifiers, region: Some("AU".into()), blocked: vec!["@blocked.test".into()], message_bytes: Some(100) }
}

/// Records of the only row.
fn one(json: &str) -> Result<Records, Fault> {
    let how = How { format: Format::Ndjson, mapping: Mapping::default(), key: Some("id".into()), clear_empty: false };
    let mut rows = Rows::new(json.as_bytes(), how).expect("a file");
    match rows.advance().expect("bytes in memory") {
        Item::Row(row) => read(row, &reading()),
        Item::Bad(fault) => Err(fault),
        Item::End => panic!("no row"),
    }
}

fn check_id(json: &str, expected: Option<&str>) {
    let id = one(json).ok().map(|records| records.person.record_id);
    assert_eq!(id.as_deref(), expected, "{json}");
}

#[test]
fn what_a_row_is_known_by() {
    check_id(r#"{"id":7,"external_id":"X1","email":"a@x.io"}"#, Some("7"));
    check_id(r#"{"id":null,"external_id":"X1","email":"a@x.io"}"#, Some("x1"));
    check_id(r#"{"external_id":12,"email":"a@x.io"}"#, Some("12"));
    check_id(r#"{"external_id":"0","email":" <Homer@X.io> "}"#, Some("homer@x.io"));
    check_id(r#"{"name":"Homer"}"#, None);
    check_id(r#"{"email":"homer","name":"Homer"}"#, None);
    check_id(r#"{}"#, None);
    let digest = |json: &str| one(json).expect("somebody").person.record_id;
    assert!(digest(r#"{"phone":"0401 234 567"}"#).starts_with("row-"), "a phone may be shared (I4)");
    assert_eq!(digest(r#"{"phone":"0401 234 567","a":1}"#), digest(r#"{"a":1,"phone":"+61401234567"}"#));
    assert!(digest(r#"{"email":"jobs@blocked.test"}"#).starts_with("row-"));
}

fn check_faults(json: &str, expected: &[&str]) {
    let records = one(json).expect("a row that is applied");
    let found: Vec<&str> = records.faults.iter().map(|fault| fault.column.as_str()).collect();
    assert_eq!(found, expected, "{json}");
}

#[test]
fn a_bad_part_is_left_out_and_the_rest_stands() {
    check_faults(r#"{"id":1,"email":"homer","plan":"gold"}"#, &["email"]);
    check_faults(r#"{"id":1,"email":["a@x.io"],"locale":true}"#, &["email", "locale"]);
    check_faults(r#"{"id":1,"plan":"a\u0000b"}"#, &["plan"]);
    check_faults(r#"{"id":1,"consent":{"email":"yes"}}"#, &["consent.email"]);
    check_faults(r#"{"id":1,"consent":{"email":{"action":"grant","at":"soon"}}}"#, &["consent.email.at"]);
    check_faults(
        r#"{"id":1,"consent":{"sms":{"action":"deny","evidence":"admin_withdrawal"}}}"#,
        &["consent.sms.evidence"],
    );
    check_faults(r#"{"id":1,"activities":[{"type":"zd.a"},{"type":"zd.b"}]}"#, &["activities.type"]);
    check_faults(&format!(r#"{{"id":1,"external_id":"{}"}}"#, "x".repeat(2000)), &["external_id"]);
    check_faults(&format!(r#"{{"id":1,"name":"{}"}}"#, "x".repeat(5000)), &["name"]);
    assert!(one(r#"{"id":1,"email":"homer"}"#).expect("a row").faults[0].reason.find("homer").is_none());
}

#[test]
fn a_person_with_everything() {
    let records = one(
        r#"{"email":"Jane@Shop.Test","name":"Jane  Doe","phone":"0401 234 567","locale":"en","time_zone":null,"plan":"gold",
            "seats":3,"old":null,"organization":{"name":"Acme","domain":"@Acme.Test"},
            "consent":{"email":{"action":"Grant","at":"2024-01-01","wording":"News, please"},"sms":"withdraw"},
            "activities":[{"type":"order.paid","occurred_at":"2024-01-02T03:04:05Z","total":9}]}"#
            .replace('\n', " ")
            .as_str(),
    )
    .expect("a row");
    let person = &records.person;
    assert_eq!(person.name, NameGiven::Whole("Jane Doe".into()));
    assert_eq!(person.system[SystemField::Email], Given::Value("Jane@Shop.Test".into()));
    assert_eq!(person.system[SystemField::Phone], Given::Value("+61401234567".into()));
    assert_eq!(person.system[SystemField::TimeZone], Given::Empty);
    assert_eq!(person.system[SystemField::ExternalId], Given::Absent);
    assert_eq!(serde_json::to_string(&person.fields).expect("a map"), r#"{"old":null,"plan":"gold","seats":3}"#);
    let keys: Vec<&str> = person.identities.iter().map(|identity| identity.value.as_str()).collect();
    assert_eq!((keys, person.organization_record_id.as_deref()), (vec!["jane@shop.test"], Some("name:acme")));
    let [email, sms] = person.consents.as_slice() else { panic!("two consents") };
    assert_eq!((email.action, email.evidence), (ConsentAction::Grant, Evidence::SingleGrant));
    assert_eq!((email.wording.as_deref(), email.occurred_at.is_some()), (Some("News, please"), true));
    assert_eq!((sms.action, sms.evidence, sms.occurred_at), (ConsentAction::Withdraw, Evidence::AdminWithdrawal, None));
    assert_eq!(records.organization.as_ref().map(|found| found.domains.clone()), Some(vec!["acme.test".to_owned()]));
    assert_eq!((records.activities.len(), records.faults.len()), (1, 0));
}

#[test]
fn no_column_is_no_consent_unlike_r44() {
    assert!(one(r#"{"email":"a@x.io"}"#).expect("a row").person.consents.is_empty());
    assert!(one(r#"{"email":"a@x.io","consent":{"email":null}}"#).expect("a row").person.consents.is_empty());
}

#[test]
fn parts_of_a_name_go_before_the_whole() {
    let person = one(r#"{"email":"a@x.io","name":"X Y","first_name":" Ann ","last_name":null}"#).expect("a row").person;
    assert_eq!(person.name, NameGiven::Parts);
    assert_eq!(person.system[SystemField::FirstName], Given::Value("Ann".into()));
    assert_eq!(person.system[SystemField::LastName], Given::Empty);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(key in "(id|email|phone|name|first_name|external_id|consent|organization|activities|x)", text in any::<String>()) {
        let inner = serde_json::json!({"type": text, "occurred_at": text, "email": text, "name": text, "message": text});
        for value in [serde_json::json!(text), serde_json::json!([inner]), inner] {
            let _ = one(&serde_json::json!({"external_id": "1", key.as_str(): value}).to_string());
        }
    }
}
