//! Files of activations by example: what one says, and what is refused, at its place and in its words.

use super::needs::needs;
use super::read::{from_json, read};
use crate::model::activation::{
    AudiencePart, Conflict, Key, KeyKind, Mapping, Origin, Phones, RollupPart, Rows, Tag, Target, When, Write,
};
use crate::model::consent::Channel;
use crate::model::filter::{Field, Summary};
use proptest::prelude::*;
use serde_json::{Value, json};

const FULL: &str = r#"
name = "support-health"
title = "Support health"
source = "acme"
target = "users"
personal_data = ["email", "name"]
consent = "email"
phones = "us"
memberships = true
[rows]
audiences = ["unhappy"]
[key]
by = "external_id"
from = "zd.number"
create = true
[when]
always = true
cron = "0 6 * * 1-5"
zone = "Europe/Amsterdam"
after_sync = true
[guards]
max_changed = 5
max_failed_percent = 2.5
stages = true
[[map]]
to = "user_fields.open_tickets"
from = "open_tickets"
write = "never_clear"
conflict = "overwrite"
[[map]]
to = "user_fields.unhappy"
audience = "unhappy"
entered_to = "user_fields.unhappy_since"
exited_to = "user_fields.unhappy_until"
[[map]]
to = "user_fields.wrote"
from = "rollup.zd.ticket.created.last"
[[map]]
to = "details"
template = "{{ person.name | default: 'person.phone' }}: {{ person['zd.tier'] }}, {{ audience.unhappy.status }}"
[[map]]
to = "notes"
value = "from Deskbridge"
[[tag]]
tag = "unhappy"
audience = "unhappy"
[[tag]]
tag = "crm:known"
"#;

#[test]
fn a_whole_file() {
    let read = read(FULL).expect("a definition");
    let map = |to: &str, from| Mapping { to: to.into(), from, write: Write::Always, conflict: Conflict::Keep };
    let status = |part| Origin::Audience("unhappy".into(), part);
    assert_eq!(
        (read.name.as_str(), read.title.as_str(), read.target),
        ("support-health", "Support health", Target::Users)
    );
    assert_eq!(read.rows, Rows::Audiences(vec!["unhappy".into()]));
    let from = Some(Origin::Field(Field::Custom("zd.number".into())));
    assert_eq!(read.key, Key { by: KeyKind::ExternalId, from, create: true });
    assert_eq!(
        read.mappings[0],
        Mapping {
            write: Write::NeverClear,
            conflict: Conflict::Overwrite,
            ..map("user_fields.open_tickets", Origin::Field(Field::Summary(Summary::OpenTickets)))
        }
    );
    assert_eq!(
        read.mappings[1..5],
        [
            map("user_fields.unhappy", status(AudiencePart::Status)),
            map("user_fields.unhappy_since", status(AudiencePart::EnteredAt)),
            map("user_fields.unhappy_until", status(AudiencePart::ExitedAt)),
            map("user_fields.wrote", Origin::Rollup("zd.ticket.created".into(), RollupPart::Last)),
        ]
    );
    assert_eq!(read.mappings[6], map("notes", Origin::Constant(json!("from Deskbridge"))));
    let tag = |tag: &str, audience: Option<&str>| Tag { tag: tag.into(), audience: audience.map(str::to_owned) };
    assert_eq!(read.tags, [tag("unhappy", Some("unhappy")), tag("crm:known", None)]);
    let cron = Some(("0 6 * * 1-5".into(), Some(chrono_tz::Europe::Amsterdam)));
    assert_eq!(read.when, When { always: true, cron, after_sync: true });
    assert_eq!((read.guards.max_changed, read.guards.max_cleared, read.guards.stages), (5, 1_000, true));
    assert_eq!((read.consent, read.phones, read.memberships), (Some(Channel::Email), Phones::Us, true));
    assert_eq!(from_json(&read.written).as_ref(), Ok(&read), "what is stored says the same");
    let needed: Vec<String> = needs(&read).into_iter().collect();
    let expected = "activity:zd.ticket.created audience:unhappy consent:email field:first_name field:last_name field:zd.number \
         field:zd.tier organization ticket";
    assert_eq!(needed.join(" "), expected);
}

