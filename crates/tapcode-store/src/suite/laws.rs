//! Which laws hold for every store? Each function holds one against an empty store and panics when it is broken.

use std::sync::Arc;

use tapcode_core::account::{AccountEntry, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::delivery::ReceiptKind;
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, MessageId, VerificationId};
use tapcode_core::recipient::{Mode, Scope, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::verification::{Sealed, Status};
use tapcode_engine::contract::provider::Billing;
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, BATCH_MAX, BROWSE_ROWS_MAX, Browse, Commit, EndpointCommit, KeyCommit, Line, PARKED_MAX,
    PARKED_PER_MESSAGE_MAX, Parked, Place, Rate, Store, StoreError, Subject, SubjectId, Sweep, TallyCommit, TallyRow,
    ToldReceipt, Version, Written,
};
use tapcode_engine::rates::Category;
use tokio::task::JoinSet;

use crate::suite::samples::{
    BEGIN, account_commit, act, api_key, approved, at, begin, endpoint_commit, entry, everything, failed, first, handle, key,
    message_entry, message_id, message_snapshot, next, plain_message, purpose, recipient, remembered, scope, snapshot, tally_row,
    verification, verification_id,
};

pub use crate::suite::privacy::{
    a_recipients_history_is_walked, a_service_may_keep_less, an_erasure_is_bounded, what_is_erased_is_gone_and_nothing_else,
};

type Shared = Arc<dyn Store>;

/// Commits alone; `true`: written, `false`: a conflict.
async fn commit(store: &Shared, commit: Commit) -> bool {
    let results = commit_all(store, vec![commit]).await;
    results[0]
}

async fn commit_all(store: &Shared, batch: Vec<Commit>) -> Vec<bool> {
    let count = batch.len();
    let results = store.commit(batch).await;
    assert_eq!(results.len(), count, "one result per commit");
    results
        .into_iter()
        .map(|result| match result {
            Ok(()) => true,
            Err(StoreError::Conflict) => false,
            Err(error @ StoreError::Unavailable(_)) => panic!("a healthy store is available: {error:?}"),
        })
        .collect()
}

async fn version(store: &Shared, n: u64) -> Option<u64> {
    store.load(&key(n)).await.unwrap().map(|found| found.version.0)
}

async fn log(store: &Shared) -> Vec<Entry> {
    let entries = store.lines(None, usize::MAX).await.unwrap();
    assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0), "places increase");
    assert_eq!(
        store.newest().await.unwrap(),
        entries.last().map(|(place, _)| *place),
        "the newest is the last"
    );
    entries.into_iter().map(|(_, line)| about_a_recipient(line)).collect()
}

fn about_a_recipient(line: Line) -> Entry {
    match line {
        Line::Recipient(entry) => entry,
        line @ (Line::Account(_) | Line::Endpoint(_)) => panic!("nothing here wrote {line:?}"),
    }
}

fn bare(sender: &str, provider_message_id: &str, kind: &ReceiptKind) -> Parked {
    Parked {
        sender: sender.into(),
        provider_message_id: provider_message_id.into(),
        told: told(kind),
    }
}

fn told(kind: &ReceiptKind) -> ToldReceipt {
    ToldReceipt {
        kind: kind.clone(),
        billing: None,
        identity: None,
    }
}

/// Every page of a walk, and what was on them.
async fn walk(store: &Shared, browse: &Browse) -> (usize, Vec<VerificationId>) {
    let mut browse = browse.clone();
    let (mut pages, mut ids) = (0, Vec::new());
    loop {
        let page = store.browse(&browse).await.unwrap();
        pages += 1;
        assert!(page.snapshots.len() <= browse.limit, "a page holds at most its limit");
        ids.extend(page.snapshots.iter().map(|s| match &s.subject {
            Subject::Verification(v) => v.id,
            Subject::Message(m) => panic!("{} is no verification", m.id),
        }));
        let Some(next) = page.next else { return (pages, ids) };
        assert!(browse.cursor.is_none_or(|last| next < last), "a walk goes on");
        browse.cursor = Some(next);
    }
}

const EVERYTHING_PAST: Sweep = Sweep {
    now: at(1_000_000_000_000),
    history_before: at(1_000_000_000_000),
    services: Vec::new(),
    acts_before: BEGIN,
    written_before_hour: u32::MAX,
    limit: 1_000_000,
};

/// What was never written is nothing, and no error.
pub async fn unknown_things_are_none(store: Shared) {
    assert!(store.load(&key(1)).await.unwrap().is_none());
    assert_eq!(store.find("whatsapp:1", "wamid.1").await.unwrap(), None);
    assert_eq!(store.parked("whatsapp:1", "wamid.1").await.unwrap(), []);
    assert_eq!(store.due(at(1_000_000), 10).await.unwrap(), []);
    assert_eq!(store.scheduled().await.unwrap(), 0);
    assert_eq!(
        store
            .snapshot(SubjectId::Verification(verification_id(1, BEGIN)))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.snapshot(SubjectId::Message(message_id(1, BEGIN))).await.unwrap(), None);
    let page = store.browse(&everything(scope("acme"), 10)).await.unwrap();
    assert!(page.snapshots.is_empty() && page.next.is_none());
    assert_eq!(store.lines(None, 10).await.unwrap(), []);
    assert_eq!(store.lines(Some(Place(u64::MAX)), 10).await.unwrap(), []);
    assert_eq!(store.newest().await.unwrap(), None);
    assert_eq!(
        store.timeline(SubjectId::Message(message_id(1, BEGIN)), 10).await.unwrap(),
        []
    );
    assert_eq!(store.remembered(&[0; 32], BEGIN).await.unwrap(), None);
    assert_eq!(store.key(&[0; 32]).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap(), []);
    assert_eq!(store.acts(None, 10).await.unwrap(), []);
    assert_eq!(store.sweep(&EVERYTHING_PAST).await.unwrap(), 0);
    assert!(store.commit(Vec::new()).await.is_empty());
}

/// What one commit names is all there afterwards, as it was given.
pub async fn a_commit_writes_every_part(store: Shared) {
    let given = begin(1, at(5));
    assert!(commit(&store, given.clone()).await);
    let found = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((Some(found.value), found.version), (given.next, Version(1)));
    assert_eq!(store.due(at(10_005), 10).await.unwrap(), [key(1)]);
    assert_eq!(
        store.find("whatsapp:1", "wamid.1").await.unwrap(),
        Some((key(1), message_id(1, at(5))))
    );
    let id = SubjectId::Verification(verification_id(1, at(5)));
    assert_eq!(store.snapshot(id).await.unwrap().as_ref(), given.snapshots.first());
    assert_eq!(log(&store).await, given.entries);
    assert_eq!(store.timeline(id, 10).await.unwrap(), given.entries);
    assert_eq!(
        store.remembered(&remembered(1, at(5)).key, at(6)).await.unwrap(),
        given.remembered
    );
}

/// A commit is written if and only if it expects the version that is there; versions count up from 1.
pub async fn a_version_is_used_once(store: Shared) {
    assert!(!commit(&store, next(1, 1)).await, "there is nothing to replace yet");
    assert!(commit(&store, first(1)).await);
    assert_eq!(version(&store, 1).await, Some(1));
    assert!(!commit(&store, first(1)).await, "there is a document already");
    for wrong in [0, 2, 3, u64::MAX] {
        assert!(!commit(&store, next(1, wrong)).await, "version {wrong} is not there");
    }
    for current in 1..5 {
        assert!(commit(&store, next(1, current)).await);
        assert!(!commit(&store, next(1, current)).await, "version {current} is past");
        let found = store.load(&key(1)).await.unwrap().unwrap();
        assert_eq!(
            (found.version, Some(found.value)),
            (Version(current + 1), next(1, current).next)
        );
    }
    assert_eq!(version(&store, 2).await, None, "another document is another matter");
}

