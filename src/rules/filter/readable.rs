//! Filters as people write them, in TOML or JSON: `{ all = [ { field = "zd.tier", is = "gold" }, … ] }`.
//! Unknown keys are refused: a slip of the pen must not widen an audience.

use super::read::{DEEPEST, FilterError, Place, bounded, count, days, frame};
use crate::model::consent::Channel;
use crate::model::filter::{
    About, Activity, Asked, Condition, Count, End, Field, Filter, Frame, NumberTest, OrganizationField, Test, TextTest,
    TicketField,
};
use serde_json::Value;

/// Reads a filter.
pub fn read(value: &Value) -> Result<Filter, FilterError> {
    bounded(filter(&Place::root(value), 0)?)
}

fn filter(place: &Place<'_>, depth: usize) -> Result<Filter, FilterError> {
    if depth > DEEPEST {
        return Err(place.problem(format!("groups stand more than {DEEPEST} deep in each other")));
    }
    let parts = |key: &str| -> Result<Option<Vec<Filter>>, FilterError> {
        let Some(list) = place.get(key) else { return Ok(None) };
        place.only(&[key])?;
        list.items()?.iter().map(|item| filter(item, depth + 1)).collect::<Result<_, _>>().map(Some)
    };
    if let Some(parts) = parts("all")? {
        return Ok(Filter::All(parts));
    }
    if let Some(parts) = parts("any")? {
        return Ok(Filter::Any(parts));
    }
    condition(place).map(Filter::Is)
}

const KINDS: &str = "a table with one of all, any, field, consent, organization, tickets, activity, audience";

fn condition(place: &Place<'_>) -> Result<Condition, FilterError> {
    let kinds = ["field", "consent", "organization", "tickets", "activity", "audience"];
    let kind = kinds.into_iter().find(|kind| place.value.get(kind).is_some()).ok_or_else(|| place.wrong(KINDS))?;
    let zone = place
        .get("zone")
        .map(|zone| zone.text()?.parse().map_err(|_| zone.wrong("a time zone such as \"Europe/Berlin\"")));
    let zone = zone.transpose()?;
    let subject = place.need(kind, KINDS)?;
    let about = match kind {
        "field" => {
            let name = subject.text()?;
            let field = Field::parse(name).ok_or_else(|| subject.wrong("a field such as \"email\" or \"zd.tier\""))?;
            About::Person(field, test(place, &["field", "zone"])?)
        }
        "consent" => consent(place, &subject)?,
        "organization" => About::Organization(tests(&subject, "field", organization_field)?),
        "tickets" => {
            place.only(&["tickets", "count", "zone"])?;
            let number = place.get("count").map_or(Ok(Count::SOME), |place| count(&place))?;
            About::Tickets(tests(&subject, "field", ticket_field)?, number)
        }
        "activity" => About::Activity(activity(place, &subject)?),
        _ => {
            place.only(&["audience", "member"])?;
            let member = place.get("member").map_or(Ok(true), |place| place.truth())?;
            About::Member { audience: subject.text()?.to_owned(), member }
        }
    };
    Ok(Condition { about, zone })
}

fn consent(place: &Place<'_>, subject: &Place<'_>) -> Result<About, FilterError> {
    place.only(&["consent", "granted"])?;
    let channel = match subject.text()? {
        "email" => Channel::Email,
        "sms" => Channel::Sms,
        _ => return Err(subject.wrong("\"email\" or \"sms\"")),
    };
    let granted = place.get("granted").map_or(Ok(true), |place| place.truth())?;
    Ok(About::Consent { channel, granted })
}

fn activity(place: &Place<'_>, subject: &Place<'_>) -> Result<Activity, FilterError> {
    place.only(&["activity", "where", "count", "within", "on", "first", "last", "zone"])?;
    let kind = subject.text()?.to_owned();
    let attributes = match place.get("where") {
        Some(list) => tests(&list, "attribute", |name, _| Ok(name.to_owned()))?,
        None => Vec::new(),
    };
    for (key, end) in [("first", End::First), ("last", End::Last)] {
        if let Some(when) = place.get(key) {
            place.only(&["activity", key, "zone"])?;
            return Ok(Activity { kind, attributes, asked: Asked::When(end, days(&when)?) });
        }
    }
    let number = place.get("count").map_or(Ok(Count::SOME), |place| count(&place))?;
    let within = match (place.get("within"), place.get("on")) {
        (Some(within), None) => Some(frame(&within)?),
        (None, Some(on)) => Some(Frame::Days(days(&on)?)),
        (None, None) => None,
        (Some(_), Some(on)) => return Err(on.problem("cannot stand beside \"within\"")),
    };
    Ok(Activity { kind, attributes, asked: Asked::Times(number, within) })
}

