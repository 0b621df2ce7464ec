//! Health: live (the process answers) and ready (it can acknowledge a webhook).

use axum::extract::State;
use axum::http::StatusCode;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// What health needs to know.
#[derive(Clone)]
pub struct HealthState {
    /// The database.
    pub pool: PgPool,
    /// Cancelled when the daemon is stopping.
    pub stopping: CancellationToken,
}

/// 200 as long as the process answers.
pub async fn live() -> &'static str {
    "live\n"
}

/// 200 when a webhook could be acknowledged now; 503 while Postgres is away or read-only, or the daemon is stopping.
pub async fn ready(State(state): State<HealthState>) -> (StatusCode, String) {
    if state.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    }
    // In a task of its own: a caller that hangs up must not drop a half-made connection.
    let pool = state.pool.clone();
    let checked = tokio::spawn(async move { crate::db::pool::is_writable(&pool).await }).await;
    match checked {
        Ok(Ok(true)) => (StatusCode::OK, "ready\n".into()),
        Ok(Ok(false)) => (StatusCode::SERVICE_UNAVAILABLE, "the database is read-only\n".into()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n".into()),
    }
}
