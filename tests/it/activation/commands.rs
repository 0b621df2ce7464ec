//! What an operator does with runs, by command: what each says, with which exit code, and what the account has afterwards.

use crate::support::{Setup, World};
use deskbridge::model::push::RunKind;
use deskbridge::pipeline::activate::control;
use serde_json::{Value, json};

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
[rows]
audiences = ["mailed"]
[[map]]
to = "details"
value = "from Deskbridge"
"#;

const MAILED: &str = "name = \"mailed\"\n[entry]\nfield = \"email\"\nhas_value = true\n";

/// What a command came to: its exit code, what it answered, and what it said beside that.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }

    /// Whether it ended so, and told all of this.
    #[track_caller]
    fn tells(&self, code: i32, expected: &[&str]) {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        for expected in expected {
            assert!(all.contains(expected), "{expected:?} is not said: {all}");
        }
    }
}

async fn run(world: &World, arguments: &str, given: &str) -> Said {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (code, out, err) = world.command(&arguments, given).await;
    Said { code, out, err }
}

async fn activation(world: &World, arguments: &str) -> Said {
    run(world, &format!("activation {arguments}"), "").await
}

/// An account that was read, an audience of who has an address, and an activation.
async fn world(file: &str) -> World {
    let world = World::synced(Setup { users: 8, tickets: 4, ..Setup::default() }).await;
    run(&world, "audience apply -f -", MAILED).await.tells(0, &[]);
    run(&world, "activation apply -f -", file).await.tells(0, &[]);
    world
}

/// A customer with an address: number, address, and id in Zendesk.
async fn customer(world: &World, nth: i64) -> (i64, String, String) {
    sqlx::query_as(
        "SELECT p.id, p.email, s.record_id FROM person p JOIN person_source s ON s.person_id = p.id AND s.status = 'active'
         WHERE p.email IS NOT NULL ORDER BY p.id OFFSET $1 LIMIT 1",
    )
    .bind(nth)
    .fetch_one(&world.ctx.pool)
    .await
    .expect("a customer")
}

async fn details(world: &World, record: &str) -> Value {
    world.sim.get(&format!("state/users?id={record}")).await["details"].clone()
}

