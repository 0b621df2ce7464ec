//! Integration tests on real Postgres and the simulated Zendesk: one binary, one private cluster, a database a test.

mod support;

mod corpus;
mod inbound;
