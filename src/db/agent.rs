//! Table `agent`: who is named on tickets and is no customer.

use super::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

/// An agent to be written.
#[derive(Debug, Serialize)]
pub struct AgentRow<'a> {
    /// Id in the source.
    pub record_id: &'a str,
    /// Name.
    pub name: Option<&'a str>,
    /// Role as the source names it.
    pub role: &'a str,
    /// False when deleted there.
    pub active: bool,
    /// When the source last changed it.
    pub record_updated_at: Option<DateTime<Utc>>,
}

/// Adds or replaces agents; the same again writes nothing, older news neither. Answers how many rows were written.
pub async fn upsert(db: &mut PgConnection, workspace_id: i64, source_id: i64, rows: &[AgentRow<'_>]) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let written = sqlx::query(
        "INSERT INTO agent (workspace_id, source_id, record_id, name, role, active, record_updated_at)
         SELECT $1, $2, t.* FROM json_to_recordset($3::text::json) AS t(record_id text, name text, role text, active bool, record_updated_at timestamptz)
         ON CONFLICT (workspace_id, source_id, record_id) DO UPDATE SET name = excluded.name, role = excluded.role,
             active = excluded.active, record_updated_at = excluded.record_updated_at
         WHERE (agent.name, agent.role, agent.active) IS DISTINCT FROM (excluded.name, excluded.role, excluded.active)
           AND (agent.record_updated_at IS NULL OR excluded.record_updated_at >= agent.record_updated_at)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(super::as_json(rows))
    .execute(db)
    .await?;
    Ok(written.rows_affected())
}

/// Which of these records are agents.
pub async fn among(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    record_ids: &[&str],
) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT record_id FROM agent WHERE workspace_id = $1 AND source_id = $2 AND record_id = ANY($3)")
        .bind(workspace_id)
        .bind(source_id)
        .bind(record_ids)
        .fetch_all(db)
        .await
}
