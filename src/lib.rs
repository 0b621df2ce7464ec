//! Deskbridge: keeps Zendesk Support and a customer data platform in Postgres in step.
//!
//! Arrows run down only: cli → app → {http, worker} → pipeline → {db, zendesk, notify, rules} → model; clock and config import nothing.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod http;
pub mod model;
pub mod notify;
pub mod pipeline;
pub mod private_postgres;
pub mod rules;
pub mod secret;
pub mod telemetry;
pub mod worker;
pub mod zendesk;
