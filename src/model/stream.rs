//! Streams: the kinds of records of a source that are read on a schedule.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One kind of record of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Definitions of custom fields.
    Fields,
    /// Organizations.
    Organizations,
    /// Users: customers, agents, admins.
    Users,
    /// Tickets.
    Tickets,
    /// What happened to tickets, with comments.
    TicketEvents,
    /// Classic satisfaction ratings.
    Satisfaction,
    /// Answers to satisfaction surveys, which replace classic ratings.
    SurveyResponses,
    /// Users who were deleted for good.
    DeletedUsers,
}

impl Stream {
    /// All of them, in the order of a first sync: what others refer to comes first.
    pub const ALL: [Stream; 8] = [
        Stream::Fields,
        Stream::Organizations,
        Stream::Users,
        Stream::Tickets,
        Stream::TicketEvents,
        Stream::Satisfaction,
        Stream::SurveyResponses,
        Stream::DeletedUsers,
    ];

    /// The text in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Fields => "fields",
            Stream::Organizations => "organizations",
            Stream::Users => "users",
            Stream::Tickets => "tickets",
            Stream::TicketEvents => "ticket_events",
            Stream::Satisfaction => "satisfaction",
            Stream::SurveyResponses => "survey_responses",
            Stream::DeletedUsers => "deleted_users",
        }
    }

    /// The stream of that name.
    pub fn parse(text: &str) -> Option<Stream> {
        Stream::ALL.into_iter().find(|stream| stream.as_str() == text)
    }

    /// True for contacts, which are read every 24 hours; the rest is read every few minutes (R24).
    pub fn is_contacts(self) -> bool {
        matches!(self, Stream::Users | Stream::DeletedUsers | Stream::Fields)
    }

    /// The stream an account has in place of this one: ratings are either classic or by survey (A5).
    pub fn alternative(self) -> Option<Stream> {
        match self {
            Stream::Satisfaction => Some(Stream::SurveyResponses),
            Stream::SurveyResponses => Some(Stream::Satisfaction),
            _ => None,
        }
    }

    /// The streams whose first pass must be complete before this one's first pass may start: a ticket needs its
    /// requester, an event its ticket.
    pub fn waits_for(self) -> &'static [Stream] {
        match self {
            Stream::Tickets => &[Stream::Users],
            Stream::TicketEvents | Stream::Satisfaction | Stream::SurveyResponses => &[Stream::Users, Stream::Tickets],
            _ => &[],
        }
    }
}

/// How far a stream has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The stream.
    pub stream: Stream,
    /// Zendesk's own cursor, as it came.
    pub cursor: Option<String>,
    /// Time of the newest record read: the way back.
    pub read_through: Option<DateTime<Utc>>,
    /// When it is read next.
    pub due_at: Option<DateTime<Utc>>,
    /// When its end was last reached.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// When its end was first reached.
    pub first_caught_up_at: Option<DateTime<Utc>>,
    /// Records asked for at a time.
    pub page_size: i32,
    /// Failed runs in a row.
    pub failures: i32,
    /// Why the last run failed.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}
