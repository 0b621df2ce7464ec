//! What shows only when Zendesk is read: two rows that are one record, what became of a call that nobody knows the outcome of, and
//! fields that a new record did not get.

use super::bed::{Bed, Row, keyed, known};
use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::activation::KeyKind;
use deskbridge::model::push::{RecordState, RunKind};
use deskbridge::pipeline::activate::{control, manage, send};
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::activation::read::read;
use deskbridge::rules::audience::define;
use serde_json::{Value, json};

async fn bed() -> Bed {
    Bed::new(|_| {}, |settings| settings.activation.users_per_second = 10_000).await
}

/// A bed that finds its records by e-mail, and a user with two addresses: what another had was merged into it.
async fn two_addresses() -> (Bed, i64, [String; 2]) {
    let mut bed = Bed::new(|_| {}, |settings| settings.activation.records_per_call = 1).await;
    bed.activation.key.by = KeyKind::Email;
    let [loser, winner] = bed.users[..2] else { panic!("two users") };
    let address = async |id: i64| bed.user(id).await["email"].as_str().expect("an address").to_owned();
    let both = [address(winner).await, address(loser).await];
    bed.world.act(json!({"do": "merge_users", "loser": loser, "winner": winner})).await;
    (bed, winner, both)
}

fn nickname(key: &str, value: &str) -> Row {
    keyed(key, json!({"values": {"user_fields.nickname": value}}))
}

#[tokio::test]
async fn two_addresses_of_one_user_in_different_calls() {
    let (bed, user, [first, second]) = two_addresses().await;
    // Both are found by their addresses only: the first is written before anybody knows.
    let run = bed.plan(RunKind::Run, &[nickname(&first, "one"), nickname(&second, "two")]).await;
    bed.finish(&run).await;
    let records = bed.records(&run).await;
    let fault = records[1].fault.clone().expect("a fault");
    assert_eq!((records[0].state, records[1].state), (RecordState::Updated, RecordState::Failed), "{records:#?}");
    assert_eq!(fault.class, "duplicate_record");
    assert!(fault.reason.contains("was delivered before that was known") && !fault.reason.contains('@'), "{fault:?}");
    assert_eq!(bed.user(user).await["fields"]["nickname"], "one");
    // Where another is known by its id, that shows before anything is written.
    let (bed, user, [_, second]) = two_addresses().await;
    let rows = [nickname(&second, "two"), known(user, json!({"values": {"user_fields.nickname": "three"}}))];
    let run = bed.plan(RunKind::Run, &rows).await;
    bed.finish(&run).await;
    for record in bed.records(&run).await {
        let fault = record.fault.clone().expect("a fault");
        assert!(fault.class == "duplicate_record" && fault.reason.ends_with("none is written"), "{record:#?}");
    }
    assert_eq!(bed.user(user).await["fields"]["nickname"], Value::Null);
}

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
personal_data = ["email", "name"]
[rows]
audiences = ["everybody"]
[key]
by = "email"
from = "email"
[[map]]
to = "details"
template = "Known as {{ person.name }}"
"#;

/// Tries one person and answers what became of the row.
async fn tried(world: &World, person: i64) -> (String, String) {
    let run = control::test(&world.ctx, 1, "health", &person.to_string()).await.expect("a run");
    let ctx = world.ctx.clone();
    let jobs = tokio::spawn(async move { while deskbridge::worker::run_due(&ctx).await.expect("jobs run") {} });
    while !jobs.is_finished() {
        match world.clock.sleepers() {
            0 => tokio::task::yield_now().await,
            _ => world.advance(1, 0).await,
        }
    }
    let sql = "SELECT state, coalesce(class || ': ' || reason, '') FROM push_record WHERE run_id = $1";
    sqlx::query_as(sql).bind(run.id).fetch_one(&world.ctx.pool).await.expect("a record")
}

#[tokio::test]
async fn another_row_that_an_earlier_run_wrote_stands_for_the_record() {
    let world = World::synced(Setup { users: 12, tickets: 0, ..Setup::default() }).await;
    let written = json!({"name": "everybody", "entry": {"all": []}});
    audience::apply(&world.ctx, 1, &define(&written).expect("a definition")).await.expect("an audience");
    manage::apply(&world.ctx, 1, &read(FILE).expect("an activation")).await.expect("applied");
    let people: Vec<(i64, String)> = sqlx::query_as(
        "SELECT p.id, s.record_id FROM person p JOIN person_source s ON s.person_id = p.id
         WHERE p.email IS NOT NULL AND s.status = 'active' ORDER BY p.id LIMIT 2",
    )
    .fetch_all(&world.ctx.pool)
    .await
    .expect("people");
    let [(first, winner), (second, loser)] = &people[..] else { panic!("two people") };
    // Somebody of whom the CDP knows an address only, which is the other's second one in Zendesk.
    world.sim.post("faults", json!({"drop_webhooks": 1.0})).await;
    let number = |text: &String| text.parse::<i64>().expect("an id");
    world.act(json!({"do": "merge_users", "loser": number(loser), "winner": number(winner)})).await;
    let unlinked = sqlx::query("DELETE FROM person_source WHERE person_id = $1").bind(second);
    unlinked.execute(&world.ctx.pool).await.expect("unlinked");
    assert_eq!(tried(&world, *first).await.0, "updated");
    let details = async || world.sim.get(&format!("state/users?id={winner}")).await["details"].clone();
    let before = details().await;
    let (state, why) = tried(&world, *second).await;
    assert_eq!(state, "failed", "{why}");
    assert!(why.starts_with("duplicate_record: another row, which was delivered before"), "{why}");
    assert_eq!(details().await, before);
    // Once the other is gone, nothing stands in the way.
    person::archive(&world.ctx, 1, &[*first], "a test").await.expect("archived");
    assert_eq!(tried(&world, *second).await, ("updated".to_owned(), String::new()));
    assert_ne!(details().await, before);
}

