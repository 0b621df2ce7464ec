//! `POST /webhooks/zendesk/{source}`: bytes are verified before they are parsed, committed before they are acknowledged.
//!
//! Never 500: Zendesk does not retry it (Z§8.5). What cannot be stored now is answered 503 with `Retry-After: 5`.

use super::recipients::Recipients;
use crate::clock::Clock;
use crate::pipeline::receive::{Intake, Receipt};
use crate::telemetry::WEBHOOKS_RECEIVED;
use crate::zendesk::verify::{self, SignatureHeaders};
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Duration;
use tracing::Instrument;

/// What receiving a webhook needs.
#[derive(Clone)]
pub struct WebhookState {
    /// For whom webhooks are.
    pub recipients: Recipients,
    /// The way to the writer.
    pub intake: Intake,
    /// The time.
    pub clock: Clock,
    /// How old a signature may be before its webhook is marked late.
    pub freshness: Duration,
    /// Largest body taken.
    pub max_body_bytes: usize,
    /// How long a body may take to come whole.
    pub read_timeout: std::time::Duration,
}

/// Receives one webhook.
pub async fn receive(State(state): State<WebhookState>, Path(source): Path<String>, request: Request) -> Response {
    let span = tracing::info_span!("webhook", source, outcome = tracing::field::Empty);
    let outcome = outcome(&state, &source, request).instrument(span.clone()).await;
    span.record("outcome", outcome.label());
    // Names that do not exist must not become labels: anybody can make them up.
    let label = if outcome == Outcome::UnknownSource { "unknown".to_string() } else { source };
    metrics::counter!(WEBHOOKS_RECEIVED, "source" => label, "outcome" => outcome.label()).increment(1);
    outcome.into_response()
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stored,
    Rejected,
    UnknownSource,
    TooLarge,
    Unreadable,
    TooSlow,
    NotStored,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Outcome::Stored => "stored",
            Outcome::Rejected => "rejected",
            Outcome::UnknownSource => "unknown_source",
            Outcome::TooLarge => "too_large",
            Outcome::Unreadable => "unreadable",
            Outcome::TooSlow => "too_slow",
            Outcome::NotStored => "not_stored",
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Outcome::Stored => (StatusCode::OK, "stored\n").into_response(),
            Outcome::Rejected => (StatusCode::UNAUTHORIZED, "signature missing or wrong\n").into_response(),
            Outcome::UnknownSource => (StatusCode::NOT_FOUND, "no such source\n").into_response(),
            Outcome::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too large\n").into_response(),
            Outcome::Unreadable => (StatusCode::BAD_REQUEST, "the body broke off\n").into_response(),
            // Zendesk sends again what was answered so (Z§8.5); who trickles on purpose has lost the connection.
            Outcome::NotStored | Outcome::TooSlow => {
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "not stored, send again\n")
                    .into_response()
            }
        }
    }
}

async fn outcome(state: &WebhookState, source: &str, request: Request) -> Outcome {
    if request.body().size_hint().lower() > state.max_body_bytes as u64 {
        return Outcome::TooLarge; // as Content-Length says: not waited for
    }
    let headers = request.headers().clone();
    let body = match tokio::time::timeout(state.read_timeout, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Err(_) => return Outcome::TooSlow,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Outcome::TooLarge,
        Ok(Err(_)) => return Outcome::Unreadable,
    };
    let recipient = match state.recipients.find(source).await {
        Ok(Some(recipient)) => recipient,
        Ok(None) => return Outcome::UnknownSource,
        Err(_) => return Outcome::NotStored,
    };
    let signed = SignatureHeaders {
        signature: single(&headers, "x-zendesk-webhook-signature"),
        timestamp: single(&headers, "x-zendesk-webhook-signature-timestamp"),
        invocation_id: single(&headers, "x-zendesk-webhook-invocation-id"),
    };
    match verify::verify(&recipient, signed, &body, state.clock.now(), state.freshness) {
        Ok(verified) => match state.intake.store(verified).await {
            Receipt::Stored => Outcome::Stored,
            Receipt::NotStored => Outcome::NotStored,
        },
        Err(rejected) => {
            tracing::warn!(source, reason = %rejected, "webhook rejected, nothing stored");
            state.recipients.doubt();
            Outcome::Rejected
        }
    }
}

/// A header that came exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}
