//! What the rows of organizations are formed from: a page of organizations, and the stays of their people as stays of theirs. Reads
//! only, one statement a table, in the order of the organizations' numbers.

use super::Result;
use super::activation_facts::Span;
use crate::model::row::{Needed, OrganizationRow, Stay};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// The organizations of a source by their numbers, those that are deleted there without anything to be said of them.
pub async fn organizations(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    span: Span<'_>,
    needed: &Needed,
) -> Result<Vec<(i64, Option<OrganizationRow>)>> {
    let keys: Vec<&str> = needed.custom.iter().map(String::as_str).collect();
    let rows = sqlx::query(
        "SELECT id, record_id, name, external_id, created_at, deleted_at IS NOT NULL AS deleted,
                (SELECT jsonb_object_agg(f.key, f.value) FROM jsonb_each(o.fields) f WHERE f.key = ANY($6)) AS fields
         FROM organization o WHERE workspace_id = $1 AND source_id = $2 AND id > $3 AND ($4::bigint[] IS NULL OR id = ANY($4))
         ORDER BY id LIMIT $5",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(span.after)
    .bind(span.among)
    .bind(span.limit)
    .bind(keys)
    .fetch_all(db)
    .await?;
    let organization = |row: &sqlx::postgres::PgRow| OrganizationRow {
        id: row.get("id"),
        record_id: row.get("record_id"),
        name: row.get("name"),
        external_id: row.get("external_id"),
        fields: row.get::<Option<Json<Map<String, Value>>>, _>("fields").map(|fields| fields.0).unwrap_or_default(),
        created_at: row.get("created_at"),
    };
    Ok(rows.iter().map(|row| (row.get("id"), (!row.get::<bool, _>("deleted")).then(|| organization(row)))).collect())
}

/// The stays in an audience of the people who belong to these organizations now, as stays of the organizations: one is in as long as
/// somebody is, since the first of those who are came; after that, the stay of who left last counts.
pub async fn stays(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    audience_id: i64,
    organizations: &[i64],
) -> Result<Vec<(i64, Stay)>> {
    let rows: Vec<(i64, DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(
        "SELECT m.organization_id,
                coalesce(min(a.entered_at) FILTER (WHERE a.exited_at IS NULL),
                         (array_agg(a.entered_at ORDER BY a.exited_at DESC, a.entered_at))[1]),
                CASE WHEN bool_or(a.exited_at IS NULL) THEN NULL ELSE max(a.exited_at) END
         FROM organization_member m
         JOIN audience_member a ON a.workspace_id = m.workspace_id AND a.person_id = m.person_id AND a.audience_id = $3
         WHERE m.workspace_id = $1 AND m.source_id = $2 AND m.organization_id = ANY($4)
         GROUP BY m.organization_id ORDER BY m.organization_id",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(audience_id)
    .bind(organizations)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(id, entered_at, exited_at)| (id, Stay { entered_at, exited_at })).collect())
}

/// The organizations of a source that these people belong to, and those that they left, as far back as activities are kept: what an
/// organization lost with somebody shows nowhere else.
pub async fn of_people(db: &mut PgConnection, workspace_id: i64, source_id: i64, people: &[i64]) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT id FROM organization WHERE workspace_id = $1 AND source_id = $2 AND record_id IN (
             SELECT organization_record_id FROM person_source WHERE workspace_id = $1 AND source_id = $2 AND person_id = ANY($3)
             UNION ALL SELECT attributes ->> CASE type WHEN 'zd.user.deleted' THEN 'organization' ELSE 'from' END FROM activity
             WHERE workspace_id = $1 AND source_id = $2 AND person_id = ANY($3)
               AND type IN ('zd.user.organization_changed', 'zd.user.deleted'))",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(people)
    .fetch_all(db)
    .await
}
