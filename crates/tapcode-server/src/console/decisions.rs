//! Which decisions does the page show, and on whose phone? Those about messages that go by way of the sandbox.
//!
//! An entry of the log has its number masked, so the number is found where it is kept: by the verification's id to the
//! document, and in the document sealed, or, when it is gone from there, by the document's key among the phones.

use std::collections::{HashMap, VecDeque};

use tapcode_core::entry::Entry;
use tapcode_core::plan::Route;
use tapcode_core::words::tell;
use tapcode_engine::contract::store::{Line, Place, Snapshot, StoreError, Subject, SubjectId};

use super::Page;
use super::shown::ShownDecision;

/// The provider whose messages the page may show.
const SANDBOX: &str = "sandbox";
/// Entries read from the log at once.
const ENTRIES_AT_ONCE: usize = 200;
/// How far behind the newest entry a page that has just been opened starts to read.
const LOOK_BACK: u64 = 1_000;
/// Most decisions that a page which has just been opened is told.
const RECENT_MAX: usize = 100;
/// Verifications and messages whose phone is remembered.
const REMEMBERED: usize = 1_024;

/// One page's place in the log.
pub(super) struct Decisions {
    page: Page,
    after: Option<Place>,
    phones: HashMap<SubjectId, Option<String>>,
    remembered: VecDeque<SubjectId>,
}

/// Whether anything of this goes, or went, by way of the sandbox.
pub(super) fn is_sandboxed(subject: &Subject) -> bool {
    let by = |route: &Route| &*route.provider == SANDBOX;
    match subject {
        Subject::Verification(v) => v.plan.steps().iter().any(|step| by(&step.route)),
        Subject::Message(message) => by(&message.route),
    }
}

impl Decisions {
    pub(super) fn new(page: Page) -> Self {
        Self {
            page,
            after: None,
            phones: HashMap::new(),
            remembered: VecDeque::new(),
        }
    }

    /// What was decided lately, oldest first; [`Decisions::next`] goes on from there.
    pub(super) async fn recent(&mut self) -> Result<Vec<ShownDecision>, StoreError> {
        let newest = self.page.engine.store().newest().await?;
        self.after = newest.and_then(|Place(newest)| newest.checked_sub(LOOK_BACK)).map(Place);
        let mut recent = VecDeque::new();
        loop {
            let (decisions, all) = self.next().await?;
            recent.extend(decisions);
            while recent.len() > RECENT_MAX {
                recent.pop_front();
            }
            // On a busy server there is always more: what comes after the newest of the beginning is not recent but live.
            if all || self.after >= newest {
                return Ok(recent.into());
            }
        }
    }

    /// The next decisions, and whether they are all there are.
    pub(super) async fn next(&mut self) -> Result<(Vec<ShownDecision>, bool), StoreError> {
        let entries = self.page.engine.store().lines(self.after, ENTRIES_AT_ONCE).await?;
        let all = entries.len() < ENTRIES_AT_ONCE;
        let mut decisions = Vec::new();
        for (place, line) in entries {
            // What is about an account is about no phone.
            if let Line::Recipient(entry) = line
                && !entry.is_erased()
                && let Some(number) = self.number(&entry).await?
            {
                decisions.extend(
                    tell(&entry)
                        .into_iter()
                        .map(|told| ShownDecision::new(entry.at, &number, entry.verification, told)),
                );
            }
            self.after = Some(place);
        }
        Ok((decisions, all))
    }

    /// The number of the phone that an entry is about; `None` when it is none of the sandbox's business.
    async fn number(&mut self, entry: &Entry) -> Result<Option<String>, StoreError> {
        let subject = entry
            .verification
            .map(SubjectId::Verification)
            .or(entry.message.map(SubjectId::Message));
        let Some(id) = subject else { return Ok(self.by_mask(entry)) };
        if let Some(known) = self.phones.get(&id) {
            return Ok(known.clone());
        }
        let store = self.page.engine.store();
        let Some(snapshot) = store.snapshot(id).await?.filter(|s| is_sandboxed(&s.subject)) else {
            self.remember(id, None);
            return Ok(None);
        };
        let document = store.load(&snapshot.key).await?.map(|loaded| loaded.value);
        let kept = document
            .and_then(|d| d.number)
            .and_then(|sealed| self.page.engine.keyring().open_number(&sealed));
        let number = kept
            .map(|number| number.expose().to_owned())
            .or_else(|| self.by_key(&snapshot));
        self.remember(id, number.clone());
        Ok(number)
    }

    fn by_key(&self, snapshot: &Snapshot) -> Option<String> {
        let keyring = self.page.engine.keyring();
        let phones = self.page.console.phones.all().into_iter().map(|phone| phone.number);
        let alike = phones.filter(|number| number.masked() == snapshot.masked);
        let mut same = alike.filter(|number| keyring.recipient_key(&snapshot.scope, number) == snapshot.key);
        same.next().map(|number| number.expose().to_owned())
    }

    /// A refusal about a number without a verification of its own names nothing but the masked number.
    fn by_mask(&self, entry: &Entry) -> Option<String> {
        if entry.scope != self.page.console.scope() {
            return None;
        }
        let phones = self.page.console.phones.all().into_iter().map(|phone| phone.number);
        let mut alike = phones.filter(|number| number.masked() == entry.masked);
        alike
            .next()
            .filter(|_| alike.next().is_none())
            .map(|number| number.expose().to_owned())
    }

    fn remember(&mut self, id: SubjectId, number: Option<String>) {
        if self.phones.insert(id, number).is_none() {
            self.remembered.push_back(id);
            if self.remembered.len() > REMEMBERED
                && let Some(oldest) = self.remembered.pop_front()
            {
                self.phones.remove(&oldest);
            }
        }
    }
}
