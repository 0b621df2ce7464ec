//! What becomes of a run of which nothing more can be sent now: it ends, asks, or waits; and what stops it before.

use super::adopt;
use super::env::Env;
use super::plan;
use super::stored::Stored;
use crate::db;
use crate::db::push_record::Which;
use crate::db::push_run::{Run, Step};
use crate::model::job::Lease;
use crate::model::push::{Fault, RecordState, RunKind, RunState};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::{guard, stage};
use crate::telemetry::RUN_DURATION;
use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;

/// How long a run of what changes is open.
const ALWAYS: Duration = Duration::hours(1);

/// How soon records are looked at again that wait for calls of others.
const BLOCKED: Duration = Duration::seconds(1);

/// How soon a run is looked at again that waits for answers only; calls have times of their own.
const AWAITING: Duration = Duration::minutes(1);

/// What is left of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing to wait for: it moved on or ended.
    Nothing,
    /// Something that is to be looked at again then.
    Until(DateTime<Utc>),
}

/// Moves a run on of which nothing is to be sent now.
pub async fn conclude(ctx: &Context, lease: &Lease, env: &Env, one: &Stored, run: &Run) -> Result<Left, FlowError> {
    let now = ctx.clock.now();
    let reach = if run.state == RunState::Reading { stage::ALL } else { run.stage };
    let open = {
        let mut db = ctx.pool.acquire().await?;
        db::push_tally::open(&mut db, run.workspace_id, run.id, reach).await?
    };
    if open.planned {
        return Ok(Left::Until(now + BLOCKED));
    }
    if run.state == RunState::Reading {
        plan::weigh(ctx, lease, env, run).await?;
        return Ok(Left::Nothing);
    }
    if open.sent {
        return Ok(Left::Until(now + AWAITING));
    }
    let over = run.started_at + ALWAYS;
    if run.kind == RunKind::Always && now < over && run.definition == one.activation.written {
        return Ok(Left::Until(over));
    }
    let mut tx = plan::begin(ctx, lease).await?;
    // Somebody may have had records of it tried again meanwhile.
    db::push_run::hold(&mut tx, run.workspace_id, run.id).await?;
    let open = db::push_tally::open(&mut tx, run.workspace_id, run.id, reach).await?;
    if open.planned {
        return Ok(Left::Until(now));
    }
    if open.later {
        let next = stage::next(run.stage).unwrap_or(stage::ALL);
        let asks = format!("sent to {}; next is {}", stage::words(run.stage), stage::words(next));
        ask(&mut tx, run, &asks, now).await?;
    } else {
        end(&mut tx, run, RunState::Done, None, now).await?;
        if run.kind == RunKind::Run && one.stage < stage::ALL {
            db::activation::set_stage(&mut tx, run.workspace_id, run.activation_id, stage::ALL).await?;
            // What changed for rows beyond the stage was left out meanwhile.
            db::activation::replan(&mut tx, run.workspace_id, run.activation_id, now).await?;
        }
    }
    tx.commit().await?;
    Ok(Left::Nothing)
}

/// Has a run wait for a yes. False when it was moved on by somebody else.
async fn ask(db: &mut PgConnection, run: &Run, asks: &str, now: DateTime<Utc>) -> db::Result<bool> {
    let step =
        Step { state: RunState::Waiting, stage: run.stage, counts: &run.counts, asks: Some(asks), error: None, now };
    db::push_run::step(db, run, &step).await
}

/// Ends a run with its counts. False when it was moved on by somebody else.
pub async fn end(
    db: &mut PgConnection,
    run: &Run,
    state: RunState,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> db::Result<bool> {
    let mut counts = run.counts.clone();
    counts.results.clear();
    if run.ended_at.is_none() && counts.adoption.is_empty() {
        counts.adoption = adopt::counts(db, run).await?;
    }
    for (state, class, count) in db::push_tally::counts(db, run.workspace_id, run.id).await? {
        if let Some(class) = class {
            *counts.results.entry(format!("{state}.{class}")).or_default() += count as u64;
        }
        *counts.results.entry(state).or_default() += count as u64;
    }
    let step = Step { state, stage: run.stage, counts: &counts, asks: None, error, now };
    let ended = db::push_run::step(db, run, &step).await?;
    if ended {
        db::query_rows::forget(db, run.workspace_id, run.id).await?;
        let seconds = (now - run.started_at).as_seconds_f64();
        metrics::histogram!(RUN_DURATION, "kind" => "push", "stream" => run.kind.as_str()).record(seconds);
    }
    Ok(ended)
}

/// Stops a run of which too much fails, and has one ask that is always on and changes too much. True when it may not go on.
pub async fn halted(ctx: &Context, lease: &Lease, env: &Env, run: &Run) -> Result<bool, FlowError> {
    let guards = &env.activation.guards;
    let (tried, failed, sent) = {
        let mut db = ctx.pool.acquire().await?;
        db::push_tally::tried(&mut db, run.workspace_id, run.id).await?
    };
    let now = ctx.clock.now();
    if let Some(error) = guard::stops(guards, tried as u64, failed as u64) {
        let mut tx = plan::begin(ctx, lease).await?;
        give_up(&mut tx, run, &error, now).await?;
        end(&mut tx, run, RunState::Stopped, Some(&error), now).await?;
        if run.kind == RunKind::Always {
            hold(&mut tx, run, &error, "Look at the run's records, mend what is at fault, and retry what failed.", now)
                .await?;
        }
        tx.commit().await?;
        return Ok(true);
    }
    if run.kind != RunKind::Always {
        return Ok(false);
    }
    let would = guard::Would { change: (sent as u64).saturating_sub(run.counts.approved), ..guard::Would::default() };
    let Some(asks) = guard::asks(guards, &would) else { return Ok(false) };
    let asks = format!("within an hour {}", asks.replace("it would change", "it changed"));
    let mut tx = plan::begin(ctx, lease).await?;
    ask(&mut tx, run, &asks, now).await?;
    hold(
        &mut tx,
        run,
        &asks,
        "deskbridge activation approve RUN lets it go on, deskbridge activation stop RUN ends it.",
        now,
    )
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Gives up what a run has not sent.
pub async fn give_up(db: &mut PgConnection, run: &Run, why: &str, now: DateTime<Utc>) -> db::Result<u64> {
    let open = Which { states: &[RecordState::Planned, RecordState::Read], ..Which::default() };
    let fault = Fault::new("stopped", format!("the run was stopped: {why}"));
    db::push_record::skip(db, run.workspace_id, run.id, &open, &fault, now).await
}

/// Has nothing be tried for an activation that is always on for a while: who is due stays due.
async fn hold(db: &mut PgConnection, run: &Run, error: &str, remedy: &str, now: DateTime<Utc>) -> db::Result<()> {
    let remedy = remedy.replace("RUN", &run.id.to_string());
    db::activation::set_trouble(db, run.workspace_id, run.activation_id, Some((error, &remedy)), now).await?;
    db::activation::hold(db, run.workspace_id, run.activation_id, Some(now + ALWAYS)).await
}
