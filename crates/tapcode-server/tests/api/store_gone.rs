//! With the store gone: is nothing approved and nothing sent, and does all go on when it is back?

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tapcode_core::account::{Account, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, KeyId, MessageId};
use tapcode_core::recipient::{Recipient, RecipientKey, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::phones::Phones;
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, Beside, Browse, Commit, EndpointCommit, KeyCommit, Line, Page, Parked, Place, Remembered, Snapshot,
    Store, StoreError, SubjectId, Sweep, TallyCommit, TallyRow, ToldReceipt, Version, Versioned, Written,
};
use tapcode_store::memory::MemoryStore;

use crate::world::{NUMBER, World};

/// The memory store behind a switch.
#[derive(Debug)]
struct Switched {
    store: MemoryStore,
    gone: Arc<AtomicBool>,
}

impl Switched {
    fn there(&self) -> Result<&MemoryStore, StoreError> {
        if self.gone.load(Ordering::SeqCst) {
            Err(StoreError::unavailable("planted: /var/lib/tapcode.db is full"))
        } else {
            Ok(&self.store)
        }
    }
}

#[async_trait]
impl Store for Switched {
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError> {
        self.there()?.load(key).await
    }

    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        match self.there() {
            Ok(store) => store.commit(batch).await,
            Err(_) => batch.iter().map(|_| Err(StoreError::unavailable("planted"))).collect(),
        }
    }

    async fn find(&self, sender: &str, id: &str) -> Result<Option<(RecipientKey, MessageId)>, StoreError> {
        self.there()?.find(sender, id).await
    }

    async fn park(&self, parked: &Parked, until: Timestamp) -> Result<(), StoreError> {
        self.there()?.park(parked, until).await
    }

    async fn parked(&self, sender: &str, id: &str) -> Result<Vec<ToldReceipt>, StoreError> {
        self.there()?.parked(sender, id).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<RecipientKey>, StoreError> {
        self.there()?.due(now, limit).await
    }

    async fn scheduled(&self) -> Result<u64, StoreError> {
        self.there()?.scheduled().await
    }

    async fn snapshot(&self, id: SubjectId) -> Result<Option<Snapshot>, StoreError> {
        self.there()?.snapshot(id).await
    }

    async fn browse(&self, browse: &Browse) -> Result<Page, StoreError> {
        self.there()?.browse(browse).await
    }

    async fn lines(&self, after: Option<Place>, limit: usize) -> Result<Vec<(Place, Line)>, StoreError> {
        self.there()?.lines(after, limit).await
    }

    async fn newest(&self) -> Result<Option<Place>, StoreError> {
        self.there()?.newest().await
    }

    async fn timeline(&self, id: SubjectId, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.there()?.timeline(id, limit).await
    }

    async fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<Remembered>, StoreError> {
        self.there()?.remembered(key, now).await
    }

    async fn commit_key(&self, commit: &KeyCommit) -> Result<(), StoreError> {
        self.there()?.commit_key(commit).await
    }

    async fn keys_version(&self) -> Result<Version, StoreError> {
        self.there()?.keys_version().await
    }

    async fn note_key_used(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        self.there()?.note_key_used(id, at).await
    }

    async fn record_act(&self, act: &Act) -> Result<(), StoreError> {
        self.there()?.record_act(act).await
    }

    async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError> {
        self.there()?.acts(before, limit).await
    }

    async fn key(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        self.there()?.key(digest).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.there()?.keys().await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Versioned<Account>>, StoreError> {
        self.there()?.account(name).await
    }

    async fn commit_account(&self, commit: &AccountCommit) -> Result<(), StoreError> {
        self.there()?.commit_account(commit).await
    }

    async fn endpoints(&self) -> Result<Vec<(EndpointId, Version)>, StoreError> {
        self.there()?.endpoints().await
    }
    async fn endpoint(&self, id: EndpointId) -> Result<Option<Versioned<Endpoint>>, StoreError> {
        self.there()?.endpoint(id).await
    }
    async fn commit_endpoint(&self, commit: &EndpointCommit) -> Result<(), StoreError> {
        self.there()?.commit_endpoint(commit).await
    }
    async fn add_written(&self, written: &Written) -> Result<(), StoreError> {
        self.there()?.add_written(written).await
    }

    async fn written(&self, portfolio: &str, since_hour: u32, limit: usize) -> Result<Vec<Written>, StoreError> {
        self.there()?.written(portfolio, since_hour, limit).await
    }

    async fn counted_through(&self) -> Result<Option<Place>, StoreError> {
        self.there()?.counted_through().await
    }

    async fn tallies(&self, span: Span, starts: Range<u32>, service: Option<&ServiceName>) -> Result<Vec<TallyRow>, StoreError> {
        self.there()?.tallies(span, starts, service).await
    }

    async fn commit_tallies(&self, commit: TallyCommit) -> Result<(), StoreError> {
        self.there()?.commit_tallies(commit).await
    }

    async fn swept(&self, service: Option<&ServiceName>) -> Result<Option<Place>, StoreError> {
        self.there()?.swept(service).await
    }

    async fn erase(&self, key: &RecipientKey, limit: usize) -> Result<usize, StoreError> {
        self.there()?.erase(key, limit).await
    }

    async fn history(&self, key: &RecipientKey, after: Option<SubjectId>, limit: usize) -> Result<Vec<Snapshot>, StoreError> {
        self.there()?.history(key, after, limit).await
    }

    async fn beside(&self, key: &RecipientKey, limit: usize) -> Result<Beside, StoreError> {
        self.there()?.beside(key, limit).await
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<usize, StoreError> {
        self.there()?.sweep(sweep).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.there()?.ping().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_approves_and_sends_nothing_and_comes_back() {
    let gone = Arc::new(AtomicBool::new(false));
    let world = World::begin_on(Arc::new(Switched {
        store: MemoryStore::new(),
        gone: Arc::clone(&gone),
    }))
    .await;
    let (id, code) = world.begun().await;
    world.pass(3_000).await;
    let on_phone = || world.sandbox.all().iter().map(|phone| phone.messages.len()).sum::<usize>();
    let before = on_phone();
    let check = format!("/api/v1/verifications/{id}/check");
    let right = json!({ "code": code }).to_string();
    gone.store(true, Ordering::SeqCst);
    let begin = json!({ "to": "+31611398051" }).to_string();
    let sms = json!({ "from_number_id": 42, "to": NUMBER, "body": "Your code is 123456." }).to_string();
    for (path, body) in [
        ("/api/v1/verifications", &*begin),
        (&*check, &*right),
        ("/api/v1/sms/messages", &*sms),
    ] {
        let refused = world.post(&world.live, path, body).await;
        assert!(!refused.header("retry-after").is_empty(), "{path}");
        let told = refused.refuses(503, "unavailable").to_string();
        assert!(!told.contains("tapcode.db"), "causes stay in the log: {told}");
    }
    for path in ["/api/v1/verifications", "/api/v1/events", "/api/v1/events/stream"] {
        world.get(&world.live, path).await.refuses(503, "unavailable");
    }
    world.get("", "/readyz").await.refuses(503, "unavailable");
    world.get("", "/healthz").await.expect(200);
    world.pass(5_000).await;
    assert_eq!(on_phone(), before);
    gone.store(false, Ordering::SeqCst);
    // An answer of /readyz is believed for a second.
    world.pass(1_000).await;
    world.get("", "/readyz").await.expect(200);
    let checked = world.post(&world.live, &check, &right).await.expect(200);
    assert_eq!((&checked["valid"], &checked["status"]), (&json!(true), &json!("approved")));
}
