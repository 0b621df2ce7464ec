//! Tests that a happening makes the same activity by whichever way it comes (invariant 2, A2).

use super::audit::ticket_event;
use super::testing::{TICKET_WEBHOOK, context, raw, settings};
use super::ticket::ticket;
use super::webhook::{WebhookEvent, webhook};
use crate::model::activity::{ActivityDraft, Origin};
use crate::rules::activity as make;

fn hooked(base: &str, name: &str, event: &str) -> WebhookEvent {
    let settings = settings();
    let body = base.replace("NAME", name).replace("EVENT", event);
    webhook(body.as_bytes(), &context(&settings)).expect("a webhook")
}

/// The happening by webhook and by audit: the drafts must agree in all that makes their ids (invariant 2).
fn agree(name: &str, event: &str, child: &str) {
    let settings = settings();
    let row = format!(
        r#"{{"id":1,"ticket_id":155,"created_at":"2025-01-08T10:12:07Z","updater_id":42,"child_events":[{child}]}}"#
    );
    let audit = ticket_event(&raw(&row), &context(&settings)).expect("a row");
    let hook = hooked(TICKET_WEBHOOK, name, event);
    assert_ids(name, &hook.batch.activities, &audit.activities);
}

fn assert_ids(name: &str, a: &[ActivityDraft], b: &[ActivityDraft]) {
    let ids = |drafts: &[ActivityDraft]| drafts.iter().map(|draft| make::id(3, draft)).collect::<Vec<_>>();
    assert!(!a.is_empty(), "{name}");
    assert_eq!(ids(a), ids(b), "{name}\n{a:?}\n{b:?}");
    assert_eq!(
        a.iter().map(|draft| &draft.actor).collect::<Vec<_>>(),
        b.iter().map(|draft| &draft.actor).collect::<Vec<_>>()
    );
}

#[test]
fn webhook_and_audit_make_the_same_activities() {
    let change = |field: &str, value: &str, previous: &str| {
        format!(r#"{{"event_type":"Change","{field}":{value},"previous_value":{previous}}}"#)
    };
    let event = |current: &str, previous: &str| format!(r#"{{"current":{current},"previous":{previous}}}"#);
    agree("status_changed", &event("\"SOLVED\"", "\"OPEN\""), &change("status", "\"solved\"", "\"open\""));
    agree("status_changed", &event("\"OPEN\"", "\"SOLVED\""), &change("status", "\"open\"", "\"solved\""));
    agree("status_changed", &event("\"CLOSED\"", "\"SOLVED\""), &change("status", "\"closed\"", "\"solved\""));
    agree("priority_changed", &event("\"LOW\"", "\"\""), &change("priority", "\"low\"", "null"));
    agree("type_changed", &event("\"TASK\"", "null"), &change("type", "\"task\"", "null"));
    agree("agent_assignment_changed", &event("\"9\"", "\"0\""), &change("assignee_id", "9", "null"));
    agree("group_assignment_changed", &event("\"5\"", "\"4\""), &change("group_id", "5", "\"4\""));
    agree("requester_changed", &event("\"7\"", "\"8\""), &change("requester_id", "7", "\"8\""));
    agree("organization_changed", &event("\"6\"", "null"), &change("organization_id", "6", "\"\""));
    agree("brand_changed", &event("\"3\"", "\"2\""), &change("brand_id", "3", "2"));
    agree("form_changed", &event("\"3\"", "\"0\""), &change("ticket_form_id", "3", "null"));
    agree("custom_status_changed", &event("\"4\"", "\"1\""), &change("custom_status_id", "4", "1"));
    agree("subject_changed", &event("\"b\"", "\"a\""), &change("subject", "\"b\"", "\"a\""));
    agree("external_id_changed", &event("\"b\"", "\"\""), &change("external_id", "\"b\"", "null"));
    agree(
        "tags_changed",
        r#"{"tags_added":["y","x"],"tags_removed":["z"]}"#,
        &change("tags", r#"["x","y","q"]"#, r#"["z","q"]"#),
    );
    let custom =
        r#"{"current":{"value":true},"previous":null,"custom_field":{"id":"360","title":"t","type":"checkbox"}}"#;
    agree(
        "custom_field_changed",
        custom,
        r#"{"event_type":"Change","custom_ticket_fields":{"360":"1"},"previous_value":null}"#,
    );
    let comment =
        r#"{"comment":{"id":"91","body":"hi","is_public":true,"author":{"id":"7","is_staff":false,"name":"J"}}}"#;
    agree("comment_added", comment, r#"{"id":91,"event_type":"Comment","author_id":7,"public":true,"body":"hi"}"#);
    agree("soft_deleted", "{}", &change("status", "\"deleted\"", "\"open\""));
    agree("undeleted", "{}", &change("status", "\"open\"", "\"deleted\""));
}

#[test]
fn a_merge_is_told_by_the_way_that_the_ticket_was_closed() {
    let settings = settings();
    let row = r#"{"id":1,"ticket_id":155,"created_at":"2025-01-08T10:12:07Z","updater_id":42,"child_events":[
        {"event_type":"Change","status":"closed","previous_value":"open","via":{"channel":"system","source":{"rel":"merge",
        "to":{"ticket_id":9}}}}]}"#;
    let audit = ticket_event(&raw(row), &context(&settings)).expect("a row").activities.pop();
    let hook = hooked(TICKET_WEBHOOK, "merged", r#"{"target_ticket_id":"9"}"#).batch.activities.pop();
    let (audit, hook) = (audit.expect("a merge"), hook.expect("a merge"));
    assert_eq!((make::id(1, &audit), &audit.attributes), (make::id(1, &hook), &hook.attributes));
}

#[test]
fn webhook_and_export_make_the_same_opening_and_deletion() {
    let settings = settings();
    let ctx = context(&settings);
    let export = r#"{"id":155,"created_at":"2025-01-08T10:00:00Z","updated_at":"2025-01-08T10:12:07Z","status":"deleted",
        "submitter_id":7,"subject":"Printer","description":"on fire","is_public":true,"via":{"channel":"api"}}"#;
    let record = ticket(&raw(export), &ctx).expect("a ticket");
    let created = make::ticket_created(&record, ctx.messages(), Origin::Export).expect("opened once");
    let hook = hooked(TICKET_WEBHOOK, "created", "{}");
    assert_ids("created", &hook.batch.activities, std::slice::from_ref(&created));
    assert_eq!(
        (created.message.as_deref(), hook.batch.activities[0].message.as_deref()),
        (Some("on fire"), Some("on fire"))
    );
    let deleted = make::ticket_deleted(&record, Origin::Export).expect("deleted once");
    for status in ["OPEN", "DELETED"] {
        let hook = hooked(&TICKET_WEBHOOK.replace("OPEN", status), "soft_deleted", "{}");
        assert_ids("soft_deleted", &hook.batch.activities, std::slice::from_ref(&deleted));
    }
}
