//! A clock that moves by itself and can be moved on.

use std::sync::atomic::{AtomicU64, Ordering};

use tapcode_core::time::Timestamp;
use tapcode_engine::clock::{Clock, SystemClock};

/// The machine's clock, some time ahead.
#[derive(Debug, Default)]
pub struct Leaping {
    ahead_ms: AtomicU64,
}

impl Leaping {
    pub fn leap(&self, millis: u64) {
        self.ahead_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    async fn sleep(&self, millis: u64) {
        SystemClock.sleep(millis).await;
    }
}
