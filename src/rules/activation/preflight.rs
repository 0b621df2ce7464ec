//! Whether the target fields of an account can take what a mapping gives.
