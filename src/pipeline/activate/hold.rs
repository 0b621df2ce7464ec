//! The hold on a push job: every transaction begins with the fence, and a request that writes is made only while the lease is fresh.

use super::plan;
use crate::model::job::Lease;
use crate::pipeline::context::{Context, FlowError};
use chrono::{DateTime, Duration, Utc};
use sqlx::{Postgres, Transaction};

/// A transaction, and when its fence was passed.
pub struct Held {
    /// The transaction.
    pub tx: Transaction<'static, Postgres>,
    now: DateTime<Utc>,
}

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

    /// Begins a transaction that goes on only while the lease is ours.
    pub async fn begin(&self) -> Result<Held, FlowError> {
        let now = self.ctx.clock.now();
        Ok(Held { tx: plan::begin(self.ctx, self.lease).await?, now })
    }

    /// Commits it, which proves that the lease was ours when it began.
    pub async fn commit(&mut self, held: Held) -> Result<(), FlowError> {
        held.tx.commit().await?;
        self.proved = Some(held.now);
        Ok(())
    }

    /// Makes sure that the lease was held a moment ago: less than half its time, so that whoever takes the job over finds that
    /// what we send is either stored or was never sent.
    pub async fn fresh(&mut self) -> Result<(), FlowError> {
        let half = Duration::milliseconds(self.ctx.settings.worker.lease_secs as i64 * 500);
        if self.proved.is_none_or(|proved| self.ctx.clock.now() - proved >= half) {
            let held = self.begin().await?;
            self.commit(held).await?;
        }
        Ok(())
    }
}
