//! Activations: from a file to what is sent for each record. Decisions only.

pub mod adoption;
pub mod compare;
pub mod diff;
pub mod echo;
pub mod ground;
pub mod guard;
pub mod ledger;
pub mod mapping;
pub mod mention;
pub mod needs;
mod number;
pub mod origin;
pub mod part;
pub mod personal;
pub mod place;
pub mod preflight;
pub mod query;
pub mod read;
#[cfg(test)]
mod reading;
pub mod row;
pub mod schedule;
pub mod settle;
pub mod source;
pub mod stage;
mod state;
pub mod target;
pub mod template;
pub mod undo;
pub mod value;
