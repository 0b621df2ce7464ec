//! Filters over people: what an audience is made of (R52–R56). A tree of conditions, each about one thing a person has.
//!
//! Two rules hold everywhere. A value that is missing or `null` is no value, `""` and `0` are values (R30); the negative
//! tests (`is not`, `does not contain`) hold for who has no value. Text is compared without regard to ASCII case.

use super::consent::Channel;
use super::day::Days;
use super::field::SystemField;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every one of them holds; of none, everybody does.
    All(Vec<Filter>),
    /// At least one of them holds; of none, nobody does.
    Any(Vec<Filter>),
    /// A single condition.
    Is(Condition),
}

impl Filter {
    /// All conditions, in order.
    pub fn conditions(&self) -> Vec<&Condition> {
        match self {
            Filter::All(parts) | Filter::Any(parts) => parts.iter().flat_map(Filter::conditions).collect(),
            Filter::Is(condition) => vec![condition],
        }
    }

    /// Whether it holds, when that of its conditions is known.
    pub fn holds(&self, answer: &impl Fn(&Condition) -> bool) -> bool {
        match self {
            Filter::All(parts) => parts.iter().all(|part| part.holds(answer)),
            Filter::Any(parts) => parts.iter().any(|part| part.holds(answer)),
            Filter::Is(condition) => answer(condition),
        }
    }
}

/// When a filter is asked: days are seen from here.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: DateTime<Utc>,
    /// The workspace's zone.
    pub zone: Tz,
}

/// One condition. Its time zone decides where a day begins (R54).
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is looked at, and what it must be.
    pub about: About,
    /// Zone of its days, where it is not the workspace's.
    pub zone: Option<Tz>,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    /// A field of the person.
    Person(Field, Test),
    /// Whether the person may be sent to.
    Consent {
        /// Channel.
        channel: Channel,
        /// Wanted: granted, or anything else.
        granted: bool,
    },
    /// The person belongs to an organization of which all of this holds.
    Organization(Vec<(OrganizationField, Test)>),
    /// How many of the person's tickets there are of which all of this holds. Deleted tickets do not count.
    Tickets(Vec<(TicketField, Test)>, Count),
    /// How often something happened.
    Activity(Activity),
    /// Whether the person is in another audience.
    Member {
        /// Name of the audience.
        audience: String,
        /// Wanted: in it, or not.
        member: bool,
    },
}

/// A field of a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// A system field.
    System(SystemField),
    /// A custom field, by its whole key (`zd.tier`).
    Custom(String),
    /// When the CDP first met the person.
    CreatedAt,
    /// Something that follows from the person's tickets (A8).
    Summary(Summary),
}

impl Field {
    /// The name by which filters and activations know the field.
    pub fn name(&self) -> &str {
        match self {
            Field::System(field) => field.as_str(),
            Field::Custom(key) => key,
            Field::CreatedAt => "created_at",
            Field::Summary(summary) => summary.as_str(),
        }
    }

    /// The field of that name; None for a name without a namespace that is no system field's.
    pub fn parse(name: &str) -> Option<Field> {
        let system = SystemField::parse(name).map(Field::System);
        let summary = Summary::ALL.into_iter().find(|summary| summary.as_str() == name).map(Field::Summary);
        let custom = || name.split_once('.').filter(|(space, key)| !space.is_empty() && !key.is_empty());
        let created = (name == "created_at").then_some(Field::CreatedAt);
        system.or(summary).or(created).or_else(|| custom().map(|_| Field::Custom(name.to_owned())))
    }
}

/// What follows from a person's tickets (A8): the columns of the view `support_summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Summary {
    OpenTickets,
    TicketsTotal,
    FirstTicketAt,
    LastTicketAt,
    LastTicketSubject,
    LastTicketStatus,
    LastRating,
    LastRatingAt,
    GoodRatings,
    BadRatings,
}

impl Summary {
    /// All of them.
    pub const ALL: [Summary; 10] = [
        Summary::OpenTickets,
        Summary::TicketsTotal,
        Summary::FirstTicketAt,
        Summary::LastTicketAt,
        Summary::LastTicketSubject,
        Summary::LastTicketStatus,
        Summary::LastRating,
        Summary::LastRatingAt,
        Summary::GoodRatings,
        Summary::BadRatings,
    ];

    /// The name, with the namespace of what Zendesk says.
    pub fn as_str(self) -> &'static str {
        match self {
            Summary::OpenTickets => "zd.open_tickets",
            Summary::TicketsTotal => "zd.tickets_total",
            Summary::FirstTicketAt => "zd.first_ticket_at",
            Summary::LastTicketAt => "zd.last_ticket_at",
            Summary::LastTicketSubject => "zd.last_ticket_subject",
            Summary::LastTicketStatus => "zd.last_ticket_status",
            Summary::LastRating => "zd.last_rating",
            Summary::LastRatingAt => "zd.last_rating_at",
            Summary::GoodRatings => "zd.good_ratings",
            Summary::BadRatings => "zd.bad_ratings",
        }
    }
}

