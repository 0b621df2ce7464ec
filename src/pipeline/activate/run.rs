//! The push job of a source: plans, sends and settles, run by run, until nothing is left to do.

use crate::db;
use crate::model::job::Lease;
use crate::pipeline::context::{Context, FlowError};

/// Runs a push job.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let mut db = ctx.pool.acquire().await?;
    if db::job::finish(&mut db, lease).await? { Ok(()) } else { Err(FlowError::LeaseLost) }
}