/// A list of tests, each of a thing that its `key` names.
fn tests<T>(
    list: &Place<'_>,
    key: &str,
    name: impl Fn(&str, &Place<'_>) -> Result<T, FilterError>,
) -> Result<Vec<(T, Test)>, FilterError> {
    let one = |item: &Place<'_>| {
        let subject = item.need(key, "a name")?;
        Ok((name(subject.text()?, &subject)?, test(item, &[key])?))
    };
    list.items()?.iter().map(one).collect()
}

fn organization_field(name: &str, place: &Place<'_>) -> Result<OrganizationField, FilterError> {
    match name {
        "name" => Ok(OrganizationField::Name),
        "external_id" => Ok(OrganizationField::ExternalId),
        "domain" => Ok(OrganizationField::Domain),
        name if name.contains('.') => Ok(OrganizationField::Custom(name.to_owned())),
        _ => Err(place.wrong("name, external_id, domain or a custom field such as \"zd.plan\"")),
    }
}

fn ticket_field(name: &str, place: &Place<'_>) -> Result<TicketField, FilterError> {
    match TicketField::parse(name) {
        Some(field) => Ok(field),
        None => Err(place.wrong(&format!("{} or a custom field such as \"zd.42\"", TicketField::names().join(", ")))),
    }
}

const TESTS: [&str; 14] = [
    "is",
    "is_not",
    "contains",
    "does_not_contain",
    "starts_with",
    "ends_with",
    "one_of",
    "none_of",
    "has_value",
    "greater_than",
    "less_than",
    "between",
    "not_between",
    "when",
];

/// The one test of a table that otherwise holds only `beside`.
fn test(place: &Place<'_>, beside: &[&str]) -> Result<Test, FilterError> {
    let known: Vec<&str> = beside.iter().copied().chain(TESTS).collect();
    place.only(&known)?;
    let mut found = TESTS.iter().filter_map(|key| Some((*key, place.get(key)?)));
    let expected = format!("exactly one of {}", TESTS.join(", "));
    let (Some((key, value)), None) = (found.next(), found.next()) else { return Err(place.wrong(&expected)) };
    let text = |test| Ok(Test::Text(test, value.text()?.to_owned()));
    match key {
        "is" => equal(&value, TextTest::Is),
        "is_not" => equal(&value, TextTest::IsNot),
        "contains" => text(TextTest::Contains),
        "does_not_contain" => text(TextTest::DoesNotContain),
        "starts_with" => text(TextTest::StartsWith),
        "ends_with" => text(TextTest::EndsWith),
        "one_of" | "none_of" => {
            let texts: Result<_, _> = value.items()?.iter().map(|item| item.text().map(str::to_owned)).collect();
            Ok(Test::OneOf(key == "one_of", texts?))
        }
        "has_value" => Ok(if value.truth()? { Test::AnyValue } else { Test::NoValue }),
        "greater_than" => Ok(Test::Number(NumberTest::GreaterThan(value.number()?))),
        "less_than" => Ok(Test::Number(NumberTest::LessThan(value.number()?))),
        "between" => pair(&value).map(|(from, to)| Test::Number(NumberTest::Between(from, to))),
        "not_between" => pair(&value).map(|(from, to)| Test::Number(NumberTest::NotBetween(from, to))),
        _ => Ok(Test::Day(days(&value)?)),
    }
}

/// `is` and `is_not` take the type of their value.
fn equal(value: &Place<'_>, test: TextTest) -> Result<Test, FilterError> {
    match value.value {
        Value::String(text) => Ok(Test::Text(test, text.clone())),
        Value::Number(_) if test == TextTest::Is => Ok(Test::Number(NumberTest::Is(value.number()?))),
        Value::Number(_) => Ok(Test::Number(NumberTest::IsNot(value.number()?))),
        Value::Bool(wanted) => Ok(Test::Bool(*wanted == (test == TextTest::Is))),
        _ => Err(value.wrong("a text, a number, true or false")),
    }
}

fn pair(value: &Place<'_>) -> Result<(f64, f64), FilterError> {
    match value.items()?.as_slice() {
        [from, to] => Ok((from.number()?, to.number()?)),
        _ => Err(value.wrong("a list of two numbers")),
    }
}
