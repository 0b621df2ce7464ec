//! Streams: which request reads the next page, and what a page means. No I/O.
//!
//! A cursor is Zendesk's own where it gives one (users, tickets); the unix time of the next page for exports by time; for
//! plain lists `start|after`, the time the pass began from and Zendesk's cursor within it.

use super::decode::{self, DecodeContext, Page, PageError};
use super::progress::digest;
use super::webhooks::encode;
use crate::model::activity::Origin;
use crate::model::batch::Batch;
use crate::model::stream::Stream;
use crate::rules::activity;
use chrono::{DateTime, Duration, Utc};
use serde_json::value::RawValue;

/// Exports by time ask for a start at least this long ago (StartTimeTooRecent, Z§2).
const TOO_RECENT: Duration = Duration::seconds(61);

/// How far back a pass over a plain list begins before the newest record read: its rows may change after they appear.
const LIST_OVERLAP: Duration = Duration::hours(1);

/// How far Zendesk's clock may be ahead of ours.
const SKEW: Duration = Duration::hours(1);

/// How far a stream goes back when its cursor is refused (§6: never from the beginning, never with a gap).
pub const REFUSED_OVERLAP: Duration = Duration::minutes(10);

/// A request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Path with parameters.
    pub path: String,
    /// Key of the records in the answer.
    pub wrapper: &'static str,
}

/// What a page means.
#[derive(Debug, Default)]
pub struct StreamPage {
    /// Its records, normalised.
    pub batch: Batch,
    /// Where the next page begins; None when the answer does not say.
    pub cursor: Option<String>,
    /// Time of the newest record.
    pub read_through: Option<DateTime<Utc>>,
    /// True at the end of the stream.
    pub end: bool,
    /// How many records it holds.
    pub read: usize,
    /// A digest of each record, in order.
    pub digests: Vec<u64>,
}

/// The request for the page at `cursor`, or for the first one since `since`.
pub fn request(
    stream: Stream,
    cursor: Option<&str>,
    since: DateTime<Utc>,
    page_size: i32,
    now: DateTime<Utc>,
) -> PageRequest {
    let latest = (now - TOO_RECENT).timestamp();
    let start = since.timestamp().clamp(0, latest);
    let export = |path: &str| match cursor {
        Some(cursor) => format!("/api/v2/incremental/{path}/cursor?cursor={}&per_page={page_size}", encode(cursor)),
        None => format!("/api/v2/incremental/{path}/cursor?start_time={start}&per_page={page_size}"),
    };
    let by_time = |path: &str, more: &str| {
        let from = cursor.and_then(|cursor| cursor.parse::<i64>().ok()).unwrap_or(start).min(latest);
        format!("/api/v2/incremental/{path}?start_time={from}&per_page={page_size}{more}")
    };
    let (path, wrapper) = match stream {
        Stream::Users => (export("users"), "users"),
        Stream::Tickets => (export("tickets"), "tickets"),
        Stream::Organizations => (by_time("organizations", ""), "organizations"),
        Stream::TicketEvents => (by_time("ticket_events", "&include=comment_events"), "ticket_events"),
        Stream::Satisfaction => {
            (list("/api/v2/satisfaction_ratings?start_time=", 1, cursor, since), "satisfaction_ratings")
        }
        Stream::SurveyResponses => (
            list("/api/v2/guide/survey_responses?filter%5Bcreated_at_start%5D=", 1000, cursor, since),
            "survey_responses",
        ),
        Stream::DeletedUsers => (
            list("/api/v2/deleted_users?since=", 1, cursor, DateTime::UNIX_EPOCH).replace("since=0&", ""),
            "deleted_users",
        ),
        Stream::Fields => (fields_path("user_fields", None), "user_fields"),
    };
    PageRequest { path, wrapper }
}

