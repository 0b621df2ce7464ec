//! Integration tests on real Postgres and the simulated Zendesk: one binary, one private cluster, a database a test.

mod convergence;
mod corpus;
mod deploy;
mod faults;
mod inbound;
mod people;
mod schema;
mod support;
mod tidy;
mod webhooks;
