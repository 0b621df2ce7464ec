//! Each bad answer is as bad as it says.
mod common;

use common::World;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zendesk_sim::Settings;

const USERS: &str = "/api/v2/incremental/users/cursor?start_time=0&per_page=10";

/// What a connection brings until its end, a reset, or 300 ms of silence.
async fn bytes(world: &World, path: &str) -> (Vec<u8>, &'static str) {
    let mut stream = TcpStream::connect(world.sim.url.trim_start_matches("http://")).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", world.token);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let (mut all, mut part) = (Vec::new(), vec![0; 4096]);
    loop {
        match tokio::time::timeout(Duration::from_millis(300), stream.read(&mut part)).await {
            Err(_) => return (all, "silence"),
            Ok(Err(_)) => return (all, "reset"),
            Ok(Ok(0)) => return (all, "end"),
            Ok(Ok(_)) if all.len() > 200_000 => return (all, "more"),
            Ok(Ok(read)) => all.extend_from_slice(&part[..read]),
        }
    }
}

async fn set(world: &World, bad: Value) {
    let mut bad = bad;
    bad["path"] = json!("incremental/users");
    assert_eq!(world.post("/_sim/faults", json!({"bad_answers": [bad]})).await.status, 200);
}

#[tokio::test]
async fn raw_answers_break_as_they_say() {
    let world = World::start(Settings::default()).await;
    for (how, end, words) in [
        ("raw", "end", "content-length: soon"),
        ("cut_body", "end", "content-length: soon"),
        ("cut_chunks", "end", "chunked"),
        ("reset", "reset", ""),
        ("silence", "silence", ""),
        ("trickle", "silence", ""),
        ("endless_chunks", "more", "chunked"),
    ] {
        let headers = if end == "end" && words != "chunked" { json!({"content-length": "soon"}) } else { json!({}) };
        set(&world, json!({"how": how, "headers": headers, "every_ms": 600_000, "count": 1})).await;
        let (found, ended) = bytes(&world, USERS).await;
        assert_eq!(ended, end, "{how}");
        let text = String::from_utf8_lossy(&found);
        assert!(text.contains(words), "{how}: {}", &text[..text.len().min(300)]);
        let healthy = world.get(USERS).await;
        assert_eq!(healthy.status, 200, "{how}: the next one is well again");
    }
}

#[tokio::test]
async fn pages_lead_where_they_say() {
    let world = World::start(Settings::default()).await;
    let next = |page: &Value| page["after_cursor"].as_str().map(str::to_owned);
    let good = next(&world.get(USERS).await.body).expect("a cursor");
    let second = format!("/api/v2/incremental/users/cursor?per_page=10&cursor={}", good.replace('=', "%3D"));
    for (how, rows, cursor) in [
        ("same_cursor", 10, Some(good.clone())),
        ("empty_pages", 0, None),
        ("same_rows", 10, None),
        ("null_cursor", 10, Some(String::new())),
    ] {
        set(&world, json!({"how": how, "skip": 1})).await;
        world.get(USERS).await;
        let page = world.get(&second).await.body;
        assert_eq!(page["end_of_stream"], false, "{how}");
        assert_eq!(page["users"].as_array().map(Vec::len), Some(rows), "{how}");
        if let Some(cursor) = cursor {
            assert_eq!(next(&page).unwrap_or_default(), cursor, "{how}");
        }
    }
    set(&world, json!({"how": "other_host"})).await;
    assert!(world.get(USERS).await.body["after_url"].as_str().expect("a link").contains("evil.invalid"));
    set(&world, json!({"status": 429, "body": "slow down", "headers": {"content-type": "text/plain"}})).await;
    assert_eq!(world.get(USERS).await.status, 429);
}
