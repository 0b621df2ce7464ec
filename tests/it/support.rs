//! What every test starts from: a database of its own, a simulated Zendesk with a driven clock, and the daemon's parts,
//! whose jobs the test runs by hand. Nothing sleeps: time is moved.

use crate::asked::Witness;
use chrono::{DateTime, Utc};
use deskbridge::clock::Clock;
use deskbridge::config::Settings;
use deskbridge::db;
use deskbridge::http::health::HealthState;
use deskbridge::http::recipients::Recipients;
use deskbridge::http::serve;
use deskbridge::http::webhook::WebhookState;
use deskbridge::model::source::{Credentials, Source, SourceSettings};
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::lifecycle::{self, Connect};
use deskbridge::pipeline::receive;
use deskbridge::pipeline::sell;
use deskbridge::private_postgres::{Options as PgOptions, PrivatePostgres};
use deskbridge::worker;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zendesk_sim::{Options, Settings as SimSettings, Sim};

/// The time at which every test begins.
pub const START: &str = "2026-06-15T12:00:00Z";

/// The cluster of this test process, with a migrated template.
pub fn cluster() -> &'static PrivatePostgres {
    static CLUSTER: OnceLock<PrivatePostgres> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("deskbridge-it-{}", std::process::id()));
        let cluster =
            PrivatePostgres::start(&dir, PgOptions { durable: false, keep: false }).expect("a private Postgres");
        cluster.create_database("template", None).expect("a template database");
        let url = cluster.url("template");
        // Its own thread and runtime: the first test to come here is inside one already.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let pool = PgPool::connect(&url).await.expect("the template answers");
                db::pool::migrate(&pool).await.expect("the migrations run");
                pool.close().await;
            });
        })
        .join()
        .expect("the template is migrated");
        cluster
    })
}

/// A new database, migrated.
pub fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let cluster = cluster();
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    cluster.create_database(&name, Some("template")).expect("a database");
    cluster.url(&name)
}

/// Settings for a test: limits high enough not to be met unless a test lowers them.
pub fn settings(database_url: &str, sim_url: &str) -> Settings {
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let variables = [("DESKBRIDGE__SECRET_KEY", key), ("DESKBRIDGE__DATABASE__URL", database_url)];
    let mut settings = Settings::from_variables(&variables).expect("settings");
    settings.database.max_connections = 6;
    settings.zendesk.allowed_base_urls = vec![sim_url.to_string()];
    settings.zendesk.requests_per_minute = 1_000_000;
    settings.zendesk.requests_share = 1.0;
    settings.zendesk.incremental_per_minute = 1_000_000;
    settings
}

/// A simulated account and a daemon connected to it.
pub struct World {
    /// What flows work with.
    pub ctx: Context,
    /// The daemon's time.
    pub clock: Clock,
    /// The simulated account.
    pub sim: SimDoor,
    /// Where the daemon takes webhooks.
    pub public_url: String,
    _sim: Witness,
    _stop: CancellationToken,
}

/// What a test says about its world.
pub struct Setup {
    /// Customers of the simulated account.
    pub users: usize,
    /// Tickets.
    pub tickets: usize,
    /// Changes the daemon's settings.
    pub settings: fn(&mut Settings),
    /// Changes the simulated account's settings.
    pub account: fn(&mut SimSettings),
    /// Rate limits of the simulated account.
    pub limits: bool,
    /// Seed.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { users: 40, tickets: 30, settings: |_| {}, account: |_| {}, limits: false, seed: 1 }
    }
}

