//! What the demo needs to run: a Postgres, a simulated Zendesk and a daemon that is connected to it.

use super::folder::{self, Folder, Kept};
use super::outcome::DemoError;
use super::sim::{Wanted, Zendesk};
use crate::app::{self, Daemon};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::db;
use crate::model::source::{Credentials, Source, SourceSettings, SourceState};
use crate::pipeline::context::Context;
use crate::pipeline::lifecycle::{self, Connect};
use crate::private_postgres::{Options as PostgresOptions, PrivatePostgres};
use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The one database.
const DATABASE: &str = "deskbridge";

/// What the source is called.
const NAME: &str = "acme";

/// Over how many days the simulated tickets are spread: within the 90 days that activities are kept.
const HISTORY_DAYS: u32 = 80;

/// Real seconds after which another daemon would take a job over; the lease itself is in simulated ones.
const LEASE_SECS: f64 = 60.0;

/// How the stage is set.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Customers; those of the kept account by default.
    pub users: Option<u32>,
    /// Tickets; those of the kept account by default.
    pub tickets: Option<u32>,
    /// How many times faster than real time passes.
    pub speed: f64,
    /// The time at which a new account begins; now if there is none.
    pub start: Option<String>,
}

/// All that runs.
pub struct Stage {
    /// Its folder.
    pub folder: Folder,
    /// The private Postgres.
    pub postgres: PrivatePostgres,
    /// The simulated Zendesk.
    pub zendesk: Zendesk,
    /// The daemon.
    pub daemon: Daemon,
    /// The connected account.
    pub source: Source,
    /// True when the data was there already.
    pub is_kept: bool,
    /// When it was connected.
    pub since: DateTime<Utc>,
}

impl Stage {
    /// Sets everything up.
    pub async fn set(folder: Folder, setting: &Setting, metrics: PrometheusHandle) -> Result<Stage, DemoError> {
        let before = folder.kept();
        let settled = settle(&folder, before.as_ref(), setting)?;
        let at = folder.file("postgres");
        let postgres = tokio::task::spawn_blocking(move || {
            let mut server = PrivatePostgres::start(&at, PostgresOptions { durable: true, keep: true })?;
            match server.create_database(DATABASE, None) {
                Err(error) if !error.to_string().contains("already exists") => {
                    server.stop();
                    Err(error)
                }
                _ => Ok(server),
            }
        });
        let postgres = postgres.await.map_err(|error| DemoError::Task(error.to_string()))??;
        let zendesk = Zendesk::start(&program()?, &wanted(&folder, &settled, setting)).await?;
        let clock = clock(&zendesk, setting.speed).await?;
        let ctx = app::context(settings(&folder, &postgres.url(DATABASE), &settled, &zendesk, setting.speed)?, clock)?;
        db::pool::migrate(&ctx.pool).await?;
        let daemon = app::start(ctx.clone(), metrics, false).await?;
        let since = ctx.clock.now();
        let (source, is_kept) = connect(&ctx, &zendesk).await?;
        folder.keep(&settled)?;
        daemon.wake.notify_one();
        Ok(Stage { folder, postgres, zendesk, daemon, source, is_kept, since })
    }

    /// What flows work with.
    pub fn ctx(&self) -> &Context {
        &self.daemon.ctx
    }

    /// What to type to look into the database.
    pub fn psql_line(&self) -> String {
        self.postgres.psql_line(DATABASE)
    }

    /// Workspace and source, as statements want them.
    pub fn ids(&self) -> (i64, i64) {
        (self.source.workspace_id, self.source.id)
    }

    /// Stops everything and waits until nothing is left.
    pub async fn clear(self) {
        let Stage { mut postgres, zendesk, daemon, folder, .. } = self;
        daemon.stop().await;
        zendesk.stop().await;
        // Fails only when the runtime is going down, and then the server stops with us.
        _ = tokio::task::spawn_blocking(move || postgres.stop()).await;
        drop(folder);
    }
}

/// What this run and later ones keep to. Other numbers than the kept ones would be another account.
fn settle(folder: &Folder, before: Option<&Kept>, setting: &Setting) -> Result<Kept, DemoError> {
    let port = folder::ports(before.map(|kept| kept.port))?;
    let (users, tickets) = before.map_or((3_000, 3_000), |kept| (kept.users, kept.tickets));
    let wanted = Kept { users: setting.users.unwrap_or(users), tickets: setting.tickets.unwrap_or(tickets), port };
    if let Some(kept) = before
        && (kept.users, kept.tickets) != (wanted.users, wanted.tickets)
    {
        return Err(DemoError::Other { folder: folder.path.clone(), users: kept.users, tickets: kept.tickets });
    }
    Ok(wanted)
}

/// The simulated Zendesk is built beside us.
fn program() -> Result<std::path::PathBuf, DemoError> {
    let ours = config::own_program().map_err(|error| DemoError::file(Path::new("deskbridge"), error))?;
    Ok(ours.with_file_name("zendesk-sim"))
}

