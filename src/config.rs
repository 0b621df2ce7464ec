//! Settings: defaults, then a file, then the environment, checked as a whole. The only reader of the environment.

mod alerts;
mod layers;
mod process;
mod secret_text;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error};
use url::Url;
use zeroize::Zeroizing;

pub use layers::{ConfigError, Problem};
use layers::{Layers, ReadFile};
pub use process::{current_folder, env_var, own_program};
pub use secret_text::SecretText;

const DEFAULTS: &str = include_str!("../config/default.toml");

/// Declares the sections, each with its keys in the order of `config/default.toml`, which explains them.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($(#[$on:meta])* $field:ident: $type:ty),+ $(,)? })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "config/default.toml explains every key")]
        pub struct $name { $($(#[$on])* pub $field: $type,)+ }
    )+ };
}

sections! {
    /// `[database]`: Postgres and how it is used.
    Database {
        url: SecretText, max_connections: u32,
        acquire_timeout_secs: u64, statement_timeout_secs: u64, lock_timeout_secs: u64,
    }
    /// `[public]`: what Zendesk reaches.
    Public {
        #[serde(deserialize_with = "listen")] listen: SocketAddr,
        #[serde(deserialize_with = "base_url")] base_url: Option<String>,
        max_connections: usize, idle_timeout_secs: u64,
    }
    /// `[admin]`: what operators reach.
    Admin { #[serde(deserialize_with = "listen")] listen: SocketAddr, #[serde(deserialize_with = "base_url")] base_url: Option<String> }
    /// `[webhook]`: limits on what arrives.
    Webhook {
        max_body_bytes: usize, freshness_secs: u64,
        queue_events: usize, batch_events: usize, batch_bytes: usize, ack_timeout_secs: u64, read_timeout_secs: u64,
    }
    /// `[worker]`: how jobs are run.
    Worker { concurrency: usize, lease_secs: u64, poll_interval_ms: u64, apply_batch_events: u32 }
    /// `[zendesk]`: how Zendesk is asked.
    Zendesk {
        allowed_base_urls: Vec<String>,
        timeout_secs: u64, connect_timeout_secs: u64, max_response_bytes: usize,
        requests_share: f64, urgent_share: f64, requests_per_minute: u32, incremental_per_minute: u32, page_size: u32,
        contacts_every_secs: u64, others_every_secs: u64, webhook_check_secs: u64, refresh_warning_days: u32,
        #[serde(deserialize_with = "user_agent")] user_agent: String,
    }
    /// `[activation]`: how records are written.
    Activation {
        records_per_call: usize, users_per_second: u32, jobs_in_flight: usize, poll_ms: u64, settle_secs: u64,
    }
    /// `[alerts]`: what operators are told of, and how.
    Alerts {
        check_secs: u64, failing_secs: u64, late_secs: u64, credentials_days: u32, unusual_factor: f64, unusual_floor: u64,
        webhook_url: SecretText, webhook_secret: SecretText, timeout_secs: u64, tries: u32,
        email_to: Vec<String>, email_from: String, smtp_url: SecretText,
    }
    /// `[retention]`: how long what is kept.
    Retention {
        activity_days: u32, raw_event_days: u32, dead_letter_days: u32, run_days: u32,
        archived_person_days: u32, prune_every_secs: u64,
    }
    /// `[privacy]`: what of people is kept and how it is read.
    Privacy {
        default_region: String, blocked_identities: Vec<String>, personal_fields: Vec<String>,
        store_message_bodies: bool, message_max_bytes: usize, private_comments: bool,
    }
    /// `[workspace]`: what holds for all that is kept.
    Workspace { time_zone: chrono_tz::Tz }
    /// `[log]`: how events are written to stdout.
    Log { format: LogFormat, filter: String }
    /// `[shutdown]`: how the daemon ends.
    Shutdown { grace_secs: u64 }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// Colours, for people.
    Pretty,
}

impl TryFrom<String> for LogFormat {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("must be auto, json or pretty"),
        }
    }
}

