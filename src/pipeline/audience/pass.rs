//! Passes: many are asked at once, because a definition is new, because a day begins, or by night to see that nothing was
//! missed. The look at all of them happens outside the workspace's lock, so that applying does not wait; whom it finds
//! wrong is asked again, some at a time, in rounds under the lock.

use super::judge::judge_all;
use super::round::{Found, begin, finish, round, workspace};
use super::stored::{Audience, load, moment};
use crate::db;
use crate::db::audience::Times;
use crate::model::filter::Moment;
use crate::model::job::Lease;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::audience::{edges, next_edge, nightly};
use crate::telemetry::AUDIENCE_DRIFT;
use chrono::Duration;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// People asked again in one round.
const SLICE: usize = 2_000;

/// So many on a day's edge are asked one by one; of more, everybody is asked at once.
const EDGE: usize = 10_000;

/// Why many are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The definition is new, or old activities were removed.
    Rebuild,
    /// A day began.
    Day,
    /// To see that nothing was missed.
    Nightly,
}

/// Runs a job: pass after pass until none is due.
pub async fn run_passes(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let workspace = workspace(lease)?;
    while pass(ctx, workspace, Some(lease)).await? {}
    finish(ctx, lease).await
}

/// Rounds and passes until nothing is due; for commands.
pub async fn catch_up(ctx: &Context, workspace: i64) -> Result<(), FlowError> {
    loop {
        while !round(ctx, workspace, None, None).await?.all_seen {}
        if !pass(ctx, workspace, None).await? {
            return Ok(());
        }
    }
}

/// Makes the next pass that is due. False when there is none.
async fn pass(ctx: &Context, workspace: i64, lease: Option<&Lease>) -> Result<bool, FlowError> {
    ctx.may_go_on()?;
    let Some(look) = look(ctx, workspace).await? else { return Ok(false) };
    let (mut drift, mut rest) = (0, look.people.as_slice());
    loop {
        ctx.may_go_on()?;
        let (slice, later) = rest.split_at(rest.len().min(SLICE));
        let found = Found {
            audience: look.audience.stored.id,
            updated_at: look.audience.stored.updated_at,
            people: slice,
            is_drift: look.why == Why::Nightly,
        };
        let seen = round(ctx, workspace, lease, Some(&found)).await?;
        if seen.outdated {
            return Ok(true);
        }
        drift += seen.drift;
        if seen.found_seen {
            rest = later;
        }
        if seen.found_seen && rest.is_empty() {
            break;
        }
    }
    end(ctx, workspace, lease, &look, drift).await?;
    Ok(true)
}

/// A look at many.
struct Look {
    audience: Audience,
    why: Why,
    moment: Moment,
    /// Who is to be asked again.
    people: Vec<i64>,
}

/// Looks for the next pass that is due; None when there is none.
async fn look(ctx: &Context, workspace: i64) -> Result<Option<Look>, FlowError> {
    // What is seen is as of a moment at which no round is under way: none that began before it writes after it.
    let lock = begin(ctx, workspace, None).await?;
    let mut still = db::pool::begin_still(&ctx.pool).await?;
    let audiences = load(&mut still, workspace).await?;
    let moment = moment(ctx);
    lock.rollback().await?;
    let is_due = |audience: &Audience, why| match why {
        Why::Rebuild => audience.stored.rebuild_at.is_some_and(|at| at <= moment.now),
        Why::Day => audience.stored.day_at.is_some_and(|at| at <= moment.now),
        Why::Nightly => audience.stored.nightly_at <= moment.now,
    };
    let due = [Why::Rebuild, Why::Day, Why::Nightly].into_iter().find_map(|why| {
        let audience = audiences.iter().find(|audience| is_due(audience, why))?;
        Some((audience.clone(), why))
    });
    let Some((audience, why)) = due else { return Ok(None) };
    let on_edge = if why == Why::Day { on_edge(&mut still, workspace, &audience, moment).await? } else { None };
    let people = match on_edge {
        Some(people) => people,
        None => {
            let change = judge_all(&mut still, workspace, &audience, moment).await?;
            let later = change.later.into_iter().map(|(person, _)| person);
            change.enter.into_iter().chain(change.leave).chain(later).collect()
        }
    };
    still.rollback().await?;
    Ok(Some(Look { audience, why, moment, people }))
}

/// Whom the beginning of a day may concern; None when they are many.
async fn on_edge(
    db: &mut PgConnection,
    workspace: i64,
    audience: &Audience,
    moment: Moment,
) -> Result<Option<Vec<i64>>, FlowError> {
    let before = audience.stored.day_at.unwrap_or(moment.now) - Duration::milliseconds(1);
    let mut people = BTreeSet::new();
    for (filter, moment) in edges(&audience.definition, moment.zone, before, moment.now) {
        people.extend(db::audience_find::find(db, workspace, &filter, moment).await?);
    }
    Ok((people.len() <= EDGE).then(|| people.into_iter().collect()))
}

/// Notes what was done and what comes next.
async fn end(ctx: &Context, workspace: i64, lease: Option<&Lease>, look: &Look, drift: i64) -> Result<(), FlowError> {
    let mut tx = begin(ctx, workspace, lease).await?;
    let audiences = load(&mut tx, workspace).await?;
    let is_same = |audience: &&Audience| {
        audience.stored.id == look.audience.stored.id && audience.stored.updated_at == look.audience.stored.updated_at
    };
    let Some(stored) = audiences.iter().find(is_same).map(|audience| &audience.stored) else { return Ok(()) };
    let (id, zone, now, why) = (stored.id, look.moment.zone, look.moment.now, look.why);
    let is_nightly = why == Why::Nightly;
    let times = Times {
        rebuild_at: stored.rebuild_at.filter(|at| why != Why::Rebuild || *at > now),
        day_at: if is_nightly { stored.day_at } else { next_edge(&look.audience.definition, zone, now) },
        nightly_at: if is_nightly || stored.evaluated_at.is_none() {
            nightly(id, zone, now)
        } else {
            stored.nightly_at
        },
        evaluated_at: (why != Why::Day).then_some(now),
        drift: is_nightly.then_some(drift),
    };
    db::audience::set_times(&mut tx, workspace, id, times).await?;
    tx.commit().await?;
    if is_nightly {
        tell_drift(&stored.name, drift);
    }
    Ok(())
}

fn tell_drift(audience: &str, drift: i64) {
    metrics::gauge!(AUDIENCE_DRIFT, "audience" => audience.to_owned()).set(drift as f64);
    if drift > 0 {
        tracing::warn!(audience, drift, "the nightly pass repaired memberships that were missed");
    }
}
