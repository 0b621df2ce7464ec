//! Activities of a batch: to whom each belongs, what is new, what corrects what stands there.

use super::env::{Env, Known, Tickets};
use crate::db;
use crate::db::activity::{ActivityRow, Owned, RollupRow, Stored};
use crate::model::activity::{ActivityDraft, ActivityType, Origin, Owner};
use crate::model::batch::{Batch, Counts};
use crate::rules::{activity, retention};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Applies the activities of a batch.
pub async fn apply(
    db: &mut PgConnection,
    env: &Env<'_>,
    batch: &Batch,
    from_people: Vec<ActivityDraft>,
    known: &Known,
    tickets: &Tickets,
    counts: &mut Counts,
) -> db::Result<()> {
    let mut rows: BTreeMap<Uuid, ActivityRow> = BTreeMap::new();
    for draft in batch.activities.iter().chain(&from_people) {
        if is_expired(env, draft) {
            continue;
        }
        let attached = attach(env, draft, known, tickets);
        counts.skipped += u64::from(attached.is_empty());
        for row in attached {
            let better = rows.get(&row.id).is_none_or(|before| row.origin > before.origin);
            if better {
                rows.insert(row.id, row);
            }
        }
    }
    write(db, env, rows.into_values().collect(), counts).await
}

/// Comments that were made private: gone where private ones are not kept, else no longer public (A6).
pub async fn hide_comments(
    db: &mut PgConnection,
    env: &Env<'_>,
    (tickets, comments): (Vec<i64>, Vec<&str>),
) -> db::Result<()> {
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    if env.keeps_private_comments() {
        db::activity::mark_private(db, workspace, source, &tickets, &comments).await?;
        return db::audience_touched::note_activities(db, workspace, source, &tickets, env.now).await;
    }
    let gone = db::activity::delete_comments(db, workspace, source, &tickets, &comments).await?;
    take_from_rollups(db, workspace, &gone).await?;
    touch(db, env, gone.iter().map(|activity| (activity.person_id, activity.kind.as_str()))).await
}

/// What has expired already is not kept (R11).
fn is_expired(env: &Env<'_>, draft: &ActivityDraft) -> bool {
    retention::horizon(env.now, &env.source.settings.retention, &draft.kind)
        .is_some_and(|horizon| draft.occurred_at < horizon)
}

/// The rows of a draft: one for its owner and, for a comment by another customer, one for its author (A4). None when
/// nobody is there to attach it to: no customer, deleted, or archived (R49).
fn attach(env: &Env<'_>, draft: &ActivityDraft, known: &Known, tickets: &Tickets) -> Vec<ActivityRow> {
    let ticket = draft.ticket_id.and_then(|id| tickets.get(&id));
    let owner = match &draft.owner {
        Owner::Record(record) => Some(record.as_str()),
        Owner::Requester => ticket.and_then(|ticket| known.requester_at(ticket, draft.occurred_at)),
    };
    let mut draft = draft.clone();
    let mut rows = Vec::new();
    let is_comment = draft.kind == ActivityType::TicketCommentAdded.as_str();
    let author = draft.actor.clone().filter(|_| is_comment);
    if is_comment {
        let is_customer =
            author.as_deref().and_then(|author| known.links.get(author)).is_some_and(|link| link.status != "agent");
        draft.attributes.insert("author_role".into(), json!(if is_customer { "end-user" } else { "agent" }));
    }
    if draft.kind == ActivityType::TicketSolved.as_str()
        && let Some(opened_at) = ticket.and_then(|ticket| ticket.created_at)
    {
        draft.attributes.insert("resolution_minutes".into(), json!((draft.occurred_at - opened_at).num_minutes()));
    }
    let person = owner.and_then(|owner| known.attachable(owner));
    if let Some(person) = person {
        rows.push(row(env, &draft, person));
    }
    if let Some(author) = author
        && owner != Some(author.as_str())
        && known.links.get(&author).is_some_and(|link| link.status != "agent")
        && let Some(other) = known.attachable(&author).filter(|other| Some(*other) != person)
    {
        draft.attributes.insert("as_author".into(), Value::Bool(true));
        draft.owner = Owner::Record(author);
        rows.push(row(env, &draft, other));
    }
    if ticket.is_some_and(|ticket| ticket.scrubbed) {
        rows.iter_mut().for_each(scrub);
    }
    rows
}

fn row(env: &Env<'_>, draft: &ActivityDraft, person_id: i64) -> ActivityRow {
    ActivityRow {
        occurred_at: draft.occurred_at,
        id: activity::id(env.source.id, draft),
        person_id,
        kind: draft.kind.clone(),
        ticket_id: draft.ticket_id,
        actor_record_id: draft.actor.clone(),
        attributes: draft.attributes.clone(),
        message: draft.message.clone(),
        origin: draft.origin as i16,
    }
}

