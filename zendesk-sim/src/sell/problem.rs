//! What Sell answers when something is wrong: a list of errors in an envelope.
use crate::http::Reply;
use serde_json::{Value, json};

/// Why a request is not carried out.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    errors: Vec<Value>,
}

/// One error: of which resource, which field of it, Sell's code, and words.
fn error(resource: &str, field: &str, code: &str, message: &str) -> Value {
    json!({"error": {"resource": resource, "field": field, "code": code, "message": message, "details": message},
        "meta": {"type": "error"}})
}

impl Problem {
    /// Something about the request itself.
    pub fn request(status: u16, field: &str, code: &str, message: &str) -> Self {
        Self { status, errors: vec![error("request", field, code, message)] }
    }

    /// Nobody that Sell knows.
    pub fn unauthorized() -> Self {
        Self::request(401, "access_token", "unauthorized", "The access token is missing, unknown or has ended")
    }

    /// More requests than are allowed.
    pub fn too_many() -> Self {
        Self::request(429, "token", "rate_limit_exceeded", "Too many requests")
    }

    /// What a fault answers, in Sell's own envelope where it is JSON.
    pub fn instead(reply: Reply, logref: &str) -> Reply {
        let code = match reply.status {
            400.. if reply.kind.starts_with("application/json") => "simulated_fault",
            _ => return reply,
        };
        let mut told = Self::request(reply.status, "request", code, "Something went wrong").reply(logref);
        told.headers = reply.headers;
        told
    }

    /// No such record.
    pub fn not_found(resource: &str) -> Self {
        Self { status: 404, errors: vec![error(resource, "id", "not_found", "The resource was not found")] }
    }

    /// Fields that would be wrong: each with its code and words.
    pub fn fields(wrong: &[(String, &'static str, String)]) -> Self {
        let errors = wrong.iter().map(|(field, code, words)| error("contact", field, code, words)).collect();
        Self { status: 422, errors }
    }

    /// The answer.
    pub fn reply(&self, logref: &str) -> Reply {
        let name = match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            422 => "Unprocessable Entity",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            _ => "Service Unavailable",
        };
        let body = json!({"errors": self.errors, "meta": {"type": "errors_collection",
            "http_status": format!("{} {name}", self.status), "logref": logref,
            "links": {"more_info": "https://developers.getbase.com/docs/rest/articles/errors"}}});
        Reply::json(self.status, &body)
    }
}
