//! Sources: a connected Zendesk Support or Sell account, or a name under which files are imported, with its options.

use super::field::{FieldPolicy, SystemField};
use super::grant::Pair;
use super::name::NameSplitting;
use super::person::IdentityKind;
use super::retention::Retention;
use super::stream::Stream;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a source is (R19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Credentials are being checked.
    Connecting,
    /// The first sync is under way.
    Syncing,
    /// Up to date and kept so.
    Connected,
    /// Nothing new comes in; what came stays.
    Disconnected,
    /// Out of sight; can be restored.
    Archived,
    /// The connection is gone; people and activities stay (R20).
    Deleted,
}

impl SourceState {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Connecting => "connecting",
            SourceState::Syncing => "syncing",
            SourceState::Connected => "connected",
            SourceState::Disconnected => "disconnected",
            SourceState::Archived => "archived",
            SourceState::Deleted => "deleted",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<SourceState> {
        use SourceState::*;
        [Connecting, Syncing, Connected, Disconnected, Archived, Deleted].into_iter().find(|s| s.as_str() == text)
    }

    /// True while records of it are read and its webhooks accepted.
    pub fn is_live(self) -> bool {
        matches!(self, SourceState::Syncing | SourceState::Connected)
    }

    /// May this state follow on the present one? Archive requires disconnected, delete requires archived (R19).
    pub fn may_become(self, next: SourceState) -> bool {
        use SourceState::*;
        matches!(
            (self, next),
            (Connecting, Syncing | Disconnected)
                | (Syncing, Connected | Disconnected)
                | (Connected, Syncing | Disconnected)
                | (Disconnected, Syncing | Archived)
                | (Archived, Disconnected | Deleted)
        )
    }
}

/// How several identities of one record are tried (R27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum FindStrategy {
    /// The first that finds someone decides.
    #[default]
    Any,
    /// The next one is tried only against people who have no value of the kinds before it.
    NextOnlyIfPreviousEmpty,
    /// All that the record brings must find the same person.
    All,
}

/// What happens to values of a person who is there already (R28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum MergeStrategy {
    /// Only empty fields are filled.
    Append,
    /// What the record mentions is replaced; an explicit emptiness clears.
    #[default]
    Overwrite,
    /// People who are there already are left alone.
    Ignore,
}

/// Options of one source. Each has a default; `source set NAME key=value` changes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// How whole names are split (N4 or N6–N8).
    pub name_splitting: NameSplitting,
    /// False is the switch "don't modify system fields" (R37); people this source creates still get theirs.
    pub modify_system_fields: bool,
    /// Per system field, may this source write it? Others are overwritten.
    pub field_policies: BTreeMap<SystemField, FieldPolicy>,
    /// The operator asserts that people this source creates agreed to e-mail (R41).
    pub opt_in_email: bool,
    /// The same for text messages.
    pub opt_in_sms: bool,
    /// What, besides the record itself, finds a person (R34).
    pub identifiers: Vec<IdentityKind>,
    /// How several identifiers are tried (R27).
    pub find: FindStrategy,
    /// What happens to people who are there already (R28).
    pub merge: MergeStrategy,
    /// False: records that match nobody are left out (`skip_non_existing`, R28).
    pub create_people: bool,
    /// Archive a person whom the source deletes (R47).
    pub archive_when_deleted: bool,
    /// How long activities are kept (R1–R3).
    pub retention: Retention,
    /// Repair our webhook in Zendesk by itself; otherwise only tell what is wrong with it.
    pub repair_webhook: bool,
    /// Seconds between two readings of a stream, where they differ from the defaults.
    pub every_secs: BTreeMap<Stream, u64>,
    /// Activations write to this account: tokens are asked for with the scopes for that.
    pub write: bool,
    /// Streams that are not read.
    pub skip_streams: Vec<Stream>,
    /// Keep the texts of messages; unset: as configured in `privacy.store_message_bodies`.
    pub store_message_bodies: Option<bool>,
    /// Keep private comments too; unset: as configured in `privacy.private_comments` (A6).
    pub private_comments: Option<bool>,
    /// Requests a minute the account's plan allows; unset: as configured.
    pub requests_per_minute: Option<u32>,
    /// Export requests a minute: 10, or 30 with the high-volume add-on; unset: as configured.
    pub incremental_per_minute: Option<u32>,
}

