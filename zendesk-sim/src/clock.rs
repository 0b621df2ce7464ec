//! The one clock of the simulation: real, faster than real, or moved by hand.
use crate::time::Stamp;
use chrono::Utc;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How simulated time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClockMode {
    /// With the machine's clock.
    Real,
    /// Only when the admin door says so.
    Driven,
    /// So many times faster than real.
    Scaled(f64),
}

impl FromStr for ClockMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "real" => Ok(Self::Real),
            "driven" => Ok(Self::Driven),
            _ => match text.strip_prefix("scaled:").map(str::parse::<f64>) {
                Some(Ok(factor)) if factor > 0.0 => Ok(Self::Scaled(factor)),
                _ => Err(format!("clock is real, driven or scaled:K, not {text}")),
            },
        }
    }
}

/// The clock itself; cheap to read from anywhere.
pub struct Clock {
    mode: ClockMode,
    origin_ms: i64,
    origin: Instant,
    moved_ms: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// A clock that reads `start` now (the machine's time if there is no start).
    pub fn new(mode: ClockMode, start: Option<Stamp>) -> Self {
        let origin_ms = start.map_or_else(|| Utc::now().timestamp_millis(), |at| at.0 * 1000);
        Self { mode, origin_ms, origin: Instant::now(), moved_ms: AtomicI64::new(0), moved: Notify::new() }
    }

    /// Simulated milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        let passed = self.origin.elapsed().as_secs_f64() * 1000.0;
        let moved = self.moved_ms.load(Ordering::SeqCst);
        match self.mode {
            ClockMode::Driven => self.origin_ms + moved,
            ClockMode::Real => self.origin_ms + passed as i64 + moved,
            ClockMode::Scaled(factor) => self.origin_ms + (passed * factor) as i64 + moved,
        }
    }

    /// The present simulated second.
    pub fn now(&self) -> Stamp {
        Stamp(self.now_ms().div_euclid(1000))
    }

    /// Whether only the admin door moves this clock.
    pub fn is_driven(&self) -> bool {
        self.mode == ClockMode::Driven
    }

    /// How many simulated seconds one real second is (1 for a driven clock).
    pub fn factor(&self) -> f64 {
        match self.mode {
            ClockMode::Scaled(factor) => factor,
            ClockMode::Real | ClockMode::Driven => 1.0,
        }
    }

    /// Moves the clock forward, on top of what passes by itself.
    pub fn advance_ms(&self, ms: i64) {
        self.moved_ms.fetch_add(ms.max(0), Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// Waits until the clock may have reached the moment; the caller looks again.
    pub async fn wait_towards(&self, due_ms: i64) {
        let moved = self.moved.notified();
        let left = due_ms - self.now_ms();
        if left <= 0 {
            return;
        }
        if self.is_driven() {
            moved.await;
            return;
        }
        let real_ms = (left as f64 / self.factor()).ceil() as u64;
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep(Duration::from_millis(real_ms.max(1))) => {}
        }
    }
}
