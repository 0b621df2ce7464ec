//! Table `push_record` again: what sending and settling do with it.

use super::Result;
use super::push_record::Record;
use crate::model::push::{Changes, Remote};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashSet};

/// Which of these records of a run still wait to be sent; they do until this transaction ends, since they are written.
pub async fn hold(db: &mut PgConnection, workspace_id: i64, run_id: i64, seqs: &[i64]) -> Result<HashSet<i64>> {
    let held: Vec<i64> = sqlx::query_scalar(
        "UPDATE push_record SET tries = tries WHERE workspace_id = $1 AND run_id = $2 AND seq = ANY($3) AND state = 'planned' RETURNING seq",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(seqs)
    .fetch_all(db)
    .await?;
    Ok(held.into_iter().collect())
}

/// Which of these records of Zendesk are in a call of the source that has not ended.
pub async fn busy(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    records: &[&str],
) -> Result<HashSet<String>> {
    let busy: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT o.record_id FROM push_job j
         JOIN push_record o ON o.workspace_id = j.workspace_id AND o.job_id = j.id
         WHERE j.workspace_id = $1 AND j.source_id = $2 AND j.ended_at IS NULL AND o.state = 'sent' AND o.record_id = ANY($3)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(records)
    .fetch_all(db)
    .await?;
    Ok(busy.into_iter().collect())
}

/// A record that is about to be sent.
#[derive(Debug, Serialize)]
pub struct Assigned<'a> {
    /// Its place in the run.
    pub seq: i64,
    /// Its id in Zendesk, where that is known.
    pub record_id: Option<&'a str>,
    /// What Zendesk has; None leaves what is stored.
    pub before: Option<&'a Remote>,
    /// What is sent; None leaves what is stored.
    pub changes: Option<&'a Changes>,
    /// What is left as Zendesk has it; None leaves what is stored.
    pub kept: Option<&'a BTreeMap<String, String>>,
    /// Its place in the call.
    pub job_index: i32,
}

/// Puts records of a run into a call that is stored with them, before it is sent.
pub async fn assign(
    db: &mut PgConnection,
    workspace_id: i64,
    (run_id, job_id): (i64, i64),
    records: &[Assigned<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE push_record r SET state = 'sent', record_id = coalesce(t.record_id, r.record_id), job_id = $3, job_index = t.job_index,
                before = CASE WHEN t.changes IS NULL THEN r.before ELSE t.before END, changes = coalesce(t.changes, r.changes),
                kept = coalesce(t.kept, r.kept), field = NULL, class = NULL, reason = NULL, tries = r.tries + 1, updated_at = $5
         FROM json_to_recordset($4::text::json) AS t(seq bigint, record_id text, before jsonb, changes jsonb, kept jsonb, job_index integer)
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = t.seq",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(job_id)
    .bind(super::as_json(records))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Moves records, in this order, from a call that was not taken into one that is stored with them.
pub async fn reassign(
    db: &mut PgConnection,
    workspace_id: i64,
    (run_id, job_id): (i64, i64),
    places: &[(i64, i32)],
    now: DateTime<Utc>,
) -> Result<()> {
    let (seqs, indexes): (Vec<i64>, Vec<i32>) = places.iter().copied().unzip();
    sqlx::query(
        "UPDATE push_record r SET job_id = $3, job_index = t.job_index, updated_at = $6
         FROM unnest($4::bigint[], $5::integer[]) AS t(seq, job_index)
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = t.seq",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(job_id)
    .bind(seqs)
    .bind(indexes)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// The records of a call that have no result yet, in their places.
pub async fn of_job(db: &mut PgConnection, workspace_id: i64, job_id: i64) -> Result<Vec<Record>> {
    sqlx::query_as(
        "SELECT * FROM push_record WHERE workspace_id = $1 AND job_id = $2 AND state = 'sent' ORDER BY job_index, seq",
    )
    .bind(workspace_id)
    .bind(job_id)
    .fetch_all(db)
    .await
}

/// A record that goes back to be sent again.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Released {
    /// Its run.
    pub run_id: i64,
    /// Its place there.
    pub seq: i64,
    /// It was certainly not sent, so that this try does not count.
    pub unsent: bool,
    /// What it had before and what is sent stay: they belong to a part of it that has arrived, or to a plan.
    pub keep: bool,
}

/// Puts records back, to be looked at again and sent.
pub async fn release(db: &mut PgConnection, workspace_id: i64, records: &[Released], now: DateTime<Utc>) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE push_record r SET state = 'planned', before = CASE WHEN t.keep THEN r.before END,
                changes = CASE WHEN t.keep THEN r.changes END, kept = CASE WHEN t.keep THEN r.kept END,
                tries = r.tries - CASE WHEN t.unsent THEN 1 ELSE 0 END, updated_at = $3
         FROM json_to_recordset($2::text::json) AS t(run_id bigint, seq bigint, unsent boolean, keep boolean)
         WHERE r.workspace_id = $1 AND r.run_id = t.run_id AND r.seq = t.seq",
    )
    .bind(workspace_id)
    .bind(super::as_json(records))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Which of these records have a newer one for the same row that is to be sent, or was: sending the older would undo it.
pub async fn outdated(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: i64,
    (seqs, rows): (&[i64], &[&str]),
) -> Result<HashSet<i64>> {
    let outdated: Vec<i64> = sqlx::query_scalar(
        "SELECT t.seq FROM unnest($3::bigint[], $4::text[]) AS t(seq, row_key)
         WHERE EXISTS (SELECT FROM push_record n JOIN push_run r ON r.workspace_id = n.workspace_id AND r.id = n.run_id
                       WHERE n.workspace_id = $1 AND n.activation_id = $2 AND n.row_key = t.row_key AND n.seq > t.seq
                         AND (n.state IN ('sent', 'created', 'updated', 'unchanged')
                              OR (n.state = 'planned' AND (r.kind <> 'plan' OR r.state NOT IN ('planning', 'reading')))))",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(seqs)
    .bind(rows)
    .fetch_all(db)
    .await?;
    Ok(outdated.into_iter().collect())
}
