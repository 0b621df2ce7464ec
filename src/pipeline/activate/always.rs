//! What changed becomes records of a run that is always open.
