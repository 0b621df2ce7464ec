//! Table `push_run`: runs of activations.
