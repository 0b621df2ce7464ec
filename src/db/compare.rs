//! What the comparison with the simulated Zendesk reads: whole tables of one source, as JSON. For the demo and for tests;
//! nothing here is on a hot path.

use super::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// Links, each with its person: `{record_id, status, organization, person_id, person, archived}`.
const LINKS: &str = "SELECT jsonb_build_object('record_id', ps.record_id, 'status', ps.status,
        'organization', ps.organization_record_id, 'person_id', ps.person_id, 'person', to_jsonb(p) - 'provenance')
    FROM person_source ps LEFT JOIN person p ON p.workspace_id = ps.workspace_id AND p.id = ps.person_id
    WHERE ps.workspace_id = $1 AND ps.source_id = $2";

const AGENTS: &str = "SELECT to_jsonb(a) FROM agent a WHERE workspace_id = $1 AND source_id = $2";

const ORGANIZATIONS: &str =
    "SELECT to_jsonb(o) - 'unknown' FROM organization o WHERE workspace_id = $1 AND source_id = $2";

const TICKETS: &str = "SELECT to_jsonb(t) || jsonb_build_object('created', extract(epoch FROM created_at)::bigint,
        'updated', extract(epoch FROM updated_at)::bigint)
    FROM ticket t WHERE workspace_id = $1 AND source_id = $2";

const ACTIVITIES: &str =
    "SELECT jsonb_build_object('type', type, 'ticket', ticket_id, 'at', extract(epoch FROM occurred_at)::bigint,
        'person', person_id, 'message', message, 'attributes', attributes)
    FROM activity WHERE workspace_id = $1 AND source_id = $2";

/// Rollups that do not say what the activities say: `{person, type, ours, theirs}`. Of a type of which some were pruned, they
/// may say more.
const ROLLUPS: &str =
    "SELECT jsonb_build_object('person', coalesce(r.person_id, a.person_id), 'type', coalesce(r.type, a.type),
        'ours', jsonb_build_array(r.total, r.first_at, r.last_at), 'theirs', jsonb_build_array(a.total, a.first_at, a.last_at))
    FROM (SELECT * FROM activity_rollup WHERE workspace_id = $1) r
    FULL JOIN (SELECT person_id, type, count(*) AS total, min(occurred_at) AS first_at, max(occurred_at) AS last_at
               FROM activity WHERE workspace_id = $1 GROUP BY person_id, type) a
      ON a.person_id = r.person_id AND a.type = r.type
    WHERE CASE WHEN EXISTS (SELECT 1 FROM activity_window w WHERE w.workspace_id = $1 AND w.type = coalesce(r.type, a.type))
        THEN a.total > coalesce(r.total, 0) OR a.first_at < r.first_at OR a.last_at > r.last_at
        ELSE (r.total, r.first_at, r.last_at) IS DISTINCT FROM (a.total, a.first_at, a.last_at) END
      AND $2 > 0";

/// People of this source whom no record stands for: `{id}`.
const NOBODY: &str =
    "SELECT jsonb_build_object('id', p.id) FROM person p WHERE p.workspace_id = $1 AND p.created_source_id = $2
    AND NOT EXISTS (SELECT 1 FROM person_source ps WHERE ps.workspace_id = p.workspace_id AND ps.person_id = p.id)";

/// Webhooks about scrubbed tickets whose bytes are still there (A7): `{ticket}`.
const LEFTOVERS: &str = "SELECT jsonb_build_object('ticket', t.id) FROM ticket t
    WHERE t.workspace_id = $1 AND t.source_id = $2 AND t.scrubbed AND EXISTS (
        SELECT 1 FROM raw_event e WHERE e.workspace_id = $1 AND e.source_id = $2 AND length(e.body) > 0
          AND strpos(convert_from(e.body, 'SQL_ASCII'), '\"zen:ticket:' || t.id || '\"') > 0)";

/// Everything that is compared.
#[derive(Debug, Default)]
pub struct Tables {
    /// Links with their people.
    pub links: Vec<Value>,
    /// Agents.
    pub agents: Vec<Value>,
    /// Organizations.
    pub organizations: Vec<Value>,
    /// Tickets.
    pub tickets: Vec<Value>,
    /// Activities.
    pub activities: Vec<Value>,
    /// Rollups that disagree with the activities.
    pub rollups: Vec<Value>,
    /// People whom no record stands for.
    pub nobody: Vec<Value>,
    /// Scrubbed tickets of which texts are left.
    pub leftovers: Vec<Value>,
}