/// A deletion expects a version like any other commit, and the next document of the key starts at version 1.
pub async fn a_deleted_document_starts_again_at_version_one(store: Shared) {
    let deletion = |version| Commit {
        next: None,
        ..next(1, version)
    };
    assert!(!commit(&store, deletion(1)).await, "there is nothing to delete");
    assert_eq!(commit_all(&store, vec![first(1), next(1, 1)]).await, [true, true]);
    assert!(!commit(&store, deletion(1)).await, "version 1 is past");
    assert!(
        commit(
            &store,
            Commit {
                due_at: Some(BEGIN),
                ..deletion(2)
            }
        )
        .await
    );
    assert_eq!(version(&store, 1).await, None);
    assert_eq!(
        store.due(at(1_000_000), 10).await.unwrap(),
        [],
        "what is deleted is never due"
    );
    assert!(!commit(&store, next(1, 2)).await, "there is nothing to replace");
    assert!(commit(&store, first(1)).await);
    assert_eq!(version(&store, 1).await, Some(1));
}

/// Of many commits that expect the same, exactly one is written, whether they come in one call each or in one batch.
pub async fn one_of_many_at_once_wins(store: Shared) {
    let numbered = |base: Commit, n: u64| Commit {
        entries: vec![entry(n, BEGIN, None)],
        ..base
    };
    for round in 0..8u64 {
        let mut racing = JoinSet::new();
        for n in 0..24 {
            let store = Arc::clone(&store);
            let base = if round == 0 { first(1) } else { next(1, round) };
            let batch = vec![numbered(base.clone(), 2 * n), numbered(base, 2 * n + 1)];
            racing.spawn(async move { commit_all(&store, batch).await });
        }
        let won: usize = racing.join_all().await.into_iter().flatten().map(usize::from).sum();
        assert_eq!(won, 1, "round {round}");
        assert_eq!(version(&store, 1).await, Some(round + 1));
        assert_eq!(
            log(&store).await.len(),
            usize::try_from(round).unwrap() + 1,
            "the others wrote nothing"
        );
    }
}

/// A commit that is refused leaves no trace of any of its parts.
pub async fn a_conflict_writes_nothing(store: Shared) {
    assert!(
        commit(
            &store,
            Commit {
                due_at: Some(at(1)),
                ..first(1)
            }
        )
        .await
    );
    let before = store.load(&key(1)).await.unwrap().unwrap();
    let everything_else = Commit {
        due_at: Some(at(2)),
        handles: vec![handle("sms:1", "refused", message_id(9, BEGIN))],
        snapshots: vec![
            snapshot(key(1), scope("acme"), verification(9, BEGIN)),
            message_snapshot(key(1), scope("acme"), plain_message(9, BEGIN)),
        ],
        entries: vec![entry(9, BEGIN, Some(verification_id(9, BEGIN)))],
        remembered: Some(remembered(9, BEGIN)),
        ..next(1, 1)
    };
    for expected in [None, Some(Version(2)), Some(Version(0))] {
        assert!(
            !commit(
                &store,
                Commit {
                    expected,
                    ..everything_else.clone()
                }
            )
            .await
        );
        assert!(
            !commit(
                &store,
                Commit {
                    expected,
                    next: None,
                    ..everything_else.clone()
                }
            )
            .await
        );
        let after = store.load(&key(1)).await.unwrap().unwrap();
        assert_eq!((after.value, after.version), (before.value.clone(), before.version));
        assert_eq!(store.due(at(1), 10).await.unwrap(), [key(1)]);
        assert_eq!(store.find("sms:1", "refused").await.unwrap(), None);
        assert_eq!(
            store
                .snapshot(SubjectId::Verification(verification_id(9, BEGIN)))
                .await
                .unwrap(),
            None
        );
        assert_eq!(store.snapshot(SubjectId::Message(message_id(9, BEGIN))).await.unwrap(), None);
        assert_eq!(log(&store).await, []);
        assert_eq!(
            store
                .timeline(SubjectId::Verification(verification_id(9, BEGIN)), 9)
                .await
                .unwrap(),
            []
        );
        assert_eq!(store.remembered(&remembered(9, BEGIN).key, BEGIN).await.unwrap(), None);
    }
    assert!(commit(&store, everything_else).await, "with the right version it is written");
}

/// A commit may leave the document absent and still write what belongs to the decision.
pub async fn a_commit_without_a_document_keeps_its_other_parts(store: Shared) {
    let refusal = Commit {
        next: None,
        entries: vec![entry(1, BEGIN, None)],
        remembered: Some(remembered(1, BEGIN)),
        ..first(1)
    };
    assert!(commit(&store, refusal).await);
    assert_eq!(version(&store, 1).await, None);
    assert_eq!(log(&store).await, [entry(1, BEGIN, None)]);
    assert!(store.remembered(&remembered(1, BEGIN).key, BEGIN).await.unwrap().is_some());
}

/// Each commit of a batch is decided on its own, and sees what the ones before it wrote.
pub async fn a_batch_is_decided_in_order_and_sees_itself(store: Shared) {
    let numbered = |base: Commit, n: u64| Commit {
        entries: vec![entry(n, BEGIN, None)],
        ..base
    };
    let batch = vec![
        numbered(first(1), 0),
        numbered(first(1), 1),
        numbered(next(1, 1), 2),
        numbered(next(1, 1), 3),
        numbered(first(2), 4),
        numbered(
            Commit {
                next: None,
                ..next(1, 2)
            },
            5,
        ),
        numbered(next(1, 2), 6),
        numbered(first(1), 7),
    ];
    assert_eq!(
        commit_all(&store, batch).await,
        [true, false, true, false, true, true, false, true]
    );
    assert_eq!((version(&store, 1).await, version(&store, 2).await), (Some(1), Some(1)));
    let expected: Vec<Entry> = [0, 2, 4, 5, 7].into_iter().map(|n| entry(n, BEGIN, None)).collect();
    assert_eq!(log(&store).await, expected);
    let full: Vec<Commit> = (0..u64::try_from(BATCH_MAX).unwrap()).map(|n| first(100 + n)).collect();
    assert!(
        commit_all(&store, full).await.into_iter().all(|written| written),
        "a full batch is taken"
    );
}

/// Of two commits with one idempotency key only the first is written, whichever documents they are about.
pub async fn a_remembered_key_is_a_conflict(store: Shared) {
    let with = |base: Commit| Commit {
        remembered: Some(remembered(7, BEGIN)),
        entries: vec![entry(1, BEGIN, None)],
        ..base
    };
    assert_eq!(commit_all(&store, vec![with(first(1)), with(first(2))]).await, [true, false]);
    assert!(!commit(&store, with(first(3))).await);
    assert!(!commit(&store, with(next(1, 1))).await);
    let later = Commit {
        remembered: Some(remembered(7, at(1))),
        ..first(3)
    };
    assert!(!commit(&store, later).await, "it has not expired yet");
    assert_eq!(
        (version(&store, 1).await, version(&store, 2).await, version(&store, 3).await),
        (Some(1), None, None)
    );
    assert_eq!(log(&store).await.len(), 1);
    let other = Commit {
        remembered: Some(remembered(8, BEGIN)),
        ..first(2)
    };
    assert!(commit(&store, other).await, "another key is another matter");

    let mut racing = JoinSet::new();
    for n in 10..30 {
        let store = Arc::clone(&store);
        racing.spawn(async move {
            commit(
                &store,
                Commit {
                    remembered: Some(remembered(9, BEGIN)),
                    ..first(n)
                },
            )
            .await
        });
    }
    let won: usize = racing.join_all().await.into_iter().map(usize::from).sum();
    assert_eq!(won, 1, "of many requests with one key one is done");
}

/// What is remembered is given until it expires, exclusive, and then makes room for the next.
pub async fn a_remembered_key_that_expired_is_replaced(store: Shared) {
    let old = remembered(7, BEGIN);
    assert!(
        commit(
            &store,
            Commit {
                remembered: Some(old.clone()),
                ..first(1)
            }
        )
        .await
    );
    assert_eq!(
        store
            .remembered(&old.key, old.expires_at.minus_millis(1))
            .await
            .unwrap()
            .as_ref(),
        Some(&old)
    );
    assert_eq!(store.remembered(&old.key, old.expires_at).await.unwrap(), None);
    let too_soon = remembered(7, old.expires_at.minus_millis(1));
    assert!(
        !commit(
            &store,
            Commit {
                remembered: Some(too_soon),
                ..first(2)
            }
        )
        .await
    );
    let mut new = remembered(7, old.expires_at);
    new.fingerprint = [1; 32];
    assert!(
        commit(
            &store,
            Commit {
                remembered: Some(new.clone()),
                ..first(2)
            }
        )
        .await
    );
    assert_eq!(store.remembered(&new.key, old.expires_at).await.unwrap(), Some(new));
}

