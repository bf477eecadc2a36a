//! What did a stand-in see, and how does a test wait for it without sleeping?

use crate::clock;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// How many of the latest entries a failed wait prints.
const PRINTED_ENTRIES: usize = 20;

/// Most entries that are kept. The oldest go first: a stand-in that runs for days must not grow.
const ENTRIES_MAX: usize = 200_000;

/// Entries in the order in which they happened, and a bell that rings at each.
pub(crate) struct Log<T> {
    entries: Mutex<Entries<T>>,
    bell: Notify,
}

struct Entries<T> {
    kept: VecDeque<T>,
    /// How many went before the first that is kept.
    gone: usize,
}

impl<T: Clone + Debug> Log<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Mutex::new(Entries {
                kept: VecDeque::new(),
                gone: 0,
            }),
            bell: Notify::new(),
        }
    }

    /// Adds the entry that `make` builds from its own position.
    pub(crate) fn push(&self, make: impl FnOnce(usize) -> T) {
        let mut entries = self.entries.lock().expect("no holder panics");
        let entry = make(entries.gone + entries.kept.len());
        entries.kept.push_back(entry);
        if entries.kept.len() > ENTRIES_MAX {
            entries.kept.pop_front();
            entries.gone += 1;
        }
        drop(entries);
        self.bell.notify_waiters();
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        let entries = self.entries.lock().expect("no holder panics");
        entries.kept.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        let mut entries = self.entries.lock().expect("no holder panics");
        entries.gone += entries.kept.len();
        entries.kept.clear();
    }

    /// Returns the entries from the `seen`th on, as soon as there is one, and how many were seen with them.
    pub(crate) async fn after(&self, seen: usize) -> (Vec<T>, usize) {
        loop {
            // Listen for the bell before looking: an entry that comes between the two must not be missed.
            let bell = self.bell.notified();
            let mut bell = std::pin::pin!(bell);
            bell.as_mut().enable();
            {
                let entries = self.entries.lock().expect("no holder panics");
                let total = entries.gone + entries.kept.len();
                if total > seen {
                    let skip = seen.saturating_sub(entries.gone);
                    return (entries.kept.iter().skip(skip).cloned().collect(), total);
                }
            }
            bell.await;
        }
    }

    /// Returns all entries as soon as `enough` holds for them.
    ///
    /// # Panics
    /// After `limit`, at the caller's line, with the latest entries: a wait that was in vain is a failed test.
    #[track_caller]
    pub(crate) fn wait_for(
        &self,
        what: impl Into<String>,
        limit: Duration,
        enough: impl Fn(&[T]) -> bool + Send,
    ) -> impl Future<Output = Vec<T>> + Send
    where
        T: Send,
    {
        let (caller, what) = (Location::caller(), what.into());
        async move {
            let watch = async move {
                loop {
                    // As in `after`.
                    let bell = self.bell.notified();
                    let mut bell = std::pin::pin!(bell);
                    bell.as_mut().enable();
                    let entries = self.entries();
                    if enough(&entries) {
                        return entries;
                    }
                    bell.await;
                }
            };
            match clock::within(limit, watch).await {
                Some(seen) => seen,
                None => {
                    let entries = self.entries();
                    let latest = &entries[entries.len().saturating_sub(PRINTED_ENTRIES)..];
                    panic!(
                        "{caller}: waited {limit:?} in vain for {what}; {} entries, the latest: {latest:#?}",
                        entries.len()
                    )
                }
            }
        }
    }
}

/// A number as a failed wait may print it.
pub(crate) fn masked(number: &str) -> String {
    let shown = number.char_indices().rev().nth(3).map_or(0, |(start, _)| start);
    format!("…{}", &number[shown..])
}
