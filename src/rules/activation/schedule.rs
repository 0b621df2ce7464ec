//! When an activation's clock is next due.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Five fields of cron: minute, hour, day of month, month, day of week.
fn parse(fields: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(fields).map_err(|error| format!("not five fields of cron, such as \"0 6 * * *\": {error}"))
}

/// What is wrong with a clock: not five fields, or never due.
pub fn check(fields: &str, zone: Tz, now: DateTime<Utc>) -> Result<(), String> {
    parse(fields)?;
    next(fields, zone, now).map(|_| ()).ok_or_else(|| "never comes".to_string())
}

/// The first time after `now`. A time that a change of clocks leaves out comes at its end; one that comes twice counts once,
/// unless the clock goes by steps.
pub fn next(fields: &str, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let next = parse(fields).ok()?.find_next_occurrence(&now.with_timezone(&zone), false).ok()?;
    Some(next.with_timezone(&Utc)).filter(|next| *next > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).expect("a time").with_timezone(&Utc)
    }

    fn due(fields: &str, zone: Tz, now: &str, expected: &[&str]) {
        let mut now = at(now);
        for expected in expected {
            now = next(fields, zone, now).expect("a next time");
            assert_eq!(now, at(expected), "{fields}");
        }
    }

    #[test]
    fn by_the_clock_of_the_zone() {
        let amsterdam = Tz::Europe__Amsterdam;
        due("0 6 * * *", Tz::UTC, "2026-06-15T12:00:00Z", &["2026-06-16T06:00:00Z", "2026-06-17T06:00:00Z"]);
        due("0 6 * * *", amsterdam, "2026-06-15T04:00:00Z", &["2026-06-16T04:00:00Z"]);
        due("*/15 9-10 * * MON", Tz::UTC, "2026-06-15T10:40:00Z", &["2026-06-15T10:45:00Z", "2026-06-22T09:00:00Z"]);
        due("0 0 29 2 *", Tz::UTC, "2026-06-15T00:00:00Z", &["2028-02-29T00:00:00Z"]);
    }

    #[test]
    fn when_clocks_change() {
        let amsterdam = Tz::Europe__Amsterdam;
        // 02:30 is left out on the 29th of March: at three, and as always the day after.
        due("30 2 * * *", amsterdam, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        // 02:30 comes twice on the 25th of October: once.
        due("30 2 * * *", amsterdam, "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // What goes by steps goes on.
        due("*/30 * * * *", amsterdam, "2026-10-25T00:30:00Z", &["2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]);
    }

    #[test]
    fn what_is_no_clock_is_refused() {
        let now = at("2026-06-15T12:00:00Z");
        for wrong in ["", "* * * *", "0 0 6 * * *", "61 * * * *", "whenever", "0 6 * * * 2026", "0 0 31 2 *"] {
            assert!(check(wrong, Tz::UTC, now).is_err(), "{wrong}");
        }
        assert_eq!(check("0 6 * * 1-5", Tz::UTC, now), Ok(()));
    }

    proptest! {
        #[test]
        fn the_next_time_is_always_later(seconds in 0_i64..4_000_000_000, fields in "[0-9*/, -]{0,12}( [0-9*/,-]{1,4}){0,4}") {
            let now = DateTime::from_timestamp(seconds, 0).expect("a time");
            for fields in [fields.as_str(), "30 2 * * *", "*/7 * * * *"] {
                if let Some(next) = next(fields, Tz::America__New_York, now) {
                    prop_assert!(next > now);
                }
            }
        }
    }
}
