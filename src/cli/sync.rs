//! `sync`: reads a source now, beside any daemon, and shows how it goes.

use super::error::{failed, usage};
use super::output::{Format, Table, named, plain, say, say_json, time};
use super::session::{self, Globals, Log, Session, told};
use crate::app;
use crate::db;
use crate::model::source::Source;
use crate::model::stream::{Checkpoint, Stream};
use crate::pipeline::context::Context;
use crate::pipeline::lifecycle;
use crate::worker;
use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// `deskbridge sync`.
#[derive(Debug, clap::Args)]
pub struct Sync {
    /// Name of the source.
    source: String,
    /// Read this stream only; may be repeated.
    #[arg(long = "stream", value_name = "STREAM", value_parser = parse_stream)]
    streams: Vec<Stream>,
    #[command(flatten)]
    format: Format,
}

fn parse_stream(text: &str) -> Result<Stream, String> {
    let names = || Stream::ALL.map(Stream::as_str).join(", ");
    Stream::parse(text).ok_or_else(|| format!("streams are {}", names()))
}

/// How a stream has fared since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Running,
    Done,
    Failed,
}

fn fate(stream: &Checkpoint, started: DateTime<Utc>) -> Fate {
    if stream.caught_up_at.is_some_and(|at| at >= started) {
        return Fate::Done;
    }
    // A failure sets the next try into the future; until then a stream that we made due is due.
    match stream.error.is_some() && stream.due_at.is_some_and(|at| at > started) {
        true => Fate::Failed,
        false => Fate::Running,
    }
}

/// Syncs a source.
pub async fn run(globals: &Globals, args: &Sync) -> anyhow::Result<()> {
    let on_terminal = stdout().is_terminal() && !args.format.json;
    let log = match (args.format.json, on_terminal) {
        (true, _) => Log::Beside,
        (false, true) => Log::Silent,
        (false, false) => Log::Main,
    };
    let session = session::open(globals, log).await?;
    let source = session.source(&args.source).await?;
    if source.paused_at.is_some() {
        return Err(failed(
            format!("source {} is paused", source.name),
            format!("run deskbridge source resume {} first", source.name),
        ));
    }
    let streams = wanted(&source, &args.streams)?;
    let started = session.ctx.clock.now();
    lifecycle::make_due(&session.ctx, &source, &streams).await?;
    let working = tokio::spawn(worker::run(helper(&session.ctx), Arc::new(Notify::new())));
    let mut progress = Progress::new(&streams, on_terminal);
    let watched = tokio::select! {
        watched = watch(&session, &source, &streams, started, &mut progress) => watched,
        () = app::signal() => Err(failed("stopped by a signal", "nothing: what was read is kept, and the next sync goes on from there")),
    };
    session.ctx.stop.cancel();
    _ = working.await;
    progress.end();
    watched?;
    summary(&session, &source, &streams, started, args.format).await
}

/// The streams to read: all that are not left out, or those that were named.
fn wanted(source: &Source, named: &[Stream]) -> anyhow::Result<Vec<Stream>> {
    let skipped = &source.settings.skip_streams;
    if let Some(stream) = named.iter().find(|stream| skipped.contains(stream)) {
        return Err(usage(
            format!("source {} does not read {}", source.name, stream.as_str()),
            format!("take it off skip_streams first: deskbridge source set {} skip_streams=…", source.name),
        ));
    }
    let is_wanted = |stream: &Stream| !skipped.contains(stream) && (named.is_empty() || named.contains(stream));
    Ok(Stream::ALL.into_iter().filter(is_wanted).collect())
}

/// The context of a worker that looks for jobs often and stops soon.
pub(super) fn helper(ctx: &Context) -> Context {
    let mut settings = (*ctx.settings).clone();
    settings.worker.poll_interval_ms = 200;
    settings.shutdown.grace_secs = 5;
    let mut helper = ctx.clone();
    helper.settings = Arc::new(settings);
    helper
}

/// Looks at the checkpoints until every stream was read to its end or failed.
async fn watch(
    session: &Session,
    source: &Source,
    streams: &[Stream],
    started: DateTime<Utc>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    loop {
        let all = checkpoints(session, source, streams).await?;
        progress.show(&all, started, session.ctx.clock.now());
        let unfinished: Vec<Stream> =
            all.iter().filter(|stream| fate(stream, started) == Fate::Running).map(|stream| stream.stream).collect();
        if unfinished.is_empty() {
            return Ok(());
        }
        let present = session.source(&source.name).await?;
        if !present.state.is_live() || present.paused_at.is_some() {
            return Err(failed(
                format!("source {} was stopped in the meantime", source.name),
                format!("see deskbridge source show {}", source.name),
            ));
        }
        give_up(session, source, &unfinished).await?;
        // Streams that wait for the first pass of others look again only after some seconds.
        lifecycle::make_due(&session.ctx, &present, &unfinished).await?;
        session.ctx.clock.sleep(Duration::from_millis(250)).await;
    }
}

