//! What bad input gets: an error that names the endpoint and the remedy, a bounded wait, no effect on other streams, and
//! nothing lost once it is gone. The table "Bad input" in ARCHITECTURE.md names these tests.

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::source::SourceSettings;
use deskbridge::model::stream::Checkpoint;
use serde_json::{Value, json};
use std::time::Duration;

/// More than the client waits for within one reading: five tries, each at most `LONGEST_WAIT` apart.
const LONGEST_READING: i64 = 1800;

/// A small account, read in small pages by a client with little patience.
pub async fn world() -> World {
    World::new(Setup {
        users: 40,
        tickets: 20,
        settings: |settings| {
            settings.zendesk.timeout_secs = 1;
            settings.zendesk.max_response_bytes = 1 << 20;
            settings.zendesk.page_size = 10;
        },
        ..Setup::default()
    })
    .await
}

/// Reads everything while time runs, as long as somebody waits for it: a wait of a minute lasts a moment.
pub async fn sync(world: &World) {
    let time = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if world.clock.sleepers() > 0 {
                world.clock.advance(Duration::from_secs(1));
            }
        }
    };
    tokio::select! {
        () = world.sync() => {}
        () = time => {}
    }
}

async fn streams(world: &World) -> Vec<Checkpoint> {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    db::checkpoint::of_source(&mut db, world.source().await.id).await.expect("checkpoints")
}

/// A first sync during which `path` answers badly: `words` stand in the error and the remedy of the stream, or there is no
/// error when there are none; the other streams are read; then the account is well again, and nothing is missing.
async fn check(path: &str, stream: &str, bad: Value, words: &[&str]) {
    let world = world().await;
    world.connect(SourceSettings::default()).await;
    let mut bad = bad;
    bad["path"] = json!(path);
    world.sim.post("faults", json!({"bad_answers": [bad]})).await;
    let begun = world.clock.now();
    sync(&world).await;
    let took = (world.clock.now() - begun).num_seconds();
    assert!(took < LONGEST_READING, "{bad}: {took} s");
    for found in streams(&world).await {
        let told = format!("{} / {}", found.error.as_deref().unwrap_or(""), found.remedy.as_deref().unwrap_or(""));
        if found.stream.as_str() == stream && !words.is_empty() {
            assert!(words.iter().all(|word| told.contains(word)), "{bad}: {told}");
            assert!(told.contains(&format!("GET /api/v2/{path}")), "{bad}: {told} names no endpoint");
            assert!(found.remedy.is_some_and(|remedy| remedy.len() > 20), "{bad}: {told} names no remedy");
        } else {
            assert_eq!(found.error, None, "{bad}: {}", found.stream.as_str());
            assert!(found.caught_up_at.is_some(), "{bad}: {} was held up", found.stream.as_str());
        }
    }
    world.sim.post("faults", json!({})).await;
    world.act(json!({"do": "create_user", "name": "Late Comer", "email": "late@comer.test"})).await;
    // Whoever was asked to wait has waited.
    world.advance(7200, 0).await;
    sync(&world).await;
    world.advance(120, 0).await;
    sync(&world).await;
    for found in streams(&world).await {
        assert_eq!(found.error, None, "{bad}: {} recovers", found.stream.as_str());
    }
    let counts = world.sim.get("state/counts").await;
    let active = world.sim.get("state/users?limit=1000").await;
    let active = active["rows"].as_array().expect("rows").iter();
    let customers = active.filter(|row| row["role"] == "end-user" && row["active"] == true).count() as i64;
    let buried = world.count("dead_letter").await;
    assert_eq!(world.count("person_source").await + buried.min(1), customers + buried.min(1), "{bad}: {counts}");
    assert_eq!(world.count("person WHERE email = 'late@comer.test'").await, 1, "{bad}");
}

const USERS: &str = "incremental/users";

#[tokio::test]
async fn an_answer_that_breaks_off_or_trickles_ends() {
    for (bad, words) in [
        (json!({"how": "cut_body"}), "broken"),
        (json!({"how": "cut_chunks"}), "broken"),
        (json!({"how": "reset"}), "broken"),
        (json!({"how": "trickle", "every_ms": 900}), "in time"),
        (json!({"how": "silence"}), "in time"),
        (json!({"how": "endless_chunks"}), "larger"),
    ] {
        check(USERS, "users", bad, &[words]).await;
    }
}

