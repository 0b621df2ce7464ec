//! A busy life: whatever happens here and in Zendesk, what an activation wrote is in the end what the CDP says, and is written once.

use super::whole::{FILE, apply, settle, work};
use crate::support::{Setup, World};
use deskbridge::model::push::RunKind;
use deskbridge::pipeline::activate::control;
use deskbridge::pipeline::{audience, person};
use deskbridge::rules::audience::define;
use rand::prelude::IndexedRandom;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Who has open tickets, was unhappy, or wrote lately.
fn busy() -> Value {
    json!({"name": "busy", "reentry": true, "entry": {"any": [
        {"field": "zd.open_tickets", "greater_than": 0},
        {"field": "zd.last_rating", "is": "bad"},
        {"activity": "zd.ticket.comment_added", "within": "20 hours"}]}})
}

/// A record, whether its person is in the audience, since when and until when, and what follows from tickets.
type Stay = (String, bool, String, Option<String>, Option<i64>, Option<String>);

/// Row, record, and what the ledger has as written, owned and on its way.
type Entry = (String, Option<String>, Value, Option<Value>, Option<Value>);

/// A world and what people did in it that has to be remembered.
struct Life {
    world: World,
    rng: StdRng,
    /// Users whom an operator erased here: nobody writes to them again.
    erased: BTreeMap<i64, Value>,
    /// What agents put in the place of our values.
    theirs: BTreeMap<(i64, &'static str), Value>,
    edits: i64,
}

impl Life {
    async fn new(seed: u64) -> Life {
        let world = World::synced(Setup { seed, users: 12, tickets: 12, ..Setup::default() }).await;
        audience::apply(&world.ctx, 1, &define(&busy()).expect("a definition")).await.expect("an audience");
        apply(&world, FILE).await;
        settle(&world).await;
        Life { world, rng: StdRng::seed_from_u64(seed), erased: BTreeMap::new(), theirs: BTreeMap::new(), edits: 0 }
    }

    /// Customers of the account whom anybody still deals with.
    async fn customers(&self) -> Vec<Value> {
        let rows = self.world.sim.get("state/users?limit=1000").await["rows"].clone();
        let is_customer = |user: &&Value| {
            user["role"] == "end-user" && user["active"] == true && user["shared"] != true && user["suspended"] != true
        };
        let known = |user: &&Value| !user["id"].as_i64().is_some_and(|id| self.erased.contains_key(&id));
        rows.as_array().expect("rows").iter().filter(is_customer).filter(known).cloned().collect()
    }

    async fn customer(&mut self) -> i64 {
        let all = self.customers().await;
        all.choose(&mut self.rng).and_then(|user| user["id"].as_i64()).expect("somebody")
    }

