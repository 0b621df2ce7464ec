//! Activations: what is planned reaches Zendesk, once, and its results are known.

mod sell;
