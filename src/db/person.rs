//! Table `person`.

use super::{Result, column, json_column};
use crate::model::consent::ConsentState;
use crate::model::field::{PerField, SystemField};
use crate::model::person::Person;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// A row to be written.
#[derive(Debug, Serialize)]
pub struct PersonRow<'a> {
    id: i64,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    email: Option<&'a str>,
    phone: Option<&'a str>,
    locale: Option<&'a str>,
    time_zone: Option<&'a str>,
    external_id: Option<&'a str>,
    fields: &'a Map<String, Value>,
    email_consent: &'static str,
    sms_consent: &'static str,
    provenance: Option<&'a Map<String, Value>>,
    created_source_id: i64,
    created_record: &'a str,
}

impl<'a> PersonRow<'a> {
    /// The row of a person; `created_record` matters only for an insert.
    pub fn new(person: &'a Person, created_record: &'a str) -> PersonRow<'a> {
        let text = |field: SystemField| person.system[field].as_deref();
        PersonRow {
            id: person.id,
            first_name: text(SystemField::FirstName),
            last_name: text(SystemField::LastName),
            email: text(SystemField::Email),
            phone: text(SystemField::Phone),
            locale: text(SystemField::Locale),
            time_zone: text(SystemField::TimeZone),
            external_id: text(SystemField::ExternalId),
            fields: &person.fields,
            email_consent: person.email_consent.as_str(),
            sms_consent: person.sms_consent.as_str(),
            provenance: (!person.provenance.is_empty()).then_some(&person.provenance),
            created_source_id: person.created_source_id,
            created_record,
        }
    }
}

/// Reserves ids for `count` new people.
pub async fn reserve_ids(db: &mut PgConnection, count: usize) -> Result<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT nextval('person_id') FROM generate_series(1, $1)").bind(count as i32).fetch_all(db).await
}

/// Adds people.
pub async fn insert(
    db: &mut PgConnection,
    workspace_id: i64,
    rows: &[PersonRow<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO person (workspace_id, id, first_name, last_name, email, phone, locale, time_zone, external_id, fields,
             email_consent, sms_consent, provenance, created_source_id, created_record, created_at, updated_at)
         SELECT $1, id, first_name, last_name, email, phone, locale, time_zone, external_id, fields::jsonb,
             email_consent, sms_consent, provenance::jsonb, created_source_id, created_record, $2, $2
         FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
             $12::text[], $13::text[], $14::text[], $15::bigint[], $16::text[])
             AS t(id, first_name, last_name, email, phone, locale, time_zone, external_id, fields,
                 email_consent, sms_consent, provenance, created_source_id, created_record)",
    )
    .bind(workspace_id)
    .bind(now)
    .bind(column(rows, |row| row.id))
    .bind(column(rows, |row| row.first_name))
    .bind(column(rows, |row| row.last_name))
    .bind(column(rows, |row| row.email))
    .bind(column(rows, |row| row.phone))
    .bind(column(rows, |row| row.locale))
    .bind(column(rows, |row| row.time_zone))
    .bind(column(rows, |row| row.external_id))
    .bind(json_column(rows, |row| Some(row.fields)))
    .bind(column(rows, |row| row.email_consent))
    .bind(column(rows, |row| row.sms_consent))
    .bind(json_column(rows, |row| row.provenance))
    .bind(column(rows, |row| row.created_source_id))
    .bind(column(rows, |row| row.created_record))
    .execute(db)
    .await?;
    Ok(())
}

/// Replaces people who changed.
pub async fn update(
    db: &mut PgConnection,
    workspace_id: i64,
    rows: &[PersonRow<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE person p SET first_name = t.first_name, last_name = t.last_name, email = t.email, phone = t.phone,
             locale = t.locale, time_zone = t.time_zone, external_id = t.external_id, fields = t.fields,
             email_consent = t.email_consent, sms_consent = t.sms_consent, provenance = t.provenance, updated_at = $3
         FROM json_to_recordset($2::text::json) AS t(id bigint, first_name text, last_name text, email text, phone text, locale text,
             time_zone text, external_id text, fields jsonb, email_consent text, sms_consent text, provenance jsonb)
         WHERE p.workspace_id = $1 AND p.id = t.id",
    )
    .bind(workspace_id)
    .bind(super::as_json(rows))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// People by id; ids of people who were merged away find nothing.
pub async fn load(db: &mut PgConnection, workspace_id: i64, ids: &[i64]) -> Result<Vec<Person>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT p.* FROM unnest($2::bigint[]) AS t(id) CROSS JOIN LATERAL (
             SELECT id, first_name, last_name, email, phone, locale, time_zone, external_id, fields, email_consent, sms_consent,
                    created_at, created_source_id, provenance, archived_at
             FROM person WHERE workspace_id = $1 AND id = t.id LIMIT 1) p",
    )
    .bind(workspace_id)
    .bind(ids)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().map(person_of).collect())
}

