//! What an operator does with runs: start, apply, approve, stop, retry, skip, undo, test.
