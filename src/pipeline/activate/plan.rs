//! Rows compared with what Zendesk was last given: what differs becomes a record of a run.

use super::adopt;
use super::env::Env;
use super::queried;
use super::rows::{self, Page, Scope};
use crate::db;
use crate::db::push_record::{NewRecord, Which};
use crate::db::push_run::{Run, Step};
use crate::db::query_rows::PIECE;
use crate::model::activation::Rows;
use crate::model::job::Lease;
use crate::model::push::{Fault, RecordState, Remote, Row, RunCounts, RunKind, RunState, Values, Wanted};
use crate::pipeline::audience::moment;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::{guard, stage, undo};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Rows of a page: as many as are worth a statement a table, and as few as are easily held three times.
const PAGE: usize = 4_000;

/// Pages of one transaction.
const PAGES: usize = 10;

/// Stands for what is wanted of a row of which nothing can be.
static NOTHING: Wanted = Wanted { values: Values::new(), tags: BTreeMap::new(), organizations: BTreeMap::new() };

/// Begins a transaction of a push job by its fence, so that a daemon that was frozen past its lease writes nothing.
pub async fn begin(ctx: &Context, lease: &Lease) -> Result<Transaction<'static, Postgres>, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    let until = ctx.clock.now() + Duration::seconds(ctx.settings.worker.lease_secs as i64);
    match db::job::fence(&mut tx, lease, until).await? {
        true => Ok(tx),
        false => Err(FlowError::LeaseLost),
    }
}

/// Looks at the next page of a run's rows. True while there are more.
pub async fn page(ctx: &Context, lease: &Lease, env: &Env, run: &Run) -> Result<bool, FlowError> {
    let mut tx = begin(ctx, lease).await?;
    let now = ctx.clock.now();
    let mut counts = run.counts.clone();
    let next = match run.kind {
        RunKind::Undo => undo_page(&mut tx, run, &mut counts, now).await?,
        _ if matches!(env.activation.rows, Rows::Query { .. }) => {
            let page = queried::page(&mut tx, env, run, keys(run).as_deref(), PIECE, moment(ctx)).await?;
            counts.withheld += page.withheld as u64;
            keep(&mut tx, env, run, &page.rows, &mut counts, now).await?;
            page.next
        }
        _ => {
            let keys = keys(run);
            let scope = keys.as_deref().map_or(Scope::All, Scope::Keys);
            pages(ctx, &mut tx, env, run, scope, &mut counts).await?.filter(|_| keys.is_none())
        }
    };
    match &next {
        Some(cursor) => db::push_run::advance(&mut tx, run.workspace_id, run.id, Some(cursor), &counts).await?,
        None => planned(&mut tx, env, run, &counts, now).await?,
    }
    tx.commit().await?;
    Ok(next.is_some())
}

/// Looks at some pages: while one is formed by another thread, what the next is formed from is read, and on a connection of its own
/// whose rows come after that. Where no connection is free, one after the other. Answers the cursor behind them.
async fn pages(
    ctx: &Context,
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    scope: Scope<'_>,
    counts: &mut RunCounts,
) -> Result<Option<Value>, FlowError> {
    let (now, moment, shared) = (ctx.clock.now(), moment(ctx), Arc::new(env.clone()));
    let mut other = ctx.pool.try_acquire();
    let mut cursor = run.cursor.clone();
    let mut head = Some(rows::head(db, env, scope, cursor.as_ref(), PAGE, moment).await?);
    let (mut left, mut forming) = (PAGES, None);
    while let Some(present) = head.take() {
        (cursor, left) = (present.next().cloned(), left - 1);
        let after = cursor.as_ref().filter(|_| left > 0);
        let facts = match (after, &mut other) {
            (Some(after), Some(other)) => {
                let next = rows::head(other, env, scope, Some(after), PAGE, moment);
                let (facts, next) = tokio::try_join!(rows::facts(db, env, present), next)?;
                head = Some(next);
                facts
            }
            (after, _) => {
                let facts = rows::facts(db, env, present).await?;
                if after.is_some() {
                    head = Some(rows::head(db, env, scope, after, PAGE, moment).await?);
                }
                facts
            }
        };
        let env_there = shared.clone();
        let this = tokio::task::spawn_blocking(move || facts.form(&env_there, moment));
        if let Some(before) = forming.replace(this) {
            formed(db, env, run, before, counts, now).await?;
        }
    }
    if let Some(last) = forming {
        formed(db, env, run, last, counts, now).await?;
    }
    Ok(cursor)
}

/// Waits for a page that is being formed, and keeps what differs.
async fn formed(
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    forming: JoinHandle<Page>,
    counts: &mut RunCounts,
    now: DateTime<Utc>,
) -> Result<(), FlowError> {
    let page = forming.await.map_err(|error| FlowError::State(format!("rows could not be formed: {error}")))?;
    counts.withheld += page.withheld as u64;
    keep(db, env, run, &page.rows, counts, now).await
}

