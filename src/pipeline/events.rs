//! Events: applies the webhooks of a source that are pending, in order, as batches. Reads again in bulk what they do not
//! carry; when the budget is spent, applies what they say and leaves the rest to the next poll.

use super::commit;
use super::context::{Context, FlowError};
use super::fetch::{self, Patience, Wanted};
use crate::db;
use crate::model::activity::Origin;
use crate::model::batch::{Batch, Counts, Refused, SourceMerge};
use crate::model::job::Lease;
use crate::model::person::RecordStatus;
use crate::model::raw_event::Pending;
use crate::model::source::Source;
use crate::model::stream::Stream;
use crate::rules::activity;
use crate::zendesk::decode::{self, WebhookEvent};
use crate::zendesk::error::Kind;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// Runs an apply job: batch after batch until nothing is pending.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    loop {
        ctx.may_go_on()?;
        let mut db = ctx.pool.acquire().await?;
        let source = db::source::get(&mut db, lease.source_id).await?;
        let source = source.filter(|source| source.state.is_live() && source.paused_at.is_none());
        let Some(source) = source else {
            db::job::finish(&mut db, lease).await?;
            return Ok(());
        };
        let limit = i64::from(ctx.settings.worker.apply_batch_events);
        let pending = db::raw_event::pending(&mut db, source.workspace_id, source.id, limit).await?;
        drop(db);
        if pending.is_empty() && finish(ctx, &source, lease).await? {
            return Ok(());
        }
        if !pending.is_empty() {
            apply(ctx, &source, lease, &pending).await?;
        }
    }
}

/// Finishes the job if nothing has come in the meantime. What comes later asks for a job of its own.
async fn finish(ctx: &Context, source: &Source, lease: &Lease) -> Result<bool, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    if !db::job::finish(&mut tx, lease).await? {
        return Err(FlowError::LeaseLost);
    }
    let idle = !db::raw_event::has_pending(&mut tx, source.workspace_id, source.id).await?;
    if idle {
        tx.commit().await?;
    }
    Ok(idle)
}

/// Applies one batch of webhooks; their receipt commits with their effects.
async fn apply(ctx: &Context, source: &Source, lease: &Lease, pending: &[Pending]) -> Result<(), FlowError> {
    let (batch, soon) = prepare(ctx, source, bodies(pending)).await?;
    let mut tx = commit::begin(ctx, source, Some(lease)).await?;
    let env = commit::env(ctx, source);
    let counts = commit::apply_all(&mut tx, &env, batch).await?;
    let seqs: Vec<i64> = pending.iter().map(|event| event.seq).collect();
    db::raw_event::applied(&mut tx, source.workspace_id, source.id, &seqs).await?;
    let soon: Vec<Stream> = soon.into_iter().collect();
    db::checkpoint::set_due(&mut tx, source.id, &soon, env.now).await?;
    tx.commit().await?;
    report(source, pending, &counts, env.now);
    Ok(())
}

/// The bytes that are left to apply.
fn bodies(pending: &[Pending]) -> impl Iterator<Item = &[u8]> {
    let erased = |event: &&Pending| event.event_type.as_deref() == Some(db::raw_event::ERASED);
    pending.iter().filter(move |event| !erased(event)).map(|event| event.body.as_slice())
}

fn report(source: &Source, pending: &[Pending], counts: &Counts, now: DateTime<Utc>) {
    metrics::counter!(crate::telemetry::EVENTS_APPLIED, "source" => source.name.clone())
        .increment(pending.len() as u64);
    let lag = pending.iter().map(|event| (now - event.received_at).num_milliseconds()).max().unwrap_or(0);
    tracing::info!(
        source = source.name,
        events = pending.len(),
        people = counts.people_created + counts.people_updated,
        tickets = counts.tickets,
        activities = counts.activities,
        dead_letters = counts.dead_letters,
        lag_ms = lag,
        "webhooks applied"
    );
}

/// Decodes webhooks and reads again what they do not carry. Answers the batch and the streams that have news.
pub async fn prepare<'a>(
    ctx: &Context,
    source: &Source,
    bodies: impl Iterator<Item = &'a [u8]>,
) -> Result<(Batch, BTreeSet<Stream>), FlowError> {
    let decode = ctx.decode(source);
    let (mut events, mut refused) = (Vec::new(), Vec::new());
    for body in bodies {
        match decode::webhook(body, &decode) {
            Ok(event) if event.event_type.is_empty() => refused.push(Refused {
                stream: "webhooks",
                record_id: String::new(),
                reason: "the body is no Zendesk event: it has no type".into(),
                body: body.to_vec(),
            }),
            Ok(event) => events.push(event),
            Err(letter) => refused.push(letter),
        }
    }
    count_unknown(source, &events);
    let soon = events.iter().flat_map(|event| event.poll_soon.iter().copied()).collect();
    let mut batch = read_again(ctx, source, &events).await?;
    let pairs: Vec<_> = events.iter().filter_map(|event| event.merge_pair.clone()).collect();
    for event in events {
        add_hints(&mut batch, event.batch);
    }
    for (a, b, at) in pairs {
        add_merge(&mut batch, &a, &b, at);
    }
    complete(ctx, source, &mut batch).await?;
    batch.refused.extend(refused);
    Ok((batch, soon))
}

