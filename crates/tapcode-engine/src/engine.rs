//! How does an input become durable, and what is done then? Load, decide, commit — and only then call, tell, answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tapcode_core::audit::Act;
use tapcode_core::delivery::MessageStatus;
use tapcode_core::entry::{Decision, Entry, InputRecord, Refusal};
use tapcode_core::id::{Fresh, MessageId};
use tapcode_core::plan::Route;
use tapcode_core::recipient::{FINISHED_KEPT_MS, HOUR_MS, Recipient, RecipientKey};
use tapcode_core::step::{Answer, Context, Decided, Input, due_at, step};
use tapcode_core::time::Timestamp;
use tokio::sync::{Mutex, OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{Accounts, RoutesNow};
use crate::clock::Clock;
use crate::committer::Committer;
use crate::contract::store::{
    Commit, ProviderHandle, Remembered, Snapshot, Store, StoreError, Subject, SubjectId, Version, Versioned,
};
use crate::egress::Egress;
use crate::entropy::{Entropy, sixteen};
use crate::keyring::{Keyring, Use};
use crate::rates::RateCards;
use crate::service::{Directory, LOOKS_PER_SENDER_S};
use crate::trace::{self, Asked, Traces};
use crate::waiters::Waiters;

/// How often a decision is made again because somebody else was first, before the request is given up as unavailable.
/// Within one process requests for one number queue up instead, so only other nodes can make a decision stale.
pub const CONFLICTS_MAX: usize = 64;
/// Queues for numbers within this process; two numbers share one with a chance of 1 in 1,024.
const QUEUES: usize = 1_024;
/// Documents kept in memory per queue after their commit: the outcome of a call and the check of a code soon follow.
const RECENT_PER_QUEUE: usize = 8;
/// How far apart the clocks of two nodes may be, where it matters when the other one forgets. Milliseconds.
const CLOCKS_APART_MS: u64 = 600_000;
/// How long an answer is remembered for its idempotency key. Milliseconds.
pub const REMEMBERED_MS: u64 = 86_400_000;

/// What the engine is made of.
pub struct Parts {
    /// Keeps.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Makes codes and seals.
    pub keyring: Keyring,
    /// Leaves the process.
    pub egress: Egress,
    /// What is configured.
    pub directory: Directory,
    /// What messages cost where their providers do not say.
    pub rates: RateCards,
    /// How long history is kept. Milliseconds.
    pub history_ms: u64,
    /// How long acts of administrators are kept, and keys that are good for nothing any more. Milliseconds.
    pub acts_ms: u64,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<Arc<dyn Traces>>,
}

/// The engine. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) keyring: Keyring,
    pub(crate) egress: Egress,
    pub(crate) directory: RwLock<Arc<Directory>>,
    pub(crate) rates: RateCards,
    pub(crate) history_ms: u64,
    pub(crate) acts_ms: u64,
    pub(crate) traces: Option<Arc<dyn Traces>>,
    pub(crate) committer: Committer,
    queues: Box<[Mutex<Recent>]>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) log_grew: watch::Sender<u64>,
    /// Calls to providers under way and the engine's own loops.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) keys_in_use: crate::access::KeysInUse,
    pub(crate) accounts: Accounts,
    /// Names this process among those on one store.
    pub(crate) process: u64,
    /// A webhook endpoint was made here.
    pub(crate) endpoint_made: tokio::sync::Notify,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

/// Why a request got no decision.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store cannot be asked, or did not say what became of the commit. Nothing was approved, nothing was sent.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used with another body")]
    KeyReused,
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

/// Documents as this process last wrote them. They may be stale, because another process may have written since: what is
/// decided on one counts only when its commit succeeds, and anything else is decided again on the store's own.
#[derive(Default)]
struct Recent(VecDeque<(RecipientKey, Versioned<Recipient>)>);

impl Recent {
    fn take(&mut self, key: RecipientKey, now: Timestamp) -> Option<Versioned<Recipient>> {
        let at = self.0.iter().position(|(of, _)| *of == key)?;
        self.0
            .remove(at)
            .map(|(_, document)| document)
            .filter(|document| is_surely_kept(&document.value, now))
    }

