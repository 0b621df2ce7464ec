//! Table `organization`.

use super::Result;
use crate::model::organization::OrganizationRecord;
use crate::model::record::Problem;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{FromRow, PgConnection};

/// What is known of a stored organization before a record is applied.
#[derive(Debug, Clone, FromRow)]
pub struct Known {
    /// Number.
    pub id: i64,
    /// Its id in the source.
    pub record_id: String,
    /// When the source had last changed it.
    pub record_updated_at: Option<DateTime<Utc>>,
    /// Digest of what was last applied.
    pub seen: i64,
}

/// An organization to be written.
#[derive(Debug, Serialize)]
pub struct OrganizationRow<'a> {
    id: i64,
    record_id: &'a str,
    name: Option<&'a str>,
    external_id: Option<&'a str>,
    domains: &'a [String],
    fields: &'a Map<String, Value>,
    record_created_at: Option<DateTime<Utc>>,
    record_updated_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    seen: i64,
    unknown: Option<&'a Value>,
    problems: Option<&'a [Problem]>,
}

impl<'a> OrganizationRow<'a> {
    /// The row of a record.
    pub fn new(id: i64, record: &'a OrganizationRecord, seen: i64) -> OrganizationRow<'a> {
        OrganizationRow {
            id,
            record_id: &record.record_id,
            name: record.name.as_deref(),
            external_id: record.external_id.as_deref(),
            domains: &record.domains,
            fields: &record.fields,
            record_created_at: record.created_at,
            record_updated_at: record.updated_at,
            deleted_at: record.deleted_at,
            seen,
            unknown: record.unknown.as_ref(),
            problems: (!record.problems.is_empty()).then_some(record.problems.as_slice()),
        }
    }
}

impl OrganizationRow<'_> {
    /// Its id in the source.
    pub fn record_id(&self) -> &str {
        self.record_id
    }
}

/// Stored organizations of these records.
pub async fn load(db: &mut PgConnection, workspace_id: i64, source_id: i64, record_ids: &[&str]) -> Result<Vec<Known>> {
    sqlx::query_as(
        "SELECT o.* FROM unnest($3::text[]) AS t(record_id) CROSS JOIN LATERAL (
             SELECT id, record_id, record_updated_at, seen FROM organization
             WHERE workspace_id = $1 AND source_id = $2 AND record_id = t.record_id LIMIT 1) o",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(record_ids)
    .fetch_all(db)
    .await
}

/// Reserves ids for `count` new organizations.
pub async fn reserve_ids(db: &mut PgConnection, count: usize) -> Result<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT nextval('organization_id') FROM generate_series(1, $1)")
        .bind(count as i32)
        .fetch_all(db)
        .await
}

/// Adds or replaces organizations. `complete` is false for what a webhook alone says: other columns then stay.
pub async fn upsert(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    rows: &[OrganizationRow<'_>],
    complete: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO organization (workspace_id, source_id, id, record_id, name, external_id, domains, fields, record_created_at,
             record_updated_at, deleted_at, seen, unknown, problems, created_at, updated_at)
         SELECT $1, $2, t.*, $4, $4 FROM json_to_recordset($3::text::json) AS t(id bigint, record_id text, name text, external_id text,
             domains text[], fields jsonb, record_created_at timestamptz, record_updated_at timestamptz, deleted_at timestamptz,
             seen bigint, unknown jsonb, problems jsonb)
         ON CONFLICT (workspace_id, source_id, record_id) DO UPDATE SET name = excluded.name, external_id = excluded.external_id,
             domains = CASE WHEN $5 THEN excluded.domains ELSE organization.domains END,
             fields = CASE WHEN $5 THEN excluded.fields ELSE organization.fields END,
             unknown = CASE WHEN $5 THEN excluded.unknown ELSE organization.unknown END,
             problems = CASE WHEN $5 THEN excluded.problems ELSE organization.problems END,
             record_created_at = coalesce(excluded.record_created_at, organization.record_created_at),
             record_updated_at = excluded.record_updated_at, deleted_at = excluded.deleted_at, seen = excluded.seen,
             updated_at = excluded.updated_at",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(super::as_json(rows))
    .bind(now)
    .bind(complete)
    .execute(db)
    .await?;
    Ok(())
}

/// How many organizations a source has brought.
pub async fn count(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM organization WHERE workspace_id = $1 AND source_id = $2 AND deleted_at IS NULL",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_one(db)
    .await
}
