//! `demo`: everything at once, with nothing to install or configure.

use super::error::{Complaint, failed};
use crate::demo::{self, DemoError, Ended, Options};

/// `deskbridge demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Remove the data that earlier runs have kept in .demo/, and start over.
    #[arg(long)]
    fresh: bool,
    /// End after the first sync and an hour of simulated life, run as fast as it goes; the last line is JSON, and the exit
    /// code tells whether the CDP is what the simulated Zendesk is.
    #[arg(long)]
    once: bool,
    /// Customers of the simulated account [default: 3000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    users: Option<u32>,
    /// Its tickets [default: 3000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    tickets: Option<u32>,
    /// How many times faster than real time passes [default: 1; with --once 120].
    #[arg(long, value_name = "K", value_parser = speed)]
    speed: Option<f64>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1.0..=600.0).contains(&speed) => Ok(speed),
        _ => Err("give a number from 1 to 600".to_string()),
    }
}

/// Runs the demonstration.
pub async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let options =
        Options { fresh: args.fresh, once: args.once, users: args.users, tickets: args.tickets, speed: args.speed };
    match demo::run(&options).await {
        Ok(Ended::Well) => Ok(()),
        Ok(Ended::Badly) => Err(Complaint::Said.into()),
        Err(DemoError::Sim(error)) => Err(failed(error.to_string(), "script/demo builds and starts everything")),
        Err(error) => Err(error.into()),
    }
}
