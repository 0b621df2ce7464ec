//! When an activation's clock is next due.
