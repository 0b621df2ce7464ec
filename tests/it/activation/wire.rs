//! What is written to Zendesk, as the simulated account has it afterwards, and what becomes of calls that go wrong.

use crate::support::{Setup, World};
use deskbridge::model::activation::{KeyKind, Target};
use deskbridge::model::push::{Changes, TargetField};
use deskbridge::model::source::SourceSettings;
use deskbridge::zendesk::client::Client;
use deskbridge::zendesk::decode::JobStatus;
use deskbridge::zendesk::error::Kind;
use deskbridge::zendesk::push::{self, Call, Item, Refusal, Taken};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A connected account and a client of it.
pub async fn wired(account: fn(&mut zendesk_sim::Settings)) -> (World, Arc<Client>) {
    let world = World::new(Setup { users: 20, tickets: 0, account, ..Setup::default() }).await;
    let source = world.connect(SourceSettings::default()).await;
    let client = world.ctx.client(&source).expect("a client");
    (world, client)
}

/// An item that sets fields of a known record.
pub fn known(id: i64, values: Value) -> Item {
    Item { id: Some(id.to_string()), key: None, changes: changes(values), tags: BTreeSet::new() }
}

/// An item that is found by a key.
pub fn keyed(by: KeyKind, key: &str, values: Value) -> Item {
    Item { id: None, key: Some((by, key.to_owned())), changes: changes(values), tags: BTreeSet::new() }
}

pub fn changes(values: Value) -> Changes {
    Changes { values: serde_json::from_value(values).expect("values by name"), ..Changes::default() }
}

/// A customer of the account.
async fn customer(world: &World, more: Value) -> i64 {
    let mut act = json!({"do": "create_user", "name": "Homer Simpson", "role": "end-user"});
    act.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    world.act(act).await["id"].as_i64().expect("an id")
}

async fn truth(world: &World, kind: &str, id: i64) -> Value {
    world.sim.get(&format!("state/{kind}?id={id}")).await
}

/// The end of a job that the account took.
async fn ended(client: &Client, taken: Taken) -> JobStatus {
    let Taken::Job(job) = taken else { panic!("no job: {taken:?}") };
    for _ in 0..100 {
        let jobs = push::jobs(client, std::slice::from_ref(&job.id)).await.expect("an answer");
        if let Some(job) = jobs.into_iter().find(|job| job.status == "completed") {
            return job;
        }
    }
    panic!("the job does not end");
}

