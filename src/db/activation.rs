//! Table `activation`: definitions, roll-out, clock, what is wrong.

use super::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

/// An activation's row.
#[derive(Debug, Clone, FromRow)]
pub struct Row {
    /// Number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The source that it writes to.
    pub source_id: i64,
    /// As it was written.
    pub definition: Value,
    /// What it looks at.
    pub needs: Vec<String>,
    /// When its clock starts the next run.
    pub next_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent for it.
    pub paused_at: Option<DateTime<Utc>>,
    /// How far it is rolled out, 0 to 4.
    pub stage: i16,
    /// When all rows are to be looked at again.
    pub replan_at: Option<DateTime<Utc>>,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when nothing is tried for it.
    pub held_until: Option<DateTime<Utc>>,
    /// When it was first applied.
    pub created_at: DateTime<Utc>,
    /// When its definition last changed.
    pub updated_at: DateTime<Utc>,
}

const COLUMNS: &str =
    "id, name, source_id, definition, needs, next_at, paused_at, stage, replan_at, error, remedy, failing_since,
    held_until, created_at, updated_at";

/// All activations, by name.
pub async fn all(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<Row>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM activation WHERE workspace_id = $1 ORDER BY name"));
    sqlx::query_as(sql).bind(workspace_id).fetch_all(db).await
}

/// The activation of that name.
pub async fn by_name(db: &mut PgConnection, workspace_id: i64, name: &str) -> Result<Option<Row>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM activation WHERE workspace_id = $1 AND name = $2"));
    sqlx::query_as(sql).bind(workspace_id).bind(name).fetch_optional(db).await
}

/// The activation of that number.
pub async fn by_id(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<Option<Row>> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM activation WHERE workspace_id = $1 AND id = $2"));
    sqlx::query_as(sql).bind(workspace_id).bind(id).fetch_optional(db).await
}

/// The activations that write to a source, in order of their numbers.
pub async fn of_source(db: &mut PgConnection, workspace_id: i64, source_id: i64) -> Result<Vec<Row>> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM activation WHERE workspace_id = $1 AND source_id = $2 ORDER BY id"
    ));
    sqlx::query_as(sql).bind(workspace_id).bind(source_id).fetch_all(db).await
}

/// An activation to be stored.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Its name.
    pub name: &'a str,
    /// Name for people.
    pub title: &'a str,
    /// The source that it writes to.
    pub source_id: i64,
    /// As it was written.
    pub definition: &'a Value,
    /// What it looks at.
    pub needs: Vec<String>,
    /// Changes are delivered within seconds.
    pub always: bool,
    /// How far it is rolled out.
    pub stage: i16,
    /// Whether all its rows are to be looked at again.
    pub replan: bool,
}

/// Stores a definition, or stores it anew. What was wrong is forgotten: the definition that it was wrong with is. The clock is
/// set by who reads it. Answers its number.
pub async fn define(db: &mut PgConnection, workspace_id: i64, new: New<'_>, now: DateTime<Utc>) -> Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO activation (workspace_id, name, title, source_id, definition, needs, always, stage, replan_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $9 THEN $10::timestamptz END, $10, $10)
         ON CONFLICT (workspace_id, name) DO UPDATE SET title = excluded.title, source_id = excluded.source_id,
             definition = excluded.definition, needs = excluded.needs, always = excluded.always, stage = excluded.stage, next_at = NULL,
             replan_at = coalesce(excluded.replan_at, activation.replan_at), error = NULL, remedy = NULL, failing_since = NULL,
             held_until = NULL, updated_at = excluded.updated_at
         RETURNING id",
    )
    .bind(workspace_id)
    .bind(new.name)
    .bind(new.title)
    .bind(new.source_id)
    .bind(new.definition)
    .bind(new.needs)
    .bind(new.always)
    .bind(new.stage)
    .bind(new.replan)
    .bind(now)
    .fetch_one(db)
    .await
}

