//! What a simulation can be started with, from flags, from a file, or from a test.
use crate::clock::ClockMode;
use crate::time::Stamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Settings as a person gives them: every one optional, by flag or in the `--config` file.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:0]
    #[arg(long)]
    pub listen: Option<String>,
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
    /// Plan whose limits hold: team, growth, professional, enterprise, high-volume [default: enterprise]
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
    /// Limits of a trial account on webhooks: on or off [default: off]
    #[arg(long)]
    pub trial: Option<String>,
    /// File in which life is written down, and from which an account is brought back [default: none]
    #[arg(long)]
    pub journal: Option<PathBuf>,
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
            trial: self.trial.or(under.trial),
            journal: self.journal.or(under.journal),
            faults: self.faults.or(under.faults),
        }
    }

    /// Reads a `--config` file.
    pub fn from_file(path: &PathBuf) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Settings checked and complete.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on.
    pub listen: String,
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
    /// Whether the limits of a trial account on webhooks hold: ten of them, 60 deliveries a minute.
    pub trial: bool,
    /// File in which life is written down, and from which an account is brought back.
    pub journal: Option<PathBuf>,
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
        Ok(Self {
            listen: given.listen.unwrap_or_else(|| "127.0.0.1:0".into()),
            subdomain: given.subdomain.unwrap_or_else(|| "acme".into()),
            users,
            organizations: given.organizations.unwrap_or(users / 20),
            tickets: given.tickets.unwrap_or(users),
            agents: given.agents.unwrap_or(12).max(2),
            seed: given.seed.unwrap_or(1),
            clock: given.clock.as_deref().unwrap_or("real").parse()?,
            start,
            history_days: given.history_days.unwrap_or(90).max(1),
            limits: switch(given.limits.as_deref(), "on", "off", "limits")?,
            plan: given.plan.as_deref().unwrap_or("enterprise").parse()?,
            life: given.life.unwrap_or(0.0).max(0.0),
            surveys: !switch(given.satisfaction.as_deref(), "classic", "survey", "satisfaction")?,
            breaker: switch(given.breaker.as_deref(), "on", "off", "breaker")?,
            trial: given.trial.is_some() && switch(given.trial.as_deref(), "on", "off", "trial")?,
            journal: given.journal,
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

/// A plan, which is to say a set of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 200 requests a minute.
    Team,
    /// 400.
    Growth,
    /// 400.
    Professional,
    /// 700.
    Enterprise,
    /// 2500, and 30 exports.
    HighVolume,
}

impl Plan {
    /// Requests per minute for the whole account.
    pub fn requests(self) -> u32 {
        match self {
            Self::Team => 200,
            Self::Growth | Self::Professional => 400,
            Self::Enterprise => 700,
            Self::HighVolume => 2500,
        }
    }

    /// Incremental export requests per minute for the whole account.
    pub fn exports(self) -> u32 {
        if self == Self::HighVolume { 30 } else { 10 }
    }
}

impl std::str::FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "team" => Ok(Self::Team),
            "growth" => Ok(Self::Growth),
            "professional" => Ok(Self::Professional),
            "enterprise" => Ok(Self::Enterprise),
            "high-volume" => Ok(Self::HighVolume),
            _ => Err(format!("no plan is called {text}")),
        }
    }
}

/// How webhook events are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventIds {
    /// At random.
    Uuid,
    /// By time.
    Ulid,
}

/// What goes wrong on purpose; an empty object is a healthy account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of requests answered 500.
    pub http_500_share: f64,
    /// Share of requests answered 503 with Retry-After.
    pub http_503_share: f64,
    /// Share of requests answered 429 although the budget is not used up.
    pub http_429_share: f64,
    /// Requests whose path contains one of these never get an answer.
    pub timeout_paths: Vec<String>,
    /// These get a 200 with an HTML page.
    pub html_paths: Vec<String>,
    /// These get a 200 with an empty body.
    pub empty_body_paths: Vec<String>,
    /// These get a 200 whose JSON is cut in half.
    pub truncate_paths: Vec<String>,
    /// These get a 403.
    pub forbidden_paths: Vec<String>,
    /// These get a 404 InvalidEndpoint.
    pub missing_paths: Vec<String>,
    /// Share of webhook events never sent.
    pub drop_webhooks: f64,
    /// Event types (without prefix) that are never dropped, such as `user.merged`.
    pub keep_webhooks: Vec<String>,
    /// Share of webhook events sent twice.
    pub duplicate_webhooks: f64,
    /// Share of webhook events held back some simulated seconds, so that later ones overtake them.
    pub reorder_webhooks: f64,
    /// Simulated seconds every webhook event waits before it is sent.
    pub delay_webhooks: f64,
    /// Share of deliveries held back as `throttled`.
    pub throttle_webhooks: f64,
    /// Simulated seconds after which what a breaker or a limit held back is tried again, as the same invocation; 0: never.
    pub retry_held_webhooks: f64,
    /// Real seconds a receiver has for a whole delivery; unset: 12.
    pub webhook_deadline: Option<f64>,
    /// How webhook events are numbered: uuid or ulid; unset: mostly the former.
    pub webhook_event_ids: Option<EventIds>,
    /// Digits below a second in the time of webhook events, 0 to 9; unset: 0, 3 or 9.
    pub webhook_time_digits: Option<usize>,
    /// Any `cursor=` is answered 400.
    pub refuse_cursor: bool,
    /// Cursor exports give back the cursor they were asked with, and no end.
    pub stall_cursor: bool,
    /// Exports asked for more rows than this answer 504.
    pub gateway_timeout_over_per_page: Option<usize>,
    /// Ids, per stream (users, organizations, tickets, ticket_events), served with wrong types.
    pub poison_records: BTreeMap<String, Vec<i64>>,
}
