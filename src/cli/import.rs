//! `deskbridge import`: people from a file.

use crate::model::person::IdentityKind;
use crate::model::source::{FindStrategy, MergeStrategy, SourceSettings};
use crate::pipeline::context::Context;
use crate::pipeline::import::mapping::Mapping;
use crate::pipeline::import::record::Reading;
use crate::pipeline::import::rows::{Fault, Format, How};
use crate::pipeline::import::{self, Checked, Plan, Step, Summary, Watcher, Wishes};
use anyhow::{Context as _, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many faults are shown on the terminal.
const SHOWN: u64 = 20;

/// Rows between two log lines, where there is no terminal.
const LOG_EVERY: u64 = 100_000;

/// Import people, with their organizations, consents and activities, from a CSV or NDJSON file.
///
/// Columns by header (CSV) or key (NDJSON): first_name, last_name, name (a whole name), email, phone, locale, time_zone,
/// external_id; organization, organization.external_id, organization.domain; consent.email and consent.sms (grant, deny or
/// withdraw; no column means no consent) with .at, .wording and .evidence; activity.type, activity.occurred_at,
/// activity.key, activity.message and activity.ANYTHING, or in NDJSON a list under activities; every other column, or
/// field.ANYTHING, is a custom field. A row without an e-mail address, phone number, external id or key is left out.
///
/// Nothing is written before the whole file has been checked, and importing the same file again writes nothing.
#[derive(Debug, Clone, clap::Args)]
pub struct ImportArgs {
    /// The file: .csv (commas, semicolons or tabs, with a header), or .ndjson or .jsonl
    pub file: PathBuf,
    /// Name of the source the file belongs to; made on first use, and its options below are kept for the next file
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// What columns mean, in TOML: [columns] "E-Mail" = "email", "Seats" = { field = "seats", type = "integer" },
    /// "Notes" = "ignore". Types: text, integer, decimal, boolean, date, list
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// What one column means; may be given several times, and goes before --mapping
    #[arg(long, value_name = "COLUMN=FIELD")]
    pub map: Vec<String>,
    /// How several identifiers of a row find a person: the first that finds one decides (any, the usual); a later one only
    /// finds people who lack the ones before it; or all must find the same person
    #[arg(long, value_parser = words::<FindStrategy>(&["any", "next_only_if_previous_empty", "all"]))]
    pub find: Option<FindStrategy>,
    /// What happens to people who are there already: only empty fields are filled (append, the usual); what the row mentions
    /// is replaced (overwrite); nothing (ignore)
    #[arg(long, value_parser = words::<MergeStrategy>(&["append", "overwrite", "ignore"]))]
    pub merge: Option<MergeStrategy>,
    /// Leave out rows that match nobody
    #[arg(long)]
    pub no_create: bool,
    /// Create people for rows that match nobody: the usual, unless the source was used with --no-create before
    #[arg(long, conflicts_with = "no_create")]
    pub create: bool,
    /// The column that names a record for good, where neither its external id nor its e-mail address does
    #[arg(long, value_name = "COLUMN")]
    pub key: Option<String>,
    /// What finds people; usually email,external_id
    #[arg(long, value_delimiter = ',', value_parser = words::<IdentityKind>(&["email", "external_id", "phone"]))]
    pub identifiers: Option<Vec<IdentityKind>>,
    /// An empty cell of a CSV file clears the field instead of saying nothing
    #[arg(long)]
    pub clear_empty: bool,
    /// Say what would happen, and keep nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write all that could not be used to this CSV file: line,column,reason
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
    /// Import nothing when more than this share of the rows is bad, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub max_bad: Option<f64>,
    /// Do not ask before people who are there already are overwritten
    #[arg(long)]
    pub yes: bool,
}

/// One of these words, which are those of the settings.
fn words<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value::<T>(serde_json::Value::String(word)))
}

/// `0.05` or `5%`.
fn share(text: &str) -> Result<f64, &'static str> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share =
        number.trim().parse::<f64>().map(|number| number / unit).map_err(|_| "must be a share such as 5% or 0.05")?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be between 0% and 100%") }
}

/// Runs the command.
pub async fn run(ctx: &Context, args: ImportArgs, json: bool) -> anyhow::Result<()> {
    let wishes = wishes(&args);
    let how = how(&args)?;
    let settings = import::prepare(ctx, &wishes).await?;
    let plan = Arc::new(Plan { path: args.file.clone(), how, reading: reading(ctx, &settings) });
    let watcher = Arc::new(Terminal::new(&args)?);
    let (checking, heard) = (plan.clone(), watcher.clone());
    let checked = tokio::task::spawn_blocking(move || import::check(&checking, heard.as_ref())).await;
    let checked = checked.context("the file could not be checked")?;
    watcher.clear();
    let checked = checked?;
    accept(&checked, &args)?;
    if !json {
        say(&checked, &wishes, &settings);
    }
    if settings.merge == MergeStrategy::Overwrite && !args.dry_run && !args.yes && !asked().await? {
        bail!("nothing was imported");
    }
    let done = import::apply(ctx, &wishes, plan, Arc::new(checked), watcher.clone(), args.dry_run).await;
    watcher.finish()?;
    report(&done?, &watcher, &args, json)
}

