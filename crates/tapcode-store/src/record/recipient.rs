//! How is the document of a recipient written down, with its verifications, messages and their deliveries?

use serde::{Deserialize, Serialize};
use tapcode_core::delivery::{Delivery, Failure, FailureClass, ReceiptKind};
use tapcode_core::id::{ID_BYTES, MessageId, VerificationId};
use tapcode_core::number::{Country, Masked};
use tapcode_core::plan::{Plan, Route, Step};
use tapcode_core::recipient::{Failures, Lock, PlainMessage, Recipient, Scope, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Attempt, Binding, ClientHints, CodeSource, Limits, Purpose, Sealed, Verification};

use crate::record::words::Word;
use crate::record::{Unreadable, stored};

stored!(Recipient, RecipientV1);
stored!(ReceiptKind, ReceiptKindV1);

/// Milliseconds since the Unix epoch.
pub(super) type TimeV1 = i64;
/// Milliseconds from another time of the same record, either way: two bytes instead of six.
type SinceV1 = i64;
pub(super) type IdV1 = [u8; ID_BYTES];
pub(super) type PairsV1 = Vec<(Box<str>, Box<str>)>;

fn since(at: Timestamp, base: Timestamp) -> SinceV1 {
    at.as_millis().wrapping_sub(base.as_millis())
}

fn at(since: SinceV1, base: Timestamp) -> Timestamp {
    Timestamp::from_millis(base.as_millis().wrapping_add(since))
}

#[derive(Serialize, Deserialize)]
pub(super) struct ScopeV1 {
    service: Box<str>,
    mode: u8,
}

impl From<&Scope> for ScopeV1 {
    fn from(scope: &Scope) -> Self {
        Self {
            service: scope.service.as_str().into(),
            mode: scope.mode.number(),
        }
    }
}

impl TryFrom<ScopeV1> for Scope {
    type Error = Unreadable;

    fn try_from(record: ScopeV1) -> Result<Self, Unreadable> {
        Ok(Self {
            service: service(&record.service)?,
            mode: Word::from_number(record.mode)?,
        })
    }
}

pub(super) fn service(text: &str) -> Result<ServiceName, Unreadable> {
    ServiceName::parse(text).ok_or(Unreadable::Content("name of a service"))
}

pub(super) fn purpose(text: &str) -> Result<Purpose, Unreadable> {
    Purpose::parse(text).ok_or(Unreadable::Content("purpose"))
}

pub(super) fn country(text: &str) -> Result<Country, Unreadable> {
    Country::parse(text).ok_or(Unreadable::Content("country"))
}

#[derive(Serialize, Deserialize)]
struct RecipientV1 {
    scope: ScopeV1,
    number: Option<Box<[u8]>>,
    masked: Box<str>,
    country: Box<str>,
    sends: Vec<TimeV1>,
    requested_at: Option<TimeV1>,
    failures: Vec<(Box<str>, u16)>,
    lock: LockV1,
    verifications: Vec<VerificationV1>,
    messages: Vec<PlainMessageV1>,
}

#[derive(Serialize, Deserialize)]
enum LockV1 {
    Open,
    Until(TimeV1),
    UntilOperator,
}

