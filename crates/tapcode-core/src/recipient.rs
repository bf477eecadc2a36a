//! What is atomic about one number within one service? The document that every decision loads and replaces whole.

use std::fmt;

use crate::delivery::Delivery;
use crate::id::{MessageId, VerificationId};
use crate::number::{Country, Masked};
use crate::plan::Route;
use crate::time::Timestamp;
use crate::verification::{Purpose, Sealed, Status, Verification};

/// The window of the hourly limit, in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;
/// How long a finished verification or message stays in the document, so that late receipts find it. Milliseconds.
pub const FINISHED_KEPT_MS: u64 = 3_600_000;
/// Most purposes with failed checks that a number can have in one service.
pub const PURPOSES_MAX: usize = 32;
/// Most verifications in one document, finished ones included; the oldest finished one leaves first.
pub const VERIFICATIONS_MAX: usize = 32;
/// Most plain messages to one number within an hour.
pub const MESSAGES_MAX: usize = 100;

/// The name of a service: an application or brand with its own keys, policy and limits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Box<str>);

impl ServiceName {
    /// 1 to 40 of `a-z 0-9 _ -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=40).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        fits.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether messages reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// They do.
    Live,
    /// They go to the sandbox.
    Test,
}

impl Mode {
    /// The word for it in keys, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// Whose a document is: no decision, limit or id crosses from one scope to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The service.
    pub service: ServiceName,
    /// Live or test.
    pub mode: Mode,
}

/// Keyed hash of scope and number: where a document is found. It tells nothing without the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientKey(pub [u8; 16]);

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recipient {:02x}{:02x}…", self.0[0], self.0[1])
    }
}

/// Failed checks in a row for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The purpose they were for.
    pub purpose: Purpose,
    /// How many since the last success.
    pub in_a_row: u16,
}

/// Whether codes may be asked for and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// They may.
    Open,
    /// Not before this moment.
    Until(Timestamp),
    /// Not before an operator lifts it.
    UntilOperator,
}

impl Lock {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::Open => false,
            Self::Until(until) => now < until,
            Self::UntilOperator => true,
        }
    }
}

/// A message that a caller composed, outside any verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMessage {
    /// Its id; also the reference that providers give back.
    pub id: MessageId,
    /// How it goes.
    pub route: Route,
    /// What to send, sealed; gone once the call has been answered.
    pub payload: Option<Sealed>,
    /// Segments that it takes, for SMS.
    pub segments: u8,
    /// Whether it needs UCS-2, for SMS.
    pub ucs2: bool,
    /// What is known of it.
    pub delivery: Delivery,
    /// Entries written about it so far.
    pub entries: u16,
}

/// One number within one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Whose it is.
    pub scope: Scope,
    /// The number, sealed; gone when nothing can be sent any more.
    pub number: Option<Sealed>,
    /// The number as it is shown.
    pub masked: Masked,
    /// The number's country.
    pub country: Country,
    /// When messages of verifications were queued within the last hour, oldest first.
    pub sends: Vec<Timestamp>,
    /// When a caller last had something sent.
    pub requested_at: Option<Timestamp>,
    /// Failed checks in a row, by purpose.
    pub failures: Vec<Failures>,
    /// Whether it is locked.
    pub lock: Lock,
    /// Verifications under way and lately finished, oldest first; at most one pending per purpose.
    pub verifications: Vec<Verification>,
    /// Plain messages of the last hour, oldest first.
    pub messages: Vec<PlainMessage>,
}

impl Recipient {
    /// A number nothing is known of.
    #[must_use]
    pub const fn new(scope: Scope, number: Sealed, masked: Masked, country: Country) -> Self {
        Self {
            scope,
            number: Some(number),
            masked,
            country,
            sends: Vec::new(),
            requested_at: None,
            failures: Vec::new(),
            lock: Lock::Open,
            verifications: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The verification with this id, while the document still holds it.
    #[must_use]
    pub fn verification(&self, id: VerificationId) -> Option<&Verification> {
        self.verifications.iter().find(|v| v.id == id)
    }

    /// The pending verification for a purpose.
    #[must_use]
    pub fn pending(&self, purpose: &Purpose) -> Option<&Verification> {
        self.verifications
            .iter()
            .find(|v| v.status == Status::Pending && v.purpose == *purpose)
    }

    /// The pending verification for a purpose, else the latest finished one.
    #[must_use]
    pub fn latest(&self, purpose: &Purpose) -> Option<&Verification> {
        self.pending(purpose)
            .or_else(|| self.verifications.iter().rfind(|v| v.purpose == *purpose))
    }

    /// The verification that an attempt belongs to, and the attempt.
    #[must_use]
    pub fn attempt(&self, id: MessageId) -> Option<(&Verification, &crate::verification::Attempt)> {
        self.verifications
            .iter()
            .find_map(|v| v.attempts.iter().find(|a| a.id == id).map(|a| (v, a)))
    }

    /// The plain message with this id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&PlainMessage> {
        self.messages.iter().find(|m| m.id == id)
    }

    /// Messages of verifications queued within the hour that ends at `now`.
    #[must_use]
    pub fn sends_within_hour(&self, now: Timestamp) -> usize {
        let from = now.minus_millis(HOUR_MS);
        self.sends.iter().filter(|at| **at > from).count()
    }

    /// Messages of verifications that may still be queued within this hour.
    #[must_use]
    pub fn sends_left(&self, max_sends_per_hour: u16, now: Timestamp) -> u16 {
        max_sends_per_hour.saturating_sub(u16::try_from(self.sends_within_hour(now)).unwrap_or(u16::MAX))
    }

    /// When a request to send is no longer too soon or too many, under these limits; `now` when it already is not.
    #[must_use]
    pub fn resend_at(&self, limits: &crate::verification::Limits, now: Timestamp) -> Timestamp {
        let cooled = self
            .requested_at
            .map_or(now, |at| at.plus_millis(limits.resend_cooldown_ms.into()));
        let max = usize::from(limits.max_sends_per_hour);
        let within = self.sends_within_hour(now);
        let roomy = if within < max {
            now
        } else {
            // The send whose leaving the window makes room for one more; where nothing is ever allowed, there is none.
            self.sends[self.sends.len() - max..]
                .first()
                .copied()
                .unwrap_or(now)
                .plus_millis(HOUR_MS)
        };
        cooled.max(roomy).max(now)
    }
}
