//! What happens to an SMS: which answer, and which callbacks afterwards?

use crate::{Fault, Signing};
use std::time::Duration;

/// The fate of one message.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Script {
    /// The answer to the send.
    pub answer: Answer,
    /// How long the answer is held back once the request was read and its early receipts were sent.
    pub answer_delay: Duration,
    /// The receipts, if a message came to exist: there are none after [`Answer::Error`] and [`Fault::CloseBeforeRead`].
    pub receipts: Vec<ReceiptStep>,
}

/// The answer to a send that is in order. (A send that is not in order gets the error it deserves, whatever the script.)
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Answer {
    /// 201, `queued` (`accepted` with a messaging service).
    #[default]
    Accept,
    /// Twilio's error document.
    Error {
        /// The HTTP status.
        http: u16,
        /// `code`
        code: u32,
    },
    /// Something breaks.
    Fault(Fault),
}

/// What a callback says about a message.
/// <https://www.twilio.com/docs/messaging/api/message-resource#message-status-values> (read 2026-11-22)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `queued`
    Queued,
    /// `sending`
    Sending,
    /// `sent`: the carrier has it.
    Sent,
    /// `delivered`
    Delivered,
    /// `undelivered`: the carrier says no, with `ErrorCode`.
    Undelivered {
        /// Such as 30003, 30006.
        code: u32,
    },
    /// `failed`: it could not be sent, with `ErrorCode`.
    Failed {
        /// Such as 30034.
        code: u32,
    },
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered { .. } => "undelivered",
            Self::Failed { .. } => "failed",
        }
    }

    pub(super) fn code(self) -> Option<u32> {
        match self {
            Self::Undelivered { code } | Self::Failed { code } => Some(code),
            Self::Queued | Self::Sending | Self::Sent | Self::Delivered => None,
        }
    }
}

/// One receipt of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptStep {
    /// What it says.
    pub status: Status,
    /// When: counted from the answer (or the break), or from the reading of the request if `early`.
    /// Steps due at the same time are sent one after another, in the order of the script.
    pub after: Duration,
    /// How often the same callback is sent. 1 is once.
    pub times: u16,
    /// How it is signed.
    pub signing: Signing,
    /// It speaks, correctly signed, of another account and another message.
    pub foreign: bool,
    /// It is sent, and its answer awaited, before the send is answered.
    pub early: bool,
}

impl Script {
    /// Accepted, and nothing is heard afterwards.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }

    /// Accepted, `sent`, `delivered`.
    #[must_use]
    pub fn delivered() -> Self {
        Self::silent().then(ReceiptStep::sent()).then(ReceiptStep::delivered())
    }

    /// Refused.
    #[must_use]
    pub fn error(http: u16, code: u32) -> Self {
        Self {
            answer: Answer::Error { http, code },
            ..Self::default()
        }
    }

    /// Broken.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self {
            answer: Answer::Fault(fault),
            ..Self::default()
        }
    }

    /// Holds the answer back.
    #[must_use]
    pub fn answered_after(mut self, delay: Duration) -> Self {
        self.answer_delay = delay;
        self
    }

    /// Adds a receipt.
    #[must_use]
    pub fn then(mut self, step: ReceiptStep) -> Self {
        self.receipts.push(step);
        self
    }
}

impl ReceiptStep {
    /// A receipt, at once, once, properly signed.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self {
            status,
            after: Duration::ZERO,
            times: 1,
            signing: Signing::Proper,
            foreign: false,
            early: false,
        }
    }

    /// `sent`
    #[must_use]
    pub fn sent() -> Self {
        Self::new(Status::Sent)
    }

    /// `delivered`
    #[must_use]
    pub fn delivered() -> Self {
        Self::new(Status::Delivered)
    }

    /// `undelivered` with this code.
    #[must_use]
    pub fn undelivered(code: u32) -> Self {
        Self::new(Status::Undelivered { code })
    }

    /// `failed` with this code.
    #[must_use]
    pub fn failed(code: u32) -> Self {
        Self::new(Status::Failed { code })
    }

    /// Sets [`ReceiptStep::after`].
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// Sets [`ReceiptStep::times`].
    #[must_use]
    pub fn times(mut self, times: u16) -> Self {
        self.times = times;
        self
    }

    /// Signed with a wrong key.
    #[must_use]
    pub fn forged(mut self) -> Self {
        self.signing = Signing::Forged;
        self
    }

    /// Not signed.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.signing = Signing::Missing;
        self
    }

    /// About another account's message.
    #[must_use]
    pub fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// Before the answer to the send.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }
}
