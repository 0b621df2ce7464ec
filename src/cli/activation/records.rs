//! `activation records`, and the records of plans and tests: what was, what is sent, what became of it.

use super::adoption;
use super::report::result_words;
use crate::cli::error::{failed, usage};
use crate::cli::output::{Format, Table, note, plain, say, say_json};
use crate::cli::session::{Session, told};
use crate::db;
use crate::db::push_record::{Record, Which};
use crate::db::push_run::Run;
use crate::model::activation::{Activation, Rows, Target};
use crate::model::push::{Fault, RecordState, Remote, RunState};
use crate::pipeline::activate::preflight::Preflight;
use crate::pipeline::activate::{control, send};
use crate::zendesk::push::{self, Call};
use serde_json::{Value, json};

/// Records that are read at once.
const PAGE: i64 = 1_000;

/// Records that a table has at most, unless more are asked for.
const SHOWN: usize = 200;

/// `deskbridge activation records`.
#[derive(Debug, clap::Args)]
pub struct Records {
    /// Number of the run.
    run: i64,
    /// This record only: number or address of a person, id in Zendesk, or key of the row.
    #[arg(long)]
    key: Option<String>,
    /// In this state only: created, updated, unchanged, failed, unknown, skipped, planned, read, sent.
    #[arg(long, value_parser = parse_state)]
    state: Option<RecordState>,
    /// Faults of this class only.
    #[arg(long)]
    class: Option<String>,
    /// How many at most [default: 200 in a table, else all].
    #[arg(long)]
    limit: Option<usize>,
    /// Print CSV instead of a table.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    format: Format,
}

fn parse_state(text: &str) -> Result<RecordState, String> {
    let names = || RecordState::ALL.map(RecordState::as_str).join(", ");
    RecordState::parse(text).ok_or_else(|| format!("states are {}", names()))
}

const COLUMNS: [&str; 9] = ["row", "record", "state", "class", "field", "reason", "before", "after", "kept"];

/// Lists the records of a run.
pub async fn list(session: &Session, args: &Records) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let run = control::find(&mut db, session.workspace, args.run).await?.0;
    let keys = control::keys_of(&mut db, &run, args.key.as_deref()).await?;
    let states: Vec<RecordState> = args.state.into_iter().collect();
    let which = Which { states: &states, class: args.class.as_deref(), keys: keys.as_deref() };
    let most = args.limit.unwrap_or(if args.csv || args.format.json { usize::MAX } else { SHOWN });
    let (mut after, mut shown, mut more) = (0, 0, false);
    let (mut table, mut rows) = (Table::new(&["row", "record", "state", "why", "changes", "kept"]), Vec::new());
    if args.csv {
        print_csv(std::iter::once(COLUMNS.map(str::to_owned)))?;
    }
    while !more {
        let page = db::push_record::page(&mut db, session.workspace, run.id, &which, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        let fits = page.len().min(most - shown);
        more = fits < page.len();
        shown += fits;
        let page = page.iter().take(fits);
        match (args.csv, args.format.json) {
            (true, _) => print_csv(page.map(cells))?,
            (_, true) => rows.extend(page.map(as_json)),
            _ => page.for_each(|record| _ = table.row(line(record))),
        }
    }
    match (args.csv, args.format.json) {
        (true, _) => {}
        (_, true) => say_json(&Value::Array(rows)),
        _ if shown == 0 && args.key.is_none() => say("There is no such record."),
        _ if shown == 0 => {}
        _ => table.print(),
    }
    if more {
        note(format_args!("There are more: --limit N, or all with --csv or --json."));
    }
    if shown == 0 && args.key.is_some() {
        return Err(usage(
            format!("run {} has no such record of {}", run.id, plain(args.key.as_deref().unwrap_or_default())),
            "rows for which Zendesk was last given the same are counted, not stored; without --key all others are listed",
        ));
    }
    Ok(())
}

fn print_csv(rows: impl Iterator<Item = [String; 9]>) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    say(String::from_utf8(writer.into_inner()?)?.trim_end());
    Ok(())
}

fn before(record: &Record) -> Option<Remote> {
    serde_json::from_value(record.before.clone()?).ok()
}

/// Changes as text: `field=value`, `+tag`, `-tag`.
fn changes(record: &Record) -> String {
    let values = record.changes.iter().flat_map(|changes| &changes.values);
    let values = values.map(|(field, value)| format!("{field}={}", short(value)));
    values.chain(changes_beside_values(record)).collect::<Vec<_>>().join(", ")
}

