//! What Sell has and allows.
use serde::Deserialize;

/// The section `sell`; its address is `sell_listen`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sell {
    /// How many contacts to make up.
    pub contacts: usize,
    /// Requests an hour for each token.
    pub hourly: usize,
    /// Seconds until an access token ends.
    pub expires_in: i64,
    /// The custom fields that contacts may have, by name.
    pub custom_fields: Vec<String>,
}

impl Default for Sell {
    fn default() -> Self {
        Self { contacts: 100, hourly: 36_000, expires_in: 3_600, custom_fields: vec!["Audience".into(), "Tier".into()] }
    }
}
