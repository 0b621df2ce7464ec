//! What goes wrong between us and Zendesk, between us and Postgres, and among daemons.

use crate::support::{Setup, World};
use deskbridge::clock::Clock;
use deskbridge::db;
use deskbridge::model::job::JobKind;
use deskbridge::model::source::SourceSettings;
use deskbridge::pipeline::context::FlowError;
use deskbridge::pipeline::{commit, lifecycle, poll};
use serde_json::json;
use std::time::Duration;

async fn stream_error(world: &World, stream: &str) -> Option<String> {
    let sql = "SELECT error || ' / ' || remedy FROM checkpoint WHERE stream = $1";
    sqlx::query_scalar(sql).bind(stream).fetch_one(&world.ctx.pool).await.expect(sql)
}

#[tokio::test]
async fn one_stream_that_fails_holds_no_other_up() {
    let world = World::new(Setup::default()).await;
    world
        .sim
        .post(
            "faults",
            json!({"forbidden_paths": ["incremental/organizations"], "missing_paths": ["satisfaction_ratings", "survey_responses"]}),
        )
        .await;
    world.connect(SourceSettings::default()).await;
    world.sync().await;
    assert!(stream_error(&world, "organizations").await.expect("failing").contains("scopes"));
    assert!(stream_error(&world, "satisfaction").await.expect("failing").contains("skip the stream"));
    assert!(world.count("person").await > 0 && world.count("activity").await > 0);
    world.sim.post("faults", json!({})).await;
    world.clock.advance(Duration::from_secs(3600));
    world.run_jobs().await;
    assert_eq!(stream_error(&world, "organizations").await, None, "tried again with backoff");
    assert!(world.count("organization").await > 0);
}

#[tokio::test]
async fn bodies_that_are_no_json_say_so() {
    for (fault, words) in [("html_paths", "HTML"), ("empty_body_paths", "empty"), ("truncate_paths", "JSON")] {
        let world = World::new(Setup { users: 5, tickets: 2, ..Setup::default() }).await;
        world.sim.post("faults", json!({fault: ["incremental/users"]})).await;
        world.connect(SourceSettings::default()).await;
        for _ in 0..20 {
            world.run_jobs().await;
            world.clock.advance(Duration::from_secs(5));
        }
        let error = stream_error(&world, "users").await.expect("failing");
        assert!(error.contains(words), "{fault}: {error}");
        assert!(world.count("field_def").await > 0, "other streams go on");
    }
}

#[tokio::test]
async fn revoked_credentials_are_shown_with_the_remedy_and_recovered_from() {
    let world = World::synced(Setup::default()).await;
    world.sim.post("tokens", json!({"revoke": "api"})).await;
    world.sync().await;
    let source = world.source().await;
    assert!(source.error.expect("failing").contains("credentials"));
    assert!(source.remedy.expect("a remedy").contains("source reconnect"));
    let token = world.sim.post("tokens", json!({"role": "admin", "scopes": ["read", "write"]})).await;
    let credentials =
        deskbridge::model::source::Credentials::Bearer { token: token["token"].as_str().expect("a token").into() };
    lifecycle::reconnect(&world.ctx, world.source().await, Some(credentials), None).await.expect("reconnected");
    world.clock.advance(Duration::from_secs(3600));
    world.sync().await;
    assert_eq!(world.source().await.error, None);
}

#[tokio::test]
async fn a_refused_cursor_resumes_with_overlap_and_never_from_the_beginning() {
    let world = World::synced(Setup { users: 60, ..Setup::default() }).await;
    world.advance(86_400, 0).await;
    world.act(json!({"do": "create_user", "name": "Late Comer", "email": "late@x.io"})).await;
    sqlx::query("DELETE FROM raw_event_pending").execute(&world.ctx.pool).await.expect("the webhook is lost");
    world.sim.post("faults", json!({"refuse_cursor": true})).await;
    world.advance(120, 0).await;
    let read_before = "SELECT coalesce(sum((counts->>'read')::bigint), 0)::bigint FROM run WHERE stream = 'users'";
    let before: i64 = world.value(read_before).await;
    world.sync().await;
    assert_eq!(stream_error(&world, "users").await, None);
    assert_eq!(world.count("person WHERE email = 'late@x.io'").await, 1, "no gap");
    assert!(world.value::<i64>(read_before).await - before < 20, "not from the beginning");
}

