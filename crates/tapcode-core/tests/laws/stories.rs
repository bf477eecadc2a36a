//! What happens to one number, told as people would tell it? Named examples of the default policy, each with its clock.

use std::cell::Cell;

use tapcode_core::delivery::{Failure, FailureClass, MessageStatus, NOT_SENT, ReceiptFacts, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::entry::{CheckReason, Decision, Entry, NoFallback, Refusal, SendCause};
use tapcode_core::id::{Fresh, MessageId, VerificationId};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::Country;
use tapcode_core::plan::{Channel, IdentityChange, Route, Skip, SkipReason};
use tapcode_core::recipient::{
    DISOWNED_MAX, FINISHED_KEPT_MS, Lock, PURPOSES_MAX, REACHABLE_KEPT_MS, Recipient, UNREACHABLE_KEPT_MS, VERIFICATIONS_MAX,
};
use tapcode_core::step::{
    Answer, Begin, CALL_PUT_OFF_MAX_MS, CALL_PUT_OFF_MS, Context, ENTRIES_MAX, Input, NewMessage, Routes, due_at, step,
};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Limits, Purpose, Sealed, Status};

use crate::life::{START, addressee, begin_of, bound, own, own_payload, route};

/// WhatsApp, then SMS after ten seconds: the default workflow.
const SEED: [(Channel, u32); 2] = [(Channel::Whatsapp, 10_000), (Channel::Sms, 0)];

/// One number and its clock.
struct Story {
    state: Option<Recipient>,
    now: Timestamp,
    steps: u64,
    /// Calls that were started, in order.
    calls: Vec<MessageId>,
    /// What the last step wrote down.
    entries: Vec<Entry>,
    /// What is known of routes.
    routes: Scripted,
    /// Whether no call may start.
    busy: bool,
    /// After how many milliseconds it is worth to ask again, where none may.
    free_in_ms: u64,
}

/// Routes as a story wants them.
#[derive(Default)]
struct Scripted {
    closed: Vec<Channel>,
    language: Option<&'static str>,
    default_language: Option<&'static str>,
    spacing_ms: u64,
    /// How often it was asked whether a route is open.
    asked: Cell<u32>,
}

impl Routes for Scripted {
    fn skip(&self, route: &Route, _: Country, _: &str) -> Option<Skip> {
        self.asked.set(self.asked.get() + 1);
        self.closed
            .contains(&route.channel)
            .then(|| Skip::because(SkipReason::Breaker))
    }

    fn language(&self, route: &Route, _: &str) -> Option<Box<str>> {
        self.language.filter(|_| route.channel == Channel::Whatsapp).map(Into::into)
    }

    fn default_language(&self, _: &Route) -> Option<Box<str>> {
        self.default_language.map(Into::into)
    }

    fn spacing_ms(&self, route: &Route) -> u64 {
        if route.channel == Channel::Whatsapp {
            self.spacing_ms
        } else {
            0
        }
    }
}

impl Story {
    fn new() -> Self {
        Self {
            state: None,
            now: START,
            steps: 0,
            calls: Vec::new(),
            entries: Vec::new(),
            routes: Scripted::default(),
            busy: false,
            free_in_ms: 0,
        }
    }

    /// Moves the clock to so many milliseconds after the start.
    fn at(&mut self, ms: u64) -> &mut Self {
        let now = START.plus_millis(ms);
        assert!(now >= self.now, "a story goes forward");
        self.now = now;
        self
    }

    fn give(&mut self, input: &Input) -> Result<Answer, Refusal> {
        self.steps += 1;
        let fresh = Fresh((u128::from(self.steps) << 64).to_be_bytes());
        let may_call = |_: &Route| if self.busy { Err(self.free_in_ms) } else { Ok(()) };
        let decided = step(
            self.state.take(),
            input,
            &Context {
                now: self.now,
                fresh,
                may_call: &may_call,
                routes: &self.routes,
            },
        );
        self.state = decided.next;
        self.calls.extend(decided.calls);
        self.entries = decided.entries;
        decided.answer
    }

    fn begin(&mut self, begin: Begin) -> VerificationId {
        let Ok(Answer::Begun { verification, new: true }) = self.give(&Input::Begin(Box::new(begin))) else {
            panic!("nothing new was begun")
        };
        verification
    }

    fn begin_seed(&mut self) -> VerificationId {
        self.begin(begin_of(&SEED))
    }

    fn resend(&mut self, verification: VerificationId, channel: Option<Channel>) -> Result<Answer, Refusal> {
        self.give(&Input::Resend { verification, channel })
    }

    fn check(&mut self, verification: VerificationId, code_matches: bool) -> (Option<CheckReason>, Status, u16) {
        match self.give(&Input::Check {
            verification,
            code_matches,
            binding_matches: true,
        }) {
            Ok(Answer::Checked {
                reason,
                status,
                checks_left,
            }) => (reason, status, checks_left),
            other => panic!("{other:?}"),
        }
    }

    fn cancel(&mut self, verification: VerificationId) -> Result<Answer, Refusal> {
        self.give(&Input::Cancel { verification })
    }

    fn tick(&mut self) {
        assert_eq!(self.give(&Input::Tick), Ok(Answer::Done));
    }

    fn accepted(&mut self, call: usize) {
        self.outcome(
            call,
            SendOutcome::Accepted {
                provider_message_id: "wamid.1".into(),
            },
        );
    }

    fn failed(&mut self, call: usize, class: FailureClass, code: &str) {
        let failure = Failure::new(class, code, "as the provider says");
        self.outcome(
            call,
            SendOutcome::Failed {
                failure,
                provider_message_id: None,
            },
        );
    }

    fn outcome(&mut self, call: usize, outcome: SendOutcome) {
        assert_eq!(
            self.give(&Input::Outcome {
                message: self.calls[call],
                outcome,
                price: None,
            }),
            Ok(Answer::Done)
        );
    }

    fn receipt(&mut self, call: usize, kind: ReceiptKind) {
        self.receipt_with(call, kind, ReceiptFacts::default());
    }

    fn receipt_with(&mut self, call: usize, kind: ReceiptKind, facts: ReceiptFacts) {
        let message = self.calls[call];
        assert_eq!(self.give(&Input::Receipt { message, kind, facts }), Ok(Answer::Done));
    }

    /// The channels of the calls so far.
    fn called(&self) -> Vec<Channel> {
        let state = self.state.as_ref().unwrap();
        let channel = |id: &MessageId| {
            let (verification, attempt) = state.attempt(*id).unwrap();
            verification.plan.step(attempt.step).unwrap().route.channel
        };
        self.calls.iter().map(channel).collect()
    }

    fn status(&self, verification: VerificationId) -> Status {
        self.state.as_ref().unwrap().verification(verification).unwrap().status
    }

