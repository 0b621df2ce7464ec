//! The demonstration: a Postgres, a simulated Zendesk and a daemon of its own, and plain words for what happens.

pub mod compare;
mod first_sync;
mod folder;
mod live;
mod look;
mod once;
mod outbound;
mod outcome;
pub mod sim;
mod stage;
mod words;

use crate::app;
use crate::telemetry;
use folder::Folder;
use metrics_exporter_prometheus::PrometheusHandle;
use outcome::Last;
pub use outcome::{DemoError, Ended};
use stage::{Setting, Stage};
use std::time::Duration;
use words::say;

/// The demo's folder.
const FOLDER: &str = ".demo";

/// How many times faster than real time `--once` runs: an hour in half a minute. Timeouts of requests stay real, so that more would
/// only test the machine.
const ONCE_SPEED: f64 = 120.0;

/// How the demo is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Remove what earlier runs have kept.
    pub fresh: bool,
    /// End after the first sync and an hour of simulated life.
    pub once: bool,
    /// Customers of the simulated account.
    pub users: Option<u32>,
    /// Its tickets.
    pub tickets: Option<u32>,
    /// How many times faster than real time passes.
    pub speed: Option<f64>,
}

/// Runs the demo to its end: Ctrl-C, or with `once` when all was compared.
pub async fn run(options: &Options) -> Result<Ended, DemoError> {
    let folder = Folder::take(FOLDER)?;
    let folder = if options.once { once_folder(folder)? } else { folder };
    if options.fresh || options.once {
        folder.clear()?;
    }
    telemetry::init_to_file(folder.log()?, "info")?;
    let metrics = telemetry::install_metrics()?;
    let setting = Setting {
        users: options.users,
        tickets: options.tickets,
        speed: options.speed.unwrap_or(if options.once { ONCE_SPEED } else { 1.0 }),
        start: options.once.then(once::start),
    };
    let stage = tokio::select! {
        stage = set(folder, &setting, metrics) => stage?,
        () = app::signal() => return Ok(if options.once { Ended::Badly } else { Ended::Well }),
    };
    let played = tokio::select! {
        played = play(&stage, options, setting.speed) => Some(played),
        () = app::signal() => None,
    };
    if played.is_none() {
        say("");
        say("Stopping …");
    }
    let last = match played {
        Some(Ok(last)) => last,
        Some(Err(error)) => {
            clear(stage).await;
            return Err(error);
        }
        None if options.once => Last { ended: Ended::Badly, line: None },
        None => Last { ended: Ended::Well, line: Some(look::kept(&stage)) },
    };
    clear(stage).await;
    if let Some(line) = last.line {
        say(line);
    }
    Ok(last.ended)
}

/// `--once` has a folder within: it always begins anew, and what was kept stays.
fn once_folder(outer: Folder) -> Result<Folder, DemoError> {
    drop(outer);
    Folder::take(&format!("{FOLDER}/once"))
}

async fn set(folder: Folder, setting: &Setting, metrics: PrometheusHandle) -> Result<Stage, DemoError> {
    let kept = folder.kept().is_some();
    say(format_args!(
        "{} a Postgres, a simulated Zendesk and Deskbridge in {} …",
        if kept { "Starting" } else { "Making" },
        folder.path.display()
    ));
    Stage::set(folder, setting, metrics).await
}

async fn play(stage: &Stage, options: &Options, speed: f64) -> Result<Last, DemoError> {
    first_sync::show(stage).await?;
    outbound::begin(stage).await?;
    if options.once {
        return once::play(stage).await;
    }
    say(look::how(stage));
    live::play(stage, speed).await?;
    Ok(Last { ended: Ended::Well, line: None })
}

/// Stops everything; a second signal ends the wait, and the processes end with us.
async fn clear(stage: Stage) {
    tokio::select! {
        () = stage.clear() => {}
        () = app::signal() => tokio::time::sleep(Duration::from_millis(50)).await,
    }
}
