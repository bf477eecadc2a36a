//! How is a thing named from outside? Typed, prefixed, unguessable ids whose order is the order of creation.
//!
//! An id is 48 bits of milliseconds and 128 random bits, so that it sorts by time (which keeps B-trees
//! appending) and still carries the 128 bits of a CSPRNG that OWASP ASVS 5.0.0, 11.5.1 asks for
//! (<https://github.com/OWASP/ASVS/tree/master/5.0/en>, read 2026-11-22). It is written as its kind's
//! prefix and 36 characters of Crockford's base 32 in upper case.

use std::fmt;

use crate::time::Timestamp;

/// Bytes of an id: 6 of time, 16 of randomness.
pub const ID_BYTES: usize = 22;
const ID_CHARS: usize = 36;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Sixteen random bytes for one step; ids made in the same step count up from them.
#[derive(Clone, Copy)]
pub struct Fresh(pub [u8; 16]);

impl Fresh {
    /// The `n`-th value of this step: distinct for every `n` below 2^32.
    #[must_use]
    pub fn nth(self, n: u32) -> [u8; 16] {
        (u128::from_be_bytes(self.0)).wrapping_add(u128::from(n)).to_be_bytes()
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh(…)")
    }
}

/// Why a text is not an id of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// Another kind's prefix, or none.
    WrongKind {
        /// The prefix that belongs here, for example `vrf_`.
        expected: &'static str,
    },
    /// The right prefix, and something behind it that no id of ours looks like.
    Malformed {
        /// The prefix of the kind that was asked for.
        expected: &'static str,
    },
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKind { expected } => write!(f, "an id that starts with {expected} belongs here"),
            Self::Malformed { expected } => {
                write!(
                    f,
                    "an id is {expected} and {ID_CHARS} characters of 0-9 and A-Z without I, L, O, U"
                )
            }
        }
    }
}

fn write_base32(bytes: &[u8; ID_BYTES], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // 176 bits are 35 full characters and one bit: the last character carries one bit and four zeros.
    let mut text = [0u8; ID_CHARS];
    let mut buffer: u32 = 0;
    let mut bits: u32 = 0;
    let mut at = 0;
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text[at] = ALPHABET[((buffer >> bits) & 31) as usize];
            at += 1;
        }
        buffer &= (1 << bits) - 1;
    }
    text[at] = ALPHABET[((buffer << (5 - bits)) & 31) as usize];
    f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
}

fn read_base32(text: &str) -> Option<[u8; ID_BYTES]> {
    if text.len() != ID_CHARS {
        return None;
    }
    let mut bytes = [0u8; ID_BYTES];
    let mut buffer: u32 = 0;
    let mut bits: u32 = 0;
    let mut at = 0;
    for c in text.bytes() {
        let value = ALPHABET.iter().position(|a| *a == c)?;
        buffer = (buffer << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes[at] = u8::try_from((buffer >> bits) & 255).ok()?;
            at += 1;
            buffer &= (1 << bits) - 1;
        }
    }
    // The four bits that are left must be the zeros we wrote: one text per id.
    (at == ID_BYTES && buffer == 0).then_some(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_BYTES]);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, made at `at` from sixteen random bytes.
            #[must_use]
            pub fn new(at: Timestamp, random: [u8; 16]) -> Self {
                let mut bytes = [0u8; ID_BYTES];
                bytes[..6].copy_from_slice(&at.as_millis().max(0).to_be_bytes()[2..]);
                bytes[6..].copy_from_slice(&random);
                Self(bytes)
            }

            /// Reads an id as it is written in JSON and URLs.
            ///
            /// # Errors
            /// [`IdError`] says which prefix belongs here.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let rest = text
                    .strip_prefix(Self::PREFIX)
                    .ok_or(IdError::WrongKind { expected: Self::PREFIX })?;
                read_base32(rest).map(Self).ok_or(IdError::Malformed { expected: Self::PREFIX })
            }

            /// The bytes, for keys and records.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
                &self.0
            }

            /// From bytes that [`Self::as_bytes`] gave.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
                Self(bytes)
            }

            /// When it was made, to the millisecond.
            #[must_use]
            pub fn made_at(&self) -> Timestamp {
                let mut millis = [0u8; 8];
                millis[2..].copy_from_slice(&self.0[..6]);
                Timestamp::from_millis(i64::from_be_bytes(millis))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                write_base32(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// One verification.
    VerificationId, "vrf_");
id!(
    /// One message: an attempt of a verification, or a plain message.
    MessageId, "msg_");
id!(
    /// One announcement in the log.
    EventId, "evt_");
id!(
    /// One API key (its name, not its secret).
    KeyId, "key_");
id!(
    /// One webhook endpoint.
    EndpointId, "whe_");
id!(
    /// One act of an administrator.
    ActId, "act_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_time() {
        let early = VerificationId::new(Timestamp::from_millis(1_790_000_000_000), [255; 16]);
        let late = VerificationId::new(Timestamp::from_millis(1_790_000_000_001), [0; 16]);
        assert_eq!(VerificationId::parse(&early.to_string()), Ok(early));
        assert_eq!(VerificationId::parse(&late.to_string()), Ok(late));
        assert!(early.to_string() < late.to_string());
        assert_eq!(late.made_at(), Timestamp::from_millis(1_790_000_000_001));
        assert!(early.to_string().starts_with("vrf_0"), "{early}");
    }

    #[test]
    fn another_kind_or_another_spelling_is_refused() {
        let id = MessageId::new(Timestamp::from_millis(1), [7; 16]).to_string();
        assert_eq!(VerificationId::parse(&id), Err(IdError::WrongKind { expected: "vrf_" }));
        assert_eq!(
            MessageId::parse(&id.to_lowercase()),
            Err(IdError::Malformed { expected: "msg_" })
        );
        let mut last_bits = id.clone();
        last_bits.pop();
        last_bits.push('1');
        assert_eq!(MessageId::parse(&last_bits), Err(IdError::Malformed { expected: "msg_" }));
        assert!(MessageId::parse("msg_").is_err());
        assert!(MessageId::parse(&format!("{id}0")).is_err());
    }
}
