//! Table `field_def`: custom fields and their types.

use super::Result;
use crate::model::field::FieldDef;
use serde_json::json;
use sqlx::PgConnection;

/// Replaces the definitions of a source's entities by the given ones; those that are gone are marked inactive, and the
/// same again writes nothing. Answers how many rows were written.
pub async fn replace(db: &mut PgConnection, workspace_id: i64, source_id: i64, defs: &[FieldDef]) -> Result<u64> {
    if defs.is_empty() {
        return Ok(0);
    }
    let rows: Vec<_> = defs
        .iter()
        .map(|def| {
            json!({"entity": def.entity, "key": def.key, "type": def.kind, "title": def.title, "remote_id": def.remote_id,
                   "options": def.options, "active": def.active})
        })
        .collect();
    let written = sqlx::query(
        "INSERT INTO field_def (workspace_id, source_id, entity, key, type, title, remote_id, options, active)
         SELECT DISTINCT ON (t.entity, t.key) $1, $2, t.* FROM json_to_recordset($3::text::json) AS t(entity text, key text, type text,
             title text, remote_id text, options jsonb, active bool)
         ON CONFLICT (workspace_id, source_id, entity, key) DO UPDATE SET type = excluded.type, title = excluded.title,
             remote_id = excluded.remote_id, options = excluded.options, active = excluded.active
         WHERE (field_def.type, field_def.title, field_def.remote_id, field_def.options, field_def.active)
             IS DISTINCT FROM (excluded.type, excluded.title, excluded.remote_id, excluded.options, excluded.active)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(super::as_json(&rows))
    .execute(&mut *db)
    .await?;
    let gone = sqlx::query(
        "UPDATE field_def SET active = false
         WHERE workspace_id = $1 AND source_id = $2 AND active AND entity = ANY($3)
           AND NOT (entity || ' ' || key) = ANY($4)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(defs.iter().map(|def| def.entity).collect::<Vec<_>>())
    .bind(defs.iter().map(|def| format!("{} {}", def.entity, def.key)).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(written.rows_affected() + gone.rows_affected())
}
