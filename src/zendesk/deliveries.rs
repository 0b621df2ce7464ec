//! What became of a webhook's deliveries, as Zendesk's own log tells it (Z§8.1): its lines for the last seven days, the latest
//! first, and the bytes and headers of each try.

use super::error::ApiError;
use super::verify::SignatureHeaders;
use super::webhooks::{Api, encode};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Lines of the log in one page.
const PAGE: usize = 100;

/// Pages of the log that are read at a time at most: the latest thousand lines tell enough.
const MOST_PAGES: usize = 10;

/// How a delivery stands. What is not known by name is judged by its status code, and counts as lost without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It goes on, or will be tried again.
    Pending,
    /// It was given up, or failed.
    Failed,
    /// Zendesk held it back, for its circuit breaker or a limit; it may come later, or never.
    Held,
}

impl Fate {
    fn of(status: &str, code: Option<u16>) -> Fate {
        match (status.to_ascii_lowercase().as_str(), code) {
            ("circuit broken" | "circuit_broken" | "throttled", _) => Fate::Held,
            ("success" | "succeeded" | "completed", _) => Fate::Arrived,
            ("pending" | "queued" | "in progress" | "in_progress" | "processing" | "retrying", _) => Fate::Pending,
            ("terminated" | "failed" | "failure" | "error", _) => Fate::Failed,
            (_, Some(200..=299)) => Fate::Arrived,
            _ => Fate::Failed,
        }
    }
}

/// Counts of deliveries by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Those that arrived.
    pub arrived: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that Zendesk held back.
    pub held: i64,
}

impl Health {
    /// How many did not arrive.
    pub fn lost(self) -> i64 {
        self.failed + self.held
    }
}

/// What a part of the log tells.
#[derive(Debug, Default)]
pub struct Log {
    /// How many of each.
    pub health: Health,
    /// Invocations that did not arrive, the latest first, each once, with the time at which they ended.
    pub lost: Vec<(String, DateTime<Utc>)>,
    /// Time of the latest line that was looked at.
    pub through: Option<DateTime<Utc>>,
    /// Whether more was lost than was asked for: what ended after `through` is left to the next time.
    pub has_more: bool,
}

#[derive(Deserialize)]
struct Page {
    invocations: Vec<Line>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    has_more: bool,
    after_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    status: String,
    status_code: Option<u16>,
    #[serde(deserialize_with = "lenient_time")]
    latest_completed_at: Option<DateTime<Utc>>,
}

/// A time that cannot be read costs its line, not the page.
fn lenient_time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok()).map(|at| at.to_utc()))
}

/// Reads the log of what ended after `since` and not after `until`, up to the earliest `most` that were lost. A delivery that
/// was held back and arrived later counts as arrived only.
pub async fn log(
    api: &Api<'_>,
    webhook_id: &str,
    since: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    most: usize,
) -> Result<Log, ApiError> {
    let mut lines = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut path = format!("/api/v2/webhooks/{webhook_id}/invocations?page%5Bsize%5D={PAGE}");
        if let Some(after) = &after {
            path.push_str(&format!("&page%5Bafter%5D={}", encode(after)));
        }
        let page: Page = api.get("GET /api/v2/webhooks/:id/invocations", &path).await?;
        let older = |line: &Line| line.latest_completed_at.is_some_and(|at| since.is_some_and(|since| at <= since));
        let reached = page.invocations.iter().any(older);
        lines.extend(page.invocations.into_iter().filter(|line| !older(line)));
        match page.meta.filter(|meta| meta.has_more && !reached).and_then(|meta| meta.after_cursor) {
            Some(cursor) if after.as_ref() != Some(&cursor) => after = Some(cursor),
            _ => break,
        }
    }
    Ok(earliest(&lines, until, most))
}

