//! Can each law fail? A store with one bug at a time, and the law that must catch it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tapcode_core::account::{Account, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, KeyId, MessageId, VerificationId};
use tapcode_core::recipient::{Mode, Recipient, RecipientKey, Scope, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, Beside, Browse, Commit, EndpointCommit, KeyCommit, Line, Page, Parked, Place, Remembered, Snapshot,
    Store, StoreError, Subject, SubjectId, Sweep, TallyCommit, TallyRow, ToldReceipt, Version, Versioned, Written,
};

use crate::memory::MemoryStore;
use crate::suite::{LAWS, model};

macro_rules! bugs {
    ($($bug:ident => $law:ident),+ $(,)?) => {
        /// What is wrong with a store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Bug {
            $($bug),+
        }

        /// Each bug and the law that must catch it.
        const PLANTED: &[(Bug, &str)] = &[$((Bug::$bug, stringify!($law))),+];
    };
}

bugs! {
    NewestOfAnEmptyLog => unknown_things_are_none,
    DropsHandles => a_commit_writes_every_part,
    DropsEntries => a_commit_writes_every_part,
    IgnoresVersions => a_version_is_used_once,
    KeepsTheVersionOfWhatWasDeleted => a_deleted_document_starts_again_at_version_one,
    ChecksThenActs => one_of_many_at_once_wins,
    WritesEntriesOnConflict => a_conflict_writes_nothing,
    WritesSnapshotsOnConflict => a_conflict_writes_nothing,
    WritesHandlesOnConflict => a_conflict_writes_nothing,
    RemembersOnConflict => a_conflict_writes_nothing,
    DropsWhatHasNoDocument => a_commit_without_a_document_keeps_its_other_parts,
    DecidesABatchByItsStart => a_batch_is_decided_in_order_and_sees_itself,
    AnsweredKeysMayRepeat => a_remembered_key_is_a_conflict,
    RemembersForEver => a_remembered_key_that_expired_is_replaced,
    GivesExpiredAnswers => a_remembered_key_that_expired_is_replaced,
    DueInAnyOrder => due_documents_come_longest_due_first,
    DueTooEarly => due_documents_come_longest_due_first,
    DueWithoutLimit => due_documents_come_longest_due_first,
    DueForEver => the_due_index_follows_its_document,
    MixesSenders => handles_belong_to_their_sender,
    FirstHandleWins => handles_belong_to_their_sender,
    ParksRepeats => parked_receipts_wait_in_order,
    ParkedInReverse => parked_receipts_wait_in_order,
    LookingTakesWhatIsParked => parked_receipts_wait_in_order,
    ForgetsWhatIsBilled => parked_receipts_keep_what_they_tell,
    ParksAnyNumberForOneMessage => parked_receipts_of_one_message_are_bounded,
    ParksAnyNumber => parked_receipts_are_bounded,
    FirstSnapshotStays => a_snapshot_is_replaced,
    BrowsesOtherModes => browsing_filters,
    BrowsesAnyNumber => browsing_filters,
    BrowsesAnyStatus => browsing_filters,
    BrowsesAnyPurpose => browsing_filters,
    BeforeIsInclusive => browsing_filters,
    AfterIsExclusive => browsing_filters,
    PagesOverlap => browsing_walks_every_row_once,
    PagesLeaveGaps => browsing_walks_every_row_once,
    BrowsesWithoutBound => browsing_looks_at_a_bounded_number_of_rows,
    LogTurnsCommitsRound => the_log_keeps_the_order_of_commits,
    ReadsAPlaceTwice => the_log_keeps_the_order_of_commits,
    PlacesAppearLate => a_reader_of_the_log_misses_nothing,
    TimelinesMix => a_timeline_is_about_one_thing,
    TimelineWithoutLimit => a_timeline_is_about_one_thing,
    KeysAreNeverReplaced => api_keys_are_found_by_digest,
    KeysInReverse => api_keys_are_found_by_digest,
    DecidesOverKeysApart => keys_are_decided_over_together,
    LosesActsOfKeys => keys_are_decided_over_together,
    WritesActsOfKeysOnConflict => keys_are_decided_over_together,
    AUseIsACommit => the_use_of_a_key_only_grows,
    DropsActs => acts_are_written_with_what_they_did,
    LosesActsOfEndpoints => acts_are_written_with_what_they_did,
    ActsInReverse => acts_are_written_with_what_they_did,
    PagesOfActsOverlap => acts_are_written_with_what_they_did,
    SweepsNoActs => old_acts_and_ended_keys_are_swept,
    SweepsNoExpiredKeys => old_acts_and_ended_keys_are_swept,
    ReplacesAnyAccount => a_version_of_an_account_is_used_once,
    WritesLinesOfAccountsOnConflict => a_version_of_an_account_is_used_once,
    LosesLinesOfAccounts => the_log_is_one,
    ReplacesAnyEndpoint => a_version_of_an_endpoint_is_used_once,
    KeepsDeletedEndpoints => a_version_of_an_endpoint_is_used_once,
    LosesLinesOfEndpoints => a_version_of_an_endpoint_is_used_once,
    WritesPeopleOncePerCall => written_recipients_are_a_set_per_hour,
    SinceIsExclusive => written_recipients_are_a_set_per_hour,
    CountsALineTwice => a_line_is_counted_once,
    CountsOfOtherServices => counts_are_read_by_time_and_service,
    CountsPastTheEnd => counts_are_read_by_time_and_service,
    KeepsCountsForEver => counts_are_read_by_time_and_service,
    SweepsHistoryByTheClock => a_sweep_removes_only_what_is_past,
    SweepsNoAnswers => a_sweep_removes_only_what_is_past,
    SweepsWithoutBound => a_sweep_is_bounded,
    SweepsInSilence => a_sweep_is_bounded,
    PlacesStartAgain => places_are_never_given_twice,
    KeepsServicesAlike => a_service_may_keep_less,
    ServicesShareTheirKeeping => a_service_may_keep_less,
    ForgetsHowFarItSwept => a_service_may_keep_less,
    ErasesHistoryOnly => what_is_erased_is_gone_and_nothing_else,
    ErasesEverybody => what_is_erased_is_gone_and_nothing_else,
    ErasesWithoutBound => an_erasure_is_bounded,
    ErasesInSilence => an_erasure_is_bounded,
    StartsHistoryAgain => a_recipients_history_is_walked,
    ShowsOthersLines => a_recipients_history_is_walked,
    CutsLargeDocuments => a_large_document_is_kept_whole,
    WritesInTwoSteps => a_dropped_commit_is_whole_or_nothing,
    AskingLeavesATrace => a_healthy_store_can_be_written_to,
}

