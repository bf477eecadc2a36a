//! What must a store do? Keep one document per recipient, replace it by compare-and-swap, and write what belongs to
//! a decision in the same commit.
//!
//! Every guarantee that Tapcode gives — single use, the check limit, the send limits, no double send — is one guarantee
//! here: of two commits that expect the same version of the same document, at most one is written, and it is written
//! whole and durably before its `Ok` is returned. Nothing needs a lock, a lease or a transaction over several documents.
//! A store is whatever passes the one conformance suite in `tapcode-store`.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use tapcode_core::account::{Account, AccountEntry, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::delivery::ReceiptKind;
use tapcode_core::endpoint::{Endpoint, EndpointEntry};
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, KeyId, MessageId, VerificationId};
use tapcode_core::number::{Country, Masked};
use tapcode_core::recipient::{Mode, PlainMessage, Recipient, RecipientKey, Scope, ServiceName};
use tapcode_core::statistics::{Group, Span, Tally};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Purpose, Sealed, Status, Verification};

use crate::contract::provider::Billing;

/// Most commits that a store is handed in one batch.
pub const BATCH_MAX: usize = 256;
/// Most rows that one call of [`Store::browse`] looks at, so that a filter nothing matches is bounded too.
pub const BROWSE_ROWS_MAX: usize = 10_000;
/// Most receipts that wait for their message at once; the next one is refused with [`StoreError::Unavailable`].
pub const PARKED_MAX: usize = 100_000;
/// Most receipts that wait for one message; the next one is refused in the same way.
pub const PARKED_PER_MESSAGE_MAX: usize = 16;
/// How long an answer is remembered, in milliseconds: `expires_at` of a [`Remembered`] is at most this far behind the
/// moment it was made, so that a store can tell without a clock that what it holds under a key had expired by then.
pub const REMEMBERED_MS: u64 = 24 * 3_600_000;

/// How often a document has been replaced. The first commit of a document writes version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A document and the version it was read at.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// Its version.
    pub version: Version,
}

/// What is to be written together, or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Which document.
    pub key: RecipientKey,
    /// The version the decision was made on; `None`: there must be no document.
    pub expected: Option<Version>,
    /// The next document; `None`: it is deleted. The version of a key that is written again after a deletion starts at 1.
    pub next: Option<Recipient>,
    /// When the document next needs attention: its place in the due index. `None` takes it out.
    pub due_at: Option<Timestamp>,
    /// Provider's names of messages that lead to this document from now on.
    pub handles: Vec<ProviderHandle>,
    /// Verifications and plain messages as they stand now: inserted, or replacing what was there under their id.
    pub snapshots: Vec<Snapshot>,
    /// Log entries, appended in this order. The log's order is the order of commits.
    pub entries: Vec<Entry>,
    /// The answer to remember for an idempotency key. A key that is remembered already makes the commit a conflict,
    /// unless what is remembered expired at or before the new one's `expires_at` less [`REMEMBERED_MS`]: that is replaced.
    pub remembered: Option<Remembered>,
    /// The administrator's act that this is, if it is one.
    pub act: Option<Act>,
}

/// A provider's name for one of our messages: keyed by sender, so that two providers' ids never mix. The store is only
/// ever given a keyed digest of the name, because a name may hold the number itself (Meta's do, in base 64).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderHandle {
    /// `whatsapp` or `sms` and the sender's number, such as `whatsapp:1`.
    pub sender: Box<str>,
    /// Keyed digest of the provider's message id, in hexadecimal.
    pub provider_message_id: Box<str>,
    /// Our message.
    pub message: MessageId,
}

/// A verification or plain message as history keeps it, after its document has forgotten it too.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The document it belongs or belonged to.
    pub key: RecipientKey,
    /// Whose it is.
    pub scope: Scope,
    /// The number, as it is shown.
    pub masked: Masked,
    /// The number's country.
    pub country: Country,
    /// The thing itself.
    pub subject: Subject,
}

