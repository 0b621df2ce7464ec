//! Table `dead_letter`: what could not be applied.

use super::Result;
use crate::model::batch::Refused;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};

/// A dead letter.
#[derive(Debug, Clone, FromRow)]
pub struct DeadLetter {
    /// Number.
    pub id: i64,
    /// The source.
    pub source_id: i64,
    /// The stream it came by.
    pub stream: String,
    /// Id of the record in the source.
    pub record_id: String,
    /// What was wrong.
    pub reason: String,
    /// The bytes.
    pub body: Option<Vec<u8>>,
    /// When it was first met.
    pub created_at: DateTime<Utc>,
    /// When it was last met.
    pub last_seen_at: DateTime<Utc>,
    /// How often.
    pub seen: i32,
}

/// Buries what was refused. The same letter again is counted; one that had been settled is opened again.
pub async fn bury(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    refused: &[Refused],
    now: DateTime<Utc>,
) -> Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let mut unique = std::collections::BTreeMap::new();
    for letter in refused {
        unique.insert((letter.stream, Sha256::digest(&letter.body).to_vec()), letter);
    }
    sqlx::query(
        "INSERT INTO dead_letter (workspace_id, source_id, stream, record_id, digest, reason, body, created_at, last_seen_at)
         SELECT $1, $2, t.*, $8, $8 FROM unnest($3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[]) t
         ON CONFLICT (workspace_id, source_id, stream, digest) DO UPDATE
         SET seen = dead_letter.seen + 1, last_seen_at = excluded.last_seen_at, reason = excluded.reason,
             resolved_at = CASE WHEN dead_letter.resolution = 'dismissed' THEN dead_letter.resolved_at END,
             resolution = CASE WHEN dead_letter.resolution = 'dismissed' THEN dead_letter.resolution END",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(unique.values().map(|letter| letter.stream).collect::<Vec<_>>())
    .bind(unique.values().map(|letter| letter.record_id.as_str()).collect::<Vec<_>>())
    .bind(unique.keys().map(|(_, digest)| digest.as_slice()).collect::<Vec<_>>())
    .bind(unique.values().map(|letter| letter.reason.as_str()).collect::<Vec<_>>())
    .bind(unique.values().map(|letter| letter.body.as_slice()).collect::<Vec<_>>())
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Open dead letters, newest first; of one source or of all.
pub async fn open(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: Option<i64>,
    limit: i64,
) -> Result<Vec<DeadLetter>> {
    sqlx::query_as(
        "SELECT id, source_id, stream, record_id, reason, NULL::bytea AS body, created_at, last_seen_at, seen FROM dead_letter
         WHERE workspace_id = $1 AND resolved_at IS NULL AND ($2::bigint IS NULL OR source_id = $2)
         ORDER BY last_seen_at DESC, id DESC LIMIT $3",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// One dead letter with its bytes.
pub async fn get(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<Option<DeadLetter>> {
    sqlx::query_as(
        "SELECT id, source_id, stream, record_id, reason, body, created_at, last_seen_at, seen FROM dead_letter
         WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .fetch_optional(db)
    .await
}

/// Settles dead letters: `applied`, `dismissed` or `superseded`. Answers how many were open.
pub async fn resolve(
    db: &mut PgConnection,
    workspace_id: i64,
    ids: &[i64],
    resolution: &str,
    now: DateTime<Utc>,
) -> Result<u64> {
    let settled = sqlx::query(
        "UPDATE dead_letter SET resolved_at = $4, resolution = $3 WHERE workspace_id = $1 AND id = ANY($2) AND resolved_at IS NULL",
    )
    .bind(workspace_id)
    .bind(ids)
    .bind(resolution)
    .bind(now)
    .execute(db)
    .await?;
    Ok(settled.rows_affected())
}

/// Open dead letters by source, for the metrics.
pub async fn open_counts(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "SELECT source_id, count(*) FROM dead_letter WHERE workspace_id = $1 AND resolved_at IS NULL GROUP BY source_id",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await
}

/// Removes settled letters, and open ones last met before a time.
pub async fn prune(db: &mut PgConnection, workspace_id: i64, before: DateTime<Utc>) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM dead_letter WHERE workspace_id = $1 AND coalesce(resolved_at, last_seen_at) < $2")
            .bind(workspace_id)
            .bind(before)
            .execute(db)
            .await?;
    Ok(gone.rows_affected())
}

/// Empties the bytes of letters about these users and tickets, whichever way they came: part of an erasure (C7, A7).
pub async fn erase(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    users: &[String],
    tickets: &[String],
) -> Result<u64> {
    let subjects: Vec<String> = users
        .iter()
        .map(|user| format!("zen:user:{user}"))
        .chain(tickets.iter().map(|ticket| format!("zen:ticket:{ticket}")))
        .collect();
    let gone = sqlx::query(
        "UPDATE dead_letter SET body = NULL
         WHERE workspace_id = $1 AND source_id = $2 AND body IS NOT NULL
           AND (stream IN ('users', 'deleted_users') AND record_id = ANY($3)
                OR stream = 'tickets' AND record_id = ANY($4)
                OR stream = 'webhooks'
                   AND substring(encode(body, 'escape') FROM '\"subject\"\\s*:\\s*\"(zen:[^\"]*)\"') = ANY($5)
                OR stream IN ('ticket_events', 'satisfaction', 'survey_responses')
                   AND (record_id = ANY($4)
                        OR substring(encode(body, 'escape') FROM '\"ticket_id\"\\s*:\\s*\"?([0-9]+)') = ANY($4)))",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(users)
    .bind(tickets)
    .bind(subjects)
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}

/// Which of these letters are open, and why.
pub async fn open_among(db: &mut PgConnection, workspace_id: i64, ids: &[i64]) -> Result<Vec<(i64, String)>> {
    sqlx::query_as(
        "SELECT id, reason FROM dead_letter WHERE workspace_id = $1 AND id = ANY($2) AND resolved_at IS NULL",
    )
    .bind(workspace_id)
    .bind(ids)
    .fetch_all(db)
    .await
}

/// How many letters [`prune`] would remove.
pub async fn count_before(db: &mut PgConnection, workspace_id: i64, before: DateTime<Utc>) -> Result<u64> {
    let sql = "SELECT count(*) FROM dead_letter WHERE workspace_id = $1 AND coalesce(resolved_at, last_seen_at) < $2";
    let count: i64 = sqlx::query_scalar(sql).bind(workspace_id).bind(before).fetch_one(db).await?;
    Ok(count as u64)
}
