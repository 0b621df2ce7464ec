//! Webhooks: what one says at once, and what has to be read again because of it. A hint, never the truth.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::value::RawValue;

use super::change::{Field, words};
use super::context::{DecodeContext, NO_ID, NO_OBJECT, NO_TIME};
use super::envelope::event_type;
use super::hint;
use super::json::{Json, member, members, parts, view};
use super::lenient::{Lenient, Said};
use crate::model::activity::{ActivityDraft, Origin};
use crate::model::batch::{Batch, Redaction, Refused};
use crate::model::person::RecordStatus;
use crate::model::stream::Stream;
use crate::model::ticket::{FormerRequester, TicketRecord};
use crate::rules::activity as make;
use crate::rules::activity::{Comment, Update};

macro_rules! subscribed {
    ($($name:literal)*) => {
        /// The event types that are applied, without `zen:event-type:`: every one that changes something of a
        /// normalised record or makes an activity (zendesk-api.md §8.2), and no other.
        pub const SUBSCRIBED: &[&str] = &[$($name),*];

        fn is_applied(name: &str) -> bool {
            matches!(name, $($name)|*)
        }
    };
}

subscribed! {
    "user.active_changed" "user.alias_changed" "user.created" "user.custom_field_changed" "user.deleted" "user.details_changed"
    "user.external_id_changed" "user.identity_changed" "user.identity_created" "user.identity_deleted" "user.merged"
    "user.name_changed" "user.notes_changed" "user.organization_membership_created" "user.organization_membership_deleted"
    "user.role_changed" "user.suspended_changed" "user.tags_changed" "user.time_zone_changed"
    "organization.created" "organization.custom_field_changed" "organization.deleted" "organization.external_id_changed"
    "organization.name_changed" "organization.tags_changed"
    "ticket.agent_assignment_changed" "ticket.attachment_redacted_from_comment" "ticket.brand_changed" "ticket.comment_added"
    "ticket.comment_made_private" "ticket.comment_redacted" "ticket.created" "ticket.csat_received" "ticket.csat_requested"
    "ticket.custom_field_changed" "ticket.custom_status_changed" "ticket.description_changed" "ticket.external_id_changed"
    "ticket.form_changed" "ticket.group_assignment_changed" "ticket.marked_as_spam" "ticket.merged"
    "ticket.organization_changed" "ticket.permanently_deleted" "ticket.priority_changed" "ticket.problem_link_changed"
    "ticket.requester_changed" "ticket.soft_deleted" "ticket.status_changed" "ticket.subject_changed"
    "ticket.submitter_changed" "ticket.tags_changed" "ticket.task_due_at_changed" "ticket.type_changed" "ticket.undeleted"
}

/// What a webhook is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `user`, `organization`, `ticket`, or what else Zendesk has.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// A webhook, decoded.
#[derive(Debug, Clone)]
pub struct WebhookEvent {
    /// Zendesk's id of the event; empty where the body has none.
    pub id: String,
    /// Its type without prefix; empty where the body has none.
    pub event_type: String,
    /// When it happened, by Zendesk's stamp and to the second (A1). The start of 1970 where an event that is not known
    /// says nothing.
    pub at: DateTime<Utc>,
    /// What it is about.
    pub subject: Option<Subject>,
    /// True for a type that is applied. Others are accepted and left alone.
    pub known: bool,
    /// Users to read again.
    pub users: BTreeSet<String>,
    /// Organizations to read again.
    pub organizations: BTreeSet<String>,
    /// Tickets to read again.
    pub tickets: BTreeSet<String>,
    /// What it says by itself.
    pub batch: Batch,
    /// Streams that have news.
    pub poll_soon: Vec<Stream>,
    /// Two users that were merged, and when. Which of them stays tells [`merge_direction`](super::merge_direction)
    /// after both are read again.
    pub merge_pair: Option<(String, String, DateTime<Utc>)>,
}

parts! {
    /// The body.
    Parts { id "id", kind "type", subject "subject", time "time", detail "detail", event "event", }
    left "account_id" | "zendesk_event_version"
}

parts! {
    /// What an event says beyond its detail. Inner keys that are unconfirmed may have either name.
    Event {
        current "current", previous "previous", comment "comment", user "user", target "target_ticket_id",
        tags_added "tags_added", tags_removed "tags_removed", added "added", removed "removed", custom_field "custom_field",
        field "field",
    }
    left "meta"
}

