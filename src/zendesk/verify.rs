//! Webhook verification over the raw bytes (Z§8.4). The only maker of [`Verified`]: without it nothing can be stored.

use super::decode::envelope;
use crate::config::SecretText;
use crate::model::raw_event::Verified;
use base64::Engine;
use chrono::{DateTime, Duration, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The headers of a delivery that matter. A header that came twice is given as None: nobody sends it so in good faith.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureHeaders<'a> {
    /// `X-Zendesk-Webhook-Signature`.
    pub signature: Option<&'a str>,
    /// `X-Zendesk-Webhook-Signature-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `X-Zendesk-Webhook-Invocation-Id`; not covered by the signature.
    pub invocation_id: Option<&'a str>,
}

/// For whom a webhook is, and how it is checked.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The workspace.
    pub workspace_id: i64,
    /// The source.
    pub source_id: i64,
    /// Name of the source.
    pub name: String,
    /// The signing secret and, during a rotation, the former one.
    pub secrets: Vec<SecretText>,
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A header is missing, came twice, or holds no time.
    #[error("signature or timestamp header missing, doubled or unreadable")]
    NoSignature,
    /// The signature is not made with our secret over these bytes.
    #[error("signature does not match")]
    WrongSignature,
}

/// Checks a webhook's signature in constant time against each valid secret, and marks it late when the signature's own
/// timestamp is outside the window. The body is parsed only after that, and only for its id and type.
pub fn verify(
    recipient: &Recipient,
    headers: SignatureHeaders<'_>,
    body: &[u8],
    now: DateTime<Utc>,
    freshness: Duration,
) -> Result<Verified, Rejected> {
    let (Some(signature), Some(timestamp)) = (headers.signature, headers.timestamp) else {
        return Err(Rejected::NoSignature);
    };
    // The two are signed as one text: a timestamp that is none may have begun or gone on in the body.
    let signed_at = DateTime::parse_from_rfc3339(timestamp).map_err(|_| Rejected::NoSignature)?;
    let given = base64::engine::general_purpose::STANDARD.decode(signature).map_err(|_| Rejected::WrongSignature)?;
    let mut matches = false;
    for secret in &recipient.secrets {
        let mut mac = mac(secret.expose());
        mac.update(timestamp.as_bytes());
        mac.update(body);
        matches |= mac.verify_slice(&given).is_ok();
    }
    if !matches {
        return Err(Rejected::WrongSignature);
    }
    let late = (now - signed_at.to_utc()).abs() > freshness;
    let envelope = envelope(body);
    let digest = || format!("sha256:{}", hex::encode(Sha256::digest(body)));
    Ok(Verified {
        workspace_id: recipient.workspace_id,
        source_id: recipient.source_id,
        event_id: envelope.as_ref().and_then(|envelope| sane_id(envelope.id.as_deref()?)).unwrap_or_else(digest),
        event_type: envelope
            .and_then(|envelope| envelope.event_type)
            .map(|kind| kind.chars().filter(|c| !c.is_control()).take(200).collect()),
        invocation_id: headers.invocation_id.map(|id| id.chars().filter(|c| !c.is_control()).take(100).collect()),
        received_at: now,
        late,
        body: body.to_vec(),
    })
}

/// An id that may stand as a key: UUID or ULID in practice, never long, never with control characters.
fn sane_id(id: &str) -> Option<String> {
    let sane = !id.is_empty() && id.len() <= 200 && !id.chars().any(char::is_control);
    sane.then(|| id.to_string())
}

/// The secret is used as the text it is, not decoded.
fn mac(secret: &str) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length")
}

/// The signature of a body, for those who send webhooks: tests and the bench.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = mac(secret);
    mac.update(timestamp.as_bytes());
    mac.update(body);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
    const AT: &str = "2023-09-18T23:38:13Z";

    fn check(secrets: &[&str], signature: Option<&str>, body: &[u8], expected: Result<bool, Rejected>) {
        let recipient = Recipient {
            workspace_id: 1,
            source_id: 2,
            name: "acme".into(),
            secrets: secrets.iter().map(|secret| SecretText::new(*secret)).collect(),
        };
        let headers = SignatureHeaders { signature, timestamp: Some(AT), invocation_id: None };
        let now = DateTime::parse_from_rfc3339("2023-09-18T23:40:00Z").expect("a time").with_timezone(&Utc);
        let verified = verify(&recipient, headers, body, now, Duration::minutes(15));
        assert_eq!(verified.map(|verified| verified.late), expected, "{signature:?}");
    }

    /// The vectors of Z§8.4, computed by Zendesk's own published secret for tests.
    #[test]
    fn known_signatures() {
        let body = br#"{"type":"zen:event-type:user.created"}"#;
        check(&[SECRET], Some("bqmeT3G8H1tu7VqN8ARj33AdW0KDa9lA7ogRdipNuNU="), body, Ok(false));
        check(&[SECRET], Some("muttWn9lEppRQvaq5+5YBVmYZiaQLuoqHGCE4rphSog="), b"", Ok(false));
    }

    #[test]
    fn only_the_right_secret_over_the_right_bytes() {
        let good = sign(SECRET, AT, b"{}");
        check(&["other", SECRET], Some(&good), b"{}", Ok(false));
        check(&["other"], Some(&good), b"{}", Err(Rejected::WrongSignature));
        check(&[], Some(&good), b"{}", Err(Rejected::WrongSignature));
        check(&[SECRET], Some(&good), b"{} ", Err(Rejected::WrongSignature));
        check(&[SECRET], Some(&good[..20]), b"{}", Err(Rejected::WrongSignature));
        check(&[SECRET], Some("not base64"), b"{}", Err(Rejected::WrongSignature));
        check(&[SECRET], Some(""), b"{}", Err(Rejected::WrongSignature));
        check(&[SECRET], None, b"{}", Err(Rejected::NoSignature));
    }

    #[test]
    fn bytes_do_not_move_between_timestamp_and_body() {
        let signature = sign(SECRET, AT, b"{}");
        let recipient =
            Recipient { workspace_id: 1, source_id: 2, name: String::new(), secrets: vec![SecretText::new(SECRET)] };
        for cut in 0..AT.len() {
            let (timestamp, rest) = AT.split_at(cut);
            let headers =
                SignatureHeaders { signature: Some(&signature), timestamp: Some(timestamp), invocation_id: None };
            let body = format!("{rest}{{}}");
            let found = verify(&recipient, headers, body.as_bytes(), DateTime::UNIX_EPOCH, Duration::minutes(15));
            assert_eq!(found.map(|found| found.event_id), Err(Rejected::NoSignature), "{timestamp}");
        }
    }

    #[test]
    fn a_body_without_an_id_is_known_by_its_digest() {
        let recipient =
            Recipient { workspace_id: 1, source_id: 2, name: String::new(), secrets: vec![SecretText::new("s")] };
        let event_id = |body: &[u8]| {
            let signature = sign("s", AT, body);
            let headers = SignatureHeaders { signature: Some(&signature), timestamp: Some(AT), invocation_id: None };
            verify(&recipient, headers, body, DateTime::UNIX_EPOCH, Duration::minutes(15)).expect("signed").event_id
        };
        assert_eq!(event_id(br#"{"id":"abc","type":"t"}"#), "abc");
        assert!(event_id(b"no json").starts_with("sha256:"));
        assert!(event_id(br#"{"id":"","type":"t"}"#).starts_with("sha256:"));
        assert!(event_id(br#"{"id":7,"type":"t"}"#).starts_with("sha256:"));
    }
}
