//! Whether a query may be used for an activation, what its rows are called, and what is wrong with it, in words.

use super::mention::looks_at;
use crate::model::activation::{Activation, Origin, Rows, Target};
use crate::model::push::Fault;
use crate::model::query::{Given, Kept, Looked, RowFault};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Most columns of a query.
const COLUMNS: usize = 200;

/// Longest key of a row, in bytes.
const KEY_BYTES: usize = 255;

const READABLE: &str = "read the views that the README lists under \"Rows by a query\"";
const ONE_SELECT: &str = "write one SELECT over the views that the README lists under \"Rows by a query\": it cannot write, lock, or call what is volatile";

/// Why a query is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, with its place in the file.
    pub what: String,
    /// What to do.
    pub todo: String,
}

impl Refusal {
    /// What is wrong, and what to do.
    pub fn new(what: impl Into<String>, todo: impl Into<String>) -> Refusal {
        Refusal { what: what.into(), todo: todo.into() }
    }

    /// The query runs for too long.
    pub fn too_long(timeout_secs: u32) -> Refusal {
        let what = format!("rows.query: it took longer than the {timeout_secs} s that rows.timeout_secs allows");
        Refusal::new(what, "make the query cheaper, or raise rows.timeout_secs (600 at most)")
    }

    /// The query gives too much.
    pub fn too_many(max_rows: u64) -> Refusal {
        let what = format!("rows.query: it gives more than {max_rows} rows, the most that rows.max_rows allows");
        Refusal::new(what, "narrow the query, or raise rows.max_rows (10000000 at most)")
    }

    /// The role that queries run as cannot be used; `statements` are what an admin has to run.
    pub fn no_role(role: &str, statements: &str) -> Refusal {
        let what = format!("rows.query: queries run as the role {role}, which the daemon's user cannot take on here");
        Refusal::new(what, format!("have an admin of the database run: {statements}"))
    }

    /// In one line, for a run.
    pub fn in_a_line(&self) -> String {
        format!("{}; {}", self.what, self.todo)
    }
}

/// Why Postgres refused a query, by its SQLSTATE; None when the query is not at fault. `runs`: it was running, so that the message may
/// hold data, which is not told.
pub fn refused(code: &str, message: &str, line: Option<usize>, runs: bool) -> Option<Refusal> {
    let at = line.map_or(String::new(), |line| format!(" at line {line}"));
    let class = code.get(..2).unwrap_or_default();
    match class {
        _ if code == "54011" => {
            let what = "rows.query: it gives more columns than Postgres can carry";
            Some(Refusal::new(what, format!("name the columns that are mapped, {COLUMNS} at most")))
        }
        _ if code == "42601" && message.contains("multiple commands") => {
            Some(Refusal::new("rows.query: it holds several statements", ONE_SELECT))
        }
        "42" | "0A" | "25" | "54" => {
            Some(Refusal::new(format!("rows.query: Postgres refuses it{at}: {message}"), ONE_SELECT))
        }
        "53" if runs => {
            let what = "rows.query: it needs more memory or disk than Postgres has for it";
            Some(Refusal::new(what, "make the query cheaper"))
        }
        "08" | "40" | "53" | "55" | "57" | "58" | "XX" | "" => None,
        _ if runs => {
            let what = format!("rows.query: it failed on the data (SQLSTATE {code})");
            Some(Refusal::new(what, "run it by hand to see on which, and have it cope with such values"))
        }
        _ => Some(Refusal::new(format!("rows.query: Postgres refuses it{at}: {message}"), ONE_SELECT)),
    }
}

