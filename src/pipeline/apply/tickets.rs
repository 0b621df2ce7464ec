//! Tickets of a batch: present state, former requesters, ratings.

use super::env::{Env, Known, Tickets};
use super::people;
use crate::db;
use crate::db::ticket::TicketRow;
use crate::model::batch::{Batch, Counts};
use crate::model::record::digest;
use crate::model::ticket::{FormerRequester, Rating, TicketRecord};
use crate::rules::requester;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Applies the tickets of a batch, guarded against older news. Answers all tickets that the batch refers to.
pub async fn apply(
    db: &mut PgConnection,
    env: &Env<'_>,
    batch: &Batch,
    known: &mut Known,
    counts: &mut Counts,
) -> db::Result<Tickets> {
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let referred = batch.tickets.iter().map(|ticket| ticket.id);
    let referred = referred.chain(batch.activities.iter().filter_map(|draft| draft.ticket_id));
    let referred =
        referred.chain(batch.requesters.keys().copied()).chain(batch.ratings.iter().map(|rating| rating.ticket_id));
    let referred: BTreeSet<i64> = referred.collect();
    let referred: Vec<i64> = referred.into_iter().collect();
    let stored = db::ticket::load(db, workspace, source, &referred).await?;
    let former = stored.iter().flat_map(|ticket| &ticket.history).map(|former| former.requester.as_str());
    let requesters = stored.iter().filter_map(|ticket| ticket.requester.as_deref()).chain(former);
    people::learn(db, env, known, requesters).await?;
    let mut tickets: Tickets = stored.into_iter().map(|ticket| (ticket.id, ticket)).collect();
    write(db, env, &batch.tickets, known, &mut tickets, counts).await?;
    write_histories(db, env, batch, known, &mut tickets).await?;
    rate(db, env, &batch.ratings, counts).await?;
    Ok(tickets)
}

async fn write(
    db: &mut PgConnection,
    env: &Env<'_>,
    records: &[TicketRecord],
    known: &Known,
    tickets: &mut Tickets,
    counts: &mut Counts,
) -> db::Result<()> {
    let (mut complete, mut hints) = (Vec::new(), Vec::new());
    for record in newest(records) {
        let seen = if record.complete { digest(record, 0) } else { 0 };
        let person = record.requester.as_deref().and_then(|requester| known.person(requester));
        match tickets.get(&record.id) {
            Some(stored) if record.complete && stored.seen == seen => {
                counts.unchanged += 1;
                continue;
            }
            Some(stored) if is_older(record, stored) => {
                counts.skipped += 1;
                continue;
            }
            Some(stored) => tickets.insert(record.id, after(record, seen, Some(stored))),
            None => tickets.insert(record.id, after(record, seen, None)),
        };
        let rows = if record.complete { &mut complete } else { &mut hints };
        rows.push(TicketRow::new(record, person, seen));
    }
    counts.tickets += (complete.len() + hints.len()) as u64;
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let touched: Vec<i64> = complete.iter().chain(&hints).map(TicketRow::id).collect();
    // For whoever had them before, and for whoever has them afterwards.
    db::audience_touched::note_tickets(db, workspace, source, &touched, env.now).await?;
    db::ticket::upsert(db, workspace, source, &complete, true).await?;
    db::ticket::upsert(db, workspace, source, &hints, false).await?;
    db::audience_touched::note_tickets(db, workspace, source, &touched, env.now).await
}

/// Older news, or a hint that knows no more than what stands there; nothing brings the texts of a scrubbed ticket back.
fn is_older(record: &TicketRecord, stored: &db::ticket::Known) -> bool {
    let older = record.version_at < stored.version_at || (!record.complete && record.version_at == stored.version_at);
    older || (stored.scrubbed && !record.scrubbed)
}

fn after(record: &TicketRecord, seen: i64, before: Option<&db::ticket::Known>) -> db::ticket::Known {
    db::ticket::Known {
        id: record.id,
        requester: record.requester.clone(),
        history: before.map(|before| before.history.clone()).unwrap_or_default(),
        created_at: record.created_at.or(before.and_then(|before| before.created_at)),
        version_at: record.version_at,
        seen,
        scrubbed: record.scrubbed,
        rating_at: before.and_then(|before| before.rating_at),
    }
}

fn newest(records: &[TicketRecord]) -> Vec<&TicketRecord> {
    let mut last: BTreeMap<i64, &TicketRecord> = BTreeMap::new();
    for record in records {
        let entry = last.entry(record.id).or_insert(record);
        if record.version_at >= entry.version_at && (record.complete || !entry.complete) {
            *entry = record;
        }
    }
    last.into_values().collect()
}

/// Notes former requesters, and gives what happened in their time to them (A4).
async fn write_histories(
    db: &mut PgConnection,
    env: &Env<'_>,
    batch: &Batch,
    known: &Known,
    tickets: &mut Tickets,
) -> db::Result<()> {
    let mut grown: Vec<(i64, Vec<FormerRequester>)> = Vec::new();
    for (id, more) in &batch.requesters {
        if let Some(ticket) = tickets.get_mut(id)
            && let Some(history) = requester::extend(&ticket.history, more)
        {
            ticket.history = history.clone();
            grown.push((*id, history));
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    db::ticket::set_history(db, workspace, source, &grown).await?;
    let ids: Vec<i64> = grown.iter().map(|(id, _)| *id).collect();
    let mut moves = Vec::new();
    for activity in db::activity::of_requesters(db, workspace, source, &ids).await? {
        let Some(ticket) = tickets.get(&activity.ticket_id) else { continue };
        let owner = known.requester_at(ticket, activity.occurred_at);
        match owner.and_then(|owner| known.attachable(owner)) {
            Some(person) if person != activity.person_id => moves.push((activity, person)),
            _ => {}
        }
    }
    super::activities::move_to(db, env, moves).await
}

/// The last rating of each ticket; the ratings themselves become activities.
async fn rate(db: &mut PgConnection, env: &Env<'_>, ratings: &[Rating], counts: &mut Counts) -> db::Result<()> {
    let mut last: BTreeMap<i64, &Rating> = BTreeMap::new();
    for rating in ratings {
        let entry = last.entry(rating.ticket_id).or_insert(rating);
        if rating.rated_at >= entry.rated_at {
            *entry = rating;
        }
    }
    let last: Vec<&Rating> = last.into_values().collect();
    if !last.is_empty() {
        let (workspace, source) = (env.source.workspace_id, env.source.id);
        counts.tickets += db::ticket::rate(db, workspace, source, &last).await?;
        let touched: Vec<i64> = last.iter().map(|rating| rating.ticket_id).collect();
        db::audience_touched::note_tickets(db, workspace, source, &touched, env.now).await?;
    }
    Ok(())
}
