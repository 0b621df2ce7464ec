//! How limits are kept and told; which ones there are is in `http/limits.rs`.
use serde::Deserialize;
use std::collections::BTreeMap;

/// The section `rates`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// How the headers are spelled.
    pub spelling: Spelling,
    /// What a minute is.
    pub window: Window,
    /// What the body of a 429 is.
    pub body: Said,
    /// Leaves `Retry-After` out of a 429.
    pub no_retry_after: bool,
    /// A trial account: 20 ticket updates a minute, 10 webhooks.
    pub trial: bool,
    /// Other totals than the plan's, by the name of the budget: `account`, `webhooks`, or the name in the header, such as
    /// `incremental-exports`.
    pub totals: BTreeMap<String, u32>,
}

/// How the headers of limits are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spelling {
    /// `ratelimit-limit`, `zendesk-ratelimit-tickets-update`, as today.
    #[default]
    New,
    /// `rate-limit`, `zendesk-rate-limit-tickets-update`, as until 2023.
    Old,
    /// Both.
    Both,
}

/// What a minute is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// One that starts with the clock's minute; then every budget is full again.
    #[default]
    Fixed,
    /// The last sixty seconds.
    Sliding,
}

/// What the body of a 429 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// JSON or text by chance, as both were seen.
    #[default]
    Either,
    /// JSON.
    Json,
    /// `text/plain`.
    Text,
}
