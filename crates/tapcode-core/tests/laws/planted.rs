//! Do the laws bite? Each bug planted here is a mistake that systems like this one have made, and must be caught by the
//! very lives and laws that the real core passes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::life::{Core, life, live};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tapcode_core::delivery::{Failure, FailureClass, MessageStatus, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::entry::{CheckReason, Decision, SendCause};
use tapcode_core::id::{Fresh, VerificationId};
use tapcode_core::number::Country;
use tapcode_core::plan::{Channel, IdentityChange, Plan, Route, Skip, SkipReason};
use tapcode_core::recipient::{Identity, Lock, Reach, Recipient};
use tapcode_core::step::{Answer, Context, Decided, Input, Routes, due_at, step};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Attempt, Status, Verification};

/// Lives that are tried before a planted bug counts as missed.
const LIVES: u32 = 3_000;

type Step = fn(&Planted, Option<Recipient>, &Input, &Context<'_>) -> Decided;

struct Bug {
    name: &'static str,
    /// The laws that speak of it: one of them must be what catches it.
    laws: &'static [&'static str],
    step: Step,
    due: fn(&Recipient) -> Option<Timestamp>,
}

struct Planted {
    step: Step,
    due: fn(&Recipient) -> Option<Timestamp>,
    /// The document before the last commit, for bugs that lose one.
    stale: RefCell<Option<Recipient>>,
    steps: Cell<u32>,
}

impl Core for Planted {
    fn step(&self, state: Option<Recipient>, input: &Input, context: &Context<'_>) -> Decided {
        self.steps.set(self.steps.get() + 1);
        let before = state.clone();
        let mut decided = (self.step)(self, state, input, context);
        // A bug that changes the document must not be caught by `changed` alone, only because it was planted from outside.
        decided.changed = decided.next != before || !decided.entries.is_empty();
        decided
    }

    fn due_at(&self, recipient: &Recipient) -> Option<Timestamp> {
        (self.due)(recipient)
    }

    fn committed(&mut self, before: Option<&Recipient>) {
        *self.stale.borrow_mut() = before.cloned();
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let bugs = bugs();
    let mut caught = 0;
    let mut missed = Vec::new();
    // Planted bugs trip assertions of the core as well; their noise is not wanted here.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for bug in &bugs {
        // By a law that speaks of it: another law's complaint may be an accident of how it is planted.
        match hunt(bug, LIVES, |law| bug.laws.iter().any(|expected| law.starts_with(expected))) {
            Some((law, lives)) => {
                caught += 1;
                println!("caught {:<56} after {lives:>4} lives, law {law}", bug.name);
            }
            None => {
                println!("MISSED {}", bug.name);
                missed.push(bug.name);
            }
        }
    }
    std::panic::set_hook(hook);
    println!("caught {caught} of {}", bugs.len());
    assert!(missed.is_empty(), "not caught within {LIVES} lives: {missed:?}");
}

/// Nothing planted, nothing caught: what catches the bugs is not the wrapping.
#[test]
fn an_unplanted_core_passes() {
    let none = Bug {
        name: "none",
        laws: &[],
        step: |_, s, i, c| step(s, i, c),
        due: due_at,
    };
    assert_eq!(hunt(&none, 300, |_| true), None);
}

/// The first life that breaks a law of the wanted kind: the law, and how many lives it took.
fn hunt(bug: &Bug, lives: u32, wanted: impl Fn(&str) -> bool) -> Option<(String, u32)> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = life();
    (1..=lives).find_map(|n| {
        let life = strategy.new_tree(&mut runner).unwrap().current();
        let mut core = Planted {
            step: bug.step,
            due: bug.due,
            stale: RefCell::default(),
            steps: Cell::default(),
        };
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(&mut core, &life).map(|_| ())));
        let law = match lived {
            Ok(Ok(())) => return None,
            Ok(Err(broken)) => broken.law.to_owned(),
            Err(_) => "panic".to_owned(),
        };
        wanted(&law).then_some((law, n))
    })
}

