//! What became of a change whose answer was lost, judged by what Zendesk has now.

use super::diff::{Terms, has_tag};
use crate::model::push::{Changes, Remote};
use serde_json::Value;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Zendesk has what was sent.
    Applied,
    /// Zendesk has what it had before.
    NotApplied,
    /// The record is gone.
    Gone,
    /// Zendesk has something else: nobody can tell.
    Other,
}

/// Judges the values and tags of a change; memberships are calls of their own.
///
/// An address that is added to an existing user does not show (Z§3) and is left out beside other changes.
pub fn settle(terms: &Terms, present: Option<&Remote>, before: Option<&Remote>, changes: &Changes) -> Settled {
    let Some(present) = present else {
        return if before.is_some() { Settled::Gone } else { Settled::NotApplied };
    };
    let has = |record: &Remote, name: &str, value: &Value| {
        terms.same(name, record.values.get(name).unwrap_or(&Value::Null), value)
    };
    let tags = changes.add_tags.len() + changes.remove_tags.len();
    let shows = |name: &str| before.is_none() || name != "email" || changes.values.len() + tags == 1;
    let values = changes.values.iter().filter(|(name, _)| shows(name));
    let applied = values.clone().all(|(name, value)| has(present, name, value))
        && changes.add_tags.iter().all(|tag| has_tag(present, tag))
        && !changes.remove_tags.iter().any(|tag| has_tag(present, tag));
    let as_before = |before: &Remote| {
        let theirs = |name: &str| before.values.get(name).cloned().unwrap_or_default();
        values.clone().all(|(name, _)| has(present, name, &theirs(name)))
            && !changes.add_tags.iter().any(|tag| has_tag(present, tag))
            && changes.remove_tags.iter().all(|tag| has_tag(present, tag))
    };
    match before {
        _ if applied => Settled::Applied,
        Some(before) if as_before(before) => Settled::NotApplied,
        _ => Settled::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activation::Target;
    use crate::model::push::Standing;
    use serde_json::json;

    fn remote(values: Value, tags: &[&str]) -> Remote {
        let values = serde_json::from_value(values).expect("values");
        let tags = tags.iter().map(|tag| tag.to_string()).collect();
        Remote { id: "1".into(), values, tags, organizations: None, standing: Standing::Normal, updated_at: None }
    }

    #[test]
    fn what_zendesk_has_tells_what_became_of_a_change() {
        let terms = Terms::plain(Target::Users, &["name", "email", "notes"]);
        let check = |present: Option<Remote>, before: Option<Remote>, changes: Value, expected: Settled| {
            let changes: Changes = serde_json::from_value(changes).expect("changes");
            let found = settle(&terms, present.as_ref(), before.as_ref(), &changes);
            assert_eq!(found, expected, "{present:?} {before:?} {changes:?}");
        };
        let notes = |text: Value| Some(remote(json!({"notes": text, "name": "Homer"}), &["vip"]));
        let change = json!({"values": {"notes": "new"}});
        check(notes(json!("new")), notes(json!("old")), change.clone(), Settled::Applied);
        check(notes(json!("old")), notes(json!("old")), change.clone(), Settled::NotApplied);
        check(notes(json!("")), notes(json!(null)), change.clone(), Settled::NotApplied);
        check(notes(json!("third")), notes(json!("old")), change.clone(), Settled::Other);
        check(None, notes(json!("old")), change.clone(), Settled::Gone);
        check(None, None, change.clone(), Settled::NotApplied);
        check(notes(json!("new")), None, change.clone(), Settled::Applied);
        check(notes(json!("old")), None, change, Settled::Other);
        let both = json!({"values": {"notes": "new"}, "add_tags": ["gold"], "remove_tags": ["vip"]});
        check(notes(json!("new")), notes(json!("old")), both.clone(), Settled::Other);
        let done = Some(remote(json!({"notes": "new"}), &["Gold"]));
        check(done, notes(json!("old")), both.clone(), Settled::Applied);
        check(notes(json!("old")), notes(json!("old")), both, Settled::NotApplied);
    }

    #[test]
    fn a_second_address_does_not_show() {
        let terms = Terms::plain(Target::Users, &["email", "notes"]);
        let first = remote(json!({"email": "a@example.com", "notes": "new"}), &[]);
        let before = remote(json!({"email": "a@example.com", "notes": null}), &[]);
        let changes = |value| serde_json::from_value(json!({ "values": value })).expect("changes");
        let beside = changes(json!({"email": "b@example.com", "notes": "new"}));
        assert_eq!(settle(&terms, Some(&first), Some(&before), &beside), Settled::Applied);
        let alone = changes(json!({"email": "b@example.com"}));
        assert_eq!(settle(&terms, Some(&first), Some(&before), &alone), Settled::NotApplied);
    }
}
