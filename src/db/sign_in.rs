//! Table `sign_in`: sign-ins by browser that were begun, answered once at most.

use super::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// A sign-in as it is stored.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// What was sealed; None once it was answered.
    pub sealed: Option<Vec<u8>>,
    /// Until when an answer is taken.
    pub expires_at: DateTime<Utc>,
    /// When it was answered.
    pub answered_at: Option<DateTime<Utc>>,
}

/// Stores a sign-in that begins, and forgets those that ended before `forget`.
pub async fn begin(
    db: &mut PgConnection,
    state_digest: &[u8],
    workspace_id: i64,
    sealed: &[u8],
    times: (DateTime<Utc>, DateTime<Utc>),
    forget: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("DELETE FROM sign_in WHERE expires_at < $1").bind(forget).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO sign_in (state_digest, workspace_id, sealed, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(state_digest)
    .bind(workspace_id)
    .bind(sealed)
    .bind(times.0)
    .bind(times.1)
    .execute(db)
    .await?;
    Ok(())
}

/// The sign-in of one of these digests, which nobody else answers before this transaction ends.
pub async fn lock(db: &mut PgConnection, digests: &[Vec<u8>]) -> Result<Option<(Vec<u8>, SignIn)>> {
    let row = sqlx::query(
        "SELECT state_digest, sealed, expires_at, answered_at FROM sign_in WHERE state_digest = ANY($1) FOR UPDATE",
    )
    .bind(digests)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let sign_in = SignIn {
            sealed: row.get("sealed"),
            expires_at: row.get("expires_at"),
            answered_at: row.get("answered_at"),
        };
        (row.get("state_digest"), sign_in)
    }))
}

/// Takes the answer: there is no second one, and nothing secret stays.
pub async fn answer(db: &mut PgConnection, state_digest: &[u8], now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE sign_in SET answered_at = $2, sealed = NULL WHERE state_digest = $1")
        .bind(state_digest)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Says what became of it.
pub async fn conclude(db: &mut PgConnection, state_digest: &[u8], outcome: &Value) -> Result<()> {
    sqlx::query("UPDATE sign_in SET outcome = $2 WHERE state_digest = $1")
        .bind(state_digest)
        .bind(Json(outcome))
        .execute(db)
        .await?;
    Ok(())
}

/// What became of it, once that is known; the outer None when there is no such sign-in.
pub async fn outcome(db: &mut PgConnection, state_digest: &[u8]) -> Result<Option<Option<Value>>> {
    let row = sqlx::query("SELECT outcome FROM sign_in WHERE state_digest = $1")
        .bind(state_digest)
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| row.get::<Option<Json<Value>>, _>("outcome").map(|outcome| outcome.0)))
}
