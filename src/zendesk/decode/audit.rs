//! What happened to tickets: rows of the incremental `ticket_events`, in each of the spellings seen, and REST audits.

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::value::RawValue;

use super::change::{Field, words};
use super::context::{DecodeContext, NO_ID, NO_OBJECT, NO_TIME, refuse};
use super::json::{Json, elements, member, members, parts, view};
use super::lenient::{Lenient, Said};
use crate::model::activity::{ActivityDraft, Origin};
use crate::model::batch::{Redaction, Refused};
use crate::model::stream::Stream;
use crate::model::ticket::FormerRequester;
use crate::rules::activity::{Comment, Update, comment_added, merged, opened, tags_changed};

/// Parts of one update; what has more is no update that Zendesk made.
const MAX_CHILDREN: usize = 10_000;

/// One update of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// The ticket.
    pub ticket_id: i64,
    /// When, to the second (A1).
    pub at: DateTime<Utc>,
    /// Record id of who did it; none for the system.
    pub updater: Option<String>,
    /// What is made of it.
    pub activities: Vec<ActivityDraft>,
    /// Who was requester until now, where that changed (A4).
    pub former_requester: Option<FormerRequester>,
    /// Its comments, kept or not.
    pub comments: Vec<SeenComment>,
    /// Texts to remove (A7).
    pub redactions: Vec<Redaction>,
}

/// A comment of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenComment {
    /// Its id.
    pub id: String,
    /// Record id of its author.
    pub author: Option<String>,
    /// Whether the customer sees it. What does not say so is private.
    pub public: bool,
    /// True for the one that the ticket was opened with.
    pub first: bool,
}

parts! {
    /// A row.
    Parts {
        id "id", ticket_id "ticket_id", created_at "created_at", timestamp "timestamp", time "time", updater "updater_id",
        author "author_id", via "via", children "child_events", events "events",
    }
    left "system" | "metadata" | "event_type"
}

parts! {
    /// A part of an update. A changed field is named by `field_name`, or is itself a key.
    Child {
        id "id", event_type "event_type", kind "type", field_name "field_name", value "value", previous "previous_value",
        body "body", author "author_id", public "public", comment_public "comment_public", present "comment_present",
        attachments "attachments", comment_id "comment_id", custom "custom_ticket_fields", added "added_tags",
        removed "removed_tags", via "via",
    }
    left "html_body" | "plain_body" | "via_reference_id" | "audit_id" | "metadata" | "created_at"
}

/// The reason for refusing an update of too many parts.
const TOO_MANY: &str = "the update has more parts than any has";

/// One row of incremental `ticket_events` with its `child_events`; a REST audit with its `events` is read alike.
pub fn ticket_event(raw: &RawValue, ctx: &DecodeContext<'_>) -> Result<AuditEvent, Refused> {
    let stream = Stream::TicketEvents.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let mut lenient = Lenient::default();
    let id = lenient.id("id", parts.id).value().unwrap_or_default();
    let ticket_id = lenient.number("ticket_id", parts.ticket_id).value().filter(|id| *id > 0);
    let ticket_id = ticket_id.ok_or_else(|| refuse(stream, &id, NO_ID, raw))?;
    let at = time(&parts, &mut lenient).ok_or_else(|| refuse(stream, &id, NO_TIME, raw))?;
    let updater = lenient.id("updater_id", parts.updater.or(parts.author)).value();
    let mut children = Vec::new();
    if let Some(list) = parts.children.or(parts.events) {
        let mut count = 0;
        elements(list.get(), |child| {
            count += 1;
            if count <= MAX_CHILDREN {
                children.extend(Child::read(child.get()));
            }
        });
        if count > MAX_CHILDREN {
            return Err(refuse(stream, &id, TOO_MANY, raw));
        }
    }
    let mut event = AuditEvent {
        ticket_id,
        at,
        updater: updater.clone(),
        activities: Vec::new(),
        former_requester: None,
        comments: Vec::new(),
        redactions: Vec::new(),
    };
    let update = Update { ticket_id, at, actor: updater.as_deref(), origin: Origin::Export };
    let creating = children.iter().any(Child::opens);
    let mut opening = Opening::default();
    for child in &children {
        match child.kind().as_str() {
            "Comment" | "VoiceComment" => comment(&mut event, child, update, creating.then_some(&mut opening), ctx),
            "Create" if creating => opening.take(child),
            "Create" | "Change" => change(&mut event, child, update),
            "CommentRedactionEvent" | "AttachmentRedactionEvent" => redact(&mut event, child),
            "CommentPrivacyChange" if !child.is_public(&mut lenient) => hide(&mut event, child),
            _ => {}
        }
    }
    if creating {
        event.activities.push(opening.activity(update, &parts, ctx));
    }
    merging(&mut event, &parts, &children, update);
    Ok(event)
}

