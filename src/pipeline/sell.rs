//! Zendesk Sell accounts as sources: connected by a token, checked by a request, written to by activations, read by nothing.

use super::connect::{self, LifecycleError, refused};
use super::context::Context;
use crate::db;
use crate::model::source::{Credentials, SELL, Source, SourceSettings, SourceState};
use crate::zendesk::account;
use crate::zendesk::client::Client;

/// Connects a Sell account under a name; `address` only where it is not Sell's own. When that does not succeed, nothing stays.
pub async fn connect(
    ctx: &Context,
    workspace: i64,
    name: &str,
    address: Option<&str>,
    credentials: &Credentials,
) -> Result<Source, LifecycleError> {
    let base_url = account::sell_url(address, &ctx.settings.zendesk.allowed_base_urls)?;
    connect::check_name(name)?;
    let known = db::source::by_name(&mut *ctx.pool.acquire().await?, workspace, name).await?;
    if known.as_ref().is_some_and(|known| !known.is_sell() || known.state != SourceState::Deleted) {
        return Err(LifecycleError::Taken(name.to_string()));
    }
    let settings = SourceSettings::default();
    check(&ctx.connect(None, name, &base_url, token(credentials)?.clone(), &settings)?).await?;
    let mut tx = ctx.pool.begin().await?;
    let id = match known {
        Some(known) => known.id,
        None => {
            let now = ctx.clock.now();
            db::source::insert(&mut tx, workspace, name, SELL, Some(&base_url), &settings, now).await?
        }
    };
    let source = db::source::get(&mut tx, id).await?.ok_or_else(|| LifecycleError::Unknown(name.to_string()))?;
    go_live(ctx, &mut tx, &source, &base_url, Some(credentials)).await?;
    tx.commit().await?;
    connect::find(ctx, workspace, name).await
}

/// Connects a disconnected Sell account again, or gives a connected one a new token.
pub async fn reconnect(
    ctx: &Context,
    source: &Source,
    credentials: Option<&Credentials>,
) -> Result<Source, LifecycleError> {
    let base_url = connect::may_reconnect(source)?;
    let stored = credentials.map_or_else(|| ctx.credentials(source), |given| Ok(given.clone()))?;
    check(&ctx.connect(Some(source.id), &source.name, &base_url, token(&stored)?.clone(), &source.settings)?).await?;
    let mut tx = ctx.pool.begin().await?;
    go_live(ctx, &mut tx, source, &base_url, credentials).await?;
    tx.commit().await?;
    connect::find(ctx, source.workspace_id, &source.name).await
}

/// Whether the stored token is still accepted.
pub async fn inspect(ctx: &Context, source: &Source) -> Result<(), LifecycleError> {
    check(&*ctx.client(source)?).await
}

async fn check(client: &Client) -> Result<(), LifecycleError> {
    Ok(account::verify_sell(client).await?)
}

/// Sell is entered by an access token only.
fn token(credentials: &Credentials) -> Result<&Credentials, LifecycleError> {
    match credentials {
        Credentials::Bearer { .. } => Ok(credentials),
        _ => Err(LifecycleError::SellToken),
    }
}

async fn go_live(
    ctx: &Context,
    db: &mut sqlx::PgConnection,
    source: &Source,
    base_url: &str,
    credentials: Option<&Credentials>,
) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    if let Some(credentials) = credentials {
        connect::store_credentials(ctx, db, source, base_url, credentials).await?;
    }
    db::source::recover(db, source.id, now).await?;
    // Through `syncing`, which notes when it was connected; there is nothing to sync.
    let syncing = Source { state: SourceState::Syncing, ..source.clone() };
    let moved = db::source::set_state(db, source, SourceState::Syncing, now).await?
        && db::source::set_state(db, &syncing, SourceState::Connected, now).await?;
    if moved { Ok(()) } else { Err(refused(source, "connect", ": its state has just changed, try again")) }
}
