//! What makes a run ask before it sends, and stop while it does (§d 5, 12 of the notes on peers).

use crate::model::activation::Guards;

/// Rows below which shares say nothing: one of three is no third of a customer base.
const ROWS_FOR_SHARE: u64 = 100;

/// Records that must have been tried before their failures say something.
const TRIED_FOR_SHARE: u64 = 20;

/// What a run would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Would {
    /// Rows it looked at.
    pub rows: u64,
    /// Records it would change.
    pub change: u64,
    /// Fields it would clear.
    pub clear: u64,
    /// Records it would create.
    pub create: u64,
}

/// What a run asks in words before it sends; None when it stays within its guards.
pub fn asks(guards: &Guards, would: &Would) -> Option<String> {
    let counted = [
        (would.change, guards.max_changed, "change", "records", "max_changed"),
        (would.clear, guards.max_cleared, "clear", "fields", "max_cleared"),
        (would.create, guards.max_created, "create", "records", "max_created"),
    ];
    let over = counted.into_iter().filter(|(count, most, ..)| count > most);
    let mut words: Vec<String> = over
        .map(|(count, most, verb, what, guard)| format!("it would {verb} {count} {what}, more than {guard} = {most}"))
        .collect();
    let share = percent(would.change, would.rows);
    if would.rows >= ROWS_FOR_SHARE && share > guards.max_changed_percent {
        words.push(format!(
            "it would change {share:.1} % of {} rows, more than max_changed_percent = {}",
            would.rows, guards.max_changed_percent
        ));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// Why a run stops: too many of the records that it tried failed.
pub fn stops(guards: &Guards, tried: u64, failed: u64) -> Option<String> {
    let share = percent(failed, tried);
    (tried >= TRIED_FOR_SHARE && share > guards.max_failed_percent).then(|| {
        format!(
            "{failed} of {tried} records failed ({share:.1} %), more than max_failed_percent = {}",
            guards.max_failed_percent
        )
    })
}

/// Whether so many rows were skipped or refused that somebody should know.
pub fn many_left_out(guards: &Guards, rows: u64, left_out: u64) -> bool {
    rows >= TRIED_FOR_SHARE && percent(left_out, rows) > guards.alert_skipped_percent
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guards() -> Guards {
        Guards { max_changed: 50, max_changed_percent: 10.0, max_cleared: 5, max_created: 3, ..Guards::default() }
    }

    #[test]
    fn a_run_asks_when_it_would_do_more_than_it_may() {
        let check = |(rows, change, clear, create): (u64, u64, u64, u64), expected: &[&str]| {
            let asked = asks(&guards(), &Would { rows, change, clear, create });
            let asked = asked.unwrap_or_default();
            let found: Vec<&str> = asked.split("; ").filter(|words| !words.is_empty()).collect();
            assert_eq!(found, expected, "{rows} {change} {clear} {create}");
        };
        check((0, 0, 0, 0), &[]);
        check((1_000, 50, 5, 3), &[]);
        check((1_000, 51, 0, 0), &["it would change 51 records, more than max_changed = 50"]);
        check((1_000, 6, 6, 0), &["it would clear 6 fields, more than max_cleared = 5"]);
        check((1_000, 4, 0, 4), &["it would create 4 records, more than max_created = 3"]);
        check((99, 50, 0, 0), &[]);
        check((100, 11, 0, 0), &["it would change 11.0 % of 100 rows, more than max_changed_percent = 10"]);
        check((100, 10, 0, 0), &[]);
        let all = ["change 60 records", "clear 9 fields", "create 9 records", "change 50.0 %"];
        let asked = asks(&guards(), &Would { rows: 120, change: 60, clear: 9, create: 9 }).expect("it asks");
        assert!(all.iter().all(|words| asked.contains(words)), "{asked}");
    }

    #[test]
    fn a_run_stops_when_too_many_fail() {
        let check = |tried, failed, expected| {
            assert_eq!(stops(&Guards::default(), tried, failed).is_some(), expected, "{failed} of {tried}");
        };
        check(0, 0, false);
        check(19, 19, false);
        check(20, 4, false);
        check(20, 5, true);
        check(1_000, 200, false);
        check(1_000, 201, true);
    }

    #[test]
    fn many_that_are_left_out_are_told_of() {
        let check = |rows, left_out, expected| {
            assert_eq!(many_left_out(&Guards::default(), rows, left_out), expected, "{left_out} of {rows}");
        };
        check(10, 10, false);
        check(100, 10, false);
        check(100, 11, true);
    }
}
