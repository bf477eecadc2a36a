//! What is due? Due times are an index in the store; these loops look at it, hand on receipts of sessions, and sweep.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tapcode_core::delivery::{CALL_ANSWER_MS, PROVIDER_MESSAGE_ID_MAX, cut};
use tapcode_core::entry::Refusal;
use tapcode_core::id::MessageId;
use tapcode_core::plan::{Channel, Route};
use tapcode_core::recipient::{FINISHED_KEPT_MS, Recipient, RecipientKey, ServiceName};
use tapcode_core::step::Input;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Status, Verification};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::call::chain;
use crate::contract::provider::{Receipt, SessionReceipt};
use crate::contract::store::Sweep;
use crate::engine::{Applied, Engine, EngineError};
use crate::receive::{PARKED_MS, RECEIPTS_AT_ONCE};
use crate::service::{Provider, sender_name};

/// How often the due index is looked at. Milliseconds: the lateness of a timer on an idle machine.
pub const LOOK_MS: u64 = 50;
/// Documents taken from the due index at once.
pub const DUE_MAX: usize = 512;
/// How long to wait after the store could not be asked. Milliseconds.
const STORE_GONE_MS: u64 = 500;
/// How often expired history is swept. Milliseconds.
const SWEEP_EVERY_MS: u64 = 30_000;
/// Rows removed at once, so that a sweep never holds the store for long.
const SWEEP_ROWS: usize = 500;
/// Pause between two removals of one sweep. Milliseconds.
const SWEEP_PAUSE_MS: u64 = 20;
/// Receipts of sessions that may wait at once; a session with more waits to be heard.
const SESSION_RECEIPTS: usize = 1_024;

impl Engine {
    /// Starts what happens without a caller: timers, sessions, sweeps. Call once.
    pub fn start(&self) {
        crate::telemetry::begin_at_zero(&self.directory());
        let engine = self.clone();
        self.inner
            .tasks
            .spawn(async move { engine.until_stopped(engine.look_at_due()).await });
        let engine = self.clone();
        self.inner
            .tasks
            .spawn(async move { engine.until_stopped(engine.keep_sweeping()).await });
        let engine = self.clone();
        self.inner
            .tasks
            .spawn(async move { engine.until_stopped(engine.keep_accounts()).await });
        let engine = self.clone();
        self.inner
            .tasks
            .spawn(async move { engine.until_stopped(engine.keep_reading()).await });
        let engine = self.clone();
        self.inner
            .tasks
            .spawn(async move { engine.until_stopped(engine.keep_counting()).await });
        self.start_sessions();
    }

