//! `source`: connected accounts and their lives.

use super::connect::{self, Connect, Migrate, Reconnect};
use super::error::usage;
use super::estimate::{self, Estimate};
use super::options;
use super::output::{self, Format, Table, confirm, count, note, say, say_json};
use super::session::{self, Globals, Log, Session};
use super::source_show;
use crate::db;
use crate::model::source::{Source, SourceState};
use crate::pipeline::lifecycle::{self, Resync};
use crate::pipeline::prune;
use crate::pipeline::webhook;
use crate::rules::retention;
use serde_json::{Map, Value};

/// `deskbridge source`.
#[derive(Debug, clap::Subcommand)]
pub enum SourceCommand {
    /// Connect a Zendesk account, or with --sell one of Zendesk Sell.
    #[command(after_long_help = CONNECT_HELP)]
    Connect(Box<Connect>),
    /// List all sources.
    List(Format),
    /// Show a source: state, options, streams, counts, and what to do if something fails.
    Show(Named),
    /// Change options of a source; without any, list them with their values.
    #[command(after_long_help = SET_HELP)]
    Set(Set),
    /// Stop reading and applying for a while; webhooks are still kept.
    Pause(NameOnly),
    /// Go on after a pause.
    Resume(NameOnly),
    /// Stop for good and remove our webhook from Zendesk; people and activities stay.
    Disconnect(Sure),
    /// Connect again (reads what changed since), give new credentials, or mend the webhook.
    #[command(after_long_help = RECONNECT_HELP)]
    Reconnect(Box<Reconnect>),
    /// Give a source with an API token OAuth credentials: webhook, cursors and data stay.
    #[command(after_long_help = MIGRATE_HELP)]
    MigrateToOauth(Box<Migrate>),
    /// Replace the signing secret of our webhook; no webhook is refused meanwhile.
    RotateWebhookSecret(NameOnly),
    /// How long a first sync takes on each plan, from the account's counts or from yours.
    Estimate(Estimate),
    /// Put a disconnected source out of sight.
    Archive(NameOnly),
    /// Bring an archived source back, disconnected.
    Restore(NameOnly),
    /// Delete the connection of an archived source; people and activities stay.
    Delete(Sure),
    /// Read again: what changed, everything since a date, or people only.
    #[command(after_long_help = RESYNC_HELP)]
    Resync(ResyncArgs),
}

const CONNECT_HELP: &str = "\
Secrets are never given on the command line itself, where others on this machine could read them.

Examples:
  deskbridge source connect acme --client-id deskbridge --client-secret-file /run/secrets/zendesk
  deskbridge source connect acme --client-id deskbridge --client-secret-file /run/secrets/zendesk --browser
  deskbridge source connect acme --client-id deskbridge --public
  ZENDESK_TOKEN=… deskbridge source connect acme --token-env ZENDESK_TOKEN --set opt_in_email=true
  pass zendesk/token | deskbridge source connect https://acme.zendesk.com --name support --token-stdin
  deskbridge source connect acme --token-file token --manual-webhook
  deskbridge source connect --sell --token-env SELL_TOKEN       Zendesk Sell, which retires on 2027-08-31";

const SET_HELP: &str = "\
An empty value (key=) is the default again. `deskbridge source set NAME` lists every option with its value.

Examples:
  deskbridge source set acme title=\"Acme support\" opt_in_email=true
  deskbridge source set acme name_splitting=smart               compat (default) or smart
  deskbridge source set acme modify_system_fields=false         people who are there already keep their fields
  deskbridge source set acme field_policies.email=fill_empty    overwrite (default), fill_empty or never
  deskbridge source set acme retention.extended=365 retention.activity_types=tickets,comments
  deskbridge source set acme retention.default=forever
  deskbridge source set acme every_secs.tickets=60 skip_streams=satisfaction,survey_responses
  deskbridge source set acme archive_when_deleted=true private_comments=true requests_per_minute=700";

const RECONNECT_HELP: &str = "\
Without credentials the stored ones are used.

Examples:
  deskbridge source reconnect acme
  deskbridge source reconnect acme --again                     sign in by browser again
  deskbridge source reconnect acme --token-env ZENDESK_TOKEN
  deskbridge source reconnect acme --manual-webhook --webhook-secret-file secret";

const MIGRATE_HELP: &str = "\
Zendesk ends API tokens on 2027-04-30. The new credentials are checked first: the same account, an admin's, with all scopes.

Examples:
  deskbridge source migrate-to-oauth acme --client-id deskbridge --client-secret-file /run/secrets/zendesk
  deskbridge source migrate-to-oauth acme --client-id deskbridge --client-secret-file /run/secrets/zendesk --browser
  deskbridge source migrate-to-oauth acme --client-id deskbridge --public";

const RESYNC_HELP: &str = "\
The same data again changes nothing; deleted people stay deleted.

