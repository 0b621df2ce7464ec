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
         FROM push_record o
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.state = 'planned' AND o.workspace_id = $1 AND o.run_id = $2
           AND o.state = 'planned' AND o.record_id = r.record_id AND o.person_id = r.person_id
           AND o.row_key = 'person:' || o.person_id AND r.row_key <> o.row_key",
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
    for (fault, sql) in [
        (
            of_record,
            "UPDATE push_record r SET state = 'failed', class = $3, reason = $4, updated_at = $5
             FROM (SELECT record_id FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned'
                     AND record_id IS NOT NULL GROUP BY record_id HAVING count(*) > 1) t
             WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.state = 'planned' AND r.record_id = t.record_id",
        ),
        (
            of_key,
            "UPDATE push_record r SET state = 'failed', class = $3, reason = $4, updated_at = $5
             FROM (SELECT lower(key_value) AS key FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned'
                     AND record_id IS NULL AND key_value IS NOT NULL GROUP BY lower(key_value) HAVING count(*) > 1) t
             WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.state = 'planned' AND r.record_id IS NULL
               AND lower(r.key_value) = t.key",
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