impl World {
    /// A world that is not connected yet.
    pub async fn new(setup: Setup) -> World {
        let mut options = SimSettings {
            users: Some(setup.users),
            tickets: Some(setup.tickets),
            seed: Some(setup.seed),
            clock: Some("driven".into()),
            start: Some(START.into()),
            limits: Some(if setup.limits { "on" } else { "off" }.into()),
            breaker: Some("off".into()),
            keep_requests: Some(10_000),
            ..SimSettings::default()
        };
        (setup.account)(&mut options);
        let sim = Sim::start(Options::try_from(options).expect("options")).await.expect("a simulated Zendesk");
        let door = SimDoor::new(&sim);
        let clock = Clock::manual(door.now().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let public_url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut settings = settings(&database(), &sim.url);
        settings.public.base_url = Some(public_url.clone());
        settings.zendesk.allowed_base_urls.extend(door.about["sell"]["listening"].as_str().map(str::to_string));
        (setup.settings)(&mut settings);
        let ctx = deskbridge::app::context(settings, clock.clone()).expect("a context");
        deskbridge::app::prepare(&ctx).await.expect("prepared");
        let stop = CancellationToken::new();
        serve(&ctx, listener, &stop);
        World { ctx, clock, sim: door, public_url, _sim: Witness(sim), _stop: stop }
    }

    /// A world with a source `acme` whose first sync is complete.
    pub async fn synced(setup: Setup) -> World {
        let world = World::new(setup).await;
        world.connect(SourceSettings::default()).await;
        world.sync().await;
        world
    }

    /// Connects the account as source `acme`.
    pub async fn connect(&self, settings: SourceSettings) -> Source {
        let request = Connect {
            workspace: 1,
            account: &self.sim.url,
            name: Some("acme"),
            credentials: self.sim.credentials(),
            manual_webhook: None,
            settings,
        };
        lifecycle::connect(&self.ctx, request).await.expect("connected").source
    }

    /// Connects Zendesk Sell as source `sell`; see [`with_sell`].
    pub async fn connect_sell(&self) -> Source {
        let (url, token) = (self.sim.sell_url(), self.sim.sell_token());
        sell::connect(&self.ctx, 1, "sell", Some(&url), &token).await.expect("connected")
    }

    /// The source `acme`.
    pub async fn source(&self) -> Source {
        lifecycle::find(&self.ctx, 1, "acme").await.expect("the source")
    }

    /// Runs jobs until none is due.
    pub async fn run_jobs(&self) {
        while worker::run_due(&self.ctx).await.expect("jobs run") {}
    }

    /// Makes everything due and runs jobs until every stream has been read to its end or failed.
    pub async fn sync(&self) {
        let source = self.source().await;
        let started = self.clock.now();
        lifecycle::resync(&self.ctx, &source, lifecycle::Resync::Incremental).await.expect("a resync");
        for _ in 0..100 {
            self.run_jobs().await;
            let mut db = self.ctx.pool.acquire().await.expect("a connection");
            let all = db::checkpoint::of_source(&mut db, source.id).await.expect("checkpoints");
            let done = |checkpoint: &deskbridge::model::stream::Checkpoint| {
                checkpoint.error.is_some() || checkpoint.caught_up_at.is_some_and(|at| at >= started)
            };
            if all.iter().all(done) {
                return;
            }
            self.clock.advance(Duration::from_secs(5));
        }
        let mut db = self.ctx.pool.acquire().await.expect("a connection");
        let all = db::checkpoint::of_source(&mut db, source.id).await.expect("checkpoints");
        let jobs: Option<Value> = self.value("SELECT jsonb_agg(to_jsonb(j)) FROM job j").await;
        panic!("the streams do not come to their ends: {all:#?} {jobs:?}");
    }

    /// Exit code, stdout and stderr of a command in a process of its own that is given this on stdin.
    pub async fn command(&self, arguments: &[&str], given: &str) -> (Option<i32>, String, String) {
        let settings = &self.ctx.settings;
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_deskbridge"))
            .args(arguments)
            .env("DESKBRIDGE__SECRET_KEY", settings.secret_key.expose())
            .env("DESKBRIDGE__DATABASE__URL", settings.database.url.expose())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let mut stdin = child.stdin.take().expect("stdin");
        // A command that reads nothing may have ended already.
        _ = stdin.write_all(given.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.expect("an end");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Moves the daemon's clock, a second at a time and only while somebody sleeps by it, until a task of its ends.
    pub async fn drive<T>(&self, task: tokio::task::JoinHandle<T>) -> T {
        while !task.is_finished() {
            if self.clock.sleepers() > 0 {
                self.clock.advance(Duration::from_secs(1));
            }
            tokio::task::yield_now().await;
        }
        task.await.expect("the task ends by itself")
    }

    /// Moves both clocks, lets `life` acts happen, waits until every webhook was delivered.
    pub async fn advance(&self, seconds: u64, life: u64) {
        self.sim.post("advance", json!({"seconds": seconds, "life": life})).await;
        self.clock.set(self.sim.now().await);
    }

    /// One act in the simulated account, with its webhooks delivered.
    pub async fn act(&self, act: Value) -> Value {
        let result = self.sim.post("act", act).await;
        self.sim.post("drain", json!({})).await;
        result
    }

    /// Lets two minutes pass, so that exports no longer withhold what happened, and reads every stream.
    pub async fn settle(&self) {
        self.advance(120, 0).await;
        self.run_jobs().await;
        self.sync().await;
        self.run_jobs().await;
    }

    /// One value from the database.
    pub async fn value<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql).fetch_one(&self.ctx.pool).await.expect(sql)
    }

    /// How many rows a table or condition has.
    pub async fn count(&self, from: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {from}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.ctx.pool).await.expect(from)
    }
}