    fn message(&self, call: usize) -> MessageStatus {
        self.state
            .as_ref()
            .unwrap()
            .attempt(self.calls[call])
            .unwrap()
            .1
            .delivery
            .status()
    }

    fn due_in(&self) -> Option<u64> {
        due_at(self.state.as_ref().unwrap()).map(|due| due.millis_since(START))
    }

    fn decided(&self) -> impl Iterator<Item = &Decision> {
        self.entries.iter().flat_map(|e| &e.decisions)
    }

    fn wrote(&self, decision: &Decision) -> bool {
        self.decided().any(|d| d == decision)
    }

    fn cause(&self) -> Option<&SendCause> {
        self.decided().find_map(|d| {
            if let Decision::Queued { cause, .. } = d {
                Some(cause)
            } else {
                None
            }
        })
    }
}

#[test]
fn whatsapp_stays_silent_and_sms_follows_after_ten_seconds() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    assert_eq!(story.called(), [Channel::Whatsapp]);
    story.at(400).accepted(0);
    story.at(900).receipt(0, ReceiptKind::Sent);
    assert_eq!(story.due_in(), Some(10_000));
    story.at(9_999).tick();
    assert_eq!(story.calls.len(), 1);
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    assert_eq!(story.cause(), Some(&SendCause::FellBackOnSilence { waited_ms: 10_000 }));
    // The same verification, so the same code; and once only.
    assert_eq!(story.state.as_ref().unwrap().verifications.len(), 1);
    story.at(10_000).tick();
    story.at(60_000).tick();
    assert_eq!(story.calls.len(), 2);
    assert_eq!(story.check(verification, true), (None, Status::Approved, 4));
    assert!(story.wrote(&Decision::Ended {
        status: Status::Approved,
        after_ms: 60_000,
        channel: Some(Channel::Sms)
    }));
}

#[test]
fn delivered_stops_the_timer() {
    for kind in [ReceiptKind::Delivered, ReceiptKind::Read] {
        let mut story = Story::new();
        let verification = story.begin_seed();
        story.at(9_999).receipt(0, kind);
        assert_eq!(story.due_in(), Some(300_000), "only the expiry is due");
        story.at(10_000).tick();
        story.at(299_999).tick();
        assert_eq!(story.calls.len(), 1);
        assert_eq!(story.check(verification, true).1, Status::Approved);
    }
}

#[test]
fn an_overdue_fallback_starts_at_once_after_a_restart() {
    let mut story = Story::new();
    story.begin_seed();
    story.at(45_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    assert_eq!(story.cause(), Some(&SendCause::FellBackOnSilence { waited_ms: 45_000 }));
}

#[test]
fn not_on_whatsapp_means_sms_at_once() {
    let mut story = Story::new();
    story.begin_seed();
    story.at(700).failed(0, FailureClass::NextRoute, "131026");
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    assert_eq!(story.cause(), Some(&SendCause::FellBackOnFailure));
    assert_eq!(story.message(0), MessageStatus::Failed);
}

#[test]
fn held_for_quality_means_sms_at_once_and_no_second_whatsapp() {
    let mut story = Story::new();
    story.begin_seed();
    let failure = Failure::new(FailureClass::RetryHere { after_ms: 1_000 }, "held_for_quality_assessment", "");
    story.at(700).outcome(
        0,
        SendOutcome::Failed {
            failure,
            provider_message_id: Some("wamid.1".into()),
        },
    );
    assert_eq!(
        story.called(),
        [Channel::Whatsapp, Channel::Sms],
        "with an id the message may still come: never again there"
    );
    // Released after all.
    story.at(20_000).receipt(0, ReceiptKind::Delivered);
    assert_eq!(story.message(0), MessageStatus::Delivered);
}

#[test]
fn a_late_delivery_is_recorded_after_the_fallback() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.at(10_000).tick();
    story.at(12_000).receipt(0, ReceiptKind::Delivered);
    assert_eq!(story.message(0), MessageStatus::Delivered);
    story.at(13_000).check(verification, true);
    assert!(story.wrote(&Decision::Ended {
        status: Status::Approved,
        after_ms: 13_000,
        channel: Some(Channel::Whatsapp)
    }));
    // And even after the end.
    story.at(14_000).receipt(1, ReceiptKind::Delivered);
    assert_eq!(story.message(1), MessageStatus::Delivered);
    assert_eq!(story.status(verification), Status::Approved);
}

#[test]
fn a_time_out_is_not_sent_again_but_falls_back_by_its_timer() {
    let mut story = Story::new();
    story.begin_seed();
    story.at(5_000).outcome(
        0,
        SendOutcome::Unclear {
            detail: "timed out".into(),
        },
    );
    assert_eq!(story.message(0), MessageStatus::Unclear);
    assert_eq!(story.calls.len(), 1);
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
}

#[test]
fn a_call_that_died_with_its_process_is_unclear() {
    let mut story = Story::new();
    story.begin(begin_of(&[(Channel::Sms, 0)]));
    assert_eq!(story.due_in(), Some(30_000));
    story.at(30_000).tick();
    assert_eq!(story.message(0), MessageStatus::Unclear);
    assert_eq!(story.calls.len(), 1, "it may have been sent");
}

#[test]
fn retried_once_then_the_next_route() {
    let mut story = Story::new();
    story.begin_seed();
    story.at(100).failed(0, FailureClass::RetryHere { after_ms: 2_000 }, "130429");
    assert_eq!(story.due_in(), Some(2_100));
    story.at(2_099).tick();
    assert_eq!(story.calls.len(), 1);
    story.at(2_100).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Whatsapp]);
    assert_eq!(story.calls[0], story.calls[1], "the same message");
    story
        .at(2_200)
        .failed(1, FailureClass::RetryHere { after_ms: 2_000 }, "130429");
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Whatsapp, Channel::Sms]);
}

#[test]
fn what_a_newer_message_has_replaced_is_not_tried_again() {
    let mut story = Story::new();
    let plan = begin_of(&[(Channel::Whatsapp, 120_000), (Channel::Sms, 0)]).plan;
    let verification = story.begin(Begin { plan, ..begin_of(&SEED) });
    story.at(60_000).resend(verification, None).expect("the cool-down is over");
    story
        .at(60_100)
        .failed(0, FailureClass::RetryHere { after_ms: 2_000 }, "130429");
    story.at(62_100).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
}

#[test]
fn a_retry_that_could_not_start_before_the_fallback_is_none() {
    let mut story = Story::new();
    story.begin_seed();
    story.at(100).failed(0, FailureClass::RetryHere { after_ms: 9_900 }, "130429");
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
}

