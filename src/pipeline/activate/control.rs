//! What an operator does with runs: start, apply, approve, stop, retry, restart, skip, undo, test. What is to be done then is
//! done by the push job of the source.

use super::again;
use super::conclude::{end, give_up};
use super::preflight::{self, Preflight};
use super::start::{self, With};
use super::stored::{self, ActivationError, Stored};
use super::{env, plan, whom};
use crate::db;
use crate::db::push_record::{NewRecord, Record, Which};
use crate::db::push_run::{Run, Step};
use crate::model::activation::{Rows, Target};
use crate::model::job::JobKind;
use crate::model::push::{Fault, RecordState, Row, RunKind, RunState};
use crate::pipeline::context::Context;
use crate::rules::activation::stage;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Records that are retried at once.
const PAGE: i64 = 1_000;

/// What may be tried again, and left out.
pub const MENDABLE: [RecordState; 2] = [RecordState::Failed, RecordState::Unknown];

/// A run, with its activation.
pub async fn find(db: &mut PgConnection, workspace: i64, number: i64) -> Result<(Run, Stored), ActivationError> {
    let run = db::push_run::load(db, workspace, number).await?;
    let run = run.ok_or_else(|| {
        ActivationError::refused(format!("there is no run {number}"), "deskbridge activation runs lists them")
    })?;
    let row = db::activation::by_id(db, workspace, run.activation_id).await?;
    let row =
        row.ok_or_else(|| ActivationError::refused("its activation was deleted", "nothing is left to be done"))?;
    Ok((run, Stored::of(row)?))
}