fn wishes(args: &ImportArgs) -> Wishes {
    let create_people = match (args.create, args.no_create) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    Wishes {
        name: args.source.clone(),
        find: args.find,
        merge: args.merge,
        create_people,
        identifiers: args.identifiers.clone(),
    }
}

fn how(args: &ImportArgs) -> anyhow::Result<How> {
    let format = match args.file.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase).as_deref()
    {
        Some("csv" | "tsv" | "txt") => Format::Csv,
        Some("ndjson" | "jsonl" | "json") => Format::Ndjson,
        _ => bail!(
            "{}: the name must end in .csv, .tsv, .ndjson or .jsonl, which says how it is read",
            args.file.display()
        ),
    };
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let text = args.mapping.as_deref().map(read).transpose()?;
    let mapping = Mapping::read(text.as_deref(), &args.map)?;
    Ok(How { format, mapping, key: args.key.clone(), clear_empty: args.clear_empty })
}

fn reading(ctx: &Context, settings: &SourceSettings) -> Reading {
    let privacy = &ctx.settings.privacy;
    let bodies = settings.store_message_bodies.unwrap_or(privacy.store_message_bodies);
    Reading {
        identifiers: settings.identifiers.clone(),
        region: Some(privacy.default_region.clone()).filter(|region| !region.is_empty()),
        blocked: privacy.blocked_identities.clone(),
        message_bytes: bodies.then_some(privacy.message_max_bytes),
    }
}

/// Fails when there is nothing to import, or too little of it is good.
fn accept(checked: &Checked, args: &ImportArgs) -> anyhow::Result<()> {
    let hint = match args.errors {
        Some(_) => "",
        None => "; --errors FILE lists them all",
    };
    if checked.rows > 0 && checked.bad == checked.rows {
        bail!("none of the {} rows can be read{hint}", checked.rows);
    }
    let share = checked.bad as f64 / checked.rows.max(1) as f64;
    if let Some(most) = args.max_bad
        && share > most
    {
        bail!(
            "{} of {} rows are bad, more than --max-bad allows{hint}; nothing was imported",
            checked.bad,
            checked.rows
        );
    }
    Ok(())
}

/// What the file holds and what will become of it.
fn say(checked: &Checked, wishes: &Wishes, settings: &SourceSettings) {
    for (column, target) in checked.columns.iter().filter(|(column, target)| column != target) {
        eprintln!("  column {column:?} is {target}");
    }
    let merge = match settings.merge {
        MergeStrategy::Append => "empty fields of people who are there are filled",
        MergeStrategy::Overwrite => "fields of people who are there are overwritten",
        MergeStrategy::Ignore => "people who are there are left alone",
    };
    let create = if settings.create_people { "" } else { ", and nobody is created" };
    eprintln!(
        "{} rows ({} bad), {} activities, for source {}: {merge}{create}.",
        checked.rows, checked.bad, checked.activities, wishes.name
    );
}

/// Asks whether people may be overwritten.
async fn asked() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("people who are there would be overwritten: say --yes, or see first with --dry-run");
    }
    eprint!("Overwrite what these rows mention? [y/N] ");
    std::io::stderr().flush()?;
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    Ok(matches!(line.await??.trim(), "y" | "Y" | "yes"))
}

fn report(summary: &Summary, watcher: &Terminal, args: &ImportArgs, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(summary)?)?;
        return Ok(());
    }
    let would = if summary.dry_run { "would be " } else { "" };
    writeln!(
        out,
        "{} rows: {} people {would}created, {} {would}updated, {} unchanged, {} skipped, {} bad.",
        summary.rows, summary.created, summary.updated, summary.unchanged, summary.skipped, summary.bad
    )?;
    writeln!(out, "{} organizations and {} activities {would}written.", summary.organizations, summary.activities)?;
    if summary.noted + summary.duplicates > 0 {
        writeln!(
            out,
            "{} rows were applied without a part of them; {} rows gave way to a later one of the same record.",
            summary.noted, summary.duplicates
        )?;
    }
    if summary.expired > 0 {
        writeln!(
            out,
            "{} activities are older than source {} keeps them; see deskbridge source set.",
            summary.expired, summary.source
        )?;
    }
    if summary.dead_letters > 0 {
        writeln!(
            out,
            "{} records were refused by the database; see deskbridge dead-letter list.",
            summary.dead_letters
        )?;
    }
    if watcher.faults() > SHOWN && args.errors.is_none() {
        writeln!(out, "{} problems, of which {SHOWN} were shown; --errors FILE lists them all.", watcher.faults())?;
    }
    if summary.dry_run {
        writeln!(
            out,
            "Nothing was kept: this was a dry run. Rows that meet each other across batches are counted apart."
        )?;
    }
    Ok(())
}

