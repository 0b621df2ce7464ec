//! A ticket, its history, and the way Zendesk writes a ticket.
use super::audit::{Audit, Comment, EventKind};
use super::catalog::FieldDef;
use super::rating::Rating;
use super::user::User;
use crate::time::Stamp;
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody has looked.
    New,
    /// Someone has it.
    Open,
    /// Waits for the customer.
    Pending,
    /// Waits for someone else.
    Hold,
    /// Answered.
    Solved,
    /// Never changes again.
    Closed,
}

/// How urgent a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub enum Priority {
    Low,
    Normal,
    High,
    Urgent,
}

/// What sort of matter a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub enum TicketType {
    Problem,
    Incident,
    Question,
    Task,
}

impl Status {
    /// Zendesk's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Hold => "hold",
            Self::Solved => "solved",
            Self::Closed => "closed",
        }
    }
}

impl Priority {
    /// Zendesk's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

impl TicketType {
    /// Zendesk's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Incident => "incident",
            Self::Question => "question",
            Self::Task => "task",
        }
    }
}

/// How far a ticket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It is there.
    No,
    /// Deleted; can be brought back for a while.
    Deleted,
    /// Permanently deleted; only the shell is left.
    Scrubbed,
}

/// A ticket, alive or gone.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Its number.
    pub id: i64,
    /// Its place in the order of changes.
    pub seq: u64,
    /// The customer's own id for it.
    pub external_id: Option<String>,
    /// The channel it came by.
    pub channel: &'static str,
    /// When it was made.
    pub created_at: Stamp,
    /// When its last event was.
    pub updated_at: Stamp,
    /// When anything of it last changed: what exports are ordered by.
    pub generated: Stamp,
    /// What sort of matter.
    pub kind: Option<TicketType>,
    /// Subject line.
    pub subject: String,
    /// How urgent.
    pub priority: Option<Priority>,
    /// Where it stands.
    pub status: Status,
    /// Whose matter it is.
    pub requester_id: i64,
    /// Who wrote it down.
    pub submitter_id: i64,
    /// Who answers it.
    pub assignee_id: Option<i64>,
    /// The requester's organization.
    pub organization_id: Option<i64>,
    /// Whose turn it is.
    pub group_id: Option<i64>,
    /// Tags.
    pub tags: Vec<String>,
    /// Custom fields that have a value, by field id.
    pub fields: BTreeMap<i64, Value>,
    /// The finer status.
    pub custom_status_id: i64,
    /// People copied by address.
    pub email_cc_ids: Vec<i64>,
    /// Agents who follow.
    pub follower_ids: Vec<i64>,
    /// The problem this is an incident of.
    pub problem_id: Option<i64>,
    /// When a task is due.
    pub due_at: Option<Stamp>,
    /// The rating, if one was offered.
    pub rating_id: Option<i64>,
    /// The closed ticket this one follows.
    pub followup_of: Option<i64>,
    /// Tickets that follow this one.
    pub followups: Vec<i64>,
    /// The ticket this one went into.
    pub merged_into: Option<i64>,
    /// How far it is gone.
    pub gone: Gone,
    /// When it was deleted, and by whom.
    pub deleted: Option<(Stamp, i64)>,
    /// Everything that happened to it.
    pub audits: Vec<Audit>,
}

impl Ticket {
    /// The status as exports say it: a gone ticket is `deleted`.
    pub fn status_word(&self) -> &'static str {
        if self.gone == Gone::No { self.status.word() } else { "deleted" }
    }

    /// The comments in order, with the audit each belongs to.
    pub fn comments(&self) -> impl DoubleEndedIterator<Item = (&Audit, i64, &Comment)> {
        self.audits.iter().flat_map(|audit| {
            audit.events.iter().filter_map(move |event| match &event.kind {
                EventKind::Comment(comment) => Some((audit, event.id, comment.as_ref())),
                _ => None,
            })
        })
    }

    /// The first comment's text.
    pub fn description(&self) -> &str {
        if self.gone == Gone::Scrubbed {
            return "X";
        }
        self.comments().next().map_or("", |(_, _, comment)| &comment.body)
    }

    /// Whether any comment is public.
    pub fn is_public(&self) -> bool {
        self.comments().next().is_none_or(|(_, _, comment)| comment.public)
    }
}

/// A `via` object without a source.
#[derive(Serialize)]
pub struct Via<'a> {
    channel: &'static str,
    source: ViaSource<'a>,
}

#[derive(Serialize)]
struct ViaSource<'a> {
    from: End<'a>,
    to: End<'a>,
    rel: Option<&'static str>,
}

/// One end of a channel.
#[derive(Serialize)]
#[serde(untagged)]
enum End<'a> {
    /// Not told.
    Nobody {},
    /// A mailbox; its address may be missing.
    Mailbox { name: &'a str, address: Option<&'a str> },
    /// A trigger.
    Rule { deleted: bool, title: &'a str, id: i64, revision_id: i64 },
}

/// Where customers write to.
const MAILBOX: &str = "support@help.example";

impl<'a> Via<'a> {
    /// The channel as an object.
    pub fn of(channel: &'static str) -> Self {
        let rel = (channel == "system").then_some("merge");
        Self { channel, source: ViaSource { from: End::Nobody {}, to: End::Nobody {}, rel } }
    }

