//! The database and the evaluator decide every filter alike: random people, random filters, the seed printed.

use crate::support;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use deskbridge::db::audience_answers::answers;
use deskbridge::db::audience_find::find;
use deskbridge::model::audience::Definition;
use deskbridge::model::consent::{Channel, ConsentState};
use deskbridge::model::day::{Days, Distance, Side, Unit};
use deskbridge::model::field::SystemField;
use deskbridge::model::filter::*;
use deskbridge::rules::audience::{edges, next_edge};
use deskbridge::rules::filter::evaluate::{Facts, OrganizationFacts, TicketFacts, holds};
use deskbridge::rules::filter::words::explain;
use rand::prelude::IndexedRandom;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use sqlx::{Connection, PgConnection};

const WORDS: [&str; 8] = ["", "Gold", "gold", "GOLD plan", "o", "Иван", "100%_", "a'b"];
const KEYS: [&str; 3] = ["zd.tier", "zd.seats", "cm.renewal"];
const KINDS: [&str; 2] = ["zd.ticket.created", "zd.satisfaction.rated"];
const STATUSES: [&str; 4] = ["new", "open", "solved", "closed"];

fn now() -> DateTime<Utc> {
    "2026-03-31T22:30:00Z".parse().expect("a time")
}

/// One of a few, so that filters often find something.
fn word(rng: &mut StdRng) -> String {
    (*WORDS.choose(rng).expect("a word")).to_owned()
}

fn maybe<T>(rng: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    rng.random_bool(0.7).then(|| make(rng))
}

/// Times that are often near a day's end somewhere.
fn time(rng: &mut StdRng) -> DateTime<Utc> {
    now() - Duration::minutes(rng.random_range(-3..=60 * 24 * 40)) + Duration::minutes(30)
}

fn value(rng: &mut StdRng) -> Value {
    match rng.random_range(0..9) {
        0 => Value::Null,
        1 => json!(rng.random_range(-2..5)),
        2 => json!(2.5),
        3 => json!(rng.random_bool(0.5)),
        4 => json!([word(rng), word(rng)]),
        5 => json!([]),
        6 => json!([1, word(rng)]),
        7 => json!(["2026-03-31T00:00:00Z", "1990-02-29", "2026-04-01", "2026-03-2", "soon"].choose(rng)),
        _ => json!(word(rng)),
    }
}

fn object(rng: &mut StdRng) -> Map<String, Value> {
    KEYS.iter().filter_map(|key| maybe(rng, |rng| ((*key).to_owned(), value(rng)))).collect()
}

fn facts(rng: &mut StdRng) -> Facts {
    let mut facts = Facts { fields: object(rng), created_at: time(rng), ..Facts::default() };
    for field in SystemField::ALL {
        facts.system[field] = maybe(rng, word);
    }
    facts.email_consent = *[ConsentState::Granted, ConsentState::Unknown].choose(rng).expect("a state");
    facts.organizations = (0..rng.random_range(0..3)).map(|_| organization(rng)).collect();
    facts.tickets = (0..rng.random_range(0..4)).map(|_| ticket(rng)).collect();
    for _ in 0..rng.random_range(0..5) {
        let kind = (*KINDS.choose(rng).expect("a kind")).to_owned();
        facts.activities.push((kind, time(rng), object(rng)));
    }
    for kind in KINDS {
        let mut times: Vec<_> = facts.activities.iter().filter(|(of, ..)| of == kind).map(|(_, at, _)| *at).collect();
        times.sort();
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            facts.rollups.push((kind.to_owned(), *first, *last));
        }
    }
    facts
}

fn organization(rng: &mut StdRng) -> OrganizationFacts {
    let domains = (0..rng.random_range(0..3)).map(|_| word(rng)).collect();
    OrganizationFacts { name: maybe(rng, word), external_id: maybe(rng, word), domains, fields: object(rng) }
}

fn ticket(rng: &mut StdRng) -> TicketFacts {
    let rating = maybe(rng, |rng| (*["good", "bad", "offered"].choose(rng).expect("a rating")).to_owned());
    TicketFacts {
        id: rng.random_range(1..i64::MAX),
        subject: maybe(rng, word),
        status: maybe(rng, |rng| (*STATUSES.choose(rng).expect("a status")).to_owned()),
        priority: maybe(rng, word),
        kind: maybe(rng, word),
        channel: maybe(rng, word),
        rating_at: rating.is_some().then(|| time(rng)),
        rating,
        brand: maybe(rng, word),
        group: maybe(rng, word),
        tags: (0..rng.random_range(0..3)).map(|_| word(rng)).collect(),
        created_at: maybe(rng, time),
        updated_at: maybe(rng, time),
        fields: maybe(rng, |rng| Map::from_iter([("42".to_owned(), value(rng))])).unwrap_or_default(),
    }
}

