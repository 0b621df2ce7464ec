//! The flows: where rules, db and zendesk meet.

pub mod activate;
pub mod alert;
pub mod apply;
pub mod audience;
pub mod budgets;
pub mod commit;
pub mod connect;
pub mod context;
pub mod dead_letter;
pub mod events;
pub mod fetch;
pub mod gauges;
pub mod grant;
pub mod import;
pub mod inspect;
pub mod keeper;
pub mod lifecycle;
pub mod person;
pub mod poll;
pub mod prune;
pub mod receive;
pub mod sell;
pub mod sign_in;
pub mod watch;
pub mod webhook;