#[test]
fn organizations_need_no_fields_of_people() {
    let map = "[[map]]\nto = \"details\"\ntemplate = \"{{ person.name }} {{ person['zd.seats'] }}\"\n";
    let read = read(&file("target = \"organizations\"", "", map)).expect("a definition");
    let needed: Vec<String> = needs(&read).into_iter().collect();
    assert_eq!(needed, ["audience:a", "audience:b", "organization"]);
}

/// A small file for users, with these parts put in.
fn file(top: &str, rows: &str, rest: &str) -> String {
    let rows = if rows.is_empty() { "audiences = [\"a\", \"b\"]" } else { rows };
    let target = if top.contains("target =") { "" } else { "target = \"users\"\n" };
    format!("name = \"n\"\nsource = \"acme\"\n{target}{top}\n[rows]\n{rows}\n{rest}")
}

fn check(text: &str, expected: &str) {
    assert_eq!(read(text).map_err(|error| error.to_string()).err().as_deref(), Some(expected), "{text}");
}

const MAP: &str = "[[map]]\nto = \"user_fields.x\"\nfrom = \"zd.x\"\n";
const QUERY: &str = "query = \"SELECT 1\"\nkey = \"id\"";
const PEOPLE: &str = "query = \"SELECT 1\"\nkey = \"person_id\"";

fn with_map(text: &str) -> String {
    file("", "", &format!("[[map]]\n{text}"))
}

#[test]
fn small_files_are_read() {
    for text in [
        file("", "", MAP),
        file("memberships = true", "", ""),
        file("", PEOPLE, &format!("{MAP}[[map]]\nto = \"user_fields.y\"\nfrom = \"column.y\"\n")),
        file("", QUERY, "[key]\nby = \"external_id\"\n[[map]]\nto = \"notes\"\nfrom = \"column.x\"\n"),
        file(
            "target = \"organizations\"",
            "",
            "[[map]]\nto = \"organization_fields.x\"\nfrom = \"zd.x\"\n[[map]]\nto = \"details\"\nfrom = \"name\"\n",
        ),
        file(
            "target = \"organizations\"",
            "query = \"SELECT 1\"\nkey = \"organization_id\"",
            "[[map]]\nto = \"notes\"\nfrom = \"zd.x\"\n[[map]]\nto = \"details\"\nfrom = \"column.y\"\n",
        ),
        file(
            "target = \"sell_contacts\"\npersonal_data = [\"last_name\"]",
            "",
            "[key]\nby = \"email\"\nfrom = \"email\"\n[[map]]\nto = \"last_name\"\nfrom = \"last_name\"\n[[map]]\nto = \"custom_fields.My status\"\naudience = \"a\"\n",
        ),
        // What only finds a record does not go out.
        file("", "", &format!("[key]\nby = \"email\"\nfrom = \"email\"\n{MAP}")),
    ] {
        let activation = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(from_json(&activation.written), Ok(activation), "{text}");
    }
}

#[test]
fn the_example_of_the_readme_is_read() {
    let readme = include_str!("../../../README.md");
    let example =
        readme.split("```toml\n").find(|part| part.starts_with("name = \"support-health\"")).expect("an example");
    let text = example.split("```").next().expect("its text");
    assert_eq!(read(text).map(|activation| activation.mappings.len()), Ok(4));
}

