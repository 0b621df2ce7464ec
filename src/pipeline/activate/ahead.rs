//! The next records of a run and what Zendesk has of them, which may be read while the call before them is on its way: an answer of
//! Zendesk takes longer than all the rest.

use super::env::Env;
use super::look::{Looked, Seen, Way, look};
use super::results::{self, Final};
use crate::db;
use crate::db::push_record::Record;
use crate::db::push_run::Run;
use crate::model::push::{RecordState, RunState};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::Terms;
use chrono::{DateTime, Duration, Utc};

/// For how long what was read counts as what Zendesk has.
const FRESH: Duration = Duration::seconds(3);

/// Records, and what Zendesk has of them.
pub struct Ahead {
    run: i64,
    state: RunState,
    at: DateTime<Utc>,
    /// How many were taken, with those that wait.
    pub taken: usize,
    /// Those that can be decided about.
    pub records: Vec<Record>,
    /// Their ids in Zendesk, as far as they are known.
    pub ids: Vec<Option<String>>,
    /// What was found for them.
    pub looked: Looked,
}

impl Ahead {
    /// Whether a round of this run may go by it now.
    pub fn is_for(&self, run: &Run, now: DateTime<Utc>) -> bool {
        !self.records.is_empty() && (self.run, self.state) == (run.id, run.state) && now - self.at < FRESH
    }
}

/// Takes the next records and reads what Zendesk has of them. Those whose record is in a call that has not ended wait for it: nobody
/// knows what that will leave.
pub async fn read(ctx: &Context, env: &Env, run: &Run, terms: &Terms, limit: usize) -> Result<Ahead, FlowError> {
    let (workspace, source, at) = (env.workspace, env.source.id, ctx.clock.now());
    let records = {
        let mut db = ctx.pool.acquire().await?;
        db::push_record::take(&mut db, workspace, (run.id, source), run.stage, limit as i64).await?
    };
    let way = Way { client: &env.client, target: env.activation.target, key: &env.activation.key.by, terms };
    let (taken, looked) = (records.len(), look(way, &records).await?);
    let ids: Vec<Option<String>> = records
        .iter()
        .map(|record| match looked.seen.get(&record.seq) {
            Some(Seen::One(remote)) => Some(remote.id.clone()),
            _ => record.record_id.clone(),
        })
        .collect();
    let mut ahead = Ahead { run: run.id, state: run.state, at, taken, records: Vec::new(), ids: Vec::new(), looked };
    let known: Vec<&str> = ids.iter().flatten().map(String::as_str).collect();
    let mut db = ctx.pool.acquire().await?;
    let busy = db::push_sent::busy(&mut db, workspace, source, &known).await?;
    let mut waiting = Vec::new();
    for (record, id) in records.into_iter().zip(ids) {
        match &id {
            // So that it is not taken again before that call has ended.
            Some(known) if busy.contains(known) && run.state != RunState::Reading => {
                waiting.push(Final { record_id: id, ..Final::new(&record, RecordState::Planned) });
            }
            _ => {
                ahead.records.push(record);
                ahead.ids.push(id);
            }
        }
    }
    results::write(&mut db, workspace, &waiting, at).await?;
    Ok(ahead)
}
