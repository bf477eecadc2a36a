//! How is a line of the log written down?

use serde::{Deserialize, Serialize};
use tapcode_core::delivery::{Firsts, MessageStatus};
use tapcode_core::entry::{Decision, Entry, InputRecord, MessageRef, Refusal, SendCause};
use tapcode_core::id::{EventId, MessageId, VerificationId};
use tapcode_core::number::Masked;
use tapcode_core::plan::Skip;
use tapcode_core::time::Timestamp;

use crate::record::recipient::{ClientHintsV1, FailureV1, IdV1, MoneyV2, PairsV1, RouteV1, ScopeV1, TimeV1, country, purpose};
use crate::record::words::{Word, said, said_number};
use crate::record::{Unreadable, stored};

stored!(Entry, 1 = EntryV1);

#[derive(Serialize, Deserialize)]
struct EntryV1 {
    id: IdV1,
    at: TimeV1,
    scope: ScopeV1,
    masked: Box<str>,
    country: Box<str>,
    verification: Option<IdV1>,
    message: Option<IdV1>,
    purpose: Option<Box<str>>,
    metadata: PairsV1,
    client: Option<ClientHintsV1>,
    input: InputRecordV1,
    decisions: Vec<DecisionV1>,
}

impl From<&Entry> for EntryV1 {
    fn from(entry: &Entry) -> Self {
        Self {
            id: *entry.id.as_bytes(),
            at: entry.at.as_millis(),
            scope: (&entry.scope).into(),
            masked: entry.masked.as_str().into(),
            country: entry.country.as_str().into(),
            verification: entry.verification.map(|id| *id.as_bytes()),
            message: entry.message.map(|id| *id.as_bytes()),
            purpose: entry.purpose.as_ref().map(|purpose| purpose.as_str().into()),
            metadata: entry.metadata.clone(),
            client: entry.client.as_deref().map(Into::into),
            input: (&entry.input).into(),
            decisions: entry.decisions.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<EntryV1> for Entry {
    type Error = Unreadable;

    fn try_from(record: EntryV1) -> Result<Self, Unreadable> {
        Ok(Self {
            id: EventId::from_bytes(record.id),
            at: Timestamp::from_millis(record.at),
            scope: record.scope.try_into()?,
            masked: Masked::from_stored(&record.masked),
            country: country(&record.country)?,
            verification: record.verification.map(VerificationId::from_bytes),
            message: record.message.map(MessageId::from_bytes),
            purpose: record.purpose.as_deref().map(purpose).transpose()?,
            metadata: record.metadata,
            client: record.client.map(TryInto::try_into).transpose()?.map(Box::new),
            input: record.input.try_into()?,
            decisions: record
                .decisions
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
enum InputRecordV1 {
    Begin,
    Resend { channel: Option<u8> },
    Check,
    Cancel,
    SendMessage,
    Outcome { message: IdV1, said: u8 },
    Receipt { message: IdV1, status: u8 },
    Tick,
    Unlock,
    Disowned { message: IdV1 },
}

impl From<&InputRecord> for InputRecordV1 {
    fn from(input: &InputRecord) -> Self {
        match input {
            InputRecord::Begin => Self::Begin,
            InputRecord::Resend { channel } => Self::Resend {
                channel: channel.map(Word::number),
            },
            InputRecord::Check => Self::Check,
            InputRecord::Cancel => Self::Cancel,
            InputRecord::SendMessage => Self::SendMessage,
            InputRecord::Outcome { message, said } => Self::Outcome {
                message: *message.as_bytes(),
                said: said_number(said),
            },
            InputRecord::Receipt { message, status } => Self::Receipt {
                message: *message.as_bytes(),
                status: status.number(),
            },
            InputRecord::Tick => Self::Tick,
            InputRecord::Unlock => Self::Unlock,
            InputRecord::Disowned { message } => Self::Disowned {
                message: *message.as_bytes(),
            },
        }
    }
}

impl TryFrom<InputRecordV1> for InputRecord {
    type Error = Unreadable;

    fn try_from(record: InputRecordV1) -> Result<Self, Unreadable> {
        Ok(match record {
            InputRecordV1::Begin => Self::Begin,
            InputRecordV1::Resend { channel } => Self::Resend {
                channel: channel.map(Word::from_number).transpose()?,
            },
            InputRecordV1::Check => Self::Check,
            InputRecordV1::Cancel => Self::Cancel,
            InputRecordV1::SendMessage => Self::SendMessage,
            InputRecordV1::Outcome { message, said: number } => Self::Outcome {
                message: MessageId::from_bytes(message),
                said: said(number)?,
            },
            InputRecordV1::Receipt { message, status } => Self::Receipt {
                message: MessageId::from_bytes(message),
                status: Word::from_number(status)?,
            },
            InputRecordV1::Tick => Self::Tick,
            InputRecordV1::Unlock => Self::Unlock,
            InputRecordV1::Disowned { message } => Self::Disowned {
                message: MessageId::from_bytes(message),
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct MessageRefV1 {
    id: IdV1,
    route: RouteV1,
}

impl From<&MessageRef> for MessageRefV1 {
    fn from(message: &MessageRef) -> Self {
        Self {
            id: *message.id.as_bytes(),
            route: (&message.route).into(),
        }
    }
}

impl TryFrom<MessageRefV1> for MessageRef {
    type Error = Unreadable;

    fn try_from(record: MessageRefV1) -> Result<Self, Unreadable> {
        Ok(Self {
            id: MessageId::from_bytes(record.id),
            route: record.route.try_into()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
enum SendCauseV1 {
    Begun,
    Requested,
    FellBackOnFailure,
    FellBackOnSilence { waited_ms: u64 },
    Plain,
}

impl From<&SendCause> for SendCauseV1 {
    fn from(cause: &SendCause) -> Self {
        match cause {
            SendCause::Begun => Self::Begun,
            SendCause::Requested => Self::Requested,
            SendCause::FellBackOnFailure => Self::FellBackOnFailure,
            SendCause::FellBackOnSilence { waited_ms } => Self::FellBackOnSilence { waited_ms: *waited_ms },
            SendCause::Plain => Self::Plain,
        }
    }
}

impl From<SendCauseV1> for SendCause {
    fn from(record: SendCauseV1) -> Self {
        match record {
            SendCauseV1::Begun => Self::Begun,
            SendCauseV1::Requested => Self::Requested,
            SendCauseV1::FellBackOnFailure => Self::FellBackOnFailure,
            SendCauseV1::FellBackOnSilence { waited_ms } => Self::FellBackOnSilence { waited_ms },
            SendCauseV1::Plain => Self::Plain,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum RefusalV1 {
    UnknownVerification,
    ResendTooSoon { retry_at: TimeV1 },
    HourlyLimit { retry_at: TimeV1 },
    Locked { until: Option<TimeV1> },
    NotPending { status: u8 },
    PendingWithOtherCode,
    PendingWithOtherBinding,
    ChannelNotInPlan,
    TooManyPurposes,
    TooManyPending,
    TooManyMessages { retry_at: TimeV1 },
    ErasureUnderWay,
}

impl From<&Refusal> for RefusalV1 {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::UnknownVerification => Self::UnknownVerification,
            Refusal::ResendTooSoon { retry_at } => Self::ResendTooSoon {
                retry_at: retry_at.as_millis(),
            },
            Refusal::HourlyLimit { retry_at } => Self::HourlyLimit {
                retry_at: retry_at.as_millis(),
            },
            Refusal::Locked { until } => Self::Locked {
                until: until.map(Timestamp::as_millis),
            },
            Refusal::NotPending { status } => Self::NotPending { status: status.number() },
            Refusal::PendingWithOtherCode => Self::PendingWithOtherCode,
            Refusal::PendingWithOtherBinding => Self::PendingWithOtherBinding,
            Refusal::ChannelNotInPlan => Self::ChannelNotInPlan,
            Refusal::TooManyPurposes => Self::TooManyPurposes,
            Refusal::TooManyPending => Self::TooManyPending,
            Refusal::TooManyMessages { retry_at } => Self::TooManyMessages {
                retry_at: retry_at.as_millis(),
            },
            Refusal::ErasureUnderWay => Self::ErasureUnderWay,
        }
    }
}

impl TryFrom<RefusalV1> for Refusal {
    type Error = Unreadable;

    fn try_from(record: RefusalV1) -> Result<Self, Unreadable> {
        Ok(match record {
            RefusalV1::UnknownVerification => Self::UnknownVerification,
            RefusalV1::ResendTooSoon { retry_at } => Self::ResendTooSoon {
                retry_at: Timestamp::from_millis(retry_at),
            },
            RefusalV1::HourlyLimit { retry_at } => Self::HourlyLimit {
                retry_at: Timestamp::from_millis(retry_at),
            },
            RefusalV1::Locked { until } => Self::Locked {
                until: until.map(Timestamp::from_millis),
            },
            RefusalV1::NotPending { status } => Self::NotPending {
                status: Word::from_number(status)?,
            },
            RefusalV1::PendingWithOtherCode => Self::PendingWithOtherCode,
            RefusalV1::PendingWithOtherBinding => Self::PendingWithOtherBinding,
            RefusalV1::ChannelNotInPlan => Self::ChannelNotInPlan,
            RefusalV1::TooManyPurposes => Self::TooManyPurposes,
            RefusalV1::TooManyPending => Self::TooManyPending,
            RefusalV1::ErasureUnderWay => Self::ErasureUnderWay,
            RefusalV1::TooManyMessages { retry_at } => Self::TooManyMessages {
                retry_at: Timestamp::from_millis(retry_at),
            },
        })
    }
}

/// What a line tells first that does not say so: most messages are accepted before anything else is told of them, and
/// delivered before they are read.
fn firsts_guessed(status: MessageStatus) -> Firsts {
    Firsts {
        is_taken: status == MessageStatus::Accepted,
        has_arrived: status == MessageStatus::Delivered,
    }
}

#[derive(Serialize, Deserialize)]
enum DecisionV1 {
    Began {
        expires_at: TimeV1,
    },
    Queued {
        message: MessageRefV1,
        cause: SendCauseV1,
    },
    Claimed {
        message: MessageRefV1,
    },
    RetryAt {
        message: MessageRefV1,
        at: TimeV1,
        failure: FailureV1,
    },
    Message {
        message: MessageRefV1,
        status: u8,
        after_ms: u64,
        failure: Option<FailureV1>,
    },
    ReceiptRepeated {
        message: MessageRefV1,
        status: u8,
    },
    Withdrawn {
        message: MessageRefV1,
    },
    NoFallback(u8),
    Alert {
        route: RouteV1,
        failure: FailureV1,
    },
    CheckFailed {
        reason: u8,
        checks_left: u16,
    },
    CheckNotEvaluated {
        reason: u8,
    },
    Ended {
        status: u8,
        after_ms: u64,
        channel: Option<u8>,
    },
    Locked {
        until: Option<TimeV1>,
    },
    Unlocked,
    Refused(RefusalV1),
    Skipped {
        route: RouteV1,
        reason: u8,
        detail: Box<str>,
    },
    NoneOpen {
        route: RouteV1,
        reason: u8,
        detail: Box<str>,
    },
    ReachLearned {
        channel: u8,
        is_on: bool,
    },
    LanguageChosen {
        message: MessageRefV1,
        language: Box<str>,
    },
    Priced {
        message: MessageRefV1,
        price: MoneyV2,
    },
    Disowned {
        message: MessageRefV1,
    },
    /// As `Message`, with what no fact told before.
    MessageV2 {
        message: MessageRefV1,
        status: u8,
        after_ms: u64,
        failure: Option<FailureV1>,
        is_taken: bool,
        has_arrived: bool,
    },
    /// As `Ended`, with whose API it was.
    EndedV2 {
        status: u8,
        after_ms: u64,
        channel: Option<u8>,
        provider: Option<Box<str>>,
    },
}

impl From<&Decision> for DecisionV1 {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::Began { expires_at } => Self::Began {
                expires_at: expires_at.as_millis(),
            },
            Decision::Queued { message, cause } => Self::Queued {
                message: message.into(),
                cause: cause.into(),
            },
            Decision::Claimed { message } => Self::Claimed { message: message.into() },
            Decision::RetryAt { message, at, failure } => Self::RetryAt {
                message: message.into(),
                at: at.as_millis(),
                failure: failure.into(),
            },
            Decision::Message {
                message,
                status,
                after_ms,
                failure,
                firsts,
            } => Self::MessageV2 {
                message: message.into(),
                status: status.number(),
                after_ms: *after_ms,
                failure: failure.as_ref().map(Into::into),
                is_taken: firsts.is_taken,
                has_arrived: firsts.has_arrived,
            },
            Decision::ReceiptRepeated { message, status } => Self::ReceiptRepeated {
                message: message.into(),
                status: status.number(),
            },
            Decision::Withdrawn { message } => Self::Withdrawn { message: message.into() },
            Decision::NoFallback(reason) => Self::NoFallback(reason.number()),
            Decision::Alert { route, failure } => Self::Alert {
                route: route.into(),
                failure: failure.into(),
            },
            Decision::CheckFailed { reason, checks_left } => Self::CheckFailed {
                reason: reason.number(),
                checks_left: *checks_left,
            },
            Decision::CheckNotEvaluated { reason } => Self::CheckNotEvaluated { reason: reason.number() },
            Decision::Ended {
                status,
                after_ms,
                channel,
                provider,
            } => Self::EndedV2 {
                status: status.number(),
                after_ms: *after_ms,
                channel: channel.map(Word::number),
                provider: provider.clone(),
            },
            Decision::Locked { until } => Self::Locked {
                until: until.map(Timestamp::as_millis),
            },
            Decision::Unlocked => Self::Unlocked,
            Decision::Refused(refusal) => Self::Refused(refusal.into()),
            Decision::Skipped { route, skip } => Self::Skipped {
                route: route.into(),
                reason: skip.reason.number(),
                detail: skip.detail.clone(),
            },
            Decision::NoneOpen { route, skip } => Self::NoneOpen {
                route: route.into(),
                reason: skip.reason.number(),
                detail: skip.detail.clone(),
            },
            Decision::ReachLearned { channel, is_on } => Self::ReachLearned {
                channel: channel.number(),
                is_on: *is_on,
            },
            Decision::LanguageChosen { message, language } => Self::LanguageChosen {
                message: message.into(),
                language: language.clone(),
            },
            Decision::Priced { message, price } => Self::Priced {
                message: message.into(),
                price: (*price).into(),
            },
            Decision::Disowned { message } => Self::Disowned { message: message.into() },
        }
    }
}

impl TryFrom<DecisionV1> for Decision {
    type Error = Unreadable;

    fn try_from(record: DecisionV1) -> Result<Self, Unreadable> {
        Ok(match record {
            DecisionV1::Began { expires_at } => Self::Began {
                expires_at: Timestamp::from_millis(expires_at),
            },
            DecisionV1::Queued { message, cause } => Self::Queued {
                message: message.try_into()?,
                cause: cause.into(),
            },
            DecisionV1::Claimed { message } => Self::Claimed {
                message: message.try_into()?,
            },
            DecisionV1::RetryAt { message, at, failure } => Self::RetryAt {
                message: message.try_into()?,
                at: Timestamp::from_millis(at),
                failure: failure.into(),
            },
            DecisionV1::Message {
                message,
                status,
                after_ms,
                failure,
            } => {
                let status = Word::from_number(status)?;
                Self::Message {
                    message: message.try_into()?,
                    status,
                    after_ms,
                    failure: failure.map(Into::into),
                    firsts: firsts_guessed(status),
                }
            }
            DecisionV1::MessageV2 {
                message,
                status,
                after_ms,
                failure,
                is_taken,
                has_arrived,
            } => Self::Message {
                message: message.try_into()?,
                status: Word::from_number(status)?,
                after_ms,
                failure: failure.map(Into::into),
                firsts: Firsts { is_taken, has_arrived },
            },
            DecisionV1::ReceiptRepeated { message, status } => Self::ReceiptRepeated {
                message: message.try_into()?,
                status: Word::from_number(status)?,
            },
            DecisionV1::Withdrawn { message } => Self::Withdrawn {
                message: message.try_into()?,
            },
            DecisionV1::NoFallback(reason) => Self::NoFallback(Word::from_number(reason)?),
            DecisionV1::Alert { route, failure } => Self::Alert {
                route: route.try_into()?,
                failure: failure.into(),
            },
            DecisionV1::CheckFailed { reason, checks_left } => Self::CheckFailed {
                reason: Word::from_number(reason)?,
                checks_left,
            },
            DecisionV1::CheckNotEvaluated { reason } => Self::CheckNotEvaluated {
                reason: Word::from_number(reason)?,
            },
            DecisionV1::Ended {
                status,
                after_ms,
                channel,
            } => Self::Ended {
                status: Word::from_number(status)?,
                after_ms,
                channel: channel.map(Word::from_number).transpose()?,
                provider: None,
            },
            DecisionV1::EndedV2 {
                status,
                after_ms,
                channel,
                provider,
            } => Self::Ended {
                status: Word::from_number(status)?,
                after_ms,
                channel: channel.map(Word::from_number).transpose()?,
                provider,
            },
            DecisionV1::Locked { until } => Self::Locked {
                until: until.map(Timestamp::from_millis),
            },
            DecisionV1::Unlocked => Self::Unlocked,
            DecisionV1::Refused(refusal) => Self::Refused(refusal.try_into()?),
            DecisionV1::Skipped { route, reason, detail } => Self::Skipped {
                route: route.try_into()?,
                skip: Skip {
                    reason: Word::from_number(reason)?,
                    detail,
                },
            },
            DecisionV1::NoneOpen { route, reason, detail } => Self::NoneOpen {
                route: route.try_into()?,
                skip: Skip {
                    reason: Word::from_number(reason)?,
                    detail,
                },
            },
            DecisionV1::ReachLearned { channel, is_on } => Self::ReachLearned {
                channel: Word::from_number(channel)?,
                is_on,
            },
            DecisionV1::LanguageChosen { message, language } => Self::LanguageChosen {
                message: message.try_into()?,
                language,
            },
            DecisionV1::Priced { message, price } => Self::Priced {
                message: message.try_into()?,
                price: price.try_into()?,
            },
            DecisionV1::Disowned { message } => Self::Disowned {
                message: message.try_into()?,
            },
        })
    }
}
