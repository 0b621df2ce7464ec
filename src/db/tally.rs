//! What is counted of a source for people to read. Reads only.

use super::Result;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// How many activities of a source there are by day since a time, and how many there are at all.
pub async fn activities_by_day(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    since: DateTime<Utc>,
) -> Result<(Vec<(NaiveDate, i64)>, i64)> {
    let days = sqlx::query_as(
        "SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) FROM activity
         WHERE workspace_id = $1 AND source_id = $2 AND occurred_at >= $3 GROUP BY day ORDER BY day",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(since)
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM activity WHERE workspace_id = $1 AND source_id = $2")
        .bind(workspace_id)
        .bind(source_id)
        .fetch_one(db)
        .await?;
    Ok((days, total))
}
