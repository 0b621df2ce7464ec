//! Conditions of filters as SQL. Values are bound, never written into the text; names come from fixed lists.
//! `rules/filter/evaluate.rs` decides the same for one person, and a property test holds the two together.
//!
//! What is put together of them: `audience_find` asks everybody, `audience_answers` some people.

use super::Result;
use crate::model::consent::{Channel, ConsentState};
use crate::model::day::{DayTexts, Days, Meaning, begins, meaning, today};
use crate::model::filter::{
    About, Activity, Condition, Count, Field, Frame, Moment, NumberTest, OrganizationField, Summary, Test, TextTest,
    TicketField,
};
use chrono::{DateTime, Datelike, Duration, NaiveDate, Utc};
use chrono_tz::Tz;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Encode, Postgres, Type};

/// Writes conditions, and keeps what is bound in them. `$1` is the workspace.
pub(super) struct Writer {
    moment: Moment,
    arguments: PgArguments,
    failed: Option<BoxDynError>,
}

impl Writer {
    pub(super) fn new(workspace_id: i64, moment: Moment) -> Writer {
        let mut writer = Writer { moment, arguments: PgArguments::default(), failed: None };
        writer.bind(workspace_id);
        writer
    }

    /// Binds a value. Answers its place, such as `$2`.
    pub(super) fn bind<T: for<'q> Encode<'q, Postgres> + Type<Postgres>>(&mut self, value: T) -> String {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
        format!("${}", self.arguments.len())
    }

    /// All that was bound.
    pub(super) fn arguments(self) -> Result<PgArguments> {
        self.failed.map_or(Ok(self.arguments), |error| Err(sqlx::Error::Encode(error)))
    }

    pub(super) fn zone(&self, condition: &Condition) -> Tz {
        condition.zone.unwrap_or(self.moment.zone)
    }

    /// A condition about the row of a person, `p`; None for one about what a person has many of.
    pub(super) fn person(&mut self, condition: &Condition) -> Option<String> {
        let zone = self.zone(condition);
        match &condition.about {
            About::Person(Field::System(field), test) => Some(self.text(&format!("p.{}", field.as_str()), test)),
            About::Person(Field::CreatedAt, test) => Some(self.moment_of("p.created_at", test, zone)),
            About::Person(Field::Custom(key), test) => Some(self.json("p.fields", key, test, zone)),
            About::Consent { channel, granted } => {
                let column = match channel {
                    Channel::Email => "p.email_consent",
                    Channel::Sms => "p.sms_consent",
                };
                let operator = if *granted { "=" } else { "<>" };
                Some(format!("{column} {operator} {}", self.bind(ConsentState::Granted.as_str())))
            }
            _ => None,
        }
    }

    /// Whether an activity `x` is one of those that count.
    pub(super) fn activity(&mut self, activity: &Activity, frame: Option<&Frame>, zone: Tz) -> String {
        let mut all = vec![format!("x.type = {}", self.bind(activity.kind.clone()))];
        match frame {
            Some(Frame::Days(days)) => all.push(self.time("x.occurred_at", days, zone)),
            Some(Frame::LastMinutes(minutes)) => {
                let since = self.bind(self.moment.now - Duration::minutes(i64::from(*minutes)));
                let until = self.bind(self.moment.now);
                all.push(format!("x.occurred_at > {since} AND x.occurred_at <= {until}"));
            }
            None => {}
        }
        for (name, test) in &activity.attributes {
            all.push(self.json("x.attributes", name, test, zone));
        }
        all.join(" AND ")
    }

    /// The earliest time of an activity in a frame; None when it may be any.
    pub(super) fn earliest(&self, frame: Option<&Frame>, zone: Tz) -> Option<DateTime<Utc>> {
        match frame? {
            Frame::LastMinutes(minutes) => Some(self.moment.now - Duration::minutes(i64::from(*minutes))),
            Frame::Days(days) => match meaning(days, today(self.moment.now, zone)) {
                Meaning::Range(range) => range.from.map(|from| instant(from, zone)),
                Meaning::Yearly(..) => None,
            },
        }
    }

    /// Whether a number fits.
    pub(super) fn fits(&mut self, number: &str, count: Count) -> String {
        let least = self.bind(i64::from(count.least));
        let most = count.most.map(|most| format!(" AND {number} <= {}", self.bind(i64::from(most))));
        format!("({number} >= {least}{})", most.unwrap_or_default())
    }

    /// All tests of an organization `x`.
    pub(super) fn organization(&mut self, tests: &[(OrganizationField, Test)], zone: Tz) -> String {
        let one = |(field, test): &(OrganizationField, Test)| match field {
            OrganizationField::Name => self.text("x.name", test),
            OrganizationField::ExternalId => self.text("x.external_id", test),
            OrganizationField::Domain => self.texts("x.domains", test),
            OrganizationField::Custom(key) => self.json("x.fields", key, test, zone),
        };
        all_of(tests.iter().map(one).collect())
    }

