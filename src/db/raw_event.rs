//! Tables `raw_event` and `raw_event_pending`: webhooks as they came, and which of them are not yet applied.

use super::Result;
use crate::model::raw_event::{Pending, Verified};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, Row};

/// Stores verified webhooks with one statement a table; repeats of what was stored the same day are left out.
/// Answers how many were new.
pub async fn store(db: &mut PgConnection, events: &[Verified]) -> Result<u64> {
    let workspaces: Vec<i64> = events.iter().map(|event| event.workspace_id).collect();
    let sources: Vec<i64> = events.iter().map(|event| event.source_id).collect();
    let days: Vec<NaiveDate> = events.iter().map(|event| event.received_at.date_naive()).collect();
    let ids: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    let types: Vec<Option<&str>> = events.iter().map(|event| event.event_type.as_deref()).collect();
    let received: Vec<DateTime<Utc>> = events.iter().map(|event| event.received_at).collect();
    let late: Vec<bool> = events.iter().map(|event| event.late).collect();
    let invocations: Vec<Option<&str>> = events.iter().map(|event| event.invocation_id.as_deref()).collect();
    let bodies: Vec<&[u8]> = events.iter().map(|event| event.body.as_slice()).collect();
    let stored = sqlx::query(
        "INSERT INTO raw_event (workspace_id, source_id, received_on, event_id, event_type, received_at, late, invocation_id, body)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::date[], $4::text[], $5::text[], $6::timestamptz[],
                              $7::bool[], $8::text[], $9::bytea[])
         ON CONFLICT (workspace_id, source_id, received_on, event_id) DO NOTHING
         RETURNING workspace_id, source_id, seq, received_on, event_id, received_at",
    )
    .bind(workspaces)
    .bind(sources)
    .bind(days)
    .bind(ids)
    .bind(types)
    .bind(received)
    .bind(late)
    .bind(invocations)
    .bind(bodies)
    .fetch_all(&mut *db)
    .await?;
    add_pending(db, &stored).await?;
    Ok(stored.len() as u64)
}