#[test]
fn no_fallback_in_silence_when_the_identity_changed() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.at(500).failed(0, FailureClass::NoFallback, "132000");
    assert!(story.wrote(&Decision::NoFallback(NoFallback::FailureForbids)));
    story.at(10_000).tick();
    story.at(60_000).tick();
    assert_eq!(story.calls.len(), 1);
    // A person may still ask for it.
    assert_eq!(
        story.resend(verification, None),
        Ok(Answer::Begun {
            verification,
            new: false
        })
    );
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
}

#[test]
fn a_failure_that_forbids_the_fallback_ends_it_where_no_route_is_left() {
    let mut story = Story::new();
    let verification = story.begin(begin_of(&[(Channel::Whatsapp, 0)]));
    story.at(500).failed(0, FailureClass::NoFallback, "132000");
    assert_eq!(story.status(verification), Status::Failed);
}

#[test]
fn every_route_failed() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.at(500).failed(0, FailureClass::NextRoute, "131026");
    story.at(900).failed(1, FailureClass::OurMistake, "21211");
    assert_eq!(story.status(verification), Status::Failed);
    assert!(
        story
            .decided()
            .any(|d| matches!(d, Decision::Alert { failure, .. } if &*failure.code == "21211"))
    );
    assert_eq!(story.check(verification, true).0, Some(CheckReason::Expired));
}

#[test]
fn a_resend_moves_on_with_the_same_verification() {
    let mut story = Story::new();
    let begin = Begin {
        plan: begin_of(&[(Channel::Whatsapp, 120_000), (Channel::Sms, 0)]).plan,
        ..begin_of(&SEED)
    };
    let verification = story.begin(begin.clone());
    story.check(verification, false);
    assert_eq!(
        story.at(60_000).resend(verification, None),
        Ok(Answer::Begun {
            verification,
            new: false
        })
    );
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    // Beginning again is asking again; on the last step it goes there once more.
    let again = story.at(120_000).give(&Input::Begin(Box::new(begin)));
    assert_eq!(
        again,
        Ok(Answer::Begun {
            verification,
            new: false
        })
    );
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms, Channel::Sms]);
    // Neither the count of checks nor the expiry moved.
    assert_eq!(
        story.check(verification, false),
        (Some(CheckReason::IncorrectCode), Status::Pending, 3)
    );
    story.at(300_000).tick();
    assert_eq!(story.status(verification), Status::Expired);
}

#[test]
fn a_resend_may_name_its_channel() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.at(60_000).resend(verification, Some(Channel::Whatsapp)).unwrap();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Whatsapp]);
    story.at(70_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Whatsapp, Channel::Sms]);
    let only_sms = story.at(130_000).begin(Begin {
        purpose: Purpose::parse("pay").unwrap(),
        ..begin_of(&[(Channel::Sms, 0)])
    });
    assert_eq!(
        story.resend(only_sms, Some(Channel::Whatsapp)),
        Err(Refusal::ChannelNotInPlan)
    );
}

#[test]
fn too_soon_says_when() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    // The fallback is nobody's request: it moves nothing.
    story.at(10_000).tick();
    let retry_at = START.plus_millis(60_000);
    assert_eq!(
        story.at(59_999).resend(verification, None),
        Err(Refusal::ResendTooSoon { retry_at })
    );
    assert!(story.wrote(&Decision::Refused(Refusal::ResendTooSoon { retry_at })));
    // For another purpose it is the same number.
    let other = Begin {
        purpose: Purpose::parse("pay").unwrap(),
        ..begin_of(&SEED)
    };
    assert_eq!(
        story.give(&Input::Begin(Box::new(other))),
        Err(Refusal::ResendTooSoon { retry_at })
    );
    story.at(60_000).resend(verification, None).unwrap();
}

#[test]
fn five_messages_an_hour_fallbacks_included() {
    let mut story = Story::new();
    for n in 0..2u64 {
        let verification = story.at(n * 70_000).begin_seed();
        story.at(n * 70_000 + 10_000).tick();
        story.at(n * 70_000 + 20_000).cancel(verification).unwrap();
    }
    // The fifth, and no fallback for it.
    story.at(140_000).begin_seed();
    story.at(150_000).tick();
    assert!(story.wrote(&Decision::NoFallback(NoFallback::HourlyLimit)));
    assert_eq!(story.calls.len(), 5);
    story.at(440_000).tick();
    let refused = story.at(3_599_999).give(&Input::Begin(Box::new(begin_of(&SEED))));
    assert_eq!(
        refused,
        Err(Refusal::HourlyLimit {
            retry_at: START.plus_millis(3_600_000)
        })
    );
    story.at(3_600_000).begin_seed();
}

#[test]
fn a_fallback_given_up_for_the_hourly_limit_does_not_start_when_the_hour_makes_room() {
    let limits = Limits {
        max_sends_per_hour: 3,
        resend_cooldown_ms: 0,
        ..Limits::default()
    };
    let mut story = Story::new();
    let first = story.begin(Begin {
        limits,
        ..begin_of(&SEED)
    });
    story.cancel(first).unwrap();
    let plan = [(Channel::Whatsapp, 60_000), (Channel::Sms, 60_000), (Channel::Sms, 0)];
    let verification = story.at(3_500_000).begin(Begin {
        limits,
        ..begin_of(&plan)
    });
    story.accepted(1);
    story.at(3_560_000).tick();
    story.at(3_580_000).failed(2, FailureClass::NextRoute, "30003");
    assert!(story.wrote(&Decision::NoFallback(NoFallback::HourlyLimit)));
    assert_eq!(story.status(verification), Status::Pending, "WhatsApp may still bring it");
    // The first send leaves the hour.
    story.at(3_600_000).tick();
    assert_eq!(story.calls.len(), 3);
    // And once WhatsApp fails too, nothing is left.
    story.receipt(1, ReceiptKind::Failed(Failure::new(FailureClass::NextRoute, "131026", "")));
    assert_eq!(story.status(verification), Status::Failed);
}

#[test]
fn a_limit_of_nothing_allows_nothing() {
    let begin = Begin {
        limits: Limits {
            max_sends_per_hour: 0,
            ..Limits::default()
        },
        ..begin_of(&SEED)
    };
    let mut story = Story::new();
    let retry_at = START.plus_millis(3_600_000);
    assert_eq!(
        story.give(&Input::Begin(Box::new(begin))),
        Err(Refusal::HourlyLimit { retry_at })
    );
    assert_eq!(story.state, None);
}

#[test]
fn the_fifth_wrong_code_ends_it() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    for left in (1..5).rev() {
        assert_eq!(
            story.check(verification, false),
            (Some(CheckReason::IncorrectCode), Status::Pending, left)
        );
    }
    assert_eq!(
        story.check(verification, false),
        (Some(CheckReason::IncorrectCode), Status::MaxChecksReached, 0)
    );
    assert_eq!(
        story.check(verification, true),
        (Some(CheckReason::TooManyChecks), Status::MaxChecksReached, 0)
    );
}

