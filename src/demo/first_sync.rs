//! Shows how the account is read: bars on a terminal, lines elsewhere.

use super::outcome::DemoError;
use super::stage::{Size, Stage, pause, size};
use super::words::{number, say};
use crate::clock::Clock;
use crate::db;
use crate::model::source::SourceState;
use crate::model::stream::{Checkpoint, Stream};
use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr, stdout};

/// Real seconds without any progress after which the demo gives up.
const STUCK_SECS: u64 = 120;

/// What is shown, in the order of reading, with the stream that tells when it is complete.
const SHOWN: [(&str, Stream); 4] = [
    ("people", Stream::Users),
    ("organizations", Stream::Organizations),
    ("tickets", Stream::Tickets),
    ("ticket events", Stream::TicketEvents),
];

/// Shows the first sync, or how what happened meanwhile is read, until it is done.
pub async fn show(stage: &Stage) -> Result<(), DemoError> {
    if stage.is_kept {
        return catch_up(stage).await;
    }
    let begun = Clock::system();
    let size = size(&stage.zendesk).await?;
    let mut shown = Shown::new(&size);
    let (mut last, mut moved) = ([0; 4], Clock::system());
    loop {
        let (state, checkpoints, counts) = look(stage).await?;
        let places = places(&checkpoints, counts, &size, stage);
        shown.update(places, &checkpoints);
        if state == SourceState::Connected {
            break;
        }
        if places != last {
            (last, moved) = (places, Clock::system());
        }
        if moved.monotonic().as_secs() > STUCK_SECS {
            return Err(DemoError::Stuck(why(&checkpoints)));
        }
        pause(100).await;
    }
    shown.end();
    let mut db = stage.ctx().pool.acquire().await?;
    let totals = db::compare::totals(&mut db, stage.source.workspace_id, stage.source.id).await?;
    say(format_args!(
        "First sync complete in {:.1} s: {} people, {} organizations, {} tickets, {} activities.",
        begun.monotonic().as_secs_f64(),
        number(totals.people),
        number(totals.organizations),
        number(totals.tickets),
        number(totals.activities)
    ));
    Ok(())
}

type Look = (SourceState, Vec<Checkpoint>, db::compare::Totals);

async fn look(stage: &Stage) -> Result<Look, DemoError> {
    let mut db = stage.ctx().pool.acquire().await?;
    let source = db::source::get(&mut db, stage.source.id).await?;
    let checkpoints = db::checkpoint::of_source(&mut db, stage.source.id).await?;
    let totals = db::compare::totals(&mut db, stage.source.workspace_id, stage.source.id).await?;
    Ok((source.map_or(SourceState::Syncing, |source| source.state), checkpoints, totals))
}

fn why(checkpoints: &[Checkpoint]) -> String {
    let failing = checkpoints.iter().find_map(|c| Some(format!("{}: {}", c.stream.as_str(), c.error.as_deref()?)));
    failing.unwrap_or_else(|| "nothing has come for two minutes; see deskbridge.log in the demo's folder".to_string())
}

fn is_read(checkpoints: &[Checkpoint], stream: Stream) -> bool {
    checkpoints.iter().any(|c| c.stream == stream && c.first_caught_up_at.is_some())
}

/// How far each has come. Events are told by their time: they have no row each.
fn places(checkpoints: &[Checkpoint], counts: db::compare::Totals, size: &Size, stage: &Stage) -> [u64; 4] {
    let now = stage.ctx().clock.now();
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    let events = checkpoints.iter().find(|c| c.stream == Stream::TicketEvents).and_then(|c| c.read_through);
    let counted = [
        count(counts.people),
        count(counts.organizations),
        count(counts.tickets),
        events.map_or(0, |through| share(through, now, size.events)),
    ];
    let totals = totals(size);
    let mut places = [0; 4];
    for (place, (_, stream)) in SHOWN.iter().enumerate() {
        places[place] = if is_read(checkpoints, *stream) { totals[place] } else { counted[place].min(totals[place]) };
    }
    places
}

fn share(through: DateTime<Utc>, now: DateTime<Utc>, total: u64) -> u64 {
    let all = chrono::Duration::days(80).num_seconds() as f64;
    let left = (now - through).num_seconds().max(0) as f64;
    (total as f64 * (1.0 - left / all).clamp(0.0, 1.0)) as u64
}

fn totals(size: &Size) -> [u64; 4] {
    [size.people, size.organizations, size.tickets, size.events]
}

/// Bars, or which lines were printed.
struct Shown {
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
    said: [bool; 4],
    totals: [u64; 4],
}

impl Shown {
    fn new(size: &Size) -> Shown {
        let totals = totals(size);
        if !(stdout().is_terminal() && stderr().is_terminal()) {
            say("Reading the account for the first time …");
            return Shown { bars: None, said: [false; 4], totals };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {prefix:13} {wide_bar} {human_pos:>7} of {human_len:7}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bars = SHOWN.iter().zip(totals).map(|((name, _), total)| {
            let bar = all.add(ProgressBar::new(total).with_style(style.clone()).with_prefix(*name));
            bar.tick();
            bar
        });
        let bars = bars.collect();
        Shown { bars: Some((all, bars)), said: [false; 4], totals }
    }

    fn update(&mut self, places: [u64; 4], checkpoints: &[Checkpoint]) {
        for (index, (name, stream)) in SHOWN.iter().enumerate() {
            if let Some((_, bars)) = &self.bars {
                bars[index].set_position(places[index]);
            }
            if is_read(checkpoints, *stream) && !self.said[index] {
                self.said[index] = true;
                match &self.bars {
                    Some((_, bars)) => bars[index].finish(),
                    None => say(format_args!("  {} {name} read", number(self.totals[index] as i64))),
                }
            }
        }
    }

    fn end(&self) {
        if let Some((_, bars)) = &self.bars {
            bars.iter().for_each(|bar| bar.finish());
        }
    }
}

/// A kept account: waits until every stream that goes on by itself was read again.
async fn catch_up(stage: &Stage) -> Result<(), DemoError> {
    let begun = Clock::system();
    say("The data of the last run is there; reading what happened at its end …");
    loop {
        let (_, checkpoints, totals) = look(stage).await?;
        let since = Some(stage.since);
        let waiting = checkpoints.iter().any(|c| c.due_at.is_some() && c.error.is_none() && c.caught_up_at < since);
        if !waiting {
            say(format_args!(
                "Up to date after {:.1} s: {} people, {} organizations, {} tickets, {} activities.",
                begun.monotonic().as_secs_f64(),
                number(totals.people),
                number(totals.organizations),
                number(totals.tickets),
                number(totals.activities)
            ));
            return Ok(());
        }
        if begun.monotonic().as_secs() > STUCK_SECS {
            return Err(DemoError::Stuck(why(&checkpoints)));
        }
        pause(100).await;
    }
}
