//! Liquid templates of mappings: parsed once, bounded in time and size.
//!
//! They see `person` (system fields, `name`, `created_at`, and custom fields as `person['zd.tier']`; of an organization its own), `summary`
//! (`summary.open_tickets`), `rollup` (`rollup['zd.ticket.created'].count`, `.first`, `.last`), `audience`
//! (`audience['unhappy'].status`, `.entered_at`, `.exited_at`) and `row` (the columns of the query). What is known and has no value renders
//! as nothing; a name that is not known is refused, so that a mistyped one does not clear a field. Names are written out: they say what is
//! read (`mention.rs`).
//!
//! There are no loops, no includes and no capturing; filters take and give at most 16 KiB, and the whole at most 64 KiB. `date` does not
//! know the present: the same row gives the same text.

use super::mention::mentions;
use super::part::{field_in, name_in, rollup, stay};
use crate::model::activation::{AudiencePart, Origin, RollupPart};
use crate::model::field::SystemField;
use crate::model::filter::Field;
use crate::model::push::Fault;
use crate::model::row::{Needed, RowFacts, Stay};
use chrono::DateTime;
use chrono_tz::Tz;
use liquid::model::{KString, Value as Liquid};
use liquid::{Object, Parser, ParserBuilder};
use liquid_core::parser::{FilterArguments, FilterReflection, ParseFilter};
use liquid_core::{Filter, Runtime, ValueView};
use liquid_lib::stdlib;
use serde_json::Value;
use std::fmt::{self, Debug, Display, Write};
use std::sync::{Arc, LazyLock};

/// Bytes of what a filter takes and gives, of what the filters take that repeat a text, and of the whole.
const FILTERED: usize = 16 * 1024;
const REPEATED: usize = 2 * 1024;
const RENDERED: usize = 64 * 1024;

/// A template that was understood.
#[derive(Clone)]
pub struct Template {
    parsed: Arc<liquid::Template>,
    names: Arc<Vec<Origin>>,
}

impl Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.names)
    }
}

/// Reads a template.
///
/// # Errors
/// What is not understood, in words.
pub fn parse(text: &str) -> Result<Template, String> {
    let names = mentions(text)?;
    let parsed = PARSER.parse(text).map_err(|error| error.to_string().trim_start_matches("liquid: ").to_owned())?;
    Ok(Template { parsed: Arc::new(parsed), names: Arc::new(names) })
}

impl Template {
    /// Adds what it looks at.
    pub fn need(&self, needed: &mut Needed) {
        for name in self.names.iter() {
            match name {
                Origin::Field(Field::System(field)) => _ = needed.system.insert(*field),
                Origin::Field(Field::Custom(key)) => _ = needed.custom.insert(key.clone()),
                Origin::Field(Field::Summary(_)) => needed.summary = true,
                Origin::FullName => needed.system.extend([SystemField::FirstName, SystemField::LastName]),
                Origin::Rollup(kind, _) => _ = needed.rollups.insert(kind.clone()),
                _ => {}
            }
        }
    }

    /// The text for one row; a fault when a name is not known, a filter cannot take what it is given, or it is too long.
    pub fn render(&self, row: &RowFacts, audiences: &[String], zone: Tz) -> Result<Value, Fault> {
        let mut out = Bounded(Vec::new());
        match self.parsed.render_to(&mut out, &self.globals(row, audiences, zone)) {
            Ok(()) => Ok(Value::String(String::from_utf8_lossy(&out.0).into_owned())),
            // Only the first line: what follows may quote a value.
            Err(error) => {
                let error = error.to_string();
                let line = error.lines().next().unwrap_or_default().trim_start_matches("liquid: ");
                Err(Fault::new("template", format!("the template cannot be filled in: {line}")))
            }
        }
    }

