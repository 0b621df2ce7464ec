//! What `activation list` and `show` print.

use super::report;
use crate::cli::output::{Format, Table, count, plain, say, say_json, time, when};
use crate::cli::session::Session;
use crate::db;
use crate::db::activation::Standing;
use crate::model::activation::Target;
use crate::model::push::RunState;
use crate::model::source::{SELL_RETIRES, Source, SourceState};
use crate::pipeline::activate::stored::{self, Stored};
use crate::rules::activation::compare;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// How to print.
#[derive(Debug, clap::Args)]
pub struct Only {
    #[command(flatten)]
    format: Format,
}

/// An activation.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Name of the activation.
    pub name: String,
    /// How to print.
    #[command(flatten)]
    pub format: Format,
}

/// An activation, its source, and how both stand.
struct Told {
    stored: Stored,
    standing: Standing,
    source: Option<Source>,
}

impl Told {
    /// In a word or two.
    fn state(&self) -> &'static str {
        let last = self.standing.last_state.as_deref().and_then(RunState::parse);
        // The run of what changes is always open.
        let running = self.standing.last_kind.as_deref() != Some("always") && last.is_some_and(RunState::is_active);
        let when = &self.stored.activation.when;
        match () {
            () if self.stored.paused_at.is_some() => "paused",
            () if self.blocked().is_some() => "stopped",
            () if self.stored.trouble.is_some() => "failing",
            () if self.standing.waiting_run.is_some() => "asks",
            () if running => "running",
            () if when.always || when.cron.is_some() || when.after_sync => "on",
            () => "by command",
        }
    }

    /// Why its source takes nothing, and what to do.
    fn blocked(&self) -> Option<(String, String)> {
        let Some(source) = &self.source else {
            return Some(("its source is gone".into(), "delete the activation".into()));
        };
        let name = &source.name;
        match source.state {
            _ if source.paused_at.is_some() => {
                Some((format!("source {name} is paused"), format!("deskbridge source resume {name}")))
            }
            SourceState::Disconnected | SourceState::Archived | SourceState::Deleted => Some((
                format!("source {name} is {}", source.state.as_str()),
                format!("deskbridge source reconnect {name}"),
            )),
            _ => None,
        }
    }

    /// What is wrong with it and what to do, most pressing first.
    fn problems(&self) -> Vec<(String, String)> {
        let name = &self.stored.name;
        let trouble = self.stored.trouble.as_ref().map(|trouble| (trouble.error.clone(), trouble.remedy.clone()));
        let asks = self.standing.waiting_run.map(|run| {
            let asks = self.standing.asks.clone().unwrap_or_default();
            (format!("run {run} waits: {asks}"), format!("deskbridge activation approve {run}, or stop {run}"))
        });
        let paused = self
            .stored
            .paused_at
            .map(|_| ("it is paused".to_owned(), format!("deskbridge activation resume {name} lets it go on")));
        self.blocked().into_iter().chain(trouble).chain(asks).chain(paused).collect()
    }

    /// Until when nothing is tried for it.
    fn waits_until(&self, now: DateTime<Utc>) -> Option<String> {
        self.stored.held_until.filter(|until| *until > now).map(|until| when(until, now))
    }

    fn remark(&self) -> Option<&'static str> {
        (self.stored.activation.target == Target::SellContacts).then_some(SELL_RETIRES)
    }

    /// As JSON.
    fn json(&self) -> Value {
        let (stored, standing, activation) = (&self.stored, &self.standing, &self.stored.activation);
        let problems: Vec<Value> =
            self.problems().into_iter().map(|(what, todo)| json!({"what": what, "what_to_do": todo})).collect();
        let last_run = standing.last_run.map(|run| {
            json!({
                "run": run, "kind": standing.last_kind, "state": standing.last_state, "started_at": standing.last_started_at,
                "ended_at": standing.last_ended_at, "counts": standing.last_counts, "error": standing.last_error,
            })
        });
        json!({
            "name": stored.name, "title": activation.title, "source": activation.source,
            "target": activation.target.as_str(), "state": self.state(), "stage": stored.stage,
            "paused_at": stored.paused_at, "waits_until": stored.held_until, "failing_since": stored.trouble.as_ref().and_then(|trouble| trouble.since), "next_run_at": stored.next_at, "replan_at": stored.replan_at,
            "delivered": standing.delivered, "on_the_way": standing.on_the_way, "due": standing.due,
            "last_run": last_run, "waiting_run": standing.waiting_run, "asks": standing.asks, "problems": problems,
            "remark": self.remark(), "needs": stored.needs, "definition": activation.written,
            "created_at": stored.created_at, "updated_at": stored.updated_at,
        })
    }
}

/// All activations, or the one of that name.
async fn told(session: &Session, name: Option<&str>) -> anyhow::Result<Vec<Told>> {
    let mut db = session.db().await?;
    let all = match name {
        Some(name) => vec![stored::find(&mut db, session.workspace, name).await?],
        None => stored::all(&mut db, session.workspace).await?,
    };
    let one = name.and_then(|_| all.first()).map(|one| one.id);
    let standings = db::activation::standings(&mut db, session.workspace, one).await?;
    let mut told = Vec::new();
    for stored in all {
        let standing = standings.iter().find(|standing| standing.activation_id == stored.id).cloned();
        let source = db::source::get(&mut db, stored.source_id).await?;
        told.push(Told { stored, standing: standing.unwrap_or_default(), source });
    }
    Ok(told)
}

