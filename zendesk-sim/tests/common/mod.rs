//! A simulation to talk to over HTTP, and a receiver for its webhooks.
#![allow(dead_code, reason = "each test binary uses its own part")]
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use openapi_check::zendesk::{self, Exchange};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use zendesk_sim::{Options, Settings, Sim};

/// A running simulation with its credentials.
pub struct World {
    pub sim: Sim,
    pub client: reqwest::Client,
    pub token: String,
    seen: Mutex<Vec<Exchange>>,
    faulty: AtomicBool,
}

/// An answer: status, headers, body.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    /// A small account on a driven clock.
    pub async fn start(settings: Settings) -> Self {
        let base = Settings {
            clock: Some("driven".into()),
            start: Some("2026-03-01T12:00:00Z".into()),
            users: Some(60),
            tickets: Some(40),
            limits: Some("off".into()),
            ..Settings::default()
        };
        let faulty = AtomicBool::new(settings.faults.is_some());
        let options = Options::try_from(settings.over(base)).expect("valid settings");
        let sim = Sim::start(options).await.expect("the simulation starts");
        let token = sim.about["oauth_token"].as_str().expect("a token").to_owned();
        Self { sim, client: reqwest::Client::new(), token, seen: Mutex::default(), faulty }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>, token: Option<&str>) -> Answer {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.sim.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            if path == "/_sim/faults" {
                self.faulty.store(body != json!({}), Ordering::Relaxed);
            }
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        self.see(method.as_str(), path, status, &headers, &text);
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// Keeps an answer of the API, to be judged; not what goes wrong on purpose.
    fn see(&self, method: &str, path: &str, status: u16, headers: &HeaderMap, body: &str) {
        if path.starts_with("/_sim") || self.faulty.load(Ordering::Relaxed) {
            return;
        }
        let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (method, path, body) = (method.to_owned(), path.to_owned(), body.as_bytes().to_vec());
        self.seen.lock().expect("not poisoned").push(Exchange { method, path, status, kind, body });
    }

    /// The answers so far.
    pub fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().expect("not poisoned").clone()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, Some(&self.token)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body), Some(&self.token)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body), Some(&self.token)).await
    }

    /// Sends what `asked` says (`"GET /users"`, below /api/v2) and compares the status and some places of the answer.
    pub async fn expect(&self, asked: &str, body: Value, status: u16, places: &[(&str, Value)]) -> Value {
        let (method, path) = asked.split_once(' ').expect("a method and a path");
        let method = method.parse().expect("a method");
        let body = if body.is_null() { None } else { Some(body) };
        let answer = self.send(method, &format!("/api/v2{path}"), body, Some(&self.token)).await;
        assert_eq!(answer.status, status, "{asked}: {}", answer.body);
        for (place, expected) in places {
            let found = answer.body.pointer(place).cloned().unwrap_or_default();
            assert_eq!(&found, expected, "{asked} at {place}: {}", answer.body);
        }
        answer.body
    }

    pub async fn act(&self, body: Value) -> Value {
        let answer = self.post("/_sim/act", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub async fn advance(&self, seconds: i64, life: i64) -> Value {
        self.post("/_sim/advance", json!({"seconds": seconds, "life": life})).await.body
    }

    /// Everything of one kind, from the admin door.
    pub async fn truth(&self, what: &str) -> Vec<Value> {
        let body = self.get(&format!("/_sim/state/{what}?limit=10000")).await.body;
        assert_eq!(body["next_after_id"], Value::Null);
        body["rows"].as_array().expect("rows").clone()
    }

    /// A whole cursor export, page by page.
    pub async fn export(&self, stream: &str, per_page: usize) -> (Vec<Value>, String) {
        let mut path = format!("/api/v2/incremental/{stream}/cursor.json?start_time=0&per_page={per_page}");
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let body = self.get(&path).await.body;
            rows.extend(body[stream].as_array().expect("rows").iter().cloned());
            if let Some(after) = body["after_cursor"].as_str() {
                after.clone_into(&mut cursor);
            }
            if body["end_of_stream"] == true {
                return (rows, cursor);
            }
            path = format!("/api/v2/incremental/{stream}/cursor.json?cursor={cursor}&per_page={per_page}");
        }
    }
}

impl Drop for World {
    /// Whatever was asked for, the answers must be what Zendesk publishes.
    fn drop(&mut self) {
        if let (Some(judge), true) = (zendesk::judge(), !std::thread::panicking()) {
            let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
            for exchange in &self.seen() {
                for finding in zendesk::answer(judge, exchange) {
                    let example = format!("{} {} {}", exchange.method, exchange.path, finding.at);
                    wrong.entry(format!("{}: {}", finding.rule, finding.what)).or_insert((0, example)).0 += 1;
                }
            }
            assert!(wrong.is_empty(), "answers that Zendesk's OpenAPI forbids, by rule: {wrong:#?}");
        }
    }
}

/// Deliveries as they came.
pub type Got = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver that answers with the statuses given, then always 200.
pub struct Receiver {
    pub url: String,
    pub got: Got,
}

#[derive(Clone)]
struct Desk {
    got: Got,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    pub async fn start(answers: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let got = Got::default();
        let desk = Desk { got: Arc::clone(&got), answers: Arc::new(Mutex::new(answers.to_vec())) };
        let router = axum::Router::new().fallback(receive).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, got }
    }

    /// The bodies so far.
    pub fn bodies(&self) -> Vec<Value> {
        let got = self.got.lock().expect("not poisoned");
        got.iter().map(|(_, body)| serde_json::from_str(body).expect("JSON")).collect()
    }
}

async fn receive(State(desk): State<Desk>, headers: HeaderMap, body: String) -> impl IntoResponse {
    desk.got.lock().expect("not poisoned").push((headers, body));
    let mut answers = desk.answers.lock().expect("not poisoned");
    let status = if answers.is_empty() { 200 } else { answers.remove(0) };
    (StatusCode::from_u16(status).expect("a status"), [("retry-after", "5")], "{}")
}