    /// What it names, with the row's values.
    fn globals(&self, row: &RowFacts, audiences: &[String], zone: Tz) -> Object {
        let [mut person, mut summary, mut rollups, mut columns, mut stays]: [Object; 5] =
            std::array::from_fn(|_| Object::new());
        for name in self.names.iter() {
            match name {
                Origin::Field(field @ Field::Summary(_)) => {
                    let value = liquid(&field_in(field, row, zone));
                    summary.insert(field.name().trim_start_matches("zd.").to_owned().into(), value.clone());
                    person.insert(field.name().to_owned().into(), value);
                }
                Origin::Field(field) => {
                    person.insert(field.name().to_owned().into(), liquid(&field_in(field, row, zone)));
                }
                Origin::FullName => _ = person.insert("name".into(), liquid(&name_in(row))),
                Origin::Rollup(kind, _) => _ = rollups.insert(kind.clone().into(), of_rollup(row, kind, zone)),
                Origin::Column(name) => {
                    if let Some(value) = row.columns.get(name) {
                        columns.insert(name.clone().into(), liquid(value));
                    }
                }
                Origin::Audience(name, _) => {
                    if let Some(place) = audiences.iter().position(|known| known == name) {
                        stays.insert(name.clone().into(), of_stay(row.stays.get(place).copied().flatten(), zone));
                    }
                }
                _ => {}
            }
        }
        let all =
            [("person", person), ("summary", summary), ("rollup", rollups), ("row", columns), ("audience", stays)];
        all.into_iter().map(|(name, object)| (KString::from_static(name), Liquid::Object(object))).collect()
    }
}

fn of_rollup(row: &RowFacts, kind: &str, zone: Tz) -> Liquid {
    let part = |part| row.person.as_ref().map_or(Liquid::Nil, |person| liquid(&rollup(person, kind, part, zone)));
    let parts = [("first", RollupPart::First), ("last", RollupPart::Last), ("count", RollupPart::Count)];
    Liquid::Object(parts.into_iter().map(|(name, of)| (KString::from_static(name), part(of))).collect())
}

fn of_stay(known: Option<Stay>, zone: Tz) -> Liquid {
    let parts = [
        ("status", AudiencePart::Status),
        ("entered_at", AudiencePart::EnteredAt),
        ("exited_at", AudiencePart::ExitedAt),
    ];
    let value = |part| liquid(&stay(known, part, zone));
    Liquid::Object(parts.into_iter().map(|(name, part)| (KString::from_static(name), value(part))).collect())
}

fn liquid(value: &Value) -> Liquid {
    match value {
        Value::Null => Liquid::Nil,
        Value::Bool(truth) => Liquid::scalar(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Liquid::scalar(whole),
            None => Liquid::scalar(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Liquid::scalar(text.clone()),
        Value::Array(all) => Liquid::Array(all.iter().map(liquid).collect()),
        Value::Object(all) => {
            Liquid::Object(all.iter().map(|(key, value)| (key.clone().into(), liquid(value))).collect())
        }
    }
}

/// Takes so many bytes and no more.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > RENDERED {
            return Err(std::io::Error::other("longer than 64 KiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    macro_rules! filters {
        ($builder:expr, $($name:ident)*) => { $builder$(.filter(Box::new(Limited(stdlib::$name)) as Box<dyn ParseFilter>))* };
    }
    let builder = ParserBuilder::new()
        .tag(stdlib::AssignTag)
        .block(stdlib::RawBlock)
        .block(stdlib::IfBlock)
        .block(stdlib::UnlessBlock)
        .block(stdlib::CaseBlock)
        .block(stdlib::CommentBlock);
    let builder = filters!(builder, Abs Append AtLeast AtMost Capitalize Ceil Compact Date Default DividedBy Downcase Escape First Floor
        Join Last Lstrip Minus Modulo Plus Prepend Remove RemoveFirst Replace ReplaceFirst Reverse Round Rstrip Size Slice Sort SortNatural
        Split Strip StripHtml StripNewlines Times Truncate TruncateWords Uniq Upcase UrlEncode);
    builder.build().expect("the filters have different names")
});

/// A filter of the standard library, with bounds.
#[derive(Clone)]
struct Limited<F>(F);

impl<F: ParseFilter + Clone + 'static> ParseFilter for Limited<F> {
    fn parse(&self, arguments: FilterArguments<'_>) -> liquid_core::Result<Box<dyn Filter>> {
        let name = self.0.reflection().name();
        let takes = if ["join", "replace", "replace_first"].contains(&name) { REPEATED } else { FILTERED };
        Ok(Box::new(LimitedFilter { filter: self.0.parse(arguments)?, takes, is_date: name == "date" }))
    }

    fn reflection(&self) -> &dyn FilterReflection {
        self.0.reflection()
    }
}

