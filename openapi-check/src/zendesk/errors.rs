//! The shapes that Zendesk's errors have (Z§10); its OpenAPI describes but a few.
use super::Exchange;
use crate::judge::Finding;
use serde_json::Value;

/// Whether this says that there is no such endpoint, in this account or at all (Z§10).
pub fn is_no_endpoint(exchange: &Exchange) -> bool {
    let body: Value = serde_json::from_slice(&exchange.body).unwrap_or_default();
    exchange.status == 404 && body["error"] == "InvalidEndpoint"
}

/// Whether this is the limiter's answer in plain text, which comes as well as the one in JSON (both are recorded).
pub fn is_plain_limit(exchange: &Exchange) -> bool {
    exchange.status == 429 && exchange.kind.starts_with("text/plain")
}

/// What of an error's answer is none of Zendesk's shapes.
pub fn findings(exchange: &Exchange) -> Vec<Finding> {
    let wrong = |what: &str| vec![Finding::new("", "Z§10", format!("status {}: {what}", exchange.status))];
    // What stands before Zendesk answers for it with pages of its own.
    if exchange.status >= 500 {
        return Vec::new();
    }
    if !exchange.kind.starts_with("application/json") {
        return wrong(&format!("{} instead of JSON", exchange.kind));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&exchange.body) else { return wrong("no JSON") };
    let is_list = body["errors"].as_array().is_some_and(|all| {
        !all.is_empty() && all.iter().all(|one| one["code"].is_string() && one["title"].is_string())
    });
    let is_object = body["error"]["title"].is_string() && body["error"]["message"].is_string();
    let told = |key: &str| body.get(key).is_none_or(Value::is_string);
    let detailed =
        |rows: &Value| rows.as_array().is_some_and(|rows| rows.iter().all(|row| row["description"].is_string()));
    let details = body.get("details").and_then(Value::as_object);
    let is_text = body["error"].is_string()
        && told("description")
        && told("error_description")
        && details.is_none_or(|details| details.values().all(detailed));
    if is_list || is_object || is_text { Vec::new() } else { wrong("no shape that Zendesk's errors have") }
}
