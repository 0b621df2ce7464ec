//! Activities: their types, and a draft that is not yet attached to a person.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

macro_rules! activity_types {
    ($($variant:ident $text:literal $display:literal)*) => {
        /// Every type of activity (cdp-behaviour.md §3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ActivityType { $(#[doc = $display] $variant),* }

        impl ActivityType {
            /// All of them.
            pub const ALL: &'static [ActivityType] = &[$(ActivityType::$variant),*];

            /// The text in the database.
            pub fn as_str(self) -> &'static str {
                match self { $(ActivityType::$variant => $text),* }
            }

            /// Words for people.
            pub fn display(self) -> &'static str {
                match self { $(ActivityType::$variant => $display),* }
            }
        }
    };
}

activity_types! {
    TicketCreated "zd.ticket.created" "Created ticket"
    TicketUpdated "zd.ticket.updated" "Updated ticket"
    TicketStatusChanged "zd.ticket.status_changed" "Ticket status changed"
    TicketSolved "zd.ticket.solved" "Solved ticket"
    TicketReopened "zd.ticket.reopened" "Reopened ticket"
    TicketClosed "zd.ticket.closed" "Closed ticket"
    TicketAssigned "zd.ticket.assigned" "Ticket assigned"
    TicketPriorityChanged "zd.ticket.priority_changed" "Ticket priority changed"
    TicketTagged "zd.ticket.tagged" "Ticket tagged"
    TicketUntagged "zd.ticket.untagged" "Ticket untagged"
    TicketCommentAdded "zd.ticket.comment_added" "Replied"
    TicketMerged "zd.ticket.merged" "Ticket merged"
    TicketDeleted "zd.ticket.deleted" "Ticket deleted"
    TicketUndeleted "zd.ticket.undeleted" "Ticket restored"
    TicketSpam "zd.ticket.spam" "Ticket marked as spam"
    SatisfactionOffered "zd.satisfaction.offered" "Satisfaction survey sent"
    SatisfactionRated "zd.satisfaction.rated" "Rated ticket"
    UserCreated "zd.user.created" "Became a contact in Zendesk"
    UserUpdated "zd.user.updated" "Contact changed"
    UserEmailChanged "zd.user.email_changed" "E-mail address changed"
    UserPhoneChanged "zd.user.phone_changed" "Phone number changed"
    UserOrganizationChanged "zd.user.organization_changed" "Organization changed"
    UserTagged "zd.user.tagged" "Contact tagged"
    UserSuspended "zd.user.suspended" "Contact suspended"
    UserDeleted "zd.user.deleted" "Contact deleted in Zendesk"
    UserMerged "zd.user.merged" "Contact merged in Zendesk"
}

/// By which way an activity came. A higher one corrects a lower one, never the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    /// A webhook: a hint.
    Webhook = 1,
    /// An export: the truth.
    Export = 2,
    /// A file.
    Import = 3,
}

/// To whom an activity belongs (A4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// To who was requester of the ticket when it happened.
    Requester,
    /// To the person of this record.
    Record(String),
}

/// Something that happened, not yet attached to a person.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityDraft {
    /// Type, such as `zd.ticket.created`; imports bring their own.
    pub kind: String,
    /// When, to the second, by the source's own stamp (A1).
    pub occurred_at: DateTime<Utc>,
    /// To whom it belongs.
    pub owner: Owner,
    /// The ticket it is about.
    pub ticket_id: Option<i64>,
    /// Record id of who did it.
    pub actor: Option<String>,
    /// What tells it from others of its type, ticket and second (A2).
    pub key: String,
    /// What is particular to it.
    pub attributes: Map<String, Value>,
    /// Text of the message.
    pub message: Option<String>,
    /// False for a private comment (A6).
    pub public: bool,
    /// How it came.
    pub origin: Origin,
}