fn changes_beside_values(record: &Record) -> Vec<String> {
    let Some(changes) = &record.changes else { return Vec::new() };
    let added = changes.add_tags.iter().map(|tag| format!("+{tag}"));
    let removed = changes.remove_tags.iter().map(|tag| format!("-{tag}"));
    let joined = changes.join.iter().map(|id| format!("+organization {id}"));
    let left = changes.leave.iter().map(|id| format!("-organization {id}"));
    added.chain(removed).chain(joined).chain(left).collect()
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) if text.is_empty() => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cells(record: &Record) -> [String; 9] {
    let was = before(record);
    let had =
        |field: &str, _: &Value| was.as_ref().and_then(|was| was.values.get(field)).cloned().unwrap_or(Value::Null);
    let before = match (&record.changes, &was) {
        (Some(changes), None) if !changes.is_empty() => "(new)".to_owned(),
        (Some(found), Some(_)) if !found.values.is_empty() => found
            .values
            .iter()
            .map(|(field, value)| format!("{field}={}", short(&had(field, value))))
            .collect::<Vec<_>>()
            .join(", "),
        _ => String::new(),
    };
    let fault = record.fault.as_ref();
    let kept = record.kept.iter().flatten().map(|(field, why)| format!("{field}: {why}"));
    [
        record.row_key.clone(),
        record.record_id.clone().unwrap_or_default(),
        record.state.as_str().to_owned(),
        fault.map(|fault| fault.class.clone()).unwrap_or_default(),
        fault.and_then(|fault| fault.field.clone()).unwrap_or_default(),
        fault.map(|fault| fault.reason.clone()).unwrap_or_default(),
        before,
        changes(record),
        kept.collect::<Vec<_>>().join(", "),
    ]
}

/// A record in a table: each change with what was there.
fn line(record: &Record) -> [String; 6] {
    let [row, id, state, class, field, reason, _, _, kept] = cells(record);
    let why = match (class.as_str(), field.as_str()) {
        ("", _) => String::new(),
        (class, "") => format!("{class}: {reason}"),
        (class, field) => format!("{class}: {}: {reason}", bare(field)),
    };
    let was = before(record);
    let had = |field: &str| was.as_ref().and_then(|was| was.values.get(field)).unwrap_or(&Value::Null);
    let changes = record.changes.iter().flat_map(|changes| &changes.values);
    let changed = changes.map(|(field, value)| format!("{}: {} → {}", bare(field), short(had(field)), short(value)));
    let rest = changes_beside_values(record);
    [row, id, state, why, changed.chain(rest).collect::<Vec<_>>().join(", "), kept]
}

/// A field's name without the place of custom ones.
fn bare(field: &str) -> &str {
    ["user_fields.", "organization_fields.", "custom_fields."]
        .iter()
        .find_map(|prefix| field.strip_prefix(prefix))
        .unwrap_or(field)
}

fn as_json(record: &Record) -> Value {
    json!({
        "seq": record.seq, "row": record.row_key, "person": record.person_id, "record": record.record_id, "state": record.state.as_str(),
        "stage": record.stage, "fault": record.fault, "wanted": record.wanted, "before": record.before, "changes": record.changes,
        "kept": record.kept, "call": record.job_id, "place": record.job_index, "tries": record.tries, "updated_at": record.updated_at,
    })
}

/// Prints what a plan found: each record with each field before and after.
pub async fn planned(session: &Session, run: &Run) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let page =
        db::push_record::page(&mut db, session.workspace, run.id, &Which::default(), 0, SHOWN as i64 + 1).await?;
    if page.is_empty() {
        return Ok(());
    }
    let (mut table, mut faults) = (Vec::new(), Table::new(&["row", "record", "field", "not to be sent", "why"]));
    let mut faulty = false;
    for record in page.iter().take(SHOWN) {
        let id = record.record_id.as_deref().unwrap_or("(none)");
        if let Some(fault) = &record.fault {
            let field = fault.field.as_deref().unwrap_or_default();
            faults.row([&record.row_key, id, field, record.state.as_str(), &fault.reason]);
            faulty = true;
        }
        table.extend(lines(record));
    }
    if !table.is_empty() {
        let mut all = Table::new(&["row", "record", "field", "before", "after"]);
        table.into_iter().for_each(|line| _ = all.row(line));
        all.print();
        say("");
    }
    if faulty {
        faults.print();
        say("");
    }
    if page.len() > SHOWN {
        note(format_args!("Not all are shown: deskbridge activation records {} --csv\n", run.id));
    }
    Ok(())
}

/// The same as JSON, with all records, and with what the look at the fields found.
pub async fn planned_json(session: &Session, run: &Run, looked: &Preflight) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let (mut after, mut rows, mut ok) = (0, Vec::new(), run.state != RunState::Failed);
    loop {
        let page = db::push_record::page(&mut db, session.workspace, run.id, &Which::default(), after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        ok &= page.iter().all(|record| record.state != RecordState::Failed);
        rows.extend(page.iter().map(as_json));
    }
    let problem = |fault: &Fault| json!({"field": fault.field, "class": fault.class, "reason": fault.reason});
    say_json(&json!({
        "plan": run.id, "state": run.state.as_str(), "asks": run.asks, "looked_at": run.counts.looked_at,
        "as_last_given": run.counts.same, "would_change": run.counts.would_change, "would_clear": run.counts.would_clear,
        "would_create": run.counts.would_create, "adoption": adoption::as_json(&adoption::of(&mut db, run).await?),
        "problems": looked.problems.iter().map(problem).collect::<Vec<_>>(), "remarks": looked.remarks, "records": rows,
    }));
    told(ok)
}

