//! What every command begins with: settings, a log beside the answer, and a database that is ready.

use super::error::{Complaint, usage};
use crate::app;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::{self, pool};
use crate::model::source::Source;
use crate::pipeline::context::Context;
use crate::pipeline::lifecycle;
use crate::telemetry;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Given to every command.
#[derive(Debug, Clone)]
pub struct Globals {
    /// The settings file.
    pub config: Option<PathBuf>,
}

/// Where a command's log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// To stdout, as the settings say: they are the answer.
    Main,
    /// Warnings only, to stderr, so that the answer stays clean.
    Beside,
    /// Nowhere: the command tells all itself.
    Silent,
}

/// What every command that works with the database needs.
pub struct Session {
    /// What flows work with.
    pub ctx: Context,
    /// The workspace.
    pub workspace: i64,
}

/// The settings, checked.
pub fn settings(file: Option<&Path>) -> anyhow::Result<Settings> {
    Settings::load(file).map_err(|error| {
        usage(telemetry::error_chain(&error), "config/default.toml explains every key; `deskbridge check` checks again")
    })
}

/// Begins a session: reads the settings, and sees that the database is there and up to date.
pub async fn open(globals: &Globals, log: Log) -> anyhow::Result<Session> {
    let settings = settings(globals.config.as_deref())?;
    match log {
        Log::Main => telemetry::init(settings.log.format, &settings.log.filter)?,
        Log::Beside => telemetry::init_beside("warn")?,
        Log::Silent => {}
    }
    let ctx = app::context(settings, Clock::system())?;
    pool::probe(&ctx.pool).await?;
    // Whether it is durable matters to who acknowledges webhooks: `serve` and `check` look at that.
    pool::check(&ctx.pool, true).await?;
    match pool::missing_migrations(&ctx.pool).await.context("reading the migrations of the database")? {
        0 => Ok(Session { ctx, workspace: db::workspace::DEFAULT }),
        missing => Err(pool::Unfit::Behind(missing).into()),
    }
}

impl Session {
    /// The source of that name.
    pub async fn source(&self, name: &str) -> anyhow::Result<Source> {
        Ok(lifecycle::find(&self.ctx, self.workspace, name).await?)
    }

    /// A connection.
    pub async fn db(&self) -> anyhow::Result<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        Ok(self.ctx.pool.acquire().await?)
    }
}

/// The end of a command that has told by itself what failed.
pub fn told(ok: bool) -> anyhow::Result<()> {
    if ok { Ok(()) } else { Err(Complaint::Said.into()) }
}
