//! What every flow works with, and one client per source.

use super::budgets::Shared;
use super::keeper::{self, Keeper};
use crate::clock::Clock;
use crate::config::Settings;
use crate::model::activation::Target;
use crate::model::push::TargetField;
use crate::model::record::digest;
use crate::model::source::{Credentials, Source, SourceSettings};
use crate::secret::Sealer;
use crate::zendesk::client::{Client, ClientOptions, Login};
use crate::zendesk::decode::DecodeContext;
use crate::zendesk::limiter::{Alone, Ledger};
use crate::zendesk::oauth::{App, TokenEndpoint};
use crate::zendesk::purse::Shares;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every flow works with. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Configuration.
    pub settings: Arc<Settings>,
    /// Seals secrets, makes keyed digests.
    pub sealer: Arc<Sealer>,
    /// Our name on leases.
    pub holder: Arc<str>,
    /// Cancelled when the daemon is to stop: flows end at their next page or batch.
    pub stop: CancellationToken,
    /// Renewals of tokens that are under way: a stop waits for them, since what they bring has no other copy.
    pub renewals: TaskTracker,
    /// Target fields of accounts, by source, with the time at which they were read.
    pub target_fields: Arc<Mutex<HashMap<(i64, Target), KnownFields>>>,
    clients: Arc<Mutex<HashMap<i64, Cached>>>,
}

/// A client, with the digest of what it was made from.
type Cached = (i64, Arc<Client>);

/// Target fields of an account, and when they were read.
pub type KnownFields = (DateTime<Utc>, Arc<Vec<TargetField>>);