    /// Runs work that belongs to the engine, until it ends or the engine stops.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let engine = self.clone();
        self.inner.tasks.spawn(async move { engine.until_stopped(work).await });
    }

    /// Stops gracefully: no new timer fires, calls under way end and are written down. Whatever is left is in the store.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.write_written().await;
        self.release_endpoints().await;
    }

    pub(crate) async fn until_stopped(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.inner.stop.cancelled() => {}
        }
    }

    async fn look_at_due(&self) {
        loop {
            let now = self.now();
            let wait_ms = match self.inner.store.due(now, DUE_MAX).await {
                Ok(due) => {
                    let taken = due.len();
                    let mut ticks = JoinSet::new();
                    for key in due {
                        let engine = self.clone();
                        ticks.spawn(async move { engine.tick(key).await });
                    }
                    let mut unavailable = false;
                    while let Some(ticked) = ticks.join_next().await {
                        match ticked {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => {
                                unavailable = true;
                                tracing::warn!(error = %chain(&error), "a timer could not be applied yet");
                            }
                            Err(panic) => {
                                metrics::counter!("tapcode_panics_total").increment(1);
                                tracing::error!(error = %panic, "applying a timer panicked");
                                unavailable = true;
                            }
                        }
                    }
                    match (unavailable, taken == DUE_MAX) {
                        (true, _) => STORE_GONE_MS,
                        (false, true) => 0,
                        (false, false) => LOOK_MS,
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "the due index could not be read");
                    STORE_GONE_MS
                }
            };
            if wait_ms > 0 {
                self.inner.clock.sleep(wait_ms).await;
            }
        }
    }

    /// Lets a document see that time has passed. One that is about to fall back on silence is not believed at once: a
    /// node may have died after it wrote a provider's message id down and before it took the receipts that waited for it.
    async fn tick(&self, key: RecipientKey) -> Result<(), EngineError> {
        let unless_silent = |document: Option<&Recipient>, now: Timestamp| match document {
            Some(document) if document.erased.is_some_and(|erased| erased.under_way) => Err(Refusal::ErasureUnderWay),
            Some(document) if !silent(document, now).is_empty() => Err(Refusal::UnknownVerification),
            Some(_) | None => Ok(Input::Tick),
        };
        let Applied::Now {
            answer: Err(_),
            document: Some(document),
            at,
            ..
        } = self.apply(key, None, unless_silent).await?
        else {
            return Ok(());
        };
        if document.erased.is_some_and(|erased| erased.under_way) {
            // Whoever began it may be gone.
            return self.finish_erasing(key).await;
        }
        for (message, route, kept_id) in silent(&document, at) {
            let Some(provider_message_id) = self.inner.keyring.open_provider_message_id(kept_id) else {
                continue;
            };
            let sender = sender_name(route.channel, route.sender);
            let digest = self.inner.keyring.provider_handle(&sender, &provider_message_id);
            self.take_parked(key, message, &sender, &digest).await?;
        }
        self.apply(key, None, |_: Option<&Recipient>, _: Timestamp| Ok(Input::Tick))
            .await
            .map(|_| ())
    }

    async fn keep_sweeping(&self) {
        loop {
            self.inner.clock.sleep(SWEEP_EVERY_MS).await;
            loop {
                let sweep = self.sweep_at(self.now());
                match self.inner.store.sweep(&sweep).await {
                    Ok(gone) if gone >= SWEEP_ROWS => self.inner.clock.sleep(SWEEP_PAUSE_MS).await,
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "sweeping could not be done");
                        break;
                    }
                }
            }
        }
    }

    /// What is past keeping at a moment. A line about something that has ended may be written for as long as its document knows
    /// it, and goes with it: so things stay that much longer, and no line is gone before its own time.
    fn sweep_at(&self, now: Timestamp) -> Sweep {
        let directory = self.directory();
        let before = |history_ms: u64| now.minus_millis(history_ms.saturating_add(FINISHED_KEPT_MS));
        let keeping: Vec<(ServiceName, u64)> = directory
            .services()
            .into_iter()
            .map(|service| {
                let own = directory.history_ms(&service.name);
                (service.name.clone(), own.unwrap_or(self.inner.history_ms))
            })
            .collect();
        let longest = keeping.iter().map(|(_, ms)| *ms).fold(self.inner.history_ms, u64::max);
        Sweep {
            now,
            history_before: before(longest),
            services: keeping
                .into_iter()
                .filter(|(_, ms)| *ms < longest)
                .map(|(service, ms)| (service, before(ms)))
                .collect(),
            acts_before: now.minus_millis(self.inner.acts_ms),
            written_before_hour: crate::accounts::oldest_hour(now),
            limit: SWEEP_ROWS,
        }
    }

    fn start_sessions(&self) {
        // One provider may serve several senders (the sandbox does): it is run once, and its receipts carry references.
        let mut running: HashMap<*const (), ()> = HashMap::new();
        for sender in self.directory().senders() {
            let Provider::Session(provider) = &sender.provider else {
                continue;
            };
            if running.insert(Arc::as_ptr(provider).cast(), ()).is_some() {
                continue;
            }
            let (heard, receipts) = mpsc::channel(SESSION_RECEIPTS);
            let (session, stop) = (Arc::clone(provider), self.inner.stop.clone());
            self.inner.tasks.spawn(async move { session.run(heard, stop).await });
            let engine = self.clone();
            let names = self.told_by(sender.channel, sender.id, provider.account());
            self.inner.tasks.spawn(async move { engine.hear_all(names, receipts).await });
        }
    }

    /// Whose messages a session may tell of: those of its own sender, which comes first, and of all others of its account.
    fn told_by(&self, channel: Channel, id: u32, account: Option<&str>) -> Arc<[String]> {
        let mut names = vec![sender_name(channel, id)];
        for other in self.directory().senders() {
            let is_of_account = match &other.provider {
                Provider::Session(provider) => account.is_some() && provider.account() == account,
                Provider::Http(_) => false,
            };
            if is_of_account && (other.channel, other.id) != (channel, id) {
                names.push(sender_name(other.channel, other.id));
            }
        }
        names.into()
    }

    /// Applies what a session tells, many at once so that they share commits; a session with more than that waits.
    async fn hear_all(&self, names: Arc<[String]>, mut receipts: mpsc::Receiver<SessionReceipt>) {
        let stop_by = Arc::new(OnceLock::new());
        let mut hearing = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(heard) = hearing.join_next(), if !hearing.is_empty() => ended(heard),
                told = receipts.recv(), if hearing.len() < RECEIPTS_AT_ONCE => {
                    let Some(told) = told else { break };
                    let (engine, names, stop_by) = (self.clone(), Arc::clone(&names), Arc::clone(&stop_by));
                    hearing.spawn(async move { engine.hear(&names, told, &stop_by).await });
                }
            }
        }
        while let Some(heard) = hearing.join_next().await {
            ended(heard);
        }
    }

    /// Applies a session's receipt, trying again while the store is unavailable, and says so once it is durable. Once the
    /// engine stops, there is as long as for an outcome, for all of them.
    async fn hear(&self, names: &[String], told: SessionReceipt, stop_by: &OnceLock<Timestamp>) {
        let give_up = self.now().plus_millis(PARKED_MS);
        while let Err(error) = self.receive_for_any(names, &told.receipt).await {
            let now = self.now();
            let stopping = self.inner.stop.is_cancelled();
            let stop_by = stopping.then(|| *stop_by.get_or_init(|| now.plus_millis(CALL_ANSWER_MS)));
            if now >= give_up || stop_by.is_some_and(|at| now >= at) {
                tracing::error!(sender.id = names[0], error = %chain(&error), "a session's receipt is lost");
                return;
            }
            tracing::warn!(sender.id = names[0], error = %chain(&error), "a session's receipt could not be applied yet");
            self.inner.clock.sleep(STORE_GONE_MS).await;
        }
        told.taken();
    }

    /// Applies a receipt to the message of whichever of these senders it is about; while nobody knows, it waits for each.
    async fn receive_for_any(&self, names: &[String], receipt: &Receipt) -> Result<(), EngineError> {
        if let [name] = names {
            return self.receive(name, receipt.clone()).await;
        }
        let id = cut(&receipt.provider_message_id, PROVIDER_MESSAGE_ID_MAX);
        for name in names {
            let handle = self.inner.keyring.provider_handle(name, id);
            if self.inner.store.find(name, &handle).await?.is_some() {
                return self.receive(name, receipt.clone()).await;
            }
        }
        for name in names {
            self.receive(name, receipt.clone()).await?;
        }
        Ok(())
    }
}

fn ended(heard: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = heard {
        metrics::counter!("tapcode_panics_total").increment(1);
        tracing::error!(error = %chain(&panic), "applying a session's receipt panicked");
    }
}

/// Messages that a silence is about to be concluded from, by the provider's ids that are known of them.
fn silent(document: &Recipient, now: Timestamp) -> Vec<(MessageId, &Route, &str)> {
    let about_to_fall_back = |v: &&Verification| {
        v.status == Status::Pending
            && !v.has_arrived()
            && v.attempts.last().and_then(|a| a.fallback_at).is_some_and(|due| due <= now)
    };
    let attempts = document
        .verifications
        .iter()
        .filter(about_to_fall_back)
        .flat_map(|v| v.attempts.iter().map(move |a| (v, a)));
    attempts
        .filter_map(|(v, a)| Some((a.id, &v.plan.step(a.step)?.route, &**a.delivery.provider_message_id.as_ref()?)))
        .collect()
}
