//! What bad webhooks get: a status, no row, no effect on good ones, and a bounded wait. Written to the socket byte by byte,
//! since no client would send them.

use crate::support::{Setup, World};
use deskbridge::zendesk::verify::sign;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A listener with little patience and few places.
async fn world() -> World {
    World::synced(Setup {
        users: 5,
        tickets: 2,
        settings: |settings| {
            settings.webhook.read_timeout_secs = 1;
            settings.public.idle_timeout_secs = 1;
            settings.public.max_connections = 4;
        },
        ..Setup::default()
    })
    .await
}

async fn secret(world: &World) -> String {
    let source = world.source().await;
    let sealed = source.webhook_secret.clone().expect("a webhook");
    world.ctx.sealer.open_text(&sealed, &source.sealed_as("webhook_secret")).expect("opens").expose().to_string()
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.public_url.trim_start_matches("http://")).await.expect("a connection")
}

/// Sends bytes and reads the status line of the answer; empty when the connection ends without one.
async fn send(world: &World, bytes: &[u8]) -> String {
    let mut stream = connect(world).await;
    // Fails when the listener has closed meanwhile, which is an answer too.
    _ = stream.write_all(bytes).await;
    status(stream).await
}

async fn status(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let mut part = [0; 512];
    while !answer.contains(&b'\r') {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&part[..read]),
        }
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().chars().skip(9).take(3).collect()
}

/// A head line's name, and what stands in place of its good value; none: the line is left out.
type Change<'a> = (&'a str, Option<&'a str>);

