//! Integration tests on real Postgres and the simulated Zendesk: one binary, one private cluster, a database a test.

mod activation;
mod alerts;
mod asked;
mod audience;
mod audience_filter;
mod bad_input;
mod bad_webhooks;
mod canary;
mod compare;
mod convergence;
mod corpus;
mod deploy;
mod estimate;
mod faults;
mod import;
mod inbound;
mod lifecycle;
mod oauth;
mod oddities;
mod people;
mod retention;
mod schema;
mod support;
mod tidy;
mod unknown;
mod webhook_rotation;
mod webhook_watch;
mod webhooks;

/// The daemon's own allocator, so that what measures print is true of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
