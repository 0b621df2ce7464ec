//! What gives a record back what a run replaced (§d 4, 6 of the notes on peers).

use crate::model::push::{Changes, Delivered, Fault, RecordState, Remote, Wanted};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run did to a record.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// What became of it.
    pub state: RecordState,
    /// What Zendesk had before.
    pub before: Option<&'a Remote>,
    /// What was sent.
    pub changes: &'a Changes,
}

/// What is wanted to undo it, and which fields stay as they are since something was written there again; or why nothing is
/// given back. `ledger` is what Zendesk was last given for the row.
pub fn wanted(done: Done<'_>, ledger: Option<&Delivered>) -> Result<(Wanted, BTreeMap<String, String>), Fault> {
    if done.state == RecordState::Created {
        return Err(Fault::new("created", "the run created the record; Deskbridge deletes none, remove it in Zendesk"));
    }
    let Some(before) = done.before else {
        return Err(Fault::new("no_before_image", "what Zendesk had before is not known"));
    };
    let (mut wanted, mut kept) = (Wanted::default(), BTreeMap::new());
    for (field, value) in &done.changes.values {
        let last = ledger.and_then(|ledger| ledger.written.get(field)).map(|written| &written.v);
        // A later run wrote there: what this one replaced is no longer what comes before.
        if last.is_some_and(|last| last != value) {
            kept.insert(field.clone(), "written_again".to_owned());
        } else {
            wanted.values.insert(field.clone(), before.values.get(field).cloned().unwrap_or(Value::Null));
        }
    }
    let changes = done.changes;
    wanted.tags.extend(changes.add_tags.iter().map(|tag| (tag.clone(), false)));
    wanted.tags.extend(changes.remove_tags.iter().map(|tag| (tag.clone(), true)));
    wanted.organizations.extend(changes.join.iter().map(|id| (id.clone(), false)));
    wanted.organizations.extend(changes.leave.iter().map(|id| (id.clone(), true)));
    match wanted == Wanted::default() {
        true => Err(Fault::new("written_again", "later runs wrote the same fields again")),
        false => Ok((wanted, kept)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::push::Written;
    use serde_json::json;

    fn remote(values: Value) -> Remote {
        Remote { id: "7".into(), values: serde_json::from_value(values).expect("values"), ..Remote::default() }
    }

    fn changes(value: Value) -> Changes {
        serde_json::from_value(value).expect("changes")
    }

    fn ledger(values: Value) -> Delivered {
        let written = values.as_object().expect("values").iter().map(|(field, v)| {
            let at = "2026-06-15T12:00:00Z".parse().expect("a time");
            (field.clone(), Written { v: v.clone(), was: Value::Null, at, sent: None })
        });
        Delivered { written: written.collect(), ..Delivered::default() }
    }

    #[test]
    fn what_a_run_replaced_is_wanted_again() {
        let check = |before: Option<Value>, sent: Value, last: Value, expected: Result<Value, &str>| {
            let (before, sent, last) = (before.map(remote), changes(sent), ledger(last));
            let done = Done { state: RecordState::Updated, before: before.as_ref(), changes: &sent };
            let found = wanted(done, Some(&last)).map_err(|fault| fault.class);
            let found = found.map(|(wanted, kept)| json!({"wanted": wanted, "kept": kept}));
            assert_eq!(found, expected.map_err(str::to_owned), "{sent:?}");
        };
        check(
            Some(json!({"details": "old", "user_fields.tier": null})),
            json!({"values": {"details": "new", "user_fields.tier": "gold"}}),
            json!({"details": "new", "user_fields.tier": "gold"}),
            Ok(json!({"wanted": {"values": {"details": "old", "user_fields.tier": null}}, "kept": {}})),
        );
        check(
            Some(json!({"details": "old", "notes": "n"})),
            json!({"values": {"details": "new", "notes": "m"}}),
            json!({"details": "newest", "notes": "m"}),
            Ok(json!({"wanted": {"values": {"notes": "n"}}, "kept": {"details": "written_again"}})),
        );
        check(
            Some(json!({})),
            json!({"values": {}, "add_tags": ["vip"], "remove_tags": ["old"], "join": ["5"], "leave": ["6"]}),
            json!({}),
            Ok(json!({"wanted": {"values": {}, "tags": {"old": true, "vip": false},
                "organizations": {"5": false, "6": true}}, "kept": {}})),
        );
        check(
            Some(json!({"details": "old"})),
            json!({"values": {"details": "new"}}),
            json!({"details": "newest"}),
            Err("written_again"),
        );
        check(None, json!({"values": {"details": "new"}}), json!({}), Err("no_before_image"));
    }

    #[test]
    fn who_was_created_stays() {
        let (before, sent) = (remote(json!({})), changes(json!({"values": {"name": "Lisa"}})));
        let done = Done { state: RecordState::Created, before: Some(&before), changes: &sent };
        assert_eq!(wanted(done, None).map_err(|fault| fault.class), Err("created".to_owned()));
    }
}
