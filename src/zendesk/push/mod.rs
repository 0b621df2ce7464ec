//! Writing to Zendesk: what is wanted → wire (pure), the calls, and what Zendesk says of them.

mod body;
mod call;
mod fields;
mod find;
mod jobs;
mod memberships;
mod rows;
mod sell;
mod send;

pub use call::{Call, Item, MAX_ITEMS, Refusal, Taken};
pub use fields::{add_option, create_field, fields};
pub use find::{Found, find};
pub use jobs::jobs;
pub use memberships::memberships;
pub use send::{send, written};
