//! Gauges: what stands in the database and in the limiters, as metrics.

use super::context::{Context, FlowError};
use super::grant;
use crate::db;
use crate::telemetry::{
    DEAD_LETTERS, JOBS, NEEDS_RECONNECT, OAUTH_ENDS, OLDEST_UNAPPLIED_EVENT_AGE, OLDEST_UNSENT_CHANGE_AGE,
    PUSH_JOBS_OPEN, STREAM_FRESHNESS, WEBHOOK_OK, ZENDESK_BUDGET_LEFT,
};
use std::collections::{BTreeSet, HashMap};

/// Reads every gauge anew.
pub async fn refresh(ctx: &Context) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let mut db = ctx.pool.acquire().await?;
    let sources = db::source::all(&mut db).await?;
    let names: HashMap<i64, &str> = sources.iter().map(|source| (source.id, source.name.as_str())).collect();
    let name = |id: i64| names.get(&id).copied().unwrap_or("?").to_string();
    for source in &sources {
        metrics::gauge!(OLDEST_UNAPPLIED_EVENT_AGE, "source" => source.name.clone()).set(0.0);
        metrics::gauge!(DEAD_LETTERS, "source" => source.name.clone()).set(0.0);
        metrics::gauge!(OLDEST_UNSENT_CHANGE_AGE, "source" => source.name.clone()).set(0.0);
        metrics::gauge!(PUSH_JOBS_OPEN, "source" => source.name.clone()).set(0.0);
    }
    let workspaces: BTreeSet<i64> = sources.iter().map(|source| source.workspace_id).collect();
    for workspace in workspaces {
        for (source, received_at) in db::raw_event::oldest_pending(&mut db, workspace).await? {
            metrics::gauge!(OLDEST_UNAPPLIED_EVENT_AGE, "source" => name(source))
                .set((now - received_at).as_seconds_f64());
        }
        for (source, since) in db::push_tally::oldest_unsent(&mut db, workspace).await? {
            metrics::gauge!(OLDEST_UNSENT_CHANGE_AGE, "source" => name(source)).set((now - since).as_seconds_f64());
        }
        for (source, count) in db::push_tally::open_jobs(&mut db, workspace).await? {
            metrics::gauge!(PUSH_JOBS_OPEN, "source" => name(source)).set(count as f64);
        }
        for (source, count) in db::dead_letter::open_counts(&mut db, workspace).await? {
            metrics::gauge!(DEAD_LETTERS, "source" => name(source)).set(count as f64);
        }
    }
    for (source, stream, seconds) in db::checkpoint::freshness(&mut db, now).await? {
        metrics::gauge!(STREAM_FRESHNESS, "source" => source, "stream" => stream).set(seconds);
    }
    let (grants, within) = (db::grant::all(&mut db).await?, grant::warning_time(ctx));
    for source in sources.iter().filter(|source| source.is_support()) {
        let grant = grants.iter().find(|grant| grant.source_id == source.id).filter(|_| source.state.is_live());
        let standing = grant.map(|grant| grant::standing(grant, within, now));
        let needs = matches!(standing, Some(grant::Standing::NeedsReconnect(_)));
        metrics::gauge!(NEEDS_RECONNECT, "source" => source.name.clone()).set(f64::from(u8::from(needs)));
        if let Some(grant) = grant {
            metrics::gauge!(OAUTH_ENDS, "source" => source.name.clone())
                .set((grant.refresh_expires_at - now).as_seconds_f64());
        }
    }
    let live: BTreeSet<i64> = sources.iter().filter(|source| source.state.is_live()).map(|source| source.id).collect();
    for (source, watch) in db::webhook_watch::all(&mut db).await?.into_iter().filter(|(id, _)| live.contains(id)) {
        let is_ok = watch.checked_at.is_some() && watch.problem.is_none();
        metrics::gauge!(WEBHOOK_OK, "source" => name(source)).set(f64::from(u8::from(is_ok)));
    }
    for state in ["waiting", "running"] {
        metrics::gauge!(JOBS, "state" => state).set(0.0);
    }
    for (state, count) in db::job::depths(&mut db).await? {
        metrics::gauge!(JOBS, "state" => state).set(count as f64);
    }
    for (source, budget, left) in ctx.budgets() {
        metrics::gauge!(ZENDESK_BUDGET_LEFT, "source" => name(source), "budget" => budget).set(left as f64);
    }
    Ok(())
}
