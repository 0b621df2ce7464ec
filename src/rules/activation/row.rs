//! What an activation wants of the record of one row.