/// What is wrong with a query that Postgres understood. `more`: fields that the settings class as personal data.
pub fn problem(activation: &Activation, looked: &Looked, more: &BTreeSet<String>) -> Option<Refusal> {
    let Rows::Query { key, .. } = &activation.rows else { return None };
    let may_not = |what: &str, named: &[String], todo: &str| {
        (!named.is_empty()).then(|| Refusal::new(format!("rows.query: it may not {what} {}", few(named)), todo))
    };
    let functions = "use functions of Postgres that look at their arguments only: what is volatile, or tells of the server or its settings, is refused";
    let locks =
        || looked.locks.then(|| Refusal::new("rows.query: it may not lock rows", "leave out FOR UPDATE and the like"));
    let too_many = || {
        let columns = looked.columns.len();
        let todo = format!("name the columns that are mapped, {COLUMNS} at most");
        (columns > COLUMNS).then(|| Refusal::new(format!("rows.query: it gives {columns} columns"), todo))
    };
    let lacks_key = || {
        let todo = format!("name one of its columns ({}), or give it that name: … AS {key}", few(&looked.columns));
        (!looked.columns.contains(key))
            .then(|| Refusal::new(format!("rows.key: the query gives no column {key:?}"), todo))
    };
    may_not("call", &looked.functions, functions)
        .or_else(|| may_not("read", &looked.relations, READABLE))
        .or_else(|| may_not("use the type", &looked.types, "leave the cast out: it names things of the server"))
        .or_else(locks)
        .or_else(too_many)
        .or_else(lacks_key)
        .or_else(|| lacks_column(activation, looked))
        .or_else(|| undeclared(activation, looked, more))
}

fn few(names: &[String]) -> String {
    let more = if names.len() > 10 { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(10)].join(", "))
}

/// What an activation takes from columns: the place in its file, the column, and whether it goes to Zendesk.
fn taken(activation: &Activation) -> Vec<(String, String, bool)> {
    let mapped = activation.mappings.iter().map(|mapping| (format!("map to {}", mapping.to), &mapping.from, true));
    let key = activation.key.from.iter().map(|from| ("key.from".to_owned(), from, activation.key.create));
    let columns = |(place, from, goes): (String, &Origin, bool)| {
        let of = |origin| match origin {
            Origin::Column(column) => Some((place.clone(), column, goes)),
            _ => None,
        };
        looks_at(from).into_iter().filter_map(of).collect::<Vec<_>>()
    };
    mapped.chain(key).flat_map(columns).collect()
}

/// A column that is mapped and that the query does not give: its field would be cleared.
fn lacks_column(activation: &Activation, looked: &Looked) -> Option<Refusal> {
    let missing = taken(activation).into_iter().find(|(_, column, _)| !looked.columns.contains(column));
    missing.map(|(place, column, _)| {
        Refusal::new(
            format!("{place}: the query gives no column {column:?}"),
            format!("have rows.query give it, or take one of its columns: {}", few(&looked.columns)),
        )
    })
}

/// Personal data that the query reads and the file does not name, where any column of it goes to Zendesk: under whatever name, it may
/// hold what was read.
fn undeclared(activation: &Activation, looked: &Looked, more: &BTreeSet<String>) -> Option<Refusal> {
    if !taken(activation).iter().any(|(_, _, goes)| *goes) {
        return None;
    }
    looked.reads.iter().find_map(|(view, column)| {
        let name = classed(view, column, more).into_iter().find(|name| !activation.personal_data.contains(name))?;
        Some(Refusal::new(
            format!("personal_data: the query reads {view}.{column} and its columns go to Zendesk; that is personal data, {name:?}"),
            format!("add {name:?} to personal_data, or leave {view}.{column} out of the query"),
        ))
    })
}

/// Under which names a column is declared as personal data.
fn classed(view: &str, column: &str, more: &BTreeSet<String>) -> Vec<String> {
    let usual: &[&str] = match (view, column) {
        ("person", "first_name" | "last_name" | "email" | "phone" | "external_id") => &[column],
        ("person_source", "name") => &["name"],
        ("identity", "value") => &["email", "phone", "external_id"],
        _ => &[],
    };
    let by_setting = |name: &&String| match view {
        // Which of the custom fields it takes cannot be told.
        "person" if column == "fields" => name.contains('.'),
        "person" => *name == column,
        "support_summary" => name.strip_prefix("zd.").unwrap_or(name) == column,
        _ => false,
    };
    usual.iter().map(|name| (*name).to_owned()).chain(more.iter().filter(by_setting).cloned()).collect()
}

