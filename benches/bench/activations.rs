//! Activations: how fast all rows are compared with what Zendesk was last given when one in a hundred changed, beside a bare read of
//! the same rows in turns; how much of the allowed rate is used to send those; and how long a change waits until it is sent, at as
//! many changes a second as may be sent.

use crate::Plan;
use crate::copy::{execute, query};
use crate::process::Role;
use crate::report::Report;
use crate::sync::{caught_up, maybe_profile};
use crate::world::{Account, World, free_port};
use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use deskbridge::db::push_run::{New, Run};
use deskbridge::model::job::JobKind;
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::model::source::{Source, SourceSettings};
use deskbridge::model::stream::Stream;
use deskbridge::pipeline::activate::{control, env, plan, stored};
use deskbridge::pipeline::audience;
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::lifecycle::{self, Connect};
use deskbridge::rules::activation::{needs, read};
use deskbridge::rules::audience::define;
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::PgPool;
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
[when]
always = true
[guards]
max_changed = 1_000_000
[[map]]
to = "details"
audience = "everybody"
[[map]]
to = "notes"
template = "{{ person.first_name }}: {{ summary.open_tickets }}"
conflict = "overwrite"
[[map]]
to = "alias"
from = "first_name"
conflict = "overwrite"
[[tag]]
tag = "everybody"
audience = "everybody"
"#;

/// The rows that a comparison reads, as bytes.
const SAME_ROWS: &str = "COPY (
    SELECT m.person_id, m.entered_at, m.exited_at, p.created_at, p.email_consent, p.sms_consent, p.first_name, s.record_id, s.status,
           d.row_key, d.record_id, d.owned, d.digest
    FROM audience_member m JOIN person p ON p.workspace_id = m.workspace_id AND p.id = m.person_id
    JOIN person_source s ON s.workspace_id = p.workspace_id AND s.person_id = p.id
    LEFT JOIN delivery d ON d.workspace_id = p.workspace_id AND d.person_id = p.id ORDER BY m.person_id) TO STDOUT (FORMAT binary)";

/// Measures on a database of its own.
pub async fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    world.new_database("activations")?;
    let changed = plan.people / 100;
    // Some of the customers have no address, and so are not in the audience.
    let account = Account::limited(changed * 2)?;
    let db = world.pool("activations").await?;
    let public = free_port()?;
    // Limits and pauses are as they are by default.
    let mut variables = world.variables("activations", &[account.url(), world.sim.url()], public)?;
    variables.retain(|(name, _)| {
        !name.ends_with("POLL_INTERVAL_MS") && !name.contains("ZENDESK__") || name.ends_with("URLS")
    });
    let ctx = world.context(&variables)?;
    {
        let _daemon = world.daemon("serve", &variables, public).await?;
        let source = connect(&ctx, &account).await?;
        prepare(&ctx, &db, &source, plan.people).await?;
    }
    delivered(&ctx, &db).await?;
    let daemon = world.daemon("serve", &variables, public).await?;
    for turn in 0..plan.bursts.div_ceil(2) {
        let sql = format!(
            "UPDATE person SET first_name = 'Bert{turn}' || id WHERE id IN (
                 SELECT person_id FROM delivery WHERE record_id NOT LIKE 'made-%' ORDER BY person_id LIMIT {changed})"
        );
        execute(&db, &sql).await?;
        execute(&db, "VACUUM ANALYZE").await?;
        execute(&db, "CHECKPOINT").await?;
        let bare = bare_read(&db).await?;
        report.add("bare_read_rows_per_s", plan.people as f64 / bare);
        let diff = compared(&ctx, &db, &daemon, changed, report).await?;
        report.add("diff_rows_per_s", plan.people as f64 / diff);
        report.add("diff_share_of_bare_read", bare / diff);
    }
    until_sent(&ctx, &db, (plan.burst_secs * 5 * 100).min(changed as u64), report).await
}

async fn connect(ctx: &Context, account: &Account) -> Result<Source> {
    let since = ctx.clock.now();
    let request = Connect {
        workspace: 1,
        account: account.url(),
        name: Some("acme"),
        credentials: account.credentials(),
        manual_webhook: Some(Some("secret of the bench".into())),
        settings: SourceSettings::default(),
    };
    let source = lifecycle::connect(ctx, request).await?.source;
    caught_up(ctx, source.id, since, &[Stream::Users, Stream::Organizations]).await?;
    Ok(source)
}

