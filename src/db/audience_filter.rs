//! A filter as one statement that finds people. Values are bound, never written into the text; names come from fixed
//! lists. `rules/filter/evaluate.rs` decides the same for one person, and a property test holds the two together.
//!
//! Conditions about what a person has many of (tickets, activities, organizations, audiences) are joined as a set of
//! people each, so that all are scanned and hashed once whatever the number of people.

use super::Result;
use crate::model::consent::{Channel, ConsentState};
use crate::model::day::{DayTexts, Days, Meaning, begins, meaning, today};
use crate::model::filter::{
    About, Activity, Asked, Condition, Count, End, Field, Filter, Frame, Moment, NumberTest, OrganizationField,
    Summary, Test, TextTest, TicketField,
};
use chrono::{DateTime, Datelike, Duration, NaiveDate, Utc};
use chrono_tz::Tz;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, PgConnection, Postgres, QueryBuilder};

/// Who is asked about.
#[derive(Debug, Clone, Copy)]
pub enum Among<'a> {
    /// Everybody in the workspace who is not archived.
    Everybody,
    /// These of them.
    These(&'a [i64]),
}

/// The people for whom a filter holds, in the order of their ids.
pub async fn find(
    db: &mut PgConnection,
    workspace_id: i64,
    filter: &Filter,
    among: Among<'_>,
    moment: Moment,
) -> Result<Vec<i64>> {
    let mut first = PgArguments::default();
    first.add(workspace_id).map_err(sqlx::Error::Encode)?;
    let people = "SELECT p.id FROM (SELECT * FROM person WHERE workspace_id = $1 AND archived_at IS NULL) p";
    let mut statement = Statement { sql: QueryBuilder::with_arguments(people, first), among, moment };
    statement.write(filter);
    statement.sql.build_query_scalar().fetch_all(db).await
}

struct Statement<'a> {
    sql: QueryBuilder<Postgres>,
    among: Among<'a>,
    moment: Moment,
}

