//! Table `run`: what each poll, import and prune did.

use super::Result;
use crate::model::batch::Counts;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};

/// A run that has ended.
pub struct Ended<'a> {
    /// poll, import or prune.
    pub kind: &'a str,
    /// The source.
    pub source_id: Option<i64>,
    /// The stream.
    pub stream: Option<&'a str>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What it did.
    pub counts: &'a Counts,
    /// Why it failed, if it did.
    pub error: Option<&'a str>,
}

/// Records a run.
pub async fn record(db: &mut PgConnection, run: &Ended<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO run (kind, source_id, stream, started_at, finished_at, outcome, counts, error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(run.kind)
    .bind(run.source_id)
    .bind(run.stream)
    .bind(run.started_at)
    .bind(run.finished_at)
    .bind(if run.error.is_some() { "failed" } else { "ok" })
    .bind(Json(run.counts))
    .bind(run.error)
    .execute(db)
    .await?;
    Ok(())
}

/// Removes runs that ended before a time.
pub async fn prune(db: &mut PgConnection, before: DateTime<Utc>) -> Result<u64> {
    Ok(sqlx::query("DELETE FROM run WHERE finished_at < $1").bind(before).execute(db).await?.rows_affected())
}

/// A run as it stands in the table.
#[derive(Debug, Clone, FromRow)]
pub struct Past {
    /// The stream.
    pub stream: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it did.
    pub counts: serde_json::Value,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Runs of a source that ended at or after a time, oldest first.
pub async fn of_source(db: &mut PgConnection, source_id: i64, since: DateTime<Utc>) -> Result<Vec<Past>> {
    sqlx::query_as(
        "SELECT stream, started_at, finished_at, counts, error FROM run WHERE source_id = $1 AND finished_at >= $2 ORDER BY id",
    )
    .bind(source_id)
    .bind(since)
    .fetch_all(db)
    .await
}

/// How many runs ended before a time.
pub async fn count_before(db: &mut PgConnection, before: DateTime<Utc>) -> Result<u64> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM run WHERE finished_at < $1").bind(before).fetch_one(db).await?;
    Ok(count as u64)
}
