//! What an operator does with people: archive, restore, delete (R48, C7–C9).

use super::apply::{identity_subject, record_subject};
use super::context::{Context, FlowError};
use crate::db;
use crate::model::person::IdentityKind;
use chrono::Duration;
use std::collections::BTreeSet;

/// Archives people. Answers how many were not archived yet.
pub async fn archive(ctx: &Context, workspace: i64, ids: &[i64], reason: &str) -> Result<u64, FlowError> {
    let now = ctx.clock.now();
    let days = i64::from(ctx.settings.retention.archived_person_days);
    let delete_after = (days > 0).then(|| now + Duration::days(days));
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let archived = db::person::archive(&mut tx, workspace, ids, reason, now, delete_after).await?;
    let touched = archived.iter().map(|person| (*person, db::audience_touched::ALL));
    db::audience_touched::note(&mut tx, workspace, touched, now).await?;
    tx.commit().await?;
    Ok(archived.len() as u64)
}

/// Brings archived people back, with what happened in the meantime at the next full reading. Answers how many.
pub async fn restore(ctx: &Context, workspace: i64, ids: &[i64]) -> Result<u64, FlowError> {
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let restored = db::person::restore(&mut tx, workspace, ids, ctx.clock.now()).await?;
    db::person_source::forget_seen(&mut tx, workspace, &restored).await?;
    let touched = restored.iter().map(|person| (*person, db::audience_touched::ALL));
    db::audience_touched::note(&mut tx, workspace, touched, ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(restored.len() as u64)
}

/// How many rows of each table are a person's: what a deletion would remove.
pub async fn belongings(ctx: &Context, workspace: i64, id: i64) -> Result<Vec<(String, i64)>, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    Ok(db::merge::belongings(&mut db, workspace, id).await?)
}

/// Deletes people and everything that is theirs (C7). Tombstones come first, so that nothing in flight brings them back
/// (C9); withdrawals become suppressions, which outlive the person (C6). Answers how many people went.
pub async fn delete(ctx: &Context, workspace: i64, ids: &[i64], reason: &str) -> Result<u64, FlowError> {
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let records = db::person_source::of_people(&mut tx, workspace, ids).await?;
    let identities = db::identity::of_people(&mut tx, workspace, ids).await?;
    let digest = |subject: String| ctx.sealer.subject_hmac(&subject).to_vec();
    let mut stones: Vec<(&str, Vec<u8>)> =
        records.iter().map(|(source, record, _)| ("record", digest(record_subject(*source, record)))).collect();
    stones.extend(identities.iter().filter_map(|identity| {
        let kind = kind_of(&identity.kind)?;
        Some((kind.as_str(), digest(identity_subject(kind, &identity.value))))
    }));
    db::tombstone::set(&mut tx, workspace, &stones, reason, now).await?;
    suppress_withdrawn(ctx, &mut tx, workspace, ids, &identities).await?;
    let sources: BTreeSet<i64> = records.iter().map(|(source, _, _)| *source).collect();
    for source in sources {
        let of_source: Vec<String> =
            records.iter().filter(|(id, _, _)| *id == source).map(|(_, record, _)| record.clone()).collect();
        let subjects: Vec<String> = of_source.iter().map(|record| format!("zen:user:{record}")).collect();
        db::raw_event::erase(&mut tx, workspace, source, &subjects).await?;
        let tickets = db::ticket::of_people(&mut tx, workspace, source, ids).await?;
        let about_tickets: Vec<String> = tickets.iter().map(|ticket| format!("zen:ticket:{ticket}")).collect();
        db::raw_event::erase(&mut tx, workspace, source, &about_tickets).await?;
        db::dead_letter::erase(&mut tx, workspace, source, &of_source, &tickets).await?;
    }
    db::merge::remove_belongings(&mut tx, workspace, ids).await?;
    let gone = db::person::delete(&mut tx, workspace, ids).await?;
    tx.commit().await?;
    Ok(gone)
}

fn kind_of(text: &str) -> Option<IdentityKind> {
    [IdentityKind::ExternalId, IdentityKind::Email, IdentityKind::Phone].into_iter().find(|kind| kind.as_str() == text)
}

/// Whoever withdrew or was suppressed stays so for the address, whoever has it next.
async fn suppress_withdrawn(
    ctx: &Context,
    db: &mut sqlx::PgConnection,
    workspace: i64,
    ids: &[i64],
    identities: &[db::identity::Found],
) -> Result<(), FlowError> {
    use crate::model::consent::ConsentState::{Denied, Suppressed, Withdrawn};
    let mut addresses = Vec::new();
    for person in db::person::load(db, workspace, ids).await? {
        for identity in identities.iter().filter(|identity| identity.person_id == person.id) {
            let (channel, state) = match identity.kind.as_str() {
                "email" => ("email", person.email_consent),
                "phone" => ("sms", person.sms_consent),
                _ => continue,
            };
            if let (Denied | Suppressed | Withdrawn, Some(kind)) = (state, kind_of(&identity.kind)) {
                addresses.push((channel, ctx.sealer.subject_hmac(&identity_subject(kind, &identity.value)).to_vec()));
            }
        }
    }
    db::tombstone::suppress(db, workspace, &addresses, "withdrawn before deletion", ctx.clock.now()).await?;
    Ok(())
}

/// Lets a deleted record or address come back: an operator's explicit wish, which is logged (C8).
pub async fn lift(ctx: &Context, workspace: i64, subjects: &[String]) -> Result<u64, FlowError> {
    let digests: Vec<Vec<u8>> =
        subjects.iter().flat_map(|subject| ctx.sealer.subject_hmacs(subject)).map(|digest| digest.to_vec()).collect();
    let mut db = ctx.pool.acquire().await?;
    let lifted = db::tombstone::lift(&mut db, workspace, &digests).await?;
    tracing::warn!(lifted, "tombstones lifted by an operator");
    Ok(lifted)
}
