//! A first sync takes as long as `source estimate` says: on a model of a large account, in which each record stands for a
//! thousand, so that the same number of requests is made.

use crate::support::{Setup, World};
use deskbridge::config::Settings;
use deskbridge::model::source::SourceSettings;
use deskbridge::rules::estimate::{Counts, PLANS, duration, readings};
use deskbridge::rules::retention;
use deskbridge::zendesk::counts;
use std::time::Duration;
use zendesk_sim::Settings as SimSettings;

const WEIGHT: u64 = 1000;

/// Reads everything while time runs, for the account as for the daemon, as long as somebody waits for it. Answers the minutes.
async fn first_sync(world: &World) -> f64 {
    let begun = world.clock.now();
    let time = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticks.tick().await;
            if world.clock.sleepers() > 0 {
                world.advance(1, 0).await;
            }
        }
    };
    tokio::select! {
        () = world.sync() => {}
        () = time => {}
    }
    (world.clock.now() - begun).num_seconds() as f64 / 60.0
}

async fn check(plan: usize, account: fn(&mut SimSettings), settings: fn(&mut Settings)) {
    let (users, tickets) = match std::env::var("DESKBRIDGE_ESTIMATE").as_deref() {
        Ok("full") => (2000, 5000),
        _ => (150, 100),
    };
    let world = World::new(Setup { users, tickets, limits: true, account, settings, ..Setup::default() }).await;
    let source = world.connect(SourceSettings::default()).await;
    let client = world.ctx.client(&source).expect("a client");
    let since = retention::first_sync_since(world.clock.now(), &source.settings.retention);
    let told = counts::read(&client, since).await.expect("counts");
    let truth = world.sim.get("state/counts").await;
    let counts = Counts {
        users: told.users + told.deleted_users,
        organizations: told.organizations,
        tickets: told.tickets,
        updates: truth["audits"].as_u64().expect("a count") * WEIGHT,
        deleted_users: told.deleted_users,
    };
    let share = world.ctx.settings.zendesk.requests_share;
    let expected = duration(&readings(&counts, 1000), PLANS[plan], share);
    // A minute later, so that what was asked meanwhile is forgotten.
    world.advance(61, 0).await;
    let took = first_sync(&world).await;
    let off = (took - expected.minutes).abs() / expected.minutes;
    println!("{}: estimated {:.0} minutes, took {took:.1}", PLANS[plan].name, expected.minutes);
    assert!(off < 0.05, "{}: {counts:?}: estimated {:.0} minutes, took {took:.1}", PLANS[plan].name, expected.minutes);
}

fn weighty(settings: &mut SimSettings, plan: &str) {
    settings.row_weight = Some(WEIGHT as usize);
    settings.plan = Some(plan.into());
}

fn limits(settings: &mut Settings, requests: u32, exports: u32) {
    settings.zendesk.requests_per_minute = requests;
    settings.zendesk.requests_share = 0.8;
    settings.zendesk.incremental_per_minute = exports;
}

#[tokio::test]
async fn a_first_sync_on_the_plan_team_takes_as_long_as_estimated() {
    check(1, |account| weighty(account, "team"), |settings| limits(settings, 200, 10)).await;
}

#[tokio::test]
async fn a_first_sync_with_the_high_volume_add_on_takes_as_long_as_estimated() {
    check(5, |account| weighty(account, "high-volume"), |settings| limits(settings, 2500, 30)).await;
}
