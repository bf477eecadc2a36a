//! What does a caller see of a verification, a message, a check? The JSON of `docs/reference`, as plain structs.

use serde::Serialize;
use tapcode_core::delivery::{Delivery, Failure, MessageStatus, WITHDRAWN};
use tapcode_core::entry::{Entry, InputRecord};
use tapcode_core::id::{EventId, MessageId, VerificationId};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::Number;
use tapcode_core::plan::Route;
use tapcode_core::recipient::PlainMessage;
use tapcode_core::verification::{Status, Verification};
use tapcode_core::words;
use tapcode_engine::contract::store::{Snapshot, Subject};
use tapcode_engine::requests::{Checked, View};
use utoipa::ToSchema;

use crate::api::time::Moment;

/// The caller's own pairs, in the order in which they came.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<'a>(pub(crate) &'a [(Box<str>, Box<str>)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

/// A definite failure, in the provider's words.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailureAnswer<'a> {
    /// The provider's code, or a word of Tapcode's such as `withdrawn`.
    code: &'a str,
    /// What the provider said, for people.
    detail: &'a str,
}

impl FailureAnswer<'_> {
    /// Of a message that was taken back before any call started.
    pub(crate) const fn withdrawn() -> Self {
        Self {
            code: WITHDRAWN,
            detail: "taken back before any call to the provider",
        }
    }
}

impl<'a> FailureAnswer<'a> {
    /// From its parts.
    pub(crate) const fn new(code: &'a str, detail: &'a str) -> Self {
        Self { code, detail }
    }
}

impl<'a> Price<'a> {
    pub(crate) fn of(amount_micros: i64, currency: &'a Currency) -> Self {
        Self {
            amount_micros,
            currency: currency.as_str(),
        }
    }
}

impl<'a> From<&'a Money> for Price<'a> {
    fn from(money: &'a Money) -> Self {
        Self::of(money.amount_micros, &money.currency)
    }
}

impl<'a> From<&'a Failure> for FailureAnswer<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            code: &failure.code,
            detail: &failure.detail,
        }
    }
}

/// What a message cost.
#[derive(Serialize, ToSchema)]
pub(crate) struct Price<'a> {
    /// Millionths of the currency's unit.
    amount_micros: i64,
    /// ISO 4217.
    currency: &'a str,
}

/// One message of a verification.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptAnswer<'a> {
    #[schema(value_type = String)]
    id: Shown<MessageId>,
    /// `whatsapp` or `sms`.
    channel: &'static str,
    /// Whose API carries it.
    provider: &'a str,
    /// The WhatsApp account's or the number's id in the configuration.
    sender: u32,
    /// The language of the template, as the provider writes it; `null` where there is none.
    language: Option<&'a str>,
    #[serde(flatten)]
    #[schema(inline)]
    delivery: DeliveryAnswer<'a>,
}

/// What is known of a message on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryAnswer<'a> {
    /// `queued`, `accepted`, `sent`, `delivered`, `read`, `failed` or `unclear`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    failed_at: Option<Moment>,
    failure: Option<FailureAnswer<'a>>,
    /// `null` until it has arrived, and where nobody can say.
    price: Option<Price<'a>>,
    /// The provider's name for the message.
    provider_message_id: Option<&'a str>,
}

impl<'a> From<&'a Delivery> for DeliveryAnswer<'a> {
    fn from(d: &'a Delivery) -> Self {
        Self {
            status: d.status().as_str(),
            queued_at: Moment(d.queued_at),
            accepted_at: d.accepted_at.map(Moment),
            sent_at: d.sent_at.map(Moment),
            delivered_at: d.delivered_at.map(Moment),
            read_at: d.read_at.map(Moment),
            failed_at: d.failed_at.map(Moment),
            failure: d.failure.as_ref().filter(|_| d.failed_at.is_some()).map(Into::into),
            price: d.price.as_ref().map(Into::into),
            provider_message_id: d.provider_message_id.as_deref(),
        }
    }
}

