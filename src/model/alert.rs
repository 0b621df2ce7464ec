//! Alerts: what operators are told of, what it is judged by, and how they are told.

use super::push::{RunCounts, RunKind, RunState};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// An activation cannot go on, or its latest run failed or was stopped.
    Failed,
    /// A run waits for an operator's answer.
    Waiting,
    /// What is due is not delivered in time.
    Late,
    /// Too many rows of the latest run were skipped or failed.
    Skipped,
    /// The latest run changed far more or fewer records than those before.
    Unusual,
    /// Credentials end soon, or have ended.
    Credentials,
    /// Nothing: an operator tries the channels.
    Test,
}

impl AlertKind {
    /// The text in the database and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertKind::Failed => "failed",
            AlertKind::Waiting => "waiting",
            AlertKind::Late => "late",
            AlertKind::Skipped => "skipped",
            AlertKind::Unusual => "unusual",
            AlertKind::Credentials => "credentials",
            AlertKind::Test => "test",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<AlertKind> {
        use AlertKind::*;
        [Failed, Waiting, Late, Skipped, Unusual, Credentials, Test].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What should be open now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    /// What is the matter.
    pub kind: AlertKind,
    /// About what: `activation:NAME` or `source:NAME`.
    pub about: String,
    /// The activation, if it is about one.
    pub activation_id: Option<i64>,
    /// The source, if it is about one.
    pub source_id: Option<i64>,
    /// In words, without personal data.
    pub words: String,
}

/// An alert, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Number.
    pub id: i64,
    /// What is the matter.
    pub kind: AlertKind,
    /// About what.
    pub about: String,
    /// In words, as last told.
    pub words: String,
    /// When it was first seen.
    pub opened_at: DateTime<Utc>,
    /// When it was last told of.
    pub told_at: DateTime<Utc>,
    /// When it was over.
    pub recovered_at: Option<DateTime<Utc>>,
}

/// What a message tells of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It begins.
    Opened,
    /// It is still so.
    StillOpen,
    /// It is over.
    Recovered,
}

impl News {
    /// The text in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            News::Opened => "opened",
            News::StillOpen => "still_open",
            News::Recovered => "recovered",
        }
    }
}

/// A way to operators, beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A signed request to an address of theirs.
    Webhook,
    /// E-mail.
    Email,
}

impl Channel {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Webhook => "webhook",
            Channel::Email => "email",
        }
    }

    /// The channel of that name.
    pub fn parse(text: &str) -> Option<Channel> {
        [Channel::Webhook, Channel::Email].into_iter().find(|channel| channel.as_str() == text)
    }
}

/// An activation, as far as alerts are judged by it.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationFacts {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Neither it nor its source is paused, and the source is connected.
    pub works: bool,
    /// Its file.
    pub definition: Value,
    /// What is wrong with it.
    pub error: Option<String>,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// When its clock starts the next run.
    pub next_at: Option<DateTime<Utc>>,
    /// Since when all its rows are to be looked at again.
    pub replan_at: Option<DateTime<Utc>>,
    /// Since when somebody is due whom nothing was done about, while it is always on.
    pub due_since: Option<DateTime<Utc>>,
}

/// A run, as far as alerts are judged by it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFacts {
    /// Number.
    pub id: i64,
    /// The activation.
    pub activation_id: i64,
    /// What it does.
    pub kind: RunKind,
    /// How far it is.
    pub state: RunState,
    /// What it counted.
    pub counts: RunCounts,
    /// What it waits for.
    pub asks: Option<String>,
    /// Why it failed or was stopped.
    pub error: Option<String>,
    /// An operator stopped it.
    pub by_hand: bool,
}

/// Credentials that have an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFacts {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub source: String,
    /// When they end.
    pub ends_at: DateTime<Utc>,
    /// Zendesk refuses them already.
    pub lost: bool,
    /// What to do about it.
    pub todo: &'static str,
}
