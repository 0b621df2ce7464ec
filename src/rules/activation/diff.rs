//! What is wanted, what Zendesk has, what we last wrote → what is sent (three-way).