    /// All tests of a ticket `x`.
    pub(super) fn ticket(&mut self, tests: &[(TicketField, Test)], zone: Tz) -> String {
        let one = |(field, test): &(TicketField, Test)| match field {
            TicketField::Status => self.text("x.status", test),
            TicketField::Priority => self.text("x.priority", test),
            TicketField::Type => self.text("x.type", test),
            TicketField::Channel => self.text("x.channel", test),
            TicketField::Rating => self.text("x.rating", test),
            TicketField::Tag => self.texts("x.tags", test),
            TicketField::Brand => self.text("x.brand_id", test),
            TicketField::Group => self.text("x.group_id", test),
            TicketField::CreatedAt => self.moment_of("x.created_at", test, zone),
            TicketField::UpdatedAt => self.moment_of("x.updated_at", test, zone),
            TicketField::Custom(id) => self.json("x.fields", id, test, zone),
        };
        all_of(tests.iter().map(one).collect())
    }

    /// A test of the summary `x` of a person who has one.
    pub(super) fn summary(&mut self, summary: Summary, test: &Test, zone: Tz) -> String {
        match summary {
            Summary::OpenTickets => self.count_of("x.open_tickets", test),
            Summary::TicketsTotal => self.count_of("x.tickets_total", test),
            Summary::GoodRatings => self.count_of("x.good_ratings", test),
            Summary::BadRatings => self.count_of("x.bad_ratings", test),
            Summary::FirstTicketAt => self.moment_of("x.first_ticket_at", test, zone),
            Summary::LastTicketAt => self.moment_of("x.last_ticket_at", test, zone),
            Summary::LastRatingAt => self.moment_of("x.last_rating_at", test, zone),
            Summary::LastTicketSubject => self.text("x.last_ticket_subject", test),
            Summary::LastTicketStatus => self.text("x.last_ticket_status", test),
            Summary::LastRating => self.text("x.last_rating", test),
        }
    }

    /// A count, which is never NULL.
    fn count_of(&mut self, column: &str, test: &Test) -> String {
        match test {
            Test::Number(test) => self.number(&format!("{column}::float8"), *test),
            test => always(test),
        }
    }

    /// A time column.
    fn moment_of(&mut self, column: &str, test: &Test, zone: Tz) -> String {
        match test {
            Test::AnyValue => format!("{column} IS NOT NULL"),
            Test::NoValue => format!("{column} IS NULL"),
            Test::Day(days) => self.time(column, days, zone),
            test => always(test),
        }
    }

    /// Whether a time is on these days; false for none.
    pub(super) fn time(&mut self, column: &str, days: &Days, zone: Tz) -> String {
        let today = today(self.moment.now, zone);
        match meaning(days, today) {
            Meaning::Range(range) => {
                let mut all = vec![format!("{column} IS NOT NULL")];
                all.extend(range.from.map(|from| format!("{column} >= {}", self.bind(instant(from, zone)))));
                all.extend(range.until.map(|until| format!("{column} < {}", self.bind(instant(until, zone)))));
                format!("({})", all.join(" AND "))
            }
            Meaning::Yearly(..) => {
                let DayTexts::Yearly(all) = DayTexts::of(days, today) else { return "false".to_owned() };
                let (zone, all) = (self.bind(zone.name()), self.bind(all));
                format!("coalesce(to_char({column} AT TIME ZONE {zone}, 'MM-DD') = ANY ({all}), false)")
            }
        }
    }

    fn number(&mut self, number: &str, test: NumberTest) -> String {
        let (operator, wanted) = match test {
            NumberTest::Is(wanted) => ("=", wanted),
            NumberTest::IsNot(wanted) => ("<>", wanted),
            NumberTest::GreaterThan(than) => (">", than),
            NumberTest::LessThan(than) => ("<", than),
            NumberTest::Between(from, to) | NumberTest::NotBetween(from, to) => {
                let not = if matches!(test, NumberTest::NotBetween(..)) { "NOT " } else { "" };
                return format!("{number} {not}BETWEEN {} AND {}", self.bind(from), self.bind(to));
            }
        };
        format!("{number} {operator} {}", self.bind(wanted))
    }

    /// A text column.
    fn text(&mut self, column: &str, test: &Test) -> String {
        match test {
            Test::AnyValue => format!("{column} IS NOT NULL"),
            Test::NoValue => format!("{column} IS NULL"),
            Test::Text(..) | Test::OneOf(..) => {
                format!("coalesce({}, {})", self.compare(column, test), test.holds_for_nothing())
            }
            test => always(test),
        }
    }

    /// Compares a text that is there. ASCII letters are the same in both cases.
    fn compare(&mut self, text: &str, test: &Test) -> String {
        let lower = format!("lower({text} COLLATE \"C\")");
        let (test, wanted) = match test {
            Test::Text(test, wanted) => (*test, wanted.to_ascii_lowercase()),
            Test::OneOf(is, wanted) => {
                let not = if *is { "" } else { "NOT " };
                return format!("{not}{lower} = ANY ({})", self.bind(lowered(wanted)));
            }
            test => return always(test),
        };
        let wanted = self.bind(wanted);
        match test {
            TextTest::Is => format!("{lower} = {wanted}"),
            TextTest::IsNot => format!("{lower} <> {wanted}"),
            TextTest::Contains => format!("strpos({lower}, {wanted}) > 0"),
            TextTest::DoesNotContain => format!("strpos({lower}, {wanted}) = 0"),
            TextTest::StartsWith => format!("starts_with({lower}, {wanted})"),
            TextTest::EndsWith => format!("right({lower}, length({wanted})) = {wanted}"),
        }
    }

