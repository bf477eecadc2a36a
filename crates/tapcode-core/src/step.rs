//! What happens next? The whole lifecycle as one pure, total function: no clock, no randomness, no IO.
//!
//! [`step`] takes the document of a number, an input and a moment, and gives the next document, the calls that may
//! start once it is committed, the log entries that belong to the same commit, and the answer to the caller. The same
//! history gives the same decisions. Timers are hints: every input compares with `now`, a [`Input::Tick`] that comes
//! early, late, twice or never changes nothing but the moment at which the truth is written down.
#![warn(clippy::arithmetic_side_effects)]

use crate::delivery::{
    Delivery, Failure, FailureClass, MessageStatus, NOT_SENT, RETRIES_MAX, ReceiptFacts, ReceiptKind, SendOutcome, TripScope,
    WITHDRAWN,
};
use crate::entry::{CheckReason, Decision, Entry, InputRecord, MessageRef, NoFallback, Refusal, SendCause};
use crate::id::{EventId, Fresh, MessageId, VerificationId};
use crate::money::Money;
use crate::number::{Country, Masked};
use crate::plan::{Channel, IdentityChange, Plan, Route, Skip, SkipReason};
use crate::recipient::{
    DISOWNED_LOCK_AFTER, DISOWNED_MAX, FINISHED_KEPT_MS, Failures, HOUR_MS, Lock, MESSAGES_MAX, PURPOSES_MAX, PlainMessage,
    Recipient, Scope, VERIFICATIONS_MAX,
};
use crate::time::Timestamp;
use crate::verification::{Attempt, Binding, ClientHints, CodeSource, Limits, Purpose, Sealed, Status, Verification};

/// Entries written about one verification or message before refusals and repetitions are no longer written down.
/// What changes a state is always written.
pub const ENTRIES_MAX: u16 = 100;
/// How long a message waits when its route is busy, before its call is tried again. Milliseconds.
pub const CALL_PUT_OFF_MS: u64 = 250;
/// How long such a message waits at most before it is looked at again. Milliseconds: shorter than a step's usual wait, since
/// the route may be free earlier than was thought.
pub const CALL_PUT_OFF_MAX_MS: u64 = 5_000;

/// The number an input is about, for a document that does not exist yet or has forgotten it.
#[derive(Clone, Debug)]
pub struct Addressee {
    /// Whose document.
    pub scope: Scope,
    /// The number, sealed.
    pub number: Sealed,
    /// The number as it is shown.
    pub masked: Masked,
    /// The number's country.
    pub country: Country,
}

/// A verification as a caller wants it, resolved against the configuration.
#[derive(Clone, Debug)]
pub struct Begin {
    /// To whom.
    pub addressee: Addressee,
    /// What the code is for.
    pub purpose: Purpose,
    /// How long it lives. Milliseconds.
    pub ttl_ms: u64,
    /// Its limits.
    pub limits: Limits,
    /// Where its code comes from.
    pub code: CodeSource,
    /// What its code is bound to.
    pub binding: Option<Binding>,
    /// The language of its messages, BCP 47.
    pub locale: Box<str>,
    /// Its routes.
    pub plan: Plan,
    /// Routes of the workflow that are not in the plan, since they may never carry a message to this number. Nothing is sent
    /// over them; it is written down why.
    pub passed_over: Vec<(Route, Skip)>,
    /// Hints about the user's device.
    pub client: Option<Box<ClientHints>>,
    /// The caller's own pairs.
    pub metadata: Vec<(Box<str>, Box<str>)>,
}

/// A plain message as a caller composed it.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// To whom.
    pub addressee: Addressee,
    /// How.
    pub route: Route,
    /// What, sealed.
    pub payload: Sealed,
    /// Segments, for SMS.
    pub segments: u8,
    /// Whether it needs UCS-2, for SMS.
    pub ucs2: bool,
}

/// Everything that can reach a document.
#[derive(Clone, Debug)]
pub enum Input {
    /// A caller begins a verification; with one pending for the purpose it is a resend of that one.
    Begin(Box<Begin>),
    /// A caller asks for another message.
    Resend {
        /// Of which verification.
        verification: VerificationId,
        /// On this channel, where the caller has a wish.
        channel: Option<Channel>,
    },
    /// A caller submits a code. It was compared, in constant time, by whoever holds the keys; what the comparison
    /// said is looked at only after the check has been counted.
    Check {
        /// For which verification.
        verification: VerificationId,
        /// Whether the code is the verification's.
        code_matches: bool,
        /// Whether the binding is the verification's.
        binding_matches: bool,
    },
    /// A caller gives up.
    Cancel {
        /// Which verification.
        verification: VerificationId,
    },
    /// A caller sends a plain message.
    SendMessage(Box<NewMessage>),
    /// A provider answered a call.
    Outcome {
        /// For which message.
        message: MessageId,
        /// What the answer means.
        outcome: SendOutcome,
        /// What the message costs, where the answer said so.
        price: Option<Money>,
    },
    /// A provider told of a message.
    Receipt {
        /// Of which message.
        message: MessageId,
        /// What it told.
        kind: ReceiptKind,
        /// What it told besides.
        facts: ReceiptFacts,
    },
    /// Something may be due.
    Tick,
    /// An operator lifts the lock.
    Unlock,
}

/// What is known of routes at the moment of a step, beyond the document of one number.
pub trait Routes {
    /// Why a message in this language to a number of this country had better take another route now; `None`: it need not.
    fn skip(&self, route: &Route, country: Country, locale: &str) -> Option<Skip>;

    /// The language of the route's template for a locale, as its provider writes it; `None` for a route without templates.
    fn language(&self, route: &Route, locale: &str) -> Option<Box<str>>;

    /// The language of the route's template where the one for a locale turned out not to be there.
    fn default_language(&self, route: &Route) -> Option<Box<str>>;

    /// How long its provider wants two messages to one number to be apart. Milliseconds.
    fn spacing_ms(&self, route: &Route) -> u64;
}

/// Nothing speaks against any route, and none has templates.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllOpen;

impl Routes for AllOpen {
    fn skip(&self, _: &Route, _: Country, _: &str) -> Option<Skip> {
        None
    }

    fn language(&self, _: &Route, _: &str) -> Option<Box<str>> {
        None
    }

    fn default_language(&self, _: &Route) -> Option<Box<str>> {
        None
    }

    fn spacing_ms(&self, _: &Route) -> u64 {
        0
    }
}

/// What a step may use besides the document and the input.
pub struct Context<'a> {
    /// The moment of the step.
    pub now: Timestamp,
    /// Randomness for ids.
    pub fresh: Fresh,
    /// Whether a call on this route may start as soon as the step is committed; `Err`: after how many milliseconds it is
    /// worth to ask again. Asked at most once per message.
    pub may_call: &'a dyn Fn(&Route) -> Result<(), u64>,
    /// What is known of routes.
    pub routes: &'a dyn Routes,
}

/// What a caller is told when nothing was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The verification begun or resent.
    Begun {
        /// Which.
        verification: VerificationId,
        /// Whether it is new.
        new: bool,
    },
    /// The check's result.
    Checked {
        /// `None`: valid. Otherwise why not.
        reason: Option<CheckReason>,
        /// Where the verification stands now.
        status: Status,
        /// Guesses left.
        checks_left: u16,
    },
    /// The verification is canceled.
    Canceled,
    /// The plain message is queued.
    Queued {
        /// Which.
        message: MessageId,
    },
    /// Nothing to tell.
    Done,
}

