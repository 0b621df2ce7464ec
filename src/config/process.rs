//! What the system tells a process, besides settings: single variables, its folder, its own program.

use std::io;
use std::path::PathBuf;

/// Reads one variable of the environment, for the few that are no settings (`PATH`, `PG_BIN_DIR`).
#[must_use]
pub fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder that the process was started in.
///
/// # Errors
/// When it is gone or closed to us.
pub fn current_folder() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// The file that this program was started from.
///
/// # Errors
/// When the system does not tell.
pub fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}
