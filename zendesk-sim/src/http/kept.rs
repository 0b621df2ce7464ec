//! The latest requests as they came, kept for whoever wants to know what a client asks for.
use super::Req;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A ring of requests; one for none keeps nothing.
#[derive(Default)]
pub struct Kept {
    most: usize,
    requests: VecDeque<Value>,
    dropped: u64,
}

impl Kept {
    /// Room for the latest `most`.
    pub fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Keeps a request of `bytes` of body. Never what signs it in, only by what kind it does.
    pub fn push(&mut self, req: &Req, bytes: usize) {
        if self.most == 0 {
            return;
        }
        if self.requests.len() >= self.most {
            self.requests.pop_front();
            self.dropped += 1;
        }
        let kind = req.header("authorization").map(|text| text.split(' ').next().unwrap_or_default());
        let body = req.body.clone();
        self.requests.push_back(json!({"method": req.method, "path": req.path, "query": req.query,
            "accept": req.header("accept"), "content_type": req.header("content-type"),
            "user_agent": req.header("user-agent"), "authorization": kind, "bytes": bytes, "body": without_secrets(body)}));
    }

    /// What is kept, the oldest first, and how many there is no longer room for.
    pub fn as_json(&self) -> Value {
        json!({"requests": self.requests, "dropped": self.dropped})
    }
}

/// What a body signs in with is credentials, too.
fn without_secrets(mut body: Value) -> Value {
    for name in ["client_secret", "code", "code_verifier", "refresh_token", "password"] {
        if let Some(secret) = body.get_mut(name) {
            *secret = "kept out".into();
        }
    }
    body
}