/// A field of an organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrganizationField {
    /// Name.
    Name,
    /// Id in the operator's own systems.
    ExternalId,
    /// Any of its domains.
    Domain,
    /// A custom field, by its whole key.
    Custom(String),
}

/// A field of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TicketField {
    /// `new`, `open`, `pending`, `hold`, `solved`, `closed`.
    Status,
    /// `low`, `normal`, `high`, `urgent`.
    Priority,
    /// `problem`, `incident`, `question`, `task`.
    Type,
    /// How it was opened.
    Channel,
    /// Last rating: `good`, `bad`, `offered`.
    Rating,
    /// Any of its tags.
    Tag,
    /// Id of its brand.
    Brand,
    /// Id of its group.
    Group,
    /// When it was opened.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// A custom field, by its id in Zendesk, which is how tickets keep them; written `zd.42`.
    Custom(String),
}

impl TicketField {
    const NAMED: [(&'static str, TicketField); 10] = [
        ("status", TicketField::Status),
        ("priority", TicketField::Priority),
        ("type", TicketField::Type),
        ("channel", TicketField::Channel),
        ("rating", TicketField::Rating),
        ("tag", TicketField::Tag),
        ("brand", TicketField::Brand),
        ("group", TicketField::Group),
        ("created_at", TicketField::CreatedAt),
        ("updated_at", TicketField::UpdatedAt),
    ];

    /// The field of that name; a name with a namespace is a custom field's.
    pub fn parse(name: &str) -> Option<TicketField> {
        let named = TicketField::NAMED.into_iter().find(|(known, _)| *known == name);
        let custom = || name.strip_prefix("zd.").filter(|id| !id.is_empty());
        named.map(|(_, field)| field).or_else(|| custom().map(|id| TicketField::Custom(id.to_owned())))
    }

    /// The names of those that are no custom fields.
    pub fn names() -> [&'static str; 10] {
        TicketField::NAMED.map(|(name, _)| name)
    }
}

/// What happened, how often, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Type, such as `zd.ticket.created`.
    pub kind: String,
    /// Attributes of which all must hold.
    pub attributes: Vec<(String, Test)>,
    /// What is asked.
    pub asked: Asked,
}

/// What is asked of activities.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// How many there are within a frame; only those that are still kept count (R2).
    Times(Count, Option<Frame>),
    /// When the first or last one was; known for ever (R7), so attributes cannot be asked for.
    When(End, Days),
}

/// First or last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first occurrence.
    First,
    /// The last occurrence.
    Last,
}

/// A number of things, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// At least so many.
    pub least: u32,
    /// At most so many.
    pub most: Option<u32>,
}

impl Count {
    /// One or more.
    pub const SOME: Count = Count { least: 1, most: None };
    /// Not one.
    pub const NONE: Count = Count { least: 0, most: Some(0) };

    /// Whether a number fits.
    pub fn fits(self, number: u64) -> bool {
        u64::from(self.least) <= number && self.most.is_none_or(|most| number <= u64::from(most))
    }
}

/// When activities count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// On these days.
    Days(Days),
    /// Not longer ago than so many minutes; slides with the clock.
    LastMinutes(u32),
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// There is a value (R30).
    AnyValue,
    /// There is none (R30).
    NoValue,
    /// A text, or an element of a list. The negative tests ask that no element does.
    Text(TextTest, String),
    /// One of these texts, or none of them.
    OneOf(bool, Vec<String>),
    /// A number.
    Number(NumberTest),
    /// A truth value.
    Bool(bool),
    /// A day.
    Day(Days),
}

impl Test {
    /// Whether the test holds for who has no value (R30).
    pub fn holds_for_nothing(&self) -> bool {
        match self {
            Test::NoValue | Test::OneOf(false, _) | Test::Bool(false) => true,
            Test::Text(test, _) => test.is_negative(),
            Test::Number(test) => matches!(test, NumberTest::IsNot(_) | NumberTest::NotBetween(..)),
            _ => false,
        }
    }
}

/// How texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TextTest {
    Is,
    IsNot,
    Contains,
    DoesNotContain,
    StartsWith,
    EndsWith,
}

impl TextTest {
    /// True for a test that holds for who has no value.
    pub fn is_negative(self) -> bool {
        matches!(self, TextTest::IsNot | TextTest::DoesNotContain)
    }
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum NumberTest {
    Is(f64),
    IsNot(f64),
    GreaterThan(f64),
    LessThan(f64),
    /// Both ends included.
    Between(f64, f64),
    NotBetween(f64, f64),
}
