//! Activations: rows of the CDP become fields in Zendesk. Plan, send, settle; nothing is written that was not planned,
//! nothing counts as written that Zendesk did not confirm.

pub mod adopt;
pub mod again;
pub mod ahead;
pub mod always;
pub mod call;
pub mod conclude;
pub mod control;
pub mod env;
pub mod hold;
pub mod look;
pub mod made;
pub mod manage;
pub mod matching;
mod organizations;
pub mod page;
pub mod plan;
pub mod poll;
pub mod preflight;
pub mod queried;
pub mod query;
pub mod reading;
pub mod results;
pub mod route;
pub mod rows;
pub mod run;
pub mod send;
pub mod start;
pub mod stored;
pub mod twins;
pub mod whom;
