//! What a record shows, read again, of a call whose outcome nobody knows.
