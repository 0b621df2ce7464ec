//! Everything that stands about one person, as JSON for people to read. Reads only, across the tables of a person.

use super::Result;
use serde_json::{Map, Value};
use sqlx::PgConnection;

/// What belongs to a person, part by part: each a statement over the parameters workspace and person.
const PARTS: &[(&str, &str)] = &[
    (
        "identities",
        "SELECT kind, value, verified, source_id, record_id, first_seen_at FROM identity
         WHERE workspace_id = $1 AND person_id = $2 ORDER BY kind, value",
    ),
    (
        "former_identities",
        "SELECT kind, value, source_id, revoked_at FROM identity_revoked
         WHERE workspace_id = $1 AND person_id = $2 ORDER BY revoked_at",
    ),
    (
        "records",
        "SELECT source_id, record_id, status, name, record_created_at, record_updated_at, unknown, problems FROM person_source
         WHERE workspace_id = $1 AND person_id = $2 ORDER BY source_id, record_id",
    ),
    (
        "organizations",
        "SELECT o.id, o.name, o.external_id, m.source_id, o.record_id FROM organization_member m
         JOIN organization o ON o.workspace_id = m.workspace_id AND o.id = m.organization_id
         WHERE m.workspace_id = $1 AND m.person_id = $2 ORDER BY o.id",
    ),
    ("support_summary", "SELECT * FROM support_summary WHERE workspace_id = $1 AND person_id = $2"),
    (
        "rollups",
        "SELECT type, first_at, last_at, total FROM activity_rollup WHERE workspace_id = $1 AND person_id = $2 ORDER BY last_at DESC, type",
    ),
    (
        "consents",
        "SELECT c.id, c.channel, c.action, c.evidence, c.actor, c.source_id, w.wording, c.occurred_at, c.recorded_at
         FROM consent_event c LEFT JOIN consent_wording w ON w.workspace_id = c.workspace_id AND w.id = c.wording_id
         WHERE c.workspace_id = $1 AND c.person_id = $2 ORDER BY c.id",
    ),
    (
        "audiences",
        "SELECT a.name, a.title, m.entered_at, m.exited_at FROM audience_member m
         JOIN audience a ON a.workspace_id = m.workspace_id AND a.id = m.audience_id
         WHERE m.workspace_id = $1 AND m.person_id = $2 ORDER BY m.entered_at, a.name",
    ),
    ("aliases", "SELECT alias_id, created_at FROM person_alias WHERE workspace_id = $1 AND person_id = $2 ORDER BY alias_id"),
    (
        "merges",
        "SELECT loser_id, merged_at, actor, reason, undone_at FROM person_merge WHERE workspace_id = $1 AND person_id = $2 ORDER BY id",
    ),
    (
        "merge_candidates",
        "SELECT CASE person_id WHEN $2 THEN other_id ELSE person_id END AS person_id, reason, source_id, record_id, created_at, dismissed_at
         FROM merge_candidate WHERE workspace_id = $1 AND (person_id = $2 OR other_id = $2) ORDER BY created_at",
    ),
];

/// All parts by name, each a list.
pub async fn load(db: &mut PgConnection, workspace_id: i64, person_id: i64) -> Result<Map<String, Value>> {
    let mut parts = Map::new();
    for (name, select) in PARTS {
        let sql = format!("SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM ({select}) t");
        let part: Value =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(workspace_id).bind(person_id).fetch_one(&mut *db).await?;
        parts.insert((*name).to_string(), part);
    }
    Ok(parts)
}
