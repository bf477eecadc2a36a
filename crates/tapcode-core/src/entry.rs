//! What happened, what was decided, and why? One entry per input and verification: the log that everything else reads.

use crate::delivery::{Failure, Firsts, MessageStatus, SendOutcome};
use crate::id::{EventId, ID_BYTES, MessageId, VerificationId};
use crate::money::Money;
use crate::number::{Country, Masked};
use crate::plan::{Channel, Route, Skip};
use crate::recipient::Scope;
use crate::time::Timestamp;
use crate::verification::{ClientHints, Purpose, Status};

/// Bytes of an id that tell when it was made.
const ID_TIME_BYTES: usize = 6;

/// An input as it is remembered: what reached us, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputRecord {
    /// A caller began a verification, or asked again for a pending one.
    Begin,
    /// A caller asked for another message.
    Resend {
        /// The channel that was asked for.
        channel: Option<Channel>,
    },
    /// A caller submitted a code.
    Check,
    /// A caller gave up.
    Cancel,
    /// A caller sent a plain message.
    SendMessage,
    /// A provider answered a send call.
    Outcome {
        /// For which message.
        message: MessageId,
        /// What it said, in one word: `accepted`, `failed` or `unclear`.
        said: &'static str,
    },
    /// A provider told of a message.
    Receipt {
        /// Of which message.
        message: MessageId,
        /// What it told.
        status: MessageStatus,
    },
    /// Time passed.
    Tick,
    /// An operator lifted a lock.
    Unlock,
    /// The person who got a message pressed that they asked for no code.
    Disowned {
        /// Which message.
        message: MessageId,
    },
}

impl InputRecord {
    pub(crate) const fn outcome_word(outcome: &SendOutcome) -> &'static str {
        match outcome {
            SendOutcome::Accepted { .. } => "accepted",
            SendOutcome::Failed { .. } => "failed",
            SendOutcome::Unclear { .. } => "unclear",
        }
    }
}

/// Which message is spoken of, and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// The message.
    pub id: MessageId,
    /// Its route.
    pub route: Route,
}

/// Why a message was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendCause {
    /// The verification began.
    Begun,
    /// The caller asked for it.
    Requested,
    /// The message before it definitely failed.
    FellBackOnFailure,
    /// The message before it was neither delivered nor read within its wait, in milliseconds.
    FellBackOnSilence {
        /// How long was waited.
        waited_ms: u64,
    },
    /// A caller sent it as a plain message.
    Plain,
}

/// Why there is no automatic fallback although one was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFallback {
    /// The hourly limit of the number is used up.
    HourlyLimit,
    /// The failure asks for a person's decision.
    FailureForbids,
}

/// Why the domain says no. An answer of a working system, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such verification here.
    UnknownVerification,
    /// The last request to send is too recent.
    ResendTooSoon {
        /// When it is no longer.
        retry_at: Timestamp,
    },
    /// The number had its messages for this hour.
    HourlyLimit {
        /// When there is room for one more.
        retry_at: Timestamp,
    },
    /// Too many failed checks in a row.
    Locked {
        /// Until when; `None`: until an operator lifts it.
        until: Option<Timestamp>,
    },
    /// The verification has ended.
    NotPending {
        /// How.
        status: Status,
    },
    /// One with another code is pending for this number and purpose.
    PendingWithOtherCode,
    /// One with another binding is pending for this number and purpose.
    PendingWithOtherBinding,
    /// The plan has no step on this channel.
    ChannelNotInPlan,
    /// The number has failed checks for too many purposes.
    TooManyPurposes,
    /// Too many verifications of this number are pending at once.
    TooManyPending,
    /// The number is being erased: in a moment it can be written to again.
    ErasureUnderWay,
    /// Too many plain messages to this number within an hour.
    TooManyMessages {
        /// When there is room for one more.
        retry_at: Timestamp,
    },
}

/// Why a check was not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckReason {
    /// Another code.
    IncorrectCode,
    /// The right time has passed.
    Expired,
    /// No guess is left, or the number is locked.
    TooManyChecks,
    /// The code was used before.
    AlreadyUsed,
    /// The verification was given up.
    Canceled,
    /// Another transaction than the one the code is bound to.
    BindingMismatch,
}

impl CheckReason {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IncorrectCode => "incorrect_code",
            Self::Expired => "expired",
            Self::TooManyChecks => "too_many_checks",
            Self::AlreadyUsed => "already_used",
            Self::Canceled => "canceled",
            Self::BindingMismatch => "binding_mismatch",
        }
    }
}