fn time(parts: &Parts<'_>, lenient: &mut Lenient) -> Option<DateTime<Utc>> {
    let written = lenient.time("created_at", parts.created_at).value();
    let stamp =
        lenient.number("timestamp", parts.timestamp).value().and_then(|stamp| DateTime::from_timestamp(stamp, 0));
    written.or(stamp).or(lenient.time("time", parts.time).value()).map(|time| time.trunc_subsecs(0))
}

impl<'a> Child<'a> {
    /// `event_type`, or `type` where that is not the changed field itself.
    fn kind(&self) -> String {
        Lenient::default().text("", self.event_type.or(self.kind)).value().unwrap_or_default()
    }

    /// The fields that it sets, with the value of each.
    fn fields(&self) -> Vec<(Field, Option<&'a RawValue>)> {
        if let Some(Json::Text(name)) = self.field_name.map(view) {
            return Field::of_audit(&name).map(|field| (field, self.value)).into_iter().collect();
        }
        let mut fields = Vec::new();
        if let Some(custom) = self.custom {
            members(custom.get(), |id, value| fields.extend(Field::of_audit(&id).map(|field| (field, Some(value)))));
        }
        if let (Some(_), Some(value)) = (self.event_type, self.kind) {
            fields.extend(Field::of_audit("type").map(|field| (field, Some(value))));
        }
        fields.extend(self.unknown.iter().filter_map(|(key, value)| Some((Field::of_audit(key)?, Some(*value)))));
        fields
    }

    /// True for a part that only the opening of a ticket has.
    fn opens(&self) -> bool {
        self.kind() == "Create" && self.fields().iter().any(|(field, _)| matches!(field, Field::System(_)))
    }

    fn is_public(&self, lenient: &mut Lenient) -> bool {
        lenient.truth("public", self.public.or(self.comment_public)) == Said::Is(true)
    }
}

/// What the parts of a creating update say of the new ticket.
#[derive(Default)]
struct Opening {
    subject: Option<String>,
    submitter: Option<String>,
    public: Option<bool>,
    message: Option<String>,
}

impl Opening {
    fn take(&mut self, child: &Child<'_>) {
        for (field, value) in child.fields() {
            let text = Some(field.text(value)).filter(|text| !text.is_empty());
            match field {
                Field::System("subject") => self.subject = text,
                Field::System("submitter") => self.submitter = text,
                _ => {}
            }
        }
    }

    /// A hint only, for all that it is from an export: the ticket itself tells more of its opening, and the two must
    /// not take turns in writing the same activity.
    fn activity(&self, update: Update<'_>, parts: &Parts<'_>, ctx: &DecodeContext<'_>) -> ActivityDraft {
        let channel = parts.via.and_then(|via| member(via, "channel"));
        let channel = Lenient::default().text("via", channel).filled();
        let actor = self.submitter.as_deref().or(update.actor);
        let update = Update { actor, origin: Origin::Webhook, ..update };
        let (subject, message) = (self.subject.as_deref(), self.message.as_deref());
        opened(update, channel.as_deref(), subject, self.public, message, ctx.messages())
    }
}

