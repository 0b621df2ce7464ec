//! What this program is when it starts itself again.

use anyhow::{Result, anyhow};
use deskbridge::clock::Clock;
use deskbridge::config::Settings;
use deskbridge::http::health::HealthState;
use deskbridge::http::recipients::Recipients;
use deskbridge::http::serve;
use deskbridge::http::webhook::WebhookState;
use deskbridge::pipeline::receive;
use deskbridge::{app, telemetry};
use std::io::Write;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use zendesk_sim::{Options, Settings as SimSettings, Sim};

/// The same route without a database behind it: the same router and verification, acknowledged at once.
pub async fn no_database() -> Result<()> {
    let settings = Settings::load(None)?;
    telemetry::init(settings.log.format, &settings.log.filter)?;
    telemetry::install_metrics()?;
    let ctx = app::context(settings, Clock::system())?;
    let state = WebhookState {
        recipients: Recipients::new(ctx.pool.clone(), ctx.sealer.clone(), ctx.clock.clone()),
        intake: receive::null(),
        clock: ctx.clock.clone(),
        freshness: chrono::Duration::seconds(ctx.settings.webhook.freshness_secs as i64),
        max_body_bytes: ctx.settings.webhook.max_body_bytes,
        read_timeout: std::time::Duration::from_secs(ctx.settings.webhook.read_timeout_secs),
    };
    let health = HealthState { pool: ctx.pool.clone(), stopping: CancellationToken::new() };
    let listener = tokio::net::TcpListener::bind(ctx.settings.public.listen).await?;
    let router = deskbridge::http::public(state, health);
    tokio::select! {
        () = serve::serve(listener, router, app::bounds(&ctx.settings), CancellationToken::new()) => {}
        () = end_of_input() => {}
    }
    Ok(())
}

/// The simulated Zendesk, without limits or with those of a large account. Says in its first line where it is.
pub async fn sim(users: usize, tickets: usize, limited: bool) -> Result<()> {
    let settings = SimSettings {
        users: Some(users),
        tickets: Some(tickets),
        limits: Some(if limited { "on" } else { "off" }.into()),
        plan: limited.then(|| "enterprise-plus".into()),
        ..SimSettings::default()
    };
    let sim = Sim::start(Options::try_from(settings).map_err(|words| anyhow!(words))?).await?;
    writeln!(std::io::stdout(), "{}", sim.about)?;
    end_of_input().await;
    Ok(())
}

async fn end_of_input() {
    let mut buffer = [0; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