/// Bugs that random histories must find too.
const FOUND_BY_HISTORIES: &[Bug] = &[
    Bug::IgnoresVersions,
    Bug::WritesEntriesOnConflict,
    Bug::AnsweredKeysMayRepeat,
    Bug::DueForEver,
    Bug::MixesSenders,
    Bug::FirstSnapshotStays,
    Bug::LogTurnsCommitsRound,
    Bug::SweepsHistoryByTheClock,
];

#[test]
fn every_planted_bug_is_caught_by_its_law() {
    let mut escaped = Vec::new();
    for (bug, name) in PLANTED {
        let law = LAWS.iter().find(|law| law.name == *name).expect("a law of that name");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Arc::new(Faulty::new(*bug));
        if catch_unwind(AssertUnwindSafe(|| runtime.block_on((law.run)(store)))).is_ok() {
            escaped.push((bug, name));
        }
    }
    assert!(
        escaped.is_empty(),
        "{} of {} bugs escaped: {escaped:?}",
        escaped.len(),
        PLANTED.len()
    );
}

#[test]
fn every_law_has_a_bug_that_it_catches() {
    let idle: Vec<&str> = LAWS
        .iter()
        .map(|law| law.name)
        .filter(|name| PLANTED.iter().all(|(_, law)| law != name))
        .collect();
    assert!(idle.is_empty(), "nobody has seen these fail: {idle:?}");
}

#[test]
fn random_histories_find_bugs_too() {
    for bug in FOUND_BY_HISTORIES {
        let make = || async { (Arc::new(Faulty::new(*bug)) as Arc<dyn Store>, ()) };
        assert!(
            catch_unwind(AssertUnwindSafe(|| model::compare(make))).is_err(),
            "{bug:?} escaped"
        );
    }
}

