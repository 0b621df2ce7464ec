//! `source list` and `source show`.

use super::options;
use super::output::{Format, Table, distance, named, say, say_json, time, when};
use super::session::Session;
use crate::db;
use crate::model::grant::Grant;
use crate::model::source::{SELL_RETIRES, Source, SourceState};
use crate::model::stream::Checkpoint;
use crate::model::watch::Watch;
use crate::pipeline::grant::{self, Standing};
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::{Map, Value, json};

/// Lists all sources; deleted ones last.
pub async fn list(session: &Session, format: Format) -> anyhow::Result<()> {
    let now = session.ctx.clock.now();
    let mut db = session.db().await?;
    let mut sources = db::source::all(&mut db).await?;
    sources.retain(|source| source.workspace_id == session.workspace);
    sources.sort_by_key(|source| (source.state == SourceState::Deleted, source.id));
    let (mut rows, mut table) =
        (Vec::new(), Table::new(&["name", "kind", "state", "people", "last reading", "address", "problem"]));
    for source in &sources {
        let people = db::person_source::count(&mut db, source.workspace_id, source.id).await?;
        let streams = db::checkpoint::of_source(&mut db, source.id).await?;
        let last = streams.iter().filter_map(|stream| stream.caught_up_at).max();
        let problem = problem(source, &streams);
        rows.push(json!({
            "name": source.name, "title": source.title, "kind": source.kind, "state": source.state, "paused_at": source.paused_at,
            "base_url": source.base_url, "people": people, "last_reading": last, "error": problem,
        }));
        let last = last.map_or_else(|| "-".to_string(), |at| distance(at, now));
        let address = source.base_url.as_deref().unwrap_or("-");
        table.row([
            &source.name,
            &source.kind,
            state(source),
            &people.to_string(),
            &last,
            address,
            problem.as_deref().unwrap_or(""),
        ]);
    }
    match (format.json, sources.is_empty()) {
        (true, _) => say_json(&Value::Array(rows)),
        (false, true) => {
            say("There is no source yet. Connect one with: deskbridge source connect ACCOUNT (see --help)")
        }
        (false, false) => table.print(),
    }
    Ok(())
}

fn state(source: &Source) -> &'static str {
    if source.paused_at.is_some() && source.state.is_live() { "paused" } else { source.state.as_str() }
}

fn problem(source: &Source, streams: &[Checkpoint]) -> Option<String> {
    let failing: Vec<&str> =
        streams.iter().filter(|stream| stream.error.is_some()).map(|stream| stream.stream.as_str()).collect();
    match (&source.error, failing.is_empty()) {
        (Some(error), _) => Some(error.clone()),
        (None, false) => Some(format!("failing: {}", failing.join(", "))),
        (None, true) => None,
    }
}

/// What is counted of a source.
struct Tally {
    people: i64,
    organizations: i64,
    tickets: i64,
    activities: i64,
    days: Vec<(NaiveDate, i64)>,
    received: i64,
    pending: i64,
    dead_letters: i64,
}

async fn tally(session: &Session, source: &Source, now: DateTime<Utc>) -> anyhow::Result<Tally> {
    let (workspace, id) = (source.workspace_id, source.id);
    let mut db = session.db().await?;
    let first = now.date_naive() - Days::new(13);
    let since = first.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc();
    let (counted, activities) = db::tally::activities_by_day(&mut db, workspace, id, since).await?;
    let of = |day: NaiveDate| counted.iter().find(|(counted, _)| *counted == day).map_or(0, |(_, count)| *count);
    let (received, pending) = db::raw_event::counts(&mut db, workspace, id).await?;
    let letters = db::dead_letter::open_counts(&mut db, workspace).await?;
    Ok(Tally {
        people: db::person_source::count(&mut db, workspace, id).await?,
        organizations: db::organization::count(&mut db, workspace, id).await?,
        tickets: db::ticket::count(&mut db, workspace, id).await?,
        activities,
        days: first.iter_days().take(14).map(|day| (day, of(day))).collect(),
        received,
        pending,
        dead_letters: letters.iter().find(|(source, _)| *source == id).map_or(0, |(_, count)| *count),
    })
}

