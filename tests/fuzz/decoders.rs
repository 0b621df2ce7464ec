//! The decoders: records of every stream between good ones, webhooks, field definitions, jobs, errors.

use chrono::{DateTime, Utc};
use deskbridge::model::batch::Batch;
use deskbridge::model::person::IdentityKind;
use deskbridge::model::source::SourceSettings;
use deskbridge::model::stream::Stream;
use deskbridge::zendesk::decode::{self, DecodeContext};
use deskbridge::zendesk::stream;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::hostile::{Change, bytes, changed, changes, json as any_json};
use crate::{Outcome, fuzz, within};

/// Memory for each byte of input: an empty list of two bytes becomes a value of 32, in a list that grows by doubling.
const TIMES: usize = 64;

/// Memory besides, for what is made once: the patterns of phone numbers take seven megabytes.
const BESIDES: usize = 16 << 20;

pub fn settings() -> SourceSettings {
    let identifiers = vec![IdentityKind::ExternalId, IdentityKind::Email, IdentityKind::Phone];
    SourceSettings { identifiers, ..SourceSettings::default() }
}

pub fn context(settings: &SourceSettings) -> DecodeContext<'_> {
    DecodeContext {
        settings,
        subdomain: Some("acme"),
        default_region: Some("AU"),
        blocked: &[],
        message_max_bytes: 4096,
        store_message_bodies: true,
        private_comments: true,
    }
}

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

/// Streams whose pages hold records.
pub const STREAMS: [Stream; 7] = [
    Stream::Users,
    Stream::DeletedUsers,
    Stream::Organizations,
    Stream::Tickets,
    Stream::TicketEvents,
    Stream::Satisfaction,
    Stream::SurveyResponses,
];

/// A record as Zendesk writes them.
pub fn record(stream: Stream, id: u32) -> Value {
    let (created, updated) = ("2024-09-06T18:52:11Z", "2024-09-06T18:52:12Z");
    match stream {
        Stream::Users | Stream::DeletedUsers => {
            json!({"id": id, "name": "Jane Doe", "email": format!("jane{id}@shop.test"),
            "phone": "+61 2 5550 1234", "shared_phone_number": false, "locale": "en-AU", "time_zone": "Sydney", "role": "end-user",
            "active": stream == Stream::Users, "suspended": false, "verified": true, "external_id": format!("x{id}"),
            "tags": ["b", "a"], "notes": "n", "details": "d", "alias": null, "organization_id": 61, "photo": {"id": 1},
            "user_fields": {"plan": "gold", "since": "2020-01-01", "score": 1.5, "multi": ["a", "b"]}, "created_at": created,
            "updated_at": updated, "new": {"a": [1]}})
        }
        Stream::Organizations => {
            json!({"id": id, "name": "Acme", "external_id": "E1", "domain_names": ["a.test"], "tags": ["vip"],
            "notes": null, "details": "", "group_id": 5, "shared_tickets": false, "organization_fields": {"plan": "gold"},
            "created_at": created, "updated_at": updated, "deleted_at": null})
        }
        Stream::Tickets => {
            json!({"id": id, "requester_id": 7, "submitter_id": 7, "assignee_id": null, "organization_id": 0,
            "subject": "Printer", "raw_subject": "Printer", "description": "on fire", "status": "open", "priority": "High",
            "type": null, "via": {"channel": "api", "source": {"rel": null}}, "group_id": 5, "brand_id": 3, "ticket_form_id": 6,
            "custom_status_id": 9, "external_id": null, "tags": ["b", "a"], "custom_fields": [{"id": 1, "value": null},
            {"id": 2, "value": "x"}, {"id": 3, "value": [true]}], "is_public": true, "created_at": created, "updated_at": updated,
            "generated_timestamp": 1_725_648_800})
        }
        Stream::TicketEvents => json!({"id": id, "ticket_id": 155, "timestamp": 1_601_357_503, "created_at": created,
            "updater_id": 42, "via": "Email", "event_type": "Audit", "child_events": [
            {"id": 1, "event_type": "Change", "status": "solved", "previous_value": "open", "via": "Web form"},
            {"event_type": "Change", "custom_ticket_fields": {"360": "b"}, "previous_value": "a"},
            {"event_type": "Change", "tags": ["c"], "added_tags": ["c"], "removed_tags": ["a"], "previous_value": ["a"]},
            {"type": "Change", "field_name": "tags", "value": "c b", "previous_value": ["a"]},
            {"id": id, "event_type": "Comment", "author_id": 7, "body": "Hello", "public": true, "attachments": [{}]},
            {"event_type": "CommentRedactionEvent", "comment_id": 9}]}),
        Stream::Satisfaction => {
            json!({"id": id, "ticket_id": id, "score": "good", "comment": "fine", "reason": "other",
            "requester_id": 7, "assignee_id": 9, "group_id": 5, "created_at": created, "updated_at": updated})
        }
        Stream::SurveyResponses => {
            json!({"id": format!("r{id}"), "responder_id": 7, "subject_zrns": [format!("zen:ticket:{id}")],
            "answers": [{"type": "rating_scale", "rating": 4, "rating_category": "good", "question": {"options": [{"rating": 5}]},
            "created_at": created}, {"type": "open_ended", "value": "fine"}, {"type": "closed_ended",
            "selections": [{"option_id": "a"}]}], "created_at": created, "updated_at": updated})
        }
        Stream::Fields => {
            json!({"id": id, "key": format!("plan{id}"), "type": "dropdown", "title": "Plan", "active": true,
            "custom_field_options": [{"value": "gold", "name": "Gold"}, {"value": "iron", "name": "Iron"}]})
        }
    }
}