fn wanted(folder: &Folder, settled: &Kept, setting: &Setting) -> Wanted {
    Wanted {
        users: settled.users,
        tickets: settled.tickets,
        history_days: HISTORY_DAYS,
        speed: setting.speed,
        start: setting.start.clone(),
        journal: folder.file("zendesk-journal"),
        log: folder.file("zendesk-sim.log"),
        listen: format!("127.0.0.1:{}", settled.port),
    }
}

/// The simulated Zendesk says what time it is: an account that once ran faster is ahead of us.
async fn clock(zendesk: &Zendesk, speed: f64) -> Result<Clock, DemoError> {
    let told = zendesk.door.get("clock").await?;
    let theirs = told["now_ms"].as_i64().and_then(DateTime::from_timestamp_millis);
    let system = Clock::system();
    let theirs = theirs.unwrap_or_else(|| system.now());
    let is_now = (theirs - system.now()).abs() < chrono::Duration::seconds(1);
    Ok(if speed == 1.0 && is_now { system } else { Clock::scaled(theirs, speed) })
}

fn settings(
    folder: &Folder,
    database: &str,
    settled: &Kept,
    zendesk: &Zendesk,
    speed: f64,
) -> Result<Settings, DemoError> {
    let key = folder.secret_key()?;
    let port = |offset: u16| format!("127.0.0.1:{}", settled.port + offset);
    let lease_secs = (LEASE_SECS * speed.max(1.0)).ceil();
    let variables = [
        ("DESKBRIDGE__SECRET_KEY", key),
        ("DESKBRIDGE__DATABASE__URL", database.to_string()),
        ("DESKBRIDGE__PUBLIC__LISTEN", port(1)),
        ("DESKBRIDGE__PUBLIC__BASE_URL", format!("http://{}", port(1))),
        ("DESKBRIDGE__ADMIN__LISTEN", port(2)),
        ("DESKBRIDGE__ZENDESK__ALLOWED_BASE_URLS", zendesk.url.clone()),
        // The simulated account has the highest plan, so that the first sync does not wait for Zendesk's limits.
        ("DESKBRIDGE__ZENDESK__REQUESTS_PER_MINUTE", "2500".to_string()),
        ("DESKBRIDGE__ZENDESK__INCREMENTAL_PER_MINUTE", "30".to_string()),
        ("DESKBRIDGE__WORKER__LEASE_SECS", lease_secs.to_string()),
        // Above the lease, in simulated seconds as well.
        ("DESKBRIDGE__ACTIVATION__SETTLE_SECS", (lease_secs * 2.0).to_string()),
        ("DESKBRIDGE__WORKER__POLL_INTERVAL_MS", (250.0 * speed.max(1.0)).round().to_string()),
        ("DESKBRIDGE__SHUTDOWN__GRACE_SECS", "5".to_string()),
    ];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(Settings::from_variables(&variables)?)
}

/// Connects the account, or connects it again: the simulated Zendesk has forgotten our webhook.
async fn connect(ctx: &Context, zendesk: &Zendesk) -> Result<(Source, bool), DemoError> {
    let credentials = Credentials::Bearer { token: zendesk.oauth_token.clone() };
    let mut db = ctx.pool.acquire().await?;
    let workspace = 1;
    let before = db::source::by_name(&mut db, workspace, NAME).await?;
    match before.filter(|source| source.state != SourceState::Connecting) {
        None => {
            drop(db);
            let request = Connect {
                workspace,
                account: &zendesk.url,
                name: Some(NAME),
                credentials,
                manual_webhook: None,
                settings: SourceSettings::default(),
            };
            Ok((lifecycle::connect(ctx, request).await?.source, false))
        }
        Some(mut source) => {
            if source.base_url.as_ref() != Some(&zendesk.url) {
                // Somebody else has its former port.
                let sealed = source.credentials.clone().unwrap_or_default();
                db::source::set_credentials(&mut db, source.id, &zendesk.url, &sealed, ctx.clock.now()).await?;
                source.base_url = Some(zendesk.url.clone());
            }
            drop(db);
            // An account whose first sync was broken off goes on with it.
            let is_kept = source.state == SourceState::Connected;
            Ok((lifecycle::reconnect(ctx, source, Some(credentials), None).await?.source, is_kept))
        }
    }
}

/// What of the account there is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Customers who are alive.
    pub people: u64,
    /// Organizations.
    pub organizations: u64,
    /// Tickets.
    pub tickets: u64,
    /// Updates of tickets.
    pub events: u64,
}

/// Asks how large the account is.
pub async fn size(zendesk: &Zendesk) -> Result<Size, DemoError> {
    let counts = zendesk.door.get("state/counts").await?;
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    Ok(Size {
        people: count(&counts["active_users"]).saturating_sub(super::sim::AGENTS.into()),
        organizations: count(&counts["organizations"]),
        tickets: count(&counts["tickets"]),
        events: count(&counts["audits"]),
    })
}

/// Waits a little, in real time.
pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// The time of an act, to the second.
pub fn time_of(act: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(act["at"].as_str()?).ok()?.to_utc())
}
