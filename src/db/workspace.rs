//! Table `workspace`: the lock under which a workspace's records are applied.

use super::Result;
use sqlx::PgConnection;

/// The workspace of who never heard the word.
pub const DEFAULT: i64 = 1;

/// Waits for the workspace's lock and holds it until the transaction ends: two batches that could meet in one person
/// are applied one after the other. A row lock on a control table, not an advisory lock.
pub async fn lock(db: &mut PgConnection, workspace_id: i64) -> Result<()> {
    sqlx::query("SELECT id FROM workspace WHERE id = $1 FOR NO KEY UPDATE").bind(workspace_id).execute(db).await?;
    Ok(())
}

/// All workspaces.
pub async fn all(db: &mut PgConnection) -> Result<Vec<i64>> {
    sqlx::query_scalar("SELECT id FROM workspace ORDER BY id").fetch_all(db).await
}
