//! Table `delivery`: what Zendesk was last given, the base of the three-way comparison.

pub use crate::model::push::{Delivered, Owned, Written};

use super::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row};

impl FromRow<'_, PgRow> for Delivered {
    fn from_row(row: &PgRow) -> Result<Delivered> {
        Ok(Delivered {
            row_key: row.try_get("row_key")?,
            person_id: row.try_get("person_id")?,
            record_id: row.try_get("record_id")?,
            digest: row.try_get("digest")?,
            written: row.try_get::<Json<_>, _>("written")?.0,
            pending: row.try_get::<Option<Json<_>>, _>("pending")?.map(|json| json.0).unwrap_or_default(),
            owned: row.try_get::<Option<Json<_>>, _>("owned")?.map(|json| json.0).unwrap_or_default(),
        })
    }
}

/// The entries of these rows of an activation, as far as there are some.
pub async fn load(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: i64,
    row_keys: &[&str],
) -> Result<Vec<Delivered>> {
    sqlx::query_as(
        "SELECT d.* FROM unnest($3::text[]) AS k(row_key) CROSS JOIN LATERAL (
             SELECT row_key, person_id, record_id, digest, written, pending, owned FROM delivery
             WHERE workspace_id = $1 AND activation_id = $2 AND row_key = k.row_key LIMIT 1) d",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(row_keys)
    .fetch_all(db)
    .await
}

/// Whose entries are written.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    /// The workspace.
    pub workspace_id: i64,
    /// The activation.
    pub activation_id: i64,
    /// The source.
    pub source_id: i64,
    /// The run that writes.
    pub run_id: i64,
    /// Now.
    pub now: DateTime<Utc>,
}

#[derive(Serialize)]
struct Entry<'a> {
    row_key: &'a str,
    person_id: Option<i64>,
    record_id: Option<&'a str>,
    digest: i64,
    written: &'a std::collections::BTreeMap<String, Written>,
    pending: Option<&'a crate::model::push::Values>,
    owned: Option<&'a Owned>,
}

fn as_json(entries: &[Delivered]) -> String {
    let entry = |entry: &Delivered| {
        let entry = Entry {
            row_key: &entry.row_key,
            person_id: entry.person_id,
            record_id: entry.record_id.as_deref(),
            digest: entry.digest,
            written: &entry.written,
            pending: Some(&entry.pending).filter(|pending| !pending.is_empty()),
            owned: Some(&entry.owned).filter(|owned| **owned != Owned::default()),
        };
        serde_json::to_value(entry).expect("an entry always serialises")
    };
    super::as_json(&entries.iter().map(entry).collect::<Vec<_>>())
}

/// Writes entries before something is sent; new ones begin.
pub async fn put(db: &mut PgConnection, ledger: Ledger, entries: &[Delivered]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO delivery (workspace_id, activation_id, row_key, person_id, source_id, record_id, digest, written, pending, owned,
             run_id, written_at)
         SELECT $1, $2, t.row_key, t.person_id, $3, t.record_id, t.digest, t.written, t.pending, t.owned, $4, $5
         FROM json_to_recordset($6::text::json) AS t(row_key text, person_id bigint, record_id text, digest bigint, written jsonb,
             pending jsonb, owned jsonb)
         ON CONFLICT (workspace_id, activation_id, row_key) DO UPDATE SET person_id = excluded.person_id,
             record_id = excluded.record_id, digest = excluded.digest, written = excluded.written, pending = excluded.pending,
             owned = excluded.owned, run_id = excluded.run_id, written_at = excluded.written_at",
    )
    .bind(ledger.workspace_id)
    .bind(ledger.activation_id)
    .bind(ledger.source_id)
    .bind(ledger.run_id)
    .bind(ledger.now)
    .bind(as_json(entries))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what became of entries. One that is gone by now, since its person was erased, stays gone (invariant 7).
pub async fn update(db: &mut PgConnection, ledger: Ledger, entries: &[Delivered]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE delivery d SET record_id = t.record_id, digest = t.digest, written = t.written, pending = t.pending,
                owned = t.owned, run_id = $3, written_at = $4
         FROM json_to_recordset($5::text::json) AS t(row_key text, record_id text, digest bigint, written jsonb, pending jsonb,
             owned jsonb)
         WHERE d.workspace_id = $1 AND d.activation_id = $2 AND d.row_key = t.row_key",
    )
    .bind(ledger.workspace_id)
    .bind(ledger.activation_id)
    .bind(ledger.run_id)
    .bind(ledger.now)
    .bind(as_json(entries))
    .execute(db)
    .await?;
    Ok(())
}

/// Takes entries away whose records other rows stand for.
pub async fn forget(db: &mut PgConnection, workspace_id: i64, activation_id: i64, row_keys: &[String]) -> Result<()> {
    if row_keys.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM delivery WHERE workspace_id = $1 AND activation_id = $2 AND row_key = ANY($3)")
        .bind(workspace_id)
        .bind(activation_id)
        .bind(row_keys)
        .execute(db)
        .await?;
    Ok(())
}

/// What came of activations for a record of users: whose it is, as far as that is known, and what it was given.
pub struct Given {
    /// The record; None while a call that creates it is under way.
    pub record_id: Option<String>,
    /// Whose row it is.
    pub person_id: Option<i64>,
    /// Values of ours that Zendesk confirmed.
    pub written: std::collections::BTreeMap<String, Written>,
    /// Values on their way.
    pub pending: crate::model::push::Values,
    /// What the activation looks at.
    pub needs: Vec<String>,
}

/// What users of a source were given: these records, and records of these people that are just being created.
pub async fn of_records(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    records: &[&str],
    people: &[i64],
) -> Result<Vec<Given>> {
    let rows = sqlx::query(
        "SELECT d.record_id, d.person_id, d.written, d.pending, a.needs FROM activation a
         JOIN delivery d ON d.workspace_id = a.workspace_id AND d.activation_id = a.id
         WHERE a.workspace_id = $1 AND a.definition ->> 'target' = 'users' AND d.source_id = $2
           AND (d.record_id = ANY($3) OR d.record_id IS NULL AND d.pending IS NOT NULL AND d.person_id = ANY($4))",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(records)
    .bind(people)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Given {
                record_id: row.try_get("record_id")?,
                person_id: row.try_get("person_id")?,
                written: row.try_get::<Json<_>, _>("written")?.0,
                pending: row.try_get::<Option<Json<_>>, _>("pending")?.map(|json| json.0).unwrap_or_default(),
                needs: row.try_get("needs")?,
            })
        })
        .collect()
}
