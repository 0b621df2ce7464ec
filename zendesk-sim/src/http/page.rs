//! Lists in pages: by cursor when `page[…]` is given, by number otherwise (Z§7).
use super::{Reply, Req};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// How many rows a page may hold, and how deep pages by number go.
const MOST: usize = 100;
const DEEPEST: usize = 10_000;

/// Which ways through a list an endpoint offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// As the request asks.
    Both,
    /// By number alone: `page[size]` is a mistake.
    Number,
    /// By cursor alone, with so many rows at most.
    Cursor(usize),
}

/// A list to page through: ids in the order asked for, and how to write one.
pub struct List<'a> {
    /// The wrapper's name.
    pub name: &'static str,
    /// `https://…` of the account.
    pub host: &'a str,
    /// All ids in order.
    pub ids: Vec<i64>,
}

/// A list in the order of its ids, of which only a page is ever looked at.
pub struct Shelf<'a, T, W> {
    /// The wrapper's name.
    pub name: &'static str,
    /// `https://…` of the account.
    pub host: &'a str,
    /// All records.
    pub rows: &'a BTreeMap<i64, T>,
    /// Which of them are in the list.
    pub wanted: W,
}

/// Rows in an order.
trait Rows {
    fn after(&self, id: Option<i64>, most: usize) -> Vec<i64>;
    /// The last rows before an id, in the list's order.
    fn before(&self, id: i64, most: usize) -> Vec<i64>;
    fn skip(&self, rows: usize, most: usize) -> Vec<i64>;
    fn count(&self) -> usize;
}

impl Rows for List<'_> {
    fn after(&self, id: Option<i64>, most: usize) -> Vec<i64> {
        let from = id.map_or(0, |id| {
            let place = self.ids.iter().position(|other| *other == id);
            // A row that vanished: the rows after it, in a list that grows by id.
            place.map_or_else(|| self.ids.partition_point(|other| *other <= id), |place| place + 1)
        });
        self.skip(from, most)
    }

    fn before(&self, id: i64, most: usize) -> Vec<i64> {
        let place = self.ids.iter().position(|other| *other == id);
        let until = place.unwrap_or_else(|| self.ids.partition_point(|other| *other < id));
        self.ids[until.saturating_sub(most)..until].to_vec()
    }

    fn skip(&self, rows: usize, most: usize) -> Vec<i64> {
        self.ids.iter().skip(rows).take(most).copied().collect()
    }

    fn count(&self) -> usize {
        self.ids.len()
    }
}

impl<T, W: Fn(&T) -> bool> Rows for Shelf<'_, T, W> {
    fn after(&self, id: Option<i64>, most: usize) -> Vec<i64> {
        let rows = self.rows.range((id.map_or(Unbounded, Excluded), Unbounded));
        rows.filter(|(_, row)| (self.wanted)(row)).map(|(id, _)| *id).take(most).collect()
    }

    fn before(&self, id: i64, most: usize) -> Vec<i64> {
        let rows = self.rows.range(..id).rev().filter(|(_, row)| (self.wanted)(row));
        let mut ids: Vec<_> = rows.map(|(id, _)| *id).take(most).collect();
        ids.reverse();
        ids
    }

    fn skip(&self, rows: usize, most: usize) -> Vec<i64> {
        let all = self.rows.iter().filter(|(_, row)| (self.wanted)(row));
        all.map(|(id, _)| *id).skip(rows).take(most).collect()
    }

    fn count(&self) -> usize {
        self.rows.values().filter(|row| (self.wanted)(row)).count()
    }
}

impl List<'_> {
    /// The page a request asks for.
    pub fn page(self, req: &Req, write: impl FnMut(i64) -> Value) -> Reply {
        self.paged(req, Ways::Both, write)
    }

    /// The page a request asks for, where not every way is open.
    pub fn paged(self, req: &Req, ways: Ways, write: impl FnMut(i64) -> Value) -> Reply {
        answer(&self, self.name, self.host, req, ways, write)
    }
}

impl<T, W: Fn(&T) -> bool> Shelf<'_, T, W> {
    /// The page a request asks for.
    pub fn page(self, req: &Req, write: impl FnMut(i64) -> Value) -> Reply {
        answer(&self, self.name, self.host, req, Ways::Both, write)
    }
}

fn answer(rows: &impl Rows, name: &str, host: &str, req: &Req, ways: Ways, write: impl FnMut(i64) -> Value) -> Reply {
    let page = match ways {
        Ways::Both if req.wants_cursor() => by_cursor(rows, host, req, MOST),
        Ways::Cursor(most) => by_cursor(rows, host, req, most),
        Ways::Number if req.wants_cursor() => Err(Reply::invalid(req, "page", "an integer")),
        Ways::Both | Ways::Number => by_number(rows, host, req),
    };
    match page {
        Ok((ids, mut body)) => {
            body.insert(name.to_owned(), ids.into_iter().map(write).collect::<Vec<_>>().into());
            Reply::ok(&body)
        }
        Err(reply) => reply,
    }
}

impl Req {
    /// Whether a page by cursor is asked for.
    pub fn wants_cursor(&self) -> bool {
        self.query.iter().any(|(name, _)| name.starts_with("page["))
    }

