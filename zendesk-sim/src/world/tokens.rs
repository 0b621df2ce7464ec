//! Credentials: API tokens, OAuth clients and access tokens.
use super::user::Role;
use crate::time::Stamp;

/// An OAuth access token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id.
    pub id: i64,
    /// The secret itself.
    pub secret: String,
    /// The one that renews it.
    pub refresh: Option<String>,
    /// Whom it speaks for.
    pub user_id: i64,
    /// What that user may do.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Stamp,
    /// When it ends.
    pub expires_at: Option<Stamp>,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// Every credential of the account.
#[derive(Default)]
pub struct Tokens {
    /// Tokens for Basic authentication as anyone.
    pub api: Vec<String>,
    /// Access tokens.
    pub oauth: Vec<Token>,
    /// The OAuth client's name.
    pub client_id: String,
    /// The OAuth client's secret.
    pub client_secret: String,
    /// How many were made, for names that differ.
    pub made: u64,
}

impl Tokens {
    /// The live access token of this secret.
    pub fn find(&self, secret: &str, now: Stamp) -> Option<&Token> {
        self.oauth
            .iter()
            .find(|token| token.secret == secret && !token.revoked && token.expires_at.is_none_or(|end| now < end))
    }
}
