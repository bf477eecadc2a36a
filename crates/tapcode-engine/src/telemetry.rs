//! What is counted of every decision? Label sets are bounded: names from the configuration and closed lists of words.

use tapcode_core::account::{AccountDecision, AccountEntry, TemplateStatus};
use tapcode_core::endpoint::WhyDisabled;
use tapcode_core::entry::{Decision, Entry, SendCause};

use crate::call::millis_f64;
use crate::service::Directory;

/// Counts nothing of what somebody may have to act on: a count that is first seen as 1 has not risen for who watches it.
pub(crate) fn begin_at_zero(directory: &Directory) {
    metrics::counter!("tapcode_panics_total").increment(0);
    metrics::counter!("tapcode_webhook_given_up_total").increment(0);
    for why in WhyDisabled::ALL {
        metrics::counter!("tapcode_webhook_endpoints_disabled_total", "reason" => why.as_str()).increment(0);
    }
    for sender in directory.senders() {
        metrics::counter!("tapcode_alerts_total", "channel" => sender.channel.as_str()).increment(0);
        metrics::counter!("tapcode_account_decisions_total", "provider" => sender.provider.id(), "decision" => "breaker_opened")
            .increment(0);
    }
}

/// Counts what was decided about an account, and says it to whoever is on call: nothing else of it is in the log.
pub(crate) fn count_account(entry: &AccountEntry) {
    for decision in &entry.decisions {
        metrics::counter!("tapcode_account_decisions_total", "provider" => entry.provider.to_string(), "decision" => crate::accounts::word(decision))
            .increment(1);
        let account = entry.account.as_str();
        match decision {
            AccountDecision::BreakerOpened { scope, code, detail, .. } => tracing::error!(
                account.name = account,
                breaker.scope = ?scope,
                failure.code = &**code,
                failure.detail = &**detail,
                "a breaker opened; messages go over the next route"
            ),
            AccountDecision::BreakerClosed { scope, code, after_ms } => tracing::info!(
                account.name = account,
                breaker.scope = ?scope,
                failure.code = &**code,
                breaker.after_ms = after_ms,
                "a breaker closed"
            ),
            AccountDecision::TemplateStatus {
                name,
                language,
                now: TemplateStatus::Approved,
                ..
            } => tracing::info!(
                account.name = account,
                template.name = &**name,
                template.language = &**language,
                "a template is approved"
            ),
            AccountDecision::TemplateStatus {
                name,
                language,
                now,
                reason,
                ..
            } => tracing::warn!(
                account.name = account,
                template.name = &**name,
                template.language = &**language,
                template.status = now.as_str(),
                template.reason = reason.as_deref(),
                "a template has another status"
            ),
            AccountDecision::Told { about, detail } => tracing::warn!(
                account.name = account,
                news.about = &**about,
                news.detail = &**detail,
                "a provider told something of an account"
            ),
        }
    }
}

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
            Decision::Skipped { route, skip } => {
                metrics::counter!(
                    "tapcode_routes_skipped_total",
                    "channel" => route.channel.as_str(),
                    "reason" => skip.reason.as_str(),
                    "taken" => "no"
                )
                .increment(1);
            }
            Decision::NoneOpen { route, skip } => {
                metrics::counter!(
                    "tapcode_routes_skipped_total",
                    "channel" => route.channel.as_str(),
                    "reason" => skip.reason.as_str(),
                    "taken" => "yes"
                )
                .increment(1);
            }
            Decision::Priced { message, price } => {
                metrics::counter!(
                    "tapcode_cost_micros_total",
                    "channel" => message.route.channel.as_str(),
                    "provider" => message.route.provider.to_string(),
                    "currency" => price.currency.as_str().to_owned()
                )
                .increment(u64::try_from(price.amount_micros).unwrap_or(0));
            }
            Decision::Disowned { message } => {
                metrics::counter!("tapcode_messages_disowned_total", "channel" => message.route.channel.as_str()).increment(1);
            }
            Decision::Claimed { .. }
            | Decision::RetryAt { .. }
            | Decision::ReceiptRepeated { .. }
            | Decision::Withdrawn { .. }
            | Decision::NoFallback(_)
            | Decision::LanguageChosen { .. }
            | Decision::ReachLearned { .. }
            | Decision::Unlocked => {}
        }
    }
}
