//! `activation plan`, `apply NUMBER`, `run` and what is done with runs. Commands work beside any daemon, by the same jobs.

use super::{adoption, records, report};
use crate::app;
use crate::cli::error::failed;
use crate::cli::output::{Format, confirm, count, note, plain, say};
use crate::cli::session::Session;
use crate::cli::sync::helper;
use crate::db;
use crate::db::push_record::Which;
use crate::db::push_run::Run;
use crate::model::push::RunKind;
use crate::pipeline::activate::{control, stored};
use crate::worker;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What is done with runs of activations.
#[derive(Debug, clap::Subcommand)]
pub enum RunCommand {
    /// Find out what would be sent, and store it: each record before and after. Changes nothing in Zendesk.
    Plan(Plan),
    /// Send all rows that differ from what Zendesk was last given.
    Run(OfActivation),
    /// List runs, newest first.
    Runs(Runs),
    /// List what became of the records of a run.
    Records(records::Records),
    /// Say yes to what a run asks: more than its guards allow, or its next stage.
    Approve(OfRun),
    /// End a run: nothing more of it is sent.
    Stop(OfRun),
    /// Try again what failed or is unknown, as its rows are now.
    Retry(Retry),
    /// Look at all rows of a run anew, and send what they want.
    Restart(OfRun),
    /// Leave a record out of a run.
    Skip(Skip),
    /// Give back what a run replaced, and pause the activation.
    Undo(Undo),
    /// Send one record, and show request, job and result.
    Test(Test),
}

/// An activation.
#[derive(Debug, clap::Args)]
pub struct OfActivation {
    /// Name of the activation.
    name: String,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation plan`.
#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Name of the activation.
    name: String,
    /// At a first sync: write every row, and how it meets its record, to this file as CSV; - for stdout.
    #[arg(long, value_name = "FILE")]
    adoption_csv: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// A run.
#[derive(Debug, clap::Args)]
pub struct OfRun {
    /// Number of the run.
    run: i64,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation runs`.
#[derive(Debug, clap::Args)]
pub struct Runs {
    /// Name of the activation [default: all].
    name: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1_000))]
    limit: i64,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation retry`.
#[derive(Debug, clap::Args)]
pub struct Retry {
    /// Number of the run.
    run: i64,
    /// This record only: number or address of a person, id in Zendesk, or key of the row.
    #[arg(long)]
    key: Option<String>,
    /// Faults of this class only.
    #[arg(long)]
    class: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation skip`.
#[derive(Debug, clap::Args)]
pub struct Skip {
    /// Number of the run.
    run: i64,
    /// The record: number or address of a person, id in Zendesk, or key of the row.
    #[arg(long)]
    key: String,
}

