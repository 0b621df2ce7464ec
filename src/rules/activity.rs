//! Activities: what is made of a happening, and its natural key (A1, A2).
//!
//! The same happening gives the same type, second, owner, ticket and key by whichever way it came, and so the same id.
//! Everything that makes an activity calls these constructors; nothing else may.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::activity::{ActivityDraft, ActivityType, Origin, Owner};
use crate::model::batch::SourceMerge;
use crate::model::field::{Given, SystemField};
use crate::model::person::{NameGiven, PersonRecord, RecordStatus};
use crate::model::ticket::{Rating, TicketRecord};

/// The longest value of a change that is kept, in bytes: it is for recognising, the present value stands in the ticket.
const MAX_CHANGE: usize = 1024;

/// What is kept of messages (A6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Messages {
    /// Whether the text of any is kept.
    pub store: bool,
    /// How many bytes of it.
    pub max_bytes: usize,
    /// Whether private comments are kept at all.
    pub private: bool,
}

/// The update of a ticket that a happening was part of.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The ticket.
    pub ticket_id: i64,
    /// When, by the source's own stamp (A1).
    pub at: DateTime<Utc>,
    /// Record id of who did it; none for the source itself.
    pub actor: Option<&'a str>,
    /// By which way it came.
    pub origin: Origin,
}

/// A comment.
#[derive(Debug, Clone, Copy)]
pub struct Comment<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether the customer sees it.
    pub public: bool,
    /// Record id of its author.
    pub author: Option<&'a str>,
    /// Its text.
    pub body: Option<&'a str>,
    /// Files, where the way it came tells.
    pub attachments: Option<usize>,
}

/// The id of an activity (A2): UUIDv8 of the millisecond and of the first bits of a SHA-256 over source, type, ticket,
/// key and owner. Ids so follow time, as the partitions do.
pub fn id(source_id: i64, draft: &ActivityDraft) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(source_id.to_be_bytes());
    let ticket = draft.ticket_id.map(|id| id.to_string()).unwrap_or_default();
    let owner = match &draft.owner {
        Owner::Requester => "requester".to_owned(),
        Owner::Record(record) => format!("record:{record}"),
    };
    for part in [draft.kind.as_str(), &ticket, &draft.key, &owner] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let millis = draft.occurred_at.timestamp_millis().clamp(0, (1 << 48) - 1);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hash[..10]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

/// True for the comment that a ticket was opened with: it is the message of `zd.ticket.created` and no activity of its
/// own.
pub fn is_first_comment(ticket_created_at: DateTime<Utc>, at: DateTime<Utc>) -> bool {
    ticket_created_at.timestamp() == at.timestamp()
}

/// `zd.ticket.created`, from the ticket. None while nobody knows when it was opened.
///
/// Only what stays the same for the life of a ticket is in it, so that the next version of the ticket does not rewrite
/// it.
pub fn ticket_created(ticket: &TicketRecord, messages: Messages, origin: Origin) -> Option<ActivityDraft> {
    let update = Update { ticket_id: ticket.id, at: ticket.created_at?, actor: ticket.submitter.as_deref(), origin };
    let message = ticket.description.as_deref().filter(|_| !ticket.scrubbed);
    Some(opened(update, ticket.channel.as_deref(), ticket.subject.as_deref(), ticket.is_public, message, messages))
}

/// `zd.ticket.created` of what is known of the opening.
pub fn opened(
    update: Update<'_>,
    channel: Option<&str>,
    subject: Option<&str>,
    public: Option<bool>,
    message: Option<&str>,
    messages: Messages,
) -> ActivityDraft {
    let mut draft = draft(ActivityType::TicketCreated, update, "created".to_owned());
    draft.public = public.unwrap_or(true);
    set(&mut draft, "channel", channel);
    set(&mut draft, "subject", subject);
    add_message(&mut draft, message, messages);
    draft
}

/// `zd.ticket.comment_added`; none of a private comment unless they are kept (A6).
///
/// The owner is the requester. Where another end user wrote it, who applies it adds a second one for the author (A4):
/// that needs the records of both.
pub fn comment_added(update: Update<'_>, comment: Comment<'_>, messages: Messages) -> Option<ActivityDraft> {
    if !comment.public && !messages.private {
        return None;
    }
    let mut draft = draft(ActivityType::TicketCommentAdded, update, comment.id.to_owned());
    draft.actor = comment.author.or(update.actor).map(str::to_owned);
    draft.public = comment.public;
    draft.attributes.insert("comment_id".to_owned(), comment.id.into());
    draft.attributes.insert("public".to_owned(), comment.public.into());
    set(&mut draft, "author_id", comment.author);
    if let Some(count) = comment.attachments {
        draft.attributes.insert("attachment_count".to_owned(), count.into());
    }
    add_message(&mut draft, comment.body, messages);
    Some(draft)
}