    fn keep(&mut self, key: RecipientKey, version: Version, value: Recipient) {
        if self.0.len() >= RECENT_PER_QUEUE {
            self.0.pop_front();
        }
        self.0.push_back((key, Versioned { value, version }));
    }
}

/// Whether nobody can have forgotten a document yet, whatever happened since it was written here: a document that was
/// forgotten and came back counts its versions from 1 again, and an old one of the same version would pass for it.
fn is_surely_kept(document: &Recipient, now: Timestamp) -> bool {
    let now = now.plus_millis(CLOCKS_APART_MS);
    // What was pending here may have ended elsewhere in the next moment, but not before it began.
    document
        .verifications
        .iter()
        .any(|v| now < v.finished_at.unwrap_or(v.created_at).plus_millis(FINISHED_KEPT_MS))
        || document
            .messages
            .iter()
            .any(|m| now < m.delivery.queued_at.plus_millis(FINISHED_KEPT_MS))
        || document.sends.iter().any(|at| now < at.plus_millis(HOUR_MS))
}

/// What is written in the commit of a decision besides what was decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    /// Handles that lead to the document once it is committed.
    pub(crate) handles: Vec<ProviderHandle>,
    /// The administrator's act that it is.
    pub(crate) act: Option<Act>,
}

/// The status and body that an idempotent request is answered with.
pub type Rendered = (u16, Vec<u8>);

/// What to remember of an idempotent request.
pub struct Remember<'a> {
    /// Keyed hash of scope, route and key.
    pub key: [u8; 32],
    /// Keyed hash of the body.
    pub fingerprint: [u8; 32],
    /// Writes the answer, from the document and the moment of the decision. It is stored in the same commit.
    pub render: &'a (dyn Fn(&Recipient, &Answer, Timestamp) -> Rendered + Sync),
}

/// What became of an input.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is returned once and taken apart at once; a box would only cost an allocation"
)]
pub enum Applied {
    /// It was decided now.
    Now {
        /// The decision.
        answer: Result<Answer, Refusal>,
        /// The document after it.
        document: Option<Recipient>,
        /// The moment of the decision.
        at: Timestamp,
        /// The answer as it was remembered.
        rendered: Option<Rendered>,
    },
    /// The same request was answered before, like this.
    Before(Rendered),
}

