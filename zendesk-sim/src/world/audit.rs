//! What happened to a ticket: audits, their events and comments, as REST writes them.
use super::ticket::Via;
use crate::time::Stamp;
use serde::Serialize;
use serde_json::{Value, json};

/// One update of a ticket.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Its id.
    pub id: i64,
    /// When.
    pub created_at: Stamp,
    /// Who; -1 is the system.
    pub author_id: i64,
    /// By which channel.
    pub channel: &'static str,
    /// What changed.
    pub events: Vec<AuditEvent>,
    /// What the asker had kept with it (`metadata` of a write); null for most.
    pub custom: Value,
}

/// One change within an update.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Its id; a comment's event id is the comment's id.
    pub id: i64,
    /// What it is.
    pub kind: EventKind,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// A field had this value when the ticket was made.
    Create(Field, Value),
    /// A field has this value now (second) and had that one before (third).
    Change(Field, Value, Value),
    /// Something was said.
    Comment(Box<Comment>),
    /// Something happened to a comment: Zendesk's name for it, the comment, the file if there is one.
    Mark(&'static str, i64, Option<i64>),
    /// A trigger wrote to these users.
    Notify(&'static Notice, Vec<i64>),
}

/// What a trigger writes to people.
#[derive(Debug)]
pub struct Notice {
    /// The trigger's id.
    pub id: i64,
    /// The trigger's name.
    pub title: &'static str,
    /// The subject, with placeholders.
    pub subject: &'static str,
    /// The words, with placeholders.
    pub body: &'static str,
}

/// The one trigger every account begins with that tells customers of their tickets.
pub const RECEIVED: Notice = Notice {
    id: 360_009_010_001,
    title: "Notify requester of received request",
    subject: "[Request received] {{ticket.title}}",
    body: "Your request ({{ticket.id}}) has been received.\n\n{{ticket.comments_formatted}}",
};

/// Which field changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A field every account has.
    Named(&'static str),
    /// A field of this account.
    Custom(i64),
}

/// A file on a comment.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub file_name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Bytes.
    pub size: u32,
}

/// Something said on a ticket.
#[derive(Clone, Debug)]
pub struct Comment {
    /// Who said it.
    pub author_id: i64,
    /// The words.
    pub body: String,
    /// Whether the customer sees it.
    pub public: bool,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// A file as REST writes one.
#[derive(Serialize)]
pub struct AttachmentView<'a> {
    url: String,
    id: i64,
    file_name: &'a str,
    content_url: String,
    mapped_content_url: String,
    content_type: &'a str,
    size: u32,
    width: Option<u32>,
    height: Option<u32>,
    inline: bool,
    deleted: bool,
    malware_access_override: bool,
    malware_scan_result: &'static str,
    thumbnails: [(); 0],
}

impl Attachment {
    /// Where the file is.
    pub fn content_url(&self, host: &str) -> String {
        format!("{host}/attachments/token/t{}/?name={}", self.id, self.file_name)
    }

    /// The file as REST writes it.
    pub fn view(&self, host: &str) -> AttachmentView<'_> {
        AttachmentView {
            url: format!("{host}/api/v2/attachments/{}.json", self.id),
            id: self.id,
            file_name: &self.file_name,
            content_url: self.content_url(host),
            mapped_content_url: self.content_url(host),
            content_type: self.content_type,
            size: self.size,
            width: None,
            height: None,
            inline: false,
            deleted: self.file_name == "redacted.txt",
            malware_access_override: false,
            malware_scan_result: "malware_not_found",
            thumbnails: [],
        }
    }
}

/// A comment as REST and `include=comment_events` write one.
#[derive(Serialize)]
pub struct CommentView<'a> {
    id: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    author_id: i64,
    body: &'a str,
    html_body: String,
    plain_body: String,
    public: bool,
    attachments: Vec<AttachmentView<'a>>,
    audit_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<Via<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via_reference_id: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'static str>,
}

/// Where a comment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a list of comments.
    List,
    /// Among an audit's events: the audit says when and how.
    Audit,
    /// In a row of `ticket_events`.
    Row,
}

