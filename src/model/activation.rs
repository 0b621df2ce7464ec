//! Activations: which rows of the CDP become which records of Zendesk, by which key, with which mapping, and when.

use super::consent::Channel;
use super::filter::Field;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// An activation as it is defined by its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// Name by which commands know it.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Name of the source whose records are written.
    pub source: String,
    /// What is written there.
    pub target: Target,
    /// Which rows.
    pub rows: Rows,
    /// How a row finds its record.
    pub key: Key,
    /// What becomes of it.
    pub mappings: Vec<Mapping>,
    /// Tags that are ours.
    pub tags: Vec<Tag>,
    /// The person's organizations become memberships that are ours.
    pub memberships: bool,
    /// When it runs without being told to.
    pub when: When,
    /// What stops it.
    pub guards: Guards,
    /// Only people who consented to this channel; who withdraws is treated as one who left.
    pub consent: Option<Channel>,
    /// Origins classed as personal data that the file says may go to Zendesk.
    pub personal_data: BTreeSet<String>,
    /// How phone numbers are formed.
    pub phones: Phones,
    /// The file, as JSON.
    pub written: Value,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Users of Zendesk Support.
    Users,
    /// Organizations of Zendesk Support.
    Organizations,
    /// Contacts of Zendesk Sell, which retires on 2027-08-31.
    SellContacts,
}

impl Target {
    /// The word in files, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Target::Users => "users",
            Target::Organizations => "organizations",
            Target::SellContacts => "sell_contacts",
        }
    }

    /// Where custom fields stand in a record, and the prefix of their names in files: `user_fields.tier`.
    pub fn custom_prefix(self) -> &'static str {
        match self {
            Target::Users => "user_fields",
            Target::Organizations => "organization_fields",
            Target::SellContacts => "custom_fields",
        }
    }
}

/// Which rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Who is or was in one of these audiences. With organizations as the target: the organizations of those people.
    Audiences(Vec<String>),
    /// What a read-only query over the documented tables gives.
    Query {
        /// The statement.
        sql: String,
        /// Column that tells the row apart and, unless the key says otherwise, finds the record. `person_id` makes rows of people,
        /// whose fields can then be mapped beside columns.
        key: String,
        /// Seconds it may run.
        timeout_secs: u32,
        /// Rows it may give.
        max_rows: u64,
    },
}

/// How a row finds its record in Zendesk.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// What of the record is compared.
    pub by: KeyKind,
    /// Where the value comes from; for `RecordId` of people none: the CDP knows which records stand for them.
    pub from: Option<Origin>,
    /// Whether a record that is not there is created.
    pub create: bool,
}

/// What of a record is compared with a row's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// Zendesk's own id.
    RecordId,
    /// The id in the operator's own systems; Zendesk compares without regard to case (Z§3).
    ExternalId,
    /// The address; of organizations: their name.
    Email,
    /// A custom field, by its name with its prefix.
    Field(String),
}

/// One target field and what it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The target field: `name`, `details` … or a custom field by its key, `user_fields.tier`.
    pub to: String,
    /// What it gets.
    pub from: Origin,
    /// When it is written.
    pub write: Write,
    /// Who wins where we wrote a value and somebody changed it in Zendesk since. What we never wrote is written, and what Zendesk had
    /// already as wanted was not written by us.
    pub conflict: Conflict,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A field of the person.
    Field(Field),
    /// First and last name as one.
    FullName,
    /// First, last or how often an activity type occurred.
    Rollup(String, RollupPart),
    /// Whether the channel's consent is granted, as `granted`, `withdrawn` or empty.
    Consent(Channel),
    /// How the row stands to an audience.
    Audience(String, AudiencePart),
    /// A column of the query.
    Column(String),
    /// Always this.
    Constant(Value),
    /// A Liquid template over `person`, `summary`, `rollup`, `audience` and `row`.
    Template(String),
}

/// What of a rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RollupPart {
    First,
    Last,
    Count,
}

/// What of an audience (Adobe's statuses; peers-outbound §b.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudiencePart {
    /// `realized` while in it, `exited` after; empty for who never was.
    Status,
    /// When the latest stay began.
    EnteredAt,
    /// When the latest stay ended; empty while in it.
    ExitedAt,
}

/// When a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Whenever what is wanted changes; an empty value clears.
    #[default]
    Always,
    /// Only where Zendesk has nothing, or has what we wrote.
    IfEmpty,
    /// As always, but an empty value never clears.
    NeverClear,
}

/// Who wins where we wrote a value and somebody changed it in Zendesk since. What we never wrote is written, and what Zendesk had
/// already as wanted was not written by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// Theirs stays and is reported, also when something else is wanted by now.
    #[default]
    Keep,
    /// Theirs stays and is reported while what is wanted is what we last wrote; as soon as it is something else, ours replaces it.
    Overwrite,
}

/// A tag that is ours where we added it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// The tag.
    pub tag: String,
    /// Worn while in this audience; None: while the row is there.
    pub audience: Option<String>,
}

/// When an activation runs without being told to. All may hold together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct When {
    /// Within seconds of a change.
    pub always: bool,
    /// By a clock: five fields of cron and its zone.
    pub cron: Option<(String, Option<Tz>)>,
    /// After each sync of the source's contacts.
    pub after_sync: bool,
}

/// What makes a run stop and ask. Shares are percent of the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// Records it may change.
    pub max_changed: u64,
    /// The same as a share of all rows, once there are 100 of them.
    pub max_changed_percent: f64,
    /// Fields it may clear.
    pub max_cleared: u64,
    /// Records it may create.
    pub max_created: u64,
    /// Failed records, in percent of those tried, once there are 20, at which it stops.
    pub max_failed_percent: f64,
    /// Skipped and refused rows in percent at which an alert is given.
    pub alert_skipped_percent: f64,
    /// Roll out in stages: one record, ten, one in a hundred, all; each further one when told to.
    pub stages: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Guards {
            max_changed: 10_000,
            max_changed_percent: 100.0,
            max_cleared: 1_000,
            max_created: 1_000,
            max_failed_percent: 20.0,
            alert_skipped_percent: 10.0,
            stages: false,
        }
    }
}

/// How phone numbers are formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phones {
    /// E.164, any country.
    #[default]
    E164,
    /// `+1` and ten digits only (Amperity's profile).
    Us,
}