#[derive(Debug)]
struct LimitedFilter {
    filter: Box<dyn Filter>,
    takes: usize,
    is_date: bool,
}

impl Display for LimitedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.filter, f)
    }
}

impl Filter for LimitedFilter {
    fn evaluate(&self, input: &dyn ValueView, runtime: &dyn Runtime) -> liquid_core::Result<Liquid> {
        check_size(input, self.takes)?;
        let is_now = |text: &str| ["now", "today"].contains(&text.trim().to_ascii_lowercase().as_str());
        if self.is_date && is_now(&input.to_kstr()) {
            return Err(liquid_core::Error::with_msg("the present is not known here"));
        }
        // Our times, in the form that the filter reads.
        let time = self.is_date.then(|| DateTime::parse_from_rfc3339(&input.to_kstr()).ok()).flatten();
        let output = match time {
            Some(time) => {
                self.filter.evaluate(&Liquid::scalar(time.format("%Y-%m-%d %H:%M:%S %z").to_string()), runtime)?
            }
            None => self.filter.evaluate(input, runtime)?,
        };
        check_size(&output, FILTERED)?;
        Ok(output)
    }
}

/// Refuses what is longer than so many bytes, or has as many parts.
fn check_size(value: &dyn ValueView, most: usize) -> liquid_core::Result<()> {
    let parts = value.as_array().map_or(0, |array| array.size().max(0) as usize);
    let mut left = Left(most.saturating_sub(parts));
    match parts < most && write!(left, "{}", value.render()).is_ok() {
        true => Ok(()),
        false => Err(liquid_core::Error::with_msg("too long for a filter")),
    }
}

struct Left(usize);

impl fmt::Write for Left {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::row::{OrganizationRow, PersonFacts};
    use serde_json::json;

    fn facts() -> RowFacts {
        let mut person = PersonFacts { id: 7, ..PersonFacts::default() };
        person.system[SystemField::FirstName] = Some("Ada".into());
        person.fields.insert("zd.tier".into(), json!("gold"));
        person.fields.insert("zd.marks".into(), json!(["a", "b"]));
        person.fields.insert("zd.long".into(), json!("x".repeat(15_000)));
        person.summary.insert("open_tickets".into(), json!(3));
        let at = |text: &str| text.parse().expect("a time");
        person.rollups.insert("zd.ticket.created".into(), (at("2026-01-01T00:30:00Z"), at("2026-02-01T23:30:00Z"), 5));
        let stay = Stay { entered_at: at("2026-03-01T00:00:00Z"), exited_at: None };
        let columns = [("tier".to_owned(), json!("tin"))].into_iter().collect();
        RowFacts { person: Some(person), stays: vec![Some(stay), None], columns, ..RowFacts::default() }
    }

    fn render(text: &str, facts: &RowFacts) -> Result<String, String> {
        let template = parse(text)?;
        let rendered = template.render(facts, &["vips".into(), "others".into()], Tz::Europe__Berlin);
        let rendered = rendered.map_err(|fault| fault.reason)?;
        Ok(rendered.as_str().expect("a text").to_owned())
    }