#[test]
fn twenty_wrong_codes_lock_the_number_and_a_hundred_for_good() {
    let mut story = Story::new();
    let mut wrong = 0;
    let mut clock = 0;
    while wrong < 100 {
        let verification = story.at(clock).begin_seed();
        for _ in 0..5 {
            wrong += 1;
            story.check(verification, false);
        }
        let lock = story.state.as_ref().unwrap().lock;
        match wrong {
            100 => assert_eq!(lock, Lock::UntilOperator),
            20 | 40 | 60 | 80 => {
                let until = story.now.plus_millis(3_600_000);
                assert_eq!(lock, Lock::Until(until));
                let refused = story.at(clock + 3_599_999).give(&Input::Begin(Box::new(begin_of(&SEED))));
                assert_eq!(refused, Err(Refusal::Locked { until: Some(until) }));
            }
            _ => assert_eq!(lock, Lock::Open),
        }
        clock += 3_600_000;
    }
    let refused = story.at(clock + 86_400_000).give(&Input::Begin(Box::new(begin_of(&SEED))));
    assert_eq!(refused, Err(Refusal::Locked { until: None }));
    story.give(&Input::Unlock).unwrap();
    assert!(story.wrote(&Decision::Unlocked));
    let verification = story.begin_seed();
    assert_eq!(story.check(verification, true).1, Status::Approved);
    assert!(story.state.as_ref().unwrap().failures.is_empty(), "only success forgives");
}

#[test]
fn a_locked_number_can_not_use_even_the_right_code() {
    let limits = Limits {
        lock_after: 2,
        ..Limits::default()
    };
    let mut story = Story::new();
    let verification = story.begin(Begin {
        limits,
        ..begin_of(&SEED)
    });
    story.check(verification, false);
    story.check(verification, false);
    assert_eq!(
        story.check(verification, true),
        (Some(CheckReason::TooManyChecks), Status::Pending, 3),
        "not counted"
    );
}

#[test]
fn a_check_at_expires_at_is_too_late() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.at(300_000);
    assert_eq!(
        story.check(verification, true),
        (Some(CheckReason::Expired), Status::Expired, 5)
    );
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.at(299_999);
    assert_eq!(story.check(verification, true), (None, Status::Approved, 4));
    assert_eq!(
        story.check(verification, true),
        (Some(CheckReason::AlreadyUsed), Status::Approved, 4)
    );
}

#[test]
fn nothing_is_called_once_the_time_is_over() {
    let mut story = Story::new();
    let verification = story.begin(begin_of(&[(Channel::Whatsapp, 600_000), (Channel::Sms, 0)]));
    story.at(290_000).resend(verification, None).unwrap();
    story
        .at(299_000)
        .failed(1, FailureClass::RetryHere { after_ms: 500 }, "20429");
    // No tick came in between, and WhatsApp's answer comes very late.
    story.at(300_000).accepted(0);
    assert_eq!(story.calls.len(), 2);
    story.tick();
    assert_eq!(story.status(verification), Status::Expired);
}

#[test]
fn another_transaction_is_no_match_whatever_the_code() {
    let mut story = Story::new();
    let verification = story.begin(Begin {
        binding: Some(bound(1)),
        ..begin_of(&SEED)
    });
    for code_matches in [true, false] {
        let answer = story.give(&Input::Check {
            verification,
            code_matches,
            binding_matches: false,
        });
        assert!(
            matches!(
                answer,
                Ok(Answer::Checked {
                    reason: Some(CheckReason::BindingMismatch),
                    ..
                })
            ),
            "{answer:?}"
        );
    }
    let other = Begin {
        binding: Some(bound(2)),
        ..begin_of(&SEED)
    };
    assert_eq!(
        story.at(60_000).give(&Input::Begin(Box::new(other))),
        Err(Refusal::PendingWithOtherBinding)
    );
    let other = Begin {
        binding: Some(bound(1)),
        code: own(1),
        ..begin_of(&SEED)
    };
    assert_eq!(story.give(&Input::Begin(Box::new(other))), Err(Refusal::PendingWithOtherCode));
}

#[test]
fn cancelling_stops_everything_and_can_be_repeated() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    assert_eq!(story.at(5_000).cancel(verification), Ok(Answer::Canceled));
    assert_eq!(story.cancel(verification), Ok(Answer::Canceled));
    story.at(10_000).tick();
    assert_eq!(story.calls.len(), 1);
    assert_eq!(story.check(verification, true).0, Some(CheckReason::Canceled));
    let refused = story.at(60_000).resend(verification, None);
    assert_eq!(
        refused,
        Err(Refusal::NotPending {
            status: Status::Canceled
        })
    );
    // The same purpose can begin anew.
    assert_ne!(story.begin_seed(), verification);
}

#[test]
fn a_document_is_forgotten_an_hour_after_the_end() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    assert!(
        story.state.as_ref().unwrap().number.is_some(),
        "something is about to be sent to it"
    );
    story.at(1_000).check(verification, true);
    story.at(1_500).accepted(0);
    assert_eq!(story.due_in(), Some(1_000 + FINISHED_KEPT_MS));
    story.at(1_000 + FINISHED_KEPT_MS).tick();
    assert_eq!(story.state, None);
}

#[test]
fn a_plain_message_goes_once_and_hears_its_receipts() {
    let mut story = Story::new();
    let new = NewMessage {
        addressee: addressee(),
        route: route(Channel::Sms, 0),
        payload: own_payload(),
        segments: 1,
        ucs2: false,
    };
    let Ok(Answer::Queued { message }) = story.give(&Input::SendMessage(Box::new(new))) else {
        panic!("not queued")
    };
    assert_eq!(story.calls, [message]);
    story.at(300).accepted(0);
    let plain = |story: &Story| story.state.as_ref().unwrap().message(message).unwrap().clone();
    assert_eq!(plain(&story).payload, None, "what was sent is not kept");
    story.at(2_000).receipt(0, ReceiptKind::Delivered);
    story.at(2_500).receipt(0, ReceiptKind::Sent);
    assert_eq!(plain(&story).delivery.status(), MessageStatus::Delivered);
    story.at(FINISHED_KEPT_MS).tick();
    assert_eq!(story.state, None);
}

#[test]
fn what_changes_nothing_is_written_down_only_so_often() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    let mut written = 0;
    for _ in 0..1_000 {
        assert!(story.resend(verification, None).is_err());
        written += story.entries.len();
    }
    assert!(written < usize::from(ENTRIES_MAX));
    story.check(verification, false);
    assert_eq!(story.entries.len(), 1, "what changes something is always written down");
}

