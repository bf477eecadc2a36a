//! How is the document of a recipient written down, with its verifications, messages and their deliveries?

use serde::{Deserialize, Serialize};
use tapcode_core::delivery::{Delivery, Failure, FailureClass, ReceiptKind, TripScope};
use tapcode_core::id::{ID_BYTES, MessageId, VerificationId};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::{Country, Masked};
use tapcode_core::plan::{IdentityChange, Plan, Route, Step};
use tapcode_core::recipient::{Erased, Failures, Identity, Knowledge, Lock, PlainMessage, Reach, Recipient, Scope, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Attempt, Binding, ClientHints, CodeSource, Limits, Purpose, Sealed, Verification};
use tapcode_engine::contract::provider::Billing;
use tapcode_engine::contract::store::ToldReceipt;
use tapcode_engine::rates::Category;

use crate::record::words::Word;
use crate::record::{Unreadable, stored};

stored!(Recipient, 3 = RecipientV3, 2 = RecipientV2, 1 = RecipientV1);
stored!(ToldReceipt, 2 = ToldReceiptV2, 1 = ReceiptKindV1);

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

/// A recipient whose verifications and messages are of some version.
#[derive(Serialize, Deserialize)]
struct RecipientOf<V, M> {
    scope: ScopeV1,
    number: Option<Box<[u8]>>,
    masked: Box<str>,
    country: Box<str>,
    sends: Vec<TimeV1>,
    requested_at: Option<TimeV1>,
    failures: Vec<(Box<str>, u16)>,
    lock: LockV1,
    verifications: Vec<V>,
    messages: Vec<M>,
}

type RecipientV1 = RecipientOf<VerificationV1, PlainMessageV1>;

/// Version 2 added what is known of a number beyond its verifications, and what versions 2 of those added.
#[derive(Serialize, Deserialize)]
struct RecipientV2 {
    recipient: RecipientOf<VerificationV2, PlainMessageV2>,
    knowledge: KnowledgeV2,
}

/// Version 3 added what is left of a number that was erased: when its plain messages were queued, and since when.
#[derive(Serialize, Deserialize)]
struct RecipientV3 {
    recipient: RecipientV2,
    erased_messages: Vec<TimeV1>,
    erased: Option<(TimeV1, bool)>,
}

impl From<&Recipient> for RecipientV3 {
    fn from(recipient: &Recipient) -> Self {
        Self {
            recipient: recipient.into(),
            erased_messages: recipient.erased_messages.iter().map(|at| at.as_millis()).collect(),
            erased: recipient.erased.map(|erased| (erased.at.as_millis(), erased.under_way)),
        }
    }
}

impl TryFrom<RecipientV3> for Recipient {
    type Error = Unreadable;

    fn try_from(record: RecipientV3) -> Result<Self, Unreadable> {
        Ok(Self {
            erased_messages: record.erased_messages.into_iter().map(Timestamp::from_millis).collect(),
            erased: record.erased.map(|(at, under_way)| Erased {
                at: Timestamp::from_millis(at),
                under_way,
            }),
            ..record.recipient.try_into()?
        })
    }
}

/// Whether the number is on channels, by channel; identities on channels; when codes were asked for by somebody else.
#[derive(Default, Serialize, Deserialize)]
struct KnowledgeV2 {
    reach: Vec<(u8, bool, TimeV1)>,
    identities: Vec<(u8, Box<[u8]>, TimeV1)>,
    disowned: Vec<TimeV1>,
}

impl From<&Recipient> for RecipientV2 {
    fn from(recipient: &Recipient) -> Self {
        let Knowledge {
            reach,
            identities,
            disowned,
        } = &recipient.knowledge;
        Self {
            recipient: RecipientOf {
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
            },
            knowledge: KnowledgeV2 {
                reach: reach
                    .iter()
                    .map(|r| (r.channel.number(), r.is_on, r.at.as_millis()))
                    .collect(),
                identities: identities
                    .iter()
                    .map(|i| (i.channel.number(), i.sealed.0.clone(), i.at.as_millis()))
                    .collect(),
                disowned: disowned.iter().map(|at| at.as_millis()).collect(),
            },
        }
    }
}

