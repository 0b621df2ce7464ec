//! Sending webhook events: a queue on the simulated clock, a few at a time, with Zendesk's rules for trying again.
pub mod announce;
pub mod breaker;
pub mod sign;
pub mod ulid;

use crate::server::Shared;
use crate::time::Stamp;
use crate::world::hooks::{Due, Webhook};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How many deliveries go at once.
const AT_ONCE: usize = 8;

/// How long a delivery may take, in real time.
pub const LONGEST: Duration = Duration::from_secs(12);

/// How much of an answer is kept for the attempts log.
const KEPT_ANSWER: usize = 2_000;

/// What a delivery needs, taken out from under the lock.
struct Letter {
    endpoint: String,
    headers: Vec<(String, String)>,
    body: Arc<str>,
}

/// How a try ended.
enum Outcome {
    Answer { status: u16, retry_after: Option<i64>, headers: Vec<(String, String)>, body: String },
    Timeout,
    Unreachable(String),
}

/// Sends what falls due, for ever.
pub async fn run(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut gate = shared.gate();
            let now_ms = shared.clock.now_ms();
            let hooks = &mut gate.world.hooks;
            let place = hooks.due.iter().position(|due| due.due_ms <= now_ms);
            match place.filter(|_| hooks.in_flight < AT_ONCE).and_then(|place| hooks.due.remove(place)) {
                Some(due) => {
                    hooks.in_flight += 1;
                    tokio::spawn(deliver(Arc::clone(&shared), due));
                    continue;
                }
                None if hooks.in_flight >= AT_ONCE => None,
                None => hooks.due.iter().map(|due| due.due_ms).min(),
            }
        };
        match next {
            None => shared.wake.notified().await,
            Some(due_ms) => tokio::select! {
                () = shared.wake.notified() => {}
                () = shared.clock.wait_towards(due_ms) => {}
            },
        }
    }
}

async fn deliver(shared: Arc<Shared>, due: Due) {
    let letter = prepare(&shared, &due);
    if let Some(letter) = letter {
        let outcome = send(&shared.client, &letter).await;
        conclude(&shared, due, &letter, outcome);
    }
    shared.gate().world.hooks.in_flight -= 1;
    shared.wake.notify_one();
    shared.settled.notify_waiters();
}

/// Signs a delivery, or ends it when its webhook is gone, off, or its breaker is open.
fn prepare(shared: &Shared, due: &Due) -> Option<Letter> {
    let mut gate = shared.gate();
    let now_ms = shared.clock.now_ms();
    let (account_id, breaking) = (gate.world.account_id, gate.world.hooks.breaker);
    let hooks = &mut gate.world.hooks;
    let Some(hook) = hooks.all.get_mut(&due.webhook_id).filter(|hook| hook.active) else {
        hooks.counts.failed += 1;
        return None;
    };
    if breaking && !hook.breaker.allows(now_ms) {
        if let Some(invocation) = hook.invocation(&due.invocation_id) {
            invocation.status = "circuit broken";
            invocation.completed_at = Some(shared.clock.now());
        }
        hooks.counts.failed += 1;
        return None;
    }
    let headers = headers(hook, account_id, &due.invocation_id, shared.clock.now(), &due.body);
    let endpoint = hook.endpoint.clone();
    hooks.counts.sent += 1;
    Some(Letter { endpoint, headers, body: Arc::clone(&due.body) })
}

/// The headers of a delivery at this moment.
pub fn headers(hook: &Webhook, account_id: i64, invocation: &str, now: Stamp, body: &str) -> Vec<(String, String)> {
    let at = now.to_string();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut all = vec![
        pair("X-Zendesk-Webhook-Signature-Timestamp", &at),
        pair("X-Zendesk-Webhook-Signature", &sign::sign(&hook.secret, &at, body.as_bytes())),
        pair("Content-Type", "application/json; charset=utf-8"),
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

/// One POST with these headers, for deliveries and for tests.
pub async fn post(
    client: &reqwest::Client,
    to: &str,
    headers: &[(String, String)],
    body: String,
) -> reqwest::Result<reqwest::Response> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            map.insert(name, value);
        }
    }
    client.post(to).headers(map).body(body).timeout(LONGEST).send().await
}

