//! Roll-out in stages: one record, ten, one in a hundred, all.
