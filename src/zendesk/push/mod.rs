//! Writing to Zendesk: what is wanted → wire (pure), the calls, and what Zendesk says of them.
