//! What does an entry of the log say to a person on call at three in the morning?
//!
//! The timeline of the API, `tapcode explain` and the simulated phone all tell an entry in these words. They carry what
//! the provider said, durations and moments; no code, no number and nothing of a message's text is in an [`Entry`], so
//! none can be in its words.

use crate::delivery::{Failure, FailureClass, MessageStatus, TripScope};
use crate::entry::{CheckReason, Decision, Entry, InputRecord, NoFallback, Refusal, SendCause};
use crate::plan::{Channel, Route, Skip, SkipReason};
use crate::time::Timestamp;
use crate::verification::Status;

/// What a line is about: an icon for the eye, a filter for the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A verification began.
    Begin,
    /// A message was queued, called for or taken back.
    Send,
    /// A provider told of a message, in its answer or later.
    Receipt,
    /// The next route was taken, or was due and not taken.
    Fallback,
    /// A code was submitted.
    Check,
    /// Time was over.
    Expire,
    /// A request was refused.
    Refuse,
    /// Anything else.
    Other,
}

impl Kind {
    /// The word for it in JSON and HTML.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Send => "send",
            Self::Receipt => "receipt",
            Self::Fallback => "fallback",
            Self::Check => "check",
            Self::Expire => "expire",
            Self::Refuse => "refuse",
            Self::Other => "other",
        }
    }
}

/// One decision in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What was decided, as a headline: `Fell back to SMS`.
    pub title: String,
    /// Why, as a phrase without a full stop: `no delivered or read within 10 s of queueing`.
    pub why: String,
    /// What it is about.
    pub kind: Kind,
}

/// Tells an entry: one line per decision, in the order in which they were made.
#[must_use]
pub fn tell(entry: &Entry) -> Vec<Told> {
    entry
        .decisions
        .iter()
        .enumerate()
        .map(|(at, decision)| line(entry, at, decision))
        .collect()
}

