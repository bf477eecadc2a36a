//! Does a store answer as the memory store does? Random histories on both, every answer compared after each step.

use std::future::Future;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tapcode_core::delivery::ReceiptKind;
use tapcode_core::recipient::{Mode, Scope};
use tapcode_core::verification::Status;
use tapcode_engine::contract::provider::Billing;
use tapcode_engine::contract::store::{
    Browse, Commit, KeyCommit, Line, Page, Parked, REMEMBERED_MS, Store, StoreError, SubjectId, Sweep, ToldReceipt, Version,
};

use crate::memory::MemoryStore;
use crate::suite::samples::{
    BEGIN, act, api_key, approved, at, entry, everything, failed, handle, key, message_entry, message_id, message_snapshot,
    plain_message, purpose, recipient, remembered, scope, snapshot, verification, verification_id,
};

/// Histories that are played; each on an empty store.
const HISTORIES: u32 = 48;
const KEYS: u64 = 3;
const THINGS: u64 = 4;

/// Compares a store with the memory store, and panics with the shortest history on which they differ.
pub fn compare<T, F: Future<Output = (Arc<dyn Store>, T)>>(make: impl Fn() -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let config = Config {
        cases: HISTORIES,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&prop::collection::vec(action(), 1..25), |actions| {
        runtime.block_on(async {
            let (store, _kept) = make().await;
            play(&*store, &actions).await
        })
    });
    if let Err(difference) = result {
        panic!("{difference}");
    }
}

#[derive(Clone, Debug)]
enum Action {
    Commit(Vec<Sketch>),
    Park { sender: u8, name: u8, kind: usize, until: u64 },
    PutKey { n: u8, revoked: bool },
    Sweep { now: u64, history_before: u64, of_service: u64 },
    Erase { key: u64 },
}

/// A commit in small numbers.
#[derive(Clone, Debug)]
struct Sketch {
    key: u64,
    /// How far the expected version is from the one that is there; 0 most of the time.
    off: i64,
    delete: bool,
    due_at: Option<u64>,
    handles: Vec<(u8, u8)>,
    /// Verification or message, which, and whether it has ended.
    snapshots: Vec<(bool, u64, Option<u64>)>,
    /// About which thing, and when.
    entries: Vec<(Option<(bool, u64)>, u64)>,
    remembered: Option<(u64, u64)>,
}

fn action() -> impl Strategy<Value = Action> {
    let batch = prop::collection::vec(sketch(), 1..5).prop_map(Action::Commit);
    let park = (0..2u8, 0..3u8, 0..20usize, 0..100u64).prop_map(|(sender, name, kind, until)| Action::Park {
        sender,
        name,
        kind,
        until,
    });
    let put_key = (0..3u8, any::<bool>()).prop_map(|(n, revoked)| Action::PutKey { n, revoked });
    let sweep = (0..200u64, 0..120u64, 0..120u64).prop_map(|(now, history_before, of_service)| Action::Sweep {
        now,
        history_before,
        of_service,
    });
    let erase = (0..KEYS).prop_map(|key| Action::Erase { key });
    prop_oneof![8 => batch, 2 => park, 1 => put_key, 1 => sweep, 1 => erase]
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let off = prop_oneof![6 => Just(0i64), 1 => -2..3i64];
    let thing = || (any::<bool>(), 0..THINGS);
    (
        0..KEYS,
        off,
        prop::bool::weighted(0.2),
        prop::option::of(0..100u64),
        prop::collection::vec((0..2u8, 0..3u8), 0..3),
        prop::collection::vec((any::<bool>(), 0..THINGS, prop::option::of(0..100u64)), 0..3),
        prop::collection::vec((prop::option::of(thing()), 0..100u64), 0..3),
        prop::option::weighted(0.3, (0..3u64, 0..2u64)),
    )
        .prop_map(|(key, off, delete, due_at, handles, snapshots, entries, remembered)| Sketch {
            key,
            off,
            delete,
            due_at,
            handles,
            snapshots,
            entries,
            remembered,
        })
}

fn sender(n: u8) -> String {
    format!("sms:{n}")
}

fn kind(n: usize) -> ReceiptKind {
    match n {
        0 => ReceiptKind::Sent,
        1 => ReceiptKind::Delivered,
        2 => ReceiptKind::Read,
        n => failed(n),
    }
}

/// A thing's number tells whose it is for ever: the key, the scope and the moment it was made.
fn owner(n: u64) -> (u64, Scope) {
    (
        n % KEYS,
        if n % 4 == 3 {
            Scope {
                mode: Mode::Test,
                ..scope("acme")
            }
        } else {
            scope("acme")
        },
    )
}

