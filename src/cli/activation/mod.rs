//! `activation`: what of the CDP becomes which fields in Zendesk.

mod define;
mod show;

use super::output::Format;
use super::session::{self, Globals, Log};
use std::path::PathBuf;

const APPLY_HELP: &str = r#"The file is TOML:

  name = "support-health"
  source = "acme"                      # a connected source
  target = "users"                     # or organizations, sell_contacts

  [rows]
  audiences = ["unhappy"]              # or query = "SELECT …" with key = "person_id"

  [when]
  always = true                        # and cron = "0 6 * * *", after_sync = true; none of them: by command

  [[map]]
  to = "user_fields.open_tickets"
  from = "open_tickets"

  [[map]]
  to = "user_fields.unhappy"           # realized or exited
  audience = "unhappy"

  [[tag]]
  tag = "unhappy"
  audience = "unhappy"

The README explains every key. Applying a file changes nothing in Zendesk; a run does."#;

/// `deskbridge activation`.
#[derive(Debug, clap::Subcommand)]
pub enum ActivationCommand {
    /// Define an activation by its file, or define it anew.
    #[command(after_long_help = APPLY_HELP)]
    Apply(Apply),
    /// Say what applying a file would change; exit code 1 when it would change something.
    Diff(Diff),
    /// List the activations and how they stand.
    List(Only),
    /// Show an activation: mapping, state, what was delivered, what is wrong and what to do.
    Show(Named),
    /// Send nothing more for an activation; what is under way is followed to its end.
    Pause(Named),
    /// Let a paused activation go on.
    Resume(Named),
    /// Delete an activation with its ledger and runs. Zendesk keeps what it has.
    Delete(Delete),
}

/// How to print.
#[derive(Debug, clap::Args)]
pub struct Only {
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation apply`.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// The definition (TOML); - for stdin.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation diff`.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The definition (TOML); - for stdin.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// An activation.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Name of the activation.
    name: String,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name of the activation.
    name: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Carries out an `activation` command.
pub async fn run(globals: &Globals, command: &ActivationCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        ActivationCommand::Apply(args) => define::apply(&session, args).await,
        ActivationCommand::Diff(args) => define::diff(&session, args).await,
        ActivationCommand::List(args) => show::list(&session, args.format).await,
        ActivationCommand::Show(args) => show::show(&session, &args.name, args.format).await,
        ActivationCommand::Pause(args) => define::set_paused(&session, args, true).await,
        ActivationCommand::Resume(args) => define::set_paused(&session, args, false).await,
        ActivationCommand::Delete(args) => define::delete(&session, args).await,
    }
}
