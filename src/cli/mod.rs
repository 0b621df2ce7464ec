//! The command line: arguments become flows, what they answer becomes tables, JSON and exit codes.

mod activation;
mod alert;
mod audience;
mod audience_show;
mod browser;
mod check;
mod connect;
mod credentials;
mod daemon;
mod dead_letter;
mod demo;
mod error;
mod estimate;
mod file;
mod health;
mod import;
mod options;
mod output;
mod person;
mod person_show;
mod prune;
mod sell;
mod session;
mod source;
mod source_show;
mod sync;

use clap::{Parser, Subcommand};
use error::Complaint;
use session::Globals;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
To begin:
  export DESKBRIDGE__DATABASE__URL=postgres://me@localhost/cdp
  export DESKBRIDGE__SECRET_KEY=$(openssl rand -base64 32)     keep it: it opens what is sealed
  deskbridge migrate
  deskbridge source connect acme --client-id deskbridge --client-secret-file /run/secrets/zendesk
  deskbridge serve

Settings come from built-in defaults, then the file given with --config (or DESKBRIDGE_CONFIG),
then variables DESKBRIDGE__SECTION__KEY. Exit codes: 0 done, 1 failed, 2 cannot be carried out.";

/// Keeps Zendesk Support and a customer data platform in Postgres in step.
#[derive(Debug, Parser)]
#[command(name = "deskbridge", bin_name = "deskbridge", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    /// Settings file (TOML); config/default.toml explains every key.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: receive webhooks, poll Zendesk, serve health and metrics.
    Serve(daemon::Serve),
    /// Bring the database's tables up to this version.
    Migrate,
    /// Ask the daemon on this machine whether it is ready (for a container's health check).
    Health,
    /// Look at configuration, database, credentials, webhooks and streams; say what to do about failures.
    Check(check::Check),
    /// Connect Zendesk accounts and see to them.
    #[command(subcommand)]
    Source(source::SourceCommand),
    /// Read a source now, and show how it goes.
    Sync(sync::Sync),
    /// Find, show and explain people; archive, restore and delete them.
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Filters over people: define them, see who is in, and why.
    #[command(subcommand)]
    Audience(audience::AudienceCommand),
    /// Audiences and query results become fields of users in Zendesk: define what, and see to it.
    #[command(subcommand)]
    Activation(activation::ActivationCommand),
    /// What operators are told of, and whether it reaches them.
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// See to what could not be applied.
    #[command(subcommand)]
    DeadLetter(dead_letter::DeadLetterCommand),
    /// Remove what is past its retention now, instead of waiting for the daemon.
    Prune(prune::Prune),
    /// Apply stored webhooks once more.
    Replay(prune::Replay),
    /// Take people from elsewhere in: a CSV or NDJSON file, by the same rules as Zendesk's.
    Import(Import),
    /// See it all at work on this machine: a simulated Zendesk, a Postgres of its own, live life.
    Demo(demo::DemoArgs),
}

/// `deskbridge import`.
#[derive(Debug, clap::Args)]
struct Import {
    #[command(flatten)]
    args: import::ImportArgs,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let globals = Globals { config: cli.config };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(format_args!("error: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(run(&globals, &cli.command));
    // A question that nobody answered may still hold a thread.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error.downcast_ref(), Some(Complaint::Said)) {
                output::note(error::render(&error));
            }
            ExitCode::from(error::exit_code(&error))
        }
    }
}

async fn run(globals: &Globals, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => daemon::serve(globals, args).await,
        Command::Migrate => daemon::migrate(globals).await,
        Command::Health => health::run(globals).await,
        Command::Check(args) => check::run(globals, args).await,
        Command::Source(command) => source::run(globals, command).await,
        Command::Sync(args) => sync::run(globals, args).await,
        Command::Person(command) => person::run(globals, command).await,
        Command::Audience(command) => audience::run(globals, command).await,
        Command::Activation(command) => activation::run(globals, command).await,
        Command::Alert(command) => alert::run(globals, command).await,
        Command::DeadLetter(command) => dead_letter::run(globals, command).await,
        Command::Prune(args) => prune::prune(globals, args).await,
        Command::Replay(args) => prune::replay(globals, args).await,
        Command::Import(args) => {
            let session = session::open(globals, session::Log::Beside).await?;
            import::run(&session.ctx, args.args.clone(), args.format.json).await
        }
        Command::Demo(args) => demo::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_well_formed() {
        Cli::command().debug_assert();
    }
}
