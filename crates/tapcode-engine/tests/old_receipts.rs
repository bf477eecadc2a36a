//! How old may a receipt be? Security attack A20: what a provider tells again long after changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tapcode_core::delivery::ReceiptKind;
use tapcode_core::time::Timestamp;
use tapcode_engine::clock::Clock;
use tapcode_engine::contract::provider::Receipt;
use tapcode_engine::contract::store::Store;
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::receive::RECEIPT_AGE_MS_MAX;
use tapcode_engine::service::Directory;
use tapcode_store::memory::MemoryStore;

const SENDER: &str = "whatsapp:1";
/// 2026-11-22.
const DAWN_MS: i64 = 1_795_305_600_000;

/// Time stands still until somebody moves it.
#[derive(Debug)]
struct ManualClock(AtomicI64);

impl ManualClock {
    fn pass(&self, millis: u64) {
        self.0.fetch_add(i64::try_from(millis).unwrap(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    async fn sleep(&self, _millis: u64) {
        std::future::pending().await
    }
}

/// Counts one counter.
struct TooOld(Arc<AtomicU64>);

impl Recorder for TooOld {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let is_it = key.name() == "tapcode_receipts_too_old_total";
        if is_it {
            Counter::from_arc(Arc::clone(&self.0))
        } else {
            Counter::noop()
        }
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_receipt_older_than_seven_days_is_dropped_and_counted() {
    let dropped = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&TooOld(Arc::clone(&dropped)), || runtime.block_on(story(&dropped)));
}

async fn story(dropped: &AtomicU64) {
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock(AtomicI64::new(DAWN_MS)));
    let engine = Engine::new(Parts {
        store: Arc::clone(&store) as Arc<dyn Store>,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        entropy: Arc::new(OsEntropy::new()),
        keyring: Keyring::new(&[7; 32]),
        egress: Egress::new().unwrap(),
        directory: Directory::new(Vec::new(), Vec::new()),
        rates: RateCards::built_in(),
        history_ms: 30 * 86_400_000,
        acts_ms: 30 * 86_400_000,
        traces: None,
    });
    let sent_at = clock.now();
    let tell = async |id: &str, at: Option<Timestamp>| {
        let receipt = Receipt {
            reference: None,
            provider_message_id: id.into(),
            kind: ReceiptKind::Delivered,
            at,
            billing: None,
            identity: None,
        };
        engine.receive(SENDER, receipt).await.unwrap();
        let parked = store
            .parked(SENDER, &engine.keyring().provider_handle(SENDER, id))
            .await
            .unwrap();
        (!parked.is_empty(), dropped.load(Ordering::Relaxed))
    };

    assert_eq!(tell("fresh", Some(sent_at)).await, (true, 0));
    clock.pass(RECEIPT_AGE_MS_MAX);
    assert_eq!(tell("seven days to the millisecond", Some(sent_at)).await, (true, 0));
    clock.pass(1);
    assert_eq!(tell("older", Some(sent_at)).await, (false, 1));
    assert_eq!(
        tell("older", Some(sent_at)).await,
        (false, 2),
        "a replay is counted too, and changes nothing"
    );
    assert_eq!(tell("timeless", None).await, (true, 2));
    // A provider whose clock runs ahead of ours tells of no old news.
    assert_eq!(tell("tomorrow's", Some(clock.now().plus_millis(86_400_000))).await, (true, 2));
}
