//! Sealing: secrets stored in Postgres are encrypted with a key that is not, and bound to the row they belong to.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use crate::config::SecretText;

/// The form of what is sealed: version, key id, nonce, ciphertext with its tag.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why something cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A key's text is not 32 bytes.
    #[error(
        "{0} is not 32 bytes in base64 or hex; make one with: openssl rand -base64 32 (never change it without \
         keeping the old one in DESKBRIDGE__PREVIOUS_SECRET_KEYS)"
    )]
    Key(String),
    /// The bytes were not written by [`Sealer::seal`].
    #[error("the sealed value of {0} is damaged: its header is missing or unknown; enter the secret again")]
    Form(String),
    /// The key that sealed it is not among ours.
    #[error(
        "the sealed value of {bound_to} needs the key with id {key_id}, which is neither DESKBRIDGE__SECRET_KEY nor \
         among DESKBRIDGE__PREVIOUS_SECRET_KEYS; add that key to the latter, or enter the secret again"
    )]
    UnknownKey {
        /// Where the value stands: `table|row|column`.
        bound_to: String,
        /// The first bytes of the key's hash, in hex.
        key_id: String,
    },
    /// The key is right, the bytes are not: changed, or from another row.
    #[error("the sealed value of {0} was changed or belongs to another row; enter the secret again")]
    WrongRow(String),
}

/// Seals with the current key, opens with it and the ones before. Cheap to share behind an `Arc`.
#[derive(Clone)]
pub struct Sealer {
    /// The current key first.
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
    subject: Hmac<Sha256>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.keys.iter().map(|key| hex::encode(key.id)).collect();
        f.debug_struct("Sealer").field("key_ids", &ids).finish()
    }
}

impl Sealer {
    /// Takes the key that seals and those that did before: 32 bytes each, in base64 or hex.
    ///
    /// # Errors
    /// When a key's text is not that.
    pub fn new(current: &SecretText, previous: &[SecretText]) -> Result<Self, SealError> {
        let mut keys = vec![Key::read(current, "DESKBRIDGE__SECRET_KEY")?];
        for (index, text) in previous.iter().enumerate() {
            let name = format!("key {} of DESKBRIDGE__PREVIOUS_SECRET_KEYS", index + 1);
            keys.push(Key::read(text, &name)?);
        }
        Ok(Self { keys })
    }

    /// Encrypts `plaintext` so that it opens only with `bound_to`, the place where it is stored: `table|row|column`.
    #[must_use]
    pub fn seal(&self, plaintext: &[u8], bound_to: &str) -> Vec<u8> {
        let key = self.current();
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plaintext, aad: bound_to.as_bytes() };
        let ciphertext = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("memory holds less than the 256 GB that the cipher takes");
        [&[VERSION], &key.id[..], &nonce, &ciphertext].concat()
    }

    /// The plaintext of what [`seal`](Self::seal) made for the same place; [`open_text`](Self::open_text) for text.
    ///
    /// # Errors
    /// When the bytes are damaged, were sealed with a key we do not have, or for another place.
    pub fn open(&self, sealed: &[u8], bound_to: &str) -> Result<Vec<u8>, SealError> {
        let (id, nonce, ciphertext) = parts(sealed).ok_or_else(|| SealError::Form(bound_to.to_owned()))?;
        let key = self.keys.iter().find(|key| key.id == id);
        let key =
            key.ok_or_else(|| SealError::UnknownKey { bound_to: bound_to.to_owned(), key_id: hex::encode(id) })?;
        let payload = Payload { msg: ciphertext, aad: bound_to.as_bytes() };
        key.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::WrongRow(bound_to.to_owned()))
    }

    /// [`open`](Self::open) for secrets that are text; wiped when dropped.
    ///
    /// # Errors
    /// As `open`, and when the plaintext is not UTF-8.
    pub fn open_text(&self, sealed: &[u8], bound_to: &str) -> Result<SecretText, SealError> {
        let plaintext = Zeroizing::new(self.open(sealed, bound_to)?);
        let text = std::str::from_utf8(&plaintext).map_err(|_| SealError::Form(bound_to.to_owned()))?;
        Ok(SecretText::new(text))
    }

    /// Whether another key than the current one sealed this: open it and seal it again.
    #[must_use]
    pub fn needs_rotation(&self, sealed: &[u8]) -> bool {
        parts(sealed).is_none_or(|(id, ..)| id != self.current().id)
    }

    /// A keyed fingerprint of something personal, to recognise it without keeping it; made with the current key.
    #[must_use]
    pub fn subject_hmac(&self, text: &str) -> [u8; 32] {
        self.current().subject_hmac(text)
    }

    /// The fingerprints under every key, the current one's first: a fingerprint stored before a rotation is among them.
    #[must_use]
    pub fn subject_hmacs(&self, text: &str) -> Vec<[u8; 32]> {
        self.keys.iter().map(|key| key.subject_hmac(text)).collect()
    }

    fn current(&self) -> &Key {
        self.keys.first().expect("a sealer is made with a key")
    }
}

