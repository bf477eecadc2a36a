//! What has happened so far, in books of the tests' own, and does each step agree with them?

use std::collections::{BTreeMap, HashMap, HashSet};

use tapcode_core::delivery::{
    CALL_ANSWER_MS, Delivery, FailureClass, MessageStatus, RETRIES_MAX, ReceiptKind, SendOutcome, TripScope,
};
use tapcode_core::entry::{CheckReason, Decision, Entry, InputRecord, MessageRef, NoFallback, Refusal, SendCause};
use tapcode_core::id::{MessageId, VerificationId};
use tapcode_core::money::Money;
use tapcode_core::plan::{Channel, IdentityChange, Route, Skip, SkipReason};
use tapcode_core::recipient::{FINISHED_KEPT_MS, HOUR_MS, MESSAGES_MAX, PURPOSES_MAX, Recipient, VERIFICATIONS_MAX};
use tapcode_core::step::{Answer, Begin, CALL_PUT_OFF_MS, Decided, ENTRIES_MAX, Input, Routes};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{CodeSource, Limits, Purpose, Sealed, Status};

use crate::known::{Books, Identities, identities, identities_of};
use crate::life::{Broken, Held, broken, hold};
use crate::world::World;

const CHECKS: &str = "1 checks are counted";
const ROWS: &str = "2 failures in a row";
const ONCE: &str = "3 a code is used once, in time and for its own";
const FINAL: &str = "4 one end, in time";
const CALLS: &str = "5 one call per attempt";
const FALLBACK: &str = "6 the fallback starts exactly once";
const RECEIPTS: &str = "7 facts accumulate";
const LIMITS: &str = "8 send limits";
const IDS: &str = "ids are unique";
const BOUNDS: &str = "documents stay bounded";
const ANSWERS: &str = "answers tell what happened";
const LOG: &str = "the log tells what happened";
const ROUTES: &str = "a route is passed over only for a reason, and that is told";
const SPACING: &str = "messages over one route keep their distance";
const LANGUAGE: &str = "another language is tried once, and only when nothing was sent";
const KNOWN: &str = "what is known of a number";
const IDENTITY: &str = "whose the number is";
const DISOWNED: &str = "who asked for no code is heard";
const PRICE: &str = "a message has one price";
pub const FORGOTTEN: &str = "everything is forgotten in the end";

#[derive(Default)]
pub struct Ledger {
    pub verifications: Vec<Known>,
    pub messages: Vec<Message>,
    /// How often each rare thing happened.
    pub seen: BTreeMap<&'static str, u32>,
    sends: Vec<Timestamp>,
    requested_at: Option<Timestamp>,
    failures: HashMap<Purpose, u16>,
    lock: Option<Locked>,
    ids: HashSet<String>,
    /// What is known of the number beyond its verifications.
    known: Books,
}

/// A lock that holds until a moment, or for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Locked {
    Until(Timestamp),
    ForGood,
}

pub struct Known {
    pub id: VerificationId,
    pub begin: Begin,
    pub limits: Limits,
    pub status: Status,
    pub expires_at: Timestamp,
    finished_at: Option<Timestamp>,
    evaluated: u16,
    /// Positions in the ledger's messages.
    attempts: Vec<usize>,
    /// Whether the current attempt's fallback was given up, and why.
    given_up: Option<NoFallback>,
    noise: u16,
}

pub struct Message {
    pub id: MessageId,
    pub in_flight_since: Option<Timestamp>,
    route: Route,
    /// When its call started last; not when it is certain that the call sent nothing.
    claimed_at: Option<Timestamp>,
    language: Option<Box<str>>,
    languages_tried: u32,
    price: Option<Money>,
    identity: Option<Sealed>,
    disowned: bool,
    verification: Option<usize>,
    step: u8,
    queued_at: Timestamp,
    fallback_due: Option<Timestamp>,
    /// The earliest moment for its call, for a retry or because its route was busy.
    not_before: Timestamp,
    calls: u32,
    retries: u32,
    withdrawn: bool,
    /// Whether a message told, after this one was queued, that somebody else may have the number.
    held: bool,
    facts: Facts,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Facts {
    accepted: Option<Timestamp>,
    unclear: Option<Timestamp>,
    sent: Option<Timestamp>,
    delivered: Option<Timestamp>,
    read: Option<Timestamp>,
    failed: Option<Timestamp>,
    class: Option<FailureClass>,
}

impl Facts {
    fn of(delivery: &Delivery) -> Self {
        Self {
            accepted: delivery.accepted_at,
            unclear: delivery.unclear_at,
            sent: delivery.sent_at,
            delivered: delivery.delivered_at,
            read: delivery.read_at,
            failed: delivery.failed_at,
            class: delivery.failure.as_ref().map(|f| f.class),
        }
    }

    fn any(self) -> bool {
        self != Self::default()
    }

    fn arrived(self) -> bool {
        self.delivered.is_some() || self.read.is_some()
    }

    fn dead(self) -> bool {
        self.failed.is_some() && !self.arrived()
    }

    /// The highest-ranking fact, told from the facts alone.
    fn status(self) -> MessageStatus {
        let ranked = [
            (self.read, MessageStatus::Read),
            (self.delivered, MessageStatus::Delivered),
            (self.failed, MessageStatus::Failed),
            (self.sent, MessageStatus::Sent),
            (self.accepted, MessageStatus::Accepted),
            (self.unclear, MessageStatus::Unclear),
        ];
        ranked
            .into_iter()
            .find(|(at, _)| at.is_some())
            .map_or(MessageStatus::Queued, |(_, status)| status)
    }

    fn fail(&mut self, now: Timestamp, class: FailureClass) {
        if self.failed.is_none() {
            (self.failed, self.class) = (Some(now), Some(class));
        }
    }
}

/// A step that is being read.
struct Watched<'a> {
    input: &'a Input,
    now: Timestamp,
    may_call: bool,
    world: &'a World,
    decided: &'a Decided,
    /// What must be written down, by what the input told.
    news: News,
    /// Routes that the entries told were passed over, by verification.
    passed_over: Vec<(usize, Route)>,
    /// Routes of the workflow that may never be taken.
    never: Vec<(Route, Skip)>,
    /// Routes that they told were taken for want of a better one, by verification.
    none_open: Vec<(usize, Route)>,
    /// Calls that the entries told of so far.
    claimed: Vec<MessageId>,
    /// Verifications that a message was queued for so far.
    queued_for: HashSet<usize>,
    /// The messages that were.
    queued_now: HashSet<MessageId>,
}

/// What an input told that was not known, and that must be written down exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct News {
    reach: Option<(Channel, bool)>,
    price: Option<(MessageId, Money)>,
    disowned: Option<MessageId>,
    locked: Option<Timestamp>,
}

impl Ledger {
    /// Reads one step and holds the laws against it.
    pub fn read(
        &mut self,
        before: Option<&Recipient>,
        input: &Input,
        now: Timestamp,
        (may_call, world): (bool, &World),
        decided: &Decided,
    ) -> Held {
        let next = decided.next.as_ref();
        if !decided.changed {
            let nothing = decided.entries.is_empty() && decided.calls.is_empty() && next == before;
            hold(LOG, nothing, || format!("not changed, and yet {decided:?}"))?;
        }
        if self.known.forget(now) > 0 {
            self.see("reach forgotten");
        }
        let expected = self.expected_answer(input, now);
        let news = self.learn(next, input, now, world, &decided.entries)?;
        self.hold_what_waits(input, now);
        let ended_before: Vec<bool> = self.verifications.iter().map(|v| v.status.is_final()).collect();
        let mut watched = Watched {
            input,
            now,
            may_call,
            world,
            decided,
            news: News::default(),
            passed_over: Vec::new(),
            never: Vec::new(),
            none_open: Vec::new(),
            claimed: Vec::new(),
            queued_for: HashSet::new(),
            queued_now: HashSet::new(),
        };
        for entry in &decided.entries {
            self.entry(entry, &mut watched)?;
        }
        hold(ROUTES, watched.passed_over.is_empty() && watched.none_open.is_empty(), || {
            format!("passed over for nothing: {:?} {:?}", watched.passed_over, watched.none_open)
        })?;
        let is_new = matches!(decided.answer, Ok(Answer::Begun { new: true, .. }));
        let never = if is_new { may_never(input) } else { &[] };
        hold(ROUTES, watched.never == never, || {
            format!("{never:?} may never be taken, and {:?} is written down", watched.never)
        })?;
        let told = watched.news;
        let law = match (&news, &told) {
            (n, t) if n.reach != t.reach => KNOWN,
            (n, t) if n.price != t.price => PRICE,
            _ => DISOWNED,
        };
        hold(law, news == told, || format!("{news:?} was right, told {told:?}"))?;
        let claimed = watched.claimed;
        hold(CALLS, claimed == decided.calls, || {
            format!("claimed {claimed:?}, calls {:?}", decided.calls)
        })?;
        self.put_off(next, now, may_call, world)?;
        self.answer(input, now, &expected, decided)?;
        self.document(next, now, &ended_before, matches!(input, Input::Begin(_)))?;
        self.duties(next, input, now, may_call)
    }