fn line(entry: &Entry, at: usize, decision: &Decision) -> Told {
    match decision {
        Decision::Began { expires_at } => {
            let purpose = entry.purpose.as_ref().map_or("default", |p| p.as_str());
            let life = duration(expires_at.millis_since(entry.at));
            told(
                Kind::Begin,
                "Began".into(),
                format!(
                    "for the purpose {purpose}; the code is good for {life}, until {}",
                    clock(*expires_at)
                ),
            )
        }
        Decision::Queued { message, cause } => queued(entry, at, &message.route, cause),
        Decision::Claimed { message } => told(
            Kind::Send,
            format!("Calling {}", message.route.provider),
            "written down before the call starts, so that no restart makes it twice".into(),
        ),
        Decision::RetryAt { message, at, failure } => told(
            Kind::Send,
            format!(
                "Calling {} once more in {}",
                message.route.provider,
                duration(at.millis_since(entry.at))
            ),
            format!("it said {} and nothing was sent; not before {}", said(failure), clock(*at)),
        ),
        Decision::Message {
            message,
            status,
            after_ms,
            failure,
        } => learned(&message.route, *status, *after_ms, failure.as_ref()),
        Decision::ReceiptRepeated { message, status } => told(
            Kind::Receipt,
            "Heard again what was known".into(),
            format!(
                "{} told {} for the {} message once more; nothing changes",
                message.route.provider,
                status.as_str(),
                name(message.route.channel)
            ),
        ),
        Decision::Withdrawn { message } => told(
            Kind::Send,
            format!("Took the {} message back", name(message.route.channel)),
            "no call to the provider had started, and it is no longer wanted".into(),
        ),
        Decision::NoFallback(why) => told(Kind::Fallback, "Did not fall back".into(), no_fallback(*why).into()),
        Decision::Alert { route, failure } => told(
            Kind::Other,
            format!("Look at {} sender {} ({})", name(route.channel), route.sender, route.provider),
            format!("{}: {}", cause_of_alert(failure.class), said(failure)),
        ),
        Decision::CheckFailed { reason, checks_left } => {
            let (title, why) = check_failed(*reason);
            told(Kind::Check, title.into(), format!("{why}; counted, {}", left(*checks_left)))
        }
        Decision::CheckNotEvaluated { reason } => told(
            Kind::Check,
            "Did not look at a code".into(),
            format!("{}; not counted", not_evaluated(*reason)),
        ),
        Decision::Ended {
            status,
            after_ms,
            channel,
        } => ended(&entry.input, *status, *after_ms, *channel),
        Decision::Locked { until: Some(until) } => told(
            Kind::Other,
            format!("Locked the number for {}", duration(until.millis_since(entry.at))),
            format!(
                "{}; open again at {}, or when an operator lifts it",
                match entry.input {
                    InputRecord::Disowned { .. } => "its holder asked for no code, and said so more than once",
                    InputRecord::Begin
                    | InputRecord::Resend { .. }
                    | InputRecord::Check
                    | InputRecord::Cancel
                    | InputRecord::SendMessage
                    | InputRecord::Outcome { .. }
                    | InputRecord::Receipt { .. }
                    | InputRecord::Tick
                    | InputRecord::Unlock => "too many wrong codes in a row",
                },
                clock(*until)
            ),
        ),
        Decision::Locked { until: None } => told(
            Kind::Other,
            "Locked the number for good".into(),
            "too many wrong codes in a row; only an operator can lift it".into(),
        ),
        Decision::Unlocked => told(Kind::Other, "Lifted the lock".into(), "an operator asked for it".into()),
        Decision::Refused(refusal) => told(Kind::Refuse, refused(&entry.input).into(), refusal_why(refusal, entry.at)),
        Decision::Skipped { route, skip } => told(
            Kind::Send,
            format!("Passed over {} sender {}", name(route.channel), route.sender),
            skipped(skip),
        ),
        Decision::NoneOpen { route, skip } => told(
            Kind::Send,
            format!(
                "Took {} sender {} for want of a better one",
                name(route.channel),
                route.sender
            ),
            format!("{}, and no route that is left is better", skipped(skip)),
        ),
        Decision::ReachLearned { channel, is_on: true } => told(
            Kind::Receipt,
            format!("Remembered that the number is on {}", name(*channel)),
            "a message arrived there; kept for 90 days".into(),
        ),
        Decision::ReachLearned { channel, is_on: false } => told(
            Kind::Receipt,
            format!("Remembered that the number is not on {}", name(*channel)),
            "its provider said so; verifications start elsewhere for 30 days, or until a message arrives there".into(),
        ),
        Decision::LanguageChosen { message, language } => told(
            Kind::Send,
            format!("Chose the template's language {language}"),
            match entry.input {
                // In the answer to a call: the first language was tried, and was not there.
                InputRecord::Outcome { .. } => format!(
                    "{} does not have it in the language that was tried; nothing was sent, and this one is tried once",
                    message.route.provider
                ),
                InputRecord::Begin
                | InputRecord::Resend { .. }
                | InputRecord::Check
                | InputRecord::Cancel
                | InputRecord::SendMessage
                | InputRecord::Receipt { .. }
                | InputRecord::Tick
                | InputRecord::Unlock
                | InputRecord::Disowned { .. } => format!(
                    "{} sender {} may not send it in the language of the user",
                    message.route.provider, message.route.sender
                ),
            },
        ),
        Decision::Priced { message, price } => told(
            Kind::Receipt,
            format!("Booked {price} for the {} message", name(message.route.channel)),
            format!("what {} takes for it", message.route.provider),
        ),
        Decision::Disowned { message } => told(
            Kind::Refuse,
            "Recipient says: I asked for no code".into(),
            format!(
                "they pressed the button for that under the {} message; somebody else may be typing their number",
                name(message.route.channel)
            ),
        ),
    }
}

/// Why a route is passed over.
#[must_use]
pub fn skipped(skip: &Skip) -> String {
    let why = match skip.reason {
        SkipReason::NotOnChannel => "an earlier message told that the number is not there",
        SkipReason::Breaker => "a message failed there for a reason that holds for all, so that its breaker keeps them away",
        SkipReason::Template => "its template is not approved in any language",
        SkipReason::MessagingLimit => "its account has written to as many people as it may within 24 hours",
        SkipReason::TooSoon => "the number had a message over it a moment ago, and its provider would refuse another",
        SkipReason::Country => "its provider does not serve the number's country",
        SkipReason::Sender => "its sender may not send to the number's country",
        SkipReason::SenderCountries => "the configuration keeps its sender for other countries",
        SkipReason::Landline => "the number is a landline, which text messages do not reach",
    };
    if skip.detail.is_empty() {
        why.into()
    } else {
        format!("{why}: {}", skip.detail)
    }
}

const fn told(kind: Kind, title: String, why: String) -> Told {
    Told { title, why, kind }
}

fn queued(entry: &Entry, at: usize, route: &Route, cause: &SendCause) -> Told {
    let channel = name(route.channel);
    let way = format!("{} sender {}", route.provider, route.sender);
    match cause {
        SendCause::Begun => told(
            Kind::Send,
            format!("Queued on {channel}"),
            if entry.decisions[..at].iter().any(|d| matches!(d, Decision::Skipped { .. })) {
                format!("first step of the plan that is open, by {way}")
            } else {
                format!("first step of the plan, by {way}")
            },
        ),
        SendCause::Requested => told(
            Kind::Send,
            format!("Queued again on {channel}"),
            format!("the caller asked for another message, by {way}"),
        ),
        SendCause::FellBackOnFailure => {
            // What failed was written down in front of this decision, where it was learned in the same step.
            let why = failure_before(entry, at).map_or_else(
                || "the message before it definitely failed".to_owned(),
                |(route, failure)| format!("{} definitely failed: {}", name(route.channel), said(failure)),
            );
            told(Kind::Fallback, format!("Fell back to {channel}"), format!("{why}; by {way}"))
        }
        SendCause::FellBackOnSilence { waited_ms } => told(
            Kind::Fallback,
            format!("Fell back to {channel}"),
            format!("no delivered or read within {} of queueing; by {way}", duration(*waited_ms)),
        ),
        SendCause::Plain => told(
            Kind::Send,
            format!("Queued on {channel}"),
            format!("a plain message, by {way}"),
        ),
    }
}