/// All settings, checked. Secrets print as `***`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each section explains itself")]
pub struct Settings {
    /// Seals credentials at rest.
    pub secret_key: SecretText,
    /// Keys that sealed them before.
    pub previous_secret_keys: Vec<SecretText>,
    pub database: Database,
    pub public: Public,
    pub admin: Admin,
    pub webhook: Webhook,
    pub worker: Worker,
    pub zendesk: Zendesk,
    pub activation: Activation,
    pub alerts: Alerts,
    pub retention: Retention,
    pub privacy: Privacy,
    pub workspace: Workspace,
    pub log: Log,
    pub shutdown: Shutdown,
}

impl Settings {
    /// Reads the defaults, then `file` (or the one `DESKBRIDGE_CONFIG` names), then the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or with everything that is wrong at once.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = file.map(Path::to_path_buf).or_else(|| env_var("DESKBRIDGE_CONFIG").map(PathBuf::from));
        let read = |path: PathBuf| {
            let name = path.display().to_string();
            match fs::read_to_string(&path) {
                Ok(text) => Ok((name, text)),
                Err(error) => Err(ConfigError::Unreadable(name, error)),
            }
        };
        let file = file.map(read).transpose()?;
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        Self::assemble(file, &environment, &|path| fs::read_to_string(path))
    }

    /// The defaults with these variables instead of the environment: for the demo, the bench and tests.
    ///
    /// # Errors
    /// With everything that is wrong at once.
    pub fn from_variables(variables: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self::assemble(None, &variables, &|path| fs::read_to_string(path))
    }

    /// [`load`](Self::load) without the outside: the file's name and text, the environment, a reader of secret files.
    fn assemble(
        file: Option<(&str, &str)>,
        environment: &BTreeMap<String, String>,
        read: ReadFile<'_>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::new(DEFAULTS)?;
        if let Some((name, text)) = file {
            layers.add_file(name, text)?;
        }
        layers.add_environment(environment);
        let secret_key = layers.secret("secret_key", environment, read);
        let previous = layers.secret("previous_secret_keys", environment, read);
        for key in ["database.url", "alerts.webhook_url", "alerts.webhook_secret", "alerts.smtp_url"] {
            if let Some(secret) = layers.secret(key, environment, read) {
                layers.put_secret(key, &secret);
            }
        }
        let settings = Self::gather(&mut layers, secret_key, previous);
        if let Some(settings) = &settings {
            settings.check_limits(&mut layers);
            settings.check_activation(&mut layers);
            settings.alerts.check(&mut layers);
            settings.check_texts(&mut layers);
        }
        layers.verdict()?;
        // Without a verdict no section was refused.
        settings.ok_or_else(|| ConfigError::Wrong(Vec::new()))
    }

    /// Reads every section, so that each can say what is wrong with it; `None` when one did.
    fn gather(
        layers: &mut Layers,
        secret_key: Option<Zeroizing<String>>,
        previous: Option<Zeroizing<String>>,
    ) -> Option<Self> {
        let (database, public) = (layers.section("database"), layers.section("public"));
        let (admin, webhook) = (layers.section("admin"), layers.section("webhook"));
        let (worker, zendesk) = (layers.section("worker"), layers.section("zendesk"));
        let (activation, alerts) = (layers.section("activation"), layers.section("alerts"));
        let (retention, privacy) = (layers.section("retention"), layers.section("privacy"));
        let (workspace, log, shutdown) =
            (layers.section("workspace"), layers.section("log"), layers.section("shutdown"));
        Some(Self {
            secret_key: SecretText(secret_key.unwrap_or_default()),
            previous_secret_keys: previous
                .iter()
                .flat_map(|keys| keys.split(|c: char| c == ',' || c.is_whitespace()))
                .filter(|key| !key.is_empty())
                .map(SecretText::new)
                .collect(),
            database: database?,
            public: public?,
            admin: admin?,
            webhook: webhook?,
            worker: worker?,
            zendesk: zendesk?,
            activation: activation?,
            alerts: alerts?,
            retention: retention?,
            privacy: privacy?,
            workspace: workspace?,
            log: log?,
            shutdown: shutdown?,
        })
    }

    /// Numbers out of range, and numbers that contradict each other.
    fn check_limits(&self, layers: &mut Layers) {
        let Self { database, webhook, worker, zendesk, retention, .. } = self;
        for (key, value) in [
            ("database.acquire_timeout_secs", database.acquire_timeout_secs),
            ("database.lock_timeout_secs", database.lock_timeout_secs),
            ("public.max_connections", self.public.max_connections as u64),
            ("public.idle_timeout_secs", self.public.idle_timeout_secs),
            ("webhook.read_timeout_secs", webhook.read_timeout_secs),
            ("webhook.max_body_bytes", webhook.max_body_bytes as u64),
            ("webhook.freshness_secs", webhook.freshness_secs),
            ("webhook.batch_events", webhook.batch_events as u64),
            ("worker.concurrency", worker.concurrency as u64),
            ("worker.poll_interval_ms", worker.poll_interval_ms),
            ("worker.apply_batch_events", worker.apply_batch_events.into()),
            ("zendesk.connect_timeout_secs", zendesk.connect_timeout_secs),
            ("zendesk.max_response_bytes", zendesk.max_response_bytes as u64),
            ("zendesk.requests_per_minute", zendesk.requests_per_minute.into()),
            ("zendesk.incremental_per_minute", zendesk.incremental_per_minute.into()),
            ("zendesk.contacts_every_secs", zendesk.contacts_every_secs),
            ("zendesk.webhook_check_secs", zendesk.webhook_check_secs),
            ("zendesk.others_every_secs", zendesk.others_every_secs),
            ("retention.activity_days", retention.activity_days.into()),
            ("retention.raw_event_days", retention.raw_event_days.into()),
            ("retention.dead_letter_days", retention.dead_letter_days.into()),
            ("retention.run_days", retention.run_days.into()),
            ("retention.prune_every_secs", retention.prune_every_secs),
            ("privacy.message_max_bytes", self.privacy.message_max_bytes as u64),
            ("shutdown.grace_secs", self.shutdown.grace_secs),
        ] {
            layers.require(value > 0, key, "is 0, must be 1 or more");
        }
        let mut require = |right, key, what: &str| layers.require(right, key, what);
        let enough = u64::from(database.max_connections) >= worker.concurrency as u64 + 2;
        let in_order = database.lock_timeout_secs < database.statement_timeout_secs;
        let polled = worker.poll_interval_ms < worker.lease_secs.saturating_mul(1_000);
        let urgent = (0.0..=0.5).contains(&zendesk.urgent_share);
        let share = zendesk.requests_share > 0.0 && zendesk.requests_share <= 1.0;
        require(
            enough,
            "database.max_connections",
            "must be worker.concurrency + 2 or more, for the webhooks and pages",
        );
        require(in_order, "database.lock_timeout_secs", "must be below database.statement_timeout_secs");
        require(
            webhook.batch_events <= webhook.queue_events,
            "webhook.batch_events",
            "must be at most webhook.queue_events",
        );
        require(
            webhook.batch_bytes >= webhook.max_body_bytes,
            "webhook.batch_bytes",
            "must be at least webhook.max_body_bytes",
        );
        require(
            (1..=10).contains(&webhook.ack_timeout_secs),
            "webhook.ack_timeout_secs",
            "must be 1 to 10: Zendesk gives up after 12",
        );
        require(polled, "worker.poll_interval_ms", "must be below worker.lease_secs");
        require(
            zendesk.connect_timeout_secs <= zendesk.timeout_secs,
            "zendesk.connect_timeout_secs",
            "must be at most zendesk.timeout_secs",
        );
        require(share, "zendesk.requests_share", "must be above 0 and at most 1");
        require(urgent, "zendesk.urgent_share", "must be 0 to 0.5");
        require((1..=1_000).contains(&zendesk.page_size), "zendesk.page_size", "must be 1 to 1000");
    }

    /// How records may be written.
    fn check_activation(&self, layers: &mut Layers) {
        let Self { zendesk, worker, activation, .. } = self;
        let mut require = |right, key, what: &str| layers.require(right, key, what);
        let calls = (1..=100).contains(&activation.records_per_call) && activation.users_per_second >= 1;
        require(calls, "activation.records_per_call", "must be 1 to 100, and activation.users_per_second 1 or more");
        require((1..=30).contains(&activation.jobs_in_flight), "activation.jobs_in_flight", "must be 1 to 30");
        let late = activation.settle_secs > zendesk.timeout_secs && activation.settle_secs > worker.lease_secs;
        require(late, "activation.settle_secs", "must be above zendesk.timeout_secs and worker.lease_secs");
    }

    /// Texts that must be there, or be of a form.
    fn check_texts(&self, layers: &mut Layers) {
        let mut require = |right, key, what: &str| layers.require(right, key, what);
        require(
            !self.secret_key.expose().is_empty(),
            "secret_key",
            "is missing; set DESKBRIDGE__SECRET_KEY or DESKBRIDGE__SECRET_KEY_FILE, made with: openssl rand -base64 32",
        );
        let database = Url::parse(self.database.url.expose());
        require(
            database.is_ok_and(|url| ["postgres", "postgresql"].contains(&url.scheme())),
            "database.url",
            "must be postgres://user@host:5432/name; set DESKBRIDGE__DATABASE__URL or DESKBRIDGE__DATABASE__URL_FILE",
        );
        for (url, key) in [(&self.public.base_url, "public.base_url"), (&self.admin.base_url, "admin.base_url")] {
            let good = |url: &str| is_base_url(url, |host| host == "localhost" || host.starts_with("127."));
            let words = "must be https://HOST, http only for localhost, without user, query and fragment";
            require(url.as_deref().is_none_or(good), key, words);
        }
        let simulated = &self.zendesk.allowed_base_urls;
        require(
            simulated.iter().all(|url| is_base_url(url, |_| true)),
            "zendesk.allowed_base_urls",
            "must be URLs such as http://127.0.0.1:4010, without user, query and fragment",
        );
        require(
            self.public.listen != self.admin.listen || self.admin.listen.port() == 0,
            "admin.listen",
            "must differ from public.listen",
        );
        let region = &self.privacy.default_region;
        require(
            region.is_empty() || (region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase())),
            "privacy.default_region",
            "must be two capital letters such as NL, or empty",
        );
        let agent = &self.zendesk.user_agent;
        require(
            agent.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "zendesk.user_agent",
            "must be plain ASCII on one line",
        );
    }
}

