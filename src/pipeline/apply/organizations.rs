//! Organizations of a batch.

use super::env::Env;
use crate::db;
use crate::db::organization::OrganizationRow;
use crate::model::batch::{Batch, Counts};
use crate::model::organization::OrganizationRecord;
use crate::model::record::digest;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};

/// Applies the organizations of a batch: new ones, and those that changed and are not older news.
pub async fn apply(db: &mut PgConnection, env: &Env<'_>, batch: &Batch, counts: &mut Counts) -> db::Result<()> {
    if batch.organizations.is_empty() {
        return Ok(());
    }
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let records = newest(&batch.organizations);
    let ids: Vec<&str> = records.iter().map(|record| record.record_id.as_str()).collect();
    let known = db::organization::load(db, workspace, source, &ids).await?;
    let known: HashMap<&str, &db::organization::Known> =
        known.iter().map(|known| (known.record_id.as_str(), known)).collect();
    let mut new_ids = db::organization::reserve_ids(db, records.len() - known.len()).await?.into_iter();
    let (mut complete, mut hints) = (Vec::new(), Vec::new());
    for record in records {
        let seen = if record.complete { digest(record, 0) } else { 0 };
        let id = match known.get(record.record_id.as_str()) {
            Some(known) if record.complete && known.seen == seen => {
                counts.unchanged += 1;
                continue;
            }
            Some(known)
                if record.updated_at < known.record_updated_at
                    || (!record.complete && record.updated_at == known.record_updated_at) =>
            {
                counts.skipped += 1;
                continue;
            }
            Some(known) => known.id,
            None => new_ids.next().expect("as many ids are reserved as there are new organizations"),
        };
        let rows = if record.complete { &mut complete } else { &mut hints };
        rows.push(OrganizationRow::new(id, record, seen));
    }
    let touched: Vec<&str> = complete.iter().chain(&hints).map(OrganizationRow::record_id).collect();
    counts.organizations += (complete.len() + hints.len()) as u64;
    db::organization::upsert(db, workspace, source, &complete, true, env.now).await?;
    db::organization::upsert(db, workspace, source, &hints, false, env.now).await?;
    db::audience_touched::note_organizations(db, workspace, source, &touched, env.now).await
}

fn newest(records: &[OrganizationRecord]) -> Vec<&OrganizationRecord> {
    let mut last: BTreeMap<&str, &OrganizationRecord> = BTreeMap::new();
    for record in records {
        let entry = last.entry(record.record_id.as_str()).or_insert(record);
        if record.updated_at >= entry.updated_at && (record.complete || !entry.complete) {
            *entry = record;
        }
    }
    last.into_values().collect()
}
