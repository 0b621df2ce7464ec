//! Recorded traffic of real accounts as judge of the simulation. The recordings are no part of the project: where they
//! are missing, these tests pass and say that they were skipped.
#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod differences;
mod gather;
mod replay;
mod sessions;
mod shape;
mod shapes;
