//! Tables `tombstone` and `suppression`: who must not come back, and which addresses must not be written to.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// True when the workspace has any tombstone, so that the digests need be computed.
pub async fn any(db: &mut PgConnection, workspace_id: i64) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tombstone WHERE workspace_id = $1)")
        .bind(workspace_id)
        .fetch_one(db)
        .await
}

/// Which of these digests have a tombstone.
pub async fn load(db: &mut PgConnection, workspace_id: i64, digests: &[Vec<u8>]) -> Result<Vec<(String, Vec<u8>)>> {
    sqlx::query_as("SELECT kind, subject_hmac FROM tombstone WHERE workspace_id = $1 AND subject_hmac = ANY($2)")
        .bind(workspace_id)
        .bind(digests)
        .fetch_all(db)
        .await
}

/// Sets tombstones.
pub async fn set(
    db: &mut PgConnection,
    workspace_id: i64,
    stones: &[(&str, Vec<u8>)],
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let kinds: Vec<&str> = stones.iter().map(|(kind, _)| *kind).collect();
    let digests: Vec<&[u8]> = stones.iter().map(|(_, digest)| digest.as_slice()).collect();
    sqlx::query(
        "INSERT INTO tombstone (workspace_id, kind, subject_hmac, reason, created_at)
         SELECT $1, t.*, $4, $5 FROM unnest($2::text[], $3::bytea[]) t ON CONFLICT DO NOTHING",
    )
    .bind(workspace_id)
    .bind(kinds)
    .bind(digests)
    .bind(reason)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Lifts tombstones: an operator's explicit wish (C8). Answers how many there were.
pub async fn lift(db: &mut PgConnection, workspace_id: i64, digests: &[Vec<u8>]) -> Result<u64> {
    let gone = sqlx::query("DELETE FROM tombstone WHERE workspace_id = $1 AND subject_hmac = ANY($2)")
        .bind(workspace_id)
        .bind(digests)
        .execute(db)
        .await?;
    Ok(gone.rows_affected())
}

/// Which of these addresses are suppressed: channel and digest.
pub async fn suppressed(
    db: &mut PgConnection,
    workspace_id: i64,
    digests: &[Vec<u8>],
) -> Result<Vec<(String, Vec<u8>)>> {
    sqlx::query_as("SELECT channel, subject_hmac FROM suppression WHERE workspace_id = $1 AND subject_hmac = ANY($2)")
        .bind(workspace_id)
        .bind(digests)
        .fetch_all(db)
        .await
}

/// Suppresses addresses; survives the person (C6).
pub async fn suppress(
    db: &mut PgConnection,
    workspace_id: i64,
    addresses: &[(&str, Vec<u8>)],
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let channels: Vec<&str> = addresses.iter().map(|(channel, _)| *channel).collect();
    let digests: Vec<&[u8]> = addresses.iter().map(|(_, digest)| digest.as_slice()).collect();
    sqlx::query(
        "INSERT INTO suppression (workspace_id, channel, subject_hmac, reason, created_at)
         SELECT $1, t.*, $4, $5 FROM unnest($2::text[], $3::bytea[]) t ON CONFLICT DO NOTHING",
    )
    .bind(workspace_id)
    .bind(channels)
    .bind(digests)
    .bind(reason)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}
