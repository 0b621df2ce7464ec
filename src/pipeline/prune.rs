//! Prune: what is past its time goes. Whole partitions are dropped where all in them has expired, the rest goes in small
//! batches; rollups stay (R7, R11).

use super::commit;
use super::context::{Context, FlowError};
use super::person;
use crate::config::Settings;
use crate::db::run::Ended;
use crate::db::{self, partition};
use crate::model::activity::ActivityType;
use crate::model::batch::Counts;
use crate::model::job::Lease;
use crate::model::retention::Retention;
use crate::model::source::Source;
use crate::rules::retention;
use crate::telemetry::RUN_DURATION;
use chrono::{DateTime, Days, Duration, Months, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Rows removed by one statement.
const BATCH: i64 = 10_000;

/// Runs of activations removed in one transaction, with their records.
const RUNS_BATCH: i64 = 10;

/// People deleted in one transaction.
const PEOPLE_BATCH: i64 = 100;

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Activities.
    pub activities: u64,
    /// Month partitions of activities that went as a whole.
    pub activity_partitions: u64,
    /// Days of stored webhooks.
    pub raw_event_days: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Runs, of activations as well.
    pub runs: u64,
    /// Archived people whose time had come.
    pub people: u64,
}

/// How often it comes back.
pub fn interval(settings: &Settings) -> Duration {
    Duration::seconds(settings.retention.prune_every_secs as i64)
}

/// Makes the partitions of the time around now: months of activities, days of webhooks.
pub async fn make_partitions(db: &mut PgConnection, now: DateTime<Utc>) -> db::Result<()> {
    partition::ensure_months(db, now - Months::new(4), now + Months::new(2)).await?;
    partition::ensure_days(db, now.date_naive(), now.date_naive() + Days::new(3)).await
}

/// Runs a prune job.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let started_at = ctx.clock.now();
    let pruned = prune(ctx).await?;
    let now = ctx.clock.now();
    tracing::info!(
        activities = pruned.activities,
        partitions = pruned.activity_partitions,
        people = pruned.people,
        dead_letters = pruned.dead_letters,
        "pruned"
    );
    metrics::histogram!(RUN_DURATION, "kind" => "prune", "stream" => "").record((now - started_at).as_seconds_f64());
    let mut tx = ctx.pool.begin().await?;
    let counts = Counts { activities: pruned.activities, dead_letters: pruned.dead_letters, ..Counts::default() };
    let run = Ended {
        kind: "prune",
        source_id: None,
        stream: None,
        started_at,
        finished_at: now,
        counts: &counts,
        error: None,
    };
    db::run::record(&mut tx, &run).await?;
    db::schedule::done(&mut tx, "prune", now, now + interval(&ctx.settings)).await?;
    if !db::job::finish(&mut tx, lease).await? {
        return Err(FlowError::LeaseLost);
    }
    tx.commit().await?;
    Ok(())
}

/// Removes everything that is past its time.
pub async fn prune(ctx: &Context) -> Result<Pruned, FlowError> {
    let now = ctx.clock.now();
    let mut pruned = Pruned::default();
    let mut db = ctx.pool.acquire().await?;
    make_partitions(&mut db, now).await?;
    let sources = db::source::all(&mut db).await?;
    (pruned.activity_partitions, pruned.activities) = drop_months(ctx, &mut db, &sources).await?;
    for source in &sources {
        pruned.activities += prune_source(ctx, &mut db, source).await?;
    }
    let oldest_day = (now - Duration::days(i64::from(ctx.settings.retention.raw_event_days))).date_naive();
    for (name, day) in partition::days(&mut db).await? {
        if day < oldest_day && db::raw_event::is_settled(&mut db, day).await? {
            partition::drop_partition(&mut db, &name).await?;
            pruned.raw_event_days += 1;
        }
    }
    let letters_before = now - Duration::days(i64::from(ctx.settings.retention.dead_letter_days));
    for workspace in workspaces(&sources) {
        pruned.dead_letters += db::dead_letter::prune(&mut db, workspace, letters_before).await?;
    }
    db::rate_budget::prune(&mut db, now - Duration::hours(1)).await?;
    let runs_before = now - Duration::days(i64::from(ctx.settings.retention.run_days));
    pruned.runs = db::run::prune(&mut db, runs_before).await?;
    drop(db);
    for workspace in workspaces(&sources) {
        pruned.runs += delete_push_runs(ctx, workspace, runs_before).await?;
        pruned.people += delete_archived(ctx, workspace).await?;
    }
    Ok(pruned)
}

/// What [`prune`] would remove now.
pub async fn dry_run(ctx: &Context) -> Result<Pruned, FlowError> {
    let now = ctx.clock.now();
    let mut pruned = Pruned::default();
    let mut db = ctx.pool.acquire().await?;
    let sources = db::source::all(&mut db).await?;
    for source in &sources {
        pruned.activities += expired(&mut db, source, &source.settings.retention, now).await?;
    }
    let oldest_day = (now - Duration::days(i64::from(ctx.settings.retention.raw_event_days))).date_naive();
    for (_, day) in partition::days(&mut db).await? {
        pruned.raw_event_days += u64::from(day < oldest_day && db::raw_event::is_settled(&mut db, day).await?);
    }
    let letters_before = now - Duration::days(i64::from(ctx.settings.retention.dead_letter_days));
    let runs_before = now - Duration::days(i64::from(ctx.settings.retention.run_days));
    pruned.runs = db::run::count_before(&mut db, runs_before).await?;
    for workspace in workspaces(&sources) {
        pruned.runs += db::push_run::count_before(&mut db, workspace, runs_before).await?;
        pruned.dead_letters += db::dead_letter::count_before(&mut db, workspace, letters_before).await?;
        pruned.people += db::person::to_delete(&mut db, workspace, now, i64::MAX).await?.len() as u64;
    }
    Ok(pruned)
}

