//! What is known of one message on its way? Facts that only accumulate, and the status that follows from them.

use crate::money::Money;
use crate::time::Timestamp;
use crate::verification::Sealed;

/// Longest `code` of a failure that is kept, in bytes.
pub const FAILURE_CODE_MAX: usize = 64;
/// Longest `detail` of a failure that is kept, in bytes.
pub const FAILURE_DETAIL_MAX: usize = 300;
/// Longest provider's message id that is kept, in bytes.
pub const PROVIDER_MESSAGE_ID_MAX: usize = 256;
/// How often a message may be tried again on its own route when it is certain that nothing was sent.
pub const RETRIES_MAX: u8 = 1;
/// After how many milliseconds without an answer a started call counts as unclear: longer than any provider's deadline.
pub const CALL_ANSWER_MS: u64 = 30_000;

/// Whom a failure keeps from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TripScope {
    /// Every sender of the account at the provider.
    Account,
    /// This sender.
    Sender,
    /// This template.
    Template,
    /// This account, for numbers of this country.
    Country,
}

/// What the router does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// Nothing was sent, and the same route may work a little later (milliseconds).
    RetryHere {
        /// How long to wait first.
        after_ms: u32,
    },
    /// As [`FailureClass::RetryHere`], because this sender was faster than its provider takes: it slows down.
    SlowDown {
        /// How long to wait first. Milliseconds.
        after_ms: u32,
    },
    /// This message cannot go this way: next route now.
    NextRoute,
    /// This recipient is not on this channel at all: next route now, and the next verification starts elsewhere.
    Unreachable,
    /// The template is not there in the language that was chosen: once more in its default language, else as
    /// [`FailureClass::TripBreaker`] of the template.
    OtherLanguage,
    /// Nobody can be reached this way for now: next route now, the breaker opens, and somebody must look at it.
    TripBreaker(TripScope),
    /// We asked for something wrong: next route now, and we must mend it.
    OurMistake,
    /// Nobody may go on in silence (the recipient's identity changed): no automatic fallback.
    NoFallback,
}

/// The code of a failure of ours: no byte of the call left the process.
pub const NOT_SENT: &str = "not_sent";
/// The code of a failure of ours: it was taken back before any call to the provider.
pub const WITHDRAWN: &str = "withdrawn";

/// A definite failure, in the provider's words cut to size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do next.
    pub class: FailureClass,
    /// The provider's code, or a word of ours such as `withdrawn`.
    pub code: Box<str>,
    /// What the provider said, for people. No number and no code is in it.
    pub detail: Box<str>,
}

impl Failure {
    /// A failure with its texts cut to their bounds, and without any digits in the detail that could be a number or a
    /// code: providers like to repeat what they were sent.
    #[must_use]
    pub fn new(class: FailureClass, code: &str, detail: &str) -> Self {
        let detail = without_long_digits(cut(detail, FAILURE_DETAIL_MAX));
        Self {
            class,
            code: cut(code, FAILURE_CODE_MAX).into(),
            detail: detail.into(),
        }
    }
}

/// A text in which every run of four or more digits is a star per digit. Codes have four digits at least.
fn without_long_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for run in text.split_inclusive(|c: char| !c.is_numeric()) {
        let (digits, rest) = match run.char_indices().next_back() {
            Some((at, last)) if !last.is_numeric() => run.split_at(at),
            _ => (run, ""),
        };
        let count = digits.chars().count();
        if count >= 4 {
            out.extend(std::iter::repeat_n('*', count));
        } else {
            out.push_str(digits);
        }
        out.push_str(rest);
    }
    out
}

/// The longest prefix of whole characters within `max` bytes.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// What a provider's answer to a send call told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider has it, under this id of its own.
    Accepted {
        /// The provider's message id.
        provider_message_id: Box<str>,
    },
    /// It will not arrive. With an id when the provider holds the message all the same.
    Failed {
        /// Why, and what to do.
        failure: Failure,
        /// The provider's message id, where it gave one: then something may have been sent.
        provider_message_id: Option<Box<str>>,
    },
    /// The provider may or may not have it.
    Unclear {
        /// What happened, for people.
        detail: Box<str>,
    },
}

/// A later fact about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    /// It left the provider.
    Sent,
    /// It is on the phone.
    Delivered,
    /// It was opened.
    Read,
    /// It will not arrive.
    Failed(Failure),
    /// The person who got it says that they asked for no code.
    Disowned,
}

/// What a receipt tells besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptFacts {
    /// What the message cost.
    pub price: Option<Money>,
    /// The identity of the recipient's account on the channel, sealed: another one means that somebody else may hold the number.
    pub identity: Option<Sealed>,
}

/// Statuses of a message as callers see them, in the order of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageStatus {
    /// Durable here, the provider has not answered yet.
    Queued,
    /// The provider may or may not have it.
    Unclear,
    /// The provider has it.
    Accepted,
    /// It left the provider.
    Sent,
    /// It will not arrive.
    Failed,
    /// It is on the phone.
    Delivered,
    /// It was opened.
    Read,
}

impl MessageStatus {
    /// The word for it in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Unclear => "unclear",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }
}

/// What a fact about a message is the first to tell: every message counts once, whichever facts come and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Firsts {
    /// That its provider has it.
    pub is_taken: bool,
    /// That it is on the phone.
    pub has_arrived: bool,
}

