//! Rows of an operator's own read-only query: as the reading role, within its time and rows.