/// Looks at these people for a run that is always open.
pub async fn people(
    ctx: &Context,
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    people: &[i64],
) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let mut counts = run.counts.clone();
    let mut cursor = None;
    loop {
        let page = rows::page(db, env, Scope::People(people), cursor.as_ref(), PAGE, moment(ctx)).await?;
        counts.withheld += page.withheld as u64;
        keep(db, env, run, &page.rows, &mut counts, now).await?;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    refuse_twins(db, env, run, now).await?;
    db::push_run::advance(db, run.workspace_id, run.id, None, &counts).await?;
    Ok(())
}

/// The rows that a run is limited to.
pub fn keys(run: &Run) -> Option<Vec<String>> {
    let keys = run.cursor.as_ref()?.get("keys")?.as_array()?;
    Some(keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Makes records of the rows that differ from what Zendesk was last given. The others are only counted.
async fn keep(
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    rows: &[Row],
    counts: &mut RunCounts,
    now: DateTime<Utc>,
) -> Result<(), FlowError> {
    let staged = run.stage < stage::ALL && run.kind != RunKind::Always;
    let mut records = Vec::new();
    for row in rows {
        if run.kind == RunKind::Always && !stage::admits(run.stage, &row.row_key, row.last.is_some()) {
            continue;
        }
        counts.looked_at += 1;
        // What was asked for one row by hand is looked at in Zendesk even if we believe it is there.
        if row.wanted.is_ok() && row.last == Some(Some(row.digest)) && run.kind != RunKind::Test {
            counts.same += 1;
            continue;
        }
        records.push(record(row, if staged { stage::of(&row.row_key) } else { 1 }));
    }
    if run.kind != RunKind::Plan && db::push_record::others_planned(db, env.workspace, env.id, run.id).await? {
        let fault = Fault::new("superseded", "a newer change of the same row took its place");
        let row_keys: Vec<&str> = rows.iter().map(|row| row.row_key.as_str()).collect();
        db::push_record::supersede(db, env.workspace, env.id, &row_keys, &fault, now).await?;
    }
    db::push_record::insert(db, env.workspace, (run.id, env.id), &records, now).await?;
    Ok(())
}

/// A row as a record of a run.
pub fn record(row: &Row, stage: i16) -> NewRecord<'_> {
    let (state, wanted, fault) = match &row.wanted {
        Ok(wanted) => (RecordState::Planned, wanted, None),
        // Who is not there may come: that is no failure.
        Err(fault) if fault.class == "not_in_zendesk" => (RecordState::Skipped, &NOTHING, Some(fault)),
        Err(fault) => (RecordState::Failed, &NOTHING, Some(fault)),
    };
    NewRecord {
        row_key: &row.row_key,
        person_id: row.person_id,
        record_id: row.record_id.as_deref(),
        key_value: row.key_value.as_deref(),
        state,
        stage,
        digest: row.digest,
        wanted,
        kept: None,
        fault,
    }
}

/// Fails rows that share a record: whichever were written last would win, and neither would be right. The row of one who was
/// merged away gives way to the survivor's.
async fn refuse_twins(db: &mut PgConnection, env: &Env, run: &Run, now: DateTime<Utc>) -> db::Result<()> {
    let of_record =
        Fault::new("duplicate_record", "several rows stand for the same record in Zendesk; none is written");
    let of_key = Fault::new("duplicate_key", "several rows have the same key; none is written");
    let merged = Fault::new("merged", "merged into a person whose row stands for the same record");
    db::push_twins::give_way(db, run.workspace_id, run.id, &merged, now).await?;
    db::push_twins::refuse(db, run.workspace_id, run.id, [&of_record, &of_key], now).await?;
    if env.activation.key.create && run.kind != RunKind::Undo {
        for field in ["email", "external_id"] {
            let fault =
                Fault::new("duplicate_value", "several rows would be created with the same value; none is written");
            db::push_twins::refuse_new(db, run.workspace_id, run.id, (field, &fault), now).await?;
        }
    }
    Ok(())
}

/// All rows have been looked at: what is to be done is known, and whether it has to be asked for.
async fn planned(
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    counts: &RunCounts,
    now: DateTime<Utc>,
) -> Result<(), FlowError> {
    refuse_twins(db, env, run, now).await?;
    if run.stage < stage::ALL {
        let ordered = db::push_record::drawn(db, run.workspace_id, run.id, stage::FIRST.iter().sum()).await?;
        let (first, ten) = ordered.split_at(ordered.len().min(stage::FIRST[0] as usize));
        db::push_record::set_stage(db, run.workspace_id, run.id, first, 1).await?;
        db::push_record::set_stage(db, run.workspace_id, run.id, ten, 2).await?;
    }
    // Whether a guard would be broken is known exactly only once Zendesk was read. That is done for plans, and for runs that
    // might break one.
    let at_most = would(db, env, run, RecordState::Planned, counts).await?;
    let state = match run.kind {
        RunKind::Plan => RunState::Reading,
        RunKind::Run | RunKind::Undo if guard::asks(&env.activation.guards, &at_most).is_some() => RunState::Reading,
        _ => RunState::Sending,
    };
    let step = Step { state, stage: run.stage, counts, asks: None, error: None, now };
    db::push_run::step(db, run, &step).await?;
    Ok(())
}

/// What a run would do: with before-images exactly, without them at most.
async fn would(
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    state: RecordState,
    counts: &RunCounts,
) -> db::Result<guard::Would> {
    let (change, clear, create) = db::push_tally::would(db, run.workspace_id, run.id, state).await?;
    let create = if env.activation.key.create { create } else { 0 };
    Ok(guard::Would { rows: counts.looked_at, change: change as u64, clear: clear as u64, create: create as u64 })
}

/// Every before-image of a run is taken: a plan waits to be applied; a run goes on, or asks. What stood in Zendesk is read
/// again before it is sent.
pub async fn weigh(ctx: &Context, lease: &Lease, env: &Env, run: &Run) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let mut tx = begin(ctx, lease).await?;
    let would = would(&mut tx, env, run, RecordState::Read, &run.counts).await?;
    let mut counts = run.counts.clone();
    (counts.would_change, counts.would_clear, counts.would_create) = (would.change, would.clear, would.create);
    counts.adoption = adopt::counts(&mut tx, run).await?;
    let asks = guard::asks(&env.activation.guards, &would);
    let state = match (run.kind, &asks) {
        (RunKind::Plan, _) => RunState::Planned,
        (_, Some(_)) => RunState::Waiting,
        (_, None) => RunState::Sending,
    };
    let step = Step { state, stage: run.stage, counts: &counts, asks: asks.as_deref(), error: None, now };
    if db::push_run::step(&mut tx, run, &step).await? && state == RunState::Sending {
        unread(&mut tx, run, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Records whose before-images were taken only to weigh the run are to be sent.
pub async fn unread(db: &mut PgConnection, run: &Run, now: DateTime<Utc>) -> db::Result<u64> {
    let read = Which { states: &[RecordState::Read], ..Which::default() };
    db::push_record::back(db, run.workspace_id, run.id, &read, now).await
}

/// The next records that a run is to undo. Answers the cursor behind them, None at the end.
async fn undo_page(
    db: &mut PgConnection,
    run: &Run,
    counts: &mut RunCounts,
    now: DateTime<Utc>,
) -> Result<Option<Value>, FlowError> {
    let undone = run.undoes.ok_or_else(|| FlowError::State(format!("run {} says not which run it undoes", run.id)))?;
    let after = run.cursor.as_ref().and_then(Value::as_i64).unwrap_or(0);
    let written = Which { states: &[RecordState::Created, RecordState::Updated], ..Which::default() };
    let records = db::push_record::page(db, run.workspace_id, undone, &written, after, PAGE as i64).await?;
    let row_keys: Vec<&str> = records.iter().map(|record| record.row_key.as_str()).collect();
    let ledger = db::delivery::load(db, run.workspace_id, run.activation_id, &row_keys).await?;
    let ledger: HashMap<&str, _> = ledger.iter().map(|entry| (entry.row_key.as_str(), entry)).collect();
    let mut decided = Vec::new();
    for record in &records {
        let before: Option<Remote> = record.before.clone().and_then(|before| serde_json::from_value(before).ok());
        let changes = record.changes.clone().unwrap_or_default();
        let done = undo::Done { state: record.state, before: before.as_ref(), changes: &changes };
        decided.push(undo::wanted(done, ledger.get(record.row_key.as_str()).copied()));
    }
    let drafts = records.iter().zip(&decided).map(|(record, decided)| {
        let (state, wanted, kept, fault) = match decided {
            Ok((wanted, kept)) => (RecordState::Planned, wanted, Some(kept), None),
            Err(fault) => (RecordState::Skipped, &NOTHING, None, Some(fault)),
        };
        NewRecord {
            row_key: &record.row_key,
            person_id: record.person_id,
            record_id: record.record_id.as_deref(),
            key_value: record.key_value.as_deref(),
            state,
            stage: 1,
            // What was wanted stays known as delivered, so that it is not wanted again until it changes.
            digest: ledger.get(record.row_key.as_str()).map_or(record.digest, |entry| entry.digest),
            wanted,
            kept: kept.filter(|kept| !kept.is_empty()),
            fault,
        }
    });
    let drafts: Vec<NewRecord<'_>> = drafts.collect();
    counts.looked_at += records.len() as u64;
    db::push_record::insert(db, run.workspace_id, (run.id, run.activation_id), &drafts, now).await?;
    Ok(records.last().filter(|_| records.len() == PAGE).map(|record| json!(record.seq)))
}