/// All that a batch holds, each thing in its own words.
fn things(batch: &Batch) -> Vec<String> {
    let mut things: Vec<String> = batch.people.iter().map(|one| format!("{one:?}")).collect();
    things.extend(batch.organizations.iter().map(|one| format!("{one:?}")));
    things.extend(batch.tickets.iter().map(|one| format!("{one:?}")));
    things.extend(batch.activities.iter().map(|one| format!("{one:?}")));
    things.extend(batch.ratings.iter().map(|one| format!("{one:?}")));
    things
}

fn read(stream: Stream, records: &[&str]) -> Result<Batch, TestCaseError> {
    let settings = settings();
    let wrapper = stream::request(stream, None, now(), 100, now()).wrapper;
    let body = format!("{{\"{wrapper}\":[{}],\"end_of_stream\":true,\"end_time\":1}}", records.join(","));
    let page = within(body.len(), TIMES, BESIDES, || {
        stream::read(stream, wrapper, body.as_bytes(), None, now(), now(), &context(&settings))
    })?;
    page.map(|page| page.batch).map_err(|error| TestCaseError::fail(format!("one record cost the page: {error}")))
}

/// One record among good ones costs no more than itself.
fn one_among_good(stream: Stream, text: &str) -> Outcome {
    let (first, last) = (record(stream, 1_001).to_string(), record(stream, 1_002).to_string());
    let good = read(stream, &[&first, &last])?;
    let all = read(stream, &[&first, text, &last])?;
    let found = things(&all);
    prop_assert!(!good.refused.iter().any(|_| true) && !things(&good).is_empty(), "the good ones are good");
    for thing in things(&good) {
        prop_assert!(found.contains(&thing), "lost beside a bad record: {thing}");
    }
    prop_assert!(!found.iter().any(|thing| thing.contains('\0')), "NUL, which Postgres does not take");
    Ok(())
}

fn any_stream() -> impl Strategy<Value = Stream> {
    prop::sample::select(STREAMS.to_vec())
}

#[test]
fn records_changed() {
    fuzz("decoders: changed records", &(any_stream(), changes()), |(stream, changes): (Stream, Vec<Change>)| {
        one_among_good(stream, &changed(&record(stream, 3), &changes))
    });
}

#[test]
fn records_of_any_shape() {
    fuzz("decoders: any JSON", &(any_stream(), any_json()), |(stream, text)| one_among_good(stream, &text));
}

fn raw(text: &str) -> Result<Box<RawValue>, TestCaseError> {
    RawValue::from_string(text.to_owned()).map_err(|error| TestCaseError::fail(format!("made no JSON: {error}")))
}

