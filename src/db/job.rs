//! Table `job`: enqueue, claim, fence, finish.

use super::Result;
use crate::model::job::{JobKind, Lease};
use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, Row};

/// Asks for a job; one that is waiting already serves as well, and is brought forward.
pub async fn enqueue(
    db: &mut PgConnection,
    kind: JobKind,
    source_id: i64,
    key: &str,
    due_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO job (kind, source_id, key, due_at, created_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (kind, source_id, key) WHERE state = 'waiting'
         DO UPDATE SET due_at = excluded.due_at WHERE job.due_at > excluded.due_at AND job.failures = 0",
    )
    .bind(kind.as_str())
    .bind(source_id)
    .bind(key)
    .bind(due_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Asks for the application of what is pending, for many sources at once.
pub async fn enqueue_apply(db: &mut PgConnection, source_ids: &[i64], now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO job (kind, source_id, due_at, created_at) SELECT 'apply', s, $2, $2 FROM unnest($1::bigint[]) s
         ON CONFLICT (kind, source_id, key) WHERE state = 'waiting' DO NOTHING",
    )
    .bind(source_ids)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Turns what is due into jobs: streams by their checkpoints, looks at our webhooks, what the schedule names, webhooks that
/// nobody asked for, tokens by the time of their renewal, audiences by what was noted and by their times, activations by what
/// they have to send.
pub async fn enqueue_due(db: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO job (kind, source_id, key, due_at, created_at)
         SELECT 'poll', c.source_id, c.stream, $1, $1 FROM checkpoint c JOIN source s ON s.id = c.source_id
         WHERE c.due_at <= $1 AND s.paused_at IS NULL AND s.state IN ('syncing', 'connected')
           AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'poll' AND j.source_id = c.source_id AND j.key = c.stream)
         UNION ALL
         SELECT 'watch', w.source_id, '', $1, $1 FROM webhook_watch w JOIN source s ON s.id = w.source_id
         WHERE w.due_at <= $1 AND s.paused_at IS NULL AND s.state IN ('syncing', 'connected')
           AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'watch' AND j.source_id = w.source_id)
         UNION ALL
         SELECT s.name, 0, s.name, $1, $1 FROM schedule s
         WHERE s.due_at <= $1 AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = s.name)
         UNION ALL
         SELECT 'apply', s.id, '', $1, $1 FROM source s
         WHERE s.paused_at IS NULL AND s.state IN ('syncing', 'connected')
           AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'apply' AND j.source_id = s.id)
           AND EXISTS (SELECT 1 FROM raw_event_pending p WHERE p.workspace_id = s.workspace_id AND p.source_id = s.id)
         UNION ALL
         SELECT 'renew', g.source_id, '', $1, $1 FROM source_grant g JOIN source s ON s.id = g.source_id
         WHERE g.renew_at <= $1 AND g.lost_at IS NULL AND s.state IN ('syncing', 'connected')
           AND (g.next_try_at IS NULL OR g.next_try_at <= $1) AND (g.leased_until IS NULL OR g.leased_until <= $1)
           AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'renew' AND j.source_id = g.source_id)
         UNION ALL
         SELECT 'audience', 0, w.id::text, $1, $1 FROM workspace w
         WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'audience' AND j.key = w.id::text)
           AND (EXISTS (SELECT 1 FROM audience a WHERE a.workspace_id = w.id AND a.due_at <= $1)
                OR EXISTS (SELECT 1 FROM audience_touched t WHERE t.workspace_id = w.id AND t.due_at <= $1))
         UNION ALL
         SELECT 'audience_pass', 0, w.id::text, $1, $1 FROM workspace w
         WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'audience_pass' AND j.key = w.id::text)
           AND EXISTS (SELECT 1 FROM audience a
                       WHERE a.workspace_id = w.id AND least(a.rebuild_at, a.day_at, a.nightly_at) <= $1)
         ON CONFLICT (kind, source_id, key) WHERE state = 'waiting' DO NOTHING",
    )
    .bind(now)
    .execute(&mut *db)
    .await?;
    enqueue_pushes(db, now).await
}