/// Shows one source.
pub async fn show(session: &Session, name: &str, format: Format) -> anyhow::Result<()> {
    let source = session.source(name).await?;
    let now = session.ctx.clock.now();
    let streams = db::checkpoint::of_source(&mut *session.db().await?, source.id).await?;
    let watch = db::webhook_watch::get(&mut *session.db().await?, source.id).await?;
    let tally = tally(session, &source, now).await?;
    if format.json {
        let mut told = as_json(&source, &streams, watch.as_ref(), &tally);
        if let Some(found) = grant::of(&session.ctx, &source).await? {
            told["sign_in"] = json!({
                "granted_at": found.granted_at, "renew_at": found.renew_at, "access_expires_at": found.access_expires_at,
                "refresh_expires_at": found.refresh_expires_at, "failures": found.failures, "error": found.error,
                "needs_reconnect": matches!(
                    grant::standing(&found, grant::warning_time(&session.ctx), now), Standing::NeedsReconnect(_)),
            });
        }
        say_json(&told);
        return Ok(());
    }
    head(&source, watch.as_ref(), &tally, now);
    if let Some(grant) = grant::of(&session.ctx, &source).await? {
        print_grant(session, &source.name, &grant);
    }
    let changed = options::changed(&source.settings);
    if !changed.is_empty() {
        say("\noptions that differ from the defaults");
        let mut table = Table::new(&[]);
        for (key, value) in changed {
            table.row([format!("  {key}"), value]);
        }
        table.print();
    }
    if !streams.is_empty() {
        print_streams(&source.name, &streams, now);
    }
    if tally.activities > 0 {
        print_days(&tally.days);
    }
    Ok(())
}

fn head(source: &Source, watch: Option<&Watch>, tally: &Tally, now: DateTime<Utc>) {
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| _ = table.row([name.to_string(), value]);
    line("name", source.name.clone());
    line("title", source.title.clone());
    line("kind", source.kind.clone());
    line("address", source.base_url.clone().unwrap_or_else(|| "-".into()));
    line("state", state(source).to_string());
    if let Some(at) = source.paused_at {
        line("paused", when(at, now));
    }
    if let Some(at) = source.connected_at {
        line("connected", when(at, now));
    }
    if source.is_support() {
        let webhook = match (source.webhook_id.as_deref(), &source.webhook_secret) {
            (Some("manual"), Some(_)) => "set up by hand".to_string(),
            (Some(id), Some(_)) => format!("{id} in Zendesk"),
            _ => format!("none yet: webhooks are refused; run deskbridge source reconnect {}", source.name),
        };
        line("webhook", webhook);
    }
    if source.is_sell() {
        line("remark", SELL_RETIRES.to_string());
        if let Some(error) = &source.error {
            line("error", error.clone());
            line("what to do", named(source.remedy.as_deref().unwrap_or_default(), &source.name));
        }
        return table.print();
    }
    for (name, value) in watch.map(|watch| webhook_lines(watch, &source.name, now)).unwrap_or_default() {
        line(name, value);
    }
    if let Some(error) = &source.error {
        line("error", error.clone());
        line("what to do", named(source.remedy.as_deref().unwrap_or_default(), &source.name));
        line("failing since", source.failing_since.map_or_else(String::new, |at| when(at, now)));
    }
    line(
        "records",
        format!("{} people, {} organizations, {} tickets", tally.people, tally.organizations, tally.tickets),
    );
    line("activities", tally.activities.to_string());
    line("webhooks", format!("{} received, {} pending", tally.received, tally.pending));
    let hint = if tally.dead_letters > 0 {
        format!(" (deskbridge dead-letter list --source {})", source.name)
    } else {
        String::new()
    };
    line("dead letters", format!("{}{hint}", tally.dead_letters));
    table.print();
}

fn print_grant(session: &Session, source: &str, found: &Grant) {
    let now = session.ctx.clock.now();
    let mut table = Table::new(&[]);
    let again = format!("deskbridge source reconnect {source} --again");
    let (state, todo) = match grant::standing(found, grant::warning_time(&session.ctx), now) {
        Standing::Good => ("good".to_string(), None),
        Standing::Failing(error) => (format!("could not be renewed: {error}"), Some("it is tried again".to_string())),
        Standing::EndsSoon(_, error) => (format!("ends soon and cannot be renewed: {error}"), Some(again)),
        Standing::NeedsReconnect(error) => (format!("needs reconnect: {error}"), Some(again)),
    };
    let lines = [
        ("signed in", when(found.granted_at, now)),
        (
            "access token",
            format!("ends {}, is renewed {}", when(found.access_expires_at, now), when(found.renew_at, now)),
        ),
        ("refresh token", format!("ends {}", when(found.refresh_expires_at, now))),
        ("state", state),
    ];
    for (name, value) in lines.into_iter().chain(todo.map(|todo| ("what to do", todo))) {
        table.row([format!("  {name}"), value]);
    }
    say("\nsign-in by browser");
    table.print();
}