    /// The channel a user came by: an e-mail says from whom and to whom.
    fn of_user(channel: &'static str, user: Option<&'a User>) -> Self {
        let mut via = Self::of(channel);
        if let Some(user) = user.filter(|_| channel == "email") {
            via.source.from = End::Mailbox { name: &user.name, address: user.email.as_deref() };
            via.source.to = End::Mailbox { name: "Acme Outdoor", address: Some(MAILBOX) };
        }
        via
    }

    /// What a trigger did.
    pub fn of_rule(id: i64, title: &'a str) -> Self {
        let from = End::Rule { deleted: false, title, id, revision_id: 1 };
        Self { channel: "rule", source: ViaSource { from, to: End::Nobody {}, rel: Some("trigger") } }
    }
}

/// Every defined ticket field with its value or null, as a list of pairs.
pub struct FieldPairs<'a> {
    defs: &'a [FieldDef],
    values: &'a BTreeMap<i64, Value>,
}

#[derive(Serialize)]
struct Pair<'a> {
    id: i64,
    value: Option<&'a Value>,
}

impl Serialize for FieldPairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for def in self.defs.iter().filter(|def| def.removable) {
            list.serialize_element(&Pair { id: def.id, value: self.values.get(&def.id) })?;
        }
        list.end()
    }
}

/// The rating as it stands inside a ticket.
#[derive(Serialize)]
pub struct RatingInTicket<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    score: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> RatingInTicket<'a> {
    fn of(rating: &'a Rating) -> Self {
        let received = rating.score.is_received();
        Self {
            id: received.then_some(rating.id),
            score: rating.score.word(),
            comment: rating.comment.as_deref().filter(|_| received),
            reason: rating.reason.map(|(_, text)| text).filter(|_| received),
        }
    }
}

/// A ticket as REST and the exports write one.
#[derive(Serialize)]
pub struct TicketView<'a> {
    url: String,
    id: i64,
    external_id: Option<&'a str>,
    via: Via<'a>,
    created_at: Stamp,
    updated_at: Stamp,
    generated_timestamp: i64,
    #[serde(rename = "type")]
    kind: Option<TicketType>,
    subject: &'a str,
    raw_subject: &'a str,
    description: &'a str,
    priority: Option<Priority>,
    status: &'static str,
    recipient: Option<&'static str>,
    requester_id: i64,
    submitter_id: i64,
    assignee_id: Option<i64>,
    organization_id: Option<i64>,
    group_id: Option<i64>,
    collaborator_ids: &'a [i64],
    follower_ids: &'a [i64],
    email_cc_ids: &'a [i64],
    forum_topic_id: Option<i64>,
    problem_id: Option<i64>,
    has_incidents: bool,
    is_public: bool,
    due_at: Option<Stamp>,
    tags: &'a [String],
    custom_fields: FieldPairs<'a>,
    satisfaction_rating: Option<RatingInTicket<'a>>,
    sharing_agreement_ids: [i64; 0],
    custom_status_id: i64,
    fields: FieldPairs<'a>,
    followup_ids: &'a [i64],
    ticket_form_id: i64,
    brand_id: i64,
    allow_channelback: bool,
    allow_attachments: bool,
    from_messaging_channel: bool,
}

/// What of the account a ticket's JSON needs.
#[derive(Clone, Copy)]
pub struct TicketFrame<'a> {
    /// `https://…` of the account.
    pub host: &'a str,
    /// Everybody, for who wrote an e-mail.
    pub users: &'a BTreeMap<i64, User>,
    /// Tickets that have incidents.
    pub problems: &'a BTreeSet<i64>,
    /// The ticket fields.
    pub defs: &'a [FieldDef],
    /// The form every ticket has.
    pub form_id: i64,
    /// The brand every ticket has.
    pub brand_id: i64,
}

impl Ticket {
    /// The ticket as Zendesk writes one. Outside exports `generated_timestamp` may be told as 0.
    pub fn view<'a>(&'a self, frame: TicketFrame<'a>, rating: Option<&'a Rating>, generated: i64) -> TicketView<'a> {
        TicketView {
            url: format!("{}/api/v2/tickets/{}.json", frame.host, self.id),
            id: self.id,
            external_id: self.external_id.as_deref(),
            via: Via::of_user(self.channel, frame.users.get(&self.requester_id)),
            created_at: self.created_at,
            updated_at: self.updated_at,
            generated_timestamp: generated,
            kind: self.kind,
            subject: &self.subject,
            raw_subject: &self.subject,
            description: self.description(),
            priority: self.priority,
            status: self.status_word(),
            recipient: (self.channel == "email").then_some(MAILBOX),
            requester_id: self.requester_id,
            submitter_id: self.submitter_id,
            assignee_id: self.assignee_id,
            organization_id: self.organization_id,
            group_id: self.group_id,
            collaborator_ids: &self.email_cc_ids,
            follower_ids: &self.follower_ids,
            email_cc_ids: &self.email_cc_ids,
            forum_topic_id: None,
            problem_id: self.problem_id,
            has_incidents: frame.problems.contains(&self.id),
            is_public: self.is_public(),
            due_at: self.due_at,
            tags: &self.tags,
            custom_fields: FieldPairs { defs: frame.defs, values: &self.fields },
            satisfaction_rating: rating.map(RatingInTicket::of),
            sharing_agreement_ids: [],
            custom_status_id: self.custom_status_id,
            fields: FieldPairs { defs: frame.defs, values: &self.fields },
            followup_ids: &self.followups,
            ticket_form_id: frame.form_id,
            brand_id: frame.brand_id,
            allow_channelback: false,
            allow_attachments: true,
            from_messaging_channel: false,
        }
    }
}
