//! An activation's file (TOML) → its definition, and what is wrong with a file, with its place.
//! Unknown keys are refused, and every number and text has a limit.

use super::ground::{Ground, Kind};
use super::mapping::{mappings, tags};
use super::personal;
pub use super::place::ReadError;
use super::place::{Place, audience_name, name, short, whole_number, word};
use super::schedule;
use super::source::origin;
use super::target::custom_field;
use crate::model::activation::{Activation, Guards, Key, KeyKind, Origin, Phones, Rows, Target, When};
use crate::model::filter::Field;
use chrono::DateTime;
use chrono_tz::Tz;
use serde_json::Value;
use std::collections::BTreeSet;

/// Largest file, in bytes.
const LARGEST: usize = 256 << 10;

/// Most audiences of one activation.
const AUDIENCES: usize = 20;

const KEYS: [&str; 14] = [
    "name",
    "title",
    "source",
    "target",
    "personal_data",
    "consent",
    "phones",
    "memberships",
    "rows",
    "key",
    "when",
    "guards",
    "map",
    "tag",
];

const NAME: &str = "small letters, digits, - and _, beginning with a letter or digit, 100 at most";
const TARGETS: &str = "\"users\", \"organizations\" or \"sell_contacts\"";
const ROWS: &str = "[rows] with audiences = [\"…\"], or with query and key";
const KEY: &str = "\"record_id\", \"external_id\", \"email\" or a custom field";

/// Reads a file.
pub fn read(text: &str) -> Result<Activation, ReadError> {
    if text.len() > LARGEST {
        let problem = format!("{} bytes; at most {LARGEST} are possible", text.len());
        return Err(ReadError { path: "file".into(), problem });
    }
    let written: Value = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let path = format!("line {}", before.matches('\n').count() + 1);
        ReadError { path, problem: error.message().to_owned() }
    })?;
    from_json(&written)
}

/// Reads a definition as it is stored.
pub fn from_json(written: &Value) -> Result<Activation, ReadError> {
    let root = Place { path: String::new(), value: written };
    root.only(&KEYS)?;
    let called = name(&root.need("name", NAME)?, NAME)?;
    let target = word(&root.need("target", TARGETS)?, TARGETS)?;
    let rows = rows(&root.need("rows", ROWS)?, target)?;
    let ground = Ground::new(target, &rows);
    let activation = Activation {
        title: root.get("title").map_or(Ok(called.as_str()), |place| short(&place, 100))?.to_owned(),
        source: name(&root.need("source", "the name of a connected source")?, "the name of a connected source")?,
        target,
        key: key(&root, &ground)?,
        mappings: mappings(&root, &ground)?,
        tags: tags(&root, &ground)?,
        memberships: root.get("memberships").map_or(Ok(false), |place| place.truth())?,
        when: when(&root, &ground)?,
        guards: guards(&root)?,
        consent: root.get("consent").map(|place| word(&place, "\"email\" or \"sms\"")).transpose()?,
        personal_data: personal_data(&root)?,
        phones: root.get("phones").map_or(Ok(Phones::E164), |place| word(&place, "\"e164\" or \"us\""))?,
        written: written.clone(),
        name: called,
        rows: rows.clone(),
    };
    whole(&root, &activation, &ground)?;
    Ok(activation)
}

fn rows(place: &Place<'_>, target: Target) -> Result<Rows, ReadError> {
    place.only(&["audiences", "query", "key", "timeout_secs", "max_rows"])?;
    match (place.get("audiences"), place.get("query")) {
        (Some(list), None) => {
            place.only(&["audiences"])?;
            let names: Vec<String> = list.items()?.iter().map(audience_name).collect::<Result<_, _>>()?;
            let once: BTreeSet<&String> = names.iter().collect();
            match names.is_empty() || names.len() > AUDIENCES || once.len() < names.len() {
                true => Err(list.wrong(&format!("1 to {AUDIENCES} names of audiences, each once"))),
                false => Ok(Rows::Audiences(names)),
            }
        }
        (None, Some(sql)) => {
            let key = short(&place.need("key", "the column that tells rows apart, such as \"person_id\"")?, 63)?;
            if key == "person_id" && target == Target::Organizations {
                return Err(place.problem_at(
                    "key",
                    "people are no organizations; give \"organization_id\" or a column of its own",
                ));
            }
            let number = |key, most, usual| place.get(key).map_or(Ok(usual), |place| whole_number(&place, 1, most));
            Ok(Rows::Query {
                sql: short(&sql, 20_000)?.to_owned(),
                key: key.to_owned(),
                timeout_secs: number("timeout_secs", 600, 60)? as u32,
                max_rows: number("max_rows", 10_000_000, 1_000_000)?,
            })
        }
        (Some(_), Some(query)) => Err(query.problem("cannot stand beside \"audiences\"; rows come from one of them")),
        (None, None) => Err(place.wrong(ROWS)),
    }
}

