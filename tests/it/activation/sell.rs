//! Zendesk Sell: an account of its own kind, whose contacts are written by e-mail.

use super::wire::{changes, keyed, known};
use crate::support::{Setup, World, with_sell};
use deskbridge::model::activation::{KeyKind, Target};
use deskbridge::model::source::{Credentials, SourceState};
use deskbridge::pipeline::connect::LifecycleError;
use deskbridge::pipeline::lifecycle::{self, Resync};
use deskbridge::pipeline::{inspect, sell};
use deskbridge::zendesk::client::Client;
use deskbridge::zendesk::error::Kind;
use deskbridge::zendesk::push::{self, Call, Item, Refusal, Taken};
use serde_json::{Value, json};
use std::sync::Arc;

async fn world() -> World {
    World::new(Setup { users: 0, tickets: 0, account: with_sell, ..Setup::default() }).await
}

#[tokio::test]
async fn a_sell_account_is_connected_by_its_token_and_nothing_is_read_from_it() {
    let world = world().await;
    let wrong = Credentials::Bearer { token: "nonsense".into() };
    let refused = sell::connect(&world.ctx, 1, "sell", Some(&world.sim.sell_url()), &wrong).await;
    assert!(matches!(refused, Err(LifecycleError::Account(_))), "{refused:?}");
    assert_eq!(world.count("source").await, 0, "nothing of it stays");
    let elsewhere = sell::connect(&world.ctx, 1, "sell", Some("https://evil.example"), &world.sim.sell_token()).await;
    assert!(matches!(elsewhere, Err(LifecycleError::Account(_))), "{elsewhere:?}");
    let no_token = sell::connect(&world.ctx, 1, "sell", Some(&world.sim.sell_url()), &world.sim.credentials()).await;
    assert!(matches!(no_token, Err(LifecycleError::SellToken)), "{no_token:?}");

    let source = world.connect_sell().await;
    assert_eq!((source.kind.as_str(), source.state), ("sell", SourceState::Connected));
    assert!(source.connected_at.is_some());
    let again = sell::connect(&world.ctx, 1, "sell", Some(&world.sim.sell_url()), &world.sim.sell_token()).await;
    assert!(matches!(again, Err(LifecycleError::Taken(_))), "{again:?}");

    world.advance(2 * 86_400, 0).await;
    world.run_jobs().await;
    assert_eq!((world.count("checkpoint").await, world.count("job WHERE source_id > 0").await), (0, 0));
    let refused = lifecycle::resync(&world.ctx, &source, Resync::Incremental).await;
    assert!(matches!(refused, Err(LifecycleError::NotRead { .. })), "{refused:?}");
    let health = inspect::health(&world.ctx).await.expect("read");
    assert_eq!((health.len(), health[0].problems.len()), (1, 0));
    sell::inspect(&world.ctx, &source).await.expect("the token is good");
}

#[tokio::test]
async fn a_sell_account_lives_as_other_sources_do() {
    let world = world().await;
    let source = world.connect_sell().await;
    lifecycle::set_settings(&world.ctx, &source, "Sales", &source.settings).await.expect("set");
    assert_eq!(world.count("checkpoint").await, 0);
    lifecycle::disconnect(&world.ctx, &source).await.expect("disconnected");
    let source = lifecycle::find(&world.ctx, 1, "sell").await.expect("the source");
    let source = sell::reconnect(&world.ctx, &source, None).await.expect("with the stored token");
    assert_eq!((source.state, source.title.as_str()), (SourceState::Connected, "Sales"));
    let id = source.id;
    lifecycle::disconnect(&world.ctx, &source).await.expect("disconnected");
    for state in [SourceState::Archived, SourceState::Deleted] {
        let source = lifecycle::find(&world.ctx, 1, "sell").await.expect("the source");
        lifecycle::set_state(&world.ctx, &source, state).await.expect("moved on");
    }
    let source = lifecycle::find(&world.ctx, 1, "sell").await.expect("the source");
    assert_eq!(source.credentials, None);
    assert_eq!(world.connect_sell().await.id, id, "under its old name and number");
}

#[tokio::test]
async fn a_support_account_and_a_sell_account_live_side_by_side() {
    let world = World::synced(Setup { users: 3, tickets: 2, account: with_sell, ..Setup::default() }).await;
    world.connect_sell().await;
    world.advance(3_600, 0).await;
    world.run_jobs().await;
    assert_eq!(world.count("source WHERE state = 'connected' AND error IS NULL").await, 2);
    let taken = sell::connect(&world.ctx, 1, "acme", Some(&world.sim.sell_url()), &world.sim.sell_token()).await;
    assert!(matches!(taken, Err(LifecycleError::Taken(_))), "{taken:?}");
    let counted = world.sim.get("requests").await;
    assert_eq!(counted["by_endpoint"]["GET /v2/contacts"], json!(1), "the check, and nothing else: {counted}");
}

