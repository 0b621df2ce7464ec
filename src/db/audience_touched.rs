//! Table `audience_touched`: people whom something changed about that an audience, or an activation that is always on, looks at.
//! What none of them needs (view `looked_at`) is not noted.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

/// A change of anything about a person.
pub const ALL: &str = "*";

/// A noted change.
#[derive(Debug, Clone, FromRow)]
pub struct Touched {
    /// Its number.
    pub seq: i64,
    /// Who.
    pub person_id: i64,
    /// What changed.
    pub need: String,
}

/// Whether anybody looks at anything, else nothing needs to be compared; and whether activations write to the source, else
/// nothing that it says can be our own word.
pub async fn followed(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<(bool, bool)> {
    sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM looked_at WHERE workspace_id = $1),
                EXISTS (SELECT 1 FROM activation WHERE workspace_id = $1 AND source_id = $2)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .fetch_one(db)
    .await
}

/// Notes what changed about whom.
pub async fn note(
    db: &mut PgConnection,
    workspace_id: i64,
    changes: impl IntoIterator<Item = (i64, impl Into<String>)>,
    due_at: DateTime<Utc>,
) -> Result<()> {
    let (people, needs): (Vec<i64>, Vec<String>) =
        changes.into_iter().map(|(person, need)| (person, need.into())).unzip();
    if people.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audience_touched (workspace_id, person_id, need, due_at)
         SELECT DISTINCT $1::bigint, t.person_id, t.need, $4::timestamptz FROM unnest($2::bigint[], $3::text[]) AS t(person_id, need)
         WHERE t.need IN (SELECT l.need FROM looked_at l WHERE l.workspace_id = $1)",
    )
    .bind(workspace_id)
    .bind(people)
    .bind(needs)
    .bind(due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that people are to be asked about again at a time of their own, in all audiences.
pub async fn note_later(db: &mut PgConnection, workspace_id: i64, later: &[(i64, DateTime<Utc>)]) -> Result<()> {
    if later.is_empty() {
        return Ok(());
    }
    let (people, times): (Vec<i64>, Vec<DateTime<Utc>>) = later.iter().copied().unzip();
    sqlx::query(
        "INSERT INTO audience_touched (workspace_id, person_id, need, due_at)
         SELECT DISTINCT $1::bigint, t.person_id, '*', t.due_at FROM unnest($2::bigint[], $3::timestamptz[]) AS t(person_id, due_at)",
    )
    .bind(workspace_id)
    .bind(people)
    .bind(times)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that tickets changed: for whoever they belong to now.
pub async fn note_tickets(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    tickets: &[i64],
    now: DateTime<Utc>,
) -> Result<()> {
    if tickets.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audience_touched (workspace_id, person_id, need, due_at)
         SELECT DISTINCT $1::bigint, t.person_id, 'ticket', $4::timestamptz FROM unnest($3::bigint[]) AS n(id)
         CROSS JOIN LATERAL (SELECT person_id FROM ticket WHERE workspace_id = $1 AND source_id = $2 AND id = n.id LIMIT 1) t
         WHERE t.person_id IS NOT NULL
           AND EXISTS (SELECT 1 FROM looked_at l WHERE l.workspace_id = $1 AND l.need = 'ticket')",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that organizations changed: for all who belong to them.
pub async fn note_organizations(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    records: &[&str],
    now: DateTime<Utc>,
) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audience_touched (workspace_id, person_id, need, due_at)
         SELECT DISTINCT $1::bigint, person_id, 'organization', $4::timestamptz FROM person_source
         WHERE workspace_id = $1 AND source_id = $2 AND organization_record_id = ANY($3)
           AND EXISTS (SELECT 1 FROM looked_at l WHERE l.workspace_id = $1 AND l.need = 'organization')",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(records)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that activities of tickets changed, for whoever has them.
pub async fn note_activities(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    tickets: &[i64],
    now: DateTime<Utc>,
) -> Result<()> {
    if tickets.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audience_touched (workspace_id, person_id, need, due_at)
         SELECT DISTINCT $1::bigint, x.person_id, 'activity:' || x.type, $4::timestamptz FROM activity x
         WHERE x.workspace_id = $1 AND x.source_id = $2 AND x.ticket_id = ANY($3)
           AND 'activity:' || x.type IN (SELECT l.need FROM looked_at l WHERE l.workspace_id = $1)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(tickets)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// The oldest changes that are due.
pub async fn due(db: &mut PgConnection, workspace_id: i64, now: DateTime<Utc>, limit: i64) -> Result<Vec<Touched>> {
    sqlx::query_as(
        "SELECT seq, person_id, need FROM audience_touched WHERE workspace_id = $1 AND due_at <= $2 ORDER BY seq LIMIT $3",
    )
    .bind(workspace_id)
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Which people have changes that are not seen to yet.
pub async fn waiting(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<i64>> {
    sqlx::query_scalar("SELECT DISTINCT person_id FROM audience_touched WHERE workspace_id = $1")
        .bind(workspace_id)
        .fetch_all(db)
        .await
}

/// Removes changes that have been seen to.
pub async fn settle(db: &mut PgConnection, workspace_id: i64, seqs: &[i64]) -> Result<()> {
    sqlx::query("DELETE FROM audience_touched WHERE workspace_id = $1 AND seq = ANY($2)")
        .bind(workspace_id)
        .bind(seqs)
        .execute(db)
        .await?;
    Ok(())
}

/// Who has activities of a type that came into a sliding frame, or fell out of it, between two times.
pub async fn slid(
    db: &mut PgConnection,
    workspace_id: i64,
    kind: &str,
    minutes: i64,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<i64>> {
    let frame = chrono::Duration::minutes(minutes);
    sqlx::query_scalar(
        "SELECT person_id FROM activity WHERE workspace_id = $1 AND type = $2 AND occurred_at > $3 AND occurred_at <= $4
         UNION SELECT person_id FROM activity WHERE workspace_id = $1 AND type = $2 AND occurred_at > $5 AND occurred_at <= $6",
    )
    .bind(workspace_id)
    .bind(kind)
    .bind(since - frame)
    .bind(until - frame)
    .bind(since)
    .bind(until)
    .fetch_all(db)
    .await
}
