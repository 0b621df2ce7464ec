//! The limiter: a request is made when the budgets that all processes share allow it.
//!
//! What is decided stands in [`Window`]; what this process knows, in [`Purses`]; where windows are kept, a [`Ledger`] knows: a
//! table, for sources that are stored.

use super::budget::{Budget, Draw};
use super::purse::{Outcome, Purses, Shares, exchange};
use super::window::{Millis, Told, Window};
use crate::clock::Clock;
use crate::rules::retry::parse_rate_header;
use chrono::{DateTime, Duration, Utc};
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Changes the windows it is given, in the order of the draws.
pub type Turn<'a> = &'a mut (dyn FnMut(&mut [Window]) + Send);

/// Where the windows of an account are kept for all who use it.
pub trait Ledger: Send + Sync {
    /// Lets `turn` change the windows of these budgets while nobody else does. A failure says why, and changes nothing.
    fn turn<'a>(&'a self, draws: &'a [Draw], now: DateTime<Utc>, turn: Turn<'a>) -> BoxFuture<'a, Result<(), String>>;
}

/// Windows in memory: for an account that only one process asks.
#[derive(Default)]
pub struct Alone(Mutex<HashMap<Draw, Window>>);

impl Ledger for Alone {
    fn turn<'a>(&'a self, draws: &'a [Draw], _: DateTime<Utc>, turn: Turn<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let mut all = lock(&self.0);
            let mut windows: Vec<Window> = draws.iter().map(|draw| all.remove(draw).unwrap_or_default()).collect();
            turn(&mut windows);
            all.extend(draws.iter().cloned().zip(windows));
            Ok(())
        })
    }
}

/// Why a request may not be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Its budget is spent for so long.
    Spent(Duration),
    /// The budgets cannot be read.
    Ledger(String),
}

/// The budgets of one account, as one process uses them.
pub struct Limiter {
    source: String,
    clock: Clock,
    shares: Shares,
    ledger: Arc<dyn Ledger>,
    purses: Mutex<Purses>,
    /// One exchange at a time: who waited for it may find that it has what it needs.
    exchanging: tokio::sync::Mutex<()>,
}

/// A request that is allowed. Dropped unsettled, it still counts.
pub struct Permit<'a> {
    limiter: &'a Limiter,
    draws: Vec<Draw>,
    sent: Millis,
    settled: bool,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let now = self.limiter.now();
            lock(&self.limiter.purses).answered(&self.draws, self.sent, now, &[], None);
        }
    }
}

impl Limiter {
    /// The limiter of `source`, whose windows `ledger` keeps.
    pub fn new(source: &str, clock: Clock, shares: Shares, ledger: Arc<dyn Ledger>) -> Limiter {
        let purses = Mutex::new(Purses::new(rand::random(), shares));
        let exchanging = tokio::sync::Mutex::default();
        Limiter { source: source.to_string(), clock, shares, ledger, purses, exchanging }
    }