#[test]
fn a_number_cannot_fail_for_endlessly_many_purposes() {
    let limits = Limits {
        resend_cooldown_ms: 0,
        max_sends_per_hour: 1_000,
        lock_after: 1_000,
        ..Limits::default()
    };
    let begin = |n: usize| Begin {
        limits,
        purpose: Purpose::parse(&format!("purpose-{n}")).unwrap(),
        ..begin_of(&SEED)
    };
    let mut story = Story::new();
    for n in 0..PURPOSES_MAX {
        let verification = story.begin(begin(n));
        story.check(verification, false);
        story.cancel(verification).unwrap();
    }
    assert_eq!(
        story.give(&Input::Begin(Box::new(begin(PURPOSES_MAX)))),
        Err(Refusal::TooManyPurposes)
    );
    story.begin(begin(0));
}

#[test]
fn ids_made_in_one_step_are_far_enough_apart_for_their_announcements() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    // One step, two entries: the end, and the check that came too late.
    story.at(300_000).check(verification, true);
    let [first, second] = &story.entries[..] else {
        panic!("{:?}", story.entries)
    };
    let random = |e: &Entry| u128::from_be_bytes(e.id.as_bytes()[6..].try_into().unwrap());
    assert!(random(second) - random(first) > first.decisions.len() as u128);
}

const DAY_MS: u64 = 86_400_000;

fn facts(identity: Option<&str>, micros: Option<i64>) -> ReceiptFacts {
    ReceiptFacts {
        price: micros.map(|amount_micros| Money {
            amount_micros,
            currency: Currency::USD,
        }),
        identity: identity.map(|text| Sealed(text.as_bytes().into())),
    }
}

fn identity(story: &Story) -> Option<&[u8]> {
    let known = story.state.as_ref().unwrap().knowledge.identity(Channel::Whatsapp);
    known.map(|sealed| &*sealed.0)
}

/// Lets a document forget what it may forget until only what is known of the number is left.
fn rest(story: &mut Story, ms: u64) {
    story.at(ms).tick();
    story.calls.clear();
}

#[test]
fn a_number_that_is_not_on_whatsapp_starts_on_sms_for_thirty_days_and_then_not() {
    let mut story = Story::new();
    story.begin_seed();
    story.accepted(0);
    let failure = Failure::new(FailureClass::Unreachable, "131026", "not on WhatsApp");
    story.at(400).receipt(0, ReceiptKind::Failed(failure));
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    for (day, first) in [(1, Channel::Sms), (29, Channel::Sms), (31, Channel::Whatsapp)] {
        rest(&mut story, day * DAY_MS);
        story.begin_seed();
        assert_eq!(story.called(), [first], "day {day}");
        let id = story.state.as_ref().unwrap().verifications.last().unwrap().id;
        story.cancel(id).unwrap();
    }
}

#[test]
fn a_silence_teaches_nothing_and_an_arrival_teaches_again() {
    let mut story = Story::new();
    story.begin_seed();
    story.accepted(0);
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    assert!(story.state.as_ref().unwrap().knowledge.is_empty());
    rest(&mut story, DAY_MS);
    let verification = story.begin_seed();
    assert_eq!(story.called(), [Channel::Whatsapp]);
    let failure = Failure::new(FailureClass::Unreachable, "131026", "not on WhatsApp");
    story.receipt(0, ReceiptKind::Failed(failure));
    // The caller asks for WhatsApp all the same, and the message arrives.
    story
        .at(DAY_MS + 60_000)
        .resend(verification, Some(Channel::Whatsapp))
        .unwrap();
    story.accepted(2);
    story.receipt(2, ReceiptKind::Delivered);
    assert_eq!(story.state.as_ref().unwrap().knowledge.is_on(Channel::Whatsapp), Some(true));
    rest(&mut story, 2 * DAY_MS);
    story.begin_seed();
    assert_eq!(story.called(), [Channel::Whatsapp]);
}

#[test]
fn what_is_known_outlives_the_number_and_then_the_document_goes() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.accepted(0);
    story.at(1_000).receipt(0, ReceiptKind::Delivered);
    story.check(verification, true);
    let due = due_at(story.state.as_ref().unwrap()).unwrap();
    story.now = due;
    story.tick();
    let kept = story.state.as_ref().unwrap();
    assert!(kept.number.is_none() && kept.verifications.is_empty() && kept.sends.is_empty());
    let forgotten = due_at(kept).unwrap();
    assert_eq!(forgotten, START.plus_millis(1_000 + REACHABLE_KEPT_MS));
    story.now = forgotten.minus_millis(1);
    story.tick();
    assert!(story.state.is_some());
    story.now = forgotten;
    story.tick();
    assert!(story.state.is_none(), "nothing lives for ever");
    const { assert!(UNREACHABLE_KEPT_MS < REACHABLE_KEPT_MS) };
}

#[test]
fn a_closed_route_is_passed_over_with_its_reason_and_the_last_one_never_is() {
    let mut story = Story::new();
    story.routes.closed = vec![Channel::Whatsapp];
    story.begin_seed();
    assert_eq!(story.called(), [Channel::Sms]);
    let skip = Skip::because(SkipReason::Breaker);
    let whatsapp = route(Channel::Whatsapp, 0);
    assert!(story.wrote(&Decision::Skipped {
        route: whatsapp.clone(),
        skip: skip.clone()
    }));
    let mut story = Story::new();
    story.routes.closed = vec![Channel::Whatsapp, Channel::Sms];
    story.begin_seed();
    assert_eq!(
        story.called(),
        [Channel::Whatsapp],
        "a route that may work is better than none"
    );
    assert!(story.wrote(&Decision::NoneOpen { route: whatsapp, skip }));
}

#[test]
fn a_fallback_passes_over_what_has_closed_in_the_meantime() {
    let plan = [
        (Channel::Whatsapp, 10_000),
        (Channel::Sms, 10_000),
        (Channel::Whatsapp, 10_000),
    ];
    let mut story = Story::new();
    story.begin(begin_of(&plan));
    story.accepted(0);
    story.routes.closed = vec![Channel::Sms];
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Whatsapp]);
}

#[test]
fn whose_the_number_was_is_remembered_from_an_approval_only() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.accepted(0);
    story.receipt_with(0, ReceiptKind::Delivered, facts(Some("old phone"), None));
    assert_eq!(identity(&story), None);
    story.check(verification, false);
    assert_eq!(identity(&story), None);
    story.check(verification, true);
    assert_eq!(identity(&story), Some(&b"old phone"[..]));
}

#[test]
fn an_identity_that_is_told_after_the_approval_is_remembered_too() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.accepted(0);
    story.check(verification, true);
    story.receipt_with(0, ReceiptKind::Read, facts(Some("phone"), None));
    assert_eq!(identity(&story), Some(&b"phone"[..]));
}

