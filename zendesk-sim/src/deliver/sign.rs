//! The signature of a delivery.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Base64 of HMAC-SHA256 over timestamp and body, keyed with the secret as the text it is.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("invariant: HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";

    #[test]
    fn agrees_with_known_signatures() {
        let body = "{\n\t\"type\": \"zen:event-type:user.group_membership_created\",\n\t\"account_id\": 12514403,\n\t\"id\": \"6b9bbadf-5725-4e92-bebe-7b71011bf5f1\",\n\t\"subject\": \"zen:user:6596848315901\",\n\t\"time\": \"2099-07-04T05:33:18Z\",\n\t\"zendesk_event_version\": \"2022-06-20\",\n\t\"detail\": {\n\t\t\"created_at\": \"2099-07-04T05:27:58Z\",\n\t\t\"default_group_id\": \"0\",\n\t\t\"email\": \"user.name@example.com\",\n\t\t\"external_id\": \"\",\n\t\t\"id\": \"6596848315901\",\n\t\t\"organization_id\": \"0\",\n\t\t\"role\": \"end-user\",\n\t\t\"updated_at\": \"2099-07-04T05:33:18Z\"\n\t},\n\t\"event\": { \"group\": { \"id\": \"1\" } }\n}\n";
        assert_eq!(sign(SECRET, "1234", body.as_bytes()), "10IqYzYTLHRftNsNE+im0DeOM6/JactIRuy0XCHJ9B8=");
        let at = "2023-09-18T23:38:13Z";
        let body = br#"{"type":"zen:event-type:user.created"}"#;
        assert_eq!(sign(SECRET, at, body), "bqmeT3G8H1tu7VqN8ARj33AdW0KDa9lA7ogRdipNuNU=");
        assert_eq!(sign(SECRET, at, b""), "muttWn9lEppRQvaq5+5YBVmYZiaQLuoqHGCE4rphSog=");
    }
}
