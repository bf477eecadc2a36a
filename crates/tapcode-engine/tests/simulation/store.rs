//! What does a store do to a node that it should be ready for? Answer late, refuse, write without saying so, or see it die.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tapcode_core::account::{Account, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::{Decision, Entry};
use tapcode_core::id::{EndpointId, KeyId, MessageId};
use tapcode_core::recipient::{Recipient, RecipientKey, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, Beside, Browse, Commit, EndpointCommit, KeyCommit, Line, Page, Parked, Place, Remembered, Snapshot,
    Store, StoreError, SubjectId, Sweep, TallyCommit, TallyRow, ToldReceipt, Version, Versioned, Written,
};

use crate::plant::{self, Plant};
use crate::world::{Life, World};

/// The one store as one life of a node sees it.
pub struct NodeStore {
    world: Arc<World>,
    life: Arc<Life>,
    /// What only this life knows of, for the planted bugs that keep things in memory.
    own: Mutex<plant::Own>,
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeStore")
    }
}

impl NodeStore {
    pub fn new(world: Arc<World>, life: Arc<Life>) -> Self {
        Self {
            world,
            life,
            own: Mutex::default(),
        }
    }

    fn away(&self) -> bool {
        self.world.store_away.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// On the way to the store.
    async fn there(&self, place: &'static str) -> Result<(), StoreError> {
        self.world.seam(&self.life, place).await;
        let weather = &self.world.weather;
        let (late, refused) = self
            .world
            .roll(|d| (d.below(weather.store_ms + 1), d.chance(weather.refused)));
        self.world.pause(late).await;
        self.life.goes_on().await;
        if self.away() || (refused && !self.world.is_healed()) {
            self.world.saw("the store refused");
            return Err(StoreError::unavailable("the simulated store is away"));
        }
        Ok(())
    }

    /// On the way back.
    async fn back(&self, place: &'static str) {
        let late = self.world.roll(|d| d.below(self.world.weather.store_ms + 1));
        self.world.seam(&self.life, place).await;
        self.world.pause(late).await;
        self.life.goes_on().await;
    }
}

#[async_trait]
impl Store for NodeStore {
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError> {
        self.there("crash before a load").await?;
        let mut loaded = self.world.kept.load(key).await?;
        if let Some(plant) = self.world.plant {
            plant::on_load(plant, &self.own.lock().unwrap(), &mut loaded);
        }
        self.back("crash after a load").await;
        Ok(loaded)
    }

    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        let count = batch.len();
        let none_known = |why: &'static str| (0..count).map(|_| Err(StoreError::unavailable(why))).collect();
        if count > 1 {
            self.world.saw("several commits in one batch");
        }
        if self.there("crash before a commit").await.is_err() {
            return none_known("the simulated store is away");
        }
        let claims = |c: &Commit| {
            c.entries
                .iter()
                .flat_map(|e| &e.decisions)
                .any(|d| matches!(d, Decision::Claimed { .. }))
        };
        let claimed = batch.iter().any(claims);
        let results = match self.world.plant {
            None => self.world.kept.commit(batch).await,
            Some(plant) => plant::commit(plant, &self.world, &self.life, &self.own, batch).await,
        };
        for result in &results {
            if matches!(result, Err(StoreError::Conflict)) {
                self.world.saw("a commit was in conflict");
            }
        }
        let unknown = self.world.roll(|d| d.chance(self.world.weather.unknown));
        self.back(if claimed {
            "crash between claim and call"
        } else {
            "crash after a commit"
        })
        .await;
        if unknown && !self.world.is_healed() {
            self.world.saw("the store wrote and did not say so");
            return none_known("the simulated store's answer was lost");
        }
        results
    }

    async fn find(&self, sender: &str, provider_message_id: &str) -> Result<Option<(RecipientKey, MessageId)>, StoreError> {
        self.there("crash before a look-up").await?;
        let found = self.world.kept.find(sender, provider_message_id).await?;
        self.back("crash after a look-up").await;
        Ok(found)
    }

    async fn park(&self, parked: &Parked, until: Timestamp) -> Result<(), StoreError> {
        self.there("crash before parking").await?;
        if self.world.plant != Some(Plant::ReceiptsNotParked) {
            self.world.kept.park(parked, until).await?;
        }
        self.world.saw("a receipt was parked");
        self.back("crash after parking").await;
        Ok(())
    }

