//! From the CDP to rows: who makes a row, and what it wants.

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::push::{Fault, Row};
use deskbridge::pipeline::activate::env::{self, Env};
use deskbridge::pipeline::activate::rows::{self, Page, Scope};
use deskbridge::pipeline::activate::stored::{self};
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::activation::{needs, read};
use deskbridge::rules::audience::define;
use serde_json::{Value, json};

/// Applies an activation's file as it is, without asking the account.
pub async fn activation(world: &World, toml: &str) -> Env {
    let activation = read::read(toml).expect("a file");
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let source = world.source().await;
    let new = db::activation::New {
        name: &activation.name,
        title: &activation.title,
        source_id: source.id,
        definition: &activation.written,
        needs: needs::needs(&activation).into_iter().collect(),
        always: false,
        stage: 4,
        replan: false,
    };
    db::activation::define(&mut db, 1, new, world.clock.now()).await.expect("defined");
    let stored = stored::find(&mut db, 1, &activation.name).await.expect("stored");
    drop(db);
    env::open(&world.ctx, &stored).await.expect("open")
}

pub async fn define_audience(world: &World, name: &str, entry: Value) {
    let definition = define(&json!({"name": name, "entry": entry, "reentry": true})).expect("a definition");
    audience::apply(&world.ctx, 1, &definition).await.expect("applied");
}

pub async fn page(world: &World, env: &Env, scope: Scope<'_>, after: Option<&Value>, limit: usize) -> Page {
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    rows::page(&mut db, env, scope, after, limit, audience::moment(&world.ctx)).await.expect("a page")
}

/// All rows, in pages of that size.
pub async fn all(world: &World, env: &Env, limit: usize) -> Vec<Row> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let next = page(world, env, Scope::All, after.as_ref(), limit).await;
        found.extend(next.rows);
        assert!(next.next.is_none() || next.next != after, "no progress");
        after = next.next;
        if after.is_none() {
            return found;
        }
    }
}

pub fn wanted(row: &Row) -> Value {
    match &row.wanted {
        Ok(wanted) => serde_json::to_value(wanted).expect("JSON"),
        Err(Fault { field, class, .. }) => json!({"field": field, "class": class}),
    }
}

/// Makes the ledger say that these rows were delivered.
async fn delivered(world: &World, env: &Env, rows: &[Row], owned: Value) {
    for row in rows {
        sqlx::query(
            "INSERT INTO delivery (workspace_id, activation_id, row_key, person_id, source_id, record_id, digest, written, owned, run_id, written_at)
             VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, 1, $9)",
        )
        .bind(env.id)
        .bind(&row.row_key)
        .bind(row.person_id)
        .bind(env.source.id)
        .bind(&row.record_id)
        .bind(row.digest)
        .bind(json!({"details": {"v": "x"}}))
        .bind(&owned)
        .bind(world.clock.now())
        .execute(&world.ctx.pool)
        .await
        .expect("delivered");
    }
}

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
personal_data = ["name"]
[rows]
audiences = ["open"]
[key]
by = "record_id"
[[map]]
to = "details"
audience = "open"
[[map]]
to = "notes"
template = "{{ person.name }}: {{ summary.open_tickets }}"
[[tag]]
tag = "has_open_ticket"
audience = "open"
"#;

#[tokio::test]
async fn rows_say_what_they_want() {
    let world = World::synced(Setup::default()).await;
    define_audience(&world, "open", json!({"tickets": [{"field": "status", "one_of": ["new", "open", "pending"]}]}))
        .await;
    let env = activation(&world, FILE).await;
    let rows = all(&world, &env, 1_000).await;
    assert!(rows.len() > 5, "{}", rows.len());
    let mut ordered: Vec<i64> = rows.iter().filter_map(|row| row.person_id).collect();
    ordered.dedup();
    assert_eq!(ordered.len(), rows.len());
    for row in &rows {
        let id = row.person_id.expect("a person");
        let (record, name, open): (String, String, i64) = sqlx::query_as(
            "SELECT ps.record_id, concat_ws(' ', p.first_name, p.last_name), s.open_tickets FROM person p
             JOIN person_source ps ON ps.person_id = p.id JOIN support_summary s ON s.person_id = p.id WHERE p.id = $1",
        )
        .bind(id)
        .fetch_one(&world.ctx.pool)
        .await
        .expect("the person");
        assert_eq!(row.record_id.as_deref(), Some(record.as_str()));
        let expected = json!({"values": {"details": "realized", "notes": format!("{name}: {open}")}, "tags": {"has_open_ticket": true}});
        assert_eq!(wanted(row), expected);
    }
    for limit in [1, 2, 3, 7] {
        assert_eq!(all(&world, &env, limit).await, rows, "in pages of {limit}");
    }
    let some: Vec<i64> = ordered.iter().copied().step_by(3).collect();
    let expected: Vec<Row> =
        rows.iter().filter(|row| some.contains(&row.person_id.expect("a person"))).cloned().collect();
    assert_eq!(page(&world, &env, Scope::People(&some), None, 1_000).await.rows, expected);
    let keys: Vec<String> =
        expected.iter().map(|row| row.row_key.clone()).chain(["person:0".into(), "key:x".into()]).collect();
    assert_eq!(page(&world, &env, Scope::Keys(&keys), None, 1_000).await.rows, expected);
}

#[tokio::test]
async fn an_exit_reaches_who_left_who_is_archived_and_who_was_merged() {
    let world = World::synced(Setup::default()).await;
    define_audience(&world, "open", json!({"tickets": [{"field": "status", "one_of": ["new", "open", "pending"]}]}))
        .await;
    let env = activation(&world, FILE).await;
    let rows = all(&world, &env, 1_000).await;
    delivered(&world, &env, &rows, json!({"tags": ["has_open_ticket", "of_old"]})).await;
    let people: Vec<i64> = rows.iter().filter_map(|row| row.person_id).take(2).collect();
    audience::set_manual(&world.ctx, 1, "open", people[0], Some(false)).await.expect("put out");
    person::archive(&world.ctx, 1, &[people[1]], "a test").await.expect("archived");
    world.run_jobs().await;
    audience::catch_up(&world.ctx, 1).await.expect("caught up");
    let exits = page(&world, &env, Scope::People(&people), None, 100).await.rows;
    assert_eq!(exits.len(), 2);
    for exit in exits {
        let before = rows.iter().find(|row| row.row_key == exit.row_key).expect("the row");
        assert_eq!(exit.record_id, before.record_id);
        assert_ne!(exit.digest, before.digest);
        let expected = json!({"values": {"details": "exited"}, "tags": {"has_open_ticket": false, "of_old": false}});
        assert_eq!(wanted(&exit), expected);
    }
}
