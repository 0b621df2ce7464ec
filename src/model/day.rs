//! Days as filters mean them (R54): seen from today, in a zone that says when they begin.

use chrono::{DateTime, Datelike, Days as Number, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

/// Days, seen from today in some zone (R54).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Days {
    /// That day.
    On(NaiveDate),
    /// Before that day.
    Before(NaiveDate),
    /// After that day.
    After(NaiveDate),
    /// From one day to another, both included.
    Between(NaiveDate, NaiveDate),
    /// So far from today.
    Relative {
        /// Exactly, nearer or farther.
        distance: Distance,
        /// How many units.
        number: u32,
        /// Of what.
        unit: Unit,
        /// On which side of today.
        side: Side,
    },
    /// So many whole units have passed since.
    Age {
        /// Exactly, fewer or more.
        distance: Distance,
        /// How many units.
        number: u32,
        /// Of what.
        unit: Unit,
    },
    /// The same day of the year as today (29 February: 28 February where there is none).
    Anniversary,
}

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// That many.
    Exactly,
    /// Fewer: "0 or 1 day" is today only (R54).
    LessThan,
    /// More.
    MoreThan,
}

/// Units of relative days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    Day,
    Week,
    Month,
    Year,
}

/// Before or after today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In the past.
    Ago,
    /// In the future.
    Ahead,
}

/// Days from one (included) to another (not included); None is without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The day after the last.
    pub until: Option<NaiveDate>,
}

impl Range {
    /// Whether a day is one of them.
    pub fn holds(self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day < until)
    }
}

/// What days a test means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A range.
    Range(Range),
    /// These days of the year, as month and day; the second on 28 February of a year that has no 29th.
    Yearly((u32, u32), Option<(u32, u32)>),
}

impl Meaning {
    /// Whether a day is meant.
    pub fn holds(self, day: NaiveDate) -> bool {
        match self {
            Meaning::Range(range) => range.holds(day),
            Meaning::Yearly(one, other) => {
                let of = (day.month(), day.day());
                of == one || Some(of) == other
            }
        }
    }
}

/// What days are meant, seen from `today`. Days before or after the calendar are none.
pub fn meaning(days: &Days, today: NaiveDate) -> Meaning {
    let next = |day: NaiveDate| day.checked_add_days(Number::new(1));
    let range = |from, until| Meaning::Range(Range { from, until });
    match days {
        Days::On(day) => range(Some(*day), next(*day)),
        Days::Before(day) => range(None, Some(*day)),
        Days::After(day) => range(Some(next(*day).unwrap_or(NaiveDate::MAX)), None),
        Days::Between(from, to) => range(Some(*from), next(*to)),
        Days::Relative { distance, number, unit, side } => relative(*distance, *number, *unit, *side, today),
        Days::Age { distance, number, unit } => {
            // Of age n is who was born after the day n + 1 units ago, up to the day n units ago.
            let born = |number: u32| next(moved(today, number, *unit, Side::Ago)).unwrap_or(NaiveDate::MAX);
            match distance {
                Distance::Exactly => range(Some(born(number.saturating_add(1))), Some(born(*number))),
                Distance::LessThan => range(Some(born(*number)), next(today)),
                Distance::MoreThan => range(None, Some(born(number.saturating_add(1)))),
            }
        }
        Days::Anniversary => yearly(today),
    }
}

fn relative(distance: Distance, number: u32, unit: Unit, side: Side, today: NaiveDate) -> Meaning {
    let there = moved(today, number, unit, side);
    let after = there.checked_add_days(Number::new(1));
    let tomorrow = today.checked_add_days(Number::new(1));
    let (from, until) = match (distance, side) {
        (Distance::Exactly, _) => (Some(there), after),
        // "Less than 0 days" is today, as "less than 1 day" is (R54).
        (Distance::LessThan, Side::Ago) => (Some(after.unwrap_or(today).min(today)), tomorrow),
        (Distance::LessThan, Side::Ahead) => (Some(today), Some(there.max(tomorrow.unwrap_or(today)))),
        (Distance::MoreThan, Side::Ago) => (None, Some(there)),
        (Distance::MoreThan, Side::Ahead) => (Some(after.unwrap_or(NaiveDate::MAX)), None),
    };
    Meaning::Range(Range { from, until })
}

fn moved(today: NaiveDate, number: u32, unit: Unit, side: Side) -> NaiveDate {
    let days = |number: u64| match side {
        Side::Ago => today.checked_sub_days(Number::new(number)),
        Side::Ahead => today.checked_add_days(Number::new(number)),
    };
    let months = |number: u32| match side {
        Side::Ago => today.checked_sub_months(Months::new(number)),
        Side::Ahead => today.checked_add_months(Months::new(number)),
    };
    let there = match unit {
        Unit::Day => days(u64::from(number)),
        Unit::Week => days(u64::from(number) * 7),
        Unit::Month => months(number),
        Unit::Year => number.checked_mul(12).and_then(months),
    };
    there.unwrap_or(match side {
        Side::Ago => NaiveDate::MIN,
        Side::Ahead => NaiveDate::MAX,
    })
}

fn yearly(today: NaiveDate) -> Meaning {
    let day = (today.month(), today.day());
    let leap_day = (2, 29);
    let stands_in = day == (2, 28) && NaiveDate::from_ymd_opt(today.year(), 2, 29).is_none();
    Meaning::Yearly(day, stands_in.then_some(leap_day))
}

/// The same days as texts to compare stored texts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DayTexts {
    /// From a day (included) until another (not included).
    Range(Option<String>, Option<String>),
    /// Days of the year, as `03-31`.
    Yearly(Vec<String>),
}

