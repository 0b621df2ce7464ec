//! All that knows Zendesk: wire types, the client with its limits and retries, webhook verification, streams, and the
//! pure way from wire to normalised records.

pub mod account;
mod body;
pub mod budget;
pub mod client;
pub mod counts;
pub mod decode;
pub mod deliveries;
pub mod error;
pub mod limiter;
pub mod oauth;
pub mod progress;
pub mod purse;
pub mod push;
pub mod stream;
pub mod verify;
pub mod webhooks;
pub mod window;
pub mod written;
#[cfg(test)]
mod year;
