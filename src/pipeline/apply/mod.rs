//! Apply: normalised records of one source become rows, in the caller's transaction and under the workspace's lock.
//! Loads what it needs with one statement a table, decides in `rules/`, writes with one statement a table (invariant 4).

mod activities;
mod echoes;
mod env;
mod merges;
mod organizations;
mod people;
mod tickets;

pub use env::{Env, Known};
pub use people::{identity_subject, record_subject};

use crate::db;
use crate::model::batch::{Batch, Counts, Redaction};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Applies a batch. The caller has begun the transaction, holds the workspace's lock and its job, and commits.
pub async fn apply(db: &mut PgConnection, env: &Env<'_>, batch: &Batch) -> db::Result<Counts> {
    let mut counts = Counts { dead_letters: batch.refused.len() as u64, ..Counts::default() };
    let (known, from_people) = people::apply(db, env, batch, &mut counts).await?;
    let mut known = merges::apply(db, env, batch, known, &mut counts).await?;
    organizations::apply(db, env, batch, &mut counts).await?;
    let tickets = tickets::apply(db, env, batch, &mut known, &mut counts).await?;
    activities::apply(db, env, batch, from_people, &known, &tickets, &mut counts).await?;
    redact(db, env, batch).await?;
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    db::field_def::replace(db, workspace, source, &batch.fields).await?;
    db::dead_letter::bury(db, workspace, source, &batch.refused, env.now).await?;
    Ok(counts)
}

/// Removes texts from every stored copy (A7): tickets, activities, webhooks as they came, dead letters.
async fn redact(db: &mut PgConnection, env: &Env<'_>, batch: &Batch) -> db::Result<()> {
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let mut tickets: BTreeSet<i64> =
        batch.tickets.iter().filter(|ticket| ticket.scrubbed).map(|ticket| ticket.id).collect();
    let (mut redacted, mut private) = (BTreeSet::new(), BTreeSet::new());
    for redaction in &batch.redactions {
        match redaction {
            Redaction::Ticket { ticket_id } => _ = tickets.insert(*ticket_id),
            Redaction::Comment { ticket_id, comment_id } => _ = redacted.insert((*ticket_id, comment_id.as_str())),
            Redaction::Private { ticket_id, comment_id } => _ = private.insert((*ticket_id, comment_id.as_str())),
        }
    }
    if !private.is_empty() {
        activities::hide_comments(db, env, private.iter().copied().unzip()).await?;
    }
    let hidden = private.iter().filter(|_| !env.keeps_private_comments()).map(|(ticket, _)| *ticket);
    let touched: BTreeSet<i64> =
        tickets.iter().copied().chain(redacted.iter().map(|(ticket, _)| *ticket)).chain(hidden).collect();
    if touched.is_empty() {
        return Ok(());
    }
    let tickets: Vec<i64> = tickets.into_iter().collect();
    db::ticket::scrub(db, workspace, source, &tickets).await?;
    db::activity::redact_tickets(db, workspace, source, &tickets).await?;
    let (of, ids): (Vec<i64>, Vec<&str>) = redacted.into_iter().unzip();
    db::activity::redact_comments(db, workspace, source, &of, &ids).await?;
    let all: Vec<i64> = touched.iter().copied().collect();
    db::audience_touched::note_tickets(db, workspace, source, &all, env.now).await?;
    db::audience_touched::note_activities(db, workspace, source, &all, env.now).await?;
    let subjects: Vec<String> = touched.iter().map(|ticket| format!("zen:ticket:{ticket}")).collect();
    db::raw_event::erase(db, workspace, source, &subjects).await?;
    let records: Vec<String> = touched.iter().map(i64::to_string).collect();
    db::dead_letter::erase(db, workspace, source, &[], &records).await?;
    Ok(())
}
