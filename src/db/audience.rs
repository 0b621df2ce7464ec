//! Table `audience`: definitions, what they need, and when time alone may change who is in.

use super::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

/// An audience as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct Stored {
    /// Number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// As it was written.
    pub definition: Value,
    /// What its filters look at.
    pub needs: Vec<String>,
    /// Up to when frames of minutes have been followed.
    pub checked_at: DateTime<Utc>,
    /// When everybody is asked next because a day ends, or because what many have was removed.
    pub rebuild_at: DateTime<Utc>,
    /// When everybody is asked next to see that nothing was missed.
    pub nightly_at: DateTime<Utc>,
    /// The first time at which something is to be done because time has passed.
    pub due_at: DateTime<Utc>,
    /// When everybody was last asked.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// When the nightly pass was last made.
    pub passed_at: Option<DateTime<Utc>>,
    /// How many memberships that pass had to repair.
    pub drift: Option<i64>,
}

/// All audiences, by name.
pub async fn all(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<Stored>> {
    sqlx::query_as(
        "SELECT id, name, definition, needs, checked_at, rebuild_at, nightly_at, due_at, evaluated_at, passed_at, drift
         FROM audience WHERE workspace_id = $1 ORDER BY name",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await
}

/// Defines an audience, or defines it anew; everybody is then to be asked. Answers its number.
pub async fn define(
    db: &mut PgConnection,
    workspace_id: i64,
    (name, title): (&str, &str),
    definition: &Value,
    needs: &[String],
    now: DateTime<Utc>,
) -> Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO audience (workspace_id, name, title, definition, needs, checked_at, rebuild_at, nightly_at, due_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6, $6::timestamptz + interval '1 day', $6, $6, $6)
         ON CONFLICT (workspace_id, name) DO UPDATE SET title = excluded.title, definition = excluded.definition, needs = excluded.needs,
             rebuild_at = excluded.rebuild_at, due_at = excluded.due_at, updated_at = excluded.updated_at
         RETURNING id",
    )
    .bind(workspace_id)
    .bind(name)
    .bind(title)
    .bind(definition)
    .bind(needs)
    .bind(now)
    .fetch_one(db)
    .await
}

/// When something is to be done next, and what was done.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Up to when frames of minutes have been followed.
    pub checked_at: DateTime<Utc>,
    /// When everybody is asked next.
    pub rebuild_at: DateTime<Utc>,
    /// When the next nightly pass is.
    pub nightly_at: DateTime<Utc>,
    /// The first time at which something is to be done.
    pub due_at: DateTime<Utc>,
    /// When everybody was asked, if that was now.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// The drift that the nightly pass found, if that was now.
    pub drift: Option<i64>,
}

/// Notes what was done and what comes next.
pub async fn set_times(db: &mut PgConnection, workspace_id: i64, id: i64, times: Times) -> Result<()> {
    sqlx::query(
        "UPDATE audience SET checked_at = $3, rebuild_at = $4, nightly_at = $5, due_at = $6, evaluated_at = coalesce($7, evaluated_at),
             passed_at = CASE WHEN $8::bigint IS NULL THEN passed_at ELSE $7 END, drift = coalesce($8, drift)
         WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(times.checked_at)
    .bind(times.rebuild_at)
    .bind(times.nightly_at)
    .bind(times.due_at)
    .bind(times.evaluated_at)
    .bind(times.drift)
    .execute(db)
    .await?;
    Ok(())
}

/// Has everybody asked again by the audiences that look at activities: old ones were removed.
pub async fn rebuild_for_activities(db: &mut PgConnection, workspace_id: i64, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE audience SET rebuild_at = $2, due_at = $2
         WHERE workspace_id = $1 AND EXISTS (SELECT 1 FROM unnest(needs) n WHERE n LIKE 'activity:%')",
    )
    .bind(workspace_id)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Removes an audience with all that is its own.
pub async fn delete(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<()> {
    for sql in [
        "DELETE FROM audience_member WHERE workspace_id = $1 AND audience_id = $2",
        "DELETE FROM audience_manual WHERE workspace_id = $1 AND audience_id = $2",
        "DELETE FROM audience WHERE workspace_id = $1 AND id = $2",
    ] {
        sqlx::query(sql).bind(workspace_id).bind(id).execute(&mut *db).await?;
    }
    Ok(())
}
