//! Table `push_run`: runs of activations.

use super::Result;
use crate::model::push::{RunCounts, RunKind, RunState};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row};

/// A run, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The workspace.
    pub workspace_id: i64,
    /// Its number.
    pub id: i64,
    /// The activation.
    pub activation_id: i64,
    /// The source that is written to.
    pub source_id: i64,
    /// What it does.
    pub kind: RunKind,
    /// How far it is.
    pub state: RunState,
    /// The activation's file as it was when the run began.
    pub definition: Value,
    /// Up to which stage its records may be sent.
    pub stage: i16,
    /// How far planning has come through the rows; `{"keys": [rows]}` limits it to these.
    pub cursor: Option<Value>,
    /// The run that it undoes.
    pub undoes: Option<i64>,
    /// What it counted.
    pub counts: RunCounts,
    /// What it waits for, in words.
    pub asks: Option<String>,
    /// Why it failed or was stopped.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When all rows had been looked at.
    pub planned_at: Option<DateTime<Utc>>,
    /// When every record had its result.
    pub ended_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for Run {
    fn from_row(row: &PgRow) -> Result<Run> {
        let unknown = |what: &str, word: &str| super::Error::Decode(format!("{word:?} is no {what} of a run").into());
        let (kind, state): (&str, &str) = (row.try_get("kind")?, row.try_get("state")?);
        Ok(Run {
            workspace_id: row.try_get("workspace_id")?,
            id: row.try_get("id")?,
            activation_id: row.try_get("activation_id")?,
            source_id: row.try_get("source_id")?,
            kind: RunKind::parse(kind).ok_or_else(|| unknown("kind", kind))?,
            state: RunState::parse(state).ok_or_else(|| unknown("state", state))?,
            definition: row.try_get("definition")?,
            stage: row.try_get("stage")?,
            cursor: row.try_get("cursor")?,
            undoes: row.try_get("undoes")?,
            counts: row.try_get::<Json<RunCounts>, _>("counts")?.0,
            asks: row.try_get("asks")?,
            error: row.try_get("error")?,
            started_at: row.try_get("started_at")?,
            planned_at: row.try_get("planned_at")?,
            ended_at: row.try_get("ended_at")?,
        })
    }
}

/// A run that begins.
#[derive(Debug)]
pub struct New<'a> {
    /// The activation.
    pub activation_id: i64,
    /// The source that is written to.
    pub source_id: i64,
    /// What it does.
    pub kind: RunKind,
    /// Where it begins.
    pub state: RunState,
    /// The activation's file.
    pub definition: &'a Value,
    /// Up to which stage its records may be sent.
    pub stage: i16,
    /// The run that it undoes.
    pub undoes: Option<i64>,
}

/// Begins a run. Answers with it.
pub async fn begin(db: &mut PgConnection, workspace_id: i64, new: &New<'_>, now: DateTime<Utc>) -> Result<Run> {
    sqlx::query_as(
        "INSERT INTO push_run (workspace_id, activation_id, source_id, kind, state, definition, stage, undoes, counts, started_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', $9) RETURNING *",
    )
    .bind(workspace_id)
    .bind(new.activation_id)
    .bind(new.source_id)
    .bind(new.kind.as_str())
    .bind(new.state.as_str())
    .bind(new.definition)
    .bind(new.stage)
    .bind(new.undoes)
    .bind(now)
    .fetch_one(db)
    .await
}

