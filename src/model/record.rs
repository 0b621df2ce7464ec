//! What every record of a source has in common once it is normalised: its problems and its digest.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// A part of a record that could not be used. Never holds the offending value: that may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The part, such as `email`.
    pub part: String,
    /// What is wrong with it, and what was done instead.
    pub reason: String,
}

impl Problem {
    /// A problem with `part`.
    pub fn new(part: impl Into<String>, reason: impl Into<String>) -> Problem {
        Problem { part: part.into(), reason: reason.into() }
    }
}

/// The digest of a normalised record: equal digests mean that applying it again would change nothing.
///
/// `context` is what else decides about the outcome, such as the source's settings.
pub fn digest<T: Serialize>(record: &T, context: i64) -> i64 {
    let mut hasher = HashWriter(Sha256::new());
    hasher.0.update(context.to_be_bytes());
    serde_json::to_writer(&mut hasher, record).expect("a normalised record always serialises");
    let bytes = hasher.0.finalize();
    i64::from_be_bytes(bytes[..8].try_into().expect("a SHA-256 has more than eight bytes"))
}

struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
