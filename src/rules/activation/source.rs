//! The names of origins, as `from` has them.

use crate::model::activation::{Origin, RollupPart};
use crate::model::consent::Channel;
use crate::model::filter::Field;

/// What `from` may say.
pub const ORIGINS: &str = "a field such as \"email\" or \"zd.tier\", \"name\", \"open_tickets\", \"created_at\", \
     \"rollup.zd.ticket.created.count\", \"consent.email\" or \"column.tier\"";

/// The origin of that name.
pub fn origin(name: &str) -> Option<Origin> {
    if name.len() > 255 || name.chars().any(char::is_control) {
        return None;
    }
    if name == "name" {
        return Some(Origin::FullName);
    }
    if let Some(channel) = name.strip_prefix("consent.") {
        return Channel::ALL.into_iter().find(|one| one.as_str() == channel).map(Origin::Consent);
    }
    if let Some(column) = name.strip_prefix("column.") {
        return Some(Origin::Column(column.to_owned())).filter(|_| !column.is_empty());
    }
    if let Some(rollup) = name.strip_prefix("rollup.") {
        let (kind, part) = rollup.rsplit_once('.')?;
        let part = match part {
            "first" => RollupPart::First,
            "last" => RollupPart::Last,
            "count" => RollupPart::Count,
            _ => return None,
        };
        return Some(Origin::Rollup(kind.to_owned(), part)).filter(|_| !kind.is_empty());
    }
    // What follows from tickets may be named without its namespace.
    let summary = || Field::parse(&format!("zd.{name}")).filter(|field| matches!(field, Field::Summary(_)));
    Field::parse(name).or_else(summary).map(Origin::Field)
}
