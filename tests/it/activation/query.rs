//! Rows by an operator's query: what it may not do, and its way from the query to the simulated account.

use super::runs::{counts, look, push};
use crate::support::{Setup, World};
use deskbridge::db::push_run::Run;
use deskbridge::model::activation::Activation;
use deskbridge::model::person::IdentityKind;
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::pipeline::activate::{control, manage};
use deskbridge::pipeline::apply::identity_subject;
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::activation::read::read;
use deskbridge::rules::audience::define;
use serde_json::{Value, json};

/// Rows of their own, found by external id.
pub fn keyed(sql: &str, more: &str) -> Activation {
    let text = format!(
        "name = \"q\"\nsource = \"acme\"\ntarget = \"users\"\n[rows]\nquery = '''{sql}'''\nkey = \"k\"\n{more}\n[key]\nby = \"external_id\"\n\
         [[map]]\nto = \"user_fields.nickname\"\nfrom = \"column.nick\"\n"
    );
    read(&text).expect("a file")
}

/// People, with what a query knows of them and a tag.
const PEOPLE: &str = r#"
name = "q"
source = "acme"
target = "users"
[rows]
query = """
SELECT p.id AS person_id, 'person ' || p.id AS nick, 100 / (CASE WHEN p.fields ->> 'crm.state' = 'boom' THEN 0 ELSE 5 END) AS points
FROM person p WHERE p.fields ->> 'crm.state' IS DISTINCT FROM 'gone' -- they left
"""
key = "person_id"
[[map]]
to = "user_fields.nickname"
from = "column.nick"
[[map]]
to = "details"
template = "{{ row.points }} points"
[[tag]]
tag = "asked_for"
"#;

async fn world() -> World {
    World::synced(Setup { users: 6, tickets: 5, ..Setup::default() }).await
}

async fn apply(world: &World, text: &str) {
    manage::apply(&world.ctx, 1, &read(text).expect("a file")).await.expect("applied");
}

async fn run(world: &World) -> Run {
    let run = control::start(&world.ctx, 1, "q", RunKind::Run).await.expect("a run");
    push(world).await;
    look(world, &run).await
}

async fn execute(world: &World, sql: &'static str) {
    sqlx::query(sql).execute(&world.ctx.pool).await.expect(sql);
}

async fn customers(world: &World) -> Vec<Value> {
    let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
    let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
    rows.as_array().expect("rows").iter().filter(is_customer).cloned().collect()
}

/// How many customers have a nickname that begins so, and how many wear the tag.
async fn worn(world: &World) -> (usize, usize) {
    let all = customers(world).await;
    let named = |user: &&Value| user["fields"]["nickname"].as_str().is_some_and(|name| name.starts_with("person "));
    let tagged = |user: &&Value| user["tags"].as_array().is_some_and(|tags| tags.contains(&json!("asked_for")));
    (all.iter().filter(named).count(), all.iter().filter(tagged).count())
}

#[tokio::test]
async fn rows_go_from_the_query_to_the_account_and_leave_once() {
    let world = world().await;
    apply(&world, PEOPLE).await;
    let people = world.count("person").await as usize;
    let first = run(&world).await;
    assert_eq!(first.state, RunState::Done, "{first:?} {:?}", counts(&world, &first).await);
    assert_eq!(worn(&world).await, (people, people));
    let details = customers(&world).await;
    assert!(details.iter().filter(|user| user["details"] == "20 points").count() == people, "{details:?}");
    let calls = world.count("push_job").await;
    let second = run(&world).await;
    assert_eq!((second.counts.same, second.counts.looked_at), (people as u64, people as u64));
    assert_eq!(world.count("push_job").await, calls, "nothing changed, nothing is sent");
    execute(
        &world,
        "UPDATE person SET fields = fields || '{\"crm.state\": \"gone\"}' WHERE id = (SELECT min(id) FROM person)",
    )
    .await;
    let third = run(&world).await;
    assert_eq!(counts(&world, &third).await, [("updated".to_owned(), 1)]);
    // The value stays, since only what is ours goes; the tag is ours.
    assert_eq!(worn(&world).await, (people, people - 1));
    let calls = world.count("push_job").await;
    let fourth = run(&world).await;
    assert_eq!((fourth.state, fourth.counts.same), (RunState::Done, people as u64), "{fourth:?}");
    assert_eq!(world.count("push_job").await, calls, "an exit is delivered once");
    assert_eq!(world.count("query_row").await, 0, "what was read is not kept");
}

