//! An activation's file (TOML) → its definition, and what is wrong with a file, with its place.
