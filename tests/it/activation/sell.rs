//! Zendesk Sell: an account of its own kind, whose contacts are written by e-mail.

use crate::support::{Setup, World, with_sell};
use deskbridge::model::source::{Credentials, SourceState};
use deskbridge::pipeline::connect::LifecycleError;
use deskbridge::pipeline::lifecycle::{self, Resync};
use deskbridge::pipeline::{inspect, sell};
use serde_json::json;

async fn world() -> World {
    World::new(Setup { users: 0, tickets: 0, account: with_sell, ..Setup::default() }).await
}

#[tokio::test]
async fn a_sell_account_is_connected_by_its_token_and_nothing_is_read_from_it() {
    let world = world().await;
    let wrong = Credentials::Bearer { token: "nonsense".into() };
    let refused = sell::connect(&world.ctx, 1, "sell", Some(&world.sim.sell_url()), &wrong).await;
    assert!(matches!(refused, Err(LifecycleError::Account(_))), "{refused:?}");
    assert_eq!(world.count("source").await, 0, "nothing of it stays");
    let elsewhere = sell::connect(&world.ctx, 1, "sell", Some("https://evil.example"), &world.sim.sell_token()).await;
    assert!(matches!(elsewhere, Err(LifecycleError::Account(_))), "{elsewhere:?}");
    let no_token = sell::connect(&world.ctx, 1, "sell", Some(&world.sim.sell_url()), &world.sim.credentials()).await;
    assert!(matches!(no_token, Err(LifecycleError::SellToken)), "{no_token:?}");

    let source = world.connect_sell().await;
    assert_eq!((source.kind.as_str(), source.state), ("sell", SourceState::Connected));
    assert!(source.connected_at.is_some());
    let again = sell::connect(&world.ctx, 1, "sell", Some(&world.sim.sell_url()), &world.sim.sell_token()).await;
    assert!(matches!(again, Err(LifecycleError::Taken(_))), "{again:?}");

    world.advance(2 * 86_400, 0).await;
    world.run_jobs().await;
    assert_eq!((world.count("checkpoint").await, world.count("job WHERE source_id > 0").await), (0, 0));
    let refused = lifecycle::resync(&world.ctx, &source, Resync::Incremental).await;
    assert!(matches!(refused, Err(LifecycleError::NotRead { .. })), "{refused:?}");
    let health = inspect::health(&world.ctx).await.expect("read");
    assert_eq!((health.len(), health[0].problems.len()), (1, 0));
    sell::inspect(&world.ctx, &source).await.expect("the token is good");
}

#[tokio::test]
async fn a_sell_account_lives_as_other_sources_do() {
    let world = world().await;
    let source = world.connect_sell().await;
    lifecycle::set_settings(&world.ctx, &source, "Sales", &source.settings).await.expect("set");
    assert_eq!(world.count("checkpoint").await, 0);
    lifecycle::disconnect(&world.ctx, &source).await.expect("disconnected");
    let source = lifecycle::find(&world.ctx, 1, "sell").await.expect("the source");
    let source = sell::reconnect(&world.ctx, &source, None).await.expect("with the stored token");
    assert_eq!((source.state, source.title.as_str()), (SourceState::Connected, "Sales"));
    let id = source.id;
    lifecycle::disconnect(&world.ctx, &source).await.expect("disconnected");
    for state in [SourceState::Archived, SourceState::Deleted] {
        let source = lifecycle::find(&world.ctx, 1, "sell").await.expect("the source");
        lifecycle::set_state(&world.ctx, &source, state).await.expect("moved on");
    }
    let source = lifecycle::find(&world.ctx, 1, "sell").await.expect("the source");
    assert_eq!(source.credentials, None);
    assert_eq!(world.connect_sell().await.id, id, "under its old name and number");
}

#[tokio::test]
async fn a_support_account_and_a_sell_account_live_side_by_side() {
    let world = World::synced(Setup { users: 3, tickets: 2, account: with_sell, ..Setup::default() }).await;
    world.connect_sell().await;
    world.advance(3_600, 0).await;
    world.run_jobs().await;
    assert_eq!(world.count("source WHERE state = 'connected' AND error IS NULL").await, 2);
    let taken = sell::connect(&world.ctx, 1, "acme", Some(&world.sim.sell_url()), &world.sim.sell_token()).await;
    assert!(matches!(taken, Err(LifecycleError::Taken(_))), "{taken:?}");
    let counted = world.sim.get("requests").await;
    assert_eq!(counted["by_endpoint"]["GET /v2/contacts"], json!(1), "the check, and nothing else: {counted}");
}
