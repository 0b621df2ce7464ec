//! One round brings the audiences of a workspace nearer to the truth: whom something changed about, what slid in or out of
//! a frame of minutes, and at most one audience for which everybody is asked.

use super::stored::{Audience, load, moment};
use crate::db;
use crate::db::audience::Times;
use crate::db::audience_filter::{self, Among};
use crate::model::audience::Change;
use crate::model::filter::Moment;
use crate::model::job::Lease;
use crate::pipeline::activate::route::route;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::audience::{change, next_rebuild, nightly, slides, sliding};
use crate::telemetry::{AUDIENCE_CHANGES, AUDIENCE_DRIFT};
use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Changes that one round sees to.
const BATCH: usize = 2_000;

/// Runs an audience job: round after round until nothing is due.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let workspace =
        lease.key.parse().map_err(|_| FlowError::State(format!("{:?} is no number of a workspace", lease.key)))?;
    loop {
        ctx.may_go_on()?;
        if round(ctx, workspace, Some(lease)).await? {
            continue;
        }
        // What comes later asks for a job of its own.
        let mut db = ctx.pool.acquire().await?;
        return if db::job::finish(&mut db, lease).await? { Ok(()) } else { Err(FlowError::LeaseLost) };
    }
}

/// Rounds until nothing is due; for commands.
pub async fn catch_up(ctx: &Context, workspace: i64) -> Result<(), FlowError> {
    while round(ctx, workspace, None).await? {}
    Ok(())
}

/// Why everybody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// A day ended, old activities were removed, or the definition is new.
    Rebuild,
    /// To see that nothing was missed.
    Nightly,
}

/// One round, in one transaction. True when there may be more to do.
async fn round(ctx: &Context, workspace: i64, lease: Option<&Lease>) -> Result<bool, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    if let Some(lease) = lease {
        let until = ctx.clock.now() + Duration::seconds(ctx.settings.worker.lease_secs as i64);
        if !db::job::fence(&mut tx, lease, until).await? {
            return Err(FlowError::LeaseLost);
        }
    }
    db::workspace::lock(&mut tx, workspace).await?;
    let moment = moment(ctx);
    let audiences = load(&mut tx, workspace).await?;
    let touched = db::audience_touched::due(&mut tx, workspace, moment.now, BATCH as i64).await?;
    let all_seen = touched.len() < BATCH;
    let whole = next_pass(&audiences, moment.now, all_seen);
    let mut asked: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for row in &touched {
        asked.entry(row.need.clone()).or_default().insert(row.person_id);
    }
    for audience in &audiences {
        let pass = whole.filter(|(id, _)| *id == audience.stored.id).map(|(_, pass)| pass);
        let changed = one(&mut tx, workspace, audience, &asked, pass, moment).await?;
        asked.entry(audience.as_need()).or_default().extend(changed);
    }
    route(&mut tx, workspace, &asked, moment.now).await?;
    let seqs: Vec<i64> = touched.iter().map(|row| row.seq).collect();
    db::audience_touched::settle(&mut tx, workspace, &seqs).await?;
    tx.commit().await?;
    Ok(!all_seen || whole.is_some())
}

/// For which audience everybody is asked in this round. A nightly pass waits until all noted changes have been seen to,
/// so that what it finds is drift.
fn next_pass(audiences: &[Audience], now: DateTime<Utc>, all_seen: bool) -> Option<(i64, Pass)> {
    let rebuild = audiences.iter().find(|audience| audience.stored.rebuild_at <= now);
    let nightly = audiences.iter().find(|audience| all_seen && audience.stored.nightly_at <= now);
    rebuild
        .map(|audience| (audience.stored.id, Pass::Rebuild))
        .or_else(|| nightly.map(|audience| (audience.stored.id, Pass::Nightly)))
}

