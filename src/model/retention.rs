//! How long activities are kept (R1–R4, A9).

use serde::{Deserialize, Serialize};

/// What is kept unless the operator says otherwise, and the least that a first sync fetches (R1, R9).
pub const DEFAULT_DAYS: u32 = 90;

/// How long something is kept: a whole number of days, or `"forever"` (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "KeepText", into = "KeepText")]
pub enum Keep {
    /// This many days, at least one; [`Keep::days`] makes sure of it.
    Days(u32),
    /// Without end. Greater than any number of days.
    Forever,
}

/// Neither a whole number of days from 1 on nor `forever` (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("retention must be a whole number of days, at least 1, or \"forever\"")]
pub struct KeepError;

impl Keep {
    /// R4: at least one day.
    pub fn days(days: u32) -> Result<Keep, KeepError> {
        match days {
            0 => Err(KeepError),
            _ => Ok(Keep::Days(days)),
        }
    }

    /// From what stands in a form, in the settings or in Postgres: `365` or `forever`.
    pub fn parse(text: &str) -> Result<Keep, KeepError> {
        match text.trim() {
            word if word.eq_ignore_ascii_case("forever") => Ok(Keep::Forever),
            number => number.parse().map_err(|_| KeepError).and_then(Keep::days),
        }
    }
}

impl Default for Keep {
    fn default() -> Keep {
        Keep::Days(DEFAULT_DAYS)
    }
}

/// Keep as text or number, as it is read and written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KeepText {
    Number(u32),
    Text(String),
}

impl TryFrom<KeepText> for Keep {
    type Error = KeepError;

    fn try_from(text: KeepText) -> Result<Keep, KeepError> {
        match text {
            KeepText::Number(days) => Keep::days(days),
            KeepText::Text(text) => Keep::parse(&text),
        }
    }
}

impl From<Keep> for KeepText {
    fn from(keep: Keep) -> KeepText {
        match keep {
            Keep::Days(days) => KeepText::Number(days),
            Keep::Forever => KeepText::Text("forever".to_owned()),
        }
    }
}

/// The retention of one source (R3): one default, and one longer time frame with a checklist of activities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// For every activity that is not on the list.
    pub default: Keep,
    /// For those on the list; none is the plain radio button "last 90 days only". It never shortens the default.
    pub extended: Option<Keep>,
    /// The list: groups ([`Group`]) and single types (`zd.ticket.solved`).
    pub activity_types: Vec<String>,
}

/// A line of the checklist that stands for several types (A9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// `zd.ticket.*` without the comments.
    Tickets,
    /// `zd.ticket.comment_*`.
    Comments,
    /// `zd.satisfaction.*`.
    Satisfaction,
    /// `zd.user.*`.
    UserChanges,
}

impl Group {
    /// Every group, in the order of the checklist.
    pub const ALL: [Group; 4] = [Group::Tickets, Group::Comments, Group::Satisfaction, Group::UserChanges];

    /// As it stands in the list.
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Tickets => "tickets",
            Group::Comments => "comments",
            Group::Satisfaction => "satisfaction",
            Group::UserChanges => "user_changes",
        }
    }

    /// From what stands in the list.
    pub fn parse(text: &str) -> Option<Group> {
        Self::ALL.into_iter().find(|group| group.as_str() == text)
    }

    /// The group of an activity type; a type that is not one of ours has none. By prefix, so that a new type falls
    /// into its group.
    pub fn of(activity_type: &str) -> Option<Group> {
        let (kind, what) = activity_type.strip_prefix("zd.")?.split_once('.')?;
        match kind {
            "ticket" if what.starts_with("comment_") => Some(Group::Comments),
            "ticket" => Some(Group::Tickets),
            "satisfaction" => Some(Group::Satisfaction),
            "user" => Some(Group::UserChanges),
            _ => None,
        }
    }
}