impl DayTexts {
    /// What days are meant, seen from `today`. Years that do not have four digits become the nearest that do.
    pub fn of(days: &Days, today: NaiveDate) -> DayTexts {
        let text = |day: NaiveDate| match day.year() {
            ..0 => "0000-01-01".to_owned(),
            10_000.. => "9999-99-99".to_owned(),
            _ => day.format("%Y-%m-%d").to_string(),
        };
        let of_year = |(month, day): (u32, u32)| format!("{month:02}-{day:02}");
        match meaning(days, today) {
            Meaning::Range(range) => DayTexts::Range(range.from.map(text), range.until.map(text)),
            Meaning::Yearly(one, other) => {
                DayTexts::Yearly([Some(one), other].into_iter().flatten().map(of_year).collect())
            }
        }
    }
}

/// The day that it is somewhere.
pub fn today(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

/// When a day begins there: its first instant, which is not always midnight where clocks are put forward.
pub fn begins(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    // No clock has ever been put forward by more than a day; minutes are as fine as zones are.
    let found = (0..=24 * 60).find_map(|minutes| {
        let local = midnight.checked_add_signed(TimeDelta::minutes(minutes))?;
        local.and_local_timezone(zone).earliest()
    });
    found.map_or_else(|| midnight.and_utc(), |at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn relative_days_r54() {
        let check = |distance, number, unit, side, from: Option<&str>, until: Option<&str>| {
            let days = Days::Relative { distance, number, unit, side };
            let expected = Meaning::Range(Range { from: from.map(day), until: until.map(day) });
            assert_eq!(meaning(&days, day("2026-03-31")), expected, "{days:?}");
        };
        use Distance::{Exactly, LessThan, MoreThan};
        use Side::{Ago, Ahead};
        check(LessThan, 0, Unit::Day, Ahead, Some("2026-03-31"), Some("2026-04-01"));
        check(LessThan, 1, Unit::Day, Ahead, Some("2026-03-31"), Some("2026-04-01"));
        check(LessThan, 3, Unit::Day, Ahead, Some("2026-03-31"), Some("2026-04-03"));
        check(Exactly, 3, Unit::Day, Ahead, Some("2026-04-03"), Some("2026-04-04"));
        check(MoreThan, 3, Unit::Day, Ahead, Some("2026-04-04"), None);
        check(LessThan, 0, Unit::Day, Ago, Some("2026-03-31"), Some("2026-04-01"));
        check(LessThan, 1, Unit::Day, Ago, Some("2026-03-31"), Some("2026-04-01"));
        check(LessThan, 3, Unit::Day, Ago, Some("2026-03-29"), Some("2026-04-01"));
        check(Exactly, 1, Unit::Month, Ago, Some("2026-02-28"), Some("2026-03-01"));
        check(MoreThan, 2, Unit::Week, Ago, None, Some("2026-03-17"));
        check(Exactly, 30, Unit::Year, Ago, Some("1996-03-31"), Some("1996-04-01"));
    }

    #[test]
    fn ages_are_whole_units() {
        let check = |distance, number, of: &str, expected: bool| {
            let days = Days::Age { distance, number, unit: Unit::Year };
            assert_eq!(meaning(&days, day("2026-03-31")).holds(day(of)), expected, "{days:?} {of}");
        };
        check(Distance::Exactly, 30, "1996-03-31", true);
        check(Distance::Exactly, 30, "1996-04-01", false);
        check(Distance::Exactly, 30, "1995-04-01", true);
        check(Distance::Exactly, 30, "1995-03-31", false);
        check(Distance::LessThan, 30, "1996-04-01", true);
        check(Distance::LessThan, 30, "1996-03-31", false);
        check(Distance::MoreThan, 30, "1995-03-31", true);
        check(Distance::MoreThan, 30, "1995-04-01", false);
    }

    #[test]
    fn anniversaries_keep_leap_days() {
        let check = |today: &str, of: &str, expected: bool| {
            assert_eq!(meaning(&Days::Anniversary, day(today)).holds(day(of)), expected, "{of} on {today}");
        };
        check("2026-03-31", "1990-03-31", true);
        check("2026-03-31", "1990-03-30", false);
        check("2026-02-28", "1992-02-29", true);
        check("2028-02-28", "1992-02-29", false);
        check("2028-02-29", "1992-02-29", true);
    }

    #[test]
    fn days_begin_where_the_zone_says() {
        let check = |text: &str, zone: Tz, expected: &str| {
            assert_eq!(begins(day(text), zone).to_rfc3339(), expected, "{text} {zone}");
        };
        check("2026-03-01", Tz::UTC, "2026-03-01T00:00:00+00:00");
        check("2026-07-01", Tz::Europe__Berlin, "2026-06-30T22:00:00+00:00");
        // Clocks are put forward at midnight there: the day begins at 1 o'clock.
        check("2018-11-04", Tz::America__Sao_Paulo, "2018-11-04T03:00:00+00:00");
        // The day was left out when the country changed sides of the date line.
        check("2011-12-30", Tz::Pacific__Apia, "2011-12-30T10:00:00+00:00");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_today_is_what_begins_last(number: u32, days in -400_000_i64..400_000) {
            let today = day("2026-03-31") + TimeDelta::days(days);
            for distance in [Distance::Exactly, Distance::LessThan, Distance::MoreThan] {
                for unit in [Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
                    for side in [Side::Ago, Side::Ahead] {
                        meaning(&Days::Relative { distance, number, unit, side }, today);
                    }
                }
            }
            prop_assert_eq!(super::today(begins(today, Tz::Asia__Kathmandu), Tz::Asia__Kathmandu), today);
        }
    }
}
