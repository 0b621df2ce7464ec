//! What a simulation can be started with, from flags, from a file, or from a test.
//!
//! Single values are flags and keys of the `--config` file alike; what belongs together is a section of the file, with a
//! type of its own beside this one whose fields are its keys. README lists them all.
mod exports;
mod faults;
mod jobs;
mod plan;
mod rates;
mod sell;

pub use exports::{Exports, StreamEnd};
pub use faults::{EventIds, Faults};
pub use jobs::Jobs;
pub use plan::Plan;
pub use rates::{Rates, Said, Spelling, Window};
pub use sell::{CustomField, Sell};

use crate::clock::ClockMode;
use crate::time::Stamp;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Settings as a person gives them: every one optional, by flag or in the `--config` file.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:0]
    #[arg(long)]
    pub listen: Option<String>,
    /// Address for HTTPS as well; needs --tls-dir [default: none]
    #[arg(long, requires = "tls_dir")]
    pub tls_listen: Option<String>,
    /// Folder for ca.pem, the certificate that clients of the HTTPS address have to trust
    #[arg(long)]
    pub tls_dir: Option<PathBuf>,
    /// Subdomain of the account [default: acme]
    #[arg(long)]
    pub subdomain: Option<String>,
    /// How many customers to make up [default: 1000]
    #[arg(long)]
    pub users: Option<usize>,
    /// How many organizations [default: users / 20]
    #[arg(long)]
    pub organizations: Option<usize>,
    /// How many tickets [default: as many as users]
    #[arg(long)]
    pub tickets: Option<usize>,
    /// How many agents and admins [default: 12]
    #[arg(long)]
    pub agents: Option<usize>,
    /// Seed of everything random [default: 1]
    #[arg(long)]
    pub seed: Option<u64>,
    /// real, driven (moved by the admin door) or scaled:K [default: real]
    #[arg(long)]
    pub clock: Option<String>,
    /// Simulated time at the start, RFC 3339 [default: now]
    #[arg(long)]
    pub start: Option<String>,
    /// Over how many days the tickets are spread [default: 90]
    #[arg(long)]
    pub history_days: Option<i64>,
    /// Rate limits: on or off [default: on]
    #[arg(long)]
    pub limits: Option<String>,
    /// Plan whose limits hold: essential, team, growth, professional, enterprise, enterprise-plus, high-volume
    /// [default: enterprise]
    #[arg(long)]
    pub plan: Option<String>,
    /// Background acts per simulated minute [default: 0]
    #[arg(long)]
    pub life: Option<f64>,
    /// What the account asks its customers with: classic or survey [default: classic]
    #[arg(long)]
    pub satisfaction: Option<String>,
    /// Whether the delivery circuit breaker works: on or off [default: on]
    #[arg(long)]
    pub breaker: Option<String>,
    /// File in which life is written down, and from which an account is brought back [default: none]
    #[arg(long)]
    pub journal: Option<PathBuf>,
    /// How many records each record stands for: pages hold that many fewer, counts tell that many more [default: 1]
    #[arg(long)]
    pub row_weight: Option<usize>,
    /// How many of the latest requests are kept to be looked at [default: 0]
    #[arg(long)]
    pub keep_requests: Option<usize>,
    /// Address of Sell's API; port 0 takes a free one [default: none]
    #[arg(long)]
    pub sell_listen: Option<String>,
    /// What Sell has and allows (file only)
    #[arg(skip)]
    pub sell: Option<Sell>,
    /// How limits are kept and told (file only)
    #[arg(skip)]
    pub rates: Option<Rates>,
    /// How bulk jobs go (file only)
    #[arg(skip)]
    pub jobs: Option<Jobs>,
    /// How the incremental exports end (file only)
    #[arg(skip)]
    pub exports: Option<Exports>,
    /// Faults to begin with (file only)
    #[arg(skip)]
    pub faults: Option<Faults>,
}

