//! Whose key is this, what may it do, and how often? And how are keys made and revoked?

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tapcode_core::audit::{Actor, By, Deed, Object};
use tapcode_core::id::KeyId;
use tapcode_core::recipient::{Mode, Scope, ServiceName};
use tapcode_core::time::Timestamp;

use crate::call::chain;
use crate::contract::store::{ApiKey, KeyCommit, Rate, Right, StoreError};
use crate::engine::{Engine, EngineError};
use crate::entropy::sixteen;
use crate::keyring::Digest;

/// Most keys of one installation that are good for something.
pub const KEYS_MAX: usize = 1_000;
/// How often at most the use of a key is written down. Milliseconds: ten minutes per key and process.
pub const USE_NOTED_EVERY_MS: u64 = 600_000;
/// Keys whose rates and uses are remembered before what says nothing any more is dropped: more than may be good at once,
/// and room for those that end meanwhile.
const KEYS_REMEMBERED: usize = 2 * KEYS_MAX;
/// How often a decision about a key is made again because another key was written first.
const CONFLICTS_MAX: usize = 16;
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
        self.service.clone().map(|service| Scope {
            service,
            mode: self.mode,
        })
    }
}

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct KeyWish {
    /// The service it is to belong to; `None` for an admin key.
    pub service: Option<ServiceName>,
    /// Live or test.
    pub mode: Mode,
    /// What it may do.
    pub rights: Vec<Right>,
    /// What people call it.
    pub label: String,
    /// From when on it is good for nothing.
    pub expires_at: Option<Timestamp>,
    /// How many requests it may make.
    pub rate: Option<Rate>,
}

/// Why a key was not made, found or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none with this id.
    #[error("there is no such API key")]
    Unknown,
    /// There are [`KEYS_MAX`] that are good for something.
    #[error("there are {KEYS_MAX} API keys already")]
    TooMany,
    /// Nobody could administer over the API any more.
    #[error("it is the last key that may administer")]
    LastAdmin,
    /// The store cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for KeyError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

/// Why a request with a key is not let in.
#[derive(Debug, thiserror::Error)]
pub enum NotLetIn {
    /// The text is no key, or one that is revoked or has expired.
    #[error("the key is good for nothing")]
    NoKey,
    /// The key has used up its rate; a request is let in after so many milliseconds.
    #[error("the key has made as many requests as it may")]
    TooFast {
        /// The key.
        key: KeyId,
        /// Milliseconds.
        retry_ms: u64,
    },
    /// The store cannot be asked.
    #[error("the store is unavailable")]
    Unavailable(#[from] StoreError),
}

/// What is remembered of keys from one request to the next: nothing that decides whether a key is good.
#[derive(Default)]
pub(crate) struct KeysInUse {
    /// Up to when each key's rate is used up, in microseconds since 1970.
    used_up_to_us: Mutex<HashMap<KeyId, u64>>,
    /// When this process last had a key's use written down, or tried to.
    noted: Mutex<HashMap<KeyId, Timestamp>>,
}

impl fmt::Debug for KeysInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeysInUse(…)")
    }
}

impl KeysInUse {
    /// Takes a place for one request.
    ///
    /// # Errors
    /// There is none; there is one after so many milliseconds.
    fn take(&self, key: KeyId, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let now_us = micros(now);
        let mut all = self.used_up_to_us.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEYS_REMEMBERED && !all.contains_key(&key) {
            all.retain(|_, up_to| *up_to > now_us);
        }
        let each_us = 1_000_000 / u64::from(rate.per_second.max(1));
        let burst_us = each_us.saturating_mul(rate.burst.max(1).into());
        // A clock that was set back must not keep a key out for longer than its burst.
        let up_to_us = all
            .get(&key)
            .copied()
            .unwrap_or(0)
            .clamp(now_us, now_us.saturating_add(burst_us));
        let next_us = up_to_us.saturating_add(each_us);
        let most_us = now_us.saturating_add(burst_us);
        if next_us > most_us {
            return Err((next_us - most_us).div_ceil(1_000));
        }
        all.insert(key, next_us);
        Ok(())
    }

