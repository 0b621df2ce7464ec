//! Table `delivery`: what Zendesk was last given.
