//! How runs begin: by the clock, since a definition changed, or by hand.

use super::plan;
use super::stored::Stored;
use crate::db;
use crate::db::push_run::{New, Run};
use crate::model::job::Lease;
use crate::model::push::{RunKind, RunState};
use crate::model::source::Source;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::{read, schedule, stage};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

/// What a run begins with, beside its kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct With<'a> {
    /// The only rows that it looks at.
    pub keys: Option<&'a [String]>,
    /// The run that it undoes.
    pub undoes: Option<i64>,
}

/// Begins a run of an activation as it is defined now.
pub async fn begin(
    db: &mut PgConnection,
    workspace: i64,
    one: &Stored,
    kind: RunKind,
    with: With<'_>,
    now: DateTime<Utc>,
) -> db::Result<Run> {
    let state = if kind == RunKind::Always { RunState::Sending } else { RunState::Planning };
    let new = New {
        activation_id: one.id,
        source_id: one.source_id,
        kind,
        state,
        definition: &one.activation.written,
        stage: reach(one, kind),
        undoes: with.undoes,
    };
    let mut run = db::push_run::begin(db, workspace, &new, now).await?;
    if let Some(keys) = with.keys {
        run.cursor = Some(json!({ "keys": keys }));
        db::push_run::advance(db, workspace, run.id, run.cursor.as_ref(), &run.counts).await?;
    }
    Ok(run)
}

/// How far a run goes by itself. Once an activation is rolled out, its runs go all the way.
fn reach(one: &Stored, kind: RunKind) -> i16 {
    match kind {
        RunKind::Test | RunKind::Undo => stage::ALL,
        RunKind::Plan | RunKind::Run if one.activation.guards.stages => one.stage.clamp(1, stage::ALL),
        RunKind::Always if one.activation.guards.stages => one.stage,
        _ => stage::ALL,
    }
}

/// Begins the run that an activation's clock, a sync or a changed definition asks for. While another one has not ended it stays asked
/// for, however often: that one looked at rows as they were before. True when one began.
pub async fn due(ctx: &Context, lease: &Lease, source: &Source, one: &Stored) -> Result<bool, FlowError> {
    let now = ctx.clock.now();
    let next = next_by_clock(ctx, one, now);
    let by_clock = one.next_at.is_some_and(|at| at <= now);
    let replan = one.replan_at.filter(|at| *at <= now);
    if !by_clock && replan.is_none() && (one.next_at.is_some() || next.is_none()) {
        return Ok(false);
    }
    let mut tx = plan::begin(ctx, lease).await?;
    let open = db::push_run::unended(&mut tx, source.workspace_id, one.id, RunKind::Run).await?;
    let wanted = by_clock || replan.is_some() && one.activation.when.always;
    let begins = wanted && open.is_none();
    if one.next_at.is_none() || by_clock && begins {
        db::activation::set_next(&mut tx, source.workspace_id, one.id, next).await?;
    }
    if begins {
        begin(&mut tx, source.workspace_id, one, RunKind::Run, With::default(), now).await?;
    }
    if let Some(at) = replan
        && (begins || !wanted)
    {
        db::activation::replanned(&mut tx, source.workspace_id, one.id, at).await?;
    }
    tx.commit().await?;
    Ok(begins)
}

/// When an activation's clock is next due.
fn next_by_clock(ctx: &Context, one: &Stored, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (fields, zone) = one.activation.when.cron.as_ref()?;
    schedule::next(fields, zone.unwrap_or(ctx.settings.workspace.time_zone), now)
}

/// The activation as it was defined when a run began.
pub fn as_of(one: &Stored, definition: &Value) -> Result<Stored, FlowError> {
    if one.activation.written == *definition {
        return Ok(one.clone());
    }
    let activation = read::from_json(definition).map_err(|error| {
        FlowError::State(format!("the definition that a run of {} began with is not understood: {error}", one.name))
    })?;
    Ok(Stored { activation, ..one.clone() })
}
