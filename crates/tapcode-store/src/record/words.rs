//! Which number stands for which word of a closed set in records and columns? A number is given once and for ever.

use tapcode_core::account::{ButtonKind, Quality, TemplateStatus};
use tapcode_core::audit::Deed;
use tapcode_core::code::Alphabet;
use tapcode_core::delivery::MessageStatus;
use tapcode_core::endpoint::{Unanswered, WhyDisabled};
use tapcode_core::entry::{CheckReason, NoFallback};
use tapcode_core::plan::{Channel, SkipReason};
use tapcode_core::recipient::Mode;
use tapcode_core::verification::{Platform, Status};
use tapcode_engine::contract::store::Right;

use crate::record::Unreadable;

/// A word of a closed set.
pub(crate) trait Word: Copy {
    /// Its number.
    fn number(self) -> u8;

    /// The word that a number stands for.
    fn from_number(number: u8) -> Result<Self, Unreadable>;
}

macro_rules! words {
    ($type:ident, $what:literal, $($variant:ident = $number:literal),+) => {
        impl Word for $type {
            fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)+
                }
            }

            fn from_number(number: u8) -> Result<Self, Unreadable> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(Unreadable::Number($what, number)),
                }
            }
        }
    };
}

words!(Mode, "mode", Live = 1, Test = 2);
words!(Channel, "channel", Whatsapp = 1, Sms = 2);
words!(Alphabet, "alphabet", Digits = 1, Alphanumeric = 2);
words!(Platform, "platform", Android = 1, Ios = 2, Web = 3);
words!(Right, "right", Verify = 1, Messages = 2, Read = 3, Admin = 4);
words!(
    Deed,
    "act of an administrator",
    KeyCreated = 1,
    KeyRevoked = 2,
    EndpointCreated = 3,
    EndpointSecretRotated = 4,
    EndpointReplayed = 5,
    EndpointEnabled = 6,
    EndpointDeleted = 7,
    TemplateSubmitted = 8,
    TemplateDeleted = 9,
    RecipientUnlocked = 10,
    RecipientErased = 11,
    RecipientExported = 12
);
words!(NoFallback, "reason without fallback", HourlyLimit = 1, FailureForbids = 2);
words!(
    SkipReason,
    "reason to pass a route over",
    NotOnChannel = 1,
    Breaker = 2,
    Template = 3,
    MessagingLimit = 4,
    TooSoon = 5,
    Country = 6,
    Sender = 7,
    SenderCountries = 8,
    Landline = 9
);
words!(
    TemplateStatus,
    "status of a template",
    Pending = 1,
    Approved = 2,
    Rejected = 3,
    InAppeal = 4,
    Paused = 5,
    Disabled = 6,
    PendingDeletion = 7,
    Deleted = 8,
    Archived = 9,
    Unusable = 10
);
words!(WhyDisabled, "reason of a disabled endpoint", Gone = 1, Failing = 2);
words!(
    Unanswered,
    "reason without an answer",
    NoConnection = 1,
    Broken = 2,
    Forbidden = 3
);
words!(Quality, "quality", Unknown = 1, Green = 2, Yellow = 3, Red = 4);
words!(ButtonKind, "button", CopyCode = 1, OneTap = 2, ZeroTap = 3);
words!(
    Status,
    "status of a verification",
    Pending = 1,
    Approved = 2,
    Expired = 3,
    Canceled = 4,
    MaxChecksReached = 5,
    Failed = 6,
    Blocked = 7
);
words!(
    MessageStatus,
    "status of a message",
    Queued = 1,
    Unclear = 2,
    Accepted = 3,
    Sent = 4,
    Failed = 5,
    Delivered = 6,
    Read = 7
);
words!(
    CheckReason,
    "reason of a check",
    IncorrectCode = 1,
    Expired = 2,
    TooManyChecks = 3,
    AlreadyUsed = 4,
    Canceled = 5,
    BindingMismatch = 6
);

/// The words that [`tapcode_core::entry::InputRecord::Outcome`] has for what a provider said, by their numbers from 1 on.
const SAID: [&str; 3] = ["accepted", "failed", "unclear"];

/// The number of what a provider said; 0 for a word that is not known here.
pub(crate) fn said_number(said: &str) -> u8 {
    SAID.iter()
        .position(|word| *word == said)
        .and_then(|at| u8::try_from(at + 1).ok())
        .unwrap_or(0)
}

/// What a provider said.
pub(crate) fn said(number: u8) -> Result<&'static str, Unreadable> {
    let at = usize::from(number).checked_sub(1);
    at.and_then(|at| SAID.get(at))
        .copied()
        .ok_or(Unreadable::Number("word of a provider", number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_other_numbers_are_refused() {
        fn all<T: Word + PartialEq + std::fmt::Debug>(count: u8) {
            for number in 1..=count {
                assert_eq!(T::from_number(number).unwrap().number(), number);
            }
            assert!(T::from_number(0).is_err());
            assert!(T::from_number(count + 1).is_err(), "a new word needs its place in this test");
        }
        all::<Mode>(2);
        all::<Channel>(2);
        all::<Alphabet>(2);
        all::<Platform>(3);
        all::<Right>(4);
        all::<NoFallback>(2);
        all::<Status>(7);
        all::<MessageStatus>(7);
        all::<CheckReason>(6);
        all::<WhyDisabled>(2);
        all::<Unanswered>(3);
        for (number, word) in (1..).zip(SAID) {
            assert_eq!((said_number(word), said(number)), (number, Ok(word)));
        }
        assert!(said(0).is_err() && said(4).is_err());
    }
}
