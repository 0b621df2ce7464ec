//! What everything is measured on: a private Postgres that is durable, and daemons on it.

use crate::Plan;
use crate::process::Role;
use anyhow::{Context as _, Result, bail};
use deskbridge::clock::Clock;
use deskbridge::config::Settings;
use deskbridge::model::source::Credentials;
use deskbridge::pipeline::context::Context;
use deskbridge::private_postgres::{Options, PrivatePostgres};
use deskbridge::{app, db};
use serde_json::Value;
use sqlx::PgPool;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where it all happens.
pub struct World {
    cluster: PrivatePostgres,
    /// The folder of logs and files.
    pub folder: PathBuf,
    /// The account of the first sync.
    pub sim: Account,
}

/// A simulated account.
pub struct Account {
    _role: Role,
    about: Value,
}

impl Account {
    /// Makes an account.
    pub fn start(users: usize, tickets: usize) -> Result<Account> {
        let (role, line) = Role::start_talking(&["sim", &users.to_string(), &tickets.to_string()])?;
        Ok(Account { _role: role, about: serde_json::from_str(&line)? })
    }

    /// Makes one of users only, whose limits hold.
    pub fn limited(users: usize) -> Result<Account> {
        let (role, line) = Role::start_talking(&["limited-sim", &users.to_string()])?;
        Ok(Account { _role: role, about: serde_json::from_str(&line)? })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.about["listening"].as_str().unwrap_or_default()
    }

    /// Credentials of its admin.
    pub fn credentials(&self) -> Credentials {
        let text = |key: &str| self.about[key].as_str().unwrap_or_default().to_string();
        Credentials::ApiToken { email: text("admin_email"), token: text("api_token") }
    }
}

impl World {
    /// A cluster with a migrated template, and the account of the first sync.
    pub async fn start(plan: Plan) -> Result<World> {
        let folder = std::env::temp_dir().join(format!("deskbridge-bench-{}", std::process::id()));
        let cluster = PrivatePostgres::start(&folder, Options { durable: true, keep: false })?;
        cluster.create_database("template", None)?;
        let pool = PgPool::connect(&cluster.url("template")).await?;
        db::pool::migrate(&pool).await?;
        pool.close().await;
        eprintln!("Postgres: {}", cluster.psql_line("template"));
        let begun = Instant::now();
        let sim = Account::start(plan.users, 0)?;
        eprintln!("simulated Zendesk with {} users: {:.1} s", plan.users, begun.elapsed().as_secs_f64());
        Ok(World { cluster, folder, sim })
    }

    /// A fresh, migrated database.
    pub fn new_database(&self, name: &str) -> Result<()> {
        Ok(self.cluster.create_database(name, Some("template"))?)
    }

    /// Its connections.
    pub async fn pool(&self, database: &str) -> Result<PgPool> {
        Ok(PgPool::connect(&self.cluster.url(database)).await?)
    }

    /// Settings of a daemon: limits that are not met, and jobs found at once.
    pub fn variables(&self, database: &str, sims: &[&str], public: SocketAddr) -> Result<Vec<(String, String)>> {
        let admin = free_port()?;
        let set = |name: &str, value: String| (format!("DESKBRIDGE__{name}"), value);
        Ok(vec![
            set("SECRET_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".into()),
            set("DATABASE__URL", self.cluster.url(database)),
            set("PUBLIC__LISTEN", public.to_string()),
            set("PUBLIC__BASE_URL", format!("http://{public}")),
            set("ADMIN__LISTEN", admin.to_string()),
            set("WORKER__POLL_INTERVAL_MS", "50".into()),
            set("ZENDESK__ALLOWED_BASE_URLS", sims.join(",")),
            set("ZENDESK__REQUESTS_PER_MINUTE", "1000000".into()),
            set("ZENDESK__REQUESTS_SHARE", "1.0".into()),
            set("ZENDESK__INCREMENTAL_PER_MINUTE", "1000000".into()),
            set("LOG__FORMAT", "json".into()),
        ])
    }

    /// The same settings for this process, which does what an operator would.
    pub fn context(&self, variables: &[(String, String)]) -> Result<Context> {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(app::context(Settings::from_variables(&variables)?, Clock::system())?)
    }

    /// Starts a daemon and waits until it listens.
    pub async fn daemon(&self, role: &str, variables: &[(String, String)], public: SocketAddr) -> Result<Role> {
        let log = self.folder.join(format!("{role}.log"));
        let role = Role::start(role, variables, &log)?;
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(public).await.is_ok() {
                return Ok(role);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("a daemon does not listen: {}", std::fs::read_to_string(&log).unwrap_or_default())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.cluster.stop();
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An address nobody listens on.
pub fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a port")?;
    Ok(listener.local_addr()?)
}
