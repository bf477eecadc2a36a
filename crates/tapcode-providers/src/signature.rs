//! Who signed this? Keyed hashes over what came, compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha1::Sha1;
use sha2::Sha256;

use crate::secret::Secret;

/// The value of a header that must be there exactly once: of two signatures nobody can say which one was meant.
pub(crate) fn the_one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether `signature` is the HMAC-SHA-256 of `bytes`. An empty key signs nothing.
pub(crate) fn is_hmac_sha256(key: &Secret, bytes: &[u8], signature: &[u8]) -> bool {
    is_hmac::<Hmac<Sha256>>(key, bytes, signature)
}

/// Whether `signature` is the HMAC-SHA-1 of `bytes`. An empty key signs nothing.
pub(crate) fn is_hmac_sha1(key: &Secret, bytes: &[u8], signature: &[u8]) -> bool {
    is_hmac::<Hmac<Sha1>>(key, bytes, signature)
}

/// Whether `signature` is this keyed hash of `bytes`. An empty key signs nothing.
pub(crate) fn is_hmac<M: Mac + KeyInit>(key: &Secret, bytes: &[u8], signature: &[u8]) -> bool {
    let keyed = <M as KeyInit>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    !key.is_empty() && keyed.chain_update(bytes).verify_slice(signature).is_ok()
}

/// The HMAC-SHA-256 of `bytes` in lower-case hexadecimal digits.
pub(crate) fn hmac_sha256_hex(key: &Secret, bytes: &[u8]) -> String {
    let hash = keyed_sha256(key).chain_update(bytes).finalize().into_bytes();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes behind 64 lower-case hexadecimal digits; one spelling, so that one signature is one text.
pub(crate) fn sha256_from_hex(text: &[u8]) -> Option<[u8; 32]> {
    from_hex(text)?.try_into().ok()
}

/// The bytes behind lower-case hexadecimal digits.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let is_whole = text.len().is_multiple_of(2);
    is_whole.then(|| text.chunks_exact(2).map(byte).collect())?
}

fn keyed_sha256(key: &Secret) -> Hmac<Sha256> {
    <Hmac<Sha256>>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2, and RFC 2202, test case 2 (both read 2026-11-22).
    #[test]
    fn the_hashes_are_the_standards() {
        let key = Secret::from("Jefe");
        let text = b"what do ya want for nothing?";
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac_sha256_hex(&key, text), hex);
        assert!(is_hmac_sha256(&key, text, &sha256_from_hex(hex.as_bytes()).unwrap()));
        let sha1 = [
            0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a, 0x7c,
            0x79,
        ];
        assert!(is_hmac_sha1(&key, text, &sha1));
        assert!(!is_hmac_sha1(&key, text, &sha1[..19]) && !is_hmac_sha256(&key, text, &[]));
    }

    #[test]
    fn an_empty_key_signs_nothing() {
        let empty = Secret::from("");
        let hex = hmac_sha256_hex(&empty, b"body");
        assert!(!is_hmac_sha256(&empty, b"body", &sha256_from_hex(hex.as_bytes()).unwrap()));
        assert!(sha256_from_hex(hex.to_uppercase().as_bytes()).is_none());
    }
}
