//! Webhooks: acknowledgements on the real route with durable commits, beside the same route without a database; then how
//! fast what was stored is applied.

use crate::Plan;
use crate::bodies;
use crate::copy;
use crate::load::{self, Burst};
use crate::report::Report;
use crate::sync::{caught_up, maybe_profile};
use crate::world::{Account, World, free_port};
use anyhow::{Result, ensure};
use deskbridge::model::source::SourceSettings;
use deskbridge::model::stream::Stream;
use deskbridge::pipeline::lifecycle::{self, Connect};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 256;
const SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
/// Requests prepared for a second of a burst: more than can be answered with a database.
const PREPARED_PER_SECOND: usize = 30_000;

/// Measures on a database that holds people already.
pub async fn measure(world: &World, plan: &Plan, database: &str, report: &mut Report) -> Result<()> {
    let account = Account::start(plan.tickets / 2, plan.tickets)?;
    let db = world.pool(database).await?;
    let (public, bare) = (free_port()?, free_port()?);
    let variables = world.variables(database, &[account.url(), world.sim.url()], public)?;
    let daemon = world.daemon("serve", &variables, public).await?;
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
    let begun = Instant::now();
    caught_up(&ctx, source.id, since, &Stream::ALL).await?;
    report.add("first_sync_with_tickets_secs", begun.elapsed().as_secs_f64());
    let tickets = bodies::tickets(&db, source.id).await?;
    let without = world.daemon("no-database", &world.variables(database, &[], bare)?, bare).await?;

    // While it is paused, webhooks are kept and not applied: first the intake alone.
    lifecycle::set_paused(&ctx, &source, true).await?;
    let time = Duration::from_secs(plan.burst_secs);
    let mut acknowledged = 0;
    for burst in 0..plan.bursts {
        eprintln!("burst {} of {}", burst + 1, plan.bursts);
        let count = PREPARED_PER_SECOND * plan.burst_secs as usize;
        let requests = Arc::new(bodies::requests(&tickets, public, SECRET, burst, count));
        copy::execute(&db, "CHECKPOINT").await?;
        let none = load::burst(bare, &requests, CONNECTIONS, time, true).await?;
        report.add("no_database_acks_per_s", none.per_second);
        maybe_profile(daemon.id(), "intake");
        let cpu = daemon.cpu_secs()?;
        let stored = load::burst(public, &requests, CONNECTIONS, time, false).await?;
        report.add("intake_acks_per_s", stored.per_second);
        report.add("intake_ratio_to_no_database", stored.per_second / none.per_second);
        report.add("intake_p99_ms", stored.p99_ms);
        report.add("intake_p50_ms", stored.p50_ms);
        report.add("intake_daemon_cpu_us_per_ack", (daemon.cpu_secs()? - cpu) * 1e6 / stored.acknowledged as f64);
        refusals(&stored)?;
        acknowledged += stored.acknowledged;
    }
    drop(without);
    let kept = copy::query(&db, "SELECT count(*) FROM raw_event").await?;
    ensure!(kept as usize >= acknowledged, "{acknowledged} were acknowledged and only {kept} are stored");

    eprintln!("applying {kept} events");
    maybe_profile(daemon.id(), "apply");
    let begun = Instant::now();
    lifecycle::set_paused(&ctx, &source, false).await?;
    drained(&db).await?;
    report.add("applied_events_per_s", kept as f64 / begun.elapsed().as_secs_f64());
    let letters = copy::query(&db, "SELECT count(*) FROM dead_letter").await?;
    report.add("dead_letters", letters as f64);

    eprintln!("a burst while applying");
    let count = PREPARED_PER_SECOND * plan.burst_secs as usize;
    let requests = Arc::new(bodies::requests(&tickets, public, SECRET, plan.bursts, count));
    let stored = load::burst(public, &requests, CONNECTIONS, time, false).await?;
    report.add("intake_while_applying_acks_per_s", stored.per_second);
    report.add("intake_while_applying_p99_ms", stored.p99_ms);
    refusals(&stored)?;
    drained(&db).await?;
    report.add("peak_rss_intake_mib", daemon.peak_rss_mib()?);
    Ok(())
}

fn refusals(burst: &Burst) -> Result<()> {
    ensure!(burst.refused == 0, "{} of {} were refused", burst.refused, burst.acknowledged + burst.refused);
    Ok(())
}

/// Waits until nothing is pending.
async fn drained(db: &sqlx::PgPool) -> Result<()> {
    let begun = Instant::now();
    while copy::query(db, "SELECT count(*) FROM (SELECT 1 FROM raw_event_pending LIMIT 1) p").await? > 0 {
        ensure!(begun.elapsed() < Duration::from_secs(600), "webhooks are not applied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
