//! How is a secret held? So that printing it prints nothing, and its memory is wiped when it goes.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes of the master key.
pub const MASTER_KEY_BYTES: usize = 32;
/// How the master key is written, for people.
pub(super) const MASTER_KEY_FORM: &str = "64 hexadecimal digits, as `tapcode keys generate-master` prints them";

/// A secret text: a token, a password, an address with a password in it. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into custody.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Only what signs, authenticates or connects may hold it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The key from which every other key of the server is derived. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(Zeroizing<[u8; MASTER_KEY_BYTES]>);

/// Why a text is not a master key. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterKeyError {
    /// Another number of characters than 64.
    Length {
        /// How many there are.
        found: usize,
    },
    /// A character that is no hexadecimal digit.
    NotHex,
    /// The same byte 32 times: a placeholder, not a key.
    Placeholder,
}

impl fmt::Display for MasterKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(f, "has {found} characters where {} belong", 2 * MASTER_KEY_BYTES),
            Self::NotHex => f.write_str("has characters that are no hexadecimal digits"),
            Self::Placeholder => f.write_str("is one byte repeated, which is a placeholder and no key"),
        }
    }
}

impl MasterKey {
    /// From random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; MASTER_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads 64 hexadecimal digits of either case.
    ///
    /// # Errors
    /// [`MasterKeyError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let found = text.chars().count();
        if found != 2 * MASTER_KEY_BYTES {
            return Err(MasterKeyError::Length { found });
        }
        let mut bytes = Zeroizing::new([0u8; MASTER_KEY_BYTES]);
        let mut digits = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()));
        for byte in bytes.iter_mut() {
            match (digits.next().flatten(), digits.next().flatten()) {
                (Some(high), Some(low)) => *byte = (high << 4) | low,
                _ => return Err(MasterKeyError::NotHex),
            }
        }
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(MasterKeyError::Placeholder);
        }
        Ok(Self(bytes))
    }

    /// The key as it is written in a file: what [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The bytes. Only the engine's keyring may hold them.
    #[must_use]
    pub fn expose(&self) -> &[u8; MASTER_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_reads_back_and_prints_nothing() {
        let mut bytes = [0x0f; MASTER_KEY_BYTES];
        bytes[0] = 0xf0;
        let key = MasterKey::from_bytes(bytes);
        assert_eq!(MasterKey::parse(key.to_text().expose()), Ok(key.clone()));
        assert_eq!(
            MasterKey::parse(&key.to_text().expose().to_uppercase()).map(|k| *k.expose()),
            Ok(bytes)
        );
        assert_eq!(format!("{key:?} {:?}", key.to_text()), "MasterKey(…) Secret(…)");
    }

    #[test]
    fn what_is_no_master_key_is_refused() {
        assert_eq!(MasterKey::parse(""), Err(MasterKeyError::Length { found: 0 }));
        assert_eq!(MasterKey::parse(&"ab".repeat(31)), Err(MasterKeyError::Length { found: 62 }));
        assert_eq!(MasterKey::parse(&"+f".repeat(32)), Err(MasterKeyError::NotHex));
        assert_eq!(MasterKey::parse(&"é1".repeat(32)), Err(MasterKeyError::NotHex));
        assert_eq!(MasterKey::parse(&"00".repeat(32)), Err(MasterKeyError::Placeholder));
    }
}
