//! What the rows of an activation can know: people have fields, consents and audiences, rows of a query have columns.

use super::mention::looks_at;
use super::place::{Place, ReadError};
use crate::model::activation::{Origin, Rows, Target};
use crate::model::field::SystemField;
use crate::model::filter::Field;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    People,
    /// An organization, of people in audiences or by its number.
    Organizations,
    /// A row of a query that is neither.
    Columns,
}

/// What mappings are held against.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What is written.
    pub target: Target,
    /// Where rows come from.
    pub rows: &'a Rows,
    /// What a row is.
    pub kind: Kind,
}

impl<'a> Ground<'a> {
    /// The ground that rows give to a target.
    pub fn new(target: Target, rows: &'a Rows) -> Ground<'a> {
        let kind = match rows {
            Rows::Audiences(_) if target == Target::Organizations => Kind::Organizations,
            Rows::Audiences(_) => Kind::People,
            Rows::Query { key, .. } if key == "person_id" => Kind::People,
            Rows::Query { key, .. } if key == "organization_id" && target == Target::Organizations => {
                Kind::Organizations
            }
            Rows::Query { .. } => Kind::Columns,
        };
        Ground { target, rows, kind }
    }

    /// Why rows do not have what people have.
    pub fn no_people(&self) -> &'static str {
        match self.kind {
            Kind::Organizations => "organizations have name, external_id, created_at and zd.KEY only",
            _ => "the rows are no people; a query whose key is \"person_id\" gives people",
        }
    }

    /// An origin and all that its template names, held against the rows.
    pub fn hold(&self, place: &Place<'_>, origin: Origin) -> Result<Origin, ReadError> {
        match looks_at(&origin).iter().find_map(|one| self.lacks(one)) {
            Some(reason) => Err(place.problem(reason)),
            None => Ok(origin),
        }
    }

    /// Why the rows do not have this, if they do not.
    fn lacks(&self, origin: &Origin) -> Option<String> {
        let has = match (origin, self.kind) {
            (Origin::Column(_), _) => {
                return matches!(self.rows, Rows::Audiences(_)).then(|| "only rows of a query have columns".to_owned());
            }
            (Origin::Audience(name, _), _) => return self.lacks_audience(name),
            (Origin::Constant(_), _) | (_, Kind::People) | (Origin::FullName, Kind::Organizations) => true,
            (Origin::Field(field), Kind::Organizations) => {
                matches!(field, Field::System(SystemField::ExternalId) | Field::CreatedAt | Field::Custom(_))
            }
            _ => false,
        };
        (!has).then(|| self.no_people().to_owned())
    }

    /// Why the rows do not have this audience's status, if they do not.
    pub fn lacks_audience(&self, name: &str) -> Option<String> {
        match self.rows {
            Rows::Audiences(names) if !names.iter().any(|known| known == name) => Some(format!(
                "audience {name:?} is not among rows.audiences, so its people are not among the rows; add it there"
            )),
            Rows::Query { .. } if self.kind != Kind::People => Some(self.no_people().to_owned()),
            _ => None,
        }
    }
}
