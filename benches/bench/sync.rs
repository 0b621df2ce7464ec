//! First sync of a large account by the daemon, beside COPY of the same rows; then the same sync again.

use crate::Plan;
use crate::copy::{self, Dump};
use crate::report::Report;
use crate::world::{World, free_port};
use anyhow::{Result, bail, ensure};
use chrono::{DateTime, Days, Utc};
use deskbridge::db::checkpoint;
use deskbridge::model::source::SourceSettings;
use deskbridge::model::stream::Stream;
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::lifecycle::{self, Connect, Resync};
use std::time::{Duration, Instant};

/// Measures, and answers the name of the last database, which stays as it is.
pub async fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<String> {
    let mut dump: Option<Dump> = None;
    let mut database = String::new();
    for round in 1..=plan.syncs {
        eprintln!("first sync {round} of {}", plan.syncs);
        database = format!("sync{round}");
        world.new_database(&database)?;
        let db = world.pool(&database).await?;
        let public = free_port()?;
        let variables = world.variables(&database, &[world.sim.url()], public)?;
        let daemon = world.daemon("serve", &variables, public).await?;
        let ctx = world.context(&variables)?;
        copy::execute(&db, "CHECKPOINT").await?;
        maybe_profile(daemon.id(), "sync");
        let due = Instant::now();
        let since = ctx.clock.now();
        let request = Connect {
            workspace: 1,
            account: world.sim.url(),
            name: Some("bench"),
            credentials: world.sim.credentials(),
            manual_webhook: Some(Some("secret of the bench".into())),
            settings: SourceSettings::default(),
        };
        let source = lifecycle::connect(&ctx, request).await?.source;
        caught_up(&ctx, source.id, since, &[Stream::Users, Stream::Organizations]).await?;
        let took = due.elapsed().as_secs_f64();
        report.add("first_sync_users_per_s", plan.users as f64 / took);
        report.add("first_sync_daemon_cpu_s", daemon.cpu_secs()?);
        caught_up(&ctx, source.id, since, &Stream::ALL).await?;

        if dump.is_none() {
            dump = Some(Dump::write(&db, &world.folder).await?);
        }
        if let Some(dump) = &dump {
            report.add("first_sync_rows_per_s", dump.rows as f64 / took);
            let copied = dump.copy(&db).await?.as_secs_f64();
            report.add("copy_users_per_s", plan.users as f64 / copied);
            report.add("first_sync_ratio_to_copy", copied / took);
        }
        let counted = round == plan.syncs;
        let before = if counted { copy::tuples_written(&db).await? } else { 0 };
        maybe_profile(daemon.id(), "resync");
        let (again, since) = (Instant::now(), ctx.clock.now());
        lifecycle::resync(&ctx, &source, Resync::Backfill(since - Days::new(90))).await?;
        caught_up(&ctx, source.id, since, &[Stream::Users, Stream::Organizations]).await?;
        report.add("resync_users_per_s", plan.users as f64 / again.elapsed().as_secs_f64());
        if counted {
            let written = copy::tuples_written(&db).await? - before;
            report.add("resync_tuples_written", written as f64);
        }
        let people = copy::query(&db, "SELECT count(*) FROM person").await?;
        ensure!(people as usize > plan.users / 2, "only {people} people after a first sync");
        report.add("peak_rss_sync_mib", daemon.peak_rss_mib()?);
        ctx.pool.close().await;
        db.close().await;
    }
    Ok(database)
}

/// Waits until these streams of a source have been read to their end.
pub async fn caught_up(ctx: &Context, source: i64, since: DateTime<Utc>, streams: &[Stream]) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(300) {
        let mut db = ctx.pool.acquire().await?;
        let all = checkpoint::of_source(&mut db, source).await?;
        drop(db);
        let wanted = all.iter().filter(|found| streams.contains(&found.stream));
        if wanted.clone().all(|found| found.error.is_some() || found.caught_up_at.is_some_and(|at| at >= since)) {
            let main = |stream| matches!(stream, Stream::Users | Stream::Organizations | Stream::Tickets);
            return match wanted.clone().find(|found| found.error.is_some() && main(found.stream)) {
                Some(failed) => bail!("stream {}: {:?}", failed.stream.as_str(), failed.error),
                None => Ok(()),
            };
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("the streams do not come to their ends")
}

/// With `BENCH_PERF=FOLDER`, records what the whole machine does in the next seconds: `perf report -i FOLDER/NAME.perf`.
pub fn maybe_profile(daemon: u32, name: &str) {
    let Some(folder) = std::env::var_os("BENCH_PERF") else { return };
    let file = std::path::Path::new(&folder).join(format!("{name}.perf"));
    eprintln!("    perf: {} (daemon is {daemon})", file.display());
    let started = std::process::Command::new("perf")
        .args(["record", "-q", "-a", "-F", "499", "-o"])
        .arg(file)
        .args(["--", "sleep", "4"])
        .spawn();
    if let Err(error) = started {
        eprintln!("    perf: {error}");
    }
}
