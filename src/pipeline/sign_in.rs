//! Signing in by browser: a person is sent to Zendesk's consent page; whichever daemon receives the answer exchanges the
//! code, checks what came, and connects the source. What was begun is sealed in the database and answered once.

use super::connect::{self, Connect, Connection, LifecycleError};
use super::context::{Context, FlowError};
use super::grant;
use super::webhook;
use crate::db;
use crate::model::source::{Credentials, SourceSettings};
use crate::secret;
use crate::zendesk::oauth::{self, App, TokenError};
use crate::zendesk::webhooks::Fault;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a person has to sign in.
pub const PATIENCE: Duration = Duration::minutes(10);

/// Where the answer comes to, on the admin listener.
pub const PATH: &str = "/oauth/callback";

/// Longest state, code and error that are looked at.
const MOST: usize = 2048;

/// What is done once the person has signed in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Purpose {
    /// A new source.
    Connect {
        /// Account name or address.
        account: String,
        /// Name of the source; by default the account's.
        name: Option<String>,
        /// Its options.
        settings: Box<SourceSettings>,
        /// Its name for people.
        title: Option<String>,
    },
    /// New credentials for a source.
    Reconnect {
        /// Its name.
        name: String,
        /// Activations are to write to it.
        #[serde(default)]
        write: bool,
    },
    /// OAuth instead of an API token.
    Migrate {
        /// Name of the source.
        name: String,
        /// Activations are to write to it.
        #[serde(default)]
        write: bool,
    },
}

/// What is begun.
pub struct Wish {
    /// Workspace.
    pub workspace: i64,
    /// The OAuth client.
    pub app: App,
    /// What for.
    pub purpose: Purpose,
    /// The webhook is set up by hand, with this signing secret if it is known yet.
    pub manual_webhook: Option<Option<String>>,
}

/// What was begun.
#[derive(Debug)]
pub struct Begun {
    /// The address a person has to open.
    pub url: String,
    /// Where Zendesk sends them back to: it must stand in the OAuth client.
    pub redirect_uri: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// By which the outcome is found.
    pub handle: Vec<u8>,
}

/// What is kept, sealed, until the answer comes.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
    verifier: String,
    client_id: String,
    client_secret: Option<String>,
    base_url: String,
    redirect_uri: String,
    purpose: Purpose,
    #[serde(default)]
    write: bool,
    manual_webhook: Option<Option<String>>,
}

/// The answer as it came.
#[derive(Debug, Default, Deserialize)]
pub struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Why a sign-in came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No sign-in has this state.
    #[error("this answer belongs to no sign-in that was begun here: the address was changed, or is very old")]
    Unknown,
    /// It was answered before.
    #[error("this sign-in was answered already; nothing was done a second time")]
    Replayed,
    /// The person took too long.
    #[error("this sign-in was begun more than {} minutes ago, and is not valid any more", PATIENCE.num_minutes())]
    Expired,
    /// The person said no, or Zendesk did.
    #[error("Zendesk did not allow it: {0}")]
    Denied(String),
    /// The code was not accepted.
    #[error("the sign-in could not be completed: {0}")]
    Token(#[from] TokenError),
    /// The account, its user or its scopes.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
}

impl From<FlowError> for SignInError {
    fn from(error: FlowError) -> Self {
        SignInError::Lifecycle(error.into())
    }
}

impl From<sqlx::Error> for SignInError {
    fn from(error: sqlx::Error) -> Self {
        SignInError::Lifecycle(error.into())
    }
}

/// The address on the admin listener to which Zendesk sends people back.
pub fn redirect_uri(ctx: &Context) -> String {
    let admin = &ctx.settings.admin;
    let here = || format!("http://localhost:{}", admin.listen.port());
    format!("{}{PATH}", admin.base_url.clone().unwrap_or_else(here))
}