/// Adds people until there are so many, of whom no record is ever asked for, and defines audience and activation.
async fn prepare(ctx: &Context, db: &PgPool, source: &Source, people: usize) -> Result<()> {
    let (source_id, now) = (source.id, ctx.clock.now().to_rfc3339());
    let known = query(db, "SELECT max(id) FROM person").await?;
    for sql in [
        format!(
            "INSERT INTO person (workspace_id, id, first_name, last_name, email, fields, email_consent, sms_consent, created_at,
                 updated_at, created_source_id, created_record)
             SELECT 1, n, 'Anna' || n, 'Smith', 'anna' || n || '@example.com', '{{}}', 'unknown', 'unknown', '{now}', '{now}',
                 {source_id}, 'made-' || n FROM generate_series({known} + 1, {people}) n"
        ),
        format!(
            "INSERT INTO person_source (workspace_id, source_id, record_id, person_id, status, seen)
             SELECT 1, {source_id}, 'made-' || n, n, 'active', 1 FROM generate_series({known} + 1, {people}) n"
        ),
        format!(
            "INSERT INTO ticket (workspace_id, source_id, id, person_id, status, created_at, tags, fields, version_at, seen)
             SELECT 1, {source_id}, n, n, 'open', '{now}', '{{}}', '{{}}', '{now}', 1
             FROM generate_series({known} + 1, {people}) n WHERE n % 10 = 0"
        ),
        "SELECT setval('person_id', max(id)) FROM person".into(),
        "VACUUM ANALYZE".into(),
    ] {
        execute(db, &sql).await?;
    }
    let everybody = json!({"name": "everybody", "entry": {"field": "email", "has_value": true}, "reentry": true});
    audience::apply(ctx, 1, &define(&everybody)?).await?;
    let activation = read::read(FILE)?;
    let new = deskbridge::db::activation::New {
        name: &activation.name,
        title: &activation.title,
        source_id,
        definition: &activation.written,
        needs: needs::needs(&activation).into_iter().collect(),
        always: false,
        stage: 4,
        replan: false,
    };
    deskbridge::db::activation::define(&mut *ctx.pool.acquire().await?, 1, new, ctx.clock.now()).await?;
    Ok(())
}

/// Makes the ledger say that everybody has what is wanted, though the account has not: a run is planned here, while no daemon runs, and
/// its records become entries.
async fn delivered(ctx: &Context, db: &PgPool) -> Result<()> {
    let mut connection = ctx.pool.acquire().await?;
    let one = stored::find(&mut connection, 1, "health").await?;
    let env = env::open(ctx, &one).await?;
    let now = ctx.clock.now();
    execute(db, "DELETE FROM job WHERE kind = 'push'").await?;
    deskbridge::db::job::enqueue(&mut connection, JobKind::Push, one.source_id, "", now).await?;
    let leases = deskbridge::db::job::claim(&mut connection, &ctx.holder, now, chrono::Duration::hours(1), 100).await?;
    let lease = leases.into_iter().find(|lease| lease.kind == JobKind::Push).context("the push job")?;
    let new = New {
        activation_id: one.id,
        source_id: one.source_id,
        kind: RunKind::Run,
        state: RunState::Planning,
        definition: &one.activation.written,
        stage: 4,
        undoes: None,
    };
    let mut run: Run = deskbridge::db::push_run::begin(&mut connection, 1, &new, now).await?;
    while plan::page(ctx, &lease, &env, &run).await? {
        run = deskbridge::db::push_run::load(&mut connection, 1, run.id).await?.context("the run")?;
    }
    deskbridge::db::job::give_back(&mut connection, &ctx.holder).await?;
    for sql in [
        "INSERT INTO delivery (workspace_id, activation_id, row_key, person_id, source_id, record_id, digest, written, owned, run_id,
             written_at)
         SELECT 1, r.activation_id, r.row_key, r.person_id, a.source_id, r.record_id, r.digest,
             (SELECT jsonb_object_agg(key, jsonb_build_object('v', value, 'was', null, 'at', r.updated_at))
              FROM jsonb_each(r.wanted -> 'values')),
             '{\"tags\": [\"everybody\"]}', r.run_id, r.updated_at
         FROM push_record r JOIN activation a ON a.id = r.activation_id WHERE r.state = 'planned'",
        "TRUNCATE push_record",
        "DELETE FROM push_run",
        "DELETE FROM audience_touched",
        "DELETE FROM activation_due",
    ] {
        execute(db, sql).await?;
    }
    Ok(())
}

