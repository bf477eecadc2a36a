//! What do the server's keys make and open? Codes, digests, seals and the names under which numbers are found.
//!
//! One 32-byte master key; every use has a key of its own, derived with HMAC-SHA-256 from a label, so that no two uses
//! can be played against each other. A thief of the database without the master key learns no number, no code and no key.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tapcode_core::code::Code;
use tapcode_core::number::Number;
use tapcode_core::recipient::{RecipientKey, Scope};
use tapcode_core::verification::{CodeSource, Sealed, Verification};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// Bytes of a master key.
pub const MASTER_KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

type HmacSha256 = Hmac<Sha256>;

/// What a seal is for. A seal made for one use cannot be opened for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A recipient's number.
    Number,
    /// A caller's own code.
    Code,
    /// The text of a binding.
    Binding,
    /// A plain message's content.
    Payload,
    /// An answer kept for an idempotency key.
    Answer,
    /// A provider's message id.
    ProviderMessage,
    /// A recipient's identity on a channel.
    Identity,
    /// A secret that signs announcements.
    Webhook,
}

impl Use {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Number => b"number",
            Self::Code => b"code",
            Self::Binding => b"binding",
            Self::Payload => b"payload",
            Self::Answer => b"answer",
            Self::ProviderMessage => b"provider message",
            Self::Identity => b"identity",
            Self::Webhook => b"webhook",
        }
    }
}

/// What a digest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// An API key.
    ApiKey,
    /// A binding.
    Binding,
    /// A caller's own code, to compare two of them.
    OwnCode,
    /// A caller's idempotency key with its scope and route.
    IdempotencyKey,
    /// The body of a request that carries an idempotency key.
    RequestBody,
    /// A provider's message id with its sender.
    ProviderMessage,
}