/// Lists the activations.
pub async fn list(session: &Session, args: &Only) -> anyhow::Result<()> {
    let all = told(session, None).await?;
    if args.format.json {
        say_json(&Value::Array(all.iter().map(Told::json).collect()));
        return Ok(());
    }
    if all.is_empty() {
        say("There is no activation yet: deskbridge activation apply -f FILE");
        return Ok(());
    }
    let now = session.ctx.clock.now();
    let mut table = Table::new(&["name", "source", "target", "state", "delivered", "on the way", "last run", "title"]);
    for one in &all {
        let activation = &one.stored.activation;
        table.row([
            one.stored.name.clone(),
            activation.source.clone(),
            activation.target.as_str().to_owned(),
            one.state().to_owned(),
            one.standing.delivered.to_string(),
            one.standing.on_the_way.to_string(),
            one.standing.last_started_at.map_or_else(|| "-".to_owned(), time),
            activation.title.clone(),
        ]);
    }
    table.print();
    for one in &all {
        for (what, todo) in one.problems() {
            say(format_args!("\n{}: {}\nwhat to do: {}", one.stored.name, plain(&what), plain(&todo)));
        }
        if let Some(until) = one.waits_until(now) {
            say(format_args!("waits until: {until}"));
        }
    }
    Ok(())
}

/// Shows an activation.
pub async fn show(session: &Session, name: &str, format: Format) -> anyhow::Result<()> {
    let all = told(session, Some(name)).await?;
    let Some(one) = all.first() else { return Ok(()) };
    if format.json {
        say_json(&one.json());
        return Ok(());
    }
    print_standing(session, one);
    let activation = &one.stored.activation;
    let points = compare::points(activation);
    let (mapped, other): (Vec<_>, Vec<_>) =
        points.iter().partition(|(what, _)| what.starts_with("map to ") || what.starts_with("tag "));
    let mut table = Table::new(&[]);
    other.iter().filter(|(what, _)| !["title", "source", "target"].contains(&what.as_str())).for_each(|point| {
        table.row([&point.0, &point.1]);
    });
    table.print();
    say("");
    let mut table = Table::new(&["to", "what it gets"]);
    for (what, said) in mapped {
        table.row([what.strip_prefix("map to ").unwrap_or(what), said.as_str()]);
    }
    table.print();
    for (what, todo) in one.problems() {
        say(format_args!("\n{}\nwhat to do: {}", plain(&what), plain(&todo)));
    }
    if let Some(remark) = one.remark() {
        say(format_args!("\n{remark}."));
    }
    Ok(())
}

fn print_standing(session: &Session, one: &Told) {
    let now = session.ctx.clock.now();
    let (stored, standing, activation) = (&one.stored, &one.standing, &one.stored.activation);
    let mut table = Table::new(&[]);
    table.row(["name", &stored.name]).row(["title", &activation.title]);
    table.row(["source", &activation.source]).row(["target", activation.target.as_str()]);
    table.row(["state", one.state()]);
    let stage = ["nothing yet", "one record", "ten records", "one record in a hundred", "all"];
    table.row(["rolled out to", stage.get(stored.stage as usize).copied().unwrap_or("all")]);
    let next = stored.next_at.filter(|_| stored.paused_at.is_none()).map(|at| when(at, now));
    table.row(["next run", next.as_deref().unwrap_or("-")]);
    if let Some(since) = stored.trouble.as_ref().and_then(|trouble| trouble.since) {
        table.row(["failing since", &when(since, now)]);
    }
    if let Some(until) = one.waits_until(now) {
        table.row(["waits until", &until]);
    }
    let delivered = count(standing.delivered, "row", "rows");
    table.row(["delivered", &format!("{delivered}, {} on the way", standing.on_the_way)]);
    table.row(["changed, to be delivered", &count(standing.due, "person", "people")]);
    let last = standing.last_run.map(|run| {
        let kind = standing.last_kind.as_deref().unwrap_or_default();
        let state = standing.last_state.as_deref().and_then(RunState::parse).map_or("?", report::state_words);
        let state = if kind == "always" && state == report::state_words(RunState::Sending) { "open" } else { state };
        let began = standing.last_started_at.map(|at| when(at, now)).unwrap_or_default();
        let error = standing.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        format!("{run} ({kind}): {state}{error}; began {began}")
    });
    table.row(["last run", last.as_deref().unwrap_or("none yet")]);
    if let Some(counts) = standing.last_counts.as_ref().and_then(Value::as_object) {
        let counts: Vec<String> = counts
            .iter()
            .filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0))
            .map(|(what, count)| format!("{} {count}", what.replace('_', " ")))
            .collect();
        if !counts.is_empty() {
            table.row(["its counts", &counts.join(", ")]);
        }
    }
    table.print();
}
