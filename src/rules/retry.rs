//! What a failed call means, whether it is tried again, and how long to wait.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The longest that Zendesk may tell us to wait; what says more is a mistake or an attack.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How often a thing is tried in all, before it becomes a dead letter. Being told to wait does not count.
pub const MAX_ATTEMPTS: u32 = 12;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(600);
const FIRST_POLL_BACKOFF: Duration = Duration::from_secs(60);
const MAX_POLL_BACKOFF: Duration = Duration::from_secs(3600);

/// Why a call failed, as far as the next step depends on it (Z§10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may well work the next time: no answer, 408, or 5xx without a time.
    Transient,
    /// Zendesk told us to wait: 429, or 5xx with `Retry-After`.
    RateLimited {
        /// For how long; zero where Zendesk did not say.
        retry_after: Duration,
    },
    /// 409: the record changed meanwhile. Worth another try only after it was read again.
    Conflict,
    /// 401: the credentials are wrong or expired. Worth another try only after a refresh.
    Unauthorized,
    /// 403: the role, the scope or the plan does not allow it.
    Forbidden,
    /// 404, 410: gone, merged or scrubbed.
    NotFound,
    /// Another 4xx: what was sent is not accepted, now or later.
    Refused(u16),
    /// Nothing that makes sense: a redirect, an answer that cannot be read.
    Fatal,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Try again after this long.
    After(Duration),
    /// Do not.
    GiveUp,
}

/// Zendesk's `zendesk-ratelimit-{name}` header (Z§6); a number that is absent or unreadable is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateHeader {
    /// Calls allowed in the window.
    pub total: Option<u64>,
    /// Calls left in it.
    pub remaining: Option<u64>,
    /// Seconds until the next window.
    pub resets: Option<u64>,
}

/// What a status that is not a success means (Z§10). No answer at all is [`Failure::Transient`].
pub fn classify(status: u16, retry_after: Option<Duration>) -> Failure {
    match (status, retry_after) {
        (429, retry_after) => Failure::RateLimited { retry_after: retry_after.unwrap_or_default() },
        (500..=599, Some(retry_after)) => Failure::RateLimited { retry_after },
        (408 | 500..=599, _) => Failure::Transient,
        (401, _) => Failure::Unauthorized,
        (403, _) => Failure::Forbidden,
        (404 | 410, _) => Failure::NotFound,
        (409, _) => Failure::Conflict,
        (400..=499, _) => Failure::Refused(status),
        _ => Failure::Fatal,
    }
}

/// Whether and when to try again after the `attempt`th try (the first is 1) failed.
///
/// Capped exponential with full jitter: anything between nothing and 1 s, 2 s, 4 s … 10 min, as `jitter` (0 to 1,
/// drawn by the caller) says. A time that Zendesk gave wins, up to [`MAX_RETRY_AFTER`], and such a wait is never
/// given up: the call was not even looked at. `Conflict` is for a caller that reads again first; one that cannot must
/// not ask.
pub fn decide(failure: &Failure, attempt: u32, jitter: f64) -> Retry {
    match failure {
        Failure::RateLimited { retry_after } if retry_after.is_zero() => {
            Retry::After(backoff(attempt, jitter).max(FIRST_BACKOFF))
        }
        Failure::RateLimited { retry_after } => Retry::After((*retry_after).min(MAX_RETRY_AFTER)),
        Failure::Transient | Failure::Conflict if attempt < MAX_ATTEMPTS => Retry::After(backoff(attempt, jitter)),
        Failure::Transient | Failure::Conflict => Retry::GiveUp,
        Failure::Unauthorized | Failure::Forbidden | Failure::NotFound | Failure::Refused(_) | Failure::Fatal => {
            Retry::GiveUp
        }
    }
}

/// A source that fails is polled again after 1 min, 2 min, 4 min … 1 h, so never later than the larger of its
/// interval and 1 h; one that does not fail, after its interval.
pub fn poll_backoff(failures: u32, interval: Duration) -> Duration {
    match failures {
        0 => interval,
        _ => doubled(FIRST_POLL_BACKOFF, failures).min(MAX_POLL_BACKOFF),
    }
}

/// `Retry-After`: whole seconds, or an HTTP date, of which `now` makes a wait; a date in the past is no wait.
pub fn parse_retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a very long wait, which `decide` caps.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some(date.signed_duration_since(now).to_std().unwrap_or_default())
}

/// `total=100; remaining=99; resets=41`, whatever its case, order and spaces (Z§6). What is not understood is left
/// out.
pub fn parse_rate_header(value: &str) -> RateHeader {
    let mut header = RateHeader::default();
    for pair in value.split([';', ',']) {
        let Some((name, number)) = pair.split_once('=') else {
            continue;
        };
        let number = number.trim().trim_matches('"').parse().ok();
        match name.trim().to_ascii_lowercase().as_str() {
            "total" => header.total = number,
            "remaining" => header.remaining = number,
            "resets" => header.resets = number,
            _ => {}
        }
    }
    header
}

