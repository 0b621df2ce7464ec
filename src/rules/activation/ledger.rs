//! The ledger: what of a change is on its way, confirmed, or ours to take back.

use crate::model::push::{Changes, Delivered, Remote, Values, Written};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Beside the fields in what is on its way.
const TAGS: &str = "tags";
const ORGANIZATIONS: &str = "organizations";
const SENT: &str = "sent";

/// Tags or organizations on their way.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Sets {
    add: BTreeSet<String>,
    remove: BTreeSet<String>,
}

/// Since when values are on their way, and what stood there before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sent {
    /// When they were sent.
    pub at: Option<DateTime<Utc>>,
    /// What Zendesk had then.
    #[serde(default)]
    pub was: Values,
}

/// Since when the values of an entry are on their way.
pub fn sent(pending: &Values) -> Sent {
    read(pending.get(SENT).cloned())
}

fn read<T: Default + DeserializeOwned>(value: Option<Value>) -> T {
    value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
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

/// Notes what is about to be sent, and what it replaces.
pub fn expect(entry: &mut Delivered, before: Option<&Remote>, changes: &Changes, at: DateTime<Utc>) {
    let was = |name: &String| before.and_then(|before| before.values.get(name)).cloned().unwrap_or_default();
    let was: Values = changes.values.keys().map(|name| (name.clone(), was(name))).collect();
    entry.pending.extend(changes.values.clone());
    if !was.is_empty() {
        entry.pending.insert(SENT.to_owned(), json!(Sent { at: Some(at), was }));
    }
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
    let sent = sent(&entry.pending).at;
    for (name, value) in &changes.values {
        let was = before.and_then(|before| before.values.get(name)).cloned().unwrap_or_default();
        entry.written.insert(name.clone(), Written { v: value.clone(), was, at, sent });
    }
    entry.owned.tags.extend(changes.add_tags.iter().cloned());
    entry.owned.tags.retain(|tag| !changes.remove_tags.contains(tag));
    forget(entry, changes);
}

/// The values and tags of a change did not arrive.
pub fn forget(entry: &mut Delivered, changes: &Changes) {
    entry.pending.retain(|name, _| !changes.values.contains_key(name) && name != TAGS && name != SENT);
}

/// Settles what nobody knows the outcome of by what Zendesk has now, while no call is under way: afterwards nothing is pending.
///
/// A value that is there was written; of one that is not, what stood there before is left to be written over again. Anything
/// else is somebody's change of what we wrote. Tags and memberships that we sent and that are there are ours.
pub fn look_back(
    entry: &mut Delivered,
    remote: &Remote,
    same: impl Fn(&str, &Value, &Value) -> bool,
    now: DateTime<Utc>,
) {
    let mut pending = std::mem::take(&mut entry.pending);
    settle(&mut entry.owned.tags, read(pending.remove(TAGS)), |tag| remote.tags.contains(tag));
    let organizations = read(pending.remove(ORGANIZATIONS));
    if let Some(member_of) = &remote.organizations {
        settle(&mut entry.owned.organizations, organizations, |id| member_of.contains(id));
    }
    let sent: Sent = read(pending.remove(SENT));
    for (name, v) in pending {
        let theirs = remote.values.get(&name).unwrap_or(&Value::Null);
        let was = sent.was.get(&name).cloned().unwrap_or_default();
        let is_changed = !same(&name, theirs, &was) && !entry.written.contains_key(&name);
        if same(&name, theirs, &v) || is_changed {
            entry.written.insert(name, Written { v, was, at: now, sent: sent.at });
        }
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

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn plain(_: &str, a: &Value, b: &Value) -> bool {
        a == b
    }

    #[test]
    fn what_is_confirmed_is_written_and_owned() {
        let change = changes(json!({"values": {"a": "new"}, "add_tags": ["t"], "remove_tags": ["old"]}));
        let mut entry = entry();
        entry.owned.tags = ["old".to_string()].into();
        let before = Remote { values: [("a".to_string(), json!("was"))].into(), ..Remote::default() };
        expect(&mut entry, Some(&before), &change, NOW);
        let sent = json!({"at": NOW, "was": {"a": "was"}});
        assert_eq!(json!(entry.pending), json!({"a": "new", "sent": sent, "tags": {"add": ["t"], "remove": ["old"]}}));
        confirm(&mut entry, Some(&before), &change, NOW);
        assert!(entry.pending.is_empty());
        assert_eq!(entry.written["a"], Written { v: json!("new"), was: json!("was"), at: NOW, sent: Some(NOW) });
        assert_eq!(json!(entry.owned.tags), json!(["t"]));
    }

    #[test]
    fn what_did_not_arrive_is_not_ours() {
        let change = changes(json!({"values": {"a": "new"}, "add_tags": ["t"]}));
        let mut entry = entry();
        expect(&mut entry, None, &change, NOW);
        forget(&mut entry, &change);
        assert_eq!(entry, super::tests::entry());
    }

    #[test]
    fn what_was_uncertain_is_looked_at_later() {
        let change = changes(json!({"values": {}, "add_tags": ["t", "u"], "join": ["1", "2"], "leave": ["3", "4"]}));
        let mut entry = entry();
        entry.owned.organizations = ["3", "4"].map(String::from).into();
        expect(&mut entry, None, &change, NOW);
        expect_memberships(&mut entry, &change);
        look_back(&mut entry, &remote(&["t"], &["1", "3"]), plain, NOW);
        assert!(entry.pending.is_empty());
        assert_eq!(json!(entry.owned), json!({"tags": ["t"], "organizations": ["1", "3"]}));
        // Memberships that nobody asks for any more are not waited for either.
        expect_memberships(&mut entry, &change);
        look_back(&mut entry, &Remote { organizations: None, ..remote(&["t"], &[]) }, plain, NOW);
        assert_eq!((entry.pending.len(), json!(entry.owned.organizations)), (0, json!(["1", "3"])));
    }

    #[test]
    fn values_whose_outcome_nobody_knows_are_settled_by_one_look() {
        // What we wrote before, what Zendesk had and has: what counts as written afterwards.
        let check = |wrote: Option<Value>, was: Value, has: Value, expected: Option<Value>| {
            let mut entry = entry();
            let written = |v| ("a".to_string(), Written { v, was: json!(null), at: NOW, sent: None });
            entry.written = wrote.clone().map(written).into_iter().collect();
            let with = |v: &Value| Remote { values: [("a".to_string(), v.clone())].into(), ..Remote::default() };
            expect(&mut entry, Some(&with(&was)), &changes(json!({"values": {"a": "new"}})), NOW);
            look_back(&mut entry, &with(&has), plain, NOW);
            assert!(entry.pending.is_empty());
            let found = entry.written.get("a").map(|written| written.v.clone());
            assert_eq!(found, expected, "{wrote:?} {was} {has}");
        };
        let (old, new, third) = (|| json!("old"), || json!("new"), || json!("third"));
        check(None, old(), new(), Some(new()));
        check(None, old(), old(), None);
        check(None, old(), third(), Some(new()));
        check(Some(old()), old(), new(), Some(new()));
        check(Some(old()), old(), old(), Some(old()));
        check(Some(old()), old(), third(), Some(old()));
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
