//! Addresses and numbers that are missing, shared, or none.

use super::{customer, decoding, odd_customers, odd_users, recordings};
use deskbridge::model::field::{Given, SystemField};
use deskbridge::model::person::{IdentityKind, PersonRecord, RecordStatus};
use deskbridge::zendesk::decode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn emails(person: &PersonRecord) -> Vec<&str> {
    let of_kind = person.identities.iter().filter(|identity| identity.kind == IdentityKind::Email);
    of_kind.map(|identity| identity.value.as_str()).collect()
}

fn text(user: &Value, part: &str) -> String {
    user[part].as_str().unwrap_or_default().to_owned()
}

#[test]
fn no_address_is_an_answer_and_no_fault() {
    let made = vec![customer(json!({"email": null}))];
    for (value, person) in odd_customers(made, 800, |user| user.get("email") == Some(&Value::Null)) {
        assert_eq!(person.system[SystemField::Email], Given::Empty, "{value}");
        assert!(emails(&person).is_empty() && person.problems.is_empty(), "{value}");
    }
}

#[test]
fn an_address_may_come_back_under_another_id() {
    let made = vec![
        customer(json!({"id": 1, "email": "again@shop.example"})),
        customer(json!({"id": 2, "email": "Again@shop.example"})),
    ];
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, person) in odd_customers(made, 100, |user| user["email"].is_string()) {
        for email in emails(&person) {
            ids.entry(email.to_owned()).or_default().insert(person.record_id.clone());
        }
    }
    // Each of them finds a person by the same value: who that is, the flows decide.
    let reused = ids.values().filter(|ids| ids.len() > 1).count();
    assert!(reused > usize::from(recordings().is_some()), "{reused}");
    assert_eq!(ids["again@shop.example"].len(), 2);
}

#[test]
fn what_is_no_address_is_kept_beside_and_finds_nobody() {
    let made = vec![customer(json!({"email": "[email protected]"})), customer(json!({"email": "none"}))];
    for (value, person) in odd_customers(made, 0, |user| user["email"].as_str().is_some_and(|text| !text.contains('@')))
    {
        assert_eq!(person.system[SystemField::Email], Given::Absent);
        assert_eq!(person.fields["zd.email_invalid"], value["email"]);
        assert!(emails(&person).is_empty());
    }
    for (file, _, body) in recordings().into_iter().flat_map(|recordings| &recordings.deliveries) {
        let event = decoding(|ctx| decode::webhook(body, ctx)).expect("a webhook");
        let about: Value = serde_json::from_slice(body).expect("JSON");
        if about["detail"]["email"] == "[email protected]" {
            assert_eq!(event.batch.people.len(), 1, "{file}");
            assert!(emails(&event.batch.people[0]).is_empty(), "{file}");
        }
    }
}

#[test]
fn a_plus_is_part_of_the_address() {
    let made = vec![customer(json!({"email": "Ana+Shop@x.example"}))];
    let odd = |user: &Value| text(user, "email").split_once('@').is_some_and(|(name, _)| name.contains('+'));
    for (value, person) in odd_customers(made, 10, odd) {
        assert_eq!(emails(&person), [text(&value, "email").to_lowercase()]);
    }
}

#[test]
fn an_empty_text_of_a_webhook_is_no_value() {
    let made = json!({"id": "e-1", "type": "zen:event-type:user.created", "subject": "zen:user:7", "account_id": 1,
        "time": "2026-01-01T00:00:00Z", "event": {}, "detail": {"id": "7", "role": "end-user", "email": "",
        "external_id": "", "organization_id": "0", "updated_at": "2026-01-01T00:00:00Z"}});
    let recorded =
        recordings().into_iter().flat_map(|recordings| &recordings.deliveries).map(|(_, _, body)| body.clone());
    let mut seen = 0;
    for body in std::iter::once(made.to_string().into_bytes()).chain(recorded) {
        let event = decoding(|ctx| decode::webhook(&body, ctx)).expect("a webhook");
        let about: Value = serde_json::from_slice(&body).expect("JSON");
        for person in &event.batch.people {
            let has = |kind| person.identities.iter().any(|identity| identity.kind == kind);
            assert!(about["detail"]["external_id"] != "" || !has(IdentityKind::ExternalId), "{about}");
            assert!(about["detail"]["email"] != "" || !has(IdentityKind::Email), "{about}");
            assert_ne!(person.organization_record_id.as_deref(), Some(""));
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn numbers_that_cannot_be_dialled_are_kept_as_written_and_find_nobody() {
    let numbers = ["12345678", "CD(+48X666666644", "00 11 22", "call me"];
    let made = numbers.iter().map(|phone| customer(json!({"phone": phone, "shared_phone_number": false}))).collect();
    let odd = |user: &Value| {
        let phone = text(user, "phone");
        !phone.is_empty() && (!phone.starts_with('+') || phone.chars().any(char::is_alphabetic))
    };
    for (value, person) in odd_customers(made, 0, odd) {
        assert_eq!(person.system[SystemField::Phone], Given::Value(text(&value, "phone").trim().to_owned()));
        assert!(person.identities.iter().all(|identity| identity.kind != IdentityKind::Phone), "{value}");
    }
}

#[test]
fn the_deleted_keep_their_id_and_lose_the_rest() {
    let made = vec![customer(json!({"active": false, "email": null}))];
    for (value, person) in odd_users(made, 500, |user| user["active"] == false) {
        assert!(matches!(person.status, RecordStatus::Deleted | RecordStatus::Erased), "{value}");
        assert_eq!(person.record_id, value["id"].to_string());
        assert!(person.identities.is_empty() && person.fields.is_empty(), "{value}");
    }
}
