//! The limiter: keeps within the account's limits by our own arithmetic, corrected by what Zendesk's headers say (Z§6).
//!
//! A sliding window is used: never more than the limit in any 60 seconds, which is safe whether Zendesk counts by fixed or
//! by sliding minutes. A request counts from when its answer came, since that is the latest it can have been counted.

use super::budget::Budget;
use crate::clock::Clock;
use crate::rules::retry::parse_rate_header;
use chrono::{DateTime, Duration, Utc};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

struct Window {
    limit: usize,
    done: VecDeque<DateTime<Utc>>,
    in_flight: usize,
    blocked_until: DateTime<Utc>,
}

impl Window {
    fn new(limit: u32) -> Window {
        Window {
            limit: limit.max(1) as usize,
            done: VecDeque::new(),
            in_flight: 0,
            blocked_until: DateTime::<Utc>::MIN_UTC,
        }
    }

    /// How long until one more request is allowed; None: now.
    fn wait(&mut self, now: DateTime<Utc>) -> Option<Duration> {
        let minute = Duration::seconds(60);
        while self.done.front().is_some_and(|at| *at + minute <= now || *at > now + minute) {
            self.done.pop_front();
        }
        if self.blocked_until > now && self.blocked_until - now <= Duration::hours(2) {
            return Some(self.blocked_until - now);
        }
        let used = self.done.len() + self.in_flight;
        if used < self.limit {
            return None;
        }
        let free_at = self.done.get(used - self.limit).map(|at| *at + minute);
        Some(free_at.map_or(Duration::milliseconds(50), |at| at - now))
    }

    fn left(&self) -> usize {
        self.limit.saturating_sub(self.done.len() + self.in_flight)
    }
}

/// The budgets of one account.
pub struct Limiter {
    clock: Clock,
    general: Mutex<Window>,
    incremental: Mutex<Window>,
}

/// A request that is allowed. Dropped unfinished, it still counts.
pub struct Permit<'a> {
    limiter: &'a Limiter,
    budget: Budget,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let now = self.limiter.clock.now();
        for window in self.limiter.windows(self.budget) {
            let mut window = lock(window);
            window.in_flight -= 1;
            window.done.push_back(now);
        }
    }
}

impl Limiter {
    /// Budgets of `general` and `incremental` requests a minute.
    pub fn new(clock: Clock, general: u32, incremental: u32) -> Limiter {
        Limiter { clock, general: Mutex::new(Window::new(general)), incremental: Mutex::new(Window::new(incremental)) }
    }

    fn windows(&self, budget: Budget) -> impl Iterator<Item = &Mutex<Window>> {
        let incremental = (budget == Budget::Exports).then_some(&self.incremental);
        std::iter::once(&self.general).chain(incremental)
    }

    /// Takes one request, or says how long that would take.
    pub fn try_acquire(&self, budget: Budget) -> Result<Permit<'_>, Duration> {
        let now = self.clock.now();
        let mut general = lock(&self.general);
        let mut incremental = lock(&self.incremental);
        let mut wait = general.wait(now);
        if budget == Budget::Exports {
            wait = wait.max(incremental.wait(now));
        }
        match wait {
            Some(wait) => Err(wait.max(Duration::milliseconds(1))),
            None => {
                general.in_flight += 1;
                incremental.in_flight += usize::from(budget == Budget::Exports);
                Ok(Permit { limiter: self, budget })
            }
        }
    }

    /// Waits for one request; longer than `most` is not waited.
    pub async fn acquire(&self, budget: Budget, most: Duration) -> Result<Permit<'_>, Duration> {
        let start = self.clock.now();
        loop {
            match self.try_acquire(budget) {
                Ok(permit) => return Ok(permit),
                Err(wait) if self.clock.now() + wait - start > most => return Err(wait),
                Err(wait) => self.clock.sleep(wait.to_std().unwrap_or_default()).await,
            }
        }
    }

    /// Learns from an answer's headers: the true limit of the plan, and how much of a budget is left.
    pub fn observe(&self, budget: Budget, header: impl Fn(&str) -> Option<String>) {
        let now = self.clock.now();
        let number = |name: &str| header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let spent = number("x-rate-limit-remaining").or_else(|| number("ratelimit-remaining")) == Some(0);
        if spent && let Some(resets) = number("ratelimit-reset").or_else(|| number("rate-limit-reset")) {
            self.block(Budget::Requests, Duration::seconds(resets.min(120) as i64));
        }
        if let Some(total) = number("x-rate-limit") {
            let mut general = lock(&self.general);
            general.limit = general.limit.min(total.max(1) as usize);
        }
        if budget == Budget::Exports
            && let Some(text) = header("zendesk-ratelimit-incremental-exports")
        {
            let said = parse_rate_header(&text);
            let mut incremental = lock(&self.incremental);
            if let Some(total) = said.total {
                incremental.limit = incremental.limit.min(total.max(1) as usize);
            }
            if let (Some(0), Some(resets)) = (said.remaining, said.resets) {
                let until = now + Duration::seconds(resets.min(120) as i64);
                incremental.blocked_until = incremental.blocked_until.max(until);
            }
        }
    }

    /// Stops a budget for a while, as a 429 asks.
    pub fn block(&self, budget: Budget, wait: Duration) {
        let until = self.clock.now() + wait;
        let window = if budget == Budget::Exports { &self.incremental } else { &self.general };
        let mut window = lock(window);
        window.blocked_until = window.blocked_until.max(until);
    }

    /// Requests left this minute: general, incremental.
    pub fn left(&self) -> (usize, usize) {
        (lock(&self.general).left(), lock(&self.incremental).left())
    }
}

fn lock(window: &Mutex<Window>) -> std::sync::MutexGuard<'_, Window> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time"))
    }

    #[test]
    fn ten_exports_a_minute_and_not_one_more() {
        let clock = clock();
        let limiter = Limiter::new(clock.clone(), 200, 10);
        for _ in 0..10 {
            drop(limiter.try_acquire(Budget::Exports).expect("within the budget"));
            clock.advance(std::time::Duration::from_secs(1));
        }
        let wait = limiter.try_acquire(Budget::Exports).err().expect("the eleventh waits");
        assert_eq!(wait, Duration::seconds(50));
        assert!(limiter.try_acquire(Budget::Requests).is_ok(), "other requests go on");
        clock.advance(std::time::Duration::from_secs(50));
        assert!(limiter.try_acquire(Budget::Exports).is_ok(), "the first of them is a minute old");
    }

    #[test]
    fn headers_lower_the_limit_and_stop_a_spent_budget() {
        let clock = clock();
        let limiter = Limiter::new(clock.clone(), 700, 30);
        let header = |name: &str| match name {
            "x-rate-limit" => Some("200".to_string()),
            "zendesk-ratelimit-incremental-exports" => Some("total=10; remaining=0; resets=7".to_string()),
            _ => None,
        };
        limiter.observe(Budget::Exports, header);
        assert_eq!(limiter.left(), (200, 10));
        assert_eq!(limiter.try_acquire(Budget::Exports).err(), Some(Duration::seconds(7)));
        clock.advance(std::time::Duration::from_secs(7));
        assert!(limiter.try_acquire(Budget::Exports).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_block_for_ever() {
        let clock = clock();
        let limiter = Limiter::new(clock.clone(), 1, 1);
        drop(limiter.try_acquire(Budget::Requests).expect("the first"));
        clock.set(clock.now() - Duration::days(1));
        assert!(limiter.try_acquire(Budget::Requests).is_ok());
    }
}