#[tokio::test]
async fn malformed_headers_are_errors_or_ignored() {
    let raw = |name: &str, value: &str| json!({"how": "raw", "headers": {name: value}});
    for (bad, words) in [
        (raw("content-length", "soon"), vec!["broken"]),
        (raw("content-length", "-5"), vec!["broken"]),
        (raw("content-length", "99999999999999999999999"), vec!["broken"]),
        (raw("content-length", "18000000000000000"), vec!["broken"]),
        (raw("x\u{1}bad", "1"), vec!["broken"]),
        (raw("content-encoding", "gzip"), vec!["broken"]),
        (json!({"headers": {"x-rate-limit": "lots", "x-rate-limit-remaining": "0", "ratelimit-reset": "-5"}}), vec![]),
        (
            json!({"headers": {"zendesk-ratelimit-incremental-exports": "total=; remaining=x; resets=99999999999999999999"}}),
            vec![],
        ),
        (json!({"headers": {"content-type": "text/html"}}), vec![]),
        (
            json!({"headers": {"date": "Mon, 01 Jan 2001 00:00:00 GMT", "retry-after": "Mon, 01 Jan 2001 00:00:20 GMT"}, "status": 429, "count": 1}),
            vec![],
        ),
        (json!({"headers": {"retry-after": "soon"}, "status": 503, "count": 2}), vec![]),
    ] {
        check(USERS, "users", bad, &words).await;
    }
}

#[tokio::test]
async fn statuses_out_of_place_hold_up_one_stream() {
    let far = json!({"status": 503, "headers": {"retry-after": "99999999999999"}});
    check(USERS, "users", far, &["wait 3600 s", "goes on"]).await;
    let text = json!({"status": 429, "body": "Rate limit exceeded", "count": 2,
        "headers": {"content-type": "text/plain", "x-rate-limit": "700", "x-rate-limit-remaining": "500"}});
    check(USERS, "users", text, &[]).await;
    let unauthorized = json!({"status": 401, "body": "{\"error\":\"Couldn't authenticate you\"}", "skip": 1});
    check(USERS, "users", unauthorized, &["credentials", "source reconnect NAME"]).await;
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/api/v2/incremental/users/cursor", elsewhere.local_addr().expect("an address"));
    for location in [url.as_str(), "http://[::bad", ""] {
        check(USERS, "users", json!({"status": 302, "headers": {"location": location}}), &["redirects", "renamed"])
            .await;
    }
    let came = futures_util::FutureExt::now_or_never(elsewhere.accept());
    assert!(came.is_none(), "credentials stay on the configured host");
}

#[tokio::test]
async fn bodies_that_are_no_page_are_told_apart() {
    for (bad, words) in [
        (
            json!({"body": "<!DOCTYPE html><p>One moment", "headers": {"content-type": "text/html"}}),
            vec!["HTML", "proxy"],
        ),
        (json!({"body": ""}), vec!["empty"]),
        (json!({"body": "Bad Gateway"}), vec!["text, not JSON"]),
        (json!({"body": "{\"users\":[{\"id\":1}"}), vec!["cut off or broken"]),
        (json!({"body": "{\"tickets\":[]}"}), vec!["without a list \"users\""]),
        (json!({"body": "[[[[[[[["}), vec!["without a list \"users\""]),
        (json!({"how": "gzip_bomb", "size": 64 << 20}), vec!["larger than 1048576 bytes", "max_response_bytes"]),
        (json!({"how": "huge", "size": 8 << 20}), vec!["larger than 1048576 bytes"]),
        (json!({"how": "deep"}), vec![]),
        (json!({"how": "invalid_utf8"}), vec![]),
    ] {
        check(USERS, "users", bad, &words).await;
    }
}

#[tokio::test]
async fn pages_that_lead_nowhere_are_not_followed() {
    for (bad, words) in [
        (json!({"how": "self_links"}), vec!["no usable cursor"]),
        (json!({"how": "self_links", "skip": 1}), vec!["same cursor", "circles", "last stored cursor"]),
        (json!({"how": "same_cursor", "skip": 1}), vec!["same cursor"]),
        (json!({"how": "cursor_cycle"}), vec!["same cursor"]),
        (json!({"how": "empty_pages"}), vec!["without records"]),
        (json!({"how": "same_rows"}), vec!["same records"]),
        (json!({"how": "null_cursor"}), vec!["no usable cursor"]),
        (json!({"how": "long_cursor"}), vec!["no usable cursor"]),
        (json!({"how": "no_end"}), vec![]),
        (json!({"how": "other_host"}), vec![]),
    ] {
        check(USERS, "users", bad, &words).await;
    }
}

