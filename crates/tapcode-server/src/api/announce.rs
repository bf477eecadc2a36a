//! What of the log is told to the outside, under which names? The public events, without codes and with masked numbers.

use serde::Serialize;
use tapcode_core::account::{AccountDecision, AccountEntry, BreakerScope, TemplateStatus};
use tapcode_core::delivery::{Failure, FailureClass, MessageStatus};
use tapcode_core::endpoint::EndpointEntry;
use tapcode_core::entry::{Decision, Entry, InputRecord, MessageRef, SendCause};
use tapcode_core::id::{EndpointId, EventId, ID_BYTES, MessageId, VerificationId};
use tapcode_core::plan::{Channel, Route};
use tapcode_core::recipient::Mode;
use tapcode_core::verification::{ClientHints, Status};
use tapcode_engine::contract::store::Line;
use utoipa::ToSchema;

use crate::api::answers::{FailureAnswer, Pairs, Price, Shown};
use crate::api::time::Moment;

/// Every type of event, in the order of the story.
pub(crate) const TYPES: &[&str] = &[
    "verification.created",
    "verification.resent",
    "verification.fallback",
    "verification.check_failed",
    "verification.approved",
    "verification.expired",
    "verification.canceled",
    "verification.max_checks_reached",
    "verification.failed",
    "verification.blocked",
    "message.accepted",
    "message.sent",
    "message.delivered",
    "message.read",
    "message.failed",
    "message.unclear",
    "template.status_changed",
    "account.alert",
    "guard.tripped",
    "guard.released",
];

/// Something that happened. It never contains a code.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventAnswer<'a> {
    #[schema(value_type = String)]
    pub(crate) id: Shown<EventId>,
    /// What happened, such as `verification.approved`.
    pub(crate) r#type: &'static str,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Moment,
    /// Whose number it is about; absent where it is about an account at a provider, which several services may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    /// `live` or `test`.
    mode: &'static str,
    data: EventData<'a>,
}

/// What is known about it; what does not apply is left out.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct EventData<'a> {
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_id: Option<Shown<VerificationId>>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Shown<MessageId>>,
    /// The webhook endpoint that it is about.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_endpoint_id: Option<Shown<EndpointId>>,
    /// The number, masked; absent where it is about an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    /// The verification's status, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<u32>,
    /// Why: of a failed check as at the check; of a fallback `failure` or `silence`; of the guard `too_many_checks`,
    /// `not_requested` or `identity_changed`; of an account `breaker_opened`, `breaker_closed` or the news in a word; of an
    /// endpoint `webhook_endpoint_disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Whether a failed check cost a guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks_left: Option<u16>,
    /// From queueing to this fact about a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_ms: Option<u64>,
    /// From the beginning to the end of a verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureAnswer<'a>>,
    /// What a message cost, once it has arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price<'a>>,
    /// Routes of the plan that were passed over, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedAnswer<'a>>,
    /// The senders of an account, by their ids in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    senders: Option<&'a [u32]>,
    /// What a breaker keeps messages away from.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<ScopeAnswer<'a>>,
    /// A template of an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<TemplateEvent<'a>>,
    /// More of it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// When a lock ends by itself, or an open breaker is probed.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    /// The caller's own pairs; absent where it is about an account.
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Pairs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientAnswer<'a>>,
}

/// A route that was passed over.
#[derive(Serialize, ToSchema)]
pub(crate) struct SkippedAnswer<'a> {
    channel: &'static str,
    sender: u32,
    /// `not_on_channel`, `breaker`, `template`, `messaging_limit`, `too_soon` or `country`.
    reason: &'static str,
    /// More of it, for people.
    detail: &'a str,
}

/// What a breaker keeps messages away from.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScopeAnswer<'a> {
    /// `account`, `number`, `template` or `country`.
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
}

impl<'a> From<&'a BreakerScope> for ScopeAnswer<'a> {
    fn from(scope: &'a BreakerScope) -> Self {
        let mut answer = Self {
            scope: scope.as_str(),
            sender: None,
            template: None,
            language: None,
            country: None,
        };
        match scope {
            BreakerScope::Account => {}
            BreakerScope::Sender(sender) => answer.sender = Some(*sender),
            BreakerScope::Template { name, language } => {
                answer.template = Some(name);
                answer.language = language.as_deref();
            }
            BreakerScope::Country(country) => answer.country = Some(country.as_str()),
        }
        answer
    }
}

/// A template whose status changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateEvent<'a> {
    name: &'a str,
    language: &'a str,
    status: &'static str,
    /// What it was, where that was known.
    before: Option<&'static str>,
    /// Why, in the provider's words.
    reason: Option<&'a str>,
}

/// Hints about the user's device, as the caller gave them.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientAnswer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whatsapp_installed: Option<bool>,
}

impl<'a> From<&'a ClientHints> for ClientAnswer<'a> {
    fn from(hints: &'a ClientHints) -> Self {
        Self {
            ip: hints.ip.as_deref(),
            user_agent: hints.user_agent.as_deref(),
            platform: hints.platform.map(tapcode_core::verification::Platform::as_str),
            whatsapp_installed: hints.whatsapp_installed,
        }
    }
}

