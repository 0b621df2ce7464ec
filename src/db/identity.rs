//! Tables `identity` and `identity_revoked`: normalised values that find a person.

use super::{Result, column};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

/// A stored identity.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Found {
    /// email, phone or external_id.
    pub kind: String,
    /// Normalised value.
    pub value: String,
    /// The person it finds.
    pub person_id: i64,
    /// Source that brought it.
    pub source_id: i64,
    /// Record of that source that brought it.
    pub record_id: String,
}

/// An identity to be added.
#[derive(Debug)]
pub struct IdentityRow<'a> {
    /// email, phone or external_id.
    pub kind: &'a str,
    /// Normalised value.
    pub value: &'a str,
    /// The person.
    pub person_id: i64,
    /// Record that brings it.
    pub record_id: &'a str,
    /// True when the source says it is verified.
    pub verified: bool,
}

/// What these values find.
pub async fn load(db: &mut PgConnection, workspace_id: i64, kinds: &[&str], values: &[&str]) -> Result<Vec<Found>> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "SELECT i.* FROM unnest($2::text[], $3::text[]) AS t(kind, value) CROSS JOIN LATERAL (
             SELECT kind, value, person_id, source_id, record_id FROM identity
             WHERE workspace_id = $1 AND kind = t.kind AND value = t.value LIMIT 1) i",
    )
    .bind(workspace_id)
    .bind(kinds)
    .bind(values)
    .fetch_all(db)
    .await
}

/// All identities of these people.
pub async fn of_people(db: &mut PgConnection, workspace_id: i64, person_ids: &[i64]) -> Result<Vec<Found>> {
    if person_ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "SELECT i.* FROM unnest($2::bigint[]) AS t(person_id) CROSS JOIN LATERAL (
             SELECT kind, value, person_id, source_id, record_id FROM identity
             WHERE workspace_id = $1 AND person_id = t.person_id OFFSET 0) i",
    )
    .bind(workspace_id)
    .bind(person_ids)
    .fetch_all(db)
    .await
}

/// Adds identities.
pub async fn insert(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    rows: &[IdentityRow<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO identity (workspace_id, source_id, kind, value, person_id, record_id, verified, first_seen_at)
         SELECT $1, $2, t.*, $3 FROM unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::bool[]) t
         ON CONFLICT (workspace_id, kind, value) DO NOTHING",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(now)
    .bind(column(rows, |row| row.kind))
    .bind(column(rows, |row| row.value))
    .bind(column(rows, |row| row.person_id))
    .bind(column(rows, |row| row.record_id))
    .bind(column(rows, |row| row.verified))
    .execute(db)
    .await?;
    Ok(())
}

/// Takes identities away, keeping note of them.
pub async fn revoke(db: &mut PgConnection, workspace_id: i64, gone: &[Found], now: DateTime<Utc>) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = gone.iter().map(|identity| identity.kind.as_str()).collect();
    let values: Vec<&str> = gone.iter().map(|identity| identity.value.as_str()).collect();
    sqlx::query(
        "INSERT INTO identity_revoked (workspace_id, kind, value, person_id, source_id, revoked_at)
         SELECT i.workspace_id, i.kind, i.value, i.person_id, i.source_id, $4 FROM unnest($2::text[], $3::text[]) AS t(kind, value)
         JOIN identity i ON i.workspace_id = $1 AND i.kind = t.kind AND i.value = t.value
         ON CONFLICT DO NOTHING",
    )
    .bind(workspace_id)
    .bind(&kinds)
    .bind(&values)
    .bind(now)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "DELETE FROM identity i USING unnest($2::text[], $3::text[]) AS t(kind, value)
         WHERE i.workspace_id = $1 AND i.kind = t.kind AND i.value = t.value",
    )
    .bind(workspace_id)
    .bind(&kinds)
    .bind(&values)
    .execute(db)
    .await?;
    Ok(())
}
