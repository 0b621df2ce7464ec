//! Conditions in words, and what a person has of what they ask about: an answer that is explained needs no knowledge of the grammars.

use super::evaluate::{Facts, Seen, happenings, of_organization, of_person, of_ticket, tickets_that_fit};
use crate::model::consent::Channel;
use crate::model::day::{Days, Distance, Side, Unit};
use crate::model::filter::{
    About, Asked, Condition, Count, End, Frame, Moment, NumberTest, OrganizationField, Test, TextTest, TicketField,
};
use serde_json::Value;

/// Organizations, or elements of a list, that are named at most.
const NAMED: usize = 5;

/// Characters of a text that are shown.
const SHOWN: usize = 80;

/// What a condition asks for.
pub fn expected(condition: &Condition) -> String {
    let words = match &condition.about {
        About::Person(field, test) => format!("{} {}", field.name(), test_words(test)),
        About::Consent { channel, granted } => {
            format!("consent to {} is {}", channel_words(*channel), if *granted { "granted" } else { "not granted" })
        }
        About::Organization(tests) => format!("in an organization{}", whose(tests, organization_name)),
        About::Tickets(tests, count) => format!("{} tickets{}", count_words(*count), whose(tests, ticket_name)),
        About::Activity(activity) => {
            let asked = match &activity.asked {
                Asked::Times(Count::NONE, frame) => format!("never{}", frame_words(frame.as_ref())),
                Asked::Times(count, frame) => format!("{} times{}", count_words(*count), frame_words(frame.as_ref())),
                Asked::When(end, days) => format!("{} {}", end_words(*end), days_words(days)),
            };
            format!("{}{}: {asked}", activity.kind, whose(&activity.attributes, |name| name.as_str()))
        }
        About::Member { audience, member } => format!("{} audience {audience}", if *member { "in" } else { "not in" }),
    };
    match condition.zone {
        Some(zone) => format!("{words} (days of {zone})"),
        None => words,
    }
}

/// What the person has of what a condition asks about.
pub fn found(condition: &Condition, facts: &Facts, moment: Moment) -> String {
    let moment = Moment { zone: condition.zone.unwrap_or(moment.zone), ..moment };
    match &condition.about {
        About::Person(field, _) => seen_words(&of_person(field, facts)),
        About::Consent { channel, .. } => {
            let state = match channel {
                Channel::Email => facts.email_consent,
                Channel::Sms => facts.sms_consent,
            };
            state.as_str().to_owned()
        }
        About::Organization(tests) => {
            let each = facts.organizations.iter().take(NAMED).map(|one| {
                let asked = tests.iter().map(|(field, _)| {
                    format!("{} {}", organization_name(field), seen_words(&of_organization(field, one)))
                });
                let name = one.name.as_deref().unwrap_or("one without a name");
                format!("{} ({})", short(name), asked.collect::<Vec<_>>().join(", "))
            });
            list(each.collect(), facts.organizations.len(), "no organization")
        }
        About::Tickets(tests, _) => {
            let fit = tickets_that_fit(tests, facts, moment);
            let newest = facts.tickets.iter().max_by_key(|ticket| (ticket.created_at, ticket.id));
            let newest = newest.filter(|_| fit.is_empty() && !tests.is_empty()).map(|ticket| {
                let asked = tests
                    .iter()
                    .map(|(field, _)| format!("{} {}", ticket_name(field), seen_words(&of_ticket(field, ticket))));
                format!("; of the newest, {}: {}", ticket.id, asked.collect::<Vec<_>>().join(", "))
            });
            format!("{} of {}{}", fit.len(), facts.tickets.len(), newest.unwrap_or_default())
        }
        About::Activity(activity) => match &activity.asked {
            Asked::Times(..) => {
                let times = happenings(activity, facts, moment);
                let ever = facts.rollups.iter().find(|(kind, ..)| *kind == activity.kind);
                let last = ever.map(|(.., last)| format!("; the last of all at {}", time(*last)));
                format!("{} times{}", times, last.unwrap_or_default())
            }
            Asked::When(end, _) => {
                let ever = facts.rollups.iter().find(|(kind, ..)| *kind == activity.kind);
                let at = ever.map(|(_, first, last)| if *end == End::First { *first } else { *last });
                at.map_or_else(|| "never".to_owned(), time)
            }
        },
        About::Member { audience, .. } => {
            (if facts.audiences.contains(audience) { "in it" } else { "not in it" }).to_owned()
        }
    }
}