/// What a snapshot shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A verification.
    Verification(Verification),
    /// A plain message, without its payload.
    Message(PlainMessage),
}

impl Subject {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> SubjectId {
        match self {
            Self::Verification(verification) => SubjectId::Verification(verification.id),
            Self::Message(message) => SubjectId::Message(message.id),
        }
    }
}

/// Names a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectId {
    /// A verification's id.
    Verification(VerificationId),
    /// A plain message's id.
    Message(MessageId),
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verification(id) => id.fmt(f),
            Self::Message(id) => id.fmt(f),
        }
    }
}

/// A receipt that waits for its message to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// As in [`ProviderHandle`].
    pub sender: Box<str>,
    /// As in [`ProviderHandle`].
    pub provider_message_id: Box<str>,
    /// What it tells.
    pub told: ToldReceipt,
}

/// What a receipt tells, whoever's message it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldReceipt {
    /// The fact.
    pub kind: ReceiptKind,
    /// What the message is billed as: its price depends on the recipient's country.
    pub billing: Option<Billing>,
    /// The recipient's identity on the channel, sealed.
    pub identity: Option<Sealed>,
}

/// An answer to give again to the same request.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// Keyed hash of scope, route and the caller's idempotency key.
    pub key: [u8; 32],
    /// Keyed hash of the request's body.
    pub fingerprint: [u8; 32],
    /// Status and body of the answer, sealed.
    pub answer: Sealed,
    /// When it may be forgotten.
    pub expires_at: Timestamp,
}

/// Which verifications to list, newest first.
#[derive(Clone, Debug)]
pub struct Browse {
    /// Whose.
    pub scope: Scope,
    /// Of this number only.
    pub key: Option<RecipientKey>,
    /// In this status only.
    pub status: Option<Status>,
    /// For this purpose only.
    pub purpose: Option<Purpose>,
    /// Created at or after this moment.
    pub after: Option<Timestamp>,
    /// Created before this moment.
    pub before: Option<Timestamp>,
    /// Older than this one: where the last page ended.
    pub cursor: Option<VerificationId>,
    /// Most to return.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The verifications, newest first.
    pub snapshots: Vec<Snapshot>,
    /// Where the next page starts; `None` when this was the last. A page may be short, or empty, and not the last.
    pub next: Option<VerificationId>,
}

/// Place in the log: entries have increasing places without a gap that could still be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u64);

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// About a number of a service.
    Recipient(Entry),
    /// About an account at a provider.
    Account(AccountEntry),
    /// About a webhook endpoint.
    Endpoint(EndpointEntry),
}

impl Line {
    /// When it was written.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Recipient(entry) => entry.at,
            Self::Account(entry) => entry.at,
            Self::Endpoint(entry) => entry.at,
        }
    }
}

/// A webhook endpoint to be replaced, and what the log says of that: written together, or not at all.
#[derive(Clone, Debug)]
pub struct EndpointCommit {
    /// Which endpoint.
    pub id: EndpointId,
    /// The version the decision was made on; `None`: there must be none.
    pub expected: Option<Version>,
    /// The next state; `None`: it is deleted.
    pub next: Option<Endpoint>,
    /// A line of the log, where somebody should know.
    pub entry: Option<EndpointEntry>,
    /// The administrator's act that this is, if it is one.
    pub act: Option<Act>,
}

/// A key to be written, and the act that this is: written together, or not at all.
#[derive(Clone, Debug)]
pub struct KeyCommit {
    /// The version of all keys together that the decision was made on: another since makes it a conflict. `None`: it was
    /// made on no other key.
    pub expected: Option<Version>,
    /// The key: a new one, or replacing the one with the same id.
    pub next: ApiKey,
    /// The administrator's act that this is, if it is one.
    pub act: Option<Act>,
}

impl From<ApiKey> for KeyCommit {
    /// A key that nobody decided about.
    fn from(next: ApiKey) -> Self {
        Self {
            expected: None,
            next,
            act: None,
        }
    }
}

