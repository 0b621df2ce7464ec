//! A push job that a test runs by hand, record by record: from planned records to what the simulated account has, and what it was
//! asked for.

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::db::push_record::{NewRecord, Record, Which};
use deskbridge::db::push_run::{New, Run};
use deskbridge::model::activation::Activation;
use deskbridge::model::job::{JobKind, Lease};
use deskbridge::model::push::{RecordState, RunKind, RunState, Wanted};
use deskbridge::model::record::digest;
use deskbridge::model::source::{Source, SourceSettings};
use deskbridge::pipeline::activate::env::Env;
use deskbridge::pipeline::activate::{poll, send};
use deskbridge::pipeline::context::{Context, FlowError};
use deskbridge::rules::activation::read;
use deskbridge::rules::activation::row::Forming;
use deskbridge::zendesk::push;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A row: its key, the record's id or else the value of the key, and what is wanted of it.
pub struct Row {
    pub key: String,
    pub id: Option<i64>,
    pub found_by: Option<String>,
    pub wanted: Wanted,
}

/// A row for a known user.
pub fn known(id: i64, wanted: Value) -> Row {
    let wanted = serde_json::from_value(wanted).expect("wanted");
    Row { key: format!("person:{id}"), id: Some(id), found_by: None, wanted }
}

/// A row that its key finds.
pub fn keyed(key: &str, wanted: Value) -> Row {
    let wanted = serde_json::from_value(wanted).expect("wanted");
    Row { key: format!("key:{key}"), id: None, found_by: Some(key.to_owned()), wanted }
}

/// An account with an activation that knows its records by external id and creates those that are not there.
pub struct Bed {
    pub world: World,
    pub source: Source,
    pub activation: Activation,
    /// End users of the account, by id.
    pub users: Vec<i64>,
}

impl Bed {
    /// A bed in which calls have few records, so that a dozen rows are many calls.
    pub async fn new(account: fn(&mut zendesk_sim::Settings), settings: fn(&mut deskbridge::config::Settings)) -> Bed {
        let world = World::new(Setup { users: 16, tickets: 0, account, settings, ..Setup::default() }).await;
        let source = world.connect(SourceSettings::default()).await;
        let text = r#"
            name = "bed"
            source = "acme"
            target = "users"
            personal_data = ["email", "name"]
            [rows]
            query = "SELECT 1 AS k"
            key = "k"
            [key]
            by = "external_id"
            from = "column.k"
            create = true
            [[map]]
            to = "user_fields.nickname"
            from = "column.nickname"
            [[map]]
            to = "user_fields.tier"
            from = "column.tier"
            [[map]]
            to = "email"
            from = "column.email"
            [[map]]
            to = "name"
            from = "column.name"
        "#;
        let activation = read::read(text).expect("an activation");
        let rows = world.sim.get("state/users?limit=1000").await["rows"].clone();
        let is_customer = |user: &&Value| user["role"] == "end-user" && user["active"] == true;
        let users = rows.as_array().expect("rows").iter().filter(is_customer);
        let users = users.filter_map(|user| user["id"].as_i64()).collect();
        Bed { world, source, activation, users }
    }

    /// Another daemon, which knows nothing that is not stored.
    pub fn daemon(&self) -> Context {
        let ctx = &self.world.ctx;
        deskbridge::app::context((*ctx.settings).clone(), self.world.clock.clone()).expect("a context")
    }

    /// The lease of the push job, in other hands than before.
    pub async fn lease(&self) -> Lease {
        let mut db = self.world.ctx.pool.acquire().await.expect("a connection");
        let now = self.world.clock.now();
        let until = now + chrono::Duration::seconds(60);
        let taken: Option<(i64, i64)> = sqlx::query_as(
            "UPDATE job SET attempt = attempt + 1, state = 'running', leased_until = $2 WHERE kind = 'push' AND source_id = $1
             RETURNING id, attempt",
        )
        .bind(self.source.id)
        .bind(until)
        .fetch_optional(&mut *db)
        .await
        .expect("a job");
        if let Some((job_id, attempt)) = taken {
            let (kind, key) = (JobKind::Push, String::new());
            return Lease { job_id, attempt, kind, source_id: self.source.id, key, failures: 0 };
        }
        db::job::enqueue(&mut db, JobKind::Push, self.source.id, "", now).await.expect("a job");
        drop(db);
        Box::pin(self.lease()).await
    }

    /// What a daemon works with.
    pub async fn env(&self, ctx: &Context) -> Result<Env, FlowError> {
        let client = ctx.client(&self.source)?;
        let fields = push::fields(&client, self.activation.target).await?;
        let forming = Forming::new(&self.activation, &fields, None).expect("it can be formed");
        Ok(Env {
            workspace: 1,
            id: 1,
            activation: self.activation.clone(),
            source: self.source.clone(),
            client,
            fields: Arc::new(fields),
            forming: Arc::new(forming),
            audiences: Arc::default(),
            sealer: ctx.sealer.clone(),
        })
    }