/// A list with its end cut off where it is long.
fn list(named: Vec<String>, all: usize, none: &str) -> String {
    match all - named.len() {
        0 if all == 0 => none.to_owned(),
        0 => named.join("; "),
        more => format!("{} and {more} more", named.join("; ")),
    }
}

/// Conditions of one thing: ` whose status is "open" and priority is "high"`.
fn whose<F>(tests: &[(F, Test)], name: impl Fn(&F) -> &str) -> String {
    let each: Vec<String> = tests.iter().map(|(field, test)| format!("{} {}", name(field), test_words(test))).collect();
    if each.is_empty() { String::new() } else { format!(" whose {}", each.join(" and ")) }
}

fn test_words(test: &Test) -> String {
    match test {
        Test::AnyValue => "has a value".to_owned(),
        Test::NoValue => "has no value".to_owned(),
        Test::Text(how, wanted) => format!("{} {}", text_test(*how), quoted(wanted)),
        Test::OneOf(is, wanted) => {
            let each: Vec<String> = wanted.iter().take(NAMED).map(|one| quoted(one)).collect();
            let is = if *is { "is one of" } else { "is none of" };
            format!("{is} {}", list(each, wanted.len(), "nothing"))
        }
        Test::Number(test) => match *test {
            NumberTest::Is(number) => format!("is {number}"),
            NumberTest::IsNot(number) => format!("is not {number}"),
            NumberTest::GreaterThan(number) => format!("is greater than {number}"),
            NumberTest::LessThan(number) => format!("is less than {number}"),
            NumberTest::Between(from, to) => format!("is from {from} to {to}"),
            NumberTest::NotBetween(from, to) => format!("is not from {from} to {to}"),
        },
        Test::Bool(is) => format!("is {is}"),
        Test::Day(days) => format!("is {}", days_words(days)),
    }
}

fn text_test(how: TextTest) -> &'static str {
    match how {
        TextTest::Is => "is",
        TextTest::IsNot => "is not",
        TextTest::Contains => "contains",
        TextTest::DoesNotContain => "does not contain",
        TextTest::StartsWith => "starts with",
        TextTest::EndsWith => "ends with",
    }
}

fn days_words(days: &Days) -> String {
    match days {
        Days::On(day) => format!("on {day}"),
        Days::Before(day) => format!("before {day}"),
        Days::After(day) => format!("after {day}"),
        Days::Between(from, to) => format!("from {from} to {to}"),
        Days::Relative { distance, number, unit, side } => {
            let side = if *side == Side::Ago { "ago" } else { "ahead" };
            format!("{} {} {side}", distance_words(*distance), units(*number, *unit))
        }
        Days::Age { distance, number, unit } => {
            format!("{} {} of age", distance_words(*distance), units(*number, *unit))
        }
        Days::Anniversary => "on this day of a year".to_owned(),
    }
}

fn distance_words(distance: Distance) -> &'static str {
    match distance {
        Distance::Exactly => "exactly",
        Distance::LessThan => "less than",
        Distance::MoreThan => "more than",
    }
}

fn units(number: u32, unit: Unit) -> String {
    let unit = match unit {
        Unit::Day => "day",
        Unit::Week => "week",
        Unit::Month => "month",
        Unit::Year => "year",
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn frame_words(frame: Option<&Frame>) -> String {
    match frame {
        None => String::new(),
        Some(Frame::Days(days)) => format!(", {}", days_words(days)),
        Some(Frame::LastMinutes(minutes)) if minutes % 1_440 == 0 => {
            format!(" in the last {}", units(minutes / 1_440, Unit::Day))
        }
        Some(Frame::LastMinutes(minutes)) => format!(" in the last {minutes} minutes"),
    }
}

fn count_words(count: Count) -> String {
    match (count.least, count.most) {
        (0, Some(0)) => "no".to_owned(),
        (least, None) => format!("at least {least}"),
        (least, Some(most)) if least == most => format!("exactly {least}"),
        (0, Some(most)) => format!("at most {most}"),
        (least, Some(most)) => format!("{least} to {most}"),
    }
}

fn end_words(end: End) -> &'static str {
    if end == End::First { "for the first time" } else { "for the last time" }
}

fn channel_words(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "e-mail",
        Channel::Sms => "text messages",
    }
}