/// A connected Sell account and its client, which waits a second for an answer.
async fn wired() -> (World, Arc<Client>) {
    let settings = |settings: &mut deskbridge::config::Settings| settings.zendesk.timeout_secs = 1;
    let world = World::new(Setup { users: 0, tickets: 0, account: with_sell, settings, ..Setup::default() }).await;
    let source = world.connect_sell().await;
    let client = world.ctx.client(&source).expect("a client");
    world.advance(2, 0).await;
    (world, client)
}

async fn upsert(client: &Client, item: &Item) -> Result<(String, String), Refusal> {
    match push::send(client, Call::SellUpsert, std::slice::from_ref(item)).await? {
        Taken::Rows(rows) => {
            let row = rows.into_iter().next().expect("a row");
            assert!(row.success && row.index == Some(0));
            Ok((row.id.expect("an id"), row.action.expect("an action")))
        }
        other => panic!("{other:?}"),
    }
}

fn contact(email: &str, values: Value) -> Item {
    keyed(KeyKind::Email, email, values)
}

async fn truth(world: &World) -> Value {
    world.sim.get("state/contacts").await["rows"].clone()
}

#[tokio::test]
async fn an_upsert_makes_a_contact_and_changes_it() {
    let (world, client) = wired().await;
    let values = json!({"first_name": "Ana", "last_name": "Lee", "custom_fields.Audience": "realized"});
    let (id, action) = upsert(&client, &contact("Ana@X.example", values)).await.expect("made");
    assert_eq!(action, "create");
    world.advance(60, 0).await;
    let exited = contact("ana@x.example", json!({"last_name": "Lee", "custom_fields.Audience": "exited"}));
    assert_eq!(upsert(&client, &exited).await.expect("changed"), (id.clone(), "update".to_owned()));
    let by_id = known(id.parse().expect("a number"), json!({"address.city": "Oslo", "custom_fields.Plan": "paid"}));
    assert_eq!(upsert(&client, &by_id).await.expect("changed").1, "update");
    let rows = truth(&world).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    let is = (&rows[0]["name"], &rows[0]["address"]["city"], &rows[0]["custom_fields"]);
    assert_eq!(is, (&json!("Ana Lee"), &json!("Oslo"), &json!({"Audience": "exited", "Plan": "paid"})));

    let find = async |by: KeyKind, value: &str| {
        push::find(&client, Target::SellContacts, &by, &[value.to_owned(), "5".to_owned()]).await.expect("an answer")
    };
    for found in [find(KeyKind::Email, "ANA@x.example").await, find(KeyKind::RecordId, &id).await] {
        assert_eq!((found.len(), &found[0].remote.id), (1, &id));
        assert_eq!(found[0].remote.values["custom_fields.Audience"], json!("exited"));
        assert_eq!(found[0].remote.values["address.city"], json!("Oslo"));
    }
}