/// The events of a line, in the order of its decisions. The n-th decision's event always has the n-th id, whether or
/// not the ones before it are told.
pub(crate) fn events(line: &Line) -> Vec<EventAnswer<'_>> {
    match line {
        // It is there for counts.
        Line::Recipient(entry) if entry.is_erased() => Vec::new(),
        Line::Recipient(entry) => {
            let decisions = entry.decisions.iter().enumerate();
            decisions.filter_map(|(at, decision)| event(entry, at, decision)).collect()
        }
        Line::Endpoint(entry) => vec![endpoint_event(entry)],
        Line::Account(entry) => {
            let decisions = entry.decisions.iter().enumerate();
            decisions.map(|(at, decision)| account_event(entry, at, decision)).collect()
        }
    }
}

fn endpoint_event(entry: &EndpointEntry) -> EventAnswer<'_> {
    EventAnswer {
        id: Shown(entry.id),
        r#type: "account.alert",
        timestamp: Moment(entry.at),
        service: Some(entry.service.as_str()),
        mode: entry.mode.as_str(),
        data: EventData {
            webhook_endpoint_id: Some(Shown(entry.endpoint)),
            reason: Some("webhook_endpoint_disabled"),
            detail: Some(entry.why.as_str()),
            ..EventData::default()
        },
    }
}

fn account_event<'a>(entry: &'a AccountEntry, at: usize, decision: &'a AccountDecision) -> EventAnswer<'a> {
    let mut data = EventData {
        channel: Some(entry.channel.as_str()),
        provider: Some(&entry.provider),
        senders: Some(&entry.senders),
        ..EventData::default()
    };
    let r#type = match decision {
        AccountDecision::BreakerOpened {
            scope,
            code,
            detail,
            probe_at,
        } => {
            data.reason = Some("breaker_opened");
            data.breaker = Some(scope.into());
            data.failure = Some(FailureAnswer::new(code, detail));
            data.until = Some(Moment(*probe_at));
            "account.alert"
        }
        AccountDecision::BreakerClosed { scope, code, after_ms } => {
            data.reason = Some("breaker_closed");
            data.breaker = Some(scope.into());
            data.failure = Some(FailureAnswer::new(code, ""));
            data.duration_ms = Some(*after_ms);
            "account.alert"
        }
        AccountDecision::TemplateStatus {
            name,
            language,
            before,
            now,
            reason,
        } => {
            data.template = Some(TemplateEvent {
                name,
                language,
                status: now.as_str(),
                before: before.map(TemplateStatus::as_str),
                reason: reason.as_deref(),
            });
            "template.status_changed"
        }
        AccountDecision::Told { about, detail } => {
            data.reason = Some(about);
            data.detail = Some(detail);
            "account.alert"
        }
    };
    EventAnswer {
        id: Shown(nth(entry.id, at)),
        r#type,
        timestamp: Moment(entry.at),
        service: None,
        mode: Mode::Live.as_str(),
        data,
    }
}

