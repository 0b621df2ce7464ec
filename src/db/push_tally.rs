//! Table `push_record`, counted: what a run would do, how far it is, what became of it.

use super::Result;
use crate::model::push::RecordState;
use sqlx::{FromRow, PgConnection};

/// What records of a run in one state would do: change, clear fields, create. What is wanted tells it at most, what is to be
/// sent tells it.
pub async fn would(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    state: RecordState,
) -> Result<(i64, i64, i64)> {
    sqlx::query_as(
        "SELECT count(*), coalesce(sum((SELECT count(*) FROM jsonb_each(coalesce(changes, wanted) -> 'values') v
                                        WHERE v.value = 'null')), 0)::bigint,
                count(*) FILTER (WHERE record_id IS NULL)
         FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = $3",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(state.as_str())
    .fetch_one(db)
    .await
}

/// How many records of a run have had an answer, how many of those failed, and how many were sent at all.
pub async fn tried(db: &mut PgConnection, workspace_id: i64, run_id: i64) -> Result<(i64, i64, i64)> {
    sqlx::query_as(
        "SELECT coalesce(sum(records) FILTER (WHERE ended_at IS NOT NULL), 0)::bigint,
                (SELECT count(*) FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'failed' AND job_id IS NOT NULL),
                coalesce(sum(records), 0)::bigint
         FROM push_job WHERE workspace_id = $1 AND run_id = $2",
    )
    .bind(workspace_id)
    .bind(run_id)
    .fetch_one(db)
    .await
}

/// How many records of a run stand how: by state and class of fault.
pub async fn counts(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
) -> Result<Vec<(String, Option<String>, i64)>> {
    sqlx::query_as(
        "SELECT state, class, count(*) FROM push_record WHERE workspace_id = $1 AND run_id = $2 GROUP BY state, class ORDER BY state, class",
    )
    .bind(workspace_id)
    .bind(run_id)
    .fetch_all(db)
    .await
}

/// How many records of a run are open, up to a stage and beyond it: planned within it, planned beyond it, read, sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromRow)]
pub struct Open {
    /// To be sent at this stage.
    pub planned: bool,
    /// To be sent at a later stage.
    pub later: bool,
    /// With a before-image, of a plan.
    pub read: bool,
    /// In a call.
    pub sent: bool,
}

/// What of a run is open.
pub async fn open(db: &mut PgConnection, workspace_id: i64, run_id: i64, stage: i16) -> Result<Open> {
    sqlx::query_as(
        "SELECT EXISTS (SELECT FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND stage <= $3) AS planned,
                EXISTS (SELECT FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND stage > $3) AS later,
                EXISTS (SELECT FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'read') AS read,
                EXISTS (SELECT FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'sent') AS sent",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(stage)
    .fetch_one(db)
    .await
}
