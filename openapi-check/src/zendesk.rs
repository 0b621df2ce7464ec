//! Zendesk's own OpenAPI, with its known errors put right and what it leaves out added.
//!
//! The document is Zendesk's and no part of this project: without it the tests that need it pass and say so. It is looked for
//! where `ZENDESK_OPENAPI` says, or beside the project.
mod corrections;
mod errors;
mod parameters;

pub use corrections::{CORRECTIONS, Correction, Evidence};
pub use parameters::{PARAMETERS, Parameter};

use crate::judge::{Asked, Finding, Judge, Verdict};
use crate::{from_yaml, put};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What Zendesk documents elsewhere: an OpenAPI document of our own, each operation with its `x-source`.
pub const SUPPLEMENT: &str = include_str!("zendesk/supplement.yaml");

/// Where reference material lies when it is there: beside the project.
pub fn shared() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"))
}

/// Zendesk's document as it is. Errors say that it is not there, or what is wrong with it.
pub fn published() -> Result<Value, String> {
    let path = std::env::var_os("ZENDESK_OPENAPI").map(PathBuf::from);
    let path = path.unwrap_or_else(|| shared().join("reference/zendesk-oas.yaml"));
    let text = std::fs::read_to_string(&path);
    from_yaml(&text.map_err(|e| format!("no OpenAPI of Zendesk at {} (or ZENDESK_OPENAPI): {e}", path.display()))?)
}

/// The judge of everything, made once a process. None when the document is not there.
pub fn judge() -> Option<&'static Judge> {
    static JUDGE: OnceLock<Option<Judge>> = OnceLock::new();
    let made = JUDGE.get_or_init(|| {
        let document = published().ok()?;
        let document = with_supplement(corrected(document, |_| true)).and_then(Judge::new);
        Some(document.unwrap_or_else(|e| Judge::broken(&e)))
    });
    made.as_ref()
}

/// The document with those corrections that `wanted` names by their place in the list.
pub fn corrected(mut document: Value, wanted: impl Fn(usize) -> bool) -> Value {
    for (_, correction) in CORRECTIONS.iter().enumerate().filter(|(index, _)| wanted(*index)) {
        // A place that is not there is found by the test of the list.
        _ = put(&mut document, &correction.at(), correction.is());
    }
    document
}

/// The document with what Zendesk documents elsewhere. An error where the supplement would change what the document says.
pub fn with_supplement(mut document: Value) -> Result<Value, String> {
    let more = from_yaml(SUPPLEMENT)?;
    for place in ["paths", "components"] {
        add(&mut document[place], &more[place], place)?;
    }
    Ok(document)
}

fn add(into: &mut Value, more: &Value, place: &str) -> Result<(), String> {
    match (into, more) {
        (into @ Value::Null, more) => *into = more.clone(),
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                add(into.entry(key).or_insert(Value::Null), value, &format!("{place}/{key}"))?;
            }
        }
        _ => return Err(format!("the supplement says again what Zendesk's document says: {place}")),
    }
    Ok(())
}

/// An exchange with Zendesk, or with something that claims to be like it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// GET, POST, …
    pub method: String,
    /// The path as asked, with or without `.json`.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// Its media type.
    pub kind: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What is wrong with an answer. An answer that neither Zendesk's document nor the supplement describes is wrong, too,
/// unless it is an error of Zendesk's shape.
pub fn answer(judge: &Judge, exchange: &Exchange) -> Vec<Finding> {
    let path = plain(&exchange.path);
    if errors::is_plain_limit(exchange) || errors::is_no_endpoint(exchange) {
        return Vec::new();
    }
    match judge.response(&exchange.method, path, exchange.status, &exchange.kind, &exchange.body) {
        Verdict::Judged(_, found) => found,
        Verdict::NoStatus(_) | Verdict::NoOperation if exchange.status >= 400 => errors::findings(exchange),
        Verdict::NoStatus(route) => {
            let what = format!("status {} is not one of those said", exchange.status);
            vec![Finding::new("", &format!("{}/responses", route.pointer()), what)]
        }
        Verdict::NoOperation => vec![Finding::new("", "", format!("{} {path} is not described", exchange.method))],
    }
}

/// Judges a request.
pub fn request(judge: &Judge, asked: Asked<'_>) -> Verdict {
    let mut verdict = judge.request(Asked { path: plain(asked.path), ..asked }, parameters::also);
    parameters::excuse(&mut verdict, asked.query);
    verdict
}

/// The path without its query and without `.json`.
pub fn plain(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path);
    path.strip_suffix(".json").unwrap_or(path)
}
