//! When the passing of time alone may change who is in an audience.
//!
//! A condition about days changes where a day begins: then those are asked who have something on a day that begins or
//! ends to count. A frame of minutes slides all the time: once a minute, those are asked who have an activity that came
//! into it or fell out of it.

use crate::model::audience::Definition;
use crate::model::day::{Days, Meaning, begins, meaning, today};
use crate::model::filter::{About, Activity, Asked, Condition, Count, Filter, Frame, Moment, Test};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// How often frames of minutes are followed.
pub fn sliding() -> Duration {
    Duration::minutes(1)
}

/// The next beginning of a day that may change something; None when no condition depends on the present day.
pub fn next_edge(definition: &Definition, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let conditions = definition.filters().flat_map(Filter::conditions);
    let zones = conditions.filter(|condition| relative(condition).next().is_some()).map(|of| of.zone.unwrap_or(zone));
    zones.map(|zone| next_day(zone, now, 0)).min()
}

/// Filters one of which holds, each at its moment, for whoever is in or out only because it is another day now than it
/// was before. They may hold for others too.
pub fn edges(definition: &Definition, zone: Tz, before: DateTime<Utc>, now: DateTime<Utc>) -> Vec<(Filter, Moment)> {
    let (mut of_now, mut of_before) = (Vec::new(), Vec::new());
    for condition in definition.filters().flat_map(Filter::conditions) {
        let zone = condition.zone.unwrap_or(zone);
        let (from, to) = (today(before, zone), today(now, zone));
        for (days, about) in relative(condition).filter(|_| from != to) {
            let asks = |days| Filter::Is(Condition { about: about(days), zone: Some(zone) });
            match (meaning(days, from), meaning(days, to)) {
                (Meaning::Range(old), Meaning::Range(new)) => {
                    let ends = [(old.from, new.from), (old.until, new.until)];
                    of_now.extend(ends.into_iter().filter_map(|(old, new)| between(old?, new?)).map(asks));
                }
                // The same day of the year as one of both days.
                _ => {
                    of_now.push(asks(days.clone()));
                    of_before.push(asks(days.clone()));
                }
            }
        }
    }
    let all = [(of_now, now), (of_before, before)].into_iter().filter(|(parts, _)| !parts.is_empty());
    all.map(|(parts, now)| (Filter::Any(parts), Moment { now, zone })).collect()
}

/// The days that lie on one side of one end, and on the other side of the other.
fn between(one: NaiveDate, other: NaiveDate) -> Option<Days> {
    let last = one.max(other).pred_opt()?;
    (one != other).then(|| Days::Between(one.min(other), last))
}

/// A condition that holds for whoever has something on these days.
type OnDays<'a> = Box<dyn Fn(Days) -> About + 'a>;

/// The tests of a condition whose days are seen from today, each with the condition of who has something on such days.
fn relative(condition: &Condition) -> impl Iterator<Item = (&Days, OnDays<'_>)> {
    let mut found: Vec<(&Days, OnDays<'_>)> = Vec::new();
    match &condition.about {
        About::Person(field, Test::Day(days)) => {
            found.push((days, Box::new(|days| About::Person(field.clone(), Test::Day(days)))));
        }
        About::Organization(tests) => {
            for (field, days) in tests.iter().filter_map(|(field, test)| Some((field, day(test)?))) {
                found.push((days, Box::new(|days| About::Organization(vec![(field.clone(), Test::Day(days))]))));
            }
        }
        About::Tickets(tests, _) => {
            for (field, days) in tests.iter().filter_map(|(field, test)| Some((field, day(test)?))) {
                found
                    .push((days, Box::new(|days| About::Tickets(vec![(field.clone(), Test::Day(days))], Count::SOME))));
            }
        }
        About::Activity(activity) => {
            let of = |attributes, asked| About::Activity(Activity { kind: activity.kind.clone(), attributes, asked });
            match &activity.asked {
                Asked::Times(_, Some(Frame::Days(days))) => {
                    let some = |days| Asked::Times(Count::SOME, Some(Frame::Days(days)));
                    found.push((days, Box::new(move |days| of(Vec::new(), some(days)))));
                }
                Asked::When(end, days) => {
                    found.push((days, Box::new(move |days| of(Vec::new(), Asked::When(*end, days)))));
                }
                Asked::Times(..) => {}
            }
            for (name, days) in activity.attributes.iter().filter_map(|(name, test)| Some((name, day(test)?))) {
                let some = || Asked::Times(Count::SOME, None);
                found.push((days, Box::new(move |days| of(vec![(name.clone(), Test::Day(days))], some()))));
            }
        }
        About::Person(..) | About::Consent { .. } | About::Member { .. } => {}
    }
    let moves = |days: &Days| matches!(days, Days::Relative { .. } | Days::Age { .. } | Days::Anniversary);
    found.into_iter().filter(move |(days, _)| moves(days))
}

fn day(test: &Test) -> Option<&Days> {
    match test {
        Test::Day(days) => Some(days),
        _ => None,
    }
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
            let found = next_edge(&definition, Tz::UTC, time("2026-03-28T23:30:00Z"));
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
