//! What the tests of the decoders share.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::context::DecodeContext;
use super::json::members;
use crate::model::person::IdentityKind;
use crate::model::source::SourceSettings;

/// A webhook of a ticket, to be given a NAME and an EVENT.
pub(super) const TICKET_WEBHOOK: &str = r#"{"account_id":22129848,"detail":{"actor_id":"42","assignee_id":"9","brand_id":"3","created_at":
    "2025-01-08T10:00:00Z","custom_status":"4","description":"on fire","external_id":null,"form_id":"0","group_id":"5","id":"155",
    "is_public":true,"organization_id":"6","priority":"LOW","requester_id":"7","status":"OPEN","subject":"Printer","submitter_id":
    "7","tags":["b","a"],"type":"TASK","updated_at":"2025-01-08T10:12:07Z","via":{"channel":"web_service"}},"event":EVENT,
    "id":"cbe4028c","subject":"zen:ticket:155","time":"2025-01-08T10:12:07.672717030Z","type":"zen:event-type:ticket.NAME"}"#;

/// JSON that a test wrote.
pub(super) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("a test writes JSON")
}

/// Settings with every kind of identity.
pub(super) fn settings() -> SourceSettings {
    let identifiers = vec![IdentityKind::ExternalId, IdentityKind::Email, IdentityKind::Phone];
    SourceSettings { identifiers, ..SourceSettings::default() }
}

/// A context that keeps messages of up to 20 bytes and no private comments.
pub(super) fn context(settings: &SourceSettings) -> DecodeContext<'_> {
    DecodeContext {
        settings,
        subdomain: Some("acme"),
        default_region: Some("AU"),
        blocked: &[],
        message_max_bytes: 20,
        store_message_bodies: true,
        private_comments: false,
    }
}

/// Values that break what trusts its input.
fn hostile_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e999",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud83d\"",
        "\"2024-99-99T00:00:00Z\"",
        "[]",
        "{}",
        "[null,1,{\"id\":[]}]",
        "{\"id\":{},\"value\":[],\"tags\":3,\"\\u0000\":\"\\u0000\"}",
        "9223372036854775807",
        "\"-9223372036854775808\"",
        "\"+262143-12-31T23:59:59Z\"",
        "253402300800",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push("9".repeat(2_000));
    values.push(format!("{}{}", "[".repeat(300), "]".repeat(300)));
    values.push(format!("\"{}\"", "é ".repeat(50_000)));
    values
}

/// The object with some of its values exchanged for hostile ones.
pub(super) fn mutated(base: &str) -> impl Strategy<Value = String> + use<> {
    let mut parts: Vec<(String, String)> = Vec::new();
    assert!(
        members(base, |key, value| parts.push((key.into_owned(), value.get().to_owned()))),
        "a test writes an object"
    );
    let values = hostile_values();
    let choices = proptest::collection::vec(proptest::option::weighted(0.3, 0..values.len()), parts.len());
    choices.prop_map(move |choices| {
        let members = parts.iter().zip(choices).map(|((key, value), choice)| {
            format!("{key:?}:{}", choice.map_or(value.as_str(), |choice| values[choice].as_str()))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}
