//! How an import tells what it meets, and why it ends.

use super::rows::{Fault, ReadError};
use crate::pipeline::context::FlowError;

/// Why a file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file became another while it was read.
    #[error("the file was changed while it was imported: import it again, what has been applied stays as it is")]
    Changed,
    /// A name that cannot stand on a command line.
    #[error("{0:?} cannot be a source's name: use up to 63 of a-z, 0-9 and -")]
    Name(String),
    /// The source is no place for files.
    #[error("source {name} is {what}: {remedy}")]
    Source {
        /// Its name.
        name: String,
        /// What it is instead.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Postgres.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        ImportError::Flow(error.into())
    }
}

/// What the file is being read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To be checked.
    Check,
    /// To be written.
    Apply,
    /// For activities that are left over.
    Activities,
}

/// Hears how an import goes; from several threads.
pub trait Watcher: Send + Sync {
    /// Something in the file could not be used.
    fn fault(&self, fault: &Fault);

    /// This many bytes and rows of the file are behind us.
    fn progress(&self, step: Step, bytes: u64, rows: u64);
}

impl From<std::io::Error> for ImportError {
    fn from(error: std::io::Error) -> Self {
        ImportError::Read(ReadError::Io(error))
    }
}
