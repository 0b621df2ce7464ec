//! `POST /webhooks/zendesk/{source}`: bytes are verified before they are parsed, committed before they are acknowledged.
//!
//! Never 500: Zendesk does not retry it (Z§8.5). What cannot be stored now is answered 503 with `Retry-After: 5`.

use super::recipients::{Addressee, Recipients};
use crate::clock::Clock;
use crate::model::watch::ROTATION_TAKES;
use crate::pipeline::receive::{Intake, Receipt};
use crate::telemetry::WEBHOOKS_RECEIVED;
use crate::zendesk::verify::{self, Rejected, SignatureHeaders};
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
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
    let signed = SignatureHeaders {
        signature: single(&headers, "x-zendesk-webhook-signature"),
        timestamp: single(&headers, "x-zendesk-webhook-signature-timestamp"),
        invocation_id: single(&headers, "x-zendesk-webhook-invocation-id"),
    };
    loop {
        let addressee = match state.recipients.find(source).await {
            Ok(Some(addressee)) => addressee,
            Ok(None) => return Outcome::UnknownSource,
            Err(_) => return Outcome::NotStored,
        };
        match verify::verify(&addressee.recipient, signed, &body, state.clock.now(), state.freshness) {
            Ok(verified) => match state.intake.store(verified).await {
                Receipt::Stored => return Outcome::Stored,
                Receipt::NotStored => return Outcome::NotStored,
            },
            // The secret may have been replaced since it was read.
            Err(Rejected::WrongSignature) if state.recipients.doubt() => {}
            Err(rejected) => return refuse(state, &addressee, &headers, rejected),
        }
    }
}

/// Refuses what does not match; while the signing secret is being replaced, asks for it to be sent again instead.
fn refuse(state: &WebhookState, addressee: &Addressee, headers: &HeaderMap, rejected: Rejected) -> Outcome {
    let source = addressee.recipient.name.as_str();
    let rotating = |since: DateTime<Utc>| (state.clock.now() - since).abs() < ROTATION_TAKES;
    if rejected == Rejected::WrongSignature && addressee.rotating_since.is_some_and(rotating) {
        tracing::info!(
            source,
            "a webhook that does not match while the signing secret is being replaced; asked for again"
        );
        return Outcome::NotStored;
    }
    tracing::warn!(source, reason = %rejected, "webhook rejected, nothing stored");
    // It names our webhook: the signing secret may have been replaced in Zendesk, which a look will show.
    let named = single(headers, "x-zendesk-webhook-id");
    if named.is_some() && named == addressee.webhook_id.as_deref() {
        state.recipients.suspect(addressee.recipient.source_id);
    }
    Outcome::Rejected
}

/// A header that came exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}