/// A memory store behind a bug.
#[derive(Debug)]
struct Faulty {
    inner: MemoryStore,
    bug: Bug,
    notes: Mutex<Notes>,
}

/// What some bugs need to remember.
#[derive(Debug, Default)]
struct Notes {
    deleted_at: BTreeMap<RecipientKey, u64>,
    looked_at: BTreeSet<String>,
    hidden: BTreeSet<Place>,
    swept_up_to: u64,
    others: u128,
}

impl Faulty {
    fn new(bug: Bug) -> Self {
        Self {
            inner: MemoryStore::new(),
            bug,
            notes: Mutex::default(),
        }
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    async fn version(&self, key: RecipientKey) -> Option<Version> {
        self.inner.load(&key).await.unwrap().map(|found| found.version)
    }

    /// Whether the commit's idempotency key is known, expired or not.
    async fn remembers(&self, commit: &Commit) -> bool {
        let Some(new) = &commit.remembered else { return false };
        self.inner
            .remembered(&new.key, Timestamp::from_millis(0))
            .await
            .unwrap()
            .is_some()
    }

    fn looks_again(&self, sender: &str, provider_message_id: &str) -> bool {
        !self
            .notes
            .lock()
            .unwrap()
            .looked_at
            .insert(format!("{sender} {provider_message_id}"))
    }

    /// A commit about a document that never is, with the parts of another.
    fn aside(&self, parts: Commit) -> Commit {
        let mut notes = self.notes.lock().unwrap();
        notes.others += 1;
        Commit {
            key: RecipientKey((u128::MAX - notes.others).to_be_bytes()),
            expected: None,
            next: None,
            due_at: None,
            ..parts
        }
    }

    async fn write(&self, commit: Commit) -> Result<(), StoreError> {
        self.inner.commit(vec![commit]).await.remove(0)
    }

    async fn commit_one(&self, mut commit: Commit) -> Result<(), StoreError> {
        let bare = |c: &Commit| Commit {
            handles: vec![],
            snapshots: vec![],
            entries: vec![],
            remembered: None,
            act: None,
            ..c.clone()
        };
        match self.bug {
            Bug::DropsHandles => commit.handles.clear(),
            Bug::DropsEntries => commit.entries.clear(),
            Bug::DropsActs => commit.act = None,
            Bug::IgnoresVersions => commit.expected = self.version(commit.key).await,
            Bug::ChecksThenActs => {
                if self.version(commit.key).await != commit.expected {
                    return Err(StoreError::Conflict);
                }
                tokio::task::yield_now().await;
                commit.expected = self.version(commit.key).await;
            }
            Bug::KeepsTheVersionOfWhatWasDeleted => {
                let gone = self.notes.lock().unwrap().deleted_at.get(&commit.key).copied().unwrap_or(0);
                commit.expected = commit.expected.map(|v| Version(v.0.saturating_sub(gone)));
            }
            Bug::DropsWhatHasNoDocument if commit.expected.is_none() && commit.next.is_none() => commit = bare(&commit),
            Bug::AnsweredKeysMayRepeat if self.remembers(&commit).await => commit.remembered = None,
            Bug::RemembersForEver if self.remembers(&commit).await => return Err(StoreError::Conflict),
            Bug::DueForEver if commit.next.is_some() => commit.due_at = commit.due_at.or(Some(crate::suite::samples::at(1))),
            Bug::MixesSenders => commit.handles.iter_mut().for_each(|h| h.sender = "".into()),
            Bug::FirstHandleWins => {
                let mut new = Vec::new();
                for handle in commit.handles {
                    if self
                        .inner
                        .find(&handle.sender, &handle.provider_message_id)
                        .await
                        .unwrap()
                        .is_none()
                    {
                        new.push(handle);
                    }
                }
                commit.handles = new;
            }
            Bug::FirstSnapshotStays => {
                let mut new = Vec::new();
                for snapshot in commit.snapshots {
                    if self.inner.snapshot(snapshot.subject.id()).await.unwrap().is_none() {
                        new.push(snapshot);
                    }
                }
                commit.snapshots = new;
            }
            Bug::LogTurnsCommitsRound => commit.entries.reverse(),
            Bug::CutsLargeDocuments => {
                if let Some(document) = &mut commit.next {
                    document.messages.truncate(50);
                }
            }
            Bug::WritesInTwoSteps => {
                let rest = self.aside(commit.clone());
                self.write(bare(&commit)).await?;
                tokio::task::yield_now().await;
                return self.write(rest).await;
            }
            _ => {}
        }
        let given = commit.clone();
        let result = self.write(commit).await;
        let rest = bare(&given);
        let (key, deleted_at) = (given.key, given.next.is_none().then_some(given.expected).flatten());
        match (self.bug, &result) {
            (Bug::WritesEntriesOnConflict, Err(_)) => {
                self.write(self.aside(Commit {
                    entries: given.entries,
                    ..rest
                }))
                .await?
            }
            (Bug::WritesSnapshotsOnConflict, Err(_)) => {
                self.write(self.aside(Commit {
                    snapshots: given.snapshots,
                    ..rest
                }))
                .await?
            }
            (Bug::WritesHandlesOnConflict, Err(_)) => {
                self.write(self.aside(Commit {
                    handles: given.handles,
                    ..rest
                }))
                .await?
            }
            (Bug::RemembersOnConflict, Err(_)) => {
                self.write(self.aside(Commit {
                    remembered: given.remembered,
                    ..rest
                }))
                .await?
            }
            (Bug::KeepsTheVersionOfWhatWasDeleted, Ok(())) => {
                if let Some(version) = deleted_at {
                    *self.notes.lock().unwrap().deleted_at.entry(key).or_default() += version.0;
                }
            }
            (Bug::PlacesAppearLate, Ok(())) => {
                // Some places can be read only once the commit behind theirs can be.
                let newest = self.inner.newest().await.unwrap().map_or(0, |place| place.0);
                let late = (newest.saturating_sub(3)..=newest).filter(|place| place % 6 == 0).map(Place);
                self.notes.lock().unwrap().hidden = late.collect();
            }
            _ => {}
        }
        result
    }
}

#[async_trait]
impl Store for Faulty {
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError> {
        let mut found = self.inner.load(key).await?;
        if let Some(found) = &mut found {
            found.version.0 += self.notes.lock().unwrap().deleted_at.get(key).copied().unwrap_or(0);
        }
        Ok(found)
    }

    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        let mut results = Vec::new();
        let mut start = BTreeMap::new();
        if self.is(Bug::DecidesABatchByItsStart) {
            for commit in &batch {
                start.insert(commit.key, self.version(commit.key).await);
            }
        }
        for mut commit in batch {
            if let Some(version) = start.get(&commit.key) {
                if *version != commit.expected {
                    results.push(Err(StoreError::Conflict));
                    continue;
                }
                commit.expected = self.version(commit.key).await;
            }
            results.push(self.commit_one(commit).await);
        }
        results
    }

