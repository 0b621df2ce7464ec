//! `dead-letter`: what could not be applied, to be looked at, retried or dismissed.

use super::error::failed;
use super::output::{Format, Table, confirm, count, distance, note, plain, say, say_json, when};
use super::session::{self, Globals, Log, Session, told};
use crate::db;
use crate::db::dead_letter::DeadLetter;
use crate::pipeline::dead_letter::{self, Outcome};
use serde_json::{Value, json};
use std::collections::HashMap;

/// `deskbridge dead-letter`.
#[derive(Debug, clap::Subcommand)]
pub enum DeadLetterCommand {
    /// List open dead letters, newest first.
    List(List),
    /// Show one with its bytes, which may hold personal data.
    Show(Show),
    /// Try again: webhooks are applied again, records are read again from Zendesk.
    #[command(after_long_help = RETRY_HELP)]
    Retry(Which),
    /// Settle without applying. Records come again when they change in Zendesk; what was dismissed stays so.
    Dismiss(Dismiss),
}

const RETRY_HELP: &str = "\
Examples:
  deskbridge dead-letter retry 12 15
  deskbridge dead-letter retry --all --source acme";

/// `deskbridge dead-letter list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Those of this source only.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge dead-letter show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Number of the dead letter.
    id: i64,
    #[command(flatten)]
    format: Format,
}

/// Some, or all.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Numbers of dead letters.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    ids: Vec<i64>,
    /// All that are open.
    #[arg(long)]
    all: bool,
    /// With --all: those of this source only.
    #[arg(long, value_name = "NAME", requires = "all")]
    source: Option<String>,
}

/// `deskbridge dead-letter dismiss`.
#[derive(Debug, clap::Args)]
pub struct Dismiss {
    #[command(flatten)]
    which: Which,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Carries out a `dead-letter` command.
pub async fn run(globals: &Globals, command: &DeadLetterCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        DeadLetterCommand::List(args) => list(&session, args).await,
        DeadLetterCommand::Show(args) => show(&session, args).await,
        DeadLetterCommand::Retry(which) => retry(&session, which).await,
        DeadLetterCommand::Dismiss(args) => dismiss(&session, args).await,
    }
}

/// Names of sources by number.
async fn names(session: &Session) -> anyhow::Result<HashMap<i64, String>> {
    let all = db::source::all(&mut *session.db().await?).await?;
    Ok(all.into_iter().map(|source| (source.id, source.name)).collect())
}

async fn source_id(session: &Session, name: Option<&str>) -> anyhow::Result<Option<i64>> {
    match name {
        Some(name) => Ok(Some(session.source(name).await?.id)),
        None => Ok(None),
    }
}

async fn list(session: &Session, args: &List) -> anyhow::Result<()> {
    let now = session.ctx.clock.now();
    let names = names(session).await?;
    let source = source_id(session, args.source.as_deref()).await?;
    let letters =
        db::dead_letter::open(&mut *session.db().await?, session.workspace, source, args.limit.into()).await?;
    if args.format.json {
        say_json(&Value::Array(letters.iter().map(|letter| as_json(letter, &names)).collect()));
        return Ok(());
    }
    if letters.is_empty() {
        say("There is no open dead letter.");
        return Ok(());
    }
    let mut table = Table::new(&["id", "source", "stream", "record", "seen", "last", "reason"]);
    for letter in &letters {
        let source = names.get(&letter.source_id).map_or("-", String::as_str);
        let seen = letter.seen.to_string();
        let last = distance(letter.last_seen_at, now);
        table.row([&letter.id.to_string(), source, &letter.stream, &letter.record_id, &seen, &last, &letter.reason]);
    }
    table.print();
    Ok(())
}

fn as_json(letter: &DeadLetter, names: &HashMap<i64, String>) -> Value {
    json!({
        "id": letter.id, "source": names.get(&letter.source_id), "stream": letter.stream, "record_id": letter.record_id,
        "reason": letter.reason, "seen": letter.seen, "created_at": letter.created_at, "last_seen_at": letter.last_seen_at,
    })
}

