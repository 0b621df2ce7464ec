//! Jobs: work that is leased to one daemon at a time.

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Apply the webhooks of a source that are pending.
    Apply,
    /// Read a stream of a source.
    Poll,
    /// Remove what is past its time.
    Prune,
    /// Renew the tokens of a source.
    Renew,
    /// Look at our webhook in Zendesk.
    Watch,
    /// Bring the audiences of a workspace up to date.
    Audience,
    /// Ask many of them at once, because a day begins or to see that nothing was missed.
    AudiencePass,
    /// Write to the records of a source what activations want.
    Push,
    /// See whether operators are to be told of something, and tell them.
    Alert,
}

impl JobKind {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            JobKind::Apply => "apply",
            JobKind::Poll => "poll",
            JobKind::Prune => "prune",
            JobKind::Renew => "renew",
            JobKind::Watch => "watch",
            JobKind::Audience => "audience",
            JobKind::AudiencePass => "audience_pass",
            JobKind::Push => "push",
            JobKind::Alert => "alert",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<JobKind> {
        use JobKind::*;
        let all = [Apply, Poll, Prune, Renew, Watch, Audience, AudiencePass, Push, Alert];
        all.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A job in our hands: only its latest holder may commit, by `attempt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Number of the job.
    pub job_id: i64,
    /// Fence.
    pub attempt: i64,
    /// What is to be done.
    pub kind: JobKind,
    /// The source; 0 for none.
    pub source_id: i64,
    /// What of the source.
    pub key: String,
    /// Failed tries so far.
    pub failures: i32,
}