    async fn parked(&self, sender: &str, provider_message_id: &str) -> Result<Vec<ToldReceipt>, StoreError> {
        self.there("crash before reading parked receipts").await?;
        let parked = self.world.kept.parked(sender, provider_message_id).await?;
        if !parked.is_empty() {
            self.world.saw("parked receipts were taken");
        }
        self.back("crash after reading parked receipts").await;
        Ok(parked)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<RecipientKey>, StoreError> {
        self.life.goes_on().await;
        if self.away() {
            return Err(StoreError::unavailable("the simulated store is away"));
        }
        let mut due = self.world.kept.due(now, limit).await?;
        if self.world.plant == Some(Plant::TimerInMemory) {
            let own: &BTreeSet<RecipientKey> = &self.own.lock().unwrap().keys;
            due.retain(|key| own.contains(key));
        }
        Ok(due)
    }

    async fn scheduled(&self) -> Result<u64, StoreError> {
        self.world.kept.scheduled().await
    }

    async fn snapshot(&self, id: SubjectId) -> Result<Option<Snapshot>, StoreError> {
        self.there("crash before reading a snapshot").await?;
        let snapshot = self.world.kept.snapshot(id).await?;
        self.back("crash after reading a snapshot").await;
        Ok(snapshot)
    }

    async fn browse(&self, browse: &Browse) -> Result<Page, StoreError> {
        self.there("crash before browsing").await?;
        self.world.kept.browse(browse).await
    }

    async fn lines(&self, after: Option<Place>, limit: usize) -> Result<Vec<(Place, Line)>, StoreError> {
        self.there("crash before reading the log").await?;
        self.world.kept.lines(after, limit).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Versioned<Account>>, StoreError> {
        self.there("crash on the way to an account").await?;
        self.world.kept.account(name).await
    }

    async fn commit_account(&self, commit: &AccountCommit) -> Result<(), StoreError> {
        self.there("crash on the way to an account").await?;
        self.world.kept.commit_account(commit).await
    }

    async fn endpoints(&self) -> Result<Vec<(EndpointId, Version)>, StoreError> {
        self.there("crash on the way to an endpoint").await?;
        self.world.kept.endpoints().await
    }

    async fn endpoint(&self, id: EndpointId) -> Result<Option<Versioned<Endpoint>>, StoreError> {
        self.there("crash on the way to an endpoint").await?;
        self.world.kept.endpoint(id).await
    }

    async fn commit_endpoint(&self, commit: &EndpointCommit) -> Result<(), StoreError> {
        self.there("crash on the way to an endpoint").await?;
        self.world.kept.commit_endpoint(commit).await
    }

    async fn add_written(&self, written: &Written) -> Result<(), StoreError> {
        self.there("crash on the way to an account").await?;
        self.world.kept.add_written(written).await
    }

    async fn written(&self, portfolio: &str, since_hour: u32, limit: usize) -> Result<Vec<Written>, StoreError> {
        self.there("crash on the way to an account").await?;
        self.world.kept.written(portfolio, since_hour, limit).await
    }

    async fn newest(&self) -> Result<Option<Place>, StoreError> {
        self.world.kept.newest().await
    }

    async fn timeline(&self, id: SubjectId, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.there("crash before reading a timeline").await?;
        self.world.kept.timeline(id, limit).await
    }

    async fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<Remembered>, StoreError> {
        self.there("crash before remembering").await?;
        let known = self.world.kept.remembered(key, now).await?;
        self.back("crash after remembering").await;
        Ok(known.filter(|_| self.world.plant != Some(Plant::AnswersForgotten)))
    }

    async fn commit_key(&self, commit: &KeyCommit) -> Result<(), StoreError> {
        self.world.kept.commit_key(commit).await
    }

    async fn keys_version(&self) -> Result<Version, StoreError> {
        self.world.kept.keys_version().await
    }

    async fn note_key_used(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        self.world.kept.note_key_used(id, at).await
    }

    async fn record_act(&self, act: &Act) -> Result<(), StoreError> {
        self.world.kept.record_act(act).await
    }

    async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError> {
        self.world.kept.acts(before, limit).await
    }

    async fn key(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        self.world.kept.key(digest).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.world.kept.keys().await
    }

    async fn counted_through(&self) -> Result<Option<Place>, StoreError> {
        self.world.kept.counted_through().await
    }

    async fn tallies(&self, span: Span, starts: Range<u32>, service: Option<&ServiceName>) -> Result<Vec<TallyRow>, StoreError> {
        self.world.kept.tallies(span, starts, service).await
    }

    async fn commit_tallies(&self, mut commit: TallyCommit) -> Result<(), StoreError> {
        self.there("crash on the way to the counts").await?;
        if self.world.plant == Some(Plant::CountedTwice) {
            commit.expected = self.world.kept.counted_through().await?;
        }
        self.world.kept.commit_tallies(commit).await
    }

    async fn swept(&self, service: Option<&ServiceName>) -> Result<Option<Place>, StoreError> {
        self.life.goes_on().await;
        self.world.kept.swept(service).await
    }

    async fn erase(&self, key: &RecipientKey, limit: usize) -> Result<usize, StoreError> {
        self.life.goes_on().await;
        self.world.kept.erase(key, limit).await
    }

    async fn history(&self, key: &RecipientKey, after: Option<SubjectId>, limit: usize) -> Result<Vec<Snapshot>, StoreError> {
        self.life.goes_on().await;
        self.world.kept.history(key, after, limit).await
    }

    async fn beside(&self, key: &RecipientKey, limit: usize) -> Result<Beside, StoreError> {
        self.life.goes_on().await;
        self.world.kept.beside(key, limit).await
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<usize, StoreError> {
        self.life.goes_on().await;
        self.world.kept.sweep(sweep).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.world.kept.ping().await
    }
}
