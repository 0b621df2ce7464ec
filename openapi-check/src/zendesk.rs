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
        _ = put(&mut document, correction.at, correction.is());
    }
    document
}

/// The document with what Zendesk documents elsewhere.
pub fn with_supplement(mut document: Value) -> Result<Value, String> {
    let more = from_yaml(SUPPLEMENT)?;
    for (place, into) in [("/paths", "paths"), ("/components/schemas", "schemas")] {
        for (key, value) in more.pointer(place).and_then(Value::as_object).into_iter().flatten() {
            let target = if into == "paths" { &mut document["paths"] } else { &mut document["components"]["schemas"] };
            target[key] = value.clone();
        }
    }
    Ok(document)
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

/// Judges an answer. None where it is an answer to what neither Zendesk's document nor ours describes.
pub fn answer(judge: &Judge, exchange: &Exchange) -> Option<Vec<Finding>> {
    let path = plain(&exchange.path);
    match judge.response(&exchange.method, path, exchange.status, &exchange.kind, &exchange.body) {
        Verdict::Judged(_, found) => Some(found),
        Verdict::NoStatus(_) | Verdict::NoOperation if exchange.status >= 400 => Some(errors::findings(exchange)),
        Verdict::NoStatus(route) => {
            let what = format!("status {} is not one of those said", exchange.status);
            Some(vec![Finding::new("", &format!("{}/responses", route.pointer()), what)])
        }
        Verdict::NoOperation => None,
    }
}

/// Judges a request.
pub fn request(judge: &Judge, asked: Asked<'_>) -> Verdict {
    judge.request(Asked { path: plain(asked.path), ..asked }, parameters::also)
}

/// The path without its query and without `.json`.
fn plain(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path);
    path.strip_suffix(".json").unwrap_or(path)
}
