//! The incremental exports: pages by cursor and by time (Z§2).
mod write;

use crate::http::{Caller, Reply, Req};
use crate::options::StreamEnd;
use crate::time::Stamp;
use crate::world::World;
use crate::world::ticket::Gone;
use crate::world::user::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Rows are ordered by the second, then by the order of changes.
type Place = (Stamp, u64);

/// How long tickets and their events are held back.
const HELD_BACK: i64 = 60;

/// How many rows a sample has at most.
const SAMPLE: usize = 50;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Users,
    Organizations,
    Tickets,
    TicketEvents,
    MetricEvents,
}

/// Where a row is: the record, and for an event its place in the ticket's history.
#[derive(Clone, Copy)]
struct Row {
    place: Place,
    id: i64,
    audit: usize,
}

struct Page {
    rows: Vec<Row>,
    more: bool,
}

impl Stream {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "users" => Some(Self::Users),
            "organizations" => Some(Self::Organizations),
            "tickets" => Some(Self::Tickets),
            "ticket_events" => Some(Self::TicketEvents),
            "ticket_metric_events" => Some(Self::MetricEvents),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Organizations => "organizations",
            Self::Tickets => "tickets",
            Self::TicketEvents => "ticket_events",
            Self::MetricEvents => "ticket_metric_events",
        }
    }

    /// The first second that is not shown yet.
    fn until(self, now: Stamp) -> Stamp {
        match self {
            Self::Users | Self::Organizations => now.plus(1),
            Self::Tickets | Self::TicketEvents | Self::MetricEvents => now.plus(1 - HELD_BACK),
        }
    }

    /// Where a time export goes on from. Users and tickets were recorded going on after the last second,
    /// the others are documented to repeat it; a second that is not over yet is always repeated. Where a row stands for
    /// many, repeating one would repeat a whole page.
    fn end_time(self, last: Stamp, start: Stamp, page: &Page, req: &Req, now: Stamp) -> Stamp {
        match self {
            Self::Users | Self::Tickets => last.plus(1).min(now.max(last)),
            _ if page.more && (last <= start || req.weight > 1) => last.plus(1),
            Self::Organizations | Self::TicketEvents | Self::MetricEvents => last,
        }
    }
}

/// Answers `/incremental/...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Reply {
    if caller.role != Role::Admin {
        return Reply::forbidden();
    }
    let stream = parts.get(1).and_then(|name| Stream::parse(name));
    match (req.method.as_str(), stream, &parts[1..]) {
        ("GET", Some(stream @ (Stream::Users | Stream::Tickets)), [_, "cursor"]) => {
            by_cursor(world, caller, req, stream)
        }
        ("GET", Some(stream), [_]) => by_time(world, caller, req, stream),
        ("GET", Some(stream), [_, "sample"]) if stream != Stream::MetricEvents => sample(world, caller, req, stream),
        _ => Reply::no_endpoint(),
    }
}

fn per_page(req: &Req) -> usize {
    req.number("per_page").unwrap_or(1000).clamp(1, 1000) as usize
}

fn start_time(req: &Req, now: Stamp) -> Result<Stamp, Reply> {
    let Some(start) = req.q("start_time").and_then(leading_number) else {
        return Err(Reply::bad("InvalidValue", "Invalid attribute. start_time is required and must be a unix time"));
    };
    if start > now.0 - HELD_BACK {
        let words = format!("Too recent start_time. Use a start_time older than 60 seconds: {start}");
        return Err(Reply::bad("StartTimeTooRecent", &words));
    }
    Ok(Stamp(start))
}

/// The number that a text begins with: `946684800.0`, as tap-zendesk asks, is taken as Ruby takes it.
fn leading_number(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}

