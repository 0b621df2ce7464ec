//! Integration tests on real Postgres and the simulated Zendesk: one binary, one private cluster, a database a test.

mod canary;
mod convergence;
mod corpus;
mod faults;
mod inbound;
mod lifecycle;
mod people;
mod retention;
mod support;
mod webhooks;