async fn send(client: &reqwest::Client, letter: &Letter) -> Outcome {
    let response = match post(client, &letter.endpoint, &letter.headers, letter.body.to_string()).await {
        Ok(response) => response,
        Err(e) if e.is_timeout() => return Outcome::Timeout,
        Err(e) => return Outcome::Unreachable(e.to_string()),
    };
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let retry_after = headers.iter().find(|(name, _)| name == "retry-after").and_then(|(_, value)| value.parse().ok());
    let body: String = response.text().await.unwrap_or_default().chars().take(KEPT_ANSWER).collect();
    Outcome::Answer { status, retry_after, headers, body }
}

/// Writes down how a try ended, and puts the event back if the rules allow another.
fn conclude(shared: &Shared, mut due: Due, letter: &Letter, outcome: Outcome) {
    let mut gate = shared.gate();
    let (now, now_ms) = (shared.clock.now(), shared.clock.now_ms());
    let hooks = &mut gate.world.hooks;
    let ok = matches!(&outcome, Outcome::Answer { status, .. } if (200..300).contains(status));
    let wait = if ok { None } else { wait(&mut due, &outcome) };
    if ok {
        hooks.counts.ok += 1;
    } else if wait.is_none() {
        hooks.counts.failed += 1;
    }
    if let Some(hook) = hooks.all.get_mut(&due.webhook_id) {
        hook.breaker.note(now_ms, ok);
        let hook_id = hook.id.clone();
        if let Some(invocation) = hook.invocation(&due.invocation_id) {
            invocation.completed_at = Some(now);
            invocation.status = match (ok, wait) {
                (true, _) => "success",
                (false, Some(_)) => "retrying",
                (false, None) => "terminated",
            };
            if let Outcome::Answer { status, .. } = &outcome {
                invocation.status_code = Some(*status);
            }
            let status = invocation.status;
            invocation.attempts.push(attempt(&hook_id, &due, letter, &outcome, status, now));
        }
    }
    if let Some(seconds) = wait {
        due.due_ms = now_ms + seconds * 1000;
        hooks.due.push_back(due);
    }
}

/// How many simulated seconds until the next try, if there is one.
fn wait(due: &mut Due, outcome: &Outcome) -> Option<i64> {
    match outcome {
        Outcome::Timeout => {
            due.timeouts += 1;
            (due.timeouts <= 5).then(|| 1 << due.timeouts)
        }
        Outcome::Answer { status: 409, .. } => {
            due.conflicts += 1;
            (due.conflicts <= 3).then(|| 1 << due.conflicts)
        }
        Outcome::Answer { status: 429 | 503, retry_after: Some(seconds), .. } if (0..60).contains(seconds) => {
            due.deferrals += 1;
            (due.deferrals <= 20).then_some((*seconds).max(1))
        }
        Outcome::Answer { .. } | Outcome::Unreachable(_) => None,
    }
}

fn attempt(hook_id: &str, due: &Due, letter: &Letter, outcome: &Outcome, status: &str, now: Stamp) -> Value {
    let listed = |headers: &[(String, String)]| -> Vec<Value> {
        headers.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    };
    let mut row = json!({"id": hook_id, "invocation_id": due.invocation_id, "status": status, "completed_at": now,
        "request": {"headers": listed(&letter.headers), "payload": &*letter.body}});
    match outcome {
        Outcome::Answer { status, headers, body, .. } => {
            row["status_code"] = (*status).into();
            row["response"] = json!({"headers": listed(headers), "payload": body});
        }
        Outcome::Timeout => row["response"] = json!({"headers": [], "payload": "request timed out"}),
        Outcome::Unreachable(words) => row["response"] = json!({"headers": [], "payload": words}),
    }
    row
}