/// Shows how it goes: a bar on a terminal, lines in the log elsewhere.
struct Terminal {
    state: Mutex<State>,
}

struct State {
    bar: Option<ProgressBar>,
    step: Option<Step>,
    size: u64,
    logged: u64,
    faults: u64,
    errors: Option<csv::Writer<File>>,
    failed: Option<csv::Error>,
}

impl Terminal {
    fn new(args: &ImportArgs) -> anyhow::Result<Terminal> {
        let found = std::fs::metadata(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
        let style = ProgressStyle::with_template("{msg:>12} [{wide_bar}] {percent:>3}%  {bytes_per_sec}  {eta} left");
        let bar = match (std::io::stderr().is_terminal(), style) {
            (true, Ok(style)) => Some(ProgressBar::new(found.len()).with_style(style)),
            _ => None,
        };
        let mut errors = None;
        if let Some(path) = &args.errors {
            let mut writer =
                csv::Writer::from_path(path).with_context(|| format!("cannot write {}", path.display()))?;
            writer.write_record(["line", "column", "reason"])?;
            errors = Some(writer);
        }
        let state = State { bar, step: None, size: found.len(), logged: 0, faults: 0, errors, failed: None };
        Ok(Terminal { state: Mutex::new(state) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> u64 {
        self.state().faults
    }

    /// Takes the bar away for what is said next.
    fn clear(&self) {
        if let Some(bar) = &self.state().bar {
            bar.finish_and_clear();
        }
    }

    /// The end: the bar goes, the file of errors is written out.
    fn finish(&self) -> anyhow::Result<()> {
        self.clear();
        let mut state = self.state();
        if let Some(error) = state.failed.take() {
            return Err(error).context("cannot write the file of errors");
        }
        if let Some(errors) = &mut state.errors {
            errors.flush().context("cannot write the file of errors")?;
        }
        Ok(())
    }
}

impl Watcher for Terminal {
    fn fault(&self, fault: &Fault) {
        let mut state = self.state();
        state.faults += 1;
        let line = fault.line.to_string();
        if let Some(errors) = &mut state.errors
            && let Err(error) = errors.write_record([line.as_str(), &fault.column, &fault.reason])
        {
            state.failed.get_or_insert(error);
        }
        if state.faults > SHOWN {
            return;
        }
        let column = if fault.column.is_empty() { String::new() } else { format!("{}: ", fault.column) };
        let text = format!("line {line}: {column}{}", fault.reason);
        match &state.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn progress(&self, step: Step, bytes: u64, rows: u64) {
        let mut state = self.state();
        let doing = match step {
            Step::Check => "checking",
            Step::Apply => "importing",
            Step::Activities => "activities",
        };
        let begins = state.step != Some(step);
        if begins {
            (state.step, state.logged) = (Some(step), 0);
        }
        match &state.bar {
            Some(bar) => {
                if begins {
                    bar.reset();
                    bar.set_message(doing);
                }
                bar.set_position(bytes);
            }
            None if rows / LOG_EVERY > state.logged => {
                state.logged = rows / LOG_EVERY;
                tracing::info!(doing, rows, percent = bytes * 100 / state.size.max(1), "import");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ImportArgs,
    }

    fn check(line: &str, expected: Option<(Option<MergeStrategy>, usize, Option<bool>)>) {
        let words = ["import"].into_iter().chain(line.split_whitespace());
        let found = Line::try_parse_from(words).ok().map(|line| {
            (line.args.merge, line.args.identifiers.as_ref().map_or(0, Vec::len), wishes(&line.args).create_people)
        });
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn arguments() {
        check("a.csv --source shop", Some((None, 0, None)));
        check(
            "a.csv --source shop --merge overwrite --identifiers email,phone --no-create",
            Some((Some(MergeStrategy::Overwrite), 2, Some(false))),
        );
        check("a.csv --source shop --create --max-bad 5% --map a=b --map c=d", Some((None, 0, Some(true))));
        check("a.csv", None);
        check("a.csv --source shop --merge replace", None);
        check("a.csv --source shop --identifiers name", None);
        check("a.csv --source shop --max-bad 500%", None);
        check("a.csv --source shop --find all --create --no-create", None);
    }

    #[test]
    fn shares() {
        assert_eq!((share("5%"), share("0.05"), share("0")), (Ok(0.05), Ok(0.05), Ok(0.0)));
        assert!(share("much").is_err() && share("NaN").is_err() && share("-1").is_err());
    }
}