#[tokio::test]
async fn users_are_changed_by_id_and_nothing_else_of_them() {
    let (world, client) = wired(|_| {}).await;
    let id =
        customer(&world, json!({"email": "homer@springfield.io", "tags": ["kept"], "notes": "as they were"})).await;
    let before = truth(&world, "users", id).await;
    let field = TargetField {
        name: "user_fields.unhappy".into(),
        kind: "dropdown".into(),
        active: true,
        options: vec!["realized".into()],
        pattern: None,
        max_chars: None,
    };
    push::create_field(&client, Target::Users, &field, "Unhappy").await.expect("a field");
    push::add_option(&client, Target::Users, &field, "exited").await.expect("an option");
    let fields = push::fields(&client, Target::Users).await.expect("fields");
    let made = fields.iter().find(|found| found.name == field.name).expect("the field");
    assert_eq!(
        (made.kind.as_str(), made.options.as_slice()),
        ("dropdown", ["realized", "exited"].map(String::from).as_slice())
    );

    let mut item = known(id, json!({"details": "new", "user_fields.unhappy": "exited"}));
    item.changes.add_tags = BTreeSet::from(["unhappy".to_owned()]);
    item.tags = BTreeSet::from(["kept".to_owned(), "unhappy".to_owned()]);
    let job = ended(&client, push::send(&client, Call::UsersUpdateMany, &[item]).await.expect("taken")).await;
    assert!(job.rows[0].success, "{job:?}");
    let after = truth(&world, "users", id).await;
    assert_eq!((&after["details"], &after["fields"]["unhappy"]), (&json!("new"), &json!("exited")));
    assert_eq!(after["tags"], json!(["kept", "unhappy"]));
    for same in ["name", "email", "notes", "role", "verified", "suspended", "identities", "external_id"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    let cleared = known(id, json!({"details": null, "user_fields.unhappy": null}));
    ended(&client, push::send(&client, Call::UsersUpdateMany, &[cleared]).await.expect("taken")).await;
    let after = truth(&world, "users", id).await;
    assert!(after["fields"]["unhappy"].is_null() && after["details"].as_str().is_none_or(str::is_empty), "{after}");
}

#[tokio::test]
async fn records_are_found_by_each_key() {
    let (world, client) = wired(|_| {}).await;
    let homer = customer(&world, json!({"email": "homer@springfield.io", "external_id": "A-1,x"})).await;
    let marge = customer(&world, json!({"email": "marge@springfield.io", "external_id": "B-2"})).await;
    let found = async |by: KeyKind, values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let found = push::find(&client, Target::Users, &by, &values).await.expect("an answer");
        found.into_iter().map(|found| (found.value, found.remote.id)).collect::<Vec<_>>()
    };
    let (homer, marge) = (homer.to_string(), marge.to_string());
    let pair = |value: &str, id: &str| (value.to_owned(), id.to_owned());
    assert_eq!(found(KeyKind::RecordId, &[&homer, "none", "999999"]).await, [pair(&homer, &homer)]);
    let by_external = found(KeyKind::ExternalId, &["b-2", "A-1,x", "c"]).await;
    assert_eq!(by_external, [pair("b-2", &marge), pair("A-1,x", &homer)]);
    let by_email = found(KeyKind::Email, &["MARGE@springfield.io", "homer@springfield", "\" type:user \""]).await;
    assert_eq!(by_email, [pair("MARGE@springfield.io", &marge)]);
}

#[tokio::test]
async fn who_is_not_there_is_made_without_a_word_to_them() {
    let (world, client) = wired(|_| {}).await;
    let items = [
        keyed(KeyKind::ExternalId, "bart-1", json!({"name": "Bart", "email": "bart@springfield.io"})),
        keyed(KeyKind::Email, "lisa@springfield.io", json!({"name": "Lisa"})),
    ];
    let job = ended(&client, push::send(&client, Call::UsersCreateOrUpdateMany, &items).await.expect("taken")).await;
    let rows: Vec<_> = job.rows.iter().map(|row| (row.success, row.action.as_deref())).collect();
    assert_eq!(rows, [(true, Some("create")), (true, Some("create"))], "{job:?}");
    let made: i64 = job.rows[0].id.as_deref().expect("an id").parse().expect("a number");
    let user = truth(&world, "users", made).await;
    assert_eq!(
        (&user["role"], &user["verified"], &user["email"]),
        (&json!("end-user"), &json!(false), &json!("bart@springfield.io"))
    );
    let single = keyed(KeyKind::ExternalId, "BART-1", json!({"name": "Bartholomew"}));
    let taken = push::send(&client, Call::UserCreateOrUpdate, &[single]).await.expect("taken");
    let Taken::Rows(rows) = taken else { panic!("{taken:?}") };
    assert_eq!((rows[0].id.as_deref(), rows[0].action.as_deref()), (Some(made.to_string().as_str()), Some("update")));
}

/// Sets the account's faults.
async fn faults(world: &World, faults: Value) {
    world.sim.post("faults", faults).await;
}

