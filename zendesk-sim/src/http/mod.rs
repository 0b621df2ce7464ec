//! Requests and replies as the simulated endpoints see them.
pub mod auth;
pub mod bad;
pub mod faults;
pub mod gate;
pub mod kept;
pub mod limits;
pub mod page;
pub mod weight;
pub mod wire;

use crate::acts::Refusal;
use crate::time::Stamp;
use crate::world::user::Role;
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

/// A request, taken apart.
#[derive(Clone)]
pub struct Req {
    /// GET, POST, …
    pub method: String,
    /// The path without `.json`.
    pub path: String,
    /// The path's parts after `/api/v2/` (or all of them elsewhere).
    pub parts: Vec<String>,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, null if it is not JSON.
    pub body: Value,
    /// How many records each row stands for, see [`weight`].
    pub weight: usize,
}

/// Who asks, and when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The simulated second.
    pub now: Stamp,
    /// The simulated millisecond.
    pub now_ms: i64,
    /// The user; 0 is nobody.
    pub user_id: i64,
    /// What they may do.
    pub role: Role,
    /// What their token is for; none means anything.
    pub scopes: Option<Vec<String>>,
    /// The access token's id, if one was used.
    pub token_id: Option<i64>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// The media type.
    pub kind: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
}

const JSON: &str = "application/json; charset=utf-8";

impl Req {
    /// A bare GET: a place for tests to begin from.
    #[cfg(test)]
    pub fn get() -> Self {
        Self {
            method: "GET".into(),
            path: String::new(),
            parts: Vec::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Value::Null,
            weight: 1,
        }
    }

    /// The first value of a query parameter.
    pub fn q(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.q(name).and_then(|text| text.parse().ok())
    }

    /// The parts as patterns can match them.
    pub fn slices(&self) -> Vec<&str> {
        self.parts.iter().map(String::as_str).collect()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The resource and the action, as Zendesk's messages name them: `users` and `show`.
    pub fn action(&self) -> (&str, &str) {
        let resource = self.parts.first().map_or("", String::as_str);
        let named = self.parts.iter().skip(1).rev().find(|part| part.parse::<i64>().is_err());
        let action = match (named, self.method.as_str(), self.parts.len()) {
            (Some(part), ..) => part.as_str(),
            (None, "POST", _) => "create",
            (None, "PUT" | "PATCH", _) => "update",
            (None, "DELETE", _) => "destroy",
            (None, _, 0 | 1) => "index",
            _ => "show",
        };
        (resource, action)
    }

    /// The path with ids left out: what requests are counted by.
    pub fn endpoint(&self) -> String {
        let named = |part: &str| {
            let long = part.len() >= 20 && part.bytes().any(|b| b.is_ascii_digit());
            if part.parse::<i64>().is_ok() || long { "{id}".to_owned() } else { part.to_owned() }
        };
        let path: Vec<_> = self.path.split('/').map(named).collect();
        format!("{} {}", self.method, path.join("/"))
    }
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("invariant: answers are always JSON");
        Self::bytes(status, body)
    }

    /// A JSON answer already written.
    pub fn bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), kind: JSON, body }
    }

    /// A 200 with JSON.
    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    /// Another media type.
    pub fn text(status: u16, kind: &'static str, body: &str) -> Self {
        Self { status, headers: Vec::new(), kind, body: body.as_bytes().to_vec() }
    }

    /// A 204.
    pub fn nothing() -> Self {
        Self { status: 204, headers: Vec::new(), kind: JSON, body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A wrong path.
    pub fn no_endpoint() -> Self {
        Self::json(404, &json!({"error": "InvalidEndpoint", "description": "Not found"}))
    }

    /// A 404 for a record.
    pub fn not_found() -> Self {
        Refusal::NotFound.into()
    }

    /// A 403.
    pub fn forbidden() -> Self {
        Refusal::Forbidden.into()
    }

    /// A 400 for a parameter of the wrong kind, as Zendesk words it: `page` must be `an integer`.
    pub fn invalid(req: &Req, name: &str, kind: &str) -> Self {
        let (resource, action) = req.action();
        let words = format!(
            "You passed an invalid value for the {name} attribute. Invalid parameter: {name} must be {kind} from api/v2/{resource}/{action}"
        );
        Self::json(400, &json!({"error": {"title": "Invalid attribute", "message": words}}))
    }

    /// A 400 in the list form of errors.
    pub fn errors(code: &str, title: &str, detail: &str) -> Self {
        let error = json!({"code": code, "title": title, "detail": detail, "id": "0", "links": {}, "source": {},
            "status": "400"});
        Self::json(400, &json!({ "errors": [error] }))
    }

    /// A 400 with Zendesk's error name.
    pub fn bad(error: &'static str, words: &str) -> Self {
        Refusal::Bad(error, words.to_owned()).into()
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, body) = refusal.answer();
        Self::json(status, &body)
    }
}

/// Ids out of `1,2,3`; `Err` is the answer to more than 100.
pub fn ids(text: Option<&str>) -> Result<Vec<i64>, Reply> {
    let all = words(text)?;
    Ok(all.iter().filter_map(|part| part.parse().ok()).collect())
}

/// Texts out of `a,b,c`; `Err` is the answer to more than 100.
pub fn words(text: Option<&str>) -> Result<Vec<String>, Reply> {
    let all: Vec<_> = text.unwrap_or_default().split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
    if all.len() > 100 {
        let words = "Parameter  cannot specify more than 100 values";
        return Err(Reply::json(400, &json!({"error": "TooManyValues", "description": words, "max_count": 100})));
    }
    Ok(all.into_iter().map(str::to_owned).collect())
}
