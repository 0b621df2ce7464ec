//! The request budgets of a source, kept in Postgres for all daemons and commands that share its account.

use crate::db;
use crate::zendesk::budget::Draw;
use crate::zendesk::limiter::{Ledger, Turn};
use crate::zendesk::window::Window;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::PgPool;

/// The budgets of one source.
pub struct Shared {
    /// The database.
    pub pool: PgPool,
    /// The source.
    pub source_id: i64,
}

impl Shared {
    async fn change(&self, draws: &[Draw], now: DateTime<Utc>, turn: Turn<'_>) -> db::Result<()> {
        let budgets: Vec<&str> = draws.iter().map(|draw| draw.budget.limit().name).collect();
        let keys: Vec<&str> = draws.iter().map(|draw| draw.key.as_str()).collect();
        let mut tx = self.pool.begin().await?;
        let states = db::rate_budget::lock(&mut tx, self.source_id, &budgets, &keys, now).await?;
        // What a newer version wrote and this one cannot read is begun anew.
        let mut windows: Vec<Window> =
            states.iter().map(|state| serde_json::from_str(state).unwrap_or_default()).collect();
        windows.resize(draws.len(), Window::default());
        turn(&mut windows);
        let states: Vec<String> =
            windows.iter().map(|window| serde_json::to_string(window).unwrap_or_else(|_| "{}".into())).collect();
        db::rate_budget::store(&mut tx, self.source_id, &budgets, &keys, &states, now).await?;
        tx.commit().await
    }
}

impl Ledger for Shared {
    fn turn<'a>(&'a self, draws: &'a [Draw], now: DateTime<Utc>, turn: Turn<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(
            async move { self.change(draws, now, turn).await.map_err(|error| crate::telemetry::error_chain(&error)) },
        )
    }
}
