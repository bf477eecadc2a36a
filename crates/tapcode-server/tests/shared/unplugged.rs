//! A store that goes away, and comes back.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tapcode_core::account::{Account, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, KeyId, MessageId};
use tapcode_core::recipient::{Recipient, RecipientKey, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, Beside, Browse, Commit, EndpointCommit, KeyCommit, Line, Page, Parked, Place, Remembered, Snapshot,
    Store, StoreError, SubjectId, Sweep, TallyCommit, TallyRow, ToldReceipt, Version, Versioned, Written,
};
use tapcode_store::memory::MemoryStore;

/// A memory store whose plug can be pulled: then it can be neither asked nor written.
#[derive(Debug, Default)]
pub struct Unplugged {
    store: MemoryStore,
    gone: AtomicBool,
}

impl Unplugged {
    pub fn pull(&self, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
    }

    fn there(&self) -> Result<&MemoryStore, StoreError> {
        if self.gone.load(Ordering::SeqCst) {
            Err(StoreError::unavailable("planted: /var/lib/tapcode.db is full"))
        } else {
            Ok(&self.store)
        }
    }
}

#[async_trait]
impl Store for Unplugged {
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError> {
        self.there()?.load(key).await
    }

    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        match self.there() {
            Ok(store) => store.commit(batch).await,
            Err(_) => batch.iter().map(|_| self.there().map(drop)).collect(),
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
