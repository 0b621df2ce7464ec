//! What a run found out about which rows meet which records: for the adoption report of a first sync.

use super::Result;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

/// Rows of a run that met their records alike.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Group {
    /// What became of their records so far.
    pub state: String,
    /// The class of their fault.
    pub class: Option<String>,
    /// Whether a record was found.
    pub found: bool,
    /// Whether the CDP knew that record for theirs.
    pub known: bool,
    /// How many.
    pub count: i64,
    /// The first of them, at most ten.
    pub examples: Vec<String>,
}

/// A row of a run, and how it met its record.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Met {
    /// Its place in the run.
    pub seq: i64,
    /// The row.
    pub row_key: String,
    /// Whose it is.
    pub person_id: Option<i64>,
    /// Id of its record in Zendesk.
    pub record_id: Option<String>,
    /// The value that finds the record.
    pub key_value: Option<String>,
    /// What became of it so far.
    pub state: String,
    /// The class of its fault.
    pub class: Option<String>,
    /// The fault in words.
    pub reason: Option<String>,
    /// Whether the CDP knew the record for its own.
    pub known: bool,
}

/// Whether nothing was given to Zendesk for an activation by any run but this one; a test of one row does not count.
pub async fn is_first(db: &mut PgConnection, workspace_id: i64, activation_id: i64, run_id: i64) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT FROM push_run r JOIN push_job j ON j.workspace_id = r.workspace_id AND j.run_id = r.id
                            WHERE r.workspace_id = $1 AND r.activation_id = $2 AND r.id <> $3 AND r.kind <> 'test')
            AND NOT EXISTS (SELECT FROM delivery d WHERE d.workspace_id = $1 AND d.activation_id = $2 AND d.run_id <> $3
                              AND (d.written <> '{}' OR d.owned IS NOT NULL)
                              AND NOT EXISTS (SELECT FROM push_run r WHERE r.workspace_id = d.workspace_id AND r.id = d.run_id))",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(run_id)
    .fetch_one(db)
    .await
}

/// Whether the CDP knew the record of a row `r` for theirs.
const KNOWN: &str = "r.row_key LIKE 'organization:%' OR EXISTS (
    SELECT FROM person_source p WHERE p.workspace_id = $1 AND p.source_id = $3 AND p.record_id = r.record_id AND p.person_id = r.person_id)";

/// The rows of a run by how they met their records.
pub async fn groups(db: &mut PgConnection, workspace_id: i64, run_id: i64, source_id: i64) -> Result<Vec<Group>> {
    let sql = format!(
        "SELECT state, class, found, known, count(*) AS count, (array_agg(row_key ORDER BY seq))[1:10] AS examples FROM (
             SELECT r.seq, r.row_key, r.state, r.class, r.record_id IS NOT NULL AS found, {KNOWN} AS known
             FROM push_record r WHERE r.workspace_id = $1 AND r.run_id = $2) k
         GROUP BY state, class, found, known"
    );
    sqlx::query_as(AssertSqlSafe(sql)).bind(workspace_id).bind(run_id).bind(source_id).fetch_all(db).await
}

/// Rows of a run after a place, in their order, each with how it met its record.
pub async fn page(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    source_id: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<Met>> {
    let sql = format!(
        "SELECT r.seq, r.row_key, r.person_id, r.record_id, r.key_value, r.state, r.class, r.reason, {KNOWN} AS known
         FROM push_record r WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq > $4 ORDER BY r.seq LIMIT $5"
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(workspace_id).bind(run_id).bind(source_id);
    query.bind(after).bind(limit).fetch_all(db).await
}

/// End users who live in a source and for whom an activation has no row, nor for their people. Rows are those of a run, and those that
/// Zendesk was last given.
const ONLY_THERE: &str = "FROM person_source p
    WHERE p.workspace_id = $1 AND p.source_id = $4 AND p.status IN ('active', 'suspended') AND p.record_id > $5
      AND NOT EXISTS (SELECT FROM push_record r WHERE r.workspace_id = $1 AND r.run_id = $3 AND r.record_id = p.record_id)
      AND NOT EXISTS (SELECT FROM push_record r WHERE r.workspace_id = $1 AND r.run_id = $3 AND r.person_id = p.person_id)
      AND NOT EXISTS (SELECT FROM delivery d WHERE d.workspace_id = $1 AND d.source_id = $4 AND d.record_id = p.record_id
                        AND d.activation_id = $2)";

/// Ids of those end users after an id, in their order.
pub async fn only_there(
    db: &mut PgConnection,
    workspace_id: i64,
    (activation_id, run_id, source_id): (i64, i64, i64),
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let sql = format!("SELECT p.record_id {ONLY_THERE} ORDER BY p.record_id LIMIT $6");
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(workspace_id).bind(activation_id).bind(run_id);
    query.bind(source_id).bind(after).bind(limit).fetch_all(db).await
}

/// How many those are.
pub async fn count_only_there(
    db: &mut PgConnection,
    workspace_id: i64,
    (activation_id, run_id, source_id): (i64, i64, i64),
) -> Result<i64> {
    let sql = format!("SELECT count(*) {ONLY_THERE}");
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(workspace_id).bind(activation_id).bind(run_id);
    query.bind(source_id).bind("").fetch_one(db).await
}
