//! How often did things happen? Known also when nothing is logged.

use crate::CallbackAnswer;
use std::sync::atomic::{AtomicU64, Ordering};

/// Only goes up.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What every stand-in counts.
#[derive(Default)]
pub(crate) struct Tally {
    /// Sends that were read.
    pub(crate) requests: Counter,
    /// Messages that came to exist.
    pub(crate) messages: Counter,
    /// Sends that were cut unread.
    pub(crate) unread: Counter,
    /// Callbacks answered 2xx.
    pub(crate) taken: Counter,
    /// Callbacks answered otherwise, or not at all.
    pub(crate) failed: Counter,
}

impl Tally {
    pub(crate) fn called_back(&self, answer: &CallbackAnswer) {
        let counter = if answer.is_ok() { &self.taken } else { &self.failed };
        counter.add_one();
    }
}
