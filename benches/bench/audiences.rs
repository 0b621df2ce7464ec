//! Audiences: how fast webhooks are applied with a hundred of them and with none, in turns; and how long it takes from a
//! webhook's acknowledgement until the membership that it changes can be read, at a hundred webhooks a second.

use crate::Plan;
use crate::bodies;
use crate::copy;
use crate::load;
use crate::report::Report;
use crate::sync::caught_up;
use crate::world::{Account, World, free_port};
use anyhow::{Result, ensure};
use deskbridge::model::source::SourceSettings;
use deskbridge::model::stream::Stream;
use deskbridge::pipeline::audience;
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::lifecycle::{self, Connect};
use deskbridge::rules::audience::define;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";

/// Webhooks a second while the time until a membership is measured.
const PACE: u64 = 100;

/// Measures on a database of its own.
pub async fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    world.new_database("audiences")?;
    let account = Account::start(plan.tickets / 2, plan.tickets)?;
    let db = world.pool("audiences").await?;
    let public = free_port()?;
    // As it is by default: who waits for the next look of the worker waits for a second.
    let mut variables = world.variables("audiences", &[account.url(), world.sim.url()], public)?;
    variables.retain(|(name, _)| !name.ends_with("POLL_INTERVAL_MS"));
    let _daemon = world.daemon("serve", &variables, public).await?;
    let ctx = world.context(&variables)?;
    let since = ctx.clock.now();
    let request = Connect {
        workspace: 1,
        account: account.url(),
        name: Some("intake"),
        credentials: account.credentials(),
        manual_webhook: Some(Some(SECRET.into())),
        settings: SourceSettings::default(),
    };
    eprintln!("first sync of {} tickets", plan.tickets);
    let source = lifecycle::connect(&ctx, request).await?.source;
    caught_up(&ctx, source.id, since, &Stream::ALL).await?;
    copy::execute(&db, "VACUUM ANALYZE").await?;
    let tickets = bodies::tickets(&db, source.id).await?;

    for turn in 0..plan.bursts * 2 {
        let many = turn % 2 == 1;
        match many {
            true => define_all(&ctx, 0..100).await?,
            false => delete_all(&ctx).await?,
        }
        lifecycle::set_paused(&ctx, &source, true).await?;
        let count = 8_000 * plan.burst_secs as usize / 4;
        let requests = Arc::new(bodies::requests(&tickets, public, SECRET, 500 + turn, count));
        let stored = load::burst(public, &requests, 64, Duration::from_secs(120), false).await?;
        copy::execute(&db, "CHECKPOINT").await?;
        let begun = Instant::now();
        lifecycle::set_paused(&ctx, &source, false).await?;
        settled(&db, "raw_event_pending").await?;
        let applied = stored.acknowledged as f64 / begun.elapsed().as_secs_f64();
        settled(&db, "audience_touched").await?;
        let all = stored.acknowledged as f64 / begun.elapsed().as_secs_f64();
        match many {
            false => report.add("applied_per_s_without_audiences", applied),
            true => {
                report.add("applied_per_s_with_100_audiences", applied);
                report.add("settled_per_s_with_100_audiences", all);
            }
        }
    }
    let without = report.median("applied_per_s_without_audiences");
    report.add("cost_of_100_audiences", without / report.median("settled_per_s_with_100_audiences"));

    for (turn, (audiences, p50, p99)) in [
        (10, "membership_10_audiences_p50_ms", "membership_10_audiences_p99_ms"),
        (100, "membership_100_audiences_p50_ms", "membership_100_audiences_p99_ms"),
    ]
    .into_iter()
    .enumerate()
    {
        delete_all(&ctx).await?;
        define_all(&ctx, 1..audiences).await?;
        let mut took = until_member(&ctx, &db, &tickets, public, turn, plan.burst_secs * 5).await?;
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        report.add(p50, at(0.5));
        report.add(p99, at(0.99));
    }
    Ok(())
}

