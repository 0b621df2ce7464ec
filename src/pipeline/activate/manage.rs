//! What an operator does with activations: apply a file, compare, pause, resume, delete.
