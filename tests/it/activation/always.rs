//! What changed is delivered without anybody asking for it, and nobody is missed.

use crate::support::{Setup, World};
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::audience::define;
use rand::prelude::IndexedRandom;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An activation as its row alone, for which nothing is tried: what routes changes reads no more of it.
async fn listen(world: &World, name: &str, needs: &[&str]) -> i64 {
    sqlx::query_scalar(
        "INSERT INTO activation (workspace_id, name, title, source_id, definition, needs, always, stage, held_until, created_at, updated_at)
         VALUES (1, $1, '', (SELECT id FROM source), '{}', $2, true, 4, $3::timestamptz + interval '1 year', $3, $3) RETURNING id",
    )
    .bind(name)
    .bind(needs)
    .bind(world.clock.now())
    .fetch_one(&world.ctx.pool)
    .await
    .expect("an activation")
}

/// Who is due for an activation; nobody is afterwards.
async fn due(world: &World, activation: i64) -> BTreeSet<i64> {
    world.run_jobs().await;
    audience::catch_up(&world.ctx, 1).await.expect("caught up");
    let all: Vec<i64> = sqlx::query_scalar("DELETE FROM activation_due WHERE activation_id = $1 RETURNING person_id")
        .bind(activation)
        .fetch_all(&world.ctx.pool)
        .await
        .expect("people");
    all.into_iter().collect()
}

/// What the activations of these tests look at, of everybody.
async fn facts(world: &World, sql: &'static str) -> BTreeMap<i64, Value> {
    let all: Vec<(i64, Value)> = sqlx::query_as(sql).fetch_all(&world.ctx.pool).await.expect(sql);
    all.into_iter().collect()
}

const NAMES: &str = "SELECT id, jsonb_build_array(first_name, email_consent, archived_at IS NULL) FROM person";
const TICKETS: &str = "SELECT p.id, jsonb_build_array(p.archived_at IS NULL, s.open_tickets, s.last_rating, r.total, m.entered_at IS NOT NULL)
    FROM person p LEFT JOIN support_summary s ON s.workspace_id = p.workspace_id AND s.person_id = p.id
    LEFT JOIN activity_rollup r ON r.workspace_id = p.workspace_id AND r.person_id = p.id AND r.type = 'zd.ticket.created'
    LEFT JOIN audience_member m ON m.workspace_id = p.workspace_id AND m.person_id = p.id AND m.exited_at IS NULL";

/// One thing that happens.
async fn happen(world: &World, rng: &mut StdRng) -> &'static str {
    let people: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM person ORDER BY id").fetch_all(&world.ctx.pool).await.expect("people");
    let one = *people.choose(rng).expect("somebody");
    match rng.random_range(0..8) {
        0 => {
            person::archive(&world.ctx, 1, &[one], "a test").await.expect("archived");
            "an archive"
        }
        1 => {
            person::restore(&world.ctx, 1, &people).await.expect("restored");
            "a return"
        }
        2 => {
            person::delete(&world.ctx, 1, &[one], "a test").await.expect("deleted");
            "a deletion"
        }
        3 => {
            world.advance(rng.random_range(3_600..90_000), 3).await;
            "hours"
        }
        _ => {
            world.advance(rng.random_range(60..1_200), 10).await;
            world.settle().await;
            "life"
        }
    }
}

