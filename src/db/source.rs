//! Table `source`.

use super::Result;
use crate::model::source::{Source, SourceSettings, SourceState};
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

const COLUMNS: &str =
    "id, workspace_id, name, kind, title, base_url, state, paused_at, settings, credentials, webhook_id,
    webhook_secret, webhook_secret_previous, webhook_secret_rotated_at, error, remedy, failing_since, connected_at, created_at";

/// Adds a source, in state `connecting`. Answers its number.
pub async fn insert(
    db: &mut PgConnection,
    workspace_id: i64,
    name: &str,
    kind: &str,
    base_url: Option<&str>,
    settings: &SourceSettings,
    now: DateTime<Utc>,
) -> Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO source (workspace_id, name, kind, title, base_url, state, settings, created_at, updated_at)
         VALUES ($1, $2, $3, $2, $4, 'connecting', $5, $6, $6) RETURNING id",
    )
    .bind(workspace_id)
    .bind(name)
    .bind(kind)
    .bind(base_url)
    .bind(Json(settings))
    .bind(now)
    .fetch_one(db)
    .await
}

fn source_of(row: &sqlx::postgres::PgRow) -> Source {
    Source {
        id: row.get("id"),
        workspace_id: row.get("workspace_id"),
        name: row.get("name"),
        kind: row.get("kind"),
        title: row.get("title"),
        base_url: row.get("base_url"),
        state: SourceState::parse(row.get("state")).expect("the table allows known states only"),
        paused_at: row.get("paused_at"),
        settings: row.get::<Json<SourceSettings>, _>("settings").0,
        credentials: row.get("credentials"),
        webhook_id: row.get("webhook_id"),
        webhook_secret: row.get("webhook_secret"),
        webhook_secret_previous: row.get("webhook_secret_previous"),
        webhook_secret_rotated_at: row.get("webhook_secret_rotated_at"),
        error: row.get("error"),
        remedy: row.get("remedy"),
        failing_since: row.get("failing_since"),
        connected_at: row.get("connected_at"),
        created_at: row.get("created_at"),
    }
}

/// The source of that number.
pub async fn get(db: &mut PgConnection, id: i64) -> Result<Option<Source>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM source WHERE id = $1"));
    Ok(sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(source_of))
}

/// The source of that name.
pub async fn by_name(db: &mut PgConnection, workspace_id: i64, name: &str) -> Result<Option<Source>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM source WHERE workspace_id = $1 AND name = $2"));
    Ok(sqlx::query(sql).bind(workspace_id).bind(name).fetch_optional(db).await?.as_ref().map(source_of))
}

/// All sources of all workspaces, in order of their numbers.
pub async fn all(db: &mut PgConnection) -> Result<Vec<Source>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM source ORDER BY id"));
    Ok(sqlx::query(sql).fetch_all(db).await?.iter().map(source_of).collect())
}

/// Forgets a source that was never connected.
pub async fn forget(db: &mut PgConnection, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM source WHERE id = $1 AND state = 'connecting'").bind(id).execute(db).await?;
    Ok(())
}