#[tokio::test]
async fn a_cursor_that_stands_still_is_an_error_and_no_loop() {
    let world = World::synced(Setup::default()).await;
    world.advance(600, 30).await;
    world.run_jobs().await;
    world.sim.post("faults", json!({"stall_cursor": true})).await;
    world.sync().await;
    assert!(stream_error(&world, "users").await.expect("an error").contains("circles"));
}

#[tokio::test]
async fn pages_that_time_out_are_asked_for_again_at_half_their_size() {
    let world = World::new(Setup { users: 300, tickets: 20, ..Setup::default() }).await;
    world.sim.post("faults", json!({"gateway_timeout_over_per_page": 130})).await;
    world.connect(SourceSettings::default()).await;
    world.sync().await;
    assert_eq!(stream_error(&world, "users").await, None);
    assert!(world.count("person").await > 200);
}

#[tokio::test]
async fn poison_is_buried_or_applied_without_the_bad_part() {
    let world = World::new(Setup { users: 60, tickets: 40, ..Setup::default() }).await;
    let users = world.sim.get("state/users?limit=100").await;
    let ids: Vec<i64> =
        users["rows"].as_array().expect("rows").iter().filter_map(|row| row["id"].as_i64()).skip(20).take(20).collect();
    world
        .sim
        .post("faults", json!({"poison_records": {"users": ids, "tickets": [3, 4, 5], "ticket_events": [6, 7]}}))
        .await;
    world.connect(SourceSettings::default()).await;
    world.sync().await;
    for stream in ["users", "tickets", "ticket_events"] {
        assert_eq!(stream_error(&world, stream).await, None, "{stream}");
    }
    assert!(world.count("person_source WHERE problems IS NOT NULL").await + world.count("dead_letter").await > 10);
    assert!(world.count("ticket").await > 30);
}

#[tokio::test]
async fn a_daemon_frozen_past_its_lease_writes_nothing() {
    let world = World::synced(Setup::default()).await;
    let source = world.source().await;
    world.clock.advance(Duration::from_secs(400));
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    db::job::enqueue(&mut db, JobKind::Poll, source.id, "users", world.clock.now()).await.expect("a job");
    let lease = chrono::Duration::seconds(60);
    let mine = db::job::claim(&mut db, "frozen", world.clock.now(), lease, 100).await.expect("claimed");
    let mine = mine.into_iter().find(|lease| lease.key == "users").expect("the job");
    world.clock.advance(Duration::from_secs(61));
    let theirs = db::job::claim(&mut db, "other", world.clock.now(), lease, 100).await.expect("claimed");
    assert!(theirs.iter().any(|lease| lease.job_id == mine.job_id && lease.attempt == mine.attempt + 1));
    drop(db);
    assert!(matches!(poll::run(&world.ctx, &mine).await, Err(FlowError::LeaseLost)));
    assert!(matches!(commit::begin(&world.ctx, &source, Some(&mine)).await, Err(FlowError::LeaseLost)));
}

#[tokio::test]
async fn a_clock_that_jumps_does_nothing_twice() {
    let world = World::synced(Setup::default()).await;
    let before = crate::convergence::dump(&world).await;
    for hours in [20i64, -40, 21] {
        world.clock.set(world.clock.now() + chrono::Duration::hours(hours));
        world.run_jobs().await;
    }
    world.clock.set(world.sim.now().await);
    world.sync().await;
    assert_eq!(crate::convergence::dump(&world).await, before);
}

#[tokio::test]
async fn a_first_sync_makes_no_more_requests_than_it_must() {
    let world = World::new(Setup { users: 2500, tickets: 2500, limits: true, ..Setup::default() }).await;
    world.sim.post("limits", json!({"on": false})).await;
    world.connect(SourceSettings::default()).await;
    world.sim.post("requests/reset", json!({})).await;
    world.sync().await;
    let made = world.sim.get("requests").await["by_endpoint"].clone();
    let of = |path: &str| made[format!("GET /api/v2/{path}")].as_i64().unwrap_or(0);
    let counts = world.sim.get("state/counts").await;
    let pages = |rows: i64| (rows + 999) / 1000;
    assert_eq!(of("incremental/users/cursor"), pages(counts["users"].as_i64().expect("users")), "{made} {counts}");
    assert!(of("incremental/tickets/cursor") <= 3, "{made}");
    assert!(of("users/show_many") + of("tickets/show_many") <= 1, "nobody is read twice: {made}");
    assert_eq!(of("tickets/:id/comments"), 0);
}