/// One webhook that is known and can be placed.
struct Known<'a> {
    parts: &'a Parts<'a>,
    event: Event<'a>,
    name: &'a str,
    id: &'a str,
    at: DateTime<Utc>,
    ctx: &'a DecodeContext<'a>,
}

/// A webhook's body. Only what is no object is refused, and an event of a type that is applied but without subject or
/// time.
pub fn webhook(body: &[u8], ctx: &DecodeContext<'_>) -> Result<WebhookEvent, Refused> {
    let text = String::from_utf8_lossy(body);
    let refuse = |id: &str, reason: &str| Refused {
        stream: "webhooks",
        record_id: id.to_owned(),
        reason: reason.to_owned(),
        body: body.to_vec(),
    };
    let parts = Parts::read(&text).ok_or_else(|| refuse("", NO_OBJECT))?;
    let mut lenient = Lenient::default();
    let id = lenient.text("id", parts.id).value().unwrap_or_default();
    let name = event_type(&lenient.text("type", parts.kind).value().unwrap_or_default());
    let known = is_applied(&name);
    let subject = subject(&parts, &name);
    let at = time(&parts, &mut lenient);
    if known && subject.is_none() {
        return Err(refuse(&id, NO_ID));
    }
    if known && at.is_none() {
        return Err(refuse(&id, NO_TIME));
    }
    let mut found = WebhookEvent {
        id,
        event_type: name.clone(),
        at: at.unwrap_or(DateTime::UNIX_EPOCH).trunc_subsecs(0),
        subject: subject.clone(),
        known,
        users: BTreeSet::new(),
        organizations: BTreeSet::new(),
        tickets: BTreeSet::new(),
        batch: Batch::default(),
        poll_soon: Vec::new(),
        merge_pair: None,
    };
    if let (true, Some(subject)) = (known, subject) {
        let event = parts.event.and_then(|event| Event::read(event.get())).unwrap_or_default();
        let known = Known { parts: &parts, event, name: &name, id: &subject.id, at: found.at, ctx };
        match name.split_once('.') {
            Some(("user", what)) => known.user(what, &mut found),
            Some(("organization", what)) => known.organization(what, &mut found),
            Some((_, what)) => known.ticket(what, &mut found),
            None => {}
        }
    }
    Ok(found)
}

/// `zen:user:123`; without it the detail's own id, of the kind that the type names.
fn subject(parts: &Parts<'_>, name: &str) -> Option<Subject> {
    let kind = name.split('.').next().unwrap_or_default();
    if let Some(Json::Text(zrn)) = parts.subject.map(view) {
        let mut words = zrn.splitn(3, ':');
        if let (Some("zen"), Some(of), Some(id)) = (words.next(), words.next(), words.next()) {
            let id = match matches!(of, "user" | "organization" | "ticket") {
                true => id.parse::<i64>().ok().filter(|id| *id > 0)?.to_string(),
                false => id.to_owned(),
            };
            return (!is_applied(name) || of == kind).then(|| Subject { kind: of.to_owned(), id });
        }
    }
    let id = Lenient::default().id("id", parts.detail.and_then(|detail| member(detail, "id"))).value()?;
    Some(Subject { kind: kind.to_owned(), id })
}

/// The event's time; failing that, when its subject last changed.
fn time(parts: &Parts<'_>, lenient: &mut Lenient) -> Option<DateTime<Utc>> {
    let of_detail = |name: &str| parts.detail.and_then(|detail| member(detail, name));
    [parts.time, of_detail("updated_at"), of_detail("created_at")]
        .into_iter()
        .find_map(|raw| lenient.time("time", raw).value())
}

