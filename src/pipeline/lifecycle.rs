//! The life of a Zendesk source: connect, disconnect, reconnect, pause, archive, restore, delete, resync (R12–R20).

use super::context::{Context, FlowError};
use super::prune;
use super::webhook::{self, BY_HAND};
use crate::config::SecretText;
use crate::db::{self, partition};
use crate::model::retention::{Keep, Retention};
use crate::model::source::{Credentials, Source, SourceSettings, SourceState};
use crate::model::stream::Stream;
use crate::rules::retention;
use crate::zendesk::account::{self, AccountError, Identity};
use crate::zendesk::webhooks::{self, Fault};
use chrono::{DateTime, Months, Utc};

/// Why a source does not become what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The account or its credentials.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A flow's error.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// A name that cannot stand in a path.
    #[error("{0:?} cannot be a source's name: use up to 63 of a-z, 0-9 and -")]
    Name(String),
    /// There is none of that name.
    #[error("there is no source {0:?}; see deskbridge source list")]
    Unknown(String),
    /// The name is taken.
    #[error("there is a source {0:?} already; choose another with --name, or use deskbridge source reconnect {0}")]
    Taken(String),
    /// The account is connected already.
    #[error("{url} is connected already, as source {name:?}")]
    Connected {
        /// Address of the account.
        url: String,
        /// The source it is connected as.
        name: String,
    },
    /// We do not know our own address.
    #[error(
        "Zendesk must know where to send webhooks: set public.base_url (DESKBRIDGE__PUBLIC__BASE_URL) to the address under which it reaches this daemon, or connect with --manual-webhook"
    )]
    NoPublicUrl,
    /// The state does not allow it.
    #[error("source {name} is {state}: {wanted} is not possible from there{hint}")]
    State {
        /// The source.
        name: String,
        /// Its state.
        state: &'static str,
        /// What was asked.
        wanted: &'static str,
        /// What would have to come first.
        hint: &'static str,
    },
}

impl From<sqlx::Error> for LifecycleError {
    fn from(error: sqlx::Error) -> Self {
        LifecycleError::Flow(error.into())
    }
}

impl From<crate::zendesk::error::ApiError> for LifecycleError {
    fn from(error: crate::zendesk::error::ApiError) -> Self {
        LifecycleError::Account(error.into())
    }
}

/// What connecting found and did.
#[derive(Debug)]
pub struct Connection {
    /// The source.
    pub source: Source,
    /// Whose credentials they are.
    pub identity: Identity,
    /// What will not work for want of a scope.
    pub warnings: Vec<&'static str>,
    /// Where Zendesk has to send webhooks.
    pub endpoint: String,
    /// What was wrong with our webhook and was repaired; None when it is set up by hand.
    pub repaired: Option<Vec<Fault>>,
}

/// What connecting is given.
pub struct Connect<'a> {
    /// Workspace.
    pub workspace: i64,
    /// Account name or address.
    pub account: &'a str,
    /// Name of the source; by default the account's.
    pub name: Option<&'a str>,
    /// Credentials.
    pub credentials: Credentials,
    /// The webhook is set up by hand, with this signing secret if it is known yet.
    pub manual_webhook: Option<Option<String>>,
    /// Options.
    pub settings: SourceSettings,
}

/// The source of that name.
pub async fn find(ctx: &Context, workspace: i64, name: &str) -> Result<Source, LifecycleError> {
    let mut db = ctx.pool.acquire().await?;
    db::source::by_name(&mut db, workspace, name).await?.ok_or_else(|| LifecycleError::Unknown(name.to_string()))
}

/// Connects an account: checks the credentials, sets up the webhook, makes everything due.
pub async fn connect(ctx: &Context, request: Connect<'_>) -> Result<Connection, LifecycleError> {
    let base_url = account::base_url(request.account, &ctx.settings.zendesk.allowed_base_urls)?;
    let name = request.name.map_or_else(|| default_name(&base_url), str::to_string);
    check_name(&name)?;
    let now = ctx.clock.now();
    let mut db = ctx.pool.acquire().await?;
    for source in db::source::all(&mut db).await? {
        if source.name == name && source.state != SourceState::Deleted && source.state != SourceState::Connecting {
            return Err(LifecycleError::Taken(name));
        }
        let same = source.workspace_id == request.workspace && source.base_url.as_deref() == Some(&base_url);
        if same && source.state != SourceState::Deleted && source.name != name {
            return Err(LifecycleError::Connected { url: base_url, name: source.name });
        }
    }
    let mut settings = request.settings.clone();
    if settings.retention.default == Keep::default() {
        settings.retention.default = Keep::Days(ctx.settings.retention.activity_days);
    }
    let source = match db::source::by_name(&mut db, request.workspace, &name).await? {
        // A deleted source's records are still here: under its name only the same account may come back.
        Some(source) if source.state == SourceState::Deleted && source.base_url.as_ref() != Some(&base_url) => {
            return Err(LifecycleError::Taken(name));
        }
        Some(mut source) => {
            db::source::set_settings(&mut db, source.id, &source.title, &settings, now).await?;
            source.settings = request.settings;
            source
        }
        None => {
            let id = db::source::insert(&mut db, request.workspace, &name, "zendesk", Some(&base_url), &settings, now)
                .await?;
            db::source::get(&mut db, id).await?.ok_or_else(|| LifecycleError::Unknown(name.clone()))?
        }
    };
    drop(db);
    establish(ctx, source, &base_url, request.credentials, request.manual_webhook).await
}

