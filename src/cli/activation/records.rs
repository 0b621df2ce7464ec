//! `activation records`, and the records of plans and tests: what was, what is sent, what became of it.

use crate::cli::error::usage;
use crate::cli::output::{Format, Table, note, plain, say, say_json};
use crate::cli::session::{Session, told};
use crate::db;
use crate::db::push_record::{Record, Which};
use crate::db::push_run::Run;
use crate::model::activation::Activation;
use crate::model::push::{RecordState, Remote};
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
    let keys = control::keys_of(&mut db, session.workspace, args.key.as_deref()).await?;
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
        _ if shown == 0 => say("There is no such record."),
        _ => table.print(),
    }
    if more {
        note(format_args!("There are more: --limit N, or all with --csv or --json."));
    }
    if shown == 0 && args.key.is_some() {
        return Err(usage(
            format!("run {} has no such record", run.id),
            "rows that need no change are counted, not stored",
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
pub async fn planned(session: &Session, run: &Run, format: Format) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let (mut after, mut left) = (0, if format.json { usize::MAX } else { SHOWN });
    let (mut table, mut rows) = (Table::new(&["row", "record", "field", "before", "after"]), Vec::new());
    loop {
        let page = db::push_record::page(&mut db, session.workspace, run.id, &Which::default(), after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        if format.json {
            rows.extend(page.iter().map(as_json));
            continue;
        }
        for record in page.iter().take(left) {
            lines(record, &mut table);
        }
        left = left.saturating_sub(page.len());
        if left == 0 {
            break;
        }
    }
    if format.json {
        say_json(&json!({
            "plan": run.id, "state": run.state.as_str(), "asks": run.asks, "looked_at": run.counts.looked_at,
            "as_last_given": run.counts.same, "would_change": run.counts.would_change, "would_clear": run.counts.would_clear,
            "would_create": run.counts.would_create, "records": rows,
        }));
        return Ok(());
    }
    if run.counts.would_change + run.counts.would_create > 0 || after > 0 {
        table.print();
        say("");
    }
    if left == 0 {
        note(format_args!("Not all are shown: deskbridge activation records {} --csv\n", run.id));
    }
    Ok(())
}

fn lines(record: &Record, table: &mut Table) {
    let id = record.record_id.clone().unwrap_or_else(|| "(new)".to_owned());
    if let Some(fault) = &record.fault {
        let field = fault.field.clone().unwrap_or_default();
        table.row([record.row_key.clone(), id, field, record.state.as_str().to_owned(), fault.reason.clone()]);
        return;
    }
    let Some(changes) = &record.changes else { return };
    let was = before(record).unwrap_or_default();
    let none = Value::Null;
    let mut line = |field: &str, before: String, after: String| {
        table.row([record.row_key.clone(), id.clone(), field.to_owned(), before, after]);
    };
    for (field, value) in &changes.values {
        line(field, short(was.values.get(field).unwrap_or(&none)), short(value));
    }
    for tag in &changes.add_tags {
        line("tag", String::new(), tag.clone());
    }
    for tag in &changes.remove_tags {
        line("tag", tag.clone(), String::new());
    }
    for organization in &changes.join {
        line("organization", String::new(), organization.clone());
    }
    for organization in &changes.leave {
        line("organization", organization.clone(), String::new());
    }
}

/// Shows what a test sent, its job and its result.
pub async fn tested(session: &Session, run: &Run, format: Format) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let records = db::push_record::page(&mut db, session.workspace, run.id, &Which::default(), 0, PAGE).await?;
    if records.is_empty() {
        return Err(usage(
            "no row has that key",
            "give the number or address of a person who is in it, or the key of a row, such as organization:7",
        ));
    }
    let ok = records.iter().all(|record| !matches!(record.state, RecordState::Failed | RecordState::Unknown));
    let one = control::find(&mut db, session.workspace, run.id).await?.1;
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
        let text = |key: &str| call.as_ref().and_then(|call| call[key].as_str()).unwrap_or("(none)").to_owned();
        table.row(["request", &sent.as_ref().map_or_else(|| "(none)".to_owned(), |(line, _)| plain(line))]);
        table.row(["job", &text("remote_job")]).row(["result", record.state.as_str()]);
        if let Some(fault) = &record.fault {
            table.row(["why", &fault.reason]);
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
