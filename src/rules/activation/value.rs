//! A value formed for the type of its target field, or why it cannot be.
