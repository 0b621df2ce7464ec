//! Table `rate_budget`: the request budgets of accounts, as all processes share them.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The states of the budgets named by `budgets` and `keys`, in their order, locked until the transaction ends. Those that are
/// not there yet are made, empty.
pub async fn lock(
    db: &mut PgConnection,
    source_id: i64,
    budgets: &[&str],
    keys: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    let known = locked(db, source_id, budgets, keys).await?;
    if known.len() == budgets.len() {
        return Ok(known);
    }
    sqlx::query(
        "INSERT INTO rate_budget (source_id, budget, key, state, updated_at)
         SELECT $1, w.budget, w.key, '{}', $4 FROM unnest($2::text[], $3::text[]) AS w (budget, key)
         ORDER BY w.budget, w.key ON CONFLICT (source_id, budget, key) DO NOTHING",
    )
    .bind(source_id)
    .bind(budgets)
    .bind(keys)
    .bind(now)
    .execute(&mut *db)
    .await?;
    locked(db, source_id, budgets, keys).await
}

/// Rows are locked in the order of their keys, so that two processes never wait for each other.
async fn locked(db: &mut PgConnection, source_id: i64, budgets: &[&str], keys: &[&str]) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "WITH held AS (
             SELECT b.budget, b.key, b.state FROM rate_budget b
             JOIN unnest($2::text[], $3::text[]) AS w (budget, key) ON b.budget = w.budget AND b.key = w.key
             WHERE b.source_id = $1 ORDER BY b.budget, b.key FOR UPDATE OF b)
         SELECT held.state::text FROM held
         JOIN unnest($2::text[], $3::text[]) WITH ORDINALITY AS w (budget, key, place)
           ON held.budget = w.budget AND held.key = w.key ORDER BY w.place",
    )
    .bind(source_id)
    .bind(budgets)
    .bind(keys)
    .fetch_all(db)
    .await
}

/// Stores the states of budgets that are locked.
pub async fn store(
    db: &mut PgConnection,
    source_id: i64,
    budgets: &[&str],
    keys: &[&str],
    states: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE rate_budget b SET state = w.state::jsonb, updated_at = $5
         FROM unnest($2::text[], $3::text[], $4::text[]) AS w (budget, key, state)
         WHERE b.source_id = $1 AND b.budget = w.budget AND b.key = w.key",
    )
    .bind(source_id)
    .bind(budgets)
    .bind(keys)
    .bind(states)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// What is known of an account's own budget; none when it was never used.
pub async fn state(db: &mut PgConnection, source_id: i64, budget: &str) -> Result<Option<String>> {
    sqlx::query_scalar("SELECT state::text FROM rate_budget WHERE source_id = $1 AND budget = $2 AND key = ''")
        .bind(source_id)
        .bind(budget)
        .fetch_optional(db)
        .await
}

/// Removes budgets of single records that have not been used since `before`.
pub async fn prune(db: &mut PgConnection, before: DateTime<Utc>) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM rate_budget WHERE key <> '' AND updated_at < $1").bind(before).execute(db).await?;
    Ok(gone.rows_affected())
}