fn backoff(attempt: u32, jitter: f64) -> Duration {
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
    doubled(FIRST_BACKOFF, attempt).min(MAX_BACKOFF).mul_f64(jitter)
}

/// `first`, doubled for every count after the first.
fn doubled(first: Duration, count: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(count.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn statuses_z10() {
        let limited = |wait| Failure::RateLimited { retry_after: seconds(wait) };
        for (status, retry_after, expected) in [
            (400, None, Failure::Refused(400)),
            (401, None, Failure::Unauthorized),
            (403, None, Failure::Forbidden),
            (404, None, Failure::NotFound),
            (408, None, Failure::Transient),
            (409, None, Failure::Conflict),
            (410, None, Failure::NotFound),
            (422, Some(5), Failure::Refused(422)),
            (429, Some(30), limited(30)),
            (429, None, limited(0)),
            (500, None, Failure::Transient),
            (502, None, Failure::Transient),
            (503, Some(60), limited(60)),
            (503, None, Failure::Transient),
            (504, None, Failure::Transient),
            (302, None, Failure::Fatal),
            (0, None, Failure::Fatal),
            (999, Some(5), Failure::Fatal),
        ] {
            assert_eq!(classify(status, retry_after.map(seconds)), expected, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn waits() {
        let limited = |wait| Failure::RateLimited { retry_after: seconds(wait) };
        for (failure, attempt, jitter, expected) in [
            (Failure::Transient, 1, 1.0, Some(1_000)),
            (Failure::Transient, 1, 0.5, Some(500)),
            (Failure::Transient, 1, 0.0, Some(0)),
            (Failure::Transient, 4, 1.0, Some(8_000)),
            (Failure::Transient, 11, 1.0, Some(600_000)),
            (Failure::Transient, 12, 1.0, None),
            (Failure::Transient, 0, f64::NAN, Some(1_000)),
            (Failure::Conflict, 2, 1.0, Some(2_000)),
            (limited(30), 1, 0.1, Some(30_000)),
            (limited(30), 1_000, 0.1, Some(30_000)),
            (limited(86_400), 1, 0.1, Some(3_600_000)),
            (limited(0), 1, 0.0, Some(1_000)),
            (limited(0), 100, 1.0, Some(600_000)),
            (Failure::Unauthorized, 1, 1.0, None),
            (Failure::Forbidden, 1, 1.0, None),
            (Failure::NotFound, 1, 1.0, None),
            (Failure::Refused(422), 1, 1.0, None),
            (Failure::Fatal, 1, 1.0, None),
        ] {
            let expected = expected.map_or(Retry::GiveUp, |wait| Retry::After(Duration::from_millis(wait)));
            assert_eq!(decide(&failure, attempt, jitter), expected, "{failure:?} {attempt} {jitter}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-10-21T07:28:00Z".parse().expect("a time");
        for (value, expected) in [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2026 07:27:00 GMT", Some(0)),
            ("-5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(value, now), expected.map(seconds), "{value:?}");
        }
    }

    #[test]
    fn the_rate_header_z6() {
        for (value, expected) in [
            ("total=100; remaining=99; resets=41", (Some(100), Some(99), Some(41))),
            ("Resets = 41 ;TOTAL=100", (Some(100), None, Some(41))),
            ("total=10;remaining=-1;resets=\"2\";later=7;", (Some(10), None, Some(2))),
            ("", (None, None, None)),
            ("100", (None, None, None)),
        ] {
            let found = parse_rate_header(value);
            assert_eq!((found.total, found.remaining, found.resets), expected, "{value:?}");
        }
    }

    #[test]
    fn a_failing_source_is_polled_less_and_less() {
        for (failures, interval, expected) in [
            (0, 300, 300),
            (1, 300, 60),
            (2, 300, 120),
            (6, 300, 1_920),
            (7, 300, 3_600),
            (u32::MAX, 300, 3_600),
            (0, 86_400, 86_400),
            (9, 86_400, 3_600),
        ] {
            assert_eq!(poll_backoff(failures, seconds(interval)), seconds(expected), "{failures} {interval}");
        }
    }

    proptest! {
        #[test]
        fn waits_have_an_end(attempt: u32, jitter: f64, status: u16, told: Option<u64>) {
            let failure = classify(status, told.map(seconds));
            if let Retry::After(wait) = decide(&failure, attempt, jitter) {
                prop_assert!(wait <= MAX_RETRY_AFTER);
            }
        }

        #[test]
        fn headers_never_panic(value in ".{0,40}", seconds in any::<i32>()) {
            let now = DateTime::from_timestamp(i64::from(seconds), 0).expect("a small time");
            let _ = (parse_retry_after(&value, now), parse_rate_header(&value));
        }
    }
}
