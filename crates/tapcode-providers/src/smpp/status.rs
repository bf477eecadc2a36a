//! What does the router do about a `command_status`? One table for answers to submissions and to binds.
//!
//! Numbers and names are the specification's (section 5.1.3, <https://smpp.org/SMPP_v3_4_Issue1_2.pdf>); the table was written
//! from memory but for 0x04, 0x05, 0x08, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F, 0x14, 0x45 and 0x58, which were read on 2026-11-22; what
//! to do about each is ours. From 0x400 to 0x4FF every vendor has its own.

use tapcode_core::delivery::{Failure, FailureClass, TripScope};

/// The window is full for now.
pub(super) const QUEUE_FULL: u32 = 0x14;
/// We are too fast.
pub(super) const THROTTLED: u32 = 0x58;
/// After how many milliseconds a message that was too fast, or that met a passing trouble, is tried again.
pub(super) const AGAIN_MS: u32 = 1_000;

const NEXT: FailureClass = FailureClass::NextRoute;
const TRIP: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const OURS: FailureClass = FailureClass::OurMistake;
const AGAIN: FailureClass = FailureClass::RetryHere { after_ms: AGAIN_MS };
const SLOWER: FailureClass = FailureClass::SlowDown { after_ms: AGAIN_MS };

const STATUSES: &[(u32, FailureClass, &str)] = &[
    (0x01, OURS, "the length of the message is wrong"),
    (0x02, OURS, "the length of the request is wrong"),
    (0x03, OURS, "it does not know the request"),
    (0x04, AGAIN, "the session is not bound for this"),
    (
        0x05,
        TRIP,
        "the session is bound already: are there more binds than the account may have?",
    ),
    (0x08, AGAIN, "it has a trouble of its own"),
    (
        0x0A,
        TRIP,
        "the sender is refused: is number right, and may this account use it?",
    ),
    (0x0B, NEXT, "the recipient is refused"),
    (0x0D, TRIP, "the bind failed"),
    (0x0E, TRIP, "the password is wrong"),
    (0x0F, TRIP, "the system_id is wrong"),
    (QUEUE_FULL, SLOWER, "its queue is full"),
    (0x15, OURS, "the service type is refused"),
    (0x43, OURS, "the esm_class is refused: another long_messages may be taken"),
    (0x45, NEXT, "the submission failed"),
    (0x48, TRIP, "the type of the sender is refused: source_ton"),
    (0x49, TRIP, "the numbering plan of the sender is refused: source_npi"),
    (0x50, NEXT, "the type of the recipient is refused"),
    (0x51, NEXT, "the numbering plan of the recipient is refused"),
    (0x53, TRIP, "the system_type is refused"),
    (THROTTLED, SLOWER, "more messages a second than it takes"),
    (0x61, OURS, "the time to expire is refused"),
    (0xFF, AGAIN, "an error that it does not know"),
];

/// A refusal. What is not in the table is a refusal all the same: nothing was taken.
pub(super) fn failure(status: u32) -> Failure {
    let known = STATUSES.iter().find(|(code, ..)| *code == status);
    let (class, meaning) = known.map_or((NEXT, "refused"), |(_, class, meaning)| (*class, *meaning));
    Failure::new(class, &code(status), meaning)
}

/// A bind that was refused: unless it is a passing trouble, nobody can be reached this way and somebody must look.
pub(super) fn bind_failure(status: u32) -> Failure {
    let known = STATUSES.iter().find(|(code, ..)| *code == status);
    let meaning = known.map_or("the bind is refused", |(_, _, meaning)| *meaning);
    let class = match known {
        Some((_, FailureClass::RetryHere { .. } | FailureClass::SlowDown { .. }, _)) => AGAIN,
        _ => TRIP,
    };
    Failure::new(class, &code(status), meaning)
}

fn code(status: u32) -> String {
    format!("smpp_0x{status:02X}")
}
