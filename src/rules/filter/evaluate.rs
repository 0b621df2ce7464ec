//! Deciding a filter for one person of whom everything is known. The database decides it for many (`db/audience_find.rs`, `db/audience_answers.rs`);
//! this is what explains an answer, and what the database's answers are tested by.

use crate::model::consent::ConsentState;
use crate::model::day::{DayTexts, Days, Meaning, begins, meaning, today};
pub use crate::model::facts::{Facts, OrganizationFacts, TicketFacts};
use crate::model::filter::{
    About, Activity, Asked, Condition, End, Field, Filter, Frame, Moment, NumberTest, OrganizationField, Summary, Test,
    TextTest, TicketField,
};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

/// Whether a filter holds for a person.
pub fn holds(filter: &Filter, facts: &Facts, moment: Moment) -> bool {
    filter.holds(&|condition| decide(condition, facts, moment))
}

fn decide(condition: &Condition, facts: &Facts, moment: Moment) -> bool {
    let moment = Moment { zone: condition.zone.unwrap_or(moment.zone), ..moment };
    match &condition.about {
        About::Person(field, test) => passes(test, &of_person(field, facts), moment),
        About::Consent { channel, granted } => {
            let state = match channel {
                crate::model::consent::Channel::Email => facts.email_consent,
                crate::model::consent::Channel::Sms => facts.sms_consent,
            };
            (state == ConsentState::Granted) == *granted
        }
        About::Organization(tests) => facts.organizations.iter().any(|organization| {
            tests.iter().all(|(field, test)| passes(test, &of_organization(field, organization), moment))
        }),
        About::Tickets(tests, count) => count.fits(tickets_that_fit(tests, facts, moment).len() as u64),
        About::Activity(activity) => happened(activity, facts, moment),
        About::Member { audience, member } => facts.audiences.contains(audience) == *member,
    }
}

/// The person's tickets of which all of this holds.
pub(super) fn tickets_that_fit<'a>(
    tests: &[(TicketField, Test)],
    facts: &'a Facts,
    moment: Moment,
) -> Vec<&'a TicketFacts> {
    let fits =
        |ticket: &&TicketFacts| tests.iter().all(|(field, test)| passes(test, &of_ticket(field, ticket), moment));
    facts.tickets.iter().filter(fits).collect()
}

/// A value as tests see it.
pub(super) enum Seen<'a> {
    Json(Option<&'a Value>),
    Text(Option<&'a str>),
    Texts(&'a [String]),
    Number(i64),
    Time(Option<DateTime<Utc>>),
}

pub(super) fn of_person<'a>(field: &Field, facts: &'a Facts) -> Seen<'a> {
    match field {
        Field::System(field) => Seen::Text(facts.system[*field].as_deref()),
        Field::Custom(key) => Seen::Json(facts.fields.get(key)),
        Field::CreatedAt => Seen::Time(Some(facts.created_at)),
        Field::Summary(summary) => of_summary(*summary, facts),
    }
}

pub(super) fn of_organization<'a>(field: &OrganizationField, of: &'a OrganizationFacts) -> Seen<'a> {
    match field {
        OrganizationField::Name => Seen::Text(of.name.as_deref()),
        OrganizationField::ExternalId => Seen::Text(of.external_id.as_deref()),
        OrganizationField::Domain => Seen::Texts(&of.domains),
        OrganizationField::Custom(key) => Seen::Json(of.fields.get(key)),
    }
}

pub(super) fn of_ticket<'a>(field: &TicketField, of: &'a TicketFacts) -> Seen<'a> {
    match field {
        TicketField::Status => Seen::Text(of.status.as_deref()),
        TicketField::Priority => Seen::Text(of.priority.as_deref()),
        TicketField::Type => Seen::Text(of.kind.as_deref()),
        TicketField::Channel => Seen::Text(of.channel.as_deref()),
        TicketField::Rating => Seen::Text(of.rating.as_deref()),
        TicketField::Tag => Seen::Texts(&of.tags),
        TicketField::Brand => Seen::Text(of.brand.as_deref()),
        TicketField::Group => Seen::Text(of.group.as_deref()),
        TicketField::CreatedAt => Seen::Time(of.created_at),
        TicketField::UpdatedAt => Seen::Time(of.updated_at),
        TicketField::Custom(key) => Seen::Json(of.fields.get(key)),
    }
}