/// What a step decided.
#[derive(Debug)]
pub struct Decided {
    /// The next document; `None` when nothing is left to remember.
    pub next: Option<Recipient>,
    /// Whether there is anything to commit.
    pub changed: bool,
    /// Messages whose call starts when the commit is durable, at most one call each.
    pub calls: Vec<MessageId>,
    /// Log entries of this step, for the same commit.
    pub entries: Vec<Entry>,
    /// What the caller is told once the commit is durable.
    pub answer: Result<Answer, Refusal>,
}

/// Decides. See the module's documentation.
#[must_use]
pub fn step(state: Option<Recipient>, input: &Input, context: &Context<'_>) -> Decided {
    let before = state.clone();
    let recipient = match (state, input) {
        (Some(mut recipient), Input::Begin(begin)) => {
            recipient.number = Some(begin.addressee.number.clone());
            recipient
        }
        (Some(mut recipient), Input::SendMessage(message)) => {
            recipient.number = Some(message.addressee.number.clone());
            recipient
        }
        (Some(recipient), _) => recipient,
        (None, Input::Begin(begin)) => new_recipient(&begin.addressee),
        (None, Input::SendMessage(message)) => new_recipient(&message.addressee),
        (None, Input::Resend { .. } | Input::Check { .. } | Input::Cancel { .. }) => {
            return Decided {
                next: None,
                changed: false,
                calls: Vec::new(),
                entries: Vec::new(),
                answer: Err(Refusal::UnknownVerification),
            };
        }
        (None, Input::Outcome { .. } | Input::Receipt { .. } | Input::Tick | Input::Unlock) => {
            return Decided {
                next: None,
                changed: false,
                calls: Vec::new(),
                entries: Vec::new(),
                answer: Ok(Answer::Done),
            };
        }
    };
    let mut run = Run {
        recipient,
        context,
        made: 0,
        calls: Vec::new(),
        entries: Vec::new(),
    };
    run.tidy();
    let answer = match input {
        Input::Begin(begin) => run.begin(begin),
        Input::Resend { verification, channel } => run.resend(*verification, *channel, InputRecord::Resend { channel: *channel }),
        Input::Check {
            verification,
            code_matches,
            binding_matches,
        } => run.check(*verification, *code_matches, *binding_matches),
        Input::Cancel { verification } => run.cancel(*verification),
        Input::SendMessage(message) => run.send_message(message),
        Input::Outcome { message, outcome, price } => {
            run.outcome(*message, outcome, *price);
            Ok(Answer::Done)
        }
        Input::Receipt { message, kind, facts } => {
            run.receipt(*message, kind, facts);
            Ok(Answer::Done)
        }
        Input::Tick => {
            run.tick();
            Ok(Answer::Done)
        }
        Input::Unlock => {
            run.unlock();
            Ok(Answer::Done)
        }
    };
    let Run {
        mut recipient,
        calls,
        entries,
        ..
    } = run;
    // Only now: while the input is looked at, an empty document may be about to send its first message.
    if recipient.verifications.is_empty() && recipient.messages.is_empty() {
        recipient.number = None;
    }
    let next = (!is_forgettable(&recipient, context.now)).then_some(recipient);
    let changed = next != before || !entries.is_empty();
    Decided {
        next,
        changed,
        calls,
        entries,
        answer,
    }
}

/// When the document next needs a [`Input::Tick`], if ever: the value of the store's due index.
#[must_use]
pub fn due_at(recipient: &Recipient) -> Option<Timestamp> {
    let pending = recipient.verifications.iter().filter(|v| v.status == Status::Pending);
    let of_verifications = pending.flat_map(|v| {
        let arrived = v.has_arrived();
        let of_attempts = v.attempts.iter().enumerate().flat_map(move |(i, a)| {
            let current = i.saturating_add(1) == v.attempts.len();
            [
                a.delivery.waits_for_call().then_some(a.delivery.not_before),
                a.fallback_at.filter(|_| current && !arrived),
            ]
        });
        of_attempts.chain([Some(v.expires_at)])
    });
    let of_calls = recipient
        .verifications
        .iter()
        .flat_map(|v| v.attempts.iter().map(|a| &a.delivery))
        .chain(recipient.messages.iter().map(|m| &m.delivery))
        .map(Delivery::answer_due);
    let of_messages = recipient
        .messages
        .iter()
        .map(|m| m.delivery.waits_for_call().then_some(m.delivery.not_before));
    let next = of_verifications.chain(of_calls).chain(of_messages).flatten().min();
    next.or_else(|| forgetting_due(recipient))
}

/// When everything that only waits to be forgotten can go at once; one commit instead of one per item. What is known of
/// the number stays longer than the rest, and alone; so does a lock, where no failed checks keep the document for good.
fn forgetting_due(recipient: &Recipient) -> Option<Timestamp> {
    let finished = recipient
        .verifications
        .iter()
        .filter_map(|v| v.finished_at)
        .map(|at| at.plus_millis(FINISHED_KEPT_MS));
    let messages = recipient
        .messages
        .iter()
        .map(|m| m.delivery.queued_at.plus_millis(FINISHED_KEPT_MS));
    let sends = recipient.sends.iter().map(|at| at.plus_millis(HOUR_MS));
    let most = finished.chain(messages).chain(sends).max();
    most.or_else(|| {
        let lock = match recipient.lock {
            Lock::Until(until) if recipient.failures.is_empty() => Some(until),
            Lock::Until(_) | Lock::Open | Lock::UntilOperator => None,
        };
        recipient.knowledge.forgotten_at().max(lock)
    })
}

fn is_forgettable(recipient: &Recipient, now: Timestamp) -> bool {
    recipient.verifications.is_empty()
        && recipient.messages.is_empty()
        && recipient.sends.is_empty()
        && recipient.failures.is_empty()
        && recipient.knowledge.is_empty()
        && !recipient.lock.holds(now)
}

fn new_recipient(addressee: &Addressee) -> Recipient {
    Recipient::new(
        addressee.scope.clone(),
        addressee.number.clone(),
        addressee.masked.clone(),
        addressee.country,
    )
}

/// One step under way.
struct Run<'a> {
    recipient: Recipient,
    context: &'a Context<'a>,
    /// Ids made in this step so far.
    made: u32,
    calls: Vec<MessageId>,
    entries: Vec<Entry>,
}

