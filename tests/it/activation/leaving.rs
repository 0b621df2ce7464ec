//! Who leaves: consent and suppression, merges, archives, erasures, and those who are gone from every audience. Each exit is delivered,
//! once, and takes nothing along but what is ours.

use super::whole::{apply, settle, work};
use crate::import::told;
use crate::support::{Setup, World};
use deskbridge::model::push::RunKind;
use deskbridge::pipeline::activate::control;
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::audience::define;
use serde_json::{Value, json};

const FILE: &str = r#"
name = "club"
source = "acme"
target = "users"
memberships = true
[rows]
audiences = ["club"]
[when]
always = true
[[map]]
to = "user_fields.club"
audience = "club"
[[map]]
to = "details"
value = "in the club"
[[tag]]
tag = "club"
"#;

/// Three customers with addresses, all of them in the audience.
async fn world(file: &str) -> (World, [i64; 3]) {
    let world = World::synced(Setup { users: 0, tickets: 0, ..Setup::default() }).await;
    let mut ids = [0; 3];
    for (id, name) in ids.iter_mut().zip(["ana", "bob", "cher"]) {
        let given = json!({"do": "create_user", "name": format!("{name} Lee"), "email": format!("{name}@x.example"), "tags": ["vip"]});
        *id = world.act(given).await["id"].as_i64().expect("an id");
    }
    settle(&world).await;
    let club = json!({"name": "club", "reentry": true, "entry": {"field": "email", "contains": "x.example"}});
    audience::apply(&world.ctx, 1, &define(&club).expect("a definition")).await.expect("an audience");
    apply(&world, file).await;
    (world, ids)
}

/// What is ours of a user: status, details, tags.
async fn look(world: &World, id: i64) -> Value {
    let user = world.sim.get(&format!("state/users?id={id}")).await;
    json!([user["fields"]["club"], user["details"], user["tags"]])
}

fn inside() -> Value {
    json!(["realized", "in the club", ["club", "vip"]])
}

fn outside() -> Value {
    json!(["exited", "in the club", ["vip"]])
}

fn never() -> Value {
    json!([null, null, ["vip"]])
}

/// How many calls wrote something so far.
async fn calls(world: &World) -> i64 {
    world.count("push_job").await
}

/// A run over everybody: rows it looked at, withheld, and records it made.
async fn counted(world: &World) -> (u64, u64, i64) {
    let run = control::start(&world.ctx, 1, "club", RunKind::Run).await.expect("begun").id;
    work(world).await;
    let run = control::find(&mut world.ctx.pool.acquire().await.expect("a connection"), 1, run).await.expect("it").0;
    let records = world.count(&format!("push_record WHERE run_id = {} AND state <> 'skipped'", run.id)).await;
    (run.counts.looked_at, run.counts.withheld, records)
}

async fn person_of(world: &World, id: i64) -> i64 {
    sqlx::query_scalar("SELECT person_id FROM person_source WHERE record_id = $1")
        .bind(id.to_string())
        .fetch_one(&world.ctx.pool)
        .await
        .expect("the person")
}