#[test]
fn wrong_parts_at_the_top() {
    check("name = ", "line 1: string values must be quoted, expected literal string");
    check("a = 1\na = 2", "line 2: duplicate key");
    check("name = \"n\"", "target: missing; expected \"users\", \"organizations\" or \"sell_contacts\"");
    check(
        &file("nmae = 1", "", MAP),
        "nmae: unknown here; known are name, title, source, target, personal_data, consent, phones, memberships, rows, key, when, guards, map, tag",
    );
    check(
        &file("target = \"user\"", "", MAP),
        "target: expected \"users\", \"organizations\" or \"sell_contacts\", found \"user\"",
    );
    check(&file("consent = \"mail\"", "", MAP), "consent: expected \"email\" or \"sms\", found \"mail\"");
    check(&file("phones = \"uk\"", "", MAP), "phones: expected \"e164\" or \"us\", found \"uk\"");
    check(&file("title = \"\"", "", MAP), "title: expected a text of 1 to 100 characters, found \"\"");
    check(
        &file("personal_data = [\"mail\"]", "", MAP),
        "personal_data[0]: expected a field such as \"email\", \"name\" or \"zd.birthday\", found \"mail\"",
    );
    check(&file("", "", ""), "map: missing; expected at least one [[map]] or [[tag]]");
    check(
        &file("memberships = true\ntarget = \"organizations\"", "", ""),
        "memberships: only people written to users have memberships",
    );
    check(
        &file("consent = \"sms\"", QUERY, "[key]\nby = \"email\"\n[[tag]]\ntag = \"t\"\n"),
        "consent: the rows are no people; a query whose key is \"person_id\" gives people",
    );
    check(&format!("name = \"{}\"", "x".repeat(300_000)), "file: 300009 bytes; at most 262144 are possible");
}

#[test]
fn wrong_rows_and_keys() {
    let rows = |rows: &str, expected: &str| check(&file("", rows, MAP), expected);
    rows("x = 1", "rows.x: unknown here; known are audiences, query, key, timeout_secs, max_rows");
    rows(
        "key = \"id\"",
        "rows: expected [rows] with audiences = [\"…\"], or with query and key, found {\"key\":\"id\"}",
    );
    rows(
        "audiences = [\"a\"]\nquery = \"SELECT 1\"",
        "rows.query: cannot stand beside \"audiences\"; rows come from one of them",
    );
    rows("audiences = []", "rows.audiences: expected 1 to 20 names of audiences, each once, found []");
    rows(
        "audiences = [\"a\", \"a\"]",
        "rows.audiences: expected 1 to 20 names of audiences, each once, found [\"a\",\"a\"]",
    );
    rows("audiences = [\"A b\"]", "rows.audiences[0]: expected the name of an audience, found \"A b\"");
    rows("audiences = [\"a\"]\nmax_rows = 5", "rows.max_rows: unknown here; known are audiences");
    rows("query = \"SELECT 1\"", "rows.key: missing; expected the column that tells rows apart, such as \"person_id\"");
    rows(&format!("{PEOPLE}\ntimeout_secs = 0"), "rows.timeout_secs: expected a whole number from 1 to 600, found 0");
    rows(
        &format!("{PEOPLE}\nmax_rows = 1e9"),
        "rows.max_rows: expected a whole number from 1 to 10000000, found 1000000000.0",
    );
    rows(QUERY, "key: missing; expected [key] with by and from, by which a row finds its record");
    check(
        &file("target = \"organizations\"", PEOPLE, MAP),
        "rows.key: people are no organizations; give \"organization_id\" or a column of its own",
    );
    let key = |key: &str, expected: &str| check(&file("", "", &format!("[key]\n{key}\n{MAP}")), expected);
    key("by = \"id\"", "key.by: expected \"record_id\", \"external_id\", \"email\" or a custom field, found \"id\"");
    key("by = \"external_id\"", "key.from: missing; expected what finds the record, such as \"external_id\"");
    key("by = \"record_id\"\nfrom = \"external_id\"", "key.from: leave it out: which record stands for a row is known");
    key(
        "by = \"record_id\"\ncreate = true",
        "key.create: records are created by external_id or email only: Zendesk keeps these unique, so none is made twice",
    );
    check(
        &file(
            "target = \"organizations\"",
            "",
            "[key]\nby = \"external_id\"\nfrom = \"external_id\"\ncreate = true\n[[map]]\nto = \"name\"\nfrom = \"name\"",
        ),
        "key.create: organizations that the CDP knows are there already; rows of a query with another key can be created",
    );
    key(
        "by = \"email\"\nfrom = \"open_tickets\"",
        "key.from: expected a field such as \"external_id\" or \"zd.number\", or a column such as \"column.id\", found \"open_tickets\"",
    );
    key("by = \"email\"\nfrom = \"column.mail\"", "key.from: only rows of a query have columns");
    key(
        "by = \"organization_fields.x\"\nfrom = \"zd.x\"",
        "key.by: organization_fields are not fields of users; custom fields of these are written user_fields.KEY",
    );
    key(
        "by = \"email\"\nfrom = \"email\"\ncreate = true",
        "personal_data: key.from gives away \"email\", which is personal data; name it here if it may go to Zendesk",
    );
}

