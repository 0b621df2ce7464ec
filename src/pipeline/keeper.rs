//! The keeper of a source's tokens: gives out the access token, and has it renewed before it ends, by one of all daemons.
//!
//! Zendesk ends a pair the moment it renews it. So the intent is committed before the request, the new pair before its
//! first use, and a pair follows only on the one it was got with (`version`). After a crash in between, the next daemon
//! asks with the refresh token it has: either Zendesk had not renewed, and all goes on; or the answer is lost with its
//! receiver, and the source says that it needs to be connected again.

use crate::clock::Clock;
use crate::config::SecretText;
use crate::db;
use crate::model::grant::{Grant, Pair, Renewal};
use crate::rules::retry;
use crate::secret::Sealer;
use crate::telemetry::OAUTH_REFRESHES;
use crate::zendesk::client::AccessTokens;
use crate::zendesk::error::Kind;
use crate::zendesk::oauth::{App, TokenEndpoint, TokenError};
use chrono::{DateTime, Duration, Utc};
use futures_util::future::BoxFuture;
use sqlx::PgPool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::task::TaskTracker;

/// How long one daemon has for a renewal; longer than the token endpoint may take.
const LEASE: Duration = Duration::seconds(60);

/// For how long a new pair is not renewed again, whatever Zendesk says of it.
const TRUSTED_FOR: Duration = Duration::seconds(60);

/// How often, and how long apart in real time, another daemon's renewal is looked for before a request fails.
const LOOKS: u32 = 250;
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(100);

/// How often a new pair is tried to be stored, a second apart: it is lost otherwise.
const STORE_TRIES: u32 = 30;

/// What a renewal needs. Cheap to clone: a renewal runs in a task of its own, which no dropped request ends.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

/// What a keeper is made from.
pub struct Inner {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Opens and seals tokens.
    pub sealer: Arc<Sealer>,
    /// Renewals under way: a stop waits for them.
    pub renewals: TaskTracker,
    /// The source.
    pub source_id: i64,
    /// Its name, for logs and metrics.
    pub source: String,
    /// The OAuth client.
    pub app: App,
    /// Where tokens come from.
    pub endpoint: TokenEndpoint,
    /// What this process knows.
    pub known: Mutex<Known>,
    /// One request looks into the database, the others wait for what it finds.
    pub one: tokio::sync::Mutex<()>,
}

/// What this process knows of the pair.
#[derive(Default)]
pub struct Known {
    held: Option<Arc<Pair>>,
    refused: Option<String>,
}

/// What an attempt to renew came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// There is a new pair, by us or by another.
    Renewed,
    /// Another daemon is at it.
    Busy,
    /// It failed, now or a moment ago, with this error.
    Failed(String),
    /// The pair is lost; the source needs to be connected again.
    Lost(String),
}

impl AccessTokens for Keeper {
    fn current(&self) -> BoxFuture<'_, Result<SecretText, Kind>> {
        Box::pin(async { self.usable().await.map(|held| SecretText::new(held.access_token.clone())) })
    }

    fn refused(&self, header: &str) {
        self.known().refused = Some(header.to_string());
    }
}

fn database(error: db::Error) -> Kind {
    Kind::NotRenewed(format!("database: {}", crate::telemetry::error_chain(&error)))
}