impl Run<'_> {
    fn begin(&mut self, begin: &Begin) -> Result<Answer, Refusal> {
        let now = self.context.now;
        if let Some(at) = self.pending_index(&begin.purpose)
            && !self.expire_if_over(at, &InputRecord::Begin)
        {
            let pending = &self.recipient.verifications[at];
            let refusal = match (&pending.code, &begin.code) {
                (CodeSource::Derived { .. }, CodeSource::Derived { .. }) => None,
                (CodeSource::Own { digest: a, .. }, CodeSource::Own { digest: b, .. }) if a == b => None,
                _ => Some(Refusal::PendingWithOtherCode),
            };
            let refusal = refusal.or_else(|| {
                let same = pending.binding.as_ref().map(|b| b.digest) == begin.binding.as_ref().map(|b| b.digest);
                (!same).then_some(Refusal::PendingWithOtherBinding)
            });
            if let Some(refusal) = refusal {
                return Err(self.refuse(at, InputRecord::Begin, refusal));
            }
            let id = pending.id;
            return self.resend(id, None, InputRecord::Begin);
        }
        self.may_send(&begin.limits)?;
        let known_purpose = self.recipient.failures.iter().any(|f| f.purpose == begin.purpose);
        if !known_purpose && self.recipient.failures.len() >= PURPOSES_MAX {
            return Err(Refusal::TooManyPurposes);
        }
        if self.recipient.verifications.len() >= VERIFICATIONS_MAX {
            let finished = self
                .recipient
                .verifications
                .iter()
                .position(|v| v.status.is_final())
                .ok_or(Refusal::TooManyPending)?;
            self.recipient.verifications.remove(finished);
        }
        let id = VerificationId::new(now, self.fresh());
        let expires_at = now.plus_millis(begin.ttl_ms);
        self.recipient.verifications.push(Verification {
            id,
            purpose: begin.purpose.clone(),
            status: Status::Pending,
            created_at: now,
            expires_at,
            finished_at: None,
            checks_used: 0,
            limits: begin.limits,
            code: begin.code.clone(),
            binding: begin.binding.clone(),
            locale: begin.locale.clone(),
            plan: begin.plan.clone(),
            attempts: Vec::with_capacity(1),
            client: begin.client.clone(),
            metadata: begin.metadata.clone(),
            entries: 0,
        });
        let at = self.recipient.verifications.len().saturating_sub(1);
        let mut decisions = vec![Decision::Began { expires_at }];
        let passed_over = begin.passed_over.iter().cloned();
        decisions.extend(passed_over.map(|(route, skip)| Decision::Skipped { route, skip }));
        self.recipient.requested_at = Some(now);
        let step = self.open_step(at, 0, &mut decisions);
        self.queue(at, step, SendCause::Begun, &mut decisions);
        self.write(at, InputRecord::Begin, decisions);
        Ok(Answer::Begun {
            verification: id,
            new: true,
        })
    }

    fn resend(&mut self, id: VerificationId, channel: Option<Channel>, input: InputRecord) -> Result<Answer, Refusal> {
        let now = self.context.now;
        let at = self.index(id).ok_or(Refusal::UnknownVerification)?;
        self.expire_if_over(at, &input);
        let verification = &self.recipient.verifications[at];
        if verification.status.is_final() {
            let refusal = Refusal::NotPending {
                status: verification.status,
            };
            return Err(self.refuse(at, input, refusal));
        }
        let step = match channel {
            None => verification
                .next_step()
                .map(Wanted::From)
                .or_else(|| verification.attempts.last().map(|a| Wanted::This(a.step))),
            Some(channel) => {
                let taken = |step: usize| verification.attempts.iter().any(|a| usize::from(a.step) == step);
                let on_channel = || {
                    verification
                        .plan
                        .steps()
                        .iter()
                        .enumerate()
                        .filter(|(_, s)| s.route.channel == channel)
                };
                on_channel()
                    .find(|(step, _)| !taken(*step))
                    .or_else(|| on_channel().next_back())
                    .and_then(|(step, _)| u8::try_from(step).ok().map(Wanted::This))
            }
        };
        let Some(step) = step else {
            return Err(self.refuse(at, input, Refusal::ChannelNotInPlan));
        };
        let limits = verification.limits;
        if let Err(refusal) = self.may_send(&limits) {
            return Err(self.refuse(at, input, refusal));
        }
        let mut decisions = Vec::new();
        self.recipient.requested_at = Some(now);
        // What still waits for its call would only double the message that is queued now.
        self.withdraw_waiting(at, &mut decisions);
        let step = match step {
            Wanted::From(step) => self.open_step(at, step, &mut decisions),
            Wanted::This(step) => step,
        };
        self.queue(at, step, SendCause::Requested, &mut decisions);
        self.write(at, input, decisions);
        Ok(Answer::Begun {
            verification: id,
            new: false,
        })
    }

    fn check(&mut self, id: VerificationId, code_matches: bool, binding_matches: bool) -> Result<Answer, Refusal> {
        let now = self.context.now;
        let at = self.index(id).ok_or(Refusal::UnknownVerification)?;
        let input = InputRecord::Check;
        self.expire_if_over(at, &input);
        let not_evaluated = match self.recipient.verifications[at].status {
            Status::Pending if self.recipient.lock.holds(now) => Some(CheckReason::TooManyChecks),
            Status::Pending => None,
            Status::Approved => Some(CheckReason::AlreadyUsed),
            Status::Canceled => Some(CheckReason::Canceled),
            Status::MaxChecksReached => Some(CheckReason::TooManyChecks),
            // Nobody was ever sent a code that could be right, or the right time has passed.
            Status::Expired | Status::Failed | Status::Blocked => Some(CheckReason::Expired),
        };
        if let Some(reason) = not_evaluated {
            self.write_noise(at, input, Decision::CheckNotEvaluated { reason });
            return Ok(self.checked(at, Some(reason)));
        }
        // Counted before it is looked at.
        let verification = &mut self.recipient.verifications[at];
        verification.checks_used = verification.checks_used.saturating_add(1);
        let mut decisions = Vec::new();
        if code_matches && binding_matches {
            let purpose = verification.purpose.clone();
            self.recipient.failures.retain(|f| f.purpose != purpose);
            self.end(at, Status::Approved, &mut decisions);
            self.learn_identities();
            self.write(at, input, decisions);
            return Ok(self.checked(at, None));
        }
        // The binding is judged without regard to the code, so that it tells nothing about the code.
        let reason = if binding_matches {
            CheckReason::IncorrectCode
        } else {
            CheckReason::BindingMismatch
        };
        let checks_left = verification.checks_left();
        decisions.push(Decision::CheckFailed { reason, checks_left });
        if checks_left == 0 {
            self.end(at, Status::MaxChecksReached, &mut decisions);
        }
        self.count_failure(at, &mut decisions);
        self.write(at, input, decisions);
        Ok(self.checked(at, Some(reason)))
    }

    fn cancel(&mut self, id: VerificationId) -> Result<Answer, Refusal> {
        let at = self.index(id).ok_or(Refusal::UnknownVerification)?;
        self.expire_if_over(at, &InputRecord::Cancel);
        match self.recipient.verifications[at].status {
            Status::Pending => {
                let mut decisions = Vec::new();
                self.end(at, Status::Canceled, &mut decisions);
                self.write(at, InputRecord::Cancel, decisions);
                Ok(Answer::Canceled)
            }
            Status::Canceled => Ok(Answer::Canceled),
            status @ (Status::Approved | Status::Expired | Status::MaxChecksReached | Status::Failed | Status::Blocked) => {
                Err(self.refuse(at, InputRecord::Cancel, Refusal::NotPending { status }))
            }
        }
    }

    fn send_message(&mut self, new: &NewMessage) -> Result<Answer, Refusal> {
        let now = self.context.now;
        if self.recipient.messages.len() >= MESSAGES_MAX {
            let oldest = self.recipient.messages.first().map_or(now, |m| m.delivery.queued_at);
            return Err(Refusal::TooManyMessages {
                retry_at: oldest.plus_millis(FINISHED_KEPT_MS),
            });
        }
        let id = MessageId::new(now, self.fresh());
        let mut delivery = Delivery::queued(now);
        let message = MessageRef {
            id,
            route: new.route.clone(),
        };
        let mut decisions = vec![Decision::Queued {
            message: message.clone(),
            cause: SendCause::Plain,
        }];
        self.claim(&mut delivery, message, &mut decisions);
        self.recipient.messages.push(PlainMessage {
            id,
            route: new.route.clone(),
            payload: Some(new.payload.clone()),
            segments: new.segments,
            ucs2: new.ucs2,
            delivery,
            entries: 0,
        });
        let at = self.recipient.messages.len().saturating_sub(1);
        self.write_message(at, InputRecord::SendMessage, decisions);
        Ok(Answer::Queued { message: id })
    }

    fn outcome(&mut self, id: MessageId, outcome: &SendOutcome, cost: Option<Money>) {
        let now = self.context.now;
        let input = InputRecord::Outcome {
            message: id,
            said: InputRecord::outcome_word(outcome),
        };
        let mut decisions = Vec::new();
        match self.locate(id) {
            Some(Place::Attempt(at, attempt)) => {
                let verification = &mut self.recipient.verifications[at];
                // Once a newer message is queued, another try of this one would only double it.
                let is_current = attempt.saturating_add(1) == verification.attempts.len();
                let is_held = held_at(verification).is_some_and(|held| verification.attempts[attempt].delivery.queued_at <= held);
                let still_useful =
                    is_current && verification.status == Status::Pending && !verification.has_arrived() && !is_held;
                let message = message_ref(verification, attempt);
                let channel = message.route.channel;
                let attempt = &mut verification.attempts[attempt];
                let had_failed = attempt.delivery.failed_at.is_some();
                // A retry that could not start before something else takes over is no retry.
                let retry_before = still_useful.then(|| {
                    attempt
                        .fallback_at
                        .unwrap_or(verification.expires_at)
                        .min(verification.expires_at)
                });
                let (outcome, language) = in_language(outcome, attempt, retry_before, now, &message.route, self.context.routes);
                if let Some(language) = language {
                    decisions.push(Decision::LanguageChosen {
                        message: message.clone(),
                        language: language.clone(),
                    });
                    attempt.language = Some(language);
                }
                settle(
                    &mut attempt.delivery,
                    message.clone(),
                    &outcome,
                    retry_before,
                    now,
                    &mut decisions,
                );
                price(&mut attempt.delivery, &message, cost, &mut decisions);
                if !attempt.delivery.has_arrived() {
                    self.learn_unreachable(channel, failure_of(&outcome), &mut decisions);
                }
                if !had_failed {
                    self.hold_back(at, failure_of(&outcome), &mut decisions);
                }
                self.learn_identities();
                self.claim_waiting(at, &mut decisions);
                self.fall_back_if_due(at, &mut decisions);
                self.write(at, input, decisions);
            }
            Some(Place::Message(at)) => {
                let plain = &mut self.recipient.messages[at];
                let message = MessageRef {
                    id,
                    route: plain.route.clone(),
                };
                let channel = message.route.channel;
                let retry_before = Some(plain.delivery.queued_at.plus_millis(FINISHED_KEPT_MS));
                settle(
                    &mut plain.delivery,
                    message.clone(),
                    outcome,
                    retry_before,
                    now,
                    &mut decisions,
                );
                price(&mut plain.delivery, &message, cost, &mut decisions);
                let arrived = plain.delivery.has_arrived();
                if !plain.delivery.waits_for_call() {
                    plain.payload = None;
                }
                if !arrived {
                    self.learn_unreachable(channel, failure_of(outcome), &mut decisions);
                }
                self.claim_message(at, &mut decisions);
                self.write_message(at, input, decisions);
            }
            None => {}
        }
    }

    fn receipt(&mut self, id: MessageId, kind: &ReceiptKind, facts: &ReceiptFacts) {
        let now = self.context.now;
        let input = match told_by(kind) {
            Some((status, _)) => InputRecord::Receipt { message: id, status },
            None => InputRecord::Disowned { message: id },
        };
        let mut decisions = Vec::new();
        match self.locate(id) {
            Some(Place::Attempt(at, attempt)) => {
                let kind = &in_no_other_language(kind);
                let verification = &mut self.recipient.verifications[at];
                let message = message_ref(verification, attempt);
                let attempt = &mut verification.attempts[attempt];
                let is_new = attempt.delivery.record(kind, now);
                price(&mut attempt.delivery, &message, facts.price, &mut decisions);
                if attempt.identity.is_none() {
                    attempt.identity.clone_from(&facts.identity);
                }
                let after_ms = now.millis_since(attempt.delivery.queued_at);
                let has_arrived = attempt.delivery.has_arrived();
                match told_by(kind) {
                    Some((status, failure)) if is_new => {
                        let channel = message.route.channel;
                        learned(message, status, after_ms, failure, &mut decisions);
                        self.learn_reach(channel, kind, has_arrived, &mut decisions);
                        self.hold_back(at, failure, &mut decisions);
                    }
                    None if is_new => {
                        decisions.push(Decision::Disowned { message });
                        self.disown(at, &mut decisions);
                    }
                    Some((status, _)) if decisions.is_empty() => {
                        // What it tells besides may be new all the same.
                        self.learn_identities();
                        self.write_noise(at, input, Decision::ReceiptRepeated { message, status });
                        return;
                    }
                    Some(_) | None => {}
                }
                self.learn_identities();
                self.fall_back_if_due(at, &mut decisions);
                self.write(at, input, decisions);
            }
            Some(Place::Message(at)) => {
                let plain = &mut self.recipient.messages[at];
                let message = MessageRef {
                    id,
                    route: plain.route.clone(),
                };
                let is_new = plain.delivery.record(kind, now);
                price(&mut plain.delivery, &message, facts.price, &mut decisions);
                let after_ms = now.millis_since(plain.delivery.queued_at);
                let has_arrived = plain.delivery.has_arrived();
                match told_by(kind) {
                    Some((status, failure)) if is_new => {
                        let channel = message.route.channel;
                        learned(message, status, after_ms, failure, &mut decisions);
                        self.learn_reach(channel, kind, has_arrived, &mut decisions);
                    }
                    None if is_new => {
                        decisions.push(Decision::Disowned { message });
                        self.count_disowned(Limits::default().lock_ms, &mut decisions);
                    }
                    Some((status, _)) if decisions.is_empty() && plain.entries < ENTRIES_MAX => {
                        decisions.push(Decision::ReceiptRepeated { message, status });
                    }
                    Some(_) | None => {}
                }
                self.write_message(at, input, decisions);
            }
            None => {}
        }
    }

    fn tick(&mut self) {
        let now = self.context.now;
        for at in 0..self.recipient.verifications.len() {
            let mut decisions = Vec::new();
            for attempt in 0..self.recipient.verifications[at].attempts.len() {
                let message = message_ref(&self.recipient.verifications[at], attempt);
                let delivery = &mut self.recipient.verifications[at].attempts[attempt].delivery;
                no_answer_is_unclear(delivery, message, now, &mut decisions);
            }
            let verification = &self.recipient.verifications[at];
            if verification.status == Status::Pending {
                if now >= verification.expires_at {
                    self.end(at, Status::Expired, &mut decisions);
                } else {
                    self.fall_back_if_due(at, &mut decisions);
                    self.claim_waiting(at, &mut decisions);
                }
            }
            self.write(at, InputRecord::Tick, decisions);
        }
        for at in 0..self.recipient.messages.len() {
            let mut decisions = Vec::new();
            let plain = &mut self.recipient.messages[at];
            let message = MessageRef {
                id: plain.id,
                route: plain.route.clone(),
            };
            no_answer_is_unclear(&mut plain.delivery, message, now, &mut decisions);
            self.claim_message(at, &mut decisions);
            self.write_message(at, InputRecord::Tick, decisions);
        }
    }

    fn unlock(&mut self) {
        if self.recipient.lock == Lock::Open {
            return;
        }
        self.recipient.lock = Lock::Open;
        let entry = self.entry(None, InputRecord::Unlock, vec![Decision::Unlocked]);
        self.entries.push(entry);
    }

    /// Whether the number's limits allow a request to send now.
    fn may_send(&self, limits: &Limits) -> Result<(), Refusal> {
        let now = self.context.now;
        match self.recipient.lock {
            Lock::UntilOperator => return Err(Refusal::Locked { until: None }),
            Lock::Until(until) if now < until => return Err(Refusal::Locked { until: Some(until) }),
            Lock::Until(_) | Lock::Open => {}
        }
        let retry_at = self.recipient.resend_at(limits, now);
        if retry_at <= now {
            return Ok(());
        }
        if self.recipient.sends_left(limits.max_sends_per_hour, now) == 0 {
            return Err(Refusal::HourlyLimit { retry_at });
        }
        Err(Refusal::ResendTooSoon { retry_at })
    }

    /// The step to take from `from` on: the first one whose route nothing speaks against, else `from` itself, because a
    /// route that may work is better than none.
    fn open_step(&self, at: usize, from: u8, decisions: &mut Vec<Decision>) -> u8 {
        let verification = &self.recipient.verifications[at];
        let mut passed_over = Vec::new();
        let steps = verification.plan.steps().iter().zip(0_u8..).skip(from.into());
        for (planned, step) in steps {
            match self.skip(&planned.route, &verification.locale) {
                None => {
                    let skipped = |(route, skip)| Decision::Skipped { route, skip };
                    decisions.extend(passed_over.into_iter().map(skipped));
                    return step;
                }
                Some(skip) => passed_over.push((planned.route.clone(), skip)),
            }
        }
        let first = passed_over.into_iter().next();
        decisions.extend(first.map(|(route, skip)| Decision::NoneOpen { route, skip }));
        from
    }

    /// Why a route had better not be taken now.
    fn skip(&self, route: &Route, locale: &str) -> Option<Skip> {
        if self.recipient.knowledge.is_on(route.channel) == Some(false) {
            return Some(Skip::because(SkipReason::NotOnChannel));
        }
        if self.spaced_until(route) > self.context.now {
            return Some(Skip::because(SkipReason::TooSoon));
        }
        // Last: where a breaker is being probed, whoever is let through here is the probe.
        self.context.routes.skip(route, self.recipient.country, locale)
    }

    /// When a route's provider takes the next message to this number; now, where it does already.
    fn spaced_until(&self, route: &Route) -> Timestamp {
        let spacing_ms = self.context.routes.spacing_ms(route);
        if spacing_ms == 0 {
            return self.context.now;
        }
        let is_this = |other: &Route| other.channel == route.channel && other.sender == route.sender;
        let of_attempts = self.recipient.verifications.iter().flat_map(|v| {
            let over_this = v
                .attempts
                .iter()
                .filter(move |a| v.plan.step(a.step).is_some_and(|s| is_this(&s.route)));
            over_this.map(|a| &a.delivery)
        });
        let plain = self.recipient.messages.iter().filter(|m| is_this(&m.route));
        // What never left the process is nothing that the provider could count.
        let has_left = |d: &&Delivery| d.failure.as_ref().is_none_or(|f| *f.code != *NOT_SENT);
        let deliveries = of_attempts.chain(plain.map(|m| &m.delivery)).filter(has_left);
        let last = deliveries.filter_map(|d| d.claimed_at).max();
        last.map_or(self.context.now, |at| at.plus_millis(spacing_ms).max(self.context.now))
    }

    /// Only what arrives tells that the number is on a channel, and what has arrived outranks a failure that says otherwise.
    fn learn_reach(&mut self, channel: Channel, kind: &ReceiptKind, has_arrived: bool, decisions: &mut Vec<Decision>) {
        match kind {
            ReceiptKind::Delivered | ReceiptKind::Read => {
                if self.recipient.knowledge.learn_reach(channel, true, self.context.now) {
                    decisions.push(Decision::ReachLearned { channel, is_on: true });
                }
            }
            ReceiptKind::Failed(failure) if !has_arrived => self.learn_unreachable(channel, Some(failure), decisions),
            ReceiptKind::Failed(_) | ReceiptKind::Sent | ReceiptKind::Disowned => {}
        }
    }

    /// A silence tells nothing; only a failure that says so does.
    fn learn_unreachable(&mut self, channel: Channel, failure: Option<&Failure>, decisions: &mut Vec<Decision>) {
        let says_so = failure.is_some_and(|f| f.class == FailureClass::Unreachable);
        if says_so && self.recipient.knowledge.learn_reach(channel, false, self.context.now) {
            decisions.push(Decision::ReachLearned { channel, is_on: false });
        }
    }

    /// Remembers whose the number is, as the verification tells that was approved last, in whatever order receipts come: a
    /// late one about an older verification must not bring back whom the number has left.
    fn learn_identities(&mut self) {
        for channel in Channel::ALL {
            let approved = self.recipient.verifications.iter().filter(|v| v.status == Status::Approved);
            let told = approved.filter_map(|v| Some((v.finished_at?, v.identity_on(channel)?)));
            if let Some((at, identity)) = told.max_by_key(|(at, _)| *at) {
                let identity = identity.cloned();
                self.recipient.knowledge.learn_identity(channel, identity, at);
            }
        }
    }

    /// Ends a verification whose code nobody asked for, and counts that.
    fn disown(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        let verification = &self.recipient.verifications[at];
        let lock_ms = verification.limits.lock_ms;
        if verification.status == Status::Pending {
            let in_time = self.context.now < verification.expires_at;
            let status = if in_time { Status::Canceled } else { Status::Expired };
            self.end(at, status, decisions);
        }
        self.count_disowned(lock_ms, decisions);
    }

    fn count_disowned(&mut self, lock_ms: u32, decisions: &mut Vec<Decision>) {
        let now = self.context.now;
        let disowned = &mut self.recipient.knowledge.disowned;
        if disowned.len() >= DISOWNED_MAX {
            disowned.remove(0);
        }
        disowned.push(now);
        let until = now.plus_millis(lock_ms.into());
        // Wrong codes may have locked it for longer.
        let is_longer = match self.recipient.lock {
            Lock::Open => true,
            Lock::Until(held) => held < until,
            Lock::UntilOperator => false,
        };
        if disowned.len() >= DISOWNED_LOCK_AFTER && is_longer {
            self.recipient.lock = Lock::Until(until);
            decisions.push(Decision::Locked { until: Some(until) });
        }
    }

    /// Queues the message of a step and claims its call where one may start. The caller has asked the limits.
    fn queue(&mut self, at: usize, step: u8, cause: SendCause, decisions: &mut Vec<Decision>) {
        let now = self.context.now;
        let id = MessageId::new(now, self.fresh());
        self.recipient.sends.push(now);
        let verification = &mut self.recipient.verifications[at];
        let planned = verification.plan.step(step).expect("steps are taken from the plan itself");
        let wait_ms = u64::from(planned.wait_ms);
        let message = MessageRef {
            id,
            route: planned.route.clone(),
        };
        let language = self.context.routes.language(&message.route, &verification.locale);
        verification.attempts.push(Attempt {
            id,
            step,
            fallback_at: None,
            language: language.clone(),
            delivery: Delivery::queued(now),
            identity: None,
        });
        let fallback_at = verification.next_step().map(|_| now.plus_millis(wait_ms));
        decisions.push(Decision::Queued {
            message: message.clone(),
            cause,
        });
        if let Some(language) = language.filter(|l| !is_of_locale(l, &self.recipient.verifications[at].locale)) {
            decisions.push(Decision::LanguageChosen {
                message: message.clone(),
                language,
            });
        }
        let mut delivery = Delivery::queued(now);
        self.claim(&mut delivery, message, decisions);
        let attempt = self.recipient.verifications[at]
            .attempts
            .last_mut()
            .expect("one was just pushed");
        attempt.fallback_at = fallback_at;
        attempt.delivery = delivery;
    }

    /// Marks a message's call as started, if one may start now. The commit of this mark is what the call waits for.
    /// Otherwise it is put off a little, so that a busy route's messages do not stand in front of what else is due.
    fn claim(&mut self, delivery: &mut Delivery, message: MessageRef, decisions: &mut Vec<Decision>) {
        let now = self.context.now;
        if !delivery.waits_for_call() || delivery.not_before > now {
            return;
        }
        // Looked at here and not only when a route is chosen: what waits for its call may meet what went over the route since.
        let spaced_until = self.spaced_until(&message.route);
        if spaced_until > now {
            delivery.not_before = spaced_until;
            return;
        }
        match (self.context.may_call)(&message.route) {
            Ok(()) => {
                delivery.claimed_at = Some(now);
                self.calls.push(message.id);
                decisions.push(Decision::Claimed { message });
            }
            Err(wait_ms) => {
                delivery.not_before = now.plus_millis(wait_ms.clamp(CALL_PUT_OFF_MS, CALL_PUT_OFF_MAX_MS));
            }
        }
    }

    fn claim_waiting(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        let verification = &self.recipient.verifications[at];
        if verification.status != Status::Pending || self.context.now >= verification.expires_at {
            return;
        }
        for attempt in 0..self.recipient.verifications[at].attempts.len() {
            let message = message_ref(&self.recipient.verifications[at], attempt);
            let mut delivery = self.recipient.verifications[at].attempts[attempt].delivery.clone();
            self.claim(&mut delivery, message, decisions);
            self.recipient.verifications[at].attempts[attempt].delivery = delivery;
        }
    }

    fn claim_message(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        let plain = &self.recipient.messages[at];
        let message = MessageRef {
            id: plain.id,
            route: plain.route.clone(),
        };
        let mut delivery = plain.delivery.clone();
        self.claim(&mut delivery, message, decisions);
        self.recipient.messages[at].delivery = delivery;
    }

    /// Takes the next step of the plan when the current attempt definitely failed or its wait is over, at most once per
    /// step, and ends the verification when no route is left that could still bring the code.
    fn fall_back_if_due(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        let now = self.context.now;
        let verification = &self.recipient.verifications[at];
        if verification.status != Status::Pending || verification.has_arrived() || now >= verification.expires_at {
            return;
        }
        let Some(current) = verification.attempts.last() else { return };
        let failed = current.delivery.has_failed();
        let silent = current.fallback_at.is_some_and(|due| due <= now);
        if !failed && !silent {
            return;
        }
        let forbidden = held_at(verification).is_some();
        let given_up = current.fallback_at.is_none();
        // What was held back did not fail: whoever asks for it may still have it.
        if forbidden && current.delivery.was_withdrawn() && verification.next_step().is_none() {
            return;
        }
        let Some(next) = verification.next_step() else {
            self.fail_if_every_route_has(at, decisions);
            return;
        };
        if forbidden {
            if !given_up {
                self.give_up_fallback(at, NoFallback::FailureForbids, decisions);
            }
            return;
        }
        // Given up is given up: a send that leaves the hour later must not start what the log says is not made.
        if given_up || self.recipient.sends_left(verification.limits.max_sends_per_hour, now) == 0 {
            if !given_up {
                self.give_up_fallback(at, NoFallback::HourlyLimit, decisions);
            }
            self.fail_if_every_route_has(at, decisions);
            return;
        }
        let cause = if failed {
            SendCause::FellBackOnFailure
        } else {
            SendCause::FellBackOnSilence {
                waited_ms: now.millis_since(current.delivery.queued_at),
            }
        };
        self.withdraw_waiting(at, decisions);
        let next = self.open_step(at, next, decisions);
        self.queue(at, next, cause, decisions);
    }

    fn give_up_fallback(&mut self, at: usize, why: NoFallback, decisions: &mut Vec<Decision>) {
        if let Some(current) = self.recipient.verifications[at].attempts.last_mut() {
            current.fallback_at = None;
        }
        decisions.push(Decision::NoFallback(why));
    }

    fn fail_if_every_route_has(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        if self.recipient.verifications[at]
            .attempts
            .iter()
            .all(|a| a.delivery.has_failed())
        {
            self.end(at, Status::Failed, decisions);
        }
    }

    /// Takes back what has not gone out when a message tells that somebody else may have the number. What is asked for
    /// afterwards goes.
    fn hold_back(&mut self, at: usize, failure: Option<&Failure>, decisions: &mut Vec<Decision>) {
        let verification = &self.recipient.verifications[at];
        let tells_so = failure.is_some_and(|f| f.class == FailureClass::NoFallback);
        if tells_so && verification.status == Status::Pending && held_at(verification).is_some() {
            self.withdraw_waiting(at, decisions);
        }
    }

    fn withdraw_waiting(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        let now = self.context.now;
        let verification = &mut self.recipient.verifications[at];
        for attempt in 0..verification.attempts.len() {
            if verification.attempts[attempt].delivery.waits_for_call() {
                let message = message_ref(verification, attempt);
                let delivery = &mut verification.attempts[attempt].delivery;
                delivery.failed_at = Some(now);
                delivery.failure = Some(Failure::new(
                    FailureClass::NextRoute,
                    WITHDRAWN,
                    "taken back before any call to the provider",
                ));
                decisions.push(Decision::Withdrawn { message });
            }
        }
    }

    /// The one place where a verification ends.
    fn end(&mut self, at: usize, status: Status, decisions: &mut Vec<Decision>) {
        self.withdraw_waiting(at, decisions);
        let now = self.context.now;
        let verification = &mut self.recipient.verifications[at];
        debug_assert!(!verification.status.is_final(), "a final status is final");
        verification.status = status;
        verification.finished_at = Some(now);
        // Nothing compares with the code or shows the binding any more.
        if let CodeSource::Own { sealed, .. } = &mut verification.code {
            *sealed = Sealed(Box::default());
        }
        if let Some(binding) = &mut verification.binding {
            binding.sealed = Sealed(Box::default());
        }
        let carrier = verification
            .attempts
            .iter()
            .rfind(|a| a.delivery.has_arrived())
            .or(verification.attempts.last());
        let channel = carrier.and_then(|a| verification.plan.step(a.step)).map(|s| s.route.channel);
        decisions.push(Decision::Ended {
            status,
            after_ms: now.millis_since(verification.created_at),
            channel,
        });
    }

    /// Ends a pending verification whose time is over and writes that down; `true` when it did.
    fn expire_if_over(&mut self, at: usize, input: &InputRecord) -> bool {
        let verification = &self.recipient.verifications[at];
        if verification.status != Status::Pending || self.context.now < verification.expires_at {
            return false;
        }
        let mut decisions = Vec::new();
        self.end(at, Status::Expired, &mut decisions);
        self.write(at, input.clone(), decisions);
        true
    }

    fn count_failure(&mut self, at: usize, decisions: &mut Vec<Decision>) {
        let Verification { purpose, limits, .. } = &self.recipient.verifications[at];
        let (purpose, limits) = (purpose.clone(), *limits);
        let in_a_row = if let Some(failures) = self.recipient.failures.iter_mut().find(|f| f.purpose == purpose) {
            failures.in_a_row = failures.in_a_row.saturating_add(1);
            failures.in_a_row
        } else {
            self.recipient.failures.push(Failures { purpose, in_a_row: 1 });
            1
        };
        if in_a_row >= limits.lock_for_good_after {
            self.recipient.lock = Lock::UntilOperator;
            decisions.push(Decision::Locked { until: None });
        } else if in_a_row.is_multiple_of(limits.lock_after.max(1)) && self.recipient.lock != Lock::UntilOperator {
            let until = self.context.now.plus_millis(limits.lock_ms.into());
            self.recipient.lock = Lock::Until(until);
            decisions.push(Decision::Locked { until: Some(until) });
        }
    }

    fn checked(&self, at: usize, reason: Option<CheckReason>) -> Answer {
        let verification = &self.recipient.verifications[at];
        Answer::Checked {
            reason,
            status: verification.status,
            checks_left: verification.checks_left(),
        }
    }

    /// Forgets what is past keeping.
    fn tidy(&mut self) {
        let now = self.context.now;
        let kept = |at: Timestamp| now < at.plus_millis(FINISHED_KEPT_MS);
        self.recipient.verifications.retain(|v| v.finished_at.is_none_or(kept));
        self.recipient.messages.retain(|m| kept(m.delivery.queued_at));
        self.recipient.sends.retain(|at| now < at.plus_millis(HOUR_MS));
        self.recipient.knowledge.tidy(now);
        if let Lock::Until(until) = self.recipient.lock
            && until <= now
        {
            self.recipient.lock = Lock::Open;
        }
    }

    fn index(&self, id: VerificationId) -> Option<usize> {
        self.recipient.verifications.iter().position(|v| v.id == id)
    }

    fn pending_index(&self, purpose: &Purpose) -> Option<usize> {
        self.recipient
            .verifications
            .iter()
            .position(|v| v.status == Status::Pending && v.purpose == *purpose)
    }

    fn locate(&self, id: MessageId) -> Option<Place> {
        let attempt = self.recipient.verifications.iter().enumerate().find_map(|(at, v)| {
            v.attempts
                .iter()
                .position(|a| a.id == id)
                .map(|attempt| Place::Attempt(at, attempt))
        });
        attempt.or_else(|| self.recipient.messages.iter().position(|m| m.id == id).map(Place::Message))
    }

    fn fresh(&mut self) -> [u8; 16] {
        let value = self.context.fresh.nth(self.made);
        self.made = self.made.saturating_add(1);
        value
    }

    /// Writes an entry about a verification, if anything was decided.
    fn write(&mut self, at: usize, input: InputRecord, decisions: Vec<Decision>) {
        if decisions.is_empty() {
            return;
        }
        let verification = &mut self.recipient.verifications[at];
        verification.entries = verification.entries.saturating_add(1);
        let entry = self.entry(Some(at), input, decisions);
        self.entries.push(entry);
    }

    /// Writes an entry about something that changed nothing, while there is room for such.
    fn write_noise(&mut self, at: usize, input: InputRecord, decision: Decision) {
        if self.recipient.verifications[at].entries < ENTRIES_MAX {
            self.write(at, input, vec![decision]);
        }
    }

    fn write_message(&mut self, at: usize, input: InputRecord, decisions: Vec<Decision>) {
        if decisions.is_empty() {
            return;
        }
        let plain = &mut self.recipient.messages[at];
        plain.entries = plain.entries.saturating_add(1);
        let id = plain.id;
        let mut entry = self.entry(None, input, decisions);
        entry.message = Some(id);
        self.entries.push(entry);
    }

    fn refuse(&mut self, at: usize, input: InputRecord, refusal: Refusal) -> Refusal {
        self.write_noise(at, input, Decision::Refused(refusal.clone()));
        refusal
    }

    fn entry(&mut self, at: Option<usize>, input: InputRecord, decisions: Vec<Decision>) -> Entry {
        let id = EventId::new(self.context.now, self.fresh());
        // The announcements made from an entry count up from its id, at most one per decision: none of those ids may
        // be the id of anything else.
        self.made = self.made.saturating_add(u32::try_from(decisions.len()).unwrap_or(u32::MAX));
        let recipient = &self.recipient;
        let verification = at.map(|at| &recipient.verifications[at]);
        Entry {
            id,
            at: self.context.now,
            scope: recipient.scope.clone(),
            masked: recipient.masked.clone(),
            country: recipient.country,
            verification: verification.map(|v| v.id),
            message: None,
            purpose: verification.map(|v| v.purpose.clone()),
            metadata: verification.map(|v| v.metadata.clone()).unwrap_or_default(),
            client: verification.and_then(|v| v.client.clone()),
            input,
            decisions,
        }
    }
}

