//! What the rows of an activation are formed from: a page of people with only what the mappings look at. Reads only, one statement a
//! table. People come in the order of their numbers, so that the answers are put together by walking along them.

use super::Result;
use crate::model::consent::ConsentState;
use crate::model::push::Owned;
use crate::model::row::{Given, Needed, PersonFacts, Stay};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::fmt::Write;

/// Some people: by their numbers, in order. Where they lie close together they are read as a stretch, which is several times faster.
#[derive(Debug, Clone, Copy)]
pub struct These<'a> {
    people: &'a [i64],
    close: bool,
}

impl<'a> These<'a> {
    /// These people; sorted, each once.
    pub fn new(people: &'a [i64]) -> These<'a> {
        let span = people.first().zip(people.last()).map_or(0, |(first, last)| last.saturating_sub(*first));
        These { people, close: people.len() > 100 && span < people.len() as i64 * 3 }
    }

    fn bounds(&self) -> (i64, i64) {
        (self.people.first().copied().unwrap_or(1), self.people.last().copied().unwrap_or(0))
    }

    /// For people far apart: their numbers; for a stretch: none, the bounds do.
    fn numbers(&self) -> Option<&'a [i64]> {
        (!self.close).then_some(self.people)
    }
}

/// Whom a page is about.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// After this person.
    pub after: i64,
    /// Only these.
    pub among: Option<&'a [i64]>,
    /// At most so many.
    pub limit: i64,
}

/// Who ever was in an audience, each with the stay that counts, in the order of their numbers.
pub async fn stays(
    db: &mut PgConnection,
    workspace_id: i64,
    audience_id: i64,
    span: Span<'_>,
) -> Result<Vec<(i64, Stay)>> {
    let rows: Vec<(i64, DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(
        "SELECT person_id, coalesce(max(entered_at) FILTER (WHERE exited_at IS NULL), max(entered_at)),
                CASE WHEN bool_or(exited_at IS NULL) THEN NULL ELSE max(exited_at) END
         FROM audience_member
         WHERE workspace_id = $1 AND audience_id = $2 AND person_id > $3 AND ($4::bigint[] IS NULL OR person_id = ANY($4))
         GROUP BY person_id ORDER BY person_id LIMIT $5",
    )
    .bind(workspace_id)
    .bind(audience_id)
    .bind(span.after)
    .bind(span.among)
    .bind(span.limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(person, entered_at, exited_at)| (person, Stay { entered_at, exited_at })).collect())
}

/// The columns that [`given`] reads, by their places; what was written comes last.
const DELIVERED: &str = "row_key, person_id, record_id, owned, CASE WHEN pending IS NULL THEN digest END";

/// What was delivered to people, in the order of their numbers. Of the fields that were written, only these are told: to list
/// them all costs as much as the rest of the row.
pub async fn delivered(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: i64,
    span: Span<'_>,
    fields: &[String],
) -> Result<Vec<Given>> {
    let mut written = String::new();
    for place in 0..fields.len() {
        _ = write!(written, "CASE WHEN written ? ${0} THEN ${0} END,", place + 6);
    }
    let sql = format!(
        "SELECT {DELIVERED}, array_remove(ARRAY[{}]::text[], NULL) FROM delivery
         WHERE workspace_id = $1 AND activation_id = $2 AND person_id > $3 AND ($4::bigint[] IS NULL OR person_id = ANY($4))
         ORDER BY person_id, row_key LIMIT $5",
        written.trim_end_matches(',')
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(workspace_id)
        .bind(activation_id)
        .bind(span.after)
        .bind(span.among)
        .bind(span.limit);
    for field in fields {
        query = query.bind(field);
    }
    Ok(query.fetch_all(db).await?.iter().map(given).collect())
}

/// What was delivered to these rows.
pub async fn delivered_to(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: i64,
    row_keys: &[&str],
) -> Result<Vec<Given>> {
    let sql = format!(
        "SELECT {DELIVERED}, ARRAY(SELECT jsonb_object_keys(written)) FROM delivery
         WHERE workspace_id = $1 AND activation_id = $2 AND row_key = ANY($3) ORDER BY row_key"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(workspace_id).bind(activation_id).bind(row_keys).fetch_all(db).await?;
    Ok(rows.iter().map(given).collect())
}

fn given(row: &sqlx::postgres::PgRow) -> Given {
    let owned: Option<Json<Owned>> = row.get(3);
    Given {
        row_key: row.get(0),
        person_id: row.get(1),
        record_id: row.get(2),
        owned: owned.map(|owned| owned.0).unwrap_or_default(),
        digest: row.get(4),
        written: row.get(5),
    }
}

/// People who are there, archived or not, with what is needed of them, in the order of their numbers.
pub async fn people(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    these: These<'_>,
    needed: &Needed,
) -> Result<Vec<PersonFacts>> {
    let mut columns = String::new();
    for field in &needed.system {
        _ = write!(columns, ", {}", field.as_str());
    }
    for place in 0..needed.custom.len() {
        _ = write!(columns, ", fields -> ${}", place + 5);
    }
    let sql = format!(
        "SELECT id, archived_at IS NOT NULL, created_at, email_consent, sms_consent{columns} FROM person
         WHERE workspace_id = $1 AND id BETWEEN $2 AND $3 AND ($4::bigint[] IS NULL OR id = ANY($4))
         ORDER BY id"
    );
    let (first, last) = these.bounds();
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(workspace_id).bind(first).bind(last).bind(these.numbers());
    for key in &needed.custom {
        query = query.bind(key);
    }
    let rows = query.fetch_all(&mut *db).await?;
    let mut people: Vec<PersonFacts> = rows.iter().map(|row| person(row, needed)).collect();
    drop(rows);
    records(db, workspace_id, source_id, these, &mut people).await?;
    if needed.summary {
        summaries(db, workspace_id, these, &mut people).await?;
    }
    if !needed.rollups.is_empty() {
        rollups(db, workspace_id, these, needed, &mut people).await?;
    }
    if needed.organizations {
        organizations(db, workspace_id, source_id, these, &mut people).await?;
    }
    Ok(people)
}

fn person(row: &sqlx::postgres::PgRow, needed: &Needed) -> PersonFacts {
    let mut person = PersonFacts {
        id: row.get(0),
        archived: row.get(1),
        created_at: row.get(2),
        email_consent: ConsentState::parse(row.get(3)).unwrap_or_default(),
        sms_consent: ConsentState::parse(row.get(4)).unwrap_or_default(),
        ..PersonFacts::default()
    };
    let mut place = 5;
    for field in &needed.system {
        person.system[*field] = row.get(place);
        place += 1;
    }
    for key in &needed.custom {
        if let Some(Json(value)) = row.get::<Option<Json<Value>>, _>(place) {
            person.fields.insert(key.clone(), value);
        }
        place += 1;
    }
    person
}

/// Walks along people and what belongs to them, both in order of their numbers.
struct Walk<'a> {
    people: &'a mut [PersonFacts],
    at: usize,
}

impl Walk<'_> {
    fn person(&mut self, id: i64) -> Option<&mut PersonFacts> {
        while self.people.get(self.at).is_some_and(|person| person.id < id) {
            self.at += 1;
        }
        self.people.get_mut(self.at).filter(|person| person.id == id)
    }
}

