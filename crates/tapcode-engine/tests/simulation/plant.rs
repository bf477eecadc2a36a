//! Which mistakes must the checker see? Each is made on purpose, at the seam where somebody could really make it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tapcode_core::delivery::Delivery;
use tapcode_core::entry::{Decision, InputRecord, SendCause};
use tapcode_core::recipient::{Recipient, RecipientKey};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{Commit, Store, StoreError, Subject, Versioned};

use crate::world::{Life, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Check, then act: the store writes whatever the version.
    VersionsIgnored,
    /// A failed check is counted in a transaction that is rolled back now and then.
    CounterRolledBack,
    /// A resend begins to count anew.
    CounterResetByResend,
    /// The due index lives in the memory of the process that filled it.
    TimerInMemory,
    /// A call without an answer is made again.
    ResendOnTimeout,
    /// What is not known yet is thrown away.
    ReceiptsNotParked,
    /// The first receipt of a message is believed for ever.
    FirstReceiptWins,
    /// Send limits are counted by each process for itself.
    LimitsPerNode,
    /// The end of a verification is announced outside the commit, and so sometimes not.
    EndsNotLogged,
    /// "Written" is answered before it is.
    WrittenLater,
    /// The mark that a call has begun is not kept.
    ClaimsForgotten,
    /// Answers are not remembered for their idempotency key.
    AnswersForgotten,
    /// Hooks are taken without looking at their signature.
    ForgedReceipts,
    /// Expiry is not looked at when a code is checked.
    LateCodesTaken,
    /// Counts are added up without looking whether another node did.
    CountedTwice,
}

impl Plant {
    pub const ALL: [Self; 15] = [
        Self::VersionsIgnored,
        Self::CounterRolledBack,
        Self::CounterResetByResend,
        Self::TimerInMemory,
        Self::ResendOnTimeout,
        Self::ReceiptsNotParked,
        Self::FirstReceiptWins,
        Self::LimitsPerNode,
        Self::EndsNotLogged,
        Self::WrittenLater,
        Self::ClaimsForgotten,
        Self::AnswersForgotten,
        Self::ForgedReceipts,
        Self::LateCodesTaken,
        Self::CountedTwice,
    ];

    /// What the checker says when it sees this one: another sentence would be luck.
    pub const fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::VersionsIgnored => &["law 1", "law 2", "law 3"],
            Self::CounterRolledBack | Self::CounterResetByResend => &["law 1"],
            Self::TimerInMemory => &["law 4", "law 6"],
            Self::ResendOnTimeout | Self::ClaimsForgotten => &["law 5"],
            Self::ReceiptsNotParked | Self::FirstReceiptWins | Self::ForgedReceipts => &["law 7"],
            Self::LimitsPerNode => &["law 8"],
            Self::EndsNotLogged => &["law 10"],
            Self::WrittenLater => &["law 1", "law 3", "law 4"],
            Self::AnswersForgotten => &["idempotency"],
            Self::LateCodesTaken => &["law 3"],
            Self::CountedTwice => &["statistics"],
        }
    }
}

/// What one life of a node knows by itself.
#[derive(Default)]
pub struct Own {
    pub keys: BTreeSet<RecipientKey>,
    sends: BTreeSet<Timestamp>,
}

pub fn on_load(plant: Plant, own: &Own, loaded: &mut Option<Versioned<Recipient>>) {
    let Some(loaded) = loaded else { return };
    match plant {
        Plant::LimitsPerNode => {
            loaded.value.sends.retain(|at| own.sends.contains(at));
            loaded.value.requested_at = loaded.value.requested_at.filter(|at| own.sends.contains(at));
        }
        Plant::LateCodesTaken => {
            for v in &mut loaded.value.verifications {
                v.expires_at = v.expires_at.plus_millis(20_000);
            }
        }
        _ => {}
    }
}