fn failure_before(entry: &Entry, at: usize) -> Option<(&Route, &Failure)> {
    entry.decisions[..at].iter().rev().find_map(|decision| {
        if let Decision::Message {
            message,
            status: MessageStatus::Failed,
            failure: Some(failure),
            ..
        } = decision
        {
            Some((&message.route, failure))
        } else {
            None
        }
    })
}

fn learned(route: &Route, status: MessageStatus, after_ms: u64, failure: Option<&Failure>) -> Told {
    let channel = name(route.channel);
    let provider = &route.provider;
    let after = format!("{} after queueing", duration(after_ms));
    let (title, why) = match status {
        MessageStatus::Queued => (format!("Queued on {channel}"), after),
        MessageStatus::Unclear => (
            format!("Unclear whether {provider} has it"),
            format!(
                "{}; {after}; not called again, because that might send it twice",
                failure.map_or("no clear answer", |f| &f.detail)
            ),
        ),
        MessageStatus::Accepted => (
            format!("Accepted by {provider}"),
            format!("{after}; whether it arrives is another matter"),
        ),
        MessageStatus::Sent => (
            format!("Sent on {channel}"),
            format!("{after}; only delivered or read stops the fallback"),
        ),
        MessageStatus::Failed => (
            format!("Failed on {channel}"),
            format!("{}; {after}", failure.map_or_else(|| "no reason told".to_owned(), said)),
        ),
        MessageStatus::Delivered => (format!("Delivered on {channel}"), after),
        MessageStatus::Read => (format!("Read on {channel}"), after),
    };
    told(Kind::Receipt, title, why)
}

const fn no_fallback(why: NoFallback) -> &'static str {
    match why {
        NoFallback::HourlyLimit => "the number had all its messages for this hour",
        NoFallback::FailureForbids => {
            "the recipient's identity changed, so that somebody else may have the number now; nothing goes out unless the caller asks for it"
        }
    }
}

const fn cause_of_alert(class: FailureClass) -> &'static str {
    match class {
        FailureClass::RetryHere { .. }
        | FailureClass::SlowDown { .. }
        | FailureClass::NextRoute
        | FailureClass::Unreachable
        | FailureClass::OtherLanguage => "the provider reports",
        FailureClass::TripBreaker(TripScope::Account) => "no sender of this account can send to anybody",
        FailureClass::TripBreaker(TripScope::Sender) => "this sender cannot send to anybody",
        FailureClass::TripBreaker(TripScope::Template) => "its template cannot be sent to anybody",
        FailureClass::TripBreaker(TripScope::Country) => "this account cannot send to the number's country",
        FailureClass::OurMistake => "we asked for something wrong",
        FailureClass::NoFallback => "the recipient's identity changed, so that somebody else may have the number now",
    }
}

const fn check_failed(reason: CheckReason) -> (&'static str, &'static str) {
    match reason {
        CheckReason::IncorrectCode => ("Wrong code", "another code than the one that was sent"),
        CheckReason::BindingMismatch => ("Wrong transaction", "another transaction than the one the code is bound to"),
        CheckReason::Expired | CheckReason::TooManyChecks | CheckReason::AlreadyUsed | CheckReason::Canceled => {
            ("Wrong check", not_evaluated(reason))
        }
    }
}

const fn not_evaluated(reason: CheckReason) -> &'static str {
    match reason {
        CheckReason::IncorrectCode => "another code than the one that was sent",
        CheckReason::Expired => "the verification's time is over",
        CheckReason::TooManyChecks => "no guess is left, or the number is locked",
        CheckReason::AlreadyUsed => "the code was used before",
        CheckReason::Canceled => "the verification was canceled",
        CheckReason::BindingMismatch => "another transaction than the one the code is bound to",
    }
}

fn left(checks: u16) -> String {
    match checks {
        0 => "no check left".into(),
        1 => "1 check left".into(),
        more => format!("{more} checks left"),
    }
}

