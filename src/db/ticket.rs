//! Table `ticket`: present state, guarded against older news.

use super::Result;
use crate::model::record::Problem;
use crate::model::ticket::{FormerRequester, Rating, TicketRecord};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// What is known of a stored ticket.
#[derive(Debug, Clone)]
pub struct Known {
    /// Number in Zendesk.
    pub id: i64,
    /// Requester.
    pub requester: Option<String>,
    /// Former requesters, oldest first.
    pub history: Vec<FormerRequester>,
    /// When it was opened.
    pub created_at: Option<DateTime<Utc>>,
    /// Newest stamp applied.
    pub version_at: DateTime<Utc>,
    /// Digest of what was last applied.
    pub seen: i64,
    /// True when its texts must not be kept.
    pub scrubbed: bool,
    /// When the last rating was given.
    pub rating_at: Option<DateTime<Utc>>,
}

/// A ticket to be written.
#[derive(Debug, Serialize)]
pub struct TicketRow<'a> {
    id: i64,
    person_id: Option<i64>,
    requester_record_id: Option<&'a str>,
    submitter_record_id: Option<&'a str>,
    assignee_record_id: Option<&'a str>,
    organization_record_id: Option<&'a str>,
    subject: Option<&'a str>,
    status: Option<&'a str>,
    priority: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    channel: Option<&'a str>,
    group_id: Option<&'a str>,
    brand_id: Option<&'a str>,
    form_id: Option<&'a str>,
    custom_status_id: Option<&'a str>,
    external_id: Option<&'a str>,
    tags: &'a [String],
    fields: &'a Map<String, Value>,
    is_public: Option<bool>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    version_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    scrubbed: bool,
    seen: i64,
    unknown: Option<&'a Value>,
    problems: Option<&'a [Problem]>,
}

impl<'a> TicketRow<'a> {
    /// The row of a record; `person_id` is its requester's, where that is a person.
    pub fn new(record: &'a TicketRecord, person_id: Option<i64>, seen: i64) -> TicketRow<'a> {
        TicketRow {
            id: record.id,
            person_id,
            requester_record_id: record.requester.as_deref(),
            submitter_record_id: record.submitter.as_deref(),
            assignee_record_id: record.assignee.as_deref(),
            organization_record_id: record.organization.as_deref(),
            subject: record.subject.as_deref().filter(|_| !record.scrubbed),
            status: record.status.as_deref(),
            priority: record.priority.as_deref(),
            kind: record.kind.as_deref(),
            channel: record.channel.as_deref(),
            group_id: record.group.as_deref(),
            brand_id: record.brand.as_deref(),
            form_id: record.form.as_deref(),
            custom_status_id: record.custom_status.as_deref(),
            external_id: record.external_id.as_deref(),
            tags: &record.tags,
            fields: &record.fields,
            is_public: record.is_public,
            created_at: record.created_at,
            updated_at: record.updated_at,
            version_at: record.version_at,
            deleted_at: record.is_deleted().then_some(record.updated_at.unwrap_or(record.version_at)),
            scrubbed: record.scrubbed,
            seen,
            unknown: record.unknown.as_ref(),
            problems: (!record.problems.is_empty()).then_some(record.problems.as_slice()),
        }
    }
}

impl TicketRow<'_> {
    /// Number in Zendesk.
    pub fn id(&self) -> i64 {
        self.id
    }
}

/// Stored tickets.
pub async fn load(db: &mut PgConnection, workspace_id: i64, source_id: i64, ids: &[i64]) -> Result<Vec<Known>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT id, requester_record_id, requester_history, created_at, version_at, seen, scrubbed, rating_at
         FROM ticket WHERE workspace_id = $1 AND source_id = $2 AND id = ANY($3)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(ids)
    .fetch_all(db)
    .await?;
    let known = |row: &sqlx::postgres::PgRow| Known {
        id: row.get("id"),
        requester: row.get("requester_record_id"),
        history: row
            .get::<Option<Json<Vec<FormerRequester>>>, _>("requester_history")
            .map(|json| json.0)
            .unwrap_or_default(),
        created_at: row.get("created_at"),
        version_at: row.get("version_at"),
        seen: row.get("seen"),
        scrubbed: row.get("scrubbed"),
        rating_at: row.get("rating_at"),
    };
    Ok(rows.iter().map(known).collect())
}

