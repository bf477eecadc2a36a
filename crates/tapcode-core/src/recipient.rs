//! What is atomic about one number within one service? The document that every decision loads and replaces whole.
#![warn(clippy::arithmetic_side_effects)]

use std::fmt;

use crate::delivery::Delivery;
use crate::id::{MessageId, VerificationId};
use crate::number::{Country, Masked};
use crate::plan::{Channel, Route};
use crate::time::Timestamp;
use crate::verification::{Purpose, Sealed, Status, Verification};

/// The window of the hourly limit, in milliseconds.
pub const HOUR_MS: u64 = crate::time::HOUR_MS;
/// How long a finished verification or message stays in the document, so that late receipts find it. Milliseconds.
pub const FINISHED_KEPT_MS: u64 = 3_600_000;
/// Most purposes with failed checks that a number can have in one service.
pub const PURPOSES_MAX: usize = 32;
/// Most verifications in one document, finished ones included; the oldest finished one leaves first.
pub const VERIFICATIONS_MAX: usize = 32;
/// Most plain messages to one number within an hour.
pub const MESSAGES_MAX: usize = 100;
/// How long it is remembered that a number is on WhatsApp. Milliseconds: 90 days.
pub const REACHABLE_KEPT_MS: u64 = 90 * 86_400_000;
/// How long it is remembered that a number is not on a channel. Milliseconds: 30 days, since people install WhatsApp.
pub const UNREACHABLE_KEPT_MS: u64 = 30 * 86_400_000;
/// How long an identity on a channel is remembered. Milliseconds: as long as that the number is on it.
pub const IDENTITY_KEPT_MS: u64 = REACHABLE_KEPT_MS;
/// How long it is remembered that somebody asked for no code. Milliseconds: a day.
pub const DISOWNED_KEPT_MS: u64 = 86_400_000;
/// So many messages that nobody asked for lock the number for a while: one may be a slip of the finger.
pub const DISOWNED_LOCK_AFTER: usize = 2;
/// Most such moments that are kept.
pub const DISOWNED_MAX: usize = 8;

/// How long limits outlive the erasure of a number: failed checks in a row, and a lock. Milliseconds: 30 days. Without them
/// whoever can have a number erased could guess, and have messages sent, without end.
pub const ERASED_KEPT_MS: u64 = 30 * 86_400_000;
/// How long what is left of an erased number stays at least. Milliseconds: two hours, longer than any process goes on with a
/// document as it last saw it.
pub const ERASED_KEPT_LEAST_MS: u64 = 2 * HOUR_MS;
/// How long an erasure is left to the process that began it. Milliseconds.
pub const ERASURE_TAKEN_OVER_MS: u64 = 5_000;

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

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|mode| mode.as_str() == text)
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

/// That a number was erased: what is left of its document limits whoever holds the number, tells nothing of them, and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// When it was first asked for.
    pub at: Timestamp,
    /// Whether history of the number may still be there: nothing new is begun until it is gone.
    pub under_way: bool,
}

impl Erased {
    /// When whoever finds it under way finishes it, because the process that began it may be gone.
    #[must_use]
    pub const fn taken_over_at(&self) -> Timestamp {
        self.at.plus_millis(ERASURE_TAKEN_OVER_MS)
    }

    /// When the last of the document may be forgotten, where it limits nothing any more.
    #[must_use]
    pub const fn least_until(&self) -> Timestamp {
        self.at.plus_millis(ERASED_KEPT_LEAST_MS)
    }

    /// When the last of the document is forgotten, whatever it limits.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.at.plus_millis(ERASED_KEPT_MS)
    }
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

/// Whether a number is on a channel, as far as messages have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Which channel.
    pub channel: Channel,
    /// Whether the number is on it.
    pub is_on: bool,
    /// When a message told so last.
    pub at: Timestamp,
}

impl Reach {
    /// When it is forgotten.
    #[must_use]
    pub const fn forgotten_at(&self) -> Timestamp {
        let kept_ms = if self.is_on { REACHABLE_KEPT_MS } else { UNREACHABLE_KEPT_MS };
        self.at.plus_millis(kept_ms)
    }
}

/// Who answered last on a channel that knows its people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which channel.
    pub channel: Channel,
    /// The provider's name for the identity, sealed.
    pub sealed: Sealed,
    /// When a verification that was approved told it.
    pub at: Timestamp,
}