    async fn ticket(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Option<i64> {
        let rows = self.world.sim.get("state/tickets?limit=1000").await["rows"].clone();
        let all: Vec<i64> = rows
            .as_array()?
            .iter()
            .filter(|row| row["deleted"] == false && is_wanted(row))
            .filter_map(|row| row["id"].as_i64())
            .collect();
        all.choose(&mut self.rng).copied()
    }

    /// One thing that happens.
    async fn happen(&mut self) -> String {
        let roll = self.rng.random_range(0..24);
        match roll {
            0..5 => {
                let who = self.customer().await;
                self.world.act(json!({"do": "create_ticket", "requester_id": who, "subject": "Help"})).await;
                format!("a ticket of {who}")
            }
            5..8 => {
                let Some(id) = self.ticket(|ticket| ticket["status"] != "closed").await else { return String::new() };
                self.world.act(json!({"do": "update_ticket", "ticket_id": id, "status": "solved"})).await;
                format!("ticket {id} solved")
            }
            8..11 => {
                let Some(id) = self.ticket(|ticket| ticket["status"] == "solved").await else { return String::new() };
                let score = ["good", "bad"][self.rng.random_range(0..2)];
                self.world.act(json!({"do": "rate", "ticket_id": id, "score": score})).await;
                format!("ticket {id} {score}")
            }
            11..14 => {
                self.world.advance(self.rng.random_range(60..30_000), 0).await;
                work(&self.world).await;
                "hours".to_owned()
            }
            14..18 => self.edit().await,
            18..21 => self.of_operators().await,
            _ => self.of_users().await,
        }
    }

    /// An agent changes what we wrote, or something beside it.
    async fn edit(&mut self) -> String {
        self.edits += 1;
        let given: Vec<(String, Value)> =
            sqlx::query_as("SELECT record_id, written FROM delivery WHERE written <> '{}' ORDER BY row_key")
                .fetch_all(&self.world.ctx.pool)
                .await
                .expect("the ledger");
        let customers = self.customers().await;
        let Some((id, written)) = given.choose(&mut self.rng) else { return String::new() };
        let id: i64 = id.parse().expect("an id");
        let Some(user) = customers.iter().find(|user| user["id"] == id) else { return String::new() };
        let (field, value) = match self.rng.random_range(0..3) {
            0 => ("open_tickets", json!(900 + self.edits)),
            1 => ("busy_since", json!(format!("2001-01-{:02}", 1 + self.edits % 28))),
            _ => {
                let mut tags = user["tags"].as_array().cloned().unwrap_or_default();
                tags.push(json!(format!("seen-{}", self.edits)));
                self.world.act(json!({"do": "update_user", "user_id": id, "tags": tags})).await;
                return format!("tags of {id}");
            }
        };
        self.world.act(json!({"do": "update_user", "user_id": id, "user_fields": {field: value}})).await;
        // What we never wrote is ours to write.
        if written.get(format!("user_fields.{field}")).is_some() {
            self.theirs.insert((id, field), value.clone());
        }
        format!("{field} of {id} is {value}")
    }

    /// Operators archive, restore, erase.
    async fn of_operators(&mut self) -> String {
        let people: Vec<i64> = self.world.value("SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM person").await;
        let one = *people.choose(&mut self.rng).expect("somebody");
        let ctx = &self.world.ctx;
        match self.rng.random_range(0..5) {
            0 | 1 => {
                person::archive(ctx, 1, &[one], "a test").await.expect("archived");
                format!("an archive of {one}")
            }
            2 | 3 => {
                person::restore(ctx, 1, &people).await.expect("restored");
                "a return".to_owned()
            }
            _ => {
                // What is under way reaches them.
                settle(&self.world).await;
                let records: Vec<String> =
                    sqlx::query_scalar("SELECT record_id FROM person_source WHERE person_id = $1")
                        .bind(one)
                        .fetch_all(&self.world.ctx.pool)
                        .await
                        .expect("records");
                person::delete(&self.world.ctx, 1, &[one], "a test").await.expect("deleted");
                for id in records.iter().map(|id| id.parse().expect("an id")) {
                    self.erased.insert(id, user(&self.world, id).await);
                }
                format!("an erasure of {one} {records:?}")
            }
        }
    }

    /// Users come, change, are merged and go.
    async fn of_users(&mut self) -> String {
        let (one, other) = (self.customer().await, self.customer().await);
        match self.rng.random_range(0..5) {
            0 if one != other => {
                self.world.act(json!({"do": "merge_users", "loser": one, "winner": other})).await;
                format!("a merge of {one} into {other}")
            }
            1 => {
                // Zendesk refuses while they have tickets that are open.
                let mine = self.ticket(|ticket| ticket["requester_id"] == one && ticket["status"] != "closed").await;
                if mine.is_none() {
                    self.world.act(json!({"do": "delete_user", "user_id": one})).await;
                }
                format!("an end of {one}: {}", mine.is_none())
            }
            2 => {
                let name = format!("Somebody New{}", self.rng.random_range(0..1_000_000));
                let made = json!({"do": "create_user", "name": name, "email": format!("{}@new.example", &name[12..])});
                let made = self.world.act(made).await["id"].clone();
                self.world.act(json!({"do": "create_ticket", "requester_id": made, "subject": "Help"})).await;
                format!("{made} is new")
            }
            _ => {
                let tier = ["tier_bronze", "tier_silver", "tier_gold"][self.rng.random_range(0..3)];
                self.world
                    .act(
                        json!({"do": "update_user", "user_id": one, "name": "An Other", "user_fields": {"tier": tier}}),
                    )
                    .await;
                format!("{one} is {tier}")
            }
        }
    }

    /// Compares every person's record with the CDP. Answers how many are in the audience, and how many were.
    async fn compare(&self, when: &str) -> (usize, usize) {
        let rows: Vec<Stay> = sqlx::query_as(
            "SELECT min(s.record_id COLLATE \"C\"), bool_or(m.exited_at IS NULL), to_char(coalesce(max(m.entered_at) FILTER (WHERE m.exited_at IS NULL), max(m.entered_at)), 'YYYY-MM-DD'),
                    to_char(max(m.exited_at), 'YYYY-MM-DD'), max(t.open_tickets)::bigint, max(t.last_rating)
             FROM audience_member m JOIN person_source s ON s.workspace_id = m.workspace_id AND s.person_id = m.person_id
             LEFT JOIN support_summary t ON t.workspace_id = m.workspace_id AND t.person_id = m.person_id
             WHERE s.status IN ('active', 'suspended') GROUP BY m.person_id HAVING count(DISTINCT s.record_id) = 1",
        )
        .fetch_all(&self.world.ctx.pool)
        .await
        .expect("stays");
        let (mut members, mut left) = (0, 0);
        let customers = self.customers().await;
        for (record, inside, entered, exited, open, rating) in rows {
            let id: i64 = record.parse().expect("an id");
            let Some(user) = customers.iter().find(|user| user["id"] == id) else { continue };
            let fields = &user["fields"];
            let is = |key: &'static str, expected: Value| {
                let found = match key {
                    "busy_since" | "busy_until" => fields[key].as_str().map_or(Value::Null, |date| json!(date[..10])),
                    _ => fields[key].clone(),
                };
                let expected = self.theirs.get(&(id, key)).unwrap_or(&expected);
                assert_eq!(&found, expected, "{when}: {key} of {user:#}");
            };
            let tagged = user["tags"].as_array().is_some_and(|tags| tags.contains(&json!("busy")));
            assert_eq!(tagged, inside, "{when}: {user:#}");
            is("busy", json!(if inside { "realized" } else { "exited" }));
            is("busy_since", json!(entered));
            if inside {
                members += 1;
                is("open_tickets", json!(open));
                assert!(rating.is_none() || fields["last_rating"] == json!(rating), "{when}: {rating:?} {user:#}");
            } else {
                left += 1;
                is("busy_until", json!(exited));
            }
        }
        (members, left)
    }

