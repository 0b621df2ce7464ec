//! Which rows are asked for, and a page of them.

use crate::model::push::Row;
use serde_json::Value;

/// Which rows are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All of them.
    All,
    /// Those of these people.
    People(&'a [i64]),
    /// Those of these keys: `person:7`, `organization:3`, `key:A-1`.
    Keys(&'a [String]),
}

/// Some rows, ready to be compared.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Rows of the page that consent or suppression keeps out; those that were written before are delivered as exits, and stand
    /// among the rows as well.
    pub withheld: usize,
    /// Where the next page begins; None after the last.
    pub next: Option<Value>,
}
