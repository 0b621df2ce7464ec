//! The goals of delivery, measured: ignored tests that print figures, best built for release and run one by one:
//! `cargo test --release --test it activation::measure -- --ignored --nocapture --test-threads 1`.

use super::rows::{activation, define_audience};
use crate::support::{Setup, World};
use chrono::{DateTime, Utc};
use deskbridge::clock::Clock;
use deskbridge::db;
use deskbridge::db::push_run::{New, Run};
use deskbridge::model::job::{JobKind, Lease};
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::pipeline::activate::env::Env;
use deskbridge::pipeline::activate::{plan, run};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
personal_data = ["first_name"]
[rows]
audiences = ["everybody"]
[key]
by = "record_id"
[[map]]
to = "details"
audience = "everybody"
[[map]]
to = "notes"
template = "{{ person.first_name }}: {{ summary.open_tickets }}"
[[map]]
to = "alias"
from = "first_name"
[[tag]]
tag = "everybody"
audience = "everybody"
"#;

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A connected account and an activation of which everybody who is in the CDP is a row, whatever a sync makes of them.
async fn connected(setup: Setup, file: &str) -> (World, Env) {
    let world = World::new(setup).await;
    world.connect(Default::default()).await;
    define_audience(&world, "everybody", json!({"all": []})).await;
    let env = activation(&world, file).await;
    (world, env)
}

async fn execute(world: &World, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&world.ctx.pool).await.expect(&sql);
}

/// People with records of these numbers, each in the audience, one in ten with a ticket.
async fn fill(world: &World, env: &Env, records: &str) {
    let (now, source, audience) = (world.clock.now().to_rfc3339(), env.source.id, env.audiences[0]);
    for sql in [
        format!("CREATE TABLE numbered AS {records}"),
        format!(
            "INSERT INTO person (workspace_id, id, first_name, last_name, email, fields, email_consent, sms_consent, created_at,
                 updated_at, created_source_id, created_record)
             SELECT 1, n, 'Anna' || n, 'Smith', 'anna' || n || '@example.com', '{{\"zd.tier\": \"gold\"}}', 'unknown', 'unknown',
                 '{now}', '{now}', {source}, id FROM numbered"
        ),
        format!(
            "INSERT INTO person_source (workspace_id, source_id, record_id, person_id, status, seen)
             SELECT 1, {source}, id, n, 'active', 1 FROM numbered"
        ),
        format!(
            "INSERT INTO audience_member (workspace_id, audience_id, person_id, entered_at)
             SELECT 1, {audience}, n, '{now}' FROM numbered"
        ),
        format!(
            "INSERT INTO ticket (workspace_id, source_id, id, person_id, status, created_at, tags, fields, version_at, seen)
             SELECT 1, {source}, n, n, 'open', '{now}', '{{}}', '{{}}', '{now}', 1 FROM numbered WHERE n % 10 = 0"
        ),
        "SELECT setval('person_id', max(id)) FROM person".into(),
        "VACUUM ANALYZE".into(),
    ] {
        execute(world, sql).await;
    }
}

/// The lease of the source's push job.
async fn lease(world: &World, env: &Env) -> Lease {
    let (mut db, now) = (world.ctx.pool.acquire().await.expect("a connection"), world.clock.now());
    db::job::enqueue(&mut db, JobKind::Push, env.source.id, "", now).await.expect("a job");
    let long = chrono::Duration::days(1);
    let leases = db::job::claim(&mut db, &world.ctx.holder, now, long, 100).await.expect("jobs");
    leases.into_iter().find(|lease| lease.kind == JobKind::Push).expect("the push job")
}

async fn begin(world: &World, env: &Env, state: RunState) -> Run {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let (kind, definition) = (RunKind::Run, &env.activation.written);
    let new = New { activation_id: env.id, source_id: env.source.id, kind, state, definition, stage: 4, undoes: None };
    db::push_run::begin(&mut db, 1, &new, world.clock.now()).await.expect("a run")
}