fn bugs() -> Vec<Bug> {
    let bug = |name, laws, step| Bug {
        name,
        laws,
        step,
        due: due_at,
    };
    vec![
        bug("a wrong check is not counted", &["1"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if let (
                Input::Check { verification, .. },
                Ok(Answer::Checked {
                    reason: Some(CheckReason::IncorrectCode),
                    ..
                }),
                Some(next),
            ) = (i, &decided.answer, &mut decided.next)
            {
                for v in next.verifications.iter_mut().filter(|v| v.id == *verification) {
                    v.checks_used = v.checks_used.saturating_sub(1);
                }
            }
            decided
        }),
        bug("a resend resets the count of checks", &["1"], |_, s, i, c| {
            let requests = matches!(i, Input::Resend { .. } | Input::Begin(_));
            step(
                changed(s, |r| {
                    if requests {
                        each(r, |v| v.checks_used = 0)
                    }
                }),
                i,
                c,
            )
        }),
        bug(
            "two checks at once count as one: check-then-act",
            &["1", "2"],
            |core, s, i, c| {
                // Every check is decided on the document that another check has just replaced.
                let stale = core.stale.borrow().clone();
                let both = matches!(i, Input::Check { .. })
                    && stale
                        .as_ref()
                        .is_some_and(|old| s.as_ref().is_some_and(|new| checks(new) > checks(old)));
                step(if both { stale } else { s }, i, c)
            },
        ),
        bug("a crash rolls the count back", &["1", "2"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    if matches!(i, Input::Tick) {
                        each(r, |v| v.checks_used = v.checks_used.saturating_sub(1))
                    }
                }),
                i,
                c,
            )
        }),
        bug("beginning forgives failed checks", &["2"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    if matches!(i, Input::Begin(_)) {
                        r.failures.clear()
                    }
                }),
                i,
                c,
            )
        }),
        bug("expiring forgives failed checks", &["2"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if ended(&decided, Status::Expired) {
                decided.next.iter_mut().for_each(|n| n.failures.clear());
            }
            decided
        }),
        bug("cancelling lifts the lock", &["2"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    if matches!(i, Input::Cancel { .. }) {
                        r.lock = Lock::Open
                    }
                }),
                i,
                c,
            )
        }),
        bug("a lock for good ends after a while", &["2", "8"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            for next in decided.next.iter_mut().filter(|n| n.lock == Lock::UntilOperator) {
                next.lock = Lock::Until(c.now.plus_millis(3_600_000));
            }
            decided
        }),
        bug("a success forgives every purpose", &["2"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if ended(&decided, Status::Approved) {
                decided.next.iter_mut().for_each(|n| n.failures.clear());
            }
            decided
        }),
        bug("a code is still good at expires_at", &["3"], |_, s, i, c| {
            let moved = |s: Option<Recipient>, later: bool| {
                changed(s, |r| {
                    if matches!(i, Input::Check { .. }) {
                        each(r, |v| {
                            v.expires_at = if later {
                                v.expires_at.plus_millis(1)
                            } else {
                                v.expires_at.minus_millis(1)
                            }
                        });
                    }
                })
            };
            let mut decided = step(moved(s, true), i, c);
            decided.next = moved(decided.next, false);
            decided
        }),
        bug("a code can be used twice", &["3", "4"], |_, s, i, c| {
            let again = matches!(i, Input::Check { .. });
            step(
                changed(s, |r| {
                    if again {
                        each(r, |v| {
                            if v.status == Status::Approved {
                                reopen(v)
                            }
                        })
                    }
                }),
                i,
                c,
            )
        }),
        bug("the binding is not looked at", &["3"], |_, s, i, c| {
            let mut input = i.clone();
            if let Input::Check { binding_matches, .. } = &mut input {
                *binding_matches = true;
            }
            step(s, &input, c)
        }),
        bug("a canceled verification lives on", &["4", "3"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    each(r, |v| {
                        if v.status == Status::Canceled {
                            reopen(v)
                        }
                    })
                }),
                i,
                c,
            )
        }),
        bug("nothing expires unless somebody asks", &["4"], |_, s, i, c| {
            let over = |r: &Recipient| {
                r.verifications
                    .iter()
                    .any(|v| v.status == Status::Pending && v.expires_at <= c.now)
            };
            if matches!(i, Input::Tick) && s.as_ref().is_some_and(over) {
                nothing(s)
            } else {
                step(s, i, c)
            }
        }),
        bug("a resend moves expires_at", &["4"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if let Ok(Answer::Begun {
                verification,
                new: false,
            }) = decided.answer
            {
                decided.next.iter_mut().for_each(|n| {
                    each(n, |v| {
                        if v.id == verification {
                            v.expires_at = c.now.plus_millis(300_000)
                        }
                    })
                });
            }
            decided
        }),
        bug("a tick calls again what is under way", &["5"], |_, s, i, c| {
            let unanswered = |a: &mut Attempt| {
                if a.delivery.answer_due().is_some() {
                    a.delivery.claimed_at = None;
                }
            };
            step(
                changed(s, |r| {
                    if matches!(i, Input::Tick) {
                        each(r, |v| v.attempts.iter_mut().for_each(unanswered))
                    }
                }),
                i,
                c,
            )
        }),
        bug("a time-out is sent again", &["5"], |_, s, i, c| {
            let mut input = i.clone();
            if let Input::Outcome {
                outcome: outcome @ SendOutcome::Unclear { .. },
                ..
            } = &mut input
            {
                *outcome = certain_failure();
            }
            step(s, &input, c)
        }),
        bug("a failure that left a message behind is tried again", &["5"], |_, s, i, c| {
            let mut input = i.clone();
            if let Input::Outcome {
                outcome: SendOutcome::Failed { provider_message_id, .. },
                ..
            } = &mut input
            {
                *provider_message_id = None;
            }
            step(s, &input, c)
        }),
        bug("retries know no bound", &["5"], |_, s, i, c| {
            step(
                changed(s, |r| each(r, |v| v.attempts.iter_mut().for_each(|a| a.delivery.retries = 0))),
                i,
                c,
            )
        }),
        bug("the claim is not committed before the call", &["5"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            let calls = decided.calls.clone();
            let unclaim = |a: &mut Attempt| {
                if calls.contains(&a.id) {
                    a.delivery.claimed_at = None
                }
            };
            decided
                .next
                .iter_mut()
                .for_each(|n| each(n, |v| v.attempts.iter_mut().for_each(unclaim)));
            decided
        }),
        bug("a busy route loses the message", &["5"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            let lost = |a: &mut Attempt| {
                if a.delivery.waits_for_call() && a.delivery.not_before > c.now {
                    a.delivery.claimed_at = Some(c.now)
                }
            };
            decided
                .next
                .iter_mut()
                .for_each(|n| each(n, |v| v.attempts.iter_mut().for_each(lost)));
            decided
        }),
        bug("the fallback ignores what was delivered", &["6"], |_, s, i, c| {
            if !matches!(i, Input::Tick) {
                return step(s, i, c);
            }
            let facts: BTreeMap<_, _> = s
                .iter()
                .flat_map(attempts)
                .map(|a| (a.id, (a.delivery.delivered_at, a.delivery.read_at)))
                .collect();
            let undelivered = |a: &mut Attempt| (a.delivery.delivered_at, a.delivery.read_at) = (None, None);
            let mut decided = step(changed(s, |r| each(r, |v| v.attempts.iter_mut().for_each(undelivered))), i, c);
            let restored = |a: &mut Attempt| {
                if let Some(facts) = facts.get(&a.id) {
                    (a.delivery.delivered_at, a.delivery.read_at) = *facts
                }
            };
            decided
                .next
                .iter_mut()
                .for_each(|n| each(n, |v| v.attempts.iter_mut().for_each(restored)));
            decided
        }),
        bug("accepted stops the fallback", &["6"], |_, s, i, c| {
            let accepted = matches!(
                i,
                Input::Outcome {
                    outcome: SendOutcome::Accepted { .. },
                    ..
                }
            );
            step(
                changed(s, |r| {
                    if accepted {
                        each(r, forget_timer)
                    }
                }),
                i,
                c,
            )
        }),
        bug("sent stops the fallback", &["6"], |_, s, i, c| {
            let sent = matches!(
                i,
                Input::Receipt {
                    kind: ReceiptKind::Sent,
                    ..
                }
            );
            step(
                changed(s, |r| {
                    if sent {
                        each(r, forget_timer)
                    }
                }),
                i,
                c,
            )
        }),
        bug("the timer lives in memory, and a restart forgets it", &["6"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if c.now.as_millis() % 7 == 0 {
                decided.next.iter_mut().for_each(|n| each(n, forget_timer));
            }
            decided
        }),
        bug("unclear falls back at once", &["6"], |_, s, i, c| {
            let unclear = matches!(
                i,
                Input::Outcome {
                    outcome: SendOutcome::Unclear { .. },
                    ..
                }
            );
            let due_now = |v: &mut Verification| {
                if let Some(a) = v.attempts.last_mut() {
                    a.fallback_at = a.fallback_at.map(|_| c.now)
                }
            };
            step(
                changed(s, |r| {
                    if unclear {
                        each(r, due_now)
                    }
                }),
                i,
                c,
            )
        }),
        bug("a fallback that was given up starts later", &["6"], |_, s, i, c| {
            let owed = |v: &mut Verification| {
                if v.next_step().is_some() && !v.has_arrived() {
                    v.attempts
                        .last_mut()
                        .into_iter()
                        .for_each(|a| a.fallback_at = a.fallback_at.or(Some(c.now)));
                }
            };
            step(
                changed(s, |r| {
                    if matches!(i, Input::Tick) {
                        each(r, owed)
                    }
                }),
                i,
                c,
            )
        }),
        bug("a definite failure does not fall back", &["6"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    if matches!(i, Input::Outcome { .. } | Input::Receipt { .. }) {
                        each(r, forget_timer)
                    }
                }),
                i,
                c,
            )
        }),
        bug("the first receipt wins", &["7"], |_, s, i, c| {
            if let (Input::Receipt { message, .. }, Some(state)) = (i, &s)
                && attempts(state).any(|a| a.id == *message && a.delivery.status() >= MessageStatus::Sent)
            {
                return nothing(s);
            }
            step(s, i, c)
        }),
        bug("a late failure takes a delivery back", &["7"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if let Input::Receipt {
                message,
                kind: ReceiptKind::Failed(_),
                ..
            } = i
            {
                let undo = |a: &mut Attempt| {
                    if a.id == *message {
                        (a.delivery.delivered_at, a.delivery.read_at) = (None, None)
                    }
                };
                decided
                    .next
                    .iter_mut()
                    .for_each(|n| each(n, |v| v.attempts.iter_mut().for_each(undo)));
            }
            decided
        }),
        bug("a receipt before the provider's answer is lost", &["7"], |_, s, i, c| {
            if let (Input::Receipt { message, .. }, Some(state)) = (i, &s)
                && attempts(state).any(|a| a.id == *message && a.delivery.accepted_at.is_none())
            {
                return nothing(s);
            }
            step(s, i, c)
        }),
        bug("each purpose has limits of its own", &["8"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    if let Input::Begin(begin) = i
                        && r.pending(&begin.purpose).is_none()
                    {
                        (r.sends, r.requested_at) = (Vec::new(), None);
                    }
                }),
                i,
                c,
            )
        }),
        bug("fallbacks do not count in the hour", &["8"], |_, s, i, c| {
            let before = s.as_ref().map(|s| s.sends.clone());
            let mut decided = step(s, i, c);
            if !matches!(i, Input::Begin(_) | Input::Resend { .. })
                && let (Some(next), Some(before)) = (&mut decided.next, before)
            {
                next.sends.truncate(before.len());
            }
            decided
        }),
        bug("the hour ends when the clock says so", &["8"], |_, s, i, c| {
            let hour = |at: Timestamp| at.as_millis().div_euclid(3_600_000);
            step(changed(s, |r| r.sends.retain(|at| hour(*at) == hour(c.now))), i, c)
        }),
        bug("a fallback starts the cooldown", &["8"], |_, s, i, c| {
            let before = s.as_ref().map_or(0, |s| s.sends.len());
            let mut decided = step(s, i, c);
            if let Some(next) = decided
                .next
                .as_mut()
                .filter(|n| n.sends.len() > before && matches!(i, Input::Tick))
            {
                next.requested_at = Some(c.now);
            }
            decided
        }),
        bug("a lock does not stop sending", &["8"], |_, s, i, c| {
            let lock = s.as_ref().map(|s| s.lock);
            let requests = matches!(i, Input::Begin(_) | Input::Resend { .. });
            let mut decided = step(
                changed(s, |r| {
                    if requests {
                        r.lock = Lock::Open
                    }
                }),
                i,
                c,
            );
            if let (true, Some(next), Some(lock)) = (requests, &mut decided.next, lock) {
                next.lock = lock;
            }
            decided
        }),
        bug("a sender that was too fast is tried without end", &["5"], |_, s, i, c| {
            let slow = matches!(i, Input::Outcome { outcome: SendOutcome::Failed { failure, .. }, .. }
                if matches!(failure.class, FailureClass::SlowDown { .. }));
            let first = |a: &mut Attempt| a.delivery.retries = 0;
            step(
                changed(s, |r| {
                    if slow {
                        each(r, |v| v.attempts.iter_mut().for_each(first));
                    }
                }),
                i,
                c,
            )
        }),
        bug(
            "closed routes are taken all the same",
            &["a route is passed"],
            |_, s, i, c| {
                step_over(
                    s,
                    i,
                    c,
                    &Twisted {
                        ignores_closed: true,
                        ..twisted(c)
                    },
                )
            },
        ),
        bug("an open route is passed over", &["a route is passed"], |_, s, i, c| {
            step_over(
                s,
                i,
                c,
                &Twisted {
                    closes: Some(Channel::Whatsapp),
                    ..twisted(c)
                },
            )
        }),
        bug(
            "what is passed over is not written down",
            &["a route is passed"],
            |_, s, i, c| without(step(s, i, c), |d| matches!(d, Decision::Skipped { .. })),
        ),
        bug(
            "what may never be taken is left out without a word",
            &["a route is passed"],
            |_, s, i, c| {
                let mut input = i.clone();
                if let Input::Begin(begin) = &mut input {
                    begin.passed_over.clear();
                }
                step(s, &input, c)
            },
        ),
        bug(
            "a closed route is taken in silence when no other is open",
            &["a route is passed"],
            |_, s, i, c| without(step(s, i, c), |d| matches!(d, Decision::NoneOpen { .. })),
        ),
        bug(
            "what speaks against a route is asked only when a verification begins",
            &["a route is passed"],
            |_, s, i, c| {
                let begins = matches!(i, Input::Begin(_));
                step_over(
                    s,
                    i,
                    c,
                    &Twisted {
                        ignores_closed: !begins,
                        ..twisted(c)
                    },
                )
            },
        ),
        bug(
            "the distance is kept only where a route is chosen",
            &["messages over one route"],
            |_, s, i, c| {
                let chooses = matches!(i, Input::Begin(_) | Input::Resend { .. });
                step_over(
                    s,
                    i,
                    c,
                    &Twisted {
                        ignores_spacing: !chooses,
                        ..twisted(c)
                    },
                )
            },
        ),
        bug(
            "every verification keeps a distance of its own",
            &["messages over one route"],
            |_, s, i, c| {
                if !matches!(i, Input::Begin(_)) {
                    return step(s, i, c);
                }
                step_over(
                    s,
                    i,
                    c,
                    &Twisted {
                        ignores_spacing: true,
                        ..twisted(c)
                    },
                )
            },
        ),
        bug(
            "a template is asked for in the language of the locale, there or not",
            &["another language"],
            |_, s, i, c| {
                step_over(
                    s,
                    i,
                    c,
                    &Twisted {
                        speaks_all: true,
                        ..twisted(c)
                    },
                )
            },
        ),
        bug(
            "a missing template is tried again for ever",
            &["another language"],
            |_, s, i, c| {
                let first = |a: &mut Attempt| {
                    a.delivery.retries = 0;
                    a.language = Some("xx".into());
                };
                let missing = matches!(i, Input::Outcome { outcome: SendOutcome::Failed { failure, .. }, .. }
                if failure.class == FailureClass::OtherLanguage);
                step(
                    changed(s, |r| {
                        if missing {
                            each(r, |v| {
                                v.attempts.iter_mut().filter(|a| a.delivery.retries > 0).for_each(first)
                            });
                        }
                    }),
                    i,
                    c,
                )
            },
        ),
        bug(
            "a missing template is not tried in another language",
            &["another language"],
            |_, s, i, c| {
                let mut input = i.clone();
                if let Input::Outcome {
                    outcome: SendOutcome::Failed { failure, .. },
                    ..
                } = &mut input
                    && failure.class == FailureClass::OtherLanguage
                {
                    failure.class = FailureClass::TripBreaker(TripScope::Template);
                }
                step(s, &input, c)
            },
        ),
        bug(
            "a silence is taken for a number that is not there",
            &["what is known"],
            |_, s, i, c| {
                let mut decided = step(s, i, c);
                let silent = |d: &Decision| {
                    matches!(
                        d,
                        Decision::Queued {
                            cause: SendCause::FellBackOnSilence { .. },
                            ..
                        }
                    )
                };
                let fell_back = decided.entries.iter().flat_map(|e| &e.decisions).any(silent);
                if let Some(next) = decided.next.as_mut().filter(|_| fell_back) {
                    next.knowledge.reach = vec![Reach {
                        channel: Channel::Whatsapp,
                        is_on: false,
                        at: c.now,
                    }];
                }
                decided
            },
        ),
        bug(
            "what a message told of a channel is forgotten at once",
            &["a route is passed", "what is known"],
            |_, s, i, c| step(changed(s, |r| r.knowledge.reach.clear()), i, c),
        ),
        bug(
            "a number that is not on a channel never is again",
            &["what is known"],
            |_, s, i, c| {
                let absent = |r: &Recipient| -> Vec<Reach> { r.knowledge.reach.iter().filter(|r| !r.is_on).copied().collect() };
                let before = s.as_ref().map(absent).unwrap_or_default();
                let mut decided = step(s, i, c);
                if let Some(next) = &mut decided.next {
                    next.knowledge.reach.retain(|r| before.iter().all(|b| b.channel != r.channel));
                    next.knowledge.reach.extend(before);
                }
                decided
            },
        ),
        bug(
            "that a number is not on a channel is known as long as that it is",
            &["what is known"],
            |_, s, i, c| {
                // Somebody has given both one constant: the row is touched, as if it had been told yesterday.
                let touched = |r: &mut Recipient| {
                    let absent = r.knowledge.reach.iter_mut().filter(|r| !r.is_on);
                    absent.for_each(|r| r.at = r.at.max(c.now.minus_millis(86_400_000)));
                };
                step(changed(s, touched), i, c)
            },
        ),
        bug(
            "what is known goes with the last verification",
            &["what is known", "whose the number"],
            |_, s, i, c| {
                let mut decided = step(s, i, c);
                decided.next = decided
                    .next
                    .filter(|n| !n.verifications.is_empty() || !n.messages.is_empty() || !n.failures.is_empty());
                decided
            },
        ),
        bug(
            "a failure told after the arrival outranks it",
            &["what is known"],
            |_, s, i, c| {
                let mut decided = step(s, i, c);
                if let (
                    Input::Receipt {
                        message,
                        kind: ReceiptKind::Failed(failure),
                        ..
                    },
                    Some(next),
                ) = (i, &mut decided.next)
                    && failure.class == FailureClass::Unreachable
                    && let Some((v, a)) = next.attempt(*message)
                    && let Some(channel) = v.plan.step(a.step).map(|s| s.route.channel)
                {
                    next.knowledge.reach.retain(|r| r.channel != channel);
                    next.knowledge.reach.push(Reach {
                        channel,
                        is_on: false,
                        at: c.now,
                    });
                }
                decided
            },
        ),
        bug(
            "an identity is believed before anybody typed the code",
            &["whose the number"],
            |_, s, i, c| {
                let mut decided = step(s, i, c);
                if let (Input::Receipt { facts, .. }, Some(next)) = (i, &mut decided.next) {
                    let told = facts.identity.clone().map(|sealed| Identity {
                        channel: Channel::Whatsapp,
                        sealed,
                        at: c.now,
                    });
                    next.knowledge.identities.extend(told);
                }
                decided
            },
        ),
        bug(
            "the identity of the message that was heard of last is the one",
            &["whose the number"],
            |_, s, i, c| {
                let mut decided = step(s, i, c);
                if let (Input::Receipt { message, .. }, Some(next)) = (i, &mut decided.next)
                    && let Some((v, a)) = next.attempt(*message)
                    && v.status == Status::Approved
                    && a.delivery.has_arrived()
                    && let (Some(planned), Some(sealed)) = (v.plan.step(a.step), a.identity.clone())
                {
                    let channel = planned.route.channel;
                    let at = next
                        .knowledge
                        .identities
                        .iter()
                        .find(|i| i.channel == channel)
                        .map_or(c.now, |i| i.at);
                    next.knowledge.identities.retain(|i| i.channel != channel);
                    next.knowledge.identities.push(Identity { channel, sealed, at });
                }
                decided
            },
        ),
        bug(
            "an identity that has changed is kept after the approval",
            &["whose the number"],
            |_, s, i, c| {
                let before = s.as_ref().map(|s| s.knowledge.identities.clone()).unwrap_or_default();
                let mut decided = step(s, i, c);
                if let (Input::Check { .. }, Some(next)) = (i, &mut decided.next)
                    && next.knowledge.identities.is_empty()
                {
                    next.knowledge.identities = before;
                }
                decided
            },
        ),
        bug(
            "a changed identity falls back to SMS in silence",
            &["whose the number"],
            |_, s, i, c| step_with(s, i, c, IdentityChange::FallBack),
        ),
        bug(
            "what waits goes out though the identity changed",
            &["whose the number"],
            |_, s, i, c| {
                let tells =
                    matches!(i, Input::Receipt { kind: ReceiptKind::Failed(f), .. } if f.class == FailureClass::NoFallback);
                let mut decided = step(s, i, c);
                if tells {
                    for attempt in decided
                        .next
                        .iter_mut()
                        .flat_map(|n| &mut n.verifications)
                        .flat_map(|v| &mut v.attempts)
                    {
                        let delivery = &mut attempt.delivery;
                        if delivery.was_withdrawn() && delivery.failed_at == Some(c.now) {
                            (delivery.failed_at, delivery.failure) = (None, None);
                        }
                    }
                    decided = without(decided, |d| matches!(d, Decision::Withdrawn { .. }));
                }
                decided
            },
        ),
        bug(
            "what was under way is tried again though the identity changed",
            &["whose the number"],
            |_, s, i, c| {
                let tries_again = matches!(i, Input::Outcome { outcome: SendOutcome::Failed { failure, .. }, .. }
                if matches!(failure.class, FailureClass::RetryHere { .. }));
                if tries_again {
                    step_with(s, i, c, IdentityChange::FallBack)
                } else {
                    step(s, i, c)
                }
            },
        ),
        bug(
            "a changed identity is held against a service that falls back",
            &["6"],
            |_, s, i, c| step_with(s, i, c, IdentityChange::Hold),
        ),
        bug(
            "a price is booked with every receipt",
            &["a message has one price"],
            |_, s, i, c| {
                let no_price = |a: &mut Attempt| a.delivery.price = None;
                step(changed(s, |r| each(r, |v| v.attempts.iter_mut().for_each(no_price))), i, c)
            },
        ),
        bug(
            "the price that an answer names is not booked",
            &["a message has one price"],
            |_, s, i, c| {
                let mut input = i.clone();
                if let Input::Outcome { price, .. } = &mut input {
                    *price = None;
                }
                step(s, &input, c)
            },
        ),
        bug(
            "a price that comes with something known is not booked",
            &["a message has one price"],
            |_, s, i, c| {
                let mut input = i.clone();
                if let (
                    Input::Receipt {
                        message,
                        kind: ReceiptKind::Delivered,
                        facts,
                    },
                    Some(state),
                ) = (&mut input, &s)
                    && attempts(state).any(|a| a.id == *message && a.delivery.delivered_at.is_some())
                {
                    facts.price = None;
                }
                step(s, &input, c)
            },
        ),
        bug("one slip of a finger locks the number", &["who asked"], |_, s, i, c| {
            step(
                changed(s, |r| {
                    if disowns(i) && r.knowledge.disowned.is_empty() {
                        r.knowledge.disowned.push(c.now);
                    }
                }),
                i,
                c,
            )
        }),
        bug(
            "slips of a finger add up over the years",
            &["who asked", "what is known"],
            |_, s, i, c| {
                let recent = |at: &mut Timestamp| *at = (*at).max(c.now.minus_millis(86_399_999));
                step(changed(s, |r| r.knowledge.disowned.iter_mut().for_each(recent)), i, c)
            },
        ),
        bug("who asked for no code locks nothing", &["who asked"], |_, s, i, c| {
            let lock = s.as_ref().map_or(Lock::Open, |s| s.lock);
            let mut decided = step(s, i, c);
            if disowns(i) {
                decided.next.iter_mut().for_each(|n| n.lock = lock);
                decided = without(decided, |d| matches!(d, Decision::Locked { .. }));
            }
            decided
        }),
        bug(
            "who asked for no code opens a longer lock",
            &["who asked", "2"],
            |_, s, i, c| {
                step(
                    changed(s, |r| {
                        if disowns(i) {
                            r.lock = Lock::Open;
                        }
                    }),
                    i,
                    c,
                )
            },
        ),
        bug("who asked for no code is not heard", &["who asked", "4"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            if disowns(i) && ended(&decided, Status::Canceled) {
                decided.next.iter_mut().for_each(|n| {
                    each(n, |v| {
                        if v.finished_at == Some(c.now) {
                            reopen(v);
                        }
                    })
                });
            }
            decided
        }),
        bug(
            "a second press of one button counts as another",
            &["who asked", "what is known"],
            |_, s, i, c| {
                step(
                    changed(s, |r| {
                        if disowns(i) {
                            each(r, |v| v.attempts.iter_mut().for_each(|a| a.delivery.disowned_at = None));
                        }
                    }),
                    i,
                    c,
                )
            },
        ),
        bug("the order of a map shows", &["13"], |core, s, i, c| {
            let mut decided = step(s, i, c);
            if core.steps.get() % 2 == 0 {
                decided.entries.reverse();
                decided.entries.iter_mut().for_each(|e| e.decisions.reverse());
            }
            decided
        }),
        bug("randomness is used twice", &["ids"], |_, s, i, c| {
            step(
                s,
                i,
                &Context {
                    now: c.now,
                    fresh: Fresh([7; 16]),
                    may_call: c.may_call,
                    routes: c.routes,
                },
            )
        }),
        bug("the number is forgotten too early", &["documents"], |_, s, i, c| {
            let mut decided = step(s, i, c);
            for next in decided
                .next
                .iter_mut()
                .filter(|n| n.verifications.iter().all(|v| v.status.is_final()))
            {
                next.number = None;
            }
            decided
        }),
        bug("what is finished is kept for ever", &["documents"], |_, s, i, c| {
            let mut decided = step(s.clone(), i, c);
            if let (Some(before), Some(next)) = (s, &mut decided.next) {
                let gone: Vec<Verification> = before
                    .verifications
                    .into_iter()
                    .filter(|v| next.verification(v.id).is_none())
                    .collect();
                next.verifications.splice(0..0, gone);
            }
            decided
        }),
        Bug {
            name: "retries are no reason to wake up",
            laws: &["due_at"],
            step: |_, s, i, c| step(s, i, c),
            due: |r| {
                let without = changed(Some(r.clone()), |r| {
                    each(r, |v| {
                        v.attempts.retain(|a| !a.delivery.waits_for_call() || a.delivery.retries == 0)
                    });
                });
                without.as_ref().and_then(due_at)
            },
        },
        Bug {
            name: "nothing comes back to forget what is known",
            laws: &["everything is forgotten", "due_at"],
            step: |_, s, i, c| step(s, i, c),
            due: |r| due_at(r).filter(|_| !r.verifications.is_empty() || !r.messages.is_empty() || !r.sends.is_empty()),
        },
        Bug {
            name: "nothing comes back when a lock ends",
            laws: &["everything is forgotten", "due_at"],
            step: |_, s, i, c| step(s, i, c),
            due: |r| changed(Some(r.clone()), |r| r.lock = Lock::Open).as_ref().and_then(due_at),
        },
        Bug {
            name: "an old attempt's timer keeps the clock busy",
            laws: &["due_at"],
            step: |_, s, i, c| step(s, i, c),
            due: |r| {
                let pending = r.verifications.iter().filter(|v| v.status == Status::Pending);
                due_at(r)
                    .into_iter()
                    .chain(pending.flat_map(|v| v.attempts.iter().filter_map(|a| a.fallback_at)))
                    .min()
            },
        },
        Bug {
            name: "a call without an answer is waited for in vain",
            laws: &["due_at"],
            step: |_, s, i, c| step(s, i, c),
            due: |r| {
                let answered = changed(Some(r.clone()), |r| {
                    each(r, |v| {
                        v.attempts
                            .iter_mut()
                            .for_each(|a| a.delivery.accepted_at = a.delivery.accepted_at.or(a.delivery.claimed_at))
                    });
                    r.messages
                        .iter_mut()
                        .for_each(|m| m.delivery.accepted_at = m.delivery.accepted_at.or(m.delivery.claimed_at));
                });
                answered.as_ref().and_then(due_at)
            },
        },
    ]
}

