//! Merges: two people who turn out to be one (R35, I7–I11).

use super::env::{Env, Known};
use crate::db;
use crate::db::consent::ConsentRow;
use crate::db::person::PersonRow;
use crate::model::batch::{Batch, Counts};
use crate::model::consent::{Channel, ConsentState, Evidence};
use crate::model::field::SystemField;
use crate::model::person::Person;
use crate::rules::consent::{fold_channel, merge_action, merge_restrictive};
use crate::rules::fields;
use crate::rules::people::set_consent;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Applies the merges that a source reports. Answers who the records are afterwards.
pub async fn apply(
    db: &mut PgConnection,
    env: &Env<'_>,
    batch: &Batch,
    mut known: Known,
    counts: &mut Counts,
) -> db::Result<Known> {
    for merge in &batch.merges {
        let pair = (known.person(&merge.winner), known.person(&merge.loser));
        let (Some(winner), Some(loser)) = pair else { continue };
        db::person_source::set_status(db, env.source.workspace_id, env.source.id, &[&merge.loser], "merged").await?;
        if winner == loser {
            continue;
        }
        if let Some(survivor) = merge_people(db, env, winner, loser).await? {
            counts.people_updated += 1;
            for link in known.links.values_mut().filter(|link| link.person_id == winner || link.person_id == loser) {
                link.person_id = survivor;
            }
        }
    }
    Ok(known)
}

/// Merges two people: the older id survives (I9), values of `winner` come first, the rest is filled from `loser`, the most
/// restrictive consent holds (C4), everything that is theirs moves (I11). Answers who survives; None when one of them
/// is not there.
async fn merge_people(db: &mut PgConnection, env: &Env<'_>, winner: i64, loser: i64) -> db::Result<Option<i64>> {
    let (workspace, now) = (env.source.workspace_id, env.now);
    let mut people = db::person::load(db, workspace, &[winner, loser]).await?;
    people.sort_by_key(|person| person.id != winner);
    let [first, second] = people.as_slice() else { return Ok(None) };
    let survivor = winner.min(loser);
    let gone = winner.max(loser);
    let reason = format!("merged in {}", env.source.name);
    db::merge::record(db, workspace, survivor, gone, "zendesk", &reason, now).await?;
    let mut merged = joined(first, second, env.source.id);
    merged.id = survivor;
    join_consents(db, workspace, &mut merged, [winner, loser], now).await?;
    db::merge::move_everything(db, workspace, gone, survivor).await?;
    db::merge::carry_archive(db, workspace, gone, survivor).await?;
    db::person::delete(db, workspace, &[gone]).await?;
    db::merge::add_alias(db, workspace, gone, survivor, now).await?;
    db::person::update(db, workspace, &[PersonRow::new(&merged, "")], now).await?;
    db::audience_touched::note(db, workspace, [(survivor, db::audience_touched::ALL)], now).await?;
    Ok(Some(survivor))
}

/// The values of the first, filled from the second; provenance goes with each value. What the source that merges wrote
/// itself is not filled in: it has just dropped it (Z§3, merge semantics).
fn joined(first: &Person, second: &Person, merged_by: i64) -> Person {
    let theirs = |key: &str| !fields::wrote(second, key, merged_by);
    let mut merged = first.clone();
    let carry = |key: &str, merged: &mut Person| {
        if let Some(entry) = second.provenance.get(key) {
            merged.provenance.insert(key.to_string(), entry.clone());
        }
    };
    for field in SystemField::ALL {
        let key = field.as_str();
        if merged.system[field].is_none() && second.system[field].is_some() && theirs(key) {
            merged.system[field] = second.system[field].clone();
            carry(key, &mut merged);
        }
    }
    for (key, value) in second.fields.iter().filter(|(key, _)| theirs(key)) {
        if !merged.fields.contains_key(key) {
            merged.fields.insert(key.clone(), value.clone());
            carry(key, &mut merged);
        }
    }
    merged
}

/// Joins two ledgers: what the more restrictive of them says is written behind both, so that the joined one says it too.
async fn join_consents(
    db: &mut PgConnection,
    workspace: i64,
    merged: &mut Person,
    pair: [i64; 2],
    now: DateTime<Utc>,
) -> db::Result<()> {
    let ledgers = db::consent::load(db, workspace, &pair).await?;
    for channel in Channel::ALL {
        let of = |id: i64| {
            let events = ledgers.get(&id).into_iter().flatten();
            events.filter(|event| event.channel == channel).cloned().collect::<Vec<_>>()
        };
        let (a, b) = (of(pair[0]), of(pair[1]));
        let decided = merge_restrictive(&a, &b);
        let mut all = a;
        all.extend(b);
        if let Some(action) = merge_action(&all, decided).filter(|_| fold_channel(&all, channel) != decided) {
            let row = ConsentRow {
                person_id: merged.id,
                subject_hmac: None,
                channel: channel.as_str(),
                action: action.as_str(),
                evidence: Evidence::AdminWithdrawal.as_str(),
                actor: "zendesk",
                wording_id: None,
                occurred_at: now,
            };
            db::consent::insert(db, workspace, 0, &[row], now).await?;
        }
        let suppressed = match channel {
            Channel::Email => merged.email_consent == ConsentState::Suppressed,
            Channel::Sms => merged.sms_consent == ConsentState::Suppressed,
        };
        if !suppressed {
            set_consent(Some(merged), channel, decided);
        }
    }
    Ok(())
}