#[test]
fn a_changed_identity_sends_nothing_more_by_itself_and_an_approval_forgets_the_old_one() {
    let mut story = Story::new();
    let first = story.begin_seed();
    story.accepted(0);
    story.receipt_with(0, ReceiptKind::Delivered, facts(Some("old phone"), None));
    story.check(first, true);
    rest(&mut story, DAY_MS);
    let second = story.begin_seed();
    story.accepted(0);
    let changed = Failure::new(FailureClass::NoFallback, "137000", "another identity");
    story.receipt(0, ReceiptKind::Failed(changed.clone()));
    story.at(DAY_MS + 10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp], "never silently an SMS");
    assert_eq!(identity(&story), Some(&b"old phone"[..]));
    story.at(DAY_MS + 60_000).resend(second, Some(Channel::Sms)).unwrap();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms], "asked for, it goes");
    story.check(second, true);
    assert_eq!(identity(&story), None);
    // A service that says so falls back.
    let mut story = Story::new();
    let begin = begin_of(&SEED);
    story.begin(Begin {
        plan: begin.plan.clone().on_identity_change(IdentityChange::FallBack),
        ..begin
    });
    story.accepted(0);
    story.receipt(0, ReceiptKind::Failed(changed));
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
}

#[test]
fn who_asked_for_no_code_ends_the_verification_and_twice_locks_the_number() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.accepted(0);
    story.at(2_000).receipt(0, ReceiptKind::Disowned);
    assert_eq!(story.check(verification, true).0, Some(CheckReason::Canceled));
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp], "nothing is sent after the end");
    // Told again it is the same fact.
    story.receipt(0, ReceiptKind::Disowned);
    assert_eq!(story.state.as_ref().unwrap().lock, Lock::Open);
    story.at(70_000);
    story.begin_seed();
    story.accepted(1);
    story.at(72_000).receipt(1, ReceiptKind::Disowned);
    assert_eq!(
        story.state.as_ref().unwrap().lock,
        Lock::Until(START.plus_millis(72_000 + 3_600_000))
    );
    let refused = story.at(140_000).give(&Input::Begin(Box::new(begin_of(&SEED))));
    assert!(matches!(refused, Err(Refusal::Locked { until: Some(_) })), "{refused:?}");
}

#[test]
fn a_message_has_one_price_however_often_it_is_told() {
    let mut story = Story::new();
    story.begin_seed();
    story.accepted(0);
    story.receipt_with(0, ReceiptKind::Delivered, facts(None, Some(50_000)));
    story.receipt_with(0, ReceiptKind::Read, facts(None, Some(70_000)));
    story.receipt_with(0, ReceiptKind::Delivered, facts(None, Some(90_000)));
    let attempt = &story.state.as_ref().unwrap().verifications[0].attempts[0];
    assert_eq!(attempt.delivery.price.map(|p| p.amount_micros), Some(50_000));
}

#[test]
fn the_price_that_an_answer_names_is_booked_before_any_receipt() {
    let mut story = Story::new();
    story.begin_seed();
    let answered = Input::Outcome {
        message: story.calls[0],
        outcome: SendOutcome::Accepted {
            provider_message_id: "SM1".into(),
        },
        price: facts(None, Some(7_500)).price,
    };
    assert_eq!(story.give(&answered), Ok(Answer::Done));
    story.receipt_with(0, ReceiptKind::Delivered, facts(None, Some(50_000)));
    let attempt = &story.state.as_ref().unwrap().verifications[0].attempts[0];
    assert_eq!(attempt.delivery.price.map(|p| p.amount_micros), Some(7_500));
}

#[test]
fn a_template_that_is_not_there_in_a_language_is_tried_once_in_its_default_one() {
    let mut story = Story::new();
    story.routes.language = Some("nl");
    story.routes.default_language = Some("en");
    story.begin_seed();
    story.failed(0, FailureClass::OtherLanguage, "132001");
    story.tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Whatsapp]);
    let attempt = |story: &Story| story.state.as_ref().unwrap().verifications[0].attempts[0].clone();
    assert_eq!(attempt(&story).language.as_deref(), Some("en"));
    story.failed(1, FailureClass::OtherLanguage, "132001");
    let class = attempt(&story).delivery.failure.map(|f| f.class);
    assert_eq!(class, Some(FailureClass::TripBreaker(TripScope::Template)));
    assert_eq!(story.called().last(), Some(&Channel::Sms), "and then the next route");
}

#[test]
fn two_messages_to_one_number_keep_the_distance_that_a_provider_wants() {
    let soon = |plan: &[(Channel, u32)]| Begin {
        limits: Limits {
            resend_cooldown_ms: 0,
            ..Limits::default()
        },
        ..begin_of(plan)
    };
    let mut story = Story::new();
    story.routes.spacing_ms = 6_000;
    let verification = story.begin(soon(&[(Channel::Whatsapp, 60_000)]));
    story.accepted(0);
    story.at(1_000).resend(verification, None).unwrap();
    assert_eq!(story.called(), [Channel::Whatsapp], "there is no other way, so that it waits");
    assert_eq!(due_at(story.state.as_ref().unwrap()), Some(START.plus_millis(6_000)));
    story.at(5_999).tick();
    assert_eq!(story.called().len(), 1);
    story.at(6_000).tick();
    assert_eq!(story.called().len(), 2);
    // Another purpose, and another way is open: that one is taken.
    story.at(7_000).begin(Begin {
        purpose: Purpose::parse("payment").unwrap(),
        ..soon(&SEED)
    });
    assert_eq!(story.called().last(), Some(&Channel::Sms));
}

/// A verification for another purpose, and no cooldown in its way.
fn begin_payment(plan: &[(Channel, u32)]) -> Begin {
    Begin {
        purpose: Purpose::parse("payment").unwrap(),
        ..begin_at_once(plan)
    }
}

fn begin_at_once(plan: &[(Channel, u32)]) -> Begin {
    Begin {
        limits: Limits {
            resend_cooldown_ms: 0,
            ..Limits::default()
        },
        ..begin_of(plan)
    }
}

fn another_identity() -> ReceiptKind {
    ReceiptKind::Failed(Failure::new(FailureClass::NoFallback, "137000", "another identity"))
}

#[test]
fn two_messages_that_waited_for_their_calls_keep_the_distance_too() {
    let mut story = Story::new();
    story.routes.spacing_ms = 6_000;
    story.busy = true;
    story.begin(begin_at_once(&[(Channel::Whatsapp, 60_000)]));
    story.begin(begin_payment(&[(Channel::Whatsapp, 60_000)]));
    assert_eq!(story.calls.len(), 0);
    story.busy = false;
    story.at(1_000).tick();
    assert_eq!(
        story.calls.len(),
        1,
        "both could go, and the provider would refuse the second"
    );
    story.accepted(0);
    assert_eq!(story.due_in(), Some(7_000));
    story.at(6_999).tick();
    assert_eq!(story.calls.len(), 1);
    story.at(7_000).tick();
    assert_eq!(story.calls.len(), 2);
}

