//! What both ways of writing a filter share: places in it, errors that name them, limits, and phrases for days.

use crate::model::day::{Days, Distance, Side, Unit};
use crate::model::filter::{About, Count, Filter, Frame};
use chrono::NaiveDate;
use serde_json::Value;

/// Most conditions of a filter, and most of them about activities (R55).
pub const LIMITS: (usize, usize) = (50, 15);

/// How deep groups may stand in each other.
pub const DEEPEST: usize = 10;

/// A filter that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FilterError {
    /// The way to the wrong part, such as `$and[1].$str::is.value`.
    pub path: String,
    /// What was expected there, and what stands there.
    pub problem: String,
}

/// A place in a filter, and what stands there.
#[derive(Clone)]
pub struct Place<'a> {
    /// The way to it.
    pub path: String,
    /// What stands there.
    pub value: &'a Value,
}

impl<'a> Place<'a> {
    /// The whole.
    pub fn root(value: &'a Value) -> Place<'a> {
        Place { path: "filter".into(), value }
    }

    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<Place<'a>> {
        let value = self.value.get(key)?;
        Some(Place { path: self.way(key), value })
    }

    fn way(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Refuses keys that are not known here.
    pub fn only(&self, known: &[&str]) -> Result<(), FilterError> {
        let object = self.value.as_object().ok_or_else(|| self.wrong("a table"))?;
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(FilterError {
                path: self.way(&key.chars().take(60).collect::<String>()),
                problem: format!("unknown here; known are {}", known.join(", ")),
            }),
            None => Ok(()),
        }
    }

    /// A member that must be there.
    pub fn need(&self, key: &str, expected: &str) -> Result<Place<'a>, FilterError> {
        self.get(key).ok_or_else(|| self.missing(key, expected))
    }

    /// The error that a member is not there.
    pub fn missing(&self, key: &str, expected: &str) -> FilterError {
        self.problem_at(key, format!("missing; expected {expected}"))
    }

    /// An error of a member.
    pub fn problem_at(&self, key: &str, problem: impl Into<String>) -> FilterError {
        FilterError { path: self.way(key), problem: problem.into() }
    }

    /// The elements of a list.
    pub fn items(&self) -> Result<Vec<Place<'a>>, FilterError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let place = |(n, value)| Place { path: format!("{}[{n}]", self.path), value };
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// A text.
    pub fn text(&self) -> Result<&'a str, FilterError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    /// A number; one that is written as a text as well.
    pub fn number(&self) -> Result<f64, FilterError> {
        let written = self.value.as_str().and_then(|text| text.trim().parse().ok());
        let number = self.value.as_f64().or(written).filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.wrong("a number"))
    }

    /// A whole number that is not negative.
    pub fn whole(&self) -> Result<u32, FilterError> {
        let number = self.value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| self.wrong("a whole number from 0 on"))
    }

    /// A truth value.
    pub fn truth(&self) -> Result<bool, FilterError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A day, as `2026-03-31`, alone or at the head of a time.
    pub fn day(&self) -> Result<NaiveDate, FilterError> {
        let text = self.value.as_str().and_then(|text| text.get(..10));
        let day = text.and_then(|text| text.parse().ok());
        day.ok_or_else(|| self.wrong("a day such as \"2026-03-31\""))
    }

    /// The error that something else was expected here.
    pub fn wrong(&self, expected: &str) -> FilterError {
        let found = self.value.to_string();
        let short: String = found.chars().take(60).collect();
        let dots = if short.len() < found.len() { "…" } else { "" };
        self.problem(format!("expected {expected}, found {short}{dots}"))
    }

    /// An error here.
    pub fn problem(&self, problem: impl Into<String>) -> FilterError {
        FilterError { path: self.path.clone(), problem: problem.into() }
    }
}

/// Holds a filter to the limits.
pub fn bounded(filter: Filter) -> Result<Filter, FilterError> {
    let all = filter.conditions();
    let activities = all.iter().filter(|condition| matches!(condition.about, About::Activity(_))).count();
    let too_many = |what: &str, number: usize, limit: usize| FilterError {
        path: "filter".into(),
        problem: format!("{number} {what}; at most {limit} are possible"),
    };
    match (all.len(), activities) {
        (number, _) if number > LIMITS.0 => Err(too_many("conditions", number, LIMITS.0)),
        (_, number) if number > LIMITS.1 => Err(too_many("conditions about activities", number, LIMITS.1)),
        _ => Ok(filter),
    }
}