/// A delivery with the given head lines in place of the good ones of the same names; `None` takes one out.
fn delivery(secret: &str, at: &str, body: &[u8], changes: &[Change<'_>], more: &[u8]) -> Vec<u8> {
    let signature = sign(secret, at, body);
    let length = body.len().to_string();
    let good = [
        ("host", "cdp.example.test"),
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("x-zendesk-webhook-signature", signature.as_str()),
        ("x-zendesk-webhook-signature-timestamp", at),
        ("x-zendesk-webhook-invocation-id", "01J"),
    ];
    let mut head = b"POST /webhooks/zendesk/acme HTTP/1.1\r\n".to_vec();
    for (name, value) in good {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        if let Some(value) = change.map_or(Some(value), |(_, value)| *value) {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    head.extend_from_slice(more);
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(body);
    head
}

fn event(id: &str) -> Vec<u8> {
    json!({"type": "zen:event-type:user.note_taken", "id": id, "detail": {"id": "1"}, "event": {}})
        .to_string()
        .into_bytes()
}

const SIGNATURE: &str = "x-zendesk-webhook-signature";
const TIMESTAMP: &str = "x-zendesk-webhook-signature-timestamp";

#[tokio::test]
async fn malformed_headers_are_refused_and_stored_nowhere() {
    let world = world().await;
    let (secret, at) = (secret(&world).await, world.clock.now().to_rfc3339());
    let body = event("bad");
    let long = "A".repeat(10_000);
    let huge = "A".repeat(1_000_000);
    let cases: [(&[Change<'_>], &[u8], &str); 19] = [
        (&[(SIGNATURE, None)], b"", "401"),
        (&[(TIMESTAMP, None)], b"", "401"),
        (&[(SIGNATURE, Some(""))], b"", "401"),
        (&[(SIGNATURE, Some("not base64 at all"))], b"", "401"),
        (&[(SIGNATURE, Some("AAAA"))], b"", "401"),
        (&[(SIGNATURE, Some(&long))], b"", "401"),
        (&[(SIGNATURE, Some("é=="))], b"", "401"),
        (&[(TIMESTAMP, Some("yesterday"))], b"", "401"),
        (&[], b"x-zendesk-webhook-signature: AAAA\r\n", "401"),
        (&[], b"x-zendesk-webhook-signature-timestamp: 2026-01-01T00:00:00Z\r\n", "401"),
        (&[], b"no colon\r\n", "400"),
        (&[], b"bad name: 1\r\n", "400"),
        (&[], b"x: a\x00b\r\n", "400"),
        (&[("content-length", Some("soon"))], b"", "400"),
        (&[("content-length", Some("-1"))], b"", "400"),
        (&[], b"content-length: 3\r\n", "400"),
        (&[("content-length", Some("99999999999"))], b"", "413"),
        (&[(SIGNATURE, Some(&huge))], b"", "431"),
        (&[("content-length", None)], b"", "401"),
    ];
    for (changes, more, expected) in cases {
        world.clock.advance(std::time::Duration::from_secs(2));
        let status = send(&world, &delivery(&secret, &at, &body, changes, more)).await;
        assert_eq!(
            status,
            expected,
            "{:?} {}",
            changes.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            more.escape_ascii()
        );
    }
    assert_eq!(world.count("raw_event").await, 0);
    assert_eq!(send(&world, &delivery(&secret, &at, &event("good"), &[], b"")).await, "200", "good ones go on");
    assert_eq!(world.count("raw_event").await, 1);
}

#[tokio::test]
async fn requests_out_of_place_get_a_status_and_no_row() {
    let world = world().await;
    let (secret, at) = (secret(&world).await, world.clock.now().to_rfc3339());
    let good = String::from_utf8(delivery(&secret, &at, &event("a"), &[], b"")).expect("text");
    let line = "POST /webhooks/zendesk/acme HTTP/1.1";
    for (instead, expected) in [
        ("POST /webhooks/zendesk/nobody HTTP/1.1", "404"),
        ("POST /webhooks/zendesk/%00%ff HTTP/1.1", "400"),
        ("POST /webhooks/zendesk/../acme HTTP/1.1", "404"),
        ("POST /webhooks/zendesk/ HTTP/1.1", "404"),
        ("POST /elsewhere HTTP/1.1", "404"),
        ("GET /webhooks/zendesk/acme HTTP/1.1", "405"),
        ("BREW /webhooks/zendesk/acme HTTP/1.1", "405"),
        ("POST /webhooks/zendesk/acme HTTP/9.9", "400"),
        ("no request at all", "400"),
        ("\u{16}\u{3}\u{1} TLS, perhaps", "400"),
    ] {
        assert_eq!(send(&world, good.replacen(line, instead, 1).as_bytes()).await, expected, "{instead:?}");
    }
    assert_eq!(world.count("raw_event").await, 0);
    // The signature decides, not the host, the content type or the version.
    for (number, (from, to)) in
        [("HTTP/1.1", "HTTP/1.0"), ("application/json", "text/html"), ("cdp.example.test", "evil.invalid")]
            .iter()
            .enumerate()
    {
        let good = String::from_utf8(delivery(&secret, &at, &event(&number.to_string()), &[], b"")).expect("text");
        assert_eq!(send(&world, good.replacen(from, to, 1).as_bytes()).await, "200", "{to}");
    }
    assert_eq!(world.count("raw_event").await, 3);
}

#[tokio::test]
async fn bodies_that_do_not_come_end_and_hold_nobody_up() {
    let world = world().await;
    let (secret, at) = (secret(&world).await, world.clock.now().to_rfc3339());
    let whole = delivery(&secret, &at, &event("cut"), &[], b"");
    // Broken off: the connection is gone, and with it whoever would read an answer.
    let mut broken = connect(&world).await;
    broken.write_all(&whole[..whole.len() - 5]).await.expect("sent");
    broken.shutdown().await.expect("half closed");
    assert!(["400", ""].contains(&status(broken).await.as_str()));
    // Chunks for ever: refused at the limit.
    let chunked = [("content-length", None)];
    let mut endless = connect(&world).await;
    let head = delivery(&secret, &at, b"", &chunked, b"transfer-encoding: chunked\r\n");
    endless.write_all(&head).await.expect("sent");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..20 {
        if endless.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert!(["413", ""].contains(&status(endless).await.as_str()));
    // Bad chunks.
    let bad = delivery(&secret, &at, b"", &chunked, b"transfer-encoding: chunked\r\n");
    assert_eq!(send(&world, &[&bad[..], b"zz\r\nno chunk\r\n"].concat()).await, "400");
    // Nothing more comes: in four connections, as many as there are places. A head that never ends, a body that never ends.
    let mut slow = Vec::new();
    for part in [&whole[..20], &whole[..20], &whole[..whole.len() - 5], &whole[..whole.len() - 5]] {
        let mut stream = connect(&world).await;
        stream.write_all(part).await.expect("sent");
        slow.push(stream);
    }
    let begun = std::time::Instant::now();
    let good = send(&world, &delivery(&secret, &at, &event("good"), &[], b"")).await;
    assert_eq!(good, "200", "waits for a place, and gets one");
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    let mut ends = Vec::new();
    for stream in slow {
        ends.push(status(stream).await);
    }
    ends.sort();
    assert_eq!(ends[2..], ["503", "503"], "slow bodies are asked for again");
    assert!(ends[..2].iter().all(|end| ["", "408"].contains(&end.as_str())), "slow heads are hung up on: {ends:?}");
    assert_eq!(world.count("raw_event").await, 1);
}