    /// A run with these rows planned.
    pub async fn plan(&self, kind: RunKind, rows: &[Row]) -> Run {
        let mut db = self.world.ctx.pool.acquire().await.expect("a connection");
        let state = if kind == RunKind::Plan { RunState::Reading } else { RunState::Sending };
        let definition = &self.activation.written;
        let new = New { activation_id: 1, source_id: self.source.id, kind, state, definition, stage: 4, undoes: None };
        let now = self.world.clock.now();
        let run = db::push_run::begin(&mut db, 1, &new, now).await.expect("a run");
        let ids: Vec<Option<String>> = rows.iter().map(|row| row.id.map(|id| id.to_string())).collect();
        let records: Vec<NewRecord<'_>> = rows
            .iter()
            .zip(&ids)
            .map(|(row, id)| NewRecord {
                row_key: &row.key,
                person_id: None,
                record_id: id.as_deref(),
                key_value: row.found_by.as_deref(),
                state: RecordState::Planned,
                stage: 1,
                digest: digest(&row.wanted, 0),
                wanted: &row.wanted,
                kept: None,
                fault: None,
            })
            .collect();
        db::push_record::insert(&mut db, 1, (run.id, 1), &records, now).await.expect("records");
        run
    }

    /// The records of a run.
    pub async fn records(&self, run: &Run) -> Vec<Record> {
        let mut db = self.world.ctx.pool.acquire().await.expect("a connection");
        db::push_record::page(&mut db, 1, run.id, &Which::default(), 0, 1000).await.expect("records")
    }

    /// The record of a row.
    pub async fn record(&self, run: &Run, row: &str) -> Record {
        let records = self.records(run).await;
        records.into_iter().find(|record| record.row_key == row).expect("the record")
    }

    /// A user as the account has it.
    pub async fn user(&self, id: i64) -> Value {
        self.world.sim.get(&format!("state/users?id={id}")).await
    }

    /// Moves the daemon's time and the account's.
    pub async fn pass(&self, seconds: u64) {
        self.world.sim.post("advance", json!({ "seconds": seconds })).await;
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    /// Sends and looks until nothing more can be done at this time, or nothing has moved for a while.
    pub async fn deliver(&self, ctx: &Context, lease: &Lease, run: &Run) -> Result<poll::Polled, FlowError> {
        let env = self.env(ctx).await?;
        let mut still = 0;
        let mut open = 0;
        let mut ahead = None;
        loop {
            let sent = send::chunk(ctx, lease, &env, run, &mut ahead).await?;
            self.world.clock.advance(Duration::from_secs(1));
            let asked = poll::ask(ctx, &env.source, &env.client).await?;
            let polled = poll::poll(ctx, lease, &env.source, &env.client, asked).await?;
            let soon = self.world.clock.now() + chrono::Duration::seconds(5);
            still = if sent.records == 0 && polled.open == open { still + 1 } else { 0 };
            open = polled.open;
            if still > 5 || (sent.records == 0 && polled.next_at.is_none_or(|next_at| next_at > soon)) {
                return Ok(polled);
            }
        }
    }

    /// A new daemon takes the job over and goes on, whatever goes wrong, until every record has its result.
    pub async fn finish(&self, run: &Run) {
        let ctx = self.daemon();
        let mut open = 0;
        for _ in 0..40 {
            let lease = self.lease().await;
            let delivered = self.attended(self.deliver(&ctx, &lease, run)).await;
            if self.records(run).await.iter().all(|record| record.state.is_final()) {
                return;
            }
            let polled = delivered.unwrap_or_default();
            let wait = polled.next_at;
            let wait = wait.map_or(1, |next_at| (next_at - self.world.clock.now()).num_seconds().max(0) + 1);
            // What has not ended in this time is stuck.
            let is_stuck = polled.open > 0 && polled.open == open && wait < 10;
            open = polled.open;
            self.pass(if is_stuck { 600 } else { wait as u64 }).await;
        }
        panic!("records without a result: {:#?}", self.records(run).await);
    }

    /// Moves the daemon's clock whenever the work sleeps by it, and only then.
    pub async fn attended<T>(&self, work: impl Future<Output = T>) -> T {
        let clock = self.world.clock.clone();
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() && clock.sleepers() > 0 {
                clock.advance(Duration::from_secs(1));
            }
            polled
        })
        .await
    }

    /// Runs a daemon up to its `polls`-th step and kills it there. None: it came to its end before.
    pub async fn killed_at(&self, run: &Run, polls: usize) -> Option<usize> {
        let (ctx, lease) = (self.daemon(), self.lease().await);
        let mut work = Box::pin(self.deliver(&ctx, &lease, run));
        let mut seen = 0;
        let steps = std::future::poll_fn(|cx| {
            if seen == polls {
                return Poll::Ready(None);
            }
            seen += 1;
            work.as_mut().poll(cx).map(Some)
        });
        let ended = self.attended(steps).await.is_some();
        ended.then_some(seen)
    }

    /// All values that were sent for a user's nickname, by id or external id.
    pub async fn sent(&self) -> Vec<(String, Value)> {
        let kept = self.world.sim.get("requests/kept").await;
        assert_eq!(kept["dropped"], 0, "requests were forgotten");
        let mut sent = Vec::new();
        for request in kept["requests"].as_array().expect("requests") {
            let body = &request["body"];
            let many = body["users"].as_array().cloned().unwrap_or_default();
            for user in many.iter().chain(body.get("user")) {
                let who = if user["id"].is_null() { &user["external_id"] } else { &user["id"] };
                let who = who.as_str().map_or_else(|| who.to_string(), str::to_owned);
                if !user["user_fields"]["nickname"].is_null() {
                    sent.push((who, user["user_fields"]["nickname"].clone()));
                }
            }
        }
        sent
    }
}