#[tokio::test]
async fn a_query_that_fails_takes_nobody_for_gone() {
    let world = world().await;
    apply(&world, PEOPLE).await;
    run(&world).await;
    let (before, ledger) = (customers(&world).await, world.count("delivery").await);
    execute(
        &world,
        "UPDATE person SET fields = fields || '{\"crm.state\": \"boom\"}' WHERE id = (SELECT max(id) FROM person)",
    )
    .await;
    let failed = run(&world).await;
    assert_eq!((failed.state, failed.counts.looked_at), (RunState::Failed, 0), "{failed:?}");
    let error = failed.error.expect("a reason");
    assert!(error.starts_with("rows.query: it failed on the data (SQLSTATE 22012); "), "{error}");
    assert_eq!((customers(&world).await, world.count("delivery").await), (before, ledger));
    assert_eq!(
        world.count("query_row").await
            + world.count("push_record r JOIN push_run u ON u.id = r.run_id WHERE u.state = 'failed'").await,
        0
    );
    execute(&world, "UPDATE person SET fields = fields - 'crm.state'").await;
    let mended = control::restart(&world.ctx, 1, failed.id).await.expect("restarted");
    push(&world).await;
    assert_eq!(look(&world, &mended).await.state, RunState::Done);
}

const EVERYBODY: &str = r#"
name = "others"
source = "acme"
target = "users"
[rows]
audiences = ["everybody"]
[[map]]
to = "notes"
value = "from Deskbridge"
"#;

#[tokio::test]
async fn a_query_that_runs_for_ever_fails_alone() {
    let world = world().await;
    let written = json!({"name": "everybody", "entry": {"all": []}});
    audience::apply(&world.ctx, 1, &define(&written).expect("a definition")).await.expect("an audience");
    manage::apply(&world.ctx, 1, &read(EVERYBODY).expect("a file")).await.expect("applied");
    let heavy = "SELECT max(a * b) AS k, 'n' AS nick FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let endless =
        "WITH RECURSIVE t AS (SELECT 1 AS k UNION ALL SELECT k FROM t) SELECT max(k) AS k, 'n' AS nick FROM t";
    let series = "SELECT k::text, 'n' AS nick FROM (SELECT generate_series(1, 1e12) AS k) s";
    let too_long = "rows.query: it took longer than the 1 s that rows.timeout_secs allows; ";
    let too_many = "rows.query: it gives more than 700 rows, the most that rows.max_rows allows; ";
    for (sql, more, expected) in [
        (heavy, "timeout_secs = 1", too_long),
        (endless, "timeout_secs = 1", too_long),
        (series, "max_rows = 700", too_many),
    ] {
        manage::apply(&world.ctx, 1, &keyed(sql, more)).await.expect("applied");
        let other = control::start(&world.ctx, 1, "others", RunKind::Run).await.expect("a run");
        let failed = run(&world).await;
        assert_eq!(failed.state, RunState::Failed, "{failed:?}");
        assert!(failed.error.as_deref().is_some_and(|error| error.starts_with(expected)), "{failed:?}");
        assert_eq!(look(&world, &other).await.state, RunState::Done, "the other waits for no query");
    }
    assert_eq!(world.count("query_row").await + world.count("push_record WHERE row_key LIKE 'key:%'").await, 0);
    assert!(customers(&world).await.iter().all(|user| user["notes"] == "from Deskbridge"));
    let left = world.count("pg_stat_activity WHERE query LIKE '%generate_series%' AND pid <> pg_backend_pid()").await;
    assert_eq!(left, 0, "no query goes on in Postgres");
}

