//! The query of a run, read once at its beginning: its rows are kept while the run is planned.

use super::conclude;
use super::env::Env;
use super::plan::{begin, keys};
use super::query::{Reading, Stop};
use crate::db;
use crate::db::push_run::Run;
use crate::db::query_rows;
use crate::model::activation::Rows;
use crate::model::job::Lease;
use crate::model::push::{RunKind, RunState};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::query::key_values;
use serde_json::json;
use std::time::Duration;

/// Whether a run's rows come from a query and have not been read yet.
pub fn is_unread(env: &Env, run: &Run) -> bool {
    let is_read = run.cursor.as_ref().is_some_and(|cursor| cursor["read"] == true);
    run.kind != RunKind::Undo && matches!(env.activation.rows, Rows::Query { .. }) && !is_read
}

/// Reads the rows of a run's query and keeps them. What a try before this one left is forgotten first. A query that cannot be
/// used fails the run and says why; nothing counts as gone then.
pub async fn read(ctx: &Context, lease: &Lease, env: &Env, run: &Run) -> Result<(), FlowError> {
    let mut tx = begin(ctx, lease).await?;
    query_rows::forget(&mut tx, run.workspace_id, run.id).await?;
    query_rows::forget_left(&mut tx, run.workspace_id, run.activation_id).await?;
    tx.commit().await?;
    let done = keep_all(ctx, lease, env, run).await;
    let mut tx = begin(ctx, lease).await?;
    match done {
        Ok(()) => {
            let mut cursor = run.cursor.clone().unwrap_or_else(|| json!({}));
            cursor["read"] = true.into();
            db::push_run::advance(&mut tx, run.workspace_id, run.id, Some(&cursor), &run.counts).await?;
        }
        Err(Stop::Query(refusal)) => {
            conclude::end(&mut tx, run, RunState::Failed, Some(&refusal.in_a_line()), ctx.clock.now()).await?;
        }
        Err(Stop::Flow(error)) => return Err(error),
    }
    tx.commit().await?;
    Ok(())
}

async fn keep_all(ctx: &Context, lease: &Lease, env: &Env, run: &Run) -> Result<(), Stop> {
    let Some(mut reading) = Reading::open(ctx, run.workspace_id, &env.activation).await? else { return Ok(()) };
    let among = keys(run).map(|keys| key_values(&keys));
    held(ctx, lease, reading.start(among.as_deref())).await?;
    loop {
        ctx.may_go_on()?;
        let rows = held(ctx, lease, reading.next()).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut tx = begin(ctx, lease).await?;
        let kept = query_rows::keep(&mut tx, run.workspace_id, (run.id, run.activation_id), &rows).await;
        kept.map_err(FlowError::from)?;
        tx.commit().await.map_err(FlowError::from)?;
    }
}

/// Waits for a query, and holds the lease meanwhile.
async fn held<T>(ctx: &Context, lease: &Lease, query: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let third = Duration::from_millis(ctx.settings.worker.lease_secs * 333);
    let mut query = std::pin::pin!(query);
    loop {
        tokio::select! {
            done = &mut query => return done,
            () = ctx.clock.sleep(third) => begin(ctx, lease).await?.commit().await.map_err(FlowError::from)?,
            () = ctx.stop.cancelled() => return Err(Stop::Flow(FlowError::Stopped)),
        }
    }
}