/// Asks for the push jobs of sources that have something to send. Who became due, a clock and a changed definition bring a job
/// forward that waits for something else; runs and calls that are open only see to it that there is one, since a job that
/// leaves some of them open sets the time of its next try itself. What a pause, a hold or an open run makes wait asks for none:
/// else a job would find nothing to do, end, and be asked for again without end. One that failed keeps its time.
async fn enqueue_pushes(db: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO job (kind, source_id, key, due_at, created_at)
         SELECT 'push', s.id, '', $1, $1 FROM source s
         WHERE s.paused_at IS NULL AND s.state IN ('syncing', 'connected')
           AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'push' AND j.source_id = s.id
                             AND (j.state = 'running' OR j.due_at <= $1 OR j.failures > 0))
           AND (EXISTS (SELECT 1 FROM activation a WHERE a.workspace_id = s.workspace_id AND a.source_id = s.id
                          AND a.paused_at IS NULL AND (a.held_until IS NULL OR a.held_until <= $1)
                          AND (a.next_at IS NULL AND a.definition #> '{when,cron}' IS NOT NULL
                               OR least(a.next_at, a.replan_at) <= $1 AND NOT EXISTS (
                              SELECT 1 FROM push_run r WHERE r.workspace_id = a.workspace_id AND r.activation_id = a.id
                                AND r.kind = 'run' AND r.ended_at IS NULL)
                               OR a.always AND EXISTS (
                              SELECT 1 FROM activation_due d WHERE d.workspace_id = a.workspace_id AND d.activation_id = a.id)
                              AND NOT EXISTS (
                              SELECT 1 FROM push_run r WHERE r.workspace_id = a.workspace_id AND r.activation_id = a.id
                                AND r.kind = 'always' AND r.ended_at IS NULL
                                AND (r.state <> 'sending' OR r.definition <> a.definition))))
                OR NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'push' AND j.source_id = s.id)
                   AND (EXISTS (SELECT 1 FROM push_run r JOIN activation a ON a.workspace_id = r.workspace_id AND a.id = r.activation_id
                                WHERE r.workspace_id = s.workspace_id AND r.source_id = s.id
                                  AND r.state IN ('planning', 'reading', 'sending')
                                  AND (a.paused_at IS NULL OR r.kind IN ('plan', 'test', 'undo'))
                                  AND (a.held_until IS NULL OR a.held_until <= $1))
                        OR EXISTS (SELECT 1 FROM push_job c WHERE c.workspace_id = s.workspace_id AND c.source_id = s.id
                                     AND c.ended_at IS NULL)))
         ON CONFLICT (kind, source_id, key) WHERE state = 'waiting'
         DO UPDATE SET due_at = excluded.due_at WHERE job.due_at > excluded.due_at AND job.failures = 0",
    )
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Leases up to `limit` jobs that are due, or whose holder has gone silent. One job of a kind and key runs at a time.
pub async fn claim(
    db: &mut PgConnection,
    holder: &str,
    now: DateTime<Utc>,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Lease>> {
    let rows = sqlx::query(
        "UPDATE job SET state = 'running', attempt = attempt + 1, leased_by = $1, leased_until = $2 + $3
         WHERE id IN (
             SELECT id FROM job j
             WHERE (j.state = 'waiting' AND j.due_at <= $2 AND NOT EXISTS (
                       SELECT 1 FROM job r WHERE r.state = 'running' AND r.kind = j.kind
                         AND r.source_id = j.source_id AND r.key = j.key))
                OR (j.state = 'running' AND j.leased_until < $2)
             ORDER BY j.due_at, j.id FOR UPDATE SKIP LOCKED LIMIT $4)
         RETURNING id, attempt, kind, source_id, key, failures",
    )
    .bind(holder)
    .bind(now)
    .bind(lease)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().filter_map(lease_of).collect())
}

fn lease_of(row: &sqlx::postgres::PgRow) -> Option<Lease> {
    Some(Lease {
        job_id: row.get("id"),
        attempt: row.get("attempt"),
        kind: JobKind::parse(row.get("kind"))?,
        source_id: row.get("source_id"),
        key: row.get("key"),
        failures: row.get("failures"),
    })
}

/// Takes the lease into this transaction and prolongs it. False when another daemon holds the job by now: then nothing
/// may be committed.
pub async fn fence(db: &mut PgConnection, lease: &Lease, until: DateTime<Utc>) -> Result<bool> {
    let held = sqlx::query("UPDATE job SET leased_until = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'")
        .bind(lease.job_id)
        .bind(lease.attempt)
        .bind(until)
        .execute(db)
        .await?;
    Ok(held.rows_affected() == 1)
}

