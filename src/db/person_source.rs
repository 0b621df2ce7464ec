//! Table `person_source`: which record stands for which person, and what of it was last applied.

use super::{Result, column, json_column};
use crate::model::person::{PersonLink, PersonRecord};
use crate::model::record::Problem;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, Row};

/// A link to be written.
#[derive(Debug)]
pub struct LinkRow<'a> {
    record_id: &'a str,
    person_id: i64,
    organization_record_id: Option<&'a str>,
    name: Option<&'a str>,
    status: &'a str,
    record_created_at: Option<DateTime<Utc>>,
    record_updated_at: Option<DateTime<Utc>>,
    seen: i64,
    unknown: Option<&'a Value>,
    problems: Option<&'a [Problem]>,
}

impl<'a> LinkRow<'a> {
    /// The row of a link, with what the record itself adds.
    pub fn new(link: &'a PersonLink, record: &'a PersonRecord) -> LinkRow<'a> {
        LinkRow {
            record_id: &link.record_id,
            person_id: link.person_id,
            organization_record_id: link.organization_record_id.as_deref(),
            name: link.name.as_deref(),
            status: &link.status,
            record_created_at: record.created_at,
            record_updated_at: link.record_updated_at,
            seen: link.seen,
            unknown: record.unknown.as_ref(),
            problems: (!record.problems.is_empty()).then_some(record.problems.as_slice()),
        }
    }
}

/// Links of these records.
pub async fn load(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    record_ids: &[&str],
) -> Result<Vec<PersonLink>> {
    if record_ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT p.* FROM unnest($3::text[]) AS t(record_id) CROSS JOIN LATERAL (
             SELECT record_id, person_id, organization_record_id, name, status, record_updated_at, seen FROM person_source
             WHERE workspace_id = $1 AND source_id = $2 AND record_id = t.record_id LIMIT 1) p",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(record_ids)
    .fetch_all(db)
    .await?;
    let link = |row: &sqlx::postgres::PgRow| PersonLink {
        record_id: row.get("record_id"),
        person_id: row.get("person_id"),
        organization_record_id: row.get("organization_record_id"),
        name: row.get("name"),
        status: row.get("status"),
        record_updated_at: row.get("record_updated_at"),
        seen: row.get("seen"),
    };
    Ok(rows.iter().map(link).collect())
}

/// Adds or replaces links.
pub async fn upsert(db: &mut PgConnection, workspace_id: i64, source_id: i64, rows: &[LinkRow<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO person_source (workspace_id, source_id, record_id, person_id, organization_record_id, name, status,
             record_created_at, record_updated_at, seen, unknown, problems)
         SELECT $1, $2, record_id, person_id, organization_record_id, name, status, record_created_at, record_updated_at, seen,
             unknown::jsonb, problems::jsonb
         FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[],
             $10::bigint[], $11::text[], $12::text[])
             AS t(record_id, person_id, organization_record_id, name, status, record_created_at, record_updated_at, seen,
                 unknown, problems)
         ON CONFLICT (workspace_id, source_id, record_id) DO UPDATE SET person_id = excluded.person_id,
             organization_record_id = excluded.organization_record_id, name = excluded.name, status = excluded.status,
             record_created_at = coalesce(excluded.record_created_at, person_source.record_created_at),
             record_updated_at = excluded.record_updated_at, seen = excluded.seen, unknown = excluded.unknown,
             problems = excluded.problems",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(column(rows, |row| row.record_id))
    .bind(column(rows, |row| row.person_id))
    .bind(column(rows, |row| row.organization_record_id))
    .bind(column(rows, |row| row.name))
    .bind(column(rows, |row| row.status))
    .bind(column(rows, |row| row.record_created_at))
    .bind(column(rows, |row| row.record_updated_at))
    .bind(column(rows, |row| row.seen))
    .bind(json_column(rows, |row| row.unknown))
    .bind(json_column(rows, |row| row.problems))
    .execute(db)
    .await?;
    Ok(())
}

/// People among these who still have an active record, in any source.
pub async fn still_active(db: &mut PgConnection, workspace_id: i64, person_ids: &[i64]) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT DISTINCT person_id FROM person_source
         WHERE workspace_id = $1 AND person_id = ANY($2) AND status IN ('active', 'suspended')",
    )
    .bind(workspace_id)
    .bind(person_ids)
    .fetch_all(db)
    .await
}

/// Sets the status of records.
pub async fn set_status(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    record_ids: &[&str],
    status: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE person_source SET status = $4 WHERE workspace_id = $1 AND source_id = $2 AND record_id = ANY($3) AND status <> $4",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(record_ids)
    .bind(status)
    .execute(db)
    .await?;
    Ok(())
}

/// Records of these people: source, record, person.
pub async fn of_people(
    db: &mut PgConnection,
    workspace_id: i64,
    person_ids: &[i64],
) -> Result<Vec<(i64, String, i64)>> {
    sqlx::query_as(
        "SELECT source_id, record_id, person_id FROM person_source WHERE workspace_id = $1 AND person_id = ANY($2)
         ORDER BY source_id, record_id",
    )
    .bind(workspace_id)
    .bind(person_ids)
    .fetch_all(db)
    .await
}

/// Makes the next reading apply these people's records as if they were new.
pub async fn forget_seen(db: &mut PgConnection, workspace_id: i64, person_ids: &[i64]) -> Result<()> {
    sqlx::query("UPDATE person_source SET seen = 0 WHERE workspace_id = $1 AND person_id = ANY($2)")
        .bind(workspace_id)
        .bind(person_ids)
        .execute(db)
        .await?;
    Ok(())
}

/// How many people a source has brought.
pub async fn count(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM person_source WHERE workspace_id = $1 AND source_id = $2")
        .bind(workspace_id)
        .bind(source_id)
        .fetch_one(db)
        .await
}
