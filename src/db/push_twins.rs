//! Table `push_record` once more: rows of a run that stand for the same record in Zendesk.

use super::Result;
use crate::model::push::{Fault, Wanted};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

/// Leaves out planned rows of people who were merged into one whose own row stands for the same record.
pub async fn give_way(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    fault: &Fault,
    now: DateTime<Utc>,
) -> Result<u64> {
    let left = sqlx::query(
        "UPDATE push_record r SET state = 'skipped', class = $3, reason = $4, updated_at = $5
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = ANY (ARRAY(
             SELECT t.seq FROM (
                 SELECT seq, row_key, person_id, bool_or(row_key = 'person:' || person_id) OVER (PARTITION BY record_id, person_id) AS own
                 FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND record_id IS NOT NULL
                   AND person_id IS NOT NULL) t
             WHERE t.own AND t.row_key <> 'person:' || t.person_id))",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(&fault.class)
    .bind(&fault.reason)
    .bind(now)
    .execute(db)
    .await?;
    Ok(left.rows_affected())
}

/// For rows of a run: what is wanted of each other that has the same record in Zendesk, or the same key, and whether that was sent
/// already, or had all that it wanted. What an operator skipped does not count.
pub async fn of_run(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    (rows, records, keys): (&[&str], &[Option<&str>], &[Option<&str>]),
) -> Result<Vec<(String, bool, Json<Wanted>)>> {
    sqlx::query_as(
        "SELECT t.row_key, o.state IN ('sent', 'created', 'updated', 'unchanged', 'unknown'), o.wanted
         FROM unnest($3::text[], $4::text[], $5::text[]) AS t(row_key, record_id, key_value) CROSS JOIN LATERAL (
             SELECT state, wanted FROM push_record
             WHERE workspace_id = $1 AND run_id = $2 AND record_id = t.record_id AND row_key <> t.row_key AND state <> 'skipped'
             UNION ALL SELECT state, wanted FROM push_record
             WHERE workspace_id = $1 AND run_id = $2 AND lower(key_value) = lower(t.key_value) AND row_key <> t.row_key
               AND state <> 'skipped') o",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(rows)
    .bind(records)
    .bind(keys)
    .fetch_all(db)
    .await
}

/// Of rows and their records in Zendesk: each other row of the activation to which the ledger says that the record was given.
pub async fn of_ledger(
    db: &mut PgConnection,
    workspace_id: i64,
    (activation_id, source_id): (i64, i64),
    (rows, records): (&[&str], &[Option<&str>]),
) -> Result<Vec<(String, String)>> {
    sqlx::query_as(
        "SELECT t.row_key, d.row_key FROM unnest($4::text[], $5::text[]) AS t(row_key, record_id)
         JOIN delivery d ON d.workspace_id = $1 AND d.source_id = $3 AND d.record_id = t.record_id AND d.activation_id = $2
             AND d.row_key <> t.row_key
         ORDER BY 1, 2",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(source_id)
    .bind(rows)
    .bind(records)
    .fetch_all(db)
    .await
}

/// Fails planned records of a run that share a record, or a key while their record is not known: `[record, key]` say why.
pub async fn refuse(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    [of_record, of_key]: [&Fault; 2],
    now: DateTime<Utc>,
) -> Result<()> {
    // Counted once and then found by their places: joined to their counts, records that no statistics know of yet were counted
    // again for each of them, which took half a minute for eight thousand.
    for (fault, sql) in [
        (
            of_record,
            "UPDATE push_record r SET state = 'failed', class = $3, reason = $4, updated_at = $5
             WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = ANY (ARRAY(
                 SELECT t.seq FROM (SELECT seq, count(*) OVER (PARTITION BY record_id) AS rows FROM push_record
                     WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND record_id IS NOT NULL) t WHERE t.rows > 1))",
        ),
        (
            of_key,
            "UPDATE push_record r SET state = 'failed', class = $3, reason = $4, updated_at = $5
             WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = ANY (ARRAY(
                 SELECT t.seq FROM (SELECT seq, count(*) OVER (PARTITION BY lower(key_value)) AS rows FROM push_record
                     WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND record_id IS NULL
                       AND key_value IS NOT NULL) t WHERE t.rows > 1))",
        ),
    ] {
        sqlx::query(sql)
            .bind(workspace_id)
            .bind(run_id)
            .bind(&fault.class)
            .bind(&fault.reason)
            .bind(now)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Fails planned records of a run that may be created and would get the same address or external id, or the same as one that is under
/// way: Zendesk would make one record of them. Says why.
pub async fn refuse_new(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    (field, fault): (&str, &Fault),
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE push_record r SET state = 'failed', field = $3, class = $4, reason = $5, updated_at = $6
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.state = 'planned' AND r.seq = ANY (ARRAY(
             SELECT t.seq FROM (
                 SELECT seq, min(row_key) OVER same AS first, max(row_key) OVER same AS last FROM push_record
                 WHERE workspace_id = $1 AND run_id = $2 AND state IN ('planned', 'sent') AND record_id IS NULL
                   AND wanted -> 'values' ->> $3 <> ''
                 WINDOW same AS (PARTITION BY lower(wanted -> 'values' ->> $3))) t WHERE t.first <> t.last))",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(field)
    .bind(&fault.class)
    .bind(&fault.reason)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}
