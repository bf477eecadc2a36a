//! What is a whole life of a number, and which laws does it keep? The generator and the ledger that `lives.rs` and
//! `planted.rs` share.
//!
//! The ledger knows the laws and nothing of the code that it watches: it learns from what goes in (inputs, moments) and
//! what comes out (answers, calls, entries, the next document), keeps books of its own and compares.

use proptest::prelude::*;
use tapcode_core::delivery::{Failure, FailureClass, ReceiptFacts, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::id::{Fresh, MessageId, VerificationId};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::Number;
use tapcode_core::plan::{Channel, IdentityChange, Plan, Route, Skip, SkipReason, Step};
use tapcode_core::recipient::{Mode, Recipient, Scope, ServiceName};
use tapcode_core::step::{Addressee, Begin, Context, Decided, Input, NewMessage, due_at, step};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Binding, CodeSource, Limits, Purpose, Sealed, Status};

use crate::ledger::{FORGOTTEN, Ledger};
use crate::world::{Turn, World, turn, world};

/// Some day in 2026.
pub const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// What is under test: the real core, or one with a planted bug.
pub trait Core {
    fn step(&self, state: Option<Recipient>, input: &Input, context: &Context<'_>) -> Decided {
        step(state, input, context)
    }

    fn due_at(&self, recipient: &Recipient) -> Option<Timestamp> {
        due_at(recipient)
    }

    /// Called once per move, with the document that was committed over.
    fn committed(&mut self, _before: Option<&Recipient>) {}
}

pub struct Real;

impl Core for Real {}

/// A law that was broken, by its number in the list of laws, or its name.
#[derive(Debug)]
pub struct Broken {
    pub law: &'static str,
    pub what: String,
}

pub type Held = Result<(), Broken>;

pub fn broken<T>(law: &'static str, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { law, what: what.into() })
}

pub fn hold(law: &'static str, holds: bool, what: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { broken(law, what()) }
}

/// A life as it is generated: it names verifications and messages by position, so that it can be shrunk.
#[derive(Clone, Debug)]
pub struct Life {
    /// The limits that a verification may be begun with: a configuration can change in between.
    pub limits: [Limits; 2],
    /// Routes as they are at the start.
    pub world: World,
    pub moments: Vec<Moment>,
}

#[derive(Clone, Debug)]
pub struct Moment {
    pub advance: Advance,
    pub may_call: bool,
    /// What happens to routes before this moment.
    pub turn: Option<Turn>,
    pub act: Act,
}

#[derive(Clone, Copy, Debug)]
pub enum Advance {
    Millis(u64),
    ToDue,
    JustBeforeDue,
    ToExpiry,
    JustBeforeExpiry,
    ToResend,
    Days(u64),
    /// Whatever is due, however far away: what is known of a number is forgotten after months.
    ToForgetting,
    JustBeforeForgetting,
}

#[derive(Clone, Debug)]
pub enum Act {
    Begin {
        purpose: u8,
        plan: Vec<(Channel, u32)>,
        /// Whether all steps of a channel go over one sender.
        one_sender: bool,
        locale: &'static str,
        on_identity_change: IdentityChange,
        ttl_ms: u64,
        own_code: Option<u8>,
        binding: Option<u8>,
        limits: usize,
    },
    /// What a user does who waits and asks again: begins with everything as before.
    BeginAgain {
        which: usize,
    },
    Resend {
        which: usize,
        channel: Option<Channel>,
    },
    Check {
        which: usize,
        code_matches: bool,
        binding_matches: bool,
    },
    Cancel {
        which: usize,
    },
    Plain {
        channel: Channel,
    },
    /// `stray`: for any message, not only one whose call is under way.
    Outcome {
        which: usize,
        stray: bool,
        said: Said,
    },
    Receipt {
        which: usize,
        told: Told,
        price: Option<u8>,
        identity: Option<u8>,
    },
    Tick,
    Unlock,
}

#[derive(Clone, Copy, Debug)]
pub enum Said {
    Accepted,
    Failed { class: FailureClass, with_id: bool },
    Unclear,
}

#[derive(Clone, Copy, Debug)]
pub enum Told {
    Sent,
    Delivered,
    Read,
    Failed(FailureClass),
    Disowned,
}