fn ended(input: &InputRecord, status: Status, after_ms: u64, channel: Option<Channel>) -> Told {
    let after = duration(after_ms);
    match status {
        Status::Pending => told(Kind::Other, "Pending".into(), format!("for {after}")),
        Status::Approved => {
            let brought = channel
                .map(|c| format!("; most likely it came on {}", name(c)))
                .unwrap_or_default();
            told(
                Kind::Check,
                "Approved".into(),
                format!("the right code, {after} after the beginning{brought}"),
            )
        }
        Status::Expired => told(
            Kind::Expire,
            "Expired".into(),
            format!("no right code in time; {after} after the beginning"),
        ),
        Status::Canceled => told(
            Kind::Other,
            "Canceled".into(),
            match input {
                InputRecord::Disowned { .. } => format!("its holder says they asked for no code, {after} after the beginning"),
                InputRecord::Begin
                | InputRecord::Resend { .. }
                | InputRecord::Check
                | InputRecord::Cancel
                | InputRecord::SendMessage
                | InputRecord::Outcome { .. }
                | InputRecord::Receipt { .. }
                | InputRecord::Tick
                | InputRecord::Unlock => format!("the caller gave it up, {after} after the beginning"),
            },
        ),
        Status::MaxChecksReached => told(
            Kind::Check,
            "No checks left".into(),
            format!("the last guess was wrong, {after} after the beginning; this code is dead"),
        ),
        Status::Failed => told(
            Kind::Other,
            "Failed".into(),
            format!("every message definitely failed, {after} after the beginning"),
        ),
        Status::Blocked => told(
            Kind::Refuse,
            "Blocked".into(),
            "the guard refused it; nothing was sent".into(),
        ),
    }
}

const fn refused(input: &InputRecord) -> &'static str {
    match input {
        InputRecord::Begin | InputRecord::Resend { .. } => "Refused to send again",
        InputRecord::Check => "Refused to check",
        InputRecord::Cancel => "Refused to cancel",
        InputRecord::SendMessage => "Refused to send",
        InputRecord::Outcome { .. }
        | InputRecord::Receipt { .. }
        | InputRecord::Disowned { .. }
        | InputRecord::Tick
        | InputRecord::Unlock => "Refused",
    }
}

fn refusal_why(refusal: &Refusal, now: Timestamp) -> String {
    match refusal {
        Refusal::UnknownVerification => "no such verification here".into(),
        Refusal::ResendTooSoon { retry_at } => {
            format!("the last request is too recent; the next may come {}", coming(*retry_at, now))
        }
        Refusal::HourlyLimit { retry_at } => {
            format!(
                "the number had all its messages for this hour; the next may be asked for {}",
                coming(*retry_at, now)
            )
        }
        Refusal::Locked { until: Some(until) } => format!(
            "the number is locked, after wrong codes in a row or codes that its holder did not ask for; it opens {}",
            coming(*until, now)
        ),
        Refusal::Locked { until: None } => {
            "the number is locked after too many wrong codes in a row; only an operator can lift it".into()
        }
        Refusal::NotPending { status } => format!("the verification has ended: {}", status.as_str()),
        Refusal::PendingWithOtherCode => "one with another code is pending for this number and purpose".into(),
        Refusal::PendingWithOtherBinding => "one for another transaction is pending for this number and purpose".into(),
        Refusal::ChannelNotInPlan => "the plan of this verification has no step on that channel".into(),
        Refusal::TooManyPurposes => "the number has wrong codes for too many purposes".into(),
        Refusal::TooManyPending => "too many verifications of this number are pending at once".into(),
        Refusal::TooManyMessages { retry_at } => {
            format!(
                "the number had all its plain messages for this hour; the next may be sent {}",
                coming(*retry_at, now)
            )
        }
    }
}

/// `131026 (Message undeliverable)`: the provider's own words, as they were cut to size.
fn said(failure: &Failure) -> String {
    if failure.detail.is_empty() {
        failure.code.to_string()
    } else {
        format!("{} ({})", failure.code, failure.detail)
    }
}

const fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "SMS",
        Channel::Whatsapp => "WhatsApp",
    }
}

/// `in 48 s (at 12:00:48 UTC)`; rounded up, so that nobody comes too soon.
fn coming(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.millis_since(now).div_ceil(1_000);
    format!(
        "in {} (at {})",
        duration(seconds.saturating_mul(1_000)),
        clock(Timestamp::from_millis(at.as_millis().saturating_add(999)))
    )
}

