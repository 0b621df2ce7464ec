//! One request of a delivery: headers, body, and what came back, within the time Zendesk gives a receiver.
use super::sign;
use crate::time::Stamp;
use crate::world::hooks::Webhook;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a delivery may take from its first byte to the last of its answer, in real time.
pub const LONGEST: Duration = Duration::from_secs(12);

/// How much of an answer is kept for the log.
const KEPT_ANSWER: usize = 2_000;

/// What a delivery needs, taken out from under the lock.
pub struct Letter {
    /// Where to.
    pub endpoint: String,
    /// How.
    pub method: Method,
    /// With which headers.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Arc<str>,
    /// How long it may take.
    pub within: Duration,
}

/// How a try ended.
pub enum Outcome {
    /// There was an answer.
    Answer {
        /// Its status.
        status: u16,
        /// What it says about trying again, in seconds.
        retry_after: Option<i64>,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// The beginning of its body.
        body: String,
    },
    /// The answer was not whole in time.
    Timeout,
    /// There was no connection; the words say why.
    Unreachable(String),
}

impl Outcome {
    /// The status that the log shows; a receiver that cannot be reached counts as a 502.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Timeout => None,
            Self::Unreachable(_) => Some(502),
        }
    }
}

/// A letter to a webhook, signed at this moment.
pub fn letter(
    hook: &Webhook,
    account_id: i64,
    invocation: &str,
    now: Stamp,
    body: &Arc<str>,
    within: Duration,
) -> Letter {
    let method = Method::from_bytes(hook.method.as_bytes()).unwrap_or(Method::POST);
    let mut endpoint = hook.endpoint.clone();
    // Methods without a body send what was authored as parameters.
    let bodiless = matches!(method, Method::GET | Method::DELETE);
    if bodiless && !body.is_empty() && hook.format == "form_encoded" {
        endpoint = format!("{endpoint}{}{body}", if endpoint.contains('?') { '&' } else { '?' });
    }
    let body = if bodiless { Arc::from("") } else { Arc::clone(body) };
    let headers = headers(hook, account_id, invocation, now, &body);
    Letter { endpoint, method, headers, body, within }
}

fn headers(hook: &Webhook, account_id: i64, invocation: &str, now: Stamp, body: &str) -> Vec<(String, String)> {
    let at = now.to_string();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let kind = match hook.format.as_str() {
        "xml" => "application/xml; charset=utf-8",
        "form_encoded" => "application/x-www-form-urlencoded; charset=utf-8",
        _ => "application/json; charset=utf-8",
    };
    let mut all = vec![
        pair("X-Zendesk-Webhook-Signature-Timestamp", &at),
        pair("X-Zendesk-Webhook-Signature", &sign::sign(&hook.secret, &at, body.as_bytes())),
        pair("Content-Type", kind),
        pair("User-Agent", "Zendesk Webhook"),
        pair("X-Zendesk-Account-Id", &account_id.to_string()),
        pair("X-Zendesk-Webhook-Id", &hook.id),
        pair("X-Zendesk-Webhook-Invocation-Id", invocation),
    ];
    if let Some(authentication) = &hook.authentication {
        let data = |key: &str| authentication["data"][key].as_str().unwrap_or_default();
        match authentication["type"].as_str() {
            Some("bearer_token") => all.push(pair("Authorization", &format!("Bearer {}", data("token")))),
            Some("api_key") => all.push(pair(data("name"), data("value"))),
            Some("basic_auth") => {
                use base64::Engine;
                let both = format!("{}:{}", data("username"), data("password"));
                let both = base64::engine::general_purpose::STANDARD.encode(both);
                all.push(pair("Authorization", &format!("Basic {both}")));
            }
            _ => {}
        }
    }
    all.extend(hook.custom_headers.iter().map(|(name, value)| pair(name, value)));
    all
}

/// Sends a letter and waits for the whole answer, of which only the beginning is kept.
pub async fn send(client: &reqwest::Client, letter: &Letter) -> Outcome {
    let mut map = HeaderMap::new();
    for (name, value) in &letter.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            map.insert(name, value);
        }
    }
    let request = client.request(letter.method.clone(), &letter.endpoint).headers(map).body(letter.body.to_string());
    match request.timeout(letter.within).send().await {
        Ok(response) => read(response).await,
        Err(error) => without_answer(&error),
    }
}

async fn read(mut response: reqwest::Response) -> Outcome {
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let retry_after = headers.iter().find(|(name, _)| name == "retry-after").and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => body.extend(bytes.iter().take(KEPT_ANSWER.saturating_sub(body.len()))),
            Ok(None) => break,
            Err(error) => return without_answer(&error),
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Outcome::Answer { status, retry_after, headers, body }
}

fn without_answer(error: &reqwest::Error) -> Outcome {
    if error.is_timeout() { Outcome::Timeout } else { Outcome::Unreachable(format!("Error: {error}")) }
}

/// What was said on both sides, as the log shows it.
pub fn exchange(letter: &Letter, outcome: &Outcome) -> Value {
    let listed = |headers: &[(String, String)]| -> Vec<Value> {
        headers.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    };
    // What was sent to prove who sends is not shown to whoever may read the log.
    let hidden = |(name, value): &(String, String)| match name.as_str() {
        "Authorization" => (name.clone(), "[SCRUBBED]".to_owned()),
        _ => (name.clone(), value.clone()),
    };
    let sent: Vec<_> = letter.headers.iter().map(hidden).collect();
    let request = json!({"headers": listed(&sent), "payload": &*letter.body});
    let response = match outcome {
        Outcome::Answer { headers, body, .. } => json!({"headers": listed(headers), "payload": body}),
        Outcome::Timeout => json!({"headers": [], "payload": "Error: the request timed out"}),
        Outcome::Unreachable(words) => json!({"headers": [], "payload": words}),
    };
    json!({"request": request, "response": response})
}
