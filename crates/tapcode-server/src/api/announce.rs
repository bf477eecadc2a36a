//! What of the log is told to the outside, under which names? The public events, without codes and with masked numbers.

use serde::Serialize;
use tapcode_core::delivery::{Failure, MessageStatus};
use tapcode_core::entry::{Decision, Entry, MessageRef, SendCause};
use tapcode_core::id::{EventId, ID_BYTES, MessageId, VerificationId};
use tapcode_core::plan::{Channel, Route};
use tapcode_core::verification::{ClientHints, Status};
use utoipa::ToSchema;

use crate::api::answers::{FailureAnswer, Pairs, Shown};
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
    service: &'a str,
    /// `live` or `test`.
    mode: &'static str,
    data: EventData<'a>,
}

/// What is known about it; what does not apply is left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventData<'a> {
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_id: Option<Shown<VerificationId>>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Shown<MessageId>>,
    /// The number, masked.
    to: &'a str,
    /// ISO 3166-1 alpha-2.
    country: &'a str,
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
    /// Why: of a failed check as at the check; of a fallback `failure` or `silence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
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
    /// When a lock ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    /// The caller's own pairs.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metadata: Pairs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientAnswer<'a>>,
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

/// The events of an entry, in the order of its decisions. The n-th decision's event always has the n-th id, whether or
/// not the ones before it are told.
pub(crate) fn events(entry: &Entry) -> impl Iterator<Item = EventAnswer<'_>> {
    entry
        .decisions
        .iter()
        .enumerate()
        .filter_map(|(at, decision)| event(entry, at, decision))
}

fn event<'a>(entry: &'a Entry, at: usize, decision: &'a Decision) -> Option<EventAnswer<'a>> {
    let mut data = EventData {
        verification_id: entry.verification.map(Shown),
        message_id: entry.message.map(Shown),
        to: entry.masked.as_str(),
        country: entry.country.as_str(),
        purpose: entry.purpose.as_ref().map(|p| p.as_str()),
        status: None,
        channel: None,
        provider: None,
        sender: None,
        reason: None,
        counted: None,
        checks_left: None,
        delivery_ms: None,
        duration_ms: None,
        failure: None,
        until: None,
        metadata: Pairs(&entry.metadata),
        client: entry.client.as_deref().map(Into::into),
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
            "verification.created"
        }
        Decision::Queued { message, cause } => {
            by_message(&mut data, message);
            match cause {
                // Told by what they belong to: a verification that begins, a plain message that is accepted.
                SendCause::Begun | SendCause::Plain => return None,
                SendCause::Requested => "verification.resent",
                SendCause::FellBackOnFailure => {
                    data.reason = Some("failure");
                    "verification.fallback"
                }
                SendCause::FellBackOnSilence { .. } => {
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
        } => {
            by_message(&mut data, message);
            data.delivery_ms = Some(*after_ms);
            data.failure = failure.as_ref().map(Into::into);
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
            "account.alert"
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
            data.reason = Some("too_many_checks");
            data.until = until.map(Moment);
            "guard.tripped"
        }
        Decision::Unlocked => "guard.released",
        Decision::Claimed { .. }
        | Decision::RetryAt { .. }
        | Decision::ReceiptRepeated { .. }
        | Decision::NoFallback(_)
        | Decision::Refused(_) => return None,
    };
    Some(EventAnswer {
        id: Shown(nth(entry.id, at)),
        r#type,
        timestamp: Moment(entry.at),
        service: entry.scope.service.as_str(),
        mode: entry.scope.mode.as_str(),
        data,
    })
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
