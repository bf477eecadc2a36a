//! What is counted of every decision? Label sets are bounded: names from the configuration and closed lists of words.

use tapcode_core::entry::{Decision, Entry, SendCause};

use crate::call::millis_f64;

/// Counts what an entry tells, once it is durable.
pub(crate) fn count(entry: &Entry) {
    let service = || entry.scope.service.as_str().to_owned();
    for decision in &entry.decisions {
        match decision {
            Decision::Began { .. } => metrics::counter!("tapcode_verifications_begun_total", "service" => service()).increment(1),
            Decision::Ended { status, .. } => {
                metrics::counter!("tapcode_verifications_ended_total", "service" => service(), "status" => status.as_str())
                    .increment(1);
            }
            Decision::Queued { message, cause } => {
                let cause = match cause {
                    SendCause::Begun => "begun",
                    SendCause::Requested => "requested",
                    SendCause::FellBackOnFailure => "fell_back_on_failure",
                    SendCause::FellBackOnSilence { .. } => "fell_back_on_silence",
                    SendCause::Plain => "plain",
                };
                metrics::counter!(
                    "tapcode_messages_queued_total",
                    "service" => service(),
                    "channel" => message.route.channel.as_str(),
                    "cause" => cause
                )
                .increment(1);
            }
            Decision::Message {
                message,
                status,
                after_ms,
                ..
            } => {
                let channel = message.route.channel.as_str();
                let provider = message.route.provider.to_string();
                metrics::counter!(
                    "tapcode_messages_total",
                    "channel" => channel,
                    "provider" => provider,
                    "status" => status.as_str()
                )
                .increment(1);
                if *status == tapcode_core::delivery::MessageStatus::Delivered {
                    metrics::histogram!("tapcode_delivery_ms", "channel" => channel).record(millis_f64(*after_ms));
                }
            }
            Decision::CheckFailed { .. } => metrics::counter!("tapcode_checks_failed_total", "service" => service()).increment(1),
            Decision::CheckNotEvaluated { .. } => {
                metrics::counter!("tapcode_checks_not_evaluated_total", "service" => service()).increment(1);
            }
            Decision::Locked { .. } => metrics::counter!("tapcode_recipients_locked_total", "service" => service()).increment(1),
            Decision::Refused(_) => metrics::counter!("tapcode_requests_refused_total", "service" => service()).increment(1),
            Decision::Alert { route, failure } => {
                metrics::counter!("tapcode_alerts_total", "channel" => route.channel.as_str()).increment(1);
                tracing::error!(
                    route.channel = route.channel.as_str(),
                    sender.id = route.sender,
                    provider.id = &*route.provider,
                    failure.code = &*failure.code,
                    failure.detail = &*failure.detail,
                    "a sender cannot send; messages go over the next route"
                );
            }
            Decision::Claimed { .. }
            | Decision::RetryAt { .. }
            | Decision::ReceiptRepeated { .. }
            | Decision::Withdrawn { .. }
            | Decision::NoFallback(_)
            | Decision::Unlocked => {}
        }
    }
}
