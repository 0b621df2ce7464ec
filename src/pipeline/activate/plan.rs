//! Rows compared with what Zendesk was last given: what differs becomes a record of a run.
