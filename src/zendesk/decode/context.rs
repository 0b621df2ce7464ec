//! What decoding needs to know besides the JSON, and how a record is refused.

use serde_json::value::RawValue;

use crate::model::batch::Refused;
use crate::model::source::SourceSettings;
use crate::rules::activity::Messages;

/// What decoding needs to know besides the JSON.
#[derive(Debug, Clone, Copy)]
pub struct DecodeContext<'a> {
    /// Options of the source; its `identifiers` decide what becomes an identity (R34).
    pub settings: &'a SourceSettings,
    /// The account's own label, whose support addresses find nobody (I3).
    pub subdomain: Option<&'a str>,
    /// Country of phone numbers written without one (I4).
    pub default_region: Option<&'a str>,
    /// The operator's blocked identities (I3).
    pub blocked: &'a [String],
    /// Bytes of a message that are kept (A6).
    pub message_max_bytes: usize,
    /// Whether messages are kept at all (A6).
    pub store_message_bodies: bool,
    /// Whether private comments are kept (A6).
    pub private_comments: bool,
}

impl DecodeContext<'_> {
    /// What is kept of messages (A6).
    pub fn messages(&self) -> Messages {
        Messages { store: self.store_message_bodies, max_bytes: self.message_max_bytes, private: self.private_comments }
    }
}

/// A record that cannot be applied, with its bytes.
pub(super) fn refuse(stream: &'static str, record_id: &str, reason: &str, raw: &RawValue) -> Refused {
    let (record_id, reason) = (record_id.to_owned(), reason.to_owned());
    Refused { stream, record_id, reason, body: raw.get().as_bytes().to_vec() }
}

/// The reason for refusing what is no object.
pub(super) const NO_OBJECT: &str = "the record is no JSON object";

/// The reason for refusing what cannot be named.
pub(super) const NO_ID: &str = "the record has no usable id";

/// The reason for refusing what cannot be placed in time.
pub(super) const NO_TIME: &str = "the record has no usable time";
