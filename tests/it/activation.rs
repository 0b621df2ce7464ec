//! Activations: what is written to Zendesk.

mod wire;