/// An account with Zendesk Sell beside it, without contacts: for [`Setup::account`].
pub fn with_sell(account: &mut SimSettings) {
    let fields = json!(["Audience", "Mapping_1", {"name": "Plan", "type": "list", "choices": ["free", "paid"]},
        {"name": "Since", "type": "date"}, {"name": "Seats", "type": "number"}]);
    account.sell_listen = Some("127.0.0.1:0".into());
    account.sell =
        Some(serde_json::from_value(json!({"contacts": 0, "custom_fields": fields})).expect("settings of Sell"));
}

fn serve(ctx: &Context, listener: TcpListener, stop: &CancellationToken) {
    let (intake, writer) = receive::channel(ctx.pool.clone(), &ctx.settings.webhook, Arc::new(Notify::new()));
    let state = WebhookState {
        recipients: Recipients::new(ctx.pool.clone(), ctx.sealer.clone(), ctx.clock.clone()),
        intake,
        clock: ctx.clock.clone(),
        freshness: chrono::Duration::seconds(ctx.settings.webhook.freshness_secs as i64),
        max_body_bytes: ctx.settings.webhook.max_body_bytes,
        read_timeout: Duration::from_secs(ctx.settings.webhook.read_timeout_secs),
    };
    let health = HealthState { pool: ctx.pool.clone(), stopping: stop.clone() };
    let router = deskbridge::http::public(state, health);
    tokio::spawn(writer.run());
    tokio::spawn(serve::serve(listener, router, deskbridge::app::bounds(&ctx.settings), stop.clone()));
}

/// The admin door of the simulated account.
pub struct SimDoor {
    /// Its address.
    pub url: String,
    about: Value,
    http: reqwest::Client,
}

impl SimDoor {
    fn new(sim: &Sim) -> SimDoor {
        // Nothing here speaks TLS, but the client wants a provider; a second installation is harmless.
        _ = rustls::crypto::ring::default_provider().install_default();
        SimDoor { url: sim.url.clone(), about: sim.about.clone(), http: reqwest::Client::new() }
    }

    /// Credentials of its admin.
    pub fn credentials(&self) -> Credentials {
        let text = |key: &str| self.about[key].as_str().unwrap_or_default().to_string();
        Credentials::ApiToken { email: text("admin_email"), token: text("api_token") }
    }

    /// Address of its Zendesk Sell.
    pub fn sell_url(&self) -> String {
        self.about["sell"]["listening"].as_str().unwrap_or_default().to_string()
    }

    /// Sell's access token.
    pub fn sell_token(&self) -> Credentials {
        Credentials::Bearer { token: self.about["sell"]["token"].as_str().unwrap_or_default().to_string() }
    }

    /// Its OAuth client, which fetches its own tokens.
    pub fn client_credentials(&self) -> Credentials {
        let text = |key: &str| self.about[key].as_str().unwrap_or_default().to_string();
        Credentials::ClientCredentials { client_id: text("client_id"), client_secret: text("client_secret") }
    }

    /// Its time.
    pub async fn now(&self) -> DateTime<Utc> {
        let now = self.get("clock").await["now"].as_str().unwrap_or_default().to_string();
        DateTime::parse_from_rfc3339(&now).expect("a time").with_timezone(&Utc)
    }

    /// What its admin asks of the account itself, as any client would.
    pub async fn ask(&self, method: &str, path: &str) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let text = |key: &str| self.about[key].as_str().unwrap_or_default();
        let request = self.http.request(method, format!("{}/api/v2/{path}", self.url));
        let user = format!("{}/token", text("admin_email"));
        let response = request.basic_auth(user, Some(text("api_token"))).send().await.expect("an answer");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        let body = response.bytes().await.expect("a body");
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") }
    }

    /// Reads from the door.
    pub async fn get(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}/_sim/{path}", self.url)).send().await.expect("the door answers");
        response.json().await.expect("JSON")
    }

    /// Sends to the door.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let response =
            self.http.post(format!("{}/_sim/{path}", self.url)).json(&body).send().await.expect("the door answers");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path} {body}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }
}