impl Engine {
    /// An engine that does nothing by itself until [`Engine::start`] is called, and answers from the first moment.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let tasks = TaskTracker::new();
        let (committer, writing) = Committer::new(Arc::clone(&parts.store));
        // Not tracked: it ends by itself when the last committer is gone, and must outlive every task that commits.
        #[expect(
            clippy::disallowed_methods,
            reason = "the engine owns its tasks; this one ends when the engine is dropped"
        )]
        tokio::spawn(writing);
        let (log_grew, _) = watch::channel(0);
        let process = u64::from_be_bytes(sixteen(&*parts.entropy)[..8].try_into().expect("half of sixteen bytes"));
        Self {
            inner: Arc::new(Inner {
                store: parts.store,
                clock: parts.clock,
                entropy: parts.entropy,
                keyring: parts.keyring,
                egress: parts.egress,
                directory: RwLock::new(Arc::new(parts.directory)),
                rates: parts.rates,
                history_ms: parts.history_ms,
                acts_ms: parts.acts_ms,
                traces: parts.traces,
                committer,
                queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
                waiters: Arc::default(),
                log_grew,
                tasks,
                stop: CancellationToken::new(),
                keys_in_use: crate::access::KeysInUse::default(),
                accounts: Accounts::default(),
                process,
                endpoint_made: tokio::sync::Notify::new(),
            }),
        }
    }

    /// What is configured now.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.inner.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The moment, by the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The engine's keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    /// The engine's randomness.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// The store, for readers: every write goes through [`Engine::apply`].
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Changes whenever the log has grown; read the log for what is new.
    #[must_use]
    pub fn log_grew(&self) -> watch::Receiver<u64> {
        self.inner.log_grew.subscribe()
    }

    /// Applies an input to a document: loads it, decides, commits, and starts the calls that the decision allows.
    ///
    /// `input` is asked again whenever the document turned out to be stale; it sees the document that the decision is
    /// made on and may refuse. When this returns `Ok`, what it returns is durable. A dropped future leaves either
    /// nothing or everything: calls belong to the engine, not to the caller.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing was approved and no call was started by this request.
    pub async fn apply<I>(&self, key: RecipientKey, remember: Option<Remember<'_>>, input: I) -> Result<Applied, EngineError>
    where
        I: Fn(Option<&Recipient>, Timestamp) -> Result<Input, Refusal> + Send + Sync,
    {
        self.apply_with(key, remember, Beside::default(), input).await
    }

    /// Like [`Self::apply`], with what is written in the same commit. Nothing of it is where the decision changes nothing.
    pub(crate) async fn apply_with<I>(
        &self,
        key: RecipientKey,
        remember: Option<Remember<'_>>,
        beside: Beside,
        input: I,
    ) -> Result<Applied, EngineError>
    where
        I: Fn(Option<&Recipient>, Timestamp) -> Result<Input, Refusal> + Send + Sync,
    {
        let asked = Asked {
            at: self.now(),
            cause: trace::cause(),
        };
        let queue = &self.inner.queues[usize::from(u16::from_be_bytes([key.0[0], key.0[1]])) % QUEUES];
        let mut turn = queue.lock().await;
        for _ in 0..CONFLICTS_MAX {
            let (loaded, is_recent) = match turn.take(key, self.now()) {
                Some(recent) => (Some(recent), true),
                None => (self.inner.store.load(&key).await?, false),
            };
            // After the document, never before it: whoever sees what the first request did to the document sees its
            // remembered answer too, because both were one commit; and so is not refused for having asked twice.
            if let Some(remember) = &remember {
                let known = self.inner.store.remembered(&remember.key, self.now()).await?;
                if let Some(known) = known {
                    return self.replay(&known, &remember.fingerprint).map(Applied::Before);
                }
            }
            let at = self.now();
            let (document, version) = loaded.map_or((None, None), |l| (Some(l.value), Some(l.version)));
            let input = match input(document.as_ref(), at) {
                Ok(input) => input,
                // Another process may have written since: only a commit proves that what is recent is also current.
                Err(_) if is_recent => continue,
                Err(refusal) => {
                    return Ok(Applied::Now {
                        answer: Err(refusal),
                        document,
                        at,
                        rendered: None,
                    });
                }
            };
            let (decided, permits) = self.decide(key, document, &input, at);
            if !decided.changed && is_recent {
                continue;
            }
            if !decided.changed {
                return Ok(Applied::Now {
                    answer: decided.answer,
                    document: decided.next,
                    at,
                    rendered: None,
                });
            }
            let (commit, rendered) = self.commit_of(key, version, beside.clone(), &decided, remember.as_ref(), at);
            // From here on it is the engine's work: a caller that hangs up, or a timer's loop that is stopped, must not
            // leave a durable claim behind whose call nobody makes.
            let engine = self.clone();
            let work = async move {
                engine.inner.committer.commit(commit).await?;
                engine.after_commit(key, &decided, permits, asked);
                Ok(decided)
            };
            match self.inner.tasks.spawn(work).await {
                Ok(Ok(decided)) => {
                    if let Some(document) = &decided.next {
                        turn.keep(key, Version(version.map_or(1, |v| v.0.saturating_add(1))), document.clone());
                    }
                    return Ok(Applied::Now {
                        answer: decided.answer,
                        document: decided.next,
                        at,
                        rendered,
                    });
                }
                Ok(Err(StoreError::Conflict)) => metrics::counter!("tapcode_commit_conflicts_total").increment(1),
                Ok(Err(error @ StoreError::Unavailable(_))) => return Err(error.into()),
                Err(stopped) => return Err(StoreError::unavailable(stopped).into()),
            }
        }
        Err(EngineError::Unavailable(StoreError::Conflict))
    }

    fn decide(&self, key: RecipientKey, document: Option<Recipient>, input: &Input, at: Timestamp) -> (Decided, Vec<Permit>) {
        let directory = self.directory();
        let permits = RefCell::new(Vec::new());
        let may_call = |route: &Route| {
            let Some(sender) = directory.sender(route.channel, route.sender) else {
                // Nobody to call: the call is made all the same, and settles the message as failed.
                permits.borrow_mut().push(None);
                return Ok(());
            };
            let Ok(permit) = Arc::clone(&sender.calls).try_acquire_owned() else {
                return Err(sender.pace.put_off(LOOKS_PER_SENDER_S, at));
            };
            self.take_pace(sender)?;
            permits.borrow_mut().push(Some(permit));
            Ok(())
        };
        let routes = RoutesNow {
            accounts: &self.inner.accounts,
            directory: &directory,
            key,
            now: at,
        };
        let context = Context {
            now: at,
            fresh: Fresh(sixteen(&*self.inner.entropy)),
            may_call: &may_call,
            routes: &routes,
        };
        let decided = step(document, input, &context);
        (decided, permits.into_inner())
    }

    fn commit_of(
        &self,
        key: RecipientKey,
        version: Option<Version>,
        beside: Beside,
        decided: &Decided,
        remember: Option<&Remember<'_>>,
        at: Timestamp,
    ) -> (Commit, Option<Rendered>) {
        let rendered = match (remember, &decided.next, &decided.answer) {
            (Some(remember), Some(document), Ok(answer)) => Some((remember.render)(document, answer, at)),
            _ => None,
        };
        let remembered = remember
            .zip(rendered.as_ref())
            .map(|(remember, rendered)| self.to_remember(remember.key, remember.fingerprint, rendered, at));
        let next = decided.next.as_ref();
        let commit = Commit {
            key,
            expected: version,
            next: decided.next.clone(),
            due_at: next.and_then(due_at),
            handles: beside.handles,
            snapshots: snapshots_of(key, next, &decided.entries),
            entries: decided.entries.clone(),
            remembered,
            act: beside.act,
        };
        (commit, rendered)
    }

    fn after_commit(&self, key: RecipientKey, decided: &Decided, permits: Vec<Permit>, asked: Asked) {
        if let Some(document) = &decided.next {
            for (message, permit) in decided.calls.iter().zip(permits) {
                let claim = trace::claim_of(&decided.entries, *message);
                self.start_call(key, document, *message, permit, claim);
            }
        }
        for entry in &decided.entries {
            crate::telemetry::count(entry);
            if let Some(traces) = &self.inner.traces {
                trace::record(&**traces, entry, asked, self.now());
            }
            self.judge_ways(entry, decided.next.as_ref());
            if let Some(id) = subject_of(entry) {
                self.inner.waiters.tell(id);
            }
        }
        if !decided.entries.is_empty() {
            self.inner.log_grew.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// What is told of messages tells of their ways too: breakers open, and close.
    fn judge_ways(&self, entry: &Entry, document: Option<&Recipient>) {
        for decision in &entry.decisions {
            let is_plain = entry.message.is_some();
            if let Decision::Message {
                message,
                status: MessageStatus::Delivered | MessageStatus::Read,
                ..
            } = decision
                && let Some(document) = document
                && let Some(called_at) = document.delivery(message.id).and_then(|d| d.claimed_at)
            {
                let language = Self::language_of(document, message.id);
                let template = (!is_plain).then_some(language);
                self.arrived(&message.route, entry.country, template, called_at);
            }
            let Decision::Alert { route, failure } = decision else {
                continue;
            };
            let of_message = |d: &Decision| match d {
                Decision::Message { message, .. } if message.route == *route => Some(message.id),
                _ => None,
            };
            let message = entry.decisions.iter().find_map(of_message);
            let language = document.zip(message).and_then(|(d, id)| Self::language_of(d, id));
            let late = matches!(entry.input, InputRecord::Receipt { .. });
            self.trip(route, entry.country, language, is_plain, failure, late);
        }
    }

    fn to_remember(&self, key: [u8; 32], fingerprint: [u8; 32], (status, body): &Rendered, at: Timestamp) -> Remembered {
        let mut text = status.to_be_bytes().to_vec();
        text.extend_from_slice(body);
        Remembered {
            key,
            fingerprint,
            answer: self.inner.keyring.seal(Use::Answer, &text, &*self.inner.entropy),
            expires_at: at.plus_millis(REMEMBERED_MS),
        }
    }

    /// The answer to the same request about no recipient, if it was given before.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn answered_before(&self, key: &[u8; 32], fingerprint: &[u8; 32]) -> Result<Option<Rendered>, EngineError> {
        let known = self.inner.store.remembered(key, self.now()).await?;
        known.map(|known| self.replay(&known, fingerprint)).transpose()
    }

    /// Remembers the answer to a request about no recipient. What it answers was done before, so that whoever comes again
    /// before this is written has it done twice: only what may be done twice may be remembered like this.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn remember_answer(&self, key: [u8; 32], fingerprint: [u8; 32], rendered: &Rendered) -> Result<(), EngineError> {
        let (half, _) = key.split_first_chunk().expect("sixteen of thirty-two bytes");
        let commit = Commit {
            // Of no recipient: nobody's key is half of an idempotency key's digest.
            key: RecipientKey(*half),
            expected: None,
            next: None,
            due_at: None,
            handles: Vec::new(),
            snapshots: Vec::new(),
            entries: Vec::new(),
            remembered: Some(self.to_remember(key, fingerprint, rendered, self.now())),
            act: None,
        };
        match self.inner.committer.commit(commit).await {
            // Another process answered the same request first, and its answer is as good.
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error @ StoreError::Unavailable(_)) => Err(error.into()),
        }
    }

    fn replay(&self, known: &Remembered, fingerprint: &[u8; 32]) -> Result<Rendered, EngineError> {
        if !crate::keyring::same(&known.fingerprint, fingerprint) {
            return Err(EngineError::KeyReused);
        }
        let text = self.inner.keyring.open(Use::Answer, &known.answer);
        let split = text.as_ref().and_then(|t| t.split_first_chunk::<2>());
        let (status, body) =
            split.ok_or_else(|| StoreError::unavailable("a remembered answer was sealed under another master key"))?;
        Ok((u16::from_be_bytes(*status), body.to_vec()))
    }
}

