//! What answers say of limits: no header makes the limiter panic, and none stops a source for good.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::Duration;
use deskbridge::clock::Clock;
use deskbridge::rules::retry::{self, Failure, Retry};
use deskbridge::zendesk::budget::{Budget, Draw};
use deskbridge::zendesk::limiter::{Alone, Denied, Limiter};
use deskbridge::zendesk::purse::Shares;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::decoders::now;
use crate::{Outcome, fuzz};

const HEADERS: [&str; 8] = [
    "x-rate-limit",
    "x-rate-limit-remaining",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "zendesk-ratelimit-incremental-exports",
    "zendesk-rate-limit-incremental-exports",
    "retry-after",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["0", "1", "2", "-1", "9", "60", "700", "4294967295", "4294967296", "18446744073709551616",
            "99999999999999999999999", "", " 5 ", "1.5", "1e3", "NaN", "total=0; remaining=0; resets=0", "total=1; remaining=0; resets=60",
            "total=10; remaining=10; resets=4294967295", "TOTAL=\"5\";resets=;=", "remaining=3"]).prop_map(str::to_owned),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(a, b, c)| format!("total={a}; remaining={b}; resets={c}")),
        1 => any::<String>(),
    ]
}

/// One answer: its headers, whether it refused and for how long, how long it took, and how far clocks jumped.
#[derive(Debug, Clone)]
struct Answer {
    headers: Vec<(usize, String)>,
    refused: Option<u64>,
    took: i64,
}

fn answer() -> impl Strategy<Value = Answer> {
    let refused = prop::option::weighted(0.2, prop_oneof![0..120_u64, any::<u64>()]);
    (vec((0..HEADERS.len(), value()), 0..4), refused, prop_oneof![0..2_000_i64, 0..700_000_i64])
        .prop_map(|(headers, refused, took)| Answer { headers, refused, took })
}

/// Makes a request when it is allowed, waiting for it by the clock; how long that took.
async fn request(limiter: &Limiter, clock: &Clock, draws: &[Draw], answer: &Answer) -> Result<i64, TestCaseError> {
    let begun = clock.now();
    loop {
        match limiter.acquire(draws.to_vec(), false, Duration::zero()).await {
            Ok(permit) => {
                clock.advance(StdDuration::from_millis(answer.took as u64));
                let find = |name: &str| {
                    let found = answer.headers.iter().find(|(header, _)| HEADERS[*header] == name);
                    found.map(|(_, value)| value.clone())
                };
                let wait = answer.refused.map(|seconds| {
                    match retry::decide(&Failure::RateLimited { retry_after: StdDuration::from_secs(seconds) }, 1, 0.5)
                    {
                        Retry::After(wait) => wait,
                        Retry::GiveUp => StdDuration::ZERO,
                    }
                });
                limiter.settle(permit, find, wait).await;
                return Ok((clock.now() - begun).num_seconds());
            }
            Err(Denied::Spent(wait)) => {
                clock.advance(wait.to_std().unwrap_or_default().max(StdDuration::from_millis(1)))
            }
            Err(Denied::Ledger(why)) => return Err(TestCaseError::fail(why)),
        }
        if clock.now() - begun > Duration::minutes(30) {
            return Err(TestCaseError::fail("no request was allowed for half an hour"));
        }
    }
}

async fn goes_on(exports: bool, answers: &[Answer]) -> Outcome {
    let shares = Shares { requests: 200, exports: 10, share: 0.8, urgent_share: 0.2 };
    let clock = Clock::manual(now());
    let limiter = Limiter::new("acme", clock.clone(), shares, Arc::new(Alone::default()));
    let mut draws = vec![Draw::from(Budget::Requests)];
    draws.extend(exports.then(|| Draw::from(Budget::Exports)));
    for answer in answers {
        request(&limiter, &clock, &draws, answer).await?;
    }
    // From here on nothing is told: what was said once must not keep the source down.
    let silent = Answer { headers: Vec::new(), refused: None, took: 100 };
    let begun = clock.now();
    for _ in 0..60 {
        request(&limiter, &clock, &draws, &silent).await?;
    }
    let took = clock.now() - begun;
    prop_assert!(took < Duration::minutes(30), "60 requests took {} minutes", took.num_minutes());
    Ok(())
}

#[test]
fn no_header_stops_a_source_for_good() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    fuzz("limits", &(any::<bool>(), vec(answer(), 0..12)), |(exports, answers): (bool, Vec<Answer>)| {
        runtime.block_on(goes_on(exports, &answers))
    });
}

#[test]
fn one_absurd_total_is_no_limit() {
    let _alone = crate::alone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for total in ["0", "1", "9", "3579139997"] {
        let headers = vec![
            (0, total.to_owned()),
            (1, "0".to_owned()),
            (4, "9".to_owned()),
            (5, format!("total={total}; remaining=0; resets=60")),
        ];
        let absurd = Answer { headers, refused: None, took: 10 };
        runtime.block_on(goes_on(true, &[absurd])).unwrap_or_else(|why| panic!("{total}: {why}"));
    }
}

#[test]
fn headers_of_any_text() {
    fuzz("rate headers and Retry-After", &prop_oneof![value(), any::<String>()], |text| {
        let header = retry::parse_rate_header(&text);
        let wait = retry::parse_retry_after(&text, now());
        if let Retry::After(wait) = retry::decide(&retry::classify(429, wait), 1, 0.5) {
            prop_assert!(wait <= retry::MAX_RETRY_AFTER, "{:?} of {:?}", wait, header);
        }
        Ok(())
    });
}
