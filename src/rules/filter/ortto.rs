//! Filters in Ortto's operator grammar (R53), so that they can be pasted: groups of leaves `{"$str::is": {"field_id", "value"}}`.
//!
//! Keys that only decorate (`label`, `name`, `icon`, `formData` …) are ignored. What stands inside an activity's
//! condition is published nowhere; it is read as `{"times": "…", "within": "…", "attributes": [leaf, …]}` beside its
//! `field_id`, in the words of [`super::readable`].

use super::read::{DEEPEST, FilterError, Place, bounded, count, days, frame, unit};
use crate::model::consent::Channel;
use crate::model::day::{Days, Distance, Side, Unit};
use crate::model::field::SystemField;
use crate::model::filter::{
    About, Activity, Asked, Condition, Count, End, Field, Filter, NumberTest, OrganizationField, Test, TextTest,
};
use serde_json::Value;

/// Reads a filter.
pub fn read(value: &Value) -> Result<Filter, FilterError> {
    bounded(filter(&Place::root(value), 0)?)
}

/// Whether a value is written in this grammar rather than the readable one.
pub fn is_ortto(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.keys().any(|key| key.starts_with('$')))
}

fn filter(place: &Place<'_>, depth: usize) -> Result<Filter, FilterError> {
    if depth > DEEPEST {
        return Err(place.problem(format!("groups stand more than {DEEPEST} deep in each other")));
    }
    let (operator, inner) = operator(place)?;
    let group =
        |inner: &Place<'_>| inner.items()?.iter().map(|item| filter(item, depth + 1)).collect::<Result<Vec<_>, _>>();
    match operator {
        "$and" | "$andgroup" => Ok(Filter::All(group(&inner)?)),
        "$or" | "$orgroup" => Ok(Filter::Any(group(&inner)?)),
        operator => condition(place, operator, &inner).map(Filter::Is),
    }
}

/// The one operator of an object; all else in it decorates.
fn operator<'a>(place: &Place<'a>) -> Result<(&'a str, Place<'a>), FilterError> {
    let expected = "an object with one operator, such as {\"$and\": [...]} or {\"$str::is\": {\"field_id\": \"str::email\", \"value\": \"...\"}}";
    let object = place.value.as_object().ok_or_else(|| place.wrong(expected))?;
    let mut operators = object.keys().filter(|key| key.starts_with('$'));
    let (Some(key), None) = (operators.next(), operators.next()) else { return Err(place.wrong(expected)) };
    Ok((key, place.need(key, expected)?))
}

fn condition(place: &Place<'_>, operator: &str, inner: &Place<'_>) -> Result<Condition, FilterError> {
    let zone = inner.get("timezone").filter(|zone| zone.value.as_str().is_some_and(|text| !text.is_empty()));
    let zone = zone.map(|zone| zone.text()?.parse().map_err(|_| zone.wrong("a time zone such as \"Europe/Berlin\"")));
    let zone = zone.transpose()?;
    let about = match operator {
        "$is_member_of" | "$is_not_member_of" => {
            let audience = inner.get("value").or_else(|| inner.get("audience_id")).unwrap_or_else(|| inner.clone());
            About::Member { audience: audience.text()?.to_owned(), member: operator == "$is_member_of" }
        }
        operator if operator.starts_with("$act::") => About::Activity(activity(place, operator, inner)?),
        operator => field(inner, test(place, operator, inner)?)?,
    };
    Ok(Condition { about, zone })
}

/// What a field id names, together with its test. `type:namespace:name`; system fields have no namespace.
fn field(inner: &Place<'_>, test: Test) -> Result<About, FilterError> {
    let id = inner.need("field_id", "a field such as \"str::email\" or \"str:zd:tier\"")?;
    let parts: Vec<&str> = id.text()?.split(':').collect();
    let system = |field| Ok(About::Person(Field::System(field), test.clone()));
    let consent = |channel| match test {
        Test::Bool(granted) => Ok(About::Consent { channel, granted }),
        _ => Err(id.problem("a permission is tested with \"$bol::is\"")),
    };
    match parts[..] {
        [_, "", "first"] => system(SystemField::FirstName),
        [_, "", "last"] => system(SystemField::LastName),
        [_, "", "email"] => system(SystemField::Email),
        [_, "", "phone"] => system(SystemField::Phone),
        [_, "", "ei"] => system(SystemField::ExternalId),
        [_, "", "language"] => system(SystemField::Locale),
        [_, "", "timezone"] => system(SystemField::TimeZone),
        [_, "", "created" | "created_at"] => Ok(About::Person(Field::CreatedAt, test)),
        [_, "", "p"] => consent(Channel::Email),
        [_, "", "sp"] => consent(Channel::Sms),
        [_, "o", "name"] => Ok(About::Organization(vec![(OrganizationField::Name, test)])),
        [_, "o", "website"] => Ok(About::Organization(vec![(OrganizationField::Domain, test)])),
        [_, space, name] if !space.is_empty() && !name.is_empty() => {
            let name = format!("{space}.{name}");
            let field = Field::parse(&name).ok_or_else(|| id.wrong("a field id"))?;
            Ok(About::Person(field, test))
        }
        ["tags"] => Ok(About::Person(Field::Custom("zd.tags".into()), test)),
        _ => Err(id.wrong("a field id such as \"str::email\", \"bol::p\", \"str:o:name\" or \"str:zd:tier\"")),
    }
}