/// A8, as the view `support_summary` computes it; a person without tickets has none of it.
fn of_summary(summary: Summary, facts: &Facts) -> Seen<'_> {
    let tickets = &facts.tickets;
    let count = |fits: &dyn Fn(&TicketFacts) -> bool| match tickets.is_empty() {
        true => Seen::Text(None),
        false => Seen::Number(tickets.iter().filter(|ticket| fits(ticket)).count() as i64),
    };
    let open = ["new", "open", "pending", "hold"];
    let rated = |ticket: &&TicketFacts| matches!(ticket.rating.as_deref(), Some("good" | "bad"));
    // Postgres puts NULLs first in a descending order.
    let newest = || tickets.iter().max_by_key(|ticket| (ticket.created_at.is_none(), ticket.created_at, ticket.id));
    match summary {
        Summary::OpenTickets => count(&|ticket| ticket.status.as_deref().is_some_and(|status| open.contains(&status))),
        Summary::TicketsTotal => count(&|_| true),
        Summary::FirstTicketAt => Seen::Time(tickets.iter().filter_map(|ticket| ticket.created_at).min()),
        Summary::LastTicketAt => Seen::Time(tickets.iter().filter_map(|ticket| ticket.created_at).max()),
        Summary::LastTicketSubject => Seen::Text(newest().and_then(|ticket| ticket.subject.as_deref())),
        Summary::LastTicketStatus => Seen::Text(newest().and_then(|ticket| ticket.status.as_deref())),
        Summary::LastRating => {
            let last = tickets.iter().filter(rated).max_by_key(|ticket| (ticket.rating_at, ticket.id));
            Seen::Text(last.and_then(|ticket| ticket.rating.as_deref()))
        }
        Summary::LastRatingAt => Seen::Time(tickets.iter().filter(rated).filter_map(|ticket| ticket.rating_at).max()),
        Summary::GoodRatings => count(&|ticket| ticket.rating.as_deref() == Some("good")),
        Summary::BadRatings => count(&|ticket| ticket.rating.as_deref() == Some("bad")),
    }
}

fn happened(activity: &Activity, facts: &Facts, moment: Moment) -> bool {
    match &activity.asked {
        Asked::Times(count, _) => count.fits(happenings(activity, facts, moment)),
        Asked::When(end, days) => {
            let rollup = facts.rollups.iter().find(|(kind, ..)| *kind == activity.kind);
            let at = rollup.map(|(_, first, last)| if *end == End::First { *first } else { *last });
            passes(&Test::Day(days.clone()), &Seen::Time(at), moment)
        }
    }
}

/// How often it happened, in the frame that is asked for.
pub(super) fn happenings(activity: &Activity, facts: &Facts, moment: Moment) -> u64 {
    let frame = match &activity.asked {
        Asked::Times(_, frame) => frame.as_ref(),
        Asked::When(..) => None,
    };
    let counts = |attributes: &serde_json::Map<String, Value>| {
        activity.attributes.iter().all(|(name, test)| passes(test, &Seen::Json(attributes.get(name)), moment))
    };
    let happened = facts.activities.iter().filter(|(kind, at, attributes)| {
        *kind == activity.kind && frame.is_none_or(|frame| within(frame, *at, moment)) && counts(attributes)
    });
    happened.count() as u64
}

fn within(frame: &Frame, at: DateTime<Utc>, moment: Moment) -> bool {
    match frame {
        Frame::Days(days) => time_holds(days, at, moment),
        Frame::LastMinutes(minutes) => at > moment.now - Duration::minutes(i64::from(*minutes)) && at <= moment.now,
    }
}

fn time_holds(days: &Days, at: DateTime<Utc>, moment: Moment) -> bool {
    let today = today(moment.now, moment.zone);
    match meaning(days, today) {
        // By instants, as the database does it.
        Meaning::Range(range) => {
            range.from.is_none_or(|from| begins(from, moment.zone) <= at)
                && range.until.is_none_or(|until| at < begins(until, moment.zone))
        }
        yearly @ Meaning::Yearly(..) => yearly.holds(at.with_timezone(&moment.zone).date_naive()),
    }
}