fn commit(sketch: &Sketch, there: Option<Version>, step: u64) -> Commit {
    let made_at = |n: u64| at(n * 25);
    let expected = match (there, sketch.off) {
        (there, 0) => there,
        (Some(Version(there)), off) => there.checked_add_signed(off).filter(|v| *v > 0).map(Version),
        (None, off) => Some(Version(off.unsigned_abs())),
    };
    let snapshots = sketch.snapshots.iter().map(|&(is_verification, n, ended)| {
        let (owner, scope) = owner(n);
        if is_verification {
            let mut it = ended.map_or(verification(n, made_at(n)), |ended| {
                approved(n, made_at(n), at(ended).max(made_at(n)))
            });
            it.purpose = purpose(["login", "payment"][usize::try_from(n % 2).expect("0 or 1")]);
            snapshot(key(owner), scope, it)
        } else {
            message_snapshot(key(owner), scope, plain_message(n, made_at(n)))
        }
    });
    let entries = sketch.entries.iter().zip(0..).map(|(&(about, when), i)| match about {
        Some((true, n)) => entry(step * 10 + i, at(when), Some(verification_id(n, made_at(n)))),
        Some((false, n)) => message_entry(step * 10 + i, at(when), message_id(n, made_at(n))),
        None => entry(step * 10 + i, at(when), None),
    });
    Commit {
        key: key(sketch.key),
        expected,
        next: (!sketch.delete).then(|| recipient(step, BEGIN)),
        due_at: sketch.due_at.map(at),
        handles: sketch
            .handles
            .iter()
            .map(|&(from, name)| {
                handle(
                    &sender(from),
                    &name.to_string(),
                    message_id(name.into(), made_at(name.into())),
                )
            })
            .collect(),
        snapshots: snapshots.collect(),
        entries: entries.collect(),
        remembered: sketch.remembered.map(|(n, later)| remembered(n, at(later * REMEMBERED_MS))),
        act: step.is_multiple_of(3).then(|| act(1, at(step % 100))),
    }
}

async fn play(store: &dyn Store, actions: &[Action]) -> Result<(), TestCaseError> {
    let memory = MemoryStore::new();
    for (action, step) in actions.iter().zip(1..) {
        match action {
            Action::Commit(sketches) => {
                let mut batch = Vec::new();
                for sketch in sketches {
                    let there = memory.load(&key(sketch.key)).await.map_err(fail)?.map(|found| found.version);
                    batch.push(commit(sketch, there, step * 100 + u64::try_from(batch.len()).expect("few")));
                }
                let (expected, found) = (memory.commit(batch.clone()).await, store.commit(batch).await);
                prop_assert_eq!(words(expected), words(found), "results of step {}", step);
            }
            Action::Park {
                sender: from,
                name,
                kind: n,
                until,
            } => {
                let (from, name) = (sender(*from), name.to_string());
                let parked = Parked {
                    sender: from.into(),
                    provider_message_id: name.into(),
                    told: ToldReceipt {
                        kind: kind(*n),
                        billing: (until % 2 == 0).then_some(Billing::Free),
                        identity: None,
                    },
                };
                let expected = memory.park(&parked, at(*until)).await;
                let found = store.park(&parked, at(*until)).await;
                prop_assert_eq!(words(vec![expected]), words(vec![found]), "parking in step {}", step);
            }
            Action::PutKey { n, revoked } => {
                let mut new = api_key(*n, at((*n).into()));
                new.revoked_at = revoked.then_some(at(step));
                let commit = KeyCommit {
                    // Now and then one that is stale.
                    expected: Some(Version(step % 3)).filter(|_| step.is_multiple_of(2)),
                    next: new,
                    act: Some(act(*n, at(step))),
                };
                let (expected, found) = (memory.commit_key(&commit).await, store.commit_key(&commit).await);
                prop_assert_eq!(words(vec![expected]), words(vec![found]), "a key in step {}", step);
                memory.note_key_used(commit.next.id, at(step)).await.map_err(fail)?;
                store.note_key_used(commit.next.id, at(step)).await.map_err(fail)?;
            }
            Action::Sweep {
                now,
                history_before,
                of_service,
            } => {
                // The first answers expire within the range of `now`.
                let now = at(*now).plus_millis(REMEMBERED_MS - 100);
                let sweep = Sweep {
                    now,
                    written_before_hour: 0,
                    history_before: at(*history_before),
                    services: vec![(scope("acme").service, at(*of_service))],
                    acts_before: at(*history_before / 4),
                    limit: 10_000,
                };
                let (expected, found) = (
                    memory.sweep(&sweep).await.map_err(fail)?,
                    store.sweep(&sweep).await.map_err(fail)?,
                );
                prop_assert_eq!(expected, found, "rows swept in step {}", step);
            }
            Action::Erase { key: n } => {
                let (expected, found) = (
                    memory.erase(&key(*n), 10_000).await.map_err(fail)?,
                    store.erase(&key(*n), 10_000).await.map_err(fail)?,
                );
                prop_assert_eq!(expected, found, "rows erased in step {}", step);
            }
        }
        same_answers(&memory, store).await.map_err(|error| match error {
            TestCaseError::Fail(reason) => TestCaseError::fail(format!("after step {step}: {reason}")),
            reject @ TestCaseError::Reject(_) => reject,
        })?;
    }
    Ok(())
}

fn fail(error: StoreError) -> TestCaseError {
    TestCaseError::fail(format!("a healthy store is available: {error:?}"))
}

