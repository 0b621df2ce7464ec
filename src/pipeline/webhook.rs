//! Our webhook: set up, its signing secret stored and replaced.

use super::context::{Context, FlowError};
use crate::clock::Clock;
use crate::config::SecretText;
use crate::db;
use crate::model::source::Source;
use crate::zendesk::client::Client;
use crate::zendesk::error::ApiError;
use crate::zendesk::webhooks::{self, Api, Fault, Survey};
use chrono::Duration;
use sqlx::PgConnection;

/// Stands in the place of the id of a webhook that was set up by hand.
pub const BY_HAND: &str = "manual";

/// How long daemons go by what they have read of sources and their secrets.
pub const KNOWN_FOR: Duration = Duration::seconds(10);

/// Where Zendesk sends a source's webhooks, if we know our own address.
pub fn endpoint(ctx: &Context, name: &str) -> Option<String> {
    Some(format!("{}/webhooks/zendesk/{name}", ctx.settings.public.base_url.as_deref()?))
}

/// Finds, repairs or makes our webhook and stores its signing secret. Answers what was wrong.
pub async fn set_up(ctx: &Context, client: &Client, source: &Source, endpoint: &str) -> Result<Vec<Fault>, FlowError> {
    let api = Api::patient(client);
    let (webhook, faults) = webhooks::ensure(&api, &source.name, source.webhook_id.as_deref(), endpoint).await?;
    let secret = webhooks::signing_secret(&api, &webhook.id).await?;
    store_secret(ctx, &mut *ctx.pool.acquire().await?, source, &webhook.id, &secret).await?;
    Ok(faults)
}

/// What an account says of the webhook of a source.
pub struct View {
    /// The account's webhooks that matter to us.
    pub survey: Survey,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Whether the webhook was set up by hand: then it is never changed.
pub fn is_by_hand(source: &Source) -> bool {
    source.webhook_id.as_deref() == Some(BY_HAND)
}

/// Looks at a source's webhook. One that was set up by hand is whichever sends to our address, whatever its name.
pub async fn view(api: &Api<'_>, source: &Source, endpoint: &str) -> Result<View, ApiError> {
    let id = source.webhook_id.as_deref().filter(|_| !is_by_hand(source));
    let mut survey = webhooks::survey(api, &source.name, id, endpoint).await?;
    if !is_by_hand(source) {
        let faults = survey.faults(&source.name, endpoint);
        return Ok(View { survey, faults });
    }
    survey.ours = survey.ours.or_else(|| survey.strangers.first().cloned());
    let faults = survey.ours.as_ref().map(|theirs| webhooks::faults(theirs, &source.name, endpoint));
    let mut faults = faults.unwrap_or_else(|| vec![Fault::Missing]);
    faults.retain(|fault| *fault != Fault::Name);
    Ok(View { survey, faults })
}

/// Whether this is the signing secret that is stored.
pub fn is_stored(ctx: &Context, source: &Source, secret: &SecretText) -> bool {
    let bound_to = source.sealed_as("webhook_secret");
    let opened = source.webhook_secret.as_deref().and_then(|sealed| ctx.sealer.open(sealed, &bound_to).ok());
    opened.as_deref() == Some(secret.expose().as_bytes())
}

/// Stores a signing secret, sealed. One that differs from the former leaves that valid beside it: a rotation.
pub async fn store_secret(
    ctx: &Context,
    db: &mut PgConnection,
    source: &Source,
    webhook_id: &str,
    secret: &SecretText,
) -> db::Result<()> {
    let sealed = ctx.sealer.seal(secret.expose().as_bytes(), &source.sealed_as("webhook_secret"));
    let former = source.webhook_secret.as_deref().filter(|_| !is_stored(ctx, source, secret));
    db::source::set_webhook(db, source.id, webhook_id, &sealed, former, ctx.clock.now()).await
}

/// Why a signing secret is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The webhook is not ours to change.
    #[error(
        "the webhook of source {0} was set up by hand: replace its signing secret in Zendesk, then store it with deskbridge source reconnect {0} --manual-webhook --webhook-secret-file FILE"
    )]
    ByHand(String),
    /// There is none.
    #[error("source {0} has no webhook; set it up with deskbridge source reconnect {0}")]
    None(String),
    /// Zendesk or the database.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl From<sqlx::Error> for RotateError {
    fn from(error: sqlx::Error) -> Self {
        RotateError::Flow(error.into())
    }
}

/// Replaces the signing secret. Zendesk knows one only, so that between its answer and our commit webhooks come that nobody
/// can check yet: the source says so beforehand, every daemon has read that when Zendesk is asked, and asks for such webhooks
/// to be sent again instead of refusing them. The former secret stays valid for a day. Broken off at any point, the next
/// look at the webhook stores what Zendesk has.
pub async fn rotate(ctx: &Context, source: &Source) -> Result<(), RotateError> {
    let id = match source.webhook_id.as_deref() {
        Some(BY_HAND) => return Err(RotateError::ByHand(source.name.clone())),
        None => return Err(RotateError::None(source.name.clone())),
        Some(id) => id,
    };
    let client = ctx.client(source)?;
    let api = Api::patient(&client);
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    db::webhook_watch::ensure(&mut tx, source.id, now + KNOWN_FOR * 3).await?;
    db::webhook_watch::set_rotating(&mut tx, source.id, Some(now)).await?;
    tx.commit().await?;
    wait_until_known(&ctx.clock).await;
    let secret = match webhooks::rotate_secret(&api, id).await {
        Ok(secret) => secret,
        // Whether it was replaced is not known when the answer is lost: what Zendesk has now is what counts.
        Err(error) => {
            let current = webhooks::signing_secret(&api, id).await.map_err(FlowError::from)?;
            match is_stored(ctx, source, &current) {
                true => {
                    db::webhook_watch::set_rotating(&mut *ctx.pool.acquire().await?, source.id, None).await?;
                    return Err(FlowError::from(error).into());
                }
                false => current,
            }
        }
    };
    let mut tx = ctx.pool.begin().await?;
    store_secret(ctx, &mut tx, source, id, &secret).await?;
    db::webhook_watch::set_rotating(&mut tx, source.id, None).await?;
    tx.commit().await?;
    tracing::info!(source = source.name, "the signing secret of our webhook was replaced");
    Ok(())
}

/// Waits until every daemon has read again what it knows of sources.
async fn wait_until_known(clock: &Clock) {
    let wait = KNOWN_FOR + Duration::seconds(1);
    clock.sleep(wait.to_std().unwrap_or_default()).await;
}
