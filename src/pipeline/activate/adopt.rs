//! Which rows meet which records: the adoption report of a first sync. A plan makes it before anything is written.

use crate::db;
use crate::db::adoption::Met;
use crate::db::push_run::Run;
use crate::model::activation::Target;
use crate::model::push::RunKind;
use crate::rules::activation::adoption::Kind;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Examples of a kind.
const EXAMPLES: usize = 10;

/// Rows and records that meet alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How they meet.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// The first of them: rows, or ids in Zendesk where there are none.
    pub examples: Vec<String>,
}

/// The report of a plan or run; None unless it is its activation's first sync: what was given something is met already.
pub async fn report(db: &mut PgConnection, run: &Run) -> db::Result<Option<Vec<Group>>> {
    let by_rows = matches!(run.kind, RunKind::Plan | RunKind::Run);
    if !by_rows || !db::adoption::is_first(db, run.workspace_id, run.activation_id, run.id).await? {
        return Ok(None);
    }
    let mut kinds: BTreeMap<Kind, Group> = BTreeMap::new();
    let mut add = |kind: Kind, count: i64, examples: Vec<String>| {
        let group = kinds.entry(kind).or_insert_with(|| Group { kind, count: 0, examples: Vec::new() });
        group.count += count.unsigned_abs();
        group.examples.extend(examples);
        group.examples.truncate(EXAMPLES);
    };
    for kind in [Kind::Exact, Kind::ByKey, Kind::Ambiguous, Kind::OnlyHere] {
        add(kind, 0, Vec::new());
    }
    // What Zendesk was found to have as it is wanted was looked at before, and is not stored again.
    add(Kind::Exact, run.counts.same as i64, Vec::new());
    for group in db::adoption::groups(db, run.workspace_id, run.id, run.source_id).await? {
        let kind = Kind::of(&group.state, group.class.as_deref(), group.found, group.known);
        add(kind, group.count, group.examples);
    }
    if run.definition["target"] == Target::Users.as_str() {
        let place = (run.activation_id, run.id, run.source_id);
        let examples = db::adoption::only_there(db, run.workspace_id, place, "", EXAMPLES as i64).await?;
        let count = db::adoption::count_only_there(db, run.workspace_id, place).await?;
        add(Kind::OnlyThere, count, examples);
    }
    Ok(Some(kinds.into_values().collect()))
}

/// The counts of the report, as a run keeps them; empty unless it is a first sync.
pub async fn counts(db: &mut PgConnection, run: &Run) -> db::Result<BTreeMap<String, u64>> {
    let groups = report(db, run).await?.unwrap_or_default();
    Ok(groups.into_iter().map(|group| (group.kind.as_str().to_owned(), group.count)).collect())
}

/// How a row met its record.
pub fn kind_of(met: &Met) -> Kind {
    Kind::of(&met.state, met.class.as_deref(), met.record_id.is_some(), met.known)
}
