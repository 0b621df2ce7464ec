//! Messages to an address of the operators', signed with HMAC-SHA256.

use super::SendError;
use crate::config::SecretText;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use sha2::Sha256;
use std::sync::Once;
use std::time::Duration;

/// When a message was signed, in seconds since 1970.
pub const TIMESTAMP: &str = "Deskbridge-Timestamp";

/// What proves that we sent it: `v1=` and [`signature`].
pub const SIGNATURE: &str = "Deskbridge-Signature";

/// HMAC-SHA256 in hexadecimal over the timestamp, a dot and the body.
pub fn signature(secret: &SecretText, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Sends by HTTP POST. Follows no redirects, uses no proxy, reads nothing of the answer but its status.
pub struct Webhook {
    http: reqwest::Client,
    /// Of many services the address itself is what lets one write there.
    url: SecretText,
    secret: SecretText,
}

impl Webhook {
    /// A way to this address; what takes longer than `timeout` counts as no answer.
    ///
    /// # Errors
    /// When no client can be made, such as without certificates on this machine.
    pub fn new(url: &SecretText, secret: SecretText, timeout: Duration) -> Result<Webhook, SendError> {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // Fails only when a provider is installed already, which serves as well.
            _ = rustls::crypto::ring::default_provider().install_default();
        });
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("deskbridge/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SendError::Down(error.without_url().to_string()))?;
        Ok(Webhook { http, url: url.clone(), secret })
    }

    /// Sends a message as JSON.
    ///
    /// # Errors
    /// The address itself may be a secret and stands in no error.
    pub async fn send(&self, body: &serde_json::Value, now: DateTime<Utc>) -> Result<(), SendError> {
        let (body, timestamp) = (body.to_string(), now.timestamp());
        let signature = signature(&self.secret, timestamp, body.as_bytes());
        let request = self
            .http
            .post(self.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, format!("v1={signature}"))
            .body(body);
        let answer = request.send().await.map_err(|error| {
            SendError::Down(format!("no answer: {}", crate::telemetry::error_chain(&error.without_url())))
        })?;
        let status = answer.status();
        match status.as_u16() {
            200..300 => Ok(()),
            408 | 429 | 500.. => Err(SendError::Down(format!("answered {status}"))),
            _ => Err(SendError::Refused(format!("answered {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_other_tools() {
        // printf '1780000000.{"a":1}' | openssl dgst -sha256 -hmac sesame
        let found = signature(&SecretText::new("sesame"), 1_780_000_000, br#"{"a":1}"#);
        assert_eq!(found, "5eac07fd3840d268d54b50c02330206c18d54776a99730c4cad3f412015d9702");
    }
}
