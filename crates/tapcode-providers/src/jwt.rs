//! What does a JSON Web Token claim that was signed with a key which both sides know?

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use hmac::Hmac;
use serde_json::Value;
use sha2::{Sha256, Sha384, Sha512};

use crate::secret::Secret;
use crate::signature::is_hmac;

/// The claims of a token (RFC 7519) in its compact form (RFC 7515), if it was signed with `key` by one of the three keyed hashes
/// of RFC 7518 (all read 2026-11-27). Whether they hold, its time among them, is for the caller to judge.
pub(crate) fn claims(key: &Secret, token: &[u8]) -> Option<Value> {
    let token = std::str::from_utf8(token).ok()?;
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let read = |part: &str| serde_json::from_slice::<Value>(&BASE64_URL.decode(part).ok()?).ok();
    let signature = BASE64_URL.decode(signature).ok()?;
    // The key fits these alone, so that a caller who chooses among them gains nothing; `none` is not one of them.
    let is_signed = match read(header)?["alg"].as_str()? {
        "HS256" => is_hmac::<Hmac<Sha256>>,
        "HS384" => is_hmac::<Hmac<Sha384>>,
        "HS512" => is_hmac::<Hmac<Sha512>>,
        _ => return None,
    };
    if is_signed(key, signed.as_bytes(), &signature) {
        read(claims)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use hmac::{KeyInit, Mac};

    use super::*;

    const CLAIMS: &str = r#"{"iss":"somebody"}"#;

    fn token<M: Mac + KeyInit>(header: &str, key: &str) -> String {
        let signed = format!("{}.{}", BASE64_URL.encode(header), BASE64_URL.encode(CLAIMS));
        let mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap().chain_update(&signed);
        format!("{signed}.{}", BASE64_URL.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_token_is_believed_with_the_right_hash_of_the_right_key() {
        let key = Secret::from("a key");
        let of = |token: &str| claims(&key, token.as_bytes());
        let believed = Some(serde_json::json!({"iss": "somebody"}));
        assert_eq!(of(&token::<Hmac<Sha256>>(r#"{"alg":"HS256"}"#, "a key")), believed);
        assert_eq!(
            of(&token::<Hmac<Sha384>>(r#"{"alg":"HS384","typ":"JWT"}"#, "a key")),
            believed
        );
        assert_eq!(of(&token::<Hmac<Sha512>>(r#"{"alg":"HS512"}"#, "a key")), believed);
        for (header, key) in [
            (r#"{"alg":"HS256"}"#, "another key"),
            (r#"{"alg":"HS512"}"#, "a key"),
            (r#"{"alg":"none"}"#, "a key"),
            (r#"{"alg":"hs256"}"#, "a key"),
            ("{}", "a key"),
            ("", "a key"),
        ] {
            assert_eq!(of(&token::<Hmac<Sha256>>(header, key)), None, "{header} {key}");
        }
        let empty = token::<Hmac<Sha256>>(r#"{"alg":"HS256"}"#, "");
        assert_eq!(claims(&Secret::from(""), empty.as_bytes()), None);
    }

    #[test]
    fn a_token_without_a_signature_or_with_more_around_it_is_none() {
        let key = Secret::from("a key");
        let whole = token::<Hmac<Sha256>>(r#"{"alg":"HS256"}"#, "a key");
        let unsigned = whole.rsplit_once('.').unwrap().0;
        for token in [
            "",
            ".",
            "..",
            unsigned,
            &format!("{unsigned}."),
            &format!("{whole}="),
            &format!("{whole}."),
            &format!(" {whole}"),
            &format!("x.{whole}"),
        ] {
            assert_eq!(claims(&key, token.as_bytes()), None, "{token}");
        }
        assert_eq!(claims(&key, &[0xff, b'.', b'.']), None);
    }
}