/// What is due comes longest due first, at most the limit, and nothing before its time.
pub async fn due_documents_come_longest_due_first(store: Shared) {
    for (n, due) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
        assert!(
            commit(
                &store,
                Commit {
                    due_at: Some(at(due)),
                    ..first(n)
                }
            )
            .await
        );
    }
    assert!(commit(&store, first(5)).await, "a document need not be due at all");
    assert_eq!(store.due(at(9), 10).await.unwrap(), []);
    assert_eq!(store.due(at(10), 10).await.unwrap(), [key(2)], "at its moment it is due");
    assert_eq!(store.due(at(35), 10).await.unwrap(), [key(2), key(3), key(1)]);
    assert_eq!(store.due(at(35), 2).await.unwrap(), [key(2), key(3)]);
    assert_eq!(store.due(at(1_000), usize::MAX).await.unwrap().len(), 4);
    assert_eq!(store.scheduled().await.unwrap(), 4);
    assert_eq!(store.due(at(35), 10).await.unwrap().len(), 3, "looking claims nothing");
}

/// Each commit says anew when its document is due.
pub async fn the_due_index_follows_its_document(store: Shared) {
    assert!(
        commit(
            &store,
            Commit {
                due_at: Some(at(10)),
                ..first(1)
            }
        )
        .await
    );
    assert!(
        commit(
            &store,
            Commit {
                due_at: Some(at(50)),
                ..next(1, 1)
            }
        )
        .await
    );
    assert_eq!(store.due(at(49), 10).await.unwrap(), [], "it was put off");
    assert_eq!(store.due(at(50), 10).await.unwrap(), [key(1)], "once");
    assert!(commit(&store, next(1, 2)).await);
    assert_eq!(
        (store.due(at(1_000), 10).await.unwrap(), store.scheduled().await.unwrap()),
        (vec![], 0)
    );
    assert!(
        commit(
            &store,
            Commit {
                due_at: Some(at(5)),
                ..next(1, 3)
            }
        )
        .await
    );
    assert_eq!(
        (store.due(at(5), 10).await.unwrap(), store.scheduled().await.unwrap()),
        (vec![key(1)], 1)
    );
    assert!(
        commit(
            &store,
            Commit {
                next: None,
                ..next(1, 4)
            }
        )
        .await
    );
    assert_eq!(
        (store.due(at(1_000), 10).await.unwrap(), store.scheduled().await.unwrap()),
        (vec![], 0)
    );
}

/// A provider's message id leads to the document that named it last, for its own sender only.
pub async fn handles_belong_to_their_sender(store: Shared) {
    let named = |n: u64, sender: &str, message: u64| Commit {
        handles: vec![
            handle(sender, "SM1", message_id(message, BEGIN)),
            handle(sender, &format!("own.{n}"), message_id(n, BEGIN)),
        ],
        ..first(n)
    };
    assert_eq!(
        commit_all(&store, vec![named(1, "sms:1", 11), named(2, "sms:2", 12)]).await,
        [true, true]
    );
    assert_eq!(
        store.find("sms:1", "SM1").await.unwrap(),
        Some((key(1), message_id(11, BEGIN)))
    );
    assert_eq!(
        store.find("sms:2", "SM1").await.unwrap(),
        Some((key(2), message_id(12, BEGIN)))
    );
    assert_eq!(
        store.find("sms:1", "own.1").await.unwrap(),
        Some((key(1), message_id(1, BEGIN)))
    );
    assert_eq!(store.find("sms:3", "SM1").await.unwrap(), None);
    assert_eq!(store.find("sms:1", "sm1").await.unwrap(), None, "upper and lower case differ");
    assert!(commit(&store, named(3, "sms:1", 13)).await);
    assert_eq!(
        store.find("sms:1", "SM1").await.unwrap(),
        Some((key(3), message_id(13, BEGIN))),
        "the last one counts"
    );
}

/// Receipts wait in the order they came, each once, for their own sender's message.
pub async fn parked_receipts_wait_in_order(store: Shared) {
    let kinds = [ReceiptKind::Read, failed(131_026), ReceiptKind::Sent, ReceiptKind::Delivered];
    for kind in &kinds {
        store.park(&bare("whatsapp:1", "wamid.1", kind), at(100)).await.unwrap();
    }
    store
        .park(&bare("whatsapp:1", "wamid.1", &ReceiptKind::Read), at(100))
        .await
        .unwrap();
    store
        .park(&bare("sms:1", "wamid.1", &ReceiptKind::Sent), at(100))
        .await
        .unwrap();
    store
        .park(&bare("whatsapp:1", "wamid.2", &ReceiptKind::Delivered), at(100))
        .await
        .unwrap();
    let waiting: Vec<_> = kinds.iter().map(told).collect();
    assert_eq!(store.parked("whatsapp:1", "wamid.1").await.unwrap(), waiting);
    assert_eq!(
        store.parked("whatsapp:1", "wamid.1").await.unwrap(),
        waiting,
        "looking takes nothing"
    );
    assert_eq!(store.parked("sms:1", "wamid.1").await.unwrap(), [told(&ReceiptKind::Sent)]);
    assert_eq!(
        store.parked("whatsapp:1", "wamid.2").await.unwrap(),
        [told(&ReceiptKind::Delivered)]
    );
    // Repeated, a receipt waits as long as the last one asked.
    store
        .park(&bare("sms:1", "wamid.1", &ReceiptKind::Sent), at(200))
        .await
        .unwrap();
    store
        .park(&bare("sms:1", "wamid.1", &ReceiptKind::Sent), at(50))
        .await
        .unwrap();
    let sweep = Sweep {
        now: at(100),
        history_before: BEGIN,
        services: Vec::new(),
        acts_before: BEGIN,
        written_before_hour: 0,
        limit: 100,
    };
    assert_eq!(store.sweep(&sweep).await.unwrap(), kinds.len() + 1);
    assert_eq!(store.parked("whatsapp:1", "wamid.1").await.unwrap(), []);
    assert_eq!(store.parked("sms:1", "wamid.1").await.unwrap(), [told(&ReceiptKind::Sent)]);
}

/// What a receipt tells besides its kind is kept as it was first told, whatever is told again.
pub async fn parked_receipts_keep_what_they_tell(store: Shared) {
    let with = |billing, identity: Option<&[u8]>| Parked {
        told: ToldReceipt {
            kind: ReceiptKind::Delivered,
            billing,
            identity: identity.map(|bytes| Sealed(bytes.into())),
        },
        ..bare("whatsapp:1", "wamid.1", &ReceiptKind::Delivered)
    };
    let first = with(Some(Billing::Category(Category::AuthenticationInternational)), Some(b"one"));
    store.park(&first, at(100)).await.unwrap();
    store.park(&with(Some(Billing::Free), Some(b"two")), at(100)).await.unwrap();
    let disowned = bare("whatsapp:1", "wamid.1", &ReceiptKind::Disowned);
    store.park(&disowned, at(100)).await.unwrap();
    let waiting = store.parked("whatsapp:1", "wamid.1").await.unwrap();
    assert_eq!(waiting, [first.told, disowned.told]);
    let other = Parked {
        provider_message_id: "wamid.2".into(),
        ..with(Some(Billing::Unknown), None)
    };
    store.park(&other, at(100)).await.unwrap();
    assert_eq!(store.parked("whatsapp:1", "wamid.2").await.unwrap(), [other.told]);
}

async fn commit_account(store: &Shared, commit: &AccountCommit) -> bool {
    match store.commit_account(commit).await {
        Ok(()) => true,
        Err(StoreError::Conflict) => false,
        Err(error @ StoreError::Unavailable(_)) => panic!("a healthy store is available: {error:?}"),
    }
}

async fn accounts_in_log(store: &Shared) -> Vec<AccountEntry> {
    let lines = store.lines(None, usize::MAX).await.unwrap();
    let accounts = lines.into_iter().filter_map(|(_, line)| match line {
        Line::Account(entry) => Some(entry),
        Line::Recipient(_) | Line::Endpoint(_) => None,
    });
    accounts.collect()
}