/// How many activities of a source would go under a retention: its own, or one that is being considered (R8, R12).
pub async fn expired(
    db: &mut PgConnection,
    source: &Source,
    retention: &Retention,
    now: DateTime<Utc>,
) -> Result<u64, FlowError> {
    let mut total = 0;
    for (horizon, kinds) in horizons(db, source, retention, now).await? {
        let Some(horizon) = horizon else { continue };
        total += db::activity::count_before(db, source.workspace_id, source.id, &kinds, horizon).await?;
    }
    Ok(total)
}

/// The activity types a source may have, by their horizon; None is for those that are kept for ever.
async fn horizons(
    db: &mut PgConnection,
    source: &Source,
    retention: &Retention,
    now: DateTime<Utc>,
) -> Result<BTreeMap<Option<DateTime<Utc>>, Vec<String>>, FlowError> {
    let kinds = match source.kind.as_str() {
        "zendesk" => ActivityType::ALL.iter().map(|kind| kind.as_str().to_string()).collect(),
        _ => db::activity::kinds(db, source.workspace_id, source.id).await?,
    };
    let mut by_horizon: BTreeMap<Option<DateTime<Utc>>, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        by_horizon.entry(retention::horizon(now, retention, &kind)).or_default().push(kind);
    }
    Ok(by_horizon)
}

async fn prune_source(ctx: &Context, db: &mut PgConnection, source: &Source) -> Result<u64, FlowError> {
    let mut total = 0;
    for (horizon, kinds) in horizons(db, source, &source.settings.retention, ctx.clock.now()).await? {
        let Some(horizon) = horizon else { continue };
        loop {
            // The rows and the note of their span go in one transaction: read again, they must not be counted twice.
            let mut tx = commit::begin(ctx, source, None).await?;
            let gone =
                db::activity::delete_before(&mut tx, source.workspace_id, source.id, &kinds, horizon, BATCH).await?;
            let rows: u64 = gone.iter().map(|span| span.total).sum();
            db::activity_window::note_pruned(&mut tx, source.workspace_id, &gone, horizon).await?;
            let of = |span: &db::activity::Span| (span.people.clone(), format!("activity:{}", span.kind));
            let lost =
                gone.iter().map(of).flat_map(|(people, need)| people.into_iter().map(move |id| (id, need.clone())));
            let lost: Vec<(i64, String)> = lost.collect();
            db::audience_touched::note(&mut tx, source.workspace_id, lost, ctx.clock.now()).await?;
            tx.commit().await?;
            total += rows;
            if rows < BATCH as u64 {
                break;
            }
        }
    }
    Ok(total)
}

/// Drops the month partitions that are past every horizon. Answers how many, and how many activities went with them.
async fn drop_months(ctx: &Context, db: &mut PgConnection, sources: &[Source]) -> Result<(u64, u64), FlowError> {
    let now = ctx.clock.now();
    let mut all = Vec::new();
    for source in sources {
        all.extend(horizons(db, source, &source.settings.retention, now).await?.into_keys());
        all.push(retention::horizon(now, &source.settings.retention, ""));
    }
    let (mut dropped, mut activities) = (0, 0);
    for (name, end) in partition::months(db).await? {
        if !retention::partition_expired(end, all.iter().copied()) {
            continue;
        }
        let mut tx = ctx.pool.begin().await?;
        for workspace in workspaces(sources) {
            db::workspace::lock(&mut tx, workspace).await?;
            let gone = db::activity::spans_before(&mut tx, workspace, end).await?;
            activities += gone.iter().map(|span| span.total).sum::<u64>();
            db::activity_window::note_pruned(&mut tx, workspace, &gone, end).await?;
            let kinds: Vec<&str> = gone.iter().map(|span| span.kind.as_str()).collect();
            db::audience::rebuild_for_activities(&mut tx, workspace, &kinds, now).await?;
        }
        partition::drop_partition(&mut tx, &name).await?;
        tx.commit().await?;
        dropped += 1;
    }
    Ok((dropped, activities))
}

fn workspaces(sources: &[Source]) -> std::collections::BTreeSet<i64> {
    sources.iter().map(|source| source.workspace_id).collect()
}

/// Deletes runs of activations that ended before a time, a few in a transaction: each may have a record for every person.
async fn delete_push_runs(ctx: &Context, workspace: i64, before: DateTime<Utc>) -> Result<u64, FlowError> {
    let mut total = 0;
    loop {
        let mut tx = ctx.pool.begin().await?;
        let gone = db::push_run::prune(&mut tx, workspace, before, RUNS_BATCH).await?;
        tx.commit().await?;
        total += gone;
        if gone < RUNS_BATCH as u64 {
            return Ok(total);
        }
    }
}

/// Deletes archived people whose time has come (R48), a few in a transaction.
async fn delete_archived(ctx: &Context, workspace: i64) -> Result<u64, FlowError> {
    let mut total = 0;
    loop {
        let mut db = ctx.pool.acquire().await?;
        let due = db::person::to_delete(&mut db, workspace, ctx.clock.now(), PEOPLE_BATCH).await?;
        drop(db);
        if due.is_empty() {
            return Ok(total);
        }
        total += person::delete(ctx, workspace, &due, "archived, and its time had come").await?;
    }
}
