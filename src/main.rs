//! The deskbridge binary.
fn main() {}
