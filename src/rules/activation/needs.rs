//! What an activation looks at, by the names under which changes are noted.

use super::mention::looks_at;
use crate::model::activation::{Activation, Origin, Rows, Target};
use crate::model::filter::Field;
use std::collections::BTreeSet;

/// What an activation needs, by the names that audiences use: `field:zd.tier`, `consent:email`, `organization`, `ticket`,
/// `activity:zd.ticket.created`, `audience:unhappy`. When a person was created never changes; a column is the query's affair.
pub fn needs(activation: &Activation) -> BTreeSet<String> {
    let origins = activation.mappings.iter().map(|mapping| &mapping.from).chain(&activation.key.from);
    let mut all: BTreeSet<String> = origins.flat_map(looks_at).flat_map(|origin| of(&origin)).collect();
    let audiences = activation.tags.iter().filter_map(|tag| tag.audience.as_ref());
    all.extend(audiences.map(|name| format!("audience:{name}")));
    if let Rows::Audiences(names) = &activation.rows {
        all.extend(names.iter().map(|name| format!("audience:{name}")));
    }
    all.extend(activation.consent.map(|channel| format!("consent:{}", channel.as_str())));
    // What people are called is none of an organization's business.
    if activation.target == Target::Organizations {
        all.retain(|need| !need.starts_with("field:"));
    }
    if activation.memberships || activation.target == Target::Organizations {
        all.insert("organization".to_owned());
    }
    all
}

fn of(origin: &Origin) -> Vec<String> {
    match origin {
        Origin::Field(Field::Summary(_)) => vec!["ticket".to_owned()],
        Origin::Field(Field::CreatedAt) => Vec::new(),
        Origin::Field(field) => vec![format!("field:{}", field.name())],
        Origin::FullName => vec!["field:first_name".to_owned(), "field:last_name".to_owned()],
        Origin::Rollup(kind, _) => vec![format!("activity:{kind}")],
        Origin::Consent(channel) => vec![format!("consent:{}", channel.as_str())],
        Origin::Audience(name, _) => vec![format!("audience:{name}")],
        Origin::Column(_) | Origin::Constant(_) | Origin::Template(_) => Vec::new(),
    }
}