/// What is known of a number that outlives its verifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// On which channels it is, or is not; one at most per channel.
    pub reach: Vec<Reach>,
    /// Whose it was when it was last verified; one at most per channel.
    pub identities: Vec<Identity>,
    /// When its holder said that they asked for no code, oldest first.
    pub disowned: Vec<Timestamp>,
}

impl Knowledge {
    /// Whether the number is on a channel; `None`: not known.
    #[must_use]
    pub fn is_on(&self, channel: Channel) -> Option<bool> {
        self.reach.iter().find(|r| r.channel == channel).map(|r| r.is_on)
    }

    /// The identity on a channel, sealed.
    #[must_use]
    pub fn identity(&self, channel: Channel) -> Option<&Sealed> {
        self.identities.iter().find(|i| i.channel == channel).map(|i| &i.sealed)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reach.is_empty() && self.identities.is_empty() && self.disowned.is_empty()
    }

    /// When the last of it is forgotten.
    pub(crate) fn forgotten_at(&self) -> Option<Timestamp> {
        let reach = self.reach.iter().map(Reach::forgotten_at);
        let identities = self.identities.iter().map(|i| i.at.plus_millis(IDENTITY_KEPT_MS));
        let disowned = self.disowned.iter().map(|at| at.plus_millis(DISOWNED_KEPT_MS));
        reach.chain(identities).chain(disowned).max()
    }

    /// Forgets what is past keeping.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        self.reach.retain(|r| now < r.forgotten_at());
        self.identities.retain(|i| now < i.at.plus_millis(IDENTITY_KEPT_MS));
        self.disowned.retain(|at| now < at.plus_millis(DISOWNED_KEPT_MS));
    }

    /// Learns whether the number is on a channel; `true` when that is news. That a number is on SMS is not worth a row.
    pub(crate) fn learn_reach(&mut self, channel: Channel, is_on: bool, now: Timestamp) -> bool {
        let known = self.is_on(channel);
        self.reach.retain(|r| r.channel != channel);
        if is_on && channel == Channel::Sms {
            return known == Some(false);
        }
        self.reach.push(Reach { channel, is_on, at: now });
        known != Some(is_on)
    }

    /// Learns whose the number was on a channel at a moment, or that nobody knew then; what is known from later stays.
    pub(crate) fn learn_identity(&mut self, channel: Channel, identity: Option<Sealed>, at: Timestamp) {
        if self.identities.iter().any(|i| i.channel == channel && i.at > at) {
            return;
        }
        self.identities.retain(|i| i.channel != channel);
        self.identities
            .extend(identity.map(|sealed| Identity { channel, sealed, at }));
    }
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
    /// What is known of the number that outlives them.
    pub knowledge: Knowledge,
    /// When plain messages were queued that were erased since, oldest first: they count for the hour as if they were there.
    pub erased_messages: Vec<Timestamp>,
    /// That the number was erased, as long as nothing was sent to it since.
    pub erased: Option<Erased>,
}

impl Recipient {
    /// A number nothing is known of.
    #[must_use]
    pub fn new(scope: Scope, number: Sealed, masked: Masked, country: Country) -> Self {
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
            knowledge: Knowledge::default(),
            erased_messages: Vec::new(),
            erased: None,
        }
    }

    /// What is left of a number that is erased and was not known.
    #[must_use]
    pub fn unknown(scope: Scope, country: Country) -> Self {
        Self {
            number: None,
            ..Self::new(scope, Sealed(Box::default()), Masked::erased(), country)
        }
    }

    /// Takes away whatever tells of the number and its holder; what limits them stays.
    pub(crate) fn erase(&mut self, now: Timestamp) {
        let queued = self.messages.iter().map(|m| m.delivery.queued_at);
        self.erased_messages.extend(queued);
        self.erased_messages.sort_unstable();
        self.number = None;
        self.masked = Masked::erased();
        self.verifications.clear();
        self.messages.clear();
        self.knowledge.reach.clear();
        self.knowledge.identities.clear();
        let at = self.erased.map_or(now, |erased| erased.at);
        self.erased = Some(Erased { at, under_way: true });
    }

    /// The facts about a message, of a verification or plain, while the document still holds it.
    #[must_use]
    pub fn delivery(&self, message: MessageId) -> Option<&Delivery> {
        let of_attempt = self.attempt(message).map(|(_, attempt)| &attempt.delivery);
        of_attempt.or_else(|| self.message(message).map(|plain| &plain.delivery))
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
            self.sends[self.sends.len().saturating_sub(max)..]
                .first()
                .copied()
                .unwrap_or(now)
                .plus_millis(HOUR_MS)
        };
        cooled.max(roomy).max(now)
    }
}
