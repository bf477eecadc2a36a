//! What does the contract mean, in the simplest words? Every store answers as this one does; it keeps nothing past the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tapcode_core::account::{Account, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, KeyId, MessageId, VerificationId};
use tapcode_core::recipient::{Recipient, RecipientKey, Scope, ServiceName};
use tapcode_core::statistics::{Group, Span, Tally};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, BROWSE_ROWS_MAX, Beside, Browse, Commit, EndpointCommit, KeyCommit, Line, PARKED_MAX,
    PARKED_PER_MESSAGE_MAX, Page, Parked, Place, REMEMBERED_MS, Remembered, Snapshot, Store, StoreError, Subject, SubjectId,
    Sweep, TallyCommit, TallyRow, ToldReceipt, Version, Versioned, Written, written_name,
};

use crate::limits::Full;

/// A store in memory: the executable definition of the contract, for tests, the simulation and a try-out.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recipients: BTreeMap<RecipientKey, Row>,
    due: BTreeSet<(Timestamp, RecipientKey)>,
    handles: BTreeMap<Name, (RecipientKey, MessageId)>,
    parked: BTreeMap<Name, Vec<(ToldReceipt, Timestamp)>>,
    parked_count: usize,
    verifications: BTreeMap<VerificationId, Snapshot>,
    messages: BTreeMap<MessageId, Snapshot>,
    log: BTreeMap<Place, Line>,
    /// Survives a sweep of the whole log: no place is given twice.
    places_given: u64,
    /// About whom lines are that no verification or message leads to.
    apart: BTreeMap<Place, RecipientKey>,
    /// About whom answers are.
    answers: BTreeMap<[u8; 32], RecipientKey>,
    /// The highest places that sweeps took, of everybody's lines and of single services'.
    swept: BTreeMap<Option<ServiceName>, Place>,
    remembered: BTreeMap<[u8; 32], Remembered>,
    keys: BTreeMap<KeyId, ApiKey>,
    keys_version: u64,
    acts: BTreeMap<Place, Act>,
    /// No place of an act is given twice either.
    acts_given: u64,
    accounts: BTreeMap<AccountName, Versioned<Account>>,
    endpoints: BTreeMap<EndpointId, Versioned<Endpoint>>,
    /// Hour, portfolio and recipient.
    written: BTreeSet<(u32, Box<str>, u64)>,
    tallies: BTreeMap<(Span, u32, Group), Tally>,
    counted_through: Option<Place>,
}

/// A provider's name for a message: sender and the provider's message id.
type Name = (Box<str>, Box<str>);

struct Row {
    document: Recipient,
    version: Version,
    due_at: Option<Timestamp>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics half-way through a change, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl State {
    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        if self.recipients.get(&commit.key).map(|row| row.version) != commit.expected {
            return Err(StoreError::Conflict);
        }
        if let Some(new) = &commit.remembered {
            let made_at = new.expires_at.minus_millis(REMEMBERED_MS);
            if self.remembered.get(&new.key).is_some_and(|old| old.expires_at > made_at) {
                return Err(StoreError::Conflict);
            }
        }
        // Nothing was written so far, and nothing is refused from here on.
        self.replace(&commit);
        for handle in commit.handles {
            self.handles
                .insert((handle.sender, handle.provider_message_id), (commit.key, handle.message));
        }
        for snapshot in commit.snapshots {
            match &snapshot.subject {
                Subject::Verification(v) => self.verifications.insert(v.id, snapshot),
                Subject::Message(m) => self.messages.insert(m.id, snapshot),
            };
        }
        for entry in commit.entries {
            let is_apart = entry.verification.is_none() && entry.message.is_none();
            self.append(Line::Recipient(entry));
            if is_apart {
                self.apart.insert(Place(self.places_given), commit.key);
            }
        }
        self.acted(commit.act);
        if let Some(remembered) = commit.remembered {
            self.answers.insert(remembered.key, commit.key);
            self.remembered.insert(remembered.key, remembered);
        }
        Ok(())
    }

    fn acted(&mut self, act: Option<Act>) {
        if let Some(act) = act {
            self.acts_given += 1;
            self.acts.insert(Place(self.acts_given), act);
        }
    }

    fn append(&mut self, line: Line) {
        self.places_given += 1;
        self.log.insert(Place(self.places_given), line);
    }

