//! Records whose keys, values and texts vary.

use super::{customer, decoding, odd_tickets, odd_users, recordings, ticket};
use deskbridge::model::person::{IdentityKind, RecordStatus};
use deskbridge::zendesk::decode;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

#[test]
fn agents_and_admins_are_no_customers() {
    let made = vec![customer(json!({"role": "agent"})), customer(json!({"role": "admin", "custom_role_id": 4}))];
    for (value, person) in
        odd_users(made, 50, |user| user["active"] == true && user["role"] != "end-user" && user["role"].is_string())
    {
        assert_eq!(person.status, RecordStatus::Agent, "{value}");
        assert!(person.identities.iter().all(|identity| identity.kind != IdentityKind::Email), "{value}");
        assert!(person.fields.is_empty(), "{value}");
    }
}

#[test]
fn a_user_comes_with_many_sets_of_keys() {
    let made = vec![
        json!({"id": 1, "url": "u", "name": "Of 2012", "locale_id": null, "active": true, "role": "end-user"}),
        json!({"id": 2, "name": "Of 2017", "chat_only": false, "abilities": {"can_edit": true}, "role": "end-user"}),
        json!({"id": 3, "name": "Of 2023", "report_csv": false, "iana_time_zone": "Europe/Lisbon", "role": "end-user"}),
        json!({"id": 4, "role": "end-user"}),
    ];
    let mut sets = BTreeSet::new();
    for (value, person) in odd_users(made, 2000, Value::is_object) {
        sets.insert(value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>());
        assert_eq!(person.record_id, value["id"].to_string().trim_matches('"'));
        assert_eq!(person.unknown, None, "{value}");
    }
    assert!(sets.len() >= if recordings().is_some() { 19 } else { 4 }, "{}", sets.len());
}

#[test]
fn values_of_custom_fields_are_nothing_truths_texts_or_lists() {
    let values = [json!(null), json!(true), json!("a"), json!(["a", "b"]), json!(7), json!(1.5)];
    let pairs: Vec<_> = values.iter().enumerate().map(|(n, value)| json!({"id": n + 1, "value": value})).collect();
    let made = vec![ticket(json!({"custom_fields": pairs}))];
    let mut kinds = HashSet::new();
    let odd = |ticket: &Value| ticket["custom_fields"].as_array().is_some_and(|list| !list.is_empty());
    for (value, ticket) in odd_tickets(made, 50, odd) {
        if ticket.is_deleted() {
            continue;
        }
        for pair in value["custom_fields"].as_array().expect("a list") {
            kinds.insert(std::mem::discriminant(&pair["value"]));
            let kept = ticket.fields.get(&pair["id"].to_string()).unwrap_or(&Value::Null);
            assert_eq!(kept, &pair["value"], "{pair}");
        }
    }
    assert!(kinds.len() >= 4);
}

#[test]
fn deleted_and_scrubbed_tickets_are_known_as_such() {
    let made = vec![
        ticket(json!({"status": "deleted"})),
        ticket(json!({"status": "deleted", "subject": "SCRUBBED", "raw_subject": "SCRUBBED", "description": "X"})),
    ];
    let mut scrubbed = 0;
    for (value, ticket) in odd_tickets(made, 100, |ticket| ticket["status"] == "deleted") {
        assert!(ticket.is_deleted(), "{value}");
        assert_eq!(ticket.scrubbed, value["subject"] == "SCRUBBED", "{value}");
        scrubbed += usize::from(ticket.scrubbed);
    }
    assert!(scrubbed > usize::from(recordings().is_some()), "{scrubbed}");
}

#[test]
fn texts_keep_emoji_entities_hard_spaces_and_line_ends() {
    let texts = ["Danke \u{1f600}\u{1f44d}\u{1f3fd}", "a\u{a0}b", "one\r\ntwo", "&lt;b&gt; &amp; &nbsp;"];
    let made = texts.iter().map(|text| ticket(json!({"subject": text, "description": text}))).collect();
    let odd = |ticket: &Value| {
        let text = format!("{}{}", ticket["subject"], ticket["description"]);
        let marks = ["\\r\\n", "\u{a0}", "&lt;", "&amp;", "&gt;", "&nbsp;", "&quot;"];
        marks.iter().any(|mark| text.contains(mark)) || text.chars().any(|c| c > '\u{1f000}')
    };
    for (value, ticket) in odd_tickets(made, 1, |ticket| ticket["status"] != "deleted" && odd(ticket)) {
        assert_eq!(ticket.description.as_deref(), value["description"].as_str());
        assert_eq!(ticket.subject.as_deref(), value["subject"].as_str());
        assert!(ticket.problems.is_empty(), "{value}");
    }
}

#[test]
fn webhooks_shout_what_rest_says_quietly() {
    let made = json!({"id": "e-2", "type": "zen:event-type:ticket.created", "subject": "zen:ticket:41", "account_id": 1,
        "time": "2026-01-01T00:00:00Z", "event": {}, "detail": {"id": "41", "status": "OPEN", "priority": "LOW",
        "type": "TASK", "requester_id": "7", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}});
    let recorded =
        recordings().into_iter().flat_map(|recordings| &recordings.deliveries).map(|(_, _, body)| body.clone());
    let mut seen = 0;
    for body in std::iter::once(made.to_string().into_bytes()).chain(recorded) {
        let event = decoding(|ctx| decode::webhook(&body, ctx)).expect("a webhook");
        for ticket in &event.batch.tickets {
            assert_eq!(ticket.status.as_deref(), Some("open"));
            assert_eq!(ticket.priority.as_deref(), Some("low"));
            assert_eq!(ticket.kind.as_deref(), Some("task"));
            seen += 1;
        }
    }
    assert!(seen > usize::from(recordings().is_some()), "{seen}");
}
