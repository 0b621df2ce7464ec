//! A first sync says how rows and records meet before anything is written; a plan says what is the matter with fields.

use crate::support::{Setup, World, with_sell};
use serde_json::{Value, json};

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
[rows]
audiences = ["mailed"]
[key]
by = "email"
from = "email"
[[map]]
to = "details"
value = "from Deskbridge"
"#;

const SELL: &str = r#"
name = "health"
source = "sell"
target = "sell_contacts"
personal_data = ["last_name"]
[rows]
audiences = ["mailed"]
[key]
by = "email"
from = "email"
[[map]]
to = "last_name"
from = "last_name"
[[map]]
to = "title"
value = "from Deskbridge"
"#;

const MAILED: &str = "name = \"mailed\"\n[entry]\nfield = \"email\"\nhas_value = true\n";

/// Runs a command that has to succeed, and answers what it said.
async fn said(world: &World, arguments: &[&str], given: &str) -> String {
    let (code, said, error) = world.command(arguments, given).await;
    assert_eq!(code, Some(0), "{arguments:?}: {said}{error}");
    said
}

fn json_of(said: &str) -> Value {
    serde_json::from_str(said).expect("JSON")
}

/// People of living end users of the account who have an address, and how many have none.
async fn customers(world: &World) -> (Vec<i64>, i64) {
    let people: Vec<i64> = sqlx::query_scalar(
        "SELECT p.id FROM person p JOIN person_source s ON s.person_id = p.id AND s.status IN ('active', 'suspended')
         WHERE p.email IS NOT NULL ORDER BY p.id",
    )
    .fetch_all(&world.ctx.pool)
    .await
    .expect("people");
    let all = world.count("person_source WHERE status IN ('active', 'suspended')").await;
    let without = all - people.len() as i64;
    (people, without)
}

/// Customers that the account has.
async fn living(world: &World) -> usize {
    let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
    let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
    rows.as_array().expect("rows").iter().filter(is_customer).count()
}

/// An audience of those who have an address, of an account that was read, and all ways in which a row and a record can meet: Lisa wrote
/// to Zendesk since, Bart never did, two users are one person, two are in no audience.
async fn world() -> (World, Value) {
    let world = World::synced(Setup { users: 20, tickets: 5, ..Setup::default() }).await;
    let (people, without) = customers(&world).await;
    assert_eq!(people.len() as i64 + without, living(&world).await as i64);
    // The daemon is not to learn of her before the plan does.
    said(&world, &["source", "set", "acme", "skip_streams=users,tickets,ticket_events,satisfaction"], "").await;
    world.sim.post("faults", json!({"drop_webhooks": 1.0})).await;
    let lisa = json!({"do": "create_user", "name": "Lisa Simpson", "email": "lisa@springfield.example"});
    world.sim.post("act", lisa).await;
    let file = std::env::temp_dir()
        .join(format!("deskbridge-adoption-{}.csv", world.public_url.rsplit(':').next().unwrap_or_default()));
    let rows = "name,email\nLisa Simpson,Lisa@Springfield.example\nBart Simpson,bart@springfield.example\n";
    std::fs::write(&file, rows).expect("a file");
    said(&world, &["import", file.to_str().expect("a path"), "--source", "shop"], "").await;
    _ = std::fs::remove_file(&file);
    said(&world, &["audience", "apply", "-f", "-"], MAILED).await;
    let [one, other, out, too] = people[..4] else { panic!("too few: {people:?}") };
    for person in [other, out, too] {
        said(&world, &["audience", "remove", "mailed", &person.to_string()], "").await;
    }
    sqlx::query("UPDATE person_source SET person_id = $1 WHERE person_id = $2")
        .bind(one)
        .bind(other)
        .execute(&world.ctx.pool)
        .await
        .expect("two records of one person");
    said(&world, &["activation", "apply", "-f", "-"], FILE).await;
    let expected = json!({
        "exact": people.len() - 4, "by_key": 1, "ambiguous": 1, "only_here": 1, "only_there": without + 2,
    });
    (world, expected)
}

fn counts(adoption: &Value) -> Value {
    let all = adoption.as_object().expect("a report");
    all.iter().map(|(kind, of)| (kind.clone(), of["count"].clone())).collect()
}