/// Definitions of fields: one among good ones, as for records.
fn definition(text: &str) -> Outcome {
    let good = [record(Stream::Fields, 1).to_string(), record(Stream::Fields, 2).to_string()];
    let all = [raw(&good[0])?, raw(text)?, raw(&good[1])?];
    for entity in ["person", "organization", "ticket"] {
        let (defs, _) = within(text.len(), TIMES, BESIDES, || decode::field_defs(entity, &all))?;
        prop_assert!(defs.len() >= 2, "a definition was lost beside a bad one");
    }
    Ok(())
}

fn job(text: &str) -> Outcome {
    let raw = raw(text)?;
    within(text.len(), TIMES, BESIDES, || decode::job_status(&raw)).map(|_| ())
}

#[test]
fn definitions_and_jobs() {
    let job_base = json!({"job_status": {"id": "a1", "status": "completed", "total": 2, "progress": 2, "results": [
        {"index": 0, "id": 5, "success": true, "action": "create"}, {"index": 1, "error": "RecordInvalid", "details": "x"}]}});
    fuzz("decoders: definitions and jobs", &(changes(), any_json()), |(changes, any)| {
        definition(&changed(&record(Stream::Fields, 3), &changes))?;
        definition(&any)?;
        job(&changed(&job_base, &changes))?;
        job(&any)
    });
}

/// What Zendesk says when it says no goes into logs: short, on one line, without addresses.
fn error(body: &[u8]) -> Outcome {
    let error = within(body.len(), TIMES, 1 << 20, || decode::error_message(422, body))?;
    for text in [&error.code, &error.description].into_iter().chain(error.details.iter().flat_map(|(a, b)| [a, b])) {
        prop_assert!(text.len() <= 300, "{} bytes", text.len());
        prop_assert!(!text.contains('@') && !text.contains(char::is_control), "not fit for a log: {text:?}");
    }
    prop_assert!(error.details.len() <= 20);
    Ok(())
}

#[test]
fn errors_fit_for_logs() {
    let base = json!({"error": {"title": "RecordInvalid", "message": "Bad jane@shop.test"}, "description": "Bad jane@shop.test here",
        "details": {"email": [{"description": "jane@shop.test is in use", "error": "DuplicateValue"}]},
        "errors": [{"code": "x", "title": "jane@shop.test", "detail": "y"}]});
    fuzz("errors that are logged", &(changes(), bytes()), |(changes, bytes)| {
        error(changed(&base, &changes).as_bytes())?;
        error(&bytes)
    });
}

/// What was found before: lists of many small things that took many times their bytes, or compared each with each.
#[test]
fn many_small_parts_are_bounded() {
    let _alone = crate::alone();
    let settings = settings();
    let ctx = context(&settings);
    let many = |one: &dyn Fn(usize) -> String| (0..20_000).map(one).collect::<Vec<_>>().join(",");
    let update = |children: &str| {
        let text = format!("{{\"ticket_id\":5,\"timestamp\":1601357503,\"child_events\":[{children}]}}");
        RawValue::from_string(text).expect("JSON")
    };
    let refused = decode::ticket_event(&update(&many(&|_| "{}".into())), &ctx).expect_err("too many parts");
    assert!(refused.reason.contains("more parts"), "{}", refused.reason);
    let (from, to) = (many(&|n| format!("\"a{n}\"")), many(&|n| format!("\"b{n}\"")));
    let change = format!("{{\"event_type\":\"Change\",\"tags\":[{to}],\"previous_value\":[{from}]}}");
    let event = decode::ticket_event(&update(&change), &ctx).expect("an update");
    assert_eq!(event.activities.len(), 2, "tags added, tags removed");
    let rows = format!("{{\"id\":\"a\",\"results\":[{}]}}", many(&|_| "{}".into()));
    let job = decode::job_status(&RawValue::from_string(rows).expect("JSON")).expect("a job");
    assert_eq!(job.rows.len(), 1_000);
    let options = many(&|n| format!("{{\"value\":\"{n}\"}}"));
    let field = format!("{{\"id\":1,\"key\":\"plan\",\"custom_field_options\":[{options}]}}");
    let (defs, _) = decode::field_defs("person", &[RawValue::from_string(field).expect("JSON")]);
    assert_eq!(defs[0].options.as_ref().and_then(Value::as_array).map(Vec::len), Some(5_000));
}
