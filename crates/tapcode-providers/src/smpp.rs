//! How does an operator's SMSC carry text messages? Over SMPP 3.4, as a transceiver on a session that lives as long as we do.
//!
//! Sources: <https://smpp.org/SMPP_v3_4_Issue1_2.pdf> (read 2026-11-22). What SMSCs do beside it (their receipts above all) is
//! from what senders tell of them, and unconfirmed for any one.
//!
//! A message is submitted once unless the SMSC refused it, and a receipt is confirmed once it is durable. What keeps the
//! sender's pace is the window; an SMSC that says that we are too fast is given a rest, within the call and then by the engine.
//! Of a text in several parts only the last asks for a receipt: it is the one that completes the message on the phone.

mod net;
mod pdu;
mod receipt;
mod session;
mod status;
mod text;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapcode_core::delivery::{Failure, FailureClass, NOT_SENT, SendOutcome};
use tapcode_core::plan::Channel;
use tapcode_core::time::Timestamp;
use tapcode_engine::clock::Clock;
use tapcode_engine::contract::provider::{Content, Manifest, Message, SessionProvider, SessionReceipt, Source};
use tapcode_engine::entropy::Entropy;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::answer::{UNNAMED, refused, unclear};
use crate::config_error::{ConfigError, ensure};
use crate::infobip::IndiaDlt;
use crate::secret::Secret;
use net::Tcp;
use session::{Around, Dial, Ended, Missed, Open};
use text::Part;

pub use net::Tls;
pub use pdu::Kind;
pub use receipt::Ids;
pub use text::{Coding, Long};

/// What SMPP is.
pub static MANIFEST: Manifest = Manifest {
    id: "smpp",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: false,
    sources: &[Source {
        url: "https://smpp.org/SMPP_v3_4_Issue1_2.pdf",
        read: "2026-11-22",
    }],
};

/// Largest window.
pub const WINDOW_MAX: u16 = 1_000;
/// Most sessions of one sender.
pub const BINDS_MAX: u8 = 8;
/// Vendor-specific optional parameters for India: entity, template, telemarketer. From memory, unconfirmed: every operator may
/// have its own, so they can be configured.
pub const DLT_TAGS: [u16; 3] = [0x1400, 0x1401, 0x1402];

/// How long a connection may take until it is bound. Milliseconds.
const BIND_MS: u64 = 10_000;
/// How long a message may wait for its turn: for a place in the window, and for a rest to end. Milliseconds; with the answer's
/// [`session::RESPONSE_MS`] it stays below the deadline of a call.
const TURN_MS: u64 = 4_000;
/// How long an SMSC that is too busy is left alone, doubled each time. Milliseconds.
const REST_MS: u64 = 250;
/// How often a message is submitted to an SMSC that is too busy.
const SUBMISSIONS_MAX: u32 = 4;
/// How long a message waits for its retry when there is no session. Milliseconds.
const NO_SESSION_MS: u32 = 500;
/// Wait before a session is made again, doubled each time; between half of it and all. Milliseconds.
const AGAIN_FIRST_MS: u64 = 500;
/// The longest such wait. Milliseconds.
const AGAIN_LAST_MS: u64 = 30_000;

/// An account at an SMSC. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct SmppConfig {
    /// The SMSC's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and how the connection is secured.
    pub tls: Tls,
    /// Our name there; 1 to 15 bytes.
    pub system_id: String,
    /// Its password; at most 8 bytes.
    pub password: Secret,
    /// What kind of system we are, where it is asked for; at most 12 bytes.
    pub system_type: String,
    /// What the bind says of our addresses.
    pub bind_kind: Kind,
    /// Which addresses are ours; at most 40 bytes.
    pub address_range: String,
    /// Whom messages are from: E.164, a short code or letters; 1 to 20 bytes.
    pub from: String,
    /// Its type and plan; `None`: as `from` looks.
    pub source_kind: Option<Kind>,
    /// The alphabet.
    pub coding: Coding,
    /// How long texts go.
    pub long: Long,
    /// How receipts name messages.
    pub ids: Ids,
    /// Submissions without an answer at once, per session; 1 to [`WINDOW_MAX`].
    pub window: u16,
    /// Sessions at once; 1 to [`BINDS_MAX`].
    pub binds: u8,
    /// After how long a silence the SMSC is asked whether it is alive. Seconds.
    pub enquire_link_s: u16,
    /// For numbers in India.
    pub india_dlt: Option<IndiaDlt>,
    /// Which optional parameters carry that.
    pub dlt_tags: [u16; 3],
}

