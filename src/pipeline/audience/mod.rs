//! Audiences: kept up to date as people change and as time passes, and what an operator does with them.
//!
//! Memberships are written under the workspace's lock, as applying does: what is asked and what is written belong together.

mod judge;
mod manage;
mod pass;
mod round;
mod stored;

pub use judge::judge_all;
pub use manage::{AudienceError, Reasons, apply, delete, explain, find, preview, set_manual};
pub use pass::{catch_up, run_passes};
pub use round::run;
pub use stored::{Audience, load, moment};