/// An audience of many sorts.
fn sort(n: usize) -> Value {
    let (days, times, kinds) = (n + 2, n % 4 + 1, ["zd.ticket.comment_added", "zd.ticket.created", "zd.ticket.solved"]);
    match n % 5 {
        0 => json!({"activity": kinds[n / 5 % 3], "count": format!(">= {times}"), "within": format!("{days} days")}),
        1 => json!({"tickets": [{"field": "status", "is": "open"}], "count": format!(">= {times}")}),
        2 => json!({"all": [{"field": "email", "contains": format!("{n}")}, {"consent": "email", "granted": false}]}),
        3 => {
            json!({"any": [{"field": "zd.last_rating", "is": "bad"}, {"field": "zd.open_tickets", "greater_than": times}]})
        }
        _ => json!({"all": [{"activity": "zd.ticket.comment_added", "last": format!("less than {days} days ago")},
            {"organization": [{"field": "name", "has_value": true}]}]}),
    }
}

async fn define_all(ctx: &Context, which: std::ops::Range<usize>) -> Result<()> {
    for n in which {
        let written = json!({"name": format!("bench-{n}"), "entry": sort(n), "reentry": true});
        audience::apply(ctx, 1, &define(&written)?).await?;
    }
    Ok(())
}

async fn delete_all(ctx: &Context) -> Result<()> {
    let all = audience::load(&mut *ctx.pool.acquire().await?, 1).await?;
    for audience in all.iter().rev() {
        audience::delete(ctx, 1, &audience.stored.name).await?;
    }
    Ok(())
}

/// Waits until a table has no rows.
async fn settled(db: &PgPool, table: &str) -> Result<()> {
    let begun = Instant::now();
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 1) t");
    while copy::query(db, &sql).await? > 0 {
        ensure!(begun.elapsed() < Duration::from_secs(600), "{table} is not seen to");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Comments by people who have not written just now: milliseconds from each acknowledgement until its author can be read as
/// a member of those who have.
async fn until_member(
    ctx: &Context,
    db: &PgPool,
    tickets: &[bodies::Ticket],
    public: std::net::SocketAddr,
    turn: usize,
    secs: u64,
) -> Result<Vec<f64>> {
    let entry = json!({"activity": "zd.ticket.comment_added", "within": format!("{} minutes", 60 - turn * 20)});
    let name = format!("wrote-{turn}");
    audience::apply(ctx, 1, &define(&json!({"name": name, "entry": entry}))?).await?;
    let id = audience::find(&mut *ctx.pool.acquire().await?, 1, &name).await?.stored.id;
    let inside: Vec<i64> = members(db, id).await?;
    let chosen = bodies::one_each(tickets, &inside, turn, (PACE * secs) as usize);
    let requests = bodies::comments(&chosen, public, SECRET, 900 + turn);
    let people: Vec<i64> = chosen.iter().map(|ticket| ticket.person).collect();
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PACE));
    let sending = tokio::spawn({
        let people = people.clone();
        async move {
            let mut all = Vec::new();
            for (request, person) in requests.into_iter().zip(people) {
                pace.tick().await;
                load::burst(public, &Arc::new(vec![request]), 1, Duration::from_secs(5), false).await?;
                all.push((person, Instant::now()));
            }
            anyhow::Ok(all)
        }
    });
    let mut first_seen: HashMap<i64, Instant> = HashMap::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(secs + 30) {
        let now = members(db, id).await?;
        let at = Instant::now();
        for person in now {
            first_seen.entry(person).or_insert(at);
        }
        if sending.is_finished() && people.iter().all(|person| first_seen.contains_key(person)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let missing = people.iter().filter(|person| !first_seen.contains_key(person)).count();
    ensure!(missing == 0, "{missing} of {} who wrote are no members half a minute later", people.len());
    let sent: Vec<(i64, Instant)> = sending.await??;
    let took =
        |(person, sent): &(i64, Instant)| first_seen[person].saturating_duration_since(*sent).as_secs_f64() * 1000.0;
    Ok(sent.iter().map(took).collect())
}

async fn members(db: &PgPool, audience: i64) -> Result<Vec<i64>> {
    let mut db = db.acquire().await?;
    Ok(deskbridge::db::audience_member::inside(&mut db, 1, audience).await?)
}