impl SmppConfig {
    /// Whether a sender could be made of it.
    ///
    /// # Errors
    /// The first setting that cannot be, and what belongs there.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.ensure_texts()?;
        Tcp::new(&self.host, self.port, &self.tls).map(|_| ())
    }

    fn ensure_texts(&self) -> Result<(), ConfigError> {
        let fits = |text: &str, most: usize| text.len() <= most && !text.bytes().any(|c| c == 0 || !c.is_ascii());
        let given = |text: &str, most| !text.is_empty() && fits(text, most);
        ensure(given(&self.system_id, 15), "system_id", "1 to 15 characters of ASCII")?;
        ensure(
            fits(self.password.expose(), 8),
            "password",
            "at most 8 characters of ASCII, as SMPP 3.4 has room for",
        )?;
        ensure(fits(&self.system_type, 12), "system_type", "at most 12 characters of ASCII")?;
        ensure(
            fits(&self.address_range, 40),
            "address_range",
            "at most 40 characters of ASCII",
        )?;
        ensure(given(&self.from, 20), "number", "the number or name that messages come from")?;
        ensure((1..=WINDOW_MAX).contains(&self.window), "window", "1 to 1000 messages")?;
        ensure((1..=BINDS_MAX).contains(&self.binds), "binds", "1 to 8 sessions")?;
        ensure(self.enquire_link_s >= 1, "enquire_link_s", "at least 1 second")?;
        Ok(())
    }
}

/// A sender at an SMSC.
pub struct Smpp {
    config: SmppConfig,
    account: String,
    dial: Box<dyn Dial>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    lines: Box<[Line]>,
    /// Tells the parts of one text from others'.
    reference: AtomicU16,
}

/// The place of one session, which comes and goes.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    /// Until when the SMSC is left alone; Unix milliseconds.
    rest_until: AtomicI64,
}

enum State {
    /// There is a session.
    Up(Arc<Open>),
    /// There is none; the SMSC's refusal, where it refused.
    Down(Option<Failure>),
}

