//! Nothing of a person and no secret in a log line, whatever happens.

use crate::oauth::Desk;
use crate::support::{Setup, World};
use deskbridge::pipeline::sign_in::Purpose;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What goes wrong on the way. None of these makes the client wait: the time of a test stands still.
const FAULTS: [&str; 4] = [
    r#"{"html_paths": ["show_many"]}"#,
    r#"{"truncate_paths": ["incremental"], "empty_body_paths": ["show_many"]}"#,
    r#"{"forbidden_paths": ["incremental/users"], "missing_paths": ["satisfaction"]}"#,
    "{}",
];

/// Signs in by browser, renews, and is refused, so that all of it is logged; answers every secret that took part.
async fn sign_in_secrets() -> Vec<String> {
    let desk = Desk::connected().await;
    let mut secrets = Vec::new();
    for faults in ["{}", r#"{"html_paths": ["/oauth/tokens"]}"#, "{}"] {
        desk.world.sim.post("faults", serde_json::from_str(faults).expect("faults")).await;
        for row in desk.tokens().await["rows"].as_array().expect("rows") {
            secrets.extend(["token", "refresh_token"].iter().filter_map(|key| row[key].as_str()).map(str::to_string));
        }
        desk.world.advance(45 * 3600, 0).await;
        _ = desk.ask(&desk.ctx).await;
    }
    desk.world.sim.post("tokens", serde_json::json!({"revoke": "all"})).await;
    let begun = desk.begin(Purpose::Reconnect { name: "acme".into(), write: false }).await;
    let (_, _, location) = desk.visit(&begun.url, "admin", "deny").await;
    let url = reqwest::Url::parse(&location).expect("an address");
    secrets.extend(url.query_pairs().filter(|(key, _)| key == "state").map(|(_, value)| value.into_owned()));
    let (_, _, location) = desk
        .visit(&desk.begin(Purpose::Reconnect { name: "acme".into(), write: false }).await.url, "admin", "allow")
        .await;
    let url = reqwest::Url::parse(&location).expect("an address");
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    assert!(secrets.len() > 8);
    secrets
}

#[tokio::test]
async fn logs_hold_no_person_and_no_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("deskbridge=trace,sqlx=debug,reqwest=debug,info")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: what other tests log meanwhile must be clean as well.
    tracing::subscriber::set_global_default(subscriber).expect("nobody else logs");
    let world = World::synced(Setup { users: 80, tickets: 80, ..Setup::default() }).await;
    for faults in FAULTS {
        world.sim.post("faults", serde_json::from_str(faults).expect("faults")).await;
        world.advance(60, 30).await;
        world.run_jobs().await;
    }
    world.settle().await;
    let mut canaries = sign_in_secrets().await;
    let log = String::from_utf8_lossy(&lines.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(log.contains("stream read to its end") && log.contains("webhooks applied"), "something was logged");
    let of_people: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT v FROM (SELECT email v FROM person UNION ALL SELECT phone FROM person UNION ALL SELECT fields->>'zd.name' FROM person
         UNION ALL SELECT message FROM activity UNION ALL SELECT subject FROM ticket UNION ALL SELECT fields->>'zd.notes' FROM person) t
         WHERE length(v) > 6",
    )
    .fetch_all(&world.ctx.pool)
    .await
    .expect("canaries");
    assert!(of_people.len() > 100);
    canaries.extend(of_people);
    let source = world.source().await;
    let secret = world
        .ctx
        .sealer
        .open_text(source.webhook_secret.as_deref().expect("sealed"), &source.sealed_as("webhook_secret"));
    canaries.push(secret.expect("opens").expose().to_string());
    canaries.push(world.ctx.settings.secret_key.expose().to_string());
    if let deskbridge::model::source::Credentials::ApiToken { token, email } = world.sim.credentials() {
        canaries.extend([token, email]);
    }
    for canary in canaries {
        let at = log.find(&canary);
        assert!(at.is_none(), "{canary:?} in: {}", at.map_or("", |at| log[..at].lines().last().unwrap_or_default()));
    }
    for table in ["source", "checkpoint", "job", "run"] {
        assert_eq!(world.count(&format!("{table} t WHERE to_jsonb(t)::text LIKE '%@%'")).await, 0, "{table}");
    }
}
