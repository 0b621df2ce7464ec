//! What a call is, what it holds, and what can become of it.

use super::super::decode::{JobRow, JobStatus};
use super::super::error::ApiError;
use crate::model::activation::KeyKind;
use crate::model::push::{Changes, Fault};
use std::collections::BTreeSet;

/// The most items of a call (Z§5).
pub const MAX_ITEMS: usize = 100;

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
    /// One contact of Zendesk Sell: by its id, or else by e-mail, which makes one where there is none.
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
