//! The ways to operators beside the log: a signed request, an e-mail. Knows nothing of what it carries.

pub mod email;
pub mod webhook;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The way is closed for now: no answer, or one that says later.
    #[error("{0}")]
    Down(String),
    /// This message was refused.
    #[error("{0}")]
    Refused(String),
}
