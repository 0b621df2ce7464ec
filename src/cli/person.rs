//! `person`: finding people, and archiving, restoring and deleting them.

use super::error::{failed, usage};
use super::output::{Format, Table, confirm, count, note, say, say_json};
use super::person_show;
use super::session::{self, Globals, Log, Session};
use crate::db;
use crate::model::email::Email;
use crate::model::person::IdentityKind;
use crate::pipeline::apply::{identity_subject, record_subject};
use crate::pipeline::person;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `deskbridge person`.
#[derive(Debug, clap::Subcommand)]
pub enum PersonCommand {
    /// Find people by id, name, e-mail address, phone number or external id.
    Find(Find),
    /// Show everything about a person.
    Show(Show),
    /// Explain a person: who wrote each field, when and from which record; merges; consents.
    Explain(Explain),
    /// Archive people: nothing is updated or attached any more, and later they are deleted.
    Archive(Several),
    /// Bring archived people back, or let a deleted record or address come back.
    #[command(after_long_help = RESTORE_HELP)]
    Restore(Restore),
    /// Delete people and everything that is theirs, for good; they do not come back by a sync.
    Delete(Several),
}

const RESTORE_HELP: &str = "\
A person who was deleted is held back by every record and address it had. Lift all that should come back; then read
people again: deskbridge source resync NAME --fields-only.

Examples:
  deskbridge person restore 101 102
  deskbridge person restore --source acme --record 7400000123 --email ann@example.com";