#[tokio::test]
async fn consent_withdrawn_is_an_exit_and_granted_again_a_return() {
    let (world, [ana, bob, cher]) = world(&format!("consent = \"email\"\n{FILE}")).await;
    told(
        &world.ctx,
        "email,consent.email,consent.email.at\nana@x.example,grant,2026-06-01\nbob@x.example,grant,2026-06-01\n",
    )
    .await;
    settle(&world).await;
    assert_eq!((look(&world, ana).await, look(&world, cher).await), (inside(), never()));
    assert_eq!(counted(&world).await, (2, 1, 0), "Cher is withheld");
    let before = calls(&world).await;
    told(&world.ctx, "email,consent.email,consent.email.at\nana@x.example,deny,2026-06-02\n").await;
    settle(&world).await;
    assert_eq!((look(&world, ana).await, look(&world, bob).await), (outside(), inside()));
    assert_eq!(calls(&world).await, before + 1);
    assert_eq!(counted(&world).await, (2, 2, 0), "Ana is withheld as well, and delivered once");
    told(&world.ctx, "email,consent.email,consent.email.at\nana@x.example,grant,2026-06-03\n").await;
    settle(&world).await;
    assert_eq!(look(&world, ana).await, inside());
    assert_eq!(counted(&world).await, (2, 1, 0));

    // An address that is suppressed, whoever has it.
    let subject = "bob@x.example";
    let subject =
        deskbridge::pipeline::apply::identity_subject(deskbridge::model::person::IdentityKind::Email, subject);
    let digest = world.ctx.sealer.subject_hmac(&subject).to_vec();
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let now = world.clock.now();
    deskbridge::db::tombstone::suppress(&mut db, 1, &[("email", digest)], "a test", now).await.expect("suppressed");
    drop(db);
    assert_eq!(counted(&world).await, (2, 2, 1));
    assert_eq!((look(&world, bob).await, look(&world, ana).await), (outside(), inside()));
    assert_eq!(counted(&world).await, (2, 2, 0), "once");
    sqlx::query("DELETE FROM suppression").execute(&world.ctx.pool).await.expect("lifted");
    assert_eq!(counted(&world).await, (2, 1, 1));
    assert_eq!((look(&world, bob).await, look(&world, cher).await), (inside(), never()));
}

#[tokio::test]
async fn who_is_merged_archived_erased_or_gone_from_every_audience() {
    let (world, [ana, bob, cher]) = world(FILE).await;
    settle(&world).await;
    for id in [ana, bob, cher] {
        assert_eq!(look(&world, id).await, inside());
    }
    // Merged in Zendesk: the winner is still in, once, and nobody writes to the loser.
    world.act(json!({"do": "merge_users", "loser": ana, "winner": bob})).await;
    settle(&world).await;
    assert_eq!(world.count("person").await, 2);
    let loser = look(&world, ana).await;
    assert_eq!(look(&world, bob).await, inside());
    assert_eq!(counted(&world).await.2, 0);
    let failed = "push_record WHERE state IN ('failed', 'unknown')";
    assert_eq!(world.count(failed).await, 0);
    // The address by which they were in the audience goes: gone from every audience.
    let survivor = person_of(&world, bob).await;
    audience::set_manual(&world.ctx, 1, "club", survivor, Some(false)).await.expect("put out");
    settle(&world).await;
    assert_eq!((look(&world, bob).await, look(&world, ana).await), (outside(), loser.clone()));
    audience::set_manual(&world.ctx, 1, "club", survivor, None).await.expect("reset");
    world.advance(120, 0).await;
    settle(&world).await;
    assert_eq!(look(&world, bob).await, inside());
    // Archived, and back.
    let one = person_of(&world, cher).await;
    person::archive(&world.ctx, 1, &[one], "a test").await.expect("archived");
    settle(&world).await;
    assert_eq!((look(&world, cher).await, counted(&world).await.2), (outside(), 0));
    person::restore(&world.ctx, 1, &[one]).await.expect("restored");
    world.advance(120, 0).await;
    settle(&world).await;
    assert_eq!((look(&world, cher).await, counted(&world).await.2), (inside(), 0));
    // Erased: nothing of them is left here, and Zendesk is left as it is.
    let before = calls(&world).await;
    person::delete(&world.ctx, 1, &[one], "a test").await.expect("erased");
    settle(&world).await;
    assert_eq!((look(&world, cher).await, calls(&world).await), (inside(), before));
    for table in ["delivery", "push_record", "activation_due"] {
        assert_eq!(world.count(&format!("{table} WHERE person_id = {one} OR person_id IS NULL")).await, 0, "{table}");
    }
    assert_eq!((world.count(failed).await, look(&world, ana).await), (0, loser));
}