fn event<'a>(entry: &'a Entry, at: usize, decision: &'a Decision) -> Option<EventAnswer<'a>> {
    let mut data = EventData {
        verification_id: entry.verification.map(Shown),
        message_id: entry.message.map(Shown),
        to: Some(entry.masked.as_str()),
        country: Some(entry.country.as_str()),
        purpose: entry.purpose.as_ref().map(|p| p.as_str()),
        metadata: Some(Pairs(&entry.metadata)),
        client: entry.client.as_deref().map(Into::into),
        ..EventData::default()
    };
    let r#type = match decision {
        Decision::Began { .. } => {
            data.status = Some(Status::Pending.as_str());
            let queued = entry.decisions.iter().find_map(|d| {
                if let Decision::Queued { message, .. } = d {
                    Some(message)
                } else {
                    None
                }
            });
            if let Some(message) = queued {
                by_message(&mut data, message);
            }
            data.skipped = skipped(entry);
            "verification.created"
        }
        Decision::Queued { message, cause } => {
            by_message(&mut data, message);
            match cause {
                // Told by what they belong to: a verification that begins, a plain message that is accepted.
                SendCause::Begun | SendCause::Plain => return None,
                SendCause::Requested => "verification.resent",
                SendCause::FellBackOnFailure => {
                    data.skipped = skipped(entry);
                    data.reason = Some("failure");
                    "verification.fallback"
                }
                SendCause::FellBackOnSilence { .. } => {
                    data.skipped = skipped(entry);
                    data.reason = Some("silence");
                    "verification.fallback"
                }
            }
        }
        Decision::Message {
            message,
            status,
            after_ms,
            failure,
            ..
        } => {
            by_message(&mut data, message);
            data.delivery_ms = Some(*after_ms);
            data.failure = failure.as_ref().map(Into::into);
            // Booked with the fact that a message has arrived, it is told with it.
            data.price = entry.decisions.iter().find_map(|d| match d {
                Decision::Priced { message: of, price } if of.id == message.id => Some(price.into()),
                _ => None,
            });
            match status {
                MessageStatus::Queued => return None,
                MessageStatus::Accepted => "message.accepted",
                MessageStatus::Unclear => "message.unclear",
                MessageStatus::Sent => "message.sent",
                MessageStatus::Failed => "message.failed",
                MessageStatus::Delivered => "message.delivered",
                MessageStatus::Read => "message.read",
            }
        }
        Decision::Withdrawn { message } => {
            by_message(&mut data, message);
            data.failure = Some(FailureAnswer::withdrawn());
            "message.failed"
        }
        Decision::Alert { route, failure } => {
            by_route(&mut data, route);
            data.failure = Some(failure_of(failure));
            match failure.class {
                // The account's own line tells it once, not once per message.
                FailureClass::TripBreaker(_) => return None,
                FailureClass::NoFallback => {
                    data.reason = Some("identity_changed");
                    "guard.tripped"
                }
                FailureClass::RetryHere { .. }
                | FailureClass::SlowDown { .. }
                | FailureClass::NextRoute
                | FailureClass::Unreachable
                | FailureClass::OtherLanguage
                | FailureClass::OurMistake => "account.alert",
            }
        }
        Decision::Disowned { message } => {
            by_message(&mut data, message);
            data.reason = Some("not_requested");
            "guard.tripped"
        }
        Decision::CheckFailed { reason, checks_left } => {
            data.reason = Some(reason.as_str());
            data.counted = Some(true);
            data.checks_left = Some(*checks_left);
            "verification.check_failed"
        }
        Decision::CheckNotEvaluated { reason } => {
            data.reason = Some(reason.as_str());
            data.counted = Some(false);
            "verification.check_failed"
        }
        Decision::Ended {
            status,
            after_ms,
            channel,
            ..
        } => {
            data.status = Some(status.as_str());
            data.duration_ms = Some(*after_ms);
            data.channel = channel.map(Channel::as_str);
            match status {
                Status::Pending => return None,
                Status::Approved => "verification.approved",
                Status::Expired => "verification.expired",
                Status::Canceled => "verification.canceled",
                Status::MaxChecksReached => "verification.max_checks_reached",
                Status::Failed => "verification.failed",
                Status::Blocked => "verification.blocked",
            }
        }
        Decision::Locked { until } => {
            data.reason = Some(match entry.input {
                InputRecord::Disowned { .. } => "not_requested",
                _ => "too_many_checks",
            });
            data.until = until.map(Moment);
            "guard.tripped"
        }
        Decision::Unlocked => "guard.released",
        Decision::Claimed { .. }
        | Decision::RetryAt { .. }
        | Decision::ReceiptRepeated { .. }
        | Decision::NoFallback(_)
        | Decision::Skipped { .. }
        | Decision::NoneOpen { .. }
        | Decision::ReachLearned { .. }
        | Decision::LanguageChosen { .. }
        | Decision::Priced { .. }
        | Decision::Refused(_) => return None,
    };
    Some(EventAnswer {
        id: Shown(nth(entry.id, at)),
        r#type,
        timestamp: Moment(entry.at),
        service: Some(entry.scope.service.as_str()),
        mode: entry.scope.mode.as_str(),
        data,
    })
}

fn skipped(entry: &Entry) -> Vec<SkippedAnswer<'_>> {
    let all = entry.decisions.iter();
    all.filter_map(|decision| match decision {
        Decision::Skipped { route, skip } => Some(SkippedAnswer {
            channel: route.channel.as_str(),
            sender: route.sender,
            reason: skip.reason.as_str(),
            detail: &skip.detail,
        }),
        _ => None,
    })
    .collect()
}

fn by_message<'a>(data: &mut EventData<'a>, message: &'a MessageRef) {
    data.message_id = Some(Shown(message.id));
    by_route(data, &message.route);
}

fn by_route<'a>(data: &mut EventData<'a>, route: &'a Route) {
    data.channel = Some(route.channel.as_str());
    data.provider = Some(&route.provider);
    data.sender = Some(route.sender);
}

fn failure_of(failure: &Failure) -> FailureAnswer<'_> {
    failure.into()
}

/// The id of an entry's n-th event. It counts in the middle of the id's randomness, because ids made in one step count
/// in its last bits: the events of one entry and the next entry of the same step must not meet.
fn nth(entry: EventId, n: usize) -> EventId {
    let mut bytes: [u8; ID_BYTES] = *entry.as_bytes();
    let at = ID_BYTES - 12;
    let middle = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let n = u32::try_from(n).expect("an entry has few decisions");
    bytes[at..at + 4].copy_from_slice(&middle.wrapping_add(n).to_be_bytes());
    EventId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tapcode_core::id::Fresh;
    use tapcode_core::time::Timestamp;

    use super::*;

    #[test]
    fn events_of_entries_made_in_one_step_never_share_an_id() {
        let fresh = Fresh([7; 16]);
        let entries = (0..64).map(|n| EventId::new(Timestamp::from_millis(1), fresh.nth(n)));
        let ids: Vec<EventId> = entries.flat_map(|entry| (0..16).map(move |n| nth(entry, n))).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(nth(ids[0], 0), ids[0]);
    }
}
