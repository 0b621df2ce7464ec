//! What a run did: stages with counts and rates.

use super::adoption;
use crate::cli::output::{Format, Table, distance, plain, say, say_json, time};
use crate::cli::session::{Session, told};
use crate::db;
use crate::db::push_run::Run;
use crate::model::push::{RecordState, RunKind, RunState};
use crate::pipeline::activate::control;
use crate::rules::activation::stage;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// What a run counted, by state, and by state and class of fault.
struct Counts {
    states: BTreeMap<String, i64>,
    classes: BTreeMap<String, BTreeMap<String, i64>>,
    sent: i64,
}

impl Counts {
    /// Whether applying a plan would send something.
    fn sendable(&self) -> bool {
        ["planned", "read"].iter().any(|state| self.states.contains_key(*state))
    }
}

async fn counts(db: &mut PgConnection, run: &Run) -> anyhow::Result<Counts> {
    let mut counts = Counts { states: BTreeMap::new(), classes: BTreeMap::new(), sent: 0 };
    for (state, class, number) in db::push_tally::counts(db, run.workspace_id, run.id).await? {
        *counts.states.entry(state.clone()).or_default() += number;
        if let Some(class) = class {
            counts.classes.entry(state).or_default().insert(class, number);
        }
    }
    counts.sent = db::push_tally::tried(db, run.workspace_id, run.id).await?.2;
    Ok(counts)
}

/// A number a second, of a stage that lasted from one time to another.
fn rate(number: i64, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<f64> {
    let seconds = (to - from).as_seconds_f64();
    (number > 0 && seconds > 0.0).then(|| (number as f64 / seconds * 10.0).round() / 10.0)
}

/// One line about a run that is going on.
pub async fn progress(db: &mut PgConnection, run: &Run) -> anyhow::Result<String> {
    let counts = counts(db, run).await?;
    let of = |state: RecordState| counts.states.get(state.as_str()).copied().unwrap_or(0);
    let open = of(RecordState::Planned) + of(RecordState::Read) + of(RecordState::Sent);
    let all: i64 = counts.states.values().sum();
    Ok(match run.state {
        RunState::Planning => format!("run {}: {} rows looked at, {all} differ", run.id, run.counts.looked_at),
        RunState::Reading => format!("run {}: {} of {all} records read", run.id, all - of(RecordState::Planned)),
        _ => format!("run {}: {} of {all} records have their result", run.id, all - open),
    })
}

/// How the records of a run stand, in a line.
pub async fn in_words(db: &mut PgConnection, run: &Run) -> anyhow::Result<String> {
    let counts = counts(db, run).await?;
    let states = RecordState::ALL.into_iter().filter_map(|state| {
        let number = counts.states.get(state.as_str())?;
        Some(format!("{number} {}", result_words(state)))
    });
    let words = states.collect::<Vec<_>>().join(", ");
    Ok(if words.is_empty() { "it has no records".to_owned() } else { words })
}

/// Reports a run; exit code 1 when it failed or something of it did.
pub async fn run(session: &Session, run: &Run, format: Format) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let (run, one) = control::find(&mut db, session.workspace, run.id).await?;
    let counts = counts(&mut db, &run).await?;
    let now = session.ctx.clock.now();
    let bad = ["failed", "unknown"].iter().any(|state| counts.states.contains_key(*state));
    let ok = !bad && !matches!(run.state, RunState::Failed);
    let adoption = adoption::of(&mut db, &run).await?;
    if format.json {
        say_json(&as_json(&run, &one.name, &counts, now));
        return told(ok);
    }
    let (planned_at, ended_at) = (run.planned_at.unwrap_or(now), run.ended_at.unwrap_or(now));
    let mut head = Table::new(&[]);
    head.row(["run", &run.id.to_string()]).row(["activation", &one.name]).row(["kind", run.kind.as_str()]);
    head.row(["state", state_words(run.state)]);
    if let Some(asks) = &run.asks {
        // A plan that is applied has its yes.
        head.row([if run.kind == RunKind::Plan { "beyond its guards" } else { "asks" }, asks]);
    }
    if let Some(error) = &run.error {
        head.row(["why", error]);
    }
    if run.stage < stage::ALL && run.asks.is_none() {
        let goes = if run.state == RunState::Planned { "would go to" } else { "sent to" };
        head.row([goes, stage::words(run.stage)]);
    }
    head.row(["began", &time(run.started_at)]);
    head.row(["took", &distance(run.started_at, ended_at).replace(" ago", "").replace("now", "less than 2 s")]);
    head.print();
    say("");
    let mut table = Table::new(&["stage", "records", "a second"]);
    let mut line = |words: &str, number: i64, rate: Option<f64>| {
        table.row([words.to_owned(), number.to_string(), rate.map(|rate| format!("{rate:.1}")).unwrap_or_default()]);
    };
    let looked_at = run.counts.looked_at as i64;
    line("looked at", looked_at, rate(looked_at, run.started_at, planned_at));
    line("as last given", run.counts.same as i64, None);
    if run.counts.withheld > 0 {
        line("withheld by consent", run.counts.withheld as i64, None);
    }
    line("differ", counts.states.values().sum(), None);
    line("sent", counts.sent, rate(counts.sent, planned_at, ended_at));
    for state in RecordState::ALL {
        if let Some(number) = counts.states.get(state.as_str()) {
            line(result_words(state), *number, None);
            for (class, number) in counts.classes.get(state.as_str()).into_iter().flatten() {
                line(&format!("  {}", plain(class)), *number, None);
            }
        }
    }
    table.print();
    adoption::print(&adoption, &run, &one.activation.key.by);
    next_step(&run, &one.name, bad, &counts);
    told(ok)
}

