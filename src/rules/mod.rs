//! Pure decisions: values in, values out. No clock, no randomness, no I/O, no logging (invariant 10).

pub mod activation;
pub mod activity;
pub mod alert;
pub mod audience;
pub mod blocked;
pub mod consent;
pub mod directory;
pub mod estimate;
pub mod fields;
pub mod filter;
pub mod name;
pub mod people;
pub mod requester;
pub mod retention;
pub mod retry;