#[tokio::test]
async fn a_plan_is_made_looked_into_applied_and_undone() {
    let world = world(FILE).await;
    activation(&world, "runs").await.tells(0, &["There is no run yet: deskbridge activation plan NAME\n"]);
    run(&world, "alert list", "").await.tells(0, &["There was no alert.\n"]);
    let (person, email, record) = customer(&world, 0).await;
    let before = details(&world, &record).await;

    let plan = activation(&world, "plan health").await;
    let line = format!("person:{person}");
    plan.tells(
        0,
        &[&line, "STAGE          RECORDS  A SECOND\n", "would change", "Send it: deskbridge activation apply 1\n"],
    );
    let all = activation(&world, "plan health --json").await.json();
    let rows = all["records"].as_array().expect("records").len();
    assert_eq!((&all["plan"], all["would_change"].as_u64()), (&json!(2), Some(rows as u64)), "{all:#}");
    assert_eq!(details(&world, &record).await, before, "a plan writes nothing");

    let updated = format!("updated        {rows}\n");
    let done = activation(&world, "apply 1").await;
    done.tells(0, &["state       done\n", &updated, "Give back what it replaced: deskbridge activation undo 1\n"]);
    let sent = done.out.lines().find(|line| line.starts_with("sent ")).expect("the stage");
    assert_eq!(sent.split_whitespace().count(), 3, "its count and its rate: {sent}");
    assert_eq!(details(&world, &record).await, "from Deskbridge");
    activation(&world, "apply 1")
        .await
        .tells(1, &["run 1 (plan, done) is no plan that waits to be applied\n", "plan health"]);

    // Each record is found by whatever names it.
    for key in [person.to_string(), email.to_uppercase(), record.clone(), line.clone()] {
        let found = activation(&world, &format!("records 1 --key {key} --json")).await;
        let found = found.json();
        assert_eq!(
            (found[0]["row"].as_str(), found[0]["state"].as_str()),
            (Some(line.as_str()), Some("updated")),
            "{key}: {found:#}"
        );
    }
    let csv = activation(&world, "records 1 --csv").await;
    csv.tells(
        0,
        &["row,record,state,class,field,reason,before,after,kept\n", &format!("{line},{record},updated,,,,details=")],
    );
    assert_eq!(csv.out.lines().count(), rows + 1);
    assert_eq!(activation(&world, "records 1 --json --limit 3").await.json().as_array().map(Vec::len), Some(3));
    activation(&world, "records 1 --limit 3").await.tells(0, &["ROW", "There are more: --limit N"]);
    activation(&world, "records 1 --state failed").await.tells(0, &["There is no such record.\n"]);
    activation(&world, "records 1 --key nobody").await.tells(2, &["run 1 has no such record of nobody\n"]);
    activation(&world, "records 77").await.tells(1, &["there is no run 77\n", "deskbridge activation runs lists them"]);

    let nothing = format!("nothing is to be tried again in run 1: no record failed or is unknown ({rows} updated)\n");
    activation(&world, "retry 1").await.tells(0, &[&nothing]);
    activation(&world, &format!("retry 1 --key {person}")).await.tells(1, &["no record of that key or class failed"]);
    activation(&world, &format!("skip 1 --key {person}")).await.tells(1, &["nothing is left out"]);
    activation(&world, "run health").await.tells(0, &[&format!("as last given  {rows}\n")]);
    activation(&world, "undo 3 --yes").await.tells(1, &["run 3 (run, done) wrote nothing"]);

    let asks = activation(&world, "undo 1").await;
    asks.tells(2, &["add --yes"]);
    activation(&world, "undo 1 --yes").await.tells(0, &["pauses activation health", "kind        undo\n", &updated]);
    assert_eq!(details(&world, &record).await, before);
    activation(&world, "list")
        .await
        .tells(0, &["paused", "what to do: deskbridge activation resume health lets it go on\n"]);
    activation(&world, "run health")
        .await
        .tells(1, &["activation health is paused\n", "deskbridge activation resume health"]);
    activation(&world, "resume health").await.tells(0, &["state                     by command\n"]);
    activation(&world, "runs 4").await.tells(1, &["there is no activation \"4\""]);
    let runs = activation(&world, "runs health").await;
    runs.tells(0, &["RUN  ACTIVATION  KIND  STATE", "4    health      undo  done"]);
    let runs = activation(&world, "runs --json").await.json();
    let kinds: Vec<&str> = runs.as_array().expect("runs").iter().filter_map(|run| run["kind"].as_str()).collect();
    assert_eq!(kinds, ["undo", "run", "plan", "plan"]);
    assert_eq!(runs[3]["records"]["updated"], rows);
}

#[tokio::test]
async fn a_run_asks_and_each_answer_to_another_is_refused_in_words() {
    let world = world(&format!("{FILE}[guards]\nmax_changed = 3\n")).await;
    let asked = activation(&world, "run health").await;
    asked.tells(
        0,
        &["state       asks\n", "more than max_changed = 3\n", "Let it go on: deskbridge activation approve 1\n"],
    );
    activation(&world, "show health").await.tells(
        0,
        &[
            "state                     asks\n",
            "run 1 waits: ",
            "what to do: deskbridge activation approve 1, or stop 1\n",
        ],
    );
    activation(&world, "run health").await.tells(1, &["has not ended: it is waiting\n", "approve 1 lets it go on"]);
    activation(&world, "undo 1 --yes")
        .await
        .tells(1, &["run 1 (run, waiting) has not ended\n", "deskbridge activation stop 1"]);
    activation(&world, "approve 1").await.tells(0, &["state       done\n", "updated "]);
    for command in ["approve 1", "stop 1", "apply 1"] {
        let refused = activation(&world, command).await;
        refused.tells(1, &["error: run 1 (run, done) ", "what to do: "]);
    }
    let changed = FILE.replace("from Deskbridge", "from us");
    run(&world, "activation diff -f -", &changed).await.tells(1, &["changed: map to details: "]);
    run(&world, "activation apply -f -", &changed).await.tells(0, &[]);
    activation(&world, "retry 1")
        .await
        .tells(1, &["began before the definition changed\n", "deskbridge activation restart 1"]);
    let again = activation(&world, "restart 1").await;
    again.tells(0, &["run         2\n", "state       done\n"]);
    assert_eq!(details(&world, &customer(&world, 0).await.2).await, "from us");
}