async fn add_pending(db: &mut PgConnection, rows: &[sqlx::postgres::PgRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |name: &'static str| rows.iter().map(move |row| row.get::<i64, _>(name)).collect::<Vec<i64>>();
    sqlx::query(
        "INSERT INTO raw_event_pending (workspace_id, source_id, seq, received_on, event_id, received_at)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::date[], $5::text[], $6::timestamptz[])",
    )
    .bind(column("workspace_id"))
    .bind(column("source_id"))
    .bind(column("seq"))
    .bind(rows.iter().map(|row| row.get::<NaiveDate, _>("received_on")).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.get::<String, _>("event_id")).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.get::<DateTime<Utc>, _>("received_at")).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Bytes of webhooks that are taken to be applied at a time: a batch of large ones must not fill the memory.
const MOST_BYTES: i64 = 8 * 1024 * 1024;

/// The oldest pending webhooks of a source, in order of arrival. One whose bytes are not there any more counts as erased.
pub async fn pending(db: &mut PgConnection, workspace_id: i64, source_id: i64, limit: i64) -> Result<Vec<Pending>> {
    let rows = sqlx::query(
        "SELECT seq, received_at, event_type, body FROM (
             SELECT p.seq, p.received_at, CASE WHEN e.body IS NULL THEN 'erased' ELSE e.event_type END AS event_type,
                    coalesce(e.body, '') AS body, sum(coalesce(octet_length(e.body), 0)) OVER (ORDER BY p.seq) AS bytes
             FROM (
                 SELECT seq, received_on, received_at, event_id FROM raw_event_pending
                 WHERE workspace_id = $1 AND source_id = $2 ORDER BY seq LIMIT $3) p
             LEFT JOIN LATERAL (
                 SELECT event_type, body FROM raw_event
                 WHERE workspace_id = $1 AND source_id = $2 AND received_on = p.received_on AND event_id = p.event_id LIMIT 1) e
                 ON true) t
         WHERE bytes - octet_length(body) < $4
         ORDER BY seq",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(limit)
    .bind(MOST_BYTES)
    .fetch_all(db)
    .await?;
    let pending = |row: &sqlx::postgres::PgRow| Pending {
        seq: row.get("seq"),
        received_at: row.get("received_at"),
        event_type: row.get("event_type"),
        body: row.get("body"),
    };
    Ok(rows.iter().map(pending).collect())
}

/// The receipt: these were applied.
pub async fn applied(db: &mut PgConnection, workspace_id: i64, source_id: i64, seqs: &[i64]) -> Result<()> {
    // The span keeps the statement to the batch's part of the index, whatever Postgres thinks of the table's size.
    sqlx::query(
        "DELETE FROM raw_event_pending
         WHERE workspace_id = $1 AND source_id = $2 AND seq BETWEEN $4 AND $5 AND seq = ANY($3)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(seqs)
    .bind(seqs.iter().min())
    .bind(seqs.iter().max())
    .execute(db)
    .await?;
    Ok(())
}

/// True when a source has webhooks that are not yet applied.
pub async fn has_pending(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM raw_event_pending WHERE workspace_id = $1 AND source_id = $2)")
        .bind(workspace_id)
        .bind(source_id)
        .fetch_one(db)
        .await
}

/// Makes stored webhooks pending again, from `since` on. Answers how many.
pub async fn replay(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<u64> {
    let again = sqlx::query(
        "INSERT INTO raw_event_pending (workspace_id, source_id, seq, received_on, event_id, received_at)
         SELECT workspace_id, source_id, seq, received_on, event_id, received_at FROM raw_event
         WHERE workspace_id = $1 AND source_id = $2 AND received_on >= $3 AND received_at >= $4 AND received_at < $5
           AND event_type IS DISTINCT FROM 'erased'
         ON CONFLICT (workspace_id, source_id, seq) DO NOTHING",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(since.date_naive())
    .bind(since)
    .bind(until)
    .execute(db)
    .await?;
    Ok(again.rows_affected())
}

/// Counts of a source: received, pending.
pub async fn counts(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<(i64, i64)> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM raw_event WHERE workspace_id = $1 AND source_id = $2),
                (SELECT count(*) FROM raw_event_pending WHERE workspace_id = $1 AND source_id = $2)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_one(db)
    .await
}

/// When the oldest pending webhook of each source was received, for the metrics.
pub async fn oldest_pending(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<(i64, DateTime<Utc>)>> {
    sqlx::query_as(
        "SELECT source_id, min(received_at) FROM raw_event_pending WHERE workspace_id = $1 GROUP BY source_id",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await
}

/// Type of an event whose bytes were erased: there is nothing left of it to apply.
pub const ERASED: &str = "erased";

/// Empties the stored bytes of webhooks about one of the subjects: part of an erasure (A7, C7). A ticket's own subject stands
/// under the same name, so it is asked of each that looks like a record's.
pub async fn erase(db: &mut PgConnection, workspace_id: i64, source_id: i64, subjects: &[String]) -> Result<u64> {
    if subjects.is_empty() {
        return Ok(0);
    }
    let gone = sqlx::query(
        "UPDATE raw_event SET body = ''::bytea, event_type = 'erased'
         WHERE workspace_id = $1 AND source_id = $2
           AND EXISTS (
               SELECT 1 FROM regexp_matches(encode(body, 'escape'), '\"subject\"\\s*:\\s*\"(zen:[a-z]+:[^\"]*)\"', 'g') m
               WHERE m[1] = ANY($3))",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(subjects)
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}

/// True when nothing of a day is still pending.
pub async fn is_settled(db: &mut PgConnection, day: NaiveDate) -> Result<bool> {
    sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM raw_event_pending WHERE received_on = $1)")
        .bind(day)
        .fetch_one(db)
        .await
}
