//! `activation`: what of the CDP becomes which fields in Zendesk.

mod adoption;
mod define;
mod records;
mod report;
mod run;
mod show;

use super::session::{self, Globals, Log};

/// `deskbridge activation`.
#[derive(Debug, clap::Subcommand)]
pub enum ActivationCommand {
    /// Define an activation by its file, or define it anew; or send what a plan found.
    #[command(after_long_help = define::APPLY_HELP)]
    Apply(define::Apply),
    /// Say what applying a file would change; exit code 1 when it would change something.
    Diff(define::Diff),
    /// List the activations and how they stand.
    List(show::Only),
    /// Show an activation: mapping, state, what was delivered, what is wrong and what to do.
    Show(show::Named),
    /// Send nothing more for an activation; what is under way is followed to its end.
    Pause(show::Named),
    /// Let a paused activation go on.
    Resume(show::Named),
    /// Delete an activation with its ledger and runs. Zendesk keeps what it has.
    Delete(define::Delete),
    #[command(flatten)]
    Runs(run::RunCommand),
}

/// Carries out an `activation` command.
pub async fn run(globals: &Globals, command: &ActivationCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        ActivationCommand::Apply(args) => define::apply(&session, args).await,
        ActivationCommand::Diff(args) => define::diff(&session, args).await,
        ActivationCommand::List(args) => show::list(&session, args).await,
        ActivationCommand::Show(args) => show::show(&session, &args.name, args.format).await,
        ActivationCommand::Pause(args) => define::set_paused(&session, args, true).await,
        ActivationCommand::Resume(args) => define::set_paused(&session, args, false).await,
        ActivationCommand::Delete(args) => define::delete(&session, args).await,
        ActivationCommand::Runs(command) => run::run(&session, command).await,
    }
}
