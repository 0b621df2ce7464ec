//! Table `push_job`: calls that change records in Zendesk, each stored before it is sent.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

/// A call that has not ended.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// The run.
    pub run_id: i64,
    /// What is called.
    pub call: String,
    /// `stored`, `sent` or `unknown`.
    pub state: String,
    /// How many records it has.
    pub records: i32,
    /// Id of the job in Zendesk.
    pub remote_job: Option<String>,
    /// What went wrong with it as a whole.
    pub remedy: Option<String>,
    /// When it was stored.
    pub stored_at: DateTime<Utc>,
    /// When Zendesk took it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When Zendesk was last asked about it.
    pub polled_at: Option<DateTime<Utc>>,
}

impl Job {
    /// The last that was heard of it.
    pub fn last_seen(&self) -> DateTime<Utc> {
        [Some(self.stored_at), self.sent_at, self.polled_at].into_iter().flatten().max().unwrap_or(self.stored_at)
    }
}

/// Stores a call before it is sent. Answers its number.
pub async fn store(
    db: &mut PgConnection,
    workspace_id: i64,
    (run_id, source_id): (i64, i64),
    call: &str,
    records: usize,
    now: DateTime<Utc>,
) -> Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO push_job (workspace_id, run_id, source_id, call, state, records, stored_at)
         VALUES ($1, $2, $3, $4, 'stored', $5, $6) RETURNING id",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(source_id)
    .bind(call)
    .bind(i32::try_from(records).unwrap_or(i32::MAX))
    .bind(now)
    .fetch_one(db)
    .await
}

/// Zendesk took the call and works on it as this job.
pub async fn sent(
    db: &mut PgConnection,
    workspace_id: i64,
    id: i64,
    remote_job: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE push_job SET state = 'sent', remote_job = $3, sent_at = $4 WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(remote_job)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Nobody knows what became of the call, and why: it is settled by reading.
pub async fn unknown(
    db: &mut PgConnection,
    workspace_id: i64,
    id: i64,
    remedy: &str,
    seen_at: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query(
        "UPDATE push_job SET state = 'unknown', remedy = $3, polled_at = coalesce($4, polled_at) WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(remedy)
    .bind(seen_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Zendesk still works on these calls.
pub async fn seen(db: &mut PgConnection, workspace_id: i64, ids: &[i64], now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE push_job SET polled_at = $3 WHERE workspace_id = $1 AND id = ANY($2)")
        .bind(workspace_id)
        .bind(ids)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Every record of the call has its result, or has gone back.
pub async fn end(
    db: &mut PgConnection,
    workspace_id: i64,
    id: i64,
    remedy: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE push_job SET state = 'done', remedy = coalesce($3, remedy), ended_at = $4 WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(remedy)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// The calls of a source that have not ended, in their order.
pub async fn open(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<Vec<Job>> {
    sqlx::query_as(
        "SELECT id, run_id, call, state, records, remote_job, remedy, stored_at, sent_at, polled_at FROM push_job
         WHERE workspace_id = $1 AND source_id = $2 AND ended_at IS NULL ORDER BY id",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_all(db)
    .await
}

/// When calls of a source were stored after a time, and how many records they have: for the pace.
pub async fn since(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    after: DateTime<Utc>,
) -> Result<Vec<(DateTime<Utc>, i32)>> {
    sqlx::query_as(
        "SELECT stored_at, records FROM push_job WHERE workspace_id = $1 AND source_id = $2 AND stored_at > $3 ORDER BY stored_at",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(after)
    .fetch_all(db)
    .await
}

/// How many jobs of a source were under way when Zendesk last took one, if that was after a time.
pub async fn last_known(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    after: DateTime<Utc>,
) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM push_job o WHERE o.workspace_id = $1 AND o.source_id = $2 AND o.sent_at IS NOT NULL
                    AND (o.ended_at IS NULL OR o.ended_at > j.sent_at))
         FROM push_job j WHERE j.workspace_id = $1 AND j.source_id = $2 AND j.sent_at > $3 ORDER BY j.sent_at DESC LIMIT 1",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(after)
    .fetch_optional(db)
    .await
}

/// When a call of a source was last refused with these words, if that was after a time.
pub async fn refused(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    remedy: &str,
    after: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar(
        "SELECT max(stored_at) FROM push_job WHERE workspace_id = $1 AND source_id = $2 AND stored_at > $4 AND remedy = $3",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(remedy)
    .bind(after)
    .fetch_one(db)
    .await
}

/// A call as JSON, to be shown.
pub async fn show(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<Option<serde_json::Value>> {
    sqlx::query_scalar("SELECT to_jsonb(j) FROM push_job j WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .fetch_optional(db)
        .await
}