#[tokio::test]
async fn an_address_is_found_among_all_of_a_user() {
    let (world, client) = wired(|_| {}).await;
    let mut expected = Vec::new();
    for n in 0..3 {
        let email = format!("person{n}@springfield.io");
        let id = customer(&world, json!({"email": email})).await;
        expected.push((email, id.to_string()));
    }
    let homer = customer(&world, json!({"email": "homer@springfield.io"})).await;
    world.act(json!({"do": "update_user", "id": homer, "email": "chunky@springfield.io"})).await;
    let other = truth(&world, "users", homer).await;
    let other =
        other["identities"].as_array().expect("identities").iter().find(|identity| identity["primary"] == false);
    expected.push((other.expect("another address")["value"].as_str().expect("a text").to_owned(), homer.to_string()));
    let values: Vec<String> =
        expected.iter().map(|(email, _)| email.clone()).chain(["nobody@springfield.io".into()]).collect();
    let found = push::find(&client, Target::Users, &KeyKind::Email, &values).await.expect("an answer");
    let mut found: Vec<_> = found.into_iter().map(|found| (found.value, found.remote.id)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let alone = push::find(&client, Target::Users, &KeyKind::Email, &values[3..4]).await.expect("an answer");
    assert_eq!(alone.len(), 1);
}

#[tokio::test]
async fn what_is_certainly_not_taken_is_told_from_what_nobody_knows() {
    let (world, client) =
        wired(|account| account.jobs = serde_json::from_value(json!({"in_flight": 1, "poll_ms": 0})).ok()).await;
    let id = customer(&world, json!({"email": "homer@springfield.io"})).await;
    let item = known(id, json!({"details": "new"}));
    let items = std::slice::from_ref(&item);
    let path = "/users/update_many";
    let check = async |fault: Value, expected: &str| {
        faults(&world, fault).await;
        let told = push::send(&client, Call::UsersUpdateMany, items).await.expect_err("refused");
        assert!(format!("{told:?}").starts_with(expected), "{told:?}");
    };
    check(json!({"forbidden_paths": [path]}), "Api(").await;
    check(json!({"missing_paths": [path]}), "Api(").await;
    check(json!({"html_paths": [path]}), "Unknown(").await;
    check(json!({"empty_body_paths": [path]}), "Unknown(").await;
    check(json!({"truncate_paths": [path]}), "Unknown(").await;
    check(json!({"http_500_share": 1.0}), "Unknown(").await;
    check(json!({"http_503_share": 1.0}), "Unknown(").await;
    faults(&world, json!({})).await;
    // The cut answer belonged to a job that was taken: it fills the only place.
    let told = push::send(&client, Call::UsersUpdateMany, items).await;
    assert_eq!(told, Err(Refusal::TooManyJobs));
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_what_it_lacks() {
    let world = World::new(Setup { users: 5, tickets: 0, ..Setup::default() }).await;
    let request = |settings: SourceSettings| deskbridge::pipeline::lifecycle::Connect {
        workspace: 1,
        account: &world.sim.url,
        name: Some("acme"),
        credentials: world.sim.client_credentials(),
        manual_webhook: None,
        settings,
    };
    let connected = deskbridge::pipeline::lifecycle::connect(&world.ctx, request(SourceSettings::default())).await;
    let mut source = connected.expect("connected").source;
    let client = world.ctx.client(&source).expect("a client");
    let id = customer(&world, json!({"email": "homer@springfield.io"})).await;
    let item = known(id, json!({"details": "new"}));
    let upsert = keyed(KeyKind::Email, "homer@springfield.io", json!({"details": "new"}));
    for (call, item) in
        [(Call::UsersUpdateMany, &item), (Call::UsersCreateOrUpdateMany, &upsert), (Call::UserUpdate, &item)]
    {
        let told = push::send(&client, call, std::slice::from_ref(item)).await.expect_err("refused");
        let Refusal::Api(error) = told else { panic!("{told:?}") };
        assert_eq!(error.kind, Kind::MissingScope);
        assert!(error.kind.remedy().contains("--write"), "{}", error.kind.remedy());
    }
    source.settings.write = true;
    deskbridge::pipeline::lifecycle::reconnect(&world.ctx, source, None, None).await.expect("reconnected");
    let source = world.source().await;
    assert!(source.settings.write, "it is remembered");
    let client = world.ctx.client(&source).expect("a client");
    ended(&client, push::send(&client, Call::UsersUpdateMany, &[item]).await.expect("taken")).await;
    assert_eq!(truth(&world, "users", id).await["details"], "new");
}
