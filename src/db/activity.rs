//! Tables `activity` and `activity_rollup`.

use super::{Result, column, json_column};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// An activity to be written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActivityRow {
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Derived from what happened.
    pub id: Uuid,
    /// The person.
    pub person_id: i64,
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The ticket.
    pub ticket_id: Option<i64>,
    /// Who did it.
    pub actor_record_id: Option<String>,
    /// What is particular to it.
    pub attributes: Map<String, Value>,
    /// Text of the message.
    pub message: Option<String>,
    /// How it came.
    pub origin: i16,
}

/// What is stored of an activity already.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Id.
    pub id: Uuid,
    /// How it came.
    pub origin: i16,
    /// Attributes.
    pub attributes: Map<String, Value>,
    /// Message.
    pub message: Option<String>,
}

impl Stored {
    /// True when its text was removed (A7).
    pub fn is_redacted(&self) -> bool {
        self.attributes.contains_key("redacted")
    }
}

/// Attributes that are texts somebody wrote.
pub const TEXTS: &[&str] = &["changes", "comment", "reason", "subject"];

/// Which of these activities are stored already.
pub async fn load(db: &mut PgConnection, workspace_id: i64, rows: &[ActivityRow]) -> Result<Vec<Stored>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let times: Vec<DateTime<Utc>> = rows.iter().map(|row| row.occurred_at).collect();
    let found = sqlx::query(
        "SELECT a.* FROM unnest($2::timestamptz[], $3::uuid[]) AS t(occurred_at, id) CROSS JOIN LATERAL (
             SELECT id, origin, attributes, message FROM activity
             WHERE workspace_id = $1 AND occurred_at = t.occurred_at AND id = t.id LIMIT 1) a",
    )
    .bind(workspace_id)
    .bind(times)
    .bind(ids)
    .fetch_all(db)
    .await?;
    let stored = |row: &sqlx::postgres::PgRow| Stored {
        id: row.get("id"),
        origin: row.get("origin"),
        attributes: row.get::<Json<Map<String, Value>>, _>("attributes").0,
        message: row.get("message"),
    };
    Ok(found.iter().map(stored).collect())
}

/// Adds activities that are not stored yet.
pub async fn insert(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    rows: &[&ActivityRow],
    now: DateTime<Utc>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO activity (workspace_id, source_id, occurred_at, id, person_id, original_person_id, type, ticket_id,
             actor_record_id, attributes, message, origin, recorded_at)
         SELECT $1, $2, t.occurred_at, t.id, t.person_id, t.person_id, t.type, t.ticket_id, t.actor_record_id,
             t.attributes::jsonb, t.message, t.origin, $3
         FROM unnest($4::timestamptz[], $5::uuid[], $6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[],
             $12::smallint[]) AS t(occurred_at, id, person_id, type, ticket_id, actor_record_id, attributes, message, origin)
         ON CONFLICT (workspace_id, occurred_at, id) DO NOTHING",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(now)
    .bind(column(rows, |row| row.occurred_at))
    .bind(column(rows, |row| row.id))
    .bind(column(rows, |row| row.person_id))
    .bind(column(rows, |row| row.kind.as_str()))
    .bind(column(rows, |row| row.ticket_id))
    .bind(column(rows, |row| row.actor_record_id.as_deref()))
    .bind(json_column(rows, |row| Some(&row.attributes)))
    .bind(column(rows, |row| row.message.as_deref()))
    .bind(column(rows, |row| row.origin))
    .execute(db)
    .await?;
    Ok(())
}

/// Corrects stored activities by better news; what was redacted stays so.
pub async fn correct(db: &mut PgConnection, workspace_id: i64, rows: &[&ActivityRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE activity a SET attributes = t.attributes, message = t.message, origin = t.origin
         FROM json_to_recordset($2::text::json) AS t(occurred_at timestamptz, id uuid, attributes jsonb, message text, origin smallint)
         WHERE a.workspace_id = $1 AND a.occurred_at = t.occurred_at AND a.id = t.id",
    )
    .bind(workspace_id)
    .bind(super::as_json(rows))
    .execute(db)
    .await?;
    Ok(())
}

/// First, last and count of newly added activities of one person and type.
#[derive(Debug)]
pub struct RollupRow<'a> {
    /// The person.
    pub person_id: i64,
    /// Activity type.
    pub kind: &'a str,
    /// First occurrence.
    pub first_at: DateTime<Utc>,
    /// Last occurrence.
    pub last_at: DateTime<Utc>,
    /// How many.
    pub total: i64,
}

