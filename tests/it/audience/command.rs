//! The commands in a process of their own: what they say, and with which exit code.

use super::members;
use crate::support::{Setup, World};
use serde_json::Value;

/// Exit code, stdout and stderr of a command that is given this on stdin.
async fn run(world: &World, arguments: &[&str], given: &str) -> (Option<i32>, String, String) {
    world.command(&[&["audience"], arguments].concat(), given).await
}

const MAILED: &str = "
name = \"mailed\"
title = \"Has an address and never wrote\"
[entry]
all = [{ field = \"email\", has_value = true }, { any = [{ activity = \"zd.ticket.created\", count = 0 }] }]
";

#[tokio::test]
async fn an_audience_from_its_definition_to_its_end() {
    let world = World::synced(Setup::default()).await;
    let (code, said, error) = run(&world, &["apply", "-f", "-", "--json"], MAILED).await;
    assert_eq!(code, Some(0), "{error}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let inside = members(&world, "mailed").await;
    assert_eq!(told["members"], inside.len());
    assert!(!inside.is_empty());
    let person = inside[0].to_string();
    let (_, said, _) = run(&world, &["members", "mailed", "--csv"], "").await;
    assert_eq!(said.lines().count(), inside.len() + 1, "{said}");
    assert!(said.starts_with("id,first_name,last_name,email,entered_at,exited_at,by_hand\n"), "{said}");
    let (_, said, _) = run(&world, &["members", "mailed", "--at", "2020-01-01", "--csv"], "").await;
    assert_eq!(said.lines().count(), 1, "{said}");
    let (_, said, _) = run(&world, &["explain", "mailed", &person], "").await;
    assert!(said.starts_with(&format!("Person {person} is in mailed.\nentry filter:\nheld     all of:\n")), "{said}");
    assert!(said.contains("held       any of:\nheld         zd.ticket.created: never; found 0 times\n"), "{said}");
    let (code, ..) = run(&world, &["remove", "mailed", &person], "").await;
    assert_eq!((code, members(&world, "mailed").await.len()), (Some(0), inside.len() - 1));
    let (_, said, _) = run(&world, &["list"], "").await;
    assert!(said.contains("mailed"), "{said}");
    let filter = "{\"$and\": [{\"$has_any_value\": {\"field_id\": \"str::email\"}}]}";
    let (code, said, error) = run(&world, &["preview", filter, "--json"], "").await;
    assert_eq!(code, Some(0), "{error}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["examples"].as_array().map(Vec::len), Some(10));
    let (code, _, error) =
        run(&world, &["apply", "-f", "-", "--name", "pasted"], "{\"$and\": [{\"$str::is\": {}}]}").await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("entry.filter.$and[0].$str::is.value: missing"), "{error}");
    assert_eq!(run(&world, &["delete", "mailed"], "").await.0, Some(2), "it asks, and nobody answers");
    assert_eq!(run(&world, &["delete", "mailed", "--yes"], "").await.0, Some(0));
    assert_eq!(world.count("audience").await, 0);
}
