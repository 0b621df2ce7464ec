//! The rows of an activation, page by page, each with what it wants.
