//! `--once`: an hour of simulated life as fast as it goes, and then the question whether the CDP is what Zendesk is.

use super::compare::{by_field, compare};
use super::outbound;
use super::outcome::{DemoError, Ended, Last};
use super::stage::{Stage, pause};
use super::words::{number, say};
use crate::clock::Clock;
use crate::db;
use crate::pipeline::lifecycle::{self, Resync};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// How long life lasts.
const LIFE: Duration = Duration::hours(1);

/// Acts a simulated minute.
const PER_MINUTE: f64 = 20.0;

/// Zendesk's exports keep the last minute to themselves.
const ONE_MINUTE: Duration = Duration::seconds(65);

/// Real seconds that everything has to arrive after life has ended.
const PATIENCE_SECS: u64 = 120;

/// Differences that are shown.
const SHOWN: usize = 20;

/// When the account begins: long enough ago that simulated time stays in the past.
pub fn start() -> String {
    (Clock::system().now() - Duration::hours(3)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Lets an hour pass, waits until all of it has arrived, and compares.
pub async fn play(stage: &Stage) -> Result<Last, DemoError> {
    let begun = Clock::system();
    let acts = live(stage).await?;
    say(format_args!(
        "An hour of simulated life in {:.0} s: {} acts. Waiting until all of it has been read …",
        begun.monotonic().as_secs_f64(),
        number(acts as i64)
    ));
    let left = match settle(stage).await? {
        None => outbound::settle(stage).await?,
        left => left,
    };
    let outbound = outbound::state(stage).await?;
    let differences = match &left {
        Some(left) => {
            say(format_args!("Not everything has arrived: {left}"));
            None
        }
        None => {
            let door = format!("{}/_sim", stage.zendesk.url);
            Some(compare(stage.ctx(), stage.source.id, &door, Some(&outbound.members)).await?)
        }
    };
    for difference in differences.iter().flatten().take(SHOWN) {
        say(format_args!("  {difference}"));
    }
    if let Some(found) = differences.as_ref().filter(|found| !found.is_empty()) {
        let fields = by_field(found).into_iter().map(|(field, count)| format!("{field} {count}×"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        let all: String = found.iter().map(|difference| format!("{difference}\n")).collect();
        stage.folder.write("differences.txt", &all)?;
        let file = stage.folder.file("differences.txt");
        say(format_args!("{} differences, all in {}: {fields}", number(found.len() as i64), file.display()));
    }
    let converged = differences.is_some_and(|found| found.is_empty()) && outbound.unknown == 0;
    let mut db = stage.ctx().pool.acquire().await?;
    let totals = db::compare::totals(&mut db, stage.source.workspace_id, stage.source.id).await?;
    let mut line = json!(totals);
    line["audience_members"] = json!(outbound.members.inside.len());
    line["delivered"] = json!(outbound.delivered);
    line["delivery_unknown"] = json!(outbound.unknown);
    line["converged"] = Value::Bool(converged);
    let ended = if converged { Ended::Well } else { Ended::Badly };
    Ok(Last { ended, line: Some(line.to_string()) })
}

/// Lets people act at an even pace, and says every ten minutes how far it is.
async fn live(stage: &Stage) -> Result<u64, DemoError> {
    let clock = &stage.ctx().clock;
    let begin = clock.now();
    let (mut done, mut said) = (0, 0);
    loop {
        let passed = (clock.now() - begin).min(LIFE);
        let minutes = passed.as_seconds_f64() / 60.0;
        let due = (minutes * PER_MINUTE) as u64;
        if due > done {
            stage.zendesk.door.live(due - done).await?;
            done = due;
        }
        if minutes as u64 / 10 > said {
            said = minutes as u64 / 10;
            say(format_args!("  {} minutes, {} acts", said * 10, number(done as i64)));
        }
        if passed >= LIFE {
            return Ok(done);
        }
        pause(50).await;
    }
}

/// Waits until what happened was delivered and read: webhooks first, then every stream past the end of life. Answers what
/// has not arrived, if time runs out.
async fn settle(stage: &Stage) -> Result<Option<String>, DemoError> {
    let ctx = stage.ctx();
    let ended = ctx.clock.now();
    let begun = Clock::system();
    stage.zendesk.door.post("drain", &json!({"all": true})).await?;
    ctx.clock.sleep_until(ended + ONE_MINUTE).await;
    let asked = ctx.clock.now();
    lifecycle::resync(ctx, &stage.source, Resync::Incremental).await?;
    stage.daemon.wake.notify_one();
    loop {
        let left = waiting(stage, asked).await?;
        if left.is_none() || begun.monotonic().as_secs() > PATIENCE_SECS {
            return Ok(left);
        }
        pause(100).await;
    }
}

/// What has not been read or applied yet.
async fn waiting(stage: &Stage, since: DateTime<Utc>) -> Result<Option<String>, DemoError> {
    let mut db = stage.ctx().pool.acquire().await?;
    let (workspace, source) = stage.ids();
    if db::raw_event::has_pending(&mut db, workspace, source).await? {
        return Ok(Some("webhooks are pending".to_string()));
    }
    for checkpoint in db::checkpoint::of_source(&mut db, source).await? {
        let is_read = checkpoint.caught_up_at.is_some_and(|at| at >= since);
        // Survey responses are of accounts that have surveys; this one has ratings.
        let is_missing = checkpoint.first_caught_up_at.is_none() && checkpoint.error.is_some();
        if checkpoint.due_at.is_some() && !is_read && !is_missing {
            let error = checkpoint.error.map(|error| format!(" ({error})")).unwrap_or_default();
            return Ok(Some(format!("stream {} was not read{error}", checkpoint.stream.as_str())));
        }
    }
    Ok(None)
}