impl Default for SourceSettings {
    fn default() -> Self {
        SourceSettings {
            name_splitting: NameSplitting::Compat,
            modify_system_fields: true,
            field_policies: BTreeMap::new(),
            opt_in_email: false,
            opt_in_sms: false,
            identifiers: vec![IdentityKind::Email],
            find: FindStrategy::Any,
            merge: MergeStrategy::Overwrite,
            create_people: true,
            archive_when_deleted: false,
            retention: Retention::default(),
            repair_webhook: true,
            every_secs: BTreeMap::new(),
            write: false,
            skip_streams: Vec::new(),
            store_message_bodies: None,
            private_comments: None,
            requests_per_minute: None,
            incremental_per_minute: None,
        }
    }
}

impl SourceSettings {
    /// May this source write the field of a person who is there already (R37–R40)?
    pub fn policy(&self, field: SystemField) -> FieldPolicy {
        if !self.modify_system_fields {
            return FieldPolicy::Never;
        }
        match self.merge {
            MergeStrategy::Ignore => FieldPolicy::Never,
            MergeStrategy::Append => FieldPolicy::FillEmpty,
            MergeStrategy::Overwrite => self.field_policies.get(&field).copied().unwrap_or_default(),
        }
    }
}

/// The kind of a source that is a Zendesk Support account: everything is read from it.
pub const SUPPORT: &str = "zendesk";

/// The kind of a source that is a Zendesk Sell account: contacts are written to it, nothing is read from it by itself.
pub const SELL: &str = "sell";

/// What to say of Zendesk Sell wherever somebody goes on with it (peers-outbound H3).
pub const SELL_RETIRES: &str = "Zendesk Sell retires on 2027-08-31 and its data is deleted then; user fields of Zendesk Support can take the same mapping";

/// A connected Zendesk account, or a name under which files are imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Number.
    pub id: i64,
    /// The workspace it feeds.
    pub workspace_id: i64,
    /// Short name, in webhook paths and on the command line.
    pub name: String,
    /// [`SUPPORT`], `import` or [`SELL`].
    pub kind: String,
    /// Name for people.
    pub title: String,
    /// The one address requests go to.
    pub base_url: Option<String>,
    /// State.
    pub state: SourceState,
    /// Set while paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Options.
    pub settings: SourceSettings,
    /// Sealed credentials.
    pub credentials: Option<Vec<u8>>,
    /// Our webhook in Zendesk.
    pub webhook_id: Option<String>,
    /// Sealed signing secret.
    pub webhook_secret: Option<Vec<u8>>,
    /// Sealed former signing secret.
    pub webhook_secret_previous: Option<Vec<u8>>,
    /// When the former one was replaced; it is valid for a day after.
    pub webhook_secret_rotated_at: Option<DateTime<Utc>>,
    /// What is wrong.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// When it was last connected.
    pub connected_at: Option<DateTime<Utc>>,
    /// When it was first connected.
    pub created_at: DateTime<Utc>,
}

impl Source {
    /// True for a Zendesk Support account, with streams and a webhook.
    pub fn is_support(&self) -> bool {
        self.kind == SUPPORT
    }

    /// True for a Zendesk Sell account.
    pub fn is_sell(&self) -> bool {
        self.kind == SELL
    }

    /// The label of the account in its address, such as `acme`.
    pub fn subdomain(&self) -> Option<&str> {
        self.base_url.as_deref()?.strip_prefix("https://")?.strip_suffix(".zendesk.com")
    }

    /// What a sealed column of this row is bound to.
    pub fn sealed_as(&self, column: &str) -> String {
        format!("source|{}|{column}", self.id)
    }
}

/// The day on which Zendesk ends API tokens.
pub const API_TOKENS_END: &str = "2027-04-30";

/// How a Zendesk account is entered. Stored sealed, as JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credentials {
    /// An OAuth access token.
    Bearer {
        /// The token.
        token: String,
    },
    /// An OAuth client that fetches its own tokens.
    ClientCredentials {
        /// Unique identifier of the client.
        client_id: String,
        /// Its secret.
        client_secret: String,
    },
    /// An admin who signed in by browser. The tokens that change stand beside the source, in its grant.
    Browser {
        /// Unique identifier of the OAuth client.
        client_id: String,
        /// Its secret; None for a public client.
        client_secret: Option<String>,
        /// Tokens of a sign-in that is not stored yet.
        #[serde(skip)]
        fresh: Option<Box<Pair>>,
    },
    /// The legacy way, which ends on 2027-04-30.
    ApiToken {
        /// Address of the admin it acts as.
        email: String,
        /// The token.
        token: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::Bearer { .. } => "Bearer(***)",
            Credentials::ClientCredentials { .. } => "ClientCredentials(***)",
            Credentials::Browser { .. } => "Browser(***)",
            Credentials::ApiToken { .. } => "ApiToken(***)",
        })
    }
}
