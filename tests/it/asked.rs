//! What the daemon asks of Zendesk, in every test: judged by Zendesk's own OpenAPI where that is there, and held against
//! the table in ARCHITECTURE.md always.
use openapi_check::zendesk;
use openapi_check::{Asked, Verdict};
use serde_json::Value;
use std::collections::BTreeSet;
use zendesk_sim::Sim;

/// A simulated account that looks, when its test ends, at what the daemon asked of it.
pub struct Witness(pub Sim);

impl Drop for Witness {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let faults: BTreeSet<String> = requests(&self.0.kept()).iter().flat_map(faults).collect();
            assert!(faults.is_empty(), "requests that Zendesk does not describe: {faults:#?}");
        }
    }
}

/// The requests of the daemon; those of tests name no Deskbridge.
fn requests(kept: &Value) -> Vec<Value> {
    let all = kept["requests"].as_array().cloned().unwrap_or_default();
    let ours = |request: &Value| request["user_agent"].as_str().is_some_and(|agent| agent.starts_with("deskbridge/"));
    all.into_iter().filter(ours).collect()
}

fn faults(request: &Value) -> Vec<String> {
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let (method, path) = (text("method"), text("path"));
    let mut found = Vec::new();
    let mut check = |well: bool, what: &str| {
        if !well {
            found.push(format!("{method} {path}: {what}"));
        }
    };
    let has_body = request["bytes"] != 0;
    check(text("user_agent") == concat!("deskbridge/", env!("CARGO_PKG_VERSION")), "does not say who asks");
    check(text("accept") == "application/json", "does not say that it wants JSON");
    check(!has_body || text("content_type") == "application/json", "has a body that is not said to be JSON");
    check(
        (path == "/oauth/tokens") != matches!(text("authorization"), "Basic" | "Bearer"),
        "is not signed in as it should be",
    );
    check(table().iter().any(|row| fits(row, method, path)), "does not stand in ARCHITECTURE.md");
    if path.starts_with("/v2/") {
        found.extend(sell_faults(request));
    } else if let Some(judge) = zendesk::judge() {
        let query: Vec<(String, String)> = serde_json::from_value(request["query"].clone()).expect("pairs");
        let asked = Asked { method, path, query: &query, body: has_body.then(|| &request["body"]) };
        match zendesk::request(judge, asked) {
            Verdict::Judged(route, findings) => {
                found.extend(findings.iter().map(|finding| format!("{} {}: {finding}", route.method, route.path)));
            }
            _ => found.push(format!("{method} {path}: no such operation")),
        }
    }
    found
}

/// What requests to Zendesk Sell may hold: method, path, parameters, keys of `data` (Z§9). Zendesk's OpenAPI leaves Sell out.
const SELL: [(&str, &str, &[&str], &[&str]); 4] = [
    ("GET", "/v2/contacts", &["ids", "email", "page", "per_page"], &[]),
    ("GET", "/v2/contact/custom_fields", &[], &[]),
    ("POST", "/v2/contacts/upsert", &["email"], CONTACT),
    ("PUT", "/v2/contacts/{contact_id}", &[], CONTACT),
];

/// What of a contact may be written.
const CONTACT: &[&str] = &[
    "name",
    "first_name",
    "last_name",
    "title",
    "description",
    "industry",
    "website",
    "email",
    "phone",
    "mobile",
    "fax",
    "twitter",
    "facebook",
    "linkedin",
    "skype",
    "address",
    "tags",
    "custom_fields",
    "customer_status",
    "prospect_status",
];

fn sell_faults(request: &Value) -> Vec<String> {
    let (method, path) = (request["method"].as_str().unwrap_or_default(), request["path"].as_str().unwrap_or_default());
    let Some((.., parameters, keys)) = SELL.iter().find(|row| fits(&(row.0, row.1), method, path)) else {
        return vec![format!("{method} {path}: no such request to Sell")];
    };
    let query: Vec<(String, String)> = serde_json::from_value(request["query"].clone()).expect("pairs");
    let unknown = query.into_iter().map(|(name, _)| name).filter(|name| !parameters.contains(&name.as_str()));
    let mut wrong: Vec<String> = unknown.collect();
    match (&request["body"], keys.is_empty()) {
        (Value::Null, true) => {}
        (Value::Object(body), false) if body.len() == 1 && body["data"].is_object() => {
            let written = body["data"].as_object().into_iter().flatten().map(|(key, _)| key.clone());
            wrong.extend(written.filter(|key| !keys.contains(&key.as_str())));
        }
        _ => wrong.push("the body".into()),
    }
    wrong.into_iter().map(|name| format!("{method} {path}: {name} has no place in it")).collect()
}

/// The rows of the table: method and path.
fn table() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("../../ARCHITECTURE.md");
    let section = text.split("## What Deskbridge asks of Zendesk").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.filter_map(|(cell, _)| cell.split_once(' ')).collect()
}

fn fits(row: &(&str, &str), method: &str, path: &str) -> bool {
    row.0 == method
        && row.1.split('/').count() == path.split('/').count()
        && row.1.split('/').zip(path.split('/')).all(|(part, given)| part.starts_with('{') || part == given)
}