/// When a message last told that somebody else may have the number, where nothing may go out by itself after that.
/// Whichever message told so: an older one may tell it after the one that took its place.
fn held_at(verification: &Verification) -> Option<Timestamp> {
    let forbids = |a: &&Attempt| a.delivery.has_failed() && a.delivery.failed_with(FailureClass::NoFallback);
    let told = verification
        .attempts
        .iter()
        .filter(forbids)
        .filter_map(|a| a.delivery.failed_at);
    told.max()
        .filter(|_| verification.plan.identity_change() == IdentityChange::Hold)
}

/// Which step a resend takes.
enum Wanted {
    /// The first open one from here on.
    From(u8),
    /// This one, whatever speaks against it: there is no other, or the caller asked for its channel.
    This(u8),
}

enum Place {
    /// Verification and attempt, by position.
    Attempt(usize, usize),
    /// Plain message, by position.
    Message(usize),
}

fn message_ref(verification: &Verification, attempt: usize) -> MessageRef {
    let attempt = &verification.attempts[attempt];
    let step = verification
        .plan
        .step(attempt.step)
        .expect("an attempt's step is in its plan");
    MessageRef {
        id: attempt.id,
        route: step.route.clone(),
    }
}

/// Whether a template's language is the one that a locale asks for, whatever the region.
fn is_of_locale(language: &str, locale: &str) -> bool {
    let of = |text: &str| text.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    of(language) == of(locale)
}

