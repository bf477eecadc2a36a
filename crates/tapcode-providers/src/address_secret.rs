//! Who called this address? A secret of ours in its query, for vendors that sign nothing or not always.
//!
//! What is proven is that the caller was given the address, not what the call says: a vendor that signs is asked for that as
//! well. The address is a credential, so that nothing here ends up in a log by itself.

use std::borrow::Cow;

use subtle::ConstantTimeEq;
use tapcode_engine::contract::provider::Reference;

use crate::config_error::{ConfigError, ensure};
use crate::secret::Secret;

/// The parameter that carries our reference.
const REFERENCE_PARAMETER: &str = "ref";
/// The parameter that carries the secret.
const SECRET_PARAMETER: &str = "key";
/// Bounds of such a secret, in characters: nobody guesses 16, and a longer one makes addresses that vendors may cut.
const CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// `Ok` for a secret that any vendor gives back as it is: no character of it is ever written in another way.
pub(crate) fn ensure_usable(key: &'static str, secret: &Secret) -> Result<(), ConfigError> {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let fits = CHARS.contains(&secret.expose().len()) && secret.expose().bytes().all(is_plain);
    ensure(fits, key, "16 to 128 letters, digits, hyphens or underscores")
}

/// The address that a vendor is told to call: with our reference where one is given, and with the secret where there is one.
pub(crate) fn callback(url: &str, reference: Option<Reference>, secret: Option<&Secret>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(reference) = reference {
        query.append_pair(REFERENCE_PARAMETER, &reference.to_string());
    }
    if let Some(secret) = secret {
        query.append_pair(SECRET_PARAMETER, secret.expose());
    }
    let query = query.finish();
    if query.is_empty() {
        url.to_owned()
    } else {
        format!("{url}?{query}")
    }
}

/// Whether the secret is in the address, once. Compared in constant time; an empty secret proves nothing.
pub(crate) fn is_proven(url: &str, secret: &Secret) -> bool {
    let told = the_one(url, SECRET_PARAMETER);
    told.is_some_and(|told| !secret.is_empty() && bool::from(secret.expose().as_bytes().ct_eq(told.as_bytes())))
}

/// The reference in an address that was called.
pub(crate) fn reference(url: &str) -> Option<Reference> {
    Reference::parse(&the_one(url, REFERENCE_PARAMETER)?)
}

/// The value of a parameter that is there exactly once: of two nobody can say which one was meant.
pub(crate) fn the_one<'a>(url: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, query) = url.split_once('?')?;
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    const HOOK: &str = "https://otp.example.com/hooks/sms/42";

    #[test]
    fn what_was_told_comes_back() {
        let secret = Secret::from("0123456789abcdef");
        let url = callback(HOOK, Some(suite::reference()), Some(&secret));
        assert!(is_proven(&url, &secret));
        assert_eq!(reference(&url), Some(suite::reference()));
        assert_eq!(callback(HOOK, None, None), HOOK);
        assert_eq!(reference(HOOK), None);
    }

    #[test]
    fn no_other_secret_and_no_second_one_proves_anything() {
        let secret = Secret::from("0123456789abcdef");
        for query in [
            "",
            "?",
            "?key=",
            "?key=0123456789abcde",
            "?key=0123456789abcdeg",
            "?key=0123456789abcdef0",
            "?KEY=0123456789abcdef",
            "?key=0123456789abcdef&key=0123456789abcdef",
            "?key=x&key=0123456789abcdef",
        ] {
            assert!(!is_proven(&format!("{HOOK}{query}"), &secret), "{query}");
        }
        assert!(!is_proven(&format!("{HOOK}?key="), &Secret::from("")));
    }

    #[test]
    fn a_secret_is_long_and_plain() {
        let usable = |text: &str| ensure_usable("address_secret", &Secret::from(text)).is_ok();
        assert!(usable("0123456789abc-_Z") && usable(&"x".repeat(128)));
        for text in [
            "",
            "0123456789abcde",
            "0123456789abcdef+",
            "0123456789 abcdef",
            "0123456789abcdéf",
        ] {
            assert!(!usable(text), "{text}");
        }
        assert!(!usable(&"x".repeat(129)));
    }
}