/// What is known of the webhook from the last look at it.
fn webhook_lines(watch: &Watch, source: &str, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(at) = watch.checked_at {
        let counts = format!("{} arrived, {} failed, {} held back", watch.arrived, watch.failed, watch.held);
        lines.push(("  looked at", format!("{}; by Zendesk's log {counts}", distance(at, now))));
    }
    if let (Some(what), Some(at)) = (&watch.repaired, watch.repaired_at) {
        lines.push(("  repaired", format!("{}: {}", when(at, now), super::output::plain(what))));
    }
    if let (Some(problem), Some(since)) = (&watch.problem, watch.since) {
        lines.push(("  problem", format!("{} (since {})", super::output::plain(problem), when(since, now))));
        lines.push(("  what to do", named(watch.remedy.as_deref().unwrap_or_default(), source)));
    }
    lines
}

fn print_streams(source: &str, streams: &[Checkpoint], now: DateTime<Utc>) {
    say("");
    let mut table = Table::new(&["stream", "read through", "last reading", "next", "state"]);
    for stream in streams {
        let at = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_string(), |at| distance(at, now));
        let next = match stream.due_at {
            None => "not read".to_string(),
            Some(at) if at <= now => "due".to_string(),
            Some(at) => distance(at, now),
        };
        let state = match (&stream.error, stream.first_caught_up_at) {
            (Some(_), _) => format!("failed {}", super::output::count(stream.failures, "time", "times")),
            (None, None) if stream.due_at.is_some() => "first pass".to_string(),
            (None, _) => "ok".to_string(),
        };
        let through = stream.read_through.map_or_else(|| "-".to_string(), time);
        table.row([stream.stream.as_str(), &through, &at(stream.caught_up_at), &next, &state]);
    }
    table.print();
    for stream in streams {
        if let Some(error) = &stream.error {
            say(format_args!("\n{}: {}", stream.stream.as_str(), super::output::plain(error)));
            say(format_args!("  what to do: {}", named(stream.remedy.as_deref().unwrap_or("see the log"), source)));
        }
    }
}

fn print_days(days: &[(NaiveDate, i64)]) {
    const WIDTH: i64 = 40;
    say("\nactivities of the last 14 days");
    let most = days.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let mut table = Table::new(&[]);
    for (day, count) in days {
        let bar = "#".repeat(((count * WIDTH + most - 1) / most) as usize);
        table.row([format!("  {day}"), format!("{count:>7}"), bar]);
    }
    table.print();
}

fn as_json(source: &Source, streams: &[Checkpoint], watch: Option<&Watch>, tally: &Tally) -> Value {
    let streams: Vec<Value> = streams
        .iter()
        .map(|stream| {
            json!({
                "stream": stream.stream, "read_through": stream.read_through, "last_reading": stream.caught_up_at,
                "first_reading": stream.first_caught_up_at, "next": stream.due_at, "page_size": stream.page_size,
                "failures": stream.failures, "error": stream.error, "remedy": stream.remedy,
            })
        })
        .collect();
    let days: Map<String, Value> = tally.days.iter().map(|(day, count)| (day.to_string(), json!(count))).collect();
    let changed: Map<String, Value> =
        options::changed(&source.settings).into_iter().map(|(key, value)| (key, Value::String(value))).collect();
    let webhook = watch.map(|watch| {
        json!({
            "checked_at": watch.checked_at, "problem": watch.problem, "remedy": watch.remedy, "since": watch.since,
            "repaired": watch.repaired, "repaired_at": watch.repaired_at, "arrived": watch.arrived, "failed": watch.failed,
            "held_back": watch.held, "recovered": watch.recovered,
        })
    });
    json!({
        "name": source.name, "title": source.title, "kind": source.kind, "base_url": source.base_url, "state": source.state,
        "webhook": webhook, "paused_at": source.paused_at, "connected_at": source.connected_at, "created_at": source.created_at, "webhook_id": source.webhook_id,
        "error": source.error, "remedy": source.remedy, "failing_since": source.failing_since,
        "settings": source.settings, "changed_settings": changed, "streams": streams,
        "people": tally.people, "organizations": tally.organizations, "tickets": tally.tickets, "activities": tally.activities,
        "activities_by_day": days, "webhooks_received": tally.received, "webhooks_pending": tally.pending, "dead_letters": tally.dead_letters,
    })
}
