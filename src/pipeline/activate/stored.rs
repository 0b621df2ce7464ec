//! Activations as they are stored, with their definitions read.