/// Finishes a job. False when another daemon holds it by now.
pub async fn finish(db: &mut PgConnection, lease: &Lease) -> Result<bool> {
    let gone = sqlx::query("DELETE FROM job WHERE id = $1 AND attempt = $2")
        .bind(lease.job_id)
        .bind(lease.attempt)
        .execute(db)
        .await?;
    Ok(gone.rows_affected() == 1)
}

/// Puts a failed job back, to be tried at `due_at`. One that waits already for the same takes its place.
pub async fn postpone(db: &mut PgConnection, lease: &Lease, due_at: DateTime<Utc>, error: &str) -> Result<()> {
    let twin = sqlx::query(
        "UPDATE job SET due_at = greatest(due_at, $4), failures = $5, error = $6
         WHERE state = 'waiting' AND kind = $1 AND source_id = $2 AND key = $3",
    )
    .bind(lease.kind.as_str())
    .bind(lease.source_id)
    .bind(&lease.key)
    .bind(due_at)
    .bind(lease.failures + 1)
    .bind(error)
    .execute(&mut *db)
    .await?;
    if twin.rows_affected() > 0 {
        finish(db, lease).await?;
        return Ok(());
    }
    sqlx::query(
        "UPDATE job SET state = 'waiting', leased_by = NULL, leased_until = NULL, due_at = $3, failures = $4, error = $5
         WHERE id = $1 AND attempt = $2",
    )
    .bind(lease.job_id)
    .bind(lease.attempt)
    .bind(due_at)
    .bind(lease.failures + 1)
    .bind(error)
    .execute(db)
    .await?;
    Ok(())
}

/// Gives back jobs this daemon holds, so that another need not wait for the leases to end.
pub async fn give_back(db: &mut PgConnection, holder: &str) -> Result<u64> {
    let rows = sqlx::query(
        "DELETE FROM job r WHERE r.state = 'running' AND r.leased_by = $1 AND EXISTS (
             SELECT 1 FROM job w WHERE w.state = 'waiting' AND w.kind = r.kind AND w.source_id = r.source_id AND w.key = r.key)",
    )
    .bind(holder)
    .execute(&mut *db)
    .await?;
    let back = sqlx::query(
        "UPDATE job SET state = 'waiting', leased_by = NULL, leased_until = NULL WHERE state = 'running' AND leased_by = $1",
    )
    .bind(holder)
    .execute(db)
    .await?;
    Ok(rows.rows_affected() + back.rows_affected())
}

/// How many jobs there are by state, for the metrics.
pub async fn depths(db: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    sqlx::query_as("SELECT state, count(*) FROM job GROUP BY state").fetch_all(db).await
}

/// Removes the jobs of a source that waits for nothing any more.
pub async fn forget_source(db: &mut PgConnection, source_id: i64) -> Result<()> {
    sqlx::query("DELETE FROM job WHERE source_id = $1").bind(source_id).execute(db).await?;
    Ok(())
}

/// Removes the push job of a source, whoever holds it. It is asked for again when something is to be pushed.
pub async fn forget_push(db: &mut PgConnection, source_id: i64) -> Result<()> {
    sqlx::query("DELETE FROM job WHERE kind = 'push' AND source_id = $1").bind(source_id).execute(db).await?;
    Ok(())
}

/// Jobs of a source that have failed and wait for another try: key, failed tries, error.
pub async fn failing(db: &mut PgConnection, source_id: i64) -> Result<Vec<(String, i32, String)>> {
    sqlx::query_as(
        "SELECT key, failures, coalesce(error, '') FROM job WHERE source_id = $1 AND kind = 'poll' AND failures > 0 ORDER BY key",
    )
    .bind(source_id)
    .fetch_all(db)
    .await
}

/// How often the push job of a source has failed and waits for another try, and why.
pub async fn push_failing(db: &mut PgConnection, source_id: i64) -> Result<Option<(i32, String)>> {
    sqlx::query_as(
        "SELECT failures, coalesce(error, '') FROM job WHERE source_id = $1 AND kind = 'push' AND failures > 0 LIMIT 1",
    )
    .bind(source_id)
    .fetch_optional(db)
    .await
}
