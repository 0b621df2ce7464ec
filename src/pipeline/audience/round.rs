//! One round brings the audiences of a workspace up to date, in one transaction under the workspace's lock: whom something
//! changed about, what slid in or out of a frame of minutes, and whom a pass found.

use super::judge::{Asked, judge};
use super::stored::{Audience, load, moment};
use crate::db;
use crate::model::audience::Change;
use crate::model::filter::Moment;
use crate::model::job::Lease;
use crate::pipeline::activate::route::route;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::audience::{slides, sliding};
use crate::telemetry::AUDIENCE_CHANGES;
use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Noted changes that one round sees to.
const BATCH: usize = 2_000;

/// Runs an audience job: round after round until nothing is due.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let workspace = workspace(lease)?;
    loop {
        ctx.may_go_on()?;
        if round(ctx, workspace, Some(lease), None).await?.all_seen {
            return finish(ctx, lease).await;
        }
    }
}

/// The workspace of a job.
pub(super) fn workspace(lease: &Lease) -> Result<i64, FlowError> {
    lease.key.parse().map_err(|_| FlowError::State(format!("{:?} is no number of a workspace", lease.key)))
}

/// Finishes a job. What comes later asks for a job of its own.
pub(super) async fn finish(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let mut db = ctx.pool.acquire().await?;
    if db::job::finish(&mut db, lease).await? { Ok(()) } else { Err(FlowError::LeaseLost) }
}

/// Begins a transaction under the job's fence and the workspace's lock.
pub(super) async fn begin(
    ctx: &Context,
    workspace: i64,
    lease: Option<&Lease>,
) -> Result<Transaction<'static, Postgres>, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    if let Some(lease) = lease {
        let until = ctx.clock.now() + Duration::seconds(ctx.settings.worker.lease_secs as i64);
        if !db::job::fence(&mut tx, lease, until).await? {
            return Err(FlowError::LeaseLost);
        }
    }
    db::workspace::lock(&mut tx, workspace).await?;
    Ok(tx)
}

/// Whom a pass over an audience found to be wrong, or to be asked; the round asks again.
pub(super) struct Found<'a> {
    /// The audience.
    pub audience: i64,
    /// When its definition was changed for the pass.
    pub updated_at: DateTime<Utc>,
    /// Who.
    pub people: &'a [i64],
    /// Whether a wrong membership is drift: then they are asked once nothing else could have changed it.
    pub is_drift: bool,
}

/// What a round came to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// All noted changes have been seen to.
    pub all_seen: bool,
    /// Whom the pass found has been seen to.
    pub found_seen: bool,
    /// The pass has to begin anew: another definition, another day.
    pub outdated: bool,
    /// How many memberships were wrong although nothing had changed.
    pub drift: i64,
}

/// One round.
pub(super) async fn round(
    ctx: &Context,
    workspace: i64,
    lease: Option<&Lease>,
    found: Option<&Found<'_>>,
) -> Result<Seen, FlowError> {
    let mut tx = begin(ctx, workspace, lease).await?;
    let moment = moment(ctx);
    let audiences = load(&mut tx, workspace).await?;
    let touched = db::audience_touched::due(&mut tx, workspace, moment.now, BATCH as i64).await?;
    let mut seen = Seen { all_seen: touched.len() < BATCH, ..Seen::default() };
    let mut news: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for row in &touched {
        news.entry(row.need.clone()).or_default().insert(row.person_id);
    }
    let mut asked = asked_by_notes(&audiences, &news);
    follow_slides(&mut tx, workspace, &audiences, found, moment, &mut asked).await?;
    let mut suspects = BTreeSet::new();
    if let Some(found) = found {
        seen.outdated = !audiences.iter().any(|audience| is_current(audience, found, moment.now));
        seen.found_seen = !seen.outdated && (seen.all_seen || !found.is_drift);
        if seen.found_seen {
            let asked = asked.entry(found.audience).or_default();
            suspects.extend(found.people.iter().filter(|person| found.is_drift && !asked.contains(person)).copied());
            asked.extend(found.people);
        }
    }
    let changes = judge(&mut tx, workspace, &audiences, &asked, moment).await?;
    seen.drift = drift(&changes, found, &suspects);
    write(&mut tx, workspace, &changes, moment.now).await?;
    for (audience, change) in changes_of(&audiences, &changes) {
        news.entry(audience.as_need()).or_default().extend(change.enter.iter().chain(&change.leave));
    }
    route(&mut tx, workspace, &news, moment.now).await?;
    let seqs: Vec<i64> = touched.iter().map(|row| row.seq).collect();
    db::audience_touched::settle(&mut tx, workspace, &seqs).await?;
    tx.commit().await?;
    tell(&audiences, &changes);
    Ok(seen)
}

