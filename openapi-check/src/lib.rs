//! Judges requests and responses by an OpenAPI 3.0 document. For tests: the daemon's requests and the simulated account's
//! responses are held against what Zendesk itself publishes. Shares nothing with either.
//!
//! JSON Schema is left to a crate; what OpenAPI 3.0 says in its own way (`nullable`, `readOnly`, parameters, which operation a
//! path means) is here. A body's property that its schema does not name is a finding, though JSON Schema allows it: what the
//! other side does not know, it does not do.

mod document;
mod judge;
mod routes;
mod surplus;
pub mod zendesk;

pub use document::{at, from_yaml, put};
pub use judge::{Asked, Finding, Judge, Verdict};
pub use routes::Route;
