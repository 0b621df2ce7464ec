//! Import: people from elsewhere, from a CSV or NDJSON file, by the same way of applying as Zendesk's (R27, R28, R42–R44).
//!
//! A file is read twice: once to find what is bad and which rows are the same record, before anything is written, and once
//! to write. Each batch of a thousand rows is a transaction; importing the same file again writes nothing, so an import
//! that was broken off is simply started again.

pub mod check;
mod feed;
mod happening;
pub mod lines;
pub mod mapping;
pub mod record;
pub mod rows;
mod settle;
pub mod value;
mod watch;

pub use check::{Checked, Plan, check};
pub use settle::{Wishes, prepare};
pub use watch::{ImportError, Step, Watcher};

use super::commit;
use super::context::{Context, FlowError};
use crate::db;
use crate::model::activity::ActivityDraft;
use crate::model::batch::{Batch, Counts};
use crate::model::source::{Source, SourceSettings};
use crate::rules::retention;
use feed::{Load, Take};
use serde::Serialize;
use sqlx::{Postgres, Transaction};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Tries to get the workspace's lock, when others hold it for long.
const TRIES: u32 = 5;

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The source.
    pub source: String,
    /// True when nothing was kept.
    pub dry_run: bool,
    /// Rows of the file.
    pub rows: u64,
    /// People who are new.
    pub created: u64,
    /// People who changed.
    pub updated: u64,
    /// Rows that said nothing new.
    pub unchanged: u64,
    /// Rows of people who are archived or deleted, or not there and not to be created.
    pub skipped: u64,
    /// Rows that could not be read.
    pub bad: u64,
    /// Rows that were applied without a part of them.
    pub noted: u64,
    /// Rows whose record stands, with other values, in a later row.
    pub duplicates: u64,
    /// Rows that the database refused; see `deskbridge dead-letter list`.
    pub dead_letters: u64,
    /// Organizations written.
    pub organizations: u64,
    /// Activities added or corrected.
    pub activities: u64,
    /// Activities that are older than the source keeps them.
    pub expired: u64,
}

/// What was added up while applying.
#[derive(Default)]
struct Tally {
    people: Counts,
    activities: Counts,
    given: u64,
    expired: u64,
}

/// Applies a file that was checked. `dry_run` undoes each batch instead of keeping it.
pub async fn apply(
    ctx: &Context,
    wishes: &Wishes,
    plan: Arc<Plan>,
    checked: Arc<Checked>,
    watcher: Arc<dyn Watcher>,
    dry_run: bool,
) -> Result<Summary, ImportError> {
    let started_at = ctx.clock.now();
    let mut tally = Tally::default();
    let source = if dry_run { None } else { Some(settle_now(ctx, wishes).await?) };
    let mut done = Ok(());
    for (take, step) in [(Take::People, Step::Apply), (Take::LeftOver, Step::Activities)] {
        if done.is_ok() && (take == Take::People || checked.left_over > 0) {
            let loads = feed::start(plan.clone(), checked.clone(), take, watcher.clone());
            let progress = |bytes, rows| watcher.progress(step, bytes, rows);
            done = all(ctx, wishes, source.as_ref(), loads, &mut tally, &progress).await;
        }
    }
    let summary = summary(wishes, &checked, &tally, dry_run);
    if let Some(source) = &source {
        let counts = Counts { read: checked.rows, activities: tally.activities.activities, ..tally.people };
        let error = done.as_ref().err().map(ToString::to_string);
        let run = db::run::Ended {
            kind: "import",
            source_id: Some(source.id),
            stream: None,
            started_at,
            finished_at: ctx.clock.now(),
            counts: &counts,
            error: error.as_deref(),
        };
        let recorded = async { db::run::record(&mut *ctx.pool.acquire().await?, &run).await }.await;
        done = done.and(recorded.map_err(ImportError::from));
    }
    done.map(|()| summary)
}

/// Applies what the reader brings, to the end of the file.
async fn all(
    ctx: &Context,
    wishes: &Wishes,
    source: Option<&Source>,
    mut loads: mpsc::Receiver<Result<Load, ImportError>>,
    tally: &mut Tally,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), ImportError> {
    let mut ended = false;
    while let Some(load) = loads.recv().await {
        let load = load?;
        ended |= load.last;
        let (bytes, rows) = (load.bytes, load.rows);
        one(ctx, wishes, source, load, tally).await?;
        if rows > 0 {
            progress(bytes, rows);
        }
    }
    match ended {
        true => Ok(()),
        false => Err(FlowError::State("the file was not read to its end".to_owned()).into()),
    }
}

/// Applies one batch in a transaction of its own.
async fn one(
    ctx: &Context,
    wishes: &Wishes,
    source: Option<&Source>,
    load: Load,
    tally: &mut Tally,
) -> Result<(), ImportError> {
    let mut tx = begin(ctx).await?;
    let settled;
    let kept = match source {
        Some(source) => source,
        None => {
            settled = settle::settle(&mut tx, wishes, ctx.clock.now()).await?;
            &settled
        }
    };
    let env = commit::env(ctx, kept);
    tally.given += load.batch.people.len() as u64;
    if !load.batch.is_empty() {
        tally.people += commit::apply_all(&mut tx, &env, load.batch).await?;
    }
    let (activities, expired) = unexpired(load.activities, &kept.settings, env.now);
    tally.expired += expired;
    if !activities.is_empty() {
        tally.activities += commit::apply_all(&mut tx, &env, Batch { activities, ..Batch::default() }).await?;
    }
    match source {
        Some(_) => tx.commit().await?,
        None => tx.rollback().await?,
    }
    Ok(())
}

/// Leaves out what would be pruned at once, and says how much that is.
fn unexpired(
    mut activities: Vec<ActivityDraft>,
    settings: &SourceSettings,
    now: chrono::DateTime<chrono::Utc>,
) -> (Vec<ActivityDraft>, u64) {
    let before = activities.len();
    activities.retain(|draft| {
        retention::horizon(now, &settings.retention, &draft.kind).is_none_or(|horizon| draft.occurred_at >= horizon)
    });
    let expired = (before - activities.len()) as u64;
    (activities, expired)
}

/// Begins a transaction under the workspace's lock, which a daemon may hold for the time of a batch.
async fn begin(ctx: &Context) -> Result<Transaction<'static, Postgres>, ImportError> {
    let mut tries = 1;
    loop {
        let mut tx = ctx.pool.begin().await?;
        match db::workspace::lock(&mut tx, db::workspace::DEFAULT).await {
            Ok(()) => return Ok(tx),
            Err(error) if db::is_conflict(&error) && tries < TRIES => {
                tries += 1;
                drop(tx);
                ctx.clock.sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn settle_now(ctx: &Context, wishes: &Wishes) -> Result<Source, ImportError> {
    let mut tx = begin(ctx).await?;
    let source = settle::settle(&mut tx, wishes, ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(source)
}

fn summary(wishes: &Wishes, checked: &Checked, tally: &Tally, dry_run: bool) -> Summary {
    let people = &tally.people;
    let told = people.people_created + people.people_updated + people.skipped + people.dead_letters;
    Summary {
        source: wishes.name.clone(),
        dry_run,
        rows: checked.rows,
        created: people.people_created,
        updated: people.people_updated,
        unchanged: tally.given.saturating_sub(told),
        skipped: people.skipped,
        bad: checked.bad,
        noted: checked.noted,
        duplicates: checked.duplicates,
        dead_letters: people.dead_letters + tally.activities.dead_letters,
        organizations: people.organizations,
        activities: tally.activities.activities,
        expired: tally.expired,
    }
}
