//! Pages of exports: equal times, ends, and links that lead elsewhere.

use super::{decoding, recordings};
use chrono::{DateTime, Utc};
use deskbridge::model::stream::Stream;
use deskbridge::zendesk::stream::{self, StreamPage};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn since() -> DateTime<Utc> {
    DateTime::from_timestamp(1_600_000_000, 0).expect("a time")
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn read(stream: Stream, wrapper: &str, body: &[u8], cursor: Option<&str>) -> StreamPage {
    decoding(|ctx| stream::read(stream, wrapper, body, cursor, since(), now(), ctx)).expect("a page")
}

/// The recorded pages of an export: the request's address and the body.
fn recorded(path: &str) -> Vec<(String, Vec<u8>)> {
    let answers = recordings().into_iter().flat_map(|recordings| &recordings.answers);
    let addressed =
        answers.map(|(_, meta, body)| (meta["request"]["url"].as_str().unwrap_or_default().to_owned(), body.clone()));
    addressed.filter(|(url, _)| url.contains(path)).collect()
}

#[test]
fn users_changed_in_one_second_are_all_read() {
    let user = |id: u32| json!({"id": id, "role": "end-user", "updated_at": "2026-01-01T00:00:00Z"});
    let made = json!({"users": [user(1), user(2), user(3)], "after_cursor": "c-3", "end_of_stream": false});
    let mut together: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let pages = recorded("/incremental/users/cursor");
    for body in std::iter::once(made.to_string().into_bytes()).chain(pages.into_iter().map(|(_, body)| body)) {
        let page = read(Stream::Users, "users", &body, None);
        assert_eq!(page.batch.people.len(), page.read, "each is read, whatever its time");
        for person in &page.batch.people {
            let second = person.updated_at.expect("a time").to_rfc3339();
            together.entry(second).or_default().insert(person.record_id.clone());
        }
        // The way on is Zendesk's cursor and no time, so nothing of that second can be left behind.
        let told: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(page.cursor.as_deref(), told["after_cursor"].as_str());
    }
    assert!(together.values().any(|ids| ids.len() >= 3));
}

#[test]
fn a_stream_ends_in_five_shapes() {
    let whole = |count: usize| -> Vec<Value> { (0..count).map(|n| json!({"id": n + 1, "name": "x"})).collect() };
    let ends = [
        (Stream::Users, "users", json!({"users": [], "after_cursor": "c", "after_url": "u", "end_of_stream": true})),
        (Stream::Users, "users", json!({"users": [], "after_cursor": null, "after_url": null, "end_of_stream": true})),
        (
            Stream::Organizations,
            "organizations",
            json!({"organizations": whole(2), "count": 2, "end_of_stream": true, "end_time": 1_694_305_012, "next_page": "n"}),
        ),
        (
            Stream::Organizations,
            "organizations",
            json!({"organizations": [], "count": 0, "end_of_stream": true, "end_time": null, "next_page": null}),
        ),
        (
            Stream::DeletedUsers,
            "deleted_users",
            json!({"deleted_users": [], "meta": {"has_more": false, "after_cursor": null}, "links": {"next": null}}),
        ),
    ];
    for (stream, wrapper, body) in &ends {
        assert!(read(*stream, wrapper, body.to_string().as_bytes(), Some("1694305000")).end, "{body}");
    }
    let mut seen = 0;
    for (url, body) in [recorded("/incremental/users/cursor"), recorded("/incremental/tickets/cursor")].concat() {
        let (stream, wrapper) = match url.contains("/users/") {
            true => (Stream::Users, "users"),
            false => (Stream::Tickets, "tickets"),
        };
        let told: Value = serde_json::from_slice(&body).expect("JSON");
        let page = read(stream, wrapper, &body, Some("before"));
        assert_eq!(page.end, told["end_of_stream"] == true, "{url}");
        seen += usize::from(page.end);
    }
    assert!(recordings().is_none() || seen >= 2, "{seen}");
}

#[test]
fn a_null_cursor_says_nothing_about_the_place() {
    let made =
        json!({"tickets": [], "after_cursor": null, "after_url": null, "before_cursor": null, "end_of_stream": true});
    let nulls = |body: &Vec<u8>| serde_json::from_slice::<Value>(body).is_ok_and(|told| told["after_cursor"].is_null());
    let pages = recorded("/incremental/tickets/cursor").into_iter().map(|(_, body)| body).filter(nulls);
    let mut seen = 0;
    for body in std::iter::once(made.to_string().into_bytes()).chain(pages) {
        let page = read(Stream::Tickets, "tickets", &body, Some("kept"));
        // None is not "the beginning": the flow keeps what is stored, which a test of the flow holds.
        assert_eq!((page.cursor, page.end), (None, true));
        seen += 1;
    }
    assert!(seen > usize::from(recordings().is_some()), "{seen}");
}

#[test]
fn a_link_to_another_host_is_never_a_place_to_go() {
    let made = json!({"users": [{"id": 1}], "after_cursor": "c1", "end_of_stream": false,
        "after_url": "https://evil.example/api/v2/incremental/users/cursor.json?cursor=c1"});
    let pages = recorded("/incremental/users/cursor").into_iter().map(|(_, body)| body);
    for body in std::iter::once(made.to_string().into_bytes()).chain(pages) {
        let page = read(Stream::Users, "users", &body, None);
        let next = stream::request(Stream::Users, page.cursor.as_deref(), since(), 1000, now());
        assert!(next.path.starts_with("/api/v2/incremental/users/cursor?"), "{}", next.path);
        assert!(!next.path.contains("://") && !next.path.contains("example"), "{}", next.path);
    }
}
