//! Audits as the `ticket_events` export writes them; written straight out, because a page holds thousands.
use super::audit::{Audit, AuditEvent, EventKind, Field, Place, channel_words};
use crate::time::Stamp;
use serde::ser::{SerializeMap, Serializer};
use serde::{Serialize, ser::SerializeSeq};
use serde_json::Value;

/// A row of `ticket_events`.
#[derive(Serialize)]
pub struct EventRow<'a> {
    id: i64,
    ticket_id: i64,
    timestamp: i64,
    created_at: Stamp,
    updater_id: i64,
    via: &'static str,
    system: System,
    metadata: Nothing,
    event_type: &'static str,
    child_events: Children<'a>,
}

#[derive(Serialize)]
struct Nothing {}

/// Where the author was; the machine was nowhere.
#[derive(Serialize)]
struct System {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
}

struct Children<'a> {
    audit: &'a Audit,
    host: &'a str,
    with_comments: bool,
}

struct Child<'a> {
    event: &'a AuditEvent,
    channel: &'static str,
}

impl Audit {
    /// The audit as a row of `ticket_events`, with what was said only if asked for.
    pub fn as_row<'a>(&'a self, ticket_id: i64, host: &'a str, with_comments: bool) -> EventRow<'a> {
        let person = self.author_id >= 0;
        EventRow {
            id: self.id,
            ticket_id,
            timestamp: self.created_at.0,
            created_at: self.created_at,
            updater_id: self.author_id,
            via: channel_words(self.channel),
            system: System {
                client: person.then_some("Mozilla/5.0"),
                location: person.then_some("Lisbon, 11, Portugal"),
                latitude: person.then_some(38.72),
                longitude: person.then_some(-9.13),
            },
            metadata: Nothing {},
            event_type: "Audit",
            child_events: Children { audit: self, host, with_comments },
        }
    }
}

impl Serialize for Children<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.audit.events.len()))?;
        for event in &self.audit.events {
            match &event.kind {
                EventKind::Comment(comment) if self.with_comments => {
                    list.serialize_element(&comment.view(event.id, self.audit, self.host, Place::Row))?;
                }
                _ => list.serialize_element(&Child { event, channel: self.audit.channel })?,
            }
        }
        list.end()
    }
}

impl Serialize for Child<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.event.id)?;
        map.serialize_entry("via", channel_words(self.channel))?;
        map.serialize_entry("via_reference_id", &(self.channel == "api").then_some(0))?;
        match &self.event.kind {
            EventKind::Comment(comment) => {
                map.serialize_entry("comment_present", &true)?;
                map.serialize_entry("comment_public", &comment.public)?;
                map.serialize_entry("event_type", "Comment")?;
            }
            EventKind::Mark(kind, comment, file) => {
                map.serialize_entry("comment_id", comment)?;
                if let Some(file) = file {
                    map.serialize_entry("attachment_id", file)?;
                }
                if *kind == "CommentPrivacyChange" {
                    map.serialize_entry("public", &false)?;
                }
                map.serialize_entry("event_type", kind)?;
            }
            EventKind::Notify(notice, recipients) => {
                map.serialize_entry("subject", notice.subject)?;
                map.serialize_entry("body", notice.body)?;
                map.serialize_entry("recipients", recipients)?;
                map.serialize_entry("event_type", "Notification")?;
            }
            EventKind::Create(field, value) => {
                put(&mut map, *field, value)?;
                map.serialize_entry("event_type", "Create")?;
            }
            EventKind::Change(field, value, before) => {
                put(&mut map, *field, value)?;
                map.serialize_entry("previous_value", &field.texted(before))?;
                if *field == Field::Named("tags") {
                    map.serialize_entry("added_tags", &less(value, before))?;
                    map.serialize_entry("removed_tags", &less(before, value))?;
                }
                map.serialize_entry("event_type", "Change")?;
            }
        }
        map.end()
    }
}

fn put<M: SerializeMap>(map: &mut M, field: Field, value: &Value) -> Result<(), M::Error> {
    match field {
        Field::Named(name) => map.serialize_entry(name, value),
        Field::Custom(id) => {
            let one: std::collections::BTreeMap<i64, &Value> = [(id, value)].into();
            map.serialize_entry("custom_ticket_fields", &one)
        }
    }
}

/// What is in the first list and not in the second.
fn less<'a>(of: &'a Value, without: &Value) -> Vec<&'a Value> {
    let known = |tag: &Value| without.as_array().is_some_and(|list| list.contains(tag));
    of.as_array().into_iter().flatten().filter(|tag| !known(tag)).collect()
}
