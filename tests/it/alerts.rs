//! Operators are told of what is the matter: once, again each day, and when it is over; by a signed request and by e-mail,
//! however long those do not answer.

use crate::support::{Setup, World};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use deskbridge::config::SecretText;
use deskbridge::model::source::SourceSettings;
use deskbridge::notify::webhook::{SIGNATURE, TIMESTAMP, signature};
use deskbridge::pipeline::alert;
use serde_json::Value;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What operators receive.
#[derive(Clone, Default)]
struct Received {
    requests: Arc<Mutex<Vec<Value>>>,
    letters: Arc<Mutex<Vec<String>>>,
    /// What requests are answered with; 0 is 200.
    status: Arc<AtomicU16>,
    tried: Arc<AtomicU16>,
}

impl Received {
    fn requests(&self) -> Vec<Value> {
        std::mem::take(&mut *self.requests.lock().expect("a lock"))
    }

    fn letters(&self) -> Vec<String> {
        std::mem::take(&mut *self.letters.lock().expect("a lock"))
    }
}

async fn take(State(received): State<Received>, headers: HeaderMap, body: axum::body::Bytes) -> StatusCode {
    received.tried.fetch_add(1, Ordering::Relaxed);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let timestamp: i64 = header(TIMESTAMP).parse().expect("a timestamp");
    let expected = format!("v1={}", signature(&SecretText::new(SECRET), timestamp, &body));
    assert_eq!(header(SIGNATURE), expected, "the signature is over these bytes");
    match received.status.load(Ordering::Relaxed) {
        0 => received.requests.lock().expect("a lock").push(serde_json::from_slice(&body).expect("JSON")),
        status => return StatusCode::from_u16(status).expect("a status"),
    }
    StatusCode::OK
}

/// A mail server for one letter a connection.
async fn mail(stream: TcpStream, received: Received) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 here\r\n").await?;
    let (mut line, mut letter) = (String::new(), None::<String>);
    while {
        line.clear();
        stream.read_line(&mut line).await? > 0
    } {
        let answer = match &mut letter {
            Some(text) if line == ".\r\n" => {
                received.letters.lock().expect("a lock").push(std::mem::take(text));
                letter = None;
                "250 taken\r\n"
            }
            Some(text) => {
                text.push_str(&line);
                continue;
            }
            None if line.starts_with("DATA") => {
                letter = Some(String::new());
                "354 go on\r\n"
            }
            None => "250 well\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// A world with a failing activation whose alerts go to `Received`.
async fn world() -> (World, Received) {
    let mut world = World::new(Setup { users: 2, tickets: 0, ..Setup::default() }).await;
    world.connect(SourceSettings::default()).await;
    let received = Received::default();
    let (http, smtp) = (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
    let (http, smtp) = (http.expect("a port"), smtp.expect("a port"));
    let mut settings = (*world.ctx.settings).clone();
    let url = format!("http://{}/alerts", http.local_addr().expect("an address"));
    settings.alerts.webhook_url = SecretText::new(url);
    settings.alerts.webhook_secret = SecretText::new(SECRET);
    settings.alerts.smtp_url = SecretText::new(format!("smtp://{}", smtp.local_addr().expect("an address")));
    settings.alerts.email_from = "Deskbridge <deskbridge@springfield.io>".into();
    settings.alerts.email_to = vec!["smithers@springfield.io".into()];
    world.ctx.settings = Arc::new(settings);
    let app = axum::Router::new().route("/alerts", axum::routing::post(take)).with_state(received.clone());
    tokio::spawn(async move { axum::serve(http, app).await });
    let letters = received.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = smtp.accept().await {
            tokio::spawn(mail(stream, letters.clone()));
        }
    });
    // Nothing is read meanwhile: only alerts are looked at.
    sqlx::query("UPDATE source SET paused_at = $1")
        .bind(world.clock.now())
        .execute(&world.ctx.pool)
        .await
        .expect("paused");
    sqlx::query(
        "INSERT INTO activation (workspace_id, name, title, source_id, definition, needs, always, stage, error, remedy, failing_since,
                                 created_at, updated_at)
         VALUES (1, 'tiers', '', (SELECT id FROM source), '{}', '{}', false, 4, 'field \"tier\" is gone', '', $1, $1, $1)",
    )
    .bind(world.clock.now())
    .execute(&world.ctx.pool)
    .await
    .expect("an activation");
    (world, received)
}