    async fn find(&self, sender: &str, provider_message_id: &str) -> Result<Option<(RecipientKey, MessageId)>, StoreError> {
        let sender = if self.is(Bug::MixesSenders) { "" } else { sender };
        self.inner.find(sender, provider_message_id).await
    }

    async fn park(&self, parked: &Parked, until: Timestamp) -> Result<(), StoreError> {
        let mut parked = parked.clone();
        if self.is(Bug::ForgetsWhatIsBilled) {
            parked.told.billing = None;
        }
        let result = self.inner.park(&parked, until).await;
        if self.is(Bug::ParksAnyNumber) || self.is(Bug::ParksAnyNumberForOneMessage) {
            Ok(())
        } else {
            result
        }
    }

    async fn parked(&self, sender: &str, provider_message_id: &str) -> Result<Vec<ToldReceipt>, StoreError> {
        let mut kinds = self.inner.parked(sender, provider_message_id).await?;
        match self.bug {
            Bug::ParksRepeats => kinds.extend(kinds.clone()),
            Bug::ParkedInReverse => kinds.reverse(),
            Bug::LookingTakesWhatIsParked if self.looks_again(sender, provider_message_id) => kinds.clear(),
            _ => {}
        }
        Ok(kinds)
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Versioned<Account>>, StoreError> {
        self.inner.account(name).await
    }

    async fn commit_account(&self, commit: &AccountCommit) -> Result<(), StoreError> {
        let mut commit = commit.clone();
        if self.is(Bug::ReplacesAnyAccount) {
            let found = self.inner.account(&commit.name).await?;
            commit.expected = found.map(|found| found.version);
        }
        if self.is(Bug::LosesLinesOfAccounts) {
            commit.entry = None;
        }
        let result = self.inner.commit_account(&commit).await;
        if self.is(Bug::WritesLinesOfAccountsOnConflict) && result.is_err() {
            let found = self.inner.account(&commit.name).await?;
            if let Some(Versioned { value, version }) = found {
                commit.expected = Some(version);
                commit.next = value;
                self.inner.commit_account(&commit).await?;
            }
        }
        result
    }

    async fn endpoints(&self) -> Result<Vec<(EndpointId, Version)>, StoreError> {
        self.inner.endpoints().await
    }

    async fn endpoint(&self, id: EndpointId) -> Result<Option<Versioned<Endpoint>>, StoreError> {
        self.inner.endpoint(id).await
    }

    async fn commit_endpoint(&self, commit: &EndpointCommit) -> Result<(), StoreError> {
        let mut commit = commit.clone();
        if self.is(Bug::ReplacesAnyEndpoint) {
            commit.expected = self.inner.endpoint(commit.id).await?.map(|found| found.version);
        }
        if self.is(Bug::KeepsDeletedEndpoints) && commit.next.is_none() {
            return Ok(());
        }
        if self.is(Bug::LosesLinesOfEndpoints) {
            commit.entry = None;
        }
        if self.is(Bug::LosesActsOfEndpoints) {
            commit.act = None;
        }
        self.inner.commit_endpoint(&commit).await
    }

    async fn add_written(&self, written: &Written) -> Result<(), StoreError> {
        let mut written = written.clone();
        if self.is(Bug::WritesPeopleOncePerCall) {
            written.recipients.truncate(1);
        }
        self.inner.add_written(&written).await
    }

    async fn written(&self, portfolio: &str, since_hour: u32, limit: usize) -> Result<Vec<Written>, StoreError> {
        let since = if self.is(Bug::SinceIsExclusive) {
            since_hour + 1
        } else {
            since_hour
        };
        self.inner.written(portfolio, since, limit).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<RecipientKey>, StoreError> {
        let now = if self.is(Bug::DueTooEarly) { now.plus_millis(1) } else { now };
        let limit = if self.is(Bug::DueWithoutLimit) { usize::MAX } else { limit };
        let mut due = self.inner.due(now, limit).await?;
        if self.is(Bug::DueInAnyOrder) {
            due.sort_by_key(|key| key.0[15]);
        }
        Ok(due)
    }

    async fn scheduled(&self) -> Result<u64, StoreError> {
        self.inner.scheduled().await
    }

    async fn snapshot(&self, id: SubjectId) -> Result<Option<Snapshot>, StoreError> {
        self.inner.snapshot(id).await
    }

    async fn browse(&self, browse: &Browse) -> Result<Page, StoreError> {
        let mut browse = browse.clone();
        match self.bug {
            Bug::BrowsesOtherModes => {
                browse.scope = Scope {
                    mode: Mode::Live,
                    ..browse.scope
                }
            }
            Bug::BrowsesAnyNumber => browse.key = None,
            Bug::BrowsesAnyStatus => browse.status = None,
            Bug::BrowsesAnyPurpose => browse.purpose = None,
            Bug::BeforeIsInclusive => browse.before = browse.before.map(|at| at.plus_millis(1)),
            Bug::AfterIsExclusive => browse.after = browse.after.map(|at| at.plus_millis(1)),
            _ => {}
        }
        let mut page = self.inner.browse(&browse).await?;
        while self.is(Bug::BrowsesWithoutBound) && page.snapshots.is_empty() && page.next.is_some() {
            page = self
                .inner
                .browse(&Browse {
                    cursor: page.next,
                    ..browse.clone()
                })
                .await?;
        }
        if let Some(next) = &mut page.next {
            if self.is(Bug::PagesOverlap) {
                let mut bytes = *next.as_bytes();
                bytes[21] += 1;
                *next = VerificationId::from_bytes(bytes);
            }
            if self.is(Bug::PagesLeaveGaps) {
                page.snapshots.pop();
            }
        }
        Ok(page)
    }

    async fn lines(&self, after: Option<Place>, limit: usize) -> Result<Vec<(Place, Line)>, StoreError> {
        let after = if self.is(Bug::ReadsAPlaceTwice) {
            after.map(|place| Place(place.0 - 1))
        } else {
            after
        };
        let (base, hidden) = {
            let notes = self.notes.lock().unwrap();
            (notes.swept_up_to, notes.hidden.clone())
        };
        let mut entries = self.inner.lines(after.map(|place| Place(place.0 + base)), limit).await?;
        entries.retain(|(place, _)| !hidden.contains(place));
        entries.iter_mut().for_each(|(place, _)| place.0 -= base);
        Ok(entries)
    }

    async fn newest(&self) -> Result<Option<Place>, StoreError> {
        let base = self.notes.lock().unwrap().swept_up_to;
        let newest = self.inner.newest().await?.map(|place| Place(place.0 - base));
        Ok(if self.is(Bug::NewestOfAnEmptyLog) {
            newest.or(Some(Place(0)))
        } else {
            newest
        })
    }

    async fn timeline(&self, id: SubjectId, limit: usize) -> Result<Vec<Entry>, StoreError> {
        if self.is(Bug::TimelinesMix) {
            return Ok(self
                .inner
                .lines(None, limit)
                .await?
                .into_iter()
                .filter_map(|(_, line)| match line {
                    Line::Recipient(entry) => Some(entry),
                    Line::Account(_) | Line::Endpoint(_) => None,
                })
                .collect());
        }
        self.inner
            .timeline(
                id,
                if self.is(Bug::TimelineWithoutLimit) {
                    usize::MAX
                } else {
                    limit
                },
            )
            .await
    }

    async fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<Remembered>, StoreError> {
        let now = if self.is(Bug::GivesExpiredAnswers) {
            Timestamp::from_millis(0)
        } else {
            now
        };
        self.inner.remembered(key, now).await
    }

    async fn commit_key(&self, commit: &KeyCommit) -> Result<(), StoreError> {
        let mut commit = commit.clone();
        match self.bug {
            Bug::KeysAreNeverReplaced if self.inner.keys().await?.iter().any(|known| known.id == commit.next.id) => {
                return Ok(());
            }
            Bug::DecidesOverKeysApart => commit.expected = None,
            Bug::LosesActsOfKeys => commit.act = None,
            Bug::WritesActsOfKeysOnConflict => {
                let act = commit.act.take();
                if let Some(act) = act {
                    self.inner.record_act(&act).await?;
                }
            }
            Bug::SweepsNoExpiredKeys => commit.next.expires_at = None,
            _ => {}
        }
        self.inner.commit_key(&commit).await
    }

    async fn keys_version(&self) -> Result<Version, StoreError> {
        self.inner.keys_version().await
    }

    async fn note_key_used(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        if self.is(Bug::AUseIsACommit)
            && let Some(key) = self.inner.keys().await?.into_iter().find(|key| key.id == id)
        {
            self.inner.commit_key(&key.into()).await?;
        }
        self.inner.note_key_used(id, at).await
    }

    async fn record_act(&self, act: &Act) -> Result<(), StoreError> {
        self.inner.record_act(act).await
    }

    async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError> {
        let before = match self.bug {
            Bug::PagesOfActsOverlap => before.map(|place| Place(place.0 + 1)),
            _ => before,
        };
        let mut acts = self.inner.acts(before, limit).await?;
        if self.is(Bug::ActsInReverse) {
            acts.reverse();
        }
        Ok(acts)
    }

    async fn key(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        self.inner.key(digest).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = self.inner.keys().await?;
        if self.is(Bug::KeysInReverse) {
            keys.reverse();
        }
        Ok(keys)
    }

    async fn counted_through(&self) -> Result<Option<Place>, StoreError> {
        self.inner.counted_through().await
    }

    async fn tallies(&self, span: Span, starts: Range<u32>, service: Option<&ServiceName>) -> Result<Vec<TallyRow>, StoreError> {
        let service = service.filter(|_| !self.is(Bug::CountsOfOtherServices));
        let end = starts.end.saturating_add(u32::from(self.is(Bug::CountsPastTheEnd)));
        self.inner.tallies(span, starts.start..end, service).await
    }

    async fn commit_tallies(&self, mut commit: TallyCommit) -> Result<(), StoreError> {
        if self.is(Bug::CountsALineTwice) {
            commit.expected = self.inner.counted_through().await?;
        }
        if self.is(Bug::KeepsCountsForEver) {
            commit.hours_before = 0;
        }
        self.inner.commit_tallies(commit).await
    }

    async fn swept(&self, service: Option<&ServiceName>) -> Result<Option<Place>, StoreError> {
        let service = service.filter(|_| !self.is(Bug::ForgetsHowFarItSwept));
        self.inner.swept(service).await
    }

    async fn erase(&self, key: &RecipientKey, limit: usize) -> Result<usize, StoreError> {
        match self.bug {
            Bug::ErasesHistoryOnly => {
                // What leads to it is gone, and what it was told stays.
                let lines = self.inner.lines(None, usize::MAX).await?;
                let gone = self.inner.erase(key, limit).await?;
                for (_, line) in lines {
                    let Line::Recipient(entry) = line else { continue };
                    self.write(self.aside(Commit {
                        entries: vec![entry],
                        ..crate::suite::samples::first(1)
                    }))
                    .await?;
                }
                Ok(gone)
            }
            Bug::ErasesEverybody => {
                self.inner.erase(&crate::suite::samples::key(2), limit).await?;
                self.inner.erase(key, limit).await
            }
            Bug::ErasesWithoutBound if limit > 0 => self.inner.erase(key, usize::MAX).await,
            Bug::ErasesInSilence => self.inner.erase(key, limit).await.map(|_| 0),
            _ => self.inner.erase(key, limit).await,
        }
    }

    async fn history(&self, key: &RecipientKey, after: Option<SubjectId>, limit: usize) -> Result<Vec<Snapshot>, StoreError> {
        if self.is(Bug::StartsHistoryAgain) && matches!(after, Some(SubjectId::Message(_))) {
            let last = Some(SubjectId::Verification(VerificationId::from_bytes([u8::MAX; 22])));
            let again = self.inner.history(key, last, limit.saturating_add(1)).await?;
            // Inclusive, where it should be exclusive.
            let from = again
                .iter()
                .position(|s| matches!(&s.subject, Subject::Message(m) if Some(SubjectId::Message(m.id)) == after));
            let again = again
                .into_iter()
                .skip(from.unwrap_or(usize::MAX))
                .take(limit)
                .collect::<Vec<_>>();
            return if again.len() > 1 { Ok(again) } else { Ok(Vec::new()) };
        }
        self.inner.history(key, after, limit).await
    }

    async fn beside(&self, key: &RecipientKey, limit: usize) -> Result<Beside, StoreError> {
        let mut beside = self.inner.beside(key, limit).await?;
        if self.is(Bug::ShowsOthersLines) {
            let other = self.inner.beside(&crate::suite::samples::key(2), limit).await?;
            beside.written = other.written;
        }
        Ok(beside)
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<usize, StoreError> {
        let mut sweep = sweep.clone();
        match self.bug {
            Bug::SweepsHistoryByTheClock => sweep.history_before = sweep.now,
            Bug::KeepsServicesAlike => sweep.services.clear(),
            Bug::ServicesShareTheirKeeping => {
                let shortest = sweep.services.iter().map(|(_, before)| *before).max();
                sweep.history_before = shortest.unwrap_or(sweep.history_before);
            }
            Bug::SweepsNoActs => sweep.acts_before = Timestamp::from_millis(0),
            Bug::SweepsNoAnswers => sweep.now = Timestamp::from_millis(0),
            Bug::SweepsWithoutBound => sweep.limit = usize::MAX,
            _ => {}
        }
        let newest = self.inner.newest().await?;
        let gone = self.inner.sweep(&sweep).await?;
        if self.is(Bug::PlacesStartAgain) && self.inner.newest().await?.is_none() {
            self.notes.lock().unwrap().swept_up_to = newest.map_or(0, |place| place.0);
        }
        Ok(if self.is(Bug::SweepsInSilence) { 0 } else { gone })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.is(Bug::AskingLeavesATrace) {
            let entries = vec![crate::suite::samples::entry(1, Timestamp::from_millis(1), None)];
            self.write(self.aside(Commit {
                entries,
                ..crate::suite::samples::first(1)
            }))
            .await?;
        }
        self.inner.ping().await
    }
}