#[test]
fn a_plain_message_keeps_the_distance_too() {
    let mut story = Story::new();
    story.routes.spacing_ms = 6_000;
    story.begin_seed();
    story.accepted(0);
    let plain = NewMessage {
        addressee: addressee(),
        route: route(Channel::Whatsapp, 0),
        payload: own_payload(),
        segments: 1,
        ucs2: false,
    };
    story.at(1_000).give(&Input::SendMessage(Box::new(plain))).unwrap();
    assert_eq!(story.calls.len(), 1);
    story.at(6_000).tick();
    assert_eq!(story.calls.len(), 2);
}

#[test]
fn a_call_that_never_left_keeps_no_other_away() {
    for (code, second) in [(NOT_SENT, Channel::Whatsapp), ("131026", Channel::Sms)] {
        let mut story = Story::new();
        story.routes.spacing_ms = 6_000;
        story.begin_seed();
        story.failed(0, FailureClass::NextRoute, code);
        story.at(100).begin(begin_payment(&SEED));
        let state = story.state.as_ref().unwrap();
        let new = state.verifications.last().unwrap();
        assert_eq!(new.plan.step(new.attempts[0].step).unwrap().route.channel, second, "{code}");
    }
}

#[test]
fn no_probe_is_spent_on_a_message_that_would_come_too_soon() {
    let mut story = Story::new();
    story.routes.spacing_ms = 6_000;
    story.begin(begin_at_once(&SEED));
    story.routes.asked.set(0);
    story.begin(begin_payment(&[(Channel::Whatsapp, 10_000)]));
    assert_eq!(story.routes.asked.get(), 0);
    let skip = Skip::because(SkipReason::TooSoon);
    let route = route(Channel::Whatsapp, 0);
    assert!(story.wrote(&Decision::NoneOpen { route, skip }));
}

#[test]
fn another_language_is_chosen_only_where_another_try_can_still_start() {
    let mut story = Story::new();
    story.routes.language = Some("nl");
    story.routes.default_language = Some("en");
    story.begin_seed();
    // No tick came when the wait was over, and the answer comes later still.
    story.at(10_000).failed(0, FailureClass::OtherLanguage, "132001");
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    assert!(!story.decided().any(|d| matches!(d, Decision::LanguageChosen { .. })));
    let attempt = &story.state.as_ref().unwrap().verifications[0].attempts[0];
    assert_eq!(attempt.language.as_deref(), Some("nl"));
    let template = FailureClass::TripBreaker(TripScope::Template);
    assert_eq!(attempt.delivery.failure.as_ref().map(|f| f.class), Some(template));
    assert!(
        story
            .decided()
            .any(|d| matches!(d, Decision::Alert { failure, .. } if failure.class == template))
    );
}

#[test]
fn a_receipt_that_tells_of_no_template_is_the_templates_fault() {
    let mut story = Story::new();
    story.begin_seed();
    story.accepted(0);
    let failure = Failure::new(FailureClass::OtherLanguage, "132001", "no such template");
    story.receipt(0, ReceiptKind::Failed(failure));
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    let template = FailureClass::TripBreaker(TripScope::Template);
    assert!(
        story
            .decided()
            .any(|d| matches!(d, Decision::Alert { failure, .. } if failure.class == template))
    );
}

#[test]
fn a_late_receipt_of_an_older_verification_brings_back_no_older_identity() {
    let mut story = Story::new();
    let first = story.begin_seed();
    story.receipt_with(0, ReceiptKind::Delivered, facts(Some("old phone"), None));
    story.check(first, true);
    let second = story.at(60_000).begin_seed();
    story.receipt_with(1, ReceiptKind::Delivered, facts(Some("new phone"), None));
    story.check(second, true);
    assert_eq!(identity(&story), Some(&b"new phone"[..]));
    story.at(90_000).receipt(0, ReceiptKind::Read);
    assert_eq!(identity(&story), Some(&b"new phone"[..]));
}

#[test]
fn an_identity_that_a_repeated_receipt_tells_first_is_remembered() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.receipt(0, ReceiptKind::Delivered);
    story.check(verification, true);
    assert_eq!(identity(&story), None);
    story.receipt_with(0, ReceiptKind::Delivered, facts(Some("phone"), None));
    assert_eq!(identity(&story), Some(&b"phone"[..]));
}

#[test]
fn a_changed_identity_is_forgotten_even_when_it_is_told_after_the_approval() {
    let mut story = Story::new();
    let first = story.begin_seed();
    story.receipt_with(0, ReceiptKind::Delivered, facts(Some("old phone"), None));
    story.check(first, true);
    let second = story.at(60_000).begin_seed();
    story.at(70_000).tick();
    assert_eq!(story.called()[1..], [Channel::Whatsapp, Channel::Sms]);
    story.check(second, true);
    story.at(80_000).receipt(1, another_identity());
    assert_eq!(identity(&story), None);
}

#[test]
fn a_changed_identity_that_is_told_late_holds_what_has_not_gone_out() {
    let plan = [(Channel::Whatsapp, 10_000), (Channel::Sms, 10_000), (Channel::Sms, 0)];
    let mut story = Story::new();
    let verification = story.begin(begin_of(&plan));
    story.accepted(0);
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    story.at(12_000).receipt(0, another_identity());
    story.at(20_000).tick();
    assert_eq!(story.calls.len(), 2, "whichever message told so");
    assert!(story.wrote(&Decision::NoFallback(NoFallback::FailureForbids)));
    story.at(60_000).resend(verification, None).unwrap();
    assert_eq!(story.calls.len(), 3, "asked for, it goes");
}

#[test]
fn a_message_looks_again_when_its_turn_comes_and_never_much_later() {
    for (free_in_ms, looks_in_ms) in [(0, CALL_PUT_OFF_MS), (3_000, 3_000), (600_000, CALL_PUT_OFF_MAX_MS)] {
        let mut story = Story::new();
        (story.busy, story.free_in_ms) = (true, free_in_ms);
        story.begin(begin_of(&[(Channel::Sms, 0)]));
        assert_eq!(story.due_in(), Some(looks_in_ms));
        story.busy = false;
        story.at(looks_in_ms).tick();
        assert_eq!(story.called(), [Channel::Sms]);
    }
}

#[test]
fn a_changed_identity_takes_back_what_waits_for_its_call() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.accepted(0);
    story.busy = true;
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp], "the SMS is queued and its route is busy");
    story.at(11_000).receipt(0, another_identity());
    story.busy = false;
    story.at(20_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp], "nothing goes out in silence");
    assert!(story.decided().all(|d| !matches!(d, Decision::Ended { .. })));
    assert_eq!(story.status(verification), Status::Pending, "whoever asks for it may have it");
    story.at(70_000).resend(verification, Some(Channel::Sms)).unwrap();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    // Asked for after the news, it is a message like any other: it is tried again, and nothing takes it back.
    story.failed(1, FailureClass::RetryHere { after_ms: 500 }, "busy");
    story.receipt(0, another_identity());
    story.at(71_000).tick();
    assert_eq!(story.calls.len(), 3);
}

