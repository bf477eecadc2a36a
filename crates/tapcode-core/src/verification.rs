//! What is one verification: its policy, its code's source, its attempts and its single end?

use std::fmt;

use crate::code::Alphabet;
use crate::delivery::{Delivery, FailureClass};
use crate::id::{MessageId, VerificationId};
use crate::plan::{Channel, Plan};
use crate::time::Timestamp;

/// Longest purpose, in bytes.
pub const PURPOSE_MAX: usize = 64;
/// Most pairs of metadata.
pub const METADATA_PAIRS_MAX: usize = 10;
/// Longest metadata key, in bytes.
pub const METADATA_KEY_MAX: usize = 40;
/// Longest metadata value, in bytes.
pub const METADATA_VALUE_MAX: usize = 500;
/// Longest life of a verification: NIST SP 800-63B-4 section 3.1.3.2 ends a code after ten minutes
/// (<https://pages.nist.gov/800-63-4/sp800-63b.html>, read 2026-11-22).
pub const CODE_TTL_MS_MAX: u64 = 600_000;

/// What a code is for: a code is good for its purpose only. 1 to 64 of `a-z 0-9 _ - . :`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purpose(Box<str>);

impl Purpose {
    /// The purpose of a caller that names none.
    #[must_use]
    pub fn default_purpose() -> Self {
        Self("default".into())
    }

    /// Reads a purpose.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=PURPOSE_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':'));
        fits.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something encrypted by the engine's keyring: opaque here, and printed as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Box<[u8]>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Where a verification's code comes from. No code is stored in clear, and a derived one is not stored at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeSource {
    /// Computed from a server key and the verification's id, purpose and binding; this many digits.
    Derived {
        /// Digits, 6 to 10.
        length: u8,
    },
    /// The caller's own code, or a test number's fixed one, encrypted.
    Own {
        /// The code, sealed.
        sealed: Sealed,
        /// What it is made of.
        alphabet: Alphabet,
        /// A keyed digest, so that a second request with another code is noticed without opening the seal.
        digest: [u8; 16],
    },
}

impl CodeSource {
    /// What the code is made of.
    #[must_use]
    pub const fn alphabet(&self) -> Alphabet {
        match self {
            Self::Derived { .. } => Alphabet::Digits,
            Self::Own { alphabet, .. } => *alphabet,
        }
    }
}

/// The transaction that a code is bound to (dynamic linking): a keyed digest to compare, the sealed text to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Keyed digest of the canonical form.
    pub digest: [u8; 32],
    /// The canonical form, sealed, for the text of the message.
    pub sealed: Sealed,
}

/// What the caller told about the user's device. Only hints: nothing is decided from them that they could forge to harm another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHints {
    /// The user's address as the caller saw it.
    pub ip: Option<Box<str>>,
    /// The user's browser or app.
    pub user_agent: Option<Box<str>>,
    /// Android, iOS or web.
    pub platform: Option<Platform>,
    /// The app's 11-character hash for SMS Retriever and one-tap.
    pub app_hash: Option<Box<str>>,
    /// The origin that a code by SMS is bound to.
    pub web_origin: Option<Box<str>>,
    /// Whether the app saw WhatsApp on the phone.
    pub whatsapp_installed: Option<bool>,
}

/// Where the code will be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// An Android app.
    Android,
    /// An iOS app.
    Ios,
    /// A browser.
    Web,
}

impl Platform {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Web => "web",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "android" => Some(Self::Android),
            "ios" => Some(Self::Ios),
            "web" => Some(Self::Web),
            _ => None,
        }
    }
}

/// The limits of a service, frozen into each verification when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Guesses that are evaluated per verification.
    pub max_checks: u16,
    /// Between two requests to send to one number, all channels and purposes together. Milliseconds.
    pub resend_cooldown_ms: u32,
    /// Messages to one number within any hour, all channels and purposes together, fallbacks included.
    pub max_sends_per_hour: u16,
    /// Failed checks in a row for one number and purpose that lock the number for a while, and every further such number of them.
    pub lock_after: u16,
    /// How long such a lock lasts. Milliseconds.
    pub lock_ms: u32,
    /// Failed checks in a row that lock the number until an operator lifts it. At most 100: NIST SP 800-63B-4 section 3.2.2
    /// (<https://pages.nist.gov/800-63-4/sp800-63b.html>, read 2026-11-22).
    pub lock_for_good_after: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_checks: 5,
            resend_cooldown_ms: 60_000,
            max_sends_per_hour: 5,
            lock_after: 20,
            lock_ms: 3_600_000,
            lock_for_good_after: 100,
        }
    }
}