fn count_unknown(source: &Source, events: &[WebhookEvent]) {
    let unknown = events.iter().filter(|event| !event.known).count() as u64;
    if unknown > 0 {
        metrics::counter!(crate::telemetry::EVENTS_UNKNOWN, "source" => source.name.clone()).increment(unknown);
    }
}

async fn read_again(ctx: &Context, source: &Source, events: &[WebhookEvent]) -> Result<Batch, FlowError> {
    let mut wanted = Wanted::default();
    for event in events {
        wanted.users.extend(event.users.iter().cloned());
        wanted.organizations.extend(event.organizations.iter().cloned());
        wanted.tickets.extend(event.tickets.iter().cloned());
    }
    let mut batch = Batch::default();
    fetch_if_possible(ctx, source, &wanted, &mut batch).await?;
    Ok(batch)
}

/// Reads what can be read now. Neither a spent budget nor a failing Zendesk holds webhooks up: they say something
/// themselves, and the next poll brings the rest.
async fn fetch_if_possible(
    ctx: &Context,
    source: &Source,
    wanted: &Wanted,
    batch: &mut Batch,
) -> Result<(), FlowError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let client = match ctx.client(source) {
        Ok(client) => client,
        Err(FlowError::Database(error)) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(source = source.name, error = %error, "applying webhooks without reading again");
            return Ok(());
        }
    };
    if let Err(error) = fetch::fetch(ctx, &client, source, wanted, Patience::IfAffordable, batch).await {
        let level_is_normal = matches!(error.kind, Kind::BudgetSpent(_) | Kind::RateLimited { .. });
        if level_is_normal {
            tracing::debug!(source = source.name, error = %error, "applying what the webhooks say; the rest is left to the next poll");
        } else {
            tracing::warn!(source = source.name, error = %error, "applying what the webhooks say; the rest is left to the next poll");
        }
    }
    Ok(())
}

/// Adds what webhooks say themselves. A hint about a record that was read again says nothing more.
fn add_hints(batch: &mut Batch, said: Batch) {
    let read: BTreeSet<String> =
        batch.people.iter().filter(|person| person.complete).map(|person| person.record_id.clone()).collect();
    batch.people.extend(said.people.into_iter().filter(|person| !read.contains(&person.record_id)));
    let read: BTreeSet<String> = batch
        .organizations
        .iter()
        .filter(|organization| organization.complete)
        .map(|organization| organization.record_id.clone())
        .collect();
    batch
        .organizations
        .extend(said.organizations.into_iter().filter(|organization| !read.contains(&organization.record_id)));
    let read: BTreeSet<i64> = batch.tickets.iter().filter(|ticket| ticket.complete).map(|ticket| ticket.id).collect();
    batch.tickets.extend(said.tickets.into_iter().filter(|ticket| !read.contains(&ticket.id)));
    batch.activities.extend(said.activities);
    batch.redactions.extend(said.redactions);
    batch.merges.extend(said.merges);
    batch.ratings.extend(said.ratings);
    for (ticket, former) in said.requesters {
        batch.requesters.entry(ticket).or_default().extend(former);
    }
}

/// A merge, once both users have been read again: the inactive one lost, and so did one who is not there any more.
fn add_merge(batch: &mut Batch, a: &str, b: &str, at: DateTime<Utc>) {
    let find = |id: &str| batch.people.iter().find(|person| person.record_id == id && person.complete);
    let direction = match (find(a), find(b)) {
        (Some(first), Some(second)) => decode::merge_direction(first, second),
        (Some(first), None) if first.status.is_customer() => Some((a.to_string(), b.to_string())),
        (None, Some(second)) if second.status.is_customer() => Some((b.to_string(), a.to_string())),
        _ => None,
    };
    let Some((winner, loser)) = direction else { return };
    for person in batch.people.iter_mut().filter(|person| person.record_id == loser) {
        person.status = RecordStatus::Merged;
    }
    let merge = SourceMerge { winner, loser, at };
    batch.activities.push(activity::user_merged(&merge, Origin::Webhook));
    batch.merges.push(merge);
}

/// A ticket brings its contact, a webhook its ticket (R24).
async fn complete(ctx: &Context, source: &Source, batch: &mut Batch) -> Result<(), FlowError> {
    let wanted = fetch::missing(ctx, source, batch).await?;
    fetch_if_possible(ctx, source, &wanted, batch).await
}

/// Makes stored webhooks pending again. Answers how many were not pending already. A replay changes nothing that is right.
pub async fn replay(
    ctx: &Context,
    source: &Source,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<u64, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    let again = db::raw_event::replay(&mut tx, source.workspace_id, source.id, since, until).await?;
    db::job::enqueue_apply(&mut tx, &[source.id], ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(again)
}