/// `deskbridge person find`.
#[derive(Debug, clap::Args)]
pub struct Find {
    /// What to look for.
    text: String,
    /// Archived people, too.
    #[arg(long)]
    archived: bool,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge person show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Number of the person; one that was merged away finds who it is now.
    id: i64,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge person explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// Number of the person.
    id: i64,
    /// This field only, such as email or zd.plan.
    #[arg(long)]
    field: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// People to be archived or deleted.
#[derive(Debug, clap::Args)]
pub struct Several {
    /// Numbers of people.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<i64>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// `deskbridge person restore`.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// Numbers of archived people.
    #[arg(value_name = "ID", required_unless_present_any = ["record", "email", "phone", "external_id"])]
    ids: Vec<i64>,
    /// With --record: name of the source.
    #[arg(long, value_name = "NAME", requires = "record")]
    source: Option<String>,
    /// Let this record of --source come back after its person was deleted.
    #[arg(long, value_name = "ID", requires = "source")]
    record: Option<String>,
    /// Let this e-mail address come back.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Let this phone number come back (+31201234567).
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Let this external id come back.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

/// Carries out a `person` command.
pub async fn run(globals: &Globals, command: &PersonCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        PersonCommand::Find(args) => find(&session, args).await,
        PersonCommand::Show(args) => person_show::show(&session, resolve(&session, args.id).await?, args.format).await,
        PersonCommand::Explain(args) => {
            person_show::explain(&session, resolve(&session, args.id).await?, args.field.as_deref(), args.format).await
        }
        PersonCommand::Archive(args) => archive(&session, args).await,
        PersonCommand::Restore(args) => restore(&session, args).await,
        PersonCommand::Delete(args) => delete(&session, args).await,
    }
}

/// Who an id stands for today; says so when that is somebody else.
async fn resolve(session: &Session, id: i64) -> anyhow::Result<i64> {
    let mut db = session.db().await?;
    let today = db::merge::resolve(&mut db, session.workspace, id).await?;
    if db::person::load(&mut db, session.workspace, &[today]).await?.is_empty() {
        return Err(failed(format!("there is no person {id}"), "see deskbridge person find"));
    }
    if today != id {
        note(format_args!("{id} was merged into {today}."));
    }
    Ok(today)
}

async fn resolve_all(session: &Session, ids: &[i64]) -> anyhow::Result<Vec<i64>> {
    let mut all = BTreeSet::new();
    for id in ids {
        all.insert(resolve(session, *id).await?);
    }
    Ok(all.into_iter().collect())
}

async fn find(session: &Session, args: &Find) -> anyhow::Result<()> {
    let found = db::person::find(
        &mut *session.db().await?,
        session.workspace,
        args.text.trim(),
        args.archived,
        args.limit.into(),
    )
    .await?;
    if args.format.json {
        say_json(&Value::Array(found));
        return Ok(());
    }
    if found.is_empty() {
        say("Nobody is found.");
        return Ok(());
    }
    let mut table = Table::new(&["id", "first name", "last name", "email", "phone", "external id", ""]);
    for person in &found {
        let text = |key: &str| person_show::text(&person[key]);
        let mark = if person["archived_at"].is_null() { "" } else { "archived" };
        let names =
            [text("id"), text("first_name"), text("last_name"), text("email"), text("phone"), text("external_id")];
        table.row(names.into_iter().chain([mark.to_string()]));
    }
    table.print();
    if found.len() == args.limit as usize {
        note(format_args!("There may be more: raise --limit ({}).", args.limit));
    }
    Ok(())
}

/// What is theirs, added up.
async fn count_belongings(session: &Session, ids: &[i64]) -> anyhow::Result<String> {
    let mut total: BTreeMap<String, i64> = BTreeMap::new();
    for id in ids {
        for (table, count) in person::belongings(&session.ctx, session.workspace, *id).await? {
            *total.entry(table).or_default() += count;
        }
    }
    let lines: Vec<String> =
        total.iter().filter(|(_, count)| **count > 0).map(|(table, count)| format!("  {table}: {count}")).collect();
    Ok(lines.join("\n"))
}

fn people(number: usize) -> String {
    count(number as u64, "person", "people")
}

async fn archive(session: &Session, args: &Several) -> anyhow::Result<()> {
    let ids = resolve_all(session, &args.ids).await?;
    let days = session.ctx.settings.retention.archived_person_days;
    let then = if days == 0 {
        "They stay archived until deleted.".to_string()
    } else {
        format!("They are deleted after {days} days unless restored.")
    };
    note(format_args!("Archives {}: nothing is updated or attached any more. {then}", people(ids.len())));
    confirm(args.yes)?;
    let archived = person::archive(&session.ctx, session.workspace, &ids, "archived by an operator").await?;
    say(format_args!("{} archived{}.", people(archived as usize), already(ids.len(), archived, "archived")));
    Ok(())
}

/// Says that some were so already.
fn already(wanted: usize, done: u64, what: &str) -> String {
    match wanted as u64 - done.min(wanted as u64) {
        0 => String::new(),
        rest => format!("; {rest} {} already {what}", if rest == 1 { "was" } else { "were" }),
    }
}

async fn restore(session: &Session, args: &Restore) -> anyhow::Result<()> {
    let subjects = subjects(session, args).await?;
    if !subjects.is_empty() {
        let lifted = person::lift(&session.ctx, session.workspace, &subjects).await?;
        say(format_args!("{} lifted.", count(lifted, "tombstone", "tombstones")));
        match lifted {
            0 => say("Nothing of that was held back."),
            _ => say(format_args!(
                "They come back when people are read again: deskbridge source resync {} --fields-only",
                args.source.as_deref().unwrap_or("NAME")
            )),
        }
    }
    if !args.ids.is_empty() {
        let ids = resolve_all(session, &args.ids).await?;
        let restored = person::restore(&session.ctx, session.workspace, &ids).await?;
        say(format_args!("{} restored{}.", people(restored as usize), already(ids.len(), restored, "there")));
        say(
            "What happened in the meantime comes with the next full reading: deskbridge source resync NAME --backfill --since DATE",
        );
    }
    Ok(())
}

/// What tombstones stand for.
async fn subjects(session: &Session, args: &Restore) -> anyhow::Result<Vec<String>> {
    let mut subjects = Vec::new();
    if let (Some(source), Some(record)) = (&args.source, &args.record) {
        subjects.push(record_subject(session.source(source).await?.id, record.trim()));
    }
    if let Some(text) = &args.email {
        let email = Email::parse(text)
            .map_err(|error| usage(format!("--email: {error}"), "give it as it stands in Zendesk"))?;
        subjects.push(identity_subject(IdentityKind::Email, email.key()));
    }
    if let Some(phone) = &args.phone {
        subjects.push(identity_subject(IdentityKind::Phone, phone.trim()));
    }
    if let Some(id) = &args.external_id {
        subjects.push(identity_subject(IdentityKind::ExternalId, &id.trim().to_lowercase()));
    }
    Ok(subjects)
}

async fn delete(session: &Session, args: &Several) -> anyhow::Result<()> {
    let ids = resolve_all(session, &args.ids).await?;
    note(format_args!("Deletes {} for good, with all that is theirs:", people(ids.len())));
    note(count_belongings(session, &ids).await?);
    note("Tickets stay, without texts and without the link. Neither a sync nor a webhook brings these people back.");
    confirm(args.yes)?;
    let gone = person::delete(&session.ctx, session.workspace, &ids, "deleted by an operator").await?;
    say(format_args!("{} deleted.", people(gone as usize)));
    Ok(())
}