/// Routes as they are, but for one mistake.
struct Twisted<'a> {
    routes: &'a dyn Routes,
    ignores_closed: bool,
    ignores_spacing: bool,
    speaks_all: bool,
    closes: Option<Channel>,
}

fn twisted<'a>(context: &Context<'a>) -> Twisted<'a> {
    Twisted {
        routes: context.routes,
        ignores_closed: false,
        ignores_spacing: false,
        speaks_all: false,
        closes: None,
    }
}

impl Routes for Twisted<'_> {
    fn skip(&self, route: &Route, country: Country, locale: &str) -> Option<Skip> {
        if self.closes == Some(route.channel) {
            return Some(Skip::because(SkipReason::Breaker));
        }
        self.routes.skip(route, country, locale).filter(|_| !self.ignores_closed)
    }

    fn language(&self, route: &Route, locale: &str) -> Option<Box<str>> {
        let language = self.routes.language(route, locale)?;
        Some(if self.speaks_all { locale.into() } else { language })
    }

    fn default_language(&self, route: &Route) -> Option<Box<str>> {
        self.routes.default_language(route)
    }

    fn spacing_ms(&self, route: &Route) -> u64 {
        if self.ignores_spacing {
            0
        } else {
            self.routes.spacing_ms(route)
        }
    }
}