impl TryFrom<RecipientV2> for Recipient {
    type Error = Unreadable;

    fn try_from(record: RecipientV2) -> Result<Self, Unreadable> {
        let KnowledgeV2 {
            reach,
            identities,
            disowned,
        } = record.knowledge;
        let reach = reach.into_iter().map(|(channel, is_on, at)| {
            Ok(Reach {
                channel: Word::from_number(channel)?,
                is_on,
                at: Timestamp::from_millis(at),
            })
        });
        let identities = identities.into_iter().map(|(channel, sealed, at)| {
            Ok(Identity {
                channel: Word::from_number(channel)?,
                sealed: Sealed(sealed),
                at: Timestamp::from_millis(at),
            })
        });
        let knowledge = Knowledge {
            reach: reach.collect::<Result<_, Unreadable>>()?,
            identities: identities.collect::<Result<_, Unreadable>>()?,
            disowned: disowned.into_iter().map(Timestamp::from_millis).collect(),
        };
        Ok(Self {
            knowledge,
            ..record.recipient.try_into()?
        })
    }
}

impl<V, M> TryFrom<RecipientOf<V, M>> for Recipient
where
    Verification: TryFrom<V, Error = Unreadable>,
    PlainMessage: TryFrom<M, Error = Unreadable>,
{
    type Error = Unreadable;

    fn try_from(record: RecipientOf<V, M>) -> Result<Self, Unreadable> {
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
            knowledge: Knowledge::default(),
            erased_messages: Vec::new(),
            erased: None,
        })
    }
}

#[derive(Serialize, Deserialize)]
enum LockV1 {
    Open,
    Until(TimeV1),
    UntilOperator,
}

/// A verification whose attempts are of some version.
#[derive(Serialize, Deserialize)]
pub(super) struct VerificationOf<A> {
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
    attempts: Vec<A>,
    client: Option<ClientHintsV1>,
    metadata: PairsV1,
    entries: u16,
}

pub(super) type VerificationV1 = VerificationOf<AttemptV1>;

/// Version 2 added what follows when the holder of the number changed, and what version 2 of attempts added.
#[derive(Serialize, Deserialize)]
pub(super) struct VerificationV2 {
    verification: VerificationOf<AttemptV2>,
    falls_back_on_identity_change: bool,
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
pub(super) struct AttemptV1 {
    id: IdV1,
    step: u8,
    fallback: Option<SinceV1>,
    delivery: DeliveryV1,
}

/// Version 2 added the language of the template, the recipient's identity, and what version 2 of deliveries added.
#[derive(Serialize, Deserialize)]
pub(super) struct AttemptV2 {
    attempt: AttemptV1,
    more: DeliveryMoreV2,
    language: Option<Box<str>>,
    identity: Option<Box<[u8]>>,
}

impl From<&Verification> for VerificationV2 {
    fn from(verification: &Verification) -> Self {
        Self {
            verification: verification.into(),
            falls_back_on_identity_change: verification.plan.identity_change() == IdentityChange::FallBack,
        }
    }
}

impl TryFrom<VerificationV2> for Verification {
    type Error = Unreadable;