/// What an outcome means where it says that the template is not there in the attempt's language: another try in the
/// returned language, where one may still start, or else that the template is at fault.
fn in_language(
    outcome: &SendOutcome,
    attempt: &Attempt,
    retry_before: Option<Timestamp>,
    now: Timestamp,
    route: &Route,
    routes: &dyn Routes,
) -> (SendOutcome, Option<Box<str>>) {
    let SendOutcome::Failed {
        failure,
        provider_message_id,
    } = outcome
    else {
        return (outcome.clone(), None);
    };
    if failure.class != FailureClass::OtherLanguage {
        return (outcome.clone(), None);
    }
    let again = provider_message_id.is_none() && retry_before.is_some_and(|before| may_retry(&attempt.delivery, now, before));
    let other = routes
        .default_language(route)
        .filter(|l| again && attempt.language.as_ref() != Some(l));
    let class = if other.is_some() {
        FailureClass::RetryHere { after_ms: 0 }
    } else {
        FailureClass::TripBreaker(TripScope::Template)
    };
    let outcome = SendOutcome::Failed {
        failure: Failure {
            class,
            ..failure.clone()
        },
        provider_message_id: provider_message_id.clone(),
    };
    (outcome, other)
}

/// A receipt comes too late for another language: then the template is at fault.
fn in_no_other_language(kind: &ReceiptKind) -> ReceiptKind {
    match kind {
        ReceiptKind::Failed(failure) if failure.class == FailureClass::OtherLanguage => ReceiptKind::Failed(Failure {
            class: FailureClass::TripBreaker(TripScope::Template),
            ..failure.clone()
        }),
        ReceiptKind::Failed(_) | ReceiptKind::Sent | ReceiptKind::Delivered | ReceiptKind::Read | ReceiptKind::Disowned => {
            kind.clone()
        }
    }
}