/// The keys. Prints nothing.
#[derive(Clone)]
pub struct Keyring {
    /// First byte of every seal: which master key made it.
    id: u8,
    seal: XChaCha20Poly1305,
    numbers: HmacSha256,
    codes: HmacSha256,
    digests: HmacSha256,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(…)")
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC over parts, each behind its length, so that two different lists are never the same bytes.
fn mac(keyed: &HmacSha256, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(&u64::try_from(part.len()).expect("a part fits in memory").to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Keyring {
    /// From the master key.
    #[must_use]
    pub fn new(master: &[u8; MASTER_KEY_BYTES]) -> Self {
        let root = keyed(master);
        let derive = |label: &[u8]| Zeroizing::new(mac(&root, &[b"tapcode v1", label]));
        Self {
            id: derive(b"id")[0],
            seal: XChaCha20Poly1305::new_from_slice(&*derive(b"seal")).expect("the derived key has 32 bytes"),
            numbers: keyed(&*derive(b"numbers")),
            codes: keyed(&*derive(b"codes")),
            digests: keyed(&*derive(b"digests")),
        }
    }

    /// Under which name a number's document is found in a scope. Half of a SHA-256 MAC: 128 bits.
    #[must_use]
    pub fn recipient_key(&self, scope: &Scope, number: &Number) -> RecipientKey {
        let mode = scope.mode.as_str().as_bytes();
        let full = mac(
            &self.numbers,
            &[scope.service.as_str().as_bytes(), mode, number.expose().as_bytes()],
        );
        RecipientKey(full[..16].try_into().expect("half of 32 is 16"))
    }

    /// A keyed digest of parts.
    #[must_use]
    pub fn digest(&self, of: Digest, parts: &[&[u8]]) -> [u8; 32] {
        let label: &[u8] = match of {
            Digest::ApiKey => b"api key",
            Digest::Binding => b"binding",
            Digest::OwnCode => b"own code",
            Digest::IdempotencyKey => b"idempotency key",
            Digest::RequestBody => b"request body",
            Digest::ProviderMessage => b"provider message",
        };
        let mut all = Vec::with_capacity(parts.len() + 1);
        all.push(label);
        all.extend_from_slice(parts);
        mac(&self.digests, &all)
    }

    /// Encrypts. Layout: key id, 24 bytes of nonce, ciphertext with its tag.
    ///
    /// # Panics
    /// Never: encryption of a text that fits in memory does not fail.
    #[must_use]
    pub fn seal(&self, r#use: Use, text: &[u8], entropy: &dyn Entropy) -> Sealed {
        let mut nonce = [0u8; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let payload = Payload {
            msg: text,
            aad: r#use.label(),
        };
        let ciphertext = self
            .seal
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a text that fits in memory can be encrypted");
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
        sealed.push(self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Sealed(sealed.into())
    }

    /// Decrypts what [`Self::seal`] made for the same use; `None` for anything else.
    #[must_use]
    pub fn open(&self, r#use: Use, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = sealed.0.split_first()?;
        if *id != self.id {
            return None;
        }
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: r#use.label(),
        };
        self.seal.decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    /// Decrypts a text.
    #[must_use]
    pub fn open_text(&self, r#use: Use, sealed: &Sealed) -> Option<Zeroizing<String>> {
        let bytes = self.open(r#use, sealed)?;
        String::from_utf8(bytes.to_vec()).ok().map(Zeroizing::new)
    }

    /// How a provider's message id is known to the store: 32 hexadecimal digits.
    #[must_use]
    pub fn provider_handle(&self, sender: &str, provider_message_id: &str) -> String {
        let digest = self.digest(Digest::ProviderMessage, &[sender.as_bytes(), provider_message_id.as_bytes()]);
        digest[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
            let _always = write!(text, "{byte:02x}");
            text
        })
    }

    /// A provider's message id as a document keeps it: sealed, in base 64.
    #[must_use]
    pub fn seal_provider_message_id(&self, id: &str, entropy: &dyn Entropy) -> Box<str> {
        BASE64
            .encode(&self.seal(Use::ProviderMessage, id.as_bytes(), entropy).0)
            .into()
    }

    /// The provider's message id that a document keeps.
    #[must_use]
    pub fn open_provider_message_id(&self, kept: &str) -> Option<String> {
        let sealed = Sealed(BASE64.decode(kept).ok()?.into());
        self.open_text(Use::ProviderMessage, &sealed).map(|text| text.to_string())
    }

    /// Encrypts a number.
    #[must_use]
    pub fn seal_number(&self, number: &Number, entropy: &dyn Entropy) -> Sealed {
        self.seal(Use::Number, number.to_stored().as_bytes(), entropy)
    }

    /// Decrypts a number.
    #[must_use]
    pub fn open_number(&self, sealed: &Sealed) -> Option<Number> {
        Number::from_stored(&self.open_text(Use::Number, sealed)?)
    }

    /// The code of a verification: the same on every channel and every resend. `None` when its seal no longer opens,
    /// because the verification has ended or was sealed under another master key.
    #[must_use]
    pub fn code(&self, verification: &Verification) -> Option<Code> {
        match &verification.code {
            CodeSource::Derived { length } => {
                let binding = verification.binding.as_ref().map_or(&[][..], |b| &b.digest[..]);
                let purpose = verification.purpose.as_str().as_bytes();
                Some(Code::derived(*length, |n| {
                    mac(&self.codes, &[verification.id.as_bytes(), purpose, binding, &n.to_be_bytes()])
                }))
            }
            CodeSource::Own { sealed, .. } => Code::own(&self.open_text(Use::Code, sealed)?).ok(),
        }
    }
}

/// Whether two digests are the same, in constant time.
#[must_use]
pub fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use tapcode_core::recipient::{Mode, ServiceName};

    use super::*;
    use crate::entropy::OsEntropy;

    fn scope(service: &str, mode: Mode) -> Scope {
        Scope {
            service: ServiceName::parse(service).unwrap(),
            mode,
        }
    }

    #[test]
    fn a_seal_opens_for_its_use_and_key_only() {
        let keyring = Keyring::new(&[1; 32]);
        let sealed = keyring.seal_number(&Number::parse("+31611398058").unwrap(), &OsEntropy::new());
        assert_eq!(keyring.open_number(&sealed).unwrap().expose(), "+31611398058");
        assert!(keyring.open(Use::Code, &sealed).is_none());
        assert!(Keyring::new(&[2; 32]).open(Use::Number, &sealed).is_none());
        for at in 0..sealed.0.len() {
            let mut tampered = sealed.clone();
            tampered.0[at] ^= 1;
            assert!(keyring.open(Use::Number, &tampered).is_none(), "byte {at}");
        }
        assert!(!String::from_utf8_lossy(&sealed.0).contains("398058"));
    }

    #[test]
    fn a_number_has_another_name_in_every_scope() {
        let keyring = Keyring::new(&[1; 32]);
        let number = Number::parse("+31611398058").unwrap();
        let names = [("acme", Mode::Live), ("acme", Mode::Test), ("acm", Mode::Live)]
            .map(|(service, mode)| keyring.recipient_key(&scope(service, mode), &number));
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
        assert_eq!(names[0], keyring.recipient_key(&scope("acme", Mode::Live), &number));
    }

    #[test]
    fn parts_cannot_be_moved_between_each_other() {
        let keyring = Keyring::new(&[1; 32]);
        assert_ne!(
            keyring.digest(Digest::ApiKey, &[b"ab", b"c"]),
            keyring.digest(Digest::ApiKey, &[b"a", b"bc"])
        );
        assert_ne!(
            keyring.digest(Digest::ApiKey, &[b"ab"]),
            keyring.digest(Digest::Binding, &[b"ab"])
        );
    }
}
