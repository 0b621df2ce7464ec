//! Rate limits: budgets on the simulated clock, with the headers Zendesk sends.
//!
//! Seconds that a client is told (`Retry-After`, `ratelimit-reset`, `resets`) are real ones: on a clock that runs K times
//! as fast a window of 60 simulated seconds is over after 60 / K real ones, and who waits as long as told finds it over.
//! On a driven clock nobody's seconds pass, so simulated ones are told.
mod budgets;

pub use budgets::Terms;

use super::{Caller, Reply, Req};
use crate::options::{Said, Spelling, Window};
use crate::world::World;
use budgets::Budget;
use rand::RngExt;
use serde_json::json;
use std::collections::{HashMap, VecDeque};

/// How many budgets of single records are kept before those that are full again are let go.
const KEPT: usize = 20_000;

type Headers = Vec<(String, String)>;

/// Every budget that something was taken from, by name and key.
#[derive(Default)]
pub struct Limits {
    spent: HashMap<(&'static str, String), Spent>,
}

/// What was taken from a budget: the seconds at which, in their order.
struct Spent {
    seconds: i64,
    at: VecDeque<i64>,
}

/// What a request took from a budget.
struct Taken {
    total: u32,
    left: u32,
    resets: i64,
    over: bool,
}

impl Limits {
    fn take(&mut self, window: Window, budget: &Budget, now: i64) -> Taken {
        if self.spent.len() > KEPT {
            self.spent.retain(|_, spent| spent.at.back().is_some_and(|last| *last > now - spent.seconds));
        }
        let (seconds, total) = (budget.seconds, budget.total);
        let entry = self.spent.entry((budget.name, budget.key.clone()));
        let spent = entry.or_insert_with(|| Spent { seconds, at: VecDeque::new() });
        let first = match window {
            Window::Fixed => now - now.rem_euclid(seconds),
            Window::Sliding => now - seconds + 1,
        };
        while spent.at.front().is_some_and(|at| *at < first) {
            spent.at.pop_front();
        }
        let over = spent.at.len() >= total as usize;
        if !over {
            spent.at.push_back(now);
        }
        let begun = match window {
            Window::Fixed => first,
            Window::Sliding => spent.at.front().copied().unwrap_or(now),
        };
        let used = u32::try_from(spent.at.len()).unwrap_or(u32::MAX);
        Taken { total, left: total.saturating_sub(used), resets: begun + seconds - now, over }
    }

    /// Takes a request from its budgets; answers the headers to add, or the 429.
    ///
    /// `odd` chooses the body's shape where the settings leave it open.
    pub fn pass(
        &mut self,
        terms: &Terms,
        world: &World,
        caller: &Caller,
        req: &Req,
        odd: bool,
    ) -> Result<Headers, Reply> {
        let (now, window) = (caller.now.0, terms.rates.window);
        let mut headers = Vec::new();
        for budget in terms.shared(req) {
            let taken = self.take(window, &budget, now);
            if budget.told {
                tell_whole(terms, &taken, budget.name != "webhooks", &mut headers);
            }
            if taken.over {
                return Err(refuse(terms, &taken, headers, odd));
            }
        }
        for budget in terms.special(world, caller, req) {
            let taken = self.take(window, &budget, now);
            if budget.told {
                tell(terms, budget.name, taken.total, taken.left, taken.resets, &mut headers);
            }
            if taken.over {
                return Err(refuse(terms, &taken, headers, odd));
            }
        }
        Ok(headers)
    }
}

impl Terms {
    /// The real seconds in which so many simulated ones pass, at least one.
    fn real(&self, seconds: i64) -> i64 {
        (seconds as f64 / self.factor).ceil().max(1.0) as i64
    }

    fn spellings(&self) -> &'static [Spelling] {
        match self.rates.spelling {
            Spelling::New => &[Spelling::New],
            Spelling::Old => &[Spelling::Old],
            Spelling::Both => &[Spelling::New, Spelling::Old],
        }
    }
}