/// A page of a plain list, 100 rows at a time; `unit` turns seconds into what the parameter wants.
fn list(path: &str, unit: i64, cursor: Option<&str>, since: DateTime<Utc>) -> String {
    let (start, after) = list_position(cursor, since);
    let mut path = format!("{path}{}&page%5Bsize%5D=100", start * unit);
    if let Some(after) = after {
        path.push_str("&page%5Bafter%5D=");
        path.push_str(&encode(after));
    }
    path
}

fn list_position(cursor: Option<&str>, since: DateTime<Utc>) -> (i64, Option<&str>) {
    let (start, after) = cursor.and_then(|cursor| cursor.split_once('|')).unwrap_or(("", ""));
    (start.parse().unwrap_or_else(|_| since.timestamp().max(0)), Some(after).filter(|after| !after.is_empty()))
}

/// The three kinds of custom fields, each a list of its own: path, wrapper, entity.
pub const FIELD_LISTS: [(&str, &str); 3] =
    [("user_fields", "person"), ("organization_fields", "organization"), ("ticket_fields", "ticket")];

/// The request for a page of field definitions.
pub fn fields_path(list: &str, after: Option<&str>) -> String {
    let mut path = format!("/api/v2/{list}?page%5Bsize%5D=100");
    if let Some(after) = after {
        path.push_str("&page%5Bafter%5D=");
        path.push_str(&encode(after));
    }
    path
}

/// Reads an answer to [`request`].
pub fn read(
    stream: Stream,
    wrapper: &str,
    body: &[u8],
    cursor: Option<&str>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    ctx: &DecodeContext<'_>,
) -> Result<StreamPage, PageError> {
    let page = decode::page(body, wrapper)?;
    let mut read = StreamPage { read: page.records.len(), ..StreamPage::default() };
    for raw in &page.records {
        read.digests.push(digest(raw.get()));
        record(stream, raw, now, ctx, &mut read);
    }
    // A time that has not come yet would let what happens until then be missed.
    read.read_through = read.read_through.map(|at| at.min(now));
    position(stream, &page, cursor, since, now, &mut read)?;
    Ok(read)
}

/// Where the next page begins, and whether this was the last.
fn position(
    stream: Stream,
    page: &Page,
    cursor: Option<&str>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    read: &mut StreamPage,
) -> Result<(), PageError> {
    match stream {
        Stream::Users | Stream::Tickets => {
            read.cursor = page.after_cursor.clone();
            read.end = page.end_of_stream.unwrap_or_else(|| is_last(page, cursor, read.cursor.as_deref()));
        }
        Stream::Organizations | Stream::TicketEvents => {
            if page.end_time.is_some_and(|time| time > (now + SKEW).timestamp()) {
                return Err(PageError::Future);
            }
            let end_time = page.end_time.map(|time| time.min(now.timestamp()));
            read.cursor = end_time.map(|time| time.to_string());
            read.end = page.end_of_stream.unwrap_or_else(|| is_last(page, cursor, read.cursor.as_deref()));
            read.read_through = end_time.and_then(|time| DateTime::from_timestamp(time, 0));
        }
        Stream::Satisfaction | Stream::SurveyResponses | Stream::DeletedUsers | Stream::Fields => {
            let (start, _) = list_position(cursor, since);
            read.end = !page.has_more.unwrap_or(page.next.is_some());
            read.cursor = match (&page.after_cursor, read.end) {
                (Some(after), false) => Some(format!("{start}|{after}")),
                (None, false) => None,
                (_, true) => Some(format!("{}|", next_start(stream, start, read.read_through))),
            };
        }
    }
    Ok(())
}

/// Where nothing says whether this is the end (older accounts, Z§2): it is when nothing new comes, or nothing leads on.
fn is_last(page: &Page, asked: Option<&str>, next: Option<&str>) -> bool {
    page.records.is_empty() || next.is_none() || next == asked
}

fn next_start(stream: Stream, start: i64, read_through: Option<DateTime<Utc>>) -> i64 {
    match (stream, read_through) {
        (Stream::DeletedUsers, _) => 0,
        (_, Some(newest)) => (newest - LIST_OVERLAP).timestamp().max(start),
        (_, None) => start,
    }
}