/// Begins a sign-in: nothing is connected yet, but what can be refused at once is.
pub async fn begin(ctx: &Context, wish: Wish) -> Result<Begun, LifecycleError> {
    let (base_url, by_hand, write) = match &wish.purpose {
        Purpose::Connect { account, name, settings, .. } => {
            let (base_url, _) = connect::check_free(ctx, wish.workspace, account, name.as_deref()).await?;
            (base_url, false, settings.write)
        }
        Purpose::Reconnect { name, write } => {
            let source = connect::find(ctx, wish.workspace, name).await?;
            (connect::may_reconnect(&source)?, webhook::is_by_hand(&source), *write || source.settings.write)
        }
        Purpose::Migrate { name, write } => {
            let source = connect::find(ctx, wish.workspace, name).await?;
            (connect::may_migrate(ctx, &source)?, webhook::is_by_hand(&source), *write || source.settings.write)
        }
    };
    if wish.manual_webhook.is_none() && !by_hand && ctx.settings.public.base_url.is_none() {
        return Err(LifecycleError::NoPublicUrl);
    }
    let (state, verifier, redirect_uri) = (secret::random_word(), secret::random_word(), redirect_uri(ctx));
    let url = oauth::consent_url(&base_url, &wish.app.client_id, &redirect_uri, &state, &verifier, write);
    let handle = digest(ctx, &state);
    let kept = Kept {
        state,
        verifier,
        client_id: wish.app.client_id,
        client_secret: wish.app.client_secret,
        base_url,
        redirect_uri: redirect_uri.clone(),
        purpose: wish.purpose,
        write,
        manual_webhook: wish.manual_webhook.or(by_hand.then_some(None)),
    };
    let plain = serde_json::to_vec(&kept).map_err(|error| FlowError::State(error.to_string()))?;
    let sealed = ctx.sealer.seal(&plain, &sealed_as(&handle));
    let now = ctx.clock.now();
    let expires_at = now + PATIENCE;
    let mut tx = ctx.pool.begin().await?;
    let forget = now - Duration::days(1);
    db::sign_in::begin(&mut tx, &handle, wish.workspace, &sealed, (now, expires_at), forget).await?;
    tx.commit().await?;
    Ok(Begun { url, redirect_uri, expires_at, handle })
}

fn digest(ctx: &Context, state: &str) -> Vec<u8> {
    ctx.sealer.subject_hmac(&format!("sign-in|{state}")).to_vec()
}

fn sealed_as(handle: &[u8]) -> String {
    format!("sign_in|{}|sealed", hex::encode(handle))
}

/// Takes the answer that a browser brought, and does what the sign-in was begun for. Answers the source's name.
pub async fn receive(ctx: &Context, answer: &Answer) -> Result<String, SignInError> {
    let (handle, kept) = take(ctx, answer.state.as_deref().unwrap_or_default()).await?;
    let done = carry_out(ctx, &kept, answer).await;
    let outcome = match &done {
        Ok(connection) => json!({"ok": true, "source": connection.source.name, "report": report(connection)}),
        Err(error) => {
            tracing::warn!(base_url = kept.base_url, error = %error, "a sign-in by browser came to nothing");
            json!({"ok": false, "error": error.to_string()})
        }
    };
    db::sign_in::conclude(&mut *ctx.pool.acquire().await?, &handle, &outcome).await?;
    let connection = done?;
    tracing::info!(source = connection.source.name, user_id = connection.identity.user_id, "signed in by browser");
    Ok(connection.source.name)
}

/// Finds what was begun with this state, and ends its validity.
async fn take(ctx: &Context, state: &str) -> Result<(Vec<u8>, Kept), SignInError> {
    if state.is_empty() || state.len() > MOST {
        return Err(SignInError::Unknown);
    }
    let digests: Vec<Vec<u8>> =
        ctx.sealer.subject_hmacs(&format!("sign-in|{state}")).iter().map(|digest| digest.to_vec()).collect();
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    let Some((handle, sign_in)) = db::sign_in::lock(&mut tx, &digests).await? else {
        return Err(SignInError::Unknown);
    };
    let sealed = match sign_in.sealed {
        Some(sealed) if sign_in.answered_at.is_none() => sealed,
        _ => return Err(SignInError::Replayed),
    };
    if sign_in.expires_at <= now {
        return Err(SignInError::Expired);
    }
    let text = ctx.sealer.open_text(&sealed, &sealed_as(&handle)).map_err(FlowError::from)?;
    let kept: Kept = serde_json::from_str(text.expose()).map_err(|_| SignInError::Unknown)?;
    if !secret::same(&kept.state, state) {
        return Err(SignInError::Unknown);
    }
    db::sign_in::answer(&mut tx, &handle, now).await?;
    tx.commit().await?;
    Ok((handle, kept))
}