fn words(results: Vec<Result<(), StoreError>>) -> Vec<&'static str> {
    let word = |result| match result {
        Ok(()) => "written",
        Err(StoreError::Conflict) => "conflict",
        Err(StoreError::Unavailable(_)) => "unavailable",
    };
    results.into_iter().map(word).collect()
}

/// Asks both stores everything that can be asked.
async fn same_answers(memory: &MemoryStore, store: &dyn Store) -> Result<(), TestCaseError> {
    macro_rules! same {
        ($ask:ident($($argument:expr),*)) => {
            prop_assert_eq!(
                memory.$ask($($argument),*).await.map_err(fail)?,
                store.$ask($($argument),*).await.map_err(fail)?,
                "answers of {}", stringify!($ask($($argument),*))
            );
        };
    }
    for n in 0..KEYS {
        let there = |found: Option<tapcode_engine::contract::store::Versioned<_>>| found.map(|v| (v.version, v.value));
        let (expected, found) = (
            memory.load(&key(n)).await.map_err(fail)?,
            store.load(&key(n)).await.map_err(fail)?,
        );
        prop_assert_eq!(there(expected), there(found), "document {}", n);
    }
    for n in 0..KEYS {
        same!(history(&key(n), None, 3));
        same!(history(&key(n), Some(SubjectId::Message(message_id(0, at(0)))), 100));
        let sorted = |mut beside: tapcode_engine::contract::store::Beside| {
            beside.answers.sort_unstable();
            beside
        };
        let (expected, found) = (
            memory.beside(&key(n), 100).await.map_err(fail)?,
            store.beside(&key(n), 100).await.map_err(fail)?,
        );
        prop_assert_eq!(sorted(expected), sorted(found), "beside {}", n);
    }
    for (moment, limit) in [(30, 10), (100, 2), (100, 10)] {
        same!(due(at(moment), limit));
    }
    same!(scheduled());
    for from in 0..2 {
        for name in 0..3u8 {
            same!(find(&sender(from), &name.to_string()));
            same!(parked(&sender(from), &name.to_string()));
        }
    }
    for n in 0..THINGS {
        for id in [
            SubjectId::Verification(verification_id(n, at(n * 25))),
            SubjectId::Message(message_id(n, at(n * 25))),
        ] {
            same!(snapshot(id));
            same!(timeline(id, 100));
            same!(timeline(id, 1));
        }
    }
    for n in 0..3 {
        for later in [0, REMEMBERED_MS - 50, REMEMBERED_MS] {
            same!(remembered(&remembered(n, BEGIN).key, at(later)));
        }
        let digest = [u8::try_from(n).expect("few"); 32];
        same!(key(&digest));
    }
    same!(keys());
    same!(keys_version());
    same!(acts(None, 1_000));
    same_lists(memory, store).await?;
    // Places may differ between stores; their order may not.
    let (expected, found) = (
        memory.lines(None, 10_000).await.map_err(fail)?,
        store.lines(None, 10_000).await.map_err(fail)?,
    );
    prop_assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "places increase");
    prop_assert_eq!(
        store.newest().await.map_err(fail)?,
        found.last().map(|(place, _)| *place),
        "the newest place"
    );
    let half = found.len() / 2;
    if let Some((place, _)) = found.get(half) {
        prop_assert_eq!(
            &store.lines(Some(*place), 10_000).await.map_err(fail)?,
            &found[half + 1..],
            "entries behind a place"
        );
    }
    let entries = |log: Vec<(_, Line)>| log.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>();
    prop_assert_eq!(entries(expected), entries(found), "the log");
    Ok(())
}

async fn same_lists(memory: &MemoryStore, store: &dyn Store) -> Result<(), TestCaseError> {
    for mode in [Mode::Live, Mode::Test] {
        let all = everything(Scope { mode, ..scope("acme") }, 2);
        let lists = [
            all.clone(),
            Browse {
                key: Some(key(0)),
                ..all.clone()
            },
            Browse {
                status: Some(Status::Approved),
                ..all.clone()
            },
            Browse {
                purpose: Some(purpose("login")),
                ..all.clone()
            },
            Browse {
                after: Some(at(25)),
                before: Some(at(75)),
                limit: 1,
                ..all.clone()
            },
        ];
        for list in lists {
            let walks = (walk(memory, &list).await?, walk(store, &list).await?);
            prop_assert_eq!(walks.0, walks.1, "{:?}", list);
        }
    }
    Ok(())
}

async fn walk(store: &dyn Store, list: &Browse) -> Result<Vec<tapcode_engine::contract::store::Snapshot>, TestCaseError> {
    let (mut list, mut rows) = (list.clone(), Vec::new());
    loop {
        let Page { snapshots, next } = store.browse(&list).await.map_err(fail)?;
        rows.extend(snapshots);
        match next {
            Some(next) if list.cursor.is_none_or(|last| next < last) => list.cursor = Some(next),
            Some(next) => return Err(TestCaseError::fail(format!("the walk stands still at {next}"))),
            None => return Ok(rows),
        }
    }
}