Examples:
  deskbridge source resync acme                               what changed since the last reading, now
  deskbridge source resync acme --backfill --since 2025-01-01 everybody, and what happened since then
  deskbridge source resync acme --fields-only                 people and organizations, no activities";

/// A source, and how to print it.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Name of the source.
    name: String,
    #[command(flatten)]
    format: Format,
}

/// A source.
#[derive(Debug, clap::Args)]
pub struct NameOnly {
    /// Name of the source.
    name: String,
}

/// A source, and whether to ask.
#[derive(Debug, clap::Args)]
pub struct Sure {
    /// Name of the source.
    name: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// `deskbridge source set`.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Name of the source.
    name: String,
    /// Options to set.
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// Do not ask when a shorter retention removes activities.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge source resync`.
#[derive(Debug, clap::Args)]
pub struct ResyncArgs {
    /// Name of the source.
    name: String,
    /// Read everybody again, and what happened since --since.
    #[arg(long, requires = "since", conflicts_with = "fields_only")]
    backfill: bool,
    /// From when on: 2025-01-01, or 365d.
    #[arg(long, value_name = "DATE", requires = "backfill")]
    since: Option<String>,
    /// Read people and organizations again, no activities.
    #[arg(long)]
    fields_only: bool,
}

/// Carries out a `source` command.
pub async fn run(globals: &Globals, command: &SourceCommand) -> anyhow::Result<()> {
    let session = session::open(globals, Log::Beside).await?;
    match command {
        SourceCommand::Connect(args) => connect::connect(&session, args).await,
        SourceCommand::Reconnect(args) => connect::reconnect(&session, args).await,
        SourceCommand::MigrateToOauth(args) => connect::migrate(&session, args).await,
        SourceCommand::List(format) => source_show::list(&session, *format).await,
        SourceCommand::Show(args) => source_show::show(&session, &args.name, args.format).await,
        SourceCommand::Set(args) => set(&session, args).await,
        SourceCommand::Pause(args) => pause(&session, &args.name, true).await,
        SourceCommand::Resume(args) => pause(&session, &args.name, false).await,
        SourceCommand::Disconnect(args) => disconnect(&session, args).await,
        SourceCommand::Estimate(args) => estimate::run(&session, args).await,
        SourceCommand::RotateWebhookSecret(args) => rotate(&session, &args.name).await,
        SourceCommand::Archive(args) => {
            let source = session.source(&args.name).await?;
            lifecycle::set_state(&session.ctx, &source, SourceState::Archived).await?;
            say(format_args!(
                "Source {0:?} is archived. Bring it back with: deskbridge source restore {0}",
                source.name
            ));
            Ok(())
        }
        SourceCommand::Restore(args) => {
            let source = session.source(&args.name).await?;
            lifecycle::set_state(&session.ctx, &source, SourceState::Disconnected).await?;
            say(format_args!(
                "Source {0:?} is back, disconnected. Connect it with: deskbridge source reconnect {0}",
                source.name
            ));
            Ok(())
        }
        SourceCommand::Delete(args) => delete(&session, args).await,
        SourceCommand::Resync(args) => resync(&session, args).await,
    }
}

async fn set(session: &Session, args: &Set) -> anyhow::Result<()> {
    let source = session.source(&args.name).await?;
    if args.pairs.is_empty() {
        print_options(&source, args.format);
        return Ok(());
    }
    let (settings, title) = options::apply(&source.settings, &args.pairs)?;
    if settings.retention != source.settings.retention {
        ask_about_retention(session, &source, &settings.retention, args.yes).await?;
    }
    let title = title.unwrap_or_else(|| source.title.clone());
    lifecycle::set_settings(&session.ctx, &source, &title, &settings).await?;
    let source = session.source(&args.name).await?;
    match args.format.json {
        true => print_options(&source, args.format),
        false => say("Set. A running daemon goes by it from its next reading on."),
    }
    Ok(())
}

fn print_options(source: &Source, format: Format) {
    let mut all = vec![("title".to_string(), source.title.clone())];
    all.extend(options::flatten(&source.settings));
    if format.json {
        let map: Map<String, Value> = all.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
        return say_json(&Value::Object(map));
    }
    let changed = options::changed(&source.settings);
    let mut table = Table::new(&["option", "value", ""]);
    for option in all {
        let mark = if changed.contains(&option) { "changed" } else { "" };
        table.row([option.0, option.1, mark.to_string()]);
    }
    table.print();
}

/// What a new retention would do (R8, R12): what goes is counted and asked about, what could come has to be fetched.
async fn ask_about_retention(
    session: &Session,
    source: &Source,
    wanted: &crate::model::retention::Retention,
    yes: bool,
) -> anyhow::Result<()> {
    let now = session.ctx.clock.now();
    let mut db = session.db().await?;
    let before = prune::expired(&mut db, source, &source.settings.retention, now).await?;
    let after = prune::expired(&mut db, source, wanted, now).await?;
    drop(db);
    if retention::first_sync_since(now, wanted) < retention::first_sync_since(now, &source.settings.retention) {
        note(format_args!(
            "The new retention is longer. What happened before is not here yet; fetch it with:\n  deskbridge source resync {} --backfill --since {}",
            source.name,
            retention::first_sync_since(now, wanted).date_naive()
        ));
    }
    if after > before {
        note(format_args!(
            "With this retention {} of this source will be removed by the next prune; their first and last times and counts stay.",
            activities(after)
        ));
        confirm(yes)?;
    }
    Ok(())
}

fn activities(number: u64) -> String {
    count(number, "activity", "activities")
}

async fn pause(session: &Session, name: &str, paused: bool) -> anyhow::Result<()> {
    let source = session.source(name).await?;
    lifecycle::set_paused(&session.ctx, &source, paused).await?;
    match paused {
        true => say(format_args!(
            "Source {name:?} is paused: nothing is read; webhooks are kept and applied later. Go on with: deskbridge source resume {name}"
        )),
        false => say(format_args!("Source {name:?} goes on.")),
    }
    Ok(())
}

async fn rotate(session: &Session, name: &str) -> anyhow::Result<()> {
    let source = session.source(name).await?;
    note("Telling every daemon; this takes some seconds …");
    webhook::rotate(&session.ctx, &source).await?;
    say(format_args!(
        "The signing secret of the webhook of {name:?} is replaced and stored. The former one stays valid for a day."
    ));
    Ok(())
}

async fn disconnect(session: &Session, args: &Sure) -> anyhow::Result<()> {
    let source = session.source(&args.name).await?;
    if source.is_sell() {
        note(format_args!("Disconnecting {:?} stops all writing to Zendesk Sell.", source.name));
    } else {
        let mut db = session.db().await?;
        let (_, pending) = db::raw_event::counts(&mut db, source.workspace_id, source.id).await?;
        drop(db);
        note(format_args!(
            "Disconnecting {:?} stops all reading and removes our webhook from {}. {} received and not yet applied; people, tickets and activities stay.",
            source.name,
            source.base_url.as_deref().unwrap_or("Zendesk"),
            if pending == 1 { "1 webhook is".to_string() } else { format!("{pending} webhooks are") }
        ));
    }
    confirm(args.yes)?;
    let left = lifecycle::disconnect(&session.ctx, &source).await?;
    say(format_args!(
        "Source {0:?} is disconnected. Connect it again with: deskbridge source reconnect {0}",
        source.name
    ));
    if let Some(why) = left {
        note(format_args!(
            "warning: our webhook could not be removed from Zendesk ({}); remove \"Deskbridge {}\" there by hand",
            output::plain(&why),
            source.name
        ));
    }
    if source.webhook_id.as_deref() == Some("manual") {
        note(format_args!(
            "The webhook was set up by hand: remove \"Deskbridge {}\" in Zendesk by hand, too.",
            source.name
        ));
    }
    Ok(())
}

async fn delete(session: &Session, args: &Sure) -> anyhow::Result<()> {
    let source = session.source(&args.name).await?;
    if !source.state.may_become(SourceState::Deleted) {
        return Err(usage(
            format!("source {} is {}, and only an archived one can be deleted", source.name, source.state.as_str()),
            format!("run deskbridge source disconnect {0}, then deskbridge source archive {0}", source.name),
        ));
    }
    let mut db = session.db().await?;
    let people = db::person_source::count(&mut db, source.workspace_id, source.id).await?;
    let tickets = db::ticket::count(&mut db, source.workspace_id, source.id).await?;
    let (_, total) =
        db::tally::activities_by_day(&mut db, source.workspace_id, source.id, session.ctx.clock.now()).await?;
    drop(db);
    note(format_args!(
        "Deleting {:?} removes its credentials for good. What it brought stays: {people} people, {tickets} tickets, {total} activities.",
        source.name
    ));
    confirm(args.yes)?;
    lifecycle::set_state(&session.ctx, &source, SourceState::Deleted).await?;
    say(format_args!("Source {:?} is deleted.", source.name));
    Ok(())
}

async fn resync(session: &Session, args: &ResyncArgs) -> anyhow::Result<()> {
    let source = session.source(&args.name).await?;
    let now = session.ctx.clock.now();
    let how = match (&args.since, args.fields_only) {
        (Some(since), _) => Resync::Backfill(output::parse_time(since, now)?),
        (None, true) => Resync::FieldsOnly,
        (None, false) => Resync::Incremental,
    };
    if let Resync::Backfill(since) = how
        && since < retention::first_sync_since(now, &source.settings.retention)
    {
        note(format_args!(
            "note: activities older than the retention of {:?} are counted in rollups and then pruned; see deskbridge source set {0} retention.default=…",
            source.name
        ));
    }
    lifecycle::resync(&session.ctx, &source, how).await?;
    say(format_args!(
        "The resync is due now. A running daemon does it; to do it here: deskbridge sync {}",
        source.name
    ));
    Ok(())
}
