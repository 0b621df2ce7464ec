//! Runs from their start to their report: planned, applied, asked for, staged, undone.

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::db::push_record::{NewRecord, Which};
use deskbridge::db::push_run::Run;
use deskbridge::model::push::{Fault, RecordState, RunKind, RunState, Wanted};
use deskbridge::pipeline::activate::{control, manage};
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::activation::read::read;
use deskbridge::rules::audience::define;
use serde_json::{Value, json};

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
[rows]
audiences = ["everybody"]
[[map]]
to = "details"
value = "from Deskbridge"
"#;

/// A world with an audience of everybody and this activation.
async fn world(text: &str) -> World {
    let world = World::synced(Setup { users: 12, tickets: 5, ..Setup::default() }).await;
    let written = json!({"name": "everybody", "entry": {"all": []}});
    audience::apply(&world.ctx, 1, &define(&written).expect("a definition")).await.expect("an audience");
    manage::apply(&world.ctx, 1, &read(text).expect("an activation")).await.expect("applied");
    world
}

/// Runs jobs until none is due; time passes in the account and here while one waits.
pub async fn push(world: &World) {
    let jobs = world.run_jobs();
    tokio::pin!(jobs);
    loop {
        tokio::select! {
            biased;
            () = &mut jobs => return,
            () = tokio::task::yield_now() => {
                if world.clock.sleepers() > 0 {
                    world.advance(1, 0).await;
                }
            }
        }
    }
}

pub async fn look(world: &World, run: &Run) -> Run {
    control::find(&mut world.ctx.pool.acquire().await.expect("a connection"), 1, run.id).await.expect("the run").0
}

/// How many records of a run stand how.
pub async fn counts(world: &World, run: &Run) -> Vec<(String, i64)> {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let all = db::push_tally::counts(&mut db, 1, run.id).await.expect("counts");
    all.into_iter()
        .map(|(state, class, count)| (class.map_or(state.clone(), |class| format!("{state}.{class}")), count))
        .collect()
}

/// Values of a field of the customers in the account.
async fn details(world: &World) -> Vec<Value> {
    let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
    let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
    rows.as_array().expect("rows").iter().filter(is_customer).map(|user| user["details"].clone()).collect()
}

fn written(details: &[Value]) -> usize {
    details.iter().filter(|details| **details == "from Deskbridge").count()
}

#[tokio::test]
async fn a_plan_is_looked_at_applied_and_undone() {
    let world = world(FILE).await;
    let before = details(&world).await;
    let plan = control::start(&world.ctx, 1, "health", RunKind::Plan).await.expect("a plan");
    push(&world).await;
    let plan = look(&world, &plan).await;
    assert_eq!((plan.state, plan.counts.same), (RunState::Planned, 0), "{plan:?}");
    assert_eq!(details(&world).await, before, "a plan writes nothing");
    control::apply(&world.ctx, 1, plan.id).await.expect("applied");
    push(&world).await;
    let done = look(&world, &plan).await;
    let updated = counts(&world, &plan).await;
    assert_eq!(done.state, RunState::Done, "{done:?} {updated:?}");
    assert_eq!(written(&details(&world).await), before.len(), "{updated:?}");
    let calls = world.count("push_job").await;
    let again = control::start(&world.ctx, 1, "health", RunKind::Run).await.expect("a run");
    push(&world).await;
    let again = look(&world, &again).await;
    assert_eq!((again.state, again.counts.same), (RunState::Done, again.counts.looked_at), "{again:?}");
    assert_eq!(world.count("push_job").await, calls, "nothing changed, nothing is sent");
    let undo = control::undo(&world.ctx, 1, plan.id).await.expect("an undoing");
    push(&world).await;
    let undo = look(&world, &undo).await;
    assert_eq!(undo.state, RunState::Done, "{undo:?} {:?}", counts(&world, &undo).await);
    assert_eq!(details(&world).await, before);
}

#[tokio::test]
async fn stages_go_on_when_they_are_told_to() {
    let world = world(&format!("{FILE}[guards]\nstages = true\n")).await;
    let run = control::start(&world.ctx, 1, "health", RunKind::Run).await.expect("a run");
    let mut sent = Vec::new();
    loop {
        push(&world).await;
        let now = look(&world, &run).await;
        sent.push(written(&details(&world).await));
        if now.state != RunState::Waiting {
            assert_eq!(now.state, RunState::Done, "{now:?}");
            break;
        }
        control::approve(&world.ctx, 1, run.id).await.expect("approved");
    }
    let all = details(&world).await.len();
    assert_eq!((sent[0], sent[1], sent.last()), (1, 11.min(all), Some(&all)), "{sent:?}");
}

#[tokio::test]
async fn a_guard_asks_before_anything_is_sent() {
    let world = world(&format!("{FILE}[guards]\nmax_changed = 3\n")).await;
    let run = control::start(&world.ctx, 1, "health", RunKind::Run).await.expect("a run");
    push(&world).await;
    let waiting = look(&world, &run).await;
    assert_eq!(waiting.state, RunState::Waiting, "{waiting:?}");
    assert!(waiting.asks.as_deref().is_some_and(|asks| asks.contains("max_changed = 3")), "{waiting:?}");
    assert_eq!(written(&details(&world).await), 0);
    control::approve(&world.ctx, 1, run.id).await.expect("approved");
    push(&world).await;
    assert_eq!(look(&world, &run).await.state, RunState::Done);
    assert!(written(&details(&world).await) > 3);
}