fn passes(test: &Test, seen: &Seen<'_>, moment: Moment) -> bool {
    match seen {
        Seen::Json(None | Some(Value::Null)) | Seen::Text(None) | Seen::Time(None) => test.holds_for_nothing(),
        Seen::Json(Some(value)) => json_passes(test, value, moment),
        Seen::Text(Some(text)) => text_passes(test, text),
        Seen::Texts([]) => test.holds_for_nothing(),
        Seen::Texts(texts) => list_passes(test, &texts.iter().map(String::as_str).collect::<Vec<_>>()),
        Seen::Number(number) => number_passes(test, *number as f64),
        Seen::Time(Some(at)) => match test {
            Test::AnyValue => true,
            Test::Day(days) => time_holds(days, *at, moment),
            _ => mismatch(test),
        },
    }
}

/// A value of another type than the test's is as none, except that it is a value.
fn mismatch(test: &Test) -> bool {
    match test {
        Test::NoValue => false,
        Test::AnyValue => true,
        test => test.holds_for_nothing(),
    }
}

fn json_passes(test: &Test, value: &Value, moment: Moment) -> bool {
    match (value, test) {
        (Value::String(text), Test::Day(days)) => day_holds(days, text, moment),
        (Value::String(text), _) => text_passes(test, text),
        (Value::Number(number), _) => number.as_f64().map_or(mismatch(test), |number| number_passes(test, number)),
        (Value::Bool(is), Test::Bool(wanted)) => is == wanted,
        (Value::Array(items), _) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            if texts.is_empty() { mismatch(test) } else { list_passes(test, &texts) }
        }
        _ => mismatch(test),
    }
}

/// Whether the day that a stored text begins with is meant: its own day, in whatever zone it was written. Days are
/// compared as text, as the database does it: one that no calendar has costs nothing else.
fn day_holds(days: &Days, text: &str, moment: Moment) -> bool {
    let Some(day) = text.get(..10).filter(|day| is_day(day)) else { return false };
    match DayTexts::of(days, today(moment.now, moment.zone)) {
        DayTexts::Range(from, until) => {
            from.is_none_or(|from| from.as_str() <= day) && until.is_none_or(|until| day < until.as_str())
        }
        DayTexts::Yearly(all) => all.iter().any(|of| *of == day[5..]),
    }
}

/// Whether a text has the form `2026-03-31`.
fn is_day(text: &str) -> bool {
    text.bytes().enumerate().all(|(n, byte)| if n == 4 || n == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

fn number_passes(test: &Test, number: f64) -> bool {
    let Test::Number(test) = test else { return mismatch(test) };
    match *test {
        NumberTest::Is(wanted) => number == wanted,
        NumberTest::IsNot(wanted) => number != wanted,
        NumberTest::GreaterThan(than) => number > than,
        NumberTest::LessThan(than) => number < than,
        NumberTest::Between(from, to) => from <= number && number <= to,
        NumberTest::NotBetween(from, to) => number < from || to < number,
    }
}

fn text_passes(test: &Test, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    match test {
        Test::AnyValue => true,
        Test::Text(test, wanted) => compare(*test, &text, &wanted.to_ascii_lowercase()),
        Test::OneOf(is, wanted) => wanted.iter().any(|wanted| wanted.to_ascii_lowercase() == text) == *is,
        _ => mismatch(test),
    }
}

fn compare(test: TextTest, text: &str, wanted: &str) -> bool {
    match test {
        TextTest::Is => text == wanted,
        TextTest::IsNot => text != wanted,
        TextTest::Contains => text.contains(wanted),
        TextTest::DoesNotContain => !text.contains(wanted),
        TextTest::StartsWith => text.starts_with(wanted),
        TextTest::EndsWith => text.ends_with(wanted),
    }
}

/// A list passes when an element does; a negative test, when none does what it denies.
fn list_passes(test: &Test, texts: &[&str]) -> bool {
    match test {
        Test::Text(negative, _) if negative.is_negative() => texts.iter().all(|text| text_passes(test, text)),
        Test::OneOf(false, _) => texts.iter().all(|text| text_passes(test, text)),
        Test::AnyValue => true,
        Test::Text(..) | Test::OneOf(..) => texts.iter().any(|text| text_passes(test, text)),
        _ => mismatch(test),
    }
}
