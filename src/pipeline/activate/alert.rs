//! What operators are told of: failed, late, unusual, recovered.