async fn run(world: &World) -> Run {
    let run = control::start(&world.ctx, 1, "health", RunKind::Run).await.expect("a run");
    push(world).await;
    look(world, &run).await
}

/// Customers of the account that an activation may write to.
async fn customers(world: &World) -> Vec<i64> {
    let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
    let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
    rows.as_array().expect("rows").iter().filter(is_customer).filter_map(|user| user["id"].as_i64()).collect()
}

/// Requests that change users.
async fn writes(world: &World) -> usize {
    let kept = world.sim.get("requests/kept").await;
    assert_eq!(kept["dropped"], 0, "requests were forgotten");
    let is_write = |request: &&Value| !request["body"]["users"].is_null() || !request["body"]["user"].is_null();
    kept["requests"].as_array().expect("requests").iter().filter(is_write).count()
}

async fn execute(world: &World, sql: &'static str) {
    sqlx::query(sql).execute(&world.ctx.pool).await.expect(sql);
}

#[tokio::test]
async fn what_changed_since_the_plan_is_refused_and_blocks_nothing() {
    let world = world(FILE).await;
    let plan = control::start(&world.ctx, 1, "health", RunKind::Plan).await.expect("a plan");
    push(&world).await;
    let one = customers(&world).await[0];
    world.act(json!({"do": "update_user", "user_id": one, "details": "by hand"})).await;
    control::apply(&world.ctx, 1, plan.id).await.expect("applied");
    push(&world).await;
    let found = counts(&world, &plan).await;
    assert!(found.contains(&("failed.changed_since_plan".to_owned(), 1)), "{found:?}");
    let all = details(&world).await;
    assert_eq!((written(&all), all.len()), (all.len() - 1, all.len()), "{found:?}");
    assert!(control::apply(&world.ctx, 1, plan.id).await.is_err(), "a plan is applied once");
    let tried = control::retry(&world.ctx, 1, plan.id, None, None).await.expect("retried");
    assert_eq!(tried, 1);
    push(&world).await;
    assert_eq!(written(&details(&world).await), all.len(), "{:?}", counts(&world, &plan).await);
}

#[tokio::test]
async fn nothing_changed_writes_nothing() {
    let world = world(FILE).await;
    run(&world).await;
    let before = writes(&world).await;
    assert!(before > 0);
    let again = run(&world).await;
    assert_eq!((again.state, again.counts.same), (RunState::Done, again.counts.looked_at), "{again:?}");
    assert_eq!(writes(&world).await, before);
}

#[tokio::test]
async fn what_is_on_its_way_is_not_taken_for_what_was_there() {
    let world = world(FILE).await;
    let all = run(&world).await.counts.looked_at;
    execute(
        &world,
        "UPDATE delivery SET pending = '{\"details\": \"newer\"}' WHERE row_key = (SELECT min(row_key) FROM delivery)",
    )
    .await;
    let again = run(&world).await;
    assert_eq!((again.state, again.counts.same), (RunState::Done, all - 1), "{again:?}");
    assert_eq!(counts(&world, &again).await, [("unchanged".to_owned(), 1)]);
}

#[tokio::test]
async fn who_has_no_record_is_skipped() {
    let world = world(FILE).await;
    execute(&world, "DELETE FROM person_source WHERE person_id = (SELECT min(person_id) FROM person_source)").await;
    let run = run(&world).await;
    let found = counts(&world, &run).await;
    assert!(found.contains(&("skipped.not_in_zendesk".to_owned(), 1)), "{found:?}");
    assert!(!found.iter().any(|(state, _)| state.starts_with("failed")), "{found:?}");
}

#[tokio::test]
async fn the_row_of_one_merged_away_gives_way() {
    let world = world(FILE).await;
    let run = control::start(&world.ctx, 1, "health", RunKind::Run).await.expect("a run");
    let wanted = Wanted::default();
    let record = |row_key, person_id, record_id| NewRecord {
        row_key,
        person_id: Some(person_id),
        record_id: Some(record_id),
        key_value: None,
        state: RecordState::Planned,
        stage: 1,
        digest: 0,
        wanted: &wanted,
        kept: None,
        fault: None,
    };
    let rows = [
        record("person:1", 1, "11"),
        record("person:2", 1, "11"),
        record("person:3", 3, "13"),
        record("person:4", 4, "13"),
    ];
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let now = world.clock.now();
    db::push_record::insert(&mut db, 1, (run.id, run.activation_id), &rows, now).await.expect("records");
    let fault = |class: &str| Fault::new(class, class);
    db::push_twins::give_way(&mut db, 1, run.id, &fault("merged"), now).await.expect("given way");
    let faults = [&fault("duplicate_record"), &fault("duplicate_key")];
    db::push_twins::refuse(&mut db, 1, run.id, faults, now).await.expect("refused");
    let found = db::push_record::page(&mut db, 1, run.id, &Which::default(), 0, 10).await.expect("records");
    let found: Vec<(&str, Option<&str>)> =
        found.iter().map(|one| (one.row_key.as_str(), one.fault.as_ref().map(|fault| fault.class.as_str()))).collect();
    let twin = Some("duplicate_record");
    assert_eq!(found, [("person:1", None), ("person:2", Some("merged")), ("person:3", twin), ("person:4", twin)]);
}