/// Starts a run of all rows, or a plan.
pub async fn start(ctx: &Context, workspace: i64, name: &str, kind: RunKind) -> Result<Run, ActivationError> {
    let mut tx = ctx.pool.begin().await?;
    let one = stored::find(&mut tx, workspace, name).await?;
    if kind == RunKind::Run {
        may_send(&one)?;
        none_open(&mut tx, workspace, &one, kind).await?;
    }
    let run = start::begin(&mut tx, workspace, &one, kind, With::default(), ctx.clock.now()).await?;
    wake(&mut tx, &one, ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(run)
}

/// Looks at the fields of an activation as they are in its account now; makes none.
pub async fn look(ctx: &Context, workspace: i64, name: &str) -> Result<Preflight, ActivationError> {
    let mut db = ctx.pool.acquire().await?;
    let one = stored::find(&mut db, workspace, name).await?;
    let source = db::source::get(&mut db, one.source_id).await?;
    drop(db);
    let gone = || ActivationError::refused("its source is gone", "delete the activation, or connect the source");
    Ok(preflight::look(ctx, &source.ok_or_else(gone)?, &one.activation, false).await?)
}

/// Starts a run of one row: see [`whom`] for what its key may be.
pub async fn test(ctx: &Context, workspace: i64, name: &str, key: &str) -> Result<Run, ActivationError> {
    let mut tx = ctx.pool.begin().await?;
    let one = stored::find(&mut tx, workspace, name).await?;
    let meant = whom::meant(&mut tx, workspace, one.source_id, key).await?;
    let of_people = matches!(one.activation.rows, Rows::Audiences(_)) && one.activation.target != Target::Organizations;
    if of_people && meant.people.is_empty() && meant.rows.len() > 1 {
        return Err(ActivationError::refused(
            format!("nobody is known by {key:?}: it was looked for as {}", whom::TRIED),
            "deskbridge person find TEXT finds people; deskbridge audience members NAME lists those of an audience",
        ));
    }
    if meant.people.len() > 1 && one.activation.target != Target::Organizations {
        let numbers: Vec<String> = meant.people.iter().map(i64::to_string).collect();
        return Err(ActivationError::refused(
            format!("{key:?} is several people: {}", numbers.join(", ")),
            "give the number of the one that is meant",
        ));
    }
    let with = With { keys: Some(&meant.row_keys()), undoes: None };
    let run = start::begin(&mut tx, workspace, &one, RunKind::Test, with, ctx.clock.now()).await?;
    wake(&mut tx, &one, ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(run)
}

/// Applies a plan: what it found is sent, unless Zendesk has something else by now.
pub async fn apply(ctx: &Context, workspace: i64, number: i64) -> Result<Run, ActivationError> {
    let (mut tx, now) = (ctx.pool.begin().await?, ctx.clock.now());
    let (run, one) = find(&mut tx, workspace, number).await?;
    if run.kind != RunKind::Plan || run.state != RunState::Planned {
        return Err(wrong(
            &run,
            "is no plan that waits to be applied",
            "make one: deskbridge activation plan NAME",
            &one,
        ));
    }
    may_send(&one)?;
    none_open(&mut tx, workspace, &one, RunKind::Run).await?;
    if run.definition != one.activation.written {
        return Err(wrong(
            &run,
            "was made before the definition changed",
            "plan again: deskbridge activation plan NAME",
            &one,
        ));
    }
    let fault = Fault::new("superseded", "a newer change of the same row took its place");
    db::push_record::release(&mut tx, workspace, run.id, &fault, now).await?;
    let run = go_on(&mut tx, &run, run.stage, now).await?;
    wake(&mut tx, &one, now).await?;
    tx.commit().await?;
    Ok(run)
}

/// Says yes to what a run asks.
pub async fn approve(ctx: &Context, workspace: i64, number: i64) -> Result<Run, ActivationError> {
    let (mut tx, now) = (ctx.pool.begin().await?, ctx.clock.now());
    let (mut run, one) = find(&mut tx, workspace, number).await?;
    if run.state != RunState::Waiting {
        return Err(wrong(&run, "asks nothing", "see deskbridge activation runs NAME", &one));
    }
    let mut reach = run.stage;
    if run.kind == RunKind::Always {
        run.counts.approved = db::push_tally::tried(&mut tx, workspace, run.id).await?.2 as u64;
        db::activation::set_trouble(&mut tx, workspace, one.id, None, now).await?;
        db::activation::hold(&mut tx, workspace, one.id, None).await?;
    } else if plan::unread(&mut tx, &run, now).await? == 0 {
        reach = stage::next(run.stage).unwrap_or(stage::ALL);
        // A stage without records is none to ask about again.
        while reach < stage::ALL && !db::push_tally::open(&mut tx, workspace, run.id, reach).await?.planned {
            reach = stage::next(reach).unwrap_or(stage::ALL);
        }
        db::activation::set_stage(&mut tx, workspace, one.id, reach).await?;
    }
    let run = go_on(&mut tx, &run, reach, now).await?;
    wake(&mut tx, &one, now).await?;
    tx.commit().await?;
    Ok(run)
}

/// Ends a run: nothing more of it is sent; what is under way comes to its end.
pub async fn stop(ctx: &Context, workspace: i64, number: i64) -> Result<Run, ActivationError> {
    let (mut tx, now) = (ctx.pool.begin().await?, ctx.clock.now());
    let (run, one) = find(&mut tx, workspace, number).await?;
    if run.ended_at.is_some() {
        return Err(wrong(&run, "has ended already", "see deskbridge activation runs NAME", &one));
    }
    stop_within(&mut tx, &run, now).await?;
    if run.kind == RunKind::Always && run.state == RunState::Waiting {
        db::activation::set_trouble(&mut tx, workspace, one.id, None, now).await?;
        db::activation::hold(&mut tx, workspace, one.id, None).await?;
    }
    let run = find(&mut tx, workspace, number).await?.0;
    tx.commit().await?;
    Ok(run)
}

async fn stop_within(db: &mut PgConnection, run: &Run, now: DateTime<Utc>) -> Result<(), ActivationError> {
    give_up(db, run, "by hand", now).await?;
    match end(db, run, RunState::Stopped, Some("stopped by hand"), now).await? {
        true => Ok(db::push_run::set_by_hand(db, run.workspace_id, run.id).await?),
        false => Err(moved(run)),
    }
}

/// Looks at the rows of a run anew, and sends what they want then.
pub async fn restart(ctx: &Context, workspace: i64, number: i64) -> Result<Run, ActivationError> {
    let (mut tx, now) = (ctx.pool.begin().await?, ctx.clock.now());
    let (run, one) = find(&mut tx, workspace, number).await?;
    let kind = if run.kind == RunKind::Always { RunKind::Run } else { run.kind };
    if kind == RunKind::Run {
        may_send(&one)?;
    }
    if run.ended_at.is_none() {
        stop_within(&mut tx, &run, now).await?;
    }
    if matches!(kind, RunKind::Run | RunKind::Undo) {
        none_open(&mut tx, workspace, &one, kind).await?;
    }
    let again = match kind {
        RunKind::Undo => start::as_of(&one, &run.definition)?,
        _ => one.clone(),
    };
    let keys: Option<Vec<String>> = match kind {
        RunKind::Test => Some(db::push_record::row_keys(&mut tx, workspace, run.id).await?),
        _ => None,
    };
    let with = With { keys: keys.as_deref(), undoes: run.undoes };
    let run = start::begin(&mut tx, workspace, &again, kind, with, now).await?;
    wake(&mut tx, &one, now).await?;
    tx.commit().await?;
    Ok(run)
}

/// Tries records that failed, or of which nobody knows, once more, as their rows are now. Answers how many.
pub async fn retry(
    ctx: &Context,
    workspace: i64,
    number: i64,
    key: Option<&str>,
    class: Option<&str>,
) -> Result<u64, ActivationError> {
    let now = ctx.clock.now();
    let (run, one) = find(&mut *ctx.pool.acquire().await?, workspace, number).await?;
    if !matches!(
        run.state,
        RunState::Sending | RunState::Waiting | RunState::Done | RunState::Stopped | RunState::Failed
    ) {
        return Err(wrong(&run, "has sent nothing yet", "wait, or stop it", &one));
    }
    if run.kind != RunKind::Undo {
        may_send(&one)?;
        // Its rows would be formed by a definition that is not the run's.
        if run.definition != one.activation.written {
            let todo = "deskbridge activation restart RUN looks at all rows as the definition is now";
            return Err(wrong(&run, "began before the definition changed", todo, &one));
        }
    }
    let keys = keys_of(&mut *ctx.pool.acquire().await?, &run, key).await?;
    let which = Which { states: &MENDABLE, class, keys: keys.as_deref() };
    let mut tx = ctx.pool.begin().await?;
    // It may have ended since; from here on it cannot.
    let run = db::push_run::hold(&mut tx, workspace, run.id).await?.ok_or_else(|| moved(&run))?;
    let tried = match run.kind {
        RunKind::Undo => db::push_record::back(&mut tx, workspace, run.id, &which, now).await?,
        _ => form_again(ctx, &mut tx, &run, &one, &which, now).await?,
    };
    if tried > 0 && run.ended_at.is_some() {
        go_on(&mut tx, &run, run.stage, now).await?;
    }
    wake(&mut tx, &one, now).await?;
    tx.commit().await?;
    Ok(tried)
}

/// Forms the rows of records anew: what they want may have changed, and what was at fault may be mended.
async fn form_again(
    ctx: &Context,
    db: &mut PgConnection,
    run: &Run,
    one: &Stored,
    which: &Which<'_>,
    now: DateTime<Utc>,
) -> Result<u64, ActivationError> {
    let env = env::open(ctx, one).await?;
    let (mut after, mut tried) = (0, 0);
    loop {
        let records = db::push_record::page(db, run.workspace_id, run.id, which, after, PAGE).await?;
        let Some(last) = records.last() else { return Ok(tried) };
        after = last.seq;
        let keys: Vec<String> = records.iter().map(|record| record.row_key.clone()).collect();
        let formed = again::rows(ctx, db, &env, &keys).await?;
        let gone = Fault::new("gone", "the row is not there any more");
        let again: Vec<(i64, NewRecord<'_>)> =
            records.iter().map(|record| (record.seq, renewed(record, formed.get(&record.row_key), &gone))).collect();
        tried += again.iter().filter(|(_, record)| record.state == RecordState::Planned).count() as u64;
        db::push_record::renew(db, run.workspace_id, run.id, &again, now).await?;
    }
}

fn renewed<'a>(record: &'a Record, row: Option<&'a Row>, gone: &'a Fault) -> NewRecord<'a> {
    match row {
        Some(row) => NewRecord { stage: record.stage, ..plan::record(row, record.stage) },
        None => NewRecord {
            row_key: &record.row_key,
            person_id: record.person_id,
            record_id: record.record_id.as_deref(),
            key_value: record.key_value.as_deref(),
            state: RecordState::Skipped,
            stage: record.stage,
            digest: record.digest,
            wanted: &record.wanted,
            kept: None,
            fault: Some(gone),
        },
    }
}

/// Leaves a record out of a run. Answers how many that were.
pub async fn skip(ctx: &Context, workspace: i64, number: i64, key: &str) -> Result<u64, ActivationError> {
    let (mut tx, now) = (ctx.pool.begin().await?, ctx.clock.now());
    let (run, one) = find(&mut tx, workspace, number).await?;
    let keys = keys_of(&mut tx, &run, Some(key)).await?;
    let states = [RecordState::Planned, RecordState::Read, RecordState::Failed, RecordState::Unknown];
    let which = Which { states: &states, class: None, keys: keys.as_deref() };
    let fault = Fault::new("by_hand", "left out by hand");
    let skipped = db::push_record::skip(&mut tx, workspace, run.id, &which, &fault, now).await?;
    wake(&mut tx, &one, now).await?;
    tx.commit().await?;
    Ok(skipped)
}

/// Rows of a run that somebody may mean by a key, and the key itself: it may be the id of a record, or what found it.
pub async fn keys_of(
    db: &mut PgConnection,
    run: &Run,
    key: Option<&str>,
) -> Result<Option<Vec<String>>, ActivationError> {
    let Some(key) = key else { return Ok(None) };
    let mut keys = whom::meant(db, run.workspace_id, run.source_id, key).await?.row_keys();
    keys.push(key.trim().to_owned());
    Ok(Some(keys))
}

/// Gives back what a run replaced. The activation is paused: else the next run would write it again.
pub async fn undo(ctx: &Context, workspace: i64, number: i64) -> Result<Run, ActivationError> {
    let (mut tx, now) = (ctx.pool.begin().await?, ctx.clock.now());
    let (run, one) = find(&mut tx, workspace, number).await?;
    if run.kind == RunKind::Undo {
        return Err(wrong(
            &run,
            "undoes another",
            "run the activation to write its values again: deskbridge activation run NAME",
            &one,
        ));
    }
    if run.ended_at.is_none() && run.state != RunState::Planned {
        return Err(wrong(&run, "has not ended", "stop it first: deskbridge activation stop RUN", &one));
    }
    let written = Which { states: &[RecordState::Created, RecordState::Updated], ..Which::default() };
    if db::push_record::page(&mut tx, workspace, run.id, &written, 0, 1).await?.is_empty() {
        return Err(wrong(
            &run,
            "wrote nothing, so that there is nothing to give back",
            "see deskbridge activation runs NAME",
            &one,
        ));
    }
    none_open(&mut tx, workspace, &one, RunKind::Undo).await?;
    if one.paused_at.is_none() {
        db::activation::set_paused(&mut tx, workspace, one.id, Some(now), now).await?;
    }
    let gives_back = start::as_of(&one, &run.definition)?;
    let undoing =
        start::begin(&mut tx, workspace, &gives_back, RunKind::Undo, With { keys: None, undoes: Some(run.id) }, now)
            .await?;
    wake(&mut tx, &one, now).await?;
    tx.commit().await?;
    Ok(undoing)
}

fn may_send(one: &Stored) -> Result<(), ActivationError> {
    match one.paused_at {
        None => Ok(()),
        Some(_) => Err(ActivationError::refused(
            format!("activation {} is paused", one.name),
            format!("deskbridge activation resume {}", one.name),
        )),
    }
}

/// At most one run of a kind is open: two would get in each other's way.
async fn none_open(db: &mut PgConnection, workspace: i64, one: &Stored, kind: RunKind) -> Result<(), ActivationError> {
    match db::push_run::unended(db, workspace, one.id, kind).await? {
        None => Ok(()),
        Some(open) => Err(ActivationError::refused(
            format!("run {} of activation {} has not ended: it is {}", open.id, one.name, open.state.as_str()),
            match open.state {
                RunState::Waiting => {
                    format!(
                        "deskbridge activation approve {0} lets it go on, deskbridge activation stop {0} ends it",
                        open.id
                    )
                }
                _ => format!("wait for it, or end it: deskbridge activation stop {}", open.id),
            },
        )),
    }
}

async fn go_on(db: &mut PgConnection, run: &Run, stage: i16, now: DateTime<Utc>) -> Result<Run, ActivationError> {
    let step = Step { state: RunState::Sending, stage, counts: &run.counts, asks: None, error: None, now };
    if !db::push_run::step(db, run, &step).await? {
        return Err(moved(run));
    }
    Ok(Run { state: RunState::Sending, stage, asks: None, error: None, ended_at: None, ..run.clone() })
}

async fn wake(db: &mut PgConnection, one: &Stored, now: DateTime<Utc>) -> db::Result<()> {
    db::job::enqueue(db, JobKind::Push, one.source_id, "", now).await
}

fn moved(run: &Run) -> ActivationError {
    ActivationError::refused(format!("run {} has moved on in this moment", run.id), "look at it, and try again")
}

fn wrong(run: &Run, what: &str, todo: &str, one: &Stored) -> ActivationError {
    let todo = todo.replace("NAME", &one.name).replace("RUN", &run.id.to_string());
    ActivationError::refused(format!("run {} ({}, {}) {what}", run.id, run.kind.as_str(), run.state.as_str()), todo)
}