impl From<&Recipient> for RecipientV1 {
    fn from(recipient: &Recipient) -> Self {
        Self {
            scope: (&recipient.scope).into(),
            number: recipient.number.as_ref().map(|sealed| sealed.0.clone()),
            masked: recipient.masked.as_str().into(),
            country: recipient.country.as_str().into(),
            sends: recipient.sends.iter().map(|at| at.as_millis()).collect(),
            requested_at: recipient.requested_at.map(Timestamp::as_millis),
            failures: recipient
                .failures
                .iter()
                .map(|f| (f.purpose.as_str().into(), f.in_a_row))
                .collect(),
            lock: match recipient.lock {
                Lock::Open => LockV1::Open,
                Lock::Until(at) => LockV1::Until(at.as_millis()),
                Lock::UntilOperator => LockV1::UntilOperator,
            },
            verifications: recipient.verifications.iter().map(Into::into).collect(),
            messages: recipient.messages.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<RecipientV1> for Recipient {
    type Error = Unreadable;

    fn try_from(record: RecipientV1) -> Result<Self, Unreadable> {
        let failures = record.failures.iter().map(|(text, in_a_row)| {
            Ok(Failures {
                purpose: purpose(text)?,
                in_a_row: *in_a_row,
            })
        });
        Ok(Self {
            scope: record.scope.try_into()?,
            number: record.number.map(Sealed),
            masked: Masked::from_stored(&record.masked),
            country: country(&record.country)?,
            sends: record.sends.into_iter().map(Timestamp::from_millis).collect(),
            requested_at: record.requested_at.map(Timestamp::from_millis),
            failures: failures.collect::<Result<_, _>>()?,
            lock: match record.lock {
                LockV1::Open => Lock::Open,
                LockV1::Until(at) => Lock::Until(Timestamp::from_millis(at)),
                LockV1::UntilOperator => Lock::UntilOperator,
            },
            verifications: record
                .verifications
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            messages: record.messages.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct VerificationV1 {
    id: IdV1,
    purpose: Box<str>,
    status: u8,
    created_at: TimeV1,
    expires: SinceV1,
    finished: Option<SinceV1>,
    checks_used: u16,
    limits: LimitsV1,
    code: CodeSourceV1,
    binding: Option<BindingV1>,
    locale: Box<str>,
    plan: Vec<StepV1>,
    attempts: Vec<AttemptV1>,
    client: Option<ClientHintsV1>,
    metadata: PairsV1,
    entries: u16,
}

#[derive(Serialize, Deserialize)]
struct LimitsV1 {
    max_checks: u16,
    resend_cooldown_ms: u32,
    max_sends_per_hour: u16,
    lock_after: u16,
    lock_ms: u32,
    lock_for_good_after: u16,
}

#[derive(Serialize, Deserialize)]
enum CodeSourceV1 {
    Derived {
        length: u8,
    },
    Own {
        sealed: Box<[u8]>,
        alphabet: u8,
        digest: [u8; 16],
    },
}

#[derive(Serialize, Deserialize)]
struct BindingV1 {
    digest: [u8; 32],
    sealed: Box<[u8]>,
}

#[derive(Serialize, Deserialize)]
struct StepV1 {
    route: RouteV1,
    wait_ms: u32,
}

#[derive(Serialize, Deserialize)]
struct AttemptV1 {
    id: IdV1,
    step: u8,
    fallback: Option<SinceV1>,
    delivery: DeliveryV1,
}

impl From<&Verification> for VerificationV1 {
    fn from(verification: &Verification) -> Self {
        let began = verification.created_at;
        let Limits {
            max_checks,
            resend_cooldown_ms,
            max_sends_per_hour,
            lock_after,
            lock_ms,
            lock_for_good_after,
        } = verification.limits;
        Self {
            id: *verification.id.as_bytes(),
            purpose: verification.purpose.as_str().into(),
            status: verification.status.number(),
            created_at: began.as_millis(),
            expires: since(verification.expires_at, began),
            finished: verification.finished_at.map(|at| since(at, began)),
            checks_used: verification.checks_used,
            limits: LimitsV1 {
                max_checks,
                resend_cooldown_ms,
                max_sends_per_hour,
                lock_after,
                lock_ms,
                lock_for_good_after,
            },
            code: match &verification.code {
                CodeSource::Derived { length } => CodeSourceV1::Derived { length: *length },
                CodeSource::Own {
                    sealed,
                    alphabet,
                    digest,
                } => CodeSourceV1::Own {
                    sealed: sealed.0.clone(),
                    alphabet: alphabet.number(),
                    digest: *digest,
                },
            },
            binding: verification.binding.as_ref().map(|b| BindingV1 {
                digest: b.digest,
                sealed: b.sealed.0.clone(),
            }),
            locale: verification.locale.clone(),
            plan: verification
                .plan
                .steps()
                .iter()
                .map(|s| StepV1 {
                    route: (&s.route).into(),
                    wait_ms: s.wait_ms,
                })
                .collect(),
            attempts: verification.attempts.iter().map(Into::into).collect(),
            client: verification.client.as_deref().map(Into::into),
            metadata: verification.metadata.clone(),
            entries: verification.entries,
        }
    }
}

impl TryFrom<VerificationV1> for Verification {
    type Error = Unreadable;

    fn try_from(record: VerificationV1) -> Result<Self, Unreadable> {
        let began = Timestamp::from_millis(record.created_at);
        let LimitsV1 {
            max_checks,
            resend_cooldown_ms,
            max_sends_per_hour,
            lock_after,
            lock_ms,
            lock_for_good_after,
        } = record.limits;
        let steps = record.plan.into_iter().map(|s| {
            Ok(Step {
                route: s.route.try_into()?,
                wait_ms: s.wait_ms,
            })
        });
        let plan = Plan::new(steps.collect::<Result<_, Unreadable>>()?).ok_or(Unreadable::Content("plan"))?;
        let attempts: Vec<Attempt> = record.attempts.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        // The core relies on both: there is a current attempt, and an attempt's step is in its plan.
        if attempts.is_empty() || attempts.iter().any(|a| plan.step(a.step).is_none()) {
            return Err(Unreadable::Content("row of attempts"));
        }
        Ok(Self {
            id: VerificationId::from_bytes(record.id),
            purpose: purpose(&record.purpose)?,
            status: Word::from_number(record.status)?,
            created_at: began,
            expires_at: at(record.expires, began),
            finished_at: record.finished.map(|since| at(since, began)),
            checks_used: record.checks_used,
            limits: Limits {
                max_checks,
                resend_cooldown_ms,
                max_sends_per_hour,
                lock_after,
                lock_ms,
                lock_for_good_after,
            },
            code: match record.code {
                CodeSourceV1::Derived { length } => CodeSource::Derived { length },
                CodeSourceV1::Own {
                    sealed,
                    alphabet,
                    digest,
                } => CodeSource::Own {
                    sealed: Sealed(sealed),
                    alphabet: Word::from_number(alphabet)?,
                    digest,
                },
            },
            binding: record.binding.map(|b| Binding {
                digest: b.digest,
                sealed: Sealed(b.sealed),
            }),
            locale: record.locale,
            plan,
            attempts,
            client: record.client.map(TryInto::try_into).transpose()?.map(Box::new),
            metadata: record.metadata,
            entries: record.entries,
        })
    }
}

impl From<&Attempt> for AttemptV1 {
    fn from(attempt: &Attempt) -> Self {
        Self {
            id: *attempt.id.as_bytes(),
            step: attempt.step,
            fallback: attempt.fallback_at.map(|at| since(at, attempt.delivery.queued_at)),
            delivery: (&attempt.delivery).into(),
        }
    }
}

impl TryFrom<AttemptV1> for Attempt {
    type Error = Unreadable;

    fn try_from(record: AttemptV1) -> Result<Self, Unreadable> {
        let delivery = Delivery::try_from(record.delivery)?;
        Ok(Self {
            id: MessageId::from_bytes(record.id),
            step: record.step,
            fallback_at: record.fallback.map(|since| at(since, delivery.queued_at)),
            delivery,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct RouteV1 {
    channel: u8,
    sender: u32,
    provider: Box<str>,
}

impl From<&Route> for RouteV1 {
    fn from(route: &Route) -> Self {
        Self {
            channel: route.channel.number(),
            sender: route.sender,
            provider: route.provider.clone(),
        }
    }
}

impl TryFrom<RouteV1> for Route {
    type Error = Unreadable;

    fn try_from(record: RouteV1) -> Result<Self, Unreadable> {
        Ok(Self {
            channel: Word::from_number(record.channel)?,
            sender: record.sender,
            provider: record.provider,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ClientHintsV1 {
    ip: Option<Box<str>>,
    user_agent: Option<Box<str>>,
    platform: Option<u8>,
    app_hash: Option<Box<str>>,
    web_origin: Option<Box<str>>,
    whatsapp_installed: Option<bool>,
}

impl From<&ClientHints> for ClientHintsV1 {
    fn from(hints: &ClientHints) -> Self {
        let ClientHints {
            ip,
            user_agent,
            platform,
            app_hash,
            web_origin,
            whatsapp_installed,
        } = hints.clone();
        Self {
            ip,
            user_agent,
            platform: platform.map(Word::number),
            app_hash,
            web_origin,
            whatsapp_installed,
        }
    }
}

impl TryFrom<ClientHintsV1> for ClientHints {
    type Error = Unreadable;

    fn try_from(record: ClientHintsV1) -> Result<Self, Unreadable> {
        let ClientHintsV1 {
            ip,
            user_agent,
            platform,
            app_hash,
            web_origin,
            whatsapp_installed,
        } = record;
        let platform = platform.map(Word::from_number).transpose()?;
        Ok(Self {
            ip,
            user_agent,
            platform,
            app_hash,
            web_origin,
            whatsapp_installed,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PlainMessageV1 {
    id: IdV1,
    route: RouteV1,
    payload: Option<Box<[u8]>>,
    segments: u8,
    ucs2: bool,
    delivery: DeliveryV1,
    entries: u16,
}

impl From<&PlainMessage> for PlainMessageV1 {
    fn from(message: &PlainMessage) -> Self {
        Self {
            id: *message.id.as_bytes(),
            route: (&message.route).into(),
            payload: message.payload.as_ref().map(|sealed| sealed.0.clone()),
            segments: message.segments,
            ucs2: message.ucs2,
            delivery: (&message.delivery).into(),
            entries: message.entries,
        }
    }
}

impl TryFrom<PlainMessageV1> for PlainMessage {
    type Error = Unreadable;

    fn try_from(record: PlainMessageV1) -> Result<Self, Unreadable> {
        Ok(Self {
            id: MessageId::from_bytes(record.id),
            route: record.route.try_into()?,
            payload: record.payload.map(Sealed),
            segments: record.segments,
            ucs2: record.ucs2,
            delivery: record.delivery.try_into()?,
            entries: record.entries,
        })
    }
}

/// Every time but the first counts from the first.
#[derive(Serialize, Deserialize)]
struct DeliveryV1 {
    queued_at: TimeV1,
    not_before: SinceV1,
    claimed: Option<SinceV1>,
    accepted: Option<SinceV1>,
    unclear: Option<SinceV1>,
    sent: Option<SinceV1>,
    delivered: Option<SinceV1>,
    read: Option<SinceV1>,
    failed: Option<SinceV1>,
    failure: Option<FailureV1>,
    provider_message_id: Option<Box<str>>,
    retries: u8,
}

impl From<&Delivery> for DeliveryV1 {
    fn from(delivery: &Delivery) -> Self {
        let later = |at: Option<Timestamp>| at.map(|at| since(at, delivery.queued_at));
        Self {
            queued_at: delivery.queued_at.as_millis(),
            not_before: since(delivery.not_before, delivery.queued_at),
            claimed: later(delivery.claimed_at),
            accepted: later(delivery.accepted_at),
            unclear: later(delivery.unclear_at),
            sent: later(delivery.sent_at),
            delivered: later(delivery.delivered_at),
            read: later(delivery.read_at),
            failed: later(delivery.failed_at),
            failure: delivery.failure.as_ref().map(Into::into),
            provider_message_id: delivery.provider_message_id.clone(),
            retries: delivery.retries,
        }
    }
}

impl TryFrom<DeliveryV1> for Delivery {
    type Error = Unreadable;

    fn try_from(record: DeliveryV1) -> Result<Self, Unreadable> {
        let queued_at = Timestamp::from_millis(record.queued_at);
        let later = |since: Option<SinceV1>| since.map(|since| at(since, queued_at));
        Ok(Self {
            queued_at,
            not_before: at(record.not_before, queued_at),
            claimed_at: later(record.claimed),
            accepted_at: later(record.accepted),
            unclear_at: later(record.unclear),
            sent_at: later(record.sent),
            delivered_at: later(record.delivered),
            read_at: later(record.read),
            failed_at: later(record.failed),
            failure: record.failure.map(Into::into),
            provider_message_id: record.provider_message_id,
            retries: record.retries,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct FailureV1 {
    class: FailureClassV1,
    code: Box<str>,
    detail: Box<str>,
}

#[derive(Serialize, Deserialize)]
enum FailureClassV1 {
    RetryHere { after_ms: u32 },
    NextRoute,
    TripBreaker,
    OurMistake,
    NoFallback,
}

impl From<&Failure> for FailureV1 {
    fn from(failure: &Failure) -> Self {
        let class = match failure.class {
            FailureClass::RetryHere { after_ms } => FailureClassV1::RetryHere { after_ms },
            FailureClass::NextRoute => FailureClassV1::NextRoute,
            FailureClass::TripBreaker => FailureClassV1::TripBreaker,
            FailureClass::OurMistake => FailureClassV1::OurMistake,
            FailureClass::NoFallback => FailureClassV1::NoFallback,
        };
        Self {
            class,
            code: failure.code.clone(),
            detail: failure.detail.clone(),
        }
    }
}

impl From<FailureV1> for Failure {
    fn from(record: FailureV1) -> Self {
        let class = match record.class {
            FailureClassV1::RetryHere { after_ms } => FailureClass::RetryHere { after_ms },
            FailureClassV1::NextRoute => FailureClass::NextRoute,
            FailureClassV1::TripBreaker => FailureClass::TripBreaker,
            FailureClassV1::OurMistake => FailureClass::OurMistake,
            FailureClassV1::NoFallback => FailureClass::NoFallback,
        };
        Self {
            class,
            code: record.code,
            detail: record.detail,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum ReceiptKindV1 {
    Sent,
    Delivered,
    Read,
    Failed(FailureV1),
}

impl From<&ReceiptKind> for ReceiptKindV1 {
    fn from(kind: &ReceiptKind) -> Self {
        match kind {
            ReceiptKind::Sent => Self::Sent,
            ReceiptKind::Delivered => Self::Delivered,
            ReceiptKind::Read => Self::Read,
            ReceiptKind::Failed(failure) => Self::Failed(failure.into()),
        }
    }
}

impl TryFrom<ReceiptKindV1> for ReceiptKind {
    type Error = Unreadable;

    fn try_from(record: ReceiptKindV1) -> Result<Self, Unreadable> {
        Ok(match record {
            ReceiptKindV1::Sent => Self::Sent,
            ReceiptKindV1::Delivered => Self::Delivered,
            ReceiptKindV1::Read => Self::Read,
            ReceiptKindV1::Failed(failure) => Self::Failed(failure.into()),
        })
    }
}
