//! The life of a source: disconnect, pause, archive, restore, delete, resync (R12–R20); connecting is in `connect`.

use super::connect::{only_support, refused};
use super::context::{Context, FlowError};
use super::grant;
use super::keeper;
use super::webhook::BY_HAND;
use crate::db::{self, partition};
use crate::model::source::{Source, SourceSettings, SourceState};
use crate::model::stream::Stream;
use crate::zendesk::webhooks;
use chrono::{DateTime, Months, Utc};

pub use super::connect::{Connect, Connection, LifecycleError, connect, find, migrate, reconnect};

/// Stops a source: nothing new comes in, our webhook is removed from Zendesk, tokens of a sign-in are taken back. Answers
/// why the webhook could not be removed, if so.
pub async fn disconnect(ctx: &Context, source: &Source) -> Result<Option<String>, LifecycleError> {
    if !source.state.may_become(SourceState::Disconnected) {
        return Err(refused(source, "disconnect", ""));
    }
    let left = match &source.webhook_id {
        Some(id) if id != BY_HAND => match ctx.client(source) {
            Ok(client) => {
                let left = webhooks::remove(&client, id).await.err().map(|error| error.to_string());
                client.sign_out().await;
                left
            }
            Err(error) => Some(error.to_string()),
        },
        _ => None,
    };
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    become_state(&mut tx, source, SourceState::Disconnected, now).await?;
    db::source::clear_webhook(&mut tx, source.id, now).await?;
    db::job::forget_source(&mut tx, source.id).await?;
    tx.commit().await?;
    grant::revoke(ctx, source).await?;
    Ok(left)
}

/// Moves a source along its life (R19): archive, restore, delete. A deleted one loses its credentials, never its people.
pub async fn set_state(ctx: &Context, source: &Source, next: SourceState) -> Result<(), LifecycleError> {
    if next == SourceState::Deleted && source.state.may_become(next) {
        grant::revoke(ctx, source).await?;
    }
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    become_state(&mut tx, source, next, now).await?;
    if next == SourceState::Deleted {
        db::source::clear_connection(&mut tx, source.id, now).await?;
        db::grant::remove(&mut tx, source.id).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn become_state(
    db: &mut sqlx::PgConnection,
    source: &Source,
    next: SourceState,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    let hint = match next {
        SourceState::Archived => ": disconnect it first",
        SourceState::Deleted => ": archive it first",
        _ => "",
    };
    if !source.state.may_become(next) || !db::source::set_state(db, source, next, now).await? {
        return Err(refused(source, next.as_str(), hint));
    }
    Ok(())
}

/// Pauses or resumes a source: while paused nothing is read, and webhooks are kept but not applied.
pub async fn set_paused(ctx: &Context, source: &Source, paused: bool) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    let mut db = ctx.pool.acquire().await?;
    db::source::set_paused(&mut db, source.id, paused.then_some(now), now).await?;
    Ok(())
}

/// Seals again, under the present key, what is still sealed under a former one. Answers for how many sources. What cannot
/// be opened is left as it is and told: its source shows the remedy when it is used.
pub async fn reseal(ctx: &Context) -> Result<u64, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let mut resealed = 0;
    for source in db::source::all(&mut db).await? {
        let again = |sealed: &Option<Vec<u8>>, column: &str| {
            let sealed = sealed.as_deref().filter(|sealed| ctx.sealer.needs_rotation(sealed))?;
            let bound_to = source.sealed_as(column);
            match ctx.sealer.open(sealed, &bound_to) {
                Ok(plain) => Some(ctx.sealer.seal(&plain, &bound_to)),
                Err(error) => {
                    tracing::error!(source = source.name, column, error = %error, "cannot be sealed under the present key");
                    None
                }
            }
        };
        let credentials = again(&source.credentials, "credentials");
        let secret = again(&source.webhook_secret, "webhook_secret");
        let previous = again(&source.webhook_secret_previous, "webhook_secret");
        if credentials.is_some() || secret.is_some() || previous.is_some() {
            let (credentials, secret, previous) = (credentials.as_deref(), secret.as_deref(), previous.as_deref());
            db::source::reseal(&mut db, &source, credentials, secret, previous).await?;
            resealed += 1;
        }
    }
    for grant in db::grant::all(&mut db).await? {
        if let Some(sealed) = keeper::sealed_again(&ctx.sealer, &grant) {
            db::grant::reseal(&mut db, &grant, &sealed).await?;
        }
    }
    Ok(resealed)
}

/// How much is read again (R15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resync {
    /// What changed since the last reading.
    Incremental,
    /// Everybody, and what happened since a time.
    Backfill(DateTime<Utc>),
    /// People and organizations, no activities.
    FieldsOnly,
}

/// Makes a resync due now. The same data again writes nothing.
pub async fn resync(ctx: &Context, source: &Source, how: Resync) -> Result<(), LifecycleError> {
    only_support(source)?;
    if !source.state.is_live() {
        return Err(refused(source, "resync", ": reconnect it first"));
    }
    let now = ctx.clock.now();
    let people = [Stream::Fields, Stream::Organizations, Stream::Users, Stream::DeletedUsers];
    let happenings = [Stream::Tickets, Stream::TicketEvents, Stream::Satisfaction, Stream::SurveyResponses];
    let mut tx = ctx.pool.begin().await?;
    match how {
        Resync::Incremental => db::checkpoint::set_due(&mut tx, source.id, &Stream::ALL, now).await?,
        Resync::FieldsOnly => db::checkpoint::rewind(&mut tx, source.id, &people, None, now).await?,
        Resync::Backfill(since) => {
            partition::ensure_months(&mut tx, since.max(now - Months::new(120)), now).await?;
            db::checkpoint::rewind(&mut tx, source.id, &people, None, now).await?;
            db::checkpoint::rewind(&mut tx, source.id, &happenings, Some(since), now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Makes streams due now.
pub async fn make_due(ctx: &Context, source: &Source, streams: &[Stream]) -> Result<(), LifecycleError> {
    only_support(source)?;
    if !source.state.is_live() {
        return Err(refused(source, "sync", ": reconnect it first"));
    }
    let mut db = ctx.pool.acquire().await?;
    db::checkpoint::set_due(&mut db, source.id, streams, ctx.clock.now()).await?;
    Ok(())
}

/// Changes title and options. What a new retention would remove is asked before, by [`prune::expired`].
pub async fn set_settings(
    ctx: &Context,
    source: &Source,
    title: &str,
    settings: &SourceSettings,
) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    db::source::set_settings(&mut tx, source.id, title, settings, now).await?;
    let (skipped, read): (Vec<Stream>, Vec<Stream>) =
        Stream::ALL.into_iter().partition(|stream| settings.skip_streams.contains(stream));
    db::checkpoint::unschedule(&mut tx, source.id, &skipped).await?;
    if source.is_support() && source.state.is_live() {
        db::checkpoint::ensure(&mut tx, source.id, &read, ctx.settings.zendesk.page_size as i32, now).await?;
        db::checkpoint::schedule(&mut tx, source.id, &read, now).await?;
    }
    tx.commit().await?;
    Ok(())
}
