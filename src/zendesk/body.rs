//! Bodies of answers, read to a bound; and what a connection that breaks means.

use super::error::Kind;

/// Reads a body of at most `most` bytes.
pub(super) async fn read(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, Kind> {
    let mut bytes = Vec::with_capacity(response.content_length().unwrap_or(0).min(most as u64) as usize);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > most {
            return Err(Kind::TooLarge(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What a request that got no answer means.
pub(super) fn broken(error: reqwest::Error) -> Kind {
    if error.is_timeout() {
        return Kind::TimedOut;
    }
    // The address may hold parameters: it is left out.
    let error = error.without_url();
    Kind::Network(crate::telemetry::error_chain(&error))
}