impl Key {
    fn read(text: &SecretText, name: &str) -> Result<Self, SealError> {
        let bytes = decode(text.expose().trim()).ok_or_else(|| SealError::Key(name.to_owned()))?;
        let hash = Sha256::digest(&bytes[..]);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&hash[..KEY_ID_BYTES]);
        let derived = hmac(&bytes[..]).chain_update("deskbridge subject v1").finalize();
        let derived = Zeroizing::new(<[u8; 32]>::from(derived.into_bytes()));
        Ok(Self { id, cipher: XChaCha20Poly1305::new((&*bytes).into()), subject: hmac(&derived[..]) })
    }

    fn subject_hmac(&self, text: &str) -> [u8; 32] {
        let mac = self.subject.clone().chain_update(text);
        mac.finalize().into_bytes().into()
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn decode(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(match text.len() {
        64 => hex::decode(text).ok()?,
        _ => BASE64.decode(text).ok()?,
    });
    Some(Zeroizing::new(bytes[..].try_into().ok()?))
}

/// Key id, nonce and ciphertext.
fn parts(sealed: &[u8]) -> Option<([u8; KEY_ID_BYTES], [u8; NONCE_BYTES], &[u8])> {
    let (header, ciphertext) = sealed.split_at_checked(HEADER_BYTES)?;
    let (&version, header) = header.split_first()?;
    let (id, nonce) = header.split_at_checked(KEY_ID_BYTES)?;
    let known = version == VERSION;
    known.then_some((id.try_into().ok()?, nonce.try_into().ok()?, ciphertext))
}

/// Whether two secrets are the same, in a time that tells nothing about where they differ.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    // Compared by a digest under a key of this moment: how its bytes differ is chance.
    let key: [u8; 32] = rand::random();
    let digest = hmac(&key).chain_update(a).finalize().into_bytes();
    hmac(&key).chain_update(b).verify_slice(&digest).is_ok()
}

/// A word that nobody guesses: 256 bits, in letters, digits, `-` and `_`.
#[must_use]
pub fn random_word() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Reads a file that holds a secret.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read_file(path: &std::path::Path) -> std::io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "source|7|token";

    fn key(byte: u8) -> SecretText {
        SecretText::new(hex::encode([byte; 32]))
    }

    fn sealer(current: u8, previous: &[u8]) -> Sealer {
        let previous: Vec<SecretText> = previous.iter().map(|byte| key(*byte)).collect();
        Sealer::new(&key(current), &previous).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_own_place_only() {
        let sealer = sealer(1, &[]);
        let sealed = sealer.seal(b"hunter2", PLACE);
        assert_eq!(sealed.len(), HEADER_BYTES + 7 + 16);
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(sealer.open(&sealed, PLACE).unwrap()[..], *b"hunter2");
        assert_eq!(sealer.open_text(&sealed, PLACE).unwrap().expose(), "hunter2");
        assert_ne!(sealer.seal(b"hunter2", PLACE), sealed);
        let elsewhere = "source|8|token";
        assert_eq!(sealer.open(&sealed, elsewhere), Err(SealError::WrongRow(elsewhere.into())));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = sealer(1, &[]);
        let sealed = sealer.seal(b"x", PLACE);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open(&changed, PLACE).is_err(), "byte {index}");
            assert!(sealer.open(&sealed[..index], PLACE).is_err(), "length {index}");
        }
    }

    #[test]
    fn keys_rotate() {
        let sealed = sealer(1, &[]).seal(b"x", PLACE);
        let rotated = sealer(2, &[1]);
        assert!(rotated.needs_rotation(&sealed));
        let plaintext = rotated.open(&sealed, PLACE).unwrap();
        let again = rotated.seal(&plaintext, PLACE);
        assert!(!rotated.needs_rotation(&again));
        let error = sealer(2, &[]).open(&sealed, PLACE).unwrap_err();
        assert!(matches!(error, SealError::UnknownKey { .. }));
        assert!(error.to_string().contains("DESKBRIDGE__PREVIOUS_SECRET_KEYS"));
    }

    #[test]
    fn fingerprints_survive_rotation() {
        let before = sealer(1, &[]).subject_hmac("a@example.com");
        let rotated = sealer(2, &[1]);
        assert_eq!(rotated.subject_hmacs("a@example.com")[1], before);
        assert_eq!(rotated.subject_hmacs("a@example.com")[0], rotated.subject_hmac("a@example.com"));
        assert_ne!(rotated.subject_hmac("b@example.com"), rotated.subject_hmac("a@example.com"));
    }

    #[test]
    fn keys_are_32_bytes_in_base64_or_hex() {
        let base64 = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        let sealed = sealer(1, &[]).seal(b"x", PLACE);
        for text in [base64, base64.trim_end_matches('='), &format!(" {base64}\n")] {
            let same = Sealer::new(&SecretText::new(text), &[]).unwrap();
            assert!(!same.needs_rotation(&sealed));
        }
        for text in ["", "short", &"z".repeat(64), &hex::encode([1; 31])] {
            let error = Sealer::new(&SecretText::new(text), &[]).unwrap_err();
            assert!(error.to_string().contains("openssl rand -base64 32"), "{error}");
        }
        let error = Sealer::new(&key(1), &[SecretText::new("x")]).unwrap_err();
        assert!(error.to_string().starts_with("key 1 of DESKBRIDGE__PREVIOUS_SECRET_KEYS"));
    }

    #[test]
    fn secrets_are_compared_whole_and_made_by_chance() {
        assert!(same("hunter2", "hunter2") && same("", ""));
        assert!(!same("hunter2", "hunter3") && !same("hunter2", "hunter") && !same("", "h"));
        let (one, other) = (random_word(), random_word());
        assert_eq!((one.len(), one == other), (43, false), "long enough for a PKCE verifier too");
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(format!("{:?} {}", key(1), key(1)), "*** ***");
        assert!(!format!("{:?}", sealer(1, &[])).contains("0101"));
    }
}