/// Sets or lifts a pause. What happened meanwhile was not looked at, so that all rows are to be when it is lifted.
pub async fn set_paused(
    db: &mut PgConnection,
    workspace_id: i64,
    id: i64,
    paused_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE activation SET paused_at = $3, replan_at = CASE WHEN $3::timestamptz IS NULL AND always THEN $4 ELSE replan_at END
         WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(paused_at)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Sets how far it is rolled out.
pub async fn set_stage(db: &mut PgConnection, workspace_id: i64, id: i64, stage: i16) -> Result<()> {
    sqlx::query("UPDATE activation SET stage = $3 WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .bind(stage)
        .execute(db)
        .await?;
    Ok(())
}

/// Notes that all rows are looked at, unless that was asked for anew since.
pub async fn replanned(db: &mut PgConnection, workspace_id: i64, id: i64, asked_at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE activation SET replan_at = NULL WHERE workspace_id = $1 AND id = $2 AND replan_at = $3")
        .bind(workspace_id)
        .bind(id)
        .bind(asked_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Asks for all its rows to be looked at.
pub async fn replan(db: &mut PgConnection, workspace_id: i64, id: i64, at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE activation SET replan_at = $3 WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .bind(at)
        .execute(db)
        .await?;
    Ok(())
}

/// Sets when its clock starts the next run.
pub async fn set_next(db: &mut PgConnection, workspace_id: i64, id: i64, next_at: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query("UPDATE activation SET next_at = $3 WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .bind(next_at)
        .execute(db)
        .await?;
    Ok(())
}

/// The contacts of a source have been read to their end: activations that run after that are due by their clocks at once.
pub async fn after_sync(db: &mut PgConnection, workspace_id: i64, source_id: i64, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE activation SET next_at = $3 WHERE workspace_id = $1 AND source_id = $2 AND paused_at IS NULL
           AND definition #> '{when,after_sync}' = 'true'::jsonb",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes what is wrong with it and what to do, or that nothing is. Since when is kept while something is.
pub async fn set_trouble(
    db: &mut PgConnection,
    workspace_id: i64,
    id: i64,
    trouble: Option<(&str, &str)>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE activation SET error = $3, remedy = $4,
             failing_since = CASE WHEN $3::text IS NULL THEN NULL ELSE coalesce(failing_since, $5) END
         WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace_id)
    .bind(id)
    .bind(trouble.map(|(error, _)| error))
    .bind(trouble.map(|(_, remedy)| remedy))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// How an activation stands.
#[derive(Debug, Clone, Default, FromRow)]
pub struct Standing {
    /// Number of the activation.
    pub activation_id: i64,
    /// Rows whose record was given something, as confirmed by Zendesk.
    pub delivered: i64,
    /// Rows of which something is on its way.
    pub on_the_way: i64,
    /// People whom something changed about that is not delivered yet.
    pub due: i64,
    /// Number of the run that waits for an answer, and what it asks.
    pub waiting_run: Option<i64>,
    /// What it asks.
    pub asks: Option<String>,
    /// Number of the last run.
    pub last_run: Option<i64>,
    /// What it does.
    pub last_kind: Option<String>,
    /// Its state.
    pub last_state: Option<String>,
    /// When it began.
    pub last_started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub last_ended_at: Option<DateTime<Utc>>,
    /// Its counts.
    pub last_counts: Option<Value>,
    /// Why it failed.
    pub last_error: Option<String>,
}

/// How all activations stand, or one.
pub async fn standings(db: &mut PgConnection, workspace_id: i64, id: Option<i64>) -> Result<Vec<Standing>> {
    sqlx::query_as(
        "SELECT a.id AS activation_id, coalesce(d.delivered, 0) AS delivered, coalesce(d.on_the_way, 0) AS on_the_way,
             coalesce(u.due, 0) AS due, w.id AS waiting_run, w.asks, r.id AS last_run, r.kind AS last_kind, r.state AS last_state,
             r.started_at AS last_started_at, r.ended_at AS last_ended_at, r.counts AS last_counts, r.error AS last_error
         FROM activation a
         LEFT JOIN (SELECT activation_id, count(*) FILTER (WHERE written <> '{}' OR owned IS NOT NULL) AS delivered,
                        count(*) FILTER (WHERE pending IS NOT NULL) AS on_the_way
                    FROM delivery WHERE workspace_id = $1 AND ($2::bigint IS NULL OR activation_id = $2) GROUP BY activation_id) d
             ON d.activation_id = a.id
         LEFT JOIN (SELECT activation_id, count(*) AS due FROM activation_due WHERE workspace_id = $1 GROUP BY activation_id) u
             ON u.activation_id = a.id
         LEFT JOIN LATERAL (SELECT id, asks FROM push_run WHERE workspace_id = $1 AND activation_id = a.id AND state = 'waiting'
                            ORDER BY id DESC LIMIT 1) w ON true
         LEFT JOIN LATERAL (SELECT id, kind, state, started_at, ended_at, counts, error FROM push_run
                            WHERE workspace_id = $1 AND activation_id = a.id ORDER BY id DESC LIMIT 1) r ON true
         WHERE a.workspace_id = $1 AND ($2::bigint IS NULL OR a.id = $2)",
    )
    .bind(workspace_id)
    .bind(id)
    .fetch_all(db)
    .await
}

/// Names of the activations that look at this.
pub async fn needing(db: &mut PgConnection, workspace_id: i64, need: &str) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT name FROM activation WHERE workspace_id = $1 AND $2 = ANY (needs) ORDER BY name")
        .bind(workspace_id)
        .bind(need)
        .fetch_all(db)
        .await
}

/// Sets until when nothing is tried for it; None lets it go on.
pub async fn hold(db: &mut PgConnection, workspace_id: i64, id: i64, until: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query("UPDATE activation SET held_until = $3 WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .bind(until)
        .execute(db)
        .await?;
    Ok(())
}

/// How many calls of it are stored or under way.
pub async fn calls_open(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM push_job j JOIN push_run r ON r.workspace_id = j.workspace_id AND r.id = j.run_id
         WHERE j.workspace_id = $1 AND r.activation_id = $2 AND j.ended_at IS NULL",
    )
    .bind(workspace_id)
    .bind(id)
    .fetch_one(db)
    .await
}

/// Removes an activation with its ledger, runs, calls and records.
pub async fn delete(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<()> {
    for sql in [
        "DELETE FROM push_job j USING push_run r
         WHERE j.workspace_id = $1 AND r.workspace_id = j.workspace_id AND r.id = j.run_id AND r.activation_id = $2",
        "DELETE FROM push_record WHERE workspace_id = $1 AND activation_id = $2",
        "DELETE FROM push_run WHERE workspace_id = $1 AND activation_id = $2",
        "DELETE FROM query_row WHERE workspace_id = $1 AND activation_id = $2",
        "DELETE FROM delivery WHERE workspace_id = $1 AND activation_id = $2",
        "DELETE FROM activation_due WHERE workspace_id = $1 AND activation_id = $2",
        "DELETE FROM activation WHERE workspace_id = $1 AND id = $2",
    ] {
        sqlx::query(sql).bind(workspace_id).bind(id).execute(&mut *db).await?;
    }
    Ok(())
}
