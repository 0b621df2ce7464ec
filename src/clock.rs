//! The only reader of the time: the system's, a sped-up one for demonstrations, one set by hand for tests.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::{sync::watch, time::Instant};

/// A wall clock that can stop jumping ahead (suspend, NTP) unnoticed for at most this long while somebody sleeps.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// What time it is, and how to wait. Cheap to clone; clones of a manual clock share their time.
#[derive(Clone, Debug)]
pub struct Clock {
    kind: Kind,
    /// When this clock was made, by the machine's steady clock.
    origin: Instant,
}

#[derive(Clone, Debug)]
enum Kind {
    System,
    Scaled { start: DateTime<Utc>, speed: f64 },
    Manual(Arc<watch::Sender<Reading>>),
}

/// What a manual clock shows.
#[derive(Clone, Copy, Debug)]
struct Reading {
    now: DateTime<Utc>,
    /// The sum of all moves forward: never shrinks, although `now` may be set back.
    elapsed: Duration,
}

impl Clock {
    /// The machine's own time.
    #[must_use]
    pub fn system() -> Self {
        Self::of(Kind::System)
    }

    /// Time that begins at `start` and runs `speed` times as fast as real time. A speed that is not a positive number
    /// counts as 1.
    #[must_use]
    pub fn scaled(start: DateTime<Utc>, speed: f64) -> Self {
        let usable = speed.is_finite() && speed > 0.0;
        Self::of(Kind::Scaled { start, speed: if usable { speed } else { 1.0 } })
    }

    /// Time that stands at `start` until [`advance`](Self::advance) or [`set`](Self::set) moves it.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        let reading = Reading { now: start.trunc_subsecs(6), elapsed: Duration::ZERO };
        Self::of(Kind::Manual(Arc::new(watch::Sender::new(reading))))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, origin: Instant::now() }
    }

    /// The time, in whole microseconds: what Postgres keeps, so that a time read back equals the time written.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.kind {
            Kind::System => Utc::now().trunc_subsecs(6),
            Kind::Scaled { start, .. } => later(*start, self.monotonic()).trunc_subsecs(6),
            Kind::Manual(reading) => reading.borrow().now,
        }
    }

    /// How long this clock has been running: for measuring, since it never goes back.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.kind {
            Kind::System => self.origin.elapsed(),
            Kind::Scaled { speed, .. } => times(self.origin.elapsed(), *speed),
            Kind::Manual(reading) => reading.borrow().elapsed,
        }
    }

    /// Waits for `duration` of this clock's time. May be dropped at any moment.
    pub async fn sleep(&self, duration: Duration) {
        match &self.kind {
            Kind::System => tokio::time::sleep(duration).await,
            Kind::Scaled { speed, .. } => tokio::time::sleep(times(duration, 1.0 / speed)).await,
            Kind::Manual(reading) => {
                let until = later(self.now(), duration);
                // Fails only without a sender, and `reading` is one.
                let _ = reading.subscribe().wait_for(|seen| seen.now >= until).await;
            }
        }
    }

    /// Waits until this clock shows `until` or later; at once if it already does. May be dropped at any moment.
    pub async fn sleep_until(&self, until: DateTime<Utc>) {
        // A manual clock may be set back and a wall clock corrected while we sleep: look again after each nap.
        while let Ok(left) = until.signed_duration_since(self.now()).to_std()
            && !left.is_zero()
        {
            self.sleep(match self.kind {
                Kind::System => left.min(LONGEST_NAP),
                _ => left,
            })
            .await;
        }
    }

    /// Moves a manual clock forward and wakes whoever slept till then; the other clocks move by themselves.
    pub fn advance(&self, by: Duration) {
        self.turn(|now| later(now, by));
    }

    /// Sets a manual clock, backwards too (it wakes nobody then); the other clocks move by themselves.
    pub fn set(&self, to: DateTime<Utc>) {
        self.turn(|_| to.trunc_subsecs(6));
    }

    /// How many sleep by a manual clock: before it is moved, a test waits until somebody does. None by the other clocks.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        match &self.kind {
            Kind::Manual(reading) => reading.receiver_count(),
            Kind::System | Kind::Scaled { .. } => 0,
        }
    }

    fn turn(&self, next: impl Fn(DateTime<Utc>) -> DateTime<Utc>) {
        if let Kind::Manual(reading) = &self.kind {
            reading.send_modify(|reading| {
                let now = next(reading.now);
                reading.elapsed += now.signed_duration_since(reading.now).to_std().unwrap_or_default();
                reading.now = now;
            });
        }
    }
}

/// `time + by`, at most the last time there is.
fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// `duration * factor`, at most the longest duration there is.
fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn manual_time_moves_only_by_hand() {
        let clock = Clock::manual(noon());
        let other = clock.clone();
        assert_eq!(clock.now(), noon());
        other.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), later(noon(), Duration::from_secs(90)));
        assert_eq!(clock.monotonic(), Duration::from_secs(90));
        clock.set(noon());
        assert_eq!(clock.now(), noon());
        assert_eq!(clock.monotonic(), Duration::from_secs(90), "durations never shrink");
    }

    #[test]
    fn manual_sleep_ends_when_its_time_has_come() {
        let clock = Clock::manual(noon());
        let mut sleep = Box::pin(clock.sleep(Duration::from_secs(10)));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(9));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.set(noon());
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(10));
        assert!(sleep.as_mut().now_or_never().is_some());
        assert!(clock.sleep_until(noon()).now_or_never().is_some());
        assert!(clock.sleep(Duration::ZERO).now_or_never().is_some());
    }

    #[test]
    fn a_dropped_sleep_disturbs_nobody() {
        let clock = Clock::manual(noon());
        let mut other = Box::pin(clock.sleep(Duration::from_secs(5)));
        assert!(other.as_mut().now_or_never().is_none());
        let dropped = clock.sleep(Duration::from_secs(1)).now_or_never();
        assert!(dropped.is_none());
        clock.advance(Duration::from_secs(5));
        assert!(other.as_mut().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn scaled_time_runs_ahead() {
        let clock = Clock::scaled(noon(), 60.0);
        let real = Instant::now();
        clock.sleep(Duration::from_secs(600)).await;
        assert_eq!(real.elapsed(), Duration::from_secs(10));
        assert_eq!(clock.now(), later(noon(), Duration::from_secs(600)));
        clock.sleep_until(later(noon(), Duration::from_secs(1_200))).await;
        assert_eq!(clock.monotonic().as_secs(), 1_200);
    }

    #[tokio::test(start_paused = true)]
    async fn extremes_do_not_overflow() {
        let clock = Clock::scaled(noon(), f64::NAN);
        assert!(clock.sleep(Duration::MAX).now_or_never().is_none());
        assert_eq!(later(noon(), Duration::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(times(Duration::MAX, 2.0), Duration::MAX);
    }

    #[test]
    fn system_time_has_whole_microseconds() {
        let clock = Clock::system();
        assert_eq!(clock.now().timestamp_subsec_nanos() % 1_000, 0);
        assert!(clock.now() > noon() - TimeDelta::days(36_500));
    }
}
