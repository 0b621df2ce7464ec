//! Records that stand for many: an account of millions of records is asked as often as a real one, without being one.
//!
//! With a weight of K every record stands for K: a page holds a K-th of the rows that it would (one at least), and counts
//! tell K times as many. So a walk over all pages takes as many requests as over K times the records, as long as K is not
//! more than the page. What is asked for single records is not multiplied.
use super::{Reply, Req};
use serde_json::Value;

impl Req {
    /// How many rows a page of this nominal size holds.
    pub fn page_rows(&self, size: usize) -> usize {
        (size / self.weight).max(1)
    }
}

/// Makes an answer tell of all that its rows stand for: a `count`, plain or as `{"value": …}`. Records that were asked
/// for by id, and what belongs to one record, are counted as they are.
pub fn multiply(req: &Req, reply: &mut Reply) {
    let single = |part: &String| part == "show_many" || part.parse::<i64>().is_ok();
    if req.weight == 1 || reply.status != 200 || req.parts.iter().any(single) {
        return;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let count = match body.get_mut("count") {
        Some(Value::Object(inner)) => inner.get_mut("value"),
        plain => plain,
    };
    let Some(count) = count else { return };
    let Some(rows) = count.as_u64() else { return };
    *count = (rows * req.weight as u64).into();
    *reply = Reply { body: Reply::ok(&body).body, ..std::mem::replace(reply, Reply::nothing()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_are_multiplied_and_nothing_else() {
        let check = |path: &str, before: Value, after: Value| {
            let parts = path.split('/').map(str::to_owned).collect();
            let req = Req { parts, weight: 100, ..Req::get() };
            let mut reply = Reply::ok(&before).with("etag", "1");
            multiply(&req, &mut reply);
            assert_eq!(serde_json::from_slice::<Value>(&reply.body).ok(), Some(after), "{path}");
            assert_eq!(reply.headers.len(), 1);
        };
        check(
            "users/count",
            json!({"count": {"value": 7, "refreshed_at": "x"}}),
            json!({"count": {"value": 700, "refreshed_at": "x"}}),
        );
        check("users", json!({"users": [{"count": 1}], "count": 3}), json!({"users": [{"count": 1}], "count": 300}));
        check("users", json!({"users": [], "total": 3}), json!({"users": [], "total": 3}));
        check("users/7/identities", json!({"count": 2}), json!({"count": 2}));
        check("users/show_many", json!({"count": 2}), json!({"count": 2}));
    }
}