/// Brings one audience up to date. Answers whose membership changed.
async fn one(
    db: &mut PgConnection,
    workspace: i64,
    audience: &Audience,
    asked: &BTreeMap<String, BTreeSet<i64>>,
    pass: Option<Pass>,
    moment: Moment,
) -> Result<Vec<i64>, FlowError> {
    let slides = slides(&audience.definition);
    let mut people: BTreeSet<i64> =
        asked.iter().filter(|(need, _)| audience.needs(need)).flat_map(|(_, people)| people).copied().collect();
    for (kind, minutes) in &slides {
        let since = audience.stored.checked_at;
        let slid = db::audience_touched::slid(db, workspace, kind, i64::from(*minutes), since, moment.now).await?;
        people.extend(slid);
    }
    let people: Vec<i64> = people.into_iter().collect();
    let mut changed = Vec::new();
    if pass != Some(Pass::Rebuild) && !people.is_empty() {
        changed.extend(ask(db, workspace, audience, Among::These(&people), moment).await?);
    }
    let mut drift = None;
    if let Some(pass) = pass {
        let found = ask(db, workspace, audience, Among::Everybody, moment).await?;
        drift = (pass == Pass::Nightly).then_some(found.len() as i64);
        changed.extend(found);
    }
    if let Some(drift) = drift {
        tell_drift(audience, drift);
    }
    if pass.is_some() || !slides.is_empty() {
        let times = times(audience, pass, drift, !slides.is_empty(), moment);
        db::audience::set_times(db, workspace, audience.stored.id, times).await?;
    }
    Ok(changed)
}

fn tell_drift(audience: &Audience, drift: i64) {
    metrics::gauge!(AUDIENCE_DRIFT, "audience" => audience.stored.name.clone()).set(drift as f64);
    if drift > 0 {
        tracing::warn!(
            audience = audience.stored.name,
            drift,
            "the nightly pass repaired memberships that were missed"
        );
    }
}

fn times(audience: &Audience, pass: Option<Pass>, drift: Option<i64>, slides: bool, moment: Moment) -> Times {
    let (now, stored) = (moment.now, &audience.stored);
    let rebuild_at = match pass {
        Some(Pass::Rebuild) => {
            next_rebuild(&audience.definition, moment.zone, now).unwrap_or(now + Duration::days(36_500))
        }
        _ => stored.rebuild_at,
    };
    let is_new = stored.evaluated_at.is_none();
    let nightly_at =
        if pass == Some(Pass::Nightly) || is_new { nightly(stored.id, moment.zone, now) } else { stored.nightly_at };
    let slide_at = if slides { now + sliding() } else { nightly_at };
    let due_at = rebuild_at.min(nightly_at).min(slide_at);
    Times { checked_at: now, rebuild_at, nightly_at, due_at, evaluated_at: pass.map(|_| now), drift }
}

/// Asks some people or everybody, and writes who enters and leaves. Answers whose membership changed.
async fn ask(
    db: &mut PgConnection,
    workspace: i64,
    audience: &Audience,
    among: Among<'_>,
    moment: Moment,
) -> Result<Vec<i64>, FlowError> {
    let Change { enter, leave, later } = decide(db, workspace, audience, among, moment).await?;
    let change = Change { enter, leave, later: Vec::new() };
    db::audience_member::write(db, workspace, audience.stored.id, &change, moment.now).await?;
    for (person, at) in later {
        db::audience_touched::note(db, workspace, [(person, db::audience_touched::ALL)], at).await?;
    }
    let name = || audience.stored.name.clone();
    metrics::counter!(AUDIENCE_CHANGES, "audience" => name(), "change" => "entered")
        .increment(change.enter.len() as u64);
    metrics::counter!(AUDIENCE_CHANGES, "audience" => name(), "change" => "exited")
        .increment(change.leave.len() as u64);
    Ok(change.enter.into_iter().chain(change.leave).collect())
}

/// Who would enter and leave now.
pub async fn decide(
    db: &mut PgConnection,
    workspace: i64,
    audience: &Audience,
    among: Among<'_>,
    moment: Moment,
) -> Result<Change, FlowError> {
    let definition = &audience.definition;
    let entry = audience_filter::find(db, workspace, &definition.entry, among, moment).await?;
    let exit = match &definition.exit {
        Some(exit) => Some(audience_filter::find(db, workspace, exit, among, moment).await?),
        None => None,
    };
    let standings = db::audience_member::standings(db, workspace, audience.stored.id, among).await?;
    Ok(change(definition.reentry, &entry, exit.as_deref(), &standings, moment.now))
}
