//! Table `activation_due`: people whom something changed about that an activation which is always on looks at.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The sources of activations that are always on, each with what one of them looks at.
pub async fn listeners(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<(i64, Vec<String>)>> {
    sqlx::query_as(
        "SELECT DISTINCT source_id, needs FROM activation WHERE workspace_id = $1 AND always AND paused_at IS NULL",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await
}

/// Notes who is due for which activations that are always on, by what changed about whom.
pub async fn note(
    db: &mut PgConnection,
    workspace_id: i64,
    changes: &[(i64, String)],
    now: DateTime<Utc>,
) -> Result<()> {
    let (people, needs): (Vec<i64>, Vec<&str>) = changes.iter().map(|(person, need)| (*person, need.as_str())).unzip();
    sqlx::query(
        "INSERT INTO activation_due (workspace_id, activation_id, person_id, version, since)
         SELECT DISTINCT $1::bigint, a.id, t.person_id, 1, $4::timestamptz FROM unnest($2::bigint[], $3::text[]) AS t(person_id, need)
         JOIN activation a ON a.workspace_id = $1 AND a.always AND a.paused_at IS NULL AND (t.need = '*' OR t.need = ANY (a.needs))
         ON CONFLICT (workspace_id, activation_id, person_id) DO UPDATE SET version = activation_due.version + 1",
    )
    .bind(workspace_id)
    .bind(people)
    .bind(needs)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Who is due, those who have waited longest first, with the version that is seen to.
pub async fn take(db: &mut PgConnection, workspace_id: i64, activation_id: i64, limit: i64) -> Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "SELECT person_id, version FROM activation_due WHERE workspace_id = $1 AND activation_id = $2
         ORDER BY since, person_id LIMIT $3",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Removes people who have been seen to; whom another change was noted of in the meantime stays.
pub async fn settle(db: &mut PgConnection, workspace_id: i64, activation_id: i64, seen: &[(i64, i64)]) -> Result<()> {
    let (people, versions): (Vec<i64>, Vec<i64>) = seen.iter().copied().unzip();
    sqlx::query(
        "DELETE FROM activation_due d USING unnest($3::bigint[], $4::bigint[]) AS t(person_id, version)
         WHERE d.workspace_id = $1 AND d.activation_id = $2 AND d.person_id = t.person_id AND d.version = t.version",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(people)
    .bind(versions)
    .execute(db)
    .await?;
    Ok(())
}

/// Whether anybody is due.
pub async fn any(db: &mut PgConnection, workspace_id: i64, activation_id: i64) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM activation_due WHERE workspace_id = $1 AND activation_id = $2)")
        .bind(workspace_id)
        .bind(activation_id)
        .fetch_one(db)
        .await
}

/// Gives what is due for one who is merged away to the survivor.
pub async fn fold(db: &mut PgConnection, workspace_id: i64, loser: i64, survivor: i64) -> Result<()> {
    for sql in [
        "INSERT INTO activation_due (workspace_id, activation_id, person_id, version, since)
         SELECT workspace_id, activation_id, $3, version, since FROM activation_due WHERE workspace_id = $1 AND person_id = $2
         ON CONFLICT (workspace_id, activation_id, person_id) DO UPDATE SET version = activation_due.version + 1,
             since = least(activation_due.since, excluded.since)",
        "DELETE FROM activation_due WHERE workspace_id = $1 AND person_id = $2 AND $3::bigint IS NOT NULL",
    ] {
        sqlx::query(sql).bind(workspace_id).bind(loser).bind(survivor).execute(&mut *db).await?;
    }
    Ok(())
}
