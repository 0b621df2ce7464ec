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
    /// When everybody is asked next because the definition is new, or what many have was removed.
    pub rebuild_at: Option<DateTime<Utc>>,
    /// The next beginning of a day that may change who is in.
    pub day_at: Option<DateTime<Utc>>,
    /// When everybody is asked next to see that nothing was missed.
    pub nightly_at: DateTime<Utc>,
    /// When frames of minutes are followed next.
    pub due_at: Option<DateTime<Utc>>,
    /// When everybody was last asked.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// When the nightly pass was last made.
    pub passed_at: Option<DateTime<Utc>>,
    /// How many memberships that pass had to repair.
    pub drift: Option<i64>,
    /// When the definition last changed.
    pub updated_at: DateTime<Utc>,
}

/// All audiences, by name.
pub async fn all(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<Stored>> {
    sqlx::query_as(
        "SELECT id, name, definition, needs, checked_at, rebuild_at, day_at, nightly_at, due_at, evaluated_at, passed_at, drift, updated_at
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
             checked_at = excluded.checked_at, rebuild_at = excluded.rebuild_at, due_at = excluded.due_at, day_at = NULL,
             updated_at = greatest(excluded.updated_at, audience.updated_at + interval '1 microsecond')
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

/// What is to be done next after everybody was asked, or those whom a day's beginning concerns.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When everybody is asked next.
    pub rebuild_at: Option<DateTime<Utc>>,
    /// The next beginning of a day that may change who is in.
    pub day_at: Option<DateTime<Utc>>,
    /// When the next nightly pass is.
    pub nightly_at: DateTime<Utc>,
    /// When everybody was asked, if that was now.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// The drift that the nightly pass found, if that was now.
    pub drift: Option<i64>,
}

/// Notes what was done and what comes next.
pub async fn set_times(db: &mut PgConnection, workspace_id: i64, id: i64, times: Times) -> Result<()> {
    sqlx::query(
        "UPDATE audience SET rebuild_at = $3, day_at = $4, nightly_at = $5, evaluated_at = coalesce($6, evaluated_at),
             passed_at = CASE WHEN $7::bigint IS NULL THEN passed_at ELSE $6 END, drift = coalesce($7, drift)
         WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(times.rebuild_at)
    .bind(times.day_at)
    .bind(times.nightly_at)
    .bind(times.evaluated_at)
    .bind(times.drift)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes up to when frames of minutes have been followed, and when they are next; None where there are none.
pub async fn set_checked(
    db: &mut PgConnection,
    workspace_id: i64,
    ids: &[i64],
    now: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE audience SET checked_at = $3, due_at = $4 WHERE workspace_id = $1 AND id = ANY($2)")
        .bind(workspace_id)
        .bind(ids)
        .bind(now)
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Has everybody asked again by the audiences that look at activities of these types: many were removed.
pub async fn rebuild_for_activities(
    db: &mut PgConnection,
    workspace_id: i64,
    kinds: &[&str],
    now: DateTime<Utc>,
) -> Result<()> {
    let needs: Vec<String> = kinds.iter().map(|kind| format!("activity:{kind}")).collect();
    sqlx::query("UPDATE audience SET rebuild_at = $3 WHERE workspace_id = $1 AND needs && $2")
        .bind(workspace_id)
        .bind(needs)
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