fn person_of(row: &sqlx::postgres::PgRow) -> Person {
    let mut system = PerField::<Option<String>>::default();
    for field in SystemField::ALL {
        system[field] = row.get(field.as_str());
    }
    let map = |name: &str| match row.get::<Option<Json<Value>>, _>(name) {
        Some(Json(Value::Object(map))) => map,
        _ => Map::new(),
    };
    let consent = |name: &str| ConsentState::parse(row.get(name)).unwrap_or(ConsentState::Unknown);
    Person {
        id: row.get("id"),
        system,
        fields: map("fields"),
        email_consent: consent("email_consent"),
        sms_consent: consent("sms_consent"),
        created_at: row.get("created_at"),
        created_source_id: row.get("created_source_id"),
        provenance: map("provenance"),
        archived_at: row.get("archived_at"),
    }
}

/// Which of these people are archived.
pub async fn archived(db: &mut PgConnection, workspace_id: i64, ids: &[i64]) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT p.id FROM unnest($2::bigint[]) AS t(id) CROSS JOIN LATERAL (
             SELECT id, archived_at FROM person WHERE workspace_id = $1 AND id = t.id LIMIT 1) p
         WHERE p.archived_at IS NOT NULL",
    )
    .bind(workspace_id)
    .bind(ids)
    .fetch_all(db)
    .await
}

/// Archives people who are not archived yet (R48). Answers who they were.
pub async fn archive(
    db: &mut PgConnection,
    workspace_id: i64,
    ids: &[i64],
    reason: &str,
    now: DateTime<Utc>,
    delete_after: Option<DateTime<Utc>>,
) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "UPDATE person SET archived_at = $4, archive_reason = $3, delete_after = $5, updated_at = $4
         WHERE workspace_id = $1 AND id = ANY($2) AND archived_at IS NULL RETURNING id",
    )
    .bind(workspace_id)
    .bind(ids)
    .bind(reason)
    .bind(now)
    .bind(delete_after)
    .fetch_all(db)
    .await
}

/// Brings archived people back. Answers who they were.
pub async fn restore(db: &mut PgConnection, workspace_id: i64, ids: &[i64], now: DateTime<Utc>) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "UPDATE person SET archived_at = NULL, archive_reason = NULL, delete_after = NULL, updated_at = $3
         WHERE workspace_id = $1 AND id = ANY($2) AND archived_at IS NOT NULL RETURNING id",
    )
    .bind(workspace_id)
    .bind(ids)
    .bind(now)
    .fetch_all(db)
    .await
}

/// Archived people whose time has come, oldest first.
pub async fn to_delete(db: &mut PgConnection, workspace_id: i64, now: DateTime<Utc>, limit: i64) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT id FROM person WHERE workspace_id = $1 AND delete_after <= $2 ORDER BY delete_after LIMIT $3",
    )
    .bind(workspace_id)
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Removes people.
pub async fn delete(db: &mut PgConnection, workspace_id: i64, ids: &[i64]) -> Result<u64> {
    let gone = sqlx::query("DELETE FROM person WHERE workspace_id = $1 AND id = ANY($2)")
        .bind(workspace_id)
        .bind(ids)
        .execute(db)
        .await?;
    Ok(gone.rows_affected())
}

/// A person as a whole, for people to read.
pub async fn show(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<Option<Value>> {
    sqlx::query_scalar("SELECT to_jsonb(p) FROM person p WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .fetch_optional(db)
        .await
}

/// People whose id, name, address, phone or external id holds the text; archived ones only when asked for.
pub async fn find(
    db: &mut PgConnection,
    workspace_id: i64,
    text: &str,
    archived: bool,
    limit: i64,
) -> Result<Vec<Value>> {
    sqlx::query_scalar(
        "SELECT jsonb_build_object('id', id, 'first_name', first_name, 'last_name', last_name, 'email', email, 'phone', phone,
                    'external_id', external_id, 'archived_at', archived_at)
         FROM person
         WHERE workspace_id = $1 AND (archived_at IS NULL OR $3)
           AND (id::text = $2 OR external_id = $2
                OR concat_ws(' ', first_name, last_name) ILIKE '%' || $4 || '%' OR email ILIKE '%' || $4 || '%'
                OR phone LIKE '%' || $4 || '%')
         ORDER BY id LIMIT $5",
    )
    .bind(workspace_id)
    .bind(text)
    .bind(archived)
    .bind(text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
    .bind(limit)
    .fetch_all(db)
    .await
}

/// People that a text names, and by what: their number, the id of a record of a source, an external id, or an address (given as typed and
/// as identities have it). Archived ones, too.
pub async fn named(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    text: &str,
    address: Option<&str>,
) -> Result<Vec<(String, i64)>> {
    sqlx::query_as(
        "SELECT 'number' AS way, id FROM person WHERE workspace_id = $1 AND id::text = $3
         UNION SELECT 'number', person_id FROM person_alias WHERE workspace_id = $1 AND alias_id::text = $3
         UNION SELECT 'record', person_id FROM person_source WHERE workspace_id = $1 AND source_id = $2 AND record_id = $3
         UNION SELECT 'external id', id FROM person WHERE workspace_id = $1 AND lower(external_id) = lower($3)
         UNION SELECT 'external id', person_id FROM identity
               WHERE workspace_id = $1 AND kind = 'external_id' AND value IN ($3, lower($3))
         UNION SELECT 'address', id FROM person WHERE workspace_id = $1 AND lower(email) IN (lower($3), $4)
         UNION SELECT 'address', person_id FROM identity WHERE workspace_id = $1 AND kind = 'email' AND value = $4
         ORDER BY way, id LIMIT 100",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(text)
    .bind(address)
    .fetch_all(db)
    .await
}
