//! What a run can be set to: by flag, by file, or both.
mod common;

use common::World;
use serde_json::json;
use std::path::PathBuf;
use zendesk_sim::Settings;

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_key_that_nothing_knows_is_refused_by_name() {
    let check = |text: &str, key: &str| {
        let words = Settings::from_file(&file("unknown.json", text)).expect_err("refused");
        assert!(words.contains(&format!("`{key}`")), "{words}");
    };
    check(r#"{"users": 5, "colour": "red"}"#, "colour");
    check(r#"{"faults": {"http_418_share": 1.0}}"#, "http_418_share");
}

#[test]
fn a_flag_wins_over_the_file() {
    let path = file("both.json", r#"{"users": 5, "tickets": 6, "row_weight": 7}"#);
    let flags = Settings { users: Some(50), ..Settings::default() };
    let both = flags.over(Settings::from_file(&path).expect("settings"));
    assert_eq!((both.users, both.tickets, both.row_weight), (Some(50), Some(6), Some(7)));
}

#[tokio::test]
async fn a_weighty_account_is_asked_as_often_as_a_large_one() {
    let world = World::start(Settings { row_weight: Some(100), users: Some(37), ..Settings::default() }).await;
    let rows = world.truth("users").await.len();
    let active = world.truth("users").await.iter().filter(|user| user["active"] == true).count();
    let count = world.get("/api/v2/users/count").await.body;
    assert_eq!(count["count"]["value"], active * 100);

    // An export's page of 1000 holds ten rows here.
    let (exported, _) = world.export("users", 1000).await;
    assert_eq!(exported.len(), rows);
    let requests = world.get("/_sim/requests").await.body;
    assert_eq!(requests["by_endpoint"]["GET /api/v2/incremental/users/cursor"], rows.div_ceil(10));

    // By time, too: as many pages as there are updates, of which none comes twice, but for those of one second.
    let settings = Settings { row_weight: Some(1_000), users: Some(10), ..Settings::default() };
    let heavy = World::start(settings).await;
    let updates = heavy.get("/_sim/state/counts").await.body["audits"].as_u64().expect("a count");
    let (mut start, mut rows, mut pages) = (0, 0, 0);
    loop {
        let body = heavy.get(&format!("/api/v2/incremental/ticket_events?start_time={start}")).await.body;
        rows += body["ticket_events"].as_array().map_or(0, Vec::len) as u64;
        pages += 1;
        if body["end_of_stream"] == true {
            break;
        }
        start = body["end_time"].as_i64().expect("a time");
    }
    assert_eq!(rows, updates);
    assert!(pages <= updates && pages > updates / 2, "{pages} pages for {updates} updates");

    // A list's page of 100 holds one, and its links lead on from there.
    let mut pages = 0;
    let mut after = String::new();
    loop {
        let body = world.get(&format!("/api/v2/users?page%5Bsize%5D=100{after}")).await.body;
        pages += body["users"].as_array().expect("rows").len();
        if body["meta"]["has_more"] == json!(false) {
            break;
        }
        after = format!("&page%5Bafter%5D={}", body["meta"]["after_cursor"].as_str().expect("a cursor"));
    }
    assert_eq!(pages, active);
    let first = world.get("/api/v2/users?page=1").await.body;
    assert_eq!((first["users"].as_array().map(Vec::len), &first["count"]), (Some(1), &json!(active * 100)));
}

/// The keys of each section as the sources have them: a section is a struct in `src/options` that denies unknown fields.
fn keys() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/options");
    for entry in std::fs::read_dir(folder).expect("the options") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("a source");
        let Some((_, rest)) = text.split_once("deny_unknown_fields)]\n") else { continue };
        let body = rest.split_once("\n}\n").map_or(rest, |(body, _)| body);
        let section = if name == "mod" { String::new() } else { name };
        let fields = body.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(':'));
        found.extend(fields.map(|(key, _)| (section.clone(), key.to_owned())));
    }
    found
}

#[test]
fn the_example_has_every_key_and_the_readme_explains_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let example = folder.join("example.json");
    let settings = Settings::from_file(&example).expect("the example is accepted");
    zendesk_sim::Options::try_from(settings).expect("the example is valid");
    let example = std::fs::read_to_string(example).expect("the example");
    let example: serde_json::Value = serde_json::from_str(&example).expect("JSON");
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("the README");
    let keys = keys();
    assert!(keys.len() > 30, "{keys:?}");
    for (section, key) in keys {
        let object = if section.is_empty() { &example } else { &example[&section] };
        assert!(object.get(&key).is_some(), "example.json lacks {section} {key}");
        assert!(readme.contains(&format!("`{key}`")), "README.md does not explain {section} {key}");
    }
}