/// An account is replaced by compare-and-swap, with its line of the log or not at all.
pub async fn a_version_of_an_account_is_used_once(store: Shared) {
    let name = account_commit(1, None).name;
    assert!(store.account(&name).await.unwrap().is_none());
    assert!(
        !commit_account(&store, &account_commit(1, Some(1))).await,
        "there is none to replace"
    );
    let first = account_commit(1, None);
    assert!(commit_account(&store, &first).await);
    let found = store.account(&name).await.unwrap().unwrap();
    assert_eq!((found.version, &found.value), (Version(1), &first.next));
    assert!(
        !commit_account(&store, &account_commit(2, None)).await,
        "there is one already"
    );
    let second = account_commit(2, Some(1));
    assert!(commit_account(&store, &second).await);
    assert!(
        !commit_account(&store, &account_commit(3, Some(1))).await,
        "version 1 was replaced"
    );
    let found = store.account(&name).await.unwrap().unwrap();
    assert_eq!((found.version, found.value), (Version(2), second.next));
    assert_eq!(
        accounts_in_log(&store).await,
        [first.entry.unwrap(), second.entry.unwrap()],
        "a conflict writes no line"
    );
    let silent = AccountCommit {
        entry: None,
        ..account_commit(4, Some(2))
    };
    assert!(commit_account(&store, &silent).await);
    assert_eq!(accounts_in_log(&store).await.len(), 2);
    let mut other = account_commit(5, None);
    other.name = AccountName::parse("sms:42").unwrap();
    assert!(
        commit_account(&store, &other).await,
        "another account has versions of its own"
    );
}

/// A webhook endpoint is replaced and deleted by compare-and-swap, with its line of the log or not at all.
pub async fn a_version_of_an_endpoint_is_used_once(store: Shared) {
    let id = endpoint_commit(1, None).id;
    assert!(store.endpoint(id).await.unwrap().is_none());
    assert_eq!(store.endpoints().await.unwrap(), []);
    assert!(
        refused(store.commit_endpoint(&endpoint_commit(1, Some(1))).await),
        "there is none"
    );
    let first = endpoint_commit(1, None);
    store.commit_endpoint(&first).await.unwrap();
    let found = store.endpoint(id).await.unwrap().unwrap();
    assert_eq!((found.version, Some(found.value)), (Version(1), first.next));
    assert!(
        refused(store.commit_endpoint(&endpoint_commit(2, None)).await),
        "there is one already"
    );
    let second = endpoint_commit(2, Some(1));
    store.commit_endpoint(&second).await.unwrap();
    assert!(
        refused(store.commit_endpoint(&endpoint_commit(3, Some(1))).await),
        "version 1 was replaced"
    );
    let found = store.endpoint(id).await.unwrap().unwrap();
    assert_eq!((found.version, Some(found.value)), (Version(2), second.next));
    let other = EndpointCommit {
        id: EndpointId::new(at(2), [9; 16]),
        entry: None,
        ..endpoint_commit(1, None)
    };
    store.commit_endpoint(&other).await.unwrap();
    assert_eq!(
        store.endpoints().await.unwrap(),
        [(id, Version(2)), (other.id, Version(1))],
        "oldest first"
    );
    let gone = |version| EndpointCommit {
        next: None,
        entry: None,
        ..endpoint_commit(1, Some(version))
    };
    assert!(refused(store.commit_endpoint(&gone(1)).await));
    store.commit_endpoint(&gone(2)).await.unwrap();
    assert_eq!(store.endpoints().await.unwrap(), [(other.id, Version(1))]);
    assert!(store.endpoint(id).await.unwrap().is_none());
    let lines = store.lines(None, 10).await.unwrap();
    let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
    let entries = [first.entry, second.entry].map(|entry| Line::Endpoint(entry.expect("the samples tell something")));
    assert_eq!(lines, entries, "a conflict writes no line");
}