#[tokio::test]
async fn what_sell_refuses_is_told_by_field_and_holds_nothing_up() {
    let (world, client) = wired().await;
    let check = async |item: Item, field: &str, class: &str| match upsert(&client, &item).await {
        Err(Refusal::Invalid(fault)) => {
            assert_eq!((fault.field.as_deref(), fault.class.as_str()), (Some(field), class));
            assert!(!fault.reason.contains("gold") && !fault.reason.contains('@'), "{}", fault.reason);
        }
        other => panic!("{other:?}"),
    };
    check(contact("ana@x.example", json!({"first_name": "Ana"})), "last_name", "required_missing").await;
    check(contact("nobody", json!({"last_name": "Lee"})), "email", "invalid_value").await;
    let plan = json!({"last_name": "Lee", "custom_fields.Plan": "gold"});
    check(contact("ana@x.example", plan), "custom_fields.Plan", "invalid_value").await;
    let unknown = json!({"last_name": "Lee", "custom_fields.Shoe": "gold"});
    check(contact("ana@x.example", unknown), "custom_fields.Shoe", "invalid_value").await;
    let gone = upsert(&client, &known(5, json!({"title": "CEO"}))).await;
    assert!(matches!(&gone, Err(Refusal::Invalid(fault)) if fault.class == "not_found"), "{gone:?}");
    upsert(&client, &contact("ana@x.example", json!({"last_name": "Lee"}))).await.expect("the next goes on");
    assert_eq!(truth(&world).await.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn several_contacts_with_an_address_are_all_found_and_none_is_written() {
    let (world, client) = wired().await;
    let url = format!("{}/v2/contacts", world.sim.sell_url());
    let Credentials::Bearer { token } = world.sim.sell_token() else { panic!("no token") };
    for name in ["Lee", "Li"] {
        let given = json!({"data": {"last_name": name, "email": "ana@x.example"}});
        let request = reqwest::Client::new().post(&url).header("user-agent", "test").bearer_auth(&token).json(&given);
        assert!(request.send().await.expect("an answer").status().is_success());
    }
    let values = ["ana@x.example".to_owned()];
    let found = push::find(&client, Target::SellContacts, &KeyKind::Email, &values).await.expect("an answer");
    assert_eq!(found.len(), 2);
    let refused = upsert(&client, &contact("ana@x.example", json!({"last_name": "Lee", "title": "CEO"}))).await;
    assert!(matches!(&refused, Err(Refusal::Invalid(fault)) if fault.field.as_deref() == Some("email")), "{refused:?}");
    assert!(truth(&world).await.as_array().expect("rows").iter().all(|row| row["title"].is_null()));
}

#[tokio::test]
async fn fields_of_contacts_have_their_types() {
    let (_world, client) = wired().await;
    let fields = push::fields(&client, Target::SellContacts).await.expect("an answer");
    let kind = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.kind.as_str());
    assert_eq!((kind("last_name"), kind("email"), kind("address.city")), (Some("text"), Some("email"), Some("text")));
    assert_eq!((kind("custom_fields.Audience"), kind("custom_fields.Plan")), (Some("text"), Some("dropdown")));
    assert_eq!((kind("custom_fields.Since"), kind("custom_fields.Seats")), (Some("date"), Some("decimal")));
    assert_eq!((kind("owner_id"), kind("custom_fields.Shoe")), (None, None));
}

#[tokio::test]
async fn a_second_takes_ten_requests_and_a_429_is_waited_for() {
    let (world, client) = wired().await;
    world.sim.post("limits", json!({"on": true})).await;
    let item = contact("ana@x.example", json!({"last_name": "Lee"}));
    for _ in 0..10 {
        upsert(&client, &item).await.expect("allowed");
    }
    let refused = upsert(&client, &item).await;
    assert!(matches!(&refused, Err(Refusal::Api(error)) if matches!(error.kind, Kind::BudgetSpent(_))), "{refused:?}");
    assert_eq!(world.sim.get("requests").await["throttled"], 0, "it was not even sent");
    world.advance(2, 0).await;
    upsert(&client, &item).await.expect("allowed again");

    world.sim.post("faults", json!({"http_429_share": 1.0})).await;
    let refused = upsert(&client, &item).await;
    let Err(Refusal::Api(error)) = refused else { panic!("{refused:?}") };
    let Kind::RateLimited { retry_after } = error.kind else { panic!("{error:?}") };
    world.sim.post("faults", json!({})).await;
    let early = upsert(&client, &item).await;
    assert!(matches!(&early, Err(Refusal::Api(error)) if matches!(error.kind, Kind::BudgetSpent(_))), "{early:?}");
    world.advance(retry_after.as_secs() + 1, 0).await;
    upsert(&client, &item).await.expect("after the wait");
}

#[tokio::test]
async fn an_answer_that_is_lost_or_holds_no_contact_leaves_the_result_to_be_read() {
    let (world, client) = wired().await;
    let faults = [
        json!({"lost_answer_paths": ["/v2/contacts/upsert"]}),
        json!({"html_paths": ["/v2/contacts/upsert"]}),
        json!({"truncate_paths": ["/v2/contacts/upsert"]}),
        json!({"bad_answers": [{"path": "/v2/contacts/upsert", "status": 502, "body": ""}]}),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let carried_out = !fault["html_paths"].is_array();
        let email = format!("ana{number}@x.example");
        world.sim.post("faults", fault.clone()).await;
        let open = upsert(&client, &contact(&email, json!({"last_name": "Lee"}))).await;
        assert!(matches!(open, Err(Refusal::Unknown(_))), "{fault}: {open:?}");
        world.sim.post("faults", json!({})).await;
        let found = push::find(&client, Target::SellContacts, &KeyKind::Email, &[email]).await.expect("an answer");
        assert_eq!(found.len(), usize::from(carried_out), "{fault}");
    }
    world.sim.post("faults", json!({"forbidden_paths": ["/v2/contacts/upsert"]})).await;
    let item = Item { changes: changes(json!({"last_name": "Lee"})), ..contact("b@x.example", json!({})) };
    let refused = upsert(&client, &item).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
}