/// Whether paths can be put after `text`, an https URL, or an http one whose host may be reached without TLS.
fn is_base_url(text: &str, in_clear: impl Fn(&str) -> bool) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        let secure = url.scheme() == "https" || (url.scheme() == "http" && in_clear(host));
        let bare = url.username().is_empty() && url.query().is_none() && url.fragment().is_none();
        !host.is_empty() && secure && bare
    })
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let wanted = |_| D::Error::custom("must be an IP address and a port, such as 127.0.0.1:9090");
    String::deserialize(from)?.trim().parse().map_err(wanted)
}

fn base_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    let text = text.trim().trim_end_matches('/');
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn user_agent<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Ok(if text.is_empty() { concat!("deskbridge/", env!("CARGO_PKG_VERSION")).to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: (&str, &str) = ("DESKBRIDGE__SECRET_KEY", "sesame");
    const URL: (&str, &str) = ("DESKBRIDGE__DATABASE__URL", "postgres://me:pw@db/cdp");

    fn assemble(file: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::assemble(Some(("my.toml", file)), &environment, &|path| match path.to_str() {
            Some("/run/secrets/key") => Ok("from a file\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        })
    }

    /// Checks that `file` and `environment` are refused with exactly these words, each starting with its key.
    #[track_caller]
    fn refused(file: &str, environment: &[(&str, &str)], expected: &[&str]) {
        let Err(ConfigError::Wrong(problems)) = assemble(file, &[&[SECRET, URL], environment].concat()) else {
            panic!("not refused: {file} {environment:?}");
        };
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nnot {expected}");
        }
    }

    #[test]
    fn defaults_are_complete() {
        let settings = assemble("", &[SECRET, URL]).unwrap();
        assert_eq!(settings.database.max_connections, 10);
        assert_eq!(settings.public.base_url, None);
        assert_eq!(settings.log.format, LogFormat::Auto);
        assert!(settings.zendesk.user_agent.starts_with("deskbridge/"));
        let shown = format!("{settings:?}");
        assert!(!shown.contains("sesame") && !shown.contains("pw@"), "{shown}");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "[worker]\nconcurrency = 3\nlease_secs = 90\n[database]\nurl = 'postgres://me@db/cdp'";
        let settings = assemble(
            file,
            &[
                ("DESKBRIDGE__SECRET_KEY_FILE", "/run/secrets/key"),
                ("DESKBRIDGE__PREVIOUS_SECRET_KEYS", "a, b"),
                ("DESKBRIDGE__WORKER__CONCURRENCY", " 5 "),
                ("DESKBRIDGE__PUBLIC__BASE_URL", "https://cdp.example.com/"),
                ("DESKBRIDGE__ZENDESK__ALLOWED_BASE_URLS", "http://127.0.0.1:1,http://sim:2"),
                ("DESKBRIDGE__ZENDESK__USER_AGENT", "1e5"),
                ("DESKBRIDGE_SERVICE_HOST", "Kubernetes sets such variables"),
            ],
        )
        .unwrap();
        assert_eq!((settings.worker.concurrency, settings.worker.lease_secs), (5, 90));
        assert_eq!(settings.secret_key.expose(), "from a file");
        assert_eq!(settings.previous_secret_keys.len(), 2);
        assert_eq!(settings.public.base_url.as_deref(), Some("https://cdp.example.com"));
        assert_eq!(settings.zendesk.allowed_base_urls, ["http://127.0.0.1:1", "http://sim:2"]);
        assert_eq!(settings.zendesk.user_agent, "1e5");
        assert_eq!(settings.database.url.expose(), "postgres://me@db/cdp");
    }

    #[test]
    fn values_of_no_use_are_refused() {
        let environment = [
            ("DESKBRIDGE__ADMIN__LISTEN", "9090"),
            ("DESKBRIDGE__LOG__FORMAT", "xml"),
            ("DESKBRIDGE__WORKER__APPLY_BATCH_EVENTS", "5000000000"),
        ];
        refused(
            "",
            &environment,
            &[
                "admin.listen (environment variable DESKBRIDGE__ADMIN__LISTEN): must be an IP address",
                "worker.apply_batch_events (environment variable DESKBRIDGE__WORKER__APPLY_BATCH_EVENTS): is",
                "log.format (environment variable DESKBRIDGE__LOG__FORMAT): must be auto",
            ],
        );
    }

    #[test]
    fn impossible_combinations_are_refused() {
        let file = "[database]\nmax_connections = 5\n[zendesk]\npage_size = 2000\nrequests_share = 0\n\
                    [webhook]\nbatch_bytes = 1\nack_timeout_secs = 12\n[retention]\nrun_days = 0";
        let environment = [("DESKBRIDGE__PUBLIC__BASE_URL", "http://cdp.example.com")];
        refused(
            file,
            &environment,
            &[
                "retention.run_days (settings file my.toml): is 0",
                "database.max_connections (settings file my.toml): must be worker.concurrency + 2",
                "webhook.batch_bytes (settings file my.toml): must be at least webhook.max_body_bytes",
                "webhook.ack_timeout_secs (settings file my.toml): must be 1 to 10",
                "zendesk.requests_share (settings file my.toml): must be above 0",
                "zendesk.page_size (settings file my.toml): must be 1 to 1000",
                "public.base_url (environment variable DESKBRIDGE__PUBLIC__BASE_URL): must be https",
            ],
        );
    }

    #[test]
    fn what_is_required_is_asked_for() {
        let missing = assemble("", &[]).unwrap_err().to_string();
        assert!(missing.contains("secret_key (the defaults): is missing"), "{missing}");
        assert!(missing.contains("database.url (the defaults): must be"), "{missing}");
    }
}