/// A job that fails again and again, by Postgres or by a mistake of ours, is tried again ever later: nobody waits for that.
async fn give_up(session: &Session, source: &Source, streams: &[Stream]) -> anyhow::Result<()> {
    const TRIES: i32 = 4;
    let failing = db::job::failing(&mut *session.db().await?, source.id).await?;
    let ours = |key: &str| streams.iter().any(|stream| stream.as_str() == key);
    match failing.into_iter().find(|(key, failures, _)| *failures >= TRIES && ours(key)) {
        None => Ok(()),
        Some((key, failures, error)) => Err(failed(
            format!("{key} failed {failures} times: {error}"),
            "a running daemon goes on trying; if it is not Postgres that is at fault, please report it",
        )),
    }
}

async fn checkpoints(session: &Session, source: &Source, streams: &[Stream]) -> anyhow::Result<Vec<Checkpoint>> {
    let mut all = db::checkpoint::of_source(&mut *session.db().await?, source.id).await?;
    all.retain(|stream| streams.contains(&stream.stream));
    Ok(all)
}

/// One bar per stream on a terminal; nothing elsewhere, where the log tells.
struct Progress {
    bars: Vec<(Stream, ProgressBar)>,
    /// Where each stream stood when it was first seen to move.
    from: BTreeMap<Stream, DateTime<Utc>>,
}

impl Progress {
    fn new(streams: &[Stream], on_terminal: bool) -> Progress {
        let group = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:17} [{bar:30}] {percent:>3}%  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |stream: &Stream| {
            let bar = group
                .add(ProgressBar::new(100))
                .with_style(style.clone().progress_chars("=> "))
                .with_prefix(stream.as_str());
            (*stream, bar.with_message("waiting"))
        };
        let bars = if on_terminal { streams.iter().map(bar).collect() } else { Vec::new() };
        Progress { bars, from: BTreeMap::new() }
    }

    fn show(&mut self, streams: &[Checkpoint], started: DateTime<Utc>, now: DateTime<Utc>) {
        for (stream, bar) in &self.bars {
            let Some(checkpoint) = streams.iter().find(|checkpoint| checkpoint.stream == *stream) else { continue };
            if bar.is_finished() {
                continue;
            }
            match fate(checkpoint, started) {
                Fate::Done => {
                    bar.set_position(100);
                    bar.finish_with_message("done");
                }
                Fate::Failed => {
                    bar.abandon_with_message(format!("failed: {}", plain(checkpoint.error.as_deref().unwrap_or(""))))
                }
                Fate::Running => {
                    let Some(through) = checkpoint.read_through else { continue };
                    let from = *self.from.entry(*stream).or_insert(through);
                    bar.set_position(percent(from, through, now));
                    bar.set_message(format!("read through {}", time(through)));
                }
            }
        }
    }

    fn end(&self) {
        for (_, bar) in self.bars.iter().filter(|(_, bar)| !bar.is_finished()) {
            bar.abandon_with_message("stopped");
        }
    }
}

fn percent(from: DateTime<Utc>, through: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    let (done, all) = ((through - from).num_seconds(), (now - from).num_seconds());
    if all <= 0 { 0 } else { (done * 100 / all).clamp(0, 99) as u64 }
}

async fn summary(
    session: &Session,
    source: &Source,
    streams: &[Stream],
    started: DateTime<Utc>,
    format: Format,
) -> anyhow::Result<()> {
    let all = checkpoints(session, source, streams).await?;
    let runs = db::run::of_source(&mut *session.db().await?, source.id, started).await?;
    let counted = |stream: Stream, key: &str| -> u64 {
        let of_stream = runs.iter().filter(|run| run.stream.as_deref() == Some(stream.as_str()));
        of_stream.filter_map(|run| run.counts.get(key)?.as_u64()).sum()
    };
    let (mut rows, mut table) = (
        Vec::new(),
        Table::new(&["stream", "result", "read", "people", "organizations", "tickets", "activities", "dead letters"]),
    );
    let mut ok = true;
    for checkpoint in &all {
        let stream = checkpoint.stream;
        let failed = fate(checkpoint, started) == Fate::Failed;
        ok &= !failed;
        let people = counted(stream, "people_created") + counted(stream, "people_updated");
        let counts = [
            counted(stream, "read"),
            people,
            counted(stream, "organizations"),
            counted(stream, "tickets"),
            counted(stream, "activities"),
            counted(stream, "dead_letters"),
        ];
        rows.push(json!({
            "stream": stream, "ok": !failed, "read": counts[0], "people": counts[1], "organizations": counts[2], "tickets": counts[3],
            "activities": counts[4], "dead_letters": counts[5], "read_through": checkpoint.read_through,
            "error": checkpoint.error, "remedy": checkpoint.remedy,
        }));
        let result = if failed { "failed" } else { "ok" };
        table.row(
            [stream.as_str().to_string(), result.to_string()].into_iter().chain(counts.map(|count| count.to_string())),
        );
    }
    if format.json {
        say_json(&Value::Array(rows));
        return told(ok);
    }
    table.print();
    for checkpoint in all.iter().filter(|checkpoint| fate(checkpoint, started) == Fate::Failed) {
        say(format_args!("\n{}: {}", checkpoint.stream.as_str(), plain(checkpoint.error.as_deref().unwrap_or(""))));
        say(format_args!(
            "  what to do: {}",
            named(checkpoint.remedy.as_deref().unwrap_or("see the log"), &source.name)
        ));
    }
    told(ok)
}