    #[test]
    fn templates_see_the_row() {
        let check = |text: &str, expected: &str| assert_eq!(render(text, &facts()).as_deref(), Ok(expected), "{text}");
        check("Tier {{ person['zd.tier'] }}", "Tier gold");
        check("{{ person.first_name }} {{ person.last_name }}|{{ person.name | upcase }}|", "Ada |ADA|");
        check("{{ person[\"zd.none\"] | default: 'none' }}", "none");
        check("{{ person['zd.marks'] | join: '+' }}", "a+b");
        check("{{ summary.open_tickets | plus: 1 }} {{ summary.bad_ratings }} {{ summary.last_rating }}", "4 0 ");
        check(
            "{{ rollup['zd.ticket.created'].count }} {{ rollup['zd.ticket.created'].last | date: '%d.%m.%Y' }}",
            "5 02.02.2026",
        );
        check("{{ rollup['zd.x'].count }}{{ rollup['zd.x'].first }}", "0");
        check("{{ audience.vips.status }}/{{ audience['others'].status }}", "realized/");
        check("{{ row.tier }}", "tin");
        check("{% assign t = person['zd.tier'] %}{% if t == 'gold' %}!{% else %}?{% endif %}", "!");
        check("{% case row.tier %}{% when 'tin' %}1{% endcase %}", "1");
    }

    #[test]
    fn templates_see_an_organization() {
        let fields = [("zd.seats".to_owned(), json!(5))].into_iter().collect();
        let acme = OrganizationRow { name: Some("Acme".into()), fields, ..OrganizationRow::default() };
        let facts = RowFacts { organization: Some(acme), ..facts() };
        let text = "{{ person.name }} {{ person.external_id }}{{ person['zd.seats'] }}{{ person['zd.tier'] }}, {{ audience.vips.status }}";
        assert_eq!(render(text, &facts).as_deref(), Ok("Acme 5, realized"));
    }

    #[test]
    fn a_row_without_a_person_renders_too() {
        let check = |text: &str, expected: &str| {
            assert_eq!(render(text, &RowFacts::default()).as_deref(), Ok(expected), "{text}");
        };
        check("[{{ person.first_name }}{{ summary.open_tickets }}]", "[]");
    }

    #[test]
    fn what_is_wrong_is_said_without_values() {
        let check = |text: &str, expected: &str| {
            let error = render(text, &facts()).expect_err("refused");
            assert!(error.contains(expected) && !error.contains("Ada") && !error.contains("gold"), "{text}: {error}");
        };
        check("{{ person.frist_name }}", "person has no");
        check("{{ nobody.first_name }}", "Unknown");
        check("{{ person }}", "written out");
        check("{{ audience.nobody.status }}", "Unknown");
        check("{{ row.nothing }}", "Unknown");
        check("{{ person.first_name | divided_by: 2 }}", "cannot be filled in");
        check("{{ 'now' | date: '%Y' }}", "cannot be filled in");
        check("{{ row.first_name", "not closed");
        check("{{ 1 | shout }}", "Unknown filter");
        check("{% for i in (1..9999999999) %}x{% endfor %}", "Unknown");
        check("{% include 'x' %}", "Unknown");
        check("{% capture x %}1{% endcapture %}", "Unknown");
    }

    #[test]
    fn sizes_are_bounded() {
        let refused = |text: String| assert!(render(&text, &facts()).is_err(), "{text}");
        let doubled = "{% assign a = a | append: a %}".repeat(100);
        refused(format!("{{% assign a = 'xxxxxxxxxxxxxxxx' %}}{doubled}{{{{ a }}}}"));
        refused("{{ person['zd.long'] | replace: '', person['zd.long'] }}".into());
        refused("{{ person['zd.long'] | split: '' | join: person['zd.long'] }}".into());
        refused("{{ person['zd.long'] }}".repeat(6));
    }
}