/// Seconds that Postgres needs to give the same rows to somebody who only counts their bytes.
async fn bare_read(db: &PgPool) -> Result<f64> {
    let mut connection = db.acquire().await?;
    let begun = Instant::now();
    let mut bytes = connection.copy_out_raw(SAME_ROWS).await?;
    let mut count = 0;
    while let Some(some) = bytes.try_next().await? {
        count += some.len();
    }
    ensure!(count > 0, "there are no rows");
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds that the daemon needs to compare all rows. Waits until what changed was sent, and reports how fast that went.
async fn compared(ctx: &Context, db: &PgPool, daemon: &Role, changed: usize, report: &mut Report) -> Result<f64> {
    let cpu = daemon.cpu_secs()?;
    maybe_profile(daemon.id(), "diff");
    let run = control::start(ctx, 1, "health", RunKind::Run).await?.id;
    let planned = format!("SELECT count(*) FROM push_run WHERE id = {run} AND planned_at IS NOT NULL");
    while query(db, &planned).await? == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    report.add("diff_daemon_cpu_s", daemon.cpu_secs()? - cpu);
    report.add("diff_peak_rss_mib", daemon.peak_rss_mib()?);
    let took: f64 =
        sqlx::query_scalar("SELECT extract(epoch FROM planned_at - started_at)::float8 FROM push_run WHERE id = $1")
            .bind(run)
            .fetch_one(db)
            .await?;
    let begun = Instant::now();
    let open = format!("SELECT count(*) FROM push_record WHERE run_id = {run} AND state IN ('planned', 'sent')");
    while query(db, &open).await? > 0 {
        ensure!(begun.elapsed() < Duration::from_secs(120 + changed as u64 / 50), "the run does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let states: Vec<(String, Option<String>, i64)> =
        sqlx::query_as("SELECT state, reason, count(*) FROM push_record WHERE run_id = $1 GROUP BY state, reason")
            .bind(run)
            .fetch_all(db)
            .await?;
    let all_updated = [("updated".to_owned(), None, changed as i64)];
    ensure!(states == all_updated, "{changed} were to be written: {states:?}");
    // The last call begins the time that it may take itself.
    let rate: f64 = sqlx::query_scalar(
        "SELECT ((sum(records) - (array_agg(records ORDER BY stored_at DESC))[1])
                 / extract(epoch FROM max(stored_at) - min(stored_at)))::float8 FROM push_job WHERE run_id = $1",
    )
    .bind(run)
    .fetch_one(db)
    .await?;
    report.add("sent_share_of_allowed_rate", rate / f64::from(ctx.settings.activation.users_per_second));
    Ok(took)
}

/// Changes so many people, a hundred a second, and reports how long each waited until it was sent.
async fn until_sent(ctx: &Context, db: &PgPool, people: u64, report: &mut Report) -> Result<()> {
    execute(db, "UPDATE activation SET always = true, replan_at = NULL").await?;
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT person_id FROM delivery WHERE record_id NOT LIKE 'made-%' ORDER BY 1 LIMIT $1")
            .bind(people as i64)
            .fetch_all(db)
            .await?;
    let since = Utc::now();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for id in &ids {
        pace.tick().await;
        let mut tx = db.begin().await?;
        sqlx::query("UPDATE person SET first_name = 'Carl' || id, updated_at = $2 WHERE id = $1")
            .bind(id)
            .bind(Utc::now())
            .execute(&mut *tx)
            .await?;
        deskbridge::db::audience_touched::note(&mut tx, 1, [(*id, "field:first_name")], ctx.clock.now()).await?;
        tx.commit().await?;
    }
    let begun = Instant::now();
    let mut late: Vec<f64> = Vec::new();
    while late.len() < ids.len() {
        ensure!(begun.elapsed() < Duration::from_secs(60), "only {} of {} were sent", late.len(), ids.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
        late = sqlx::query_scalar(
            "SELECT extract(epoch FROM min(j.sent_at) - p.updated_at)::float8 * 1000 AS late FROM person p
             JOIN push_record r ON r.person_id = p.id JOIN push_job j ON j.id = r.job_id
             WHERE p.id = ANY($1) AND p.updated_at >= $2 AND j.sent_at >= $2 GROUP BY p.id, p.updated_at ORDER BY late",
        )
        .bind(&ids)
        .bind(since)
        .fetch_all(db)
        .await?;
    }
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    report.add("change_to_sent_p50_ms", at(0.5));
    report.add("change_to_sent_p99_ms", at(0.99));
    Ok(())
}
