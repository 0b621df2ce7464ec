//! Table `schedule`: work that comes back by the clock.

use super::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Makes sure that the work comes back; one that is known keeps its time.
pub async fn ensure(db: &mut PgConnection, name: &str, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query("INSERT INTO schedule (name, due_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}

/// The work was done: when it is due next.
pub async fn done(db: &mut PgConnection, name: &str, now: DateTime<Utc>, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE schedule SET last_at = $2, due_at = $3 WHERE name = $1")
        .bind(name)
        .bind(now)
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}
