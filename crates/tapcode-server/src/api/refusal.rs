//! Which problem does a caller read for what the engine says no to?

use std::error::Error;

use http::StatusCode;
use tapcode_core::entry::Refusal;
use tapcode_core::plan::{Skip, SkipReason};
use tapcode_core::time::Timestamp;
use tapcode_core::words::skipped;
use tapcode_engine::engine::EngineError;
use tapcode_engine::requests::RequestError;
use tapcode_engine::service::PlanError;

use crate::problem::{Code, Problem};

/// Seconds until a store that could not be asked is worth another try.
const STORE_GONE_S: u64 = 1;
/// Seconds to say where only a person can lift a lock: a day.
const OPERATOR_S: u64 = 86_400;
/// Seconds until some pending verification of a number has ended: the longest life of one.
const PENDING_S: u64 = 600;

/// What a caller reads for a landline where nothing but text messages would be sent.
const LANDLINE: &str = "a landline number receives no text messages; ask for a mobile number";

/// The problem of a plain message that its sender may never carry to the number.
pub(crate) fn of_sender(skip: &Skip) -> Problem {
    match skip.reason {
        SkipReason::Landline => Problem::at(Code::InvalidNumber, "/to", LANDLINE),
        _ => Problem::at(Code::NoRoute, "/to", skipped(skip)),
    }
}

/// The problem of a request about a verification.
pub(crate) fn of_verification(error: RequestError, now: Timestamp) -> Problem {
    of(error, now, Code::VerificationNotFound)
}

/// The problem of a request about a plain message.
pub(crate) fn of_message(error: RequestError, now: Timestamp) -> Problem {
    of(error, now, Code::MessageNotFound)
}

fn of(error: RequestError, now: Timestamp, unknown: Code) -> Problem {
    match error {
        RequestError::Refused(refusal) => of_refusal(&refusal, now, unknown),
        RequestError::OwnCodesOff => Problem::at(Code::OwnCodesOff, "/code", Code::OwnCodesOff.registered().means),
        RequestError::Plan(error @ PlanError::NoSender(_)) => Problem::at(Code::NoRoute, "/workflow", error.to_string()),
        RequestError::Plan(PlanError::NoneMay(why)) if why.iter().all(|(_, skip)| skip.reason == SkipReason::Landline) => {
            Problem::at(Code::InvalidNumber, "/to", LANDLINE)
        }
        RequestError::Plan(error @ PlanError::NoneMay(_)) => Problem::at(Code::NoRoute, "/to", error.to_string()),
        RequestError::Plan(error @ PlanError::UnknownSender(..)) => {
            Problem::at(Code::UnknownSender, "/workflow", error.to_string())
        }
        RequestError::Plan(error @ PlanError::Size) => Problem::at(Code::InvalidRequest, "/workflow", error.to_string()),
        RequestError::Code(error) => Problem::at(Code::InvalidCode, "/code", error.to_string()),
        RequestError::Unknown => Problem::new(unknown),
        RequestError::NoService => Problem::new(Code::ServiceNotConfigured),
        RequestError::UnknownSender(channel, _) => {
            Problem::new(Code::UnknownSender).detail(format!("no such sender is configured for the channel {channel}"))
        }
        RequestError::Engine(EngineError::KeyReused) => Problem::new(Code::IdempotencyKeyReused),
        RequestError::Engine(error @ EngineError::Unavailable(_)) => unavailable(&error),
    }
}

fn of_refusal(refusal: &Refusal, now: Timestamp, unknown: Code) -> Problem {
    match refusal {
        Refusal::UnknownVerification => Problem::new(unknown),
        Refusal::ResendTooSoon { retry_at } => Problem::new(Code::ResendTooSoon).retry_at(*retry_at, now),
        Refusal::HourlyLimit { retry_at } => Problem::new(Code::HourlySendLimit).retry_at(*retry_at, now),
        Refusal::Locked { until: Some(until) } => Problem::new(Code::RecipientLocked).retry_at(*until, now),
        Refusal::Locked { until: None } => Problem::new(Code::RecipientLocked)
            .detail("too many failed checks in a row for the number; only an operator can lift the lock")
            .retry_after(OPERATOR_S),
        Refusal::NotPending { status } => {
            Problem::new(Code::VerificationNotPending).detail(format!("the verification is {}", status.as_str()))
        }
        Refusal::PendingWithOtherCode => Problem::new(Code::PendingWithOtherCode),
        Refusal::PendingWithOtherBinding => Problem::new(Code::PendingWithOtherBinding),
        Refusal::ChannelNotInPlan => Problem::at(Code::ChannelNotInPlan, "/channel", Code::ChannelNotInPlan.registered().means),
        Refusal::TooManyPurposes => Problem::new(Code::TooManyPurposes).retry_after(OPERATOR_S),
        Refusal::TooManyPending => Problem::new(Code::TooManyPending).retry_after(PENDING_S),
        Refusal::TooManyMessages { retry_at } => Problem::new(Code::TooManyMessages).retry_at(*retry_at, now),
    }
}

/// The problem of a store that could not be asked. Why goes to the log.
pub(crate) fn unavailable(error: &(dyn Error + 'static)) -> Problem {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::warn!(
        error = causes,
        http.status = StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        "a request could not be decided"
    );
    Problem::new(Code::Unavailable).retry_after(STORE_GONE_S)
}
