//! An operator's query, as Postgres understands it before it runs.

/// What a query calls, reads and gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Functions of Postgres that it may not call, or that are not Postgres' own.
    pub functions: Vec<String>,
    /// Tables and views that it may not read, with their schema.
    pub relations: Vec<String>,
    /// Types that it may not name: those that stand for things of the server.
    pub types: Vec<String>,
    /// Whether it locks rows.
    pub locks: bool,
    /// Columns of the views that it reads anywhere, as view and column.
    pub reads: Vec<(String, String)>,
    /// Columns that it gives, in their order.
    pub columns: Vec<String>,
}

/// A row that a query gave: its key as text, and the row as JSON unless it is too large.
pub type Given = (Option<String>, Option<String>);

/// A row of a query as it is kept while a run is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The row: `person:7`, `organization:3`, `key:A-1`, or `nokey:5` for the fifth of all where it has no key.
    pub row_key: String,
    /// Its columns, as JSON text; None for one that the query gives no more, or that has a fault.
    pub columns: Option<String>,
    /// Why it cannot be used.
    pub fault: Option<RowFault>,
}

/// Why a row of a query cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowFault {
    /// Another row has its key.
    DuplicateKey,
    /// It has no key, or none that can be used.
    NoKey,
    /// It, or its key, has too many bytes.
    TooLarge,
    /// A value in it cannot be carried, such as a number of a thousand digits.
    BadValue,
}

impl RowFault {
    /// All of them.
    pub const ALL: [RowFault; 4] = [RowFault::DuplicateKey, RowFault::NoKey, RowFault::TooLarge, RowFault::BadValue];

    /// The word in tables and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            RowFault::DuplicateKey => "duplicate_key",
            RowFault::NoKey => "no_key",
            RowFault::TooLarge => "too_large",
            RowFault::BadValue => "bad_value",
        }
    }

    /// The fault of that word.
    pub fn parse(text: &str) -> Option<RowFault> {
        RowFault::ALL.into_iter().find(|fault| fault.as_str() == text)
    }
}