/// Something that is written as it displays itself.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A verification.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationAnswer<'a> {
    #[schema(value_type = String)]
    id: Shown<VerificationId>,
    /// `pending`, then exactly one of `approved`, `expired`, `canceled`, `max_checks_reached`, `failed`, `blocked`.
    status: &'static str,
    /// The number, masked unless the key has the right `read`.
    to: &'a str,
    /// What the code is for.
    purpose: &'a str,
    /// The channel of the latest message.
    channel: Option<&'static str>,
    /// Its messages, oldest first.
    attempts: Vec<AttemptAnswer<'a>>,
    /// Guesses that will still be looked at.
    checks_left: u16,
    /// Messages that the number may still get within this hour.
    sends_left: u16,
    /// When the next request to send will not be too soon; `null` once the verification has ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    resend_at: Option<Moment>,
    /// Exclusive: a check at this moment is too late.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    /// The caller's own pairs.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metadata: Pairs<'a>,
}

impl<'a> VerificationAnswer<'a> {
    /// As its caller may see it; `None` for a view of something else.
    pub(crate) fn of(view: &'a View) -> Option<Self> {
        let Subject::Verification(v) = &view.snapshot.subject else {
            return None;
        };
        Some(Self {
            id: Shown(v.id),
            status: v.status.as_str(),
            to: number(view.number.as_ref(), &view.snapshot),
            purpose: v.purpose.as_str(),
            channel: v
                .attempts
                .last()
                .and_then(|a| v.plan.step(a.step))
                .map(|s| s.route.channel.as_str()),
            attempts: attempts(v),
            checks_left: if v.status == Status::Pending { v.checks_left() } else { 0 },
            sends_left: view.sends_left,
            resend_at: view.resend_at.map(Moment),
            expires_at: Moment(v.expires_at),
            created_at: Moment(v.created_at),
            metadata: Pairs(&v.metadata),
        })
    }
}

/// The messages of a verification.
pub(crate) fn attempts(v: &Verification) -> Vec<AttemptAnswer<'_>> {
    let one = |a: &'_ tapcode_core::verification::Attempt| v.plan.step(a.step).map(|s| (a.id, &s.route));
    v.attempts
        .iter()
        .filter_map(|a| {
            let (id, route) = one(a)?;
            let Route {
                channel,
                sender,
                provider,
            } = route;
            Some(AttemptAnswer {
                id: Shown(id),
                channel: channel.as_str(),
                provider,
                sender: *sender,
                language: a.language.as_deref(),
                delivery: (&a.delivery).into(),
            })
        })
        .collect()
}

fn number<'a>(full: Option<&'a Number>, snapshot: &'a Snapshot) -> &'a str {
    full.map_or(snapshot.masked.as_str(), Number::expose)
}

/// The result of a check.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckAnswer<'a> {
    /// Whether the code was right, in time, and the first right one.
    valid: bool,
    /// Where the verification stands now.
    status: &'static str,
    /// Why not: `incorrect_code`, `expired`, `too_many_checks`, `already_used`, `canceled` or `binding_mismatch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Guesses that will still be looked at.
    checks_left: u16,
    /// The verification.
    #[schema(value_type = String)]
    id: Shown<VerificationId>,
    /// The number, masked unless the key has the right `read`.
    to: &'a str,
    purpose: &'a str,
    /// The caller's own pairs.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metadata: Pairs<'a>,
}

impl<'a> CheckAnswer<'a> {
    /// As its caller may see it.
    pub(crate) fn of(checked: &'a Checked) -> Option<Self> {
        let Subject::Verification(v) = &checked.view.snapshot.subject else {
            return None;
        };
        Some(Self {
            valid: checked.reason.is_none(),
            status: v.status.as_str(),
            reason: checked.reason.map(tapcode_core::entry::CheckReason::as_str),
            checks_left: if v.status == Status::Pending { v.checks_left() } else { 0 },
            id: Shown(v.id),
            to: number(checked.view.number.as_ref(), &checked.view.snapshot),
            purpose: v.purpose.as_str(),
            metadata: Pairs(&v.metadata),
        })
    }
}

/// A page of verifications, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationList<'a> {
    pub(crate) data: Vec<VerificationAnswer<'a>>,
    /// Where the next page starts; `null` on the last one. A page may be short, or empty, and not the last.
    pub(crate) next_cursor: Option<String>,
}

/// Everything that reached a verification, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineAnswer<'a> {
    pub(crate) data: Vec<TimelineEntry<'a>>,
    /// Always `null`: a timeline is one page.
    pub(crate) next_cursor: Option<String>,
}

