//! Whose key is this, and what may it do?

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use tapcode_core::id::KeyId;
use tapcode_core::recipient::{Mode, Scope, ServiceName};
use tapcode_core::time::Timestamp;

use crate::contract::store::{ApiKey, Right, StoreError};
use crate::engine::Engine;
use crate::entropy::sixteen;
use crate::keyring::Digest;

/// How long a key that was read is believed. Milliseconds: a revoked key stops working on every node within this time.
pub const KEY_BELIEVED_MS: u64 = 1_000;
/// Most keys remembered; beyond that the memory starts anew.
const KEYS_REMEMBERED: usize = 10_000;
/// Longest text that is looked at as a key.
pub const KEY_TEXT_MAX: usize = 128;
/// Random characters of a key: 190 bits.
const KEY_CHARS: usize = 32;

/// Somebody with a valid key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key: KeyId,
    /// The service it belongs to; `None` for an admin key.
    pub service: Option<ServiceName>,
    /// Live or test.
    pub mode: Mode,
    /// What it may do.
    pub rights: Vec<Right>,
}

impl Caller {
    /// Whether the key has a right.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// The scope of everything the key touches; `None` for an admin key without a service.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.service.clone().map(|service| Scope { service, mode: self.mode })
    }
}

/// Keys read lately.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<KeysByDigest>);

/// The caller of a key, and when it was read.
type KeysByDigest = HashMap<[u8; 32], (Option<Caller>, Timestamp)>;

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache(…)")
    }
}

/// A key that was just made. Its text is shown once.
pub struct NewKey {
    /// The text to hand out: `tc_live_…` or `tc_test_…`.
    pub text: String,
    /// What is kept.
    pub kept: ApiKey,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("kept", &self.kept.id).finish_non_exhaustive()
    }
}

impl Engine {
    /// The caller whose key this is; `None` for a text that is no valid key.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn authenticate(&self, text: &str) -> Result<Option<Caller>, StoreError> {
        if text.len() > KEY_TEXT_MAX || !text.starts_with("tc_") {
            return Ok(None);
        }
        let digest = self.inner.keyring.digest(Digest::ApiKey, &[text.as_bytes()]);
        let now = self.now();
        {
            let cache = self.inner.key_cache.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = cache.get(&digest).filter(|(_, read_at)| now.millis_since(*read_at) < KEY_BELIEVED_MS);
            if let Some((caller, _)) = known {
                return Ok(caller.clone());
            }
        }
        let caller = self.inner.store.key(&digest).await?.filter(|k| k.revoked_at.is_none()).map(|k| Caller {
            key: k.id,
            service: k.service,
            mode: k.mode,
            rights: k.rights,
        });
        // Unknown keys are not remembered: a stranger must not be able to fill the memory.
        if caller.is_some() {
            let mut cache = self.inner.key_cache.0.lock().unwrap_or_else(PoisonError::into_inner);
            if cache.len() >= KEYS_REMEMBERED {
                cache.clear();
            }
            cache.insert(digest, (caller.clone(), now));
        }
        Ok(caller)
    }

    /// Makes a key; it works once it has been put into the store.
    #[must_use]
    pub fn new_key(&self, service: Option<ServiceName>, mode: Mode, rights: Vec<Right>, label: &str) -> NewKey {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut text = format!("tc_{}_", mode.as_str());
        let whole = text.len() + KEY_CHARS;
        while text.len() < whole {
            // Bytes past the last whole multiple of 62 are passed over, so that every character is equally likely.
            for byte in sixteen(self.entropy()).into_iter().filter(|b| *b < 248) {
                if text.len() < whole {
                    text.push(char::from(ALPHABET[usize::from(byte % 62)]));
                }
            }
        }
        let now = self.now();
        let kept = ApiKey {
            id: KeyId::new(now, sixteen(self.entropy())),
            digest: self.inner.keyring.digest(Digest::ApiKey, &[text.as_bytes()]),
            service,
            mode,
            rights,
            label: label.into(),
            created_at: now,
            revoked_at: None,
        };
        NewKey { text, kept }
    }
}