/// The entry of a row in the ledger, and its digest where that can be relied on.
async fn entry(bed: &Bed, row: &Row) -> (db::delivery::Delivered, Option<i64>) {
    let mut db = bed.world.ctx.pool.acquire().await.expect("a connection");
    let mut found = db::delivery::load(&mut db, 1, 1, &[&row.key]).await.expect("the ledger");
    let found = found.remove(0);
    let digest = found.pending.is_empty().then_some(found.digest);
    (found, digest)
}

#[tokio::test]
async fn what_stayed_unknown_is_settled_by_the_next_run_and_then_known() {
    // What a person makes of the field afterwards, what becomes of the record then, what the field is in the end.
    for (theirs, state, value) in [
        (json!("third"), RecordState::Unchanged, json!("third")),
        (json!("ours"), RecordState::Unchanged, json!("ours")),
        (Value::Null, RecordState::Updated, json!("ours")),
    ] {
        let bed = bed().await;
        let row = || known(bed.users[0], json!({"values": {"user_fields.nickname": "ours"}}));
        let run = bed.plan(RunKind::Run, &[row()]).await;
        bed.world.sim.post("faults", json!({"job_fail_share": 1.0})).await;
        let (ctx, lease) = (bed.daemon(), bed.lease().await);
        let env = bed.env(&ctx).await.expect("an env");
        send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("sent");
        let change =
            |value: &Value| json!({"do": "update_user", "id": bed.users[0], "user_fields": {"nickname": value}});
        bed.world.act(change(&json!("a third value"))).await;
        bed.world.sim.post("faults", json!({})).await;
        bed.finish(&run).await;
        assert_eq!(bed.record(&run, &row().key).await.state, RecordState::Unknown);
        assert_eq!(entry(&bed, &row()).await.1, None, "it is looked at again");
        bed.world.act(change(&theirs)).await;
        let again = bed.plan(RunKind::Run, &[row()]).await;
        bed.finish(&again).await;
        let record = bed.record(&again, &row().key).await;
        assert_eq!(record.state, state, "{theirs}: {record:#?}");
        let kept = record.kept.unwrap_or_default();
        assert_eq!(kept.contains_key("user_fields.nickname"), theirs == "third", "{kept:?}");
        assert_eq!(bed.user(bed.users[0]).await["fields"]["nickname"], value);
        let (entry, digest) = entry(&bed, &row()).await;
        assert!(entry.pending.is_empty() && digest == Some(record.digest), "{theirs}: {entry:?}");
        assert_eq!(entry.written["user_fields.nickname"].v, "ours");
    }
}

#[tokio::test]
async fn a_field_that_a_new_record_did_not_get_is_said() {
    for bulk in [true, false] {
        let account: fn(&mut zendesk_sim::Settings) = match bulk {
            true => |_| {},
            false => {
                |settings| settings.jobs = Some(serde_json::from_value(json!({"bulk_import": false})).expect("jobs"))
            }
        };
        let bed = Bed::new(account, |settings| settings.activation.users_per_second = 10_000).await;
        let wanted = json!({"values": {"name": "New", "user_fields.nickname": "n", "user_fields.tier": "tier_gold"}});
        let rows = [keyed("made-1", wanted.clone()), keyed("made-2", wanted)];
        let run = bed.plan(RunKind::Run, &rows).await;
        let (ctx, lease) = (bed.daemon(), bed.lease().await);
        let env = bed.env(&ctx).await.expect("an env");
        let all = bed.world.sim.ask("GET", "user_fields.json").await;
        let field = all["user_fields"].as_array().expect("fields").iter().find(|field| field["key"] == "nickname");
        bed.world.sim.ask("DELETE", &format!("user_fields/{}", field.expect("it")["id"])).await;
        // Those who make them believe the field to be there.
        bed.attended(async {
            for _ in 0..2 {
                send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("sent");
                bed.world.clock.advance(std::time::Duration::from_secs(2));
            }
        })
        .await;
        bed.finish(&run).await;
        for row in &rows {
            let record = bed.record(&run, &row.key).await;
            let fault = record.fault.clone().expect("a fault");
            assert_eq!(record.state, RecordState::Created, "{record:#?}");
            assert_eq!((fault.class.as_str(), fault.field.as_deref()), ("field_missing", Some("user_fields.nickname")));
            assert_eq!(record.kept, Some([("user_fields.nickname".to_owned(), "not_taken".to_owned())].into()));
            let (entry, digest) = entry(&bed, row).await;
            assert_eq!(entry.written["user_fields.tier"].v, "tier_gold");
            assert!(!entry.written.contains_key("user_fields.nickname") && entry.pending.is_empty(), "{entry:?}");
            assert_ne!(digest, Some(record.digest), "the next run looks at it again");
        }
    }
}