#[tokio::test]
async fn a_run_of_another_definition_is_not_retried_but_restarted() {
    let world = world(FILE).await;
    let first = run(&world).await;
    let changed = FILE.replace("from Deskbridge", "from us");
    manage::apply(&world.ctx, 1, &read(&changed).expect("an activation")).await.expect("applied");
    let refused = control::retry(&world.ctx, 1, first.id, None, None).await.expect_err("refused").to_string();
    assert!(refused.contains("before the definition changed"), "{refused}");
    let again = control::restart(&world.ctx, 1, first.id).await.expect("restarted");
    push(&world).await;
    assert_eq!(look(&world, &again).await.state, RunState::Done);
    let all = details(&world).await;
    assert!(all.iter().all(|details| details == "from us"), "{all:?}");
}

#[tokio::test]
async fn a_run_that_is_stopped_sends_no_more_and_what_is_skipped_stays() {
    let world = world(&format!("{FILE}[guards]\nstages = true\n")).await;
    let first = run(&world).await;
    assert_eq!((first.state, written(&details(&world).await)), (RunState::Waiting, 1));
    let refused = control::start(&world.ctx, 1, "health", RunKind::Run).await;
    assert!(refused.is_err(), "two runs are not open at once");
    control::stop(&world.ctx, 1, first.id).await.expect("stopped");
    assert_eq!(world.count("push_run WHERE by_hand").await, 1, "nobody needs to be told");
    push(&world).await;
    let stopped = look(&world, &first).await;
    assert_eq!((stopped.state, written(&details(&world).await)), (RunState::Stopped, 1), "{stopped:?}");
    let left = counts(&world, &first).await;
    assert!(left.iter().any(|(state, count)| state == "skipped.stopped" && *count > 1), "{left:?}");
    let again = control::restart(&world.ctx, 1, first.id).await.expect("restarted");
    push(&world).await;
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let states = Which { states: &[RecordState::Planned], ..Which::default() };
    let waits = db::push_record::page(&mut db, 1, again.id, &states, 0, 1).await.expect("records").remove(0);
    drop(db);
    assert_eq!(control::skip(&world.ctx, 1, again.id, &waits.row_key).await.expect("skipped"), 1);
    while look(&world, &again).await.state == RunState::Waiting {
        control::approve(&world.ctx, 1, again.id).await.expect("approved");
        push(&world).await;
    }
    let all = details(&world).await;
    assert_eq!(written(&all), all.len() - 1, "{:?}", counts(&world, &again).await);
}

#[tokio::test]
async fn a_test_sends_one_row() {
    let world = world(FILE).await;
    let key: String = world
        .value("SELECT min(i.value) FROM identity i JOIN person_source s ON s.person_id = i.person_id WHERE i.kind = 'email'")
        .await;
    let test = control::test(&world.ctx, 1, "health", &key).await.expect("a test");
    push(&world).await;
    let done = look(&world, &test).await;
    assert_eq!(
        (done.state, written(&details(&world).await)),
        (RunState::Done, 1),
        "{done:?} {:?}",
        counts(&world, &done).await
    );
}

#[tokio::test]
async fn an_undoing_leaves_what_others_changed() {
    let world = world(FILE).await;
    let before = details(&world).await;
    let first = run(&world).await;
    let one = customers(&world).await[0];
    world.act(json!({"do": "update_user", "user_id": one, "details": "by hand"})).await;
    let undo = control::undo(&world.ctx, 1, first.id).await.expect("an undoing");
    push(&world).await;
    let undo = look(&world, &undo).await;
    assert_eq!(undo.state, RunState::Done, "{undo:?}");
    let mut after = details(&world).await;
    assert_eq!(after[0], "by hand");
    after[0] = before[0].clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn who_is_archived_is_written_as_exited() {
    let text =
        FILE.replace("to = \"details\"\nvalue = \"from Deskbridge\"", "to = \"details\"\naudience = \"everybody\"");
    let world = world(&text).await;
    let first = run(&world).await;
    let all = details(&world).await;
    assert!(all.iter().all(|details| details == "realized"), "{all:?} {:?}", counts(&world, &first).await);
    let one: i64 = world.value("SELECT min(person_id) FROM delivery").await;
    person::archive(&world.ctx, 1, &[one], "a test").await.expect("archived");
    world.settle().await;
    let second = run(&world).await;
    let after = details(&world).await;
    let exited = after.iter().filter(|details| **details == "exited").count();
    assert_eq!((exited, after.len()), (1, all.len()), "{:?}", counts(&world, &second).await);
}