/// Statuses of a verification: pending, then exactly one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Under way.
    Pending,
    /// The right code came in time.
    Approved,
    /// Nobody typed the right code in time.
    Expired,
    /// The caller gave it up.
    Canceled,
    /// The last guess was wrong.
    MaxChecksReached,
    /// Every route definitely failed.
    Failed,
    /// The guard refused it; nothing was sent.
    Blocked,
}

impl Status {
    /// All of them, in the order of the story.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Expired,
        Self::Canceled,
        Self::MaxChecksReached,
        Self::Failed,
        Self::Blocked,
    ];

    /// The word for it in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
            Self::MaxChecksReached => "max_checks_reached",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending)
    }
}

/// One send of a verification over one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id; also the reference that providers give back.
    pub id: MessageId,
    /// Which step of the plan it takes.
    pub step: u8,
    /// When the next step is due unless this one was delivered or read; `None` on the last step.
    pub fallback_at: Option<Timestamp>,
    /// The language of its template, as the provider writes it, where the route has templates and their languages are known.
    pub language: Option<Box<str>>,
    /// What is known of it.
    pub delivery: Delivery,
    /// The identity of the recipient's account on the channel, as a receipt told it, sealed.
    pub identity: Option<Sealed>,
}

/// The process of proving that a recipient holds a number: one code, one lifetime, one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Its id.
    pub id: VerificationId,
    /// What the code is for.
    pub purpose: Purpose,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub created_at: Timestamp,
    /// Exclusive: a check at `expires_at` is too late. A resend does not move it.
    pub expires_at: Timestamp,
    /// When it reached its end.
    pub finished_at: Option<Timestamp>,
    /// Guesses evaluated so far.
    pub checks_used: u16,
    /// The limits it was begun with.
    pub limits: Limits,
    /// Where its code comes from.
    pub code: CodeSource,
    /// What the code is bound to.
    pub binding: Option<Binding>,
    /// The language of its messages, BCP 47.
    pub locale: Box<str>,
    /// The routes it was begun with.
    pub plan: Plan,
    /// Its messages, oldest first. Never empty; the last one is the current one.
    pub attempts: Vec<Attempt>,
    /// Hints about the user's device.
    pub client: Option<Box<ClientHints>>,
    /// The caller's own pairs.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// Entries written about it so far; see [`crate::step::ENTRIES_MAX`].
    pub entries: u16,
}

impl Verification {
    /// Guesses left.
    #[must_use]
    pub const fn checks_left(&self) -> u16 {
        self.limits.max_checks.saturating_sub(self.checks_used)
    }

    /// Whether the code has arrived on some channel.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.attempts.iter().any(|a| a.delivery.has_arrived())
    }

    /// Whose the number is on a channel, as the messages of this verification tell; the last one that tells anything has the
    /// word. `Some(None)`: the channel said that it is somebody else than was known, and did not say who.
    #[must_use]
    pub fn identity_on(&self, channel: Channel) -> Option<Option<&Sealed>> {
        let on_channel = |a: &&Attempt| self.plan.step(a.step).is_some_and(|s| s.route.channel == channel);
        self.attempts.iter().rev().filter(on_channel).find_map(|a| {
            let arrived = a.identity.as_ref().filter(|_| a.delivery.has_arrived());
            let has_changed = a.delivery.failed_with(FailureClass::NoFallback);
            arrived.map(Some).or_else(|| has_changed.then_some(None))
        })
    }

    /// The first step of the plan that no attempt has taken and that lies behind the furthest one taken.
    #[must_use]
    pub fn next_step(&self) -> Option<u8> {
        let next = self.attempts.iter().map(|a| a.step).max().map_or(0, |s| s.saturating_add(1));
        self.plan.step(next).map(|_| next)
    }
}
