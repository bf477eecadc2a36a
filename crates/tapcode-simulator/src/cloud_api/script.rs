//! What happens to a WhatsApp message: which answer, and which receipts afterwards?

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
    /// 200, `message_status: accepted`.
    #[default]
    Accept,
    /// 200, `message_status: held_for_quality_assessment`: pacing.
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-pacing> (read 2026-11-22)
    AcceptHeld,
    /// 200, `message_status: paused`. Same source.
    AcceptPaused,
    /// Meta's error envelope.
    Error {
        /// The HTTP status.
        http: u16,
        /// `error.code`.
        code: u32,
        /// `error.error_subcode`.
        subcode: Option<u32>,
    },
    /// Something breaks.
    Fault(Fault),
}

/// What a status webhook says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// On its way to the phone.
    Sent,
    /// On the phone.
    Delivered,
    /// Seen. Sent only by people who have read receipts on; implies delivered.
    Read,
    /// Not delivered, for the reason `code`.
    Failed {
        /// `errors[0].code`.
        code: u32,
    },
}

/// One receipt of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptStep {
    /// What it says.
    pub status: Status,
    /// When: counted from the answer (or the break), or from the reading of the request if `early`.
    /// Steps due at the same time are sent one after another, in the order of the script.
    pub after: Duration,
    /// How often the same webhook is sent, byte for byte. 1 is once.
    pub times: u16,
    /// How it is signed.
    pub signing: Signing,
    /// It speaks, correctly signed, of another phone number id: an app may serve several.
    pub foreign: bool,
    /// It is sent, and its answer awaited, before the send is answered.
    pub early: bool,
    /// `biz_opaque_callback_data` is left out.
    pub without_callback_data: bool,
    /// It travels in the same webhook as the step before it, whose time and options hold.
    pub with_previous: bool,
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

    /// Accepted, then 131026: not on WhatsApp. There is no way to learn this before sending.
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes> (read 2026-11-22)
    #[must_use]
    pub fn not_on_whatsapp() -> Self {
        Self::silent().then(ReceiptStep::failed(131_026))
    }

    /// Accepted but held back, and nothing is heard afterwards.
    #[must_use]
    pub fn held() -> Self {
        Self {
            answer: Answer::AcceptHeld,
            ..Self::default()
        }
    }

    /// Refused.
    #[must_use]
    pub fn error(http: u16, code: u32) -> Self {
        Self {
            answer: Answer::Error {
                http,
                code,
                subcode: None,
            },
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
            without_callback_data: false,
            with_previous: false,
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

    /// `read`
    #[must_use]
    pub fn read() -> Self {
        Self::new(Status::Read)
    }

    /// `failed` with this code.
    #[must_use]
    pub fn failed(code: u32) -> Self {
        Self::new(Status::Failed { code })
    }

    /// Whether it says that the message is on the phone.
    pub(super) fn arrives(&self) -> bool {
        matches!(self.status, Status::Delivered | Status::Read)
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

    /// About another phone number id.
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

    /// Without `biz_opaque_callback_data`.
    #[must_use]
    pub fn without_callback_data(mut self) -> Self {
        self.without_callback_data = true;
        self
    }

    /// In one webhook with the step before.
    #[must_use]
    pub fn with_previous(mut self) -> Self {
        self.with_previous = true;
        self
    }
}
