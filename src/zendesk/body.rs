//! The bytes of an answer: never more than allowed, and what it means when they do not come.

use super::error::Kind;

/// Room made before the first byte came: what an answer says of its own length is believed up to here.
const FIRST_ROOM: u64 = 1 << 20;

/// Reads a body of at most `most` bytes, counted after unpacking. The time is bounded by the client's own limit, which is
/// for the whole request: bytes that trickle do not prolong it.
pub async fn read(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, Kind> {
    let mut bytes = Vec::with_capacity(response.content_length().unwrap_or(0).min(FIRST_ROOM) as usize);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > most {
            return Err(Kind::TooLarge(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What an error of the connection means. The address may hold parameters: it is left out.
pub fn broken(error: reqwest::Error) -> Kind {
    if error.is_timeout() {
        return Kind::TimedOut;
    }
    let is_connect = error.is_connect();
    let words = crate::telemetry::error_chain(&error.without_url());
    match is_connect {
        true => Kind::Network(words),
        false => Kind::Broken(words),
    }
}
