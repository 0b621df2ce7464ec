//! The flows: where rules, db and zendesk meet.

pub mod apply;
pub mod commit;
pub mod context;
pub mod dead_letter;
pub mod events;
pub mod fetch;
pub mod gauges;
pub mod import;
pub mod inspect;
pub mod lifecycle;
pub mod person;
pub mod poll;
pub mod prune;
pub mod receive;
pub mod watch;
pub mod webhook;
