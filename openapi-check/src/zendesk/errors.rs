//! The shapes that Zendesk's errors have (Z§10); its OpenAPI describes but a few.
use super::Exchange;
use crate::judge::Finding;
use serde_json::Value;

/// What of an error's answer is none of Zendesk's shapes.
pub fn findings(exchange: &Exchange) -> Vec<Finding> {
    let wrong = |what: &str| vec![Finding::new("", "Z§10", format!("status {}: {what}", exchange.status))];
    // What stands before Zendesk answers for it with pages of its own, and so does its limiter with plain text (Z§6).
    if exchange.status >= 500 || (exchange.status == 429 && exchange.kind.starts_with("text/plain")) {
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