/// `deskbridge activation undo`.
#[derive(Debug, clap::Args)]
pub struct Undo {
    /// Number of the run.
    run: i64,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge activation test`.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Name of the activation.
    name: String,
    /// Number, address or external id of a person, id in Zendesk, or key of the row.
    key: String,
    #[command(flatten)]
    format: Format,
}

/// Carries out one of them.
pub async fn run(session: &Session, command: &RunCommand) -> anyhow::Result<()> {
    let (ctx, workspace) = (&session.ctx, session.workspace);
    match command {
        RunCommand::Plan(args) => plan(session, args).await,
        RunCommand::Run(args) => {
            let run = control::start(ctx, workspace, &args.name, RunKind::Run).await?;
            followed(session, run, args.format).await
        }
        RunCommand::Runs(args) => runs(session, args).await,
        RunCommand::Records(args) => records::list(session, args).await,
        RunCommand::Approve(args) => {
            followed(session, control::approve(ctx, workspace, args.run).await?, args.format).await
        }
        RunCommand::Stop(args) => {
            let run = control::stop(ctx, workspace, args.run).await?;
            report::run(session, &run, args.format).await
        }
        RunCommand::Retry(args) => retry(session, args).await,
        RunCommand::Restart(args) => {
            followed(session, control::restart(ctx, workspace, args.run).await?, args.format).await
        }
        RunCommand::Skip(args) => {
            let skipped = control::skip(ctx, workspace, args.run, &args.key).await?;
            match skipped {
                0 => Err(failed(
                    format!(
                        "run {} has no record {} that is to be sent, failed or is unknown: nothing is left out",
                        args.run, args.key
                    ),
                    format!("deskbridge activation records {} --key {} tells what became of it", args.run, args.key),
                )),
                _ => {
                    say(format_args!("{} left out.", count(skipped, "record", "records")));
                    Ok(())
                }
            }
        }
        RunCommand::Undo(args) => undo(session, args).await,
        RunCommand::Test(args) => {
            let run = control::test(ctx, workspace, &args.name, &args.key).await?;
            let run = follow(session, run).await?;
            records::tested(session, &run, &args.key, args.format).await
        }
    }
}

/// Applies a plan.
pub async fn apply(session: &Session, number: i64, format: Format) -> anyhow::Result<()> {
    let run = control::apply(&session.ctx, session.workspace, number).await?;
    followed(session, run, format).await
}

async fn plan(session: &Session, args: &Plan) -> anyhow::Result<()> {
    let looked = control::look(&session.ctx, session.workspace, &args.name).await?;
    let run = control::start(&session.ctx, session.workspace, &args.name, RunKind::Plan).await?;
    let run = follow(session, run).await?;
    if let Some(path) = &args.adoption_csv {
        adoption::csv(session, &run, path).await?;
        if path == Path::new("-") {
            return Ok(());
        }
    }
    if args.format.json {
        return records::planned_json(session, &run, &looked).await;
    }
    adoption::print_look(&looked);
    records::planned(session, &run).await?;
    report::run(session, &run, args.format).await
}

async fn undo(session: &Session, args: &Undo) -> anyhow::Result<()> {
    let (run, one) = control::find(&mut *session.db().await?, session.workspace, args.run).await?;
    note(format_args!(
        "Gives back what run {} replaced in Zendesk, where nothing was changed there since, and pauses activation {}.",
        run.id, one.name
    ));
    confirm(args.yes)?;
    followed(session, control::undo(&session.ctx, session.workspace, args.run).await?, args.format).await
}

/// Tries again what failed, and says what came of it; or why nothing is tried.
async fn retry(session: &Session, args: &Retry) -> anyhow::Result<()> {
    let (ctx, workspace) = (&session.ctx, session.workspace);
    let (key, class) = (args.key.as_deref(), args.class.as_deref());
    let tried = control::retry(ctx, workspace, args.run, key, class).await?;
    let mut db = session.db().await?;
    let run = control::find(&mut db, workspace, args.run).await?.0;
    if tried > 0 {
        note(format_args!("{} tried again.", count(tried, "record is", "records are")));
        drop(db);
        return followed(session, run, args.format).await;
    }
    let keys = control::keys_of(&mut db, &run, key).await?;
    let which = Which { states: &control::MENDABLE, class, keys: keys.as_deref() };
    let still = !db::push_record::page(&mut db, workspace, run.id, &which, 0, 1).await?.is_empty();
    if still {
        let id = run.id;
        return Err(failed(
            format!("nothing of run {id} can be sent again: its rows have the same faults as before"),
            format!("deskbridge activation records {id} --state failed tells them; mend the data or the file first"),
        ));
    }
    let counts = report::in_words(&mut db, &run).await?;
    let which = if key.is_some() || class.is_some() { " of that key or class" } else { "" };
    let what =
        format!("nothing is to be tried again in run {}: no record{which} failed or is unknown ({counts})", run.id);
    match which {
        "" if args.format.json => report::run(session, &run, args.format).await,
        "" => {
            say(&what);
            Ok(())
        }
        _ => Err(failed(what, format!("deskbridge activation records {} tells what became of each", run.id))),
    }
}

async fn runs(session: &Session, args: &Runs) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let one = match &args.name {
        Some(name) => Some(stored::find(&mut db, session.workspace, name).await?.id),
        None => None,
    };
    let runs = db::push_run::latest(&mut db, session.workspace, one, args.limit).await?;
    report::list(session, &runs, args.format).await
}

/// Follows a run to its end, or to where it asks, and reports.
async fn followed(session: &Session, run: Run, format: Format) -> anyhow::Result<()> {
    let run = follow(session, run).await?;
    report::run(session, &run, format).await
}

/// Works beside any daemon until nothing is left to do for a run by itself.
async fn follow(session: &Session, run: Run) -> anyhow::Result<Run> {
    if !run.state.is_active() {
        return Ok(run);
    }
    let working = tokio::spawn(worker::run(helper(&session.ctx), Arc::new(Notify::new())));
    let watched = tokio::select! {
        watched = watch(session, run.id) => watched,
        () = app::signal() => Err(failed(
            format!("run {} goes on without this command", run.id),
            format!("a running daemon goes on with it; deskbridge activation stop {} ends it", run.id),
        )),
    };
    session.ctx.stop.cancel();
    _ = working.await;
    watched
}

/// Looks at a run until nothing more becomes of it by itself.
async fn watch(session: &Session, number: i64) -> anyhow::Result<Run> {
    let mut told = String::new();
    loop {
        let mut db = session.db().await?;
        let (run, one) = control::find(&mut db, session.workspace, number).await?;
        if !run.state.is_active() {
            return Ok(run);
        }
        let now = session.ctx.clock.now();
        if let Some(trouble) = one.trouble.as_ref().filter(|_| one.held_until.is_some_and(|until| until > now)) {
            return Err(failed(plain(&trouble.error), trouble.remedy.clone()));
        }
        const TRIES: i32 = 4;
        if let Some((failures, error)) = db::job::push_failing(&mut db, one.source_id).await?
            && failures >= TRIES
        {
            return Err(failed(
                format!("sending failed {failures} times: {}", plain(&error)),
                format!(
                    "a running daemon goes on trying; see deskbridge source show and deskbridge activation show {}",
                    one.name
                ),
            ));
        }
        if stderr().is_terminal() {
            let words = report::progress(&mut db, &run).await?;
            if words != told {
                note(&words);
                told = words;
            }
        }
        drop(db);
        session.ctx.clock.sleep(Duration::from_millis(250)).await;
    }
}
