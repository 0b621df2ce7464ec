//! When a run stops and asks: how much it would change, clear, create; how much failed.
