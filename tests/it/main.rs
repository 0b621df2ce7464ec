//! Integration tests on real Postgres and the simulated Zendesk: one binary, one private cluster, a database a test.

mod convergence;
mod corpus;
mod inbound;
mod support;
mod webhooks;