#[tokio::test]
async fn a_query_that_is_stopped_by_hand_ends_in_postgres_too() {
    let world = world().await;
    let heavy = "SELECT max(a * b) AS k, 'n' AS nick FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    manage::apply(&world.ctx, 1, &keyed(heavy, "timeout_secs = 600")).await.expect("applied");
    let run = control::start(&world.ctx, 1, "q", RunKind::Run).await.expect("a run");
    let active =
        async || world.count("pg_stat_activity WHERE state = 'active' AND query LIKE 'FETCH %deskbridge_cursor'").await;
    let stop = async {
        while active().await == 0 {}
        control::stop(&world.ctx, 1, run.id).await.expect("stopped");
        while active().await > 0 {}
    };
    tokio::join!(push(&world), stop);
    assert_eq!(look(&world, &run).await.state, RunState::Stopped);
}

async fn users(world: &World, ids: &[&str]) {
    for id in ids {
        world.act(json!({"do": "create_user", "name": "New", "external_id": id, "role": "end-user"})).await;
    }
}

async fn nicknames(world: &World) -> Vec<(String, Value)> {
    let all = customers(world).await;
    let ours = all.iter().filter_map(|user| Some((user["external_id"].as_str()?, &user["fields"]["nickname"])));
    let mut ours: Vec<(String, Value)> =
        ours.filter(|(id, _)| id.starts_with("a-")).map(|(id, name)| (id.to_owned(), name.clone())).collect();
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    ours
}

#[tokio::test]
async fn rows_at_fault_leave_the_others_alone() {
    let world = world().await;
    users(&world, &["a-1", "a-2", "a-3", "a-4", "a-5"]).await;
    let sql = "SELECT * FROM (VALUES ('a-1', 'one'), ('a-2', 'two'), ('a-2', 'twice'), (NULL, 'none'), (' ', 'blank'),
        ('a-3', repeat('x', 70000)), (repeat('y', 300), 'long'), ('a-4', 'four'), ('a-2', 'thrice')) t(k, nick)";
    manage::apply(&world.ctx, 1, &keyed(sql, "")).await.expect("applied");
    let run = run(&world).await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    let found = counts(&world, &run).await;
    let expected = [("failed.duplicate_key", 1), ("failed.no_key", 2), ("failed.too_large", 2), ("updated", 2)];
    assert_eq!(found, expected.map(|(state, count)| (state.to_owned(), count)));
    let name = |id: &str, name: Option<&str>| (id.to_owned(), json!(name));
    let expected =
        [name("a-1", Some("one")), name("a-2", None), name("a-3", None), name("a-4", Some("four")), name("a-5", None)];
    assert_eq!(nicknames(&world).await, expected);
    let reasons: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT reason FROM push_record WHERE state = 'failed' ORDER BY 1")
            .fetch_all(&world.ctx.pool)
            .await
            .expect("reasons");
    assert!(reasons.len() == 3 && reasons.iter().all(|reason| !reason.contains("a-")), "{reasons:?}");
}

#[tokio::test]
async fn what_failed_is_retried_and_one_row_is_tested_by_asking_again() {
    let world = world().await;
    users(&world, &["a-1", "a-2"]).await;
    // The rows follow stays in an audience, which nothing but the test changes.
    execute(
        &world,
        "INSERT INTO audience_member (workspace_id, audience_id, person_id, entered_at)
         VALUES (1, 1, 1, 'epoch'), (1, 2, 2, 'epoch'), (1, 2, 3, 'epoch')",
    )
    .await;
    let sql = "SELECT 'a-' || audience_id AS k, CASE WHEN exited_at IS NULL THEN 'in' ELSE 'new' END AS nick FROM audience_member";
    manage::apply(&world.ctx, 1, &keyed(sql, "")).await.expect("applied");
    let first = run(&world).await;
    let found = counts(&world, &first).await;
    assert_eq!(found, [("failed.duplicate_key".to_owned(), 1), ("updated".to_owned(), 1)]);
    execute(&world, "DELETE FROM audience_member WHERE person_id = 3").await;
    assert_eq!(control::retry(&world.ctx, 1, first.id, None, None).await.expect("retried"), 1);
    push(&world).await;
    assert_eq!(counts(&world, &first).await, [("updated".to_owned(), 2)]);
    execute(&world, "UPDATE audience_member SET exited_at = 'epoch' WHERE person_id = 2").await;
    let test = control::test(&world.ctx, 1, "q", "a-2").await.expect("a test");
    push(&world).await;
    let tested = look(&world, &test).await;
    assert_eq!((tested.state, tested.counts.looked_at), (RunState::Done, 1), "{tested:?}");
    assert_eq!(nicknames(&world).await, [("a-1".to_owned(), json!("in")), ("a-2".to_owned(), json!("new"))]);
    // A row that is asked for and not given any more is an exit; the other is none.
    execute(&world, "DELETE FROM audience_member").await;
    let test = control::test(&world.ctx, 1, "q", "a-2").await.expect("a test");
    push(&world).await;
    assert_eq!(look(&world, &test).await.counts.looked_at, 0, "it wears no tag of ours that could go");
}