/// What is to change of a record: its row, its id, a field, before and after.
fn lines(record: &Record) -> Vec<[String; 5]> {
    let Some(changes) = record.changes.as_ref().filter(|_| record.fault.is_none()) else { return Vec::new() };
    let id = record.record_id.clone().unwrap_or_else(|| "(new)".to_owned());
    let was = before(record).unwrap_or_default();
    let had = |field: &str| short(was.values.get(field).unwrap_or(&Value::Null));
    let line = |field: &str, before: String, after: String| {
        [record.row_key.clone(), id.clone(), field.to_owned(), before, after]
    };
    let mut lines: Vec<_> = changes.values.iter().map(|(field, value)| line(field, had(field), short(value))).collect();
    for (what, come, go) in
        [("tag", &changes.add_tags, &changes.remove_tags), ("organization", &changes.join, &changes.leave)]
    {
        lines.extend(come.iter().map(|one| line(what, String::new(), one.clone())));
        lines.extend(go.iter().map(|one| line(what, one.clone(), String::new())));
    }
    lines
}

/// Shows what a test sent, its job and its result; `key` is what was asked for.
pub async fn tested(session: &Session, run: &Run, key: &str, format: Format) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let (run, one) = control::find(&mut db, session.workspace, run.id).await?;
    let records = db::push_record::page(&mut db, session.workspace, run.id, &Which::default(), 0, PAGE).await?;
    if records.is_empty() {
        return Err(no_row(&run, &one.activation, key));
    }
    let ok = records.iter().all(|record| !matches!(record.state, RecordState::Failed | RecordState::Unknown));
    let mut all = Vec::new();
    for record in &records {
        let call = match record.job_id {
            Some(id) => db::push_job::show(&mut db, session.workspace, id).await?,
            None => None,
        };
        all.push((record, call));
    }
    if format.json {
        let shown = |(record, call): &(&Record, Option<Value>)| {
            let (line, body) = request(&one.activation, record, call.as_ref()).unzip();
            json!({"record": as_json(record), "request": line, "body": body.flatten(), "call": call})
        };
        let all = all.iter().map(shown).collect();
        say_json(&Value::Array(all));
        return told(ok);
    }
    for (record, call) in &all {
        let sent = request(&one.activation, record, call.as_ref());
        let mut table = Table::new(&[]);
        table.row(["row", &record.row_key]).row(["record", record.record_id.as_deref().unwrap_or("(none)")]);
        let line = sent.as_ref().map_or_else(|| "(nothing was sent)".to_owned(), |(line, _)| plain(line));
        table.row(["request", &line]).row(["job", &call.as_ref().map_or_else(|| "(none)".to_owned(), job)]);
        table.row(["result", result_words(record.state)]);
        if record.state == RecordState::Unchanged {
            table.row(["why", "Zendesk has all that is wanted"]);
        }
        if let Some(fault) = &record.fault {
            table.row(["why", &[fault.class.as_str(), &fault.reason].join(": ")]);
        }
        for (field, why) in record.kept.iter().flatten() {
            table.row(["kept as it is", &format!("{field}: {why}")]);
        }
        table.print();
        say("\nbefore:");
        say(plain_json(record.before.as_ref()));
        say("\nsent:");
        say(plain_json(sent.as_ref().and_then(|(_, body)| body.as_ref())));
    }
    told(ok)
}

/// Why a test has no record.
fn no_row(run: &Run, activation: &Activation, key: &str) -> anyhow::Error {
    if run.counts.withheld > 0 {
        let what = format!("{key}: nothing was sent: consent or a suppression forbids to write about the person");
        return failed(
            what,
            "deskbridge person show NUMBER tells consents; `consent` in the file is what asks for them",
        );
    }
    let what = format!("{key} has no row in activation {}: nothing was sent", activation.name);
    match &activation.rows {
        Rows::Audiences(names) if activation.target == Target::Organizations => failed(
            what,
            format!(
                "its rows are the organizations of who is in {}; the key of one is such as organization:7",
                names.join(", ")
            ),
        ),
        Rows::Audiences(names) => failed(
            what,
            format!(
                "its rows are who is in {}, or was: deskbridge audience explain AUDIENCE PERSON tells why somebody is not",
                names.join(", ")
            ),
        ),
        Rows::Query { key, .. } => failed(what, format!("its rows are told apart by column {key} of its query")),
    }
}

/// A call and what Zendesk made of it.
fn job(call: &Value) -> String {
    let text = |key: &str| call[key].as_str().unwrap_or_default();
    let job = match text("remote_job") {
        "" => "answered at once".to_owned(),
        id => format!("job {id}"),
    };
    let state = if call["ended_at"].is_null() { text("state") } else { "done" };
    [text("call"), &job, state, text("remedy")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The request that a record was sent by, alone: its line and its body. None where nothing was sent, or memberships, whose ids
/// are not kept.
fn request(activation: &Activation, record: &Record, call: Option<&Value>) -> Option<(String, Option<Value>)> {
    let call = Call::parse(call?["call"].as_str()?)?;
    push::written(call, &[send::item(activation, record)?]).ok()
}

/// JSON on lines of its own, `(none)` where there is none.
fn plain_json(value: Option<&Value>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| format!("{value:#}"))
}
