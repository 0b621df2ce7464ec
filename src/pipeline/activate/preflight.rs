//! Target fields of the account, looked at before anything is sent; missing ones created on request.