impl Known<'_> {
    fn current_is(&self, truth: bool) -> bool {
        Lenient::default().truth("current", self.event.current) == Said::Is(truth)
    }

    /// The detail of a user lacks name, tags and fields: all but the deleted are read again.
    fn user(&self, what: &str, found: &mut WebhookEvent) {
        let status = match what {
            "deleted" => Some(Some(RecordStatus::Deleted)),
            "active_changed" if self.current_is(false) => Some(Some(RecordStatus::Deleted)),
            "suspended_changed" if self.current_is(true) => Some(Some(RecordStatus::Suspended)),
            "created" | "external_id_changed" | "role_changed" => Some(None),
            "identity_created" | "identity_changed" | "identity_deleted" => Some(None),
            _ => None,
        };
        if let (Some(status), Some(detail)) = (status, self.parts.detail) {
            found.batch.people.extend(hint::person(self.id, detail, status, self.at, self.ctx));
        }
        if what != "deleted" || found.batch.people.is_empty() {
            found.users.insert(self.id.to_owned());
        }
        if what == "merged" {
            let other = self.event.user.and_then(|user| member(user, "id"));
            if let Some(other) = Lenient::default().id("user", other).value().filter(|other| other != self.id) {
                found.users.insert(other.clone());
                found.merge_pair = Some((self.id.to_owned(), other, self.at));
            }
        }
    }

    fn organization(&self, what: &str, found: &mut WebhookEvent) {
        if let Some(detail) = self.parts.detail {
            found.batch.organizations.extend(hint::organization(self.id, detail, self.at, what == "deleted"));
        }
        if what != "deleted" || found.batch.organizations.is_empty() {
            found.organizations.insert(self.id.to_owned());
        }
    }

    fn ticket(&self, what: &str, found: &mut WebhookEvent) {
        let Ok(ticket_id) = self.id.parse() else { return };
        let detail = self.parts.detail.and_then(|detail| hint::ticket(ticket_id, detail, self.at));
        let actor = self.parts.detail.and_then(|detail| member(detail, "actor_id"));
        let actor = Lenient::default().id("actor_id", actor).value();
        let update = Update { ticket_id, at: self.at, actor: actor.as_deref(), origin: Origin::Webhook };
        if let Some(field) = Field::of_webhook(self.name) {
            found.batch.activities = field.activities(update, self.event.previous, self.event.current);
        } else {
            found.batch.activities = self.happening(what, update, detail.as_ref());
        }
        match what {
            "created" | "custom_field_changed" | "description_changed" | "undeleted" => {
                found.tickets.insert(self.id.to_owned());
            }
            "merged" => {
                found.tickets.insert(self.id.to_owned());
                found.tickets.extend(Lenient::default().id("target", self.event.target).value());
            }
            "csat_received" | "csat_requested" => found.poll_soon = vec![Stream::Satisfaction, Stream::SurveyResponses],
            "requester_changed" => self.former_requester(ticket_id, found),
            "permanently_deleted" => found.batch.redactions.push(Redaction::Ticket { ticket_id }),
            "comment_redacted" | "attachment_redacted_from_comment" => self.redact(ticket_id, found),
            "comment_made_private" => self.hide(ticket_id, found),
            _ => {}
        }
        if detail.is_none() && what != "permanently_deleted" {
            found.tickets.insert(self.id.to_owned());
        }
        found.batch.tickets.extend(detail);
    }

    /// What happened, where it is no change of one field.
    fn happening(&self, what: &str, update: Update<'_>, detail: Option<&TicketRecord>) -> Vec<ActivityDraft> {
        let one = |draft| vec![draft];
        match what {
            "created" => {
                let made = detail.and_then(|ticket| make::ticket_created(ticket, self.ctx.messages(), Origin::Webhook));
                one(made.unwrap_or_else(|| make::opened(update, None, None, None, None, self.ctx.messages())))
            }
            "comment_added" => self.comment(update, detail).into_iter().collect(),
            "custom_field_changed" => {
                let field = self.event.custom_field.or(self.event.field);
                let id = Lenient::default().id("field", field.and_then(|field| member(field, "id"))).value();
                let (from, to) = (self.event.previous, self.event.current);
                id.map(|id| Field::Custom(id).activities(update, from, to)).unwrap_or_default()
            }
            "tags_changed" => {
                let inner = |outer: Option<_>| outer.and_then(|outer| member(outer, "tags"));
                let added = words(self.event.tags_added.or(inner(self.event.added)));
                let removed = words(self.event.tags_removed.or(inner(self.event.removed)));
                make::tags_changed(update, &added, &removed)
            }
            "merged" => {
                one(make::merged(update, Lenient::default().id("target", self.event.target).value().as_deref()))
            }
            "soft_deleted" => {
                // The ticket's own stamp, which the export will have too, where the snapshot is from after the
                // deletion.
                let of_ticket = detail.and_then(|ticket| make::ticket_deleted(ticket, Origin::Webhook));
                one(of_ticket.unwrap_or_else(|| make::deleted(update)))
            }
            "undeleted" => one(make::undeleted(update)),
            "marked_as_spam" => one(make::spam(update)),
            _ => Vec::new(),
        }
    }

    fn comment(&self, update: Update<'_>, detail: Option<&TicketRecord>) -> Option<ActivityDraft> {
        let comment = self.event.comment?;
        let mut lenient = Lenient::default();
        let id = lenient.id("comment", member(comment, "id")).value()?;
        if detail.and_then(|ticket| ticket.created_at).is_some_and(|created| make::is_first_comment(created, update.at))
        {
            return None;
        }
        let author = member(comment, "author").and_then(|author| member(author, "id"));
        let author = lenient.id("comment", author).value();
        let body = lenient.text("comment", member(comment, "body")).value();
        let public = lenient.truth("comment", member(comment, "is_public")) == Said::Is(true);
        let comment = Comment { id: &id, public, author: author.as_deref(), body: body.as_deref(), attachments: None };
        make::comment_added(update, comment, self.ctx.messages())
    }

    fn former_requester(&self, ticket_id: i64, found: &mut WebhookEvent) {
        if let Some(requester) = Lenient::default().id("previous", self.event.previous).value() {
            let former = FormerRequester { until: self.at, requester };
            found.batch.requesters.entry(ticket_id).or_default().push(former);
        }
    }

    /// A comment that customers no longer see (A6).
    fn hide(&self, ticket_id: i64, found: &mut WebhookEvent) {
        if let Some(comment_id) = self.comment_id() {
            found.batch.redactions.push(Redaction::Private { ticket_id, comment_id });
        }
    }

    fn comment_id(&self) -> Option<String> {
        Lenient::default().id("comment", self.event.comment.and_then(|comment| member(comment, "id"))).value()
    }

    fn redact(&self, ticket_id: i64, found: &mut WebhookEvent) {
        if let Some(comment_id) = self.comment_id() {
            found.batch.redactions.push(Redaction::Comment { ticket_id, comment_id });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{TICKET_WEBHOOK as TICKET, context, mutated, settings};
    use super::*;

    const USER: &str = r#"{"account_id":1,"detail":{"created_at":"2023-09-18T23:29:35Z","default_group_id":"0","email":"a@shop.test",
        "external_id":"","id":"61","organization_id":"0","role":"end-user","updated_at":"2023-09-18T23:30:03Z"},"event":EVENT,
        "id":"b3695d61","subject":"zen:user:61","time":"2023-09-18T23:30:03Z","type":"zen:event-type/user.NAME"}"#;

    fn body(base: &str, name: &str, event: &str) -> String {
        base.replace("NAME", name).replace("EVENT", event)
    }

    fn decode(body: &str) -> WebhookEvent {
        let settings = settings();
        webhook(body.as_bytes(), &context(&settings)).expect("a webhook")
    }

    #[test]
    fn a_ticket_webhook_is_a_hint_of_the_ticket() {
        let found = decode(&body(TICKET, "status_changed", r#"{"current":"OPEN","previous":"NEW"}"#));
        let ticket = &found.batch.tickets[0];
        assert_eq!((ticket.id, ticket.status.as_deref(), ticket.kind.as_deref()), (155, Some("open"), Some("task")));
        assert_eq!(
            (ticket.form.as_deref(), ticket.custom_status.as_deref(), ticket.complete),
            (None, Some("4"), false)
        );
        assert_eq!(ticket.tags, ["a", "b"]);
        assert_eq!(found.at.to_rfc3339(), "2025-01-08T10:12:07+00:00");
        assert!(found.known && found.tickets.is_empty());
        assert_eq!(decode(&body(TICKET, "created", "{}")).tickets.len(), 1, "its custom fields are not in the detail");
        let first = r#"{"comment":{"id":"91","body":"hi","is_public":true}}"#;
        let at_once = TICKET.replace("10:00:00", "10:12:07");
        assert!(decode(&body(&at_once, "comment_added", first)).batch.activities.is_empty());
        assert!(decode(&body(TICKET, "comment_added", &first.replace("true", "false"))).batch.activities.is_empty());
        let rated = decode(&body(TICKET, "csat_received", "{}"));
        assert_eq!(rated.poll_soon, [Stream::Satisfaction, Stream::SurveyResponses]);
        let moved = decode(&body(TICKET, "requester_changed", r#"{"current":"7","previous":"8"}"#));
        assert_eq!(moved.batch.requesters[&155], [FormerRequester { until: moved.at, requester: "8".to_owned() }]);
    }

    #[test]
    fn redactions_a7() {
        let comment = Redaction::Comment { ticket_id: 155, comment_id: "91".to_owned() };
        let hidden = decode(&body(TICKET, "comment_made_private", r#"{"comment":{"id":"91"}}"#));
        assert_eq!(hidden.batch.redactions, [Redaction::Private { ticket_id: 155, comment_id: "91".to_owned() }]);
        for name in ["comment_redacted", "attachment_redacted_from_comment"] {
            let found = decode(&body(TICKET, name, r#"{"comment":{"id":"91"}}"#));
            assert_eq!(found.batch.redactions, std::slice::from_ref(&comment), "{name}");
        }
        let gone = decode(&body(&TICKET.replace("OPEN", "SCRUBBED"), "permanently_deleted", "{}"));
        assert_eq!(gone.batch.redactions, [Redaction::Ticket { ticket_id: 155 }]);
        assert!(gone.batch.tickets[0].scrubbed && gone.batch.tickets[0].subject.is_none() && gone.tickets.is_empty());
    }

    #[test]
    fn users_are_read_again() {
        let created = decode(&body(USER, "created", "{}"));
        assert_eq!(created.users, BTreeSet::from(["61".to_owned()]));
        let hint = &created.batch.people[0];
        assert_eq!((hint.status, hint.complete, hint.identities.len()), (RecordStatus::Active, false, 1));
        assert!(hint.fields.is_empty() && created.batch.activities.is_empty());
        let deleted = decode(&body(USER, "deleted", "{}"));
        assert_eq!((deleted.batch.people[0].status, deleted.users.len()), (RecordStatus::Deleted, 0));
        let inactive = decode(&body(USER, "active_changed", r#"{"current":false,"previous":true}"#));
        assert_eq!((inactive.batch.people[0].status, inactive.users.len()), (RecordStatus::Deleted, 1));
        let merged = decode(&body(USER, "merged", r#"{"user":{"id":"62"}}"#));
        assert_eq!(merged.users.len(), 2);
        assert_eq!(merged.merge_pair, Some(("61".to_owned(), "62".to_owned(), merged.at)));
        assert!(merged.batch.is_empty());
        let renamed = decode(&body(USER, "name_changed", r#"{"current":"b","previous":"a"}"#));
        assert!(renamed.batch.is_empty() && renamed.users.len() == 1);
    }

    #[test]
    fn what_is_unknown_is_accepted_and_what_is_broken_refused() {
        for text in [
            r#"{"ticket_id":"22305","comment":"x"}"#,
            &body(USER, "photo_changed", "{}"),
            r#"{"type":"zen:event-type:article.published"}"#,
        ] {
            let found = decode(text);
            assert!(!found.known && found.batch.is_empty() && found.users.is_empty(), "{text}");
        }
        let settings = settings();
        for text in [
            "",
            "[]",
            "<p>",
            r#"{"type":"zen:event-type:user.created","time":"2023-09-18T23:30:03Z"}"#,
            r#"{"type":"user.created","subject":"zen:user:61","time":"soon"}"#,
            r#"{"type":"user.created","subject":"zen:ticket:61","time":"2023-09-18T23:30:03Z"}"#,
        ] {
            assert_eq!(webhook(text.as_bytes(), &context(&settings)).expect_err("broken").stream, "webhooks", "{text}");
        }
        let organization = r#"{"type":"zen:event-type:organization.deleted","subject":"zen:organization:5","time":"2025-01-08T10:12:07Z",
            "id":"x","detail":{"id":"5","name":"Acme","external_id":""},"event":{}}"#;
        let found = decode(organization);
        assert_eq!((found.batch.organizations[0].deleted_at, found.organizations.len()), (Some(found.at), 0));
        assert_eq!(decode(&organization.replace("deleted", "name_changed")).organizations.len(), 1);
        assert_eq!(SUBSCRIBED.len(), BTreeSet::from_iter(SUBSCRIBED).len());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            body in mutated(&TICKET.replace("NAME", "comment_added").replace("EVENT", "{}")),
            name in proptest::sample::select(SUBSCRIBED),
            event in mutated(r#"{"current":"a","previous":"b","comment":{"id":1},"user":{"id":"2"},"target_ticket_id":1,"tags_added":["x"],
                "custom_field":{"id":3}}"#),
        ) {
            let settings = settings();
            let _ = webhook(body.as_bytes(), &context(&settings));
            let base = if name.starts_with("user") { USER } else { TICKET };
            let text = base.replace("ticket.NAME", name).replace("user.NAME", name).replace("EVENT", &event);
            let _ = webhook(text.as_bytes(), &context(&settings));
        }
    }
}
