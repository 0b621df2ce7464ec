//! Runs that stop since too much fails, that are taken back, and that wait for one another.

use super::whole::{apply, settle, work};
use crate::import::told;
use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::pipeline::activate::control;
use deskbridge::pipeline::audience;
use deskbridge::rules::audience::define;
use deskbridge::worker;
use serde_json::{Value, json};

/// Everybody is in the audience of this activation.
async fn world(users: usize, settings: fn(&mut deskbridge::config::Settings), rest: &str) -> World {
    let world = World::synced(Setup { users, tickets: 0, settings, ..Setup::default() }).await;
    let club = json!({"name": "club", "reentry": true, "entry": {"all": []}});
    audience::apply(&world.ctx, 1, &define(&club).expect("a definition")).await.expect("an audience");
    settle(&world).await;
    let head = "name = \"club\"\nsource = \"acme\"\ntarget = \"users\"\n";
    apply(&world, &format!("{head}{rest}")).await;
    world
}

const ROWS: &str = "[rows]\naudiences = [\"club\"]\n";

/// Customers of the account that may be written.
async fn customers(world: &World) -> Vec<Value> {
    let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
    let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
    rows.as_array().expect("rows").iter().filter(is_customer).cloned().collect()
}

async fn find(world: &World, run: i64) -> (RunState, Option<String>) {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let run = db::push_run::load(&mut db, 1, run).await.expect("loaded").expect("the run");
    (run.state, run.error)
}

/// How many records of a run stand how.
async fn states(world: &World, run: i64) -> Value {
    sqlx::query_scalar(
        "SELECT coalesce(jsonb_object_agg(key, n), '{}') FROM (
             SELECT concat_ws('.', state, class) AS key, count(*) AS n FROM push_record WHERE run_id = $1 GROUP BY 1) t",
    )
    .bind(run)
    .fetch_one(&world.ctx.pool)
    .await
    .expect("records")
}

fn of(states: &Value, key: &str) -> i64 {
    states[key].as_i64().unwrap_or(0)
}

async fn alerts(world: &World) -> i64 {
    world.advance(120, 0).await;
    work(world).await;
    world.count("alert WHERE kind = 'failed' AND recovered_at IS NULL").await
}

#[tokio::test]
async fn a_run_of_which_too_much_fails_stops_and_can_be_mended() {
    // External ids are unique: of those who have the same nickname all but one are refused.
    let map = "[[map]]\nto = \"external_id\"\nfrom = \"zd.nickname\"\nwrite = \"never_clear\"\n";
    let calls = |settings: &mut deskbridge::config::Settings| {
        settings.activation.records_per_call = 10;
        settings.activation.users_per_second = 10;
        // However slow the answers are: what is not under way can still be stopped.
        settings.activation.jobs_in_flight = 2;
    };
    let world = world(70, calls, &format!("{ROWS}{map}")).await;
    let all = customers(&world).await;
    for user in &all {
        let same = json!({"nickname": "the same"});
        world.act(json!({"do": "update_user", "user_id": user["id"], "user_fields": same})).await;
    }
    settle(&world).await;
    let run = control::start(&world.ctx, 1, "club", RunKind::Run).await.expect("begun").id;
    work(&world).await;
    let (state, error) = find(&world, run).await;
    let stopped = states(&world, run).await;
    assert_eq!(state, RunState::Stopped, "{error:?} {stopped}");
    assert!(error.as_deref().is_some_and(|error| error.contains("max_failed_percent = 20")), "{error:?}");
    assert!(of(&stopped, "skipped.stopped") >= 10 && of(&stopped, "failed.duplicate_value") >= 19, "{stopped}");
    assert_eq!(of(&stopped, "updated"), 1, "one bad record blocks no other: {stopped}");
    let under_way = world.count("push_job WHERE ended_at IS NULL").await
        + world.count("push_record WHERE state IN ('planned', 'sent', 'unknown')").await;
    assert_eq!(under_way, 0, "what was sent has its result: {stopped}");
    let calls = world.count("push_job").await;
    assert!(calls < 7, "{calls} calls");
    assert_eq!(alerts(&world).await, 1);

    // Their data is mended: what failed is tried again, then all.
    for (place, user) in all.iter().enumerate() {
        let own = json!({"nickname": format!("member-{place}")});
        world.act(json!({"do": "update_user", "user_id": user["id"], "user_fields": own})).await;
    }
    settle(&world).await;
    let tried = control::retry(&world.ctx, 1, run, None, None).await.expect("retried");
    assert_eq!(tried as i64, of(&stopped, "failed.duplicate_value"));
    work(&world).await;
    let retried = states(&world, run).await;
    assert_eq!((find(&world, run).await.0, of(&retried, "updated")), (RunState::Done, tried as i64 + 1), "{retried}");
    let again = control::restart(&world.ctx, 1, run).await.expect("restarted").id;
    work(&world).await;
    assert_eq!(find(&world, again).await, (RunState::Done, None), "{}", states(&world, again).await);
    let members = customers(&world).await;
    let named = members.iter().filter(|user| user["external_id"].as_str().is_some_and(|id| id.starts_with("member-")));
    assert_eq!(named.count(), members.len(), "{}", states(&world, again).await);
    assert_eq!(alerts(&world).await, 0, "recovered");
}