fn step_over(state: Option<Recipient>, input: &Input, context: &Context<'_>, routes: &Twisted<'_>) -> Decided {
    let context = Context {
        now: context.now,
        fresh: context.fresh,
        may_call: context.may_call,
        routes,
    };
    step(state, input, &context)
}

/// A step for which every plan answers alike to a changed identity.
fn step_with(state: Option<Recipient>, input: &Input, context: &Context<'_>, answer: IdentityChange) -> Decided {
    let plans: Vec<(VerificationId, Plan)> = state
        .iter()
        .flat_map(|s| &s.verifications)
        .map(|v| (v.id, v.plan.clone()))
        .collect();
    let alike = |r: &mut Recipient| each(r, |v| v.plan = v.plan.clone().on_identity_change(answer));
    let mut decided = step(changed(state, alike), input, context);
    for v in decided.next.iter_mut().flat_map(|n| &mut n.verifications) {
        if let Some((_, plan)) = plans.iter().find(|(id, _)| *id == v.id) {
            v.plan = plan.clone();
        }
    }
    decided
}

/// What was decided, less what is not written down.
fn without(mut decided: Decided, unwritten: impl Fn(&Decision) -> bool) -> Decided {
    decided.entries.iter_mut().for_each(|e| e.decisions.retain(|d| !unwritten(d)));
    decided
}