/// One thing that was decided or learned in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A verification began.
    Began {
        /// When it ends at the latest.
        expires_at: Timestamp,
    },
    /// A message was queued.
    Queued {
        /// Which.
        message: MessageRef,
        /// Why.
        cause: SendCause,
    },
    /// A call to the provider is about to start.
    Claimed {
        /// For which message.
        message: MessageRef,
    },
    /// The call is made again later, because nothing was sent.
    RetryAt {
        /// Which message.
        message: MessageRef,
        /// Not before.
        at: Timestamp,
        /// What the provider said.
        failure: Failure,
    },
    /// A message reached a new status.
    Message {
        /// Which.
        message: MessageRef,
        /// The new fact: accepted, unclear, sent, failed, delivered or read.
        status: MessageStatus,
        /// Milliseconds since it was queued.
        after_ms: u64,
        /// Why, where it failed.
        failure: Option<Failure>,
        /// What no fact about it told before.
        firsts: Firsts,
    },
    /// A receipt told what was known.
    ReceiptRepeated {
        /// Of which message.
        message: MessageRef,
        /// What it told.
        status: MessageStatus,
    },
    /// A queued message was taken back before any call started.
    Withdrawn {
        /// Which.
        message: MessageRef,
    },
    /// A fallback was due and is not made.
    NoFallback(NoFallback),
    /// A sender, or our own request, needs somebody's eye.
    Alert {
        /// On which route.
        route: Route,
        /// What the provider said.
        failure: Failure,
    },
    /// A check was not right, and was counted.
    CheckFailed {
        /// Why.
        reason: CheckReason,
        /// Guesses left.
        checks_left: u16,
    },
    /// A check was not evaluated.
    CheckNotEvaluated {
        /// Why.
        reason: CheckReason,
    },
    /// The verification reached its end.
    Ended {
        /// How.
        status: Status,
        /// Milliseconds since it began.
        after_ms: u64,
        /// The channel of the message that most likely brought the code: the last one that arrived, else the last one.
        channel: Option<Channel>,
        /// Whose API carried that message. `None` in lines of releases that did not write it down.
        provider: Option<Box<str>>,
    },
    /// The number was locked.
    Locked {
        /// Until when; `None`: until an operator lifts it.
        until: Option<Timestamp>,
    },
    /// An operator lifted the lock.
    Unlocked,
    /// The request was refused.
    Refused(Refusal),
    /// A route of the plan was passed over.
    Skipped {
        /// Which.
        route: Route,
        /// Why.
        skip: Skip,
    },
    /// Every route that is left has a reason to be passed over, so that the first of them is taken all the same.
    NoneOpen {
        /// The one that is taken.
        route: Route,
        /// Why it would have been passed over.
        skip: Skip,
    },
    /// It was learned whether the number is on a channel.
    ReachLearned {
        /// Which channel.
        channel: Channel,
        /// Whether the number is on it.
        is_on: bool,
    },
    /// The language of a message's template was chosen.
    LanguageChosen {
        /// Of which message.
        message: MessageRef,
        /// The language, as the provider writes it.
        language: Box<str>,
    },
    /// What a message cost became known.
    Priced {
        /// Which message.
        message: MessageRef,
        /// How much.
        price: Money,
    },
    /// The person who got a message says that they asked for no code.
    Disowned {
        /// Which message.
        message: MessageRef,
    },
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its own id; the announcements made from it count up from it.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub scope: Scope,
    /// The number, as it is shown.
    pub masked: Masked,
    /// The number's country.
    pub country: Country,
    /// The verification it is about.
    pub verification: Option<VerificationId>,
    /// The plain message it is about.
    pub message: Option<MessageId>,
    /// What the verification is for.
    pub purpose: Option<Purpose>,
    /// The caller's own pairs.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// Hints about the user's device.
    pub client: Option<Box<ClientHints>>,
    /// What reached us.
    pub input: InputRecord,
    /// What followed.
    pub decisions: Vec<Decision>,
}

impl Entry {
    /// Whether it is about a number that was erased: then it is there for counts, and nobody is told of it.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.masked.is_erased()
    }

    /// What is left when the number is erased: what happened, when, over which way and at which price. Gone are the number, ids
    /// of whatever others may have written down beside it, the caller's own pairs, hints, and what providers said in words.
    #[must_use]
    pub fn erased(self) -> Self {
        let nobody = MessageId::from_bytes([0; ID_BYTES]);
        let input = match self.input {
            InputRecord::Outcome { said, .. } => InputRecord::Outcome { message: nobody, said },
            InputRecord::Receipt { status, .. } => InputRecord::Receipt { message: nobody, status },
            InputRecord::Disowned { .. } => InputRecord::Disowned { message: nobody },
            other @ (InputRecord::Begin
            | InputRecord::Resend { .. }
            | InputRecord::Check
            | InputRecord::Cancel
            | InputRecord::SendMessage
            | InputRecord::Tick
            | InputRecord::Unlock) => other,
        };
        let mut id = [0; ID_BYTES];
        id[..ID_TIME_BYTES].copy_from_slice(&self.id.as_bytes()[..ID_TIME_BYTES]);
        Self {
            id: EventId::from_bytes(id),
            at: self.at,
            scope: self.scope,
            masked: Masked::erased(),
            country: self.country,
            verification: None,
            message: None,
            purpose: self.purpose,
            metadata: Vec::new(),
            client: None,
            input,
            decisions: self.decisions.into_iter().map(Decision::erased).collect(),
        }
    }
}

impl Decision {
    fn erased(mut self) -> Self {
        let message = match &mut self {
            Self::Queued { message, .. }
            | Self::Claimed { message }
            | Self::RetryAt { message, .. }
            | Self::Message { message, .. }
            | Self::ReceiptRepeated { message, .. }
            | Self::Withdrawn { message }
            | Self::LanguageChosen { message, .. }
            | Self::Priced { message, .. }
            | Self::Disowned { message } => Some(message),
            Self::Began { .. }
            | Self::NoFallback(_)
            | Self::Alert { .. }
            | Self::CheckFailed { .. }
            | Self::CheckNotEvaluated { .. }
            | Self::Ended { .. }
            | Self::Locked { .. }
            | Self::Unlocked
            | Self::Refused(_)
            | Self::Skipped { .. }
            | Self::NoneOpen { .. }
            | Self::ReachLearned { .. } => None,
        };
        if let Some(message) = message {
            message.id = MessageId::from_bytes([0; ID_BYTES]);
        }
        if let Self::RetryAt { failure, .. }
        | Self::Message {
            failure: Some(failure), ..
        }
        | Self::Alert { failure, .. } = &mut self
        {
            failure.detail = Box::default();
        }
        self
    }
}