/// One input and what followed from it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineEntry<'a> {
    #[schema(value_type = String)]
    id: Shown<EventId>,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    input: InputAnswer<'a>,
    /// What was decided, in the order in which it was.
    decisions: Vec<ToldAnswer>,
}

/// What reached us.
#[derive(Serialize, ToSchema)]
pub(crate) struct InputAnswer<'a> {
    /// `begin`, `resend`, `check`, `cancel`, `send_message`, `outcome`, `receipt`, `disowned`, `tick` or `unlock`.
    r#type: &'static str,
    /// The message that a provider spoke of.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Shown<MessageId>>,
    /// What a provider told: its answer in one word, or the status of a receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<&'a str>,
    /// The channel that a resend asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
}

/// One decision in words.
#[derive(Serialize, ToSchema)]
pub(crate) struct ToldAnswer {
    /// What was decided.
    title: String,
    /// Why.
    why: String,
    /// `begin`, `send`, `receipt`, `fallback`, `check`, `expire`, `refuse` or `other`.
    kind: &'static str,
}

impl<'a> From<&'a Entry> for TimelineEntry<'a> {
    fn from(entry: &'a Entry) -> Self {
        let decisions = words::tell(entry).into_iter().map(|t| ToldAnswer {
            title: t.title,
            why: t.why,
            kind: t.kind.as_str(),
        });
        Self {
            id: Shown(entry.id),
            at: Moment(entry.at),
            input: (&entry.input).into(),
            decisions: decisions.collect(),
        }
    }
}

impl From<&InputRecord> for InputAnswer<'_> {
    fn from(input: &InputRecord) -> Self {
        let plain = |r#type| Self {
            r#type,
            message_id: None,
            told: None,
            channel: None,
        };
        match input {
            InputRecord::Begin => plain("begin"),
            InputRecord::Resend { channel } => Self {
                channel: channel.map(tapcode_core::plan::Channel::as_str),
                ..plain("resend")
            },
            InputRecord::Check => plain("check"),
            InputRecord::Cancel => plain("cancel"),
            InputRecord::SendMessage => plain("send_message"),
            InputRecord::Outcome { message, said } => Self {
                message_id: Some(Shown(*message)),
                told: Some(said),
                ..plain("outcome")
            },
            InputRecord::Receipt { message, status } => Self {
                message_id: Some(Shown(*message)),
                told: Some(status.as_str()),
                ..plain("receipt")
            },
            InputRecord::Disowned { message } => Self {
                message_id: Some(Shown(*message)),
                ..plain("disowned")
            },
            InputRecord::Tick => plain("tick"),
            InputRecord::Unlock => plain("unlock"),
        }
    }
}

/// A plain message.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageAnswer<'a> {
    #[schema(value_type = String)]
    id: Shown<MessageId>,
    #[serde(flatten)]
    #[schema(inline)]
    delivery: DeliveryAnswer<'a>,
    /// The number, masked unless the key has the right `read`.
    to: &'a str,
    /// `whatsapp` or `sms`.
    channel: &'static str,
    /// Whose API carries it.
    provider: &'a str,
    /// The WhatsApp account's or the number's id in the configuration; 0 in test mode: the sandbox.
    sender: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    /// Parts that the text takes; SMS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<u8>,
    /// `gsm7` or `ucs2`; SMS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

impl<'a> MessageAnswer<'a> {
    /// A message as it stands.
    pub(crate) fn of(message: &'a PlainMessage, to: &'a str) -> Self {
        let sms = message.route.channel == tapcode_core::plan::Channel::Sms;
        Self {
            id: Shown(message.id),
            delivery: (&message.delivery).into(),
            to,
            channel: message.route.channel.as_str(),
            provider: &message.route.provider,
            sender: message.route.sender,
            created_at: Moment(message.delivery.queued_at),
            segments: sms.then_some(message.segments),
            encoding: sms.then_some(if message.ucs2 { "ucs2" } else { "gsm7" }),
        }
    }

    /// A message that was taken just now: the caller's word for that is `accepted`, whether or not a provider has it yet.
    pub(crate) fn taken(message: &'a PlainMessage, to: &'a str) -> Self {
        let mut answer = Self::of(message, to);
        if message.delivery.status() == MessageStatus::Queued {
            answer.delivery.status = MessageStatus::Accepted.as_str();
        }
        answer
    }
}
