//! What must hold for every webhook endpoint, however it behaves?

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use tapcode_core::endpoint::{
    AT_ONCE_MAX, DISABLED_AFTER_MS, Endpoint, EndpointDecision, EndpointInput, EndpointSecret, LEASE_MS, PAUSE_AFTER,
    PAUSE_FIRST_MS, PAUSE_LAST_MS, RETRIES_MAX, RETRY_AFTER_MAX_MS, SECRETS_MAX, TRIED_FOR_MS, TRIES_KEPT, Told, Tried,
    Unanswered, WhyDisabled, step,
};
use tapcode_core::id::EventId;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::Sealed;

use crate::life::START;

fn endpoint() -> Endpoint {
    Endpoint {
        service: ServiceName::parse("acme").unwrap(),
        mode: Mode::Live,
        url: "https://acme.example/hooks".into(),
        types: Vec::new(),
        description: "".into(),
        created_at: START,
        secrets: vec![EndpointSecret {
            sealed: sealed(0),
            until: None,
        }],
        after: 0,
        retries: Vec::new(),
        tries: VecDeque::new(),
        failing: None,
        disabled: None,
        lease: None,
    }
}

fn sealed(n: u8) -> Sealed {
    Sealed(Box::from([n]))
}

/// The one announcement of the line at a place.
fn event(place: u64) -> EventId {
    EventId::new(START, u128::from(place).to_be_bytes())
}

fn tried(place: u64, told: Told) -> Tried {
    Tried {
        event: event(place),
        place,
        told,
        took_ms: 7,
        jitter: 0,
    }
}

const TAKEN: Told = Told::Taken { status: 204 };
const REFUSED: Told = Told::Refused {
    status: 500,
    retry_after_ms: None,
};

/// What a process does with an endpoint: tells what is to be told, of a log of so many lines, and writes down what came of it.
/// Returns the places that were told.
fn tell(
    endpoint: &mut Endpoint,
    lines: u64,
    now: Timestamp,
    answer: &mut dyn FnMut(u64) -> Told,
) -> (Vec<u64>, Vec<EndpointDecision>) {
    let work = endpoint.work(now);
    let to = lines.min(endpoint.after + work.new as u64);
    let places: Vec<u64> = work
        .retries
        .iter()
        .map(|(_, place)| *place)
        .chain(endpoint.after + 1..=to)
        .collect();
    let tried = places.iter().map(|place| tried(*place, answer(*place))).collect();
    let input = EndpointInput::Tried {
        tried,
        lines: Some((endpoint.after, to)),
        vanished: Vec::new(),
    };
    let (next, decisions) = step(endpoint.clone(), &input, now);
    *endpoint = next;
    (places, decisions)
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        6 => Just(TAKEN),
        3 => Just(REFUSED),
        1 => (0..10_000_000u64).prop_map(|ms| Told::Refused { status: 429, retry_after_ms: Some(ms) }),
        1 => prop::sample::select(Unanswered::ALL.to_vec()).prop_map(Told::Unanswered),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Nothing is lost and nothing piles up: whatever an endpoint was to be told it took, or it waits, or it was given up after a
    /// whole day of tries; and once it takes what it is told, everything that waits arrives.
    #[test]
    fn every_announcement_is_taken_or_waits_or_was_tried_for_a_day(
        answers in prop::collection::vec((told(), any::<bool>(), 0..4_000_000u64, 0..60u64), 1..150),
    ) {
        let (mut endpoint, mut now, mut lines) = (endpoint(), START, 0);
        let (mut taken, mut given_up, mut first) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for (told, all_alike, wait_ms, more) in answers {
            now = now.plus_millis(wait_ms);
            lines += more;
            let before = endpoint.clone();
            let (places, decisions) = tell(&mut endpoint, lines, now, &mut |place| if all_alike || place % 7 == 0 { told } else { TAKEN });
            prop_assert!(places.len() <= AT_ONCE_MAX && endpoint.retries.len() <= RETRIES_MAX && endpoint.tries.len() <= TRIES_KEPT);
            prop_assert!(!before.is_paused() || places.len() <= 1, "a paused endpoint is probed by one");
            prop_assert!(before.disabled.is_none() || places.is_empty());
            for place in places {
                let first = *first.entry(place).or_insert(now);
                let waits = before.retries.iter().find(|r| r.place == place);
                prop_assert!(waits.is_none_or(|r| r.next_at <= now || before.is_paused()), "not before its time");
                prop_assert!(!taken.contains(&place), "what was taken is not told again");
                let was_given_up = decisions.contains(&EndpointDecision::GivenUp(event(place)));
                if was_given_up {
                    prop_assert!(now >= first.plus_millis(TRIED_FOR_MS));
                    given_up.insert(place);
                } else if !endpoint.retries.iter().any(|r| r.place == place) {
                    taken.insert(place);
                }
            }
            let waiting = endpoint.retries.iter().map(|r| r.place);
            let known: BTreeSet<u64> = waiting.chain(taken.iter().copied()).chain(given_up.iter().copied()).collect();
            prop_assert_eq!(known, (1..=endpoint.after).collect(), "whatever was passed is taken, waiting or given up");
        }
        if endpoint.disabled.is_some() {
            endpoint = step(endpoint, &EndpointInput::Enable, now).0;
        }
        let mut rounds = 0;
        while endpoint.after < lines || !endpoint.retries.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 2_000, "an end is near");
            let is_waiting = endpoint.work(now) == Default::default() || endpoint.after >= lines;
            now = endpoint.due_at(endpoint.after < lines).filter(|_| is_waiting).unwrap_or(now).max(now);
            tell(&mut endpoint, lines, now, &mut |_| TAKEN);
        }
        prop_assert_eq!((&endpoint.failing, endpoint.disabled), (&None, None));
    }
}