#[tokio::test]
async fn an_undoing_names_whom_the_run_created_and_gives_the_others_back() {
    let rest = format!(
        "personal_data = [\"external_id\", \"name\"]\n{ROWS}[key]\nby = \"external_id\"\nfrom = \"external_id\"\ncreate = true\n\
         [[map]]\nto = \"name\"\nfrom = \"name\"\nwrite = \"if_empty\"\n[[map]]\nto = \"details\"\nvalue = \"ours\"\n"
    );
    let world = world(4, |_| {}, &rest).await;
    for (place, user) in customers(&world).await.iter().enumerate() {
        let own = format!("own-{place}");
        world.act(json!({"do": "update_user", "user_id": user["id"], "external_id": own, "details": "before"})).await;
    }
    told(&world.ctx, "external_id,name\nshop-1,Edna Krabappel\n").await;
    settle(&world).await;
    let run = control::start(&world.ctx, 1, "club", RunKind::Run).await.expect("begun").id;
    work(&world).await;
    let done = states(&world, run).await;
    let before = of(&done, "updated");
    assert!(of(&done, "created") == 1 && before >= 2, "{done}");
    let one = customers(&world).await.into_iter().find(|user| user["external_id"] == "own-0").expect("it");
    world.act(json!({"do": "update_user", "user_id": one["id"], "details": "by hand"})).await;
    let undo = control::undo(&world.ctx, 1, run).await.expect("an undoing").id;
    work(&world).await;
    let undone = states(&world, undo).await;
    assert_eq!(find(&world, undo).await, (RunState::Done, None), "{undone}");
    let left: Vec<(String, String)> =
        sqlx::query_as("SELECT key_value, reason FROM push_record WHERE run_id = $1 AND state = 'skipped'")
            .bind(undo)
            .fetch_all(&world.ctx.pool)
            .await
            .expect("records");
    println!("{undone} {left:?}");
    assert!(left.len() == 1 && left[0].0 == "shop-1", "{left:?}");
    for user in customers(&world).await {
        let expected = match user["external_id"].as_str() {
            Some("shop-1") => "ours",
            Some("own-0") => "by hand",
            _ => "before",
        };
        assert_eq!(user["details"], expected, "{user}");
    }
    assert_eq!(of(&undone, "updated"), before - 1, "{undone}");
}

#[tokio::test]
async fn every_sync_that_ends_is_followed_by_one_run_however_late() {
    let rest = format!(
        "{ROWS}[when]\nafter_sync = true\n[guards]\nmax_changed = 1\n[[map]]\nto = \"details\"\nvalue = \"ours\"\n"
    );
    let world = world(4, |_| {}, &rest).await;
    let runs = async || world.count("push_run").await;
    // The run of the first sync asks. Syncs that end meanwhile are followed by one run, once it may begin.
    settle(&world).await;
    assert_eq!((runs().await, world.count("push_run WHERE state = 'waiting'").await), (1, 1));
    let first: i64 = world.value("SELECT id FROM push_run").await;
    for _ in 0..2 {
        world.sync().await;
        work(&world).await;
    }
    assert_eq!(runs().await, 1);
    // Another daemon knows of it.
    let other = deskbridge::app::context((*world.ctx.settings).clone(), world.clock.clone()).expect("a context");
    while worker::run_due(&other).await.expect("jobs run") {}
    assert_eq!(runs().await, 1);
    control::approve(&world.ctx, 1, first).await.expect("approved");
    work(&world).await;
    assert_eq!((runs().await, world.count("push_run WHERE state = 'done'").await), (2, 2));
    work(&world).await;
    assert_eq!(runs().await, 2, "once");
    for expected in 3..5 {
        world.sync().await;
        work(&world).await;
        assert_eq!(runs().await, expected);
    }
}