#[test]
fn a_changed_identity_is_no_reason_for_another_try_of_what_was_under_way() {
    let mut story = Story::new();
    story.begin_seed();
    story.accepted(0);
    story.at(10_000).tick();
    assert_eq!(story.called(), [Channel::Whatsapp, Channel::Sms]);
    story.at(10_100).receipt(0, another_identity());
    story.at(10_200).failed(1, FailureClass::RetryHere { after_ms: 500 }, "busy");
    story.at(30_000).tick();
    assert_eq!(story.calls.len(), 2);
}

#[test]
fn only_what_arrives_renews_what_is_known_of_a_channel() {
    let mut story = Story::new();
    story.begin_seed();
    story.at(1_000).receipt(0, ReceiptKind::Delivered);
    story.at(2_000).receipt(0, ReceiptKind::Sent);
    let failure = Failure::new(FailureClass::Unreachable, "131026", "not on WhatsApp");
    story.at(3_000).receipt(0, ReceiptKind::Failed(failure));
    let known = &story.state.as_ref().unwrap().knowledge.reach;
    assert_eq!(
        (known.len(), known[0].is_on, known[0].at),
        (1, true, START.plus_millis(1_000))
    );
}

#[test]
fn a_code_that_nobody_asked_for_and_whose_time_is_over_has_expired() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.receipt(0, ReceiptKind::Delivered);
    story.at(300_000).receipt(0, ReceiptKind::Disowned);
    assert_eq!(story.status(verification), Status::Expired);
    assert_eq!(story.state.as_ref().unwrap().knowledge.disowned.len(), 1);
}

#[test]
fn what_is_disowned_after_the_end_changes_only_what_is_known() {
    let mut story = Story::new();
    let verification = story.begin_seed();
    story.check(verification, true);
    let before = story.state.clone().unwrap();
    story.at(2_000).receipt(0, ReceiptKind::Disowned);
    let after = story.state.clone().unwrap();
    assert_eq!(after.knowledge.disowned, [START.plus_millis(2_000)]);
    assert_eq!((after.lock, story.calls.len()), (Lock::Open, 1));
    let (was, is) = (&before.verifications[0], &after.verifications[0]);
    assert_eq!(
        (was.status, was.finished_at, was.checks_used),
        (is.status, is.finished_at, is.checks_used)
    );
}

#[test]
fn who_asked_for_no_code_shortens_no_lock() {
    let long = Limits {
        lock_after: 1,
        lock_ms: 7_200_000,
        ..Limits::default()
    };
    let mut story = Story::new();
    let first = story.begin_seed();
    story.cancel(first).unwrap();
    let second = story.at(60_000).begin(Begin {
        limits: long,
        ..begin_of(&SEED)
    });
    story.check(second, false);
    let lock = Lock::Until(START.plus_millis(60_000 + 7_200_000));
    assert_eq!(story.state.as_ref().unwrap().lock, lock);
    story.receipt(1, ReceiptKind::Disowned);
    // The second one, of a verification with shorter locks.
    story.at(61_000).receipt(0, ReceiptKind::Disowned);
    assert_eq!(story.state.as_ref().unwrap().lock, lock);
    assert!(!story.decided().any(|d| matches!(d, Decision::Locked { .. })));
}

#[test]
fn a_document_of_nothing_but_a_lock_goes_when_the_lock_ends() {
    let limits = Limits {
        lock_ms: 2_000_000_000,
        resend_cooldown_ms: 0,
        ..Limits::default()
    };
    let begin = |purpose| Begin {
        limits,
        purpose: Purpose::parse(purpose).unwrap(),
        ..begin_of(&[(Channel::Sms, 0)])
    };
    let mut story = Story::new();
    story.begin(begin("login"));
    story.begin(begin("payment"));
    story.receipt(0, ReceiptKind::Disowned);
    story.receipt(1, ReceiptKind::Disowned);
    let mut ticks = 0;
    while let Some(due) = story.state.as_ref().and_then(due_at) {
        ticks += 1;
        assert!(ticks < 10, "an end is near");
        story.now = due;
        story.tick();
    }
    assert_eq!(story.state, None);
    assert_eq!(story.now, START.plus_millis(2_000_000_000));
}

#[test]
fn a_price_is_written_down_whatever_it_comes_with() {
    let mut story = Story::new();
    story.begin_seed();
    story.receipt(0, ReceiptKind::Disowned);
    story.receipt_with(0, ReceiptKind::Disowned, facts(None, Some(50_000)));
    assert!(
        story
            .decided()
            .any(|d| matches!(d, Decision::Priced { price, .. } if price.amount_micros == 50_000))
    );
}

/// As many verifications as one likes, for one purpose each.
fn begin_freely(purpose: &str) -> Begin {
    Begin {
        limits: Limits {
            resend_cooldown_ms: 0,
            max_sends_per_hour: 1_000,
            lock_ms: 1,
            ..Limits::default()
        },
        purpose: Purpose::parse(purpose).unwrap(),
        ..begin_of(&SEED)
    }
}

#[test]
fn an_identity_that_is_known_from_later_stays_when_its_verification_has_made_room() {
    let mut story = Story::new();
    let first = story.begin(begin_freely("login"));
    let second = story.begin(begin_freely("payment"));
    story.receipt_with(1, ReceiptKind::Delivered, facts(Some("old phone"), None));
    story.at(1_000).check(second, true);
    story.receipt_with(0, ReceiptKind::Delivered, facts(Some("new phone"), None));
    story.at(2_000).check(first, true);
    for n in 2..=VERIFICATIONS_MAX {
        story.begin(begin_freely(&format!("purpose-{n}")));
    }
    assert!(
        story.state.as_ref().unwrap().verification(first).is_none(),
        "the oldest made room"
    );
    story.receipt(1, ReceiptKind::Read);
    assert_eq!(identity(&story), Some(&b"new phone"[..]));
}

#[test]
fn of_codes_that_nobody_asked_for_only_the_last_ones_are_kept() {
    let mut story = Story::new();
    for n in 0..12 {
        story.at(u64::try_from(n).unwrap() * 1_000).begin(begin_freely("login"));
        story.receipt(n, ReceiptKind::Disowned);
    }
    let kept = &story.state.as_ref().unwrap().knowledge.disowned;
    assert_eq!(kept.len(), DISOWNED_MAX);
    assert_eq!(kept.last(), Some(&START.plus_millis(11_000)));
}
