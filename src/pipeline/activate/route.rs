//! What changed about whom → people who are due for activations that are always on, and a push job for their source.

use crate::db;
use crate::db::audience_touched::ALL;
use crate::model::job::JobKind;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Notes who is due, in the transaction that sees to the changes: `asked` has people by what changed about them, memberships
/// among it. A person about whom much changed is due once.
pub async fn route(
    db: &mut PgConnection,
    workspace: i64,
    asked: &BTreeMap<String, BTreeSet<i64>>,
    now: DateTime<Utc>,
) -> db::Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let listeners = db::activation_due::listeners(db, workspace).await?;
    let concerns = |needs: &[String], need: &str| need == ALL || needs.iter().any(|known| known == need);
    let changes = asked.iter().filter(|(need, _)| listeners.iter().any(|(_, needs)| concerns(needs, need)));
    let changes: Vec<(i64, String)> =
        changes.flat_map(|(need, people)| people.iter().map(|person| (*person, need.clone()))).collect();
    if changes.is_empty() {
        return Ok(());
    }
    db::activation_due::note(db, workspace, &changes, now).await?;
    let woken = listeners.iter().filter(|(_, needs)| asked.keys().any(|need| concerns(needs, need)));
    let woken: BTreeSet<i64> = woken.map(|(source, _)| *source).collect();
    for source in woken {
        db::job::enqueue(db, JobKind::Push, source, "", now).await?;
    }
    Ok(())
}
