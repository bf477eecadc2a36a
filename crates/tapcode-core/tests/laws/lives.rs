//! Do whole lives keep the laws? Generated histories of a number, from first begin to last receipt, against the ledger.

use std::collections::{BTreeMap, BTreeSet};

use crate::life::{Real, START, Told, addressee, begin, life, live, own_payload, receipt, route};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tapcode_core::delivery::{Delivery, FailureClass, ReceiptFacts};
use tapcode_core::id::Fresh;
use tapcode_core::plan::{Channel, Route};
use tapcode_core::step::{AllOpen, Context, Input, NewMessage, step};

proptest! {
    #![proptest_config(Config { cases: 1_000, ..Config::default() })]

    #[test]
    fn lives_keep_the_laws(life in life()) {
        if let Err(broken) = live(&mut Real, &life) {
            return Err(TestCaseError::fail(format!("law {} broken: {}", broken.law, broken.what)));
        }
    }
}

/// A verification whose only message was queued at the start, in every order of up to six receipts of all kinds.
#[test]
fn receipts_in_any_order_are_the_same_facts() {
    let kinds = [
        Told::Sent,
        Told::Delivered,
        Told::Read,
        Told::Failed(FailureClass::NextRoute),
        Told::Sent,
        Told::Delivered,
    ];
    let mut orders = 0;
    for chosen in 0u32..1 << kinds.len() {
        let chosen: Vec<Told> = kinds
            .iter()
            .enumerate()
            .filter(|(at, _)| chosen >> at & 1 == 1)
            .map(|(_, kind)| *kind)
            .collect();
        let mut ends = BTreeSet::new();
        permutations(&mut chosen.clone(), 0, &mut |order| {
            orders += 1;
            let (attempt, plain) = told_in_order(order);
            assert_eq!(attempt, plain, "an attempt and a plain message hear alike");
            ends.insert(attempt);
        });
        assert_eq!(ends.len(), 1, "{chosen:?} ended as {ends:?}");
    }
    assert_eq!(orders, 1 + 6 + 30 + 120 + 360 + 720 + 720, "every order of every selection");
}

fn permutations(items: &mut [Told], fixed: usize, visit: &mut impl FnMut(&[Told])) {
    if fixed == items.len() {
        return visit(items);
    }
    for at in fixed..items.len() {
        items.swap(fixed, at);
        permutations(items, fixed + 1, visit);
        items.swap(fixed, at);
    }
}

/// Which facts are known at the end, and the status: of an attempt, and of a plain message.
fn told_in_order(order: &[Told]) -> (String, String) {
    let may_call = |_: &Route| Ok(());
    let context = |at: u64| Context {
        now: START.plus_millis(at),
        fresh: Fresh([u8::try_from(at).unwrap() + 1; 16]),
        may_call: &may_call,
        routes: &AllOpen,
    };
    let begin = step(None, &begin(&[(Channel::Whatsapp, 10_000)]), &context(0));
    let plain = NewMessage {
        addressee: addressee(),
        route: route(Channel::Sms, 0),
        payload: own_payload(),
        segments: 1,
        ucs2: false,
    };
    let both = step(begin.next, &Input::SendMessage(Box::new(plain)), &context(1));
    let ids = [begin.calls[0], both.calls[0]];
    let mut state = both.next;
    for (at, told) in order.iter().enumerate() {
        for (of, id) in ids.iter().enumerate() {
            let input = Input::Receipt {
                message: *id,
                kind: receipt(*told),
                facts: ReceiptFacts::default(),
            };
            state = step(state, &input, &context(10 + 2 * at as u64 + of as u64)).next;
        }
    }
    let state = state.expect("it is remembered for an hour");
    let facts = |d: &Delivery| {
        format!(
            "{:?} sent {} delivered {} read {} failed {}",
            d.status(),
            d.sent_at.is_some(),
            d.delivered_at.is_some(),
            d.read_at.is_some(),
            d.failed_at.is_some()
        )
    };
    (
        facts(&state.verifications[0].attempts[0].delivery),
        facts(&state.messages[0].delivery),
    )
}

/// Properties that no life reaches prove nothing.
#[test]
fn the_lives_are_interesting() {
    const RARE: [&str; 50] = [
        "approved",
        "expired",
        "canceled",
        "max_checks_reached",
        "failed",
        "fallback on failure",
        "fallback on silence",
        "no fallback: hourly limit",
        "no fallback: failure forbids",
        "retry",
        "withdrawn",
        "held back",
        "locked",
        "locked for good",
        "call without an answer",
        "receipt after the end",
        "repeated receipt",
        "resend on a step taken before",
        "refused: unknown",
        "refused: too soon",
        "refused: hourly limit",
        "refused: locked",
        "refused: not pending",
        "refused: other code",
        "refused: other binding",
        "refused: channel",
        "put off",
        "put off for its distance",
        "skipped",
        "may never",
        "not_on_channel",
        "breaker",
        "template",
        "messaging_limit",
        "country",
        "too_soon",
        "none open",
        "reachable",
        "unreachable",
        "reach forgotten",
        "an identity is known",
        "fallback though the identity changed",
        "another language",
        "priced",
        "disowned",
        "disowned after the end",
        "locked by its holder",
        "a document that stays",
        "repeated receipt",
        "no fallback: failure forbids",
    ];
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..600 {
        let life = life().new_tree(&mut runner).unwrap().current();
        let ledger = live(&mut Real, &life).unwrap_or_else(|b| panic!("law {} broken: {}", b.law, b.what));
        for (what, times) in ledger.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    println!("{seen:#?}");
    for rare in RARE {
        assert!(
            seen.get(rare).is_some_and(|times| *times >= 3),
            "{rare} was reached {:?} times",
            seen.get(rare)
        );
    }
}
