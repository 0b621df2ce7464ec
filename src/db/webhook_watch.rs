//! Table `webhook_watch`: our webhook as it was last found, and when it is looked at next.

use super::Result;
use crate::model::watch::Watch;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

/// Makes sure that a source's webhook is looked at; what is known of it already stays, and repairs are counted anew.
pub async fn ensure(db: &mut PgConnection, source_id: i64, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO webhook_watch (source_id, due_at) VALUES ($1, $2)
         ON CONFLICT (source_id) DO UPDATE SET due_at = excluded.due_at, repairs = 0, repairs_since = NULL",
    )
    .bind(source_id)
    .bind(due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Brings the next look forward, unless the last one was after `unless_since`.
pub async fn bring_forward(
    db: &mut PgConnection,
    source_id: i64,
    due_at: DateTime<Utc>,
    unless_since: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE webhook_watch SET due_at = least(due_at, $2)
         WHERE source_id = $1 AND (checked_at IS NULL OR checked_at <= $3)",
    )
    .bind(source_id)
    .bind(due_at)
    .bind(unless_since)
    .execute(db)
    .await?;
    Ok(())
}

/// What is known of a source's webhook.
pub async fn get(db: &mut PgConnection, source_id: i64) -> Result<Option<Watch>> {
    let row =
        sqlx::query("SELECT * FROM webhook_watch WHERE source_id = $1").bind(source_id).fetch_optional(db).await?;
    Ok(row.as_ref().map(watch_of))
}

/// What is known of all webhooks, with their sources.
pub async fn all(db: &mut PgConnection) -> Result<Vec<(i64, Watch)>> {
    let rows = sqlx::query("SELECT * FROM webhook_watch ORDER BY source_id").fetch_all(db).await?;
    Ok(rows.iter().map(|row| (row.get("source_id"), watch_of(row))).collect())
}

fn watch_of(row: &sqlx::postgres::PgRow) -> Watch {
    Watch {
        checked_at: row.get("checked_at"),
        problem: row.get("problem"),
        remedy: row.get("remedy"),
        since: row.get("since"),
        repaired: row.get("repaired"),
        repaired_at: row.get("repaired_at"),
        repairs: row.get("repairs"),
        repairs_since: row.get("repairs_since"),
        log_through: row.get("log_through"),
        arrived: row.get("arrived"),
        failed: row.get("failed"),
        held: row.get("held"),
        recovered: row.get("recovered"),
        rotating_since: row.get("rotating_since"),
    }
}

/// Records what was found, and when to look again.
pub async fn record(db: &mut PgConnection, source_id: i64, watch: &Watch, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE webhook_watch SET due_at = $2, checked_at = $3, problem = $4, remedy = $5, since = $6, repaired = $7,
             repaired_at = $8, repairs = $9, repairs_since = $10, log_through = $11, arrived = $12, failed = $13, held = $14,
             recovered = $15
         WHERE source_id = $1",
    )
    .bind(source_id)
    .bind(due_at)
    .bind(watch.checked_at)
    .bind(&watch.problem)
    .bind(&watch.remedy)
    .bind(watch.since)
    .bind(&watch.repaired)
    .bind(watch.repaired_at)
    .bind(watch.repairs)
    .bind(watch.repairs_since)
    .bind(watch.log_through)
    .bind(watch.arrived)
    .bind(watch.failed)
    .bind(watch.held)
    .bind(watch.recovered)
    .execute(db)
    .await?;
    Ok(())
}

/// Sets when to look again, and nothing else.
pub async fn set_due_at(db: &mut PgConnection, source_id: i64, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE webhook_watch SET due_at = $2 WHERE source_id = $1")
        .bind(source_id)
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Says that the signing secret is being replaced since a time, or no longer.
pub async fn set_rotating(db: &mut PgConnection, source_id: i64, since: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query("UPDATE webhook_watch SET rotating_since = $2 WHERE source_id = $1")
        .bind(source_id)
        .bind(since)
        .execute(db)
        .await?;
    Ok(())
}
