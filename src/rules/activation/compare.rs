//! What would change from one definition to another, in words.