/// The headers of the whole account's budget; only the ticketing APIs tell when it is full again.
fn tell_whole(terms: &Terms, taken: &Taken, ticketing: bool, headers: &mut Headers) {
    let mut add = |name: &str, value: i64| headers.push((name.to_owned(), value.to_string()));
    let (total, left, resets) = (i64::from(taken.total), i64::from(taken.left), terms.real(taken.resets));
    add("x-rate-limit", total);
    add("x-rate-limit-remaining", left);
    if !ticketing {
        return;
    }
    for spelling in terms.spellings() {
        let old = *spelling == Spelling::Old;
        add(if old { "rate-limit" } else { "ratelimit-limit" }, total);
        add(if old { "rate-limit-remaining" } else { "ratelimit-remaining" }, left);
        add(if old { "rate-limit-reset" } else { "ratelimit-reset" }, resets);
    }
}

/// The header of one endpoint's budget.
pub fn tell(terms: &Terms, name: &str, total: u32, left: u32, resets: i64, headers: &mut Headers) {
    let text = format!("total={total}; remaining={left}; resets={}", terms.real(resets));
    for spelling in terms.spellings() {
        let start = if *spelling == Spelling::Old { "zendesk-rate-limit" } else { "zendesk-ratelimit" };
        headers.push((format!("{start}-{name}"), text.clone()));
    }
}

fn refuse(terms: &Terms, taken: &Taken, headers: Headers, odd: bool) -> Reply {
    let mut reply = too_many(terms, taken.resets, odd);
    reply.headers.extend(headers);
    reply
}

/// The 429, in one of its two shapes; `resets` is in simulated seconds.
pub fn too_many(terms: &Terms, resets: i64, odd: bool) -> Reply {
    let words = "Number of allowed API requests per minute exceeded";
    let text = match terms.rates.body {
        Said::Either => odd,
        Said::Json => false,
        Said::Text => true,
    };
    let reply = match text {
        true => Reply::text(429, "text/plain; charset=utf-8", words),
        false => Reply::json(429, &json!({"error": "APIRateLimitExceeded", "description": words})),
    };
    match terms.rates.no_retry_after {
        true => reply,
        false => reply.with("retry-after", terms.real(resets).to_string()),
    }
}

/// Whether this answer comes in its odder shape.
pub fn coin(rng: &mut impl rand::Rng) -> bool {
    rng.random_bool(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(total: u32) -> Budget {
        Budget { name: "some", told: true, key: String::new(), seconds: 60, total }
    }

    /// Takes at each second; answers `left` and `resets`, or `resets` alone where it was refused.
    fn taken(window: Window, seconds: &[i64]) -> Vec<(Option<u32>, i64)> {
        let mut limits = Limits::default();
        let each = |now: &i64| {
            let taken = limits.take(window, &budget(2), *now);
            ((!taken.over).then_some(taken.left), taken.resets)
        };
        seconds.iter().map(each).collect()
    }

    #[test]
    fn a_fixed_minute_begins_anew_and_a_sliding_one_moves() {
        let at = [118, 119, 119, 120, 178, 179];
        let fixed = [(Some(1), 2), (Some(0), 1), (None, 1), (Some(1), 60), (Some(0), 2), (None, 1)];
        assert_eq!(taken(Window::Fixed, &at), fixed);
        let sliding = [(Some(1), 60), (Some(0), 59), (None, 59), (None, 58), (Some(0), 1), (Some(0), 59)];
        assert_eq!(taken(Window::Sliding, &at), sliding);
    }

    #[test]
    fn budgets_that_are_full_again_are_let_go() {
        let mut limits = Limits::default();
        for id in 0..=KEPT as i64 {
            limits.take(Window::Fixed, &Budget { key: id.to_string(), ..budget(5) }, 0);
        }
        limits.take(Window::Fixed, &budget(5), 61);
        assert_eq!(limits.spent.len(), 1);
    }

    #[test]
    fn seconds_told_are_real() {
        let check = |factor: f64, seconds: i64, real: i64| {
            let terms = Terms { plan: crate::Plan::Team, rates: crate::options::Rates::default(), factor };
            assert_eq!(terms.real(seconds), real, "{seconds} at {factor}");
        };
        check(1.0, 60, 60);
        check(60.0, 60, 1);
        check(60.0, 600, 10);
        check(7.0, 60, 9);
        check(1000.0, 60, 1);
        check(0.5, 60, 120);
    }
}