    /// What the ledger says that Zendesk was given is there, unless an agent changed it since; nothing is left of who was erased.
    async fn books(&self, when: &str) {
        let ledger: Vec<Entry> = sqlx::query_as("SELECT row_key, record_id, written, owned, pending FROM delivery")
            .fetch_all(&self.world.ctx.pool)
            .await
            .expect("the ledger");
        let customers = self.customers().await;
        for (row, record, written, owned, pending) in ledger {
            assert_eq!(pending, None, "{when}: {row}");
            let id: i64 = record.and_then(|id| id.parse().ok()).expect("an id");
            let Some(user) = customers.iter().find(|user| user["id"] == id) else { continue };
            for (field, given) in written.as_object().expect("values") {
                let key = field.strip_prefix("user_fields.").expect("a field of ours");
                let theirs = self.theirs.iter().find(|((record, field), _)| *record == id && *field == key);
                let (expected, found) = (theirs.map_or(&given["v"], |(_, value)| value), &user["fields"][key]);
                let same = match (expected.as_str(), found.as_str()) {
                    (Some(expected), Some(found)) => found.starts_with(expected),
                    _ => found == expected,
                };
                assert!(same, "{when}: {row}: {field} is {found}, not {expected}");
            }
            for tag in owned.iter().filter_map(|owned| owned["tags"].as_array()).flatten() {
                assert!(user["tags"].as_array().is_some_and(|tags| tags.contains(tag)), "{when}: {row}: {tag}");
            }
        }
        for table in ["delivery", "push_record", "activation_due"] {
            let orphans = format!(
                "{table} t WHERE person_id IS NULL OR NOT EXISTS (SELECT 1 FROM person p WHERE p.id = t.person_id)"
            );
            assert_eq!(self.world.count(&orphans).await, 0, "{when}: {table}");
        }
        for (id, then) in &self.erased {
            assert_eq!(&user(&self.world, *id).await, then, "{when}: one who was erased is written to");
        }
    }