/// An account to be replaced, and what its log says of that: written together, or not at all.
#[derive(Clone, Debug)]
pub struct AccountCommit {
    /// Which account.
    pub name: AccountName,
    /// The version the decision was made on; `None`: there must be none.
    pub expected: Option<Version>,
    /// The next state.
    pub next: Account,
    /// A log entry, where something was decided that somebody should read.
    pub entry: Option<AccountEntry>,
}

/// Whom an account wrote to within one hour. The numbers are the first bytes of the recipients' keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The account, or the business that shares its limit with others.
    pub portfolio: Box<str>,
    /// The hour: hours since 1970.
    pub hour: u32,
    /// The recipients.
    pub recipients: Vec<u64>,
}

/// What was counted of one group within an hour or a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TallyRow {
    /// Hour or day.
    pub span: Span,
    /// Which one, since 1970.
    pub start: u32,
    /// Of what.
    pub group: Group,
    /// The counts.
    pub tally: Tally,
}

/// Counts to be replaced because more of the log was counted: written together, or not at all.
#[derive(Clone, Debug)]
pub struct TallyCommit {
    /// How much of the log was counted when the rows were read; `None`: nothing yet.
    pub expected: Option<Place>,
    /// How much of the log is counted with these rows.
    pub through: Place,
    /// The rows as they are with that, each inserted or replacing what was there of its group and time.
    pub rows: Vec<TallyRow>,
    /// Rows of hours before this one go.
    pub hours_before: u32,
    /// Rows of days before this one go.
    pub days_before: u32,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Begin, resend, check, cancel.
    Verify,
    /// Send plain messages.
    Messages,
    /// Read verifications, messages and events, full numbers included.
    Read,
    /// Administer.
    Admin,
}

impl Right {
    /// All of them, in this order.
    pub const ALL: &'static [Self] = &[Self::Verify, Self::Messages, Self::Read, Self::Admin];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Messages => "messages",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The right of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|right| right.as_str() == text)
    }
}

/// An API key as it is kept: never the key itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Its name.
    pub id: KeyId,
    /// Keyed hash of the key.
    pub digest: [u8; 32],
    /// The service it belongs to; `None` for an admin key.
    pub service: Option<ServiceName>,
    /// Live or test.
    pub mode: Mode,
    /// What it may do.
    pub rights: Vec<Right>,
    /// What people call it.
    pub label: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is good for nothing. Exclusive: a request at this moment is too late.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// How many requests it may make; `None`: any number.
    pub rate: Option<Rate>,
    /// When it was last used, as [`Store::note_key_used`] was last told; a commit leaves it as it is.
    pub used_at: Option<Timestamp>,
}

impl ApiKey {
    /// From when on it is good for nothing: revoked, or expired.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        match (self.revoked_at, self.expires_at) {
            (Some(revoked), Some(expires)) => Some(revoked.min(expires)),
            (one, other) => one.or(other),
        }
    }

    /// Whether it is good for something at a moment.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// How many requests a key may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In every second, in the long run. At least 1.
    pub per_second: u32,
    /// At once, after a while without any. At least 1.
    pub burst: u32,
}

/// What is kept about a recipient beside its document and its history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// Lines of the log about none of its verifications and messages, oldest first.
    pub entries: Vec<Entry>,
    /// Until when answers to requests about it are remembered, in no order.
    pub answers: Vec<Timestamp>,
    /// The hours within which accounts wrote to it, by account or business, in no order: see [`Written`].
    pub written: Vec<(Box<str>, u32)>,
}

/// Names a recipient among those an account wrote to: the first bytes of its key.
#[must_use]
pub fn written_name(key: RecipientKey) -> u64 {
    u64::from_be_bytes(key.0[..8].try_into().expect("half of sixteen bytes"))
}