/// The time of day in UTC, to the second.
fn clock(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `450 ms`, `1.5 s`, `2 min 3 s`, `1 h 5 min`: what a person needs of a number of milliseconds.
fn duration(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match (hours, minutes, seconds) {
        (0, 0, 0) => format!("{ms} ms"),
        (0, 0, _) if ms % 1_000 < 100 => format!("{seconds} s"),
        (0, 0, _) => format!("{seconds}.{} s", ms / 100 % 10),
        (0, _, _) if seconds % 60 == 0 => format!("{minutes} min"),
        (0, _, _) => format!("{minutes} min {} s", seconds % 60),
        _ if minutes % 60 == 0 => format!("{hours} h"),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::MessageRef;
    use crate::id::{EventId, MessageId};
    use crate::money::{Currency, Money};
    use crate::number::{Country, Masked};
    use crate::recipient::{Mode, Scope, ServiceName};
    use crate::verification::Purpose;

    /// 12:00:00 UTC on some day.
    const NOON: Timestamp = Timestamp::from_millis(20_000 * 86_400_000 + 43_200_000);

    fn entry(input: InputRecord, decisions: Vec<Decision>) -> Entry {
        Entry {
            id: EventId::new(NOON, [1; 16]),
            at: NOON,
            scope: Scope {
                service: ServiceName::parse("acme").unwrap(),
                mode: Mode::Live,
            },
            masked: Masked::from_stored("+31*****8058"),
            country: Country::parse("NL").unwrap(),
            verification: None,
            message: None,
            purpose: Purpose::parse("login"),
            metadata: Vec::new(),
            client: None,
            input,
            decisions,
        }
    }

    fn route(channel: Channel) -> Route {
        let (sender, provider) = match channel {
            Channel::Whatsapp => (1, "whatsapp_cloud"),
            Channel::Sms => (42, "twilio"),
        };
        Route {
            channel,
            sender,
            provider: provider.into(),
        }
    }

    fn message(channel: Channel) -> MessageRef {
        MessageRef {
            id: MessageId::new(NOON, [2; 16]),
            route: route(channel),
        }
    }

    fn undeliverable() -> Failure {
        Failure::new(FailureClass::NextRoute, "131026", "Message undeliverable")
    }

    /// The words of one decision.
    #[track_caller]
    fn says(input: InputRecord, decision: Decision, kind: Kind, title: &str, why: &str) {
        let [line] = <[Told; 1]>::try_from(tell(&entry(input, vec![decision]))).unwrap();
        assert_eq!((line.kind, line.title.as_str(), line.why.as_str()), (kind, title, why));
    }

    #[test]
    fn a_beginning_and_its_sends() {
        let expires_at = NOON.plus_millis(300_000);
        let why = "for the purpose login; the code is good for 5 min, until 12:05:00 UTC";
        says(InputRecord::Begin, Decision::Began { expires_at }, Kind::Begin, "Began", why);
        for (cause, kind, title, why) in [
            (
                SendCause::Begun,
                Kind::Send,
                "Queued on SMS",
                "first step of the plan, by twilio sender 42",
            ),
            (
                SendCause::Requested,
                Kind::Send,
                "Queued again on SMS",
                "the caller asked for another message, by twilio sender 42",
            ),
            (
                SendCause::FellBackOnFailure,
                Kind::Fallback,
                "Fell back to SMS",
                "the message before it definitely failed; by twilio sender 42",
            ),
            (
                SendCause::FellBackOnSilence { waited_ms: 10_020 },
                Kind::Fallback,
                "Fell back to SMS",
                "no delivered or read within 10 s of queueing; by twilio sender 42",
            ),
            (
                SendCause::Plain,
                Kind::Send,
                "Queued on SMS",
                "a plain message, by twilio sender 42",
            ),
        ] {
            says(
                InputRecord::Tick,
                Decision::Queued {
                    message: message(Channel::Sms),
                    cause,
                },
                kind,
                title,
                why,
            );
        }
        says(
            InputRecord::Begin,
            Decision::Claimed {
                message: message(Channel::Whatsapp),
            },
            Kind::Send,
            "Calling whatsapp_cloud",
            "written down before the call starts, so that no restart makes it twice",
        );
        says(
            InputRecord::Begin,
            Decision::RetryAt {
                message: message(Channel::Whatsapp),
                at: NOON.plus_millis(1_500),
                failure: undeliverable(),
            },
            Kind::Send,
            "Calling whatsapp_cloud once more in 1.5 s",
            "it said 131026 (Message undeliverable) and nothing was sent; not before 12:00:01 UTC",
        );
        says(
            InputRecord::Cancel,
            Decision::Withdrawn {
                message: message(Channel::Sms),
            },
            Kind::Send,
            "Took the SMS message back",
            "no call to the provider had started, and it is no longer wanted",
        );
    }

    #[test]
    fn a_fallback_on_failure_names_the_failure_in_front_of_it() {
        let failed = Decision::Message {
            message: message(Channel::Whatsapp),
            status: MessageStatus::Failed,
            after_ms: 800,
            failure: Some(undeliverable()),
        };
        let fell_back = Decision::Queued {
            message: message(Channel::Sms),
            cause: SendCause::FellBackOnFailure,
        };
        let lines = tell(&entry(InputRecord::Tick, vec![failed, fell_back]));
        assert_eq!(lines[0].why, "131026 (Message undeliverable); 800 ms after queueing");
        assert_eq!(lines[1].title, "Fell back to SMS");
        assert_eq!(
            lines[1].why,
            "WhatsApp definitely failed: 131026 (Message undeliverable); by twilio sender 42"
        );
    }

    #[test]
    fn what_providers_told() {
        let told = |status, failure| Decision::Message {
            message: message(Channel::Whatsapp),
            status,
            after_ms: 1_250,
            failure,
        };
        let unclear = Failure::new(FailureClass::NextRoute, "unclear", "the connection was reset");
        for (status, failure, title, why) in [
            (MessageStatus::Queued, None, "Queued on WhatsApp", "1.2 s after queueing"),
            (
                MessageStatus::Unclear,
                Some(unclear),
                "Unclear whether whatsapp_cloud has it",
                "the connection was reset; 1.2 s after queueing; not called again, because that might send it twice",
            ),
            (
                MessageStatus::Accepted,
                None,
                "Accepted by whatsapp_cloud",
                "1.2 s after queueing; whether it arrives is another matter",
            ),
            (
                MessageStatus::Sent,
                None,
                "Sent on WhatsApp",
                "1.2 s after queueing; only delivered or read stops the fallback",
            ),
            (
                MessageStatus::Failed,
                Some(undeliverable()),
                "Failed on WhatsApp",
                "131026 (Message undeliverable); 1.2 s after queueing",
            ),
            (
                MessageStatus::Delivered,
                None,
                "Delivered on WhatsApp",
                "1.2 s after queueing",
            ),
            (MessageStatus::Read, None, "Read on WhatsApp", "1.2 s after queueing"),
        ] {
            says(InputRecord::Tick, told(status, failure), Kind::Receipt, title, why);
        }
        says(
            InputRecord::Tick,
            Decision::ReceiptRepeated {
                message: message(Channel::Sms),
                status: MessageStatus::Delivered,
            },
            Kind::Receipt,
            "Heard again what was known",
            "twilio told delivered for the SMS message once more; nothing changes",
        );
    }

    #[test]
    fn no_fallback_and_alerts() {
        for (why, words) in [
            (NoFallback::HourlyLimit, "the number had all its messages for this hour"),
            (
                NoFallback::FailureForbids,
                "the recipient's identity changed, so that somebody else may have the number now; nothing goes out unless the caller asks for it",
            ),
        ] {
            says(
                InputRecord::Tick,
                Decision::NoFallback(why),
                Kind::Fallback,
                "Did not fall back",
                words,
            );
        }
        for (class, why) in [
            (FailureClass::NextRoute, "the provider reports: 190 (Token expired)"),
            (
                FailureClass::TripBreaker(TripScope::Account),
                "no sender of this account can send to anybody: 190 (Token expired)",
            ),
            (
                FailureClass::TripBreaker(TripScope::Sender),
                "this sender cannot send to anybody: 190 (Token expired)",
            ),
            (
                FailureClass::TripBreaker(TripScope::Template),
                "its template cannot be sent to anybody: 190 (Token expired)",
            ),
            (
                FailureClass::TripBreaker(TripScope::Country),
                "this account cannot send to the number's country: 190 (Token expired)",
            ),
            (FailureClass::OurMistake, "we asked for something wrong: 190 (Token expired)"),
            (
                FailureClass::NoFallback,
                "the recipient's identity changed, so that somebody else may have the number now: 190 (Token expired)",
            ),
        ] {
            let alert = Decision::Alert {
                route: route(Channel::Whatsapp),
                failure: Failure::new(class, "190", "Token expired"),
            };
            says(
                InputRecord::Tick,
                alert,
                Kind::Other,
                "Look at WhatsApp sender 1 (whatsapp_cloud)",
                why,
            );
        }
    }

    #[test]
    fn routes_that_are_passed_over() {
        for (reason, detail, why) in [
            (
                SkipReason::NotOnChannel,
                "",
                "an earlier message told that the number is not there",
            ),
            (
                SkipReason::Breaker,
                "account 190",
                "a message failed there for a reason that holds for all, so that its breaker keeps them away: account 190",
            ),
            (
                SkipReason::Template,
                "login_otp",
                "its template is not approved in any language: login_otp",
            ),
            (
                SkipReason::MessagingLimit,
                "250",
                "its account has written to as many people as it may within 24 hours: 250",
            ),
            (
                SkipReason::TooSoon,
                "",
                "the number had a message over it a moment ago, and its provider would refuse another",
            ),
            (SkipReason::Country, "", "its provider does not serve the number's country"),
            (
                SkipReason::Sender,
                "carriers there take no senders of letters",
                "its sender may not send to the number's country: carriers there take no senders of letters",
            ),
            (
                SkipReason::SenderCountries,
                "",
                "the configuration keeps its sender for other countries",
            ),
            (
                SkipReason::Landline,
                "",
                "the number is a landline, which text messages do not reach",
            ),
        ] {
            let (route, detail) = (route(Channel::Whatsapp), detail.into());
            let skip = Skip { reason, detail };
            let skipped = Decision::Skipped {
                route: route.clone(),
                skip: skip.clone(),
            };
            says(InputRecord::Begin, skipped, Kind::Send, "Passed over WhatsApp sender 1", why);
            says(
                InputRecord::Tick,
                Decision::NoneOpen { route, skip },
                Kind::Send,
                "Took WhatsApp sender 1 for want of a better one",
                &format!("{why}, and no route that is left is better"),
            );
        }
        let skipped = Decision::Skipped {
            route: route(Channel::Whatsapp),
            skip: Skip::because(SkipReason::Country),
        };
        let queued = Decision::Queued {
            message: message(Channel::Sms),
            cause: SendCause::Begun,
        };
        let lines = tell(&entry(InputRecord::Begin, vec![skipped, queued]));
        assert_eq!(lines[1].why, "first step of the plan that is open, by twilio sender 42");
    }

    #[test]
    fn what_is_learned_of_a_number_and_its_messages() {
        let learned = |is_on| Decision::ReachLearned {
            channel: Channel::Whatsapp,
            is_on,
        };
        let receipt = || InputRecord::Tick;
        says(
            receipt(),
            learned(true),
            Kind::Receipt,
            "Remembered that the number is on WhatsApp",
            "a message arrived there; kept for 90 days",
        );
        says(
            receipt(),
            learned(false),
            Kind::Receipt,
            "Remembered that the number is not on WhatsApp",
            "its provider said so; verifications start elsewhere for 30 days, or until a message arrives there",
        );
        let priced = Decision::Priced {
            message: message(Channel::Whatsapp),
            price: Money {
                amount_micros: 50_000,
                currency: Currency::USD,
            },
        };
        let title = "Booked 0.0500 USD for the WhatsApp message";
        says(receipt(), priced, Kind::Receipt, title, "what whatsapp_cloud takes for it");
        let chosen = || Decision::LanguageChosen {
            message: message(Channel::Whatsapp),
            language: "en".into(),
        };
        let title = "Chose the template's language en";
        let why = "whatsapp_cloud sender 1 may not send it in the language of the user";
        says(InputRecord::Begin, chosen(), Kind::Send, title, why);
        let answer = InputRecord::Outcome {
            message: MessageId::new(NOON, [2; 16]),
            said: "failed",
        };
        let why = "whatsapp_cloud does not have it in the language that was tried; nothing was sent, and this one is tried once";
        says(answer, chosen(), Kind::Send, title, why);
    }

    #[test]
    fn a_code_that_nobody_asked_for() {
        let pressed = || InputRecord::Disowned {
            message: MessageId::new(NOON, [2; 16]),
        };
        says(
            pressed(),
            Decision::Disowned {
                message: message(Channel::Whatsapp),
            },
            Kind::Refuse,
            "Recipient says: I asked for no code",
            "they pressed the button for that under the WhatsApp message; somebody else may be typing their number",
        );
        let ended = Decision::Ended {
            status: Status::Canceled,
            after_ms: 4_000,
            channel: None,
        };
        let why = "its holder says they asked for no code, 4 s after the beginning";
        says(pressed(), ended, Kind::Other, "Canceled", why);
        let until = Some(NOON.plus_millis(3_600_000));
        let why =
            "its holder asked for no code, and said so more than once; open again at 13:00:00 UTC, or when an operator lifts it";
        says(
            pressed(),
            Decision::Locked { until },
            Kind::Other,
            "Locked the number for 1 h",
            why,
        );
    }

    #[test]
    fn checks_and_locks() {
        let failed = |reason, checks_left| Decision::CheckFailed { reason, checks_left };
        let wrong = "another code than the one that was sent; counted, 4 checks left";
        says(
            InputRecord::Check,
            failed(CheckReason::IncorrectCode, 4),
            Kind::Check,
            "Wrong code",
            wrong,
        );
        let wrong = "another transaction than the one the code is bound to; counted, 1 check left";
        says(
            InputRecord::Check,
            failed(CheckReason::BindingMismatch, 1),
            Kind::Check,
            "Wrong transaction",
            wrong,
        );
        for (reason, why) in [
            (CheckReason::Expired, "the verification's time is over; not counted"),
            (
                CheckReason::TooManyChecks,
                "no guess is left, or the number is locked; not counted",
            ),
            (CheckReason::AlreadyUsed, "the code was used before; not counted"),
            (CheckReason::Canceled, "the verification was canceled; not counted"),
        ] {
            says(
                InputRecord::Check,
                Decision::CheckNotEvaluated { reason },
                Kind::Check,
                "Did not look at a code",
                why,
            );
        }
        let until = NOON.plus_millis(3_600_000);
        let why = "too many wrong codes in a row; open again at 13:00:00 UTC, or when an operator lifts it";
        says(
            InputRecord::Check,
            Decision::Locked { until: Some(until) },
            Kind::Other,
            "Locked the number for 1 h",
            why,
        );
        let why = "too many wrong codes in a row; only an operator can lift it";
        says(
            InputRecord::Check,
            Decision::Locked { until: None },
            Kind::Other,
            "Locked the number for good",
            why,
        );
        says(
            InputRecord::Unlock,
            Decision::Unlocked,
            Kind::Other,
            "Lifted the lock",
            "an operator asked for it",
        );
    }

    #[test]
    fn every_end() {
        for (status, kind, title, why) in [
            (Status::Pending, Kind::Other, "Pending", "for 1 min 1 s"),
            (
                Status::Approved,
                Kind::Check,
                "Approved",
                "the right code, 1 min 1 s after the beginning; most likely it came on WhatsApp",
            ),
            (
                Status::Expired,
                Kind::Expire,
                "Expired",
                "no right code in time; 1 min 1 s after the beginning",
            ),
            (
                Status::Canceled,
                Kind::Other,
                "Canceled",
                "the caller gave it up, 1 min 1 s after the beginning",
            ),
            (
                Status::MaxChecksReached,
                Kind::Check,
                "No checks left",
                "the last guess was wrong, 1 min 1 s after the beginning; this code is dead",
            ),
            (
                Status::Failed,
                Kind::Other,
                "Failed",
                "every message definitely failed, 1 min 1 s after the beginning",
            ),
            (
                Status::Blocked,
                Kind::Refuse,
                "Blocked",
                "the guard refused it; nothing was sent",
            ),
        ] {
            let decision = Decision::Ended {
                status,
                after_ms: 61_000,
                channel: Some(Channel::Whatsapp),
            };
            says(InputRecord::Tick, decision, kind, title, why);
        }
    }

    #[test]
    fn every_refusal() {
        let at = NOON.plus_millis(47_100);
        let resend = || InputRecord::Resend { channel: None };
        for (refusal, why) in [
            (Refusal::UnknownVerification, "no such verification here"),
            (
                Refusal::ResendTooSoon { retry_at: at },
                "the last request is too recent; the next may come in 48 s (at 12:00:48 UTC)",
            ),
            (
                Refusal::HourlyLimit { retry_at: at },
                "the number had all its messages for this hour; the next may be asked for in 48 s (at 12:00:48 UTC)",
            ),
            (
                Refusal::Locked { until: Some(at) },
                "the number is locked, after wrong codes in a row or codes that its holder did not ask for; it opens in 48 s (at 12:00:48 UTC)",
            ),
            (
                Refusal::Locked { until: None },
                "the number is locked after too many wrong codes in a row; only an operator can lift it",
            ),
            (
                Refusal::NotPending {
                    status: Status::MaxChecksReached,
                },
                "the verification has ended: max_checks_reached",
            ),
            (
                Refusal::PendingWithOtherCode,
                "one with another code is pending for this number and purpose",
            ),
            (
                Refusal::PendingWithOtherBinding,
                "one for another transaction is pending for this number and purpose",
            ),
            (
                Refusal::ChannelNotInPlan,
                "the plan of this verification has no step on that channel",
            ),
            (Refusal::TooManyPurposes, "the number has wrong codes for too many purposes"),
            (
                Refusal::TooManyPending,
                "too many verifications of this number are pending at once",
            ),
            (
                Refusal::TooManyMessages { retry_at: at },
                "the number had all its plain messages for this hour; the next may be sent in 48 s (at 12:00:48 UTC)",
            ),
        ] {
            says(
                resend(),
                Decision::Refused(refusal),
                Kind::Refuse,
                "Refused to send again",
                why,
            );
        }
        let gone = || Decision::Refused(Refusal::NotPending { status: Status::Expired });
        says(
            InputRecord::Cancel,
            gone(),
            Kind::Refuse,
            "Refused to cancel",
            "the verification has ended: expired",
        );
        says(
            InputRecord::Check,
            gone(),
            Kind::Refuse,
            "Refused to check",
            "the verification has ended: expired",
        );
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_099, "1 s"),
            (1_500, "1.5 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min"),
            (123_000, "2 min 3 s"),
            (3_600_000, "1 h"),
            (3_900_000, "1 h 5 min"),
        ] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(clock(Timestamp::from_millis(-1)), "23:59:59 UTC");
        assert_eq!(clock(NOON.plus_millis(12 * 3_600_000 - 1)), "23:59:59 UTC");
    }
}
