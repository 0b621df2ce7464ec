//! The ledger: what of a change is on its way, confirmed, or ours to take back.

use crate::model::push::{Changes, Delivered, Remote, Written};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Beside the fields in what is on its way.
const TAGS: &str = "tags";
const ORGANIZATIONS: &str = "organizations";

/// Tags or organizations on their way.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Sets {
    add: BTreeSet<String>,
    remove: BTreeSet<String>,
}

/// The entry of a row that stands for this record: one for another record says nothing about it and begins anew.
pub fn of_record(entry: Delivered, record_id: Option<&str>) -> Delivered {
    match (&entry.record_id, record_id) {
        (Some(known), Some(id)) if known != id => {
            Delivered { row_key: entry.row_key, person_id: entry.person_id, ..Delivered::default() }
        }
        _ => entry,
    }
}

/// Notes what is about to be sent.
pub fn expect(entry: &mut Delivered, changes: &Changes) {
    entry.pending.extend(changes.values.clone());
    note(entry, TAGS, &changes.add_tags, &changes.remove_tags);
}

/// Notes the memberships that are about to be sent.
pub fn expect_memberships(entry: &mut Delivered, changes: &Changes) {
    note(entry, ORGANIZATIONS, &changes.join, &changes.leave);
}

fn note(entry: &mut Delivered, name: &str, add: &BTreeSet<String>, remove: &BTreeSet<String>) {
    if !(add.is_empty() && remove.is_empty()) {
        let sets = Sets { add: add.clone(), remove: remove.clone() };
        entry.pending.insert(name.to_owned(), serde_json::to_value(sets).unwrap_or_default());
    }
}

/// Zendesk has the values and tags of a change.
pub fn confirm(entry: &mut Delivered, before: Option<&Remote>, changes: &Changes, at: DateTime<Utc>) {
    for (name, value) in &changes.values {
        let was = before.and_then(|before| before.values.get(name)).cloned().unwrap_or_default();
        entry.written.insert(name.clone(), Written { v: value.clone(), was, at });
    }
    entry.owned.tags.extend(changes.add_tags.iter().cloned());
    entry.owned.tags.retain(|tag| !changes.remove_tags.contains(tag));
    forget(entry, changes);
}

/// The values and tags of a change did not arrive.
pub fn forget(entry: &mut Delivered, changes: &Changes) {
    entry.pending.retain(|name, _| !changes.values.contains_key(name) && name != TAGS);
}

/// Looks at tags and memberships of which it was not known whether they arrived: what we sent and Zendesk has is ours.
pub fn look_back(entry: &mut Delivered, remote: &Remote) {
    let sets =
        |value: Option<Value>| value.and_then(|value| serde_json::from_value::<Sets>(value).ok()).unwrap_or_default();
    let tags = sets(entry.pending.remove(TAGS));
    settle(&mut entry.owned.tags, tags, |tag| remote.tags.contains(tag));
    if let Some(member_of) = &remote.organizations {
        let organizations = sets(entry.pending.remove(ORGANIZATIONS));
        settle(&mut entry.owned.organizations, organizations, |id| member_of.contains(id));
    }
}

fn settle(owned: &mut BTreeSet<String>, sent: Sets, has: impl Fn(&String) -> bool) {
    owned.extend(sent.add.into_iter().filter(&has));
    owned.retain(|name| !sent.remove.contains(name) || has(name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(value: Value) -> Changes {
        serde_json::from_value(value).expect("changes")
    }

    fn entry() -> Delivered {
        Delivered { row_key: "person:1".into(), record_id: Some("7".into()), ..Delivered::default() }
    }

    fn remote(tags: &[&str], organizations: &[&str]) -> Remote {
        let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        Remote { tags: set(tags).into_iter().collect(), organizations: Some(set(organizations)), ..Remote::default() }
    }

    #[test]
    fn what_is_confirmed_is_written_and_owned() {
        let change = changes(json!({"values": {"a": "new"}, "add_tags": ["t"], "remove_tags": ["old"]}));
        let mut entry = entry();
        entry.owned.tags = ["old".to_string()].into();
        expect(&mut entry, &change);
        assert_eq!(json!(entry.pending), json!({"a": "new", "tags": {"add": ["t"], "remove": ["old"]}}));
        let before = Remote { values: [("a".to_string(), json!("was"))].into(), ..Remote::default() };
        confirm(&mut entry, Some(&before), &change, DateTime::UNIX_EPOCH);
        assert!(entry.pending.is_empty());
        assert_eq!(entry.written["a"], Written { v: json!("new"), was: json!("was"), at: DateTime::UNIX_EPOCH });
        assert_eq!(json!(entry.owned.tags), json!(["t"]));
    }

    #[test]
    fn what_did_not_arrive_is_not_ours() {
        let change = changes(json!({"values": {"a": "new"}, "add_tags": ["t"]}));
        let mut entry = entry();
        expect(&mut entry, &change);
        forget(&mut entry, &change);
        assert_eq!(entry, super::tests::entry());
    }

    #[test]
    fn what_was_uncertain_is_looked_at_later() {
        let change = changes(json!({"values": {}, "add_tags": ["t", "u"], "join": ["1", "2"], "leave": ["3", "4"]}));
        let mut entry = entry();
        entry.owned.organizations = ["3", "4"].map(String::from).into();
        expect(&mut entry, &change);
        expect_memberships(&mut entry, &change);
        look_back(&mut entry, &remote(&["t"], &["1", "3"]));
        assert!(entry.pending.is_empty());
        assert_eq!(json!(entry.owned), json!({"tags": ["t"], "organizations": ["1", "3"]}));
    }

    #[test]
    fn an_entry_for_another_record_begins_anew() {
        let mut known = entry();
        known.digest = 5;
        assert_eq!(of_record(known.clone(), Some("7")), known);
        assert_eq!(of_record(known.clone(), None), known);
        assert_eq!(of_record(known, Some("8")), Delivered { record_id: None, ..entry() });
    }
}