async fn pass(world: &World, seconds: u64) {
    world.clock.advance(Duration::from_secs(seconds));
    world.run_jobs().await;
}

async fn mend(world: &World) {
    sqlx::query("UPDATE activation SET error = NULL, failing_since = NULL")
        .execute(&world.ctx.pool)
        .await
        .expect("mended");
}

fn events(requests: &[Value]) -> Vec<&str> {
    requests.iter().filter_map(|request| request["event"].as_str()).collect()
}

#[tokio::test]
async fn told_once_again_each_day_and_when_it_is_over() {
    let (world, received) = world().await;
    pass(&world, 61).await;
    assert_eq!(world.count("alert").await, 0, "it may pass by itself");
    pass(&world, 61).await;
    let requests = received.requests();
    assert_eq!(events(&requests), ["opened"]);
    assert_eq!((&requests[0]["kind"], &requests[0]["about"]), (&"failed".into(), &"activation:tiers".into()));
    assert!(
        requests[0]["words"].as_str().is_some_and(|words| words.ends_with("field \"tier\" is gone")),
        "{requests:?}"
    );
    let letters = received.letters();
    assert_eq!(letters.len(), 1);
    for expected in [
        "Subject: [Deskbridge] opened: failed, activation:tiers",
        "To: smithers@",
        "Message-ID: <deskbridge-alert-",
        "gone",
    ] {
        assert!(letters[0].contains(expected), "{expected}: {}", letters[0]);
    }
    for _ in 0..10 {
        pass(&world, 3_600).await;
    }
    assert_eq!((received.requests().len(), received.letters().len()), (0, 0), "not again within a day");
    for _ in 0..15 {
        pass(&world, 3_600).await;
    }
    assert_eq!((events(&received.requests()), received.letters().len()), (vec!["still_open"], 1));
    mend(&world).await;
    for _ in 0..3 {
        pass(&world, 61).await;
    }
    assert_eq!((events(&received.requests()), received.letters().len()), (vec!["recovered"], 1));
    assert_eq!((world.count("alert").await, world.count("alert_message").await), (1, 6));
}

#[tokio::test]
async fn who_does_not_answer_is_told_later_in_order_and_not_for_ever() {
    let (world, received) = world().await;
    received.status.store(503, Ordering::Relaxed);
    pass(&world, 121).await;
    assert_eq!((received.tried.load(Ordering::Relaxed), received.letters().len()), (1, 1), "e-mail does not wait");
    mend(&world).await;
    pass(&world, 61).await;
    assert_eq!(received.letters().len(), 1);
    received.status.store(0, Ordering::Relaxed);
    pass(&world, 3_600).await;
    assert_eq!(events(&received.requests()), ["opened", "recovered"]);
    // What is refused is given up after so many tries.
    received.status.store(400, Ordering::Relaxed);
    received.tried.store(0, Ordering::Relaxed);
    sqlx::query("UPDATE activation SET error = 'again', failing_since = $1 - interval '1 hour'")
        .bind(world.clock.now())
        .execute(&world.ctx.pool)
        .await
        .expect("failing");
    for _ in 0..22 {
        pass(&world, 3_600).await;
    }
    assert_eq!(received.tried.load(Ordering::Relaxed), 22);
    for _ in 0..6 {
        pass(&world, 3_600).await;
    }
    let given_up: i64 = world.value("SELECT count(*) FROM alert_message WHERE given_up_at IS NOT NULL").await;
    let error: String = world.value("SELECT max(error) FROM alert_message").await;
    assert_eq!((given_up, error.as_str()), (1, "answered 400 Bad Request"));
}

#[tokio::test]
async fn channels_are_tried_by_hand() {
    let (world, received) = world().await;
    let outcomes = alert::test(&world.ctx).await;
    assert!(outcomes.len() == 2 && outcomes.iter().all(|(_, sent)| sent.is_ok()), "{outcomes:?}");
    assert_eq!((received.requests()[0]["kind"].as_str(), received.letters().len()), (Some("test"), 1));
    received.status.store(302, Ordering::Relaxed);
    let outcomes = alert::test(&world.ctx).await;
    let words = outcomes[0].1.as_ref().err().map(ToString::to_string);
    assert_eq!(words.as_deref(), Some("answered 302 Found"), "redirects are not followed");
    assert_eq!((world.count("alert").await, world.count("alert_message").await), (0, 0));
}
