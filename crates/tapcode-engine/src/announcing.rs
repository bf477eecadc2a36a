//! How are announcements told to webhook endpoints? Read from the log, signed, posted, and written down as told afterwards:
//! whoever dies in between tells them again, under the same id.
//!
//! Each endpoint has a task of its own and the log for its queue, so that one that is slow or dead delays nobody else. Of
//! several processes one tells an endpoint at a time, by a lease in the endpoint's own row.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sha2::Sha256;
use tapcode_core::audit::{Act, By, Deed, Object};
use tapcode_core::endpoint::{
    Endpoint, EndpointDecision, EndpointEntry, EndpointInput, EndpointSecret, Told, Tried, Unanswered, step,
};
use tapcode_core::id::{EndpointId, EventId, Fresh};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::time::Timestamp;
use tokio::task::{JoinHandle, JoinSet};
use zeroize::Zeroizing;

use crate::call::{chain, millis_f64};
use crate::contract::provider::HttpRequest;
use crate::contract::store::{EndpointCommit, Line, Place, StoreError, Version, Versioned};
use crate::egress::{EgressError, Forbidden};
use crate::engine::{Engine, EngineError};
use crate::entropy::sixteen;
use crate::keyring::Use;

/// Most webhook endpoints of one installation: each has a task, and reads the log.
pub const ENDPOINTS_MAX: usize = 100;
/// How long an endpoint may take to answer. Milliseconds: Standard Webhooks asks for 15 to 30 seconds.
pub const TOLD_WITHIN_MS: u64 = 15_000;
/// How long the secrets of before sign beside a new one. Milliseconds: a day.
pub const ROTATED_FOR_MS: u64 = 86_400_000;
/// How often endpoints are looked for, and the log is looked at for lines that other processes wrote. Milliseconds.
const LOOK_MS: u64 = 1_000;
/// Lines of the log that are read at once.
const LINES: usize = 256;
/// So many lines that concern an endpoint nothing are passed over before that is written down.
const PASSED_OVER_MAX: u64 = 10_000;
/// How often a decision about an endpoint is made again because another process was first.
const CONFLICTS_MAX: usize = 16;
/// Longest wait before what was told is written down again, where the store was away. Milliseconds.
const REWRITE_LAST_MS: u64 = 2_000;
/// Bytes of a secret that signs.
const SECRET_BYTES: usize = 32;
/// What a secret's text begins with
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, read 2026-11-22).
const SECRET_PREFIX: &str = "whsec_";

/// Something that endpoints are told.
#[derive(Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its id: the same over all tries.
    pub id: EventId,
    /// Its body, JSON.
    pub body: Vec<u8>,
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// Says what of the log an endpoint is told, and in which words.
pub trait Announcer: Send + Sync + 'static {
    /// The announcements of a line that an endpoint wants; the same each time it is asked.
    fn announcements(&self, endpoint: &Endpoint, line: &Line) -> Vec<Announcement>;
}

/// A webhook endpoint to be made.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// Whose announcements it is told.
    pub service: ServiceName,
    /// Of live or of test keys.
    pub mode: Mode,
    /// Its address, as [`Engine::endpoint_url`] wants it.
    pub url: String,
    /// Which types; empty: all.
    pub types: Vec<String>,
    /// What people call it.
    pub description: String,
}

/// Why an endpoint was not made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// There is none with this id.
    #[error("there is no such webhook endpoint")]
    Unknown,
    /// There are [`ENDPOINTS_MAX`].
    #[error("there are {ENDPOINTS_MAX} webhook endpoints already")]
    TooMany,
    /// The store cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for EndpointError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

/// Why an address cannot be an endpoint's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlProblem {
    /// It is no address, or has no host.
    NoUrl,
    /// It is neither `https` nor, where one's own network is allowed, `http`.
    Scheme,
    /// It holds a user or a password, which would stand in logs.
    Credentials,
    /// It leads to this machine or its network.
    Forbidden,
}

