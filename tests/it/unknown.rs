//! Keys that nobody knows yet: they come with records by export and by what a webhook makes us read again, stay as they
//! came, change when they change, and come out with the person.

use crate::oddities::{customer, decoding, ticket};
use crate::support::{Setup, World};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use deskbridge::db;
use deskbridge::model::source::SourceSettings;
use deskbridge::zendesk::decode;
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, OnceLock};

/// Where the daemon is told the account is.
static FRONT: OnceLock<String> = OnceLock::new();

/// What stands between the daemon and the account.
#[derive(Clone, Default)]
struct Between {
    /// Where the account really is.
    account: Arc<Mutex<String>>,
    /// What every record has besides its own keys.
    more: Arc<Mutex<Value>>,
}

/// Adds to every user, organization and ticket of an answer, and leaves the rest as it is.
fn with_more(body: &[u8], more: &Value) -> Option<Vec<u8>> {
    let mut answer: Map<String, Value> = serde_json::from_slice(body).ok()?;
    for name in ["users", "organizations", "tickets"] {
        for record in answer.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
            record.as_object_mut()?.extend(more.as_object()?.clone());
        }
    }
    serde_json::to_vec(&answer).ok()
}

async fn forward(State(between): State<Between>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let url = format!("{}{}", between.account.lock().expect("not poisoned"), head.uri);
    let mut headers = head.headers;
    headers.remove("host");
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let sent = reqwest::Client::new().request(head.method, url).headers(headers).body(body);
    let answer = sent.send().await.expect("the account answers");
    let mut response = Response::builder().status(answer.status());
    for (name, value) in
        answer.headers().iter().filter(|(name, _)| *name != "content-length" && *name != "transfer-encoding")
    {
        response = response.header(name, value);
    }
    let bytes = answer.bytes().await.expect("a body").to_vec();
    let more = between.more.lock().expect("not poisoned").clone();
    response.body(Body::from(with_more(&bytes, &more).unwrap_or(bytes))).expect("a response")
}

/// A world whose account is reached through a host that adds keys to records.
async fn world() -> (World, Between) {
    let between = Between::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let front = format!("http://{}", listener.local_addr().expect("an address"));
    FRONT.set(front.clone()).expect("one test has a front");
    let router = axum::Router::new().fallback(forward).with_state(between.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let allow = |settings: &mut deskbridge::config::Settings| {
        settings.zendesk.allowed_base_urls.extend(FRONT.get().cloned());
    };
    let mut world = World::new(Setup { users: 8, tickets: 8, settings: allow, ..Setup::default() }).await;
    *between.account.lock().expect("not poisoned") = std::mem::replace(&mut world.sim.url, front);
    (world, between)
}

#[tokio::test]
async fn unknown_keys_are_kept_and_follow_their_record() {
    let (world, between) = world().await;
    let first = json!({"brand_new": {"deep": [1, {"a": null}, "\u{1f600}\u{a0}"]}, "flag": true, "ratio": 0.1});
    *between.more.lock().expect("not poisoned") = first.clone();
    world.act(json!({"do": "create_organization", "name": "Acme"})).await;
    world.advance(120, 0).await;
    world.connect(SourceSettings::default()).await;
    world.sync().await;
    for of in
        ["person_source WHERE status = 'active'", "organization", "ticket WHERE NOT scrubbed AND status <> 'deleted'"]
    {
        assert!(world.count(of).await > 0, "{of}");
        let joint = if of.contains("WHERE") { "AND" } else { "WHERE" };
        let kept = format!("{of} {joint} unknown = '{first}'::jsonb");
        assert_eq!(world.count(of).await, world.count(&kept).await, "{of}");
    }

    // The keys change, and a webhook makes one person be read again.
    let second = json!({"brand_new": [], "other": "x"});
    *between.more.lock().expect("not poisoned") = second.clone();
    let record: String = world.value("SELECT min(record_id) FROM person_source WHERE status = 'active'").await;
    let id: i64 = record.parse().expect("a number");
    world.act(json!({"do": "update_user", "user_id": id, "notes": "changed"})).await;
    world.advance(120, 0).await;
    world.run_jobs().await;
    world.settle().await;
    let person: i64 = world.value("SELECT min(person_id) FROM person_source WHERE record_id = (SELECT min(record_id) FROM person_source WHERE status = 'active')").await;
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let shown = db::profile::load(&mut db, 1, person).await.expect("a profile");
    let records = shown["records"].as_array().expect("records");
    let told = records.iter().find(|told| told["record_id"] == record).expect("the record");
    assert_eq!(told["unknown"], second, "as `person show` has it");
}

/// Any JSON that is not deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[^\\x00]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn an_unknown_key_keeps_its_value_exactly(value in any_json(), custom in any_json()) {
        let more = json!({"never_heard_of": value, "organization_fields": {}, "user_fields": {"own": custom}});
        let unknown = json!({"never_heard_of": value});
        let user = to_raw_value(&customer(more.clone())).expect("JSON");
        let user = decoding(|ctx| decode::user(&user, ctx)).expect("a user");
        prop_assert_eq!(&user.unknown.as_ref().expect("kept")["never_heard_of"], &unknown["never_heard_of"]);
        // What an account's own field holds is kept under its name, whatever it is.
        prop_assert_eq!(user.fields.get("zd.own"), Some(&custom));
        let given = ticket(json!({"never_heard_of": value}));
        let given = to_raw_value(&given).expect("JSON");
        let ticket = decoding(|ctx| decode::ticket(&given, ctx)).expect("a ticket");
        prop_assert_eq!(ticket.unknown.as_ref(), Some(&unknown));
        let given = json!({"id": 5, "name": "Acme", "updated_at": "2026-01-01T00:00:00Z", "never_heard_of": value});
        let given = to_raw_value(&given).expect("JSON");
        let organization = decoding(|ctx| decode::organization(&given, ctx)).expect("an organization");
        prop_assert_eq!(organization.unknown.as_ref(), Some(&unknown));
    }
}