const PHRASES: &str = "days such as \"less than 30 days ago\", \"exactly 3 days ahead\", \"more than 2 weeks ago\", \"age exactly 18 years\", \
     \"on 2026-03-31\", \"before 2026-03-31\", \"after 2026-03-31\", \"from 2026-03-01 to 2026-03-31\" or \"anniversary\"";

/// Days in words.
pub fn days(place: &Place<'_>) -> Result<Days, FilterError> {
    let words: Vec<&str> = place.text()?.split_whitespace().collect();
    phrase(&words).ok_or_else(|| place.wrong(PHRASES))
}

fn phrase(words: &[&str]) -> Option<Days> {
    let day = |text: &str| text.parse::<NaiveDate>().ok();
    match words {
        ["anniversary"] => Some(Days::Anniversary),
        ["on", date] => Some(Days::On(day(date)?)),
        ["before", date] => Some(Days::Before(day(date)?)),
        ["after", date] => Some(Days::After(day(date)?)),
        ["from", from, "to", to] => Some(Days::Between(day(from)?, day(to)?)),
        ["age", rest @ ..] => {
            let (distance, number, unit, rest) = distance(rest)?;
            rest.is_empty().then_some(Days::Age { distance, number, unit })
        }
        _ => {
            let (distance, number, unit, rest) = distance(words)?;
            let side = match rest {
                ["ago"] => Side::Ago,
                ["ahead"] => Side::Ahead,
                _ => return None,
            };
            Some(Days::Relative { distance, number, unit, side })
        }
    }
}

fn distance<'a, 'w>(words: &'a [&'w str]) -> Option<(Distance, u32, Unit, &'a [&'w str])> {
    let (distance, rest) = match words {
        ["exactly", rest @ ..] => (Distance::Exactly, rest),
        ["less", "than", rest @ ..] => (Distance::LessThan, rest),
        ["more", "than", rest @ ..] => (Distance::MoreThan, rest),
        _ => return None,
    };
    let [number, word, rest @ ..] = rest else { return None };
    Some((distance, number.parse().ok()?, unit(word)?, rest))
}

/// A unit by its word, singular or plural.
pub fn unit(word: &str) -> Option<Unit> {
    match word.strip_suffix('s').unwrap_or(word) {
        "day" => Some(Unit::Day),
        "week" => Some(Unit::Week),
        "month" => Some(Unit::Month),
        "year" => Some(Unit::Year),
        _ => None,
    }
}

/// A frame in words: `30 days` counts whole days, today among them; `12 hours` slides with the clock.
pub fn frame(place: &Place<'_>) -> Result<Frame, FilterError> {
    let expected = "a frame such as \"30 days\", \"12 hours\" or \"45 minutes\"";
    let words: Vec<&str> = place.text()?.split_whitespace().collect();
    let [number, word] = words[..] else { return Err(place.wrong(expected)) };
    let number: u32 = number.parse().ok().filter(|number| *number > 0).ok_or_else(|| place.wrong(expected))?;
    let minutes = |each: u32| number.checked_mul(each).ok_or_else(|| place.wrong(expected)).map(Frame::LastMinutes);
    match word.strip_suffix('s').unwrap_or(word) {
        "minute" => minutes(1),
        "hour" => minutes(60),
        word => {
            let unit = unit(word).ok_or_else(|| place.wrong(expected))?;
            let days = Days::Relative { distance: Distance::LessThan, number, unit, side: Side::Ago };
            Ok(Frame::Days(days))
        }
    }
}

/// A count: `3` (that many), `">= 3"`, `"<= 2"`, `"2..5"`.
pub fn count(place: &Place<'_>) -> Result<Count, FilterError> {
    let expected = "a count such as 3, \">= 3\", \"<= 2\" or \"2..5\"";
    if place.value.is_number() {
        let number = place.whole()?;
        return Ok(Count { least: number, most: Some(number) });
    }
    let text = place.value.as_str().ok_or_else(|| place.wrong(expected))?.trim();
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let found = match (text.strip_prefix(">="), text.strip_prefix("<="), text.split_once("..")) {
        (Some(least), ..) => number(least).map(|least| Count { least, most: None }),
        (_, Some(most), _) => number(most).map(|most| Count { least: 0, most: Some(most) }),
        (.., Some((least, most))) => {
            number(least).zip(number(most)).map(|(least, most)| Count { least, most: Some(most) })
        }
        _ => number(text).map(|number| Count { least: number, most: Some(number) }),
    };
    let found = found.filter(|count| count.most.is_none_or(|most| count.least <= most));
    found.ok_or_else(|| place.wrong(expected))
}
