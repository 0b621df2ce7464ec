//! The daemon: settings become pool, writer, worker and listeners; a first signal stops it gracefully, a second at once.

use crate::clock::Clock;
use crate::config::Settings;
use crate::db::{self, partition, pool};
use crate::http::admin::AdminState;
use crate::http::health::HealthState;
use crate::http::recipients::Recipients;
use crate::http::serve::{Bounds, serve};
use crate::http::webhook::WebhookState;
use crate::pipeline::context::Context;
use crate::pipeline::{alert, lifecycle, prune, receive};
use crate::secret::{SealError, Sealer};
use crate::worker;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The secret key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database is not fit to be trusted.
    #[error(transparent)]
    Unfit(#[from] pool::Unfit),
    /// Postgres.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key it stands under.
        key: &'static str,
        /// Why.
        error: std::io::Error,
    },
}

/// A context from settings: pool and keys, nothing connected yet.
pub fn context(settings: Settings, clock: Clock) -> Result<Context, StartError> {
    let sealer = Sealer::new(&settings.secret_key, &settings.previous_secret_keys)?;
    let database = &settings.database;
    let pool = pool::lazy(
        database.url.expose(),
        &pool::PoolOptions {
            max_connections: database.max_connections,
            acquire_timeout: Duration::from_secs(database.acquire_timeout_secs),
            statement_timeout: Duration::from_secs(database.statement_timeout_secs),
            lock_timeout: Duration::from_secs(database.lock_timeout_secs),
        },
    )?;
    let holder = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
    Ok(Context::new(pool, clock, Arc::new(settings), Arc::new(sealer), &holder))
}

/// A running daemon.
pub struct Daemon {
    /// What its flows work with.
    pub ctx: Context,
    /// Address of the public listener.
    pub public: SocketAddr,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    /// Tells the worker to look for jobs at once.
    pub wake: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a daemon: checks the database, then serves. `allow_not_durable` is for tests on a private Postgres only.
pub async fn start(ctx: Context, metrics: PrometheusHandle, allow_not_durable: bool) -> Result<Daemon, StartError> {
    pool::check(&ctx.pool, allow_not_durable).await?;
    match pool::missing_migrations(&ctx.pool).await? {
        0 => {}
        missing => return Err(pool::Unfit::Behind(missing).into()),
    }
    prepare(&ctx).await?;
    let stop = ctx.stop.clone();
    let tasks = TaskTracker::new();
    let wake = Arc::new(Notify::new());
    let (intake, writer) = receive::channel(ctx.pool.clone(), &ctx.settings.webhook, wake.clone());
    let health = HealthState { pool: ctx.pool.clone(), stopping: stop.clone() };
    let webhooks = WebhookState {
        recipients: Recipients::new(ctx.pool.clone(), ctx.sealer.clone(), ctx.clock.clone()),
        intake,
        clock: ctx.clock.clone(),
        freshness: chrono::Duration::seconds(ctx.settings.webhook.freshness_secs as i64),
        max_body_bytes: ctx.settings.webhook.max_body_bytes,
        read_timeout: Duration::from_secs(ctx.settings.webhook.read_timeout_secs),
    };
    let admin_state = AdminState { metrics: metrics.clone(), ctx: ctx.clone() };
    let public = listen(ctx.settings.public.listen, "public.listen").await?;
    let admin = listen(ctx.settings.admin.listen, "admin.listen").await?;
    let addresses = (address(&public, ctx.settings.public.listen), address(&admin, ctx.settings.admin.listen));
    let bounds = bounds(&ctx.settings);
    tasks.spawn(writer.run());
    tasks.spawn(serve(public, crate::http::public(webhooks, health.clone()), bounds, stop.clone()));
    tasks.spawn(serve(admin, crate::http::admin(admin_state, health), bounds, stop.clone()));
    tasks.spawn(worker::run(ctx.clone(), wake.clone()));
    tasks.spawn(upkeep(metrics, stop.clone()));
    Ok(Daemon { ctx, public: addresses.0, admin: addresses.1, wake, stop, tasks })
}

/// What the listeners take on.
pub fn bounds(settings: &Settings) -> Bounds {
    Bounds {
        connections: settings.public.max_connections,
        idle: Duration::from_secs(settings.public.idle_timeout_secs),
    }
}

fn address(listener: &TcpListener, wanted: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(wanted)
}

/// What must be there before the first row: partitions, and the schedule of pruning and alerts.
pub async fn prepare(ctx: &Context) -> Result<(), StartError> {
    let now = ctx.clock.now();
    match lifecycle::reseal(ctx).await {
        Ok(0) => {}
        Ok(sources) => tracing::info!(sources, "secrets sealed under the present key"),
        Err(error) => tracing::warn!(error = %error, "secrets are still sealed under a former key"),
    }
    let mut db = ctx.pool.acquire().await?;
    prune::make_partitions(&mut db, now).await?;
    db::schedule::ensure(&mut db, "prune", now + prune::interval(&ctx.settings)).await?;
    db::schedule::ensure(&mut db, "alert", now + alert::interval(&ctx.settings)).await?;
    partition::ensure_days(&mut db, now.date_naive(), now.date_naive()).await?;
    Ok(())
}

async fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, key, error })
}

/// Listens where Zendesk sends people back to, for as long as a sign-in takes and no daemon does. None when the address is
/// taken: most likely by a daemon, which takes the answer as well.
pub async fn listen_for_sign_in(ctx: &Context) -> Result<Option<SignInListener>, StartError> {
    let listener = match listen(ctx.settings.admin.listen, "admin.listen").await {
        Err(StartError::Listen { error, .. }) if error.kind() == std::io::ErrorKind::AddrInUse => return Ok(None),
        other => other?,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, crate::http::callback(ctx.clone()), bounds(&ctx.settings), stop.clone()));
    Ok(Some(SignInListener { stop, task }))
}

/// A listener for one sign-in.
pub struct SignInListener {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl SignInListener {
    /// Ends it once the browser has its page.
    pub async fn end(self) {
        self.stop.cancel();
        _ = tokio::time::timeout(Duration::from_secs(3), self.task).await;
    }
}

/// Without upkeep, histograms grow for as long as nobody scrapes.
async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    while !stop.is_cancelled() {
        tokio::select! {
            _ = every.tick() => metrics.run_upkeep(),
            () = stop.cancelled() => {}
        }
    }
}

impl Daemon {
    /// Stops gracefully: no new requests, jobs end at their next page. True when all ended within the grace time.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let grace = Duration::from_secs(self.ctx.settings.shutdown.grace_secs);
        self.ctx.renewals.close();
        let ended = tokio::time::timeout(grace, async {
            self.tasks.wait().await;
            self.ctx.renewals.wait().await;
        });
        let ended = ended.await.is_ok();
        self.ctx.pool.close().await;
        ended
    }

    /// Runs until a signal: the first stops gracefully, a second ends the wait at once.
    pub async fn run_until_signal(self) -> bool {
        signal().await;
        tracing::info!(grace_secs = self.ctx.settings.shutdown.grace_secs, "stopping; a second signal stops at once");
        tokio::select! {
            ended = self.stop() => ended,
            () = signal() => false,
        }
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut term), Ok(mut int)) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