/// A row of the answer as it is kept: its key, or what is wrong with it. `at`: how many rows came before it.
pub fn kept(key: &str, target: Target, (value, columns): Given, at: u64) -> Kept {
    let faulty = |row_key: String, fault| Kept { row_key, columns: None, fault: Some(fault) };
    let nameless = |fault| faulty(format!("nokey:{}", at + 1), fault);
    let value = match value.filter(|value| !value.trim().is_empty()) {
        None => return nameless(RowFault::NoKey),
        Some(value) if value.len() > KEY_BYTES => return nameless(RowFault::TooLarge),
        Some(value) => value,
    };
    let row_key = match (row_prefix(key, target), value.parse::<i64>()) {
        ("key", _) => format!("key:{value}"),
        (prefix, Ok(number)) => format!("{prefix}:{number}"),
        (_, Err(_)) => return nameless(RowFault::NoKey),
    };
    match columns {
        None => faulty(row_key, RowFault::TooLarge),
        Some(text) => match columns_of(&text) {
            None => faulty(row_key, RowFault::BadValue),
            Some(_) => Kept { row_key, columns: Some(text), fault: None },
        },
    }
}

/// What the rows of a key column are: people, organizations, or rows of their own.
fn row_prefix(key: &str, target: Target) -> &'static str {
    match key {
        "person_id" => "person",
        "organization_id" if target == Target::Organizations => "organization",
        _ => "key",
    }
}

