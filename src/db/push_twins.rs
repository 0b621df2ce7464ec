//! Table `push_record` once more: rows of a run that stand for the same record in Zendesk.

use super::Result;
use crate::model::push::Fault;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

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
