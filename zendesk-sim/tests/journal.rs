//! An account that is started again from its journal is the account it was, and goes on from there.
mod common;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use zendesk_sim::{Options, Settings, Sim};

fn options(journal: &Path, seed: u64) -> Options {
    let settings = Settings {
        users: Some(80),
        tickets: Some(60),
        seed: Some(seed),
        clock: Some("driven".into()),
        start: Some("2026-06-15T12:00:00Z".into()),
        journal: Some(journal.to_owned()),
        ..Settings::default()
    };
    Options::try_from(settings).expect("options")
}

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("zendesk-sim-journal-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

async fn post(sim: &Sim, path: &str, body: Value) -> Value {
    let answer = reqwest::Client::new().post(format!("{}/_sim/{path}", sim.url)).json(&body).send().await;
    answer.expect("an answer").json().await.expect("JSON")
}

async fn get(sim: &Sim, path: &str) -> Value {
    let answer = reqwest::Client::new().get(format!("{}/{path}", sim.url)).send().await;
    answer.expect("an answer").json().await.expect("JSON")
}

async fn state(sim: &Sim) -> Vec<Value> {
    let mut all = Vec::new();
    for what in ["users", "organizations", "tickets", "ratings"] {
        all.push(get(sim, &format!("_sim/state/{what}?limit=10000")).await["rows"].clone());
    }
    all
}

#[tokio::test]
async fn life_is_repeated_and_goes_on() {
    let journal = file("life");
    let first = Sim::start(options(&journal, 3)).await.expect("started");
    // Our own webhook must not change what people do.
    let told = json!({"webhook": {"name": "w", "endpoint": "http://127.0.0.1:9/", "http_method": "POST",
        "request_format": "json", "status": "active", "subscriptions": ["zen:event-type:ticket.created"]}});
    let credentials = format!("Bearer {}", first.about["oauth_token"].as_str().expect("a token"));
    let made =
        reqwest::Client::new().post(format!("{}/api/v2/webhooks", first.url)).header("authorization", credentials);
    assert_eq!(made.json(&told).send().await.expect("an answer").status(), 201);
    for _ in 0..30 {
        post(&first, "advance", json!({"seconds": 40, "life": 10})).await;
    }
    let (before, ended) = (state(&first).await, get(&first, "_sim/clock").await["now"].clone());
    first.stop();

    let second = Sim::start(options(&journal, 3)).await.expect("started again");
    assert!(state(&second).await == before, "the same account");
    let now = get(&second, "_sim/clock").await["now"].clone();
    assert!(now.as_str() > Some("2026-06-15T12:19:00Z") && now.as_str() <= ended.as_str(), "{now} {ended}");
    post(&second, "life", json!({"acts": 50})).await;
    let before = state(&second).await;
    second.stop();
    assert!(state(&Sim::start(options(&journal, 3)).await.expect("a third time")).await == before);
    let _ = std::fs::remove_file(&journal);
}

#[tokio::test]
async fn a_journal_of_something_else_is_refused() {
    let journal = file("other");
    let first = Sim::start(options(&journal, 3)).await.expect("started");
    post(&first, "life", json!({"acts": 5})).await;
    first.stop();
    let other = Sim::start(options(&journal, 4)).await.err().expect("another account").to_string();
    assert!(other.contains("other settings"), "{other}");
    let text = std::fs::read_to_string(&journal).expect("a journal");
    std::fs::write(&journal, text.replacen("Z ", "Z 00", 1)).expect("written");
    let changed = Sim::start(options(&journal, 3)).await.err().expect("a changed journal").to_string();
    assert!(changed.contains("another version"), "{changed}");
    // An act whose line was cut off was seen by nobody.
    std::fs::write(&journal, &text[..text.len() - 4]).expect("written");
    assert!(Sim::start(options(&journal, 3)).await.is_ok());
    let _ = std::fs::remove_file(&journal);
}