/// Why a flow did not reach its end.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// Postgres.
    #[error("database: {}", crate::telemetry::error_chain(.0))]
    Database(#[from] sqlx::Error),
    /// Zendesk.
    #[error(transparent)]
    Zendesk(#[from] crate::zendesk::error::ApiError),
    /// A sealed secret cannot be opened.
    #[error(transparent)]
    Sealed(#[from] crate::secret::SealError),
    /// Another daemon holds the job by now: nothing was committed.
    #[error("another daemon has taken the job over; nothing of this try was kept")]
    LeaseLost,
    /// The daemon stops: the job goes on where it was, here or elsewhere.
    #[error("stopped between two pages; the rest is read later")]
    Stopped,
    /// Something is missing or not in the state it should be in.
    #[error("{0}")]
    State(String),
}

impl FlowError {
    /// What to do about it.
    pub fn remedy(&self) -> &str {
        match self {
            FlowError::Zendesk(error) => error.kind.remedy(),
            FlowError::Database(_) => "Nothing: work goes on when Postgres does. If this lasts, look at its log.",
            FlowError::Sealed(_) => {
                "Start with the secret key the credentials were sealed with, or reconnect the source."
            }
            FlowError::LeaseLost => "Nothing: the other daemon goes on.",
            FlowError::Stopped => "Nothing: it goes on when a daemon runs.",
            FlowError::State(_) => "See deskbridge source show.",
        }
    }
}

impl Context {
    /// Says whether a flow may go on to its next page or batch.
    pub fn may_go_on(&self) -> Result<(), FlowError> {
        if self.stop.is_cancelled() { Err(FlowError::Stopped) } else { Ok(()) }
    }

    /// A context with no clients yet.
    pub fn new(pool: PgPool, clock: Clock, settings: Arc<Settings>, sealer: Arc<Sealer>, holder: &str) -> Context {
        let stop = CancellationToken::new();
        let (renewals, clients, target_fields) = (TaskTracker::new(), Arc::default(), Arc::default());
        Context { pool, clock, settings, sealer, holder: holder.into(), stop, renewals, target_fields, clients }
    }

    /// The client of a source: the same one as long as its credentials and limits stay the same, so that its limiter
    /// sees every request.
    pub fn client(&self, source: &Source) -> Result<Arc<Client>, FlowError> {
        let print = digest(
            &(
                &source.base_url,
                &source.credentials,
                source.settings.requests_per_minute,
                source.settings.incremental_per_minute,
                source.settings.write,
            ),
            0,
        );
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = clients.get(&source.id)
            && *known == print
        {
            return Ok(client.clone());
        }
        let base_url = source
            .base_url
            .as_deref()
            .ok_or_else(|| FlowError::State(format!("source {} has no address", source.name)))?;
        let credentials = self.credentials(source)?;
        let login = match &credentials {
            Credentials::Browser { .. } => {
                Login::Renewed(Arc::new(self.keeper(&source.name, base_url, &credentials, source)?))
            }
            _ => Login::With(credentials),
        };
        let options = self.options(&source.name, base_url, &source.settings);
        let client = Arc::new(Client::new(options, login, self.clock.clone(), self.budgets_of(source.id))?);
        clients.insert(source.id, (print, client.clone()));
        Ok(client)
    }

    /// A client for credentials that may not be stored yet. A source that is not stored yet has budgets of its own.
    pub fn connect(
        &self,
        source_id: Option<i64>,
        name: &str,
        base_url: &str,
        credentials: Credentials,
        settings: &SourceSettings,
    ) -> Result<Client, FlowError> {
        let budgets = source_id.map_or_else(|| Arc::new(Alone::default()) as Arc<dyn Ledger>, |id| self.budgets_of(id));
        Ok(Client::new(self.options(name, base_url, settings), credentials, self.clock.clone(), budgets)?)
    }

    fn budgets_of(&self, source_id: i64) -> Arc<dyn Ledger> {
        Arc::new(Shared { pool: self.pool.clone(), source_id })
    }

    /// The keeper of the tokens of a source whose admin signed in by browser.
    pub fn keeper(
        &self,
        name: &str,
        base_url: &str,
        credentials: &Credentials,
        source: &Source,
    ) -> Result<Keeper, FlowError> {
        let Credentials::Browser { client_id, client_secret, .. } = credentials else {
            return Err(FlowError::State(format!("nobody signed in by browser for source {name}")));
        };
        Ok(Keeper::new(keeper::Inner {
            pool: self.pool.clone(),
            clock: self.clock.clone(),
            sealer: self.sealer.clone(),
            renewals: self.renewals.clone(),
            source_id: source.id,
            source: name.to_string(),
            app: App { client_id: client_id.clone(), client_secret: client_secret.clone() },
            endpoint: self.token_endpoint(name, base_url, source.settings.write)?,
            known: Mutex::default(),
            one: tokio::sync::Mutex::default(),
        }))
    }

    /// The token endpoint of an account; with `write` its tokens may write users and organizations.
    pub fn token_endpoint(&self, name: &str, base_url: &str, write: bool) -> Result<TokenEndpoint, FlowError> {
        let settings = SourceSettings { write, ..SourceSettings::default() };
        Ok(TokenEndpoint::new(&self.options(name, base_url, &settings))?)
    }

    fn options(&self, name: &str, base_url: &str, settings: &SourceSettings) -> ClientOptions {
        let zendesk = &self.settings.zendesk;
        ClientOptions {
            source: name.to_string(),
            base_url: base_url.to_string(),
            timeout: Duration::from_secs(zendesk.timeout_secs),
            connect_timeout: Duration::from_secs(zendesk.connect_timeout_secs),
            max_response_bytes: zendesk.max_response_bytes,
            user_agent: match zendesk.user_agent.is_empty() {
                true => concat!("deskbridge/", env!("CARGO_PKG_VERSION")).to_string(),
                false => zendesk.user_agent.clone(),
            },
            write: settings.write,
            shares: Shares {
                requests: settings.requests_per_minute.unwrap_or(zendesk.requests_per_minute),
                exports: settings.incremental_per_minute.unwrap_or(zendesk.incremental_per_minute),
                share: zendesk.requests_share,
                urgent_share: zendesk.urgent_share,
            },
        }
    }

    /// The credentials of a source, opened.
    pub fn credentials(&self, source: &Source) -> Result<Credentials, FlowError> {
        let sealed = source
            .credentials
            .as_deref()
            .ok_or_else(|| FlowError::State(format!("source {} has no credentials", source.name)))?;
        let text = self.sealer.open_text(sealed, &source.sealed_as("credentials"))?;
        serde_json::from_str(text.expose())
            .map_err(|_| FlowError::State(format!("the credentials of source {} are not readable", source.name)))
    }

    /// What decoding a source's records needs to know.
    pub fn decode<'a>(&'a self, source: &'a Source) -> DecodeContext<'a> {
        let privacy = &self.settings.privacy;
        DecodeContext {
            settings: &source.settings,
            subdomain: source.subdomain(),
            default_region: Some(privacy.default_region.as_str()).filter(|region| !region.is_empty()),
            blocked: &privacy.blocked_identities,
            message_max_bytes: privacy.message_max_bytes,
            store_message_bodies: source.settings.store_message_bodies.unwrap_or(privacy.store_message_bodies),
            private_comments: source.settings.private_comments.unwrap_or(privacy.private_comments),
        }
    }

    /// Requests left by source id and name of the budget, as last heard.
    pub fn budgets(&self) -> Vec<(i64, &'static str, i64)> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let left = clients.iter().flat_map(|(id, (_, client))| {
            client.limiter().left().into_iter().map(|(budget, left)| (*id, budget, left))
        });
        left.collect()
    }
}