impl Settings {
    /// These settings, with those of `under` where these say nothing.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            listen: self.listen.or(under.listen),
            tls_listen: self.tls_listen.or(under.tls_listen),
            tls_dir: self.tls_dir.or(under.tls_dir),
            subdomain: self.subdomain.or(under.subdomain),
            users: self.users.or(under.users),
            organizations: self.organizations.or(under.organizations),
            tickets: self.tickets.or(under.tickets),
            agents: self.agents.or(under.agents),
            seed: self.seed.or(under.seed),
            clock: self.clock.or(under.clock),
            start: self.start.or(under.start),
            history_days: self.history_days.or(under.history_days),
            limits: self.limits.or(under.limits),
            plan: self.plan.or(under.plan),
            life: self.life.or(under.life),
            satisfaction: self.satisfaction.or(under.satisfaction),
            breaker: self.breaker.or(under.breaker),
            journal: self.journal.or(under.journal),
            row_weight: self.row_weight.or(under.row_weight),
            keep_requests: self.keep_requests.or(under.keep_requests),
            rates: self.rates.or(under.rates),
            jobs: self.jobs.or(under.jobs),
            exports: self.exports.or(under.exports),
            sell_listen: self.sell_listen.or(under.sell_listen),
            sell: self.sell.or(under.sell),
            faults: self.faults.or(under.faults),
        }
    }

    /// Reads a `--config` file.
    ///
    /// # Errors
    /// When it cannot be read, is not JSON, or has a key that nothing knows, which the words name.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Settings checked and complete.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on.
    pub listen: String,
    /// Address for HTTPS as well, and the folder for the certificate to trust.
    pub tls: Option<(String, PathBuf)>,
    /// Subdomain of the account.
    pub subdomain: String,
    /// Customers to make up.
    pub users: usize,
    /// Organizations to make up.
    pub organizations: usize,
    /// Tickets to make up.
    pub tickets: usize,
    /// Agents and admins to make up.
    pub agents: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// How time passes.
    pub clock: ClockMode,
    /// Simulated time at the start.
    pub start: Option<Stamp>,
    /// Over how many days the tickets are spread.
    pub history_days: i64,
    /// Whether rate limits hold.
    pub limits: bool,
    /// Whose limits hold.
    pub plan: Plan,
    /// Background acts per simulated minute.
    pub life: f64,
    /// Whether the account has survey responses instead of classic ratings.
    pub surveys: bool,
    /// Whether the delivery circuit breaker works.
    pub breaker: bool,
    /// File in which life is written down, and from which an account is brought back.
    pub journal: Option<PathBuf>,
    /// How many records each record stands for.
    pub row_weight: usize,
    /// How many of the latest requests are kept to be looked at.
    pub keep_requests: usize,
    /// How limits are kept and told.
    pub rates: Rates,
    /// How bulk jobs go.
    pub jobs: Jobs,
    /// How the incremental exports end.
    pub exports: Exports,
    /// Where Sell's API is served, if it is.
    pub sell_listen: Option<String>,
    /// What Sell has and allows.
    pub sell: Sell,
    /// Faults to begin with.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self::try_from(Settings::default()).expect("invariant: the defaults are valid")
    }
}

impl TryFrom<Settings> for Options {
    type Error = String;

    fn try_from(given: Settings) -> Result<Self, String> {
        let users = given.users.unwrap_or(1000);
        let start = match given.start.as_deref() {
            Some(text) => Some(Stamp::parse(text).ok_or_else(|| format!("bad start {text}"))?),
            None => None,
        };
        let clock = given.clock.as_deref().unwrap_or("real").parse()?;
        let mut jobs = given.jobs.unwrap_or_default();
        jobs.poll_ms.get_or_insert(if clock == ClockMode::Driven { 300 } else { 0 });
        Ok(Self {
            listen: given.listen.unwrap_or_else(|| "127.0.0.1:0".into()),
            tls: given.tls_listen.zip(given.tls_dir),
            subdomain: given.subdomain.unwrap_or_else(|| "acme".into()),
            users,
            organizations: given.organizations.unwrap_or(users / 20),
            tickets: given.tickets.unwrap_or(users),
            agents: given.agents.unwrap_or(12).max(2),
            seed: given.seed.unwrap_or(1),
            clock,
            start,
            history_days: given.history_days.unwrap_or(90).max(1),
            limits: switch(given.limits.as_deref(), "on", "off", "limits")?,
            plan: given.plan.as_deref().unwrap_or("enterprise").parse()?,
            life: given.life.unwrap_or(0.0).max(0.0),
            surveys: !switch(given.satisfaction.as_deref(), "classic", "survey", "satisfaction")?,
            breaker: switch(given.breaker.as_deref(), "on", "off", "breaker")?,
            journal: given.journal,
            row_weight: given.row_weight.unwrap_or(1).max(1),
            keep_requests: given.keep_requests.unwrap_or(0),
            rates: given.rates.unwrap_or_default(),
            jobs,
            exports: given.exports.unwrap_or_default(),
            sell_listen: given.sell_listen,
            sell: given.sell.unwrap_or_default(),
            faults: given.faults.unwrap_or_default(),
        })
    }
}

fn switch(text: Option<&str>, yes: &str, no: &str, name: &str) -> Result<bool, String> {
    match text {
        None => Ok(true),
        Some(text) if text == yes => Ok(true),
        Some(text) if text == no => Ok(false),
        Some(text) => Err(format!("{name} is {yes} or {no}, not {text}")),
    }
}