async fn records(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    these: These<'_>,
    people: &mut [PersonFacts],
) -> Result<()> {
    let (first, last) = these.bounds();
    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "SELECT person_id, record_id, status FROM person_source
         WHERE workspace_id = $1 AND source_id = $2 AND person_id BETWEEN $3 AND $4 AND ($5::bigint[] IS NULL OR person_id = ANY($5))
         ORDER BY person_id, record_updated_at NULLS FIRST, record_id",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(first)
    .bind(last)
    .bind(these.numbers())
    .fetch_all(db)
    .await?;
    let mut walk = Walk { people, at: 0 };
    for (id, record, status) in rows {
        if let Some(person) = walk.person(id) {
            person.records.push((record, status));
        }
    }
    Ok(())
}

async fn summaries(
    db: &mut PgConnection,
    workspace_id: i64,
    these: These<'_>,
    people: &mut [PersonFacts],
) -> Result<()> {
    let (first, last) = these.bounds();
    let rows: Vec<(i64, Json<Map<String, Value>>)> = sqlx::query_as(
        "SELECT person_id, to_jsonb(s) - 'workspace_id' - 'person_id' FROM support_summary s
         WHERE workspace_id = $1 AND person_id BETWEEN $2 AND $3 AND ($4::bigint[] IS NULL OR person_id = ANY($4)) ORDER BY person_id",
    )
    .bind(workspace_id)
    .bind(first)
    .bind(last)
    .bind(these.numbers())
    .fetch_all(db)
    .await?;
    let mut walk = Walk { people, at: 0 };
    for (id, Json(summary)) in rows {
        if let Some(person) = walk.person(id) {
            person.summary = summary;
        }
    }
    Ok(())
}

async fn rollups(
    db: &mut PgConnection,
    workspace_id: i64,
    these: These<'_>,
    needed: &Needed,
    people: &mut [PersonFacts],
) -> Result<()> {
    let (first, last) = these.bounds();
    let kinds: Vec<&str> = needed.rollups.iter().map(String::as_str).collect();
    type Rollup = (i64, String, DateTime<Utc>, DateTime<Utc>, i64);
    let rows: Vec<Rollup> = sqlx::query_as(
        "SELECT person_id, type, first_at, last_at, total FROM activity_rollup
         WHERE workspace_id = $1 AND person_id BETWEEN $2 AND $3 AND ($4::bigint[] IS NULL OR person_id = ANY($4)) AND type = ANY($5)
         ORDER BY person_id",
    )
    .bind(workspace_id)
    .bind(first)
    .bind(last)
    .bind(these.numbers())
    .bind(kinds)
    .fetch_all(db)
    .await?;
    let mut walk = Walk { people, at: 0 };
    for (id, kind, first, last, total) in rows {
        if let Some(person) = walk.person(id) {
            person.rollups.insert(kind, (first, last, total));
        }
    }
    Ok(())
}

async fn organizations(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    these: These<'_>,
    people: &mut [PersonFacts],
) -> Result<()> {
    let (first, last) = these.bounds();
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT DISTINCT m.person_id, o.record_id FROM organization_member m
         JOIN organization o ON o.workspace_id = m.workspace_id AND o.id = m.organization_id
         WHERE m.workspace_id = $1 AND o.source_id = $2 AND m.person_id BETWEEN $3 AND $4
           AND ($5::bigint[] IS NULL OR m.person_id = ANY($5))
         ORDER BY m.person_id, o.record_id",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(first)
    .bind(last)
    .bind(these.numbers())
    .fetch_all(db)
    .await?;
    let mut walk = Walk { people, at: 0 };
    for (id, record) in rows {
        if let Some(person) = walk.person(id) {
            person.organizations.push(record);
        }
    }
    Ok(())
}

/// True when the workspace has any suppression, so that digests need be made.
pub async fn has_suppressions(db: &mut PgConnection, workspace_id: i64) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM suppression WHERE workspace_id = $1)")
        .bind(workspace_id)
        .fetch_one(db)
        .await
}