/// What a sweep may remove.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The moment of the sweep: what expired before it goes.
    pub now: Timestamp,
    /// Snapshots of things that ended before this moment go, with every line of the log about them, and so do other lines that
    /// were written before it. A line that is written later about something that has ended goes with it, however young it is.
    pub history_before: Timestamp,
    /// Services that keep less: whatever is of them goes by their own moment already. A moment before `history_before` keeps
    /// nothing longer.
    pub services: Vec<(ServiceName, Timestamp)>,
    /// Acts before this moment go, and keys that have been good for nothing since before it.
    pub acts_before: Timestamp,
    /// Hours of [`Written`] before this one go.
    pub written_before_hour: u32,
    /// Most rows to remove in one call, over everything.
    pub limit: usize,
}

/// Why a store could not do its work. Two next moves, so two variants.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first: load and decide again.
    #[error("the document is no longer at the version that was read")]
    Conflict,
    /// It cannot be known, or could not be done: answer 503, approve nothing, send nothing.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// An unavailable store, with its reason.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

/// See the module's documentation. Every method may be called at any time from any task; a dropped call is harmless:
/// what it was about to write is either written whole or not at all.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// The document of a recipient.
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError>;

    /// Writes a batch: each commit is decided on its own, in order, and sees what the ones before it wrote; all that
    /// are `Ok` are durable when this returns. One result per commit, in order. If the batch could not be made durable
    /// every result is `Unavailable`, and each of its commits may or may not be found written later.
    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>>;

    /// The document and message that a provider's message id leads to.
    async fn find(&self, sender: &str, provider_message_id: &str) -> Result<Option<(RecipientKey, MessageId)>, StoreError>;

    /// Keeps a receipt until its message is known. Repeating one is harmless.
    /// What it told besides its kind is kept as it was first told.
    async fn park(&self, parked: &Parked, until: Timestamp) -> Result<(), StoreError>;

    /// Receipts that were parked for a message, oldest first. They stay until a sweep: a receipt twice is one fact.
    async fn parked(&self, sender: &str, provider_message_id: &str) -> Result<Vec<ToldReceipt>, StoreError>;

    /// Documents that are due at `now`, the longest due first. Claiming one is the commit itself: two callers may both
    /// see it, both decide, and one of the two commits is a conflict.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<RecipientKey>, StoreError>;

    /// How many documents are due within the due index at all, for people and metrics.
    async fn scheduled(&self) -> Result<u64, StoreError>;

    /// A verification or plain message as it stands or ended.
    async fn snapshot(&self, id: SubjectId) -> Result<Option<Snapshot>, StoreError>;

    /// Verifications, newest first.
    async fn browse(&self, browse: &Browse) -> Result<Page, StoreError>;

    /// Lines of the log behind `after` (`None`: from the oldest), in order, at most `limit`. A line that is returned is
    /// durable, and none with a smaller place will ever appear later.
    async fn lines(&self, after: Option<Place>, limit: usize) -> Result<Vec<(Place, Line)>, StoreError>;

    /// The place of the newest entry; `None` while the log is empty.
    async fn newest(&self) -> Result<Option<Place>, StoreError>;

    /// The entries about one verification or message, oldest first, at most `limit`.
    async fn timeline(&self, id: SubjectId, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// The answer that is remembered under an idempotency key and has not expired at `now`.
    async fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<Remembered>, StoreError>;

    /// Writes an API key, with its act; every key's commit makes another version of all keys together.
    async fn commit_key(&self, commit: &KeyCommit) -> Result<(), StoreError>;

    /// The version of all keys together. Whoever decides over several asks for it before it reads them.
    async fn keys_version(&self) -> Result<Version, StoreError>;

    /// Notes that a key was used; an earlier moment than the one that is known changes nothing. Nothing of an unknown key.
    async fn note_key_used(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError>;

    /// The key with this digest. It is asked for at every request, so that a revoked key is refused at the next one.
    async fn key(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreError>;

    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// What is known of an account at a provider.
    async fn account(&self, name: &AccountName) -> Result<Option<Versioned<Account>>, StoreError>;

    /// Replaces what is known of an account, by compare-and-swap as a document is, with its line of the log.
    async fn commit_account(&self, commit: &AccountCommit) -> Result<(), StoreError>;

    /// Every webhook endpoint and its version, oldest first.
    async fn endpoints(&self) -> Result<Vec<(EndpointId, Version)>, StoreError>;

    /// A webhook endpoint.
    async fn endpoint(&self, id: EndpointId) -> Result<Option<Versioned<Endpoint>>, StoreError>;

    /// Replaces or deletes a webhook endpoint, by compare-and-swap as a document is, with its line of the log.
    async fn commit_endpoint(&self, commit: &EndpointCommit) -> Result<(), StoreError>;

    /// Writes down an act that changes nothing in the store.
    async fn record_act(&self, act: &Act) -> Result<(), StoreError>;

    /// Acts that were written before the one at `before` (`None`: all), newest first, at most `limit`. An act's place is
    /// the order in which it was written, and is given once.
    async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError>;

    /// Adds to whom an account wrote; whoever is there already stays once. Several nodes add to the same hour.
    async fn add_written(&self, written: &Written) -> Result<(), StoreError>;

    /// To whom an account wrote since an hour, inclusive: the newest hour first, each recipient once per hour, in no order, at
    /// most `limit` recipients over all.
    async fn written(&self, portfolio: &str, since_hour: u32, limit: usize) -> Result<Vec<Written>, StoreError>;

    /// How much of the log is counted; `None`: nothing yet.
    async fn counted_through(&self) -> Result<Option<Place>, StoreError>;

    /// What was counted within `starts` (the end excluded), of one service or of all, in the order of times and in no order
    /// of groups.
    async fn tallies(&self, span: Span, starts: Range<u32>, service: Option<&ServiceName>) -> Result<Vec<TallyRow>, StoreError>;

    /// Replaces counts by compare-and-swap of how much of the log is in them. Counting a line twice, or never, takes two
    /// counters that both believed to be the only one: of two that expect the same place, one is written.
    async fn commit_tallies(&self, commit: TallyCommit) -> Result<(), StoreError>;

    /// Removes what is past keeping, at most `sweep.limit` rows; returns how many went. Less than the limit: nothing is left.
    /// Nothing else waits for it longer than for a commit; whoever dies in the middle of it leaves the rest to the next one.
    async fn sweep(&self, sweep: &Sweep) -> Result<usize, StoreError>;

    /// Erases what is kept about a recipient beside its document, at most `limit` rows; returns how many. Snapshots, handles,
    /// receipts that wait for its messages and remembered answers go; lines of the log become [`Entry::erased`]. To whom an
    /// account wrote stays until its hour is past keeping. Less than the limit: nothing is left, nor in what the store could
    /// still show of rows that it has deleted, as far as it can see to that itself. Doing it again is harmless.
    async fn erase(&self, key: &RecipientKey, limit: usize) -> Result<usize, StoreError>;

    /// What history keeps of a recipient behind `after`: verifications and then plain messages, each the oldest first.
    async fn history(&self, key: &RecipientKey, after: Option<SubjectId>, limit: usize) -> Result<Vec<Snapshot>, StoreError>;

    /// What is kept about a recipient beside its document and history, at most `limit` of each.
    async fn beside(&self, key: &RecipientKey, limit: usize) -> Result<Beside, StoreError>;

    /// The highest place of a line that a sweep took, because it was past everybody's keeping or, where a service is named, past
    /// the service's own: a reader who comes from a place before it may have missed something. `None`: none was taken yet.
    async fn swept(&self, service: Option<&ServiceName>) -> Result<Option<Place>, StoreError>;

    /// Whether several servers may work on it at once: then each asks before it does what one of them is to do.
    fn is_shared(&self) -> bool {
        true
    }

    /// Whether it can be written to right now.
    async fn ping(&self) -> Result<(), StoreError>;
}
