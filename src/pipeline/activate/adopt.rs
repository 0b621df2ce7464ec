//! Which rows meet which records, before anything is written.
