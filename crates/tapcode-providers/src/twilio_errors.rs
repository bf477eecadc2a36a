//! What does the router do about an error of Twilio's? One table for answers and for status callbacks.
//!
//! Codes are Twilio's ([`SOURCE`]); what to do about each is ours. A row that is not `confirmed` is from memory: check its
//! page (`https://www.twilio.com/docs/api/errors/<code>`) before relying on it.

use tapcode_core::delivery::{Failure, FailureClass, TripScope};
use tapcode_engine::contract::provider::Source;

use crate::vendor_text::meaning_and_words;

/// Where the confirmed codes were read.
pub const SOURCE: Source = Source {
    url: "https://www.twilio.com/docs/api/errors",
    read: "2026-11-22",
};

/// After how many milliseconds a send that met the rate limit is tried again.
pub const RATE_LIMITED_MS: u32 = 1_000;

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The code.
    pub code: u32,
    /// What it means, for people.
    pub meaning: &'static str,
    /// What the router does.
    pub class: FailureClass,
    /// Whether the meaning was read at [`SOURCE`] or in Twilio's own libraries; otherwise it is from memory.
    pub confirmed: bool,
}

const fn read(code: u32, class: FailureClass, meaning: &'static str) -> ErrorRow {
    ErrorRow {
        code,
        meaning,
        class,
        confirmed: true,
    }
}

const fn recalled(code: u32, class: FailureClass, meaning: &'static str) -> ErrorRow {
    ErrorRow {
        code,
        meaning,
        class,
        confirmed: false,
    }
}

const NEXT: FailureClass = FailureClass::NextRoute;
const TRIP: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
const UNREACHABLE: FailureClass = FailureClass::Unreachable;
const OURS: FailureClass = FailureClass::OurMistake;
const LIMITED: FailureClass = FailureClass::RetryHere {
    after_ms: RATE_LIMITED_MS,
};

/// The table, by code.
pub const TABLE: &[ErrorRow] = &[
    recalled(20_003, ACCOUNT, "the account or its token is not right"),
    recalled(20_005, ACCOUNT, "the account is not active"),
    read(20_404, ACCOUNT, "there is no such resource: is the account SID right?"),
    read(20_429, LIMITED, "too many requests at once"),
    recalled(21_211, NEXT, "the recipient's number is not valid"),
    recalled(21_212, TRIP, "the sender's number is not valid"),
    recalled(
        21_408,
        FailureClass::TripBreaker(TripScope::Country),
        "messages to this country are switched off for the account",
    ),
    recalled(21_602, OURS, "the text is missing"),
    recalled(21_603, OURS, "the sender is missing"),
    recalled(21_604, OURS, "the recipient is missing"),
    recalled(21_606, TRIP, "the sender's number cannot send messages"),
    recalled(21_608, NEXT, "a trial account may not send to this number"),
    recalled(21_610, NEXT, "the recipient has opted out"),
    recalled(21_611, LIMITED, "the sender's queue is full"),
    recalled(21_612, NEXT, "this sender does not reach this recipient"),
    recalled(21_614, UNREACHABLE, "the recipient's number is not a mobile number"),
    recalled(21_617, OURS, "the text is longer than 1,600 characters"),
    read(21_635, UNREACHABLE, "the recipient's number is a landline"),
    recalled(21_659, TRIP, "the sender is not a number of this account"),
    recalled(21_660, TRIP, "the sender's number belongs to another account"),
    recalled(21_703, TRIP, "the messaging service has no sender"),
    recalled(21_705, TRIP, "the messaging service is not valid"),
    recalled(30_001, LIMITED, "the sender's queue is full"),
    recalled(30_002, ACCOUNT, "the account is suspended"),
    read(30_003, NEXT, "the handset is unreachable"),
    recalled(30_004, NEXT, "the message was blocked"),
    recalled(30_005, UNREACHABLE, "the handset is unknown"),
    read(30_006, UNREACHABLE, "a landline, or an unreachable carrier"),
    recalled(30_007, NEXT, "the carrier filtered the message"),
    recalled(30_008, NEXT, "unknown error"),
    recalled(30_010, NEXT, "the message costs more than allowed"),
    recalled(30_032, TRIP, "the toll-free number is not verified"),
    recalled(30_034, TRIP, "the sender is not registered for 10DLC"),
    recalled(30_410, NEXT, "the provider behind Twilio did not answer in time"),
];

/// The row for a code.
#[must_use]
pub fn find(code: u32) -> Option<&'static ErrorRow> {
    TABLE.iter().find(|row| row.code == code)
}

/// The failure that an answer to a send call tells; `None` for a code that is not in the table. `words` are Twilio's own.
#[must_use]
pub fn answered(code: u32, words: &str) -> Option<Failure> {
    find(code).map(|row| Failure::new(row.class, &code.to_string(), &meaning_and_words(row.meaning, words)))
}

/// The failure that a status callback tells. The message was accepted and this attempt is used up, so that what would be
/// tried again on the same route goes to the next one, and so does a code that is not in the table.
#[must_use]
pub fn reported(code: u32) -> Failure {
    let (class, meaning) = match find(code) {
        Some(ErrorRow {
            class: FailureClass::RetryHere { .. },
            meaning,
            ..
        }) => (NEXT, *meaning),
        Some(row) => (row.class, row.meaning),
        None => (NEXT, "an error that is not in our table"),
    };
    Failure::new(class, &code.to_string(), meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_row() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    #[test]
    fn what_is_wrong_with_one_recipient_says_nothing_about_the_sender() {
        for code in [21_211, 21_610, 30_003, 30_007, 30_008] {
            assert_eq!(reported(code).class, FailureClass::NextRoute, "{code}");
        }
        for code in [21_614, 21_635, 30_005, 30_006] {
            assert_eq!(reported(code).class, FailureClass::Unreachable, "{code}");
        }
        let trips = [
            (20_003, TripScope::Account),
            (30_034, TripScope::Sender),
            (21_408, TripScope::Country),
        ];
        for (code, scope) in trips {
            assert_eq!(reported(code).class, FailureClass::TripBreaker(scope), "{code}");
        }
    }

    #[test]
    fn only_an_answer_may_ask_for_another_try() {
        assert_eq!(
            answered(20_429, "").unwrap().class,
            FailureClass::RetryHere {
                after_ms: RATE_LIMITED_MS
            }
        );
        for code in TABLE.iter().map(|row| row.code).chain([1]) {
            assert!(!matches!(reported(code).class, FailureClass::RetryHere { .. }), "{code}");
        }
        assert_eq!(answered(1, "Odd"), None);
    }
}