#[tokio::test]
async fn what_failed_is_found_mended_or_left_out() {
    let world = world(FILE).await;
    let (person, _, record) = customer(&world, 0).await;
    let id: i64 = record.parse().expect("an id");
    world.sim.post("act", json!({"do": "update_user", "user_id": id, "role": "agent"})).await;
    let failed = activation(&world, "run health").await;
    failed.tells(
        1,
        &["failed         1\n", "  agent        1\n", "Why: deskbridge activation records 1 --state failed\n"],
    );
    let reason = "agent: an agent or admin: only end users are written";
    activation(&world, "records 1 --state failed").await.tells(0, &[&format!("person:{person}"), reason]);
    let csv = activation(&world, "records 1 --class agent --csv").await;
    csv.tells(0, &[&format!("person:{person},{record},failed,agent,,")]);
    world.sim.post("act", json!({"do": "update_user", "user_id": id, "role": "end-user"})).await;
    activation(&world, "retry 1").await.tells(0, &["1 record is tried again.\n", "state       done\n"]);
    assert_eq!(details(&world, &record).await, "from Deskbridge");

    world.sim.post("act", json!({"do": "update_user", "user_id": id, "role": "agent"})).await;
    run(&world, "activation apply -f -", &FILE.replace("from Deskbridge", "from us")).await.tells(0, &[]);
    activation(&world, "run health").await.tells(1, &["failed         1\n"]);
    activation(&world, &format!("skip 2 --key {person}")).await.tells(0, &["1 record left out.\n"]);
    activation(&world, "retry 2").await.tells(0, &["nothing is to be tried again in run 2", "1 skipped"]);
    assert_eq!(details(&world, &record).await, "from Deskbridge");
}

#[tokio::test]
async fn a_test_shows_request_job_and_result() {
    let world = world(FILE).await;
    let (person, email, record) = customer(&world, 0).await;
    // An address that is only a field, and finds nobody by itself.
    sqlx::query("DELETE FROM identity WHERE person_id = $1").bind(person).execute(&world.ctx.pool).await.expect("gone");
    let sent = activation(&world, &format!("test health {}", email.to_uppercase())).await;
    sent.tells(
        0,
        &[
            &format!("row      person:{person}\nrecord   {record}\nrequest  PUT /api/v2/users/update_many"),
            "\njob      users_update_many, job ",
            ", done\nresult   updated\n",
            "\nsent:\n{\n  \"users\": [",
            "\"details\": \"from Deskbridge\"",
        ],
    );
    assert_eq!(details(&world, &record).await, "from Deskbridge");
    activation(&world, &format!("test health {record}")).await.tells(
        0,
        &["request  (nothing was sent)\n", "result   unchanged in Zendesk\nwhy      Zendesk has all that is wanted\n"],
    );
    let told = activation(&world, &format!("test health {person} --json")).await.json();
    assert_eq!((&told[0]["record"]["state"], &told[0]["request"]), (&json!("unchanged"), &Value::Null), "{told:#}");

    activation(&world, "test health nobody@x.example").await.tells(
        1,
        &[
            "nobody is known by \"nobody@x.example\": it was looked for as the key of a row, the number of a person",
            "what to do: ",
        ],
    );
    let (out, address, _) = customer(&world, 1).await;
    run(&world, &format!("audience remove mailed {out}"), "").await.tells(0, &[]);
    activation(&world, &format!("test health {address}"))
        .await
        .tells(1, &["has no row in activation health: nothing was sent\n", "who is in mailed, or was"]);
}