/// A secret that signs, as its reader writes it down.
pub struct SecretText(pub Zeroizing<String>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Engine {
    /// Whether an address can be an endpoint's; returns it as it is called.
    ///
    /// # Errors
    /// [`UrlProblem`].
    pub fn endpoint_url(&self, text: &str) -> Result<String, UrlProblem> {
        let url = url::Url::parse(text).map_err(|_| UrlProblem::NoUrl)?;
        let outside = self.inner.egress.outside();
        let may_be_plain = outside == crate::egress::Outside::Anywhere;
        match url.scheme() {
            "https" => {}
            "http" if may_be_plain => {}
            _ => return Err(UrlProblem::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::Credentials);
        }
        outside.allows_url(&url).map_err(|Forbidden| UrlProblem::Forbidden)?;
        Ok(url.into())
    }

    /// Makes an endpoint, which is told what happens from now on; returns its secret, which is shown nowhere again.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn new_endpoint(&self, new: NewEndpoint, by: &By) -> Result<(EndpointId, Endpoint, SecretText), EndpointError> {
        if self.inner.store.endpoints().await?.len() >= ENDPOINTS_MAX {
            return Err(EndpointError::TooMany);
        }
        let now = self.now();
        let (sealed, secret) = self.new_secret();
        let after = self.inner.store.newest().await?.map_or(0, |place| place.0);
        let endpoint = Endpoint {
            service: new.service,
            mode: new.mode,
            url: new.url.into(),
            types: new.types.into_iter().map(Into::into).collect(),
            description: new.description.into(),
            created_at: now,
            secrets: vec![EndpointSecret { sealed, until: None }],
            after,
            retries: Vec::new(),
            tries: std::collections::VecDeque::new(),
            failing: None,
            disabled: None,
            lease: None,
        };
        let id = EndpointId::new(now, sixteen(&*self.inner.entropy));
        let commit = EndpointCommit {
            id,
            expected: None,
            next: Some(endpoint.clone()),
            entry: None,
            act: Some(self.endpoint_act(by, Deed::EndpointCreated, id, &endpoint)),
        };
        self.inner.store.commit_endpoint(&commit).await?;
        self.inner.endpoint_made.notify_one();
        Ok((id, endpoint, secret))
    }

    /// The host of its address is what people know an endpoint by; the rest of the address may hold a secret.
    fn endpoint_act(&self, by: &By, deed: Deed, id: EndpointId, endpoint: &Endpoint) -> Act {
        let url = url::Url::parse(&endpoint.url).ok();
        let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
        let act = self.act(by, deed, &Object::Endpoint(id));
        act.of(Some(endpoint.service.clone())).with(host)
    }

    fn new_secret(&self) -> (tapcode_core::verification::Sealed, SecretText) {
        let mut bytes = Zeroizing::new([0u8; SECRET_BYTES]);
        self.inner.entropy.fill(&mut *bytes);
        let sealed = self.inner.keyring.seal(Use::Webhook, &*bytes, &*self.inner.entropy);
        let text = Zeroizing::new(format!("{SECRET_PREFIX}{}", BASE64.encode(*bytes)));
        (sealed, SecretText(text))
    }

    /// An id for something that is told and belongs to nothing.
    #[must_use]
    pub fn new_event_id(&self) -> EventId {
        EventId::new(self.now(), sixteen(&*self.inner.entropy))
    }

    /// Every endpoint, oldest first.
    ///
    /// # Errors
    /// [`EndpointError::Engine`].
    pub async fn endpoints(&self) -> Result<Vec<(EndpointId, Endpoint)>, EndpointError> {
        let mut all = Vec::new();
        for (id, _) in self.inner.store.endpoints().await? {
            // One that went in between is gone.
            if let Some(found) = self.inner.store.endpoint(id).await? {
                all.push((id, found.value));
            }
        }
        Ok(all)
    }

    /// An endpoint.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn endpoint(&self, id: EndpointId) -> Result<Endpoint, EndpointError> {
        let found = self.inner.store.endpoint(id).await?;
        Ok(found.ok_or(EndpointError::Unknown)?.value)
    }

    /// Deletes an endpoint: what is under way is told, and nothing more.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn delete_endpoint(&self, id: EndpointId, by: &By) -> Result<(), EndpointError> {
        for _ in 0..CONFLICTS_MAX {
            let found = self.inner.store.endpoint(id).await?.ok_or(EndpointError::Unknown)?;
            let commit = EndpointCommit {
                id,
                expected: Some(found.version),
                next: None,
                entry: None,
                act: Some(self.endpoint_act(by, Deed::EndpointDeleted, id, &found.value)),
            };
            match self.inner.store.commit_endpoint(&commit).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Gives an endpoint a new secret; those of before sign beside it for a day more.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn rotate_endpoint(&self, id: EndpointId, by: &By) -> Result<(Endpoint, SecretText), EndpointError> {
        let (sealed, secret) = self.new_secret();
        let until = self.now().plus_millis(ROTATED_FOR_MS);
        let rotated = self
            .apply_endpoint(
                id,
                &EndpointInput::Rotate { sealed, until },
                Some((by, Deed::EndpointSecretRotated)),
            )
            .await?;
        Ok((rotated.value, secret))
    }

    /// Tells an endpoint again whatever happened at a moment or later.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn replay_endpoint(&self, id: EndpointId, since: Timestamp, by: &By) -> Result<Endpoint, EndpointError> {
        let after = self.place_before(since).await?;
        Ok(self
            .apply_endpoint(id, &EndpointInput::Replay { after }, Some((by, Deed::EndpointReplayed)))
            .await?
            .value)
    }

    /// Tells an endpoint again that was disabled, or is paused.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn enable_endpoint(&self, id: EndpointId, by: &By) -> Result<Endpoint, EndpointError> {
        Ok(self
            .apply_endpoint(id, &EndpointInput::Enable, Some((by, Deed::EndpointEnabled)))
            .await?
            .value)
    }

    /// Tells an endpoint something now that belongs to nothing, and says what came of it. It is no try that counts.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn test_endpoint(&self, id: EndpointId, announcement: &Announcement) -> Result<(Told, u32), EndpointError> {
        let endpoint = self.endpoint(id).await?;
        let secrets = self.signing(&endpoint);
        Ok(self.post(&endpoint.url, announcement, &secrets).await)
    }

    /// The place of the last line that was written before a moment. The log is in the order of commits, which is the order of
    /// moments but for the clocks' differences.
    async fn place_before(&self, since: Timestamp) -> Result<u64, StoreError> {
        let store = &self.inner.store;
        let (mut low, mut high) = (0, store.newest().await?.map_or(0, |place| place.0));
        while low < high {
            let middle = low + (high - low) / 2;
            // The first line behind the middle: places of lines that were swept lead to the oldest there is.
            match store.lines(Some(Place(middle)), 1).await?.pop() {
                Some((place, line)) if line.at() < since => low = place.0,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    async fn apply_endpoint(
        &self,
        id: EndpointId,
        input: &EndpointInput,
        done: Option<(&By, Deed)>,
    ) -> Result<Versioned<Endpoint>, EndpointError> {
        for _ in 0..CONFLICTS_MAX {
            let found = self.inner.store.endpoint(id).await?.ok_or(EndpointError::Unknown)?;
            let now = self.now();
            let (next, decisions) = step(found.value.clone(), input, now);
            if next == found.value {
                return Ok(found);
            }
            let disabled = decisions.iter().find_map(|decision| match decision {
                EndpointDecision::Disabled(why) => Some(*why),
                EndpointDecision::GivenUp(_) => None,
            });
            let entry = disabled.map(|why| EndpointEntry {
                id: EventId::new(now, Fresh(sixteen(&*self.inner.entropy)).nth(0)),
                at: now,
                endpoint: id,
                service: next.service.clone(),
                mode: next.mode,
                why,
            });
            let act = done.map(|(by, deed)| self.endpoint_act(by, deed, id, &next));
            let commit = EndpointCommit {
                id,
                expected: Some(found.version),
                next: Some(next),
                entry,
                act,
            };
            match self.inner.store.commit_endpoint(&commit).await {
                Ok(()) => {
                    for decision in &decisions {
                        report(id, decision);
                    }
                    if commit.entry.is_some() {
                        self.inner.log_grew.send_modify(|n| *n = n.wrapping_add(1));
                    }
                    let value = commit.next.ok_or(EndpointError::Unknown)?;
                    let version = Version(found.version.0.saturating_add(1));
                    return Ok(Versioned { value, version });
                }
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Leaves the endpoints to others: this process is about to end.
    pub(crate) async fn release_endpoints(&self) {
        let holder = self.inner.process;
        let Ok(all) = self.endpoints().await else { return };
        for (id, endpoint) in all {
            if endpoint.lease.is_some_and(|(of, _)| of == holder) {
                // Otherwise it runs out by itself.
                let _released = self.apply_endpoint(id, &EndpointInput::Release { holder }, None).await;
            }
        }
    }

    /// Starts to tell announcements. Call once, beside [`Engine::start`].
    pub fn start_announcing(&self, announcer: Arc<dyn Announcer>) {
        let engine = self.clone();
        self.spawn(async move {
            let mut telling: HashMap<EndpointId, JoinHandle<()>> = HashMap::new();
            loop {
                telling.retain(|_, task| !task.is_finished());
                match engine.inner.store.endpoints().await {
                    Ok(all) => {
                        for (id, _) in all.into_iter().take(ENDPOINTS_MAX) {
                            let start = || {
                                let teller = Teller {
                                    engine: engine.clone(),
                                    announcer: Arc::clone(&announcer),
                                    id,
                                };
                                let owner = engine.clone();
                                engine
                                    .inner
                                    .tasks
                                    .spawn(async move { owner.until_stopped(teller.tell()).await })
                            };
                            telling.entry(id).or_insert_with(start);
                        }
                    }
                    Err(error) => tracing::warn!(error = %chain(&error), "webhook endpoints could not be looked for"),
                }
                tokio::select! {
                    () = engine.inner.clock.sleep(LOOK_MS) => {}
                    () = engine.inner.endpoint_made.notified() => {}
                }
            }
        });
    }
}

/// Tells one endpoint.
struct Teller {
    engine: Engine,
    announcer: Arc<dyn Announcer>,
    id: EndpointId,
}

/// What is told together.
#[derive(Default)]
struct Batch {
    announcements: Vec<(u64, Announcement)>,
    /// The place of the last line that was read.
    to: u64,
    vanished: Vec<EventId>,
}

impl Teller {
    /// Tells what is to be told, until the endpoint is deleted. Nothing is kept here that another process would miss.
    async fn tell(self) {
        let mut grew = self.engine.log_grew();
        // Lines behind the endpoint's place that concern it nothing: where it stood, and up to where.
        let mut passed_over = (0, 0);
        loop {
            // Marked as seen before looking, so that what comes in between is news.
            grew.mark_unchanged();
            let wait_ms = match self.look(&mut passed_over).await {
                Ok(Some(wait_ms)) => wait_ms.min(LOOK_MS),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(webhook_endpoint.id = %self.id, error = %chain(&error), "a webhook endpoint could not be told");
                    LOOK_MS
                }
            };
            if wait_ms > 0 {
                let _woken = tokio::time::timeout(Duration::from_millis(wait_ms), grew.changed()).await;
            }
        }
    }

    /// Tells one batch; returns after how many milliseconds to look again, `None`: there is no such endpoint any more.
    async fn look(&self, passed_over: &mut (u64, u64)) -> Result<Option<u64>, EndpointError> {
        let engine = &self.engine;
        let Some(found) = engine.inner.store.endpoint(self.id).await? else {
            return Ok(None);
        };
        let (mut endpoint, now) = (found.value, engine.now());
        let process = engine.inner.process;
        let is_shared = engine.inner.store.is_shared();
        if is_shared && endpoint.is_held_by_another(process, now) {
            return Ok(Some(LOOK_MS));
        }
        let from = if passed_over.0 == endpoint.after {
            passed_over.1.max(endpoint.after)
        } else {
            endpoint.after
        };
        let has_new = engine.inner.store.newest().await?.is_some_and(|newest| newest.0 > from);
        match endpoint.due_at(has_new) {
            None => return Ok(Some(LOOK_MS)),
            Some(at) if now < at => return Ok(Some(at.millis_since(now))),
            Some(_) => {}
        }
        let batch = self.batch(&endpoint, from, now).await?;
        if batch.announcements.is_empty() && batch.vanished.is_empty() && batch.to - endpoint.after < PASSED_OVER_MAX {
            *passed_over = (endpoint.after, batch.to);
            // More may follow at once.
            return Ok(Some(if batch.to > from { 0 } else { LOOK_MS }));
        }
        let is_mine = endpoint
            .lease
            .is_some_and(|(holder, until)| holder == process && now.plus_millis(TOLD_WITHIN_MS + LOOK_MS) < until);
        if is_shared && !is_mine && !batch.announcements.is_empty() {
            let lease = EndpointInput::Lease { holder: process };
            endpoint = engine.apply_endpoint(self.id, &lease, None).await?.value;
            if endpoint.is_held_by_another(process, now) {
                return Ok(Some(LOOK_MS));
            }
        }
        let told = self.post_all(&endpoint, batch.announcements).await;
        let input = EndpointInput::Tried {
            tried: told,
            lines: (batch.to > endpoint.after).then_some((endpoint.after, batch.to)),
            vanished: batch.vanished,
        };
        self.write_down(&input).await?;
        Ok(Some(0))
    }

    /// What is to be told now: what waited, and what is new.
    async fn batch(&self, endpoint: &Endpoint, from: u64, now: Timestamp) -> Result<Batch, StoreError> {
        let store = &self.engine.inner.store;
        let work = endpoint.work(now);
        let mut batch = Batch {
            to: from,
            ..Batch::default()
        };
        for (event, place) in work.retries {
            let line = store.lines(place.checked_sub(1).map(Place), 1).await?.pop();
            let of_place = line.filter(|(at, _)| at.0 == place);
            let all = of_place.map_or_else(Vec::new, |(_, line)| self.announcer.announcements(endpoint, &line));
            match all.into_iter().find(|one| one.id == event) {
                Some(announcement) => batch.announcements.push((place, announcement)),
                None => batch.vanished.push(event),
            }
        }
        if work.new == 0 {
            return Ok(batch);
        }
        let most = batch.announcements.len() + work.new;
        for (place, line) in store.lines(Some(Place(from)), LINES).await? {
            let of_line = self.announcer.announcements(endpoint, &line);
            // A line is told whole, so that there is one place to go on from.
            let is_first = batch.announcements.len() + work.new == most;
            if batch.announcements.len() + of_line.len() > most && !is_first {
                break;
            }
            batch.announcements.extend(of_line.into_iter().map(|one| (place.0, one)));
            batch.to = place.0;
        }
        Ok(batch)
    }

    async fn post_all(&self, endpoint: &Endpoint, announcements: Vec<(u64, Announcement)>) -> Vec<Tried> {
        let secrets = Arc::new(self.engine.signing(endpoint));
        let mut telling = JoinSet::new();
        for (place, announcement) in announcements {
            let (engine, url, secrets) = (self.engine.clone(), endpoint.url.clone(), Arc::clone(&secrets));
            telling.spawn(async move {
                let (told, took_ms) = engine.post(&url, &announcement, &secrets).await;
                let jitter = u16::from_be_bytes(sixteen(&*engine.inner.entropy)[..2].try_into().unwrap_or_default()) % 1_001;
                Tried {
                    event: announcement.id,
                    place,
                    told,
                    took_ms,
                    jitter,
                }
            });
        }
        telling.join_all().await
    }

    /// Writes down what was told, trying again while the store is away: what is not written down is told again.
    async fn write_down(&self, input: &EndpointInput) -> Result<(), EndpointError> {
        let mut wait_ms = 50;
        loop {
            match self.engine.apply_endpoint(self.id, input, None).await {
                Ok(_) | Err(EndpointError::Unknown) => return Ok(()),
                Err(error) if wait_ms > REWRITE_LAST_MS => return Err(error),
                Err(_) => {
                    self.engine.inner.clock.sleep(wait_ms).await;
                    wait_ms *= 2;
                }
            }
        }
    }
}

impl Engine {
    /// The secrets that sign for an endpoint now.
    fn signing(&self, endpoint: &Endpoint) -> Vec<Zeroizing<Vec<u8>>> {
        let now = self.now();
        let opened = endpoint
            .signing(now)
            .map(|secret| self.inner.keyring.open(Use::Webhook, &secret.sealed));
        opened.flatten().collect()
    }

    /// Posts an announcement; returns what came of it and how long it took, in milliseconds.
    async fn post(&self, url: &str, announcement: &Announcement, secrets: &[Zeroizing<Vec<u8>>]) -> (Told, u32) {
        let started = self.now();
        let id = announcement.id.to_string();
        let seconds = (started.as_millis() / 1_000).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signature = signature(&id, &seconds, &announcement.body, secrets);
        for (name, value) in [
            ("webhook-id", &id),
            ("webhook-timestamp", &seconds),
            ("webhook-signature", &signature),
        ] {
            let value = HeaderValue::from_str(value).expect("ids, digits and base64 are visible ASCII");
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = HttpRequest {
            method: Method::POST,
            url: url.to_owned(),
            headers,
            body: announcement.body.clone(),
        };
        let told = match self.inner.egress.tell(request, TOLD_WITHIN_MS).await {
            Ok(answer) if answer.status.is_success() => Told::Taken {
                status: answer.status.as_u16(),
            },
            Ok(answer) => Told::Refused {
                status: answer.status.as_u16(),
                retry_after_ms: retry_after_ms(&answer.headers, self.now()),
            },
            Err(EgressError::NotSent(_)) => Told::Unanswered(Unanswered::NoConnection),
            Err(EgressError::Unanswered(_) | EgressError::AnswerTooLarge) => Told::Unanswered(Unanswered::Broken),
            Err(EgressError::Forbidden(_)) => Told::Unanswered(Unanswered::Forbidden),
        };
        let took_ms = self.now().millis_since(started);
        let result = match told {
            Told::Taken { .. } => "taken",
            Told::Refused { .. } => "refused",
            Told::Unanswered(why) => why.as_str(),
        };
        metrics::counter!("tapcode_webhook_tries_total", "result" => result).increment(1);
        metrics::histogram!("tapcode_webhook_call_ms").record(millis_f64(took_ms));
        (told, u32::try_from(took_ms).unwrap_or(u32::MAX))
    }
}

/// The value of `webhook-signature`: one signature for each secret, the newest first.
fn signature(id: &str, seconds: &str, body: &[u8], secrets: &[Zeroizing<Vec<u8>>]) -> String {
    let one = |secret: &Zeroizing<Vec<u8>>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    };
    let all: Vec<String> = secrets.iter().map(one).collect();
    all.join(" ")
}

/// How long somebody who is busy wants to be left alone: seconds or a date, as RFC 9110 section 10.2.3 has it.
fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(date.timestamp().as_millisecond()).millis_since(now))
}

fn report(id: EndpointId, decision: &EndpointDecision) {
    match decision {
        EndpointDecision::Disabled(why) => {
            metrics::counter!("tapcode_webhook_endpoints_disabled_total", "reason" => why.as_str()).increment(1);
            tracing::error!(webhook_endpoint.id = %id, reason = why.as_str(), "a webhook endpoint is disabled: it is told nothing until somebody enables it");
        }
        EndpointDecision::GivenUp(event) => {
            metrics::counter!("tapcode_webhook_given_up_total").increment(1);
            tracing::warn!(webhook_endpoint.id = %id, event.id = %event, "an announcement is given up after a day of tries");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_specification_makes_of_its_example() {
        // The example of <https://github.com/standard-webhooks/standard-webhooks> (its libraries' tests, read 2026-11-27).
        let secret = Zeroizing::new(BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let of = |secrets: &[_]| {
            signature(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                br#"{"test": 2432232314}"#,
                secrets,
            )
        };
        assert_eq!(
            of(std::slice::from_ref(&secret)),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(of(&[secret.clone(), secret]).split(' ').count(), 2);
    }

    #[test]
    fn whoever_is_busy_says_when_to_come_again_in_seconds_or_as_a_date() {
        let now = Timestamp::from_millis(1_445_412_480_000);
        let wish = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after_ms(&headers, now)
        };
        assert_eq!(wish("120"), Some(120_000));
        assert_eq!(wish("Wed, 21 Oct 2015 07:28:30 GMT"), Some(30_000));
        assert_eq!(wish("Wed, 21 Oct 2015 07:27:00 GMT"), Some(0));
        assert_eq!((wish("soon"), wish("-5"), wish("")), (None, None, None));
    }
}
