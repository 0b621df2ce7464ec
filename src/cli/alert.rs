//! `alert`: what operators are told of, and whether it would reach them.

use super::output::{Format, Table, note, say, say_json, when};
use super::session::{self, Globals, Log, Session, told};
use crate::db;
use crate::model::alert::Alert;
use crate::pipeline::alert;
use serde_json::{Value, json};

/// `deskbridge alert`.
#[derive(Debug, clap::Subcommand)]
pub enum AlertCommand {
    /// List what is open, then what was over last.
    List(List),
    /// Send one message that tells of nothing to each configured channel, and say what became of it.
    Test(Format),
}

/// `deskbridge alert list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    format: Format,
}

/// Carries out an `alert` command.
pub async fn run(globals: &Globals, command: &AlertCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        AlertCommand::List(args) => list(&session, args).await,
        AlertCommand::Test(format) => test(&session, *format).await,
    }
}

async fn list(session: &Session, args: &List) -> anyhow::Result<()> {
    let now = session.ctx.clock.now();
    let alerts = db::alert::latest(&mut *session.db().await?, session.workspace, args.limit.into()).await?;
    if args.format.json {
        say_json(&Value::Array(alerts.iter().map(as_json).collect()));
        return Ok(());
    }
    if alerts.is_empty() {
        say("There was no alert.");
        return Ok(());
    }
    let mut table = Table::new(&["id", "kind", "about", "opened", "recovered", "words"]);
    for alert in &alerts {
        let recovered = alert.recovered_at.map_or_else(|| "open".to_string(), |at| when(at, now));
        let (id, opened) = (alert.id.to_string(), when(alert.opened_at, now));
        table.row([&id, alert.kind.as_str(), &alert.about, &opened, &recovered, &alert.words]);
    }
    table.print();
    Ok(())
}

fn as_json(alert: &Alert) -> Value {
    json!({
        "id": alert.id, "kind": alert.kind.as_str(), "about": alert.about, "words": alert.words,
        "opened_at": alert.opened_at, "told_at": alert.told_at, "recovered_at": alert.recovered_at,
    })
}

async fn test(session: &Session, format: Format) -> anyhow::Result<()> {
    let outcomes = alert::test(&session.ctx).await;
    if format.json {
        let rows = outcomes.iter().map(|(channel, sent)| {
            let error = sent.as_ref().err().map(ToString::to_string);
            json!({"channel": channel.as_str(), "sent": sent.is_ok(), "error": error})
        });
        say_json(&Value::Array(rows.collect()));
        return told(outcomes.iter().all(|(_, sent)| sent.is_ok()));
    }
    if outcomes.is_empty() {
        note(
            "No channel is configured: alerts go to the log only. See alerts.webhook_url and alerts.email_to in config/default.toml.",
        );
    }
    for (channel, sent) in &outcomes {
        match sent {
            Ok(()) => say(format_args!("{}: sent", channel.as_str())),
            Err(error) => say(format_args!("{}: not sent: {error}", channel.as_str())),
        }
    }
    told(outcomes.iter().all(|(_, sent)| sent.is_ok()))
}
