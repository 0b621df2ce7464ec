//! What goes wrong between us and Zendesk, and what to do about it. Says what and where; never quotes a body.

use super::progress::Standstill;
use crate::rules::retry::Failure;
use std::time::Duration;

/// A failed request, with the endpoint it was made to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {kind}")]
pub struct ApiError {
    /// Method and path, without parameters.
    pub endpoint: String,
    /// What went wrong.
    pub kind: Kind,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// 429, or 503 with `Retry-After`.
    #[error("the rate limit is spent; Zendesk asks to wait {} s", .retry_after.as_secs())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Our own limiter would have to wait longer than the caller wants to.
    #[error("the request budget is spent for another {} s", .0.as_secs())]
    BudgetSpent(Duration),
    /// The budgets that all daemons share cannot be read.
    #[error("the request budgets cannot be read: {0}")]
    BudgetsUnknown(String),
    /// 401.
    #[error("Zendesk does not accept the credentials")]
    Unauthorized,
    /// The tokens are gone for good.
    #[error("needs reconnect: {0}")]
    NeedsReconnect(String),
    /// There is no access token at present.
    #[error("the access token could not be renewed: {0}")]
    NotRenewed(String),
    /// 403.
    #[error("Zendesk refuses this: {0}")]
    Forbidden(String),
    /// 403, and Zendesk says that the token lacks a scope.
    #[error("the token lacks a scope for this")]
    MissingScope,
    /// 404.
    #[error("Zendesk does not know this endpoint or record")]
    NotFound,
    /// 504, or our own time limit.
    #[error("Zendesk did not answer in time")]
    TimedOut,
    /// 5xx.
    #[error("Zendesk failed with status {0}")]
    Server(u16),
    /// Any other status.
    #[error("Zendesk answered {status}: {code}")]
    Refused {
        /// The status.
        status: u16,
        /// Zendesk's own word for it.
        code: String,
    },
    /// A redirect, which is never followed: credentials stay on the configured host.
    #[error("Zendesk redirects with status {0}; redirects are not followed")]
    Redirected(u16),
    /// There is no connection.
    #[error("Zendesk cannot be reached: {0}")]
    Network(String),
    /// An answer that is no HTTP, or breaks off, or cannot be unpacked.
    #[error("Zendesk's answer is broken: {0}")]
    Broken(String),
    /// The body is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The body is HTML, empty, text, or JSON of another shape.
    #[error("{0}")]
    BadBody(String),
    /// Pages that lead nowhere.
    #[error("{}; stopped instead of reading in circles", .0.words())]
    Stalled(Standstill),
}

impl Kind {
    /// How it may be retried (Z§10).
    pub fn failure(&self) -> Failure {
        match self {
            Kind::RateLimited { retry_after } | Kind::BudgetSpent(retry_after) => {
                Failure::RateLimited { retry_after: *retry_after }
            }
            Kind::Unauthorized | Kind::NeedsReconnect(_) | Kind::NotRenewed(_) => Failure::Unauthorized,
            Kind::Forbidden(_) | Kind::MissingScope => Failure::Forbidden,
            Kind::NotFound => Failure::NotFound,
            Kind::TimedOut
            | Kind::Server(_)
            | Kind::Network(_)
            | Kind::Broken(_)
            | Kind::BadBody(_)
            | Kind::BudgetsUnknown(_) => Failure::Transient,
            Kind::Refused { status, .. } => Failure::Refused(*status),
            Kind::Redirected(_) | Kind::TooLarge(_) | Kind::Stalled(_) => Failure::Fatal,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Kind::RateLimited { .. } | Kind::BudgetSpent(_) => {
                "Nothing: reading goes on when the limit allows. If this lasts, lower requests_per_minute of the source or look for other users of the account's limit."
            }
            Kind::BudgetsUnknown(_) => "Nothing: reading goes on when Postgres does. If this lasts, look at its log.",
            Kind::Unauthorized => {
                "Give new credentials: deskbridge source reconnect NAME with a new token, and check with deskbridge check."
            }
            Kind::NeedsReconnect(_) => {
                "Sign in again: deskbridge source reconnect NAME --again. Until then nothing is read; webhooks are kept."
            }
            Kind::NotRenewed(_) => {
                "It is tried again. If this lasts, see whether the OAuth client and its secret are still right, then sign in again: deskbridge source reconnect NAME --again"
            }
            Kind::Forbidden(_) => {
                "Use the credentials of an admin whose token has the scopes read, webhooks:read and webhooks:write; if the plan lacks this endpoint, skip the stream: deskbridge source set NAME skip_streams=…"
            }
            Kind::MissingScope => {
                "Get a token with the scopes that are needed: deskbridge source reconnect NAME --again after a sign-in by browser, else with new credentials; and --write where activations write to this account, which adds users:write and organizations:write."
            }
            Kind::NotFound => {
                "Check the account's name. If the plan lacks this endpoint, skip the stream: deskbridge source set NAME skip_streams=…"
            }
            Kind::TimedOut | Kind::Server(_) | Kind::Network(_) => {
                "Nothing: it is tried again. If this lasts, look at Zendesk's status page and at the way out of this network."
            }
            Kind::Refused { .. } => {
                "It is tried again; if this lasts, please report it with the endpoint and the code."
            }
            Kind::Redirected(_) => {
                "Check the account's name: an account that was renamed answers under its new name only."
            }
            Kind::TooLarge(_) => {
                "Smaller pages were asked for in vain: raise zendesk.max_response_bytes, or see whether something answers in Zendesk's place."
            }
            Kind::BadBody(_) | Kind::Broken(_) => {
                "It is tried again; if this lasts, see whether a proxy or a maintenance page answers in Zendesk's place."
            }
            Kind::Stalled(_) => {
                "It is tried again from the last stored cursor; if this lasts, please report it to Zendesk with the endpoint."
            }
        }
    }
}