#[tokio::test]
async fn a_test_sends_nothing_that_must_not_go_out_and_says_why() {
    let world = world(&FILE.replace("[rows]", "consent = \"email\"\n[rows]")).await;
    let (person, _, record) = customer(&world, 0).await;
    activation(&world, &format!("test health {person}"))
        .await
        .tells(1, &["nothing was sent: consent or a suppression forbids"]);
    run(&world, "activation apply -f -", FILE).await.tells(0, &[]);
    let id: i64 = record.parse().expect("an id");
    world.sim.post("act", json!({"do": "update_user", "user_id": id, "role": "agent"})).await;
    activation(&world, &format!("test health {person}")).await.tells(
        1,
        &[
            "request  (nothing was sent)\n",
            "result   failed\nwhy      agent: an agent or admin: only end users are written\n",
        ],
    );
    assert_eq!(world.count("push_job").await, 0);
}

#[tokio::test]
async fn a_field_made_just_now_is_known_to_a_daemon_that_lacked_it() {
    let world = World::synced(Setup { users: 3, tickets: 0, ..Setup::default() }).await;
    run(&world, "audience apply -f -", MAILED).await.tells(0, &[]);
    let source = world.source().await;
    let look = async || {
        let file = FILE.replace("to = \"details\"", "to = \"user_fields.fresh\"");
        let activation = deskbridge::rules::activation::read::read(&file).expect("an activation");
        let looked = deskbridge::pipeline::activate::preflight::look(&world.ctx, &source, &activation, false).await;
        looked.expect("a look").problems.len()
    };
    assert_eq!(look().await, 1);
    let made = FILE.replace("to = \"details\"", "to = \"user_fields.fresh\"");
    run(&world, "activation apply -f - --create-fields", &made)
        .await
        .tells(0, &["Made in Zendesk: user_fields.fresh (text)\n"]);
    world.clock.advance(std::time::Duration::from_secs(11));
    assert_eq!(look().await, 0);
}

#[tokio::test]
async fn a_roll_out_goes_on_from_stage_to_stage() {
    let world = World::synced(Setup { users: 30, tickets: 0, ..Setup::default() }).await;
    run(&world, "audience apply -f -", MAILED).await.tells(0, &[]);
    run(&world, "activation apply -f -", &format!("{FILE}[guards]\nstages = true\n")).await.tells(0, &[]);
    activation(&world, "plan health").await.tells(0, &["would go to  one record\n"]);
    let first = activation(&world, "run health").await;
    first.tells(
        0,
        &["asks        sent to one record; next is ten more records\n", "\nsent           1 ", "updated        1\n"],
    );
    let second = activation(&world, "approve 2").await;
    second.tells(0, &["\nsent           11 ", "updated        11\n", "next is "]);
    let mut last = activation(&world, "approve 2").await;
    if last.out.contains("state       asks\n") {
        last = activation(&world, "approve 2").await;
    }
    last.tells(0, &["state       done\n"]);
    activation(&world, "show health").await.tells(0, &["rolled out to             all\n"]);
}

#[tokio::test]
async fn alerts_are_listed_while_they_are_open_and_when_they_are_over() {
    let world = world(&format!("{FILE}[guards]\nmax_changed = 3\n")).await;
    let run_of = control::start(&world.ctx, 1, "health", RunKind::Run).await.expect("a run");
    let minutes = async |number: u32| {
        for _ in 0..number {
            world.run_jobs().await;
            world.advance(61, 0).await;
        }
        world.run_jobs().await;
    };
    minutes(3).await;
    let listed = run(&world, "alert list", "").await;
    listed.tells(0, &["ID  KIND     ABOUT", "waiting  activation:health", "  open ", "max_changed = 3"]);
    let listed = run(&world, "alert list --json", "").await.json();
    assert_eq!((&listed[0]["kind"], &listed[0]["recovered_at"]), (&json!("waiting"), &Value::Null), "{listed:#}");
    control::stop(&world.ctx, 1, run_of.id).await.expect("stopped");
    minutes(3).await;
    let listed = run(&world, "alert list --json", "").await.json();
    let waiting =
        listed.as_array().expect("alerts").iter().find(|alert| alert["kind"] == "waiting").expect("it is kept");
    assert!(waiting["recovered_at"].is_string(), "{listed:#}");
}
