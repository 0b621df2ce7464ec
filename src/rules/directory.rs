//! What is known about the people a batch could concern; planning reads it and adds to it, so that two records of one
//! batch meet as they would in two.

use crate::model::person::{Identity, IdentityKind, Person, PersonLink};
use crate::model::source::FindStrategy;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Who an identity finds, and who brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The person.
    pub person_id: i64,
    /// Source that brought it.
    pub source_id: i64,
    /// Record that brought it.
    pub record_id: String,
}

/// What is known, loaded for one batch.
#[derive(Debug, Default)]
pub struct Directory {
    /// Links by record id of the batch's source.
    pub links: HashMap<String, PersonLink>,
    /// People who could be concerned.
    pub people: HashMap<i64, Person>,
    /// Identities that could be concerned.
    pub identities: HashMap<(IdentityKind, String), Holder>,
    /// Records that must not come back.
    pub buried_records: HashSet<String>,
    /// Identities that must not come back.
    pub buried_identities: HashSet<(IdentityKind, String)>,
}

/// What a record's identities find.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// The person to attach to.
    pub person_id: Option<i64>,
    /// Other people that lower identities find: candidates for a merge, never merged silently (R34, I7).
    pub others: Vec<(i64, IdentityKind)>,
}

impl Directory {
    /// Finds the person of an unlinked record by its identities, in the order of R34, by the strategy of R27.
    pub fn find(&self, identities: &[Identity], strategy: FindStrategy) -> Match {
        let mut sorted: Vec<&Identity> = identities.iter().collect();
        sorted.sort_by_key(|identity| identity.kind);
        let hits = sorted.iter().map(|identity| (identity.kind, self.holder(identity))).collect::<Vec<_>>();
        match strategy {
            FindStrategy::Any => first_of(hits.into_iter().filter_map(|(kind, hit)| Some((hit?, kind)))),
            FindStrategy::NextOnlyIfPreviousEmpty => self.find_next(&hits),
            FindStrategy::All => find_all(&hits),
        }
    }

    fn holder(&self, identity: &Identity) -> Option<i64> {
        self.identities.get(&(identity.kind, identity.value.clone())).map(|holder| holder.person_id)
    }

    /// A later identity counts only for a person who has none of the kinds before it.
    fn find_next(&self, hits: &[(IdentityKind, Option<i64>)]) -> Match {
        let mut earlier = BTreeSet::new();
        let mut allowed = Vec::new();
        for (kind, hit) in hits {
            if let Some(person_id) = hit {
                let has_earlier = self.people.get(person_id).is_some_and(|person| {
                    earlier.iter().any(|kind: &IdentityKind| person.system[system_field(*kind)].is_some())
                });
                if !has_earlier {
                    allowed.push((*person_id, *kind));
                }
            }
            earlier.insert(*kind);
        }
        first_of(allowed.into_iter())
    }
}

/// All identities that the record brings must find the same person; with one only, that one decides.
fn find_all(hits: &[(IdentityKind, Option<i64>)]) -> Match {
    let people: BTreeSet<Option<i64>> = hits.iter().map(|(_, hit)| *hit).collect();
    match people.into_iter().collect::<Vec<_>>().as_slice() {
        [Some(person_id)] => Match { person_id: Some(*person_id), others: Vec::new() },
        _ => Match::default(),
    }
}

fn first_of(hits: impl Iterator<Item = (i64, IdentityKind)>) -> Match {
    let mut found = Match::default();
    for (person_id, kind) in hits {
        match found.person_id {
            None => found.person_id = Some(person_id),
            Some(first) if first != person_id && !found.others.iter().any(|(id, _)| *id == person_id) => {
                found.others.push((person_id, kind));
            }
            Some(_) => {}
        }
    }
    found
}

/// The system field that holds a kind of identity.
pub fn system_field(kind: IdentityKind) -> crate::model::field::SystemField {
    use crate::model::field::SystemField;
    match kind {
        IdentityKind::ExternalId => SystemField::ExternalId,
        IdentityKind::Email => SystemField::Email,
        IdentityKind::Phone => SystemField::Phone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::consent::ConsentState;
    use crate::model::field::{PerField, SystemField};
    use chrono::DateTime;
    use serde_json::Map;

    fn person(id: i64, external_id: Option<&str>) -> Person {
        let mut system = PerField::<Option<String>>::default();
        system[SystemField::ExternalId] = external_id.map(str::to_string);
        Person {
            id,
            system,
            fields: Map::new(),
            email_consent: ConsentState::Unknown,
            sms_consent: ConsentState::Unknown,
            created_at: DateTime::UNIX_EPOCH,
            created_source_id: 1,
            provenance: Map::new(),
            archived_at: None,
        }
    }

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.people.insert(1, person(1, Some("a")));
        directory.people.insert(2, person(2, None));
        let holder = |person_id| Holder { person_id, source_id: 1, record_id: String::new() };
        directory.identities.insert((IdentityKind::ExternalId, "a".into()), holder(1));
        directory.identities.insert((IdentityKind::Email, "one@x.io".into()), holder(1));
        directory.identities.insert((IdentityKind::Email, "two@x.io".into()), holder(2));
        directory
    }

    fn check(external_id: &str, email: &str, strategy: FindStrategy, expected: (Option<i64>, usize)) {
        let mut identities = Vec::new();
        for (kind, value) in [(IdentityKind::Email, email), (IdentityKind::ExternalId, external_id)] {
            if !value.is_empty() {
                identities.push(Identity { kind, value: value.into(), verified: false });
            }
        }
        let found = directory().find(&identities, strategy);
        assert_eq!((found.person_id, found.others.len()), expected, "{external_id} {email} {strategy:?}");
    }

    #[test]
    fn the_truth_table_of_r27() {
        use FindStrategy::{All, Any, NextOnlyIfPreviousEmpty as Next};
        check("a", "one@x.io", Any, (Some(1), 0));
        check("a", "two@x.io", Any, (Some(1), 1));
        check("b", "two@x.io", Any, (Some(2), 0));
        check("b", "new@x.io", Any, (None, 0));
        check("a", "two@x.io", Next, (Some(1), 1));
        check("b", "one@x.io", Next, (None, 0));
        check("b", "two@x.io", Next, (Some(2), 0));
        check("a", "one@x.io", All, (Some(1), 0));
        check("a", "two@x.io", All, (None, 0));
        check("b", "one@x.io", All, (None, 0));
        check("", "one@x.io", All, (Some(1), 0));
    }
}
