//! Which origins are personal data: a mapping of one needs it said so in the file.
//!
//! Names, addresses, phone numbers and ids of people are; so are the fields that `privacy.personal_fields` names, and columns
//! of a query that are called like one of them. What finds a record goes out only where it may create one.

use super::mention::looks_at;
use crate::model::activation::{Activation, Origin, Target};
use crate::model::filter::Field;
use std::collections::BTreeSet;

/// The names under which they are declared. System fields of people that are not here (locale, time zone) tell nobody apart.
pub const CLASSED: [&str; 6] = ["name", "first_name", "last_name", "email", "phone", "external_id"];

/// What goes out though the file does not say that it may: one sentence each.
pub fn undeclared(activation: &Activation, more: &BTreeSet<String>) -> Vec<String> {
    // What an organization is called is no person's data.
    if activation.target == Target::Organizations {
        return Vec::new();
    }
    let key = activation.key.from.iter().filter(|_| activation.key.create).map(|from| ("key.from", from));
    let mapped = activation.mappings.iter().map(|mapping| (mapping.to.as_str(), &mapping.from));
    let mut found = Vec::new();
    for (to, from) in mapped.chain(key) {
        for name in looks_at(from).iter().filter_map(name_of) {
            let classed = CLASSED.contains(&name.as_str()) || more.contains(&name);
            if classed && !activation.personal_data.contains(&name) {
                found.push(format!(
                    "{to} gives away {name:?}, which is personal data; name it here if it may go to Zendesk"
                ));
            }
        }
    }
    found
}

fn name_of(origin: &Origin) -> Option<String> {
    match origin {
        Origin::FullName => Some("name".to_owned()),
        Origin::Field(field @ (Field::System(_) | Field::Custom(_) | Field::Summary(_))) => {
            Some(field.name().to_owned())
        }
        Origin::Column(column) => Some(column.clone()),
        _ => None,
    }
}
