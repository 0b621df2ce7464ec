//! `audience`: filters over people by name; who is in, who was, and why.

use super::audience_show;
use super::error::{failed, usage};
use super::file;
use super::output::{Format, confirm, count, note, parse_time, say};
use super::session::{self, Globals, Log, Session};
use crate::db;
use crate::pipeline::audience;
use crate::rules::audience::define;
use crate::rules::filter;
use serde_json::Value;
use std::path::{Path, PathBuf};

const APPLY_HELP: &str = r#"The file is TOML, or JSON that says the same:

  name = "unhappy"
  title = "Wrote three times in 30 days, last rating bad"
  reentry = true                       # default: who has left does not enter again

  [entry]
  all = [
    { activity = "zd.ticket.created", count = ">= 3", within = "30 days" },
    { field = "zd.last_rating", is = "bad" },
  ]

Without [exit], who is in leaves when the entry filter holds no longer. A filter may also be pasted as
Ortto writes it. The README explains both ways to write filters."#;

/// `deskbridge audience`.
#[derive(Debug, clap::Subcommand)]
pub enum AudienceCommand {
    /// Define an audience, or define it anew, and find its members.
    #[command(after_long_help = APPLY_HELP)]
    Apply(Apply),
    /// List the audiences.
    List(Only),
    /// Show an audience: definition, members, last nightly pass.
    Show(Named),
    /// Count for whom a filter holds now, and name ten of them. Changes nothing.
    Preview(Preview),
    /// List the members.
    Members(Members),
    /// Put a person in by hand, whatever the filter says.
    Add(Manual),
    /// Put a person out by hand, whatever the filter says.
    Remove(Manual),
    /// Leave a person who was put in or out by hand to the filter again.
    Reset(Manual),
    /// Explain why a person is in an audience, or is not.
    Explain(Explain),
    /// Delete an audience with its history.
    Delete(Delete),
}

/// How to print.
#[derive(Debug, clap::Args)]
pub struct Only {
    #[command(flatten)]
    format: Format,
}

/// `deskbridge audience apply`.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// The definition: TOML or JSON; - for stdin.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Name, for a file that is a filter alone.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// An audience.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Name of the audience.
    name: String,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge audience preview`.
#[derive(Debug, clap::Args)]
pub struct Preview {
    /// A filter, as JSON.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    filter: Option<String>,
    /// A file with a filter or a definition: TOML or JSON; - for stdin.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge audience members`.
#[derive(Debug, clap::Args)]
pub struct Members {
    /// Name of the audience.
    name: String,
    /// Who was in it then: 2026-01-31, 2026-01-31T08:00:00Z, or 12h [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print CSV instead of a table.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    format: Format,
}

/// A person who is put in or out.
#[derive(Debug, clap::Args)]
pub struct Manual {
    /// Name of the audience.
    name: String,
    /// Number of the person.
    person: i64,
}

/// `deskbridge audience explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// Name of the audience.
    name: String,
    /// Number of the person.
    person: i64,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge audience delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name of the audience.
    name: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Carries out an `audience` command.
pub async fn run(globals: &Globals, command: &AudienceCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        AudienceCommand::Apply(args) => apply(&session, args).await,
        AudienceCommand::List(args) => audience_show::list(&session, args.format).await,
        AudienceCommand::Show(args) => audience_show::show(&session, &args.name, args.format).await,
        AudienceCommand::Preview(args) => preview(&session, args).await,
        AudienceCommand::Members(args) => members(&session, args).await,
        AudienceCommand::Add(args) => manual(&session, args, Some(true)).await,
        AudienceCommand::Remove(args) => manual(&session, args, Some(false)).await,
        AudienceCommand::Reset(args) => manual(&session, args, None).await,
        AudienceCommand::Explain(args) => {
            let person = resolve(&session, args.person).await?;
            audience_show::explain(&session, &args.name, person, args.format).await
        }
        AudienceCommand::Delete(args) => delete(&session, args).await,
    }
}

/// Reads a file of TOML or JSON.
fn read(path: &Path) -> anyhow::Result<Value> {
    let text = file::text(path)?;
    parse(&text).map_err(|error| usage(format!("{}: {error}", path.display()), "see deskbridge audience apply --help"))
}

fn parse(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok() {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    toml::from_str::<Value>(text).map_err(|error| error.to_string())
}

async fn apply(session: &Session, args: &Apply) -> anyhow::Result<()> {
    let mut written = read(&args.file)?;
    if let Some(name) = &args.name {
        written = serde_json::json!({"name": name, "entry": written});
    }
    let help = "see deskbridge audience apply --help";
    let definition = define(&written).map_err(|error| usage(error.to_string(), help))?;
    audience::apply(&session.ctx, session.workspace, &definition).await?;
    audience_show::show(session, &definition.name, args.format).await
}

async fn preview(session: &Session, args: &Preview) -> anyhow::Result<()> {
    let written = match (&args.filter, &args.file) {
        (Some(text), _) => parse(text).map_err(|error| usage(error, "give a filter as JSON"))?,
        (None, Some(path)) => read(path)?,
        (None, None) => return Err(usage("there is no filter", "give one, or a file with -f")),
    };
    let filter = match written.get("entry") {
        Some(_) => define(&written).map(|definition| definition.entry).map_err(|error| error.to_string()),
        None => filter::read(&written).map_err(|error| error.to_string()),
    };
    let filter = filter.map_err(|error| usage(error, "see deskbridge audience apply --help"))?;
    let found = audience::preview(&session.ctx, session.workspace, &filter).await?;
    audience_show::preview(session, &found, args.format).await
}

async fn members(session: &Session, args: &Members) -> anyhow::Result<()> {
    let now = session.ctx.clock.now();
    let at = args.at.as_deref().map_or(Ok(now), |text| parse_time(text, now))?;
    audience_show::members(session, &args.name, at, args.csv, args.format).await
}

/// Who a number stands for today.
async fn resolve(session: &Session, person: i64) -> anyhow::Result<i64> {
    let mut db = session.db().await?;
    let today = db::merge::resolve(&mut db, session.workspace, person).await?;
    if db::person::load(&mut db, session.workspace, &[today]).await?.is_empty() {
        return Err(failed(format!("there is no person {person}"), "see deskbridge person find"));
    }
    if today != person {
        note(format_args!("{person} was merged into {today}."));
    }
    Ok(today)
}

async fn manual(session: &Session, args: &Manual, member: Option<bool>) -> anyhow::Result<()> {
    let person = resolve(session, args.person).await?;
    audience::set_manual(&session.ctx, session.workspace, &args.name, person, member).await?;
    let words = match member {
        Some(true) => "is in by hand",
        Some(false) => "is out by hand",
        None => "is left to the filter",
    };
    say(format_args!("Person {person} {words}."));
    Ok(())
}

async fn delete(session: &Session, args: &Delete) -> anyhow::Result<()> {
    let found = audience::find(&mut *session.db().await?, session.workspace, &args.name).await?;
    let members =
        db::audience_member::inside(&mut *session.db().await?, session.workspace, found.stored.id).await?.len();
    note(format_args!(
        "Deletes audience {} with {} and its history.",
        args.name,
        count(members as u64, "member", "members")
    ));
    confirm(args.yes)?;
    audience::delete(&session.ctx, session.workspace, &args.name).await?;
    say("Deleted.");
    Ok(())
}