/// The facts about one message. Each is set once and stays; the status is the highest-ranking fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it became durable here.
    pub queued_at: Timestamp,
    /// The earliest moment for its (next) call to the provider.
    pub not_before: Timestamp,
    /// When a call to the provider was about to start: committed before the call. At most one call follows each claim.
    pub claimed_at: Option<Timestamp>,
    /// When the provider accepted it.
    pub accepted_at: Option<Timestamp>,
    /// When a call ended without telling whether the provider has it.
    pub unclear_at: Option<Timestamp>,
    /// When it left the provider.
    pub sent_at: Option<Timestamp>,
    /// When it arrived.
    pub delivered_at: Option<Timestamp>,
    /// When it was opened.
    pub read_at: Option<Timestamp>,
    /// When it definitely failed.
    pub failed_at: Option<Timestamp>,
    /// Why it failed: the first reason that was told.
    pub failure: Option<Failure>,
    /// The provider's name for it, as it was handed in: the engine seals it first, because a name may hold the number
    /// itself (Meta's do, in base 64).
    pub provider_message_id: Option<Box<str>>,
    /// Calls made again because nothing had been sent.
    pub retries: u8,
    /// When the person who got it said that they asked for no code.
    pub disowned_at: Option<Timestamp>,
    /// What it cost, once that is known.
    pub price: Option<Money>,
}

impl Delivery {
    /// Queued, to be sent at once.
    #[must_use]
    pub const fn queued(now: Timestamp) -> Self {
        Self {
            queued_at: now,
            not_before: now,
            claimed_at: None,
            accepted_at: None,
            unclear_at: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            failed_at: None,
            failure: None,
            provider_message_id: None,
            retries: 0,
            disowned_at: None,
            price: None,
        }
    }

    /// The highest-ranking fact: read, delivered, failed, sent, accepted, unclear, queued.
    #[must_use]
    pub const fn status(&self) -> MessageStatus {
        if self.read_at.is_some() {
            MessageStatus::Read
        } else if self.delivered_at.is_some() {
            MessageStatus::Delivered
        } else if self.failed_at.is_some() {
            MessageStatus::Failed
        } else if self.sent_at.is_some() {
            MessageStatus::Sent
        } else if self.accepted_at.is_some() {
            MessageStatus::Accepted
        } else if self.unclear_at.is_some() {
            MessageStatus::Unclear
        } else {
            MessageStatus::Queued
        }
    }

    /// What a fact that was just recorded is the first to tell.
    #[must_use]
    pub fn firsts(&self, recorded: MessageStatus) -> Firsts {
        let arrived = [self.delivered_at, self.read_at].into_iter().flatten().count();
        let taken = [self.accepted_at, self.sent_at].into_iter().flatten().count() + arrived;
        let (tells_arrived, tells_taken) = match recorded {
            MessageStatus::Delivered | MessageStatus::Read => (true, true),
            MessageStatus::Accepted | MessageStatus::Sent => (false, true),
            MessageStatus::Queued | MessageStatus::Unclear | MessageStatus::Failed => (false, false),
        };
        Firsts {
            is_taken: tells_taken && taken == 1,
            has_arrived: tells_arrived && arrived == 1,
        }
    }

    /// Whether it is on the phone.
    #[must_use]
    pub const fn has_arrived(&self) -> bool {
        self.delivered_at.is_some() || self.read_at.is_some()
    }

    /// Whether it definitely failed and nothing said otherwise since.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failed_at.is_some() && !self.has_arrived()
    }

    /// Whether the first reason that was told for its failure is of this class, whatever was told since.
    #[must_use]
    pub fn failed_with(&self, class: FailureClass) -> bool {
        self.failure.as_ref().is_some_and(|f| f.class == class)
    }

    /// Whether it was taken back before any call to the provider.
    #[must_use]
    pub fn was_withdrawn(&self) -> bool {
        self.failure.as_ref().is_some_and(|f| *f.code == *WITHDRAWN)
    }

    /// Whether it waits for its call to the provider: nothing started, nothing known.
    #[must_use]
    pub const fn waits_for_call(&self) -> bool {
        self.claimed_at.is_none() && matches!(self.status(), MessageStatus::Queued)
    }

    /// When a started call without an answer counts as unclear; `None` when there is no such call.
    #[must_use]
    pub const fn answer_due(&self) -> Option<Timestamp> {
        match self.claimed_at {
            Some(at) if matches!(self.status(), MessageStatus::Queued) => Some(at.plus_millis(CALL_ANSWER_MS)),
            _ => None,
        }
    }

    /// Records a receipt; `false` when it was already known.
    pub fn record(&mut self, kind: &ReceiptKind, now: Timestamp) -> bool {
        let fact = match kind {
            ReceiptKind::Sent => &mut self.sent_at,
            ReceiptKind::Delivered => &mut self.delivered_at,
            ReceiptKind::Read => &mut self.read_at,
            ReceiptKind::Failed(failure) => {
                if self.failed_at.is_none() {
                    self.failure = Some(failure.clone());
                }
                &mut self.failed_at
            }
            ReceiptKind::Disowned => &mut self.disowned_at,
        };
        let new = fact.is_none();
        fact.get_or_insert(now);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_repeats_is_starred_out() {
        let told = |detail| Failure::new(FailureClass::NextRoute, "21211", detail).detail.into_string();
        assert_eq!(
            told("The 'To' number +31611398058 is not valid."),
            "The 'To' number +*********** is not valid."
        );
        assert_eq!(told("482913"), "******");
        assert_eq!(
            told("part 2 of 10, 99% of \u{0661}\u{0662}\u{0663}\u{0664}"),
            "part 2 of 10, 99% of ****"
        );
        assert_eq!(told(""), "");
    }
}
