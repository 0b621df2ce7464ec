//! Table `activity_window`: spans whose activities were counted and then pruned.

use super::Result;
use super::activity::Span;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Spans that were pruned: type, counted from, pruned through.
pub async fn windows(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
) -> Result<Vec<(String, DateTime<Utc>, DateTime<Utc>)>> {
    sqlx::query_as(
        "SELECT type, counted_from, pruned_through FROM activity_window WHERE workspace_id = $1 AND source_id = $2",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_all(db)
    .await
}

/// Notes spans that were counted and are pruned through a time.
pub async fn note_pruned(
    db: &mut PgConnection,
    workspace_id: i64,
    spans: &[Span],
    through: DateTime<Utc>,
) -> Result<()> {
    if spans.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO activity_window (workspace_id, source_id, type, counted_from, pruned_through)
         SELECT $1, t.*, $5 FROM unnest($2::bigint[], $3::text[], $4::timestamptz[]) t
         ON CONFLICT (workspace_id, source_id, type) DO UPDATE
         SET counted_from = least(activity_window.counted_from, excluded.counted_from),
             pruned_through = greatest(activity_window.pruned_through, excluded.pruned_through)",
    )
    .bind(workspace_id)
    .bind(spans.iter().map(|span| span.source_id).collect::<Vec<_>>())
    .bind(spans.iter().map(|span| span.kind.as_str()).collect::<Vec<_>>())
    .bind(spans.iter().map(|span| span.from).collect::<Vec<_>>())
    .bind(through)
    .execute(db)
    .await?;
    Ok(())
}
