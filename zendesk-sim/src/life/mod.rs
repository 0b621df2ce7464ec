//! A life of its own: the past of an account, and what its people go on doing.
pub mod generate;
pub mod history;
pub mod names;
pub mod step;
pub mod texts;

use crate::server::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Lets so many acts happen per simulated minute, for ever.
pub async fn background(shared: Arc<Shared>, per_minute: f64) {
    let simulated = 60.0 / per_minute;
    let real = Duration::from_secs_f64((simulated / shared.clock.factor()).max(0.001));
    let mut ticks = tokio::time::interval(real);
    loop {
        ticks.tick().await;
        shared.gate().live(&shared.clock);
        shared.wake.notify_one();
    }
}
