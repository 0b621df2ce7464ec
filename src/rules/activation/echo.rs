//! What comes back from Zendesk and is our own writing.
