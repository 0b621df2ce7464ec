//! Bulk jobs: what was asked for, how far it is, and what became of it.
use crate::http::Caller;
use crate::options::Jobs as Settings;
use serde_json::Value;
use std::collections::VecDeque;

/// What is done with each row of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Makes a record.
    Create(Kind),
    /// Changes a record or makes it.
    Upsert(Kind),
    /// Changes a record.
    Update(Kind),
    /// Deletes a record.
    Delete(Kind),
    /// Leaves nothing of a deleted ticket but its shell.
    Erase,
    /// Takes a ticket for spam.
    Spam,
    /// Closes a ticket into another one.
    Merge,
}

/// What a job's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Users.
    User,
    /// Organizations.
    Organization,
    /// Tickets.
    Ticket,
    /// Who belongs to which organization.
    Membership,
    /// Which agent works in which group.
    GroupMembership,
}

impl Kind {
    /// The word, as it stands in `users`, `Creating User #4`, `Bulk Update User`.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Organization => "Organization",
            Self::Ticket => "Ticket",
            Self::Membership => "Organization Membership",
            Self::GroupMembership => "Group Membership",
        }
    }
}

impl Deed {
    /// The word for what was attempted, in an outcome's rows.
    pub fn action(self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Upsert(_) | Self::Update(_) => "update",
            Self::Delete(_) | Self::Erase | Self::Spam => "delete",
            Self::Merge => "merge",
        }
    }

    /// What a working job says of itself, as recorded: creating is spelled with a capital, updating without.
    pub fn message(self, row: usize) -> String {
        match self {
            Self::Create(kind) | Self::Upsert(kind) => format!("Creating {} #{row}", kind.word()),
            Self::Update(kind) => format!("Updating {} #{row}", kind.word().to_lowercase()),
            Self::Delete(kind) => format!("Deleting {} #{row}", kind.word().to_lowercase()),
            Self::Erase => format!("Deleting ticket #{row}"),
            Self::Spam => format!("Updating ticket #{row}"),
            Self::Merge => format!("Merging ticket #{row}"),
        }
    }

    /// What a job says it is, where it does; deleting users was recorded as an update.
    pub fn job_type(self) -> String {
        match self {
            Self::Create(kind) | Self::Upsert(kind) => format!("Bulk Create {}", kind.word()),
            Self::Update(kind) | Self::Delete(kind @ Kind::User) => format!("Bulk Update {}", kind.word()),
            Self::Delete(kind) => format!("Bulk Delete {}", kind.word()),
            Self::Erase => "Permanently Delete Ticket".into(),
            Self::Spam | Self::Merge => "Bulk Update Ticket".into(),
        }
    }
}

/// How a job ends, decided when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// With every row done.
    Completed,
    /// With half of them done and no outcome.
    Failed,
    /// Like that, under a name that is in no document any more.
    Killed,
    /// Never: it works on half of its rows for ever.
    Stuck,
}

/// A bulk job.
#[derive(Clone, Debug)]
pub struct Job {
    /// `V3-…`.
    pub id: String,
    /// What is done.
    pub deed: Deed,
    /// By whom.
    pub caller: Caller,
    /// When it was asked for, in simulated milliseconds.
    pub queued_ms: i64,
    /// How much more time has passed for it than for the clock.
    pub borrowed_ms: i64,
    /// How many rows.
    pub total: usize,
    /// What is still to be done with; emptied at the end.
    pub rows: Vec<Value>,
    /// What each row became so far, in the order of the request.
    pub results: Vec<Value>,
    /// An outcome that is not a list of rows.
    pub whole: Option<Value>,
    /// How it ends.
    pub fate: Fate,
    /// When it ended.
    pub ended_ms: Option<i64>,
}

impl Job {
    /// How much time has passed for it.
    pub fn age(&self, now_ms: i64) -> i64 {
        now_ms - self.queued_ms + self.borrowed_ms
    }

    /// How many rows it ever works on.
    pub fn reach(&self) -> usize {
        if self.fate == Fate::Completed { self.total } else { self.total / 2 }
    }
}

/// All jobs whose outcome is still told, oldest first, and how they go.
pub struct Jobs {
    /// The jobs.
    pub all: VecDeque<Job>,
    /// The settings.
    pub settings: Settings,
}

impl Jobs {
    /// The job of this id.
    pub fn find(&self, id: &str) -> Option<&Job> {
        self.all.iter().find(|job| job.id == id)
    }

    /// Ids of the jobs that are queued or working.
    pub fn in_flight(&self) -> Vec<String> {
        self.all.iter().filter(|job| job.ended_ms.is_none()).map(|job| job.id.clone()).collect()
    }

    /// Forgets outcomes that are older than they are kept.
    pub fn forget(&mut self, now_ms: i64) {
        let kept = self.settings.kept_ms;
        self.all.retain(|job| job.ended_ms.is_none_or(|at| now_ms - at < kept));
    }
}
