//! What an origin gives for one row.
