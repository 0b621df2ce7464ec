//! `prune` and `replay`: what goes by time, and webhooks applied once more.

use super::error::failed;
use super::output::{Format, Table, confirm, count, note, parse_time, say, say_json, time};
use super::session::{self, Globals, Log};
use crate::app;
use crate::db;
use crate::pipeline::events;
use crate::pipeline::prune::{self, Pruned};
use crate::worker;
use std::time::Duration;

/// `deskbridge prune`.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Only show what would go.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge replay`.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Name of the source.
    source: String,
    /// Webhooks received from then on: 2026-01-31, 2026-01-31T08:00:00Z, or 12h.
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Webhooks received before then [default: now].
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Apply them here and now instead of leaving that to a daemon.
    #[arg(long)]
    now: bool,
}

/// Removes what is past its time.
pub async fn prune(globals: &Globals, args: &Prune) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    let would = prune::dry_run(&session.ctx).await?;
    if args.dry_run {
        print(&would, args.format)?;
        return Ok(());
    }
    if would == Pruned::default() && !args.format.json {
        // What is only due for upkeep (settled letters, old runs) goes without a question.
        say("No activity, webhook or person is past its time.");
    } else if !args.yes {
        note("What would go:");
        note(lines(&would).iter().map(|(name, number)| format!("  {name}: {number}")).collect::<Vec<_>>().join("\n"));
    }
    confirm(args.yes || would == Pruned::default())?;
    let pruned = prune::prune(&session.ctx).await?;
    print(&pruned, args.format)
}

fn lines(pruned: &Pruned) -> [(&'static str, u64); 5] {
    [
        ("activities", pruned.activities),
        ("days of stored webhooks", pruned.raw_event_days),
        ("dead letters", pruned.dead_letters),
        ("runs", pruned.runs),
        ("archived people", pruned.people),
    ]
}

fn print(pruned: &Pruned, format: Format) -> anyhow::Result<()> {
    if format.json {
        say_json(&serde_json::to_value(pruned)?);
        return Ok(());
    }
    let mut table = Table::new(&[]);
    for (name, number) in lines(pruned) {
        table.row([name.to_string(), number.to_string()]);
    }
    table.print();
    Ok(())
}

/// Makes stored webhooks pending again.
pub async fn replay(globals: &Globals, args: &Replay) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    let source = session.source(&args.source).await?;
    if !source.state.is_live() || source.paused_at.is_some() {
        return Err(failed(
            format!("source {} is not live: its webhooks would not be applied", source.name),
            format!("see deskbridge source show {0}; then deskbridge source resume {0} or reconnect {0}", source.name),
        ));
    }
    let now = session.ctx.clock.now();
    let since = parse_time(&args.since, now)?;
    let until = args.until.as_deref().map_or(Ok(now), |text| parse_time(text, now))?;
    let again = events::replay(&session.ctx, &source, since, until).await?;
    say(format_args!(
        "{} from {} to {} to be applied again.",
        count(again, "webhook is", "webhooks are"),
        time(since),
        time(until)
    ));
    if !args.now {
        say("A running daemon does it now; to do it here, add --now.");
        return Ok(());
    }
    let applying = async {
        loop {
            let ran = worker::run_due(&session.ctx).await?;
            if !db::raw_event::has_pending(&mut *session.db().await?, source.workspace_id, source.id).await? {
                return anyhow::Ok(());
            }
            if !ran {
                session.ctx.clock.sleep(Duration::from_millis(250)).await;
            }
        }
    };
    tokio::select! {
        applied = applying => applied?,
        () = app::signal() => return Err(failed("stopped by a signal", "nothing: what is left is applied by the next daemon")),
    }
    say("Applied.");
    Ok(())
}
