//! The demonstration: a simulated Zendesk, a Postgres and a daemon of its own, and words for what happens.

pub mod compare;
pub mod sim;
