//! How the demo ends: well, badly, or with a reason why it does not go on.

use super::compare::CompareError;
use super::sim::SimError;
use crate::app;
use crate::config::ConfigError;
use crate::db::pool::Unfit;
use crate::pipeline::activate::stored::ActivationError;
use crate::pipeline::audience::AudienceError;
use crate::pipeline::context::FlowError;
use crate::pipeline::lifecycle::LifecycleError;
use crate::private_postgres::PrivatePostgresError;
use crate::telemetry;
use std::io;
use std::path::{Path, PathBuf};

/// Why the demo does not go on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DemoError {
    #[error("cannot use {0}: {1}")]
    File(PathBuf, #[source] io::Error),
    #[error("a demo is running in {0} already; stop it first (Ctrl-C in its terminal), or start this one elsewhere")]
    Running(PathBuf),
    #[error("{folder} keeps an account of {users} customers and {tickets} tickets; add --fresh to start over with other numbers", folder = .folder.display())]
    Other { folder: PathBuf, users: u32, tickets: u32 },
    #[error("no three free ports in a row between 14010 and 14990 on 127.0.0.1")]
    NoPorts,
    #[error(transparent)]
    Postgres(#[from] PrivatePostgresError),
    #[error(transparent)]
    Sim(#[from] SimError),
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] app::StartError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    #[error("a task of the demo has ended: {0}")]
    Task(String),
    #[error("the demo's own example is not understood: {0}")]
    Example(String),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error(transparent)]
    Audience(#[from] AudienceError),
    #[error(transparent)]
    Activation(#[from] ActivationError),
    #[error("the first sync does not go on: {0}")]
    Stuck(String),
}

impl DemoError {
    /// A file or folder that cannot be used.
    pub fn file(path: &Path, error: io::Error) -> DemoError {
        DemoError::File(path.to_owned(), error)
    }
}

/// How the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it should.
    Well,
    /// Of `--once`: the CDP is not what the simulated Zendesk is, or it was interrupted.
    Badly,
}

/// The end of a run, with the last line to be said when everything has stopped.
pub struct Last {
    /// How.
    pub ended: Ended,
    /// What is said last.
    pub line: Option<String>,
}