/// What is made of one changed field. `from` and `to` are normalised texts, empty for none; nothing is made if they are
/// equal.
///
/// `status`: always `status_changed`, and solved, reopened or closed with it; deletion and its reversal instead.
/// `assignee`, `group`: assigned. `priority`: its own. Every other field: `zd.ticket.updated` with its change.
pub fn changed(update: Update<'_>, field: &str, from: &str, to: &str) -> Vec<ActivityDraft> {
    let (from, to) = (cut(from), cut(to));
    if from == to {
        return Vec::new();
    }
    let one = |kind| vec![change(kind, update, field, from, to)];
    match field {
        "status" => status_changed(update, from, to),
        "assignee" | "group" => one(ActivityType::TicketAssigned),
        "priority" => one(ActivityType::TicketPriorityChanged),
        _ => {
            let mut draft = draft(ActivityType::TicketUpdated, update, change_key(field, from, to));
            let change = json!({"field": field, "from": nullable(from), "to": nullable(to)});
            draft.attributes.insert("changes".to_owned(), Value::Array(vec![change]));
            vec![draft]
        }
    }
}

fn status_changed(update: Update<'_>, from: &str, to: &str) -> Vec<ActivityDraft> {
    if to == "deleted" {
        return vec![deleted(update)];
    }
    if from == "deleted" {
        return vec![undeleted(update)];
    }
    let more = match (from, to) {
        (_, "solved") => Some(ActivityType::TicketSolved),
        (_, "closed") => Some(ActivityType::TicketClosed),
        ("solved", "new" | "open" | "pending" | "hold") => Some(ActivityType::TicketReopened),
        _ => None,
    };
    [Some(ActivityType::TicketStatusChanged), more]
        .into_iter()
        .flatten()
        .map(|kind| change(kind, update, "status", from, to))
        .collect()
}

/// `zd.ticket.tagged` and `zd.ticket.untagged`, each if there are such tags.
pub fn tags_changed(update: Update<'_>, added: &[String], removed: &[String]) -> Vec<ActivityDraft> {
    [(ActivityType::TicketTagged, "added", added), (ActivityType::TicketUntagged, "removed", removed)]
        .into_iter()
        .filter(|(.., tags)| !tags.is_empty())
        .map(|(kind, name, tags)| {
            let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            tags.sort_unstable();
            tags.dedup();
            let mut draft = draft(kind, update, format!("tags:{name}:{}", tags.join(",")));
            draft.attributes.insert(name.to_owned(), json!(tags));
            draft
        })
        .collect()
}

/// `zd.ticket.merged`, on the ticket that went into another. Not every way tells into which.
pub fn merged(update: Update<'_>, into: Option<&str>) -> ActivityDraft {
    let mut draft = draft(ActivityType::TicketMerged, update, "merged".to_owned());
    set(&mut draft, "into_ticket_id", into);
    draft
}

/// `zd.ticket.deleted`. Not every way tells who did it, so none does.
pub fn deleted(update: Update<'_>) -> ActivityDraft {
    draft(ActivityType::TicketDeleted, Update { actor: None, ..update }, "deleted".to_owned())
}

/// `zd.ticket.deleted` of a deleted ticket in an export: deleting moves `updated_at` (recorded), scrubbing sets it back.
pub fn ticket_deleted(ticket: &TicketRecord, origin: Origin) -> Option<ActivityDraft> {
    let at = ticket.updated_at.filter(|_| ticket.is_deleted() && !ticket.scrubbed)?;
    Some(deleted(Update { ticket_id: ticket.id, at, actor: None, origin }))
}

/// `zd.ticket.undeleted`.
pub fn undeleted(update: Update<'_>) -> ActivityDraft {
    draft(ActivityType::TicketUndeleted, update, "undeleted".to_owned())
}

/// `zd.ticket.spam`.
pub fn spam(update: Update<'_>) -> ActivityDraft {
    draft(ActivityType::TicketSpam, update, "spam".to_owned())
}

