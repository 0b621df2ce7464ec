//! Definitions of audiences as they are written: TOML, or JSON that says the same.

use crate::model::audience::Definition;
use crate::rules::filter::{self, FilterError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name and title.
const LONGEST: usize = 100;

/// A definition that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// A part of the definition.
    #[error("{0}: {1}")]
    Part(&'static str, String),
    /// A part of one of its filters.
    #[error("{0}.{1}")]
    Filter(&'static str, FilterError),
}

/// Reads a definition: `name`, `title`, `reentry`, `entry` and `exit`; a filter that is pasted alone needs a name given.
pub fn define(written: &Value) -> Result<Definition, DefinitionError> {
    let wrong = |part, expected: &str| Err(DefinitionError::Part(part, expected.to_owned()));
    let Some(table) = written.as_object() else { return wrong("definition", "expected a table with name and entry") };
    if let Some(key) = table.keys().find(|key| !["name", "title", "reentry", "entry", "exit"].contains(&key.as_str())) {
        let key: String = key.chars().take(60).collect();
        return wrong("definition", &format!("{key:?} is unknown here; expected name, title, reentry, entry and exit"));
    }
    let name = table.get("name").and_then(Value::as_str).unwrap_or_default();
    if !is_name(name) {
        return wrong("name", "expected small letters, digits, - and _, beginning with a letter, 100 at most");
    }
    let title = match table.get("title") {
        None => name,
        Some(title) => match title.as_str().filter(|title| !title.is_empty() && title.chars().count() <= LONGEST) {
            Some(title) => title,
            None => return wrong("title", "expected a text of 1 to 100 characters"),
        },
    };
    let reentry = match table.get("reentry") {
        None => false,
        Some(Value::Bool(reentry)) => *reentry,
        Some(_) => return wrong("reentry", "expected true or false"),
    };
    let read = |key: &'static str| {
        let written = table.get(key).filter(|written| !is_empty(written));
        written.map(filter::read).transpose().map_err(|error| DefinitionError::Filter(key, error))
    };
    let Some(entry) = read("entry")? else { return wrong("entry", "missing; expected a filter") };
    let written =
        json!({"name": name, "title": title, "reentry": reentry, "entry": table["entry"], "exit": table.get("exit")});
    let exit = read("exit")?;
    Ok(Definition { name: name.to_owned(), title: title.to_owned(), reentry, entry, exit, written })
}

/// Ortto writes no exit filter as an empty one (R56).
fn is_empty(written: &Value) -> bool {
    written.is_null() || written.as_object().is_some_and(serde_json::Map::is_empty)
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= LONGEST && name.chars().all(known)
}

/// The first way by which an audience names itself, by name; `names` says whom each audience names.
pub fn cycle(start: &str, names: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut met = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| names.get(last)).into_iter().flatten() {
            let longer: Vec<String> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            if met.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions() {
        let entry = json!({"field": "email", "has_value": true});
        let read = define(&json!({"name": "has-mail", "entry": entry, "exit": {}})).expect("a definition");
        assert_eq!((read.title.as_str(), read.reentry, read.exit.is_none()), ("has-mail", false, true));
        let check = |written: Value, expected: &str| {
            let error = define(&written).expect_err("refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(json!([]), "definition: expected a table");
        check(json!({"name": "a", "entry": entry, "exits": entry}), "definition: \"exits\" is unknown");
        check(json!({"entry": entry}), "name: expected");
        check(json!({"name": "Has mail", "entry": entry}), "name: expected");
        check(json!({"name": "a"}), "entry: missing");
        check(json!({"name": "a", "entry": entry, "reentry": 1}), "reentry: expected true or false");
        check(json!({"name": "a", "entry": entry, "title": ""}), "title: expected");
        check(json!({"name": "a", "entry": {"all": [{"field": "emial", "is": "x"}]}}), "entry.filter.all[0].field");
        check(json!({"name": "a", "entry": entry, "exit": {"$and": 3}}), "exit.filter.$and");
    }

    #[test]
    fn cycles_are_found() {
        let check = |pairs: &[(&str, &[&str])], expected: Option<&str>| {
            let names = pairs.iter().map(|(name, of)| (name.to_string(), of.iter().map(|of| of.to_string()).collect()));
            assert_eq!(cycle("a", &names.collect()).map(|way| way.join(" ")).as_deref(), expected, "{pairs:?}");
        };
        check(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])], None);
        check(&[("a", &["a"])], Some("a a"));
        check(&[("a", &["b"]), ("b", &["c", "b"]), ("c", &["a"])], Some("a b c a"));
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])], None);
    }
}
