//! Tickets, from the exports, `show_many` and the answers to writes.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::context::{DecodeContext, NO_ID, NO_OBJECT, refuse};
use super::json::{Json, elements, member, members, parts, view};
use super::lenient::Lenient;
use crate::model::batch::Refused;
use crate::model::stream::Stream;
use crate::model::ticket::TicketRecord;

/// What Zendesk writes over the subject of a ticket that is deleted for good (recorded).
const SCRUBBED: &str = "SCRUBBED";

/// A stamp beyond it (the year 3000) is a mistake, and would keep every later version out.
const MAX_STAMP: i64 = 32_503_680_000;

parts! {
    /// A ticket. `fields` is the same list as `custom_fields`.
    Parts {
        id "id", requester "requester_id", submitter "submitter_id", assignee "assignee_id", organization "organization_id",
        subject "subject", raw_subject "raw_subject", description "description", status "status", priority "priority",
        kind "type", via "via", group "group_id", brand "brand_id", form "ticket_form_id", custom_status "custom_status_id",
        external_id "external_id", tags "tags", custom_fields "custom_fields", fields "fields", is_public "is_public",
        created_at "created_at", updated_at "updated_at", generated "generated_timestamp",
    }
    left "url" | "recipient" | "collaborator_ids" | "follower_ids" | "email_cc_ids" | "forum_topic_id" | "problem_id"
        | "has_incidents" | "due_at" | "satisfaction_rating" | "satisfaction_probability" | "sharing_agreement_ids"
        | "followup_ids" | "allow_channelback" | "allow_attachments" | "from_messaging_channel" | "comment_count" | "dates"
        | "last_audit" | "metric_events" | "metric_set" | "slas" | "result_type" | "encoded_id" | "support_type"
        | "collaborator" | "abilities" | "deleted_ticket_form_id" | "incident_count"
}

/// A ticket. Its version is the newer of `generated_timestamp` and `updated_at`; a `generated_timestamp` of 0 says
/// nothing (recorded).
pub fn ticket(raw: &RawValue, _ctx: &DecodeContext<'_>) -> Result<TicketRecord, Refused> {
    let stream = Stream::Tickets.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let id = Lenient::default().number("id", parts.id).value().filter(|id| *id > 0);
    let mut record = blank(id.ok_or_else(|| refuse(stream, "", NO_ID, raw))?);
    let mut lenient = Lenient::default();
    references(&mut record, &parts, &mut lenient);
    record.subject = lenient.text("subject", parts.subject).filled();
    record.description = lenient.text("description", parts.description).filled();
    record.status = lower(lenient.text("status", parts.status).filled());
    record.priority = lower(lenient.text("priority", parts.priority).filled());
    record.kind = lower(lenient.text("type", parts.kind).filled());
    record.channel = channel(parts.via, &mut lenient);
    record.external_id = lenient.text("external_id", parts.external_id).filled();
    record.tags = lenient.words("tags", parts.tags).value().unwrap_or_default();
    record.is_public = lenient.truth("is_public", parts.is_public).value();
    record.created_at = lenient.time("created_at", parts.created_at).value();
    record.updated_at = lenient.time("updated_at", parts.updated_at).value();
    record.version_at = version(&record, &parts, &mut lenient);
    if let Some(fields) = parts.custom_fields.or(parts.fields) {
        custom_fields(fields, &mut record.fields, &mut lenient);
    }
    let raw_subject = lenient.text("raw_subject", parts.raw_subject).value();
    record.unknown = lenient.unknown(parts.unknown);
    record.problems = lenient.problems;
    let written_over = [record.subject.as_deref(), raw_subject.as_deref()].contains(&Some(SCRUBBED));
    if record.status.as_deref() == Some("deleted") && written_over {
        scrub(&mut record);
    }
    Ok(record)
}