fn test(place: &Place<'_>, operator: &str, inner: &Place<'_>) -> Result<Test, FilterError> {
    let value = || inner.need("value", "the value to compare with");
    let text = |test| Ok(Test::Text(test, value()?.text()?.to_owned()));
    let number = |test: fn(f64) -> NumberTest| Ok(Test::Number(test(value()?.number()?)));
    match operator {
        "$has_any_value" => Ok(Test::AnyValue),
        "$has_no_value" => Ok(Test::NoValue),
        "$str::is" => text(TextTest::Is),
        "$str::is_not" => text(TextTest::IsNot),
        "$str::contains" => text(TextTest::Contains),
        "$str::does_not_contain" => text(TextTest::DoesNotContain),
        "$str::starts_with" => text(TextTest::StartsWith),
        "$str::ends_with" => text(TextTest::EndsWith),
        "$int::is" => number(NumberTest::Is),
        "$int::is_not" => number(NumberTest::IsNot),
        "$int::greater_than" => number(NumberTest::GreaterThan),
        "$int::less_than" => number(NumberTest::LessThan),
        "$int::between" => pair(&value()?).map(|(from, to)| Test::Number(NumberTest::Between(from, to))),
        "$int::not_between" => pair(&value()?).map(|(from, to)| Test::Number(NumberTest::NotBetween(from, to))),
        "$bol::is" => Ok(Test::Bool(value()?.truth()?)),
        "$geo::is" | "$id_is" => Ok(Test::Text(TextTest::Is, name(&value()?)?)),
        "$geo::is_not" | "$id_is_not" => Ok(Test::Text(TextTest::IsNot, name(&value()?)?)),
        "$id_set_is" | "$id_set_is_not" => {
            let names: Result<_, _> = value()?.items()?.iter().map(name).collect();
            Ok(Test::OneOf(operator == "$id_set_is", names?))
        }
        operator => match operator.strip_prefix("$dtz::") {
            Some(operator) => when(place, operator, inner).map(Test::Day),
            None => Err(unknown(place, operator)),
        },
    }
}

fn unknown(place: &Place<'_>, operator: &str) -> FilterError {
    FilterError {
        path: format!("{}.{operator}", place.path),
        problem: "no such operator; known are $and, $or, $andgroup, $orgroup, $has_any_value, $has_no_value, $str::…, $int::…, \
                  $bol::is, $geo::…, $dtz::…, $id_is, $id_is_not, $id_set_is, $id_set_is_not, $act::…, $is_member_of, $is_not_member_of"
            .into(),
    }
}

/// A place or an option, by its name or id.
fn name(value: &Place<'_>) -> Result<String, FilterError> {
    let named = value.get("name").or_else(|| value.get("id"));
    Ok(named.unwrap_or_else(|| value.clone()).text()?.to_owned())
}

fn pair(value: &Place<'_>) -> Result<(f64, f64), FilterError> {
    let named = value.get("from").or_else(|| value.get("min")).zip(value.get("to").or_else(|| value.get("max")));
    if let Some((from, to)) = named {
        return Ok((from.number()?, to.number()?));
    }
    match value.items()?.as_slice() {
        [from, to] => Ok((from.number()?, to.number()?)),
        _ => Err(value.wrong("a list of two numbers, or {\"from\", \"to\"}")),
    }
}

