//! What an activation looks at, by the names under which changes are noted.