    /// Whether the key's use is to be written down now.
    fn is_to_be_noted(&self, key: &ApiKey, now: Timestamp) -> bool {
        let is_old = |at: Timestamp| now.millis_since(at) >= USE_NOTED_EVERY_MS;
        if !key.used_at.is_none_or(is_old) {
            return false;
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if !noted.get(&key.id).copied().is_none_or(is_old) {
            return false;
        }
        if noted.len() >= KEYS_REMEMBERED {
            noted.retain(|_, at| !is_old(*at));
        }
        noted.insert(key.id, now);
        true
    }
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(1_000)
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
    /// The caller whose key this is, with a place of the key's rate taken.
    ///
    /// The key is read from the store every time: one that was revoked, on whichever node, is refused at the next request.
    ///
    /// # Errors
    /// [`NotLetIn`].
    pub async fn authenticate(&self, text: &str) -> Result<Caller, NotLetIn> {
        if text.len() > KEY_TEXT_MAX || !text.starts_with("tc_") {
            return Err(NotLetIn::NoKey);
        }
        let digest = self.inner.keyring.digest(Digest::ApiKey, &[text.as_bytes()]);
        let now = self.now();
        let found = self.inner.store.key(&digest).await?;
        let key = found.filter(|key| key.is_good(now)).ok_or(NotLetIn::NoKey)?;
        if let Some(rate) = key.rate {
            let taken = self.inner.keys_in_use.take(key.id, rate, now);
            taken.map_err(|retry_ms| NotLetIn::TooFast { key: key.id, retry_ms })?;
        }
        if self.inner.keys_in_use.is_to_be_noted(&key, now) {
            self.note_used(key.id, now);
        }
        Ok(Caller {
            key: key.id,
            service: key.service,
            mode: key.mode,
            rights: key.rights,
        })
    }

    /// The request does not wait for it, and one that fails is made good by a later use.
    fn note_used(&self, id: KeyId, at: Timestamp) {
        let store = Arc::clone(&self.inner.store);
        self.inner.tasks.spawn(async move {
            if let Err(error) = store.note_key_used(id, at).await {
                tracing::warn!(key.id = %id, error = %chain(&error), "the use of a key could not be written down");
            }
        });
    }

    /// Makes a key. Its text is in what this returns, and nowhere else.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn create_key(&self, wish: &KeyWish, by: &By) -> Result<NewKey, KeyError> {
        for _ in 0..CONFLICTS_MAX {
            let version = self.inner.store.keys_version().await?;
            let now = self.now();
            let good = self.inner.store.keys().await?.iter().filter(|key| key.is_good(now)).count();
            if good >= KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            let mut new = self.new_key(wish.service.clone(), wish.mode, wish.rights.clone(), &wish.label);
            new.kept.expires_at = wish.expires_at;
            new.kept.rate = wish.rate;
            let act = self.act(by, Deed::KeyCreated, &Object::Key(new.kept.id));
            let commit = KeyCommit {
                expected: Some(version),
                next: new.kept.clone(),
                act: Some(act.of(wish.service.clone()).with(&in_words(&new.kept))),
            };
            match self.inner.store.commit_key(&commit).await {
                Ok(()) => return Ok(new),
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Revokes a key: every node refuses it at its next request. One that is revoked already stays as it is.
    ///
    /// The last key that may administer stays, unless the command line revokes it: that can make another.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn revoke_key(&self, id: KeyId, by: &By) -> Result<ApiKey, KeyError> {
        for _ in 0..CONFLICTS_MAX {
            let version = self.inner.store.keys_version().await?;
            let all = self.inner.store.keys().await?;
            let key = all.iter().find(|key| key.id == id).ok_or(KeyError::Unknown)?;
            if key.revoked_at.is_some() {
                return Ok(key.clone());
            }
            let now = self.now();
            let others = all.iter().filter(|other| other.id != id);
            let left = others.filter(|other| administers(other, now)).count();
            if by.actor != Actor::CommandLine && administers(key, now) && left == 0 {
                return Err(KeyError::LastAdmin);
            }
            let next = ApiKey {
                revoked_at: Some(now),
                ..key.clone()
            };
            let act = self.act(by, Deed::KeyRevoked, &Object::Key(id));
            let commit = KeyCommit {
                expected: Some(version),
                next: next.clone(),
                act: Some(act.of(next.service.clone()).with(&next.label)),
            };
            match self.inner.store.commit_key(&commit).await {
                Ok(()) => return Ok(next),
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
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
            expires_at: None,
            revoked_at: None,
            rate: None,
            used_at: None,
        };
        NewKey { text, kept }
    }
}

/// Whether a key may make other keys of any service.
fn administers(key: &ApiKey, now: Timestamp) -> bool {
    key.is_good(now) && key.service.is_none() && key.mode == Mode::Live && key.rights.contains(&Right::Admin)
}

/// What a key may do, for people. A label is what its maker wrote: it comes last, and is cut where there is no room.
fn in_words(key: &ApiKey) -> String {
    let rights: Vec<&str> = key.rights.iter().map(|right| right.as_str()).collect();
    let mut text = format!("{}, may {}", key.mode.as_str(), rights.join(", "));
    if key.expires_at.is_some() {
        text.push_str(", expires");
    }
    if !key.label.is_empty() {
        text.push_str(": ");
        text.push_str(&key.label);
    }
    text
}