    fn now(&self) -> Millis {
        let now = self.clock.now().timestamp_millis();
        let steady = i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX);
        lock(&self.purses).look_at_clocks(now, steady);
        now
    }

    /// Waits until a request may be made; longer than `most` is not waited. What is `urgent` may take the whole of our share.
    pub async fn acquire(&self, draws: Vec<Draw>, urgent: bool, most: Duration) -> Result<Permit<'_>, Denied> {
        let start = self.now();
        loop {
            if let Some(permit) = self.take(&draws) {
                return Ok(permit);
            }
            let turn = self.exchanging.lock().await;
            if let Some(permit) = self.take(&draws) {
                return Ok(permit);
            }
            let outcome = self.exchange(&draws, Some(urgent)).await?;
            if let Some(permit) = self.take(&draws) {
                return Ok(permit);
            }
            drop(turn);
            let wait = Duration::milliseconds(outcome.wait.max(1));
            if self.now() + outcome.wait - start > most.num_milliseconds() {
                return Err(Denied::Spent(wait));
            }
            self.clock.sleep(wait.to_std().unwrap_or_default()).await;
        }
    }

    fn take(&self, draws: &[Draw]) -> Option<Permit<'_>> {
        let sent = self.now();
        let taken = lock(&self.purses).take(draws, sent);
        taken.then(|| Permit { limiter: self, draws: draws.to_vec(), sent, settled: false })
    }

    /// Tells the shared windows what became of requests, and asks for more where `urgent` says how.
    async fn exchange(&self, draws: &[Draw], urgent: Option<bool>) -> Result<Outcome, Denied> {
        let now = self.now();
        let (reports, wanted) = {
            let mut purses = lock(&self.purses);
            let reports = purses.tell(draws, now);
            (reports, urgent.map(|urgent| (purses.wanted(draws, urgent), urgent)))
        };
        let mut outcome = Outcome::default();
        let mut turn = |windows: &mut [Window]| {
            let wanted = wanted.as_ref().map(|(wanted, urgent)| (wanted.as_slice(), *urgent));
            outcome = exchange(&self.shares, draws, &reports, wanted, windows, now);
        };
        let at = DateTime::from_timestamp_millis(now).unwrap_or_default();
        self.ledger.turn(draws, at, &mut turn).await.map_err(Denied::Ledger)?;
        lock(&self.purses).exchanged(draws, &reports, &outcome, now);
        for (cause, count) in [("own", outcome.own_refusals), ("others", outcome.others_refusals)] {
            if count > 0 {
                metrics::counter!(crate::telemetry::ZENDESK_THROTTLED, "source" => self.source.clone(), "cause" => cause)
                    .increment(count.into());
            }
        }
        Ok(outcome)
    }

    /// Ends a request that was answered: learns from its headers, and stops its budget when it was refused for that long.
    pub async fn settle(
        &self,
        mut permit: Permit<'_>,
        header: impl Fn(&str) -> Option<String>,
        refused: Option<std::time::Duration>,
    ) {
        let now = self.now();
        permit.settled = true;
        let told: Vec<Option<Told>> =
            permit.draws.iter().map(|draw| told(draw.budget, permit.sent, now, &header)).collect();
        let until = refused.map(|wait| now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        let tell = lock(&self.purses).answered(&permit.draws, permit.sent, now, &told, until);
        if tell {
            let _turn = self.exchanging.lock().await;
            if let Err(Denied::Ledger(why)) = self.exchange(&permit.draws, None).await {
                tracing::debug!(source = self.source, why, "what became of requests is told the next time");
            }
        }
    }

    /// Requests left of the account's budgets, as last heard: name of the budget and number.
    pub fn left(&self) -> Vec<(&'static str, i64)> {
        let left = lock(&self.purses).left();
        left.into_iter().map(|(budget, left)| (budget.limit().name, left)).collect()
    }
}

/// What an answer's headers tell of a budget (Z§6, both spellings).
fn told(budget: Budget, sent: Millis, answered: Millis, header: &impl Fn(&str) -> Option<String>) -> Option<Told> {
    let plain = |names: [&str; 2]| {
        let text = names.into_iter().find_map(header)?;
        text.trim().parse::<u64>().ok()
    };
    let (total, remaining, resets) = match budget {
        Budget::Requests | Budget::Webhooks => (
            plain(["x-rate-limit", "ratelimit-limit"]),
            plain(["x-rate-limit-remaining", "ratelimit-remaining"]),
            plain(["ratelimit-reset", "rate-limit-reset"]),
        ),
        _ => {
            let names = budget.limit().headers.iter();
            let text =
                names.flat_map(|name| [format!("zendesk-ratelimit-{name}"), format!("zendesk-rate-limit-{name}")]);
            let said = text.into_iter().find_map(|name| header(&name)).map(|text| parse_rate_header(&text))?;
            (said.total, said.remaining, said.resets)
        }
    };
    let small = |number: Option<u64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    (total.is_some() || resets.is_some()).then(|| Told {
        sent,
        answered,
        total: small(total),
        remaining: small(remaining),
        resets: small(resets),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
