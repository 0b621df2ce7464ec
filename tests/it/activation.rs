//! Activations: rows of the CDP become fields in the simulated Zendesk.

mod rows;
