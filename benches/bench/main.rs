//! The benchmark behind `script/bench`: what the daemon does, beside the most that the same machine could do, in one run.
//!
//! The daemon under test is the real one, in a process of its own. This program starts itself again for the same route
//! without a database and for the simulated Zendesk. Each is measured against its counterpart in turns, so that a noisy machine troubles both.

mod activations;
mod audiences;
mod bodies;
mod copy;
mod intake;
mod load;
mod process;
mod report;
mod roles;
mod sync;
mod world;

use anyhow::{Context, Result};
use report::Report;
use world::World;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Customers of the first sync.
    pub users: usize,
    /// First syncs, each beside a COPY of the same rows.
    pub syncs: usize,
    /// Bursts of webhooks, each beside one on the route without a database.
    pub bursts: usize,
    /// Seconds of a burst.
    pub burst_secs: u64,
    /// Tickets that the webhooks are about.
    pub tickets: usize,
    /// People whom an activation looks at.
    pub people: usize,
}

const QUICK: Plan = Plan { users: 200_000, syncs: 3, bursts: 3, burst_secs: 4, tickets: 10_000, people: 200_000 };
const LONG: Plan = Plan { users: 200_000, syncs: 7, bursts: 7, burst_secs: 6, tickets: 20_000, people: 1_000_000 };

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match words.as_slice() {
            ["no-database"] => roles::no_database().await,
            ["sim", users, tickets] => roles::sim(users.parse()?, tickets.parse()?, false).await,
            ["limited-sim", users] => roles::sim(users.parse()?, 0, true).await,
            [] => bench(LONG, "all").await,
            ["--quick"] => bench(QUICK, "all").await,
            ["--only", part] => bench(LONG, part).await,
            ["--quick", "--only", part] => bench(QUICK, part).await,
            _ => anyhow::bail!("bench [--quick] [--only sync|intake|audiences|activations]"),
        }
    })
}

async fn bench(plan: Plan, part: &str) -> Result<()> {
    let mut report = Report::new();
    let world = World::start(plan).await.context("setting up")?;
    let is_asked = |name: &str| part == "all" || part == name;
    let mut database = "plain".to_string();
    if is_asked("sync") {
        database = sync::measure(&world, &plan, &mut report).await.context("first sync")?;
    } else {
        world.new_database(&database)?;
    }
    if is_asked("intake") {
        intake::measure(&world, &plan, &database, &mut report).await.context("intake")?;
    }
    if is_asked("audiences") {
        audiences::measure(&world, &plan, &mut report).await.context("audiences")?;
    }
    if is_asked("activations") {
        activations::measure(&world, &plan, &mut report).await.context("activations")?;
    }
    report.add("peak_rss_mib", report.most(&["peak_rss_sync_mib", "peak_rss_intake_mib", "diff_peak_rss_mib"]));
    report.print();
    report.write("target/bench.json").context("target/bench.json")
}