async fn store(db: &mut PgConnection, id: i64, facts: &Facts) {
    let system = |field| facts.system[field].clone();
    sqlx::query(
        "INSERT INTO person (workspace_id, id, first_name, last_name, email, phone, locale, time_zone, external_id, fields,
             email_consent, sms_consent, created_at, updated_at, created_source_id, created_record)
         VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'unknown', $11, $11, 1, '')",
    )
    .bind(id)
    .bind(system(SystemField::FirstName))
    .bind(system(SystemField::LastName))
    .bind(system(SystemField::Email))
    .bind(system(SystemField::Phone))
    .bind(system(SystemField::Locale))
    .bind(system(SystemField::TimeZone))
    .bind(system(SystemField::ExternalId))
    .bind(Value::Object(facts.fields.clone()))
    .bind(facts.email_consent.as_str())
    .bind(facts.created_at)
    .execute(&mut *db)
    .await
    .expect("a person");
    for (n, organization) in facts.organizations.iter().enumerate() {
        store_organization(db, id, n as i64, organization).await;
    }
    for ticket in &facts.tickets {
        store_ticket(db, id, ticket).await;
    }
    for (kind, at, attributes) in &facts.activities {
        sqlx::query(
            "INSERT INTO activity (workspace_id, occurred_at, id, person_id, original_person_id, source_id, type, attributes, origin, recorded_at)
             VALUES (1, $1, gen_random_uuid(), $2, $2, 1, $3, $4, 1, $1)",
        )
        .bind(at)
        .bind(id)
        .bind(kind)
        .bind(Value::Object(attributes.clone()))
        .execute(&mut *db)
        .await
        .expect("an activity");
    }
    for (kind, first, last) in &facts.rollups {
        sqlx::query("INSERT INTO activity_rollup VALUES (1, $1, $2, $3, $4, 1)")
            .bind(id)
            .bind(kind)
            .bind(first)
            .bind(last)
            .execute(&mut *db)
            .await
            .expect("a rollup");
    }
}

async fn store_organization(db: &mut PgConnection, id: i64, n: i64, organization: &OrganizationFacts) {
    let record = format!("{id}-{n}");
    sqlx::query(
        "INSERT INTO organization (workspace_id, id, source_id, record_id, name, external_id, domains, fields, seen, created_at, updated_at)
         VALUES (1, $1, $2, $3, $4, $5, $6, $7, 0, $8, $8)",
    )
    .bind(id * 10 + n)
    .bind(n + 1)
    .bind(&record)
    .bind(&organization.name)
    .bind(&organization.external_id)
    .bind(&organization.domains)
    .bind(Value::Object(organization.fields.clone()))
    .bind(now())
    .execute(&mut *db)
    .await
    .expect("an organization");
    sqlx::query(
        "INSERT INTO person_source (workspace_id, source_id, record_id, person_id, status, organization_record_id, seen)
         VALUES (1, $1, $2, $3, 'active', $2, 0)",
    )
    .bind(n + 1)
    .bind(&record)
    .bind(id)
    .execute(&mut *db)
    .await
    .expect("a membership");
}

async fn store_ticket(db: &mut PgConnection, person: i64, ticket: &TicketFacts) {
    sqlx::query(
        "INSERT INTO ticket (workspace_id, source_id, id, person_id, subject, status, priority, type, channel, rating, rating_at,
             brand_id, group_id, tags, created_at, updated_at, fields, version_at, seen)
         VALUES (1, 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0)",
    )
    .bind(ticket.id)
    .bind(person)
    .bind(&ticket.subject)
    .bind(&ticket.status)
    .bind(&ticket.priority)
    .bind(&ticket.kind)
    .bind(&ticket.channel)
    .bind(&ticket.rating)
    .bind(ticket.rating_at)
    .bind(&ticket.brand)
    .bind(&ticket.group)
    .bind(&ticket.tags)
    .bind(ticket.created_at)
    .bind(ticket.updated_at)
    .bind(Value::Object(ticket.fields.clone()))
    .bind(now())
    .execute(db)
    .await
    .expect("a ticket");
}