/// Adds to rollups (R7).
pub async fn roll_up(db: &mut PgConnection, workspace_id: i64, rows: &[RollupRow<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO activity_rollup (workspace_id, person_id, type, first_at, last_at, total)
         SELECT $1, t.* FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[]) t
         ON CONFLICT (workspace_id, person_id, type) DO UPDATE SET first_at = least(activity_rollup.first_at, excluded.first_at),
             last_at = greatest(activity_rollup.last_at, excluded.last_at), total = activity_rollup.total + excluded.total",
    )
    .bind(workspace_id)
    .bind(column(rows, |row| row.person_id))
    .bind(column(rows, |row| row.kind))
    .bind(column(rows, |row| row.first_at))
    .bind(column(rows, |row| row.last_at))
    .bind(column(rows, |row| row.total))
    .execute(db)
    .await?;
    Ok(())
}

/// Removes the text of comments and notes that it was (A7). Answers how many.
pub async fn redact_comments(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    tickets: &[i64],
    comments: &[&str],
) -> Result<u64> {
    let redacted = sqlx::query(
        "UPDATE activity a SET message = NULL, attributes = attributes || '{\"redacted\": true}'
         FROM unnest($3::bigint[], $4::text[]) AS t(ticket_id, comment_id)
         WHERE a.workspace_id = $1 AND a.source_id = $2 AND a.ticket_id = t.ticket_id
           AND (a.attributes->>'comment_id' = t.comment_id) AND NOT a.attributes ? 'redacted'",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .bind(comments)
    .execute(db)
    .await?;
    Ok(redacted.rows_affected())
}

/// Removes every text of tickets' activities (A7). Answers how many.
pub async fn redact_tickets(db: &mut PgConnection, workspace_id: i64, source_id: i64, tickets: &[i64]) -> Result<u64> {
    let redacted = sqlx::query(
        "UPDATE activity SET message = NULL,
             attributes = (attributes - $4::text[]) || '{\"redacted\": true}'
         WHERE workspace_id = $1 AND source_id = $2 AND ticket_id = ANY($3) AND NOT attributes ? 'redacted'",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .bind(TEXTS)
    .execute(db)
    .await?;
    Ok(redacted.rows_affected())
}

/// Marks comments as no longer public.
pub async fn mark_private(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    tickets: &[i64],
    comments: &[&str],
) -> Result<()> {
    sqlx::query(
        "UPDATE activity a SET attributes = attributes || '{\"public\": false}'
         FROM unnest($3::bigint[], $4::text[]) AS t(ticket_id, comment_id)
         WHERE a.workspace_id = $1 AND a.source_id = $2 AND a.ticket_id = t.ticket_id
           AND a.attributes->>'comment_id' = t.comment_id AND a.attributes->'public' <> 'false'",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .bind(comments)
    .execute(db)
    .await?;
    Ok(())
}

/// Removes comments. Answers whose they were.
pub async fn delete_comments(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    tickets: &[i64],
    comments: &[&str],
) -> Result<Vec<Owned>> {
    let rows = sqlx::query(
        "DELETE FROM activity a USING unnest($3::bigint[], $4::text[]) AS t(ticket_id, comment_id)
         WHERE a.workspace_id = $1 AND a.source_id = $2 AND a.ticket_id = t.ticket_id
           AND a.attributes->>'comment_id' = t.comment_id
         RETURNING a.occurred_at, a.id, a.ticket_id, a.person_id, a.type",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .bind(comments)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().map(owned).collect())
}

fn owned(row: &sqlx::postgres::PgRow) -> Owned {
    Owned {
        occurred_at: row.get("occurred_at"),
        id: row.get("id"),
        ticket_id: row.get("ticket_id"),
        person_id: row.get("person_id"),
        kind: row.get("type"),
    }
}

/// An activity's owner, to be checked against the history of its ticket.
#[derive(Debug, Clone)]
pub struct Owned {
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Id.
    pub id: Uuid,
    /// The ticket.
    pub ticket_id: i64,
    /// Present owner.
    pub person_id: i64,
    /// Type.
    pub kind: String,
}

/// Activities of tickets that belong to whoever was requester (A4).
pub async fn of_requesters(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    tickets: &[i64],
) -> Result<Vec<Owned>> {
    let rows = sqlx::query(
        "SELECT occurred_at, id, ticket_id, person_id, type FROM activity
         WHERE workspace_id = $1 AND source_id = $2 AND ticket_id = ANY($3) AND NOT attributes ? 'as_author'",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().map(owned).collect())
}

/// Gives activities to other people, rollups included.
pub async fn reassign(db: &mut PgConnection, workspace_id: i64, moves: &[(Owned, i64)]) -> Result<()> {
    let times: Vec<DateTime<Utc>> = moves.iter().map(|(activity, _)| activity.occurred_at).collect();
    let ids: Vec<Uuid> = moves.iter().map(|(activity, _)| activity.id).collect();
    let people: Vec<i64> = moves.iter().map(|(_, person)| *person).collect();
    sqlx::query(
        "UPDATE activity a SET person_id = t.person_id, original_person_id = t.person_id
         FROM unnest($2::timestamptz[], $3::uuid[], $4::bigint[]) AS t(occurred_at, id, person_id)
         WHERE a.workspace_id = $1 AND a.occurred_at = t.occurred_at AND a.id = t.id",
    )
    .bind(workspace_id)
    .bind(times)
    .bind(ids)
    .bind(people)
    .execute(db)
    .await?;
    Ok(())
}

/// Takes from rollups what is no longer theirs: counts go down, a first or last that went is read anew from what is left,
/// and an empty rollup goes.
pub async fn roll_down(db: &mut PgConnection, workspace_id: i64, rows: &[RollupRow<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE activity_rollup r SET total = r.total - t.total,
             first_at = CASE WHEN t.first_at <= r.first_at THEN coalesce(n.first_at, r.first_at) ELSE r.first_at END,
             last_at = CASE WHEN t.last_at >= r.last_at THEN coalesce(n.last_at, r.last_at) ELSE r.last_at END
         FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[])
             AS t(person_id, type, first_at, last_at, total)
         LEFT JOIN LATERAL (
             SELECT min(a.occurred_at) AS first_at, max(a.occurred_at) AS last_at FROM activity a
             WHERE a.workspace_id = $1 AND a.person_id = t.person_id AND a.type = t.type) n ON true
         WHERE r.workspace_id = $1 AND r.person_id = t.person_id AND r.type = t.type",
    )
    .bind(workspace_id)
    .bind(column(rows, |row| row.person_id))
    .bind(column(rows, |row| row.kind))
    .bind(column(rows, |row| row.first_at))
    .bind(column(rows, |row| row.last_at))
    .bind(column(rows, |row| row.total))
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM activity_rollup WHERE workspace_id = $1 AND person_id = ANY($2) AND total <= 0")
        .bind(workspace_id)
        .bind(column(rows, |row| row.person_id))
        .execute(db)
        .await?;
    Ok(())
}

/// The newest activities of a person, for people to read.
pub async fn newest(db: &mut PgConnection, workspace_id: i64, person_id: i64, limit: i64) -> Result<Vec<Value>> {
    sqlx::query_scalar(
        "SELECT jsonb_build_object('occurred_at', occurred_at, 'type', type, 'ticket_id', ticket_id, 'attributes', attributes,
                    'message', message, 'source_id', source_id)
         FROM activity WHERE workspace_id = $1 AND person_id = $2 ORDER BY occurred_at DESC, id LIMIT $3",
    )
    .bind(workspace_id)
    .bind(person_id)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Activities that went: of which source and type, since when, how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The source.
    pub source_id: i64,
    /// Activity type.
    pub kind: String,
    /// The oldest of them.
    pub from: DateTime<Utc>,
    /// How many.
    pub total: u64,
    /// Whose they were, where that was asked.
    pub people: Vec<i64>,
}

fn span_of(row: &sqlx::postgres::PgRow) -> Span {
    Span {
        source_id: row.get("source_id"),
        kind: row.get("type"),
        from: row.get("first_at"),
        total: row.get::<i64, _>("total") as u64,
        people: row.get("people"),
    }
}

/// Activity types a source has brought.
pub async fn kinds(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT DISTINCT type FROM activity WHERE workspace_id = $1 AND source_id = $2")
        .bind(workspace_id)
        .bind(source_id)
        .fetch_all(db)
        .await
}

/// How many activities of these types happened before a time.
pub async fn count_before(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    kinds: &[String],
    before: DateTime<Utc>,
) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM activity WHERE workspace_id = $1 AND source_id = $2 AND type = ANY($3) AND occurred_at < $4",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(kinds)
    .bind(before)
    .fetch_one(db)
    .await?;
    Ok(count as u64)
}

/// Removes up to `limit` activities of these types that happened before a time. Answers what went.
pub async fn delete_before(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    kinds: &[String],
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Span>> {
    let rows = sqlx::query(
        "WITH gone AS (
             DELETE FROM activity a USING (
                 SELECT occurred_at, id FROM activity
                 WHERE workspace_id = $1 AND source_id = $2 AND type = ANY($3) AND occurred_at < $4
                 ORDER BY occurred_at LIMIT $5) old
             WHERE a.workspace_id = $1 AND a.occurred_at = old.occurred_at AND a.id = old.id
             RETURNING a.source_id, a.type, a.occurred_at, a.person_id)
         SELECT source_id, type, min(occurred_at) AS first_at, count(*) AS total, array_agg(DISTINCT person_id) AS people
         FROM gone GROUP BY source_id, type",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(kinds)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().map(span_of).collect())
}

/// What of a workspace happened before a time, whatever the source and type.
pub async fn spans_before(db: &mut PgConnection, workspace_id: i64, before: DateTime<Utc>) -> Result<Vec<Span>> {
    let rows = sqlx::query(
        "SELECT source_id, type, min(occurred_at) AS first_at, count(*) AS total, ARRAY[]::bigint[] AS people FROM activity
         WHERE workspace_id = $1 AND occurred_at < $2 GROUP BY source_id, type",
    )
    .bind(workspace_id)
    .bind(before)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().map(span_of).collect())
}
