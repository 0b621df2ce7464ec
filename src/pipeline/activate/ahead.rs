//! The next records of a run and what Zendesk has of them, which may be read while the call before them is on its way: an answer of
//! Zendesk takes longer than all the rest.

use super::env::Env;
use super::look::{Looked, Seen, Way, look};
use crate::db;
use crate::db::push_record::Record;
use crate::db::push_run::Run;
use crate::model::push::RunState;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::Terms;
use chrono::{DateTime, Duration, Utc};
use std::collections::HashSet;

/// For how long what was read counts as what Zendesk has.
const FRESH: Duration = Duration::seconds(3);

/// Records, and what Zendesk has of them.
pub struct Ahead {
    run: i64,
    state: RunState,
    at: DateTime<Utc>,
    /// The records.
    pub records: Vec<Record>,
    /// Their ids in Zendesk, as far as they are known.
    pub ids: Vec<Option<String>>,
    /// Those ids that were in a call that had not ended when Zendesk answered: nobody knows what that will leave.
    pub busy: HashSet<String>,
    /// What was found for them.
    pub looked: Looked,
}

impl Ahead {
    /// Whether a round of this run may go by it now.
    pub fn is_for(&self, run: &Run, now: DateTime<Utc>) -> bool {
        (self.run, self.state) == (run.id, run.state) && now - self.at < FRESH
    }
}

/// Takes the next records while there are as many as fit a call, and reads what Zendesk has of them. Fewer are taken only when they
/// go out: what comes until then goes along.
pub async fn read_full(
    ctx: &Context,
    env: &Env,
    run: &Run,
    terms: &Terms,
    limit: usize,
) -> Result<Option<Ahead>, FlowError> {
    let records = take(ctx, env, run, limit).await?;
    if records.len() < limit {
        return Ok(None);
    }
    Ok(Some(looked_at(ctx, env, run, terms, records).await?))
}

/// Takes the next records and reads what Zendesk has of them.
pub async fn read(ctx: &Context, env: &Env, run: &Run, terms: &Terms, limit: usize) -> Result<Ahead, FlowError> {
    let records = take(ctx, env, run, limit).await?;
    looked_at(ctx, env, run, terms, records).await
}

async fn take(ctx: &Context, env: &Env, run: &Run, limit: usize) -> Result<Vec<Record>, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let place = (run.id, env.source.id);
    Ok(db::push_record::take(&mut db, env.workspace, place, run.stage, limit as i64).await?)
}

async fn looked_at(
    ctx: &Context,
    env: &Env,
    run: &Run,
    terms: &Terms,
    records: Vec<Record>,
) -> Result<Ahead, FlowError> {
    let (workspace, source, at) = (env.workspace, env.source.id, ctx.clock.now());
    let way = Way { client: &env.client, target: env.activation.target, key: &env.activation.key.by, terms };
    let looked = look(way, &records).await?;
    let id = |record: &Record| match looked.seen.get(&record.seq) {
        Some(Seen::One(remote)) => Some(remote.id.clone()),
        _ => record.record_id.clone(),
    };
    let ids: Vec<Option<String>> = records.iter().map(id).collect();
    let known: Vec<&str> = ids.iter().flatten().map(String::as_str).collect();
    let busy = db::push_sent::busy(&mut *ctx.pool.acquire().await?, workspace, source, &known).await?;
    Ok(Ahead { run: run.id, state: run.state, at, records, ids, busy, looked })
}