#[tokio::test]
async fn a_plan_of_a_query_is_applied_and_undone() {
    let world = world().await;
    apply(&world, PEOPLE).await;
    let before = customers(&world).await;
    let plan = control::start(&world.ctx, 1, "q", RunKind::Plan).await.expect("a plan");
    push(&world).await;
    let planned = look(&world, &plan).await;
    assert_eq!(planned.state, RunState::Planned, "{planned:?}");
    assert_eq!(worn(&world).await, (0, 0));
    control::apply(&world.ctx, 1, plan.id).await.expect("applied");
    push(&world).await;
    let all = world.count("person").await as usize;
    assert_eq!(worn(&world).await, (all, all), "{:?}", counts(&world, &plan).await);
    let undo = control::undo(&world.ctx, 1, plan.id).await.expect("an undoing");
    push(&world).await;
    assert_eq!(look(&world, &undo).await.state, RunState::Done);
    let of = |users: &[Value]| users.iter().map(|user| user["fields"]["nickname"].clone()).collect::<Vec<_>>();
    assert_eq!(of(&customers(&world).await), of(&before));
}

#[tokio::test]
async fn people_of_a_query_have_fields_and_must_have_consented() {
    let world = world().await;
    let text = PEOPLE
        .replace("target = \"users\"", "target = \"users\"\nconsent = \"email\"")
        .replace("{{ row.points }} points", "{{ row.points }} {{ summary.tickets_total }}");
    execute(&world, "UPDATE person SET email_consent = 'granted' WHERE id <> (SELECT min(id) FROM person)").await;
    apply(&world, &text).await;
    let all = world.count("person").await as usize;
    let first = run(&world).await;
    assert_eq!((first.state, first.counts.withheld), (RunState::Done, 1), "{first:?}");
    assert_eq!(worn(&world).await, (all - 1, all - 1));
    // One withdraws, one is suppressed, one is archived: all of them leave.
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM person ORDER BY id DESC LIMIT 3")
        .fetch_all(&world.ctx.pool)
        .await
        .expect("people");
    execute(&world, "UPDATE person SET email_consent = 'withdrawn' WHERE id = (SELECT max(id) FROM person)").await;
    let address: String = sqlx::query_scalar("SELECT value FROM identity WHERE kind = 'email' AND person_id = $1")
        .bind(ids[1])
        .fetch_one(&world.ctx.pool)
        .await
        .expect("an address");
    let subject = identity_subject(IdentityKind::Email, &address);
    let digest = world.ctx.sealer.subject_hmacs(&subject)[0].to_vec();
    sqlx::query("INSERT INTO suppression (workspace_id, channel, subject_hmac, reason, created_at) VALUES (1, 'email', $1, 'a test', $2)")
        .bind(digest)
        .bind(world.clock.now())
        .execute(&world.ctx.pool)
        .await
        .expect("suppressed");
    person::archive(&world.ctx, 1, &ids[2..], "a test").await.expect("archived");
    let second = run(&world).await;
    assert_eq!(second.state, RunState::Done, "{second:?}");
    assert_eq!(worn(&world).await.1, all - 4, "{:?}", counts(&world, &second).await);
}

