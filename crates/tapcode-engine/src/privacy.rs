//! How is a number forgotten, and what is kept about it until then?

use std::sync::{Mutex, PoisonError};

use tapcode_core::delivery::Delivery;
use tapcode_core::entry::Entry;
use tapcode_core::number::Number;
use tapcode_core::recipient::{Recipient, RecipientKey, Scope};
use tapcode_core::step::Input;
use tapcode_core::time::Timestamp;

use crate::contract::store::{Beside, Snapshot, Subject, SubjectId};
use crate::engine::{Engine, EngineError};
use crate::requests::TIMELINE_MAX;

/// Rows that are erased at once, so that an erasure never holds the store for long.
const ERASE_ROWS: usize = 500;
/// Pause between two such removals. Milliseconds.
const ERASE_PAUSE_MS: u64 = 20;
/// Most lines about no verification or message, and most remembered answers and hours, that an export has.
pub const BESIDE_MAX: usize = 1_000;

/// A part of what is kept about a number.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The document, with the first part only.
    pub document: Option<Recipient>,
    /// What is kept beside, with the first part only.
    pub beside: Option<Beside>,
    /// Verifications and plain messages, with the lines of the log about each.
    pub things: Vec<(Snapshot, Vec<Entry>)>,
    /// Behind which the next part starts; `None`: this was the last.
    pub next: Option<SubjectId>,
}

impl Engine {
    /// Erases what is known of a number within a scope, everything but anonymous counts. When this returns it is gone; whoever
    /// dies in the middle leaves the rest to whoever comes next, because the document says so. Doing it again is harmless.
    ///
    /// What limits whoever holds the number stays under its key, without telling who that is, until [`Erased::until`]: the times
    /// of messages within the hour, failed checks in a row, and a lock.
    ///
    /// [`Erased::until`]: tapcode_core::recipient::Erased::until
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn erase(&self, scope: &Scope, number: &Number) -> Result<(), EngineError> {
        let key = self.inner.keyring.recipient_key(scope, number);
        let known = Mutex::new(Vec::new());
        self.apply(key, None, |document: Option<&Recipient>, _: Timestamp| {
            if let Some(document) = document {
                let verifications = document.verifications.iter().map(|v| SubjectId::Verification(v.id));
                let messages = document.messages.iter().map(|m| SubjectId::Message(m.id));
                *known.lock().unwrap_or_else(PoisonError::into_inner) = verifications.chain(messages).collect();
            }
            Ok(Input::Erase {
                scope: scope.clone(),
                country: number.country(),
            })
        })
        .await?;
        self.finish_erasing(key).await?;
        // Whoever waits for news of one finds it gone.
        for id in known.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.inner.waiters.tell(id);
        }
        Ok(())
    }

    /// Takes the history of a number whose document is erased, and says so in the document.
    pub(crate) async fn finish_erasing(&self, key: RecipientKey) -> Result<(), EngineError> {
        while self.inner.store.erase(&key, ERASE_ROWS).await? == ERASE_ROWS {
            self.inner.clock.sleep(ERASE_PAUSE_MS).await;
        }
        self.apply(key, None, |_: Option<&Recipient>, _: Timestamp| Ok(Input::Erased))
            .await
            .map(drop)
    }

    /// What is kept about a number within a scope: of verifications and messages the next `limit` behind `after`.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn kept(
        &self,
        scope: &Scope,
        number: &Number,
        after: Option<SubjectId>,
        limit: usize,
    ) -> Result<Kept, EngineError> {
        let store = &self.inner.store;
        let key = self.inner.keyring.recipient_key(scope, number);
        let (document, beside) = match after {
            Some(_) => (None, None),
            None => {
                let found = store.load(&key).await?;
                (found.map(|found| found.value), Some(store.beside(&key, BESIDE_MAX).await?))
            }
        };
        let mut found = store.history(&key, after, limit.saturating_add(1)).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let mut things = Vec::with_capacity(found.len());
        for mut snapshot in found {
            self.open_names(&mut snapshot);
            let lines = store.timeline(snapshot.subject.id(), TIMELINE_MAX).await?;
            things.push((snapshot, lines));
        }
        let next = things.last().filter(|_| more).map(|(snapshot, _)| snapshot.subject.id());
        Ok(Kept {
            document,
            beside,
            things,
            next,
        })
    }
}

impl Engine {
    /// Providers' names of messages as their providers write them.
    fn open_names(&self, snapshot: &mut Snapshot) {
        let deliveries: Vec<&mut Delivery> = match &mut snapshot.subject {
            Subject::Verification(v) => v.attempts.iter_mut().map(|attempt| &mut attempt.delivery).collect(),
            Subject::Message(message) => vec![&mut message.delivery],
        };
        for delivery in deliveries {
            let kept = delivery.provider_message_id.take();
            let opened = kept.and_then(|kept| self.inner.keyring.open_provider_message_id(&kept));
            delivery.provider_message_id = opened.map(Into::into);
        }
    }
}