async fn show(session: &Session, args: &Show) -> anyhow::Result<()> {
    let names = names(session).await?;
    let letter = find(session, args.id).await?;
    let body = letter.body.as_deref().map(String::from_utf8_lossy);
    if args.format.json {
        let mut value = as_json(&letter, &names);
        value["body"] = json!(body);
        say_json(&value);
        return Ok(());
    }
    let now = session.ctx.clock.now();
    let mut table = Table::new(&[]);
    table.row(["id", &letter.id.to_string()]);
    table.row(["source", names.get(&letter.source_id).map_or("-", String::as_str)]);
    table.row(["stream", &letter.stream]);
    table.row(["record", &letter.record_id]);
    table.row(["reason", &letter.reason]);
    table.row(["first met", &when(letter.created_at, now)]);
    table.row([
        "last met",
        &format!("{}, {} in all", when(letter.last_seen_at, now), count(letter.seen, "time", "times")),
    ]);
    table.print();
    match body {
        None => say("\nIts bytes were erased with a person's data."),
        Some(body) => match serde_json::from_str::<Value>(&body) {
            Ok(value) => say(format_args!("\n{value:#}")),
            Err(_) => say(format_args!("\n{}", body.lines().map(plain).collect::<Vec<_>>().join("\n"))),
        },
    }
    Ok(())
}

async fn find(session: &Session, id: i64) -> anyhow::Result<DeadLetter> {
    let found = db::dead_letter::get(&mut *session.db().await?, session.workspace, id).await?;
    found.ok_or_else(|| failed(format!("there is no dead letter {id}"), "see deskbridge dead-letter list"))
}

/// The letters meant, without their bytes where they were listed.
async fn ids(session: &Session, which: &Which) -> anyhow::Result<Vec<i64>> {
    if !which.all {
        return Ok(which.ids.clone());
    }
    let source = source_id(session, which.source.as_deref()).await?;
    let letters = db::dead_letter::open(&mut *session.db().await?, session.workspace, source, i64::MAX).await?;
    Ok(letters.iter().rev().map(|letter| letter.id).collect())
}

async fn retry(session: &Session, which: &Which) -> anyhow::Result<()> {
    let ids = ids(session, which).await?;
    let mut tally = [0_u64; 4];
    // A hundred at a time: their bytes may be large.
    for chunk in ids.chunks(100) {
        let mut letters = Vec::new();
        for id in chunk {
            letters.push(find(session, *id).await?);
        }
        for (id, outcome) in dead_letter::retry(&session.ctx, letters).await? {
            let (place, words) = match outcome {
                Outcome::Applied => (0, "applied".to_string()),
                Outcome::Gone => (1, "settled: Zendesk has no such record any more".to_string()),
                Outcome::Refused(reason) => (2, format!("still refused: {}", plain(&reason))),
                Outcome::Impossible(reason) => (3, format!("cannot be retried: {reason}")),
            };
            tally[place] += 1;
            say(format_args!("{id}  {words}"));
        }
    }
    let [applied, gone, refused, impossible] = tally;
    say(format_args!(
        "{applied} applied, {gone} gone from Zendesk, {refused} still refused, {impossible} not possible"
    ));
    told(refused + impossible == 0)
}

async fn dismiss(session: &Session, args: &Dismiss) -> anyhow::Result<()> {
    let ids = ids(session, &args.which).await?;
    if ids.len() > 1 {
        note(format_args!(
            "This settles {} without applying them.",
            count(ids.len() as u64, "dead letter", "dead letters")
        ));
        confirm(args.yes)?;
    }
    let settled = dead_letter::dismiss(&session.ctx, session.workspace, &ids).await?;
    say(format_args!("{} dismissed.", count(settled, "dead letter", "dead letters")));
    Ok(())
}
