//! The incremental exports: pages by cursor and by time.
use crate::http::{Caller, Reply, Req, faults};
use crate::time::Stamp;
use crate::world::World;
use crate::world::ticket::Gone;
use crate::world::user::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Rows are ordered by the second, then by the order of changes.
type Place = (Stamp, u64);

/// How long tickets and their events are held back.
const HELD_BACK: i64 = 60;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Users,
    Organizations,
    Tickets,
    TicketEvents,
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
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Organizations => "organizations",
            Self::Tickets => "tickets",
            Self::TicketEvents => "ticket_events",
        }
    }

    /// The first second that is not shown yet.
    fn until(self, now: Stamp) -> Stamp {
        match self {
            Self::Users | Self::Organizations => now.plus(1),
            Self::Tickets | Self::TicketEvents => now.plus(1 - HELD_BACK),
        }
    }

    /// Where a time export goes on from. Users and tickets were recorded going on after the last second,
    /// the others are documented to repeat it; a second that is not over yet is always repeated.
    fn end_time(self, last: Stamp, start: Stamp, more: bool, now: Stamp) -> Stamp {
        match self {
            Self::Users | Self::Tickets => last.plus(1).min(now.max(last)),
            Self::Organizations | Self::TicketEvents if more && last <= start => last.plus(1),
            Self::Organizations | Self::TicketEvents => last,
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
        ("GET", Some(stream), [_, "sample"]) => sample(world, caller, req, stream),
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
    let kept = keeps(world, req, stream);
    let page = rows(world, stream, from, stream.until(caller.now), req.page_rows(per_page(req)), false, &kept);
    let mut after = page.rows.last().map(|row| encode(*row));
    if world.faults.stall_cursor && asked.is_some() {
        after.clone_from(&asked);
    }
    // An empty page was recorded with nulls; others have been seen repeating the cursor asked with.
    if page.rows.is_empty() && caller.now.0 % 2 == 0 {
        after = asked;
    }
    let query = if req.q("per_page").is_some() { format!("&per_page={}", per_page(req)) } else { String::new() };
    let url = after.as_ref().map(|cursor| {
        let cursor = cursor.replace('=', "%3D");
        format!("{}/api/v2/incremental/{}/cursor.json?cursor={cursor}{query}", world.host, stream.name())
    });
    let end = !page.more && !world.faults.stall_cursor;
    let tail = json!({"after_url": url, "after_cursor": after, "before_url": null, "before_cursor": null,
        "end_of_stream": end});
    write(world, stream, &page, req, tail)
}

fn by_time(world: &mut World, caller: &Caller, req: &Req, stream: Stream) -> Reply {
    let start = match start_time(req, caller.now) {
        Ok(start) => start,
        Err(reply) => return reply,
    };
    let kept = keeps(world, req, stream);
    let until = stream.until(caller.now);
    let page = rows(world, stream, Bound::Included((start, 0)), until, req.page_rows(per_page(req)), true, &kept);
    let last = page.rows.last().map(|row| row.place.0);
    let end = last.map(|last| stream.end_time(last, start, page.more, caller.now).0);
    let mut query = String::new();
    for name in ["per_page", "include", "exclude_deleted"] {
        if let Some(value) = req.q(name) {
            query.push_str(&format!("{name}={value}&"));
        }
    }
    let next =
        end.map(|end| format!("{}/api/v2/incremental/{}.json?{query}start_time={end}", world.host, stream.name()));
    let tail = json!({"count": page.rows.len(), "next_page": next, "end_time": end, "end_of_stream": !page.more});
    write(world, stream, &page, req, tail)
}

fn sample(world: &mut World, caller: &Caller, req: &Req, stream: Stream) -> Reply {
    let start = Stamp(req.number("start_time").unwrap_or(0));
    let kept = keeps(world, req, stream);
    let page = rows(world, stream, Bound::Included((start, 0)), stream.until(caller.now), 50, false, &kept);
    let tail = json!({"count": page.rows.len(), "next_page": null, "end_time": null, "end_of_stream": true});
    write(world, stream, &page, req, tail)
}

/// Which tickets to leave out.
fn keeps(world: &World, req: &Req, stream: Stream) -> BTreeSet<i64> {
    if stream != Stream::Tickets || req.q("exclude_deleted") != Some("true") {
        return BTreeSet::new();
    }
    world.tickets.values().filter(|t| t.gone != Gone::No).map(|t| t.id).collect()
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
            let all = world.index.audits.range(range);
            fill(
                &mut page,
                all.map(|(place, (id, audit))| Row { place: *place, id: *id, audit: *audit }),
                most,
                whole_seconds,
            );
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

fn write(world: &World, stream: Stream, page: &Page, req: &Req, tail: Value) -> Reply {
    let mut body = Vec::with_capacity(page.rows.len() * 1500 + 500);
    let include = req.q("include").unwrap_or_default();
    let poisoned = world.faults.poison_records.get(stream.name());
    body.extend_from_slice(format!("{{\"{}\":[", stream.name()).as_bytes());
    let start = body.len();
    for row in &page.rows {
        if body.len() > start {
            body.push(b',');
        }
        if poisoned.is_some_and(|ids| ids.contains(&row.id)) {
            let mut clean = Vec::new();
            write_row(world, stream, *row, include, &mut clean);
            let value = serde_json::from_slice(&clean).unwrap_or_default();
            put(&mut body, &faults::poison(value, row.id));
        } else {
            write_row(world, stream, *row, include, &mut body);
        }
    }
    body.push(b']');
    for (name, value) in tail.as_object().into_iter().flatten() {
        body.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    if include.split(',').any(|part| part == "users") && stream == Stream::Tickets {
        write_side_users(world, page, &mut body);
    }
    if include.split(',').any(|part| part == "identities") && stream == Stream::Users {
        let users = page.rows.iter().filter_map(|row| world.users.get(&row.id));
        let all: Vec<_> =
            users.flat_map(|user| user.identities.iter().map(|i| i.as_rest(user.id, &world.host))).collect();
        body.extend_from_slice(b",\"identities\":");
        put(&mut body, &all);
    }
    body.push(b'}');
    Reply::bytes(200, body)
}

fn put(body: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(body, value).expect("invariant: records are always JSON");
}

fn write_row(world: &World, stream: Stream, row: Row, include: &str, body: &mut Vec<u8>) {
    let host = &world.host;
    match stream {
        Stream::Users => {
            if let Some(user) = world.users.get(&row.id) {
                put(body, &user.view(host, &world.catalog.user_fields, true));
            }
        }
        Stream::Organizations => {
            if let Some(organization) = world.organizations.get(&row.id) {
                put(body, &organization.view(host, &world.catalog.organization_fields, true));
            }
        }
        Stream::Tickets => {
            if let Some(ticket) = world.tickets.get(&row.id) {
                put(body, &ticket.view(world.frame(), world.rating_of(ticket), ticket.generated.0));
            }
        }
        Stream::TicketEvents => {
            let with_comments = include.split(',').any(|part| part == "comment_events");
            if let Some(audit) = world.tickets.get(&row.id).and_then(|ticket| ticket.audits.get(row.audit)) {
                put(body, &audit.as_row(row.id, host, with_comments));
            }
        }
    }
}

fn write_side_users(world: &World, page: &Page, body: &mut Vec<u8>) {
    let tickets = page.rows.iter().filter_map(|row| world.tickets.get(&row.id));
    let ids: BTreeSet<_> =
        tickets.flat_map(|t| [Some(t.requester_id), Some(t.submitter_id), t.assignee_id]).flatten().collect();
    let users: Vec<_> = ids.iter().filter_map(|id| world.users.get(id)).collect();
    let views: Vec<_> = users.iter().map(|u| u.view(&world.host, &world.catalog.user_fields, true)).collect();
    body.extend_from_slice(b",\"users\":");
    put(body, &views);
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
