//! Runs from their start to their report: planned, applied, asked for, staged, undone.

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::db::push_run::Run;
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::pipeline::activate::{control, manage};
use deskbridge::pipeline::audience;
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
async fn push(world: &World) {
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

async fn look(world: &World, run: &Run) -> Run {
    control::find(&mut world.ctx.pool.acquire().await.expect("a connection"), 1, run.id).await.expect("the run").0
}

/// How many records of a run stand how.
async fn counts(world: &World, run: &Run) -> Vec<(String, i64)> {
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