#[test]
fn who_refuses_one_after_another_is_paused_and_asked_ever_less_often() {
    let (mut endpoint, mut now) = (endpoint(), START);
    tell(&mut endpoint, 100, now, &mut |_| REFUSED);
    assert_eq!(
        endpoint.retries.len(),
        AT_ONCE_MAX,
        "those that were under way when it began to fail"
    );
    let mut waits = Vec::new();
    for _ in 0..10 {
        let until = endpoint.due_at(false).unwrap();
        assert_eq!(endpoint.work(until.minus_millis(1)), Default::default());
        waits.push(until.millis_since(now));
        now = until;
        assert_eq!(tell(&mut endpoint, 100, now, &mut |_| REFUSED).0.len(), 1, "a probe");
    }
    assert_eq!(
        waits[..4],
        [PAUSE_FIRST_MS, 2 * PAUSE_FIRST_MS, 4 * PAUSE_FIRST_MS, 8 * PAUSE_FIRST_MS]
    );
    assert_eq!(waits[9], PAUSE_LAST_MS);
    assert_eq!(endpoint.retries.len(), AT_ONCE_MAX, "probes leave nothing behind");
    now = endpoint.due_at(false).unwrap();
    tell(&mut endpoint, 100, now, &mut |_| TAKEN);
    let all: BTreeSet<u64> = [
        tell(&mut endpoint, 100, now, &mut |_| TAKEN).0,
        tell(&mut endpoint, 100, now, &mut |_| TAKEN).0,
    ]
    .concat()
    .into_iter()
    .collect();
    assert_eq!(all.len(), 99, "once it takes one, it is told the others at once");
}

#[test]
fn one_that_is_refused_holds_up_no_other_and_is_given_up_after_a_day() {
    let (mut endpoint, mut now) = (endpoint(), START);
    let mut only_third = |place| if place == 3 { REFUSED } else { TAKEN };
    let (_, decisions) = tell(&mut endpoint, 10, now, &mut only_third);
    assert_eq!((endpoint.after, endpoint.retries.len(), decisions.len()), (10, 1, 0));
    let mut offsets = Vec::new();
    let given_up = loop {
        now = endpoint.due_at(false).unwrap();
        offsets.push(now.millis_since(START));
        let (places, decisions) = tell(&mut endpoint, 10, now, &mut only_third);
        assert_eq!(places, [3]);
        if let Some(decision) = decisions.first() {
            break *decision;
        }
    };
    assert_eq!(given_up, EndpointDecision::GivenUp(event(3)));
    assert_eq!(offsets[..2], [5_000, 300_000]);
    assert!((TRIED_FOR_MS..TRIED_FOR_MS + PAUSE_LAST_MS).contains(offsets.last().unwrap()));
    assert!(endpoint.retries.is_empty() && endpoint.due_at(false).is_none());
}