fn by_cursor(world: &mut World, caller: &Caller, req: &Req, stream: Stream) -> Reply {
    let (from, asked) = match req.q("cursor").filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => match decode(cursor) {
            Some(place) => (Bound::Excluded(place), Some(cursor.to_owned())),
            None => return Reply::bad("InvalidValue", "Invalid cursor"),
        },
        None => match start_time(req, caller.now) {
            Ok(start) => (Bound::Included((start, 0)), None),
            Err(reply) => return reply,
        },
    };
    let without = match keeps(world, req, stream) {
        Ok(without) => without,
        Err(reply) => return reply,
    };
    let page = rows(world, stream, from, stream.until(caller.now), req.page_rows(per_page(req)), false, &without);
    let mut after = page.rows.last().map(|row| encode(*row));
    if world.faults.stall_cursor && asked.is_some() {
        after.clone_from(&asked);
    }
    if page.rows.is_empty() && repeats(world, caller) {
        after = asked;
    }
    let url = after.as_ref().map(|cursor| {
        let cursor = cursor.replace('=', "%3D");
        let path = format!("{}/api/v2/incremental/{}/cursor.json", world.host, stream.name());
        format!("{path}?cursor={cursor}{}", carried(req, '&', ""))
    });
    let late = world.exports.end == StreamEnd::Late && !page.rows.is_empty();
    let end = !page.more && !late && !world.faults.stall_cursor;
    let tail = json!({"after_url": url, "after_cursor": after, "before_url": null, "before_cursor": null,
        "end_of_stream": end});
    write::write(world, stream, &page, req, tail)
}

/// Whether an empty page repeats what it was asked with: nulls were recorded, repeating was seen elsewhere.
fn repeats(world: &World, caller: &Caller) -> bool {
    match world.exports.end {
        StreamEnd::Either => caller.now.0 % 2 == 0,
        StreamEnd::Repeat => true,
        StreamEnd::Nulls | StreamEnd::Unsaid | StreamEnd::Late => false,
    }
}

/// The parameters that the address of the next page carries on.
fn carried(req: &Req, before: char, after: &str) -> String {
    let mut query = String::new();
    for name in ["per_page", "include", "exclude_deleted", "support_type_scope"] {
        if let Some(value) = req.q(name) {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            if before == '&' {
                query.push(before);
            }
            query.push_str(&format!("{name}={value}{after}"));
        }
    }
    query
}

fn by_time(world: &mut World, caller: &Caller, req: &Req, stream: Stream) -> Reply {
    let start = match start_time(req, caller.now) {
        Ok(start) => start,
        Err(reply) => return reply,
    };
    let without = match keeps(world, req, stream) {
        Ok(without) => without,
        Err(reply) => return reply,
    };
    let until = stream.until(caller.now);
    let page = rows(world, stream, Bound::Included((start, 0)), until, req.page_rows(per_page(req)), true, &without);
    let last = page.rows.last().map(|row| row.place.0);
    let mut end = last.map(|last| stream.end_time(last, start, &page, req, caller.now).0);
    if end.is_none() && world.exports.end == StreamEnd::Repeat {
        end = Some(start.0);
    }
    let path = format!("{}/api/v2/incremental/{}.json", world.host, stream.name());
    let next = end.map(|end| format!("{path}?{}start_time={end}", carried(req, ' ', "&")));
    let mut tail = json!({"count": page.rows.len(), "next_page": next, "end_time": end, "end_of_stream": !page.more});
    if let (StreamEnd::Unsaid, Some(tail)) = (world.exports.end, tail.as_object_mut()) {
        tail.remove("end_of_stream");
    }
    write::write(world, stream, &page, req, tail)
}

fn sample(world: &mut World, caller: &Caller, req: &Req, stream: Stream) -> Reply {
    let start = Stamp(req.number("start_time").unwrap_or(0));
    let without = match keeps(world, req, stream) {
        Ok(without) => without,
        Err(reply) => return reply,
    };
    let page = rows(world, stream, Bound::Included((start, 0)), stream.until(caller.now), SAMPLE, false, &without);
    let tail = json!({"count": page.rows.len(), "next_page": null, "end_time": null, "end_of_stream": true});
    write::write(world, stream, &page, req, tail)
}

/// Which tickets to leave out: the deleted if asked to, and all if only those of AI agents are asked for, as there are none.
fn keeps(world: &World, req: &Req, stream: Stream) -> Result<BTreeSet<i64>, Reply> {
    let scope = match stream {
        Stream::Tickets | Stream::TicketEvents => req.q("support_type_scope").unwrap_or("agent"),
        Stream::Users | Stream::Organizations | Stream::MetricEvents => "all",
    };
    match scope {
        "all" | "agent" => {}
        "ai_agent" => return Ok(world.tickets.keys().copied().collect()),
        _ => return Err(Reply::bad("InvalidValue", "support_type_scope must be one of all, agent, ai_agent")),
    }
    if stream != Stream::Tickets || req.q("exclude_deleted") != Some("true") {
        return Ok(BTreeSet::new());
    }
    Ok(world.tickets.values().filter(|t| t.gone != Gone::No).map(|t| t.id).collect())
}

