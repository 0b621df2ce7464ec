//! Table `activation_due`: people whom something changed about that an activation which is always on looks at.

use super::Result;
use sqlx::PgConnection;

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