#[test]
fn gone_is_gone_and_five_days_of_nothing_are_enough() {
    let mut gone = endpoint();
    let (_, decisions) = tell(&mut gone, 1, START, &mut |_| Told::Refused {
        status: 410,
        retry_after_ms: None,
    });
    assert_eq!(decisions, [EndpointDecision::Disabled(WhyDisabled::Gone)]);
    assert_eq!(
        (gone.work(START.plus_millis(1 << 40)), gone.due_at(false)),
        (Default::default(), None)
    );

    let (mut failing, mut now, mut told) = (endpoint(), START, Vec::new());
    while failing.disabled.is_none() {
        now = now.max(failing.due_at(true).unwrap_or(now));
        told.extend(tell(&mut failing, 1_000_000, now, &mut |_| REFUSED).1);
    }
    assert!((DISABLED_AFTER_MS..DISABLED_AFTER_MS + PAUSE_LAST_MS).contains(&now.millis_since(START)));
    assert_eq!(
        told.last().map(|_| told
            .iter()
            .filter(|d| matches!(d, EndpointDecision::Disabled(WhyDisabled::Failing)))
            .count()),
        Some(1)
    );
    let (enabled, _) = step(failing, &EndpointInput::Enable, now);
    assert_ne!(enabled.work(now), Default::default(), "an operator may begin anew");
}

#[test]
fn who_says_when_to_come_again_is_believed_for_an_hour_at_most() {
    for (wish_ms, wait_ms) in [(30_000, 30_000), (86_400_000, RETRY_AFTER_MAX_MS)] {
        let mut endpoint = endpoint();
        tell(&mut endpoint, 1, START, &mut |_| Told::Refused {
            status: 429,
            retry_after_ms: Some(wish_ms),
        });
        assert_eq!(endpoint.due_at(false), Some(START.plus_millis(wait_ms)));
    }
}

#[test]
fn a_replay_that_meets_tries_under_way_is_not_lost() {
    let mut endpoint = endpoint();
    tell(&mut endpoint, 10, START, &mut |_| TAKEN);
    let under_way = EndpointInput::Tried {
        tried: vec![tried(11, TAKEN)],
        lines: Some((10, 11)),
        vanished: Vec::new(),
    };
    let (endpoint, _) = step(endpoint, &EndpointInput::Replay { after: 4 }, START);
    let (endpoint, _) = step(endpoint, &under_way, START);
    assert_eq!(endpoint.after, 4);
    let (endpoint, _) = step(endpoint, &EndpointInput::Replay { after: 9 }, START);
    assert_eq!(endpoint.after, 4, "what lies ahead is told anyway");
}

#[test]
fn a_new_secret_signs_beside_the_old_one_for_a_while() {
    let (mut endpoint, hour) = (endpoint(), 3_600_000);
    for n in 1..=5 {
        let input = EndpointInput::Rotate {
            sealed: sealed(n),
            until: START.plus_millis(hour),
        };
        endpoint = step(endpoint, &input, START).0;
        assert!(endpoint.secrets.len() <= SECRETS_MAX);
    }
    let signing = |at| endpoint.signing(at).map(|s| s.sealed.0[0]).collect::<Vec<_>>();
    assert_eq!(signing(START), [5, 4, 3]);
    assert_eq!(signing(START.plus_millis(hour)), [5]);
}

#[test]
fn one_process_tells_it_and_another_takes_over_when_that_one_is_gone() {
    let lease = |endpoint, holder, at| step(endpoint, &EndpointInput::Lease { holder }, at).0;
    let held = lease(endpoint(), 1, START);
    assert!(held.is_held_by_another(2, START) && !held.is_held_by_another(1, START));
    let still = lease(held, 2, START.plus_millis(LEASE_MS - 1));
    assert!(still.is_held_by_another(2, START.plus_millis(LEASE_MS - 1)));
    let taken_over = lease(still, 2, START.plus_millis(LEASE_MS));
    assert!(taken_over.is_held_by_another(1, START.plus_millis(LEASE_MS)));
    let release = |endpoint, holder| step(endpoint, &EndpointInput::Release { holder }, START).0;
    let still = release(taken_over, 1);
    assert!(still.lease.is_some(), "only who holds it");
    assert!(release(still, 2).lease.is_none());
}

#[test]
fn a_few_failures_are_no_pause() {
    let mut endpoint = endpoint();
    for place in 0..PAUSE_AFTER - 1 {
        let input = EndpointInput::Tried {
            tried: vec![tried(u64::from(place) + 1, REFUSED)],
            lines: None,
            vanished: Vec::new(),
        };
        endpoint = step(endpoint, &input, START).0;
    }
    assert!(!endpoint.is_paused() && endpoint.work(START).new > 1);
}