fn comment(
    event: &mut AuditEvent,
    child: &Child<'_>,
    update: Update<'_>,
    opening: Option<&mut Opening>,
    ctx: &DecodeContext<'_>,
) {
    let mut lenient = Lenient::default();
    let Some(id) = lenient.id("id", child.id).value() else { return };
    if lenient.truth("comment_present", child.present) == Said::Is(false) {
        return;
    }
    let public = child.is_public(&mut lenient);
    let author = lenient.id("author_id", child.author).value().or(event.updater.clone());
    let body = lenient.text("body", child.body).value();
    let attachments = child.attachments.map(|list| {
        let mut count = 0;
        elements(list.get(), |_| count += 1);
        count
    });
    let first = opening.is_some();
    match opening {
        Some(opening) => {
            opening.public = Some(public);
            opening.message = body;
        }
        None => {
            let (author, body) = (author.as_deref(), body.as_deref());
            let comment = Comment { id: &id, public, author, body, attachments };
            event.activities.extend(comment_added(update, comment, ctx.messages()));
        }
    }
    event.comments.push(SeenComment { id, author, public, first });
}

fn change(event: &mut AuditEvent, child: &Child<'_>, update: Update<'_>) {
    if child.added.is_some() || child.removed.is_some() {
        event.activities.extend(tags_changed(update, &words(child.added), &words(child.removed)));
        return;
    }
    for (field, value) in child.fields() {
        if field == Field::System("requester") {
            let requester = field.text(child.previous);
            if !requester.is_empty() && requester != field.text(value) {
                event.former_requester = Some(FormerRequester { until: event.at, requester });
            }
        }
        event.activities.extend(field.activities(update, child.previous, value));
    }
}

fn redact(event: &mut AuditEvent, child: &Child<'_>) {
    if let Some(comment_id) = Lenient::default().id("comment_id", child.comment_id).value() {
        event.redactions.push(Redaction::Comment { ticket_id: event.ticket_id, comment_id });
    }
}

/// A comment that customers no longer see (A6).
fn hide(event: &mut AuditEvent, child: &Child<'_>) {
    if let Some(comment_id) = Lenient::default().id("comment_id", child.comment_id).value() {
        event.redactions.push(Redaction::Private { ticket_id: event.ticket_id, comment_id });
    }
}

/// A ticket that went into another is closed by the same update, whose way it came by is a merge.
fn merging(event: &mut AuditEvent, parts: &Parts<'_>, children: &[Child<'_>], update: Update<'_>) {
    let closed = event.activities.iter().any(|draft| {
        draft.key.starts_with("status:") && (draft.key.ends_with(">closed") || draft.key.ends_with(">solved"))
    });
    let by_merge = |via: &Option<&RawValue>| via.is_some_and(is_merge);
    let Some(child) = children.iter().find(|child| by_merge(&child.via) || by_merge(&parts.via)).filter(|_| closed)
    else {
        return;
    };
    let via = child.via.filter(|via| is_merge(via)).or(parts.via);
    let to = via.and_then(|via| member(via, "source")).and_then(|source| member(source, "to"));
    let into = Lenient::default().id("via", to.and_then(|to| member(to, "ticket_id"))).value();
    let into = into.or_else(|| children.iter().find_map(|child| named_ticket(child.body?)));
    event.activities.push(merged(update, into.as_deref()));
}

/// The ticket that Zendesk's own comment on a merge names: `… merged into request #9 …`, in whichever language.
fn named_ticket(body: &RawValue) -> Option<String> {
    let Json::Text(body) = view(body) else { return None };
    let digits = body.split_once('#')?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<i64>().ok().filter(|id| *id > 0).map(|id| id.to_string())
}

