//! Table `nobody`: records of users who stand for no person, so that they are not asked for again and again.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Notes records that stand for no person.
pub async fn note(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    record_ids: &[&str],
    now: DateTime<Utc>,
) -> Result<()> {
    if record_ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO nobody (workspace_id, source_id, record_id, noted_at)
         SELECT DISTINCT $1::bigint, $2::bigint, r, $4::timestamptz FROM unnest($3::text[]) r
         ON CONFLICT DO NOTHING",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(record_ids)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Which of these records stand for no person.
pub async fn among(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    record_ids: &[&str],
) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT record_id FROM nobody WHERE workspace_id = $1 AND source_id = $2 AND record_id = ANY($3)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(record_ids)
    .fetch_all(db)
    .await
}