/// Plans a run of all rows.
async fn planned(world: &World, env: &Env, lease: &Lease) -> (Run, Duration) {
    let mut run = begin(world, env, RunState::Planning).await;
    let begun = Instant::now();
    loop {
        let more = plan::page(&world.ctx, lease, env, &run).await.expect("a page");
        let took = begun.elapsed();
        let mut db = world.ctx.pool.acquire().await.expect("a connection");
        run = db::push_run::load(&mut db, 1, run.id).await.expect("answers").expect("the run");
        if !more {
            return (run, took);
        }
    }
}

/// MiB that this process has in memory, and had at most since [`forget_peak`].
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn forget_peak() {
    _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[tokio::test]
#[ignore = "takes minutes; DESKBRIDGE_PEOPLE says how many"]
async fn a_million_people_of_whom_one_in_a_hundred_changed() {
    let people = number("DESKBRIDGE_PEOPLE", 1_000_000);
    let (world, env) = connected(Setup { users: 16, tickets: 0, ..Setup::default() }, FILE).await;
    fill(&world, &env, &format!("SELECT n, (n + 1000000)::text AS id FROM generate_series(1, {people}) n")).await;
    let lease = lease(&world, &env).await;
    let (run, took) = planned(&world, &env, &lease).await;
    println!("everybody is new: {people} rows in {:.1} s", took.as_secs_f64());
    assert_eq!((run.counts.looked_at, run.counts.same), (people as u64, 0));
    assert_eq!(world.count("push_record WHERE state = 'planned'").await, people as i64, "each could be planned");
    execute(
        &world,
        "INSERT INTO delivery (workspace_id, activation_id, row_key, person_id, source_id, record_id, digest, written, owned, run_id,
             written_at)
         SELECT 1, r.activation_id, r.row_key, r.person_id, a.source_id, r.record_id, r.digest,
             (SELECT jsonb_object_agg(key, jsonb_build_object('v', value, 'was', null, 'at', r.updated_at))
              FROM jsonb_each(r.wanted -> 'values')),
             '{\"tags\": [\"everybody\"]}', r.run_id, r.updated_at
         FROM push_record r JOIN activation a ON a.id = r.activation_id"
            .into(),
    )
    .await;
    for sql in [
        "TRUNCATE push_record",
        "UPDATE person SET first_name = 'Bert' || id WHERE id % 100 = 0",
        "VACUUM ANALYZE",
        "CHECKPOINT",
    ] {
        execute(&world, sql.into()).await;
    }
    forget_peak();
    let (before, _) = memory();
    let (run, took) = planned(&world, &env, &lease).await;
    let (_, peak) = memory();
    println!(
        "one in a hundred changed: {people} rows in {:.2} s, {:.0} a second; memory {before:.0} MiB, at most {peak:.0} MiB",
        took.as_secs_f64(),
        people as f64 / took.as_secs_f64()
    );
    let changed = (people / 100) as u64;
    assert_eq!((run.counts.looked_at, run.counts.same), (people as u64, people as u64 - changed));
    assert_eq!(world.count("push_record WHERE state = 'planned'").await, changed as i64);
    let asked = world.sim.get("requests").await;
    execute(&world, "DELETE FROM delivery USING push_record r WHERE r.row_key = delivery.row_key".into()).await;
    execute(
        &world,
        "INSERT INTO delivery (workspace_id, activation_id, row_key, person_id, source_id, record_id, digest, written, owned, run_id,
             written_at)
         SELECT 1, r.activation_id, r.row_key, r.person_id, a.source_id, r.record_id, r.digest, '{}', '{\"tags\": [\"everybody\"]}',
             r.run_id, r.updated_at FROM push_record r JOIN activation a ON a.id = r.activation_id"
            .into(),
    )
    .await;
    execute(&world, "TRUNCATE push_record".into()).await;
    let (run, took) = planned(&world, &env, &lease).await;
    println!("nothing changed: {people} rows in {:.2} s", took.as_secs_f64());
    assert_eq!((run.counts.same, world.count("push_record").await), (people as u64, 0));
    assert_eq!(world.sim.get("requests").await["total"], asked["total"], "planning asks Zendesk nothing");
}

