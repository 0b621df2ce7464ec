//! Table `push_job`: calls that change records in Zendesk, and its jobs.