/// The status that a receipt tells, and why; `None`: it tells that nobody asked for the code.
fn told_by(kind: &ReceiptKind) -> Option<(MessageStatus, Option<&Failure>)> {
    match kind {
        ReceiptKind::Sent => Some((MessageStatus::Sent, None)),
        ReceiptKind::Delivered => Some((MessageStatus::Delivered, None)),
        ReceiptKind::Read => Some((MessageStatus::Read, None)),
        ReceiptKind::Failed(failure) => Some((MessageStatus::Failed, Some(failure))),
        ReceiptKind::Disowned => None,
    }
}

fn failure_of(outcome: &SendOutcome) -> Option<&Failure> {
    match outcome {
        SendOutcome::Failed { failure, .. } => Some(failure),
        SendOutcome::Accepted { .. } | SendOutcome::Unclear { .. } => None,
    }
}

/// Books what a message cost, the first time it is told.
fn price(delivery: &mut Delivery, message: &MessageRef, cost: Option<Money>, decisions: &mut Vec<Decision>) {
    if let (None, Some(price)) = (delivery.price, cost) {
        delivery.price = Some(price);
        decisions.push(Decision::Priced {
            message: message.clone(),
            price,
        });
    }
}

/// Whether a message that was certainly not sent may be tried again at a moment, on its own route.
fn may_retry(delivery: &Delivery, at: Timestamp, before: Timestamp) -> bool {
    delivery.retries < RETRIES_MAX && at < before && delivery.status() == MessageStatus::Queued
}