/// A run.
pub async fn load(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<Option<Run>> {
    sqlx::query_as("SELECT * FROM push_run WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .fetch_optional(db)
        .await
}

/// A run, which nobody else moves on until this transaction ends, since it is written.
pub async fn hold(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<Option<Run>> {
    sqlx::query_as("UPDATE push_run SET stage = stage WHERE workspace_id = $1 AND id = $2 RETURNING *")
        .bind(workspace_id)
        .bind(id)
        .fetch_optional(db)
        .await
}

/// The latest runs, of one activation or of all, newest first.
pub async fn latest(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: Option<i64>,
    limit: i64,
) -> Result<Vec<Run>> {
    sqlx::query_as(
        "SELECT * FROM push_run WHERE workspace_id = $1 AND ($2::bigint IS NULL OR activation_id = $2) ORDER BY id DESC LIMIT $3",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Runs of a source for which the daemon has something to do, oldest first.
pub async fn active(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<Vec<Run>> {
    sqlx::query_as(
        "SELECT * FROM push_run WHERE workspace_id = $1 AND source_id = $2 AND state IN ('planning', 'reading', 'sending') ORDER BY id",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_all(db)
    .await
}

/// The latest run of a kind that has not ended, if there is one.
pub async fn unended(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: i64,
    kind: RunKind,
) -> Result<Option<Run>> {
    sqlx::query_as(
        "SELECT * FROM push_run WHERE workspace_id = $1 AND activation_id = $2 AND kind = $3 AND ended_at IS NULL
         ORDER BY id DESC LIMIT 1",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(kind.as_str())
    .fetch_optional(db)
    .await
}

/// The run of what changes that has not ended, if there is one.
pub async fn open_always(db: &mut PgConnection, workspace_id: i64, activation_id: i64) -> Result<Option<Run>> {
    unended(db, workspace_id, activation_id, RunKind::Always).await
}

/// Records how far planning has come. Belongs into the transaction of the records it stands for (invariant 3).
pub async fn advance(
    db: &mut PgConnection,
    workspace_id: i64,
    id: i64,
    cursor: Option<&Value>,
    counts: &RunCounts,
) -> Result<()> {
    sqlx::query("UPDATE push_run SET cursor = $3, counts = $4 WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .bind(cursor)
        .bind(Json(counts))
        .execute(db)
        .await?;
    Ok(())
}

/// What a run moves on to.
#[derive(Debug)]
pub struct Step<'a> {
    /// The new state.
    pub state: RunState,
    /// Up to which stage its records may be sent.
    pub stage: i16,
    /// What it counted.
    pub counts: &'a RunCounts,
    /// What it waits for, in words.
    pub asks: Option<&'a str>,
    /// Why it failed or was stopped.
    pub error: Option<&'a str>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Moves a run on from a state. False when it is in that state no longer: then somebody else has decided.
pub async fn step(db: &mut PgConnection, run: &Run, step: &Step<'_>) -> Result<bool> {
    let ends = matches!(step.state, RunState::Done | RunState::Failed | RunState::Stopped);
    let planned = run.state == RunState::Planning && step.state != RunState::Failed && step.state != RunState::Stopped;
    let moved = sqlx::query(
        "UPDATE push_run SET state = $4, stage = $5, counts = $6, asks = $7, error = $8, by_hand = false,
                planned_at = CASE WHEN $9 THEN $11 ELSE planned_at END, ended_at = CASE WHEN $10 THEN $11::timestamptz END
         WHERE workspace_id = $1 AND id = $2 AND state = $3",
    )
    .bind(run.workspace_id)
    .bind(run.id)
    .bind(run.state.as_str())
    .bind(step.state.as_str())
    .bind(step.stage)
    .bind(Json(step.counts))
    .bind(step.asks)
    .bind(step.error)
    .bind(planned)
    .bind(ends)
    .bind(step.now)
    .execute(db)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Notes that an operator stopped a run, so that nobody needs to be told.
pub async fn set_by_hand(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<()> {
    sqlx::query("UPDATE push_run SET by_hand = true WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .execute(db)
        .await?;
    Ok(())
}

/// Removes runs that ended before a time, with their records. Answers how many; at most `limit`.
pub async fn prune(db: &mut PgConnection, workspace_id: i64, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM push_run WHERE workspace_id = $1 AND ended_at < $2 ORDER BY ended_at LIMIT $3",
    )
    .bind(workspace_id)
    .bind(before)
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    for sql in [
        "DELETE FROM push_record WHERE workspace_id = $1 AND run_id = ANY($2)",
        "DELETE FROM push_job WHERE workspace_id = $1 AND run_id = ANY($2)",
        "DELETE FROM query_row WHERE workspace_id = $1 AND run_id = ANY($2)",
        "DELETE FROM push_run WHERE workspace_id = $1 AND id = ANY($2)",
    ] {
        sqlx::query(sql).bind(workspace_id).bind(&ids).execute(&mut *db).await?;
    }
    Ok(ids.len() as u64)
}

/// How many runs ended before a time.
pub async fn count_before(db: &mut PgConnection, workspace_id: i64, before: DateTime<Utc>) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM push_run WHERE workspace_id = $1 AND ended_at < $2")
        .bind(workspace_id)
        .bind(before)
        .fetch_one(db)
        .await?;
    Ok(count as u64)
}
