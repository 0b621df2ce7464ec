//! When the passing of time alone may change who is in an audience.
//!
//! A condition about days changes where a day begins: then everybody is asked again. A frame of minutes slides all the
//! time: once a minute, those are asked who have an activity that came into it or fell out of it.

use crate::model::audience::Definition;
use crate::model::day::{Days, begins, today};
use crate::model::filter::{About, Asked, Condition, Field, Filter, Frame, Test};
use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// How often frames of minutes are followed.
pub fn sliding() -> Duration {
    Duration::minutes(1)
}

/// The next beginning of a day that may change something; None when no condition depends on the present day.
pub fn next_rebuild(definition: &Definition, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let conditions = definition.filters().flat_map(Filter::conditions);
    let zones = conditions.filter(|condition| passes_with_days(condition)).map(|of| of.zone.unwrap_or(zone));
    zones.map(|zone| next_day(zone, now, 0)).min()
}

/// The next night pass: between three and four o'clock, each audience at a minute of its own.
pub fn nightly(id: i64, zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    next_day(zone, now - Duration::minutes(180 + id.rem_euclid(60)), 0) + Duration::minutes(180 + id.rem_euclid(60))
}

fn next_day(zone: Tz, now: DateTime<Utc>, after: u64) -> DateTime<Utc> {
    let day = today(now, zone).checked_add_days(chrono::Days::new(after + 1));
    // A day that was left out begins when the one after it does (Apia, 2011-12-30).
    day.map(|day| begins(day, zone)).filter(|at| *at > now).unwrap_or(now + Duration::days(1))
}

/// What slides: types of activities, and after how many minutes they fall out of their frame.
pub fn slides(definition: &Definition) -> BTreeSet<(String, u32)> {
    let conditions = definition.filters().flat_map(Filter::conditions);
    let frame = |condition: &Condition| match &condition.about {
        About::Activity(activity) => match &activity.asked {
            Asked::Times(_, Some(Frame::LastMinutes(minutes))) => Some((activity.kind.clone(), *minutes)),
            _ => None,
        },
        _ => None,
    };
    conditions.filter_map(frame).collect()
}

fn passes_with_days(condition: &Condition) -> bool {
    let test = |test: &Test| matches!(test, Test::Day(days) if relative(days));
    match &condition.about {
        About::Person(Field::System(_), _) | About::Consent { .. } | About::Member { .. } => false,
        About::Person(_, of) => test(of),
        About::Organization(tests) => tests.iter().any(|(_, of)| test(of)),
        About::Tickets(tests, _) => tests.iter().any(|(_, of)| test(of)),
        About::Activity(activity) => {
            let asked = match &activity.asked {
                Asked::Times(_, Some(Frame::Days(days))) | Asked::When(_, days) => relative(days),
                Asked::Times(..) => false,
            };
            asked || activity.attributes.iter().any(|(_, of)| test(of))
        }
    }
}

fn relative(days: &Days) -> bool {
    matches!(days, Days::Relative { .. } | Days::Age { .. } | Days::Anniversary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::audience::define;
    use serde_json::{Value, json};

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn days_begin_where_the_condition_says() {
        let check = |entry: Value, expected: Option<&str>| {
            let definition = define(&json!({"name": "a", "entry": entry.clone()})).expect("a definition");
            let found = next_rebuild(&definition, Tz::UTC, time("2026-03-28T23:30:00Z"));
            assert_eq!(found, expected.map(time), "{entry}");
        };
        let renewal = json!({"field": "zd.renewal", "when": "less than 3 days ahead"});
        check(renewal, Some("2026-03-29T00:00:00Z"));
        check(json!({"field": "zd.renewal", "when": "on 2026-03-31"}), None);
        check(json!({"field": "email", "has_value": true}), None);
        check(json!({"activity": "zd.ticket.created", "within": "30 days"}), Some("2026-03-29T00:00:00Z"));
        check(
            json!({"activity": "zd.ticket.created", "within": "30 days", "zone": "Europe/Berlin"}),
            Some("2026-03-29T22:00:00Z"),
        );
        check(json!({"activity": "zd.ticket.created", "within": "30 minutes"}), None);
    }

    #[test]
    fn nights_come_once_a_day() {
        let mut now = time("2026-03-27T12:00:00Z");
        for expected in ["2026-03-28T02:05:00Z", "2026-03-29T02:05:00Z", "2026-03-30T01:05:00Z", "2026-03-31T01:05:00Z"]
        {
            now = nightly(5, Tz::Europe__Berlin, now);
            assert_eq!(now, time(expected));
        }
    }
}
