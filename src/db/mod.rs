//! All SQL: one file a table, functions on a connection, sets of rows in and out. Decides nothing.
//!
//! Rows are looked up by key with `unnest(keys) CROSS JOIN LATERAL (… LIMIT 1)`: one descent of an index for each key, whatever
//! the planner knows of a table. With `= ANY(keys)`, a fresh database without statistics reads the whole table for
//! every page of a first sync.

pub mod activation;
pub mod activation_due;
pub mod activation_facts;
pub mod activation_organizations;
pub mod activity;
pub mod activity_window;
pub mod adoption;
pub mod agent;
pub mod alert;
pub mod audience;
pub mod audience_answers;
pub mod audience_facts;
mod audience_filter;
pub mod audience_find;
pub mod audience_member;
pub mod audience_touched;
pub mod checkpoint;
pub mod compare;
pub mod consent;
pub mod dead_letter;
pub mod delivery;
pub mod field_def;
pub mod grant;
pub mod identity;
pub mod job;
pub mod journey;
pub mod merge;
pub mod nobody;
pub mod organization;
pub mod partition;
pub mod person;
pub mod person_source;
pub mod pool;
pub mod profile;
pub mod push_job;
pub mod push_record;
pub mod push_run;
pub mod push_sent;
pub mod push_tally;
pub mod push_twins;
pub mod query_rows;
pub mod rate_budget;
pub mod raw_event;
pub mod run;
pub mod schedule;
pub mod sign_in;
pub mod source;
pub mod tally;
pub mod ticket;
pub mod tombstone;
pub mod webhook_watch;
pub mod workspace;

/// What went wrong between us and Postgres.
pub type Error = sqlx::Error;

/// Result of a statement.
pub type Result<T> = std::result::Result<T, Error>;

/// True when the data of a statement was at fault (SQLSTATE classes 22 and 23), so that the same batch would fail
/// again; false when Postgres or the way to it was, so that a later try may succeed.
pub fn is_data_error(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// How Postgres refused the data of a statement: its code, and the constraint where there is one. Values are never among it.
pub fn refusal(error: &Error) -> String {
    let error = error.as_database_error();
    let code = error.and_then(|e| e.code()).unwrap_or_default();
    let constraint = error.and_then(|e| e.constraint()).map(|name| format!(", constraint {name}"));
    format!("SQLSTATE {code}{}", constraint.unwrap_or_default())
}

/// True when two transactions got in each other's way: trying again at once is right.
pub fn is_conflict(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code == "40001" || code == "40P01" || code == "55P03")
}

/// A column of rows as one parameter, for `unnest`: a batch is one statement whatever its size.
fn column<'r, R, T>(rows: &'r [R], of: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A column of JSON, as text: Postgres reads it once, by a cast.
fn json_column<'r, R, T: serde::Serialize>(rows: &'r [R], of: impl Fn(&'r R) -> Option<T>) -> Vec<Option<String>> {
    let text = |value| serde_json::to_string(&value).expect("rows always serialise");
    rows.iter().map(|row| of(row).map(text)).collect()
}

/// Rows as one parameter, for `json_to_recordset`: for tables with few writes. Postgres takes about 40 µs to read a person
/// so, and 9 µs from arrays.
fn as_json<T: serde::Serialize>(rows: &[T]) -> String {
    serde_json::to_string(rows).expect("rows always serialise")
}
