//! What becomes of a request that writes: an answer, or how far it came.

use super::decode;
use super::error::{ApiError, Kind};

/// What Zendesk answered to a request that writes.
#[derive(Debug)]
pub struct Written {
    /// 200, 201 …
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A request that was not answered with success.
#[derive(Debug, Clone)]
pub struct NotDone {
    /// What went wrong.
    pub error: ApiError,
    /// What Zendesk said; none where it did not answer.
    pub said: Option<decode::ApiError>,
    /// Whether the request may have reached Zendesk.
    pub sent: bool,
}

/// The same before it is known to which endpoint.
pub(super) struct Failed {
    pub kind: Kind,
    pub said: Option<decode::ApiError>,
    pub sent: bool,
}

impl Failed {
    /// Nothing was sent, or nothing came of it that could be lost.
    pub fn before(kind: Kind) -> Failed {
        Failed { kind, said: None, sent: false }
    }

    /// The request is on its way, and what became of it is not known.
    pub fn after(kind: Kind) -> Failed {
        Failed { kind, said: None, sent: true }
    }
}