    fn try_from(record: VerificationV2) -> Result<Self, Unreadable> {
        let verification = Self::try_from(record.verification)?;
        let identity_change = if record.falls_back_on_identity_change {
            IdentityChange::FallBack
        } else {
            IdentityChange::Hold
        };
        Ok(Self {
            plan: verification.plan.on_identity_change(identity_change),
            ..verification
        })
    }
}

impl From<&Verification> for VerificationOf<AttemptV2> {
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

impl<A> TryFrom<VerificationOf<A>> for Verification
where
    Attempt: TryFrom<A, Error = Unreadable>,
{
    type Error = Unreadable;

    fn try_from(record: VerificationOf<A>) -> Result<Self, Unreadable> {
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

impl From<&Attempt> for AttemptV2 {
    fn from(attempt: &Attempt) -> Self {
        Self {
            attempt: attempt.into(),
            more: (&attempt.delivery).into(),
            language: attempt.language.clone(),
            identity: attempt.identity.as_ref().map(|sealed| sealed.0.clone()),
        }
    }
}

impl TryFrom<AttemptV2> for Attempt {
    type Error = Unreadable;

    fn try_from(record: AttemptV2) -> Result<Self, Unreadable> {
        let attempt = Self::try_from(record.attempt)?;
        Ok(Self {
            delivery: record.more.added_to(attempt.delivery)?,
            language: record.language,
            identity: record.identity.map(Sealed),
            ..attempt
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
            language: None,
            delivery,
            identity: None,
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

/// Version 2 added what version 2 of deliveries added.
#[derive(Serialize, Deserialize)]
pub(super) struct PlainMessageV2 {
    message: PlainMessageV1,
    more: DeliveryMoreV2,
}

impl From<&PlainMessage> for PlainMessageV2 {
    fn from(message: &PlainMessage) -> Self {
        Self {
            message: message.into(),
            more: (&message.delivery).into(),
        }
    }
}

impl TryFrom<PlainMessageV2> for PlainMessage {
    type Error = Unreadable;

    fn try_from(record: PlainMessageV2) -> Result<Self, Unreadable> {
        let message = Self::try_from(record.message)?;
        Ok(Self {
            delivery: record.more.added_to(message.delivery)?,
            ..message
        })
    }
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

/// What version 2 added: when the holder of the number disowned the message, and what it cost.
#[derive(Serialize, Deserialize)]
struct DeliveryMoreV2 {
    disowned: Option<SinceV1>,
    price: Option<MoneyV2>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MoneyV2 {
    amount_micros: i64,
    currency: [u8; 3],
}

impl From<&Delivery> for DeliveryMoreV2 {
    fn from(delivery: &Delivery) -> Self {
        Self {
            disowned: delivery.disowned_at.map(|at| since(at, delivery.queued_at)),
            price: delivery.price.map(Into::into),
        }
    }
}

impl DeliveryMoreV2 {
    fn added_to(self, delivery: Delivery) -> Result<Delivery, Unreadable> {
        Ok(Delivery {
            disowned_at: self.disowned.map(|since| at(since, delivery.queued_at)),
            price: self.price.map(TryInto::try_into).transpose()?,
            ..delivery
        })
    }
}

impl From<Money> for MoneyV2 {
    fn from(money: Money) -> Self {
        let currency = money.currency.as_str().as_bytes();
        Self {
            amount_micros: money.amount_micros,
            currency: currency.try_into().expect("a currency is three ASCII capitals"),
        }
    }
}

impl TryFrom<MoneyV2> for Money {
    type Error = Unreadable;

    fn try_from(record: MoneyV2) -> Result<Self, Unreadable> {
        let currency = std::str::from_utf8(&record.currency).ok().and_then(Currency::parse);
        Ok(Self {
            amount_micros: record.amount_micros,
            currency: currency.ok_or(Unreadable::Content("currency"))?,
        })
    }
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
            disowned_at: None,
            price: None,
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
    RetryHere {
        after_ms: u32,
    },
    NextRoute,
    /// Of the sender: at first there was no other.
    TripBreaker,
    OurMistake,
    NoFallback,
    SlowDown {
        after_ms: u32,
    },
    Unreachable,
    OtherLanguage,
    TripAccount,
    TripTemplate,
    TripCountry,
}

impl From<&Failure> for FailureV1 {
    fn from(failure: &Failure) -> Self {
        let class = match failure.class {
            FailureClass::RetryHere { after_ms } => FailureClassV1::RetryHere { after_ms },
            FailureClass::NextRoute => FailureClassV1::NextRoute,
            FailureClass::TripBreaker(TripScope::Sender) => FailureClassV1::TripBreaker,
            FailureClass::TripBreaker(TripScope::Account) => FailureClassV1::TripAccount,
            FailureClass::TripBreaker(TripScope::Template) => FailureClassV1::TripTemplate,
            FailureClass::TripBreaker(TripScope::Country) => FailureClassV1::TripCountry,
            FailureClass::SlowDown { after_ms } => FailureClassV1::SlowDown { after_ms },
            FailureClass::Unreachable => FailureClassV1::Unreachable,
            FailureClass::OtherLanguage => FailureClassV1::OtherLanguage,
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
            FailureClassV1::TripBreaker => FailureClass::TripBreaker(TripScope::Sender),
            FailureClassV1::TripAccount => FailureClass::TripBreaker(TripScope::Account),
            FailureClassV1::TripTemplate => FailureClass::TripBreaker(TripScope::Template),
            FailureClassV1::TripCountry => FailureClass::TripBreaker(TripScope::Country),
            FailureClassV1::SlowDown { after_ms } => FailureClass::SlowDown { after_ms },
            FailureClassV1::Unreachable => FailureClass::Unreachable,
            FailureClassV1::OtherLanguage => FailureClass::OtherLanguage,
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

/// Version 1 of what a parked receipt tells, and the kind in version 2.
#[derive(Serialize, Deserialize)]
enum ReceiptKindV1 {
    Sent,
    Delivered,
    Read,
    Failed(FailureV1),
    Disowned,
}

/// Version 2 added what is billed and the recipient's identity.
#[derive(Serialize, Deserialize)]
struct ToldReceiptV2 {
    kind: ReceiptKindV1,
    billing: Option<BillingV2>,
    identity: Option<Box<[u8]>>,
}

#[derive(Serialize, Deserialize)]
enum BillingV2 {
    Free,
    Authentication,
    AuthenticationInternational,
    Amount(MoneyV2),
    Unknown,
}

impl From<&ToldReceipt> for ToldReceiptV2 {
    fn from(told: &ToldReceipt) -> Self {
        Self {
            kind: match &told.kind {
                ReceiptKind::Sent => ReceiptKindV1::Sent,
                ReceiptKind::Delivered => ReceiptKindV1::Delivered,
                ReceiptKind::Read => ReceiptKindV1::Read,
                ReceiptKind::Failed(failure) => ReceiptKindV1::Failed(failure.into()),
                ReceiptKind::Disowned => ReceiptKindV1::Disowned,
            },
            billing: told.billing.map(|billing| match billing {
                Billing::Free => BillingV2::Free,
                Billing::Category(Category::Authentication) => BillingV2::Authentication,
                Billing::Category(Category::AuthenticationInternational) => BillingV2::AuthenticationInternational,
                Billing::Amount(price) => BillingV2::Amount(price.into()),
                Billing::Unknown => BillingV2::Unknown,
            }),
            identity: told.identity.as_ref().map(|sealed| sealed.0.clone()),
        }
    }
}

impl TryFrom<ToldReceiptV2> for ToldReceipt {
    type Error = Unreadable;

    fn try_from(record: ToldReceiptV2) -> Result<Self, Unreadable> {
        let billing = record.billing.map(|billing| {
            Ok(match billing {
                BillingV2::Free => Billing::Free,
                BillingV2::Authentication => Billing::Category(Category::Authentication),
                BillingV2::AuthenticationInternational => Billing::Category(Category::AuthenticationInternational),
                BillingV2::Amount(price) => Billing::Amount(price.try_into()?),
                BillingV2::Unknown => Billing::Unknown,
            })
        });
        Ok(Self {
            billing: billing.transpose()?,
            identity: record.identity.map(Sealed),
            ..Self::try_from(record.kind)?
        })
    }
}

impl TryFrom<ReceiptKindV1> for ToldReceipt {
    type Error = Unreadable;

    fn try_from(record: ReceiptKindV1) -> Result<Self, Unreadable> {
        Ok(Self {
            kind: match record {
                ReceiptKindV1::Sent => ReceiptKind::Sent,
                ReceiptKindV1::Delivered => ReceiptKind::Delivered,
                ReceiptKindV1::Read => ReceiptKind::Read,
                ReceiptKindV1::Failed(failure) => ReceiptKind::Failed(failure.into()),
                ReceiptKindV1::Disowned => ReceiptKind::Disowned,
            },
            billing: None,
            identity: None,
        })
    }
}
