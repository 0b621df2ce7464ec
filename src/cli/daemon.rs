//! `serve` and `migrate`.

use super::error::failed;
use super::output::say;
use super::session::{self, Globals};
use crate::app;
use crate::clock::Clock;
use crate::db::{self, pool};
use crate::model::source::{API_TOKENS_END, Credentials, SourceState};
use crate::pipeline::context::Context;
use crate::telemetry;

/// `deskbridge serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Bring the database up to date first, as `deskbridge migrate` does.
    #[arg(long)]
    migrate: bool,
}

/// Runs the daemon until a signal.
pub async fn serve(globals: &Globals, args: &Serve) -> anyhow::Result<()> {
    let settings = session::settings(globals.config.as_deref())?;
    telemetry::init(settings.log.format, &settings.log.filter)?;
    let metrics = telemetry::install_metrics()?;
    let ctx = app::context(settings, Clock::system())?;
    pool::probe(&ctx.pool).await?;
    if args.migrate {
        pool::migrate(&ctx.pool).await?;
    }
    let daemon = app::start(ctx.clone(), metrics, false).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), public = %daemon.public, admin = %daemon.admin,
        base_url = ctx.settings.public.base_url.as_deref().unwrap_or("(none)"), "deskbridge serves"
    );
    warn_of_api_tokens(&ctx).await?;
    match daemon.run_until_signal().await {
        true => {
            tracing::info!("stopped");
            Ok(())
        }
        false => Err(failed(
            "stopped before all work had ended",
            "nothing: what was not committed is done again at the next start",
        )),
    }
}

/// Zendesk ends API tokens on a known day: said at every start, for every source that still uses one.
async fn warn_of_api_tokens(ctx: &Context) -> anyhow::Result<()> {
    let mut db = ctx.pool.acquire().await?;
    for source in db::source::all(&mut db).await? {
        if source.credentials.is_none() || matches!(source.state, SourceState::Archived | SourceState::Deleted) {
            continue;
        }
        match ctx.credentials(&source) {
            Ok(Credentials::ApiToken { .. }) => tracing::warn!(
                source = source.name,
                "this source uses an API token; Zendesk ends API tokens on {API_TOKENS_END}: make an OAuth client in Zendesk, then run deskbridge source migrate-to-oauth {} --client-id ID --client-secret-file FILE",
                source.name
            ),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(source = source.name, error = %error, remedy = error.remedy(), "the source's credentials cannot be read")
            }
        }
    }
    Ok(())
}

/// Brings the database's tables up to this version.
pub async fn migrate(globals: &Globals) -> anyhow::Result<()> {
    let settings = session::settings(globals.config.as_deref())?;
    telemetry::init_beside("warn")?;
    let ctx = app::context(settings, Clock::system())?;
    pool::probe(&ctx.pool).await?;
    let missing = pool::missing_migrations(&ctx.pool).await?;
    pool::migrate(&ctx.pool).await?;
    match missing {
        0 => say("The database is up to date; nothing was to be done."),
        1 => say("1 migration applied; the database is up to date."),
        many => say(format_args!("{many} migrations applied; the database is up to date.")),
    }
    Ok(())
}