async fn write(
    db: &mut PgConnection,
    env: &Env<'_>,
    mut rows: Vec<ActivityRow>,
    counts: &mut Counts,
) -> db::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let stored: HashMap<Uuid, Stored> =
        db::activity::load(db, workspace, &rows).await?.into_iter().map(|stored| (stored.id, stored)).collect();
    for row in rows.iter_mut().filter(|row| stored.get(&row.id).is_some_and(|stored| stored.is_redacted())) {
        redact(row);
    }
    let new: Vec<&ActivityRow> = rows.iter().filter(|row| !stored.contains_key(&row.id)).collect();
    let better: Vec<&ActivityRow> =
        rows.iter().filter(|row| stored.get(&row.id).is_some_and(|stored| corrects(row, stored))).collect();
    db::activity::insert(db, workspace, source, &new, env.now).await?;
    db::activity::correct(db, workspace, &better).await?;
    touch(db, env, new.iter().chain(&better).map(|row| (row.person_id, row.kind.as_str()))).await?;
    counts.activities += (new.len() + better.len()) as u64;
    counts.unchanged += (rows.len() - new.len() - better.len()) as u64;
    if new.is_empty() {
        return Ok(());
    }
    let windows = db::activity_window::windows(db, workspace, source).await?;
    let counted = |row: &&&ActivityRow| {
        !windows
            .iter()
            .any(|(kind, from, through)| *kind == row.kind && *from <= row.occurred_at && row.occurred_at < *through)
    };
    let happened = new.iter().filter(counted).map(|row| (row.person_id, row.kind.as_str(), row.occurred_at));
    db::activity::roll_up(db, workspace, &rollups(happened)).await
}

/// Notes for audiences of whom activities of which types came, went or changed.
async fn touch<'a>(
    db: &mut PgConnection,
    env: &Env<'_>,
    changes: impl Iterator<Item = (i64, &'a str)>,
) -> db::Result<()> {
    let changes: BTreeSet<(i64, &str)> = changes.collect();
    let changes = changes.into_iter().map(|(person, kind)| (person, format!("activity:{kind}")));
    db::audience_touched::note(db, env.source.workspace_id, changes, env.now).await
}

/// The truth corrects a hint and itself; a hint corrects nothing, not even another hint.
fn corrects(row: &ActivityRow, stored: &Stored) -> bool {
    row.origin > Origin::Webhook as i16
        && row.origin >= stored.origin
        && (row.attributes != stored.attributes || row.message != stored.message)
}

fn rollups<'a>(happened: impl Iterator<Item = (i64, &'a str, DateTime<Utc>)>) -> Vec<RollupRow<'a>> {
    let mut sums: BTreeMap<(i64, &str), RollupRow<'_>> = BTreeMap::new();
    for (person_id, kind, at) in happened {
        let sum =
            sums.entry((person_id, kind)).or_insert(RollupRow { person_id, kind, first_at: at, last_at: at, total: 0 });
        sum.first_at = sum.first_at.min(at);
        sum.last_at = sum.last_at.max(at);
        sum.total += 1;
    }
    sums.into_values().collect()
}

/// Gives activities to other people, and their counts with them.
pub async fn move_to(db: &mut PgConnection, env: &Env<'_>, moves: Vec<(Owned, i64)>) -> db::Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let workspace = env.source.workspace_id;
    let owners = moves
        .iter()
        .flat_map(|(activity, person)| [activity.person_id, *person].map(|person| (person, activity.kind.as_str())));
    touch(db, env, owners).await?;
    db::activity::reassign(db, workspace, &moves).await?;
    let taken: Vec<Owned> = moves.iter().map(|(activity, _)| activity.clone()).collect();
    take_from_rollups(db, workspace, &taken).await?;
    let given = rollups(moves.iter().map(|(activity, person)| (*person, activity.kind.as_str(), activity.occurred_at)));
    db::activity::roll_up(db, workspace, &given).await
}

/// Takes from rollups what is no longer theirs.
async fn take_from_rollups(db: &mut PgConnection, workspace: i64, gone: &[Owned]) -> db::Result<()> {
    let taken = rollups(gone.iter().map(|activity| (activity.person_id, activity.kind.as_str(), activity.occurred_at)));
    db::activity::roll_down(db, workspace, &taken).await
}

/// Takes the text from an activity whose stored copy was redacted, so that nothing brings it back.
fn redact(row: &mut ActivityRow) {
    row.message = None;
    row.attributes.insert("redacted".into(), Value::Bool(true));
}

/// Takes every text that somebody wrote from a row about a ticket that was deleted for good.
fn scrub(row: &mut ActivityRow) {
    redact(row);
    for key in db::activity::TEXTS {
        row.attributes.remove(*key);
    }
}
