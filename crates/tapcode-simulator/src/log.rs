//! What did a stand-in see, and how does a test wait for it without sleeping?

use crate::clock;
use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// How many of the latest entries a failed wait prints.
const PRINTED_ENTRIES: usize = 20;

/// Entries in the order in which they happened, and a bell that rings at each.
pub(crate) struct Log<T> {
    entries: Mutex<Vec<T>>,
    bell: Notify,
}

impl<T: Clone + Debug> Log<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Mutex::new(Vec::new()),
            bell: Notify::new(),
        }
    }

    /// Adds the entry that `make` builds from its own position.
    pub(crate) fn push(&self, make: impl FnOnce(usize) -> T) {
        let mut entries = self.entries.lock().expect("no holder panics");
        let entry = make(entries.len());
        entries.push(entry);
        drop(entries);
        self.bell.notify_waiters();
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        self.entries.lock().expect("no holder panics").clone()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().expect("no holder panics").clear();
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
                    // Listen for the bell before looking: an entry that comes between the two must not be missed.
                    let bell = self.bell.notified();
                    let mut bell = std::pin::pin!(bell);
                    bell.as_mut().enable();
                    let seen = {
                        let entries = self.entries.lock().expect("no holder panics");
                        enough(&entries).then(|| entries.clone())
                    };
                    if let Some(seen) = seen {
                        return seen;
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