/// Connects a disconnected source again, or gives a connected one new credentials and repairs its webhook. Reads changes
/// only: cursors are kept (R12, R20).
pub async fn reconnect(
    ctx: &Context,
    source: Source,
    credentials: Option<Credentials>,
    manual_webhook: Option<Option<String>>,
) -> Result<Connection, LifecycleError> {
    if !matches!(
        source.state,
        SourceState::Disconnected | SourceState::Syncing | SourceState::Connected | SourceState::Connecting
    ) {
        return Err(refused(&source, "reconnect", ": restore it first"));
    }
    let base_url = source.base_url.clone().ok_or_else(|| LifecycleError::Unknown(source.name.clone()))?;
    let credentials = match credentials {
        Some(credentials) => credentials,
        None => ctx.credentials(&source)?,
    };
    establish(ctx, source, &base_url, credentials, manual_webhook).await
}

async fn establish(
    ctx: &Context,
    source: Source,
    base_url: &str,
    credentials: Credentials,
    manual_webhook: Option<Option<String>>,
) -> Result<Connection, LifecycleError> {
    let is_oauth = !matches!(credentials, Credentials::ApiToken { .. });
    let client = ctx.connect(&source.name, base_url, credentials.clone(), &source)?;
    let identity = account::verify(&client, is_oauth).await?;
    let warnings = identity.scopes.as_deref().map(account::missing_scopes).unwrap_or_default();
    let now = ctx.clock.now();
    let sealed = ctx
        .sealer
        .seal(&serde_json::to_vec(&credentials).expect("credentials serialise"), &source.sealed_as("credentials"));
    let mut db = ctx.pool.acquire().await?;
    db::source::set_credentials(&mut db, source.id, base_url, &sealed, now).await?;
    drop(db);
    let endpoint = webhook::endpoint(ctx, &source.name);
    let repaired = match manual_webhook {
        Some(secret) => {
            if let Some(secret) = secret {
                let secret = SecretText::new(secret);
                webhook::store_secret(ctx, &mut *ctx.pool.acquire().await?, &source, BY_HAND, &secret).await?;
            }
            None
        }
        None => {
            Some(webhook::set_up(ctx, &client, &source, endpoint.as_deref().ok_or(LifecycleError::NoPublicUrl)?).await?)
        }
    };
    go_live(ctx, &source).await?;
    let source = find(ctx, source.workspace_id, &source.name).await?;
    let endpoint = endpoint.unwrap_or_else(|| format!("https://YOUR-HOST/webhooks/zendesk/{}", source.name));
    Ok(Connection { source, identity, warnings, endpoint, repaired })
}

async fn go_live(ctx: &Context, source: &Source) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    let streams: Vec<Stream> =
        Stream::ALL.into_iter().filter(|stream| !source.settings.skip_streams.contains(stream)).collect();
    let mut tx = ctx.pool.begin().await?;
    make_months(&mut tx, &source.settings.retention, now).await?;
    db::checkpoint::ensure(&mut tx, source.id, &streams, ctx.settings.zendesk.page_size as i32, now).await?;
    db::checkpoint::schedule(&mut tx, source.id, &streams, now).await?;
    db::checkpoint::set_due(&mut tx, source.id, &streams, now).await?;
    db::webhook_watch::ensure(&mut tx, source.id, now).await?;
    if source.state != SourceState::Syncing
        && !db::source::set_state(&mut tx, source, SourceState::Syncing, now).await?
    {
        return Err(refused(source, "connect", ": its state has just changed, try again"));
    }
    tx.commit().await?;
    Ok(())
}

/// Partitions for all the time that activities are kept, ten years at most; what is older has the default partition.
async fn make_months(
    db: &mut sqlx::PgConnection,
    retention: &Retention,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    let since = retention::first_sync_since(now, retention).max(now - Months::new(120));
    partition::ensure_months(db, since, now).await?;
    prune::make_partitions(db, now).await?;
    Ok(())
}

/// Stops a source: nothing new comes in, and our webhook is removed from Zendesk. Answers why it could not be, if so.
pub async fn disconnect(ctx: &Context, source: &Source) -> Result<Option<String>, LifecycleError> {
    if !source.state.may_become(SourceState::Disconnected) {
        return Err(refused(source, "disconnect", ""));
    }
    let left = match &source.webhook_id {
        Some(id) if id != BY_HAND => match ctx.client(source) {
            Ok(client) => webhooks::remove(&client, id).await.err().map(|error| error.to_string()),
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
    Ok(left)
}

/// Moves a source along its life (R19): archive, restore, delete. A deleted one loses its credentials, never its people.
pub async fn set_state(ctx: &Context, source: &Source, next: SourceState) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    become_state(&mut tx, source, next, now).await?;
    if next == SourceState::Deleted {
        db::source::clear_connection(&mut tx, source.id, now).await?;
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
    if source.state.is_live() {
        db::checkpoint::ensure(&mut tx, source.id, &read, ctx.settings.zendesk.page_size as i32, now).await?;
        db::checkpoint::schedule(&mut tx, source.id, &read, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn refused(source: &Source, wanted: &'static str, hint: &'static str) -> LifecycleError {
    LifecycleError::State { name: source.name.clone(), state: source.state.as_str(), wanted, hint }
}

fn default_name(base_url: &str) -> String {
    let host = base_url.split("://").nth(1).unwrap_or(base_url);
    match host.strip_suffix(".zendesk.com") {
        Some(label) => label.to_string(),
        None => "zendesk".to_string(),
    }
}

/// A name stands in a path and on command lines.
fn check_name(name: &str) -> Result<(), LifecycleError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match (1..=63).contains(&name.len()) && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(LifecycleError::Name(name.chars().take(100).collect())),
    }
}
