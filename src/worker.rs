//! The worker: claims jobs that are due, runs their flows beside a heartbeat, and puts back what failed.

use crate::db;
use crate::model::job::{JobKind, Lease};
use crate::pipeline::context::{Context, FlowError};
use crate::pipeline::{activate, alert, audience, events, grant, poll, prune, watch};
use crate::rules::retry::{self, Retry};
use chrono::Duration;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Claims and runs jobs until the context's `stop` is cancelled, then waits for those that run to reach a page's end.
pub async fn run(ctx: Context, wake: Arc<Notify>) {
    let stop = ctx.stop.clone();
    let slots = Arc::new(Semaphore::new(ctx.settings.worker.concurrency));
    let tasks = TaskTracker::new();
    let mut failing = false;
    while !stop.is_cancelled() {
        let free = slots.available_permits();
        let claimed = if free == 0 { Ok(Vec::new()) } else { claim(&ctx, free).await };
        match claimed {
            Ok(leases) => {
                if failing {
                    tracing::info!("the database answers again");
                }
                failing = false;
                let found = !leases.is_empty();
                for lease in leases {
                    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
                    let (ctx, wake, stop) = (ctx.clone(), wake.clone(), stop.clone());
                    tasks.spawn(async move {
                        work(&ctx, lease, &stop).await;
                        drop(slot);
                        wake.notify_one();
                    });
                }
                if found {
                    continue;
                }
            }
            Err(error) => {
                if !failing {
                    tracing::error!(error = %error, "the database does not answer; jobs wait for it");
                }
                failing = true;
            }
        }
        tokio::select! {
            () = wake.notified() => {}
            () = ctx.clock.sleep(std::time::Duration::from_millis(ctx.settings.worker.poll_interval_ms)) => {}
            () = stop.cancelled() => {}
        }
    }
    tasks.close();
    tasks.wait().await;
    if let Ok(mut db) = ctx.pool.acquire().await {
        _ = db::job::give_back(&mut db, &ctx.holder).await;
    }
}

async fn claim(ctx: &Context, limit: usize) -> db::Result<Vec<Lease>> {
    let mut db = ctx.pool.acquire().await?;
    let now = ctx.clock.now();
    db::job::enqueue_due(&mut db, now).await?;
    db::job::claim(&mut db, &ctx.holder, now, lease_time(ctx), limit as i64).await
}

fn lease_time(ctx: &Context) -> Duration {
    Duration::seconds(ctx.settings.worker.lease_secs as i64)
}

/// Claims and runs what is due once, one job after the other; for tests and the command line. True when there was any.
pub async fn run_due(ctx: &Context) -> Result<bool, FlowError> {
    let leases = claim(ctx, 1).await?;
    for lease in &leases {
        attempt(ctx, lease).await?;
    }
    Ok(!leases.is_empty())
}

/// Runs a job. When it is stopped in its midst, nothing of it that was not committed remains.
async fn work(ctx: &Context, lease: Lease, stop: &CancellationToken) {
    tokio::select! {
        outcome = attempt(ctx, &lease) => {
            if let Err(error) = outcome {
                tracing::error!(job = lease.kind.as_str(), key = lease.key, error = %error, "a job could not be put back; its lease will end");
            }
        }
        () = beat(ctx, &lease) => {}
        () = stopped_for(ctx, stop) => {}
    }
}

/// Ends a little before the time that a graceful stop has.
async fn stopped_for(ctx: &Context, stop: &CancellationToken) {
    stop.cancelled().await;
    let grace = std::time::Duration::from_secs(ctx.settings.shutdown.grace_secs.saturating_sub(2));
    tokio::time::sleep(grace).await;
}

/// Prolongs the lease while the flow runs. It never ends the flow: once the lease is lost, the fence lets nothing of it
/// commit, and a future that is dropped in the midst of a transaction is worse than one that runs in vain.
async fn beat(ctx: &Context, lease: &Lease) {
    let third = std::time::Duration::from_secs((ctx.settings.worker.lease_secs / 3).max(1));
    loop {
        ctx.clock.sleep(third).await;
        let Ok(mut db) = ctx.pool.acquire().await else { continue };
        let until = ctx.clock.now() + lease_time(ctx);
        if let Ok(false) = db::job::fence(&mut db, lease, until).await {
            drop(db);
            std::future::pending::<()>().await;
        }
    }
}

async fn attempt(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let span = tracing::info_span!(
        "job",
        kind = lease.kind.as_str(),
        source_id = lease.source_id,
        key = lease.key,
        attempt = lease.attempt
    );
    let flow = async {
        match lease.kind {
            JobKind::Apply => events::run(ctx, lease).await,
            JobKind::Poll => poll::run(ctx, lease).await,
            JobKind::Prune => prune::run(ctx, lease).await,
            JobKind::Renew => grant::run(ctx, lease).await,
            JobKind::Watch => watch::run(ctx, lease).await,
            JobKind::Audience => audience::run(ctx, lease).await,
            JobKind::AudiencePass => audience::run_passes(ctx, lease).await,
            JobKind::Push => activate::run::run(ctx, lease).await,
            JobKind::Alert => alert::run(ctx, lease).await,
        }
    };
    match tracing::Instrument::instrument(flow, span).await {
        Ok(()) => Ok(()),
        // Given back with all others when the worker ends.
        Err(FlowError::Stopped) => Ok(()),
        Err(FlowError::LeaseLost) => {
            tracing::warn!(job = lease.kind.as_str(), key = lease.key, "{}", FlowError::LeaseLost);
            Ok(())
        }
        Err(error) => put_back(ctx, lease, &error).await,
    }
}

async fn put_back(ctx: &Context, lease: &Lease, error: &FlowError) -> Result<(), FlowError> {
    let failure = match error {
        FlowError::Zendesk(error) => error.kind.failure(),
        _ => retry::Failure::Transient,
    };
    let attempt = u32::try_from(lease.failures + 1).unwrap_or(1).min(retry::MAX_ATTEMPTS - 1);
    let wait = match error {
        FlowError::Database(error) if db::is_conflict(error) => std::time::Duration::from_millis(100),
        _ => match retry::decide(&failure, attempt, rand::random()) {
            Retry::After(wait) => wait,
            Retry::GiveUp => std::time::Duration::from_secs(300),
        },
    };
    tracing::warn!(job = lease.kind.as_str(), key = lease.key, error = %error, wait_ms = wait.as_millis() as u64, "a job failed; it is tried again");
    let due_at = ctx.clock.now() + Duration::from_std(wait).unwrap_or(Duration::minutes(5));
    let mut tx = ctx.pool.begin().await?;
    db::job::postpone(&mut tx, lease, due_at, &error.to_string()).await?;
    tx.commit().await?;
    Ok(())
}
