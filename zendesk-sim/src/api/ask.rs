//! What a request carries: its record, the parameters that are ignored, and answers many endpoints share.
use crate::http::{Caller, Reply, Req};
use serde_json::{Value, json};

/// The record under its wrapper. One that is missing is empty, one that is no object is a mistake.
pub fn given(req: &Req, wrapper: &str) -> Result<Value, Reply> {
    match &req.body[wrapper] {
        Value::Null => Ok(json!({})),
        Value::Object(record) => Ok(Value::Object(record.clone())),
        _ => Err(Reply::invalid(req, wrapper, "a hash")),
    }
}

/// Zendesk names what it ignored in a header: keys of the record that are not permitted, and `more`.
pub fn warn(reply: Reply, req: &Req, wrapper: &str, permitted: &[&str], more: Vec<String>) -> Reply {
    let keys = req.body[wrapper].as_object().into_iter().flat_map(|map| map.keys());
    let unknown = keys.filter(|key| !permitted.contains(&key.as_str())).map(|key| format!("{wrapper}.{key}"));
    let unknown: Vec<_> = unknown.chain(more).collect();
    if unknown.is_empty() || reply.status >= 300 {
        return reply;
    }
    let (controller, action) = req.action();
    let keys = json!(unknown);
    let words = format!(
        "{{:allowed_parameters=>{{:controller=>\"{controller}\", :action=>\"{action}\", :unpermitted_keys=>{keys}, :invalid_values=>[]}}}}"
    );
    reply.with("x-zendesk-api-warn", words)
}

/// A count, as `…/count` tells it.
pub fn count(caller: &Caller, value: usize) -> Reply {
    Reply::ok(&json!({"count": {"value": value, "refreshed_at": caller.now}}))
}

/// A record in its wrapper, with the address of a record just made.
pub fn one(status: u16, wrapper: &str, record: &Value) -> Reply {
    let reply = Reply::json(status, &json!({ wrapper: record }));
    match record["url"].as_str().filter(|_| status == 201) {
        Some(url) => reply.with("location", url),
        None => reply,
    }
}

/// The id in a path; what is none is a mistake.
pub fn id(req: &Req, text: &str) -> Result<i64, Reply> {
    text.parse().map_err(|_| Reply::invalid(req, "id", "an integer"))
}
