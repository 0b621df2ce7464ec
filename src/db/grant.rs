//! Table `source_grant`: the tokens of a source, renewed by one daemon at a time. A pair follows only on the one it was
//! got with: `version` says on which.

use super::Result;
use crate::model::grant::{Grant, Pair};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

const COLUMNS: &str =
    "source_id, version, tokens, renew_at, access_expires_at, refresh_expires_at, refreshing_since, leased_until,
    next_try_at, failures, error, lost_at, granted_at";

fn grant_of(row: &sqlx::postgres::PgRow) -> Grant {
    Grant {
        source_id: row.get("source_id"),
        version: row.get("version"),
        tokens: row.get("tokens"),
        renew_at: row.get("renew_at"),
        access_expires_at: row.get("access_expires_at"),
        refresh_expires_at: row.get("refresh_expires_at"),
        refreshing_since: row.get("refreshing_since"),
        leased_until: row.get("leased_until"),
        next_try_at: row.get("next_try_at"),
        failures: row.get("failures"),
        error: row.get("error"),
        lost_at: row.get("lost_at"),
        granted_at: row.get("granted_at"),
    }
}

/// The grant of a source.
pub async fn get(db: &mut PgConnection, source_id: i64) -> Result<Option<Grant>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM source_grant WHERE source_id = $1"));
    Ok(sqlx::query(sql).bind(source_id).fetch_optional(db).await?.as_ref().map(grant_of))
}

/// All grants.
pub async fn all(db: &mut PgConnection) -> Result<Vec<Grant>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM source_grant ORDER BY source_id"));
    Ok(sqlx::query(sql).fetch_all(db).await?.iter().map(grant_of).collect())
}

/// The grant of a source, which nobody else changes before this transaction ends.
pub async fn lock(db: &mut PgConnection, source_id: i64) -> Result<Option<Grant>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM source_grant WHERE source_id = $1 FOR UPDATE"));
    Ok(sqlx::query(sql).bind(source_id).fetch_optional(db).await?.as_ref().map(grant_of))
}

/// Stores the pair of a new sign-in; a renewal of the former that is under way finds it gone.
pub async fn put(db: &mut PgConnection, source_id: i64, pair: &Pair, sealed: &[u8], now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO source_grant (source_id, version, tokens, renew_at, access_expires_at, refresh_expires_at, granted_at, updated_at)
         VALUES ($1, 1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (source_id) DO UPDATE SET version = source_grant.version + 1, tokens = $2, renew_at = $3,
             access_expires_at = $4, refresh_expires_at = $5, refreshing_since = NULL, leased_until = NULL, next_try_at = NULL,
             failures = 0, error = NULL, lost_at = NULL, warned_at = NULL, granted_at = $6, updated_at = $6",
    )
    .bind(source_id)
    .bind(sealed)
    .bind(pair.renew_at())
    .bind(pair.access_expires_at)
    .bind(pair.refresh_expires_at)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes, before Zendesk is asked, that this pair may be renewed from now on, and takes the lease.
pub async fn intend(
    db: &mut PgConnection,
    source_id: i64,
    version: i64,
    now: DateTime<Utc>,
    leased_until: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE source_grant SET refreshing_since = coalesce(refreshing_since, $3), leased_until = $4, updated_at = $3
         WHERE source_id = $1 AND version = $2",
    )
    .bind(source_id)
    .bind(version)
    .bind(now)
    .bind(leased_until)
    .execute(db)
    .await?;
    Ok(())
}

/// Stores the pair that follows on `version`, even when somebody thinks that one lost. False when there is another by now.
pub async fn renewed(
    db: &mut PgConnection,
    source_id: i64,
    version: i64,
    pair: &Pair,
    sealed: &[u8],
    now: DateTime<Utc>,
) -> Result<bool> {
    let stored = sqlx::query(
        "UPDATE source_grant SET version = version + 1, tokens = $3, renew_at = $4, access_expires_at = $5, refresh_expires_at = $6,
             refreshing_since = NULL, leased_until = NULL, next_try_at = NULL, failures = 0, error = NULL, lost_at = NULL,
             warned_at = NULL, updated_at = $7
         WHERE source_id = $1 AND version = $2",
    )
    .bind(source_id)
    .bind(version)
    .bind(sealed)
    .bind(pair.renew_at())
    .bind(pair.access_expires_at)
    .bind(pair.refresh_expires_at)
    .bind(now)
    .execute(db)
    .await?;
    Ok(stored.rows_affected() == 1)
}

/// Gives the lease back after a renewal that failed. `untouched`: Zendesk has certainly not renewed the pair.
pub async fn failed(
    db: &mut PgConnection,
    grant: &Grant,
    error: &str,
    untouched: bool,
    next_try_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE source_grant SET leased_until = NULL, next_try_at = $3, failures = failures + 1, error = $4, updated_at = $6,
             refreshing_since = CASE WHEN $5 THEN NULL ELSE refreshing_since END
         WHERE source_id = $1 AND version = $2 AND lost_at IS NULL",
    )
    .bind(grant.source_id)
    .bind(grant.version)
    .bind(next_try_at)
    .bind(error)
    .bind(untouched)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Marks the pair as lost: Zendesk refuses its refresh token. False when there is another pair by now, or it was known.
pub async fn lost(
    db: &mut PgConnection,
    source_id: i64,
    version: i64,
    error: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let marked = sqlx::query(
        "UPDATE source_grant SET lost_at = $3, error = $4, leased_until = NULL, next_try_at = NULL, updated_at = $3
         WHERE source_id = $1 AND version = $2 AND lost_at IS NULL",
    )
    .bind(source_id)
    .bind(version)
    .bind(now)
    .bind(error)
    .execute(db)
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// Takes the day's warning about a source. False when it was given already, by any daemon.
pub async fn take_warning(
    db: &mut PgConnection,
    source_id: i64,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let taken = sqlx::query(
        "UPDATE source_grant SET warned_at = $3 WHERE source_id = $1 AND (warned_at IS NULL OR warned_at <= $2)",
    )
    .bind(source_id)
    .bind(since)
    .bind(now)
    .execute(db)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Replaces what is sealed by the same, sealed under the present key.
pub async fn reseal(db: &mut PgConnection, grant: &Grant, sealed: &[u8]) -> Result<()> {
    sqlx::query("UPDATE source_grant SET tokens = $3 WHERE source_id = $1 AND version = $2")
        .bind(grant.source_id)
        .bind(grant.version)
        .bind(sealed)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets the grant of a source.
pub async fn remove(db: &mut PgConnection, source_id: i64) -> Result<()> {
    sqlx::query("DELETE FROM source_grant WHERE source_id = $1").bind(source_id).execute(db).await?;
    Ok(())
}
