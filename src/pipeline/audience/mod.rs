//! Audiences: kept up to date as people change and as time passes, and what an operator does with them.
//!
//! All of it happens under the workspace's lock, as applying does: what is asked and what is written belong together.

mod manage;
mod round;
mod stored;

pub use manage::{AudienceError, Reasons, apply, delete, explain, find, preview, set_manual};
pub use round::{catch_up, decide, run};
pub use stored::{Audience, load, moment};
