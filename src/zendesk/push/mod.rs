//! Writing to Zendesk: what is wanted → wire (pure), the calls, and what Zendesk says of them.

mod body;
mod fields;
mod find;
mod jobs;
mod memberships;

pub use body::MAX_ITEMS;
pub use fields::{add_option, create_field, fields};
pub use find::{Found, find};
pub use jobs::jobs;
pub use memberships::memberships;

use super::client::{Client, NotDone, TOO_MANY_JOBS, Written};
use super::decode::{self, JobRow, JobStatus};
use super::error::{ApiError, Kind};
use crate::model::activation::KeyKind;
use crate::model::push::{Changes, Fault};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A request that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Users, by their ids; creates none.
    UsersUpdateMany,
    /// Users, by e-mail or external id; creates those that are not there. Only where bulk import is allowed.
    UsersCreateOrUpdateMany,
    /// One user, likewise, everywhere.
    UserCreateOrUpdate,
    /// One user, by its id.
    UserUpdate,
    /// Organizations, by their ids.
    OrganizationsUpdateMany,
    /// New organizations.
    OrganizationsCreateMany,
    /// One organization, by its id or external id.
    OrganizationCreateOrUpdate,
    /// New memberships: of each item `id` is the user's and `changes.join` holds one organization.
    MembershipsCreateMany,
    /// The end of memberships: of each item `id` is the membership's.
    MembershipsDestroyMany,
    /// One contact of Zendesk Sell. Not a request of [`send`]: Sell has a client of its own.
    SellUpsert,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 10] = {
        use Call::*;
        [
            UsersUpdateMany,
            UsersCreateOrUpdateMany,
            UserCreateOrUpdate,
            UserUpdate,
            OrganizationsUpdateMany,
            OrganizationsCreateMany,
            OrganizationCreateOrUpdate,
            MembershipsCreateMany,
            MembershipsDestroyMany,
            SellUpsert,
        ]
    };

    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Call::UsersUpdateMany => "users_update_many",
            Call::UsersCreateOrUpdateMany => "users_create_or_update_many",
            Call::UserCreateOrUpdate => "user_create_or_update",
            Call::UserUpdate => "user_update",
            Call::OrganizationsUpdateMany => "organizations_update_many",
            Call::OrganizationsCreateMany => "organizations_create_many",
            Call::OrganizationCreateOrUpdate => "organization_create_or_update",
            Call::MembershipsCreateMany => "memberships_create_many",
            Call::MembershipsDestroyMany => "memberships_destroy_many",
            Call::SellUpsert => "sell_upsert",
        }
    }

    /// The call of that name.
    pub fn parse(text: &str) -> Option<Call> {
        Call::ALL.into_iter().find(|call| call.as_str() == text)
    }

    /// Whether Zendesk makes a job of it, and how many items it takes: [`MAX_ITEMS`], or one.
    pub fn is_bulk(self) -> bool {
        use Call::*;
        !matches!(self, UserCreateOrUpdate | UserUpdate | OrganizationCreateOrUpdate | SellUpsert)
    }
}

/// One record of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id, where the call goes by ids.
    pub id: Option<String>,
    /// What finds it otherwise: e-mail or external id.
    pub key: Option<(KeyKind, String)>,
    /// What changes; `join` and `leave` are for calls of memberships and not sent with the record.
    pub changes: Changes,
    /// All its tags after the change: Zendesk replaces the whole set (Z§3). Sent only where `changes` adds or removes some.
    pub tags: BTreeSet<String>,
}

/// A call that Zendesk took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It became a job.
    Job(JobStatus),
    /// It is done; a row for each item, in their order.
    Rows(Vec<JobRow>),
}

/// A call that Zendesk did not take, or may not have taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Too many jobs are open in the account. Certainly not taken.
    TooManyJobs,
    /// The account may not import in bulk (H5 of the notes on peers). Certainly not taken.
    BulkImportOff,
    /// The body is too large: halve it. Certainly not taken.
    TooLarge,
    /// An item cannot be sent, or a single call was refused for what it holds; without values. Certainly not taken.
    Invalid(Fault),
    /// Nobody knows whether it was taken: no answer, one of 5xx, or one that cannot be read.
    Unknown(ApiError),
    /// Certainly not taken. `RateLimited` and `BudgetSpent` say when to try again.
    Api(ApiError),
}

/// Makes a call, with exactly one request (one more where a token had to be replaced, of which nothing came). Never waits for a
/// budget: then it is [`Refusal::Api`] with the wait. At most [`MAX_ITEMS`] items, one for a single call.
pub async fn send(client: &Client, call: Call, items: &[Item]) -> Result<Taken, Refusal> {
    let request = body::request(call, items)?;
    let endpoint = format!("{} {}", request.method, request.path.split('?').next().unwrap_or_default());
    match client.write(request.method, &request.path, request.body.as_ref()).await {
        Ok(written) if call.is_bulk() => job(&written).map(Taken::Job).ok_or_else(|| unread(endpoint, "job_status")),
        Ok(written) => Ok(Taken::Rows(vec![row(&written, call)])),
        Err(refused) => Err(refusal(call, refused)),
    }
}

fn job(written: &Written) -> Option<JobStatus> {
    let text = std::str::from_utf8(&written.body).ok()?;
    decode::job_status(serde_json::from_str::<&RawValue>(text).ok()?)
}

fn unread(endpoint: String, wanted: &str) -> Refusal {
    Refusal::Unknown(ApiError { endpoint, kind: Kind::BadBody(format!("the answer holds no {wanted}")) })
}

/// The result of a single call: success by its status, even where the record in the answer cannot be read.
fn row(written: &Written, call: Call) -> JobRow {
    let wrapper = if call == Call::OrganizationCreateOrUpdate { "organization" } else { "user" };
    let record = decode::written(&written.body, wrapper);
    let (id, external_id, email) = record.unwrap_or_default();
    let action = if written.status == 201 { "create" } else { "update" };
    let action = Some(action.to_owned());
    JobRow { index: Some(0), id, external_id, email, success: true, action, error: None, fault: None }
}

/// What became of a call that was not answered with success.
fn refusal(call: Call, NotDone { error, said, sent }: NotDone) -> Refusal {
    let Some(said) = said else {
        return if sent { Refusal::Unknown(error) } else { Refusal::Api(error) };
    };
    match said.status {
        _ if said.code == TOO_MANY_JOBS => Refusal::TooManyJobs,
        408 | 500.. => Refusal::Unknown(error),
        413 => Refusal::TooLarge,
        403 if is_scope(&said) => Refusal::Api(error),
        // A 403 has no word of its own for this (H5): what else may be wrong shows in the single call that follows.
        403 if call == Call::UsersCreateOrUpdateMany => Refusal::BulkImportOff,
        400 | 403 | 404 | 409 | 410 | 422 if !call.is_bulk() => Refusal::Invalid(said.fault()),
        _ => Refusal::Api(error),
    }
}

/// Whether a 403 is for want of a scope: `You are missing the following required scopes: users:write, write`.
fn is_scope(said: &decode::ApiError) -> bool {
    said.description.contains("required scope")
}