/// Adds or replaces tickets. `complete` is false for what a webhook alone says: custom fields then stay.
pub async fn upsert(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    rows: &[TicketRow<'_>],
    complete: bool,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ticket (workspace_id, source_id, id, person_id, requester_record_id, submitter_record_id, assignee_record_id,
             organization_record_id, subject, status, priority, type, channel, group_id, brand_id, form_id, custom_status_id,
             external_id, tags, fields, is_public, created_at, updated_at, version_at, deleted_at, scrubbed, seen, unknown, problems)
         SELECT $1, $2, t.* FROM json_to_recordset($3::text::json) AS t(id bigint, person_id bigint, requester_record_id text,
             submitter_record_id text, assignee_record_id text, organization_record_id text, subject text, status text,
             priority text, type text, channel text, group_id text, brand_id text, form_id text, custom_status_id text,
             external_id text, tags text[], fields jsonb, is_public bool, created_at timestamptz, updated_at timestamptz,
             version_at timestamptz, deleted_at timestamptz, scrubbed bool, seen bigint, unknown jsonb, problems jsonb)
         ON CONFLICT (workspace_id, source_id, id) DO UPDATE SET person_id = excluded.person_id,
             requester_record_id = excluded.requester_record_id, submitter_record_id = excluded.submitter_record_id,
             assignee_record_id = excluded.assignee_record_id, organization_record_id = excluded.organization_record_id,
             subject = excluded.subject, status = excluded.status, priority = excluded.priority, type = excluded.type,
             channel = excluded.channel, group_id = excluded.group_id, brand_id = excluded.brand_id, form_id = excluded.form_id,
             custom_status_id = excluded.custom_status_id, external_id = excluded.external_id, tags = excluded.tags,
             fields = CASE WHEN $4 THEN excluded.fields ELSE ticket.fields END,
             unknown = CASE WHEN $4 THEN excluded.unknown ELSE ticket.unknown END,
             problems = CASE WHEN $4 THEN excluded.problems ELSE ticket.problems END,
             is_public = excluded.is_public, created_at = coalesce(excluded.created_at, ticket.created_at),
             updated_at = excluded.updated_at, version_at = excluded.version_at, deleted_at = excluded.deleted_at,
             scrubbed = excluded.scrubbed, seen = excluded.seen,
             rating_comment = CASE WHEN excluded.scrubbed THEN NULL ELSE ticket.rating_comment END",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(super::as_json(rows))
    .bind(complete)
    .execute(db)
    .await?;
    Ok(())
}

/// Sets the requesters' people on tickets that came before them.
pub async fn attach(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    record_ids: &[&str],
    person_ids: &[i64],
) -> Result<()> {
    sqlx::query(
        "UPDATE ticket t SET person_id = n.person_id FROM unnest($3::text[], $4::bigint[]) AS n(record_id, person_id)
         WHERE t.workspace_id = $1 AND t.source_id = $2 AND t.requester_record_id = n.record_id AND t.person_id IS NULL",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(record_ids)
    .bind(person_ids)
    .execute(db)
    .await?;
    Ok(())
}

/// Sets tickets' former requesters.
pub async fn set_history(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    histories: &[(i64, Vec<FormerRequester>)],
) -> Result<()> {
    let ids: Vec<i64> = histories.iter().map(|(id, _)| *id).collect();
    let texts: Vec<Json<&Vec<FormerRequester>>> = histories.iter().map(|(_, history)| Json(history)).collect();
    sqlx::query(
        "UPDATE ticket t SET requester_history = n.history FROM unnest($3::bigint[], $4::jsonb[]) AS n(id, history)
         WHERE t.workspace_id = $1 AND t.source_id = $2 AND t.id = n.id",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(ids)
    .bind(texts)
    .execute(db)
    .await?;
    Ok(())
}

/// Sets tickets' last ratings, unless a newer one stands there. Answers how many were written.
pub async fn rate(db: &mut PgConnection, workspace_id: i64, source_id: i64, ratings: &[&Rating]) -> Result<u64> {
    let written = sqlx::query(
        "UPDATE ticket t SET rating = n.score, rating_comment = CASE WHEN t.scrubbed THEN NULL ELSE n.comment END, rating_at = n.at
         FROM unnest($3::bigint[], $4::text[], $5::text[], $6::timestamptz[]) AS n(id, score, comment, at)
         WHERE t.workspace_id = $1 AND t.source_id = $2 AND t.id = n.id AND (t.rating_at IS NULL OR t.rating_at <= n.at)
           AND (t.rating, t.rating_at) IS DISTINCT FROM (n.score, n.at)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(ratings.iter().map(|rating| rating.ticket_id).collect::<Vec<_>>())
    .bind(ratings.iter().map(|rating| rating.score.as_str()).collect::<Vec<_>>())
    .bind(ratings.iter().map(|rating| rating.comment.as_deref()).collect::<Vec<_>>())
    .bind(ratings.iter().map(|rating| rating.rated_at).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(written.rows_affected())
}

/// Removes the texts of tickets (A7).
pub async fn scrub(db: &mut PgConnection, workspace_id: i64, source_id: i64, ids: &[i64]) -> Result<()> {
    sqlx::query(
        "UPDATE ticket SET scrubbed = true, subject = NULL, rating_comment = NULL, unknown = NULL, seen = 0
         WHERE workspace_id = $1 AND source_id = $2 AND id = ANY($3) AND NOT scrubbed",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(ids)
    .execute(db)
    .await?;
    Ok(())
}

/// How many tickets a source has brought.
pub async fn count(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM ticket WHERE workspace_id = $1 AND source_id = $2 AND deleted_at IS NULL")
        .bind(workspace_id)
        .bind(source_id)
        .fetch_one(db)
        .await
}

/// Numbers of the tickets of these people.
pub async fn of_people(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    person_ids: &[i64],
) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT id::text FROM ticket WHERE workspace_id = $1 AND source_id = $2 AND person_id = ANY($3)")
        .bind(workspace_id)
        .bind(source_id)
        .bind(person_ids)
        .fetch_all(db)
        .await
}
