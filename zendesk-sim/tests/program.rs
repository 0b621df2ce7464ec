//! The program itself: says where it is, and ends with its parent's pipe.
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

#[test]
fn it_says_where_it_is_and_ends_with_its_input() {
    let config = std::env::temp_dir().join(format!("zendesk-sim-{}.json", std::process::id()));
    let mut file = std::fs::File::create(&config).expect("a file");
    file.write_all(br#"{"users": 5, "subdomain": "tiny", "faults": {"drop_webhooks": 0.5}}"#).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_zendesk-sim"))
        .args(["--exit-with-stdin", "--clock", "scaled:60", "--tickets", "3", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let about: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(about["subdomain"], "tiny");
    assert!(about["listening"].as_str().expect("a url").starts_with("http://127.0.0.1:"));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    std::fs::remove_file(config).expect("removed");
}
