//! The circuit breaker of a webhook: many errors in five minutes stop it for a while, then it is probed.
use std::collections::VecDeque;

const WINDOW_MS: i64 = 300_000;
const PAUSE_MS: i64 = 5_000;
const ENOUGH: usize = 10;

/// Whether deliveries may go.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    outcomes: VecDeque<(i64, bool)>,
    errors: usize,
    open_until: Option<i64>,
    probing: bool,
}

impl Breaker {
    /// Whether a delivery may go at this moment; after the pause one may, as a probe.
    pub fn allows(&mut self, now_ms: i64) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now_ms < until || self.probing => false,
            Some(_) => {
                self.probing = true;
                true
            }
        }
    }

    /// Opens it, as if deliveries had failed, until a moment.
    pub fn trip(&mut self, until_ms: i64) {
        (self.open_until, self.probing) = (Some(until_ms), false);
    }

    /// Takes note of how a delivery ended.
    pub fn note(&mut self, now_ms: i64, ok: bool) {
        if self.open_until.is_some() && self.probing {
            self.probing = false;
            if ok {
                *self = Self::default();
            } else {
                self.open_until = Some(now_ms + PAUSE_MS);
            }
            return;
        }
        self.outcomes.push_back((now_ms, ok));
        self.errors += usize::from(!ok);
        while let Some((at, was_ok)) = self.outcomes.front().copied() {
            if at >= now_ms - WINDOW_MS {
                break;
            }
            self.outcomes.pop_front();
            self.errors -= usize::from(!was_ok);
        }
        let share = self.errors * 100 >= self.outcomes.len() * 70;
        if (self.outcomes.len() >= ENOUGH && share) || self.errors > 1000 {
            self.open_until = Some(now_ms + PAUSE_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_pauses_probes_and_closes() {
        let mut breaker = Breaker::default();
        for n in 0..10 {
            assert!(breaker.allows(n));
            breaker.note(n, false);
        }
        assert!(!breaker.allows(100));
        assert!(breaker.allows(6_000));
        assert!(!breaker.allows(6_001), "one probe at a time");
        breaker.note(6_002, true);
        assert!(breaker.allows(6_003));
    }
}
