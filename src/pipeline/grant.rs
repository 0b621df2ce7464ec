//! Grants: tokens of sources whose admin signed in by browser are renewed when it is time, watched, and taken back.

use super::context::{Context, FlowError};
use super::keeper::{self, Attempt};
use crate::db;
use crate::model::grant::{Grant, Pair};
use crate::model::job::Lease;
use crate::model::source::{Credentials, Source};
use crate::zendesk::error::Kind;
use chrono::{DateTime, Duration, Utc};

/// Runs a `renew` job. Requests renew by themselves too; this is for sources that make none, and for the warning.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let source = db::source::get(&mut db, lease.source_id).await?;
    let grant = db::grant::get(&mut db, lease.source_id).await?;
    drop(db);
    if let (Some(source), Some(grant)) = (source, grant) {
        renew(ctx, &source, &grant).await?;
    }
    let mut db = ctx.pool.acquire().await?;
    db::job::finish(&mut db, lease).await?;
    Ok(())
}

async fn renew(ctx: &Context, source: &Source, grant: &Grant) -> Result<(), FlowError> {
    let Some(base_url) = source.base_url.as_deref().filter(|_| source.state.is_live()) else { return Ok(()) };
    let credentials = ctx.credentials(source)?;
    let keeper = ctx.keeper(&source.name, base_url, &credentials, source)?;
    if let Attempt::Failed(_) = keeper.attempt(grant).await.map_err(|kind| state(&kind))? {
        warn(ctx, source, grant).await?;
    }
    Ok(())
}

fn state(kind: &Kind) -> FlowError {
    FlowError::State(kind.to_string())
}

/// How long before its end a refresh token that is not renewed is told of.
pub fn warning_time(ctx: &Context) -> Duration {
    Duration::days(ctx.settings.zendesk.refresh_warning_days.into())
}

/// Once a day, by one of all daemons: the refresh token ends soon, and renewing does not work.
async fn warn(ctx: &Context, source: &Source, grant: &Grant) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let Some(end) = grant.ends_soon(warning_time(ctx), now) else { return Ok(()) };
    let mut db = ctx.pool.acquire().await?;
    if db::grant::take_warning(&mut db, source.id, now - Duration::days(1), now).await? {
        tracing::warn!(
            source = source.name, refresh_expires_at = %end, error = grant.error.as_deref().unwrap_or_default(),
            "the refresh token of this source ends soon and cannot be renewed; after that somebody has to sign in again: deskbridge source reconnect {} --again",
            source.name
        );
    }
    Ok(())
}

/// How the grant of a source stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Renewed when it is time.
    Good,
    /// The last renewal failed; it is tried again.
    Failing(String),
    /// Renewing fails, and the refresh token ends at that time.
    EndsSoon(DateTime<Utc>, String),
    /// The source needs to be connected again.
    NeedsReconnect(String),
}

impl Standing {
    /// What is wrong, in words.
    pub fn problem(&self) -> Option<String> {
        match self {
            Standing::Good => None,
            Standing::Failing(error) => Some(format!("the tokens could not be renewed: {error}")),
            Standing::EndsSoon(end, error) => Some(format!(
                "the tokens cannot be renewed, and the refresh token ends at {}: {error}",
                end.format("%Y-%m-%d %H:%M UTC")
            )),
            Standing::NeedsReconnect(error) => Some(format!("needs reconnect: {error}")),
        }
    }
}

/// How a grant stands.
pub fn standing(grant: &Grant, within: Duration, now: DateTime<Utc>) -> Standing {
    let error = || grant.error.clone().unwrap_or_else(|| "nobody renews it: see whether a daemon runs".into());
    match (grant.lost_at, grant.ends_soon(within, now)) {
        (Some(_), _) => Standing::NeedsReconnect(error()),
        (None, _) if grant.refresh_expires_at <= now => Standing::NeedsReconnect("its refresh token has ended".into()),
        (None, Some(end)) => Standing::EndsSoon(end, error()),
        (None, None) => grant.error.clone().map_or(Standing::Good, Standing::Failing),
    }
}

/// The grant of a source, if its admin signed in by browser.
pub async fn of(ctx: &Context, source: &Source) -> Result<Option<Grant>, FlowError> {
    Ok(db::grant::get(&mut *ctx.pool.acquire().await?, source.id).await?)
}

/// Names of the sources that need to be connected again.
pub async fn in_need(ctx: &Context) -> Result<Vec<String>, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let grants = db::grant::all(&mut db).await?;
    let (now, within) = (ctx.clock.now(), warning_time(ctx));
    let needs = |source: &Source| {
        source.state.is_live()
            && grants.iter().any(|grant| {
                grant.source_id == source.id && matches!(standing(grant, within, now), Standing::NeedsReconnect(_))
            })
    };
    Ok(db::source::all(&mut db).await?.into_iter().filter(needs).map(|source| source.name).collect())
}

/// Takes the tokens of a source back in Zendesk, and forgets them. Answers why it could not be, if so: then they are
/// kept, to be taken back later.
pub async fn revoke(ctx: &Context, source: &Source) -> Result<Option<String>, FlowError> {
    let Some(grant) = of(ctx, source).await? else { return Ok(None) };
    if let Some(why) = take_back(ctx, source, &grant).await {
        tracing::warn!(source = source.name, error = why, "the tokens could not be revoked in Zendesk");
        return Ok(Some(why));
    }
    let mut db = ctx.pool.acquire().await?;
    db::grant::remove(&mut db, source.id).await?;
    Ok(None)
}

/// Takes back the tokens that were stored before others took their place. Answers why it could not be, if so.
pub async fn take_back(ctx: &Context, source: &Source, grant: &Grant) -> Option<String> {
    if grant.lost_at.is_some() || grant.refresh_expires_at <= ctx.clock.now() {
        return None; // nothing of it is good any more
    }
    let base_url = source.base_url.as_deref()?;
    let pair = match keeper::open(&ctx.sealer, grant) {
        Ok(pair) => pair,
        Err(why) => return Some(why),
    };
    take_back_pair(ctx, &source.name, base_url, &pair).await
}

/// Takes back a pair that is not, or no longer, stored.
pub async fn take_back_pair(ctx: &Context, name: &str, base_url: &str, pair: &Pair) -> Option<String> {
    match ctx.token_endpoint(name, base_url, false) {
        Ok(endpoint) => endpoint.revoke(&pair.access_token).await.err().map(|kind| kind.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// The pair of a sign-in that is not stored yet.
pub fn fresh(credentials: &Credentials) -> Option<&Pair> {
    match credentials {
        Credentials::Browser { fresh, .. } => fresh.as_deref(),
        _ => None,
    }
}