impl Comment {
    /// The comment as Zendesk writes it there.
    pub fn view<'a>(&'a self, id: i64, audit: &Audit, host: &str, place: Place) -> CommentView<'a> {
        let child = place == Place::Row;
        let escaped = escape(&self.body).replace("\r\n", "<br>").replace('\n', "<br>");
        CommentView {
            id,
            kind: if audit.channel == "voice" { "VoiceComment" } else { "Comment" },
            author_id: self.author_id,
            body: &self.body,
            html_body: format!("<div class=\"zd-comment\" dir=\"auto\"><p dir=\"auto\">{escaped}</p></div>"),
            plain_body: escape(&self.body),
            public: self.public,
            attachments: self.attachments.iter().map(|a| a.view(host)).collect(),
            audit_id: audit.id,
            via: (place != Place::Audit).then(|| Via::of(audit.channel)),
            created_at: (place != Place::Audit).then_some(audit.created_at),
            metadata: (place == Place::List).then(|| audit.metadata()),
            via_reference_id: child.then_some(None),
            event_type: child.then_some("Comment"),
        }
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\u{a0}', "&nbsp;")
}

/// What Zendesk tells about where an author was: documentation addresses only.
fn metadata(author_id: i64) -> Value {
    if author_id < 0 {
        return json!({"system": {}, "custom": {}});
    }
    let last = author_id.rem_euclid(250);
    json!({"system": {"client": "Mozilla/5.0", "ip_address": format!("192.0.2.{last}"),
        "location": "Lisbon, 11, Portugal", "latitude": 38.72, "longitude": -9.13}, "custom": {}})
}

/// Words for a channel in `ticket_events`, where it is a text and not an object.
pub fn channel_words(channel: &str) -> &'static str {
    match channel {
        "email" => "Mail",
        "api" => "Web service",
        "chat" => "Chat",
        "voice" => "Phone call (inbound)",
        "system" => "Ticket merge",
        "rule" => "Automation",
        _ => "Web form",
    }
}

impl AuditEvent {
    /// The event as `/tickets/{id}/audits` writes it: ids inside values are texts.
    pub fn as_rest(&self, audit: &Audit, host: &str) -> Value {
        match &self.kind {
            EventKind::Comment(comment) => {
                serde_json::to_value(comment.view(self.id, audit, host, Place::Audit)).unwrap_or_default()
            }
            EventKind::Mark(kind, comment, file) => {
                let mut value = mark(kind, *comment, *file);
                value["id"] = self.id.into();
                value["type"] = value["event_type"].take();
                value
            }
            EventKind::Notify(notice, recipients) => json!({"id": self.id, "type": "Notification",
                "via": Via::of_rule(notice.id, notice.title), "subject": notice.subject, "body": notice.body,
                "recipients": recipients}),
            EventKind::Create(field, value) => {
                json!({"id": self.id, "type": "Create", "field_name": field.name(), "value": field.texted(value)})
            }
            EventKind::Change(field, value, before) => json!({"id": self.id, "type": "Change",
                "field_name": field.name(), "value": field.texted(value), "previous_value": field.texted(before)}),
        }
    }
}

impl Field {
    /// The name audits use: a custom field goes by its id.
    pub fn name(self) -> String {
        match self {
            Self::Named(name) => name.to_owned(),
            Self::Custom(id) => id.to_string(),
        }
    }

    /// Audits write the ids of people and things as texts.
    pub fn texted(self, value: &Value) -> Value {
        match value {
            Value::Number(number) => Value::String(number.to_string()),
            other => other.clone(),
        }
    }
}

/// What an event says of what happened to a comment.
fn mark(kind: &str, comment: i64, file: Option<i64>) -> Value {
    let mut value = json!({"event_type": kind, "comment_id": comment});
    if let Some(file) = file {
        value["attachment_id"] = file.into();
    }
    if kind == "CommentPrivacyChange" {
        value["public"] = false.into();
    }
    value
}

impl Audit {
    /// The audit as REST writes it.
    pub fn as_rest(&self, ticket_id: i64, host: &str) -> Value {
        let events: Vec<_> = self.events.iter().map(|event| event.as_rest(self, host)).collect();
        json!({"id": self.id, "ticket_id": ticket_id, "created_at": self.created_at, "author_id": self.author_id,
            "metadata": self.metadata(), "via": Via::of(self.channel), "events": events})
    }

    /// Where the author was, and what they had kept.
    fn metadata(&self) -> Value {
        let mut told = metadata(self.author_id);
        if !self.custom.is_null() {
            told["custom"] = self.custom.clone();
        }
        told
    }
}