fn when(place: &Place<'_>, operator: &str, inner: &Place<'_>) -> Result<Days, FilterError> {
    let value = || inner.need("value", "the day or number of days to compare with");
    let relative = |distance| {
        let (number, unit, side) = span(&value()?)?;
        Ok(Days::Relative { distance, number, unit, side: side.unwrap_or(Side::Ago) })
    };
    let occurs = |distance| {
        let (number, unit, _) = span(&value()?)?;
        Ok(Days::Relative { distance, number, unit, side: Side::Ahead })
    };
    let age = |distance| {
        let (number, unit, _) = span(&value()?)?;
        Ok(Days::Age { distance, number, unit })
    };
    match operator {
        "absolute_on" => Ok(Days::On(day(&value()?)?)),
        "absolute_before" => Ok(Days::Before(day(&value()?)?)),
        "absolute_after" => Ok(Days::After(day(&value()?)?)),
        "absolute_between" => {
            let value = value()?;
            let ends = "{\"from\", \"to\"}";
            Ok(Days::Between(day(&value.need("from", ends)?)?, day(&value.need("to", ends)?)?))
        }
        "relative_exactly" => relative(Distance::Exactly),
        "relative_less_than" => relative(Distance::LessThan),
        "relative_more_than" => relative(Distance::MoreThan),
        "age_exactly" => age(Distance::Exactly),
        "age_less_than" => age(Distance::LessThan),
        "age_more_than" => age(Distance::MoreThan),
        "occurs_in" => occurs(Distance::Exactly),
        "occurs_in_less_than" => occurs(Distance::LessThan),
        "occurs_in_more_than" => occurs(Distance::MoreThan),
        "anniversary" => Ok(Days::Anniversary),
        _ => Err(unknown(place, &format!("$dtz::{operator}"))),
    }
}

/// A day as text or as `{"year", "month", "day"}`.
fn day(value: &Place<'_>) -> Result<chrono::NaiveDate, FilterError> {
    if !value.value.is_object() {
        return value.day();
    }
    let part = |key: &str| value.need(key, "a number")?.whole();
    let (year, month, day) = (part("year")?, part("month")?, part("day")?);
    let found = i32::try_from(year).ok().and_then(|year| chrono::NaiveDate::from_ymd_opt(year, month, day));
    found.ok_or_else(|| value.wrong("a day of the calendar"))
}

/// A number of days, or `{"value", "unit", "direction"}`.
fn span(value: &Place<'_>) -> Result<(u32, Unit, Option<Side>), FilterError> {
    if !value.value.is_object() {
        return Ok((value.whole()?, Unit::Day, None));
    }
    let number = value.need("value", "a number of units")?.whole()?;
    let unit = match value.get("unit").or_else(|| value.get("timeframe")) {
        Some(word) => unit(word.text()?).ok_or_else(|| word.wrong("days, weeks, months or years"))?,
        None => Unit::Day,
    };
    let side = match value.get("direction") {
        Some(word) => match word.text()? {
            "past" | "ago" | "before" => Some(Side::Ago),
            "future" | "ahead" | "after" => Some(Side::Ahead),
            _ => return Err(word.wrong("\"past\" or \"future\"")),
        },
        None => None,
    };
    Ok((number, unit, side))
}

fn activity(place: &Place<'_>, operator: &str, inner: &Place<'_>) -> Result<Activity, FilterError> {
    let id = inner.need("field_id", "an activity such as \"act:zd:ticket.created\"")?;
    let parts: Vec<&str> = id.text()?.split(':').collect();
    let kind = match parts[..] {
        [_, space, name] if !space.is_empty() && !name.is_empty() => format!("{space}.{name}"),
        _ => return Err(id.wrong("an activity such as \"act:zd:ticket.created\"")),
    };
    let attributes = match inner.get("attributes") {
        Some(list) => list.items()?.iter().map(attribute).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let within = inner.get("within").map(|within| frame(&within)).transpose()?;
    let asked = match operator {
        "$act::has_occurred" => {
            Asked::Times(inner.get("times").map_or(Ok(Count::SOME), |times| count(&times))?, within)
        }
        "$act::has_not_occurred" => Asked::Times(Count::NONE, within),
        "$act::first" | "$act::last" => {
            let end = if operator == "$act::first" { End::First } else { End::Last };
            let value = inner.need("value", "days in words, or a $dtz:: operator")?;
            match is_ortto(value.value) {
                true => {
                    let (key, leaf) = self::operator(&value)?;
                    let days = key.strip_prefix("$dtz::").ok_or_else(|| unknown(&value, key))?;
                    Asked::When(end, when(&value, days, &leaf)?)
                }
                false => Asked::When(end, days(&value)?),
            }
        }
        operator => return Err(unknown(place, operator)),
    };
    Ok(Activity { kind, attributes, asked })
}

/// A leaf about an attribute: its `field_id` is the attribute's name, with or without a type before it.
fn attribute(place: &Place<'_>) -> Result<(String, Test), FilterError> {
    let (operator, inner) = operator(place)?;
    let id = inner.need("field_id", "an attribute's name")?;
    let name = id.text()?.rsplit(':').next().filter(|name| !name.is_empty()).ok_or_else(|| id.wrong("a name"))?;
    Ok((name.to_owned(), test(place, operator, &inner)?))
}