/// A ticket of which only the number is known.
pub(super) fn blank(id: i64) -> TicketRecord {
    TicketRecord {
        id,
        requester: None,
        submitter: None,
        assignee: None,
        organization: None,
        subject: None,
        description: None,
        status: None,
        priority: None,
        kind: None,
        channel: None,
        group: None,
        brand: None,
        form: None,
        custom_status: None,
        external_id: None,
        tags: Vec::new(),
        fields: Map::new(),
        is_public: None,
        created_at: None,
        updated_at: None,
        version_at: DateTime::UNIX_EPOCH,
        scrubbed: false,
        unknown: None,
        problems: Vec::new(),
        complete: true,
    }
}

/// Deleted for good: what a customer may have written goes, ids and times stay (A7).
pub(super) fn scrub(record: &mut TicketRecord) {
    record.scrubbed = true;
    record.subject = None;
    record.description = None;
    record.external_id = None;
    record.fields = Map::new();
    record.unknown = None;
}

/// Lower case; `archived` is what webhooks call closed.
pub(super) fn lower(text: Option<String>) -> Option<String> {
    text.map(|text| text.to_lowercase()).map(|text| if text == "archived" { "closed".to_owned() } else { text })
}

/// `via` is an object with a channel, or the channel alone.
pub(super) fn channel(via: Option<&RawValue>, lenient: &mut Lenient) -> Option<String> {
    let channel = match via.map(view) {
        Some(Json::Object) => via.and_then(|via| member(via, "channel")),
        _ => via,
    };
    match channel.map(view) {
        Some(Json::Number(digits)) => Some(digits.chars().take(20).collect()),
        _ => lenient.text("via", channel).filled(),
    }
}

fn references(record: &mut TicketRecord, parts: &Parts<'_>, lenient: &mut Lenient) {
    record.requester = lenient.id("requester_id", parts.requester).value();
    record.submitter = lenient.id("submitter_id", parts.submitter).value();
    record.assignee = lenient.id("assignee_id", parts.assignee).value();
    record.organization = lenient.id("organization_id", parts.organization).value();
    record.group = lenient.id("group_id", parts.group).value();
    record.brand = lenient.id("brand_id", parts.brand).value();
    record.form = lenient.id("ticket_form_id", parts.form).value();
    record.custom_status = lenient.id("custom_status_id", parts.custom_status).value();
}

fn version(record: &TicketRecord, parts: &Parts<'_>, lenient: &mut Lenient) -> DateTime<Utc> {
    let generated = lenient.number("generated_timestamp", parts.generated).value().filter(|stamp| *stamp > 0);
    if generated.is_some_and(|stamp| stamp > MAX_STAMP) {
        lenient.problem("generated_timestamp", "not a time; left out");
    }
    let generated = generated.filter(|stamp| *stamp <= MAX_STAMP).and_then(|stamp| DateTime::from_timestamp(stamp, 0));
    let newest = generated.max(record.updated_at).or(record.created_at);
    newest.unwrap_or_else(|| {
        lenient.problem("updated_at", "no time at all; any other version is taken as newer");
        DateTime::UNIX_EPOCH
    })
}