impl Default for State {
    fn default() -> Self {
        Self::Down(None)
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a part was not accepted.
enum NotTaken {
    Refused(Failure),
    Unclear(&'static str),
}

impl Smpp {
    /// A sender; it connects when it is run.
    ///
    /// # Errors
    /// What in the configuration cannot be, or a certificate that cannot be read.
    pub fn new(config: SmppConfig, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, ConfigError> {
        config.ensure_texts()?;
        let dial = Tcp::new(&config.host, config.port, &config.tls)?;
        Ok(Self::over(Box::new(dial), config, clock, entropy))
    }

    fn over(dial: Box<dyn Dial>, config: SmppConfig, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let mut reference = [0; 2];
        entropy.fill(&mut reference);
        Self {
            account: format!("{}:{}/{}", config.host, config.port, config.system_id),
            lines: (0..config.binds).map(|_| Line::default()).collect(),
            config,
            dial,
            clock,
            entropy,
            reference: AtomicU16::new(u16::from_be_bytes(reference)),
        }
    }

    /// Submits one part; its name there.
    async fn submit(&self, body: &[u8], by: Timestamp) -> Result<Box<str>, NotTaken> {
        let mut submissions = 0;
        loop {
            let (line, open) = self.free_line()?;
            let now = self.clock.now();
            let rest_until = Timestamp::from_millis(line.rest_until.load(Ordering::Relaxed));
            if rest_until > by {
                return Err(NotTaken::Refused(too_fast("the SMSC was too busy, and is left alone")));
            }
            if rest_until > now {
                self.clock.sleep(rest_until.millis_since(now)).await;
                continue;
            }
            let turn = tokio::time::timeout(Duration::from_millis(by.millis_since(now)), open.window.acquire());
            let place = match turn.await {
                Ok(Ok(place)) => place,
                Ok(Err(_)) => return Err(NotTaken::Refused(not_sent())),
                Err(_) => return Err(NotTaken::Refused(too_fast("the window was full"))),
            };
            let answer = open.submit(body).await;
            drop(place);
            let answer = match answer {
                Ok(answer) => answer,
                Err(Missed::NotSent) => return Err(NotTaken::Refused(not_sent())),
                Err(Missed::Unanswered) => return Err(NotTaken::Unclear("no answer to the submission came")),
            };
            match answer.status {
                0 => return Ok(self.config.ids.of_answer(&answer.id).unwrap_or_else(|| UNNAMED.into())),
                status::QUEUE_FULL | status::THROTTLED => {
                    let rest_ms = self.jittered(REST_MS << submissions);
                    let until = self.clock.now().plus_millis(rest_ms);
                    line.rest_until.fetch_max(until.as_millis(), Ordering::Relaxed);
                    submissions += 1;
                    if submissions >= SUBMISSIONS_MAX || until > by {
                        return Err(NotTaken::Refused(status::failure(answer.status)));
                    }
                }
                status => return Err(NotTaken::Refused(status::failure(status))),
            }
        }
    }

    /// The session with the most room.
    fn free_line(&self) -> Result<(&Line, Arc<Open>), NotTaken> {
        let mut refusal = None;
        let mut best: Option<(&Line, Arc<Open>)> = None;
        for line in &self.lines {
            match &*line.state() {
                State::Up(open) => {
                    let room = open.window.available_permits();
                    if best.as_ref().is_none_or(|(_, other)| other.window.available_permits() < room) {
                        best = Some((line, Arc::clone(open)));
                    }
                }
                State::Down(failure) => refusal = refusal.or_else(|| failure.clone()),
            }
        }
        best.ok_or_else(|| NotTaken::Refused(refusal.unwrap_or_else(not_sent)))
    }

    fn part(&self, part: &Part, message: &Message, is_last: bool) -> Vec<u8> {
        let number = message.to.expose();
        let mut tlvs = part.tlvs.clone();
        if let Some(dlt) = self
            .config
            .india_dlt
            .as_ref()
            .filter(|_| message.to.country().as_str() == "IN")
        {
            let values = [
                Some(&dlt.principal_entity_id),
                dlt.content_template_id.as_ref(),
                dlt.telemarketer_id.as_ref(),
            ];
            let given = self.config.dlt_tags.into_iter().zip(values);
            tlvs.extend(given.filter_map(|(tag, value)| Some((tag, value?.as_bytes().to_vec()))));
        }
        pdu::Submit {
            source: self.config.source_kind.unwrap_or_else(|| kind_of(&self.config.from)),
            from: self.config.from.strip_prefix('+').unwrap_or(&self.config.from),
            to: number.strip_prefix('+').unwrap_or(number),
            esm_class: part.esm_class,
            useful_ms: message.useful_ms,
            receipt: is_last,
            data_coding: part.data_coding,
            short_message: &part.short_message,
            tlvs: &tlvs,
        }
        .body()
    }

    /// Makes one session after the other until `stop`.
    async fn keep_bound(&self, line: &Line, receipts: &mpsc::Sender<SessionReceipt>, stop: &CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let ended = self.one_session(line, receipts, stop, &mut failures).await;
            let failure = match &ended {
                Ended::Refused(status) => Some(status::bind_failure(*status)),
                _ => None,
            };
            *line.state() = State::Down(failure);
            if stop.is_cancelled() {
                return;
            }
            let wait_ms = self.jittered((AGAIN_FIRST_MS << failures.min(16)).min(AGAIN_LAST_MS));
            failures += 1;
            tracing::warn!(
                provider.id = MANIFEST.id,
                smsc.account = self.account,
                error = &ended as &dyn std::error::Error,
                wait_ms,
                "there is no session with the SMSC"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(wait_ms) => {}
            }
        }
    }

    async fn one_session(
        &self,
        line: &Line,
        receipts: &mpsc::Sender<SessionReceipt>,
        stop: &CancellationToken,
        failures: &mut u32,
    ) -> Ended {
        let config = &self.config;
        let binding = async {
            let mut stream = self.dial.dial().await?;
            let body = pdu::Bind {
                system_id: &config.system_id,
                password: config.password.expose(),
                system_type: &config.system_type,
                kind: config.bind_kind,
                address_range: &config.address_range,
            }
            .body();
            let buffer = session::bind(&mut *stream, &body).await?;
            Ok((stream, buffer))
        };
        let bound = tokio::select! {
            () = stop.cancelled() => return Ended::ByUs,
            bound = tokio::time::timeout(Duration::from_millis(BIND_MS), binding) => bound,
        };
        let (stream, buffer) = match bound {
            Ok(Ok(bound)) => bound,
            Ok(Err(ended)) => return ended,
            Err(_) => return Ended::Silent,
        };
        *failures = 0;
        tracing::info!(provider.id = MANIFEST.id, smsc.account = self.account, "bound to the SMSC");
        let (open, queue) = Open::new(config.window.into());
        *line.state() = State::Up(Arc::clone(&open));
        let around = Around {
            clock: &*self.clock,
            enquire_ms: u64::from(config.enquire_link_s) * 1_000,
            told: &|deliver| receipt::told(deliver, config.ids),
            receipts,
            closed: &|| *line.state() = State::Down(None),
            stop,
        };
        session::keep(stream, buffer, open, queue, &around).await
    }

    /// Between half of a wait and all of it.
    fn jittered(&self, wait_ms: u64) -> u64 {
        let mut dice = [0; 4];
        self.entropy.fill(&mut dice);
        let half = wait_ms / 2;
        wait_ms - half + u64::from(u32::from_be_bytes(dice)) % (half + 1)
    }
}

#[async_trait]
impl SessionProvider for Smpp {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    async fn send(&self, message: Message) -> SendOutcome {
        let text = match &message.content {
            Content::Code { text, .. } | Content::Text(text) => text,
            Content::Template { .. } => return ours("SMPP carries texts only"),
        };
        let reference = self.reference.fetch_add(1, Ordering::Relaxed);
        let Some(parts) = text::parts(text, self.config.coding, self.config.long, reference) else {
            return ours("the text takes more than 10 messages");
        };
        let by = self.clock.now().plus_millis(TURN_MS);
        let mut accepted: Option<Box<str>> = None;
        for (at, part) in parts.iter().enumerate() {
            let body = self.part(part, &message, at + 1 == parts.len());
            match self.submit(&body, by).await {
                Ok(id) => accepted = Some(id),
                Err(NotTaken::Refused(failure)) => {
                    return SendOutcome::Failed {
                        failure,
                        provider_message_id: accepted,
                    };
                }
                Err(NotTaken::Unclear(detail)) => return unclear(detail),
            }
        }
        match accepted {
            Some(provider_message_id) => SendOutcome::Accepted { provider_message_id },
            None => ours("the text is empty"),
        }
    }

    async fn run(&self, receipts: mpsc::Sender<SessionReceipt>, stop: CancellationToken) {
        let (lines, receipts, stop) = (&self.lines, &receipts, &stop);
        let mut sessions: Vec<_> = lines
            .iter()
            .map(|line| Box::pin(self.keep_bound(line, receipts, stop)))
            .collect();
        std::future::poll_fn(|context| {
            sessions.retain_mut(|session| session.as_mut().poll(context).is_pending());
            if sessions.is_empty() {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    fn account(&self) -> Option<&str> {
        Some(&self.account)
    }

    fn has_breaker(&self) -> bool {
        true
    }
}

/// What an address is, by its looks: E.164, a short code, or letters. Types and plans as in the facts read 2026-11-22.
fn kind_of(from: &str) -> Kind {
    if from.starts_with('+') {
        Kind { ton: 1, npi: 1 }
    } else if from.bytes().all(|c| c.is_ascii_digit()) {
        Kind { ton: 3, npi: 0 }
    } else {
        Kind { ton: 5, npi: 0 }
    }
}

fn ours(detail: &str) -> SendOutcome {
    refused(Failure::new(FailureClass::OurMistake, "content", detail))
}

fn not_sent() -> Failure {
    let class = FailureClass::RetryHere { after_ms: NO_SESSION_MS };
    Failure::new(class, NOT_SENT, "there is no session with the SMSC")
}

fn too_fast(detail: &str) -> Failure {
    let class = FailureClass::SlowDown {
        after_ms: status::AGAIN_MS,
    };
    Failure::new(class, NOT_SENT, detail)
}

impl fmt::Debug for Smpp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smpp").field("account", &self.account).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
