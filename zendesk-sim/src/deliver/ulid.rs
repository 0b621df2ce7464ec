//! Identifiers that sort by time (ULID) and random ones (UUID), made from given randomness.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A ULID: 48 bits of milliseconds, then 80 bits of `random`.
pub fn ulid(ms: i64, random: u128) -> String {
    let bits = (u128::from(ms.unsigned_abs()) << 80) | (random & ((1 << 80) - 1));
    (0..26).rev().map(|place| char::from(ALPHABET[(bits >> (place * 5) & 31) as usize])).collect()
}

/// A version 4 UUID from random bits.
pub fn uuid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(ulid(1_695_080_294_906, 7).len(), 26);
        assert!(ulid(1_695_080_294_906, 7).starts_with("01HANA"));
        let id = uuid(u128::MAX);
        assert_eq!((id.len(), &id[14..15], &id[19..20]), (36, "4", "b"));
    }
}
