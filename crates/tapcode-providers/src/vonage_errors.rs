//! What do Vonage's codes mean, in all of its tables? What to do about them is ours.

use tapcode_core::delivery::{Failure, FailureClass, TripScope};

use crate::vendor_text::{for_people, meaning_and_words};

/// After how many milliseconds a send that met a limit is tried again. Vonage names no time: *unconfirmed*.
const AGAIN_MS: u32 = 1_000;

pub(crate) const NEXT: FailureClass = FailureClass::NextRoute;
pub(crate) const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
pub(crate) const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
pub(crate) const AGAIN: FailureClass = FailureClass::RetryHere { after_ms: AGAIN_MS };
const OURS: FailureClass = FailureClass::OurMistake;
const GONE: FailureClass = FailureClass::Unreachable;

/// What to do, and why.
pub(crate) type Meaning = (FailureClass, &'static str);

const CREDENTIALS: Meaning = (ACCOUNT, "the API key and its secret are not valid, or may not send");
const OUT_OF_CREDIT: Meaning = (ACCOUNT, "the account is out of credit");
const SUSPENDED: Meaning = (ACCOUNT, "the account is suspended");
const THROTTLED: Meaning = (AGAIN, "too many messages at once");
const WRONG: Meaning = (OURS, "the request is not what the API takes");
const BAD_SENDER: Meaning = (SENDER, "the sender is not one that may send here");
const BARRED: Meaning = (NEXT, "the number is barred");
const NO_NUMBER: Meaning = (NEXT, "no SMS can be sent to this number");
const NOT_ALLOWED: Meaning = (ACCOUNT, "the account may write to numbers on its list only");
const ABSENT: Meaning = (NEXT, "the phone is switched off or out of reach");
const NOBODY: Meaning = (GONE, "the number is no longer in use");
const PORTABILITY: Meaning = (NEXT, "trouble after the number changed its carrier");
const SPAM: Meaning = (NEXT, "the carrier takes it for spam");
const NETWORK: Meaning = (NEXT, "trouble in the network");
const STOPPED: Meaning = (NEXT, "the recipient has told this sender to stop");
const NO_ROUTE: Meaning = (NEXT, "no route to this number");
const CARRIER: Meaning = (NEXT, "the carrier delivers nothing to this number for now");

/// A code of the Messages API (`messages-olympus.md` of the manifest's sources) or a word of the general errors; `None` where it
/// is not in our table, or says nothing about whether a message went out.
pub(crate) fn messages(code: &str) -> Option<Meaning> {
    Some(match code {
        "low-balance" | "1070" => OUT_OF_CREDIT,
        "unauthorized" | "forbidden" | "unprovisioned" | "jwt-expired" | "jwt-revoked" | "invalid-api-key"
        | "invalid-signature" | "1080" | "1110" | "1140" => CREDENTIALS,
        "account-suspended" | "1060" => SUSPENDED,
        "not-found" => (SENDER, "there is no such thing at this address: is base_url right?"),
        "throttled" | "1000" | "1241" => THROTTLED,
        "invalid-params" | "1010" | "1020" | "1021" | "1022" | "1090" | "1130" | "1150" => WRONG,
        "1040" | "1170" | "1430" => NO_NUMBER,
        "1050" => BARRED,
        "1100" => (NEXT, "it was not handed on, because a connection was lost"),
        "1120" => BAD_SENDER,
        "1160" => NOT_ALLOWED,
        "1180" | "1220" => ABSENT,
        "1190" | "1300" => NOBODY,
        "1200" => PORTABILITY,
        "1210" => SPAM,
        "1230" => NETWORK,
        "1240" => STOPPED,
        "1250" | "1260" => NO_ROUTE,
        "1270" | "1280" | "1290" | "1310" => CARRIER,
        "1360" => (NEXT, "it was not delivered in time"),
        _ => return None,
    })
}

/// Codes of the Messages API that say nothing about whether a message went out: an internal error, and one that was sent already.
pub(crate) fn may_be_sent(code: &str) -> bool {
    matches!(code, "1030" | "1320" | "1330")
}

/// A `status` of the SMS API that is not 0; `None` for those that say nothing about whether a message went out. 22 and up are
/// from the API's specification, of which only the numbers were read: what 33 means is *unconfirmed*.
pub(crate) fn sms(status: &str) -> Option<Meaning> {
    Some(match status {
        "1" | "10" => THROTTLED,
        "2" | "3" | "12" | "22" | "23" => WRONG,
        "4" | "11" | "14" | "32" => CREDENTIALS,
        "6" | "33" => NO_NUMBER,
        "7" => BARRED,
        "8" => SUSPENDED,
        "9" => OUT_OF_CREDIT,
        "15" => BAD_SENDER,
        "29" => NOT_ALLOWED,
        _ => return None,
    })
}

/// An `err-code` of a delivery receipt of the SMS API.
pub(crate) fn receipt(code: &str) -> Option<Meaning> {
    Some(match code {
        "2" | "7" => ABSENT,
        "3" => NOBODY,
        "4" => (NEXT, "the recipient's line is barred"),
        "5" => PORTABILITY,
        "6" => SPAM,
        "8" => NETWORK,
        "9" => STOPPED,
        "10" => (OURS, "a parameter of the message is not right"),
        "11" | "12" => NO_ROUTE,
        "13" | "14" | "15" => CARRIER,
        _ => return None,
    })
}

/// The failure of a code in an answer.
pub(crate) fn failure(code: &str, (class, meaning): Meaning, words: &str) -> Failure {
    Failure::new(class, code, &meaning_and_words(meaning, words))
}

/// The failure that a report tells. What is over cannot be tried again here.
pub(crate) fn reported(status: &str, code: &str, meaning: Option<Meaning>, words: &str) -> Failure {
    match meaning {
        Some((AGAIN, meaning)) => failure(code, (NEXT, meaning), words),
        Some(meaning) => failure(code, meaning, words),
        None if is_number(code) => Failure::new(NEXT, code, &for_people(words)),
        None => Failure::new(NEXT, status, &for_people(words)),
    }
}

/// Whether a code that is not in our tables is worth showing.
fn is_number(code: &str) -> bool {
    (1..=4).contains(&code.len()) && code != "0" && code.bytes().all(|c| c.is_ascii_digit())
}
