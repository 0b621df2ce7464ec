//! Activations: from a file to fields in Zendesk.

mod define;