fn is_merge(via: &RawValue) -> bool {
    let word = |raw: &RawValue| matches!(view(raw), Json::Text(text) if text.to_lowercase().contains("merge"));
    word(via) || member(via, "source").and_then(|source| member(source, "rel")).is_some_and(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{context, mutated, raw, settings};
    use super::*;

    const ROW: &str = r#"{"id":926256957613,"ticket_id":155,"timestamp":1601357503,"created_at":"2020-09-29T05:31:43Z","updater_id":42,
        "via":"Email","system":{},"metadata":{},"event_type":"Audit","child_events":[]}"#;

    fn row(children: &str) -> String {
        ROW.replace("\"child_events\":[]", &format!("\"child_events\":[{children}]"))
    }

    fn decode(children: &str) -> AuditEvent {
        let settings = settings();
        ticket_event(&raw(&row(children)), &context(&settings)).expect("a row")
    }

    fn check(children: &str, expected: &[(&str, &str)]) {
        let found = decode(children);
        let drafts = found.activities.iter().map(|draft| (draft.kind.as_str(), draft.key.as_str()));
        assert_eq!(drafts.collect::<Vec<_>>(), expected, "{children}");
    }

    #[test]
    fn each_spelling_of_a_change() {
        let solved = [("zd.ticket.status_changed", "status:open>solved"), ("zd.ticket.solved", "status:open>solved")];
        check(r#"{"id":1,"event_type":"Change","status":"solved","previous_value":"open","via":"Web form"}"#, &solved);
        check(r#"{"id":1,"type":"Change","field_name":"status","value":"solved","previous_value":"open"}"#, &solved);
        let kind = [("zd.ticket.updated", "type:question>incident")];
        check(r#"{"type":"incident","previous_value":"question","event_type":"Change"}"#, &kind);
        let assigned = [("zd.ticket.assigned", "assignee:>8447388090494")];
        check(r#"{"event_type":"Change","assignee_id":8447388090494,"previous_value":null}"#, &assigned);
        check(
            r#"{"type":"Change","field_name":"assignee_id","value":"8447388090494","previous_value":"0"}"#,
            &assigned,
        );
        let custom = [("zd.ticket.updated", "360:a>b")];
        check(r#"{"event_type":"Change","custom_ticket_fields":{"360":"b"},"previous_value":"a"}"#, &custom);
        check(r#"{"event_type":"Change","field_name":"360","value":"b","previous_value":"a"}"#, &custom);
        let tags = [("zd.ticket.tagged", "tags:added:b,c"), ("zd.ticket.untagged", "tags:removed:a")];
        check(
            r#"{"event_type":"Change","tags":["c","b"],"added_tags":["c","b"],"removed_tags":["a"],"previous_value":["a"]}"#,
            &tags,
        );
        check(r#"{"type":"Change","field_name":"tags","value":"c b","previous_value":["a"]}"#, &tags);
        check(r#"{"event_type":"Change","status":"open","previous_value":"OPEN"}"#, &[]);
        check(r#"{"event_type":"Change","current_collaborators":"Jane <jane@x.test>","previous_value":""}"#, &[]);
        check(r#"{"event_type":"Notification","subject":"x","body":"y"},{"event_type":"External"},7"#, &[]);
    }

    #[test]
    fn the_opening_of_a_ticket_is_one_activity() {
        let children = r#"{"event_type":"Create","status":"new"},{"event_type":"Create","subject":"Help"},
            {"id":9,"event_type":"Comment","type":"Comment","author_id":7,"body":"Hello","public":true,"attachments":[]}"#;
        check(children, &[("zd.ticket.created", "created")]);
        let event = decode(children);
        assert_eq!(
            (event.activities[0].message.as_deref(), event.activities[0].origin),
            (Some("Hello"), Origin::Webhook)
        );
        assert!(event.comments[0].first && event.comments[0].public);
        let private = decode(&children.replace("true", "false"));
        assert_eq!((private.activities[0].message.as_deref(), private.activities[0].public), (None, false));
    }

    #[test]
    fn comments_public_and_private_a6() {
        let comment = r#"{"id":9,"event_type":"Comment","author_id":7,"body":"Ünïcode and a long text","public":true,"attachments":[{}]}"#;
        let event = decode(comment);
        let draft = &event.activities[0];
        assert_eq!((draft.key.as_str(), draft.actor.as_deref()), ("9", Some("7")));
        assert_eq!(draft.message.as_deref(), Some("Ünïcode and a long"));
        assert_eq!(draft.attributes["message_truncated"], true);
        assert_eq!(draft.attributes["attachment_count"], 1);
        let private = comment.replace("true", "false");
        check(&private, &[]);
        check(r#"{"id":9,"event_type":"Comment","body":"who knows"}"#, &[]);
        check(
            r#"{"id":9,"event_type":"Comment","comment_present":true,"comment_public":true}"#,
            &[("zd.ticket.comment_added", "9")],
        );
        let settings = settings();
        let ctx = DecodeContext { private_comments: true, store_message_bodies: false, ..context(&settings) };
        let event = ticket_event(&raw(&row(&private)), &ctx).expect("a row");
        assert_eq!((event.activities[0].public, event.activities[0].message.as_deref()), (false, None));
    }

    #[test]
    fn redactions_requesters_and_merges() {
        let redacted = decode(
            r#"{"event_type":"CommentRedactionEvent","comment_id":9}, {"type":"CommentPrivacyChange","comment_id":8,"public":false}"#,
        );
        let comment = |id: &str| Redaction::Comment { ticket_id: 155, comment_id: id.to_owned() };
        let hidden = Redaction::Private { ticket_id: 155, comment_id: "8".to_owned() };
        assert_eq!(redacted.redactions, [comment("9"), hidden]);
        let moved = decode(r#"{"event_type":"Change","requester_id":2,"previous_value":"1"}"#);
        assert_eq!(
            moved.former_requester.map(|former| (former.requester, former.until)),
            Some(("1".to_owned(), moved.at))
        );
        let merged = decode(
            r#"{"event_type":"Change","status":"closed","previous_value":"open","via":"Ticket merge"},
            {"id":3,"event_type":"Comment","public":false,"body":"merged into request #77 \"x\""}"#,
        );
        let last = merged.activities.last().expect("a merge");
        assert_eq!((last.kind.as_str(), &last.attributes["into_ticket_id"]), ("zd.ticket.merged", &"77".into()));
        check(
            r#"{"event_type":"Change","status":"deleted","previous_value":"open"}"#,
            &[("zd.ticket.deleted", "deleted")],
        );
        check(
            r#"{"event_type":"Change","status":"open","previous_value":"deleted"}"#,
            &[("zd.ticket.undeleted", "undeleted")],
        );
    }

    #[test]
    fn only_ticket_and_time_are_needed() {
        let settings = settings();
        let ctx = context(&settings);
        let by_stamp =
            ticket_event(&raw(r#"{"ticket_id":"5","timestamp":1601357503,"updater_id":-1}"#), &ctx).expect("a row");
        assert_eq!((by_stamp.at.timestamp(), by_stamp.updater), (1_601_357_503, None));
        for text in
            ["[]", "{}", r#"{"id":3,"created_at":"2020-09-29T05:31:43Z"}"#, r#"{"ticket_id":5,"created_at":"x"}"#]
        {
            assert_eq!(ticket_event(&raw(text), &ctx).expect_err("not usable").stream, "ticket_events", "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            outer in mutated(ROW),
            child in mutated(r#"{"id":1,"event_type":"Change","status":"a","previous_value":"b","custom_ticket_fields":{"1":2}}"#),
            comment in mutated(r#"{"id":9,"type":"Comment","author_id":7,"body":"x","public":true,"attachments":[]}"#),
        ) {
            let settings = settings();
            let _ = ticket_event(&raw(&outer), &context(&settings));
            let _ = ticket_event(&raw(&row(&format!("{child},{comment}"))), &context(&settings));
        }
    }
}
