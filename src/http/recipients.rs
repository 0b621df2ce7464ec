//! For whom webhooks are: sources with their signing secrets, kept in memory and read again when they may have changed.

use crate::clock::Clock;
use crate::db;
use crate::model::watch::Watch;
use crate::pipeline::watch;
use crate::pipeline::webhook::KNOWN_FOR;
use crate::secret::Sealer;
use crate::zendesk::verify::Recipient;
use chrono::{DateTime, Duration, Utc};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How long what was read is trusted.
const TRUSTED_FOR: Duration = KNOWN_FOR;

/// How often refused deliveries may have a webhook looked at.
const SUSPECTED_EVERY: Duration = Duration::seconds(60);

/// How long a former signing secret stays valid after it was replaced.
const ROTATION: Duration = Duration::hours(24);

/// A source that takes webhooks.
pub struct Addressee {
    /// For whom webhooks are checked.
    pub recipient: Recipient,
    /// Since when its signing secret is being replaced: what does not match may match in a moment.
    pub rotating_since: Option<DateTime<Utc>>,
    /// Id of our webhook, which its deliveries name.
    pub webhook_id: Option<String>,
}

/// The sources that take webhooks, by name.
#[derive(Clone)]
pub struct Recipients {
    pool: PgPool,
    sealer: Arc<Sealer>,
    clock: Clock,
    known: Arc<RwLock<Known>>,
    reading: Arc<tokio::sync::Mutex<()>>,
    suspected: Arc<Mutex<HashMap<i64, DateTime<Utc>>>>,
}

#[derive(Default)]
struct Known {
    read_at: Option<DateTime<Utc>>,
    by_name: HashMap<String, Arc<Addressee>>,
}

impl Recipients {
    /// Nothing is read yet.
    pub fn new(pool: PgPool, sealer: Arc<Sealer>, clock: Clock) -> Recipients {
        Recipients { pool, sealer, clock, known: Arc::default(), reading: Arc::default(), suspected: Arc::default() }
    }

    /// The source of that name; None when there is none that takes webhooks.
    pub async fn find(&self, name: &str) -> db::Result<Option<Arc<Addressee>>> {
        if let Some(found) = self.cached(name) {
            return Ok(found);
        }
        let this = self.clone();
        // In a task of its own: the request may be dropped, the connection must not be.
        let read = tokio::spawn(async move { this.read().await });
        match read.await {
            Ok(Ok(())) => Ok(self.lookup(name)),
            Ok(Err(error)) => match self.lookup(name) {
                // Better an old secret than none: what it verifies is stored only if Postgres is there after all.
                Some(found) => Ok(Some(found)),
                None => Err(error),
            },
            Err(_) => Ok(self.lookup(name)),
        }
    }

    /// Forgets what was read, so that it is read anew: a signature did not match, which may mean that the secret was changed
    /// a moment ago. At most once a second, lest forged signatures cost us the database; false when it is too fresh for that.
    pub fn doubt(&self) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let is_old = known.read_at.is_some_and(|at| now - at > Duration::seconds(1));
        if is_old {
            known.read_at = None;
        }
        is_old
    }

    /// Has the webhook of a source looked at soon: what names it was refused. At most once a minute for each source, since
    /// anybody can send what is refused.
    pub fn suspect(&self, source_id: i64) {
        let now = self.clock.now();
        let mut suspected = self.suspected.lock().unwrap_or_else(PoisonError::into_inner);
        if suspected.get(&source_id).is_some_and(|at| (now - *at).abs() < SUSPECTED_EVERY) {
            return;
        }
        suspected.insert(source_id, now);
        drop(suspected);
        let pool = self.pool.clone();
        // In a task of its own: the request may be dropped, the connection must not be.
        tokio::spawn(async move {
            if let Err(error) = watch::soon(&pool, source_id, now).await {
                tracing::warn!(source_id, error = %error, "a look at our webhook could not be asked for");
            }
        });
    }

    fn cached(&self, name: &str) -> Option<Option<Arc<Addressee>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let age = self.clock.now() - known.read_at?;
        (age < TRUSTED_FOR && age >= Duration::zero()).then(|| known.by_name.get(name).cloned())
    }

    fn lookup(&self, name: &str) -> Option<Arc<Addressee>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }

    async fn read(&self) -> db::Result<()> {
        let _one_at_a_time = self.reading.lock().await;
        let now = self.clock.now();
        let fresh = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .read_at
            .is_some_and(|at| (now - at).abs() < TRUSTED_FOR);
        if fresh {
            return Ok(());
        }
        let mut db = self.pool.acquire().await?;
        let sources = db::source::all(&mut db).await?;
        let watches: HashMap<i64, Watch> = db::webhook_watch::all(&mut db).await?.into_iter().collect();
        let mut by_name = HashMap::new();
        for source in sources.iter().filter(|source| source.state.is_live() && source.is_support()) {
            let fresh = source.webhook_secret_rotated_at.is_some_and(|at| now - at < ROTATION);
            let sealed = [
                ("webhook_secret", &source.webhook_secret),
                ("webhook_secret_previous", if fresh { &source.webhook_secret_previous } else { &None }),
            ];
            let mut secrets = Vec::new();
            for (column, sealed) in sealed {
                let Some(sealed) = sealed else { continue };
                // Both are bound to the same column: a rotation moves the sealed bytes from one to the other.
                match self.sealer.open_text(sealed, &source.sealed_as("webhook_secret")) {
                    Ok(secret) => secrets.push(secret),
                    Err(error) => {
                        tracing::error!(source = source.name, column, error = %error, "a signing secret cannot be opened")
                    }
                }
            }
            let recipient = Recipient {
                workspace_id: source.workspace_id,
                source_id: source.id,
                name: source.name.clone(),
                secrets,
            };
            let rotating_since = watches.get(&source.id).and_then(|watch| watch.rotating_since);
            let addressee = Addressee { recipient, rotating_since, webhook_id: source.webhook_id.clone() };
            by_name.insert(source.name.clone(), Arc::new(addressee));
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known { read_at: Some(now), by_name };
        Ok(())
    }
}