/// What may be done with a run now.
fn next_step(run: &Run, name: &str, bad: bool, counts: &Counts) {
    let id = run.id;
    match run.state {
        RunState::Waiting => say(format_args!(
            "\nLet it go on: deskbridge activation approve {id}\nEnd it: deskbridge activation stop {id}"
        )),
        RunState::Planned if counts.sendable() => say(format_args!(
            "\nSend it: deskbridge activation apply {id}\nLook closer: deskbridge activation records {id}"
        )),
        RunState::Planned if bad => say(format_args!(
            "\nNothing can be sent. Why: deskbridge activation records {id} --state failed\nOnce mended: deskbridge activation plan {name}"
        )),
        RunState::Planned => say("\nNothing is to be sent: Zendesk has what is wanted."),
        _ if bad => say(format_args!(
            "\nWhy: deskbridge activation records {id} --state failed\nOnce mended: deskbridge activation retry {id}"
        )),
        RunState::Done if matches!(run.kind, RunKind::Run | RunKind::Plan) && counts.sent > 0 => say(format_args!(
            "\nWhat became of each: deskbridge activation records {id}\nGive back what it replaced: deskbridge activation undo {id}"
        )),
        RunState::Stopped => {
            say(format_args!("\nLook at all its rows anew, and send: deskbridge activation restart {id}"))
        }
        RunState::Done if run.kind == RunKind::Undo => say(format_args!(
            "\nActivation {name} is paused, so that it does not write the same again: deskbridge activation resume {name}"
        )),
        _ => {}
    }
}

/// What a record's state means for who reads it.
pub fn result_words(state: RecordState) -> &'static str {
    match state {
        RecordState::Planned => "to be sent",
        RecordState::Read => "would change",
        RecordState::Sent => "under way",
        RecordState::Created => "created",
        RecordState::Updated => "updated",
        RecordState::Unchanged => "unchanged in Zendesk",
        RecordState::Failed => "failed",
        RecordState::Unknown => "unknown",
        RecordState::Skipped => "skipped",
    }
}

fn as_json(run: &Run, activation: &str, counts: &Counts, now: DateTime<Utc>) -> Value {
    let (planned_at, ended_at) = (run.planned_at.unwrap_or(now), run.ended_at.unwrap_or(now));
    let mut states: BTreeMap<&str, i64> = RecordState::ALL.map(|state| (state.as_str(), 0)).into();
    for (state, number) in &counts.states {
        states.insert(state, *number);
    }
    json!({
        "run": run.id, "activation": activation, "kind": run.kind.as_str(), "state": run.state.as_str(), "stage": run.stage,
        "asks": run.asks, "error": run.error, "started_at": run.started_at, "planned_at": run.planned_at, "ended_at": run.ended_at,
        "seconds": (ended_at - run.started_at).as_seconds_f64(), "looked_at": run.counts.looked_at, "as_last_given": run.counts.same,
        "withheld": run.counts.withheld, "sent": counts.sent, "records": states, "classes": counts.classes,
        "adoption": run.counts.adoption,
        "looked_at_per_second": rate(run.counts.looked_at as i64, run.started_at, planned_at),
        "sent_per_second": rate(counts.sent, planned_at, ended_at),
    })
}

/// Lists runs.
pub async fn list(session: &Session, runs: &[Run], format: Format) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let now = session.ctx.clock.now();
    let names: BTreeMap<i64, String> =
        db::activation::all(&mut db, session.workspace).await?.into_iter().map(|row| (row.id, row.name)).collect();
    let name = |run: &Run| names.get(&run.activation_id).cloned().unwrap_or_default();
    let headings =
        ["run", "activation", "kind", "state", "began", "looked at", "created", "updated", "failed", "unknown", "asks"];
    let (mut table, mut rows) = (Table::new(&headings), Vec::new());
    for run in runs {
        let counts = counts(&mut db, run).await?;
        let of = |state: &str| counts.states.get(state).copied().unwrap_or(0).to_string();
        table.row([
            run.id.to_string(),
            name(run),
            run.kind.as_str().to_owned(),
            short_state(run).to_owned(),
            distance(run.started_at, now),
            run.counts.looked_at.to_string(),
            of("created"),
            of("updated"),
            of("failed"),
            of("unknown"),
            run.asks.clone().or(run.error.clone()).unwrap_or_default(),
        ]);
        rows.push(as_json(run, &name(run), &counts, now));
    }
    match format.json {
        true => say_json(&Value::Array(rows)),
        false if runs.is_empty() => say("There is no run yet: deskbridge activation plan NAME"),
        false => table.print(),
    }
    Ok(())
}

/// A run's state in a table: that of what changes is open for an hour, whether something is sent or not.
pub fn short_state(run: &Run) -> &'static str {
    match (run.kind, run.state) {
        (RunKind::Always, RunState::Sending) => "open",
        (_, state) => state.as_str(),
    }
}

/// What a run's state means for who reads it.
pub fn state_words(state: RunState) -> &'static str {
    match state {
        RunState::Planning => "looks at rows",
        RunState::Reading => "reads what Zendesk has",
        RunState::Planned => "waits to be applied",
        RunState::Waiting => "asks",
        RunState::Sending => "sends",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::Stopped => "stopped",
    }
}