fn days(rng: &mut StdRng) -> Days {
    let distance = *[Distance::Exactly, Distance::LessThan, Distance::MoreThan].choose(rng).expect("one");
    let unit = *[Unit::Day, Unit::Day, Unit::Week, Unit::Month, Unit::Year].choose(rng).expect("one");
    let number = if rng.random_bool(0.05) { 4_000_000_000 } else { rng.random_range(0..12) };
    let day = |rng: &mut StdRng| NaiveDate::from_ymd_opt(2026, 3, rng.random_range(1..=31)).expect("a day");
    match rng.random_range(0..7) {
        0 => Days::On(day(rng)),
        1 => Days::Before(day(rng)),
        2 => Days::After(day(rng)),
        3 => Days::Between(day(rng), day(rng)),
        4 => Days::Age { distance, number, unit },
        5 => Days::Anniversary,
        _ => {
            let side = if rng.random_bool(0.7) { Side::Ago } else { Side::Ahead };
            Days::Relative { distance, number, unit, side }
        }
    }
}

fn test(rng: &mut StdRng) -> Test {
    use TextTest::*;
    let text = *[Is, IsNot, Contains, DoesNotContain, StartsWith, EndsWith].choose(rng).expect("one");
    let (one, other) = (f64::from(rng.random_range(-2..5)), f64::from(rng.random_range(-2..5)));
    let numbers = [
        NumberTest::Is(one),
        NumberTest::IsNot(one),
        NumberTest::GreaterThan(one),
        NumberTest::LessThan(one),
        NumberTest::Between(one, other),
        NumberTest::NotBetween(one, other),
    ];
    match rng.random_range(0..10) {
        0 => Test::AnyValue,
        1 => Test::NoValue,
        2 => Test::OneOf(rng.random_bool(0.5), (0..rng.random_range(0..3)).map(|_| word(rng)).collect()),
        3 | 4 => Test::Number(*numbers.choose(rng).expect("one")),
        5 => Test::Bool(rng.random_bool(0.5)),
        6 | 7 => Test::Day(days(rng)),
        _ => Test::Text(
            text,
            if rng.random_bool(0.3) { STATUSES.choose(rng).expect("one").to_string() } else { word(rng) },
        ),
    }
}

fn count(rng: &mut StdRng) -> Count {
    let least = rng.random_range(0..3);
    Count { least, most: maybe(rng, |rng| least + rng.random_range(0..3)) }
}

fn condition(rng: &mut StdRng) -> Condition {
    let key = || KEYS[0].to_owned();
    let custom = |rng: &mut StdRng| (*KEYS.choose(rng).expect("a key")).to_owned();
    let about = match rng.random_range(0..12) {
        0 | 1 => About::Person(Field::System(*SystemField::ALL.choose(rng).expect("one")), test(rng)),
        2..=4 => About::Person(Field::Custom(custom(rng)), test(rng)),
        5 => About::Person(Field::CreatedAt, test(rng)),
        6 => About::Person(Field::Summary(*Summary::ALL.choose(rng).expect("one")), test(rng)),
        7 => About::Consent { channel: Channel::Email, granted: rng.random_bool(0.5) },
        8 => {
            let fields = [
                OrganizationField::Name,
                OrganizationField::ExternalId,
                OrganizationField::Domain,
                OrganizationField::Custom(key()),
            ];
            About::Organization(
                (0..rng.random_range(0..3)).map(|_| (fields.choose(rng).expect("one").clone(), test(rng))).collect(),
            )
        }
        9 | 10 => {
            let fields: Vec<TicketField> =
                TicketField::names().iter().copied().chain(["zd.42"]).filter_map(TicketField::parse).collect();
            let tests =
                (0..rng.random_range(0..3)).map(|_| (fields.choose(rng).expect("one").clone(), test(rng))).collect();
            About::Tickets(tests, count(rng))
        }
        _ => About::Activity(activity(rng)),
    };
    let zones = [None, Some(chrono_tz::Tz::Pacific__Auckland), Some(chrono_tz::Tz::America__Los_Angeles)];
    Condition { about, zone: *zones.choose(rng).expect("one") }
}

fn activity(rng: &mut StdRng) -> Activity {
    let kind = (*KINDS.choose(rng).expect("a kind")).to_owned();
    if rng.random_bool(0.3) {
        let end = if rng.random_bool(0.5) { End::First } else { End::Last };
        return Activity { kind, attributes: Vec::new(), asked: Asked::When(end, days(rng)) };
    }
    let attributes =
        (0..rng.random_range(0..2)).map(|_| (KEYS[rng.random_range(0..3)].to_owned(), test(rng))).collect();
    let frame = maybe(rng, |rng| match rng.random_bool(0.5) {
        true => Frame::LastMinutes(rng.random_range(1..30_000)),
        false => Frame::Days(days(rng)),
    });
    Activity { kind, attributes, asked: Asked::Times(count(rng), frame) }
}