    fn replace(&mut self, commit: &Commit) {
        if let Some(Row { due_at: Some(at), .. }) = self.recipients.remove(&commit.key) {
            self.due.remove(&(at, commit.key));
        }
        if let Some(document) = commit.next.clone() {
            let version = Version(commit.expected.map_or(1, |v| v.0 + 1));
            self.recipients.insert(
                commit.key,
                Row {
                    document,
                    version,
                    due_at: commit.due_at,
                },
            );
            if let Some(at) = commit.due_at {
                self.due.insert((at, commit.key));
            }
        }
    }

    fn erase(&mut self, key: RecipientKey, limit: usize) -> usize {
        let mut left = limit;
        let mut take = |is_one: bool| {
            let goes = is_one && left > 0;
            left -= usize::from(goes);
            goes
        };
        let (handles, parked, log) = (&mut self.handles, &mut self.parked, &mut self.log);
        let mut take_whole = |snapshot: &Snapshot| {
            if snapshot.key != key {
                return false;
            }
            for line in log.values_mut() {
                if let Line::Recipient(entry) = line
                    && is_about(entry, snapshot)
                    && take(true)
                {
                    *entry = entry.clone().erased();
                }
            }
            for message in messages_of(snapshot) {
                handles.retain(|name, (_, of)| {
                    if *of != message {
                        return true;
                    }
                    let waiting = parked.get_mut(name);
                    let all_went = waiting.is_none_or(|all| {
                        all.retain(|_| !take(true));
                        all.is_empty()
                    });
                    !(all_went && take(true))
                });
            }
            take(true)
        };
        self.verifications.retain(|_, s| !take_whole(s));
        self.messages.retain(|_, s| !take_whole(s));
        self.parked.retain(|_, receipts| !receipts.is_empty());
        self.parked_count = self.parked.values().map(Vec::len).sum();
        for place in self.apart.iter().filter(|(_, of)| **of == key).map(|(place, _)| *place) {
            if let Some(Line::Recipient(entry)) = self.log.get_mut(&place)
                && !entry.is_erased()
                && take(true)
            {
                *entry = entry.clone().erased();
            }
        }
        self.remembered
            .retain(|answer, _| !take(self.answers.get(answer) == Some(&key)));
        limit - left
    }

    fn sweep(&mut self, sweep: &Sweep) -> usize {
        let mut left = sweep.limit;
        let mut take = |past: bool| {
            let goes = past && left > 0;
            left -= usize::from(goes);
            goes
        };
        self.remembered.retain(|_, r| !take(r.expires_at <= sweep.now));
        for receipts in self.parked.values_mut() {
            receipts.retain(|(_, until)| !take(*until <= sweep.now));
        }
        self.parked.retain(|_, receipts| !receipts.is_empty());
        self.parked_count = self.parked.values().map(Vec::len).sum();
        // A handle serves as long as its document knows the message, which no service's keeping ends.
        let shortest = sweep
            .services
            .iter()
            .map(|(_, before)| *before)
            .fold(sweep.history_before, Timestamp::max);
        self.handles.retain(|_, (_, message)| !take(message.made_at() < shortest));
        let services = sweep.services.iter().map(|(service, before)| (Some(service), *before));
        let mut gone = Vec::new();
        for (service, before) in services.chain([(None, sweep.history_before)]) {
            let is_of = |scope: &Scope| service.is_none_or(|service| scope.service == *service);
            let log = &mut self.log;
            let mut take_with_lines = |snapshot: &Snapshot, made_at: Timestamp| {
                if !(is_of(&snapshot.scope) && made_at < before && is_past(snapshot, before)) {
                    return false;
                }
                let about = |line: &Line| matches!(line, Line::Recipient(entry) if is_about(entry, snapshot));
                log.retain(|place, line| {
                    let goes = about(line) && take(true);
                    gone.extend(goes.then(|| (service.cloned(), *place)));
                    !goes
                });
                take(true)
            };
            self.verifications.retain(|id, s| !take_with_lines(s, id.made_at()));
            self.messages.retain(|id, s| !take_with_lines(s, id.made_at()));
            log.retain(|place, line| {
                let is_one = match (service, line) {
                    (None, line) => line.at() < before,
                    // What is about something that is kept is kept with it, and what is about nobody with everybody's.
                    (Some(_), Line::Recipient(entry)) => {
                        let is_apart = entry.verification.is_none() && entry.message.is_none() && !entry.is_erased();
                        is_of(&entry.scope) && is_apart && entry.at < before
                    }
                    (Some(_), Line::Account(_) | Line::Endpoint(_)) => false,
                };
                let goes = take(is_one);
                gone.extend(goes.then(|| (service.cloned(), *place)));
                !goes
            });
        }
        for (service, place) in gone {
            let highest = self.swept.entry(service).or_insert(place);
            *highest = place.max(*highest);
        }
        self.acts.retain(|_, act| !take(act.at < sweep.acts_before));
        self.keys
            .retain(|_, key| !take(key.ends_at().is_some_and(|at| at < sweep.acts_before)));
        self.written.retain(|(hour, ..)| !take(*hour < sweep.written_before_hour));
        sweep.limit - left
    }
}