fn record(stream: Stream, raw: &RawValue, now: DateTime<Utc>, ctx: &DecodeContext<'_>, page: &mut StreamPage) {
    let batch = &mut page.batch;
    let mut newest = |at: Option<DateTime<Utc>>| page.read_through = page.read_through.max(at);
    let refused = match stream {
        Stream::Users => decode::user(raw, ctx).map(|mut user| {
            // A version from the future would keep every true one out.
            user.updated_at = user.updated_at.map(|at| at.min(now));
            newest(user.updated_at);
            batch.people.push(user);
        }),
        Stream::DeletedUsers => decode::deleted_user(raw).map(|user| batch.people.push(user)),
        Stream::Organizations => {
            decode::organization(raw, ctx).map(|organization| batch.organizations.push(organization))
        }
        Stream::Tickets => decode::ticket(raw, ctx).map(|mut ticket| {
            ticket.version_at = ticket.version_at.min(now);
            newest(Some(ticket.version_at));
            batch.activities.extend(activity::ticket_created(&ticket, ctx.messages(), Origin::Export));
            batch.activities.extend(activity::ticket_deleted(&ticket, Origin::Export));
            batch.tickets.push(ticket);
        }),
        Stream::TicketEvents => decode::ticket_event(raw, ctx).map(|event| ticket_event(event, batch)),
        Stream::Satisfaction | Stream::SurveyResponses => {
            let rating =
                if stream == Stream::Satisfaction { decode::rating(raw) } else { decode::survey_response(raw) };
            rating.map(|rating| {
                let Some(rating) = rating else { return };
                newest(Some(rating.rated_at));
                batch.activities.extend(activity::satisfaction(&rating, ctx.messages(), Origin::Export));
                batch.ratings.push(rating);
            })
        }
        Stream::Fields => Ok(()),
    };
    if let Err(refused) = refused {
        batch.refused.push(refused);
    }
}

/// Adds what one audit says to a batch.
pub fn ticket_event(event: decode::AuditEvent, batch: &mut Batch) {
    if let Some(former) = event.former_requester {
        batch.requesters.entry(event.ticket_id).or_default().push(former);
    }
    batch.activities.extend(event.activities);
    batch.redactions.extend(event.redactions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a valid time")
    }

    fn check(stream: Stream, cursor: Option<&str>, expected: &str) {
        let request = request(stream, cursor, time(500), 100, time(1000));
        assert_eq!(request.path, expected);
    }

    #[test]
    fn each_stream_asks_in_its_own_way() {
        check(Stream::Users, None, "/api/v2/incremental/users/cursor?start_time=500&per_page=100");
        check(Stream::Users, Some("a=|"), "/api/v2/incremental/users/cursor?cursor=a%3D%7C&per_page=100");
        check(Stream::Organizations, None, "/api/v2/incremental/organizations?start_time=500&per_page=100");
        check(Stream::Organizations, Some("700"), "/api/v2/incremental/organizations?start_time=700&per_page=100");
        check(
            Stream::TicketEvents,
            Some("990"),
            "/api/v2/incremental/ticket_events?start_time=939&per_page=100&include=comment_events",
        );
        check(Stream::Satisfaction, None, "/api/v2/satisfaction_ratings?start_time=500&page%5Bsize%5D=100");
        check(
            Stream::Satisfaction,
            Some("600|x="),
            "/api/v2/satisfaction_ratings?start_time=600&page%5Bsize%5D=100&page%5Bafter%5D=x%3D",
        );
        check(
            Stream::SurveyResponses,
            Some("600|"),
            "/api/v2/guide/survey_responses?filter%5Bcreated_at_start%5D=600000&page%5Bsize%5D=100",
        );
        check(Stream::DeletedUsers, None, "/api/v2/deleted_users?page%5Bsize%5D=100");
    }
}