fn key(root: &Place<'_>, ground: &Ground<'_>) -> Result<Key, ReadError> {
    let sell = ground.target == Target::SellContacts;
    let Some(place) = root.get("key") else {
        // Which records stand for a person or an organization is known; of anything else, and in Sell, it is not.
        return match sell || ground.kind == Kind::Columns {
            true => Err(root.missing("key", "[key] with by and from, by which a row finds its record")),
            false => Ok(Key { by: KeyKind::RecordId, from: None, create: false }),
        };
    };
    place.only(&["by", "from", "create"])?;
    let by_place = place.need("by", KEY)?;
    let by = match by_place.text()? {
        "record_id" => KeyKind::RecordId,
        "external_id" => KeyKind::ExternalId,
        "email" => KeyKind::Email,
        name if name.contains('.') => KeyKind::Field(custom_field(&by_place, ground.target)?),
        _ => return Err(by_place.wrong(KEY)),
    };
    if sell && by != KeyKind::Email {
        return Err(by_place.problem("contacts of Zendesk Sell are found by \"email\" only"));
    }
    let known = by == KeyKind::RecordId && ground.kind != Kind::Columns;
    let from = match (place.get("from"), ground.rows) {
        (Some(from), _) if known => return Err(from.problem("leave it out: which record stands for a row is known")),
        (Some(from), _) => Some(key_origin(&from, ground)?),
        (None, _) if known => None,
        (None, Rows::Query { key, .. }) if ground.kind == Kind::Columns => Some(Origin::Column(key.clone())),
        (None, _) => return Err(place.missing("from", "what finds the record, such as \"external_id\"")),
    };
    let create = place.get("create").map_or(Ok(false), |place| place.truth())?;
    if create && !matches!(by, KeyKind::ExternalId | KeyKind::Email) {
        let why = "records are created by external_id or email only: Zendesk keeps these unique, so none is made twice";
        return Err(place.problem_at("create", why));
    }
    if create && ground.kind == Kind::Organizations {
        let why = "organizations that the CDP knows are there already; rows of a query with another key can be created";
        return Err(place.problem_at("create", why));
    }
    Ok(Key { by, from, create })
}

/// What may find a record: a text that the row has of its own.
fn key_origin(place: &Place<'_>, ground: &Ground<'_>) -> Result<Origin, ReadError> {
    let found = origin(place.text()?).filter(|found| match found {
        Origin::Field(field) => matches!(field, Field::System(_) | Field::Custom(_)),
        Origin::FullName => ground.kind == Kind::Organizations,
        other => matches!(other, Origin::Column(_)),
    });
    let expected = "a field such as \"external_id\" or \"zd.number\", or a column such as \"column.id\"";
    ground.hold(place, found.ok_or_else(|| place.wrong(expected))?)
}