/// Records what a call told. With `retry_before`, a failure that is certain to have sent nothing is tried once more
/// on the same route if that can start before then.
fn settle(
    delivery: &mut Delivery,
    message: MessageRef,
    outcome: &SendOutcome,
    retry_before: Option<Timestamp>,
    now: Timestamp,
    decisions: &mut Vec<Decision>,
) {
    let after_ms = now.millis_since(delivery.queued_at);
    match outcome {
        SendOutcome::Accepted { provider_message_id } => {
            delivery
                .provider_message_id
                .get_or_insert_with(|| provider_message_id.clone());
            if delivery.accepted_at.is_none() {
                delivery.accepted_at = Some(now);
                learned(message, MessageStatus::Accepted, after_ms, None, decisions);
            }
        }
        SendOutcome::Failed {
            failure,
            provider_message_id,
        } => {
            let wait_ms = match failure.class {
                FailureClass::RetryHere { after_ms } | FailureClass::SlowDown { after_ms } => Some(after_ms),
                FailureClass::NextRoute
                | FailureClass::Unreachable
                | FailureClass::OtherLanguage
                | FailureClass::TripBreaker(_)
                | FailureClass::OurMistake
                | FailureClass::NoFallback => None,
            };
            if let (Some(wait_ms), None, Some(before)) = (wait_ms, provider_message_id, retry_before) {
                let at = now.plus_millis(wait_ms.into());
                if may_retry(delivery, at, before) {
                    delivery.retries = delivery.retries.saturating_add(1);
                    delivery.claimed_at = None;
                    delivery.not_before = at;
                    decisions.push(Decision::RetryAt {
                        message,
                        at,
                        failure: failure.clone(),
                    });
                    return;
                }
            }
            if let Some(id) = provider_message_id {
                delivery.provider_message_id.get_or_insert_with(|| id.clone());
            }
            if delivery.record(&ReceiptKind::Failed(failure.clone()), now) {
                learned(message, MessageStatus::Failed, after_ms, Some(failure), decisions);
            }
        }
        SendOutcome::Unclear { detail } => {
            if delivery.unclear_at.is_none() && delivery.status() == MessageStatus::Queued {
                delivery.unclear_at = Some(now);
                let failure = Failure::new(FailureClass::NextRoute, "unclear", detail);
                learned(message, MessageStatus::Unclear, after_ms, Some(&failure), decisions);
            }
        }
    }
}

fn no_answer_is_unclear(delivery: &mut Delivery, message: MessageRef, now: Timestamp, decisions: &mut Vec<Decision>) {
    if delivery.answer_due().is_some_and(|due| due <= now) {
        let outcome = SendOutcome::Unclear {
            detail: "the call ended without an answer that was written down".into(),
        };
        settle(delivery, message, &outcome, None, now, decisions);
    }
}

fn learned(message: MessageRef, status: MessageStatus, after_ms: u64, failure: Option<&Failure>, decisions: &mut Vec<Decision>) {
    let alert = failure
        .filter(|f| {
            status == MessageStatus::Failed
                && matches!(
                    f.class,
                    FailureClass::TripBreaker(_) | FailureClass::OurMistake | FailureClass::NoFallback
                )
        })
        .map(|f| Decision::Alert {
            route: message.route.clone(),
            failure: f.clone(),
        });
    decisions.push(Decision::Message {
        message,
        status,
        after_ms,
        failure: failure.cloned(),
    });
    decisions.extend(alert);
}
