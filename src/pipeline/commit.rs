//! The transaction of a batch: rows and progress commit together or not at all (invariant 3), under the workspace's lock
//! and the job's fence. One bad record never stops its batch: it is found by halving and buried (invariant 6).

use super::apply::{self, Env};
use super::context::{Context, FlowError};
use crate::db;
use crate::model::batch::{Batch, Counts};
use crate::model::job::Lease;
use crate::model::source::Source;
use chrono::Duration;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

/// Begins the transaction of a batch: the job's fence first, so that a daemon that was frozen past its lease writes
/// nothing, then the workspace's lock.
pub async fn begin(
    ctx: &Context,
    source: &Source,
    lease: Option<&Lease>,
) -> Result<Transaction<'static, Postgres>, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    if let Some(lease) = lease {
        let until = ctx.clock.now() + Duration::seconds(ctx.settings.worker.lease_secs as i64);
        if !db::job::fence(&mut tx, lease, until).await? {
            return Err(FlowError::LeaseLost);
        }
    }
    db::workspace::lock(&mut tx, source.workspace_id).await?;
    Ok(tx)
}

/// What applying needs, as of now.
pub fn env<'a>(ctx: &'a Context, source: &'a Source) -> Env<'a> {
    Env { now: ctx.clock.now(), settings: &ctx.settings, sealer: &ctx.sealer, source }
}

/// Applies a batch inside the transaction. When its data is at fault it is halved until the bad record stands alone; that
/// one becomes a dead letter and the rest is applied.
pub async fn apply_all(db: &mut PgConnection, env: &Env<'_>, batch: Batch) -> db::Result<Counts> {
    let mut counts = Counts::default();
    let mut queue = vec![batch];
    while let Some(batch) = queue.pop() {
        let mut savepoint = db.begin().await?;
        match apply::apply(&mut savepoint, env, &batch).await {
            Ok(applied) => {
                savepoint.commit().await?;
                counts += applied;
            }
            Err(error) if db::is_data_error(&error) => {
                savepoint.rollback().await?;
                match batch.halve() {
                    Ok((first, second)) => queue.extend([second, first]),
                    Err(alone) => {
                        let refused = alone.refuse(&format!("the database refuses it ({})", db::refusal(&error)));
                        db::dead_letter::bury(db, env.source.workspace_id, env.source.id, &refused, env.now).await?;
                        counts.dead_letters += refused.len() as u64;
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}