fn filter(rng: &mut StdRng, depth: u32) -> Filter {
    let parts = |rng: &mut StdRng| (0..rng.random_range(0..4)).map(|_| filter(rng, depth + 1)).collect();
    match rng.random_range(0..4 + depth * 3) {
        0 => Filter::All(parts(rng)),
        1 => Filter::Any(parts(rng)),
        _ => Filter::Is(condition(rng)),
    }
}

#[tokio::test]
async fn the_database_decides_filters_as_the_evaluator_does() {
    let seed = std::env::var("DESKBRIDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut db = PgConnection::connect(&support::database()).await.expect("the database answers");
    // A few lie far from the others, so that both ways to tell whom a part is about are taken.
    let ids: Vec<i64> = (1..=60).map(|id| if id > 55 { id << 30 } else { id }).collect();
    let people: Vec<(i64, Facts)> = ids.iter().map(|id| (*id, facts(&mut rng))).collect();
    for (id, facts) in &people {
        store(&mut db, *id, facts).await;
    }
    let moment = Moment { now: now(), zone: chrono_tz::Tz::Europe__Berlin };
    let (mut found_some, mut found_all) = (0, 0);
    for round in 0..800 {
        let filter = filter(&mut rng, 0);
        let expected: Vec<i64> =
            people.iter().filter(|(_, facts)| holds(&filter, facts, moment)).map(|(id, _)| *id).collect();
        let found = find(&mut db, 1, &filter, moment).await;
        let found = found.unwrap_or_else(|error| panic!("seed {seed} round {round}: {filter:?}: {error}"));
        let differ = people.iter().find(|(id, _)| expected.contains(id) != found.contains(id));
        assert_eq!(
            found, expected,
            "seed {seed} round {round}: {filter:?}\nfirst to differ: {differ:?}\nat {moment:?}"
        );
        let some: Vec<i64> = (0..10).map(|_| ids[rng.random_range(0..60)]).collect();
        let conditions = filter.conditions();
        let told = answers(&mut db, 1, &conditions, &some, moment).await;
        let told = told.unwrap_or_else(|error| panic!("seed {seed} round {round}: {filter:?}: {error}"));
        for id in &some {
            let place = |condition| conditions.iter().position(|known| std::ptr::eq(*known, condition)).expect("asked");
            let holds = filter.holds(&|condition| told[id][place(condition)]);
            assert_eq!(holds, expected.contains(id), "seed {seed} round {round}, asked about {id}: {filter:?}");
        }
        let told = explain(&filter, &people[0].1, moment);
        assert_eq!(told.holds, found.contains(&1), "seed {seed} round {round}");
        found_some += usize::from(!found.is_empty() && found.len() < people.len());
        found_all += found.len();
    }
    assert!(found_some > 300, "filters that tell people apart: {found_some}, found {found_all}");
}

#[test]
fn whom_a_new_day_concerns_is_on_its_edge() {
    let seed = std::env::var("DESKBRIDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = StdRng::seed_from_u64(seed);
    let slides = |condition: &&Condition| matches!(&condition.about, About::Activity(of) if matches!(of.asked, Asked::Times(_, Some(Frame::LastMinutes(_)))));
    let mut concerned = 0;
    for round in 0..150_000 {
        let entry = match rng.random_bool(0.1) {
            true => filter(&mut rng, 0),
            false => Filter::Is(condition(&mut rng)),
        };
        if entry.conditions().iter().any(slides) {
            continue;
        }
        let zone = chrono_tz::Tz::Europe__Berlin;
        let (then, after) = (now(), now() + Duration::minutes(rng.random_range(1..60 * 24 * 4)));
        let at = |now| Moment { now, zone };
        let definition = Definition {
            name: "a".into(),
            title: "a".into(),
            reentry: false,
            entry: entry.clone(),
            exit: None,
            written: Value::Null,
        };
        if next_edge(&definition, zone, then).is_none() {
            continue;
        }
        let edges = edges(&definition, zone, then, after);
        for facts in (0..8).map(|_| facts(&mut rng)) {
            if holds(&entry, &facts, at(then)) != holds(&entry, &facts, at(after)) {
                concerned += 1;
                let found = edges.iter().any(|(filter, moment)| holds(filter, &facts, *moment));
                assert!(found, "seed {seed} round {round}: {entry:?}\n{facts:?}\nfrom {then} to {after}: {edges:?}");
            }
        }
    }
    assert!(concerned > 300, "days that concern somebody: {concerned}");
}
