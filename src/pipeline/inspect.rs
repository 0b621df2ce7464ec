//! Inspect: what a source's account says of our credentials and our webhook, without changing anything.

use super::context::{Context, FlowError};
use super::lifecycle::{self, LifecycleError};
use crate::model::source::{Credentials, Source};
use crate::zendesk::account::{self, Identity};
use crate::zendesk::webhooks::{self, Fault};

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
    let warnings = identity.scopes.as_deref().map(account::missing_scopes).unwrap_or_default();
    Ok(Inspection { identity, warnings, api_token })
}

/// What is wrong with our webhook. None when it is set up by hand and cannot be looked at, or we do not know our address.
pub async fn webhook(ctx: &Context, source: &Source) -> Result<Option<Vec<Fault>>, FlowError> {
    let Some(endpoint) = lifecycle::endpoint(ctx, &source.name) else { return Ok(None) };
    let id = source.webhook_id.as_deref();
    if id == Some("manual") {
        return Ok(None);
    }
    let found = webhooks::find(&*ctx.client(source)?, &source.name, id).await?;
    Ok(Some(found.map_or_else(|| vec![Fault::Missing], |webhook| webhooks::faults(&webhook, &endpoint))))
}