/// Reads everything of a source.
pub async fn read(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<Tables> {
    let mut read = async |statement: &'static str| {
        sqlx::query_scalar::<_, Value>(statement).bind(workspace_id).bind(source_id).fetch_all(&mut *db).await
    };
    Ok(Tables {
        links: read(LINKS).await?,
        agents: read(AGENTS).await?,
        organizations: read(ORGANIZATIONS).await?,
        tickets: read(TICKETS).await?,
        activities: read(ACTIVITIES).await?,
        rollups: read(ROLLUPS).await?,
        nobody: read(NOBODY).await?,
        leftovers: read(LEFTOVERS).await?,
    })
}

/// How much a source has brought so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Totals {
    /// People its records stand for.
    pub people: i64,
    /// Its organizations.
    pub organizations: i64,
    /// Its tickets.
    pub tickets: i64,
    /// Its activities.
    pub activities: i64,
    /// Webhooks received.
    pub webhooks_received: i64,
    /// Webhooks applied.
    pub webhooks_applied: i64,
    /// Open dead letters.
    pub dead_letters: i64,
}

/// Counts what a source has brought.
pub async fn totals(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<Totals> {
    sqlx::query_as(
        "SELECT (SELECT count(DISTINCT person_id) FROM person_source WHERE workspace_id = $1 AND source_id = $2) AS people,
            (SELECT count(*) FROM organization WHERE workspace_id = $1 AND source_id = $2) AS organizations,
            (SELECT count(*) FROM ticket WHERE workspace_id = $1 AND source_id = $2) AS tickets,
            (SELECT count(*) FROM activity WHERE workspace_id = $1 AND source_id = $2) AS activities,
            (SELECT count(*) FROM raw_event WHERE workspace_id = $1 AND source_id = $2) AS webhooks_received,
            (SELECT count(*) FROM raw_event r WHERE workspace_id = $1 AND source_id = $2
                AND NOT EXISTS (SELECT 1 FROM raw_event_pending p WHERE p.workspace_id = r.workspace_id
                    AND p.source_id = r.source_id AND p.seq = r.seq)) AS webhooks_applied,
            (SELECT count(*) FROM dead_letter WHERE workspace_id = $1 AND source_id = $2 AND resolved_at IS NULL) AS dead_letters",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_one(db)
    .await
}

/// What of a ticket has happened since a time: type and person of each activity, the earliest first.
pub async fn since(
    db: &mut PgConnection,
    source: (i64, i64),
    ticket: i64,
    at: DateTime<Utc>,
) -> Result<Vec<(String, i64)>> {
    sqlx::query_as(
        "SELECT type, person_id FROM activity
         WHERE workspace_id = $1 AND source_id = $2 AND ticket_id = $3 AND occurred_at >= $4 ORDER BY occurred_at, type",
    )
    .bind(source.0)
    .bind(source.1)
    .bind(ticket)
    .bind(at)
    .fetch_all(db)
    .await
}

/// The requester's person of a ticket whose row is as new as this time; None inside where the requester is no person.
pub async fn ticket_since(
    db: &mut PgConnection,
    source: (i64, i64),
    ticket: i64,
    at: DateTime<Utc>,
) -> Result<Option<Option<i64>>> {
    sqlx::query_scalar(
        "SELECT person_id FROM ticket WHERE workspace_id = $1 AND source_id = $2 AND id = $3 AND version_at >= $4",
    )
    .bind(source.0)
    .bind(source.1)
    .bind(ticket)
    .bind(at)
    .fetch_optional(db)
    .await
}

/// The person of a record that is as new as this time, with what the record is now and what it has done since.
pub async fn person_since(
    db: &mut PgConnection,
    source: (i64, i64),
    record: &str,
    at: DateTime<Utc>,
) -> Result<Option<(i64, String, Vec<String>)>> {
    sqlx::query_as(
        "SELECT person_id, status, ARRAY(
             SELECT DISTINCT type FROM activity a WHERE a.workspace_id = ps.workspace_id AND a.person_id = ps.person_id
               AND a.occurred_at >= $4 AND a.ticket_id IS NULL ORDER BY 1)
         FROM person_source ps
         WHERE workspace_id = $1 AND source_id = $2 AND record_id = $3 AND record_updated_at >= $4",
    )
    .bind(source.0)
    .bind(source.1)
    .bind(record)
    .bind(at)
    .fetch_optional(db)
    .await
}

/// The newest organization that is as new as this time.
pub async fn organization_since(db: &mut PgConnection, source: (i64, i64), at: DateTime<Utc>) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT id FROM organization
         WHERE workspace_id = $1 AND source_id = $2 AND greatest(record_updated_at, deleted_at) >= $3
         ORDER BY greatest(record_updated_at, deleted_at) DESC LIMIT 1",
    )
    .bind(source.0)
    .bind(source.1)
    .bind(at)
    .fetch_optional(db)
    .await
}