    /// The address of another page: the same request with these parameters instead.
    fn link(&self, host: &str, instead: &[(&str, &str)]) -> String {
        let kept = self.query.iter().filter(|(name, _)| name != "page" && !name.starts_with("page["));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut all: Vec<_> = kept.chain(instead.iter().copied()).collect();
        all.sort_by_key(|(name, _)| name.to_owned());
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        format!("{host}{}.json?{query}", self.path)
    }
}

type Page = (Vec<i64>, Map<String, Value>);

fn by_cursor(rows: &impl Rows, host: &str, req: &Req, most: usize) -> Result<Page, Reply> {
    let size = match req.q("page[size]") {
        None => MOST.min(most),
        Some(text) => match text.parse::<usize>() {
            Ok(size) if size > 0 => size.min(most),
            _ => return Err(Reply::invalid(req, "page.size", "an integer")),
        },
    };
    let cursor = |name: &str| req.q(name).filter(|text| !text.is_empty()).map(decode).transpose();
    let (after, before) = (cursor("page[after]")?, cursor("page[before]")?);
    let held = req.page_rows(size);
    let mut ids = match before {
        Some(id) => rows.before(id, held + 1),
        None => rows.after(after, held + 1),
    };
    let more = ids.len() > held;
    match before {
        Some(_) => drop(ids.drain(..ids.len().saturating_sub(held))),
        None => ids.truncate(held),
    }
    let (first, last) = (ids.first().map(|id| encode(*id)), ids.last().map(|id| encode(*id)));
    let size = size.to_string();
    let link = |name: &str, cursor: &Option<String>| {
        cursor.as_ref().map(|cursor| req.link(host, &[(name, cursor), ("page[size]", &size)]))
    };
    let backwards = before.is_some();
    let next = if more || backwards { link("page[after]", &last) } else { None };
    let prev = if !backwards || more { link("page[before]", &first) } else { None };
    let body = json!({"meta": {"has_more": more, "after_cursor": last, "before_cursor": first},
        "links": {"prev": prev, "next": next}});
    Ok((ids, object(body)))
}

fn by_number(rows: &impl Rows, host: &str, req: &Req) -> Result<Page, Reply> {
    let number = |name: &str, default: usize| match req.q(name).filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse::<i64>().map_err(|_| Reply::invalid(req, name, "an integer")).map(|n| match n {
            ..=0 => default,
            n => n as usize,
        }),
    };
    let (page, size) = (number("page", 1)?, number("per_page", MOST)?.min(MOST));
    if page.saturating_mul(size) > DEEPEST {
        let detail = "The requested page exceeds the maximum depth of 10,000 records. Use cursor pagination.";
        return Err(Reply::errors(
            "InvalidPaginationDepth",
            "Pagination requests using Offset Pagination are limited",
            detail,
        ));
    }
    let held = req.page_rows(size);
    let (ids, count) = (rows.skip((page - 1) * held, held), rows.count());
    let link = |page: usize| req.link(host, &[("page", &page.to_string())]);
    let next = (page * held < count).then(|| link(page + 1));
    let previous = (page > 1).then(|| link(page - 1));
    Ok((ids, object(json!({"count": count, "next_page": next, "previous_page": previous}))))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A cursor as Zendesk makes them: what the list is ordered by, and the last value seen.
fn encode(id: i64) -> String {
    let mut bytes = vec![b'i'];
    bytes.extend(id.to_le_bytes());
    STANDARD.encode(json!({"o": "id", "v": STANDARD.encode(bytes)}).to_string())
}

fn decode(cursor: &str) -> Result<i64, Reply> {
    let read = |cursor: &str| -> Option<i64> {
        let value: Value = serde_json::from_slice(&STANDARD.decode(cursor).ok()?).ok()?;
        let bytes = STANDARD.decode(value["v"].as_str()?).ok()?;
        Some(i64::from_le_bytes(bytes.strip_prefix(b"i")?.try_into().ok()?))
    };
    read(cursor).ok_or_else(|| Reply::errors("InvalidCursor", "Invalid cursor", "The cursor is not valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(rows: &impl Rows, from: &[Option<i64>]) -> Vec<Vec<i64>> {
        from.iter().map(|id| rows.after(*id, 2)).collect()
    }

    #[test]
    fn a_list_and_a_shelf_page_alike() {
        let rows: BTreeMap<i64, bool> = (1..=7).map(|id| (id * 10, id != 4)).collect();
        let shelf = Shelf { name: "x", host: "", rows: &rows, wanted: |there: &bool| *there };
        let list = List { name: "x", host: "", ids: shelf.after(None, 99) };
        assert_eq!(list.ids, [10, 20, 30, 50, 60, 70]);
        let from = [None, Some(20), Some(40), Some(70)];
        assert_eq!(ids(&shelf, &from), ids(&list, &from));
        assert_eq!(ids(&shelf, &from), [vec![10, 20], vec![30, 50], vec![50, 60], vec![]]);
        for id in [10, 40, 50, 99] {
            assert_eq!(shelf.before(id, 2), list.before(id, 2), "before {id}");
        }
        assert_eq!((shelf.skip(4, 5), shelf.count()), (list.skip(4, 5), list.count()));
    }

    #[test]
    fn cursors_say_where_they_are() {
        assert_eq!(decode(&encode(7_400_000_100_013)).ok(), Some(7_400_000_100_013));
        assert_eq!(decode("nonsense").err().map(|reply| reply.status), Some(400));
    }
}
