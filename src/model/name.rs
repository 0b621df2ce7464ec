//! How names are split.

use serde::{Deserialize, Serialize};

/// How a name is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameSplitting {
    /// At the first space, and nothing is ever lost (N4, N5).
    #[default]
    Compat,
    /// Also honorifics, "last, first", family-first order, and names that are none (N6–N8).
    Smart,
}