fn when(root: &Place<'_>, ground: &Ground<'_>) -> Result<When, ReadError> {
    let Some(place) = root.get("when") else { return Ok(When::default()) };
    place.only(&["always", "cron", "zone", "after_sync"])?;
    let truth = |key| place.get(key).map_or(Ok(false), |place: Place<'_>| place.truth());
    let always = truth("always")?;
    if always && matches!(ground.rows, Rows::Query { .. }) {
        let why = "a query does not say which changes concern it; give a cron or after_sync";
        return Err(place.problem_at("always", why));
    }
    let zone_expected = "a time zone such as \"Europe/Amsterdam\"";
    let zone: Option<Tz> =
        place.get("zone").map(|zone| zone.text()?.parse().map_err(|_| zone.wrong(zone_expected))).transpose()?;
    let cron = place.get("cron").map(|cron| clock(&cron, zone)).transpose()?;
    match (cron, zone) {
        (None, Some(_)) => Err(place.problem_at("zone", "stands beside \"cron\" only")),
        (cron, zone) => Ok(When { always, cron: cron.map(|cron| (cron, zone)), after_sync: truth("after_sync")? }),
    }
}

/// Five fields of cron: minute, hour, day, month, day of the week; a time that comes, whenever it is looked at.
fn clock(place: &Place<'_>, zone: Option<Tz>) -> Result<String, ReadError> {
    let text = short(place, 100)?;
    match schedule::check(text, zone.unwrap_or(Tz::UTC), DateTime::UNIX_EPOCH) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => Err(place.wrong(
            "five fields of cron: minute, hour, day, month, day of the week, such as \"0 6 * * 1-5\", of a time that comes",
        )),
    }
}

fn guards(root: &Place<'_>) -> Result<Guards, ReadError> {
    let usual = Guards::default();
    let Some(place) = root.get("guards") else { return Ok(usual) };
    place.only(&[
        "max_changed",
        "max_changed_percent",
        "max_cleared",
        "max_created",
        "max_failed_percent",
        "alert_skipped_percent",
        "stages",
    ])?;
    let number = |key, usual| place.get(key).map_or(Ok(usual), |place| whole_number(&place, 0, 100_000_000));
    let share = |key, usual| match place.get(key) {
        None => Ok(usual),
        Some(place) => {
            let share = place.value.as_f64().filter(|share| (0.0..=100.0).contains(share));
            share.ok_or_else(|| place.wrong("percent, from 0 to 100"))
        }
    };
    Ok(Guards {
        max_changed: number("max_changed", usual.max_changed)?,
        max_changed_percent: share("max_changed_percent", usual.max_changed_percent)?,
        max_cleared: number("max_cleared", usual.max_cleared)?,
        max_created: number("max_created", usual.max_created)?,
        max_failed_percent: share("max_failed_percent", usual.max_failed_percent)?,
        alert_skipped_percent: share("alert_skipped_percent", usual.alert_skipped_percent)?,
        stages: place.get("stages").map_or(Ok(usual.stages), |place| place.truth())?,
    })
}

fn personal_data(root: &Place<'_>) -> Result<BTreeSet<String>, ReadError> {
    let Some(list) = root.get("personal_data") else { return Ok(BTreeSet::new()) };
    let items = list.items()?;
    if items.len() > 100 {
        return Err(list.wrong("100 names at most"));
    }
    let one = |item: &Place<'_>| match origin(item.text()?) {
        Some(_) => Ok(item.text()?.to_owned()),
        None => Err(item.wrong("a field such as \"email\", \"name\" or \"zd.birthday\"")),
    };
    items.iter().map(one).collect()
}

/// What only shows in the definition as a whole.
fn whole(root: &Place<'_>, activation: &Activation, ground: &Ground<'_>) -> Result<(), ReadError> {
    let mapped = |to: &str| activation.mappings.iter().any(|mapping| mapping.to == to);
    let people = ground.kind == Kind::People;
    if activation.mappings.is_empty() && activation.tags.is_empty() && !activation.memberships {
        return Err(root.missing("map", "at least one [[map]] or [[tag]]"));
    }
    if activation.memberships && !(people && activation.target == Target::Users) {
        return Err(root.problem_at("memberships", "only people written to users have memberships"));
    }
    if activation.consent.is_some() && !people {
        return Err(root.problem_at("consent", ground.no_people()));
    }
    if activation.target == Target::SellContacts && !mapped("last_name") {
        return Err(root.missing("map", "a mapping to \"last_name\", which Zendesk Sell asks of every contact"));
    }
    if activation.target == Target::Organizations
        && activation.key.create
        && activation.key.by == KeyKind::ExternalId
        && !mapped("name")
    {
        return Err(root.missing("map", "a mapping to \"name\", without which no organization is created"));
    }
    match personal::undeclared(activation, &BTreeSet::new()).first() {
        Some(problem) => Err(root.problem_at("personal_data", problem)),
        None => Ok(()),
    }
}
