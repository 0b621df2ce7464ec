//! Receive: webhooks that were verified become rows before they are answered (invariant 1). One writer task takes what has
//! come in since its last commit and stores it with one statement a table. A request's future holds no database call: a
//! client may hang up at any moment, and a dropped future must not drop a transaction.

use crate::config::Webhook;
use crate::db;
use crate::model::raw_event::Verified;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// Its bytes are committed, now or by an earlier delivery.
    Stored,
    /// They are not: the sender must send again.
    NotStored,
}

struct Arrival {
    event: Verified,
    done: oneshot::Sender<Receipt>,
}

/// The way in: hands webhooks to the writer and waits for their receipt.
#[derive(Clone)]
pub struct Intake {
    /// None only for the bench: see [`null`].
    queue: Option<mpsc::Sender<Arrival>>,
    timeout: Duration,
}

impl Intake {
    /// Stores a webhook. `NotStored` when the writer is behind, Postgres is away, or time is up.
    pub async fn store(&self, event: Verified) -> Receipt {
        let Some(queue) = &self.queue else { return Receipt::Stored };
        let (done, receipt) = oneshot::channel();
        if queue.try_send(Arrival { event, done }).is_err() {
            return Receipt::NotStored;
        }
        match tokio::time::timeout(self.timeout, receipt).await {
            Ok(Ok(receipt)) => receipt,
            _ => Receipt::NotStored,
        }
    }
}

/// The writer, to be run as a task of its own until every [`Intake`] is gone.
pub struct Writer {
    queue: mpsc::Receiver<Arrival>,
    pool: PgPool,
    wake: Arc<Notify>,
    most_events: usize,
    most_bytes: usize,
}

/// An intake and its writer; `wake` is told when there is something to apply.
pub fn channel(pool: PgPool, settings: &Webhook, wake: Arc<Notify>) -> (Intake, Writer) {
    let (queue, receiver) = mpsc::channel(settings.queue_events);
    let intake = Intake { queue: Some(queue), timeout: Duration::from_secs(settings.ack_timeout_secs) };
    let writer =
        Writer { queue: receiver, pool, wake, most_events: settings.batch_events, most_bytes: settings.batch_bytes };
    (intake, writer)
}

/// An intake that acknowledges at once and stores nothing: the bench measures the route without a database by it.
pub fn null() -> Intake {
    Intake { queue: None, timeout: Duration::ZERO }
}

impl Writer {
    /// Stores batch after batch.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(self.most_events);
        while let Some(first) = self.queue.recv().await {
            let mut bytes = first.event.body.len();
            batch.push(first);
            while batch.len() < self.most_events && bytes < self.most_bytes {
                let Ok(next) = self.queue.try_recv() else { break };
                bytes += next.event.body.len();
                batch.push(next);
            }
            self.write(&mut batch).await;
        }
    }

    async fn write(&self, batch: &mut Vec<Arrival>) {
        let (events, waiting): (Vec<Verified>, Vec<oneshot::Sender<Receipt>>) = batch
            .drain(..)
            .filter(|arrival| !arrival.done.is_closed())
            .map(|arrival| (arrival.event, arrival.done))
            .unzip();
        if events.is_empty() {
            return;
        }
        match self.store(&events).await {
            Ok(()) => {
                for done in waiting {
                    _ = done.send(Receipt::Stored);
                }
                self.wake.notify_one();
            }
            Err(error) if db::is_data_error(&error) && events.len() > 1 => self.write_singly(events, waiting).await,
            Err(error) => {
                tracing::error!(events = events.len(), error = %error, "webhooks could not be stored; Zendesk is asked to send them again");
                for done in waiting {
                    _ = done.send(Receipt::NotStored);
                }
            }
        }
    }

    /// One bad row must not cost the others their receipt.
    async fn write_singly(&self, events: Vec<Verified>, waiting: Vec<oneshot::Sender<Receipt>>) {
        for (event, done) in events.into_iter().zip(waiting) {
            let receipt = match self.store(std::slice::from_ref(&event)).await {
                Ok(()) => Receipt::Stored,
                Err(error) => {
                    tracing::error!(source_id = event.source_id, error = %error, "a webhook could not be stored");
                    Receipt::NotStored
                }
            };
            _ = done.send(receipt);
        }
        self.wake.notify_one();
    }

    async fn store(&self, events: &[Verified]) -> db::Result<()> {
        let mut tx = self.pool.begin().await?;
        db::raw_event::store(&mut tx, events).await?;
        let sources: BTreeSet<i64> = events.iter().map(|event| event.source_id).collect();
        let now = events.iter().map(|event| event.received_at).max().unwrap_or_default();
        db::job::enqueue_apply(&mut tx, &sources.into_iter().collect::<Vec<_>>(), now).await?;
        tx.commit().await
    }
}
