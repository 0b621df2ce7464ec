//! From an activity to a field in Zendesk, as the demo shows it: stays in an audience, what was delivered, what waits. Reads only;
//! nothing here is on a hot path.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

/// Everybody who is or was in an audience, and whether they are in it.
pub async fn stays(db: &mut PgConnection, workspace_id: i64, audience: &str) -> Result<Vec<(i64, bool)>> {
    sqlx::query_as(
        "SELECT m.person_id, bool_or(m.exited_at IS NULL) FROM audience_member m
         JOIN audience a ON a.workspace_id = m.workspace_id AND a.id = m.audience_id
         WHERE m.workspace_id = $1 AND a.name = $2 GROUP BY m.person_id",
    )
    .bind(workspace_id)
    .bind(audience)
    .fetch_all(db)
    .await
}

/// How many records of an activation Zendesk confirmed, and of how many nobody knows.
pub async fn deliveries(db: &mut PgConnection, workspace_id: i64, activation: &str) -> Result<(i64, i64)> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM delivery d WHERE d.workspace_id = $1 AND d.activation_id = a.id AND d.written <> '{}'),
            (SELECT count(*) FROM push_record r WHERE r.workspace_id = $1 AND r.activation_id = a.id AND r.state = 'unknown')
         FROM activation a WHERE a.workspace_id = $1 AND a.name = $2",
    )
    .bind(workspace_id)
    .bind(activation)
    .fetch_one(db)
    .await
}

/// How much waits to be looked at or sent: noted changes, people who are due, records without a result, whole looks.
pub async fn undelivered(db: &mut PgConnection, workspace_id: i64, now: DateTime<Utc>) -> Result<i64> {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM audience_touched WHERE workspace_id = $1 AND due_at <= $2)
              + (SELECT count(*) FROM activation_due WHERE workspace_id = $1)
              + (SELECT count(*) FROM activation WHERE workspace_id = $1 AND replan_at <= $2)
              + (SELECT count(*) FROM push_job WHERE workspace_id = $1 AND ended_at IS NULL)
              + (SELECT count(*) FROM push_record WHERE workspace_id = $1 AND state IN ('planned', 'sent'))
              + (SELECT count(*) FROM push_run WHERE workspace_id = $1 AND kind = 'run' AND state IN ('planning', 'sending'))",
    )
    .bind(workspace_id)
    .bind(now)
    .fetch_one(db)
    .await
}

/// How somebody's ticket became a field in Zendesk.
#[derive(Debug, FromRow)]
#[expect(missing_docs, reason = "as in `ticket`, `audience_member` and `delivery`")]
pub struct Steps {
    pub person_id: i64,
    pub name: String,
    pub ticket_id: i64,
    pub subject: String,
    pub ticket_at: DateTime<Utc>,
    /// Tickets opened within 30 days.
    pub tickets: i64,
    pub entered_at: DateTime<Utc>,
    pub record_id: String,
}

/// The journey of who entered an audience last and has something delivered.
pub async fn latest(
    db: &mut PgConnection,
    source: (i64, i64),
    audience: &str,
    activation: &str,
    now: DateTime<Utc>,
) -> Result<Option<Steps>> {
    sqlx::query_as(
        "SELECT p.id AS person_id, concat_ws(' ', p.first_name, p.last_name) AS name, t.ticket_id, t.subject,
            t.occurred_at AS ticket_at, t.tickets, m.entered_at, d.record_id
         FROM audience_member m
         JOIN audience a ON a.workspace_id = m.workspace_id AND a.id = m.audience_id AND a.name = $3
         JOIN activation v ON v.workspace_id = m.workspace_id AND v.name = $4
         JOIN delivery d ON d.workspace_id = m.workspace_id AND d.activation_id = v.id AND d.person_id = m.person_id
         JOIN person p ON p.workspace_id = m.workspace_id AND p.id = m.person_id
         CROSS JOIN LATERAL (
             SELECT x.ticket_id, coalesce(x.subject, '') AS subject, x.occurred_at, count(*) OVER () AS tickets FROM ticket_activity x
             WHERE x.workspace_id = $1 AND x.person_id = m.person_id AND x.type = 'zd.ticket.created'
               AND x.occurred_at > $5::timestamptz - interval '30 days'
             ORDER BY x.occurred_at DESC LIMIT 1) t
         WHERE m.workspace_id = $1 AND m.exited_at IS NULL AND d.source_id = $2 AND d.record_id IS NOT NULL
         ORDER BY m.entered_at DESC, p.id LIMIT 1",
    )
    .bind(source.0)
    .bind(source.1)
    .bind(audience)
    .bind(activation)
    .bind(now)
    .fetch_optional(db)
    .await
}