impl Keeper {
    /// A keeper that knows nothing yet.
    pub fn new(inner: Inner) -> Keeper {
        Keeper(Arc::new(inner))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pair that Zendesk accepts as far as we know.
    async fn usable(&self) -> Result<Arc<Pair>, Kind> {
        if let Some(held) = self.fresh() {
            return Ok(held);
        }
        let _one = self.0.one.lock().await;
        for _ in 0..LOOKS {
            if let Some(held) = self.fresh() {
                return Ok(held);
            }
            let (grant, held) = self.read().await?;
            if !self.is_due(&held) {
                continue; // another daemon has renewed it
            }
            if self.is_refused(&held) && self.0.clock.now() - held.issued_at < TRUSTED_FOR {
                // Zendesk does not accept what it has just given: another pair would fare no better.
                return Err(Kind::Unauthorized);
            }
            let dead = self.is_dead(&held);
            if !dead && grant.renewal(self.0.clock.now()) != Renewal::Free {
                return Ok(held); // good still, and not ours to renew now
            }
            match self.attempt(&grant).await? {
                Attempt::Renewed => {}
                _ if !dead => return Ok(held),
                Attempt::Busy => tokio::time::sleep(BETWEEN_LOOKS).await,
                Attempt::Failed(error) => return Err(Kind::NotRenewed(error)),
                Attempt::Lost(error) => return Err(Kind::NeedsReconnect(error)),
            }
        }
        Err(Kind::NotRenewed("another daemon is renewing it and has not ended".into()))
    }

    /// What is known, if it needs no look into the database.
    fn fresh(&self) -> Option<Arc<Pair>> {
        let held = self.known().held.clone()?;
        (!self.is_due(&held)).then_some(held)
    }

    /// Is it time to renew this pair?
    fn is_due(&self, held: &Pair) -> bool {
        self.is_refused(held) || held.renew_at() <= self.0.clock.now()
    }

    /// Will Zendesk not accept it any more?
    fn is_dead(&self, held: &Pair) -> bool {
        self.is_refused(held) || held.access_expires_at <= self.0.clock.now()
    }

    fn is_refused(&self, held: &Pair) -> bool {
        let known = self.known();
        let refused = known.refused.as_deref().and_then(|header| header.strip_prefix("Bearer "));
        refused == Some(held.access_token.as_str())
    }

    /// Reads the stored pair.
    async fn read(&self) -> Result<(Grant, Arc<Pair>), Kind> {
        let mut db = self.0.pool.acquire().await.map_err(database)?;
        let grant = db::grant::get(&mut db, self.0.source_id).await.map_err(database)?;
        drop(db);
        let grant = grant.ok_or_else(|| Kind::NeedsReconnect("its tokens are not there".into()))?;
        let held = Arc::new(self.open(&grant)?);
        self.known().held = Some(held.clone());
        Ok((grant, held))
    }

    fn open(&self, grant: &Grant) -> Result<Pair, Kind> {
        open(&self.0.sealer, grant).map_err(Kind::NeedsReconnect)
    }

    /// Renews the pair of `grant`, unless somebody else does or did.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempt(&self, grant: &Grant) -> Result<Attempt, Kind> {
        let (this, grant) = (self.clone(), grant.clone());
        let task = self.0.renewals.spawn(async move { this.renew(&grant).await });
        task.await.map_err(|_| Kind::NotRenewed("the renewal was cut off".into()))?.map_err(database)
    }

    async fn renew(&self, seen: &Grant) -> db::Result<Attempt> {
        let grant = match self.begin(seen.version).await? {
            Ok(grant) => grant,
            Err(attempt) => return Ok(attempt),
        };
        let pair = match self.open(&grant) {
            Ok(pair) => pair,
            Err(error) => return Ok(Attempt::Failed(error.to_string())),
        };
        let asked_at = self.0.clock.now();
        match self.0.endpoint.refresh(&self.0.app, &pair.refresh_token, asked_at).await {
            Ok(new) => self.store(&grant, &new).await,
            Err(error) => self.give_up(&grant, &error).await,
        }
    }

    /// Commits the intent and takes the lease; Err says why not. The grant is as it was before.
    async fn begin(&self, version: i64) -> db::Result<Result<Grant, Attempt>> {
        let now = self.0.clock.now();
        let mut tx = self.0.pool.begin().await?;
        let Some(grant) = db::grant::lock(&mut tx, self.0.source_id).await? else {
            return Ok(Err(Attempt::Lost("its tokens are not there".into())));
        };
        let error = || grant.error.clone().unwrap_or_default();
        let why_not = match grant.renewal(now) {
            _ if grant.version != version => Some(Attempt::Renewed),
            Renewal::Free => None,
            Renewal::Busy => Some(Attempt::Busy),
            Renewal::Resting => Some(Attempt::Failed(error())),
            Renewal::Lost => Some(Attempt::Lost(error())),
        };
        if why_not.is_none() {
            db::grant::intend(&mut tx, grant.source_id, version, now, now + LEASE).await?;
        }
        tx.commit().await?;
        Ok(why_not.map_or(Ok(grant), Err))
    }

    /// Stores the new pair before anybody uses it. Tried for long: there is no other copy.
    async fn store(&self, grant: &Grant, new: &Pair) -> db::Result<Attempt> {
        let mut tries = 1;
        let stored = loop {
            match self.store_once(grant, new).await {
                Err(error) if tries < STORE_TRIES => {
                    tracing::error!(source = self.0.source, error = %error, tries, "the renewed tokens are not stored yet; trying again");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    tries += 1;
                }
                other => break other?,
            }
        };
        if !stored {
            // The source was connected anew or disconnected meanwhile: these tokens are nobody's.
            if let Err(error) = self.0.endpoint.revoke(&new.access_token).await {
                tracing::warn!(source = self.0.source, error = %error, "renewed tokens that are no longer needed could not be revoked");
            }
            return Ok(Attempt::Renewed);
        }
        count(&self.0.source, "ok");
        tracing::info!(source = self.0.source, access_expires_at = %new.access_expires_at, refresh_expires_at = %new.refresh_expires_at, "access token renewed");
        Ok(Attempt::Renewed)
    }