/// Lines about accounts and about recipients stand in one order, and a timeline is about a recipient's things only.
pub async fn the_log_is_one(store: Shared) {
    assert!(commit_account(&store, &account_commit(1, None)).await);
    let entries = vec![entry(1, BEGIN, None)];
    assert!(commit(&store, Commit { entries, ..first(1) }).await);
    assert!(commit_account(&store, &account_commit(2, Some(1))).await);
    let lines = store.lines(None, usize::MAX).await.unwrap();
    let is_account: Vec<bool> = lines.iter().map(|(_, line)| matches!(line, Line::Account(_))).collect();
    assert_eq!(is_account, [true, false, true]);
    assert!(lines.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(store.lines(Some(lines[1].0), 10).await.unwrap(), [lines[2].clone()]);
    assert!(store.sweep(&EVERYTHING_PAST).await.unwrap() >= 3);
    assert_eq!(store.lines(None, 10).await.unwrap(), []);
    assert!(
        store.account(&account_commit(1, None).name).await.unwrap().is_some(),
        "an account is no history"
    );
}

/// Of two counters that start from the same place in the log one is written, with everything it counted.
pub async fn a_line_is_counted_once(store: Shared) {
    assert_eq!(store.counted_through().await.unwrap(), None);
    let commit = |expected: Option<u64>, through, begun| TallyCommit {
        expected: expected.map(Place),
        through: Place(through),
        rows: vec![tally_row(Span::Hour, 10, "acme", begun)],
        hours_before: 0,
        days_before: 0,
    };
    let hour = async || store.tallies(Span::Hour, 0..u32::MAX, None).await.unwrap();
    let refused = |result| matches!(result, Err(StoreError::Conflict));
    assert!(
        refused(store.commit_tallies(commit(Some(1), 3, 1)).await),
        "nothing was counted"
    );
    store.commit_tallies(commit(None, 3, 1)).await.unwrap();
    assert!(
        refused(store.commit_tallies(commit(None, 3, 2)).await),
        "it was counted already"
    );
    assert_eq!(
        hour().await,
        [tally_row(Span::Hour, 10, "acme", 1)],
        "a conflict writes nothing"
    );
    store.commit_tallies(commit(Some(3), 9, 4)).await.unwrap();
    assert!(refused(store.commit_tallies(commit(Some(3), 8, 5)).await));
    assert_eq!(store.counted_through().await.unwrap(), Some(Place(9)));
    assert_eq!(hour().await, [tally_row(Span::Hour, 10, "acme", 4)], "a row is replaced");
}

/// Counts are found by their time and whose they are, and go when they are past keeping.
pub async fn counts_are_read_by_time_and_service(store: Shared) {
    let hour = |start, service, begun| tally_row(Span::Hour, start, service, begun);
    let day = |start, service, begun| tally_row(Span::Day, start, service, begun);
    let all = [
        hour(30, "acme", 1),
        hour(30, "other", 2),
        hour(31, "acme", 3),
        hour(48, "acme", 4),
    ];
    let days = [day(1, "acme", 4), day(1, "other", 2), day(2, "acme", 4)];
    let commit = |expected: Option<u64>, rows: &[TallyRow], hours_before, days_before| TallyCommit {
        expected: expected.map(Place),
        through: Place(expected.unwrap_or(0) + 1),
        rows: rows.to_vec(),
        hours_before,
        days_before,
    };
    store.commit_tallies(commit(None, &all, 0, 0)).await.unwrap();
    store.commit_tallies(commit(Some(1), &days, 0, 0)).await.unwrap();
    let read = async |span, starts, service: Option<&str>| {
        let service = service.map(|name| ServiceName::parse(name).unwrap());
        let mut rows = store.tallies(span, starts, service.as_ref()).await.unwrap();
        assert!(rows.is_sorted_by_key(|row| row.start), "in the order of times");
        rows.sort_by(|one, other| (one.start, &one.group).cmp(&(other.start, &other.group)));
        rows
    };
    assert_eq!(read(Span::Hour, 0..u32::MAX, None).await, all);
    assert_eq!(read(Span::Hour, 30..31, None).await, all[..2]);
    assert_eq!(read(Span::Hour, 31..48, Some("acme")).await, [all[2].clone()]);
    assert_eq!(read(Span::Hour, 30..49, Some("other")).await, [all[1].clone()]);
    assert_eq!(read(Span::Hour, 31..31, None).await, []);
    assert_eq!(read(Span::Day, 0..u32::MAX, None).await, days);
    assert_eq!(read(Span::Day, 2..3, Some("other")).await, []);
    store.commit_tallies(commit(Some(2), &[], 31, 2)).await.unwrap();
    assert_eq!(read(Span::Hour, 0..u32::MAX, None).await, all[2..]);
    assert_eq!(read(Span::Day, 0..u32::MAX, None).await, days[2..]);
}

/// Whom a portfolio wrote to is a set per hour.
pub async fn written_recipients_are_a_set_per_hour(store: Shared) {
    let written = |portfolio: &str, hour, recipients: &[u64]| Written {
        portfolio: portfolio.into(),
        hour,
        recipients: recipients.to_vec(),
    };
    let sorted = |mut hours: Vec<Written>| {
        hours.iter_mut().for_each(|hour| hour.recipients.sort_unstable());
        hours
    };
    let most = u64::MAX;
    store.add_written(&written("acme", 10, &[1, most, 3])).await.unwrap();
    store.add_written(&written("acme", 10, &[3, 4, most])).await.unwrap();
    store.add_written(&written("acme", 12, &[1])).await.unwrap();
    store.add_written(&written("other", 10, &[7])).await.unwrap();
    store.add_written(&written("acme", 11, &[])).await.unwrap();
    let hours = sorted(store.written("acme", 0, 100).await.unwrap());
    assert_eq!(hours, [written("acme", 12, &[1]), written("acme", 10, &[1, 3, 4, most])]);
    assert_eq!(
        store.written("acme", 12, 100).await.unwrap(),
        [written("acme", 12, &[1])],
        "since is inclusive"
    );
    assert_eq!(store.written("acme", 13, 100).await.unwrap(), []);
    let few = store.written("acme", 0, 2).await.unwrap();
    let few: Vec<_> = few.iter().map(|hour| (hour.hour, hour.recipients.len())).collect();
    assert_eq!(few, [(12, 1), (10, 1)], "where there are more, the newest");
    let sweep = Sweep {
        now: BEGIN,
        history_before: BEGIN,
        services: Vec::new(),
        acts_before: BEGIN,
        written_before_hour: 12,
        limit: 3,
    };
    assert_eq!(store.sweep(&sweep).await.unwrap(), 3, "bounded");
    assert_eq!(store.sweep(&sweep).await.unwrap(), 2);
    assert_eq!(store.written("acme", 0, 100).await.unwrap(), [written("acme", 12, &[1])]);
    let many: Vec<u64> = (0..1_777).collect();
    store.add_written(&written("acme", 20, &many)).await.unwrap();
    assert_eq!(
        sorted(store.written("acme", 20, 10_000).await.unwrap()),
        [written("acme", 20, &many)]
    );
}

/// One message's receipts cannot fill the store.
pub async fn parked_receipts_of_one_message_are_bounded(store: Shared) {
    for n in 0..PARKED_PER_MESSAGE_MAX {
        store.park(&bare("sms:1", "SM1", &failed(n)), at(100)).await.unwrap();
    }
    let refused = store
        .park(&bare("sms:1", "SM1", &failed(PARKED_PER_MESSAGE_MAX)), at(100))
        .await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store
        .park(&bare("sms:1", "SM1", &failed(0)), at(100))
        .await
        .expect("what waits already may be repeated");
    store
        .park(&bare("sms:1", "SM2", &failed(0)), at(100))
        .await
        .expect("another message is another matter");
    assert_eq!(store.parked("sms:1", "SM1").await.unwrap().len(), PARKED_PER_MESSAGE_MAX);
}

/// All receipts together cannot fill the store, and a sweep makes room again.
pub async fn parked_receipts_are_bounded(store: Shared) {
    let mut parking = JoinSet::new();
    let mut parked = 0;
    for n in 0..PARKED_MAX {
        if parking.len() == BATCH_MAX {
            let result: Result<(), StoreError> = parking.join_next().await.unwrap().unwrap();
            result.unwrap();
            parked += 1;
        }
        let store = Arc::clone(&store);
        parking.spawn(async move { store.park(&bare("sms:1", &n.to_string(), &ReceiptKind::Sent), at(100)).await });
    }
    parked += parking
        .join_all()
        .await
        .into_iter()
        .map(|result| usize::from(result.is_ok()))
        .sum::<usize>();
    assert_eq!(parked, PARKED_MAX);
    let refused = store.park(&bare("sms:1", "one more", &ReceiptKind::Sent), at(100)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.parked("sms:1", "one more").await.unwrap(), []);
    store
        .park(&bare("sms:1", "1", &ReceiptKind::Sent), at(100))
        .await
        .expect("what waits already may be repeated");
    assert_eq!(
        store
            .sweep(&Sweep {
                now: at(100),
                history_before: BEGIN,
                services: Vec::new(),
                acts_before: BEGIN,
                written_before_hour: 0,
                limit: 10
            })
            .await
            .unwrap(),
        10
    );
    store
        .park(&bare("sms:1", "one more", &ReceiptKind::Sent), at(100))
        .await
        .expect("there is room again");
}

/// History shows a thing as it stands: the last snapshot under an id. Kinds of ids never mix.
pub async fn a_snapshot_is_replaced(store: Shared) {
    let snapshots = |v| vec![snapshot(key(1), scope("acme"), v)];
    assert!(
        commit(
            &store,
            Commit {
                snapshots: snapshots(verification(1, at(5))),
                ..first(1)
            }
        )
        .await
    );
    assert!(
        commit(
            &store,
            Commit {
                snapshots: snapshots(approved(1, at(5), at(9))),
                ..next(1, 1)
            }
        )
        .await
    );
    let id = verification_id(1, at(5));
    let expected = snapshot(key(1), scope("acme"), approved(1, at(5), at(9)));
    assert_eq!(
        store.snapshot(SubjectId::Verification(id)).await.unwrap(),
        Some(expected.clone())
    );
    let same_bytes = MessageId::from_bytes(*id.as_bytes());
    assert_eq!(store.snapshot(SubjectId::Message(same_bytes)).await.unwrap(), None);
    let mut plain = plain_message(1, at(5));
    plain.id = same_bytes;
    let message = message_snapshot(key(1), scope("acme"), plain);
    assert!(
        commit(
            &store,
            Commit {
                snapshots: vec![message.clone()],
                ..next(1, 2)
            }
        )
        .await
    );
    assert_eq!(store.snapshot(SubjectId::Message(same_bytes)).await.unwrap(), Some(message));
    assert_eq!(
        store.snapshot(SubjectId::Verification(id)).await.unwrap(),
        Some(expected.clone())
    );
    assert!(
        commit(
            &store,
            Commit {
                next: None,
                ..next(1, 3)
            }
        )
        .await
    );
    assert_eq!(
        store.snapshot(SubjectId::Verification(id)).await.unwrap(),
        Some(expected),
        "history outlives the document"
    );
    assert_eq!(
        walk(&store, &everything(scope("acme"), 10)).await.1,
        [id],
        "each verification is listed once, and no message"
    );
}

/// Each filter leaves out what it names and nothing else, and no filter reaches into another scope.
pub async fn browsing_filters(store: Shared) {
    let test_mode = Scope {
        mode: Mode::Test,
        ..scope("acme")
    };
    let mut commits = Vec::new();
    for n in 0..8 {
        let mut it = if n % 2 == 0 {
            verification(n, at(n * 10))
        } else {
            approved(n, at(n * 10), at(1_000))
        };
        it.purpose = purpose(if n < 4 { "login" } else { "payment" });
        commits.push(Commit {
            snapshots: vec![snapshot(key(n % 3), scope("acme"), it)],
            ..first(100 + n)
        });
    }
    for (n, scope) in [(50, scope("other")), (51, test_mode.clone())] {
        commits.push(Commit {
            snapshots: vec![snapshot(key(0), scope, verification(n, at(n)))],
            ..first(100 + n)
        });
    }
    assert!(commit_all(&store, commits).await.into_iter().all(|written| written));
    let all = everything(scope("acme"), 100);
    let ids = |numbers: &[u64]| numbers.iter().map(|n| verification_id(*n, at(n * 10))).collect::<Vec<_>>();
    let cases: [(&str, Browse, &[u64]); 10] = [
        ("nothing", all.clone(), &[7, 6, 5, 4, 3, 2, 1, 0]),
        (
            "key",
            Browse {
                key: Some(key(0)),
                ..all.clone()
            },
            &[6, 3, 0],
        ),
        (
            "pending",
            Browse {
                status: Some(Status::Pending),
                ..all.clone()
            },
            &[6, 4, 2, 0],
        ),
        (
            "approved",
            Browse {
                status: Some(Status::Approved),
                ..all.clone()
            },
            &[7, 5, 3, 1],
        ),
        (
            "purpose",
            Browse {
                purpose: Some(purpose("payment")),
                ..all.clone()
            },
            &[7, 6, 5, 4],
        ),
        (
            "after",
            Browse {
                after: Some(at(40)),
                ..all.clone()
            },
            &[7, 6, 5, 4],
        ),
        (
            "before",
            Browse {
                before: Some(at(40)),
                ..all.clone()
            },
            &[3, 2, 1, 0],
        ),
        (
            "cursor",
            Browse {
                cursor: Some(verification_id(4, at(40))),
                ..all.clone()
            },
            &[3, 2, 1, 0],
        ),
        (
            "far",
            Browse {
                after: Some(at(u64::MAX)),
                ..all.clone()
            },
            &[],
        ),
        (
            "all",
            Browse {
                key: Some(key(0)),
                status: Some(Status::Approved),
                purpose: Some(purpose("login")),
                after: Some(at(30)),
                before: Some(at(31)),
                cursor: Some(verification_id(7, at(70))),
                ..all.clone()
            },
            &[3],
        ),
    ];
    for (name, browse, expected) in cases {
        for limit in [100, 1] {
            assert_eq!(
                walk(&store, &Browse { limit, ..browse.clone() }).await.1,
                ids(expected),
                "{name}, {limit} to a page"
            );
        }
    }
    for elsewhere in [scope("other"), test_mode] {
        assert_eq!(walk(&store, &everything(elsewhere.clone(), 10)).await.1.len(), 1);
        let of_number = Browse {
            key: Some(key(0)),
            ..everything(elsewhere, 10)
        };
        assert_eq!(
            walk(&store, &of_number).await.1.len(),
            1,
            "a number's list stays within its scope"
        );
    }
}

/// A walk over the pages meets every row once, newest first, whatever is added on top meanwhile.
pub async fn browsing_walks_every_row_once(store: Shared) {
    let rows = |from: u64, to: u64| {
        (from..to)
            .map(|n| Commit {
                snapshots: vec![snapshot(key(n), scope("acme"), verification(n, at(n / 3)))],
                ..first(n)
            })
            .collect()
    };
    assert!(commit_all(&store, rows(0, 103)).await.into_iter().all(|written| written));
    let expected: Vec<VerificationId> = (0..103).rev().map(|n| verification_id(n, at(n / 3))).collect();
    for limit in [1, 2, 7, 100, 103, 1_000] {
        let (pages, ids) = walk(&store, &everything(scope("acme"), limit)).await;
        assert_eq!(ids, expected, "{limit} to a page");
        assert!(pages <= 103 / limit + 1, "{pages} pages of {limit}");
    }
    let page = store.browse(&everything(scope("acme"), 50)).await.unwrap();
    assert!(commit_all(&store, rows(103, 120)).await.into_iter().all(|written| written));
    let rest = Browse {
        cursor: page.next,
        ..everything(scope("acme"), 50)
    };
    assert_eq!(
        walk(&store, &rest).await.1,
        expected[50..],
        "what is new does not move what is old"
    );
}

/// A filter that nothing matches is answered page by page, after a bounded number of rows each.
pub async fn browsing_looks_at_a_bounded_number_of_rows(store: Shared) {
    let rows = u64::try_from(BROWSE_ROWS_MAX).unwrap() + 500;
    let mut needle = verification(0, BEGIN);
    needle.purpose = purpose("needle");
    let mut snapshots = vec![snapshot(key(1), scope("acme"), needle)];
    snapshots.extend((1..rows).map(|n| snapshot(key(1), scope("acme"), verification(n, at(n)))));
    assert!(commit(&store, Commit { snapshots, ..first(1) }).await);
    for key in [None, Some(key(1))] {
        let search = Browse {
            purpose: Some(purpose("needle")),
            key,
            ..everything(scope("acme"), 10)
        };
        let page = store.browse(&search).await.unwrap();
        assert!(
            page.snapshots.is_empty() && page.next.is_some(),
            "the first page ends before the last row"
        );
        assert_eq!(walk(&store, &search).await, (2, vec![verification_id(0, BEGIN)]));
    }
}

/// The log's order is the order of commits, and of entries within them; reading on behind a place misses and repeats nothing.
pub async fn the_log_keeps_the_order_of_commits(store: Shared) {
    let mut expected = Vec::new();
    for n in 0..20 {
        let entries: Vec<Entry> = (0..n % 4).map(|i| entry(1_000 - n * 10 - i, at(100 - n), None)).collect();
        expected.extend(entries.clone());
        assert!(commit(&store, Commit { entries, ..first(n) }).await);
    }
    assert_eq!(log(&store).await, expected);
    for limit in [1, 3, 7] {
        let (mut after, mut read) = (None, Vec::new());
        loop {
            let page = store.lines(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            assert!(after.is_none_or(|after| after < page[0].0));
            after = Some(*last);
            read.extend(page.into_iter().map(|(_, line)| about_a_recipient(line)));
        }
        assert_eq!(read, expected, "{limit} at a time");
    }
}

/// A reader that follows the log while many commit sees every entry once: none ever appears behind a place it has read.
pub async fn a_reader_of_the_log_misses_nothing(store: Shared) {
    const WRITERS: u64 = 16;
    const COMMITS: u64 = 40;
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            for n in 0..COMMITS {
                let number = (writer * COMMITS + n) * 2;
                let entries = vec![entry(number, BEGIN, None), entry(number + 1, BEGIN, None)];
                assert!(
                    commit(
                        &store,
                        Commit {
                            entries,
                            ..first(number)
                        }
                    )
                    .await
                );
                let newest = store.newest().await.unwrap();
                assert!(newest.is_some(), "what is committed can be read");
                tokio::task::yield_now().await;
            }
        });
    }
    let total = usize::try_from(WRITERS * COMMITS * 2).unwrap();
    let (mut after, mut read) = (None, Vec::new());
    loop {
        // Asked before reading: what was committed by then must be within reach.
        let finished = writing.is_empty();
        for (place, line) in store.lines(after, 100).await.unwrap() {
            assert!(after.is_none_or(|after| after < place));
            after = Some(place);
            read.push(about_a_recipient(line));
        }
        while let Some(done) = writing.try_join_next() {
            done.unwrap();
        }
        if finished && store.lines(after, 1).await.unwrap().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(read.len(), total, "every entry was met once");
    assert_eq!(read, log(&store).await, "in the order that stays");
    for pair in read.chunks(2) {
        let numbers: Vec<u8> = pair.iter().map(|entry| entry.id.as_bytes()[21]).collect();
        assert!(
            numbers[0].is_multiple_of(2) && numbers[0] + 1 == numbers[1],
            "entries of one commit stay together: {numbers:?}"
        );
    }
}

