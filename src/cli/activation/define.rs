//! `activation apply`, `diff`, `pause`, `resume`, `delete`.

use super::show::{self, Named};
use crate::cli::error::usage;
use crate::cli::file;
use crate::cli::output::{Format, confirm, count, note, plain, say, say_json};
use crate::cli::session::{Session, told};
use crate::db;
use crate::model::activation::Activation;
use crate::pipeline::activate::{manage, stored};
use crate::rules::activation::read;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `apply --help` adds.
pub const APPLY_HELP: &str = r#"The file is TOML:

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

/// `deskbridge activation apply`.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// Number of a plan: what it found is sent, except where Zendesk has something else by now.
    #[arg(value_name = "PLAN", required_unless_present = "file", conflicts_with = "file")]
    plan: Option<i64>,
    /// The definition (TOML); - for stdin.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Make custom fields that the account lacks, with the type that their mapping needs.
    #[arg(long, requires = "file")]
    create_fields: bool,
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

/// `deskbridge activation delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name of the activation.
    name: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Reads a file.
fn definition(path: &Path) -> anyhow::Result<Activation> {
    let text = file::text(path)?;
    read::read(&text).map_err(|error| {
        let what = plain(&format!("{}: {error}", path.display()));
        usage(what, "the README explains every key; see also deskbridge activation apply --help")
    })
}

/// Defines an activation and shows it.
pub async fn apply(session: &Session, args: &Apply) -> anyhow::Result<()> {
    let file = match (args.plan, &args.file) {
        (Some(plan), _) => return super::run::apply(session, plan, args.format).await,
        (None, Some(file)) => file,
        (None, None) => return Err(usage("there is nothing to apply", "give the number of a plan, or a file with -f")),
    };
    let activation = definition(file)?;
    let looked = manage::prepare(&session.ctx, session.workspace, &activation, args.create_fields).await?;
    looked.created.iter().for_each(|field| note(format_args!("Made in Zendesk: {}", plain(field))));
    looked.remarks.iter().for_each(|remark| note(format_args!("Note: {}.", plain(remark))));
    manage::apply(&session.ctx, session.workspace, &activation).await?;
    show::show(session, &activation.name, args.format).await
}

/// Says what applying would change.
pub async fn diff(session: &Session, args: &Diff) -> anyhow::Result<()> {
    let activation = definition(&args.file)?;
    let differences = manage::diff(&session.ctx, session.workspace, &activation).await?;
    if args.format.json {
        let all: Vec<Value> =
            differences.iter().map(|one| json!({"what": one.what, "before": one.before, "after": one.after})).collect();
        say_json(&json!({"activation": activation.name, "differences": all}));
    } else if differences.is_empty() {
        say(format_args!("Activation {} is as the file says.", activation.name));
    } else {
        differences.iter().for_each(|one| say(plain(&one.to_string())));
    }
    told(differences.is_empty())
}

/// Pauses or resumes.
pub async fn set_paused(session: &Session, args: &Named, paused: bool) -> anyhow::Result<()> {
    manage::set_paused(&session.ctx, session.workspace, &args.name, paused).await?;
    show::show(session, &args.name, args.format).await
}

/// Deletes, after asking.
pub async fn delete(session: &Session, args: &Delete) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let found = stored::find(&mut db, session.workspace, &args.name).await?;
    let standings = db::activation::standings(&mut db, session.workspace, Some(found.id)).await?;
    let standing = standings.into_iter().next().unwrap_or_default();
    drop(db);
    let rows = count(standing.delivered, "row", "rows");
    note(format_args!(
        "Deletes activation {} with its runs and the ledger of what was delivered for {rows}. Zendesk keeps what it has; \
         whatever is written there afterwards is no longer told from what people wrote.",
        args.name
    ));
    confirm(args.yes)?;
    manage::delete(&session.ctx, session.workspace, &args.name).await?;
    say("Deleted.");
    Ok(())
}
