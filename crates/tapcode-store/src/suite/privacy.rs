//! Which laws hold for what is kept about somebody: how long, who can have it gone, and who can see it?

use std::sync::Arc;

use tapcode_core::delivery::ReceiptKind;
use tapcode_core::recipient::Scope;
use tapcode_engine::contract::store::{
    Beside, Commit, Line, Parked, Place, REMEMBERED_MS, Snapshot, Store, SubjectId, Sweep, ToldReceipt, Written, written_name,
};

use crate::suite::samples::{
    BEGIN, approved, at, entry, first, handle, key, message_entry, message_id, message_snapshot, plain_message, remembered,
    scope, snapshot, verification_id,
};

type Shared = Arc<dyn Store>;

const EVERYTHING: usize = 10_000;

async fn write(store: &Shared, batch: Vec<Commit>) {
    let results = store.commit(batch).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

async fn log(store: &Shared) -> Vec<(Place, Line)> {
    store.lines(None, EVERYTHING).await.unwrap()
}

/// Something of everything that can be kept about the `n`-th recipient of a service: seven rows beside its document.
fn everything_about(n: u64, scope: &Scope) -> Commit {
    let mut apart = entry(n * 10 + 3, at(30), None);
    let mut began = entry(n * 10, at(10), Some(verification_id(n, at(10))));
    let mut sent = message_entry(n * 10 + 1, at(11), message_id(n + 100, at(11)));
    for line in [&mut apart, &mut began, &mut sent] {
        line.scope = scope.clone();
    }
    Commit {
        handles: vec![handle("sms:1", &format!("of {n}"), message_id(n, at(10)))],
        snapshots: vec![
            snapshot(key(n), scope.clone(), approved(n, at(10), at(20))),
            message_snapshot(key(n), scope.clone(), plain_message(n + 100, at(11))),
        ],
        entries: vec![began, sent, apart],
        remembered: Some(remembered(n, at(0))),
        ..first(n)
    }
}

/// A receipt that waits for the message of [`everything_about`].
async fn park(store: &Shared, n: u64) {
    let parked = Parked {
        sender: "sms:1".into(),
        provider_message_id: format!("of {n}").into(),
        told: ToldReceipt {
            kind: ReceiptKind::Delivered,
            billing: None,
            identity: None,
        },
    };
    store.park(&parked, at(1_000_000)).await.unwrap();
}

/// A service that keeps less than the others has its own history gone by its own moment, and only that; whoever reads the log
/// can find out that something is gone.
pub async fn a_service_may_keep_less(store: Shared) {
    write(
        &store,
        vec![everything_about(1, &scope("acme")), everything_about(2, &scope("other"))],
    )
    .await;
    let acme = &scope("acme").service;
    assert_eq!(store.swept(None).await.unwrap(), None);
    assert_eq!(store.swept(Some(acme)).await.unwrap(), None);
    let of = |before| Sweep {
        now: BEGIN,
        history_before: at(5),
        services: vec![(acme.clone(), at(before))],
        acts_before: at(0),
        written_before_hour: 0,
        limit: 100,
    };
    // What is pending, or ended later, stays with every line about it.
    assert_eq!(
        store.sweep(&of(11)).await.unwrap(),
        2,
        "handles of what began before: no service's keeping ends them"
    );
    assert_eq!(store.sweep(&of(25)).await.unwrap(), 4, "two things, two lines");
    assert_eq!(store.sweep(&of(25)).await.unwrap(), 0);
    assert_eq!(store.sweep(&of(31)).await.unwrap(), 1, "the line about neither");
    let left = log(&store).await;
    assert_eq!(left.len(), 3);
    assert!(
        left.iter()
            .all(|(_, line)| matches!(line, Line::Recipient(entry) if entry.scope == scope("other")))
    );
    assert_eq!(store.history(&key(1), None, 10).await.unwrap(), []);
    assert_eq!(store.history(&key(2), None, 10).await.unwrap().len(), 2);
    assert_eq!(store.beside(&key(1), 10).await.unwrap().entries, []);
    let own = store.swept(Some(acme)).await.unwrap().unwrap();
    assert!(own < left[0].0, "{own:?}");
    assert_eq!(store.swept(Some(&scope("other").service)).await.unwrap(), None);
    assert_eq!(store.swept(None).await.unwrap(), None, "nothing of everybody's");

    let all = Sweep {
        history_before: at(50),
        ..of(50)
    };
    assert_eq!(store.sweep(&all).await.unwrap(), 5);
    let everybodys = store.swept(None).await.unwrap();
    assert_eq!(everybodys, Some(left[2].0));
    assert_eq!(store.swept(Some(acme)).await.unwrap(), everybodys, "the highest of both");
    assert_eq!(log(&store).await, []);
}

/// An erasure takes whatever leads to a recipient, leaves lines that tell nothing of it, and touches nobody else.
pub async fn what_is_erased_is_gone_and_nothing_else(store: Shared) {
    let acme = scope("acme");
    write(&store, vec![everything_about(1, &acme), everything_about(2, &acme)]).await;
    for n in [1, 2] {
        park(&store, n).await;
        let written = Written {
            portfolio: "wa".into(),
            hour: 7,
            recipients: vec![written_name(key(n))],
        };
        store.add_written(&written).await.unwrap();
    }
    let before = log(&store).await;
    // Two things, a handle, a receipt, three lines and an answer.
    assert_eq!(store.erase(&key(1), EVERYTHING).await.unwrap(), 8);
    assert_eq!(store.erase(&key(1), EVERYTHING).await.unwrap(), 0, "and once more");

    assert_eq!(store.history(&key(1), None, 10).await.unwrap(), []);
    for thing in [
        SubjectId::Verification(verification_id(1, at(10))),
        SubjectId::Message(message_id(101, at(11))),
    ] {
        assert_eq!(store.snapshot(thing).await.unwrap(), None);
        assert_eq!(store.timeline(thing, 10).await.unwrap(), []);
    }
    assert_eq!(store.find("sms:1", "of 1").await.unwrap(), None);
    assert_eq!(store.parked("sms:1", "of 1").await.unwrap(), []);
    assert_eq!(store.remembered(&remembered(1, at(0)).key, BEGIN).await.unwrap(), None);
    let beside = Beside {
        written: vec![("wa".into(), 7)],
        ..Beside::default()
    };
    assert_eq!(
        store.beside(&key(1), 10).await.unwrap(),
        beside,
        "whom an account wrote to still counts"
    );
    assert!(
        store.load(&key(1)).await.unwrap().is_some(),
        "documents are replaced by commits"
    );

    let after = log(&store).await;
    let erased = |line: &Line| match line {
        Line::Recipient(entry) => Line::Recipient(entry.clone().erased()),
        line @ (Line::Account(_) | Line::Endpoint(_)) => line.clone(),
    };
    let expected: Vec<(Place, Line)> = before
        .iter()
        .zip(0..)
        .map(|((place, line), n)| (*place, if n < 3 { erased(line) } else { line.clone() }))
        .collect();
    assert_eq!(after, expected, "counts stay where they were");

    assert_eq!(store.history(&key(2), None, 10).await.unwrap().len(), 2);
    assert!(store.find("sms:1", "of 2").await.unwrap().is_some());
    assert_eq!(store.parked("sms:1", "of 2").await.unwrap().len(), 1);
    assert!(store.remembered(&remembered(2, at(0)).key, BEGIN).await.unwrap().is_some());
    assert_eq!(store.beside(&key(2), 10).await.unwrap().entries.len(), 1);
    let about = SubjectId::Verification(verification_id(2, at(10)));
    assert_eq!(store.timeline(about, 10).await.unwrap().len(), 1);
}

/// An erasure removes at most its limit; less than the limit means that nothing is left, and whoever goes on finds the rest.
pub async fn an_erasure_is_bounded(store: Shared) {
    let acme = scope("acme");
    let mut all = everything_about(1, &acme);
    for n in 0..20 {
        all.entries.push(entry(500 + n, at(12), Some(verification_id(1, at(10)))));
        all.entries.push(entry(600 + n, at(12), None));
    }
    write(&store, vec![all]).await;
    park(&store, 1).await;
    assert_eq!(store.erase(&key(1), 0).await.unwrap(), 0);
    let mut left: usize = 48;
    while left > 0 {
        let gone = store.erase(&key(1), 5).await.unwrap();
        assert_eq!(gone, left.min(5), "of {left}");
        left -= gone;
        let erased = |(_, line): &(Place, Line)| matches!(line, Line::Recipient(entry) if entry.is_erased());
        let still = log(&store).await.iter().filter(|line| !erased(line)).count();
        assert!(still <= left, "{still} lines of {left} rows");
    }
    assert_eq!(store.erase(&key(1), 5).await.unwrap(), 0);
    assert_eq!(store.find("sms:1", "of 1").await.unwrap(), None);
    assert_eq!(store.beside(&key(1), 10).await.unwrap(), Beside::default());
}

/// What is kept about a recipient is found by it, once each and in order.
pub async fn a_recipients_history_is_walked(store: Shared) {
    let things = |n: u64| {
        let verifications = (0..5).map(move |i| snapshot(key(n), scope("acme"), approved(n * 10 + i, at(i), at(50))));
        let messages = (0..5).map(move |i| message_snapshot(key(n), scope("acme"), plain_message(n * 10 + i, at(i))));
        messages.chain(verifications).collect()
    };
    let all = |n| Commit {
        snapshots: things(n),
        entries: (0..5).map(|i| entry(n * 10 + i, at(i), None)).collect(),
        remembered: Some(remembered(n, at(n))),
        ..first(n)
    };
    write(&store, vec![all(1), all(2)]).await;
    let written = |n| Written {
        portfolio: "wa".into(),
        hour: 7,
        recipients: vec![written_name(key(n))],
    };
    store.add_written(&written(2)).await.unwrap();
    for limit in [1, 3, 10] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.history(&key(1), after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.subject.id());
            found.extend(page);
        }
        let mut expected: Vec<Snapshot> = things(1);
        expected.rotate_left(5);
        assert_eq!(found, expected, "verifications, then messages, {limit} at a time");
    }
    let beside = store.beside(&key(1), 10).await.unwrap();
    assert_eq!(
        beside.entries.iter().map(|line| line.at).collect::<Vec<_>>(),
        (0..5).map(at).collect::<Vec<_>>()
    );
    assert_eq!(beside.answers, [at(1).plus_millis(REMEMBERED_MS)]);
    assert_eq!(beside.written, []);
    assert_eq!(store.beside(&key(1), 2).await.unwrap().entries.len(), 2);
    assert_eq!(store.beside(&key(2), 10).await.unwrap().written, [("wa".into(), 7)]);
    assert_eq!(store.beside(&key(3), 10).await.unwrap(), Beside::default());
    assert_eq!(store.history(&key(3), None, 10).await.unwrap(), []);
}