fn disowns(input: &Input) -> bool {
    matches!(
        input,
        Input::Receipt {
            kind: ReceiptKind::Disowned,
            ..
        }
    )
}

fn changed(state: Option<Recipient>, change: impl FnOnce(&mut Recipient)) -> Option<Recipient> {
    state.map(|mut recipient| {
        change(&mut recipient);
        recipient
    })
}

fn each(recipient: &mut Recipient, change: impl FnMut(&mut Verification)) {
    recipient.verifications.iter_mut().for_each(change);
}

fn attempts(recipient: &Recipient) -> impl Iterator<Item = &Attempt> {
    recipient.verifications.iter().flat_map(|v| &v.attempts)
}

fn checks(recipient: &Recipient) -> u32 {
    recipient.verifications.iter().map(|v| u32::from(v.checks_used)).sum()
}

fn reopen(verification: &mut Verification) {
    verification.status = Status::Pending;
    verification.finished_at = None;
}

fn forget_timer(verification: &mut Verification) {
    verification
        .attempts
        .last_mut()
        .into_iter()
        .for_each(|a| a.fallback_at = None);
}

fn certain_failure() -> SendOutcome {
    SendOutcome::Failed {
        failure: Failure::new(FailureClass::RetryHere { after_ms: 1_000 }, "timeout", ""),
        provider_message_id: None,
    }
}

fn ended(decided: &Decided, how: Status) -> bool {
    decided
        .entries
        .iter()
        .flat_map(|e| &e.decisions)
        .any(|d| matches!(d, Decision::Ended { status, .. } if *status == how))
}

fn nothing(state: Option<Recipient>) -> Decided {
    Decided {
        next: state,
        changed: false,
        calls: Vec::new(),
        entries: Vec::new(),
        answer: Ok(Answer::Done),
    }
}
