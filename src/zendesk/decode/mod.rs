//! Zendesk's JSON into the model: every record on its own, every field of it on its own. Pure.
//!
//! A field that is no good is left out and noted as a [`Problem`](crate::model::record::Problem); only a record without
//! a usable id is [`Refused`](crate::model::batch::Refused). Unknown keys survive in `unknown`. No text of an error or a
//! problem holds a value.

#[cfg(test)]
mod agreement;
mod audit;
mod change;
mod context;
mod envelope;
mod error;
mod fault;
mod field;
mod hint;
mod job;
mod json;
mod lenient;
mod organization;
mod page;
mod rating;
mod remote;
mod sell;
#[cfg(test)]
mod testing;
mod ticket;
mod user;
mod webhook;

pub use audit::{AuditEvent, SeenComment, ticket_event};
pub use context::DecodeContext;
pub use envelope::{Envelope, envelope, event_type};
pub use error::{ApiError, error_message};
pub use field::{field_defs, organization_key, person_key, target_field};
pub use job::{JobRow, JobStatus, job_status};
pub use organization::organization;
pub use page::{Page, PageError, page};
pub use rating::{rating, survey_response};
pub use remote::{address, membership, remote, written};
pub use sell::{contact, contact_field};
pub use ticket::ticket;
pub use user::{deleted_user, merge_direction, user};
pub use webhook::{SUBSCRIBED, Subject, WebhookEvent, webhook};
