//! What time is it, and how does a stand-in wait? Real time, from one place: what is talked to over sockets cannot be simulated.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The wall clock.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Whole seconds since 1970, as vendors write times in receipts.
pub(crate) fn unix_seconds() -> u64 {
    wall()
        .duration_since(UNIX_EPOCH)
        .expect("the machine's clock is past 1970")
        .as_secs()
}

/// The clock that scripted delays are counted on.
pub(crate) fn instant() -> Instant {
    Instant::now()
}

pub(crate) async fn sleep(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

pub(crate) async fn sleep_until(instant: Instant) {
    tokio::time::sleep_until(instant).await;
}

/// `None` when the future did not finish in time.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}