/// A place among the calls of a sender; `None` for a route whose sender is no longer configured.
pub(crate) type Permit = Option<OwnedSemaphorePermit>;

pub(crate) fn subject_of(entry: &Entry) -> Option<SubjectId> {
    entry
        .verification
        .map(SubjectId::Verification)
        .or(entry.message.map(SubjectId::Message))
}

/// The route of a message in a document.
pub(crate) fn route_of(document: &Recipient, message: MessageId) -> Option<&Route> {
    let of_attempt = document
        .attempt(message)
        .and_then(|(v, a)| v.plan.step(a.step))
        .map(|s| &s.route);
    of_attempt.or_else(|| document.message(message).map(|m| &m.route))
}

fn snapshots_of(key: RecipientKey, next: Option<&Recipient>, entries: &[Entry]) -> Vec<Snapshot> {
    let Some(document) = next else { return Vec::new() };
    let mut ids: Vec<SubjectId> = Vec::with_capacity(1);
    for id in entries.iter().filter_map(subject_of) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.into_iter()
        .filter_map(|id| match id {
            SubjectId::Verification(id) => document.verification(id).cloned().map(Subject::Verification),
            SubjectId::Message(id) => document.message(id).cloned().map(|mut m| {
                m.payload = None;
                Subject::Message(m)
            }),
        })
        .map(|subject| Snapshot {
            key,
            scope: document.scope.clone(),
            masked: document.masked.clone(),
            country: document.country,
            subject,
        })
        .collect()
}
