//! What gives back what a run replaced.
