//! Liquid templates of mappings: parsed once, bounded in time and size.
