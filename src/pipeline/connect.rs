//! Connecting: how an account becomes a source, gets new credentials, or moves from an API token to OAuth (R12–R20).

use super::context::{Context, FlowError};
use super::grant;
use super::keeper;
use super::prune;
use super::webhook::{self, BY_HAND};
use crate::config::SecretText;
use crate::db::{self, partition};
use crate::model::retention::{Keep, Retention};
use crate::model::source::{Credentials, Source, SourceSettings, SourceState};
use crate::model::stream::Stream;
use crate::rules::retention;
use crate::zendesk::account::{self, AccountError, Identity};
use crate::zendesk::client::Client;
use crate::zendesk::error::{ApiError, Kind};
use crate::zendesk::webhooks::{self, Fault};
use chrono::{DateTime, Months, Utc};
use std::sync::Arc;

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
    /// The sign-in granted less than was asked for.
    #[error("the sign-in does not allow all that is needed: {}", .0.join("; "))]
    Scopes(Vec<&'static str>),
    /// There is no API token to replace.
    #[error("source {0} has no API token: it uses OAuth already")]
    NoApiToken(String),
    /// Credentials of another account.
    #[error("these credentials are not of the account that source {0} is connected to: nothing was changed")]
    OtherAccount(String),
    /// Sell takes nothing but a token.
    #[error("Zendesk Sell is entered by an access token: give one with --token-env, --token-file or --token-stdin")]
    SellToken,
    /// There is nothing to read.
    #[error("source {name} is {kind}: nothing is read from it by itself")]
    NotRead {
        /// The source.
        name: String,
        /// What it is.
        kind: &'static str,
    },
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

impl From<ApiError> for LifecycleError {
    fn from(error: ApiError) -> Self {
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

/// Connects an account: checks the credentials, sets up the webhook, makes everything due. When that does not succeed,
/// nothing of it stays.
pub async fn connect(ctx: &Context, request: Connect<'_>) -> Result<Connection, LifecycleError> {
    let (base_url, name) = check_free(ctx, request.workspace, request.account, request.name).await?;
    let client = Arc::new(ctx.connect(None, &name, &base_url, request.credentials.clone(), &request.settings)?);
    let identity = check(&client, &request.credentials, request.settings.write).await?;
    let now = ctx.clock.now();
    let mut db = ctx.pool.acquire().await?;
    let mut settings = request.settings.clone();
    if settings.retention.default == Keep::default() {
        settings.retention.default = Keep::Days(ctx.settings.retention.activity_days);
    }
    let (source, is_new) = match db::source::by_name(&mut db, request.workspace, &name).await? {
        Some(mut source) => {
            db::source::set_settings(&mut db, source.id, &source.title, &settings, now).await?;
            source.settings = request.settings;
            (source, false)
        }
        None => {
            let id = db::source::insert(&mut db, request.workspace, &name, "zendesk", Some(&base_url), &settings, now)
                .await?;
            (db::source::get(&mut db, id).await?.ok_or_else(|| LifecycleError::Unknown(name.clone()))?, true)
        }
    };
    drop(db);
    let id = source.id;
    let access = Access { client, identity, credentials: Some(request.credentials) };
    let connected = establish(ctx, source, &base_url, access, request.manual_webhook).await;
    if connected.is_err() && is_new {
        db::source::forget(&mut *ctx.pool.acquire().await?, id).await?;
    }
    connected
}

/// Whether an account may be connected under a name: its address and the name, or why not.
pub async fn check_free(
    ctx: &Context,
    workspace: i64,
    account: &str,
    name: Option<&str>,
) -> Result<(String, String), LifecycleError> {
    let base_url = account::base_url(account, &ctx.settings.zendesk.allowed_base_urls)?;
    let name = name.map_or_else(|| default_name(&base_url), str::to_string);
    check_name(&name)?;
    for source in db::source::all(&mut *ctx.pool.acquire().await?).await? {
        let (ours, same) = (source.workspace_id == workspace, source.base_url.as_deref() == Some(&base_url));
        let taken = match source.state {
            SourceState::Connecting => false,
            // A deleted source's records are still here: under its name only the same account may come back.
            SourceState::Deleted => ours && !same,
            _ => true,
        };
        if source.name == name && taken {
            return Err(LifecycleError::Taken(name));
        }
        if ours && same && source.state != SourceState::Deleted && source.name != name {
            return Err(LifecycleError::Connected { url: base_url, name: source.name });
        }
    }
    Ok((base_url, name))
}

/// Connects a disconnected source again, or gives a connected one new credentials and repairs its webhook. Reads changes
/// only: cursors are kept (R12, R20).
pub async fn reconnect(
    ctx: &Context,
    source: Source,
    credentials: Option<Credentials>,
    manual_webhook: Option<Option<String>>,
) -> Result<Connection, LifecycleError> {
    only_support(&source)?;
    let base_url = may_reconnect(&source)?;
    let client = match &credentials {
        Some(credentials) => {
            Arc::new(ctx.connect(Some(source.id), &source.name, &base_url, credentials.clone(), &source.settings)?)
        }
        None => ctx.client(&source)?,
    };
    let stored = match &credentials {
        Some(credentials) => credentials.clone(),
        None => ctx.credentials(&source)?,
    };
    let identity = check(&client, &stored, source.settings.write).await?;
    establish(ctx, source, &base_url, Access { client, identity, credentials }, manual_webhook).await
}

/// The address of a source that may be connected again.
pub fn may_reconnect(source: &Source) -> Result<String, LifecycleError> {
    if !matches!(
        source.state,
        SourceState::Disconnected | SourceState::Syncing | SourceState::Connected | SourceState::Connecting
    ) {
        return Err(refused(source, "reconnect", ": restore it first"));
    }
    source.base_url.clone().ok_or_else(|| LifecycleError::Unknown(source.name.clone()))
}

/// Gives a source with an API token OAuth credentials: of the same account, and as good as the token. Webhook, cursors and
/// data stay; the token is forgotten only when all is well.
pub async fn migrate(ctx: &Context, source: Source, credentials: Credentials) -> Result<Connection, LifecycleError> {
    let base_url = may_migrate(ctx, &source)?;
    // An API token that Zendesk has ended already answers nothing; then the webhook tells whose account it is.
    let former = account::verify(&*ctx.client(&source)?, false).await.ok();
    let client =
        Arc::new(ctx.connect(Some(source.id), &source.name, &base_url, credentials.clone(), &source.settings)?);
    let identity = check(&client, &credentials, source.settings.write).await?;
    let by_hand = webhook::is_by_hand(&source);
    let same = match (former, source.webhook_id.as_deref().filter(|_| !by_hand)) {
        (Some(former), _) => account::has_admin(&client, former.user_id).await?,
        (None, Some(id)) => {
            // Ids of webhooks are unique among all accounts, too.
            match webhooks::signing_secret(&webhooks::Api::patient(&client), id).await {
                Ok(_) => true,
                Err(ApiError { kind: Kind::NotFound, .. }) => false,
                Err(error) => return Err(error.into()),
            }
        }
        (None, None) => true,
    };
    if !same {
        return Err(LifecycleError::OtherAccount(source.name));
    }
    let access = Access { client, identity, credentials: Some(credentials) };
    establish(ctx, source, &base_url, access, by_hand.then_some(None)).await
}

/// The address of a source whose API token can be replaced.
pub fn may_migrate(ctx: &Context, source: &Source) -> Result<String, LifecycleError> {
    if !matches!(ctx.credentials(source)?, Credentials::ApiToken { .. }) {
        return Err(LifecycleError::NoApiToken(source.name.clone()));
    }
    may_reconnect(source)
}

/// A way into an account that was checked.
struct Access {
    client: Arc<Client>,
    identity: Identity,
    /// To be stored; None when they are already.
    credentials: Option<Credentials>,
}

/// Checks whose credentials these are. A sign-in by browser asked for all that is needed: less is refused.
async fn check(client: &Client, credentials: &Credentials, write: bool) -> Result<Identity, LifecycleError> {
    let identity = account::verify(client, !matches!(credentials, Credentials::ApiToken { .. })).await?;
    let missing = identity.scopes.as_deref().map(|scopes| account::missing_scopes(scopes, write)).unwrap_or_default();
    if grant::fresh(credentials).is_some() && !missing.is_empty() {
        return Err(LifecycleError::Scopes(missing));
    }
    Ok(identity)
}

/// Sets up the webhook, then stores the credentials and goes live in one transaction; then former tokens are taken back.
async fn establish(
    ctx: &Context,
    source: Source,
    base_url: &str,
    access: Access,
    manual_webhook: Option<Option<String>>,
) -> Result<Connection, LifecycleError> {
    let Access { client, identity, credentials } = access;
    let missing = |scopes: &[String]| account::missing_scopes(scopes, source.settings.write);
    let warnings = identity.scopes.as_deref().map(missing).unwrap_or_default();
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
    let former = grant::of(ctx, &source).await?.filter(|_| credentials.is_some());
    go_live(ctx, &source, base_url, credentials.as_ref()).await?;
    if let Some(former) = former
        && let Some(why) = grant::take_back(ctx, &source, &former).await
    {
        tracing::warn!(source = source.name, error = why, "the former tokens could not be revoked in Zendesk");
    }
    let source = find(ctx, source.workspace_id, &source.name).await?;
    let endpoint = endpoint.unwrap_or_else(|| format!("https://YOUR-HOST/webhooks/zendesk/{}", source.name));
    Ok(Connection { source, identity, warnings, endpoint, repaired })
}

async fn go_live(
    ctx: &Context,
    source: &Source,
    base_url: &str,
    credentials: Option<&Credentials>,
) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    let streams: Vec<Stream> =
        Stream::ALL.into_iter().filter(|stream| !source.settings.skip_streams.contains(stream)).collect();
    let mut tx = ctx.pool.begin().await?;
    if let Some(credentials) = credentials {
        store_credentials(ctx, &mut tx, source, base_url, credentials).await?;
    }
    if source.settings.write {
        db::source::allow_writing(&mut tx, source.id, now).await?;
    }
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

/// Stores credentials, sealed; what was wrong with former ones is over.
pub(super) async fn store_credentials(
    ctx: &Context,
    db: &mut sqlx::PgConnection,
    source: &Source,
    base_url: &str,
    credentials: &Credentials,
) -> Result<(), LifecycleError> {
    let now = ctx.clock.now();
    let plain = serde_json::to_vec(credentials).expect("credentials serialise");
    let sealed = ctx.sealer.seal(&plain, &source.sealed_as("credentials"));
    db::source::set_credentials(db, source.id, base_url, &sealed, now).await?;
    match grant::fresh(credentials) {
        Some(pair) => {
            let sealed = keeper::seal(&ctx.sealer, source.id, pair);
            db::grant::put(db, source.id, pair, &sealed, now).await?;
        }
        None => db::grant::remove(db, source.id).await?,
    }
    db::source::recover(db, source.id, now).await?;
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

/// Refuses what only a Support account can do.
pub fn only_support(source: &Source) -> Result<(), LifecycleError> {
    let kind = match source.is_sell() {
        _ if source.is_support() => return Ok(()),
        true => "a Zendesk Sell account",
        false => "a name for imported files",
    };
    Err(LifecycleError::NotRead { name: source.name.clone(), kind })
}

/// Why a state does not allow what was asked.
pub fn refused(source: &Source, wanted: &'static str, hint: &'static str) -> LifecycleError {
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
pub(super) fn check_name(name: &str) -> Result<(), LifecycleError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match (1..=63).contains(&name.len()) && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(LifecycleError::Name(name.chars().take(100).collect())),
    }
}