/// `[{id, value}]`, where there is a value.
fn custom_fields(list: &RawValue, fields: &mut Map<String, Value>, lenient: &mut Lenient) {
    let read = elements(list.get(), |field| {
        let (mut id, mut value) = (None, None);
        members(field.get(), |key, raw| match &*key {
            "id" => id = Some(raw),
            "value" => value = Some(raw),
            _ => {}
        });
        let Some(id) = lenient.id("custom_fields", id).value() else { return };
        if let Some(value) = value.filter(|raw| !matches!(view(raw), Json::Null)).and_then(|raw| lenient.any(&id, raw))
        {
            fields.insert(id, value);
        }
    });
    if !read && !matches!(view(list), Json::Null) {
        lenient.problem("custom_fields", "not a list; left out");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{context, mutated, raw, settings};
    use super::*;

    const PRINTER: &str = r#"{"id":33,"external_id":null,"via":{"channel":"api","source":{}},"created_at":"2024-09-06T18:52:11Z",
        "updated_at":"2024-09-06T18:52:12Z","generated_timestamp":1725648800,"type":null,"subject":"Printer","raw_subject":"Printer",
        "description":"on fire","priority":"High","status":"open","requester_id":26155588908179,"submitter_id":"26155588908180",
        "assignee_id":null,"organization_id":0,"group_id":5,"tags":["b","a"],"is_public":true,"custom_status_id":9,
        "custom_fields":[{"id":1,"value":null},{"id":2,"value":"x"},{"id":"3","value":[true]},{"value":1},5],
        "fields":[{"id":4,"value":"not read"}],"ticket_form_id":6,"brand_id":7,"satisfaction_rating":{"score":"good"},"news":1}"#;

    fn decode(text: &str) -> TicketRecord {
        let settings = settings();
        ticket(&raw(text), &context(&settings)).expect("a ticket")
    }

    fn check_version(part: &str, expected: i64) {
        let text = format!("{},{part}}}", PRINTER.strip_suffix('}').expect("an object"));
        assert_eq!(decode(&text).version_at.timestamp(), expected, "{part}");
    }

    #[test]
    fn a_ticket_with_everything() {
        let ticket = decode(PRINTER);
        assert_eq!((ticket.id, ticket.status.as_deref(), ticket.priority.as_deref()), (33, Some("open"), Some("high")));
        assert_eq!(ticket.requester.as_deref(), Some("26155588908179"));
        assert_eq!((ticket.organization, ticket.assignee, ticket.kind), (None, None, None));
        assert_eq!(ticket.channel.as_deref(), Some("api"));
        assert_eq!(ticket.tags, ["a", "b"]);
        assert_eq!(Value::Object(ticket.fields), json!({"2": "x", "3": [true]}));
        assert_eq!(ticket.unknown, Some(json!({"news": 1})));
        assert!(ticket.problems.is_empty() && !ticket.scrubbed && ticket.complete);
    }

    #[test]
    fn the_newest_stamp_orders_versions() {
        check_version("\"generated_timestamp\":1725648800", 1_725_648_800);
        check_version("\"generated_timestamp\":0", 1_725_648_732);
        check_version("\"generated_timestamp\":1", 1_725_648_732);
        check_version("\"generated_timestamp\":1725648800000", 1_725_648_732);
        check_version("\"generated_timestamp\":null,\"updated_at\":null", 1_725_648_731);
        check_version("\"generated_timestamp\":null,\"updated_at\":null,\"created_at\":null", 0);
    }

    #[test]
    fn scrubbed_texts_are_none_a7() {
        let text = r#"{"id":5,"status":"deleted","subject":"SCRUBBED","raw_subject":"SCRUBBED","description":"X","external_id":"e",
            "updated_at":"2024-09-06T18:52:12Z","custom_fields":[{"id":2,"value":"x"}]}"#;
        let ticket = decode(text);
        assert!(ticket.scrubbed && ticket.is_deleted() && ticket.fields.is_empty());
        assert_eq!((ticket.subject, ticket.description, ticket.external_id), (None, None, None));
        assert!(!decode(&text.replace("deleted", "open")).scrubbed, "anybody may write so in a subject");
    }

    #[test]
    fn without_an_id_it_is_refused() {
        let settings = settings();
        for text in ["[]", "{}", r#"{"id":-3}"#, r#"{"id":"x"}"#] {
            assert_eq!(ticket(&raw(text), &context(&settings)).expect_err("no id").stream, "tickets", "{text}");
        }
        assert_eq!(decode(r#"{"id":1,"via":"Web form"}"#).channel.as_deref(), Some("Web form"));
        assert_eq!(decode(r#"{"id":1,"via":{"channel":4}}"#).channel.as_deref(), Some("4"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in mutated(PRINTER)) {
            let settings = settings();
            if let Ok(record) = ticket(&raw(&text), &context(&settings)) {
                prop_assert!(!serde_json::to_string(&record).expect("a record serialises").contains("\\u0000"));
            }
        }
    }
}