/// A timeline tells of one verification or one plain message, oldest first, at most the limit.
pub async fn a_timeline_is_about_one_thing(store: Shared) {
    let (mine, other) = (verification_id(1, BEGIN), verification_id(2, BEGIN));
    let plain = MessageId::from_bytes(*mine.as_bytes());
    let entries: Vec<Entry> = (0..6)
        .map(|n| entry(n, at(n), [Some(mine), Some(other), None][usize::try_from(n % 3).unwrap()]))
        .collect();
    assert!(commit(&store, Commit { entries, ..first(1) }).await);
    let entries = vec![message_entry(10, at(10), plain), entry(11, at(11), Some(mine))];
    assert!(commit(&store, Commit { entries, ..next(1, 1) }).await);
    let expected = [
        entry(0, at(0), Some(mine)),
        entry(3, at(3), Some(mine)),
        entry(11, at(11), Some(mine)),
    ];
    assert_eq!(store.timeline(SubjectId::Verification(mine), 10).await.unwrap(), expected);
    assert_eq!(store.timeline(SubjectId::Verification(mine), 2).await.unwrap(), expected[..2]);
    assert_eq!(
        store.timeline(SubjectId::Message(plain), 10).await.unwrap(),
        [message_entry(10, at(10), plain)]
    );
}