#[test]
fn wrong_times_and_guards() {
    let rest = |rest: &str, expected: &str| check(&file("", "", &format!("{rest}\n{MAP}")), expected);
    let cron = |found: &str| {
        format!(
            "when.cron: expected five fields of cron: minute, hour, day, month, day of the week, such as \"0 6 * * 1-5\", of a time that comes, found {found}"
        )
    };
    rest("[when]\ncron = \"every day\"", &cron("\"every day\""));
    rest("[when]\ncron = \"0 61 * * *\"", &cron("\"0 61 * * *\""));
    rest("[when]\ncron = \"0 0 31 2 *\"", &cron("\"0 0 31 2 *\""));
    rest("[when]\ncron = \"0 0 6 * * *\"", &cron("\"0 0 6 * * *\""));
    rest(
        "[when]\ncron = \"0 6 * * *\"\nzone = \"Mars\"",
        "when.zone: expected a time zone such as \"Europe/Amsterdam\", found \"Mars\"",
    );
    rest("[when]\nzone = \"Europe/Rome\"", "when.zone: stands beside \"cron\" only");
    rest("[when]\nalways = \"yes\"", "when.always: expected true or false, found \"yes\"");
    check(
        &file("", PEOPLE, &format!("[when]\nalways = true\n{MAP}")),
        "when.always: a query does not say which changes concern it; give a cron or after_sync",
    );
    rest("[guards]\nmax_changed = -1", "guards.max_changed: expected a whole number from 0 to 100000000, found -1");
    rest("[guards]\nmax_failed_percent = 101", "guards.max_failed_percent: expected percent, from 0 to 100, found 101");
    rest(
        "[guards]\nmax = 1",
        "guards.max: unknown here; known are max_changed, max_changed_percent, max_cleared, max_created, max_failed_percent, alert_skipped_percent, stages",
    );
}