    /// A column with a list of texts.
    fn texts(&mut self, column: &str, test: &Test) -> String {
        match test {
            Test::AnyValue => format!("cardinality({column}) > 0"),
            Test::NoValue => format!("cardinality({column}) = 0"),
            test => self.elements(&format!("unnest({column}) e"), "e", test),
        }
    }

    /// An element passes; of a negative test, none does what it denies.
    fn elements(&mut self, from: &str, text: &str, test: &Test) -> String {
        if !matches!(test, Test::Text(..) | Test::OneOf(..)) {
            return always(test);
        }
        let not = if test.holds_for_nothing() { "NOT " } else { "" };
        let is_text = if from.starts_with("jsonb") { "jsonb_typeof(e) = 'string' AND " } else { "" };
        format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {is_text}{not}({}))", self.compare(text, test))
    }

    /// A member of a JSON object. The value stands in the text more than once: as a subquery it would keep Postgres from
    /// asking in parallel, and be slower.
    fn json(&mut self, object: &str, key: &str, test: &Test, zone: Tz) -> String {
        let key = self.bind(key.to_owned());
        let (value, text) = (format!("({object} -> {key})"), format!("({object} ->> {key})"));
        let none = test.holds_for_nothing();
        let kind = format!("CASE jsonb_typeof({value})");
        match test {
            Test::AnyValue => format!("coalesce(jsonb_typeof({value}) <> 'null', false)"),
            Test::NoValue => format!("coalesce(jsonb_typeof({value}) = 'null', true)"),
            Test::Text(..) | Test::OneOf(..) => {
                let (one, many) = (self.compare(&text, test), self.json_list(&value, &text, test));
                format!("{kind} WHEN 'string' THEN {one} WHEN 'array' THEN {many} ELSE {none} END")
            }
            Test::Number(number) => {
                let number = self.number(&format!("{value}::float8"), *number);
                format!("{kind} WHEN 'number' THEN {number} ELSE {none} END")
            }
            Test::Bool(wanted) => {
                let is = self.bind(*wanted);
                format!("{kind} WHEN 'boolean' THEN {value}::boolean = {is} ELSE {none} END")
            }
            Test::Day(days) => {
                let day = self.day_text(&format!("left({text}, 10)"), days, zone);
                format!("{kind} WHEN 'string' THEN {text} ~ '^\\d{{4}}-\\d{{2}}-\\d{{2}}'{day} ELSE false END")
            }
        }
    }

    /// A JSON list. Whole elements are looked for in the list in small letters, again without a subquery.
    fn json_list(&mut self, value: &str, text: &str, test: &Test) -> String {
        let wanted = match test {
            Test::Text(TextTest::Is | TextTest::IsNot, wanted) => vec![wanted.to_ascii_lowercase()],
            Test::OneOf(_, wanted) => lowered(wanted),
            _ => return self.elements(&format!("jsonb_array_elements({value}) e"), "(e #>> '{}')", test),
        };
        let not = if test.holds_for_nothing() { "NOT " } else { "" };
        format!("{not}(lower({text} COLLATE \"C\")::jsonb ?| {})", self.bind(wanted))
    }

    fn day_text(&mut self, day: &str, days: &Days, zone: Tz) -> String {
        match DayTexts::of(days, today(self.moment.now, zone)) {
            DayTexts::Range(from, until) => {
                let from = from.map(|from| format!(" AND {day} COLLATE \"C\" >= {}", self.bind(from)));
                let until = until.map(|until| format!(" AND {day} COLLATE \"C\" < {}", self.bind(until)));
                format!("{}{}", from.unwrap_or_default(), until.unwrap_or_default())
            }
            DayTexts::Yearly(all) => format!(" AND right({day}, 5) = ANY ({})", self.bind(all)),
        }
    }
}

/// Whether a condition is about a person's own row: those that [`Writer::person`] writes.
pub(super) fn is_own(condition: &Condition) -> bool {
    matches!(
        &condition.about,
        About::Person(Field::System(_) | Field::CreatedAt | Field::Custom(_), _) | About::Consent { .. }
    )
}

/// Whether all of these hold.
pub(super) fn all_of(all: Vec<String>) -> String {
    if all.is_empty() { "true".to_owned() } else { format!("({})", all.join(" AND ")) }
}

/// The answer for a value of another type than the test's.
fn always(test: &Test) -> String {
    let holds = match test {
        Test::AnyValue => true,
        Test::NoValue => false,
        test => test.holds_for_nothing(),
    };
    holds.to_string()
}

fn lowered(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| text.to_ascii_lowercase()).collect()
}

/// When a day begins. Days that Postgres does not have become the first or last that matter.
fn instant(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let year = day.year().clamp(1, 9999);
    begins(day.with_year(year).unwrap_or(day), zone)
}