pub fn life() -> impl Strategy<Value = Life> {
    let moments = prop_oneof![24 => moment().prop_map(|one| vec![one]), 1 => scene()];
    (limits(), limits(), world(), prop::collection::vec(moments, 1..100)).prop_map(|(first, second, world, moments)| Life {
        limits: [first, second],
        world,
        moments: moments.concat(),
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let small = (
        1..6u16,
        prop_oneof![Just(0u32), Just(1_000), Just(60_000)],
        prop_oneof![
            1 => Just(0u16),
            2 => Just(1),
            4 => 2..4u16,
            6 => Just(5),
            6 => Just(30),
        ],
        // Longer than what a number's holder pressed is remembered, sometimes.
        prop_oneof![7 => Just(10_000u32), 1 => Just(200_000_000u32)],
    )
        .prop_map(|(max_checks, resend_cooldown_ms, max_sends_per_hour, lock_ms)| Limits {
            max_checks,
            resend_cooldown_ms,
            max_sends_per_hour,
            lock_after: 2,
            lock_ms,
            lock_for_good_after: 5,
        });
    prop_oneof![1 => Just(Limits::default()), 3 => small]
}

fn moment() -> impl Strategy<Value = Moment> {
    (advance(), prop::bool::weighted(0.85), turn(), act()).prop_map(|(advance, may_call, turn, act)| Moment {
        advance,
        may_call,
        turn,
        act,
    })
}

/// A few moments in a row that chance brings together too rarely. They may come to nothing: the number may be locked.
fn scene() -> impl Strategy<Value = Vec<Moment>> {
    let begin = |plan: &[(Channel, u32)], purpose| Act::Begin {
        purpose,
        plan: plan.to_vec(),
        one_sender: true,
        locale: "nl",
        on_identity_change: IdentityChange::Hold,
        ttl_ms: 300_000,
        own_code: None,
        binding: None,
        limits: 0,
    };
    let begin_seed = move || begin(&[(Channel::Whatsapp, 10_000), (Channel::Sms, 0)], 0);
    let failed = |class| Act::Outcome {
        which: 0,
        stray: false,
        said: Said::Failed { class, with_id: false },
    };
    let receipt = |told, identity| Act::Receipt {
        which: 0,
        told,
        price: None,
        identity,
    };
    let right = || Act::Check {
        which: 0,
        code_matches: true,
        binding_matches: true,
    };
    let wrong = || Act::Check {
        which: 0,
        code_matches: false,
        binding_matches: true,
    };
    let slow = || failed(FailureClass::SlowDown { after_ms: 100 });
    let missing = || failed(FailureClass::OtherLanguage);
    let busy = || failed(FailureClass::RetryHere { after_ms: 2_000 });
    let another_identity = || Act::Receipt {
        which: 1,
        told: Told::Failed(FailureClass::NoFallback),
        price: None,
        identity: None,
    };
    let sms = [(Channel::Sms, 0)];
    let scenes = vec![
        // Somebody proves that the number is theirs, and then somebody else does.
        vec![
            begin_seed(),
            receipt(Told::Delivered, Some(1)),
            right(),
            begin_seed(),
            failed(FailureClass::NoFallback),
            right(),
        ],
        // Two phones in turn, and a late receipt from the first.
        vec![
            begin_seed(),
            receipt(Told::Delivered, Some(1)),
            right(),
            begin_seed(),
            receipt(Told::Read, Some(2)),
            right(),
        ],
        // Somebody guesses, and an operator is patient.
        vec![vec![begin_seed(), wrong(), wrong(), Act::Unlock]; 3].concat(),
        vec![begin_seed(), slow(), Act::Tick, slow()],
        vec![begin_seed(), missing(), missing()],
        vec![
            begin(&sms, 0),
            receipt(Told::Disowned, None),
            begin(&sms, 1),
            receipt(Told::Disowned, None),
        ],
        // The SMS waits for another try, or is still under way, when WhatsApp tells that somebody else may have the number.
        vec![begin_seed(), Act::Tick, busy(), another_identity(), Act::Tick],
        vec![begin_seed(), Act::Tick, another_identity(), busy(), Act::Tick],
    ];
    prop::sample::select(scenes).prop_map(|acts| acts.into_iter().map(Moment::of).collect())
}

impl Moment {
    /// A moment of a scene: as soon as it is due or allowed.
    fn of(act: Act) -> Self {
        let advance = match act {
            Act::Begin { .. } => Advance::ToResend,
            Act::Tick => Advance::ToDue,
            Act::BeginAgain { .. }
            | Act::Resend { .. }
            | Act::Check { .. }
            | Act::Cancel { .. }
            | Act::Plain { .. }
            | Act::Outcome { .. }
            | Act::Receipt { .. }
            | Act::Unlock => Advance::Millis(0),
        };
        Self {
            advance,
            may_call: true,
            turn: None,
            act,
        }
    }
}

fn advance() -> impl Strategy<Value = Advance> {
    prop_oneof![
        60 => Just(Advance::Millis(0)),
        60 => (1..2_000u64).prop_map(Advance::Millis),
        40 => (2_000..20_000u64).prop_map(Advance::Millis),
        10 => (20_000..400_000u64).prop_map(Advance::Millis),
        10 => (400_000..5_000_000u64).prop_map(Advance::Millis),
        60 => Just(Advance::ToDue),
        20 => Just(Advance::JustBeforeDue),
        10 => Just(Advance::ToExpiry),
        10 => Just(Advance::JustBeforeExpiry),
        40 => Just(Advance::ToResend),
        1 => (1..100u64).prop_map(Advance::Days),
        1 => Just(Advance::ToForgetting),
        1 => Just(Advance::JustBeforeForgetting),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let which = || prop_oneof![8 => Just(0usize), 3 => Just(1usize), 2 => 0..6usize, 1 => Just(usize::MAX)];
    let class = || {
        prop_oneof![
            8 => prop_oneof![3 => 0..2_000u32, 1 => 0..15_000u32].prop_map(|after_ms| FailureClass::RetryHere { after_ms }),
            6 => (0..2_000u32).prop_map(|after_ms| FailureClass::SlowDown { after_ms }),
            3 => Just(FailureClass::NextRoute),
            3 => Just(FailureClass::Unreachable),
            6 => Just(FailureClass::OtherLanguage),
            1 => Just(FailureClass::TripBreaker(TripScope::Sender)),
            1 => Just(FailureClass::TripBreaker(TripScope::Country)),
            1 => Just(FailureClass::OurMistake),
            3 => Just(FailureClass::NoFallback),
        ]
    };
    let channel = || prop_oneof![3 => Just(Channel::Whatsapp), 2 => Just(Channel::Sms)];
    let said = prop_oneof![
        4 => Just(Said::Accepted),
        4 => (class(), prop::bool::weighted(0.2)).prop_map(|(class, with_id)| Said::Failed { class, with_id }),
        2 => Just(Said::Unclear),
    ];
    let told = prop_oneof![3 => Just(Told::Sent), 3 => Just(Told::Delivered), 2 => Just(Told::Read), 3 => class().prop_map(Told::Failed), 1 => Just(Told::Disowned)];
    let wait = prop_oneof![1 => Just(0u32), 6 => Just(10_000u32), 3 => 1..120_000u32];
    let sometimes = || prop_oneof![8 => Just(None), 1 => (0..2u8).prop_map(Some)];
    prop_oneof![
        8 => (
            prop_oneof![6 => Just(0u8), 3 => Just(1u8), 1 => Just(2u8)],
            prop::collection::vec((channel(), wait), 1..5),
            prop_oneof![6 => Just(300_000u64), 2 => 1_000..600_000u64],
            sometimes(),
            sometimes(),
            0..2usize,
            prop::bool::weighted(0.7),
            prop_oneof![1 => Just("en"), 3 => Just("nl"), 1 => Just("pt-BR")],
            prop_oneof![Just(IdentityChange::Hold), Just(IdentityChange::FallBack)],
        )
            .prop_map(|(purpose, plan, ttl_ms, own_code, binding, limits, one_sender, locale, on_identity_change)| {
                Act::Begin { purpose, plan, one_sender, locale, on_identity_change, ttl_ms, own_code, binding, limits }
            }),
        4 => which().prop_map(|which| Act::BeginAgain { which }),
        8 => (which(), prop::option::weighted(0.3, channel())).prop_map(|(which, channel)| Act::Resend { which, channel }),
        18 => (which(), prop::bool::weighted(0.2), prop::bool::weighted(0.85))
            .prop_map(|(which, code_matches, binding_matches)| Act::Check { which, code_matches, binding_matches }),
        2 => which().prop_map(|which| Act::Cancel { which }),
        2 => channel().prop_map(|channel| Act::Plain { channel }),
        24 => (which(), prop::bool::weighted(0.15), said).prop_map(|(which, stray, said)| Act::Outcome { which, stray, said }),
        16 => (which(), told, sometimes(), prop::option::weighted(0.5, 0..3u8))
            .prop_map(|(which, told, price, identity)| Act::Receipt { which, told, price, identity }),
        22 => Just(Act::Tick),
        1 => Just(Act::Unlock),
    ]
}

/// Lives it through and holds the laws against every step.
pub fn live(core: &mut dyn Core, life: &Life) -> Result<Ledger, Broken> {
    let mut ledger = Ledger::default();
    let mut state: Option<Recipient> = None;
    let mut now = START;
    // A broken timer is reported last: what it leads to says more.
    let mut dishonest = None;
    let mut world = life.world.clone();
    for (at, moment) in life.moments.iter().enumerate() {
        now = advanced(&*core, state.as_ref(), &ledger, now, moment.advance);
        moment.turn.into_iter().for_each(|turn| world.turn(turn));
        let Some(input) = input(&ledger, &life.limits, &moment.act) else {
            continue;
        };
        // Far apart, so that the ids of one step cannot meet those of another.
        let fresh = Fresh(((at as u128 + 1) << 64).to_be_bytes());
        let may_call = |_: &Route| if moment.may_call { Ok(()) } else { Err(0) };
        let context = Context {
            now,
            fresh,
            may_call: &may_call,
            routes: &world,
        };
        let decided = core.step(state.clone(), &input, &context);
        let again = core.step(state.clone(), &input, &context);
        let (once, twice) = (format!("{decided:?}"), format!("{again:?}"));
        hold("13 same history, same decisions", once == twice, || {
            format!("once {once}\ntwice {twice}")
        })?;
        ledger.read(state.as_ref(), &input, now, (moment.may_call, &world), &decided)?;
        if let Some(Err(broken)) = decided.next.as_ref().map(|next| due_is_honest(&*core, &world, next, now)) {
            dishonest.get_or_insert(broken);
        }
        core.committed(state.as_ref());
        state = decided.next;
    }
    if let Some(broken) = dishonest {
        return Err(broken);
    }
    forgotten_in_the_end(&*core, &world, &mut ledger, state, now)?;
    Ok(ledger)
}

/// Ticks at the moments that are due lead to nothing, except where failed checks or a lock for good must stay.
fn forgotten_in_the_end(
    core: &dyn Core,
    world: &World,
    ledger: &mut Ledger,
    mut state: Option<Recipient>,
    mut now: Timestamp,
) -> Held {
    /// Every step of every verification, its expiry, what is remembered an hour, and what is known.
    const TICKS_MAX: u128 = 600;
    for n in 0..TICKS_MAX {
        let Some(due) = state.as_ref().and_then(|s| core.due_at(s)) else {
            return ledger.rests(state.as_ref(), now);
        };
        now = now.max(due);
        let context = Context {
            now,
            fresh: Fresh(((n + 1) << 96).to_be_bytes()),
            may_call: &|_: &Route| Ok(()),
            routes: world,
        };
        let decided = core.step(state.clone(), &Input::Tick, &context);
        ledger.read(state.as_ref(), &Input::Tick, now, (true, world), &decided)?;
        state = decided.next;
    }
    broken(FORGOTTEN, format!("{TICKS_MAX} ticks, and there is still {state:?}"))
}

fn advanced(core: &dyn Core, state: Option<&Recipient>, ledger: &Ledger, now: Timestamp, advance: Advance) -> Timestamp {
    let expiry = || {
        ledger
            .verifications
            .iter()
            .rev()
            .find(|v| v.status == Status::Pending)
            .map(|v| v.expires_at)
    };
    // The moment of forgetting is an hour away: jumping there whenever nothing is pending would make lives of many
    // short stories.
    let due = || {
        state
            .and_then(|s| core.due_at(s))
            .filter(|at| at.millis_since(now) <= 600_000)
    };
    let target = match advance {
        Advance::Millis(ms) => Some(now.plus_millis(ms)),
        Advance::ToDue => due(),
        Advance::JustBeforeDue => due().map(|at| at.minus_millis(1)),
        Advance::Days(days) => Some(now.plus_millis(days * 86_400_000)),
        Advance::ToForgetting => state.and_then(|s| core.due_at(s)),
        Advance::JustBeforeForgetting => state.and_then(|s| core.due_at(s)).map(|at| at.minus_millis(1)),
        Advance::ToExpiry => expiry(),
        Advance::JustBeforeExpiry => expiry().map(|at| at.minus_millis(1)),
        Advance::ToResend => ledger.verifications.last().map(|v| ledger.may_send_at(&v.limits, now)),
    };
    target.map_or(now, |at| at.max(now))
}

fn input(ledger: &Ledger, limits: &[Limits; 2], act: &Act) -> Option<Input> {
    let verification = |which: usize| {
        let known = &ledger.verifications;
        match which {
            usize::MAX => Some(VerificationId::new(START, [9; 16])),
            _ => (!known.is_empty()).then(|| known[known.len() - 1 - which % known.len()].id),
        }
    };
    Some(match act {
        Act::Begin {
            purpose,
            plan,
            one_sender,
            locale,
            on_identity_change,
            ttl_ms,
            own_code,
            binding,
            limits: which,
        } => Input::Begin(Box::new(Begin {
            purpose: Purpose::parse(&format!("purpose-{purpose}")).unwrap(),
            ttl_ms: *ttl_ms,
            limits: limits[*which],
            code: own_code.map_or(CodeSource::Derived { length: 6 }, own),
            binding: binding.map(bound),
            metadata: vec![("user_id".into(), "u_17".into())],
            locale: (*locale).into(),
            plan: plan_over(plan, |at| if *one_sender { 0 } else { at }).on_identity_change(*on_identity_change),
            passed_over: if purpose % 2 == 1 {
                vec![(route(Channel::Sms, 9), Skip::because(SkipReason::Landline))]
            } else {
                Vec::new()
            },
            ..begin_of(plan)
        })),
        Act::BeginAgain { which } => {
            let known = &ledger.verifications;
            let begin = &known
                .get(known.len().checked_sub(1)?.checked_sub(which % known.len())?)?
                .begin;
            Input::Begin(Box::new(begin.clone()))
        }
        Act::Resend { which, channel } => Input::Resend {
            verification: verification(*which)?,
            channel: *channel,
        },
        Act::Check {
            which,
            code_matches,
            binding_matches,
        } => Input::Check {
            verification: verification(*which)?,
            code_matches: *code_matches,
            binding_matches: *binding_matches,
        },
        Act::Cancel { which } => Input::Cancel {
            verification: verification(*which)?,
        },
        Act::Plain { channel } => Input::SendMessage(Box::new(NewMessage {
            addressee: addressee(),
            route: route(*channel, 0),
            payload: own_payload(),
            segments: 1,
            ucs2: false,
        })),
        Act::Outcome { which, stray, said } => {
            let flying: Vec<MessageId> = ledger
                .messages
                .iter()
                .filter(|m| *stray || m.in_flight_since.is_some())
                .map(|m| m.id)
                .collect();
            let message = *flying.get(flying.len().checked_sub(1)?.checked_sub(which % flying.len())?)?;
            Input::Outcome {
                message,
                outcome: outcome(*said),
                // Some answers name what the message costs.
                price: (matches!(said, Said::Accepted) && which % 2 == 1).then_some(Money {
                    amount_micros: 70,
                    currency: Currency::USD,
                }),
            }
        }
        Act::Receipt {
            which,
            told,
            price,
            identity,
        } => {
            let known = &ledger.messages;
            let message = known.get(known.len().checked_sub(1)?.checked_sub(which % known.len())?)?.id;
            Input::Receipt {
                message,
                kind: receipt(*told),
                facts: ReceiptFacts {
                    price: price.map(|micros| Money {
                        amount_micros: micros.into(),
                        currency: Currency::USD,
                    }),
                    identity: identity.map(|who| Sealed(Box::from([who]))),
                },
            }
        }
        Act::Tick => Input::Tick,
        Act::Unlock => Input::Unlock,
    })
}

pub fn addressee() -> Addressee {
    let number = Number::parse("+31611398058").unwrap();
    Addressee {
        scope: Scope {
            service: ServiceName::parse("acme").unwrap(),
            mode: Mode::Live,
        },
        number: Sealed(Box::from(*b"sealed number")),
        masked: number.masked(),
        country: number.country(),
    }
}

/// A begin with the default policy.
pub fn begin(plan: &[(Channel, u32)]) -> Input {
    Input::Begin(Box::new(begin_of(plan)))
}

pub fn begin_of(plan: &[(Channel, u32)]) -> Begin {
    Begin {
        addressee: addressee(),
        purpose: Purpose::parse("login").unwrap(),
        ttl_ms: 300_000,
        limits: Limits::default(),
        code: CodeSource::Derived { length: 6 },
        binding: None,
        locale: "en".into(),
        plan: plan_of(plan),
        passed_over: Vec::new(),
        client: None,
        metadata: Vec::new(),
    }
}

pub fn own_payload() -> Sealed {
    Sealed(Box::from(*b"hello"))
}

pub fn own(which: u8) -> CodeSource {
    let alphabet = tapcode_core::code::Alphabet::Digits;
    CodeSource::Own {
        sealed: Sealed(Box::from([which])),
        alphabet,
        digest: [which; 16],
    }
}

pub fn bound(which: u8) -> Binding {
    Binding {
        digest: [which; 32],
        sealed: Sealed(Box::from([which])),
    }
}

pub fn route(channel: Channel, step: usize) -> Route {
    let provider = match channel {
        Channel::Whatsapp => "whatsapp_cloud",
        Channel::Sms => "twilio",
    };
    Route {
        channel,
        sender: u32::try_from(step).unwrap() + 1,
        provider: provider.into(),
    }
}

pub fn plan_of(steps: &[(Channel, u32)]) -> Plan {
    plan_over(steps, |at| at)
}

/// A plan whose steps go over the senders that are named by position.
fn plan_over(steps: &[(Channel, u32)], sender: impl Fn(usize) -> usize) -> Plan {
    let steps = steps.iter().enumerate().map(|(at, (channel, wait_ms))| Step {
        route: route(*channel, sender(at)),
        wait_ms: *wait_ms,
    });
    Plan::new(steps.collect()).unwrap()
}

fn outcome(said: Said) -> SendOutcome {
    match said {
        Said::Accepted => SendOutcome::Accepted {
            provider_message_id: "wamid.1".into(),
        },
        Said::Failed { class, with_id } => SendOutcome::Failed {
            failure: Failure::new(class, "131026", "undeliverable"),
            provider_message_id: with_id.then(|| "wamid.1".into()),
        },
        Said::Unclear => SendOutcome::Unclear {
            detail: "timed out".into(),
        },
    }
}

pub fn receipt(told: Told) -> ReceiptKind {
    match told {
        Told::Sent => ReceiptKind::Sent,
        Told::Delivered => ReceiptKind::Delivered,
        Told::Read => ReceiptKind::Read,
        Told::Disowned => ReceiptKind::Disowned,
        Told::Failed(class) => ReceiptKind::Failed(Failure::new(class, "131049", "not delivered")),
    }
}

/// A tick before the due moment decides nothing, ticks at it come to an end, and after the last due moment nothing waits.
fn due_is_honest(core: &dyn Core, world: &World, recipient: &Recipient, now: Timestamp) -> Held {
    const LAW: &str = "due_at is honest";
    let tick = |state: &Recipient, at: Timestamp, free: bool| {
        let may_call = move |_: &Route| if free { Ok(()) } else { Err(0) };
        core.step(
            Some(state.clone()),
            &Input::Tick,
            &Context {
                now: at,
                fresh: Fresh([0xee; 16]),
                may_call: &may_call,
                routes: world,
            },
        )
    };
    let Some(due) = core.due_at(recipient) else {
        let later = tick(recipient, now.plus_millis(1_000 * 86_400_000), true);
        return hold(LAW, later.entries.is_empty() && later.calls.is_empty(), || {
            format!("nothing was due, and then {later:?}")
        });
    };
    if due > now.plus_millis(1) {
        let early = tick(recipient, due.minus_millis(1), true);
        hold(LAW, early.entries.is_empty() && early.calls.is_empty(), || {
            format!("due at {due:?}, a millisecond before: {early:?}")
        })?;
    }
    let at = due.max(now);
    // Free or busy, nothing is due again at the same moment: no loop spins.
    'routes: for free in [true, false] {
        let mut state = recipient.clone();
        // A plan whose steps wait for nothing is walked one step per tick.
        for _ in 0..=tapcode_core::plan::PLAN_STEPS_MAX {
            let decided = tick(&state, at, free);
            hold(LAW, decided.changed, || {
                format!("due at {due:?}, but a tick at {at:?} changes nothing")
            })?;
            match decided.next {
                Some(next) if core.due_at(&next).is_some_and(|again| again <= at) => state = next,
                Some(_) | None => continue 'routes,
            }
        }
        broken::<()>(LAW, format!("ticks at {at:?} make no end of what is due: {state:?}"))?;
    }
    Ok(())
}
