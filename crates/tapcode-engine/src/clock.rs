//! What time is it? The one place that reads a clock or waits for one.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tapcode_core::time::Timestamp;

/// A source of time. The simulation has its own.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The moment, in UTC.
    fn now(&self) -> Timestamp;

    /// Returns after `millis` milliseconds of this clock.
    async fn sleep(&self, millis: u64);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the room that owns the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the room that owns the clock")]
    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
