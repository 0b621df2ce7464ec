//! The next records of a run: read in Zendesk, compared, stored as a call, sent.