/// A key is found by its digest, replaced under its id, and listed oldest first.
pub async fn api_keys_are_found_by_digest(store: Shared) {
    let (old, young) = (
        api_key(9, at(1)),
        ApiKey {
            service: None,
            rights: vec![],
            mode: Mode::Live,
            ..api_key(1, at(2))
        },
    );
    store.commit_key(&young.clone().into()).await.unwrap();
    store.commit_key(&old.clone().into()).await.unwrap();
    assert_eq!(store.key(&[9; 32]).await.unwrap().as_ref(), Some(&old));
    assert_eq!(store.key(&[1; 32]).await.unwrap().as_ref(), Some(&young));
    assert_eq!(store.key(&[2; 32]).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap(), [old.clone(), young.clone()]);
    let revoked = ApiKey {
        revoked_at: Some(at(5)),
        label: "gone".into(),
        digest: [3; 32],
        ..old
    };
    store.commit_key(&revoked.clone().into()).await.unwrap();
    assert_eq!(store.key(&[3; 32]).await.unwrap().as_ref(), Some(&revoked));
    assert_eq!(store.key(&[9; 32]).await.unwrap(), None, "a replaced key is found no more");
    assert_eq!(store.keys().await.unwrap(), [revoked, young]);
    assert_eq!(store.sweep(&EVERYTHING_PAST).await.unwrap(), 0, "keys are no history");
}

/// Whoever decides over the keys together meets a conflict when one was written since, and nothing of the commit is written.
pub async fn keys_are_decided_over_together(store: Shared) {
    let before = store.keys_version().await.unwrap();
    let made = |n: u8, expected| KeyCommit {
        expected,
        next: api_key(n, at(n.into())),
        act: Some(act(n, at(n.into()))),
    };
    store.commit_key(&made(1, Some(before))).await.unwrap();
    assert_ne!(store.keys_version().await.unwrap(), before);
    assert!(
        refused(store.commit_key(&made(2, Some(before))).await),
        "another was made since"
    );
    assert_eq!(store.keys().await.unwrap(), [api_key(1, at(1))]);
    assert_eq!(acts(&store).await, [act(1, at(1))]);
    // Whoever decides over nothing else is never too late, and makes another version all the same.
    let between = store.keys_version().await.unwrap();
    store.commit_key(&made(3, None)).await.unwrap();
    assert!(refused(store.commit_key(&made(2, Some(between))).await));
    store
        .commit_key(&made(2, Some(store.keys_version().await.unwrap())))
        .await
        .unwrap();
    assert_eq!(store.keys().await.unwrap().len(), 3);
}

/// When a key was last used is kept beside it: it only grows, and is no decision about the keys.
pub async fn the_use_of_a_key_only_grows(store: Shared) {
    let key = ApiKey {
        expires_at: Some(at(50)),
        rate: Some(Rate { per_second: 5, burst: 9 }),
        ..api_key(1, at(1))
    };
    store.note_key_used(key.id, at(1)).await.unwrap();
    store.commit_key(&key.clone().into()).await.unwrap();
    assert_eq!(
        store.key(&[1; 32]).await.unwrap().as_ref(),
        Some(&key),
        "an unknown key was not used"
    );
    let version = store.keys_version().await.unwrap();
    store.note_key_used(key.id, at(7)).await.unwrap();
    store.note_key_used(key.id, at(3)).await.unwrap();
    let used = ApiKey {
        used_at: Some(at(7)),
        ..key.clone()
    };
    assert_eq!(store.key(&[1; 32]).await.unwrap().as_ref(), Some(&used));
    assert_eq!(store.keys_version().await.unwrap(), version);
    let revoked = ApiKey {
        revoked_at: Some(at(9)),
        ..key
    };
    store.commit_key(&revoked.into()).await.unwrap();
    let found = store.keys().await.unwrap().remove(0);
    assert_eq!((found.used_at, found.revoked_at), (Some(at(7)), Some(at(9))));
}