/// `zd.satisfaction.offered` or `.rated`, from a rating alone: no other way tells all of it (A5). None of other scores.
pub fn satisfaction(rating: &Rating, messages: Messages, origin: Origin) -> Option<ActivityDraft> {
    let kind = match rating.score.as_str() {
        "offered" => ActivityType::SatisfactionOffered,
        "good" | "bad" => ActivityType::SatisfactionRated,
        _ => return None,
    };
    let update =
        Update { ticket_id: rating.ticket_id, at: rating.rated_at, actor: rating.requester.as_deref(), origin };
    let mut draft = draft(kind, update, rating.score.clone());
    set(&mut draft, "score", Some(&rating.score));
    if let Some((points, scale)) = rating.scale {
        draft.attributes.insert("rating".to_owned(), points.into());
        draft.attributes.insert("scale".to_owned(), scale.into());
    }
    if messages.store {
        let comment = rating.comment.as_deref().map(|text| cut_to(text, messages.max_bytes));
        set(&mut draft, "comment", comment);
    }
    set(&mut draft, "reason", rating.reason.as_deref());
    set(&mut draft, "assignee_id", rating.assignee.as_deref());
    set(&mut draft, "group_id", rating.group.as_deref());
    Some(draft)
}

fn draft(kind: ActivityType, update: Update<'_>, key: String) -> ActivityDraft {
    ActivityDraft {
        kind: kind.as_str().to_owned(),
        occurred_at: update.at.trunc_subsecs(0),
        owner: Owner::Requester,
        ticket_id: Some(update.ticket_id),
        actor: update.actor.map(str::to_owned),
        key,
        attributes: Map::new(),
        message: None,
        public: true,
        origin: update.origin,
    }
}

fn change(kind: ActivityType, update: Update<'_>, field: &str, from: &str, to: &str) -> ActivityDraft {
    let mut draft = draft(kind, update, change_key(field, from, to));
    if kind == ActivityType::TicketAssigned {
        draft.attributes.insert("field".to_owned(), field.into());
    }
    draft.attributes.insert("from".to_owned(), nullable(from));
    draft.attributes.insert("to".to_owned(), nullable(to));
    draft
}

fn change_key(field: &str, from: &str, to: &str) -> String {
    format!("{field}:{from}>{to}")
}

fn nullable(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => text.into(),
    }
}

fn set(draft: &mut ActivityDraft, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        draft.attributes.insert(name.to_owned(), value.into());
    }
}

/// The text of a message, if texts are kept and this one may be (A6).
fn add_message(draft: &mut ActivityDraft, text: Option<&str>, messages: Messages) {
    let Some(text) = text.filter(|text| !text.is_empty() && messages.store && (draft.public || messages.private))
    else {
        return;
    };
    let kept = cut_to(text, messages.max_bytes);
    if kept.len() < text.len() {
        draft.attributes.insert("message_truncated".to_owned(), true.into());
    }
    draft.message = Some(kept.to_owned());
}

fn cut(text: &str) -> &str {
    cut_to(text, MAX_CHANGE)
}

fn cut_to(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A person's record as it was last applied: what its next version is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserState {
    /// False for a record that was never seen.
    pub existed: bool,
    /// What the record was, as [`RecordStatus::as_str`] says it.
    pub status: String,
    /// The name.
    pub name: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// Record id of the organization.
    pub organization: Option<String>,
    /// The tags.
    pub tags: Vec<String>,
    /// Whether it was suspended.
    pub suspended: bool,
}

/// The `zd.user.*` activities between two versions of a record. Parts that the record does not mention have not
/// changed.
///
/// They are made of differences and never of webhooks, so that a lost webhook loses nothing.
pub fn user_changes(before: &UserState, record: &PersonRecord) -> Vec<ActivityDraft> {
    let origin = if record.complete { Origin::Export } else { Origin::Webhook };
    let new = |kind: ActivityType, at: Option<DateTime<Utc>>, key: String, attributes: Value| {
        Some(ActivityDraft {
            kind: kind.as_str().to_owned(),
            occurred_at: at?.trunc_subsecs(0),
            owner: Owner::Record(record.record_id.clone()),
            ticket_id: None,
            actor: None,
            key,
            attributes: attributes.as_object().cloned().unwrap_or_default(),
            message: None,
            public: true,
            origin,
        })
    };
    let was_customer = matches!(before.status.as_str(), "active" | "suspended");
    match (before.existed, record.status.is_customer()) {
        (false, true) => {
            let created = new(ActivityType::UserCreated, record.created_at, "created".to_owned(), json!({}));
            return created.into_iter().collect();
        }
        (true, false) if was_customer && record.status.is_gone() => {
            // Whom the organization lost: nothing else tells once the record has none.
            let attributes = before.organization.as_ref().map_or(json!({}), |id| json!({ "organization": id }));
            let deleted = new(ActivityType::UserDeleted, record.updated_at, "deleted".to_owned(), attributes);
            return deleted.into_iter().collect();
        }
        (_, false) => return Vec::new(),
        (true, true) => {}
    }
    let differences = [
        difference(ActivityType::UserEmailChanged, "email", &before.email, given(&record.system[SystemField::Email])),
        difference(ActivityType::UserPhoneChanged, "phone", &before.phone, given(&record.system[SystemField::Phone])),
        difference(ActivityType::UserOrganizationChanged, "organization", &before.organization, organization(record)),
        // A record that a webhook alone made has no name yet: learning it is no change.
        before
            .name
            .is_some()
            .then(|| difference(ActivityType::UserUpdated, "name", &before.name, name(record)))
            .flatten(),
        suspension(before, record),
        tagging(before, record),
    ];
    let drafts =
        differences.into_iter().flatten().map(|(kind, key, attributes)| new(kind, record.updated_at, key, attributes));
    drafts.flatten().collect()
}