    /// When a request to send is allowed, under these limits.
    pub fn may_send_at(&self, limits: &Limits, now: Timestamp) -> Timestamp {
        let mut at = now;
        if let Some(requested) = self.requested_at {
            at = at.max(requested.plus_millis(limits.resend_cooldown_ms.into()));
        }
        let max = usize::from(limits.max_sends_per_hour);
        let mut leaving = self.sends.clone();
        leaving.sort();
        for sent in &leaving {
            let within = |at: Timestamp| self.sends.iter().filter(|s| at < s.plus_millis(HOUR_MS)).count();
            if within(at) >= max {
                at = at.max(sent.plus_millis(HOUR_MS));
            }
        }
        at
    }

    fn sends_within_hour(&self, now: Timestamp) -> usize {
        self.sends.iter().filter(|s| now < s.plus_millis(HOUR_MS)).count()
    }

    fn locked(&self, now: Timestamp) -> bool {
        match self.lock {
            None => false,
            Some(Locked::Until(until)) => now < until,
            Some(Locked::ForGood) => true,
        }
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn find(&self, id: VerificationId) -> Option<usize> {
        self.verifications.iter().position(|v| v.id == id)
    }

    fn arrived(&self, v: usize) -> bool {
        self.verifications[v]
            .attempts
            .iter()
            .any(|m| self.messages[*m].facts.arrived())
    }

    fn next_step(&self, v: usize) -> Option<u8> {
        let known = &self.verifications[v];
        let next = known.attempts.iter().map(|m| self.messages[*m].step + 1).max().unwrap_or(0);
        known.begin.plan.step(next).map(|_| next)
    }

    /// Everything that speaks against a route at the moment.
    fn reasons(&self, route: &Route, now: Timestamp, world: &World) -> Vec<SkipReason> {
        let absent = self.known.is_absent(route.channel).then_some(SkipReason::NotOnChannel);
        let country = crate::life::addressee().country;
        let closed = world.skip(route, country, "").map(|skip| skip.reason);
        let too_soon = (self.spaced_until(route, world) > Some(now)).then_some(SkipReason::TooSoon);
        [absent, closed, too_soon].into_iter().flatten().collect()
    }

    /// When the next message may go over a route, by those that went over it.
    fn spaced_until(&self, route: &Route, world: &World) -> Option<Timestamp> {
        let over_it = self
            .messages
            .iter()
            .filter(|m| (m.route.channel, m.route.sender) == (route.channel, route.sender));
        let last = over_it.filter_map(|m| m.claimed_at).max();
        last.map(|at| at.plus_millis(world.spacing_ms(route)))
    }

    /// The first step from here on that nothing speaks against; `None`: there is none.
    fn open_from(&self, v: usize, from: u8, now: Timestamp, world: &World) -> Option<u8> {
        let mut steps = (0u8..).zip(self.verifications[v].begin.plan.steps()).skip(from.into());
        steps
            .find(|(_, s)| self.reasons(&s.route, now, world).is_empty())
            .map(|(step, _)| step)
    }

    /// Holds the log of what was passed over against the step that was taken, where the plan was free from a step on.
    fn choice(&self, v: usize, from: Option<u8>, taken: u8, watched: &mut Watched<'_>) -> Held {
        let open = from.map(|from| self.open_from(v, from, watched.now, watched.world));
        let steps = self.verifications[v].begin.plan.steps();
        let of = |step: u8| steps[usize::from(step)].route.clone();
        let (right, passed_over, none_open) = match (from, open) {
            (Some(from), Some(Some(open))) => (open, (from..open).map(of).collect(), None),
            (Some(from), _) => (from, Vec::new(), Some(of(from))),
            (None, _) => (taken, Vec::new(), None),
        };
        hold(ROUTES, right == taken, || format!("took step {taken}, {right} was right"))?;
        let told = |all: &mut Vec<(usize, Route)>| -> Vec<Route> {
            let of_this = all.extract_if(.., |(of, _)| *of == v);
            of_this.map(|(_, route)| route).collect()
        };
        let told = (told(&mut watched.passed_over), told(&mut watched.none_open));
        let should = (passed_over, Vec::from_iter(none_open));
        hold(ROUTES, told == should, || format!("{should:?} was right, told {told:?}"))
    }

    /// Whether a message said that somebody else may have the number, and nothing may go out by itself.
    fn holds_back(&self, v: usize) -> bool {
        let known = &self.verifications[v];
        known.begin.plan.identity_change() == IdentityChange::Hold
            && known.attempts.iter().any(|m| {
                let facts = self.messages[*m].facts;
                facts.dead() && facts.class == Some(FailureClass::NoFallback)
            })
    }

    /// Marks what was queued before somebody else may have the number: it goes out only when it is asked for again.
    fn hold_what_waits(&mut self, input: &Input, now: Timestamp) {
        let (Input::Outcome { message, .. } | Input::Receipt { message, .. }) = input else {
            return;
        };
        let tells = |m: &Message| m.id == *message && m.facts.failed == Some(now);
        let told = self.messages.iter().find(|m| tells(m)).and_then(|m| m.verification);
        let Some(v) = told.filter(|v| self.holds_back(*v)) else {
            return;
        };
        for at in self.verifications[v].attempts.clone() {
            self.messages[at].held = true;
        }
    }

    /// Whose the number is, by what the messages of approved verifications told.
    fn identities(&self, now: Timestamp) -> Identities {
        let approved = self.verifications.iter().filter(|v| v.status == Status::Approved);
        let told = approved.flat_map(|v| {
            let finished_at = v.finished_at.unwrap_or(now);
            v.attempts.iter().filter_map(move |m| {
                let Message {
                    route, facts, identity, ..
                } = &self.messages[*m];
                let arrived = identity.clone().filter(|_| facts.arrived());
                let tells = arrived.is_some() || facts.class == Some(FailureClass::NoFallback);
                tells.then_some((finished_at, route.channel, arrived))
            })
        });
        identities(told, now)
    }

    /// Nothing is due any more: then nothing is left but what must stay for ever.
    pub fn rests(&mut self, state: Option<&Recipient>, now: Timestamp) -> Held {
        let stays = !self.failures.is_empty() || self.lock == Some(Locked::ForGood);
        let Some(left) = state else {
            return hold(FORGOTTEN, !stays, || "a document that mattered is gone".into());
        };
        self.see("a document that stays");
        let nothing_else = left.verifications.is_empty() && left.messages.is_empty() && left.knowledge.is_empty();
        hold(FORGOTTEN, stays && nothing_else && self.known.is_empty(), || {
            format!("nothing is due at {now:?}, and there is still {left:?}")
        })
    }

    /// The step that a request takes: the next one, else the last one again; on a channel the first free one, else its last.
    fn wanted_step(&self, v: usize, channel: Option<Channel>) -> Option<u8> {
        let known = &self.verifications[v];
        let taken: Vec<u8> = known.attempts.iter().map(|m| self.messages[*m].step).collect();
        let Some(channel) = channel else {
            return self.next_step(v).or(taken.last().copied());
        };
        let on: Vec<u8> = (0u8..)
            .zip(known.begin.plan.steps())
            .filter(|(_, s)| s.route.channel == channel)
            .map(|(n, _)| n)
            .collect();
        on.iter().find(|n| !taken.contains(n)).or(on.last()).copied()
    }

    /// What the caller must be told, decided from the books alone, before anything of the step is known.
    fn expected_answer(&self, input: &Input, now: Timestamp) -> Expected {
        // One that is forgotten by now is unknown; the document says which, and `document` says that it may.
        match input {
            Input::Begin(begin) => {
                let pending = self
                    .verifications
                    .iter()
                    .position(|v| v.status == Status::Pending && v.begin.purpose == begin.purpose && now < v.expires_at);
                let Some(v) = pending else {
                    if let Some(refusal) = self.limit(&begin.limits, now) {
                        return Expected::Refused(refusal);
                    }
                    return Expected::Begun(None);
                };
                let other = &self.verifications[v].begin;
                let same_code = match (&other.code, &begin.code) {
                    (CodeSource::Derived { .. }, CodeSource::Derived { .. }) => true,
                    (CodeSource::Own { digest: a, .. }, CodeSource::Own { digest: b, .. }) => a == b,
                    (CodeSource::Derived { .. }, CodeSource::Own { .. })
                    | (CodeSource::Own { .. }, CodeSource::Derived { .. }) => false,
                };
                if !same_code {
                    Expected::Refused(Refusal::PendingWithOtherCode)
                } else if other.binding.as_ref().map(|b| b.digest) != begin.binding.as_ref().map(|b| b.digest) {
                    Expected::Refused(Refusal::PendingWithOtherBinding)
                } else {
                    self.expected_resend(v, None, now)
                }
            }
            Input::Resend { verification, channel } => match self.find(*verification) {
                Some(v) => self.expected_resend(v, *channel, now),
                None => Expected::Refused(Refusal::UnknownVerification),
            },
            Input::Check {
                verification,
                code_matches,
                binding_matches,
            } => {
                let Some(v) = self.find(*verification) else {
                    return Expected::Refused(Refusal::UnknownVerification);
                };
                let known = &self.verifications[v];
                let max = known.limits.max_checks;
                let status = self.status_at(v, now);
                let not_evaluated = match status {
                    Status::Pending if self.locked(now) => Some(CheckReason::TooManyChecks),
                    Status::Pending => None,
                    Status::Approved => Some(CheckReason::AlreadyUsed),
                    Status::Canceled => Some(CheckReason::Canceled),
                    Status::MaxChecksReached => Some(CheckReason::TooManyChecks),
                    Status::Expired | Status::Failed | Status::Blocked => Some(CheckReason::Expired),
                };
                if let Some(reason) = not_evaluated {
                    return Expected::Checked {
                        evaluated: false,
                        reason: Some(reason),
                        status,
                        checks_left: max - known.evaluated,
                    };
                }
                let checks_left = max - known.evaluated - 1;
                let reason = match (code_matches, binding_matches) {
                    (true, true) => None,
                    (false, true) => Some(CheckReason::IncorrectCode),
                    (true | false, false) => Some(CheckReason::BindingMismatch),
                };
                let status = match reason {
                    None => Status::Approved,
                    Some(_) if checks_left == 0 => Status::MaxChecksReached,
                    Some(_) => Status::Pending,
                };
                Expected::Checked {
                    evaluated: true,
                    reason,
                    status,
                    checks_left,
                }
            }
            Input::Cancel { verification } => match self.find(*verification) {
                None => Expected::Refused(Refusal::UnknownVerification),
                Some(v) => match self.status_at(v, now) {
                    Status::Pending | Status::Canceled => Expected::Canceled,
                    status => Expected::Refused(Refusal::NotPending { status }),
                },
            },
            Input::SendMessage(_) => Expected::Queued,
            Input::Outcome { .. } | Input::Receipt { .. } | Input::Tick | Input::Unlock => Expected::Done,
        }
    }

    fn status_at(&self, v: usize, now: Timestamp) -> Status {
        let known = &self.verifications[v];
        if known.status == Status::Pending && now >= known.expires_at {
            Status::Expired
        } else {
            known.status
        }
    }

    fn expected_resend(&self, v: usize, channel: Option<Channel>, now: Timestamp) -> Expected {
        let status = self.status_at(v, now);
        if status != Status::Pending {
            return Expected::Refused(Refusal::NotPending { status });
        }
        let known = &self.verifications[v];
        if channel.is_some_and(|c| known.begin.plan.steps().iter().all(|s| s.route.channel != c)) {
            return Expected::Refused(Refusal::ChannelNotInPlan);
        }
        match self.limit(&known.limits, now) {
            Some(refusal) => Expected::Refused(refusal),
            None => Expected::Begun(Some(v)),
        }
    }

    fn limit(&self, limits: &Limits, now: Timestamp) -> Option<Refusal> {
        match self.lock {
            Some(Locked::ForGood) => return Some(Refusal::Locked { until: None }),
            Some(Locked::Until(until)) if now < until => return Some(Refusal::Locked { until: Some(until) }),
            Some(Locked::Until(_)) | None => {}
        }
        let retry_at = self.may_send_at(limits, now);
        if self.sends_within_hour(now) >= usize::from(limits.max_sends_per_hour) {
            // Where nothing is ever allowed there is no moment to name.
            let retry_at = if limits.max_sends_per_hour == 0 {
                now.plus_millis(HOUR_MS).max(retry_at)
            } else {
                retry_at
            };
            return Some(Refusal::HourlyLimit { retry_at });
        }
        (retry_at > now).then_some(Refusal::ResendTooSoon { retry_at })
    }

    /// Takes down what the input itself tells of messages.
    fn learn(
        &mut self,
        next: Option<&Recipient>,
        input: &Input,
        now: Timestamp,
        world: &World,
        entries: &[Entry],
    ) -> Result<News, Broken> {
        let held = |id: MessageId| next.is_some_and(|n| n.attempt(id).is_some() || n.message(id).is_some());
        let retried = |id: MessageId| {
            entries
                .iter()
                .flat_map(|e| &e.decisions)
                .any(|d| matches!(d, Decision::RetryAt { message, .. } if message.id == id))
        };
        let mut news = News::default();
        match input {
            Input::Outcome { message, outcome, price } if held(*message) && !retried(*message) => {
                let Some(at) = self.messages.iter().position(|m| m.id == *message) else {
                    return Ok(news);
                };
                if let SendOutcome::Failed {
                    failure,
                    provider_message_id: None,
                } = outcome
                    && failure.class == FailureClass::OtherLanguage
                {
                    hold(LANGUAGE, !self.could_try_another(at, now, world), || {
                        "another language was there, and was not tried".into()
                    })?;
                }
                let known = &mut self.messages[at];
                let mut unreachable = false;
                match outcome {
                    SendOutcome::Accepted { .. } => {
                        known.facts.accepted.get_or_insert(now);
                    }
                    SendOutcome::Failed { failure, .. } => {
                        known.fail(now, failure.class);
                        unreachable = failure.class == FailureClass::Unreachable && !known.facts.arrived();
                    }
                    SendOutcome::Unclear { .. } if !known.facts.any() => known.facts.unclear = Some(now),
                    SendOutcome::Unclear { .. } => {}
                }
                known.in_flight_since = None;
                if let (None, Some(price)) = (known.price, *price) {
                    known.price = Some(price);
                    news.price = Some((*message, price));
                }
                if unreachable {
                    news.reach = self.learn_reach(at, false, now);
                }
            }
            Input::Receipt { message, kind, facts } if held(*message) => {
                let Some(at) = self.messages.iter().position(|m| m.id == *message) else {
                    return Ok(news);
                };
                let known = &mut self.messages[at];
                let of = known.verification.map(|v| &self.verifications[v]);
                let late = of.is_some_and(|v| v.status.is_final());
                let limits = of.map_or_else(Limits::default, |v| v.limits);
                let before = known.facts;
                match kind {
                    ReceiptKind::Sent => {
                        known.facts.sent.get_or_insert(now);
                    }
                    ReceiptKind::Delivered => {
                        known.facts.delivered.get_or_insert(now);
                    }
                    ReceiptKind::Read => {
                        known.facts.read.get_or_insert(now);
                    }
                    ReceiptKind::Failed(failure) => known.fail(now, failure.class),
                    ReceiptKind::Disowned => {}
                }
                let is_new = known.facts != before;
                if let (None, Some(price)) = (known.price, facts.price) {
                    known.price = Some(price);
                    news.price = Some((*message, price));
                }
                if known.identity.is_none() {
                    known.identity.clone_from(&facts.identity);
                }
                let arrived = known.facts.arrived();
                let disowns = *kind == ReceiptKind::Disowned && !known.disowned;
                known.disowned |= disowns;
                match kind {
                    ReceiptKind::Delivered | ReceiptKind::Read if is_new => news.reach = self.learn_reach(at, true, now),
                    ReceiptKind::Failed(f) if is_new && !arrived && f.class == FailureClass::Unreachable => {
                        news.reach = self.learn_reach(at, false, now);
                    }
                    ReceiptKind::Sent
                    | ReceiptKind::Delivered
                    | ReceiptKind::Read
                    | ReceiptKind::Failed(_)
                    | ReceiptKind::Disowned => {}
                }
                if disowns {
                    news.disowned = Some(*message);
                    let longer = |until: &Timestamp| match self.lock {
                        Some(Locked::ForGood) => false,
                        Some(Locked::Until(held)) => held <= now || held < *until,
                        None => true,
                    };
                    news.locked = self.known.disown(&limits, now).filter(longer);
                    self.lock = news.locked.map(Locked::Until).or(self.lock);
                    self.see(if late { "disowned after the end" } else { "disowned" });
                }
                if late {
                    self.see("receipt after the end");
                }
            }
            Input::Tick => {
                let mut silent = 0;
                for known in &mut self.messages {
                    let over = known.in_flight_since.is_some_and(|at| at.plus_millis(CALL_ANSWER_MS) <= now);
                    if over && !known.facts.any() && held(known.id) {
                        known.facts.unclear = Some(now);
                        silent += 1;
                    }
                }
                if silent > 0 {
                    self.see("call without an answer");
                }
            }
            Input::Unlock => self.lock = None,
            Input::Begin(_)
            | Input::Resend { .. }
            | Input::Check { .. }
            | Input::Cancel { .. }
            | Input::SendMessage(_)
            | Input::Outcome { .. }
            | Input::Receipt { .. } => {}
        }
        Ok(news)
    }

    /// What a message told of its channel, where that was news.
    fn learn_reach(&mut self, at: usize, is_on: bool, now: Timestamp) -> Option<(Channel, bool)> {
        let channel = self.messages[at].route.channel;
        self.see(if is_on { "reachable" } else { "unreachable" });
        self.known.learn(channel, is_on, now).then_some((channel, is_on))
    }

    /// Whether a message whose template is not there in its language could be tried in the default one.
    fn could_try_another(&self, at: usize, now: Timestamp, world: &World) -> bool {
        let message = &self.messages[at];
        let Some(v) = message.verification else { return false };
        let of = &self.verifications[v];
        let other = world.default_language(&message.route);
        let fallback = message.fallback_due.filter(|_| of.given_up.is_none());
        other.is_some_and(|other| message.language != Some(other))
            && of.status == Status::Pending
            && of.attempts.last() == Some(&at)
            && !self.arrived(v)
            && !message.facts.any()
            && message.retries < u32::from(RETRIES_MAX)
            && now < fallback.unwrap_or(of.expires_at).min(of.expires_at)
    }

    /// A call on a busy route is put off, and only a little.
    fn put_off(&mut self, next: Option<&Recipient>, now: Timestamp, may_call: bool, world: &World) -> Held {
        let (mut put_off, mut spaced) = (0, 0);
        let until: Vec<_> = self.messages.iter().map(|m| self.spaced_until(&m.route, world)).collect();
        let waiting = |(m, _): &(&mut Message, _)| m.in_flight_since.is_none();
        for (known, until) in self.messages.iter_mut().zip(until).filter(waiting) {
            let attempt = next.and_then(|n| n.attempt(known.id)).map(|(_, a)| &a.delivery);
            let Some(delivery) = attempt.or_else(|| next.and_then(|n| n.message(known.id)).map(|m| &m.delivery)) else {
                continue;
            };
            if delivery.not_before != known.not_before {
                let due = known.not_before <= now;
                let little = !may_call && due && delivery.not_before == now.plus_millis(CALL_PUT_OFF_MS);
                let too_soon = due && until.is_some_and(|until| until > now && delivery.not_before == until);
                spaced += u32::from(too_soon);
                hold(CALLS, little || too_soon, || {
                    format!("put off from {:?} to {:?} at {now:?}", known.not_before, delivery.not_before)
                })?;
                known.not_before = delivery.not_before;
                put_off += 1;
            }
        }
        if put_off > spaced {
            self.see("put off");
        }
        if spaced > 0 {
            self.see("put off for its distance");
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, watched: &mut Watched<'_>) -> Held {
        let Watched { input, now, .. } = *watched;
        // Announcements made from an entry count up from its id, one per decision at most.
        let first = u128::from_be_bytes(entry.id.as_bytes()[6..].try_into().unwrap());
        for n in 0..entry.decisions.len() as u128 {
            self.unique(format!("evt {}", first + n))?;
        }
        hold(LOG, entry.at == now && !entry.decisions.is_empty(), || format!("{entry:?}"))?;
        let noise = |d: &Decision| {
            matches!(
                d,
                Decision::Refused(_) | Decision::ReceiptRepeated { .. } | Decision::CheckNotEvaluated { .. }
            )
        };
        let mut about = entry.verification.and_then(|id| self.find(id));
        for decision in &entry.decisions {
            if let Decision::Began { expires_at } = decision {
                let Input::Begin(begin) = input else {
                    return broken(LOG, format!("began on {input:?}"));
                };
                let Some(id) = entry.verification else {
                    return broken(LOG, "began nothing");
                };
                self.unique(format!("vrf {id}"))?;
                hold(FINAL, *expires_at == now.plus_millis(begin.ttl_ms), || {
                    format!("expires at {expires_at:?}")
                })?;
                let twin = self
                    .verifications
                    .iter()
                    .find(|v| v.status == Status::Pending && v.begin.purpose == begin.purpose);
                hold(ONCE, twin.is_none(), || "two are pending for one purpose".into())?;
                about = Some(self.verifications.len());
                self.verifications.push(Known {
                    id,
                    begin: (**begin).clone(),
                    limits: begin.limits,
                    status: Status::Pending,
                    expires_at: *expires_at,
                    finished_at: None,
                    evaluated: 0,
                    attempts: Vec::new(),
                    given_up: None,
                    noise: 0,
                });
            } else {
                self.decision(decision, about, &entry.input, watched)?;
            }
        }
        if let Some(v) = about
            && entry.decisions.iter().all(noise)
        {
            self.verifications[v].noise += 1;
            let noise = self.verifications[v].noise;
            hold(BOUNDS, noise <= ENTRIES_MAX, || {
                format!("{noise} entries that change nothing")
            })?;
        }
        Ok(())
    }

    fn decision(&mut self, decision: &Decision, about: Option<usize>, record: &InputRecord, watched: &mut Watched<'_>) -> Held {
        let Watched {
            input,
            now,
            may_call,
            decided,
            ..
        } = *watched;
        let known_message = |ledger: &Self, id: MessageId| match ledger.messages.iter().position(|m| m.id == id) {
            Some(at) => Ok(at),
            None => broken(LOG, format!("{id} was never queued")),
        };
        match decision {
            Decision::Began { .. } | Decision::Alert { .. } => Ok(()),
            Decision::Queued {
                message,
                cause: SendCause::Plain,
            } => {
                hold(LOG, matches!(input, Input::SendMessage(_)) && about.is_none(), || {
                    format!("plain message on {input:?}")
                })?;
                self.unique(format!("msg {}", message.id))?;
                self.messages
                    .push(Message::queued(message.id, None, 0, message.route.clone(), now));
                Ok(())
            }
            Decision::Queued { message, cause } => {
                let Some(v) = about else {
                    return broken(LOG, "a send of no verification");
                };
                self.unique(format!("msg {}", message.id))?;
                hold(FALLBACK, watched.queued_for.insert(v), || {
                    "two sends of one verification in one step".into()
                })?;
                self.queued(v, message, cause, watched)
            }
            Decision::Claimed { message } => {
                let at = known_message(self, message.id)?;
                watched.claimed.push(message.id);
                let known = &self.messages[at];
                hold(CALLS, may_call, || "called where none may start".into())?;
                hold(CALLS, known.in_flight_since.is_none(), || {
                    "called while a call is under way".into()
                })?;
                hold(CALLS, !known.facts.any(), || format!("called after {:?}", known.facts))?;
                hold(CALLS, known.calls <= known.retries, || {
                    format!("call {} after {} retries", known.calls + 1, known.retries)
                })?;
                hold(CALLS, known.not_before <= now, || "called too early".into())?;
                hold(IDENTITY, !known.held, || {
                    "called though somebody else may have the number".into()
                })?;
                if let Some(v) = known.verification {
                    let of = &self.verifications[v];
                    hold(FINAL, of.status == Status::Pending && now < of.expires_at, || {
                        format!("called for {:?}", of.status)
                    })?;
                }
                let spaced_until = self.spaced_until(&self.messages[at].route, watched.world);
                hold(SPACING, spaced_until <= Some(now), || {
                    format!("a call at {now:?}, and the route is free from {spaced_until:?} on")
                })?;
                let known = &mut self.messages[at];
                known.calls += 1;
                known.in_flight_since = Some(now);
                known.claimed_at = Some(now);
                Ok(())
            }
            Decision::RetryAt {
                message, at: retry_at, ..
            } => {
                let at = known_message(self, message.id)?;
                let Input::Outcome {
                    message: of,
                    outcome:
                        SendOutcome::Failed {
                            failure,
                            provider_message_id: None,
                        },
                    ..
                } = input
                else {
                    return broken(CALLS, format!("retry on {input:?}"));
                };
                let in_another = failure.class == FailureClass::OtherLanguage;
                let may = matches!(failure.class, FailureClass::RetryHere { .. } | FailureClass::SlowDown { .. }) || in_another;
                hold(CALLS, may && *of == message.id, || format!("retry on {input:?}"))?;
                let chosen = decided.entries.iter().flat_map(|e| &e.decisions);
                let chosen = chosen
                    .filter(|d| matches!(d, Decision::LanguageChosen { message: of, .. } if of.id == message.id))
                    .count();
                hold(LANGUAGE, chosen == usize::from(in_another), || {
                    format!("a retry on {:?}, and {chosen} languages chosen", failure.class)
                })?;
                hold(IDENTITY, !self.messages[at].held, || {
                    "tried again though somebody else may have the number".into()
                })?;
                hold(CALLS, self.messages[at].retries < u32::from(RETRIES_MAX), || {
                    "more retries than there may be".into()
                })?;
                hold(CALLS, !self.messages[at].facts.any(), || {
                    format!("retry after {:?}", self.messages[at].facts)
                })?;
                if let Some(v) = self.messages[at].verification {
                    let of = &self.verifications[v];
                    let fallback = self.messages[at]
                        .fallback_due
                        .filter(|_| of.attempts.last() == Some(&at) && of.given_up.is_none());
                    let before = fallback.unwrap_or(of.expires_at).min(of.expires_at);
                    hold(FALLBACK, *retry_at < before && !self.arrived(v), || {
                        format!("a retry at {retry_at:?} in front of {before:?}")
                    })?;
                }
                self.see("retry");
                let known = &mut self.messages[at];
                known.retries += 1;
                known.in_flight_since = None;
                known.claimed_at = None;
                known.not_before = *retry_at;
                Ok(())
            }
            Decision::Message { message, status, .. } => {
                let at = known_message(self, message.id)?;
                let facts = self.messages[at].facts;
                let fact = match status {
                    MessageStatus::Queued => None,
                    MessageStatus::Unclear => facts.unclear,
                    MessageStatus::Accepted => facts.accepted,
                    MessageStatus::Sent => facts.sent,
                    MessageStatus::Failed => facts.failed,
                    MessageStatus::Delivered => facts.delivered,
                    MessageStatus::Read => facts.read,
                };
                hold(LOG, fact == Some(now), || format!("{status:?} is told of {facts:?}"))
            }
            Decision::ReceiptRepeated { message, .. } => {
                let at = known_message(self, message.id)?;
                self.see("repeated receipt");
                hold(
                    RECEIPTS,
                    matches!(input, Input::Receipt { .. }) && self.messages[at].facts.any(),
                    || "nothing was known".into(),
                )
            }
            Decision::Withdrawn { message } => {
                let at = known_message(self, message.id)?;
                let known = &mut self.messages[at];
                hold(CALLS, known.in_flight_since.is_none() && !known.facts.any(), || {
                    "took back what had been called".into()
                })?;
                known.facts.fail(now, FailureClass::NextRoute);
                known.withdrawn = true;
                let held = known.held;
                self.see(if held { "held back" } else { "withdrawn" });
                Ok(())
            }
            Decision::NoFallback(why) => {
                let Some(v) = about else {
                    return broken(LOG, "no fallback of nothing");
                };
                let used_up = self.sends_within_hour(now) >= usize::from(self.verifications[v].limits.max_sends_per_hour);
                let forbidden = self.holds_back(v);
                let (name, true_of_it) = match why {
                    NoFallback::HourlyLimit => ("no fallback: hourly limit", used_up),
                    NoFallback::FailureForbids => ("no fallback: failure forbids", forbidden),
                };
                hold(FALLBACK, true_of_it && self.verifications[v].given_up.is_none(), || {
                    format!("{why:?}")
                })?;
                self.verifications[v].given_up = Some(*why);
                self.see(name);
                Ok(())
            }
            Decision::CheckFailed { reason, checks_left } => {
                let same = matches!(&decided.answer, Ok(Answer::Checked { reason: Some(told), checks_left: left, .. })
                    if told == reason && left == checks_left);
                hold(LOG, same, || format!("{decision:?}, answered {:?}", decided.answer))
            }
            Decision::CheckNotEvaluated { reason } => {
                let same = matches!(&decided.answer, Ok(Answer::Checked { reason: Some(told), .. }) if told == reason);
                hold(LOG, same && *record == InputRecord::Check, || {
                    format!("{decision:?}, answered {:?}", decided.answer)
                })
            }
            Decision::Ended { status, .. } => {
                let Some(v) = about else {
                    return broken(LOG, "an end of nothing");
                };
                self.ended(v, *status, input, now)
            }
            Decision::Locked { until } => {
                self.see(if until.is_some() { "locked" } else { "locked for good" });
                let disowned = matches!(
                    input,
                    Input::Receipt {
                        kind: ReceiptKind::Disowned,
                        ..
                    }
                );
                if disowned {
                    self.see("locked by its holder");
                    hold(DISOWNED, watched.news.locked.is_none(), || "locked twice".into())?;
                    watched.news.locked = *until;
                }
                hold(ROWS, matches!(input, Input::Check { .. }) || disowned, || {
                    format!("locked on {input:?}")
                })
            }
            Decision::Skipped { route, skip } if may_never(input).contains(&(route.clone(), skip.clone())) => {
                self.see("may never");
                watched.never.push((route.clone(), skip.clone()));
                Ok(())
            }
            Decision::Skipped { route, skip } | Decision::NoneOpen { route, skip } => {
                let Some(v) = about else {
                    return broken(ROUTES, "a route of no plan");
                };
                let reasons = self.reasons(route, now, watched.world);
                hold(ROUTES, reasons.contains(&skip.reason), || {
                    format!("{route:?} for {:?}, and {reasons:?} spoke against it", skip.reason)
                })?;
                if matches!(decision, Decision::Skipped { .. }) {
                    self.see("skipped");
                    self.see(skip.reason.as_str());
                    watched.passed_over.push((v, route.clone()));
                } else {
                    self.see("none open");
                    watched.none_open.push((v, route.clone()));
                }
                Ok(())
            }
            Decision::ReachLearned { channel, is_on } => {
                hold(KNOWN, watched.news.reach.is_none(), || "learned twice".into())?;
                watched.news.reach = Some((*channel, *is_on));
                Ok(())
            }
            Decision::LanguageChosen { message, language } => {
                let at = known_message(self, message.id)?;
                if watched.queued_now.contains(&message.id) {
                    return hold(LANGUAGE, self.messages[at].language.as_ref() == Some(language), || {
                        format!("chose {language}, {:?} was right", self.messages[at].language)
                    });
                }
                let could = self.could_try_another(at, now, watched.world);
                let right = watched.world.default_language(&message.route).as_ref() == Some(language);
                let known = &mut self.messages[at];
                hold(LANGUAGE, could && right && known.languages_tried == 0, || {
                    format!("tries {language} instead of {:?} on {input:?}", known.language)
                })?;
                known.languages_tried += 1;
                known.language = Some(language.clone());
                self.see("another language");
                Ok(())
            }
            Decision::Priced { message, price } => {
                self.see("priced");
                hold(PRICE, watched.news.price.is_none(), || "booked twice".into())?;
                hold(PRICE, self.unique(format!("price of {}", message.id)).is_ok(), || {
                    format!("{} was booked before", message.id)
                })?;
                watched.news.price = Some((message.id, *price));
                Ok(())
            }
            Decision::Disowned { message } => {
                hold(DISOWNED, watched.news.disowned.is_none(), || "disowned twice".into())?;
                watched.news.disowned = Some(message.id);
                Ok(())
            }
            Decision::Unlocked => hold(ROWS, matches!(input, Input::Unlock), || format!("unlocked on {input:?}")),
            Decision::Refused(refusal) => hold(LOG, decided.answer.as_ref() == Err(refusal), || {
                format!("{refusal:?}, answered {:?}", decided.answer)
            }),
        }
    }

    /// Whether the current message was held back: it did not fail, and goes out once it is asked for.
    fn may_be_asked_for(&self, v: usize) -> bool {
        self.holds_back(v) && self.current(v).is_some_and(|m| m.held && m.withdrawn)
    }

    fn current(&self, v: usize) -> Option<&Message> {
        self.verifications[v].attempts.last().map(|m| &self.messages[*m])
    }

    fn queued(&mut self, v: usize, message: &MessageRef, cause: &SendCause, watched: &mut Watched<'_>) -> Held {
        let Watched {
            input,
            now,
            world,
            decided,
            ..
        } = *watched;
        let (id, known) = (message.id, &self.verifications[v]);
        hold(FINAL, known.status == Status::Pending && now < known.expires_at, || {
            format!("queued for {:?}", known.status)
        })?;
        let within = self.sends_within_hour(now);
        hold(LIMITS, within < usize::from(known.limits.max_sends_per_hour), || {
            format!("{within} sends within the hour, and one more")
        })?;
        let Some((_, attempt)) = decided.next.as_ref().and_then(|n| n.attempt(id)) else {
            return broken(LOG, "queued, and not in the document");
        };
        let step = attempt.step;
        let planned = known.begin.plan.step(step).map(|s| &s.route);
        hold(LOG, planned == Some(&message.route), || {
            format!("{planned:?} was planned, told {:?}", message.route)
        })?;
        let language = world.language(&message.route, &known.begin.locale);
        hold(LANGUAGE, attempt.language == language, || {
            format!("{language:?} was right, took {:?}", attempt.language)
        })?;
        let base = |text: &str| text.split(['-', '_']).next().map(str::to_owned);
        let is_other = language.as_deref().is_some_and(|l| base(l) != base(&known.begin.locale));
        let told = decided.entries.iter().flat_map(|e| &e.decisions);
        let told = told
            .filter(|d| matches!(d, Decision::LanguageChosen { message, .. } if message.id == id))
            .count();
        hold(LANGUAGE, told == usize::from(is_other), || {
            format!("{language:?} for {}, told {told} times", known.begin.locale)
        })?;
        watched.queued_now.insert(id);
        let taken = known.attempts.iter().any(|m| self.messages[*m].step == step);
        match cause {
            SendCause::Begun | SendCause::Requested => {
                let asked = match input {
                    Input::Begin(begin) => begin.purpose == known.begin.purpose,
                    Input::Resend { verification, .. } => *verification == known.id,
                    Input::Check { .. }
                    | Input::Cancel { .. }
                    | Input::SendMessage(_)
                    | Input::Outcome { .. }
                    | Input::Receipt { .. }
                    | Input::Tick
                    | Input::Unlock => false,
                };
                hold(CALLS, asked, || format!("{cause:?} on {input:?}"))?;
                let cooled = self
                    .requested_at
                    .is_none_or(|at| at.plus_millis(known.limits.resend_cooldown_ms.into()) <= now);
                hold(LIMITS, cooled, || "two requests within the cooldown".into())?;
                hold(LIMITS, !self.locked(now), || "sent to a locked number".into())?;
                let channel = if let Input::Resend { channel, .. } = input {
                    *channel
                } else {
                    None
                };
                // What the caller asked for is taken whatever speaks against it; otherwise the plan is free from here on.
                let free_from = self.next_step(v).filter(|_| channel.is_none());
                let wanted = self.wanted_step(v, channel);
                hold(ANSWERS, free_from.is_some() || wanted == Some(step), || {
                    format!("asked for {channel:?}, {wanted:?} was right, took {step}")
                })?;
                self.choice(v, free_from, step, watched)?;
                if taken {
                    self.see("resend on a step taken before");
                }
                self.requested_at = Some(now);
            }
            SendCause::FellBackOnFailure | SendCause::FellBackOnSilence { .. } => {
                let Some(current) = self.current(v) else {
                    return broken(FALLBACK, "fell back from nothing");
                };
                hold(CALLS, !taken, || format!("step {step} was taken twice without a request"))?;
                let next = self.next_step(v);
                hold(FALLBACK, next.is_some_and(|next| next <= step), || {
                    format!("fell back to step {step}, {next:?} is next")
                })?;
                self.choice(v, next, step, watched)?;
                hold(FALLBACK, !self.arrived(v), || "fell back after it had arrived".into())?;
                hold(FALLBACK, known.given_up.is_none(), || {
                    "fell back after that was given up".into()
                })?;
                hold(IDENTITY, !self.holds_back(v), || {
                    "fell back though somebody else may have the number".into()
                })?;
                let changed = current.facts.class == Some(FailureClass::NoFallback);
                let due = current.fallback_due.is_some_and(|due| due <= now);
                // What still waited was taken back a moment ago, because its time was over.
                let dead = current.facts.dead() && !current.withdrawn;
                hold(FALLBACK, dead || due, || {
                    format!("fell back from {:?} before it was due", current.facts)
                })?;
                hold(FALLBACK, dead == (*cause == SendCause::FellBackOnFailure), || {
                    format!("{cause:?} from {:?}", current.facts)
                })?;
                self.see(if dead { "fallback on failure" } else { "fallback on silence" });
                if changed {
                    self.see("fallback though the identity changed");
                }
            }
            SendCause::Plain => return broken(LOG, "a plain send of a verification"),
        }
        let at = self.messages.len();
        let mut queued = Message::queued(id, Some(v), step, message.route.clone(), now);
        queued.language = language;
        self.messages.push(queued);
        let known = &mut self.verifications[v];
        known.attempts.push(at);
        known.given_up = None;
        let wait = known.begin.plan.step(step).map(|s| u64::from(s.wait_ms));
        self.messages[at].fallback_due = self.next_step(v).and(wait).map(|wait| now.plus_millis(wait));
        self.sends.push(now);
        Ok(())
    }

    fn ended(&mut self, v: usize, status: Status, input: &Input, now: Timestamp) -> Held {
        let known = &self.verifications[v];
        hold(FINAL, known.status == Status::Pending, || {
            format!("{status:?} after {:?}", known.status)
        })?;
        let id = known.id;
        let justified = match status {
            Status::Pending | Status::Blocked => false,
            Status::Approved => {
                let right = matches!(input, Input::Check { verification, code_matches: true, binding_matches: true } if *verification == id);
                hold(ONCE, right && now < known.expires_at, || {
                    format!("approved at {now:?} on {input:?}")
                })?;
                known.evaluated < known.limits.max_checks && !self.locked(now)
            }
            Status::Expired => now >= known.expires_at,
            Status::Canceled => match input {
                Input::Cancel { verification } => *verification == id,
                Input::Receipt {
                    message,
                    kind: ReceiptKind::Disowned,
                    ..
                } => now < known.expires_at && known.attempts.iter().any(|m| self.messages[*m].id == *message),
                Input::Begin(_)
                | Input::Resend { .. }
                | Input::Check { .. }
                | Input::SendMessage(_)
                | Input::Outcome { .. }
                | Input::Receipt { .. }
                | Input::Tick
                | Input::Unlock => false,
            },
            Status::MaxChecksReached => {
                matches!(input, Input::Check { verification, .. } if *verification == id)
                    && known.evaluated + 1 == known.limits.max_checks
            }
            Status::Failed => {
                let no_route = self.next_step(v).is_none() || known.given_up == Some(NoFallback::HourlyLimit);
                no_route && known.attempts.iter().all(|m| self.messages[*m].facts.dead()) && !self.may_be_asked_for(v)
            }
        };
        hold(FINAL, justified, || format!("{status:?} on {input:?}"))?;
        self.see(status.as_str());
        let known = &mut self.verifications[v];
        known.status = status;
        known.finished_at = Some(now);
        Ok(())
    }

    fn answer(&mut self, input: &Input, now: Timestamp, expected: &Expected, decided: &Decided) -> Held {
        let about = match input {
            Input::Check { verification, .. } | Input::Resend { verification, .. } | Input::Cancel { verification } => {
                self.find(*verification)
            }
            Input::Begin(_)
            | Input::SendMessage(_)
            | Input::Outcome { .. }
            | Input::Receipt { .. }
            | Input::Tick
            | Input::Unlock => None,
        };
        if decided.answer == Err(Refusal::UnknownVerification) {
            // Right for what never was, and for what may be forgotten by now.
            let forgotten = about.is_none_or(|v| self.may_be_forgotten(v, now));
            self.see("refused: unknown");
            return hold(ANSWERS, forgotten, || "a live verification is unknown".into());
        }
        match (expected, &decided.answer) {
            (Expected::Refused(refusal), Err(told)) => {
                self.see(match refusal {
                    Refusal::UnknownVerification => "refused: unknown",
                    Refusal::ResendTooSoon { .. } => "refused: too soon",
                    Refusal::HourlyLimit { .. } => "refused: hourly limit",
                    Refusal::Locked { .. } => "refused: locked",
                    Refusal::NotPending { .. } => "refused: not pending",
                    Refusal::PendingWithOtherCode => "refused: other code",
                    Refusal::PendingWithOtherBinding => "refused: other binding",
                    Refusal::ChannelNotInPlan => "refused: channel",
                    Refusal::TooManyPurposes | Refusal::TooManyPending | Refusal::TooManyMessages { .. } => "refused: too many",
                });
                let law = match refusal {
                    Refusal::ResendTooSoon { .. } | Refusal::HourlyLimit { .. } | Refusal::Locked { .. } => LIMITS,
                    Refusal::UnknownVerification
                    | Refusal::NotPending { .. }
                    | Refusal::PendingWithOtherCode
                    | Refusal::PendingWithOtherBinding
                    | Refusal::ChannelNotInPlan
                    | Refusal::TooManyPurposes
                    | Refusal::TooManyPending
                    | Refusal::TooManyMessages { .. } => ANSWERS,
                };
                hold(law, refusal == told, || format!("{refusal:?} was right, told {told:?}"))
            }
            (Expected::Begun(again), Ok(Answer::Begun { verification, new })) => {
                let at = self.find(*verification);
                hold(ANSWERS, again.is_none() == *new && (again.is_none() || *again == at), || {
                    format!("{again:?}, told {verification}")
                })?;
                let queued = decided
                    .entries
                    .iter()
                    .flat_map(|e| &e.decisions)
                    .any(|d| matches!(d, Decision::Queued { .. }));
                hold(ANSWERS, queued, || "begun, and nothing is on its way".into())
            }
            (
                Expected::Checked {
                    evaluated,
                    reason,
                    status,
                    checks_left,
                },
                Ok(Answer::Checked {
                    reason: a,
                    status: b,
                    checks_left: c,
                }),
            ) => {
                let v = about.expect("a check that was answered is of something known");
                let law = if *evaluated { CHECKS } else { ONCE };
                hold(law, (reason, status, checks_left) == (a, b, c), || {
                    format!("{reason:?} {status:?} {checks_left} was right, told {a:?} {b:?} {c}")
                })?;
                if *evaluated {
                    self.evaluated(v, reason.is_none(), now);
                }
                Ok(())
            }
            (Expected::Canceled, Ok(Answer::Canceled)) | (Expected::Done, Ok(Answer::Done)) => Ok(()),
            (Expected::Queued, Ok(Answer::Queued { message })) => {
                hold(ANSWERS, self.messages.last().is_some_and(|m| m.id == *message), || {
                    "another message".into()
                })
            }
            (Expected::Queued, Err(Refusal::TooManyMessages { .. })) => Ok(()),
            (expected, told) => {
                let law = match expected {
                    Expected::Begun(_) => LIMITS,
                    Expected::Refused(Refusal::ResendTooSoon { .. } | Refusal::HourlyLimit { .. } | Refusal::Locked { .. }) => {
                        LIMITS
                    }
                    Expected::Refused(_) | Expected::Checked { .. } | Expected::Canceled | Expected::Queued | Expected::Done => {
                        ANSWERS
                    }
                };
                broken(law, format!("{expected:?} was right, told {told:?}"))
            }
        }
    }

    fn evaluated(&mut self, v: usize, right: bool, now: Timestamp) {
        let known = &mut self.verifications[v];
        known.evaluated += 1;
        let (purpose, limits) = (known.begin.purpose.clone(), known.limits);
        if right {
            self.failures.remove(&purpose);
            return;
        }
        let in_a_row = self.failures.entry(purpose).or_default();
        *in_a_row += 1;
        if *in_a_row >= limits.lock_for_good_after {
            self.lock = Some(Locked::ForGood);
        } else if (*in_a_row).is_multiple_of(limits.lock_after) && self.lock != Some(Locked::ForGood) {
            self.lock = Some(Locked::Until(now.plus_millis(limits.lock_ms.into())));
        }
    }

    fn may_be_forgotten(&self, v: usize, now: Timestamp) -> bool {
        let kept = |at: Timestamp| now < at.plus_millis(FINISHED_KEPT_MS);
        let crowded = self.verifications.iter().filter(|v| v.finished_at.is_none_or(kept)).count() > VERIFICATIONS_MAX;
        self.verifications[v].finished_at.is_some_and(|at| !kept(at) || crowded)
    }

    /// The document says what the books say.
    fn document(&mut self, next: Option<&Recipient>, now: Timestamp, ended_before: &[bool], begin: bool) -> Held {
        for (v, known) in self.verifications.iter().enumerate() {
            let Some(doc) = next.and_then(|n| n.verification(known.id)) else {
                hold(
                    FINAL,
                    self.may_be_forgotten(v, now) || (begin && ended_before.get(v) == Some(&true)),
                    || format!("{:?} was forgotten while {:?}", known.id, known.status),
                )?;
                continue;
            };
            let kept = known.finished_at.is_none_or(|at| now < at.plus_millis(FINISHED_KEPT_MS));
            hold(BOUNDS, kept, || "kept longer than late receipts need it".into())?;
            hold(FINAL, doc.status == known.status, || {
                format!("{:?} in the books, {:?} in the document", known.status, doc.status)
            })?;
            hold(FINAL, doc.expires_at == known.expires_at, || "expires_at moved".into())?;
            hold(FINAL, doc.finished_at == known.finished_at, || "finished_at moved".into())?;
            hold(CHECKS, doc.checks_used == known.evaluated, || {
                format!("{} evaluated, {} counted", known.evaluated, doc.checks_used)
            })?;
            hold(CHECKS, known.evaluated <= known.limits.max_checks, || {
                format!("{} evaluated", known.evaluated)
            })?;
            let ids: Vec<MessageId> = known.attempts.iter().map(|m| self.messages[*m].id).collect();
            hold(RECEIPTS, doc.attempts.iter().map(|a| a.id).eq(ids), || {
                "attempts changed".into()
            })?;
            for (attempt, m) in doc.attempts.iter().zip(&known.attempts) {
                let message = &self.messages[*m];
                message.agrees(&attempt.delivery)?;
                hold(LANGUAGE, attempt.language == message.language, || {
                    format!("{:?} in the books, {:?} in the document", message.language, attempt.language)
                })?;
            }
        }
        let Some(next) = next else {
            let known = self.known.is_empty() && self.identities(now).is_empty();
            hold(KNOWN, known, || "what is known of the number is gone too early".into())?;
            let nothing_left = self.failures.is_empty() && !self.locked(now) && self.sends_within_hour(now) == 0;
            return hold(ROWS, nothing_left, || "a document that mattered is gone".into());
        };
        let differs = self.known.differs(next);
        hold(KNOWN, differs.is_none(), || differs.unwrap_or_default())?;
        let (identities, told) = (self.identities(now), identities_of(next));
        hold(
            IDENTITY,
            identities == told && told.len() == next.knowledge.identities.len(),
            || format!("{identities:?} in the books, {:?}", next.knowledge.identities),
        )?;
        if !told.is_empty() {
            self.see("an identity is known");
        }
        let matters = !next.verifications.is_empty()
            || !next.messages.is_empty()
            || !self.known.is_empty()
            || !told.is_empty()
            || !self.failures.is_empty()
            || self.locked(now)
            || self.sends_within_hour(now) > 0;
        hold(FORGOTTEN, matters, || "a document of nothing is kept".into())?;
        for plain in &next.messages {
            if let Some(known) = self.messages.iter().find(|m| m.id == plain.id) {
                known.agrees(&plain.delivery)?;
            }
        }
        let counted: HashMap<Purpose, u16> = next.failures.iter().map(|f| (f.purpose.clone(), f.in_a_row)).collect();
        hold(ROWS, counted == self.failures, || {
            format!("{:?} in the books, {counted:?} in the document", self.failures)
        })?;
        hold(ROWS, next.lock.holds(now) == self.locked(now), || {
            format!("{:?} in the books, {:?} in the document", self.lock, next.lock)
        })?;
        let within = self.sends_within_hour(now);
        hold(LIMITS, next.sends_within_hour(now) == within, || {
            format!("{within} sends, the document counts {}", next.sends_within_hour(now))
        })?;
        let can_send = !next.verifications.is_empty() || !next.messages.is_empty();
        hold(BOUNDS, next.number.is_some() == can_send, || {
            "the number is kept exactly while something may need it".into()
        })?;
        hold(
            BOUNDS,
            next.verifications.len() <= VERIFICATIONS_MAX
                && next.messages.len() <= MESSAGES_MAX
                && next.failures.len() <= PURPOSES_MAX + VERIFICATIONS_MAX
                && next.sends.len() == within,
            || {
                format!(
                    "{} verifications, {} messages, {} sends",
                    next.verifications.len(),
                    next.messages.len(),
                    next.sends.len()
                )
            },
        )
    }

    /// What must have happened by now has happened.
    fn duties(&self, next: Option<&Recipient>, input: &Input, now: Timestamp, may_call: bool) -> Held {
        let tick = matches!(input, Input::Tick);
        for (v, known) in self.verifications.iter().enumerate() {
            if known.status != Status::Pending {
                continue;
            }
            if now >= known.expires_at {
                hold(FINAL, !tick, || "a tick after its expiry left it pending".into())?;
                continue;
            }
            let Some(current) = self.current(v) else {
                return broken(LOG, "pending without an attempt");
            };
            let disowned = known.attempts.iter().any(|m| self.messages[*m].disowned);
            hold(DISOWNED, !disowned, || {
                "its holder asked for no code, and it is still pending".into()
            })?;
            let more = self.next_step(v).is_some();
            let forbidden = self.holds_back(v);
            if !self.arrived(v) && more && known.given_up.is_none() {
                hold(FALLBACK, !current.facts.dead(), || {
                    format!("no fallback after {:?}", current.facts)
                })?;
                let queued_now = current.queued_at == now;
                let due = current.fallback_due.is_some_and(|due| due <= now) && !queued_now;
                hold(FALLBACK, !(tick && due), || "no fallback though it is due".into())?;
            }
            let all_dead = known.attempts.iter().all(|m| self.messages[*m].facts.dead());
            let no_route = !more && !self.may_be_asked_for(v);
            let stuck = all_dead && (no_route || (known.given_up == Some(NoFallback::HourlyLimit) && !forbidden));
            hold(FINAL, !stuck, || "every route failed, and it is still pending".into())?;
            for m in &known.attempts {
                let message = &self.messages[*m];
                let waits = message.in_flight_since.is_none() && !message.facts.any() && message.not_before <= now;
                hold(CALLS, !(tick && may_call && waits), || {
                    "a tick did not call what waits".into()
                })?;
            }
        }
        if let (true, true, Some(next)) = (tick, may_call, next) {
            let waiting = next
                .messages
                .iter()
                .any(|m| m.delivery.waits_for_call() && m.delivery.not_before <= now);
            hold(CALLS, !waiting, || "a tick did not call a plain message that waits".into())?;
        }
        Ok(())
    }

    fn unique(&mut self, id: String) -> Held {
        let new = self.ids.insert(id.clone());
        hold(IDS, new, || format!("{id} twice"))
    }
}

impl Message {
    fn queued(id: MessageId, verification: Option<usize>, step: u8, route: Route, now: Timestamp) -> Self {
        Self {
            id,
            route,
            claimed_at: None,
            language: None,
            languages_tried: 0,
            price: None,
            identity: None,
            disowned: false,
            in_flight_since: None,
            verification,
            step,
            queued_at: now,
            fallback_due: None,
            not_before: now,
            calls: 0,
            retries: 0,
            withdrawn: false,
            held: false,
            facts: Facts::default(),
        }
    }

    /// A verification's template that is in no other language is at fault; that of a plain message is its caller's.
    fn fail(&mut self, now: Timestamp, class: FailureClass) {
        let of_template = class == FailureClass::OtherLanguage && self.verification.is_some();
        let template = FailureClass::TripBreaker(TripScope::Template);
        self.facts.fail(now, if of_template { template } else { class });
    }

    fn agrees(&self, delivery: &Delivery) -> Result<(), Broken> {
        let facts = Facts::of(delivery);
        hold(RECEIPTS, facts == self.facts, || {
            format!("{:?} in the books, {facts:?} in the document", self.facts)
        })?;
        hold(RECEIPTS, delivery.status() == self.facts.status(), || {
            format!("{:?} is told as {:?}", self.facts, delivery.status())
        })?;
        hold(PRICE, delivery.price == self.price, || {
            format!("{:?} in the books, {:?} in the document", self.price, delivery.price)
        })?;
        hold(DISOWNED, delivery.disowned_at.is_some() == self.disowned, || {
            "the document does not know who asked for no code".into()
        })?;
        let waits = self.in_flight_since.is_none() && !facts.any();
        hold(CALLS, delivery.waits_for_call() == waits, || {
            "the claim is not in the document".into()
        })
    }
}

#[derive(Debug)]
enum Expected {
    Begun(Option<usize>),
    Checked {
        evaluated: bool,
        reason: Option<CheckReason>,
        status: Status,
        checks_left: u16,
    },
    Canceled,
    Queued,
    Done,
    Refused(Refusal),
}

/// The routes of a workflow that may never carry a message to the number.
fn may_never(input: &Input) -> &[(Route, Skip)] {
    match input {
        Input::Begin(begin) => &begin.passed_over,
        _ => &[],
    }
}