#[tokio::test]
async fn whoever_changed_is_due() {
    let seed = std::env::var("DESKBRIDGE_SEEDS").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let world = World::synced(Setup { seed, users: 50, tickets: 40, ..Setup::default() }).await;
    let names = listen(&world, "names", &["field:first_name", "consent:email"]).await;
    // The first needs no audience at all, the second one that time alone changes as well.
    let mut tickets = None;
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut found, mut all) = (0, 0);
    for step in 0..24 {
        if step == 4 {
            let unhappy = json!({"name": "busy", "reentry": true, "entry": {"activity": "zd.ticket.comment_added", "within": "90 minutes"}});
            audience::apply(&world.ctx, 1, &define(&unhappy).expect("a definition")).await.expect("applied");
            let needs = ["field:zd.open_tickets", "ticket", "activity:zd.ticket.created", "audience:busy"];
            tickets = Some(listen(&world, "tickets", &needs).await);
        }
        world.run_jobs().await;
        audience::catch_up(&world.ctx, 1).await.expect("caught up");
        for activation in [Some(names), tickets].into_iter().flatten() {
            due(&world, activation).await;
        }
        let before = (facts(&world, NAMES).await, facts(&world, TICKETS).await);
        let what = happen(&world, &mut rng).await;
        let noted = due(&world, names).await;
        let after = (facts(&world, NAMES).await, facts(&world, TICKETS).await);
        let changed = |before: &BTreeMap<i64, Value>, after: &BTreeMap<i64, Value>| -> BTreeSet<i64> {
            after.iter().filter(|(id, facts)| before.get(id) != Some(facts)).map(|(id, _)| *id).collect()
        };
        let missed: Vec<i64> = changed(&before.0, &after.0).difference(&noted).copied().collect();
        assert!(missed.is_empty(), "seed {seed} step {step} after {what}: names of {missed:?}");
        if let Some(tickets) = tickets {
            let noted = due(&world, tickets).await;
            let changed = changed(&before.1, &after.1);
            let missed: Vec<i64> = changed.difference(&noted).copied().collect();
            assert!(missed.is_empty(), "seed {seed} step {step} after {what}: tickets of {missed:?}");
            (found, all) = (found + changed.len(), all + noted.len());
        }
    }
    eprintln!("seed {seed}: {all} times somebody was due for tickets, {found} times something had changed");
    assert!(found > 20, "seed {seed}: much happened: {found}");
}

#[tokio::test]
async fn only_who_changed_is_due_and_the_source_gets_a_job() {
    let world = World::synced(Setup::default()).await;
    let lisa = world.act(json!({"do": "create_user", "name": "Lisa Simpson", "email": "lisa@springfield.io"})).await;
    world.run_jobs().await;
    let id: i64 = world.value("SELECT id FROM person WHERE email = 'lisa@springfield.io'").await;
    let names = listen(&world, "names", &["field:first_name"]).await;
    let rename = async |name: &str| {
        world.act(json!({"do": "update_user", "user_id": lisa["id"], "name": name})).await;
    };
    rename("Maggie Simpson").await;
    assert_eq!(due(&world, names).await, BTreeSet::from([id]));
    rename("Maggie Bouvier").await;
    assert_eq!(due(&world, names).await, BTreeSet::new(), "nobody looks at last names");
    sqlx::query("UPDATE activation SET paused_at = $1")
        .bind(world.clock.now())
        .execute(&world.ctx.pool)
        .await
        .expect("paused");
    rename("Lisa Bouvier").await;
    assert_eq!(due(&world, names).await, BTreeSet::new(), "a pause notes nothing");
    assert_eq!(world.count("audience_touched").await, 0);
}

/// A record that is read again says nothing new of tickets and organizations, unless it moved.
#[tokio::test]
async fn who_only_got_another_note_is_not_due_for_tickets() {
    let world = World::synced(Setup { users: 12, tickets: 10, ..Setup::default() }).await;
    let activation = listen(&world, "tickets", &["ticket", "organization"]).await;
    due(&world, activation).await;
    let users = world.sim.get("state/users?limit=1000").await["rows"].clone();
    let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
    let users: Vec<&Value> = users.as_array().expect("rows").iter().filter(is_customer).take(5).collect();
    for user in &users {
        world.act(json!({"do": "update_user", "user_id": user["id"], "notes": "called"})).await;
    }
    assert_eq!(due(&world, activation).await, BTreeSet::new());
    assert_eq!(world.count("person WHERE fields ->> 'zd.notes' = 'called'").await, 5);
    let made = world.act(json!({"do": "create_organization", "name": "Plant"})).await["id"].clone();
    world.act(json!({"do": "update_user", "user_id": users[0]["id"], "organization_id": made})).await;
    assert_eq!(due(&world, activation).await.len(), 1);
}