#[tokio::test]
async fn many_webhooks_cost_one_request_per_hundred_records() {
    let world = World::synced(Setup { users: 300, tickets: 10, ..Setup::default() }).await;
    let users = world.sim.get("state/users?limit=400").await;
    let rows = users["rows"].as_array().expect("rows").clone();
    let active = rows.iter().filter(|row| row["role"] == "end-user" && row["active"] == true).take(200);
    world.advance(5, 0).await;
    for row in active {
        world.sim.post("act", json!({"do": "update_user", "user_id": row["id"], "notes": "touched"})).await;
    }
    world.sim.post("drain", json!({})).await;
    world.sim.post("requests/reset", json!({})).await;
    world.run_jobs().await;
    let made = world.sim.get("requests").await;
    assert!(made["total"].as_i64().expect("a number") <= 3, "{made}");
    assert!(world.count("person WHERE fields->>'zd.notes' = 'touched'").await >= 190);
}

#[tokio::test]
async fn the_budget_of_ten_exports_a_minute_is_never_overdrawn() {
    let world = World::new(Setup {
        users: 1500,
        tickets: 200,
        limits: true,
        settings: |settings| {
            settings.zendesk.incremental_per_minute = 10;
            settings.zendesk.page_size = 100;
        },
        ..Setup::default()
    })
    .await;
    world.connect(SourceSettings::default()).await;
    let ctx = world.ctx.clone();
    let jobs = tokio::spawn(async move {
        loop {
            while deskbridge::worker::run_due(&ctx).await.expect("jobs run") {}
            ctx.clock.sleep(Duration::from_secs(1)).await;
        }
    });
    for _ in 0..6000 {
        world.advance(1, 0).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        if world.source().await.state.as_str() == "connected" {
            break;
        }
    }
    jobs.abort();
    assert_eq!(world.source().await.state.as_str(), "connected");
    assert_eq!(world.sim.get("requests").await["throttled"], 0);
}

#[tokio::test]
async fn two_daemons_share_the_work_and_do_it_once() {
    let world = World::new(Setup { users: 120, tickets: 80, ..Setup::default() }).await;
    let other = deskbridge::app::context((*world.ctx.settings).clone(), world.clock.clone()).expect("a second daemon");
    world.connect(SourceSettings::default()).await;
    for step in 0..40 {
        let (a, b) = tokio::join!(deskbridge::worker::run_due(&world.ctx), deskbridge::worker::run_due(&other));
        if !a.expect("a runs") && !b.expect("b runs") {
            world.advance(60, if step < 20 { 5 } else { 0 }).await;
        }
    }
    world.settle().await;
    let doubles =
        "SELECT count(*) FROM (SELECT 1 FROM person_source GROUP BY source_id, record_id HAVING count(*) > 1) d";
    assert_eq!(world.value::<i64>(doubles).await, 0);
    let drift = "SELECT count(*) FROM activity_rollup r WHERE total <> (SELECT count(*) FROM activity a
                 WHERE a.workspace_id = r.workspace_id AND a.person_id = r.person_id AND a.type = r.type)";
    assert_eq!(world.value::<i64>(drift).await, 0, "rollups count each activity once");
    assert_eq!(world.count("dead_letter").await, 0);
}

#[tokio::test]
async fn a_lost_database_is_waited_for() {
    let mut settings = (*World::new(Setup { users: 1, tickets: 0, ..Setup::default() }).await.ctx.settings).clone();
    settings.database.url = deskbridge::config::SecretText::new("postgres://nobody@127.0.0.1:1/none");
    settings.database.acquire_timeout_secs = 1;
    let ctx = deskbridge::app::context(settings, Clock::system()).expect("a context");
    let error = deskbridge::worker::run_due(&ctx).await.expect_err("no database");
    assert!(error.to_string().contains("database"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_stops_ends_at_a_page_and_another_goes_on_there() {
    let world =
        World::new(Setup { users: 300, tickets: 5, settings: |s| s.zendesk.page_size = 50, ..Setup::default() }).await;
    world.connect(SourceSettings::default()).await;
    let stopping = deskbridge::app::context((*world.ctx.settings).clone(), world.clock.clone()).expect("a daemon");
    stopping.stop.cancel();
    for _ in 0..8 {
        deskbridge::worker::run_due(&stopping).await.expect("jobs run");
    }
    let read = world.count("person_source").await;
    assert!((1..=100).contains(&read), "{read} were read: one page, and not all");
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    assert!(db::job::give_back(&mut db, &stopping.holder).await.expect("given back") > 0);
    drop(db);
    world.sync().await;
    assert!(world.count("person_source").await > 200);
}
