//! A daemon that is killed in the midst of a renewal: the next one goes on, or the source says that it needs somebody.

use super::Desk;
use chrono::{DateTime, Utc};
use deskbridge::db;
use deskbridge::model::grant::{Grant, Pair, Renewal};
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::grant::{self, Standing};
use deskbridge::pipeline::sign_in::Purpose;
use proptest::prelude::*;
use serde_json::json;

/// Runs a daemon's request on a runtime of its own, waits until `reached`, and kills it with all its tasks.
async fn killed_when(desk: &Desk, reached: impl AsyncFn() -> bool) {
    let (settings, clock) = ((*desk.ctx.settings).clone(), desk.world.clock.clone());
    let source = desk.world.source().await;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.spawn(async move {
        let ctx = deskbridge::app::context(settings, clock).expect("a daemon");
        _ = ctx.client(&source).expect("a client").get("/api/v2/users/me").await;
        std::future::pending::<()>().await;
    });
    for _ in 0..1_000_000 {
        if reached().await {
            runtime.shutdown_background();
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the daemon does not get there");
}

async fn intended(desk: &Desk) -> bool {
    desk.grant().await.refreshing_since.is_some()
}

/// A connected source whose token is due.
async fn due() -> Desk {
    let desk = Desk::connected().await;
    desk.world.advance(44 * 3600, 0).await;
    desk
}

#[tokio::test]
async fn killed_before_zendesk_was_asked() {
    let desk = due().await;
    desk.world.sim.post("faults", json!({"timeout_paths": ["/oauth/tokens"]})).await;
    killed_when(&desk, async || intended(&desk).await).await;
    desk.world.sim.post("faults", json!({})).await;
    desk.ask(&desk.daemon()).await.expect("the token in use is good still");
    assert_eq!(desk.refreshes().await, 0, "the lease of the dead is respected");
    desk.world.advance(61, 0).await;
    desk.ask(&desk.daemon()).await.expect("another goes on with the refresh token that is stored");
    assert_eq!(desk.refreshes().await, 1);
    assert_eq!(desk.grant().await.refreshing_since, None);
}

#[tokio::test]
async fn killed_between_zendesks_answer_and_our_commit() {
    let desk = due().await;
    desk.world.sim.post("faults", json!({"lost_answer_paths": ["/oauth/tokens"]})).await;
    killed_when(&desk, async || desk.refreshes().await == 1).await;
    desk.world.sim.post("faults", json!({})).await;
    desk.world.advance(61, 0).await;
    desk.world.run_jobs().await;
    let source = desk.world.source().await;
    let error = source.error.clone().unwrap_or_default();
    assert!(error.contains("needs reconnect: its refresh was interrupted at 2026-06-17 08:00:00 UTC"), "{error}");
    assert!(source.remedy.unwrap_or_default().contains("reconnect NAME --again"));
    let standing = grant::standing(&desk.grant().await, grant::warning_time(&desk.ctx), desk.world.clock.now());
    assert!(matches!(standing, Standing::NeedsReconnect(_)), "{standing:?}");
    assert_eq!(grant::in_need(&desk.ctx).await.expect("read"), ["acme"]);
    let refused = desk.ask(&desk.daemon()).await.expect_err("nothing works");
    assert!(refused.contains("needs reconnect"), "{refused}");
    desk.world.sim.post("requests/reset", json!({})).await;
    desk.world.run_jobs().await;
    let asked = desk.world.sim.get("requests").await["by_endpoint"]["POST /oauth/tokens"].as_i64();
    assert_eq!(asked, None, "what is lost is not asked for again and again");
    let begun = desk.begin(Purpose::Reconnect { name: "acme".into(), write: false }).await;
    assert_eq!(desk.visit(&begun.url, "admin", "allow").await.0, 200);
    desk.world.settle().await;
    assert_eq!(desk.world.source().await.error, None);
    assert!(grant::in_need(&desk.ctx).await.expect("read").is_empty());
}

#[tokio::test]
async fn killed_after_our_commit() {
    let desk = due().await;
    killed_when(&desk, async || desk.grant().await.version == 2).await;
    desk.ask(&desk.daemon()).await.expect("the new pair is there");
    assert_eq!(desk.refreshes().await, 1);
}

/// A daemon that is stopped in its tracks after Zendesk's answer, and goes on when others think the pair lost, brings it back.
#[tokio::test]
async fn frozen_between_zendesks_answer_and_our_commit() {
    let desk = due().await;
    let ctx = desk.daemon();
    let (grant, mut db) = (desk.grant().await, ctx.pool.acquire().await.expect("a connection"));
    let now = desk.world.clock.now();
    db::grant::intend(&mut db, grant.source_id, grant.version, now, now + chrono::Duration::seconds(60))
        .await
        .expect("intended");
    let pair = open(&ctx, &grant);
    let endpoint = ctx.token_endpoint("acme", &desk.world.sim.url, false).expect("an endpoint");
    let new = endpoint.refresh(&Desk::app(), &pair.refresh_token, now).await.expect("renewed");
    desk.world.advance(61, 0).await;
    desk.world.run_jobs().await;
    assert!(desk.grant().await.lost_at.is_some());
    let sealed = deskbridge::pipeline::keeper::seal(&ctx.sealer, grant.source_id, &new);
    let stored =
        db::grant::renewed(&mut db, grant.source_id, grant.version, &new, &sealed, desk.world.clock.now()).await;
    assert!(stored.expect("stored"));
    desk.ask(&desk.daemon()).await.expect("works again");
}

fn open(ctx: &Context, grant: &Grant) -> Pair {
    deskbridge::pipeline::keeper::open(&ctx.sealer, grant).expect("opens")
}

/// What a renewing daemon is at.
#[derive(Debug, Clone, Copy)]
enum At {
    Nothing,
    /// The intent is committed for this version and refresh token.
    Intended(i64, u64),
    /// Zendesk answered: the next token, or a refusal.
    Answered(i64, Option<u64>),
}

/// One move of the play.
#[derive(Debug, Clone, Copy)]
enum Move {
    Step(usize),
    Crash(usize),
    /// Longer than a lease.
    Time,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![6 => (0..3usize).prop_map(Move::Step), 1 => (0..3usize).prop_map(Move::Crash), 1 => Just(Move::Time)];
    proptest::collection::vec(one, 1..40)
}

/// Renewals over the real table, against Zendesk's rule: a refresh token is good once. Tokens are numbers, unsealed here.
struct Play {
    db: sqlx::pool::PoolConnection<sqlx::Postgres>,
    source_id: i64,
    begun: DateTime<Utc>,
    now: DateTime<Utc>,
    /// The one refresh token that Zendesk takes.
    good: u64,
}

impl Play {
    fn pair(&self, number: u64) -> Pair {
        Pair {
            access_token: format!("a{number}"),
            refresh_token: number.to_string(),
            scopes: Vec::new(),
            issued_at: self.begun,
            access_expires_at: self.begun + chrono::Duration::days(2),
            refresh_expires_at: self.begun + chrono::Duration::days(90),
        }
    }

    async fn grant(&mut self) -> Grant {
        db::grant::get(&mut self.db, self.source_id).await.expect("read").expect("a grant")
    }

    /// The next step of a daemon.
    async fn step(&mut self, at: At) -> At {
        let grant = self.grant().await;
        match at {
            At::Nothing if grant.renewal(self.now) == Renewal::Free => {
                let until = self.now + chrono::Duration::seconds(60);
                let intended = db::grant::intend(&mut self.db, self.source_id, grant.version, self.now, until).await;
                intended.expect("intended");
                At::Intended(grant.version, String::from_utf8_lossy(&grant.tokens).parse().expect("a number"))
            }
            At::Nothing => At::Nothing,
            At::Intended(version, token) => {
                let taken = token == self.good;
                self.good += u64::from(taken);
                At::Answered(version, taken.then_some(self.good))
            }
            At::Answered(version, Some(token)) => {
                let (pair, text) = (self.pair(token), token.to_string());
                let stored =
                    db::grant::renewed(&mut self.db, self.source_id, version, &pair, text.as_bytes(), self.now).await;
                assert!(stored.expect("stored"), "a pair that Zendesk gave always finds its place");
                At::Nothing
            }
            At::Answered(version, None) => {
                db::grant::lost(&mut self.db, self.source_id, version, "refused", self.now).await.expect("marked");
                At::Nothing
            }
        }
    }
}

/// Plays these moves; in the end all daemons die, and two new ones have time to do what they can.
async fn play(ctx: &Context, source_id: i64, moves: &[Move]) -> Result<(), TestCaseError> {
    let begun = ctx.clock.now();
    let db = ctx.pool.acquire().await.expect("a connection");
    let mut play = Play { db, source_id, begun, now: begun, good: 0 };
    let first = play.pair(0);
    db::grant::put(&mut play.db, source_id, &first, b"0", begun).await.expect("put");
    let (mut daemons, mut disturbed) = ([At::Nothing; 3], false);
    let mut ends = vec![Move::Crash(0), Move::Crash(1), Move::Crash(2)];
    for who in [0, 1] {
        ends.extend([Move::Time, Move::Step(who), Move::Step(who), Move::Step(who)]);
    }
    for (index, step) in moves.iter().chain(&ends).enumerate() {
        match *step {
            Move::Time => {
                play.now += chrono::Duration::seconds(61);
                disturbed |= index < moves.len();
            }
            Move::Crash(who) => {
                disturbed |= !matches!(daemons[who], At::Nothing);
                daemons[who] = At::Nothing;
            }
            Move::Step(who) => daemons[who] = play.step(daemons[who]).await,
        }
    }
    let (end, good) = (play.grant().await, play.good);
    let usable = end.tokens == good.to_string().as_bytes();
    prop_assert!(usable || end.lost_at.is_some(), "locked out without saying so: {:?}", end);
    prop_assert!(!(usable && end.lost_at.is_some()), "good tokens are not given up: {:?}", end);
    prop_assert!(disturbed || usable, "undisturbed, nothing is ever lost: {:?}", end);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_order_and_whoever_dies_the_source_works_or_says_so() {
    let desk = Desk::connected().await;
    let source_id = desk.world.source().await.id;
    let ctx = desk.ctx.clone();
    let handle = tokio::runtime::Handle::current();
    let played = tokio::task::spawn_blocking(move || {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 150,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        runner.run(&moves(), |moves| handle.block_on(play(&ctx, source_id, &moves)))
    });
    played.await.expect("played to its end").unwrap_or_else(|error| panic!("{error}"));
}
