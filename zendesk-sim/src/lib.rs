//! A stateful simulated Zendesk, reached over HTTP only.
//!
//! [`Sim::start`] makes an account full of people, tickets and history and serves it the way Zendesk does, with
//! exports, rate limits, webhooks and faults; the binary does the same from a command line. Everything that a real
//! account would not let a test do is behind the admin door, `/_sim`.
mod acts;
mod admin;
mod api;
mod clock;
mod deliver;
mod http;
mod journal;
mod life;
mod options;
mod sell;
mod server;
mod time;
mod tls;
mod world;

pub use clock::ClockMode;
pub use options::{Faults, Jobs, Options, Plan, Settings};
pub use server::Sim;
pub use time::Stamp;