/// A page of rows; with `whole_seconds` it goes on until the second of its last row is complete.
fn rows(
    world: &World,
    stream: Stream,
    from: Bound<Place>,
    until: Stamp,
    most: usize,
    whole_seconds: bool,
    without: &BTreeSet<i64>,
) -> Page {
    let range = (from, Bound::Excluded((until.max(Stamp(i64::MIN + 1)), 0)));
    let empty = match range.0 {
        Bound::Included(place) | Bound::Excluded(place) => place >= (until, 0),
        Bound::Unbounded => false,
    };
    let mut page = Page { rows: Vec::new(), more: false };
    if empty {
        return page;
    }
    let plain = |order: &crate::world::index::Order<i64>, page: &mut Page| {
        let all = order.range(range).filter(|(_, id)| !without.contains(id));
        fill(page, all.map(|(place, id)| Row { place: *place, id: *id, audit: 0 }), most, whole_seconds);
    };
    match stream {
        Stream::Users => plain(&world.index.users, &mut page),
        Stream::Organizations => plain(&world.index.organizations, &mut page),
        Stream::Tickets => plain(&world.index.tickets, &mut page),
        Stream::TicketEvents => {
            let all = world.index.audits.range(range).filter(|(_, (id, _))| !without.contains(id));
            let row = |(place, (id, audit)): (&Place, &(i64, usize))| Row { place: *place, id: *id, audit: *audit };
            fill(&mut page, all.map(row), most, whole_seconds);
        }
        Stream::MetricEvents => {
            // An update makes several events or none, each of which is a row.
            let all = world.index.audits.range(range).flat_map(|(place, (id, audit))| {
                let made = world.tickets.get(id).map_or(0, |ticket| world.metric_events(ticket, *audit).len());
                std::iter::repeat_n(Row { place: *place, id: *id, audit: *audit }, made)
            });
            fill(&mut page, all, most, true);
        }
    }
    page
}

fn fill(page: &mut Page, all: impl Iterator<Item = Row>, most: usize, whole_seconds: bool) {
    for row in all {
        let full = page.rows.len() >= most;
        let same_second = page.rows.last().is_some_and(|last| last.place.0 == row.place.0);
        if full && !(whole_seconds && same_second) {
            page.more = true;
            return;
        }
        page.rows.push(row);
    }
}

/// Opaque to clients: the second, the id, and the place within the second.
fn encode(row: Row) -> String {
    STANDARD.encode(format!("{}.0||{}|{}", row.place.0.0, row.id, row.place.1))
}

fn decode(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(STANDARD.decode(cursor.replace(' ', "+")).ok()?).ok()?;
    let mut parts = text.split('|');
    let second = parts.next()?.parse::<f64>().ok()? as i64;
    let seq = parts.nth(2).and_then(|seq| seq.parse().ok()).unwrap_or(0);
    Some((Stamp(second), seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_at(seconds: &[i64]) -> Vec<Row> {
        (1..).zip(seconds).map(|(seq, at)| Row { place: (Stamp(*at), seq), id: 7, audit: 0 }).collect()
    }

    #[test]
    fn a_cursor_says_where_it_stands() {
        let row = Row { place: (Stamp(1_695_052_663), 9), id: 28, audit: 0 };
        let text = String::from_utf8(STANDARD.decode(encode(row)).expect("base64")).expect("text");
        assert!(text.starts_with("1695052663.0||28|"));
        assert_eq!(decode(&encode(row)), Some(row.place));
        assert_eq!(decode("bm90IGEgY3Vyc29y"), None);
    }

    #[test]
    fn time_pages_never_split_a_second() {
        let mut page = Page { rows: Vec::new(), more: false };
        fill(&mut page, rows_at(&[1, 2, 2, 2, 3]).into_iter(), 2, true);
        assert_eq!((page.rows.len(), page.more), (4, true));
        let mut page = Page { rows: Vec::new(), more: false };
        fill(&mut page, rows_at(&[1, 2, 2, 2, 3]).into_iter(), 2, false);
        assert_eq!((page.rows.len(), page.more), (2, true));
    }

    #[test]
    fn the_last_minute_of_tickets_is_held_back() {
        let now = Stamp(1_000);
        assert_eq!(Stream::Tickets.until(now), Stamp(941));
        assert_eq!(Stream::Users.until(now), Stamp(1_001));
    }
}