/// An act is written with what it did, or not at all; acts are read newest first, each once.
pub async fn acts_are_written_with_what_they_did(store: Shared) {
    let with = |n: u8, base: Commit| Commit {
        act: Some(act(n, at(n.into()))),
        ..base
    };
    assert!(commit(&store, with(1, first(1))).await);
    assert!(!commit(&store, with(2, first(1))).await, "a conflict");
    let made = |n: u8, expected| EndpointCommit {
        act: Some(act(n, at(n.into()))),
        ..endpoint_commit(n, expected)
    };
    store.commit_endpoint(&made(3, None)).await.unwrap();
    assert!(refused(store.commit_endpoint(&made(4, None)).await));
    let gone = EndpointCommit {
        next: None,
        entry: None,
        ..made(5, Some(1))
    };
    store.commit_endpoint(&gone).await.unwrap();
    store.record_act(&act(6, at(2))).await.unwrap();
    assert_eq!(
        acts(&store).await,
        [6, 5, 3, 1].map(|n: u8| act(n, at(if n == 6 { 2 } else { n.into() })))
    );
    let mut walked = Vec::new();
    let mut before = None;
    for _ in 0..4 {
        let page = store.acts(before, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some((place, _)) = page.last() else { break };
        before = Some(*place);
        walked.extend(page.into_iter().map(|(_, act)| act));
    }
    assert_eq!(walked, acts(&store).await);
}

/// A sweep takes acts and keys that are past keeping, within its bound, and no place of an act is given twice.
pub async fn old_acts_and_ended_keys_are_swept(store: Shared) {
    for n in 1..=6 {
        store.record_act(&act(n, at(n.into()))).await.unwrap();
    }
    let ended = |n: u8, expires: Option<u64>, revoked: Option<u64>| ApiKey {
        expires_at: expires.map(at),
        revoked_at: revoked.map(at),
        ..api_key(n, at(1))
    };
    for key in [
        ended(1, Some(3), None),
        ended(2, Some(9), Some(3)),
        ended(3, Some(4), None),
        ended(4, None, Some(4)),
        ended(5, None, None),
    ] {
        store.commit_key(&key.into()).await.unwrap();
    }
    let newest = store.acts(None, 1).await.unwrap()[0].0;
    let sweep = |before: u64, limit| Sweep {
        now: BEGIN,
        history_before: BEGIN,
        services: Vec::new(),
        acts_before: at(before),
        written_before_hour: 0,
        limit,
    };
    assert_eq!(store.sweep(&sweep(4, 4)).await.unwrap(), 4, "bounded");
    assert_eq!(store.sweep(&sweep(4, 4)).await.unwrap(), 1);
    assert_eq!(acts(&store).await, [6, 5, 4].map(|n: u8| act(n, at(n.into()))));
    let left: Vec<_> = store.keys().await.unwrap().iter().map(|key| key.digest[0]).collect();
    assert_eq!(left, [3, 4, 5]);
    assert_eq!(store.sweep(&sweep(100, 100)).await.unwrap(), 5);
    assert_eq!(store.keys().await.unwrap(), [api_key(5, at(1))]);
    store.record_act(&act(1, at(200))).await.unwrap();
    assert!(store.acts(None, 1).await.unwrap()[0].0 > newest);
}

fn refused(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}

async fn acts(store: &Shared) -> Vec<Act> {
    let all = store.acts(None, 100).await.unwrap();
    all.into_iter().map(|(_, act)| act).collect()
}

/// A sweep takes what is past keeping and leaves the rest: documents, what is pending, and what is younger.
pub async fn a_sweep_removes_only_what_is_past(store: Shared) {
    let old = Commit {
        due_at: Some(at(1)),
        handles: vec![handle("sms:1", "old", message_id(1, at(10)))],
        snapshots: vec![
            snapshot(key(1), scope("acme"), approved(1, at(10), at(20))),
            snapshot(key(1), scope("acme"), verification(2, at(11))),
            snapshot(key(1), scope("acme"), approved(3, at(12), at(150))),
            message_snapshot(key(1), scope("acme"), plain_message(4, at(13))),
        ],
        entries: vec![entry(1, at(10), Some(verification_id(1, at(10)))), entry(2, at(99), None)],
        remembered: Some(remembered(1, at(0))),
        ..first(1)
    };
    let young = Commit {
        handles: vec![handle("sms:1", "young", message_id(5, at(100)))],
        snapshots: vec![
            snapshot(key(2), scope("acme"), approved(5, at(100), at(100))),
            message_snapshot(key(2), scope("acme"), plain_message(6, at(100))),
        ],
        entries: vec![entry(3, at(100), None)],
        remembered: Some(remembered(2, at(1))),
        ..first(2)
    };
    assert_eq!(commit_all(&store, vec![old, young]).await, [true, true]);
    let expired = remembered(1, at(0)).expires_at;
    store.park(&bare("sms:1", "old", &ReceiptKind::Sent), expired).await.unwrap();
    store
        .park(&bare("sms:1", "young", &ReceiptKind::Sent), expired.plus_millis(1))
        .await
        .unwrap();
    store.commit_key(&api_key(1, at(1)).into()).await.unwrap();

    let nothing = Sweep {
        now: expired.minus_millis(1),
        history_before: at(10),
        services: Vec::new(),
        acts_before: BEGIN,
        written_before_hour: 0,
        limit: 100,
    };
    assert_eq!(store.sweep(&nothing).await.unwrap(), 0);
    let sweep = Sweep {
        now: expired,
        history_before: at(100),
        services: Vec::new(),
        acts_before: BEGIN,
        written_before_hour: 0,
        limit: 100,
    };
    // One answer, one receipt, one handle, one verification, one plain message, two entries.
    assert_eq!(store.sweep(&sweep).await.unwrap(), 7);
    assert_eq!(store.sweep(&sweep).await.unwrap(), 0);

    assert_eq!(store.remembered(&remembered(1, at(0)).key, BEGIN).await.unwrap(), None);
    assert!(store.remembered(&remembered(2, at(1)).key, BEGIN).await.unwrap().is_some());
    assert_eq!(store.parked("sms:1", "old").await.unwrap(), []);
    assert_eq!(store.parked("sms:1", "young").await.unwrap(), [told(&ReceiptKind::Sent)]);
    assert_eq!(store.find("sms:1", "old").await.unwrap(), None);
    assert!(store.find("sms:1", "young").await.unwrap().is_some());
    let kept = [
        verification_id(5, at(100)),
        verification_id(3, at(12)),
        verification_id(2, at(11)),
    ];
    assert_eq!(walk(&store, &everything(scope("acme"), 10)).await.1, kept);
    assert_eq!(
        store
            .snapshot(SubjectId::Verification(verification_id(1, at(10))))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.snapshot(SubjectId::Message(message_id(4, at(13)))).await.unwrap(), None);
    assert!(
        store
            .snapshot(SubjectId::Message(message_id(6, at(100))))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(log(&store).await, [entry(3, at(100), None)]);
    assert_eq!(
        store
            .timeline(SubjectId::Verification(verification_id(1, at(10))), 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        (version(&store, 1).await, version(&store, 2).await),
        (Some(1), Some(1)),
        "documents are never swept"
    );
    assert_eq!(store.due(at(1), 10).await.unwrap(), [key(1)]);
    assert_eq!(store.keys().await.unwrap().len(), 1);
}

/// A sweep removes at most its limit, says how many, and less than the limit means that nothing is left.
pub async fn a_sweep_is_bounded(store: Shared) {
    let mut commits = Vec::new();
    for n in 0..100 {
        commits.push(Commit {
            handles: vec![handle("sms:1", &n.to_string(), message_id(n, at(n)))],
            snapshots: vec![snapshot(key(n), scope("acme"), approved(n, at(n), at(n)))],
            entries: vec![entry(n, at(n), None), entry(n, at(n), None)],
            remembered: Some(remembered(n, BEGIN)),
            ..first(n)
        });
    }
    assert!(commit_all(&store, commits).await.into_iter().all(|written| written));
    assert_eq!(
        store
            .sweep(&Sweep {
                limit: 0,
                ..EVERYTHING_PAST
            })
            .await
            .unwrap(),
        0
    );
    let mut left = 500;
    while left > 0 {
        let gone = store
            .sweep(&Sweep {
                limit: 30,
                ..EVERYTHING_PAST
            })
            .await
            .unwrap();
        assert_eq!(gone, left.min(30), "of {left}");
        left -= gone;
        let found = log(&store).await.len() + walk(&store, &everything(scope("acme"), 100)).await.1.len();
        assert!(found <= left && found + 200 >= left, "{found} of {left}");
    }
    assert_eq!(
        store
            .sweep(&Sweep {
                limit: 30,
                ..EVERYTHING_PAST
            })
            .await
            .unwrap(),
        0
    );
    assert_eq!(version(&store, 99).await, Some(1));
}

/// A log that was swept empty goes on behind the last place it gave, so that a reader's place keeps its meaning.
pub async fn places_are_never_given_twice(store: Shared) {
    let entries = |n| vec![entry(n, BEGIN, None), entry(n + 1, BEGIN, None)];
    assert!(
        commit(
            &store,
            Commit {
                entries: entries(0),
                ..first(1)
            }
        )
        .await
    );
    let read = store.newest().await.unwrap().unwrap();
    for round in 1..3 {
        assert_eq!(store.sweep(&EVERYTHING_PAST).await.unwrap(), 2);
        assert_eq!((store.newest().await.unwrap(), log(&store).await), (None, vec![]));
        assert!(
            commit(
                &store,
                Commit {
                    entries: entries(round * 10),
                    ..next(1, round)
                }
            )
            .await
        );
        let new = store.lines(Some(read), 10).await.unwrap();
        assert_eq!(new.len(), 2, "a reader behind {read:?} sees what came after the sweep");
    }
}

/// A document may grow to all that the core allows.
pub async fn a_large_document_is_kept_whole(store: Shared) {
    let mut large = recipient(1, BEGIN);
    large.messages = (0..100).map(|n| plain_message(n, at(n))).collect();
    large.verifications = (0..32).map(|n| verification(n, at(n))).collect();
    for verification in &mut large.verifications {
        verification.metadata = (0..10).map(|n| (format!("{n:040}").into(), "€".repeat(166).into())).collect();
    }
    let snapshots = large
        .verifications
        .iter()
        .map(|v| snapshot(key(1), scope("acme"), v.clone()))
        .collect();
    assert!(
        commit(
            &store,
            Commit {
                next: Some(large.clone()),
                snapshots,
                ..first(1)
            }
        )
        .await
    );
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().value, large);
    assert_eq!(walk(&store, &everything(scope("acme"), 10)).await.1.len(), 32);
}

/// A caller that stops waiting leaves the commit whole or undone.
pub async fn a_dropped_commit_is_whole_or_nothing(store: Shared) {
    for n in 0..50 {
        let mut waiting = Box::pin(store.commit(vec![begin(n, BEGIN)]));
        // One poll starts it; then the caller goes away.
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
        drop(waiting);
        let _ = polled;
    }
    // Whatever was still under way is behind this one, or was never begun.
    assert!(commit(&store, first(1_000)).await);
    for n in 0..50 {
        let written = version(&store, n).await.is_some();
        let id = SubjectId::Verification(verification_id(n, BEGIN));
        assert_eq!(store.snapshot(id).await.unwrap().is_some(), written);
        assert_eq!(store.timeline(id, 10).await.unwrap().len(), usize::from(written));
        assert_eq!(
            store.find("whatsapp:1", &format!("wamid.{n}")).await.unwrap().is_some(),
            written
        );
        assert_eq!(
            store.remembered(&remembered(n, BEGIN).key, BEGIN).await.unwrap().is_some(),
            written
        );
    }
}

/// A store that works says so.
pub async fn a_healthy_store_can_be_written_to(store: Shared) {
    store.ping().await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(log(&store).await, [], "asking leaves no trace");
}
