//! Lists in pages: by cursor when `page[size]` is given, by number otherwise.
use super::{Reply, Req};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// A list to page through: ids in the order asked for, and how to write one.
pub struct List<'a> {
    /// The wrapper's name.
    pub name: &'static str,
    /// `https://…` of the account.
    pub host: &'a str,
    /// All ids in order.
    pub ids: Vec<i64>,
}

impl List<'_> {
    /// The page a request asks for.
    pub fn page(self, req: &Req, mut write: impl FnMut(i64) -> Value) -> Reply {
        let (rows, mut body) = match req.q("page[size]") {
            Some(size) => match self.by_cursor(req, size) {
                Ok(page) => page,
                Err(reply) => return reply,
            },
            None => match self.by_number(req) {
                Ok(page) => page,
                Err(reply) => return reply,
            },
        };
        let rows: Vec<_> = rows.into_iter().map(&mut write).collect();
        body.insert(self.name.to_owned(), rows.into());
        Reply::ok(&body)
    }

    fn by_cursor(&self, req: &Req, size: &str) -> Result<(Vec<i64>, Map<String, Value>), Reply> {
        let size = size.parse().unwrap_or(100).clamp(1, 1000);
        let from = match req.q("page[after]") {
            None => 0,
            Some(cursor) => {
                let id = decode(cursor).ok_or_else(bad_cursor)?;
                let place = self.ids.iter().position(|other| *other == id);
                // A row that vanished: the rows after it, in a list that grows by id.
                place.map_or_else(|| self.ids.partition_point(|other| *other <= id), |place| place + 1)
            }
        };
        let until = (from + req.page_rows(size)).min(self.ids.len());
        let rows = self.ids[from..until].to_vec();
        let more = until < self.ids.len();
        let (first, last) = (rows.first().map(|id| encode(*id)), rows.last().map(|id| encode(*id)));
        let link = |name: &str, cursor: &Option<String>| {
            let cursor = cursor.as_ref()?;
            Some(format!("{}{}.json?page%5B{name}%5D={cursor}&page%5Bsize%5D={size}", self.host, req.path))
        };
        let next = if more { link("after", &last) } else { None };
        let body = json!({"meta": {"has_more": more, "after_cursor": last, "before_cursor": first},
            "links": {"prev": link("before", &first), "next": next}});
        Ok((rows, object(body)))
    }

    fn by_number(&self, req: &Req) -> Result<(Vec<i64>, Map<String, Value>), Reply> {
        let page = req.number("page").unwrap_or(1).max(1) as usize;
        let size = req.number("per_page").unwrap_or(100).clamp(1, 100) as usize;
        if page > 100 || page * size > 10_000 {
            return Err(Reply::json(
                400,
                &json!({"errors": [{"code": "InvalidPaginationDepth",
                "title": "Pagination depth exceeded", "detail": "page must not be greater than 100",
                "id": "0", "links": {}, "source": {}, "status": "400"}]}),
            ));
        }
        let rows = req.page_rows(size);
        let from = ((page - 1) * rows).min(self.ids.len());
        let until = (from + rows).min(self.ids.len());
        let link = |page: usize| format!("{}{}.json?page={page}&per_page={size}", self.host, req.path);
        let next = (until < self.ids.len()).then(|| link(page + 1));
        let previous = (page > 1).then(|| link(page - 1));
        let body = json!({"count": self.ids.len(), "next_page": next, "previous_page": previous});
        Ok((self.ids[from..until].to_vec(), object(body)))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn encode(id: i64) -> String {
    STANDARD.encode(format!("{{\"o\":\"id\",\"v\":\"{id}\"}}")).replace('=', "%3D")
}

fn decode(cursor: &str) -> Option<i64> {
    let cursor = cursor.replace("%3D", "=");
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    value["v"].as_str()?.parse().ok()
}

fn bad_cursor() -> Reply {
    Reply::json(
        400,
        &json!({"errors": [{"code": "InvalidCursor", "title": "Invalid cursor",
        "detail": "page[after] is not a valid cursor", "status": "400"}]}),
    )
}