#[tokio::test]
async fn exports_by_time_go_neither_in_circles_nor_ahead() {
    for (bad, words) in [
        (json!({"how": "same_cursor", "skip": 1}), vec!["same cursor"]),
        (json!({"how": "null_cursor"}), vec!["no usable cursor"]),
        (json!({"how": "empty_pages"}), vec!["without records"]),
        (json!({"how": "far_times"}), vec!["end_time lies in the future"]),
        (json!({"how": "long_cursor"}), vec!["end_time lies in the future"]),
        (json!({"how": "no_end"}), vec![]),
        (json!({"how": "trickle", "every_ms": 900}), vec!["in time"]),
    ] {
        check("incremental/ticket_events", "ticket_events", bad, &words).await;
    }
}

#[tokio::test]
async fn lists_go_in_no_circles() {
    for (path, stream) in [("deleted_users", "deleted_users"), ("user_fields", "fields")] {
        for (bad, words) in [
            (json!({"how": "same_cursor"}), vec!["no usable cursor"]),
            (json!({"how": "null_cursor"}), vec!["no usable cursor"]),
            (json!({"how": "empty_pages"}), vec!["without records"]),
            (json!({"how": "other_host"}), vec![]),
        ] {
            check(path, stream, bad, &words).await;
        }
    }
}

/// Times thousands of years ahead are taken for now: what is true later still comes, and no refused cursor leads to the year 9998.
#[tokio::test]
async fn records_from_the_future_keep_no_later_ones_out() {
    for path in ["users", "tickets"] {
        let world = world().await;
        world.connect(SourceSettings::default()).await;
        world
            .sim
            .post("faults", json!({"bad_answers": [{"path": format!("incremental/{path}"), "how": "far_times"}]}))
            .await;
        sync(&world).await;
        let ahead = "checkpoint WHERE read_through > now() + interval '10 years'";
        assert_eq!(world.count(ahead).await, 0, "{path}");
        world.sim.post("faults", json!({"refuse_cursor": true})).await;
        world.advance(7200, 0).await;
        let rows = world.sim.get("state/users?limit=1000").await;
        let user = rows["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .find(|row| row["role"] == "end-user" && row["active"] == true);
        let id = user.expect("a customer")["id"].clone();
        world.act(json!({"do": "update_user", "user_id": id, "notes": "after the future"})).await;
        world.act(json!({"do": "create_ticket", "requester_id": id, "subject": "after the future"})).await;
        sqlx::query("DELETE FROM raw_event_pending").execute(&world.ctx.pool).await.expect("the webhooks are lost");
        world.advance(120, 0).await;
        sync(&world).await;
        for found in streams(&world).await {
            assert_eq!(found.error, None, "{path}: {}", found.stream.as_str());
        }
        assert_eq!(world.count("person WHERE fields->>'zd.notes' = 'after the future'").await, 1, "{path}");
        assert_eq!(world.count("ticket WHERE subject = 'after the future'").await, 1, "{path}");
    }
}

/// A server that refuses each cursor it gave is an error, not a reading that begins again for ever.
#[tokio::test]
async fn cursors_that_are_always_refused_are_an_error() {
    let world = world().await;
    world.connect(SourceSettings::default()).await;
    world.sim.post("faults", json!({"refuse_cursor": true})).await;
    sync(&world).await;
    let users = streams(&world).await.into_iter().find(|found| found.stream.as_str() == "users").expect("users");
    assert!(users.error.expect("an error").contains("GET /api/v2/incremental/users/cursor: Zendesk answered 400"));
    world.sim.post("faults", json!({})).await;
    world.advance(7200, 0).await;
    sync(&world).await;
    assert!(streams(&world).await.iter().all(|found| found.error.is_none()));
    assert!(world.count("person_source").await > 30);
}

/// Each test that the table names is there: `module::name` or `file.rs::name`; an ellipsis stands for the rest of a name.
#[test]
fn every_test_of_the_table_exists() {
    let text = crate::tidy::source::read("ARCHITECTURE.md");
    let table = text.split("## Bad input").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the table");
    let sources = crate::tidy::source::sources(&["src", "tests"]);
    let mut named = 0;
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let held_by = line.trim_end_matches('|').rsplit('|').next().expect("a column");
        for name in held_by.split('`').skip(1).step_by(2).filter(|name| name.contains("::")) {
            let (module, test) = name.rsplit_once("::").expect("a path");
            let file = format!("{}.rs", module.trim_end_matches(".rs").replace("::", "/"));
            let begins = test.trim_end_matches(['…', '*']);
            let fits = |found: &str| if begins == test { found == test } else { found.starts_with(begins) };
            let has = |source: &&crate::tidy::source::Source| source.functions().iter().any(|found| fits(&found.name));
            let within = sources.iter().filter(|source| source.path.ends_with(&format!("/{file}")));
            assert!(within.into_iter().any(|source| has(&source)), "{name} is in the table and nowhere else");
            named += 1;
        }
    }
    assert!(named > 40, "{named} tests are named");
}
