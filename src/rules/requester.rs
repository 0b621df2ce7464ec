//! Who was requester of a ticket at a time (A4): a change of requester moves the ticket, not what happened before it.

use crate::model::ticket::FormerRequester;
use chrono::{DateTime, Utc};

/// The requester at `at`: the first former one whose time had not ended, else the present one.
pub fn at<'a>(at: DateTime<Utc>, history: &'a [FormerRequester], present: Option<&'a str>) -> Option<&'a str> {
    history.iter().find(|former| at <= former.until).map(|former| former.requester.as_str()).or(present)
}

/// The history with more entries, oldest first, each once. None when nothing is new.
pub fn extend(history: &[FormerRequester], more: &[FormerRequester]) -> Option<Vec<FormerRequester>> {
    let new: Vec<&FormerRequester> = more.iter().filter(|former| !history.contains(former)).collect();
    if new.is_empty() {
        return None;
    }
    let mut all: Vec<FormerRequester> = history.iter().chain(new).cloned().collect();
    all.sort_by(|a, b| (a.until, &a.requester).cmp(&(b.until, &b.requester)));
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a valid time")
    }

    fn former(until: i64, requester: &str) -> FormerRequester {
        FormerRequester { until: time(until), requester: requester.into() }
    }

    #[test]
    fn an_activity_belongs_to_who_was_requester_then() {
        let history = [former(10, "a"), former(20, "b")];
        let check = |seconds, expected| assert_eq!(at(time(seconds), &history, Some("c")), Some(expected), "{seconds}");
        check(5, "a");
        check(10, "a");
        check(11, "b");
        check(20, "b");
        check(21, "c");
        assert_eq!(at(time(21), &[], None), None);
    }

    #[test]
    fn a_history_grows_in_order_and_once() {
        let history = [former(20, "b")];
        assert_eq!(extend(&history, &[former(20, "b")]), None);
        assert_eq!(extend(&history, &[former(10, "a")]), Some(vec![former(10, "a"), former(20, "b")]));
    }
}