/// Sets the state. False when the source was not in the state it was thought to be in.
pub async fn set_state(db: &mut PgConnection, source: &Source, next: SourceState, now: DateTime<Utc>) -> Result<bool> {
    let moved = sqlx::query(
        "UPDATE source SET state = $3, updated_at = $4,
             connected_at = CASE WHEN $3 = 'syncing' THEN $4 ELSE connected_at END
         WHERE id = $1 AND state = $2",
    )
    .bind(source.id)
    .bind(source.state.as_str())
    .bind(next.as_str())
    .bind(now)
    .execute(db)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Sets or lifts a pause.
pub async fn set_paused(
    db: &mut PgConnection,
    id: i64,
    paused_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("UPDATE source SET paused_at = $2, updated_at = $3 WHERE id = $1")
        .bind(id)
        .bind(paused_at)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Notes that activations write to this account.
pub async fn allow_writing(db: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE source SET settings = jsonb_set(settings, '{write}', 'true'), updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Sets title and options.
pub async fn set_settings(
    db: &mut PgConnection,
    id: i64,
    title: &str,
    settings: &SourceSettings,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("UPDATE source SET title = $2, settings = $3, updated_at = $4 WHERE id = $1")
        .bind(id)
        .bind(title)
        .bind(Json(settings))
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Sets address and sealed credentials.
pub async fn set_credentials(
    db: &mut PgConnection,
    id: i64,
    base_url: &str,
    sealed: &[u8],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("UPDATE source SET base_url = $2, credentials = $3, updated_at = $4 WHERE id = $1")
        .bind(id)
        .bind(base_url)
        .bind(sealed)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Sets our webhook and its sealed secret; a different former secret stays valid beside it.
pub async fn set_webhook(
    db: &mut PgConnection,
    id: i64,
    webhook_id: &str,
    sealed: &[u8],
    former: Option<&[u8]>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE source SET webhook_id = $2, webhook_secret = $3, webhook_secret_previous = coalesce($4, webhook_secret_previous),
             webhook_secret_rotated_at = CASE WHEN $4::bytea IS NULL THEN webhook_secret_rotated_at ELSE $5 END, updated_at = $5
         WHERE id = $1",
    )
    .bind(id)
    .bind(webhook_id)
    .bind(sealed)
    .bind(former)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets our webhook after it was removed from Zendesk.
pub async fn clear_webhook(db: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE source SET webhook_id = NULL, webhook_secret = NULL, webhook_secret_previous = NULL, updated_at = $2 WHERE id = $1",
    )
    .bind(id)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets credentials and address: the connection is deleted, its people and activities stay (R20).
pub async fn clear_connection(db: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE source SET credentials = NULL, updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// Shows a source as failing, with the remedy.
pub async fn fail(db: &mut PgConnection, id: i64, error: &str, remedy: &str, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE source SET error = $2, remedy = $3, failing_since = coalesce(failing_since, $4), updated_at = $4
         WHERE id = $1 AND (error, remedy) IS DISTINCT FROM ($2, $3)",
    )
    .bind(id)
    .bind(error)
    .bind(remedy)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Shows a source as working again: its credentials were accepted. A stream that fails for reasons of its own is shown with
/// its checkpoint.
pub async fn recover(db: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<bool> {
    let recovered = sqlx::query(
        "UPDATE source SET error = NULL, remedy = NULL, failing_since = NULL, updated_at = $2
         WHERE id = $1 AND error IS NOT NULL",
    )
    .bind(id)
    .bind(now)
    .execute(db)
    .await?;
    Ok(recovered.rows_affected() == 1)
}

/// Ends the first sync when every stream that is read has been read to its end once. True when that just happened.
pub async fn finish_first_sync(db: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<bool> {
    let finished = sqlx::query(
        "UPDATE source SET state = 'connected', updated_at = $2
         WHERE id = $1 AND state = 'syncing'
           AND NOT EXISTS (SELECT 1 FROM checkpoint c WHERE c.source_id = $1 AND c.due_at IS NOT NULL
                             AND (c.caught_up_at IS NULL OR c.caught_up_at < source.connected_at) AND c.error IS NULL)",
    )
    .bind(id)
    .bind(now)
    .execute(db)
    .await?;
    Ok(finished.rows_affected() == 1)
}

/// Replaces what is sealed of a source by the same, sealed under the present key.
pub async fn reseal(
    db: &mut PgConnection,
    source: &Source,
    credentials: Option<&[u8]>,
    secret: Option<&[u8]>,
    previous: Option<&[u8]>,
) -> Result<()> {
    sqlx::query(
        "UPDATE source SET credentials = coalesce($3, credentials), webhook_secret = coalesce($4, webhook_secret),
             webhook_secret_previous = coalesce($5, webhook_secret_previous)
         WHERE id = $1 AND credentials IS NOT DISTINCT FROM $2",
    )
    .bind(source.id)
    .bind(&source.credentials)
    .bind(credentials)
    .bind(secret)
    .bind(previous)
    .execute(db)
    .await?;
    Ok(())
}