/// The tags among the fields of a person.
pub fn tags_of(fields: &Map<String, Value>) -> Vec<String> {
    let tags = fields.get("zd.tags").and_then(Value::as_array);
    tags.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `zd.user.merged`, on the record that stays (R35).
pub fn user_merged(merge: &SourceMerge, origin: Origin) -> ActivityDraft {
    ActivityDraft {
        kind: ActivityType::UserMerged.as_str().to_owned(),
        occurred_at: merge.at.trunc_subsecs(0),
        owner: Owner::Record(merge.winner.clone()),
        ticket_id: None,
        actor: None,
        key: format!("merged:{}", merge.loser),
        attributes: Map::from_iter([("merged_record_id".to_owned(), merge.loser.as_str().into())]),
        message: None,
        public: true,
        origin,
    }
}

type Difference = Option<(ActivityType, String, Value)>;

/// `after` is `None` where the record says nothing.
fn difference(kind: ActivityType, field: &str, before: &Option<String>, after: Option<Option<&str>>) -> Difference {
    let (before, after) = (before.as_deref().unwrap_or_default(), after?.unwrap_or_default());
    if before == after {
        return None;
    }
    let (from, to) = (nullable(cut(before)), nullable(cut(after)));
    let attributes = match kind {
        ActivityType::UserUpdated => json!({"changes": [{"field": field, "from": from, "to": to}]}),
        _ => json!({"from": from, "to": to}),
    };
    Some((kind, format!("{field}:{}", cut(after)), attributes))
}

fn given(given: &Given) -> Option<Option<&str>> {
    match given {
        Given::Absent => None,
        Given::Empty => Some(None),
        Given::Value(value) => Some(Some(value)),
    }
}

fn organization(record: &PersonRecord) -> Option<Option<&str>> {
    let id = record.organization_record_id.as_deref();
    (record.complete || id.is_some()).then_some(id)
}

fn name(record: &PersonRecord) -> Option<Option<&str>> {
    match &record.name {
        NameGiven::Whole(name) => Some(Some(name)),
        NameGiven::Absent | NameGiven::Parts => None,
    }
}

fn suspension(before: &UserState, record: &PersonRecord) -> Difference {
    let now = record.status == RecordStatus::Suspended;
    match (before.suspended, now) {
        (false, true) => Some((ActivityType::UserSuspended, "suspended:true".to_owned(), json!({}))),
        (true, false) if record.complete => {
            let changes = json!({"changes": [{"field": "suspended", "from": true, "to": false}]});
            Some((ActivityType::UserUpdated, "suspended:false".to_owned(), changes))
        }
        _ => None,
    }
}

fn tagging(before: &UserState, record: &PersonRecord) -> Difference {
    record.fields.get("zd.tags")?;
    let now = tags_of(&record.fields);
    let added: Vec<&String> = now.iter().filter(|tag| !before.tags.contains(tag)).collect();
    let removed: Vec<&String> = before.tags.iter().filter(|tag| !now.contains(tag)).collect();
    if added.is_empty() && removed.is_empty() {
        return None;
    }
    let attributes = json!({"added": added, "removed": removed});
    Some((ActivityType::UserTagged, format!("tags:{}", now.join(",")), attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_time_and_tell_owners_apart_a2() {
        let at = DateTime::from_timestamp(1_700_000_000, 999_000_000).expect("a time");
        let update = Update { ticket_id: 5, at, actor: None, origin: Origin::Webhook };
        let check = |draft: &ActivityDraft, source, same: bool| {
            let first = id(1, &deleted(update));
            let other = id(source, draft);
            assert_eq!(first == other, same, "{draft:?}");
            assert_eq!((other.get_version_num(), other.get_variant()), (8, uuid::Variant::RFC4122));
            assert_eq!(&first.as_bytes()[..6], &1_700_000_000_000_u64.to_be_bytes()[2..]);
        };
        check(&deleted(Update { origin: Origin::Export, actor: Some("3"), ..update }), 1, true);
        check(&deleted(update), 2, false);
        check(&spam(update), 1, false);
        check(&ActivityDraft { owner: Owner::Record("7".to_owned()), ..deleted(update) }, 1, false);
    }
}
