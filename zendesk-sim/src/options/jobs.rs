//! How bulk jobs go.
use serde::Deserialize;

/// The section `jobs`. Times are simulated milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jobs {
    /// How long a job is queued.
    pub queued_ms: i64,
    /// How long a job works on each of its rows.
    pub row_ms: i64,
    /// How much time each look at a job makes pass for it, so that a client which only looks sees its end on a clock
    /// that stands still; 0 leaves jobs to the clock. Unless set: 300 on a driven clock, 0 on others.
    pub poll_ms: Option<i64>,
    /// How long a job's outcome is told; then 404.
    pub kept_ms: i64,
    /// How many may be queued or working at once.
    pub in_flight: usize,
    /// Whether the account may import in bulk; 403 otherwise.
    pub bulk_import: bool,
    /// Whether the rows of an outcome come in another order than they were sent in.
    pub shuffled: bool,
    /// Whether every row of an outcome carries its `index`; otherwise only those that were seen with one do.
    pub indexed: bool,
    /// Whether jobs say their `job_type`.
    pub typed: bool,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            queued_ms: 300,
            row_ms: 10,
            poll_ms: None,
            kept_ms: 3_600_000,
            in_flight: 30,
            bulk_import: true,
            shuffled: false,
            indexed: false,
            typed: false,
        }
    }
}