/// Who is to be asked by what was noted.
fn asked_by_notes(audiences: &[Audience], news: &BTreeMap<String, BTreeSet<i64>>) -> Asked {
    let of = |audience: &Audience| {
        let needed = news.iter().filter(|(need, _)| audience.needs(need));
        needed.flat_map(|(_, people)| people).copied().collect()
    };
    audiences.iter().map(|audience| (audience.stored.id, of(audience))).collect()
}

/// Adds who has an activity that slid into or out of a frame of minutes, where it is time to look; of the audience that a
/// pass is about in any case, so that what slid is not taken for drift.
async fn follow_slides(
    db: &mut PgConnection,
    workspace: i64,
    audiences: &[Audience],
    found: Option<&Found<'_>>,
    moment: Moment,
    asked: &mut Asked,
) -> Result<(), FlowError> {
    let mut known: BTreeMap<(String, u32, DateTime<Utc>), Vec<i64>> = BTreeMap::new();
    let (mut sliding_ones, mut others) = (Vec::new(), Vec::new());
    for audience in audiences {
        let is_found = found.is_some_and(|found| found.audience == audience.stored.id);
        if !is_found && audience.stored.due_at.is_none_or(|due_at| due_at > moment.now) {
            continue;
        }
        let (slides, since) = (slides(&audience.definition), audience.stored.checked_at);
        if slides.is_empty() { &mut others } else { &mut sliding_ones }.push(audience.stored.id);
        for (kind, minutes) in slides {
            let slide = (kind, minutes, since);
            if !known.contains_key(&slide) {
                let (kind, minutes) = (slide.0.as_str(), i64::from(minutes));
                let people = db::audience_touched::slid(db, workspace, kind, minutes, since, moment.now).await?;
                known.insert(slide.clone(), people);
            }
            asked.entry(audience.stored.id).or_default().extend(&known[&slide]);
        }
    }
    let next = Some(moment.now + sliding());
    db::audience::set_checked(db, workspace, &sliding_ones, moment.now, next).await?;
    Ok(db::audience::set_checked(db, workspace, &others, moment.now, None).await?)
}

/// Whether what a pass found is still to be trusted.
fn is_current(audience: &Audience, found: &Found<'_>, now: DateTime<Utc>) -> bool {
    let stored = &audience.stored;
    let other_pass = [stored.day_at, stored.rebuild_at].into_iter().flatten().any(|at| at <= now);
    stored.id == found.audience && stored.updated_at == found.updated_at && !(found.is_drift && other_pass)
}

/// How many of those whom nothing else concerned enter or leave.
fn drift(changes: &[(i64, Change)], found: Option<&Found<'_>>, suspects: &BTreeSet<i64>) -> i64 {
    let of = changes.iter().filter(|(id, _)| found.is_some_and(|found| found.audience == *id));
    let people = of.flat_map(|(_, change)| change.enter.iter().chain(&change.leave));
    people.filter(|person| suspects.contains(person)).count() as i64
}

async fn write(
    db: &mut PgConnection,
    workspace: i64,
    changes: &[(i64, Change)],
    now: DateTime<Utc>,
) -> Result<(), FlowError> {
    db::audience_member::write(db, workspace, changes, now).await?;
    let later: Vec<_> = changes.iter().flat_map(|(_, change)| change.later.iter().copied()).collect();
    Ok(db::audience_touched::note_later(db, workspace, &later).await?)
}

/// The changes that change something, each with its audience.
fn changes_of<'a>(
    audiences: &'a [Audience],
    changes: &'a [(i64, Change)],
) -> impl Iterator<Item = (&'a Audience, &'a Change)> {
    let changes = changes.iter().filter(|(_, change)| !change.is_empty());
    changes.filter_map(|(id, change)| Some((audiences.iter().find(|audience| audience.stored.id == *id)?, change)))
}

fn tell(audiences: &[Audience], changes: &[(i64, Change)]) {
    for (audience, change) in changes_of(audiences, changes) {
        for (what, people) in [("entered", &change.enter), ("exited", &change.leave)] {
            let name = audience.stored.name.clone();
            metrics::counter!(AUDIENCE_CHANGES, "audience" => name, "change" => what).increment(people.len() as u64);
        }
    }
}