#[test]
fn wrong_mappings() {
    let map = |text: &str, expected: &str| check(&with_map(text), expected);
    let users = "name, email, phone, alias, details, notes, external_id, locale, time_zone or a custom field such as \"user_fields.tier\"";
    map("from = \"zd.x\"", "map[0].to: missing; expected the target field");
    map("to = \"tier\"\nvalue = 1", &format!("map[0].to: expected {users}, found \"tier\""));
    map("to = \"fields.tier\"\nvalue = 1", &format!("map[0].to: expected {users}, found \"fields.tier\""));
    map(
        "to = \"role\"\nvalue = \"admin\"",
        "map[0].to: role is never written: it decides what a user may do, which activations never change",
    );
    map(
        "to = \"suspended\"\nvalue = true",
        "map[0].to: suspended is never written: who is suspended is decided in Zendesk alone",
    );
    map(
        "to = \"tags\"\nvalue = \"x\"",
        "map[0].to: tags is never written: tags are given by [[tag]], which adds and removes its own and leaves others alone",
    );
    map(
        "to = \"organization_id\"\nvalue = 1",
        "map[0].to: organization_id is never written: writing it would end the user's other memberships; memberships = true adds and removes its own",
    );
    map(
        "to = \"organization_fields.x\"\nvalue = 1",
        "map[0].to: organization_fields are not fields of users; custom fields of these are written user_fields.KEY",
    );
    map(
        "to = \"user_fields.12\"\nvalue = 1",
        "map[0].to: expected user_fields. and the field's key: letters, digits and _, not digits alone, found \"user_fields.12\"",
    );
    map("to = \"notes\"", "map[0]: expected exactly one of from, audience, template, value");
    map(
        "to = \"notes\"\nvalue = 1\nfrom = \"zd.x\"",
        "map[0]: expected exactly one of from, audience, template, value",
    );
    map(
        "to = \"notes\"\nvalue = {}",
        "map[0].value: expected a text, a number, true or false, or a list of texts; a date is written as a text, found {}",
    );
    map(
        "to = \"notes\"\nfrom = \"tier\"",
        "map[0].from: expected a field such as \"email\" or \"zd.tier\", \"name\", \"open_tickets\", \"created_at\", \"rollup.zd.ticket.created.count\", \"consent.email\" or \"column.tier\", found \"tier\"",
    );
    map("to = \"notes\"\nfrom = \"column.x\"", "map[0].from: only rows of a query have columns");
    map(
        "to = \"notes\"\naudience = \"c\"",
        "map[0].audience: audience \"c\" is not among rows.audiences, so its people are not among the rows; add it there",
    );
    map(
        "to = \"notes\"\nvalue = 1\nwrite = \"sometimes\"",
        "map[0].write: expected \"always\", \"if_empty\" or \"never_clear\", found \"sometimes\"",
    );
    map(
        "to = \"notes\"\nvalue = 1\nconflict = \"win\"",
        "map[0].conflict: expected \"keep\" or \"overwrite\", found \"win\"",
    );
    map(
        "to = \"notes\"\nvalue = 1\nentered_to = \"details\"",
        "map[0].entered_to: stands beside \"audience\" only: it takes a date of that audience",
    );
    map(
        "to = \"notes\"\naudience = \"a\"\nexited_to = \"notes\"",
        "map[0].exited_to: \"notes\" is given by map[0].to already",
    );
    map(
        "to = \"notes\"\nvalue = 1\n[[map]]\nto = \"notes\"\nvalue = 2",
        "map[1].to: \"notes\" is given by map[0].to already",
    );
}

#[test]
fn wrong_templates_and_personal_data() {
    let map = |text: &str, expected: &str| check(&with_map(text), expected);
    map(
        "to = \"notes\"\nfrom = \"name\"",
        "personal_data: notes gives away \"name\", which is personal data; name it here if it may go to Zendesk",
    );
    let template = |text: &str, expected: &str| map(&format!("to = \"notes\"\ntemplate = \"{text}\""), expected);
    template(
        "{{ person.email }}",
        "personal_data: notes gives away \"email\", which is personal data; name it here if it may go to Zendesk",
    );
    template(
        "{% assign all = person %}",
        "map[0].template: person must be followed by a name that is written out: person.name or person['a.name']",
    );
    template(
        "{{ person[key] }}",
        "map[0].template: person must be followed by a name that is written out: person.name or person['a.name']",
    );
    template("{{ person.mail }}", "map[0].template: person has no \"mail\"");
    template("{{ row.x }}", "map[0].template: only rows of a query have columns");
    template(
        "{{ audience['c'].status }}",
        "map[0].template: audience \"c\" is not among rows.audiences, so its people are not among the rows; add it there",
    );
    template("{{ person.locale", "map[0].template: a tag is opened and not closed by }}");
}