#[tokio::test]
async fn a_row_whose_key_changes_takes_its_record_over() {
    let world = world().await;
    let (old, new) = ("first@example.com", "second@example.com");
    world
        .act(json!({"do": "create_user", "name": "New", "email": old, "external_id": "a-1", "role": "end-user"}))
        .await;
    let user = customers(&world).await.into_iter().find(|user| user["email"] == old).expect("the user");
    // An address that is written becomes a second one.
    world.act(json!({"do": "update_user", "id": user["id"], "email": new})).await;
    // The rows follow what the test writes down for a person.
    let sql =
        "SELECT fields ->> 'crm.address' AS k, fields ->> 'crm.nick' AS nick FROM person WHERE fields ? 'crm.address'";
    let text = format!(
        "name = \"q\"\nsource = \"acme\"\ntarget = \"users\"\npersonal_data = [\"email\"]\n[rows]\nquery = \"{sql}\"\nkey = \"k\"\n[key]\n\
         by = \"email\"\n[[map]]\nto = \"user_fields.nickname\"\nfrom = \"column.nick\"\n[[tag]]\ntag = \"asked_for\"\n"
    );
    apply(&world, &text).await;
    let write = async |address: &str, nick: &str| {
        let fields = json!({"crm.address": address, "crm.nick": nick});
        sqlx::query("UPDATE person SET fields = fields || $1 WHERE id = (SELECT min(id) FROM person)")
            .bind(fields)
            .execute(&world.ctx.pool)
            .await
            .expect("written");
    };
    let has = async || {
        let user = customers(&world).await.into_iter().find(|user| user["external_id"] == "a-1").expect("the user");
        (user["fields"]["nickname"].clone(), user["tags"].clone())
    };
    write(old, "one").await;
    run(&world).await;
    assert_eq!(has().await, (json!("one"), json!(["asked_for"])));
    write(new, "two").await;
    let second = run(&world).await;
    let found = counts(&world, &second).await;
    assert_eq!(found, [("skipped.replaced".to_owned(), 1), ("updated".to_owned(), 1)]);
    assert_eq!(has().await, (json!("two"), json!(["asked_for"])));
    assert_eq!(world.count("delivery").await, 1, "the record has one row");
    let third = run(&world).await;
    assert_eq!((third.counts.looked_at, third.counts.same), (1, 1), "{third:?}");
    // The tag was ours from the first on, and goes with the row.
    execute(&world, "UPDATE person SET fields = fields - 'crm.address'").await;
    let fourth = run(&world).await;
    assert_eq!(counts(&world, &fourth).await, [("updated".to_owned(), 1)]);
    assert_eq!(has().await, (json!("two"), json!([])));
}

#[tokio::test]
async fn organizations_of_a_query_are_written_by_their_numbers() {
    let world = world().await;
    for name in ["Springfield", "Shelbyville"] {
        world.act(json!({"do": "create_organization", "name": name})).await;
    }
    world.settle().await;
    let text = r#"
name = "q"
source = "acme"
target = "organizations"
[rows]
query = "SELECT id AS organization_id, 'of ' || name AS words FROM organization UNION ALL SELECT 999999, 'none'"
key = "organization_id"
[[map]]
to = "details"
from = "column.words"
[[tag]]
tag = "asked_for"
"#;
    apply(&world, text).await;
    let first = run(&world).await;
    assert_eq!(first.state, RunState::Done, "{first:?}");
    let there = world.count("organization WHERE deleted_at IS NULL").await;
    let expected = [("failed.no_organization".to_owned(), 1), ("updated".to_owned(), there)];
    assert_eq!(counts(&world, &first).await, expected);
    let rows = world.sim.get("state/organizations?limit=1000").await["rows"].clone();
    for row in rows.as_array().expect("rows") {
        assert_eq!(row["details"], format!("of {}", row["name"].as_str().expect("a name")));
        assert!(row["tags"].as_array().expect("tags").contains(&json!("asked_for")), "{row}");
    }
    let second = run(&world).await;
    assert_eq!((second.counts.same, second.counts.looked_at), (there as u64, there as u64 + 1));
}

#[test]
fn a_query_is_never_always_on() {
    let error = read(&PEOPLE.replace("[rows]", "[when]\nalways = true\n[rows]")).expect_err("refused").to_string();
    assert!(error.starts_with("when.always: a query does not say which changes concern it; give a cron"), "{error}");
}
