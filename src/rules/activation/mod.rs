//! Activations: from a file to what is sent for each record. Decisions only.

pub mod compare;
pub mod diff;
pub mod echo;
pub mod guard;
pub mod needs;
mod number;
pub mod origin;
pub mod personal;
pub mod preflight;
pub mod read;
pub mod row;
pub mod schedule;
pub mod settle;
pub mod stage;
mod state;
pub mod template;
pub mod undo;
pub mod value;
