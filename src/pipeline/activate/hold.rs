//! The hold on a push job: every transaction begins with the fence, and a request that writes is made only while the lease is fresh.

use crate::db;
use crate::model::job::Lease;
use crate::pipeline::context::{Context, FlowError};
use chrono::{DateTime, Duration, Utc};
use sqlx::{Postgres, Transaction};

/// A lease, and when a commit last proved that it is held.
pub struct Hold<'a> {
    ctx: &'a Context,
    lease: &'a Lease,
    proved: Option<DateTime<Utc>>,
}

impl<'a> Hold<'a> {
    /// A hold that nothing has proved yet.
    pub fn new(ctx: &'a Context, lease: &'a Lease) -> Hold<'a> {
        Hold { ctx, lease, proved: None }
    }

    /// Runs a transaction that commits only while the lease is ours.
    pub async fn transact<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Transaction<'static, Postgres>) -> Result<T, FlowError>,
    ) -> Result<T, FlowError> {
        let now = self.ctx.clock.now();
        let until = now + Duration::seconds(self.ctx.settings.worker.lease_secs as i64);
        let mut tx = self.ctx.pool.begin().await?;
        if !db::job::fence(&mut tx, self.lease, until).await? {
            return Err(FlowError::LeaseLost);
        }
        let done = work(&mut tx).await?;
        tx.commit().await?;
        self.proved = Some(now);
        Ok(done)
    }

    /// Makes sure that the lease was held a moment ago: less than half its time, so that whoever takes the job over finds that
    /// what we send is either stored or was never sent.
    pub async fn fresh(&mut self) -> Result<(), FlowError> {
        let half = Duration::milliseconds(self.ctx.settings.worker.lease_secs as i64 * 500);
        if self.proved.is_none_or(|proved| self.ctx.clock.now() - proved >= half) {
            self.transact(async |_| Ok(())).await?;
        }
        Ok(())
    }
}