async fn carry_out(ctx: &Context, kept: &Kept, answer: &Answer) -> Result<Connection, SignInError> {
    if let Some(error) = &answer.error {
        return Err(SignInError::Denied(refusal(error, answer.error_description.as_deref())));
    }
    let code = answer.code.as_deref().filter(|code| code.len() <= MOST);
    let code = code.ok_or_else(|| SignInError::Denied("the answer brought no code".into()))?;
    let app = App { client_id: kept.client_id.clone(), client_secret: kept.client_secret.clone() };
    let endpoint = ctx.token_endpoint(name_of(&kept.purpose), &kept.base_url, kept.write)?;
    let pair = endpoint.exchange(&app, code, &kept.redirect_uri, &kept.verifier, ctx.clock.now()).await?;
    let credentials = Credentials::Browser {
        client_id: app.client_id,
        client_secret: app.client_secret,
        fresh: Some(Box::new(pair.clone())),
    };
    let done = apply(ctx, kept, credentials).await;
    if done.is_err()
        && let Some(why) = grant::take_back_pair(ctx, name_of(&kept.purpose), &kept.base_url, &pair).await
    {
        tracing::warn!(
            base_url = kept.base_url,
            error = why,
            "the tokens of a sign-in that came to nothing could not be revoked"
        );
    }
    Ok(done?)
}

async fn apply(ctx: &Context, kept: &Kept, credentials: Credentials) -> Result<Connection, LifecycleError> {
    let workspace = db::workspace::DEFAULT;
    match &kept.purpose {
        Purpose::Connect { account, name, settings, title } => {
            let request = Connect {
                workspace,
                account,
                name: name.as_deref(),
                credentials,
                manual_webhook: kept.manual_webhook.clone(),
                settings: (**settings).clone(),
            };
            let connection = connect::connect(ctx, request).await?;
            if let Some(title) = title {
                let (mut db, source) = (ctx.pool.acquire().await?, &connection.source);
                db::source::set_settings(&mut db, source.id, title, &source.settings, ctx.clock.now()).await?;
            }
            Ok(connection)
        }
        Purpose::Reconnect { name, .. } => {
            let mut source = connect::find(ctx, workspace, name).await?;
            source.settings.write |= kept.write;
            connect::reconnect(ctx, source, Some(credentials), kept.manual_webhook.clone()).await
        }
        Purpose::Migrate { name, .. } => {
            let mut source = connect::find(ctx, workspace, name).await?;
            source.settings.write |= kept.write;
            connect::migrate(ctx, source, credentials).await
        }
    }
}

fn name_of(purpose: &Purpose) -> &str {
    match purpose {
        Purpose::Connect { name: Some(name), .. } | Purpose::Reconnect { name, .. } | Purpose::Migrate { name, .. } => {
            name
        }
        Purpose::Connect { account, .. } => account,
    }
}

/// What Zendesk says of a refusal; it comes through the browser, so it is cut and plain.
fn refusal(error: &str, description: Option<&str>) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    match (error, description) {
        ("access_denied", _) => "you, or somebody in your place, chose not to allow it".to_string(),
        (error, Some(description)) => format!("{} ({})", plain(description), plain(error)),
        (error, None) => plain(error),
    }
}

/// What connecting found and did, for the command that waits for it.
pub fn report(connection: &Connection) -> Value {
    let faults = |faults: &Vec<Fault>| faults.iter().map(Fault::words).collect::<Vec<_>>();
    json!({
        "user_id": connection.identity.user_id, "role": connection.identity.role, "scopes": connection.identity.scopes,
        "warnings": connection.warnings, "webhook_endpoint": connection.endpoint,
        "webhook_repaired": connection.repaired.as_ref().map(faults),
    })
}

/// What became of a sign-in: None while nobody has answered.
pub async fn outcome(ctx: &Context, handle: &[u8]) -> Result<Option<Value>, LifecycleError> {
    Ok(db::sign_in::outcome(&mut *ctx.pool.acquire().await?, handle).await?.flatten())
}