/// The columns of a row; None when they cannot be carried.
pub fn columns_of(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// The values of the key column that rows are named after.
pub fn key_values(row_keys: &[String]) -> Vec<String> {
    row_keys.iter().filter_map(|key| key.split_once(':')).map(|(_, value)| value.to_owned()).collect()
}

/// The fault of a row, for the report.
pub fn row_fault(fault: RowFault) -> Fault {
    let reason = match fault {
        RowFault::DuplicateKey => "several rows of the query have this key; none is written",
        RowFault::NoKey => "the row has no key that can be used: rows.key is empty, or no number where it must be one",
        RowFault::TooLarge => "the row or its key is too large: 64 KiB as JSON, 255 bytes for a key",
        RowFault::BadValue => "a value of the row cannot be carried; cast it to text in the query",
    };
    Fault::new(fault.as_str(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::activation::read::read;

    fn activation(top: &str, key: &str, maps: &str) -> Activation {
        let by = if key == "person_id" { "" } else { "[key]\nby = \"external_id\"\n" };
        let text = format!(
            "name = \"n\"\nsource = \"acme\"\ntarget = \"users\"\n{top}\n[rows]\nquery = \"SELECT 1\"\nkey = \"{key}\"\n{by}{maps}"
        );
        read(&text).expect("a file")
    }

    const MAP: &str = "[[map]]\nto = \"notes\"\nfrom = \"column.x\"\n";

    fn looked(columns: &[&str]) -> Looked {
        Looked { columns: columns.iter().map(|column| (*column).to_owned()).collect(), ..Looked::default() }
    }

    #[test]
    fn what_a_query_may_not_do_is_said() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let check = |looked: Looked, expected: &str| {
            let found = problem(&activation("", "person_id", MAP), &looked, &BTreeSet::new());
            assert_eq!(found.map(|refusal| refusal.what).unwrap_or_default(), expected, "{looked:?}");
        };
        let fine = || looked(&["person_id", "x"]);
        check(fine(), "");
        check(Looked { functions: named(&["pg_sleep"]), ..fine() }, "rows.query: it may not call pg_sleep");
        check(
            Looked { relations: named(&["pg_catalog.pg_authid"]), ..fine() },
            "rows.query: it may not read pg_catalog.pg_authid",
        );
        check(Looked { types: named(&["regclass"]), ..fine() }, "rows.query: it may not use the type regclass");
        check(Looked { locks: true, ..fine() }, "rows.query: it may not lock rows");
        check(looked(&["id", "x"]), "rows.key: the query gives no column \"person_id\"");
        check(looked(&["person_id", "y"]), "map to notes: the query gives no column \"x\"");
        let many = (0..200).map(|at| format!("c{at}")).chain(named(&["person_id", "x"])).collect();
        check(Looked { columns: many, ..fine() }, "rows.query: it gives 202 columns");
    }

    #[test]
    fn personal_data_that_is_read_must_be_declared() {
        let check = |top: &str, maps: &str, read: (&str, &str), expected: Option<&str>| {
            let looked = Looked { reads: vec![(read.0.into(), read.1.into())], ..looked(&["person_id", "x"]) };
            let more =
                BTreeSet::from(["zd.birthday".to_owned(), "zd.last_ticket_subject".to_owned(), "locale".to_owned()]);
            let found = problem(&activation(top, "person_id", maps), &looked, &more).map(|refusal| refusal.todo);
            let named = found.as_deref().and_then(|todo| todo.split('"').nth(1));
            assert_eq!(named, expected, "{top} {read:?}");
        };
        let tag = "[[tag]]\ntag = \"t\"\n";
        check("", MAP, ("person", "email"), Some("email"));
        check("personal_data = [\"email\"]", MAP, ("person", "email"), None);
        check("", tag, ("person", "email"), None);
        check("", "[[map]]\nto = \"notes\"\ntemplate = \"{{ row.x }}\"\n", ("person", "phone"), Some("phone"));
        check("", MAP, ("person_source", "name"), Some("name"));
        check("personal_data = [\"email\"]", MAP, ("identity", "value"), Some("phone"));
        check("", MAP, ("person", "fields"), Some("zd.birthday"));
        check("", MAP, ("person", "locale"), Some("locale"));
        check("", MAP, ("person", "time_zone"), None);
        check("", MAP, ("support_summary", "last_ticket_subject"), Some("zd.last_ticket_subject"));
        check("", MAP, ("organization", "name"), None);
    }

    #[test]
    fn what_postgres_says_is_the_querys_fault_or_not() {
        let check = |code: &str, runs: bool, expected: &str| {
            let found = refused(code, "it is so", Some(2), runs).map(|refusal| refusal.what).unwrap_or_default();
            assert_eq!(found, expected, "{code} {runs}");
        };
        check("42601", false, "rows.query: Postgres refuses it at line 2: it is so");
        check("22P02", false, "rows.query: Postgres refuses it at line 2: it is so");
        check("22P02", true, "rows.query: it failed on the data (SQLSTATE 22P02)");
        check("54011", false, "rows.query: it gives more columns than Postgres can carry");
        check("53100", true, "rows.query: it needs more memory or disk than Postgres has for it");
        for not_its_fault in ["08006", "53300", "57P01", "40001", "55P03", "XX000"] {
            check(not_its_fault, false, "");
        }
        assert_eq!(
            refused("42601", "cannot insert multiple commands into a prepared statement", None, false)
                .map(|found| found.what),
            Some("rows.query: it holds several statements".into())
        );
    }

    #[test]
    fn rows_are_known_by_their_keys() {
        let check = |key, target, value: Option<&str>, columns: Option<&str>, expected: (&str, Option<RowFault>)| {
            let row = kept(key, target, (value.map(str::to_owned), columns.map(str::to_owned)), 4);
            assert_eq!((row.row_key.as_str(), row.fault), expected, "{key} {value:?}");
            assert_eq!(row.columns.is_some(), row.fault.is_none());
        };
        let (users, organizations) = (Target::Users, Target::Organizations);
        let fine = Some("{\"x\": 1}");
        check("person_id", users, Some("7"), fine, ("person:7", None));
        check("person_id", users, Some("07"), fine, ("person:7", None));
        check("person_id", users, Some("ana"), fine, ("nokey:5", Some(RowFault::NoKey)));
        check("organization_id", organizations, Some("3"), fine, ("organization:3", None));
        check("organization_id", users, Some("3"), fine, ("key:3", None));
        check("number", users, Some("A-1"), fine, ("key:A-1", None));
        check("number", users, None, fine, ("nokey:5", Some(RowFault::NoKey)));
        check("number", users, Some(" "), fine, ("nokey:5", Some(RowFault::NoKey)));
        check("number", users, Some(&"x".repeat(256)), fine, ("nokey:5", Some(RowFault::TooLarge)));
        check("number", users, Some("A-1"), None, ("key:A-1", Some(RowFault::TooLarge)));
        check("number", users, Some("A-1"), Some("{\"x\": 1e999}"), ("key:A-1", Some(RowFault::BadValue)));
        let keys = ["person:7", "key:A:1", "organization:3", "odd"].map(str::to_owned);
        assert_eq!(key_values(&keys), ["7", "A:1", "3"]);
    }
}