/// The log up to the time at which the earliest `most` were lost, and those of the same second.
fn earliest(lines: &[Line], until: DateTime<Utc>, most: usize) -> Log {
    let log = judge(lines, until);
    let Some((_, cut)) = log.lost.len().checked_sub(most.max(1)).filter(|beyond| *beyond > 0).map(|n| &log.lost[n])
    else {
        return log;
    };
    Log { has_more: true, ..judge(lines, *cut) }
}

fn judge(lines: &[Line], until: DateTime<Utc>) -> Log {
    let (mut log, mut seen) = (Log::default(), BTreeSet::new());
    for line in lines {
        // One that has not ended yet is in the log again when it has.
        let Some(at) = line.latest_completed_at else { continue };
        // The latest line of a delivery is the one that counts, even one too young to be counted now.
        let is_latest = seen.insert(line.id.as_str());
        if at > until {
            continue;
        }
        log.through = log.through.max(Some(at));
        if !is_latest {
            continue;
        }
        match Fate::of(&line.status, line.status_code) {
            Fate::Arrived => log.health.arrived += 1,
            Fate::Pending => {}
            Fate::Failed => {
                log.health.failed += 1;
                log.lost.push((line.id.clone(), at));
            }
            Fate::Held => {
                log.health.held += 1;
                log.lost.push((line.id.clone(), at));
            }
        }
    }
    log
}

/// What a try sent: its bytes and headers, as Zendesk kept them.
#[derive(Debug, Clone)]
pub struct Sent {
    invocation_id: String,
    headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Sent {
    /// The headers that prove who sent it.
    pub fn signature(&self) -> SignatureHeaders<'_> {
        let find = |name: &str| {
            let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        SignatureHeaders {
            signature: find("x-zendesk-webhook-signature"),
            timestamp: find("x-zendesk-webhook-signature-timestamp"),
            invocation_id: Some(&self.invocation_id),
        }
    }
}

#[derive(Deserialize)]
struct Attempts {
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    payload: String,
}

#[derive(Deserialize)]
struct Header {
    key: String,
    value: String,
}

/// What the latest try of a delivery sent; None when nothing was ever sent.
pub async fn sent(api: &Api<'_>, webhook_id: &str, invocation_id: &str) -> Result<Option<Sent>, ApiError> {
    let path = format!("/api/v2/webhooks/{webhook_id}/invocations/{}/attempts", encode(invocation_id));
    let found: Attempts = api.get("GET /api/v2/webhooks/:id/invocations/:id/attempts", &path).await?;
    Ok(found.attempts.into_iter().find_map(|attempt| attempt.request).map(|request| Sent {
        invocation_id: invocation_id.to_string(),
        headers: request.headers.into_iter().map(|header| (header.key, header.value)).collect(),
        body: request.payload.into_bytes(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_judged_by_its_latest_line() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0);
        let line = |id: &str, status: &str, status_code, second| Line {
            id: id.into(),
            status: status.into(),
            status_code,
            latest_completed_at: at(second),
        };
        let lines = [
            line("young", "terminated", Some(500), 100),
            line("late", "success", Some(200), 95),
            line("f", "terminated", Some(401), 50),
            line("late", "throttled", None, 40),
            line("b", "circuit broken", None, 30),
            line("x", "something new", Some(204), 20),
            line("y", "something new", None, 19),
            line("p", "retrying", Some(409), 18),
        ];
        let until = at(90).expect("a time");
        let ids = |log: &Log| log.lost.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let log = earliest(&lines, until, 3);
        assert_eq!((ids(&log), log.has_more), (vec!["f".to_string(), "b".into(), "y".into()], false));
        assert_eq!(log.health, Health { arrived: 1, failed: 2, held: 1 });
        assert_eq!(log.through, at(50));
        let part = earliest(&lines, until, 2);
        assert_eq!((ids(&part), part.has_more), (vec!["b".to_string(), "y".into()], true));
        assert_eq!((part.health, part.through), (Health { arrived: 1, failed: 1, held: 1 }, at(30)));
    }
}