#[tokio::test]
async fn a_first_sync_says_how_rows_and_records_meet() {
    let (world, expected) = world().await;
    let (code, planned, error) = world.command(&["activation", "plan", "health", "--json"], "").await;
    assert_eq!(code, Some(1), "one of them is ambiguous: {error}");
    let planned = json_of(&planned);
    assert_eq!(counts(&planned["adoption"]), expected, "{planned:#}");
    let examples = |kind: &str| planned["adoption"][kind]["examples"].as_array().map_or(0, Vec::len);
    let at_most_ten = |kind: &str| expected[kind].as_u64().expect("a count").min(10) as usize;
    for kind in ["exact", "by_key", "ambiguous", "only_here", "only_there"] {
        assert_eq!(examples(kind), at_most_ten(kind), "{kind}: {planned:#}");
    }
    assert_eq!((planned["problems"].clone(), planned["remarks"].clone()), (json!([]), json!([])));

    let (_, csv, _) = world.command(&["activation", "plan", "health", "--adoption-csv", "-"], "").await;
    let of = |kind: &str| csv.lines().filter(|line| line.starts_with(&format!("{kind},"))).count() as u64;
    assert!(csv.starts_with("how,row,person,record,key,reason\n"), "{csv}");
    for (kind, count) in expected.as_object().expect("counts") {
        assert_eq!(Some(of(kind)), count.as_u64(), "{kind}: {csv}");
    }
    let by_key = csv.lines().find(|line| line.starts_with("by_key,")).expect("Lisa");
    assert!(by_key.ends_with(",Lisa@Springfield.example,"), "{by_key}");
    assert_eq!(world.count("push_job").await, 0, "nothing was sent");

    let port = world.public_url.rsplit(':').next().unwrap_or_default();
    let file = std::env::temp_dir().join(format!("deskbridge-met-{port}.csv"));
    let path = file.to_str().expect("a path");
    let (_, table, note) = world.command(&["activation", "plan", "health", "--adoption-csv", path], "").await;
    let written = std::fs::read_to_string(&file).expect("the file");
    _ = std::fs::remove_file(&file);
    assert_eq!(written.trim_end(), csv.trim_end());
    assert!(note.contains(&format!("{} lines written to {path}.", written.lines().count())), "{note}");
    assert!(table.contains("\nFirst sync: how rows and records meet; nothing is written yet:\n"), "{table}");
    let exact = table.lines().find(|line| line.starts_with("exact ")).expect("a line");
    assert_eq!(exact.split_whitespace().nth(1), Some(expected["exact"].to_string().as_str()), "{table}");
    assert!(table.contains("\nby e-mail address  1 "), "{table}");
}

#[tokio::test]
async fn the_first_run_keeps_how_rows_and_records_met() {
    let (world, expected) = world().await;
    let (code, ran, error) = world.command(&["activation", "run", "health", "--json"], "").await;
    assert_eq!(code, Some(1), "one of them is ambiguous: {error}");
    let ran = json_of(&ran);
    assert_eq!(ran["adoption"], expected, "{ran:#}");
    let (_, again, _) = world.command(&["activation", "plan", "health", "--json"], "").await;
    assert_eq!(json_of(&again)["adoption"], Value::Null, "that was the first");
    let (_, csv, note) = world.command(&["activation", "plan", "health", "--adoption-csv", "-"], "").await;
    assert_eq!((csv.as_str(), note.contains("was given something")), ("", true), "{note}");
}

#[tokio::test]
async fn a_plan_says_that_sell_retires() {
    let world = World::new(Setup { users: 3, tickets: 0, account: with_sell, ..Setup::default() }).await;
    world.connect_sell().await;
    said(&world, &["audience", "apply", "-f", "-"], MAILED).await;
    said(&world, &["activation", "apply", "-f", "-"], SELL).await;
    let retires = "Zendesk Sell retires on 2027-08-31";
    let planned = json_of(&said(&world, &["activation", "plan", "health", "--json"], "").await);
    assert!(planned["remarks"][0].as_str().is_some_and(|remark| remark.starts_with(retires)), "{planned:#}");
    let table = said(&world, &["activation", "plan", "health"], "").await;
    assert!(table.starts_with(&format!("Note: {retires}")), "{table}");
    // Fields that the account does not tell cannot be checked: that is said, and keeps nothing from running.
    world.sim.post("faults", json!({"missing_paths": ["/v2/contact/custom_fields"]})).await;
    let custom = SELL.replace("\"title\"", "\"custom_fields.Nobody knows\"");
    let (code, _, error) = world.command(&["activation", "apply", "-f", "-"], &custom).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("Note: custom_fields.Nobody knows cannot be checked"), "{error}");
    let table = said(&world, &["activation", "plan", "health"], "").await;
    assert!(table.contains("Note: custom_fields.Nobody knows cannot be checked"), "{table}");
}

#[tokio::test]
async fn a_plan_says_what_is_the_matter_with_fields() {
    let world = World::synced(Setup { users: 3, tickets: 0, ..Setup::default() }).await;
    said(&world, &["audience", "apply", "-f", "-"], MAILED).await;
    let file = FILE.replace("to = \"details\"", "to = \"user_fields.nickname\"");
    said(&world, &["activation", "apply", "-f", "-"], &file).await;
    world.sim.ask("DELETE", "user_fields/nickname").await;
    let (code, table, _) = world.command(&["activation", "plan", "health"], "").await;
    let problem = "Problem: user_fields.nickname: the account has no such field\n";
    assert_eq!((code, table.starts_with(problem)), (Some(1), true), "{table}");
    let (code, planned, _) = world.command(&["activation", "plan", "health", "--json"], "").await;
    let planned = json_of(&planned);
    assert_eq!((code, &planned["problems"][0]["class"]), (Some(1), &json!("field_missing")), "{planned:#}");
}
