//! The simulated Zendesk as a child process, and its admin door.
//!
//! The one HTTP client outside `zendesk/`: the door is no part of Zendesk, and what compares the CDP with the truth must
//! not read the truth through the code that it checks.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Rows of the true state asked for at a time.
const PAGE: usize = 2_000;

/// Agents and admins of the account.
pub const AGENTS: u32 = 12;

/// Why the simulated Zendesk is not there or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The program is missing.
    #[error("the simulated Zendesk is missing: {0} is not there; build it with: cargo build -p zendesk-sim")]
    Missing(PathBuf),
    /// It does not start.
    #[error("the simulated Zendesk did not start: {0}")]
    NotStarted(String),
    /// Its admin door does not answer.
    #[error("the simulated Zendesk's admin door: {0}")]
    Door(String),
}

/// The admin door: time, life and the true state.
#[derive(Debug, Clone)]
pub struct Door {
    client: reqwest::Client,
    base: String,
}

impl Door {
    /// The door at this address, such as `http://127.0.0.1:4010/_sim`.
    pub fn new(base: &str) -> Result<Door, SimError> {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // Fails only when a provider is installed already, which serves as well.
            _ = rustls::crypto::ring::default_provider().install_default();
        });
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build();
        Ok(Door { client: client.map_err(failed)?, base: base.trim_end_matches('/').to_string() })
    }

    /// Reads from the door.
    pub async fn get(&self, path: &str) -> Result<Value, SimError> {
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await.map_err(failed)?;
        answer.error_for_status().map_err(failed)?.json().await.map_err(failed)
    }

    /// Does something through the door.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, SimError> {
        let answer = self.client.post(format!("{}/{path}", self.base)).json(body).send().await.map_err(failed)?;
        answer.error_for_status().map_err(failed)?.json().await.map_err(failed)
    }

    /// Lets things happen; answers what did, as the log of acts has it.
    pub async fn live(&self, acts: u64) -> Result<Vec<Value>, SimError> {
        let mut told = self.post("life", &json!({ "acts": acts })).await?;
        Ok(told["acts"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Every row of a part of the true state.
    pub async fn state(&self, what: &str) -> Result<Vec<Value>, SimError> {
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let mut page = self.get(&format!("state/{what}?limit={PAGE}&after_id={after}")).await?;
            rows.extend(page["rows"].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page["next_after_id"].as_i64() {
                Some(next) => after = next,
                None => return Ok(rows),
            }
        }
    }
}

fn failed(error: reqwest::Error) -> SimError {
    SimError::Door(crate::telemetry::error_chain(&error))
}

/// How the account is made and how its time passes.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How many customers.
    pub users: u32,
    /// How many tickets.
    pub tickets: u32,
    /// Over how many days they are spread.
    pub history_days: u32,
    /// How many times faster than real time passes.
    pub speed: f64,
    /// The time at the start; now if there is none.
    pub start: Option<String>,
    /// Where its life is written down.
    pub journal: PathBuf,
    /// Where its complaints go.
    pub log: PathBuf,
    /// Where it listens.
    pub listen: String,
}

/// A running simulated Zendesk; it ends when this is dropped, or when we are killed.
#[derive(Debug)]
pub struct Zendesk {
    child: Child,
    /// Its admin door.
    pub door: Door,
    /// Its address.
    pub url: String,
    /// Email of an admin.
    pub admin_email: String,
    /// The admin's API token.
    pub api_token: String,
    /// The admin's OAuth token.
    pub oauth_token: String,
}

impl Zendesk {
    /// Starts `program`.
    pub async fn start(program: &Path, wanted: &Wanted) -> Result<Zendesk, SimError> {
        if !program.is_file() {
            return Err(SimError::Missing(program.to_owned()));
        }
        let clock = if wanted.speed == 1.0 { "real".to_string() } else { format!("scaled:{}", wanted.speed) };
        let mut command = Command::new(program);
        command
            .args(["--exit-with-stdin", "--plan", "high-volume", "--seed", "7", "--listen", &wanted.listen])
            .args(["--agents", &AGENTS.to_string()])
            .args(["--users", &wanted.users.to_string(), "--tickets", &wanted.tickets.to_string()])
            .args(["--history-days", &wanted.history_days.to_string(), "--clock", &clock])
            .arg("--journal")
            .arg(&wanted.journal)
            .args(wanted.start.iter().flat_map(|start| ["--start", start]))
            .process_group(0) // Ctrl-C is for us, who end it
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(&wanted.log)?)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| SimError::NotStarted(error.to_string()))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            _ = BufReader::new(output).read_line(&mut line).await;
        }
        let about: Value = match serde_json::from_str(&line) {
            Ok(about) => about,
            Err(_) => return Err(SimError::NotStarted(last_words(&wanted.log))),
        };
        let text = |name: &str| about[name].as_str().unwrap_or_default().to_string();
        Ok(Zendesk {
            child,
            door: Door::new(&text("admin"))?,
            url: text("listening"),
            admin_email: text("admin_email"),
            api_token: text("api_token"),
            oauth_token: text("oauth_token"),
        })
    }

    /// Ends it and waits until it has.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await.is_err() {
            _ = self.child.kill().await;
        }
    }
}

fn log(path: &Path) -> Result<std::fs::File, SimError> {
    std::fs::File::create(path).map_err(|error| SimError::NotStarted(format!("{}: {error}", path.display())))
}

fn last_words(log: &Path) -> String {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let said = said.trim().trim_start_matches("zendesk-sim: ");
    if said.is_empty() { "it ended without a word".to_string() } else { said.to_string() }
}