pub async fn commit(
    plant: Plant,
    world: &Arc<World>,
    life: &Arc<Life>,
    own: &Mutex<Own>,
    batch: Vec<Commit>,
) -> Vec<Result<(), StoreError>> {
    let mut results = Vec::with_capacity(batch.len());
    for mut commit in batch {
        let before = world
            .kept
            .load(&commit.key)
            .await
            .expect("the store in memory is always there");
        {
            let mut own = own.lock().unwrap();
            own.keys.insert(commit.key);
            if let Some(next) = &commit.next {
                own.sends.extend(next.sends.last());
            }
        }
        match plant {
            Plant::VersionsIgnored => commit.expected = before.as_ref().map(|b| b.version),
            Plant::LateCodesTaken => {
                for v in commit.next.iter_mut().flat_map(|n| &mut n.verifications) {
                    if let Some(true) = before.as_ref().map(|b| b.value.verification(v.id).is_some()) {
                        v.expires_at = v.expires_at.minus_millis(20_000);
                    }
                }
            }
            _ => spoil(plant, world, before.map(|b| b.value), &mut commit),
        }
        if plant == Plant::WrittenLater {
            let current = world
                .kept
                .load(&commit.key)
                .await
                .expect("the store in memory is always there")
                .map(|b| b.version);
            if current != commit.expected {
                results.push(Err(StoreError::Conflict));
                continue;
            }
            let (world, life) = (Arc::clone(world), Arc::clone(life));
            results.push(Ok(()));
            tokio::spawn(async move {
                world.pause(2).await;
                if !life.dead.is_cancelled() {
                    let _lost = world.kept.commit(vec![commit]).await;
                }
            });
            continue;
        }
        results.extend(world.kept.commit(vec![commit]).await);
    }
    results
}

fn spoil(plant: Plant, world: &Arc<World>, before: Option<Recipient>, commit: &mut Commit) {
    let decided = |what: fn(&Decision) -> bool| commit.entries.iter().flat_map(|e| &e.decisions).any(what);
    match plant {
        Plant::CounterRolledBack => {
            let failed =
                decided(|d| matches!(d, Decision::CheckFailed { .. })) && !decided(|d| matches!(d, Decision::Ended { .. }));
            if let (true, Some(before), Some(next)) = (failed && world.roll(|d| d.chance(300)), before, &mut commit.next) {
                *next = before;
                commit.snapshots.clear();
                commit.entries.clear();
            }
        }
        Plant::CounterResetByResend
            if decided(|d| {
                matches!(
                    d,
                    Decision::Queued {
                        cause: SendCause::Requested,
                        ..
                    }
                )
            }) =>
        {
            every_verification(commit, |v| v.checks_used = 0);
        }
        Plant::FirstReceiptWins => {
            let Some(before) = before else { return };
            if !commit.entries.iter().any(|e| matches!(e.input, InputRecord::Receipt { .. })) {
                return;
            }
            every_verification(commit, |v| {
                for attempt in &mut v.attempts {
                    if let Some((_, old)) = before.attempt(attempt.id).filter(|(_, old)| was_told(&old.delivery)) {
                        attempt.delivery = old.delivery.clone();
                    }
                }
            });
        }
        Plant::EndsNotLogged if world.roll(|d| d.chance(200)) => {
            commit
                .entries
                .retain(|e| !e.decisions.iter().any(|d| matches!(d, Decision::Ended { .. })));
        }
        Plant::ClaimsForgotten if decided(|d| matches!(d, Decision::Claimed { .. })) => {
            every_verification(commit, |v| {
                for attempt in &mut v.attempts {
                    attempt.delivery.claimed_at = attempt.delivery.claimed_at.filter(|_| attempt.delivery.accepted_at.is_some());
                }
            });
        }
        Plant::AnswersForgotten => commit.remembered = None,
        _ => {}
    }
}

fn was_told(delivery: &Delivery) -> bool {
    delivery.sent_at.is_some() || delivery.has_arrived() || delivery.failed_at.is_some()
}

fn every_verification(commit: &mut Commit, mut spoil: impl FnMut(&mut tapcode_core::verification::Verification)) {
    for v in commit.next.iter_mut().flat_map(|next| &mut next.verifications) {
        spoil(v);
    }
    for snapshot in &mut commit.snapshots {
        if let Subject::Verification(v) = &mut snapshot.subject {
            spoil(v);
        }
    }
}
