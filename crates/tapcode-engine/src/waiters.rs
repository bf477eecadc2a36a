//! Who waits for news of one verification or message? Bounded by the connections that wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::contract::store::SubjectId;

/// The registry of those who wait.
#[derive(Debug, Default)]
pub struct Waiters {
    // Read on every commit: most of the time nobody waits and the map is not looked at.
    count: AtomicUsize,
    waiting: Mutex<HashMap<SubjectId, (Arc<Notify>, usize)>>,
}

/// One that waits; gone when dropped.
#[derive(Debug)]
pub struct Waiter {
    registry: Arc<Waiters>,
    id: SubjectId,
    news: Arc<Notify>,
}

impl Waiters {
    /// Starts waiting. Register before reading what is known, so that no news falls in between.
    #[must_use]
    pub fn register(self: &Arc<Self>, id: SubjectId) -> Waiter {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (news, count) = waiting.entry(id).or_default();
        *count += 1;
        self.count.fetch_add(1, Ordering::SeqCst);
        Waiter {
            registry: Arc::clone(self),
            id,
            news: Arc::clone(news),
        }
    }

    /// Tells those who wait for this one.
    pub fn tell(&self, id: SubjectId) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((news, _)) = waiting.get(&id) {
            news.notify_waiters();
        }
    }
}

impl Waiter {
    /// A future that ends at the next news; make it before reading what is known.
    pub fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.registry.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.registry.count.fetch_sub(1, Ordering::SeqCst);
        if let Some((_, count)) = waiting.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.id);
            }
        }
    }
}
