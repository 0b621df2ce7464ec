//! The words of the design as types: one file a concept, parsed once and trusted afterwards. No effects, no clock.

pub mod activation;
pub mod activity;
pub mod alert;
pub mod audience;
pub mod batch;
pub mod consent;
pub mod day;
pub mod email;
pub mod facts;
pub mod field;
pub mod filter;
pub mod grant;
pub mod job;
pub mod name;
pub mod organization;
pub mod person;
pub mod phone;
pub mod push;
pub mod raw_event;
pub mod record;
pub mod retention;
pub mod row;
pub mod source;
pub mod stream;
pub mod ticket;
pub mod watch;