    /// A run over everybody finds nothing to do.
    async fn nothing_to_do(&self, when: &str) {
        let run = control::start(&self.world.ctx, 1, "health", RunKind::Run).await.expect("begun").id;
        work(&self.world).await;
        let (state, counts): (String, Value) = sqlx::query_as("SELECT state, counts FROM push_run WHERE id = $1")
            .bind(run)
            .fetch_one(&self.world.ctx.pool)
            .await
            .expect("the run");
        let records = json!(
            sqlx::query_as::<_, (String, Option<String>, String, Value)>(
                "SELECT state, class, row_key, wanted FROM push_record WHERE run_id = $1 AND class IS DISTINCT FROM 'not_in_zendesk'"
            )
            .bind(run)
            .fetch_all(&self.world.ctx.pool)
            .await
            .expect("records")
        );
        assert_eq!((state.as_str(), &records), ("done", &json!([])), "{when}: {counts}");
    }
}

async fn user(world: &World, id: i64) -> Value {
    world.sim.get(&format!("state/users?id={id}")).await
}

/// Requests that wrote records since they were last counted.
async fn writes(world: &World) -> Vec<Value> {
    let kept = world.sim.get("requests/kept").await;
    assert_eq!(kept["dropped"], 0, "requests were forgotten");
    world.sim.post("requests/keep", json!({"latest": 10_000})).await;
    let wrote = |request: &&Value| {
        request["method"] != "GET" && request["path"].as_str().is_some_and(|path| path.contains("/users/"))
    };
    kept["requests"].as_array().expect("requests").iter().filter(wrote).cloned().collect()
}

/// Lives one life. Answers how many were looked at in the audience, and out of it.
async fn one_life(seed: u64) -> (usize, usize) {
    let mut life = Life::new(seed).await;
    let (mut members, mut left) = (0, 0);
    for step in 0..4 {
        let mut what = Vec::new();
        for _ in 0..10 {
            what.push(life.happen().await);
        }
        let when = format!("seed {seed} step {step} after {what:?}");
        settle(&life.world).await;
        let counted = life.compare(&when).await;
        (members, left) = (members + counted.0, left + counted.1);
        life.books(&when).await;
        life.nothing_to_do(&when).await;
    }
    // All that we wrote has come back by webhook by now, and comes back by export.
    let stays = async || {
        life.world
            .value::<Value>("SELECT jsonb_agg(to_jsonb(m) ORDER BY person_id, entered_at) FROM audience_member m")
            .await
    };
    let before = stays().await;
    writes(&life.world).await;
    settle(&life.world).await;
    let (wrote, after) = (writes(&life.world).await, stays().await);
    assert!(wrote.is_empty() || before != after, "seed {seed}: echoes: {wrote:?}");
    println!("seed {seed}: {members} in, {left} out, {} kept, {} erased", life.theirs.len(), life.erased.len());
    (members, left)
}

/// Seeds of the lives; `DESKBRIDGE_SEEDS=20` lives through more.
fn seeds() -> Vec<u64> {
    let count = std::env::var("DESKBRIDGE_SEEDS").ok().and_then(|text| text.parse().ok());
    count.map_or(vec![4, 6], |count: u64| (1..=count).collect())
}

#[tokio::test]
async fn after_a_busy_life_zendesk_has_what_the_cdp_says_and_nothing_is_written_twice() {
    let (mut members, mut left) = (0, 0);
    for seed in seeds() {
        let counted = one_life(seed).await;
        (members, left) = (members + counted.0, left + counted.1);
    }
    assert!(members > 20 && left > 5, "{members} in, {left} out");
}
