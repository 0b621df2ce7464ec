//! Table `checkpoint`: how far each stream has been read.

use super::Result;
use crate::model::stream::{Checkpoint, Stream};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

/// Makes the checkpoints of a source's streams, due at once; those that exist are left as they are.
pub async fn ensure(
    db: &mut PgConnection,
    source_id: i64,
    streams: &[Stream],
    page_size: i32,
    due_at: DateTime<Utc>,
) -> Result<()> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    sqlx::query(
        "INSERT INTO checkpoint (source_id, stream, page_size, due_at) SELECT $1, s, $3, $4 FROM unnest($2::text[]) s
         ON CONFLICT (source_id, stream) DO NOTHING",
    )
    .bind(source_id)
    .bind(names)
    .bind(page_size)
    .bind(due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// All checkpoints of a source, in the order of a first sync.
pub async fn of_source(db: &mut PgConnection, source_id: i64) -> Result<Vec<Checkpoint>> {
    let rows = sqlx::query("SELECT * FROM checkpoint WHERE source_id = $1").bind(source_id).fetch_all(db).await?;
    let mut all: Vec<Checkpoint> = rows.iter().filter_map(checkpoint_of).collect();
    all.sort_by_key(|checkpoint| checkpoint.stream);
    Ok(all)
}

/// One checkpoint.
pub async fn get(db: &mut PgConnection, source_id: i64, stream: Stream) -> Result<Option<Checkpoint>> {
    let row = sqlx::query("SELECT * FROM checkpoint WHERE source_id = $1 AND stream = $2")
        .bind(source_id)
        .bind(stream.as_str())
        .fetch_optional(db)
        .await?;
    Ok(row.as_ref().and_then(checkpoint_of))
}

fn checkpoint_of(row: &sqlx::postgres::PgRow) -> Option<Checkpoint> {
    Some(Checkpoint {
        stream: Stream::parse(row.get("stream"))?,
        cursor: row.get("cursor"),
        read_through: row.get("read_through"),
        due_at: row.get("due_at"),
        caught_up_at: row.get("caught_up_at"),
        first_caught_up_at: row.get("first_caught_up_at"),
        page_size: row.get("page_size"),
        failures: row.get("failures"),
        error: row.get("error"),
        remedy: row.get("remedy"),
    })
}

/// How far a page has brought a stream. A cursor is never replaced by nothing.
pub struct Progress<'a> {
    /// The new cursor, if there is one.
    pub cursor: Option<&'a str>,
    /// Time of the newest record read, if there was one.
    pub read_through: Option<DateTime<Utc>>,
    /// Page size from now on.
    pub page_size: i32,
    /// Now.
    pub now: DateTime<Utc>,
    /// Set when the end was reached: when the stream is read next.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// Records progress. Belongs into the transaction of the rows it stands for (invariant 3).
pub async fn advance(db: &mut PgConnection, source_id: i64, stream: Stream, progress: &Progress<'_>) -> Result<()> {
    sqlx::query(
        "UPDATE checkpoint SET cursor = coalesce($3, cursor), read_through = greatest($4, read_through), page_size = $5,
             last_run_at = $6, failures = 0, error = NULL, remedy = NULL,
             due_at = CASE WHEN $7::timestamptz IS NULL THEN due_at ELSE $7 END,
             caught_up_at = CASE WHEN $7::timestamptz IS NULL THEN caught_up_at ELSE $6 END,
             first_caught_up_at = CASE WHEN $7::timestamptz IS NULL THEN first_caught_up_at ELSE coalesce(first_caught_up_at, $6) END
         WHERE source_id = $1 AND stream = $2",
    )
    .bind(source_id)
    .bind(stream.as_str())
    .bind(progress.cursor)
    .bind(progress.read_through)
    .bind(progress.page_size)
    .bind(progress.now)
    .bind(progress.next_due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Records a failed run: why, what to do about it, and when it is tried again.
pub async fn fail(
    db: &mut PgConnection,
    source_id: i64,
    stream: Stream,
    error: &str,
    remedy: &str,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE checkpoint SET failures = failures + 1, error = $3, remedy = $4, last_run_at = $5, due_at = $6
         WHERE source_id = $1 AND stream = $2",
    )
    .bind(source_id)
    .bind(stream.as_str())
    .bind(error)
    .bind(remedy)
    .bind(now)
    .bind(due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Brings streams forward; those that are not read stay so.
pub async fn set_due(db: &mut PgConnection, source_id: i64, streams: &[Stream], due_at: DateTime<Utc>) -> Result<()> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    sqlx::query("UPDATE checkpoint SET due_at = least(due_at, $3) WHERE source_id = $1 AND stream = ANY($2) AND due_at IS NOT NULL")
        .bind(source_id)
        .bind(names)
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Starts streams over from `since`: the cursor is dropped, what follows is read again. Those that are not read stay so.
pub async fn rewind(
    db: &mut PgConnection,
    source_id: i64,
    streams: &[Stream],
    since: Option<DateTime<Utc>>,
    due_at: DateTime<Utc>,
) -> Result<()> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    sqlx::query(
        "UPDATE checkpoint SET cursor = NULL, read_through = $3, due_at = $4
         WHERE source_id = $1 AND stream = ANY($2) AND due_at IS NOT NULL",
    )
    .bind(source_id)
    .bind(names)
    .bind(since)
    .bind(due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Age of each stream's last full reading, for the metrics: source, stream, seconds.
pub async fn freshness(db: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<(String, String, f64)>> {
    sqlx::query_as(
        "SELECT s.name, c.stream, extract(epoch FROM $1 - c.caught_up_at)::float8
         FROM checkpoint c JOIN source s ON s.id = c.source_id
         WHERE c.caught_up_at IS NOT NULL AND s.state IN ('syncing', 'connected')",
    )
    .bind(now)
    .fetch_all(db)
    .await
}

/// Sets when one stream is read next, sooner or later than it was.
pub async fn set_due_at(db: &mut PgConnection, source_id: i64, stream: Stream, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE checkpoint SET due_at = $3 WHERE source_id = $1 AND stream = $2")
        .bind(source_id)
        .bind(stream.as_str())
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Streams that are not read any more.
pub async fn unschedule(db: &mut PgConnection, source_id: i64, streams: &[Stream]) -> Result<()> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    sqlx::query(
        "UPDATE checkpoint SET due_at = NULL, error = NULL, remedy = NULL WHERE source_id = $1 AND stream = ANY($2)",
    )
    .bind(source_id)
    .bind(names)
    .execute(db)
    .await?;
    Ok(())
}

/// Streams that are read again after they were not.
pub async fn schedule(db: &mut PgConnection, source_id: i64, streams: &[Stream], due_at: DateTime<Utc>) -> Result<()> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    sqlx::query("UPDATE checkpoint SET due_at = $3 WHERE source_id = $1 AND stream = ANY($2) AND due_at IS NULL")
        .bind(source_id)
        .bind(names)
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}