    async fn store_once(&self, grant: &Grant, new: &Pair) -> db::Result<bool> {
        let sealed = seal(&self.0.sealer, grant.source_id, new);
        let now = self.0.clock.now();
        let mut tx = self.0.pool.begin().await?;
        let stored = db::grant::renewed(&mut tx, grant.source_id, grant.version, new, &sealed, now).await?;
        if stored && grant.error.is_some() {
            db::source::recover(&mut tx, grant.source_id, now).await?;
        }
        tx.commit().await?;
        if stored {
            self.known().held = Some(Arc::new(new.clone()));
        }
        Ok(stored)
    }

    /// Says what the failure means for the pair, and when the next try is due.
    async fn give_up(&self, grant: &Grant, error: &TokenError) -> db::Result<Attempt> {
        if *error == TokenError::InvalidGrant {
            return self.lose(grant).await;
        }
        count(&self.0.source, "failed");
        let now = self.0.clock.now();
        let wait = retry::poll_backoff(u32::try_from(grant.failures).unwrap_or(0) + 1, std::time::Duration::ZERO);
        let next_try_at = now + Duration::from_std(wait).unwrap_or(Duration::hours(1));
        // An intent of before stays: what that request did is still not known.
        let untouched = error.changed_nothing() && grant.refreshing_since.is_none();
        let text = error.to_string();
        tracing::warn!(source = self.0.source, error = text, next_try_at = %next_try_at, access_expires_at = %grant.access_expires_at, "the access token could not be renewed; it is tried again");
        let mut db = self.0.pool.acquire().await?;
        db::grant::failed(&mut db, grant, &text, untouched, next_try_at, now).await?;
        Ok(Attempt::Failed(text))
    }

    async fn lose(&self, grant: &Grant) -> db::Result<Attempt> {
        let now = self.0.clock.now();
        let words = lost_words(grant);
        let mut tx = self.0.pool.begin().await?;
        let lost = db::grant::lost(&mut tx, grant.source_id, grant.version, &words, now).await?;
        let kind = Kind::NeedsReconnect(words.clone());
        if lost {
            db::source::fail(&mut tx, grant.source_id, &kind.to_string(), kind.remedy(), now).await?;
        }
        tx.commit().await?;
        if !lost {
            return Ok(Attempt::Renewed); // another pair was stored meanwhile, or the loss was known: look again
        }
        count(&self.0.source, "lost");
        tracing::error!(
            source = self.0.source,
            error = words,
            remedy = kind.remedy(),
            "the source needs to be connected again"
        );
        Ok(Attempt::Lost(words))
    }
}

fn count(source: &str, outcome: &'static str) {
    metrics::counter!(OAUTH_REFRESHES, "source" => source.to_string(), "outcome" => outcome).increment(1);
}

/// Why a pair is lost, in words.
fn lost_words(grant: &Grant) -> String {
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S UTC");
    match grant.refreshing_since {
        Some(since) => {
            format!("its refresh was interrupted at {}, and Zendesk had ended the tokens by then", time(since))
        }
        None => "Zendesk refuses its refresh token: it has ended, or was revoked in Zendesk".to_string(),
    }
}

/// What the sealed tokens of a source are bound to.
fn sealed_as(source_id: i64) -> String {
    format!("source_grant|{source_id}|tokens")
}

/// Seals a pair for its row.
pub fn seal(sealer: &Sealer, source_id: i64, pair: &Pair) -> Vec<u8> {
    sealer.seal(&serde_json::to_vec(pair).expect("a pair serialises"), &sealed_as(source_id))
}

/// Opens the pair of a grant; Err says why it cannot be.
pub fn open(sealer: &Sealer, grant: &Grant) -> Result<Pair, String> {
    let text = sealer.open_text(&grant.tokens, &sealed_as(grant.source_id)).map_err(|error| error.to_string())?;
    serde_json::from_str(text.expose()).map_err(|_| "its tokens are not readable".to_string())
}

/// The same tokens sealed under the present key; None when they are already, or cannot be opened.
pub fn sealed_again(sealer: &Sealer, grant: &Grant) -> Option<Vec<u8>> {
    let pair = sealer.needs_rotation(&grant.tokens).then(|| open(sealer, grant))?;
    pair.ok().map(|pair| seal(sealer, grant.source_id, &pair))
}