fn organization_name(field: &OrganizationField) -> &str {
    match field {
        OrganizationField::Name => "name",
        OrganizationField::ExternalId => "external id",
        OrganizationField::Domain => "domain",
        OrganizationField::Custom(key) => key,
    }
}

fn ticket_name(field: &TicketField) -> &str {
    match field {
        TicketField::Status => "status",
        TicketField::Priority => "priority",
        TicketField::Type => "type",
        TicketField::Channel => "channel",
        TicketField::Rating => "rating",
        TicketField::Tag => "tag",
        TicketField::Brand => "brand",
        TicketField::Group => "group",
        TicketField::CreatedAt => "created at",
        TicketField::UpdatedAt => "updated at",
        TicketField::Custom(key) => key,
    }
}

fn seen_words(seen: &Seen<'_>) -> String {
    let none = || "no value".to_owned();
    match seen {
        Seen::Json(None | Some(Value::Null)) | Seen::Text(None) | Seen::Time(None) | Seen::Texts([]) => none(),
        Seen::Json(Some(Value::String(text))) => quoted(text),
        Seen::Json(Some(other)) => short(&other.to_string()),
        Seen::Text(Some(text)) => quoted(text),
        Seen::Texts(texts) => list(texts.iter().take(NAMED).map(|one| quoted(one)).collect(), texts.len(), "none"),
        Seen::Number(number) => number.to_string(),
        Seen::Time(Some(at)) => time(*at),
    }
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", short(text))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::TicketFacts;
    use crate::rules::filter::evaluate::explain;
    use crate::rules::filter::read;
    use chrono::{TimeZone, Utc};
    use serde_json::json;

    #[test]
    fn conditions_are_told_with_what_was_found() {
        let now = Utc.with_ymd_and_hms(2026, 4, 1, 12, 0, 0).single().expect("a time");
        let moment = Moment { now, zone: chrono_tz::UTC };
        let mut facts = Facts { audiences: ["vips".to_owned()].into(), ..Facts::default() };
        facts.fields.insert("zd.tier".into(), json!("gold"));
        facts.tickets.push(TicketFacts { id: 7, status: Some("open".into()), ..TicketFacts::default() });
        facts.activities.push(("zd.ticket.created".into(), now, serde_json::Map::new()));
        facts.rollups.push(("zd.ticket.created".into(), now, now));
        let check = |written: Value, holds: bool, expected: &str, found: &str| {
            let filter = read(&written).expect("a filter");
            let told = explain(&filter, &facts, moment);
            let words = told.words.expect("words");
            assert_eq!((told.holds, words.0.as_str(), words.1.as_str()), (holds, expected, found), "{written}");
        };
        check(json!({"field": "zd.tier", "is": "silver"}), false, "zd.tier is \"silver\"", "\"gold\"");
        check(json!({"field": "zd.open_tickets", "greater_than": 1}), false, "zd.open_tickets is greater than 1", "1");
        check(json!({"field": "zd.last_rating", "is": "bad"}), false, "zd.last_rating is \"bad\"", "no value");
        check(
            json!({"activity": "zd.ticket.created", "count": ">= 3", "within": "30 days"}),
            false,
            "zd.ticket.created: at least 3 times, less than 30 days ago",
            "1 times; the last of all at 2026-04-01 12:00 UTC",
        );
        check(
            json!({"tickets": [{"field": "status", "is": "solved"}], "count": ">= 1"}),
            false,
            "at least 1 tickets whose status is \"solved\"",
            "0 of 1; of the newest, 7: status \"open\"",
        );
        check(json!({"consent": "email"}), false, "consent to e-mail is granted", "unknown");
        check(json!({"audience": "vips"}), true, "in audience vips", "in it");
    }
}