/// The messages of a verification, or a plain message itself.
fn messages_of(snapshot: &Snapshot) -> Vec<MessageId> {
    match &snapshot.subject {
        Subject::Verification(v) => v.attempts.iter().map(|attempt| attempt.id).collect(),
        Subject::Message(m) => vec![m.id],
    }
}

/// Whether a line is about what a snapshot shows.
fn is_about(entry: &Entry, snapshot: &Snapshot) -> bool {
    match &snapshot.subject {
        Subject::Verification(v) => entry.verification == Some(v.id),
        Subject::Message(m) => entry.verification.is_none() && entry.message == Some(m.id),
    }
}

/// Whether a snapshot's verification ended before a moment. A plain message has no end: it is past by its age alone.
fn is_past(snapshot: &Snapshot, before: Timestamp) -> bool {
    match &snapshot.subject {
        Subject::Verification(v) => v.status.is_final() && v.finished_at.is_some_and(|at| at < before),
        Subject::Message(_) => true,
    }
}

fn is_wanted(snapshot: &Snapshot, browse: &Browse) -> bool {
    let Subject::Verification(verification) = &snapshot.subject else {
        return false;
    };
    let made_at = verification.id.made_at();
    snapshot.scope == browse.scope
        && browse.key.is_none_or(|key| snapshot.key == key)
        && browse.status.is_none_or(|status| verification.status == status)
        && browse.purpose.as_ref().is_none_or(|purpose| verification.purpose == *purpose)
        && browse.after.is_none_or(|after| made_at >= after)
        && browse.before.is_none_or(|before| made_at < before)
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError> {
        Ok(self.state().recipients.get(key).map(|row| Versioned {
            value: row.document.clone(),
            version: row.version,
        }))
    }

    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        let mut state = self.state();
        batch.into_iter().map(|commit| state.commit(commit)).collect()
    }

    async fn find(&self, sender: &str, provider_message_id: &str) -> Result<Option<(RecipientKey, MessageId)>, StoreError> {
        Ok(self
            .state()
            .handles
            .get(&(sender.into(), provider_message_id.into()))
            .copied())
    }

    async fn park(&self, parked: &Parked, until: Timestamp) -> Result<(), StoreError> {
        let state = &mut *self.state();
        let name = (parked.sender.clone(), parked.provider_message_id.clone());
        let waiting = state.parked.get_mut(&name);
        if let Some((_, old)) = waiting.and_then(|all| all.iter_mut().find(|(known, _)| known.kind == parked.told.kind)) {
            *old = until.max(*old);
            return Ok(());
        }
        if state.parked_count >= PARKED_MAX {
            return Err(StoreError::unavailable(Full::Parked));
        }
        if state
            .parked
            .get(&name)
            .is_some_and(|receipts| receipts.len() >= PARKED_PER_MESSAGE_MAX)
        {
            return Err(StoreError::unavailable(Full::ParkedForOneMessage));
        }
        state.parked.entry(name).or_default().push((parked.told.clone(), until));
        state.parked_count += 1;
        Ok(())
    }

    async fn parked(&self, sender: &str, provider_message_id: &str) -> Result<Vec<ToldReceipt>, StoreError> {
        let state = self.state();
        let receipts = state.parked.get(&(sender.into(), provider_message_id.into()));
        Ok(receipts
            .map(|all| all.iter().map(|(told, _)| told.clone()).collect())
            .unwrap_or_default())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<RecipientKey>, StoreError> {
        Ok(self
            .state()
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit)
            .map(|(_, key)| *key)
            .collect())
    }

    async fn scheduled(&self) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.state().due.len()).unwrap_or(u64::MAX))
    }

    async fn snapshot(&self, id: SubjectId) -> Result<Option<Snapshot>, StoreError> {
        let state = self.state();
        Ok(match id {
            SubjectId::Verification(id) => state.verifications.get(&id),
            SubjectId::Message(id) => state.messages.get(&id),
        }
        .cloned())
    }

    async fn browse(&self, browse: &Browse) -> Result<Page, StoreError> {
        let state = self.state();
        let mut page = Page {
            snapshots: Vec::new(),
            next: None,
        };
        let mut last = None;
        let older = state
            .verifications
            .iter()
            .rev()
            .filter(|(id, _)| browse.cursor.is_none_or(|cursor| **id < cursor));
        for (looked, (id, snapshot)) in older.enumerate() {
            if looked == BROWSE_ROWS_MAX {
                page.next = last;
                break;
            }
            if is_wanted(snapshot, browse) {
                if page.snapshots.len() == browse.limit.max(1) {
                    page.next = last;
                    break;
                }
                page.snapshots.push(snapshot.clone());
            }
            last = Some(*id);
        }
        Ok(page)
    }

    async fn lines(&self, after: Option<Place>, limit: usize) -> Result<Vec<(Place, Line)>, StoreError> {
        let from = after.map_or(Place(0), |place| Place(place.0.saturating_add(1)));
        Ok(self
            .state()
            .log
            .range(from..)
            .take(limit)
            .map(|(place, line)| (*place, line.clone()))
            .collect())
    }

    async fn newest(&self) -> Result<Option<Place>, StoreError> {
        Ok(self.state().log.last_key_value().map(|(place, _)| *place))
    }

    async fn timeline(&self, id: SubjectId, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let state = self.state();
        let entries = state.log.values().filter_map(|line| match line {
            Line::Recipient(entry) => Some(entry),
            Line::Account(_) | Line::Endpoint(_) => None,
        });
        let about = |entry: &&Entry| match id {
            SubjectId::Verification(id) => entry.verification == Some(id),
            SubjectId::Message(id) => entry.message == Some(id),
        };
        Ok(entries.filter(about).take(limit).cloned().collect())
    }

    async fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<Remembered>, StoreError> {
        Ok(self.state().remembered.get(key).filter(|r| now < r.expires_at).cloned())
    }

    async fn commit_key(&self, commit: &KeyCommit) -> Result<(), StoreError> {
        let mut state = self.state();
        if commit.expected.is_some_and(|expected| expected.0 != state.keys_version) {
            return Err(StoreError::Conflict);
        }
        state.keys_version += 1;
        let used_at = state.keys.get(&commit.next.id).and_then(|known| known.used_at);
        let key = ApiKey {
            used_at,
            ..commit.next.clone()
        };
        state.keys.insert(key.id, key);
        state.acted(commit.act.clone());
        Ok(())
    }

    async fn keys_version(&self) -> Result<Version, StoreError> {
        Ok(Version(self.state().keys_version))
    }

    async fn note_key_used(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        if let Some(key) = self.state().keys.get_mut(&id) {
            key.used_at = key.used_at.max(Some(at));
        }
        Ok(())
    }

    async fn record_act(&self, act: &Act) -> Result<(), StoreError> {
        self.state().acted(Some(act.clone()));
        Ok(())
    }

    async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError> {
        let before = before.unwrap_or(Place(u64::MAX));
        let state = self.state();
        let acts = state.acts.range(..before).rev().take(limit);
        Ok(acts.map(|(place, act)| (*place, act.clone())).collect())
    }

    async fn key(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.state().keys.values().find(|key| key.digest == *digest).cloned())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys: Vec<ApiKey> = self.state().keys.values().cloned().collect();
        keys.sort_by_key(|key| (key.created_at, key.id));
        Ok(keys)
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Versioned<Account>>, StoreError> {
        Ok(self.state().accounts.get(name).cloned())
    }

    async fn commit_account(&self, commit: &AccountCommit) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.accounts.get(&commit.name).map(|known| known.version) != commit.expected {
            return Err(StoreError::Conflict);
        }
        let version = Version(commit.expected.map_or(1, |v| v.0 + 1));
        let value = commit.next.clone();
        state.accounts.insert(commit.name.clone(), Versioned { value, version });
        if let Some(entry) = commit.entry.clone() {
            state.append(Line::Account(entry));
        }
        Ok(())
    }

    async fn endpoints(&self) -> Result<Vec<(EndpointId, Version)>, StoreError> {
        let state = self.state();
        Ok(state.endpoints.iter().map(|(id, known)| (*id, known.version)).collect())
    }

    async fn endpoint(&self, id: EndpointId) -> Result<Option<Versioned<Endpoint>>, StoreError> {
        Ok(self.state().endpoints.get(&id).cloned())
    }

    async fn commit_endpoint(&self, commit: &EndpointCommit) -> Result<(), StoreError> {
        let mut state = self.state();
        let known = state.endpoints.get(&commit.id).map(|known| known.version);
        if known != commit.expected {
            return Err(StoreError::Conflict);
        }
        let version = Version(known.map_or(1, |version| version.0 + 1));
        match commit.next.clone() {
            Some(value) => state.endpoints.insert(commit.id, Versioned { value, version }),
            None => state.endpoints.remove(&commit.id),
        };
        if let Some(entry) = commit.entry.clone() {
            state.append(Line::Endpoint(entry));
        }
        state.acted(commit.act.clone());
        Ok(())
    }

    async fn add_written(&self, written: &Written) -> Result<(), StoreError> {
        let row = |recipient: &u64| (written.hour, written.portfolio.clone(), *recipient);
        self.state().written.extend(written.recipients.iter().map(row));
        Ok(())
    }

    async fn written(&self, portfolio: &str, since_hour: u32, limit: usize) -> Result<Vec<Written>, StoreError> {
        let state = self.state();
        let mut hours: Vec<Written> = Vec::new();
        let rows = state
            .written
            .iter()
            .filter(|(hour, of, _)| *hour >= since_hour && **of == *portfolio);
        for (hour, of, recipient) in rows.rev().take(limit) {
            match hours.last_mut() {
                Some(last) if last.hour == *hour => last.recipients.push(*recipient),
                Some(_) | None => hours.push(Written {
                    portfolio: of.clone(),
                    hour: *hour,
                    recipients: vec![*recipient],
                }),
            }
        }
        Ok(hours)
    }

    async fn counted_through(&self) -> Result<Option<Place>, StoreError> {
        Ok(self.state().counted_through)
    }

    async fn tallies(&self, span: Span, starts: Range<u32>, service: Option<&ServiceName>) -> Result<Vec<TallyRow>, StoreError> {
        let state = self.state();
        let within = state.tallies.iter().filter(|((of, start, group), _)| {
            *of == span && starts.contains(start) && service.is_none_or(|service| group.scope.service == *service)
        });
        let row = |((_, start, group), tally): (&(Span, u32, Group), &Tally)| TallyRow {
            span,
            start: *start,
            group: group.clone(),
            tally: tally.clone(),
        };
        Ok(within.map(row).collect())
    }

    async fn commit_tallies(&self, commit: TallyCommit) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.counted_through != commit.expected {
            return Err(StoreError::Conflict);
        }
        state.counted_through = Some(commit.through);
        for row in commit.rows {
            state.tallies.insert((row.span, row.start, row.group), row.tally);
        }
        state.tallies.retain(|(span, start, _), _| {
            *start
                >= match span {
                    Span::Hour => commit.hours_before,
                    Span::Day => commit.days_before,
                }
        });
        Ok(())
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<usize, StoreError> {
        Ok(self.state().sweep(sweep))
    }

    async fn erase(&self, key: &RecipientKey, limit: usize) -> Result<usize, StoreError> {
        Ok(self.state().erase(*key, limit))
    }

    async fn history(&self, key: &RecipientKey, after: Option<SubjectId>, limit: usize) -> Result<Vec<Snapshot>, StoreError> {
        let state = self.state();
        let verifications = state.verifications.iter().filter(|(id, _)| match after {
            Some(SubjectId::Verification(after)) => **id > after,
            Some(SubjectId::Message(_)) => false,
            None => true,
        });
        let messages = state.messages.iter().filter(|(id, _)| match after {
            Some(SubjectId::Message(after)) => **id > after,
            Some(SubjectId::Verification(_)) | None => true,
        });
        let all = verifications.map(|(_, s)| s).chain(messages.map(|(_, s)| s));
        Ok(all.filter(|s| s.key == *key).take(limit).cloned().collect())
    }

    async fn beside(&self, key: &RecipientKey, limit: usize) -> Result<Beside, StoreError> {
        let state = self.state();
        let apart = state.apart.iter().filter(|(_, of)| *of == key);
        let entries = apart.filter_map(|(place, _)| match state.log.get(place) {
            Some(Line::Recipient(entry)) if !entry.is_erased() => Some(entry.clone()),
            Some(_) | None => None,
        });
        let answers = state.remembered.values().filter(|r| state.answers.get(&r.key) == Some(key));
        let written = state.written.iter().filter(|(_, _, of)| *of == written_name(*key));
        Ok(Beside {
            entries: entries.take(limit).collect(),
            answers: answers.map(|r| r.expires_at).take(limit).collect(),
            written: written.map(|(hour, of, _)| (of.clone(), *hour)).take(limit).collect(),
        })
    }

    async fn swept(&self, service: Option<&ServiceName>) -> Result<Option<Place>, StoreError> {
        let state = self.state();
        let of = |service: Option<ServiceName>| state.swept.get(&service).copied();
        Ok(of(None).max(service.and_then(|service| of(Some(service.clone())))))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