impl Statement<'_> {
    fn write(&mut self, filter: &Filter) {
        for (n, condition) in filter.conditions().into_iter().enumerate() {
            self.join(n, condition);
        }
        self.sql.push(" WHERE ");
        self.holds(filter, &mut 0);
        self.only("p.id");
        self.sql.push(" ORDER BY p.id");
    }

    /// Keeps to those asked about.
    fn only(&mut self, column: &str) {
        if let Among::These(people) = self.among {
            self.sql.push(format!(" AND {column} = ANY (")).push_bind(people.to_vec()).push(")");
        }
    }

    fn zone(&self, condition: &Condition) -> Tz {
        condition.zone.unwrap_or(self.moment.zone)
    }

    /// Joins the set of people that a condition is about, where it is about one.
    fn join(&mut self, n: usize, condition: &Condition) {
        let zone = self.zone(condition);
        let set = match &condition.about {
            About::Person(Field::Summary(summary), test) => Some(Set::Summary(*summary, test)),
            About::Organization(tests) => Some(Set::Organization(tests)),
            About::Tickets(tests, count) => Some(Set::Tickets(tests, *count)),
            About::Activity(activity) => Some(Set::Activity(activity)),
            About::Member { audience, .. } => Some(Set::Member(audience)),
            About::Person(..) | About::Consent { .. } => None,
        };
        let Some(set) = set else { return };
        self.sql.push(" LEFT JOIN (");
        self.set(set, zone);
        self.sql.push(format!(") s{n} ON s{n}.person_id = p.id"));
    }

    fn set(&mut self, set: Set<'_>, zone: Tz) {
        match set {
            Set::Summary(summary, test) => {
                self.of_people("SELECT person_id FROM support_summary x WHERE workspace_id = $1", "person_id");
                self.sql.push(" AND ");
                if test.holds_for_nothing() {
                    self.sql.push("NOT ");
                }
                self.summary(summary, test, zone);
            }
            Set::Organization(tests) => {
                self.of_people(
                    "SELECT DISTINCT m.person_id FROM organization_member m
                     JOIN organization x ON x.workspace_id = m.workspace_id AND x.id = m.organization_id WHERE m.workspace_id = $1",
                    "m.person_id",
                );
                for (field, test) in tests {
                    self.sql.push(" AND ");
                    self.organization(field, test, zone);
                }
            }
            Set::Tickets(tests, count) => {
                self.of_people(
                    "SELECT person_id FROM ticket x WHERE workspace_id = $1 AND deleted_at IS NULL AND person_id IS NOT NULL",
                    "person_id",
                );
                for (field, test) in tests {
                    self.sql.push(" AND ");
                    self.ticket(field, test, zone);
                }
                self.having(count);
            }
            Set::Activity(activity) => self.activity(activity, zone),
            Set::Member(audience) => {
                self.of_people(
                    "SELECT x.person_id FROM audience_member x
                     JOIN audience a ON a.workspace_id = x.workspace_id AND a.id = x.audience_id
                     WHERE x.workspace_id = $1 AND x.exited_at IS NULL",
                    "x.person_id",
                );
                self.sql.push(" AND a.name = ").push_bind(audience.to_owned());
            }
        }
    }

    /// A statement over one workspace, for those asked about.
    fn of_people(&mut self, statement: &str, column: &str) {
        self.sql.push(statement);
        self.only(column);
    }

    /// One row a person whose number fits; where none fits too, those whose number does not.
    fn having(&mut self, count: Count) {
        let not = if count.fits(0) { "NOT " } else { "" };
        self.sql.push(format!(" GROUP BY 1 HAVING {not}(count(*) >= ")).push_bind(i64::from(count.least));
        if let Some(most) = count.most {
            self.sql.push(" AND count(*) <= ").push_bind(i64::from(most));
        }
        self.sql.push(")");
    }

    fn activity(&mut self, activity: &Activity, zone: Tz) {
        match &activity.asked {
            Asked::Times(count, frame) => {
                self.of_people("SELECT person_id FROM activity x WHERE workspace_id = $1", "person_id");
                self.sql.push(" AND type = ").push_bind(activity.kind.clone());
                match frame {
                    Some(Frame::Days(days)) => {
                        self.sql.push(" AND ");
                        self.time("x.occurred_at", days, zone);
                    }
                    Some(Frame::LastMinutes(minutes)) => {
                        let since = self.moment.now - Duration::minutes(i64::from(*minutes));
                        self.sql.push(" AND occurred_at > ").push_bind(since);
                        self.sql.push(" AND occurred_at <= ").push_bind(self.moment.now);
                    }
                    None => {}
                }
                for (name, test) in &activity.attributes {
                    self.sql.push(" AND ");
                    self.json("x.attributes", name, test, zone);
                }
                self.having(*count);
            }
            Asked::When(end, days) => {
                self.of_people("SELECT person_id FROM activity_rollup x WHERE workspace_id = $1", "person_id");
                self.sql.push(" AND type = ").push_bind(activity.kind.clone()).push(" AND ");
                self.time(if *end == End::First { "x.first_at" } else { "x.last_at" }, days, zone);
            }
        }
    }

    fn holds(&mut self, filter: &Filter, n: &mut usize) {
        let (parts, between, none) = match filter {
            Filter::All(parts) => (parts, " AND ", "true"),
            Filter::Any(parts) => (parts, " OR ", "false"),
            Filter::Is(condition) => {
                self.condition(*n, condition);
                *n += 1;
                return;
            }
        };
        self.sql.push("(");
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                self.sql.push(between);
            }
            self.holds(part, n);
        }
        self.sql.push(if parts.is_empty() { none } else { "" }).push(")");
    }

    fn condition(&mut self, n: usize, condition: &Condition) {
        let zone = self.zone(condition);
        let in_set = |wanted: bool| format!("s{n}.person_id IS {}NULL", if wanted { "NOT " } else { "" });
        match &condition.about {
            About::Person(Field::Summary(_), test) => _ = self.sql.push(in_set(!test.holds_for_nothing())),
            About::Person(Field::System(field), test) => self.text(&format!("p.{}", field.as_str()), test),
            About::Person(Field::CreatedAt, test) => self.moment_of("p.created_at", test, zone),
            About::Person(Field::Custom(key), test) => self.json("p.fields", key, test, zone),
            About::Consent { channel, granted } => {
                let column = match channel {
                    Channel::Email => "p.email_consent",
                    Channel::Sms => "p.sms_consent",
                };
                let operator = if *granted { "=" } else { "<>" };
                self.sql.push(format!("{column} {operator} ")).push_bind(ConsentState::Granted.as_str());
            }
            About::Tickets(_, count) => _ = self.sql.push(in_set(!count.fits(0))),
            About::Activity(Activity { asked: Asked::Times(count, _), .. }) => {
                _ = self.sql.push(in_set(!count.fits(0)))
            }
            About::Organization(_) | About::Activity(_) => _ = self.sql.push(in_set(true)),
            About::Member { member, .. } => _ = self.sql.push(in_set(*member)),
        }
    }

    fn organization(&mut self, field: &OrganizationField, test: &Test, zone: Tz) {
        match field {
            OrganizationField::Name => self.text("x.name", test),
            OrganizationField::ExternalId => self.text("x.external_id", test),
            OrganizationField::Domain => self.texts("x.domains", test),
            OrganizationField::Custom(key) => self.json("x.fields", key, test, zone),
        }
    }

    fn ticket(&mut self, field: &TicketField, test: &Test, zone: Tz) {
        match field {
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
        }
    }

    fn summary(&mut self, summary: Summary, test: &Test, zone: Tz) {
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
    fn count_of(&mut self, column: &str, test: &Test) {
        match test {
            Test::Number(test) => self.number(&format!("{column}::float8"), *test),
            test => self.always(test, true),
        }
    }

    /// The answer for a value of another type than the test's, or for none.
    fn always(&mut self, test: &Test, is_value: bool) {
        let holds = match test {
            Test::AnyValue => is_value,
            Test::NoValue => !is_value,
            test => test.holds_for_nothing(),
        };
        self.sql.push(if holds { "true" } else { "false" });
    }

    /// A time column.
    fn moment_of(&mut self, column: &str, test: &Test, zone: Tz) {
        match test {
            Test::AnyValue => _ = self.sql.push(format!("{column} IS NOT NULL")),
            Test::NoValue => _ = self.sql.push(format!("{column} IS NULL")),
            Test::Day(days) => self.time(column, days, zone),
            test => self.always(test, true),
        }
    }

    fn time(&mut self, column: &str, days: &Days, zone: Tz) {
        match meaning(days, today(self.moment.now, zone)) {
            Meaning::Range(range) => {
                self.sql.push(format!("({column} IS NOT NULL"));
                if let Some(from) = range.from {
                    self.sql.push(format!(" AND {column} >= ")).push_bind(instant(from, zone));
                }
                if let Some(until) = range.until {
                    self.sql.push(format!(" AND {column} < ")).push_bind(instant(until, zone));
                }
                self.sql.push(")");
            }
            Meaning::Yearly(..) => {
                let DayTexts::Yearly(all) = DayTexts::of(days, today(self.moment.now, zone)) else { return };
                self.sql.push(format!("coalesce(to_char({column} AT TIME ZONE ")).push_bind(zone.name().to_owned());
                self.sql.push(", 'MM-DD') = ANY (").push_bind(all).push("), false)");
            }
        }
    }

    fn number(&mut self, number: &str, test: NumberTest) {
        let (operator, wanted) = match test {
            NumberTest::Is(wanted) => ("=", wanted),
            NumberTest::IsNot(wanted) => ("<>", wanted),
            NumberTest::GreaterThan(than) => (">", than),
            NumberTest::LessThan(than) => ("<", than),
            NumberTest::Between(from, to) | NumberTest::NotBetween(from, to) => {
                let not = if matches!(test, NumberTest::NotBetween(..)) { "NOT " } else { "" };
                self.sql.push(format!("{number} {not}BETWEEN ")).push_bind(from).push(" AND ").push_bind(to);
                return;
            }
        };
        self.sql.push(format!("{number} {operator} ")).push_bind(wanted);
    }

    /// A text column.
    fn text(&mut self, column: &str, test: &Test) {
        match test {
            Test::AnyValue => _ = self.sql.push(format!("{column} IS NOT NULL")),
            Test::NoValue => _ = self.sql.push(format!("{column} IS NULL")),
            Test::Text(..) | Test::OneOf(..) => {
                self.sql.push("coalesce(");
                self.compare(column, test);
                self.sql.push(format!(", {})", test.holds_for_nothing()));
            }
            test => self.always(test, true),
        }
    }

    /// Compares a text that is there. ASCII letters are the same in both cases.
    fn compare(&mut self, text: &str, test: &Test) {
        let lower = format!("lower({text} COLLATE \"C\")");
        let (test, wanted) = match test {
            Test::Text(test, wanted) => (*test, wanted.to_ascii_lowercase()),
            Test::OneOf(is, wanted) => {
                let wanted: Vec<String> = wanted.iter().map(|wanted| wanted.to_ascii_lowercase()).collect();
                let not = if *is { "" } else { "NOT " };
                self.sql.push(format!("{not}{lower} = ANY (")).push_bind(wanted).push(")");
                return;
            }
            test => return self.always(test, true),
        };
        let (before, after) = match test {
            TextTest::Is => (format!("{lower} = "), ""),
            TextTest::IsNot => (format!("{lower} <> "), ""),
            TextTest::Contains => (format!("strpos({lower}, "), ") > 0"),
            TextTest::DoesNotContain => (format!("strpos({lower}, "), ") = 0"),
            TextTest::StartsWith => (format!("starts_with({lower}, "), ")"),
            TextTest::EndsWith => {
                self.sql.push(format!("right({lower}, length(")).push_bind(wanted.clone()).push(")) = ");
                (String::new(), "")
            }
        };
        self.sql.push(before).push_bind(wanted).push(after);
    }

    /// A column with a list of texts.
    fn texts(&mut self, column: &str, test: &Test) {
        match test {
            Test::AnyValue => _ = self.sql.push(format!("cardinality({column}) > 0")),
            Test::NoValue => _ = self.sql.push(format!("cardinality({column}) = 0")),
            test => self.elements(&format!("unnest({column}) e"), "e", test),
        }
    }

    /// An element passes; of a negative test, none does what it denies.
    fn elements(&mut self, from: &str, text: &str, test: &Test) {
        if !matches!(test, Test::Text(..) | Test::OneOf(..)) {
            return self.always(test, true);
        }
        let negative = test.holds_for_nothing();
        let (not, inner) = if negative { ("NOT ", "NOT ") } else { ("", "") };
        let place = if from.starts_with("jsonb") { " WHERE jsonb_typeof(e) = 'string' AND " } else { " WHERE " };
        self.sql.push(format!("{not}EXISTS (SELECT 1 FROM {from}{place}{inner}("));
        self.compare(text, test);
        self.sql.push("))");
    }

    /// A member of a JSON object.
    fn json(&mut self, object: &str, key: &str, test: &Test, zone: Tz) {
        self.sql.push("(SELECT CASE jsonb_typeof(v) ");
        match test {
            Test::AnyValue => _ = self.sql.push("WHEN 'null' THEN false ELSE v IS NOT NULL"),
            Test::NoValue => _ = self.sql.push("WHEN 'null' THEN true ELSE v IS NULL"),
            Test::Text(..) | Test::OneOf(..) => {
                self.sql.push("WHEN 'string' THEN ");
                self.compare("(v #>> '{}')", test);
                self.sql.push(" WHEN 'array' THEN ");
                self.elements("jsonb_array_elements(v) e", "(e #>> '{}')", test);
                self.sql.push(format!(" ELSE {}", test.holds_for_nothing()));
            }
            Test::Number(number) => {
                self.sql.push("WHEN 'number' THEN ");
                self.number("v::float8", *number);
                self.sql.push(format!(" ELSE {}", test.holds_for_nothing()));
            }
            Test::Bool(wanted) => {
                self.sql
                    .push("WHEN 'boolean' THEN v::boolean = ")
                    .push_bind(*wanted)
                    .push(format!(" ELSE {}", !wanted));
            }
            Test::Day(days) => {
                self.sql.push("WHEN 'string' THEN (v #>> '{}') ~ '^\\d{4}-\\d{2}-\\d{2}'");
                self.day_text("left(v #>> '{}', 10)", days, zone);
                self.sql.push(" ELSE false");
            }
        }
        self.sql.push(format!(" END FROM (SELECT {object} -> ")).push_bind(key.to_owned()).push(" AS v) j)");
    }

    fn day_text(&mut self, day: &str, days: &Days, zone: Tz) {
        match DayTexts::of(days, today(self.moment.now, zone)) {
            DayTexts::Range(from, until) => {
                if let Some(from) = from {
                    self.sql.push(format!(" AND {day} COLLATE \"C\" >= ")).push_bind(from);
                }
                if let Some(until) = until {
                    self.sql.push(format!(" AND {day} COLLATE \"C\" < ")).push_bind(until);
                }
            }
            DayTexts::Yearly(all) => {
                self.sql.push(format!(" AND right({day}, 5) = ANY (")).push_bind(all).push(")");
            }
        }
    }
}

/// A condition about a set of people.
enum Set<'a> {
    Summary(Summary, &'a Test),
    Organization(&'a [(OrganizationField, Test)]),
    Tickets(&'a [(TicketField, Test)], Count),
    Activity(&'a Activity),
    Member(&'a str),
}

/// When a day begins. Days that Postgres does not have become the first or last that matter.
fn instant(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let year = day.year().clamp(1, 9999);
    begins(day.with_year(year).unwrap_or(day), zone)
}
