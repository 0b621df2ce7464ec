//! Secrets among the settings.

use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

/// A secret in memory: printed as `***`, wiped when dropped.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(pub(super) Zeroizing<String>);

impl SecretText {
    /// Takes the text in; copies made before stay the caller's.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself: for the call that needs it, never to be kept or logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