#[test]
fn wrong_for_the_target_or_rows() {
    check(
        &file("", QUERY, &format!("[key]\nby = \"email\"\n{MAP}")),
        "map[0].from: the rows are no people; a query whose key is \"person_id\" gives people",
    );
    check(
        &file("target = \"organizations\"", "", "[[map]]\nto = \"notes\"\nfrom = \"open_tickets\""),
        "map[0].from: organizations have name, external_id, created_at and zd.KEY only",
    );
    check(
        &file("target = \"organizations\"", "", "[[map]]\nto = \"email\"\nvalue = 1"),
        "map[0].to: expected name, external_id, details, notes or a custom field such as \"organization_fields.tier\", found \"email\"",
    );
    let sell = |rest: &str, expected: &str| check(&file("target = \"sell_contacts\"", "", rest), expected);
    let key = "[key]\nby = \"email\"\nfrom = \"email\"\n";
    sell(
        "[[map]]\nto = \"title\"\nvalue = \"x\"",
        "key: missing; expected [key] with by and from, by which a row finds its record",
    );
    sell(
        "[key]\nby = \"external_id\"\nfrom = \"external_id\"",
        "key.by: contacts of Zendesk Sell are found by \"email\" only",
    );
    sell(
        &format!("{key}[[map]]\nto = \"title\"\nvalue = \"x\""),
        "map: missing; expected a mapping to \"last_name\", which Zendesk Sell asks of every contact",
    );
    sell(
        &format!("{key}[[tag]]\ntag = \"x\""),
        "tag: Zendesk Sell replaces all tags of a contact at once, so none of ours can be told apart",
    );
}

#[test]
fn wrong_tags() {
    let tag = |tag: &str, expected: &str| check(&file("", "", &format!("[[tag]]\n{tag}")), expected);
    let expected = "tag[0].tag: expected a tag of small letters, digits, -, _, : and /, without spaces, 255 characters at most, found";
    tag("tag = \"two words\"", &format!("{expected} \"two words\""));
    tag("tag = \"Big\"", &format!("{expected} \"Big\""));
    tag("tag = \"a,b\"", &format!("{expected} \"a,b\""));
    tag("tag = \"\"", &format!("{expected} \"\""));
    let long = "x".repeat(256);
    tag(&format!("tag = \"{long}\""), &format!("{expected} \"{}…", "x".repeat(59)));
    tag("tag = \"a\"\n[[tag]]\ntag = \"a\"", "tag[1].tag: \"a\" stands here already");
    tag(
        "tag = \"a\"\naudience = \"z\"",
        "tag[0].audience: audience \"z\" is not among rows.audiences, so its people are not among the rows; add it there",
    );
}

/// A file with parts chosen at random.
fn any_file() -> impl Strategy<Value = String> {
    let from = prop_oneof![
        "value = -?[1-9][0-9]{0,8}(\\.[0-9]{1,3})?",
        "value = \"[a-z é€{}%]{0,12}\"",
        Just("from = \"zd.tier\"\nwrite = \"if_empty\"".to_owned()),
        Just("from = \"rollup.zd.ticket.created.first\"".to_owned()),
        Just("audience = \"a\"".to_owned()),
        Just("template = \"{{ summary.open_tickets }} {{ audience['b'].status }}\"".to_owned()),
    ];
    let share =
        (0u32..=1000).prop_map(|share| format!("[guards]\nmax_failed_percent = {:.1}\n", f64::from(share) / 10.0));
    (prop::collection::vec(from, 1..5), share, any::<bool>()).prop_map(|(all, share, always)| {
        let map = |(n, from): (usize, &String)| format!("[[map]]\nto = \"user_fields.f{n}\"\n{from}\n");
        let maps: String = all.iter().enumerate().map(map).collect();
        file("", "", &format!("{share}[when]\nalways = {always}\n{maps}"))
    })
}

proptest! {
    #[test]
    fn what_is_stored_says_the_same_as_the_file(text in any_file()) {
        let activation = read(&text).expect("a definition");
        let stored: Value = serde_json::from_str(&activation.written.to_string()).expect("JSON");
        prop_assert_eq!(from_json(&stored), Ok(activation));
    }

    #[test]
    fn whatever_is_written_is_read_or_refused(text in any::<String>(), part in "[{}%'\"a-z. -]{0,40}") {
        _ = read(&text);
        _ = super::mention::mentions(&text);
        _ = super::mention::mentions(&format!("{{{{ person{part} }}}} {part}"));
    }
}
