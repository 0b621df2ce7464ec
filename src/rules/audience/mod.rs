//! Audiences: what their filters need, who enters and leaves, when time alone may change that.

mod change;
mod define;
mod due;
mod needs;

pub use change::change;
pub use define::{DefinitionError, cycle, define};
pub use due::{edges, next_edge, nightly, slides, sliding};
pub use needs::{changed, needs};