/// An account on whose plan limits hold, as the daemon knows them before any answer.
fn limited(users: usize) -> Setup {
    Setup {
        users,
        tickets: 0,
        limits: true,
        account: |account| {
            account.plan = Some(std::env::var("DESKBRIDGE_PLAN").unwrap_or("enterprise-plus".into()));
            account.keep_requests = Some(0);
            account.jobs = Some(zendesk_sim::Jobs { poll_ms: Some(0), ..Default::default() });
        },
        settings: |settings| {
            settings.zendesk.requests_per_minute = 200;
            settings.zendesk.requests_share = 0.8;
            settings.database.max_connections = 12;
        },
        ..Setup::default()
    }
}

/// Ids of so many end users of the account, as a query.
async fn records(world: &World, count: usize) -> String {
    let mut ids = Vec::new();
    let mut after = 0;
    while ids.len() < count {
        let page = world.sim.get(&format!("state/users?limit=10000&after_id={after}")).await;
        let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
        let users = page["rows"].as_array().expect("rows").iter().filter(is_customer);
        ids.extend(users.filter_map(|user| user["id"].as_i64()));
        match page["next_after_id"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert!(ids.len() >= count, "the account has {} customers, not {count}", ids.len());
    ids.truncate(count);
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("SELECT n, id FROM unnest('{{{}}}'::text[]) WITH ORDINALITY AS t(id, n)", ids.join(","))
}

/// Moves both clocks by the same steps while somebody sleeps.
async fn tend(world: &World) {
    let step = Duration::from_millis(20);
    loop {
        if world.clock.sleepers() > 0 {
            world.sim.post("advance", json!({"seconds": step.as_secs_f64(), "life": 0, "wait": false})).await;
            world.clock.advance(step);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[ignore = "takes minutes; DESKBRIDGE_USERS says how many, DESKBRIDGE_PLAN on which plan"]
async fn the_rate_that_is_allowed_is_held() {
    let users = number("DESKBRIDGE_USERS", 10_000);
    let (world, env) = connected(limited(users + users / 10 + 50), FILE).await;
    world.sim.post("faults", json!({"drop_webhooks": 1.0})).await;
    let ids = records(&world, users).await;
    fill(&world, &env, &ids).await;
    let lease = lease(&world, &env).await;
    let (first, _) = planned(&world, &env, &lease).await;
    execute(&world, format!("UPDATE push_run SET state = 'sending' WHERE id = {}", first.id)).await;
    let begun = Instant::now();
    let asked = world.sim.get("requests").await;
    tokio::select! {
        done = run::run(&world.ctx, &lease) => done.expect("sent"),
        () = tend(&world) => {}
    }
    let (span, rate): (f64, f64) = sqlx::query_as(
        "SELECT extract(epoch FROM max(stored_at) - min(stored_at))::float8,
                ((sum(records) - (array_agg(records ORDER BY stored_at DESC))[1])
                 / extract(epoch FROM max(stored_at) - min(stored_at)))::float8 FROM push_job",
    )
    .fetch_one(&world.ctx.pool)
    .await
    .expect("calls");
    let now = world.sim.get("requests").await;
    let throttled = now["throttled"].as_i64().expect("a count") - asked["throttled"].as_i64().expect("a count");
    println!(
        "{users} users in {span:.1} simulated s: {rate:.2} a second; {throttled} times 429; {:.1} s of this machine; {}",
        begun.elapsed().as_secs_f64(),
        now["by_endpoint"]
    );
    let states: Vec<(String, i64)> = sqlx::query_as("SELECT state, count(*) FROM push_record GROUP BY state")
        .fetch_all(&world.ctx.pool)
        .await
        .expect("states");
    assert_eq!(states, [("updated".to_owned(), users as i64)]);
    assert_eq!(throttled, 0);
    assert!((98.0..=100.5).contains(&rate), "{rate}");
}

/// An account on the machine's clock.
fn real(users: usize) -> Setup {
    let mut setup = limited(users + users / 10 + 50);
    setup.account = |account| {
        (account.plan, account.keep_requests) = (Some("enterprise-plus".into()), Some(0));
        (account.clock, account.start) = (Some("real".into()), None);
    };
    setup
}

/// The daemon beside a world, on the machine's clock.
async fn daemon(world: &World) -> deskbridge::app::Daemon {
    let mut settings = (*world.ctx.settings).clone();
    let any = "127.0.0.1:0".parse().expect("an address");
    (settings.public.listen, settings.admin.listen) = (any, any);
    let ctx = deskbridge::app::context(settings, Clock::system()).expect("a context");
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    deskbridge::app::start(ctx, metrics, true).await.expect("a daemon")
}

/// How slow Zendesk is to answer; its webhooks are not looked at.
async fn slow_down(world: &World) {
    let latency = number("DESKBRIDGE_LATENCY_MS", 0);
    world.sim.post("faults", json!({"drop_webhooks": 1.0, "latency_ms": latency})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute of real time; DESKBRIDGE_USERS says how many, DESKBRIDGE_LATENCY_MS how slow Zendesk is"]
async fn a_slow_zendesk_is_written_to_at_the_same_rate() {
    let users = number("DESKBRIDGE_USERS", 3_000);
    let (world, env) = connected(real(users), FILE).await;
    let ids = records(&world, users).await;
    fill(&world, &env, &ids).await;
    let lease = lease(&world, &env).await;
    let (first, _) = planned(&world, &env, &lease).await;
    for sql in [
        format!("UPDATE push_run SET state = 'sending' WHERE id = {}", first.id),
        "DELETE FROM job".into(),
        "DELETE FROM checkpoint".into(),
    ] {
        execute(&world, sql).await;
    }
    slow_down(&world).await;
    let daemon = daemon(&world).await;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..users {
        if world.count("push_record WHERE state = 'updated'").await == users as i64 {
            break;
        }
        pause.tick().await;
    }
    daemon.stop().await;
    let rate: f64 = world
        .value(
            "SELECT ((sum(records) - (array_agg(records ORDER BY stored_at DESC))[1])
                 / extract(epoch FROM max(stored_at) - min(stored_at)))::float8 FROM push_job",
        )
        .await;
    println!("{users} users, each answer {} ms late: {rate:.2} a second", number("DESKBRIDGE_LATENCY_MS", 0));
    assert_eq!(world.count("push_record WHERE state = 'updated'").await, users as i64);
    assert!((98.0..=100.5).contains(&rate), "{rate}");
}

/// Changes people as applied events do, in a field that no sync writes, under the workspace's lock, one after the other and at an even
/// pace. Answers who was changed when: a change is there for nobody before it is committed, which may have to wait for a page of a first sync that holds the lock.
async fn change(
    world: &World,
    daemon: &deskbridge::app::Daemon,
    people: usize,
    pace: u64,
) -> Vec<(i64, DateTime<Utc>)> {
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / pace));
    let mut changed = Vec::new();
    for id in 1..=people as i64 {
        tick.tick().await;
        let now = daemon.ctx.clock.now();
        let mut tx = world.ctx.pool.begin().await.expect("a transaction");
        db::workspace::lock(&mut tx, 1).await.expect("locked");
        let sql = "UPDATE person SET fields = fields || jsonb_build_object('crm.nick', 'Bert' || id), updated_at = $2 WHERE id = $1";
        sqlx::query(sql).bind(id).bind(now).execute(&mut *tx).await.expect("changed");
        db::audience_touched::note(&mut tx, 1, [(id, "field:crm.nick")], now).await.expect("noted");
        tx.commit().await.expect("committed");
        changed.push((id, daemon.ctx.clock.now()));
        daemon.wake.notify_one();
    }
    changed
}

/// Seconds after which each of these changes was sent, in order; those that were not sent yet are left out.
async fn waits(world: &World, changed: &[(i64, DateTime<Utc>)]) -> Vec<f64> {
    let calls: Vec<(i64, DateTime<Utc>)> = sqlx::query_as(
        "SELECT r.person_id, j.sent_at FROM push_record r JOIN push_job j ON j.id = r.job_id
         WHERE r.person_id IS NOT NULL AND j.sent_at IS NOT NULL ORDER BY j.sent_at",
    )
    .fetch_all(&world.ctx.pool)
    .await
    .expect("times");
    let mut sent: HashMap<i64, Vec<DateTime<Utc>>> = HashMap::new();
    for (person, at) in calls {
        sent.entry(person).or_default().push(at);
    }
    let wait = |(person, at): &(i64, DateTime<Utc>)| {
        let first = sent.get(person)?.iter().find(|sent_at| *sent_at >= at)?;
        Some((*first - *at).as_seconds_f64())
    };
    let mut waits: Vec<f64> = changed.iter().filter_map(wait).collect();
    waits.sort_by(f64::total_cmp);
    waits
}

/// Changes people at an even pace, while a daemon runs whose clock is the real one.
async fn change_and_send(beside_first_sync: bool) {
    let pace = number("DESKBRIDGE_PACE", 100);
    let people = number("DESKBRIDGE_SECONDS", 60) * pace;
    let file = FILE.replace("from = \"first_name\"", "from = \"crm.nick\"");
    let always = format!("{file}\n[when]\nalways = true\n[guards]\nmax_changed = 1000000");
    let (world, env) = connected(real(people), &always).await;
    slow_down(&world).await;
    let ids = records(&world, people).await;
    fill(&world, &env, &ids).await;
    execute(&world, "UPDATE activation SET always = true, replan_at = NULL".into()).await;
    execute(&world, "DELETE FROM audience_touched".into()).await;
    if !beside_first_sync {
        execute(&world, "DELETE FROM job".into()).await;
        execute(&world, "DELETE FROM checkpoint".into()).await;
    }
    let daemon = daemon(&world).await;
    let changed = change(&world, &daemon, people, pace as u64).await;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let mut late = Vec::new();
    for _ in 0..1200 {
        late = waits(&world, &changed).await;
        let open = world.count("push_record WHERE state IN ('planned', 'sent')").await;
        if late.len() == people && open == 0 {
            break;
        }
        pause.tick().await;
    }
    daemon.stop().await;
    let at = |share: f64| late.get(((late.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let asked = world.sim.get("requests").await;
    println!(
        "{} of {people} changes at {pace} a second: sent within {:.2} s (half), {:.2} s (99 %), {:.2} s (all); {} calls; 429: {}",
        late.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        world.count("push_job").await,
        asked["throttled"]
    );
    let states: Vec<(String, Option<String>, i64)> =
        sqlx::query_as("SELECT state, class, count(*) FROM push_record GROUP BY state, class")
            .fetch_all(&world.ctx.pool)
            .await
            .expect("states");
    let letters: Vec<(String, i64)> =
        sqlx::query_as("SELECT stream || ': ' || reason, count(*) FROM dead_letter GROUP BY stream, reason")
            .fetch_all(&world.ctx.pool)
            .await
            .expect("letters");
    println!("records by state: {states:?}; dead letters: {letters:?}");
    assert_eq!(late.len(), people, "everybody was sent: {states:?}");
    if !beside_first_sync {
        assert!(at(0.99) <= 3.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and a half of real time; DESKBRIDGE_SECONDS, _PACE and _LATENCY_MS say how long, how many a second, how slow Zendesk is"]
async fn what_changes_is_sent_within_three_seconds() {
    change_and_send(false).await;
}

/// The first sync changes people as well, so that more is to be sent than the limit of a hundred a second takes: nothing may be
/// lost, but all of it takes as long as the limit makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes of real time; DESKBRIDGE_SECONDS and DESKBRIDGE_PACE say how long and how many a second"]
async fn what_changes_beside_a_first_sync_is_sent() {
    change_and_send(true).await;
}
