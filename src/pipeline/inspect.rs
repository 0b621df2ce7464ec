//! Inspect: what a source's account says of our credentials and our webhook, without changing anything.

use super::context::{Context, FlowError};
use super::grant;
use super::lifecycle::LifecycleError;
use super::webhook;
use crate::db;
use crate::model::source::{Credentials, Source, SourceState};
use crate::zendesk::account::{self, Identity};
use crate::zendesk::deliveries::{self, Health};
use crate::zendesk::webhooks::{self, Api, Fault};
use chrono::{DateTime, Duration, Utc};

/// How far back deliveries are looked at.
pub const LATELY: Duration = Duration::hours(24);

/// What was found.
#[derive(Debug)]
pub struct Inspection {
    /// Whose credentials they are.
    pub identity: Identity,
    /// What will not work for want of a scope.
    pub warnings: Vec<&'static str>,
    /// True for an API token, which ends on a known day.
    pub api_token: bool,
}

/// Asks who the credentials belong to and what they may do.
pub async fn credentials(ctx: &Context, source: &Source) -> Result<Inspection, LifecycleError> {
    let api_token = matches!(ctx.credentials(source)?, Credentials::ApiToken { .. });
    let client = ctx.client(source)?;
    let identity = account::verify(&client, !api_token).await?;
    let missing = |scopes: &[String]| account::missing_scopes(scopes, source.settings.write);
    let warnings = identity.scopes.as_deref().map(missing).unwrap_or_default();
    Ok(Inspection { identity, warnings, api_token })
}

/// What our webhook is like, and what became of what it sent lately.
#[derive(Debug)]
pub struct Webhook {
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// Whether its signing secret is the stored one.
    pub secret_is_stored: bool,
    /// Its latest deliveries, by Zendesk's log; None when that cannot be read.
    pub health: Option<Health>,
}

/// Looks at our webhook. None when there is nothing to look at: we do not know our own address.
pub async fn webhook(ctx: &Context, source: &Source) -> Result<Option<Webhook>, FlowError> {
    let Some(endpoint) = webhook::endpoint(ctx, &source.name) else { return Ok(None) };
    let client = ctx.client(source)?;
    let api = Api::patient(&client);
    let view = webhook::view(&api, source, &endpoint).await?;
    let Some(ours) = view.survey.ours else {
        return Ok(Some(Webhook { faults: view.faults, secret_is_stored: true, health: None }));
    };
    let secret = webhooks::signing_secret(&api, &ours.id).await?;
    let now = ctx.clock.now();
    let log = deliveries::log(&api, &ours.id, Some(now - LATELY), now, usize::MAX).await;
    let secret_is_stored = webhook::is_stored(ctx, source, &secret);
    Ok(Some(Webhook { faults: view.faults, secret_is_stored, health: log.ok().map(|log| log.health) }))
}

/// How a source stands, without asking Zendesk: what was last seen.
#[derive(Debug, serde::Serialize)]
pub struct SourceHealth {
    /// Name of the source.
    pub source: String,
    /// Its state.
    pub state: SourceState,
    /// What is wrong, with the part of the source it is wrong with, and what to do about it.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Debug, serde::Serialize)]
pub struct Problem {
    /// `credentials`, `sign-in`, `webhook`, or a stream.
    pub part: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Since when, where that is kept.
    pub since: Option<DateTime<Utc>>,
}

/// How every live source stands.
pub async fn health(ctx: &Context) -> Result<Vec<SourceHealth>, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let mut all = Vec::new();
    for source in db::source::all(&mut db).await?.into_iter().filter(|source| source.state.is_live()) {
        let mut problems = Vec::new();
        let mut add = |part, problem: Option<String>, remedy, since| {
            problems.extend(problem.map(|problem| Problem { part, problem, remedy, since }));
        };
        add("credentials", source.error, source.remedy, source.failing_since);
        if let Some(found) = db::grant::get(&mut db, source.id).await? {
            let (problem, since) =
                (grant::standing(&found, grant::warning_time(ctx), ctx.clock.now()).problem(), found.lost_at);
            let remedy = format!("deskbridge source reconnect {} --again", source.name);
            add("sign-in", problem, Some(remedy), since);
        }
        if let Some(watch) = db::webhook_watch::get(&mut db, source.id).await? {
            add("webhook", watch.problem, watch.remedy, watch.since);
        }
        for stream in db::checkpoint::of_source(&mut db, source.id).await? {
            add(stream.stream.as_str(), stream.error, stream.remedy, None);
        }
        all.push(SourceHealth { source: source.name, state: source.state, problems });
    }
    Ok(all)
}
