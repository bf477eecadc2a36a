//! What stands in for the vendors where nobody is to be messaged? A provider of its own, whose phones are in memory.
//!
//! A [`Sandbox`] is the phones and the network around them; [`Sandbox::sender`] gives a provider for one channel. A send is
//! answered at once, as Meta answers: accepted. What becomes of the message is told later, by receipts, as the network
//! around the phone has it. Nothing here outlives the process, and everything has a bound.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome};
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::time::Timestamp;
use tapcode_engine::clock::Clock;
use tapcode_engine::contract::phones::{
    Arrival, Deliver, LATE_MS, Network, PHONE_MESSAGES_MAX, PHONES_MAX, Phone, PhoneMessage, Phones,
};
use tapcode_engine::contract::provider::{Content, Manifest, Message, Receipt, Reference, SessionProvider, SessionReceipt};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::whatsapp_wording::Wording;
use crate::{answer, whatsapp_errors};

/// What the sandbox is. Its facts are Meta's, by way of the tables that it shares with `whatsapp_cloud`.
pub static MANIFEST: Manifest = Manifest {
    id: "sandbox",
    channels: &[Channel::Sms, Channel::Whatsapp],
    receipts: false,
    receipts_by_get: false,
    sources: &[whatsapp_errors::SOURCE, crate::whatsapp_wording::SOURCE],
};

/// After how many milliseconds the network says that a number is not on WhatsApp.
pub const NOT_ON_WHATSAPP_MS: u64 = 400;
/// Most that the network around a phone adds to a delivery. Milliseconds.
pub const DELAY_MS_MAX: u32 = 60_000;
/// Most deliveries and receipts of one sender that are on their way at once; a send beyond them is refused.
pub const ON_THEIR_WAY_MAX: usize = 100_000;
/// Most changes that a slow reader of [`Phones::changes`] may be behind.
const CHANGES_MAX: usize = 256;
/// Longest wait without another look at the clock, which may have been set. Milliseconds.
const LOOK_MS_MAX: u64 = 1_000;
/// After how many milliseconds a refused send may be tried again.
const RETRY_MS: u32 = 500;

/// Simulated phones and the network around them.
pub struct Sandbox {
    brand: Box<str>,
    clock: Arc<dyn Clock>,
    world: Mutex<World>,
    changes: broadcast::Sender<Phone>,
}

/// A provider of the sandbox for one channel; as many as there are accounts and numbers configured on it.
pub struct SandboxSender {
    sandbox: Arc<Sandbox>,
    line: Arc<Line>,
}

impl Sandbox {
    /// A sandbox with a phone for each of `numbers`, at most [`PHONES_MAX`]. `brand` is who a template message is from.
    #[must_use]
    pub fn new(brand: &str, numbers: &[Number], clock: Arc<dyn Clock>) -> Arc<Self> {
        let mut world = World::default();
        for number in numbers {
            world.phone(number);
        }
        let changes = broadcast::Sender::new(CHANGES_MAX);
        Arc::new(Self {
            brand: brand.into(),
            clock,
            world: Mutex::new(world),
            changes,
        })
    }

    /// A provider that sends to these phones. `from` is who an SMS is from; a WhatsApp message is from the brand.
    #[must_use]
    pub fn sender(self: &Arc<Self>, channel: Channel, from: &str) -> SandboxSender {
        let line = Line {
            channel,
            from: from.into(),
            scheduled: Mutex::default(),
            woken: Notify::new(),
        };
        SandboxSender {
            sandbox: Arc::clone(self),
            line: Arc::new(line),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // Nothing in here panics half way through a change, so a poisoned world is a whole one.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, phone: &Kept) {
        if self.changes.receiver_count() > 0 {
            // Nobody listening any more is no mistake.
            let _ = self.changes.send(phone.shown());
        }
    }

    /// The message as the phone will show it; `None` for content that this channel does not carry.
    fn written(&self, channel: Channel, from: &str, content: &Content) -> Option<Written> {
        match (channel, content) {
            (
                Channel::Whatsapp,
                Content::Code {
                    code,
                    locale,
                    expires_minutes,
                    brand,
                    ..
                },
            ) => {
                let wording = Wording::of(locale);
                Some(Written {
                    sender: brand.to_string(),
                    body: wording.body(code.expose()),
                    footer: Some(wording.footer(*expires_minutes)),
                    button: Some(wording.button.to_owned()),
                    code: Some(code.expose().to_owned()),
                })
            }
            (
                Channel::Whatsapp,
                Content::Template {
                    name,
                    language,
                    components,
                },
            ) => Some(Written::from_template(&self.brand, name, language, components)),
            (Channel::Sms, Content::Code { code, text, .. }) => Some(Written {
                code: Some(code.expose().to_owned()),
                ..Written::text(from, text)
            }),
            (Channel::Sms, Content::Text(text)) => Some(Written::text(from, text)),
            (Channel::Whatsapp, Content::Text(_)) | (Channel::Sms, Content::Template { .. }) => None,
        }
    }

    /// Lets what is scheduled happen on the phone; returns what it is told as.
    fn happen(&self, event: &Event) -> ReceiptKind {
        let (arrival, kind) = match event.what {
            What::Leaves => return ReceiptKind::Sent,
            What::IsRead => return ReceiptKind::Read,
            What::Arrives => (Arrival::Arrived, ReceiptKind::Delivered),
            What::IsUndeliverable => (
                Arrival::Lost,
                ReceiptKind::Failed(whatsapp_errors::reported(whatsapp_errors::UNDELIVERABLE, "")),
            ),
        };
        let now = self.clock.now();
        let mut world = self.world();
        if let Some((phone, message)) = world.find(&event.told.reference.message.to_string()) {
            phone.messages[message].shown.arrival = arrival;
            phone.messages[message].shown.at = now;
            self.tell(phone);
        }
        kind
    }
}

impl Phones for Sandbox {
    fn all(&self) -> Vec<Phone> {
        self.world().phones.iter().map(Kept::shown).collect()
    }

    fn add(&self, number: &Number) -> Phone {
        let mut world = self.world();
        let phone = world.phone(number);
        self.tell(phone);
        phone.shown()
    }

    fn set_network(&self, number: &Number, network: Network) {
        let mut world = self.world();
        let phone = world.phone(number);
        phone.network = Network {
            delay_ms: network.delay_ms.min(DELAY_MS_MAX),
            ..network
        };
        self.tell(phone);
    }

    fn open(&self, message: &str) -> bool {
        let now = self.clock.now();
        let mut world = self.world();
        let Some((phone, at)) = world.find(message) else {
            return false;
        };
        let opened = &mut phone.messages[at];
        if opened.shown.arrival == Arrival::Arrived && !opened.shown.read {
            opened.shown.read = true;
            if opened.shown.channel == Channel::Whatsapp {
                // A full line loses the receipt, as a user who keeps read receipts off would.
                opened.line.schedule(vec![(now, What::IsRead)], &opened.told);
            }
            self.tell(phone);
        }
        true
    }

    fn changes(&self) -> broadcast::Receiver<Phone> {
        self.changes.subscribe()
    }
}

#[async_trait]
impl SessionProvider for SandboxSender {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    async fn send(&self, message: Message) -> SendOutcome {
        let channel = self.line.channel;
        let Some(written) = self.sandbox.written(channel, &self.line.from, &message.content) else {
            let detail = format!("the sandbox carries no such content on {channel}");
            let failure = Failure::new(FailureClass::OurMistake, "content", &detail);
            return answer::refused(failure);
        };
        let now = self.sandbox.clock.now();
        let mut world = self.sandbox.world();
        let phone = world.phone(&message.to);
        let network = phone.network;
        let (deliver, reachable) = match channel {
            Channel::Whatsapp => (network.deliver, network.whatsapp),
            // A fallback must have somewhere to go.
            Channel::Sms => (Deliver::Normal, true),
        };
        if deliver == Deliver::ProviderDown {
            return refused("503", "the simulated provider is down; nothing was sent");
        }
        let told = Told {
            reference: message.reference,
            provider_message_id: format!("sandbox-{}", message.reference.message).into(),
            twice: deliver == Deliver::Duplicate,
        };
        let delay_ms = u64::from(network.delay_ms);
        let arrives = |after_ms: u64| vec![(now, What::Leaves), (now.plus_millis(after_ms), What::Arrives)];
        let (arrival, what) = match deliver {
            _ if !reachable => (
                Arrival::Pending,
                vec![(now.plus_millis(NOT_ON_WHATSAPP_MS + delay_ms), What::IsUndeliverable)],
            ),
            Deliver::Never => (Arrival::Lost, vec![]),
            Deliver::Late => (Arrival::Pending, arrives(LATE_MS + delay_ms)),
            Deliver::Normal | Deliver::Duplicate | Deliver::ProviderDown => (Arrival::Pending, arrives(delay_ms)),
        };
        // The phone has it before the network may deliver it: the world is locked until it is on the list.
        if !self.line.schedule(what, &told) {
            return refused("full", "too many messages are on their way in the sandbox");
        }
        let provider_message_id = told.provider_message_id.clone();
        let shown = PhoneMessage {
            id: message.reference.message.to_string(),
            channel,
            sender: written.sender,
            arrival,
            at: now,
            code: written.code,
            body: written.body,
            footer: written.footer,
            button: written.button,
            read: false,
        };
        phone.receive(KeptMessage {
            shown,
            line: Arc::clone(&self.line),
            told,
        });
        self.sandbox.tell(phone);
        SendOutcome::Accepted { provider_message_id }
    }

    async fn run(&self, receipts: mpsc::Sender<SessionReceipt>, stop: CancellationToken) {
        loop {
            let now = self.sandbox.clock.now();
            let (event, wait_ms) = self.line.next(now);
            if let Some(event) = event {
                let kind = self.sandbox.happen(&event);
                for _ in 0..=u8::from(event.told.twice) {
                    let receipt = event.told.receipt(kind.clone(), self.sandbox.clock.now());
                    let sent = tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        sent = receipts.send(receipt.into()) => sent,
                    };
                    if sent.is_err() {
                        return;
                    }
                }
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.line.woken.notified() => {}
                () = self.sandbox.clock.sleep(wait_ms.min(LOOK_MS_MAX)), if wait_ms < u64::MAX => {}
            }
        }
    }
}

fn refused(code: &str, detail: &str) -> SendOutcome {
    answer::refused(Failure::new(FailureClass::RetryHere { after_ms: RETRY_MS }, code, detail))
}

/// What a message says on a phone.
struct Written {
    sender: String,
    body: String,
    footer: Option<String>,
    button: Option<String>,
    code: Option<String>,
}

impl Written {
    fn text(from: &str, text: &str) -> Self {
        Self {
            sender: from.to_owned(),
            body: text.to_owned(),
            footer: None,
            button: None,
            code: None,
        }
    }

    /// A template whose button repeats the body's only parameter is an authentication template, and its text is Meta's;
    /// of any other template only the parameters are known here.
    fn from_template(brand: &str, name: &str, language: &str, components: &str) -> Self {
        let components: serde_json::Value = serde_json::from_str(components).unwrap_or_default();
        let texts = |kind: &str| -> Vec<&str> {
            let all = components.as_array().into_iter().flatten();
            let of_kind = all.filter(|c| c["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind)));
            of_kind
                .flat_map(|c| c["parameters"].as_array().into_iter().flatten())
                .filter_map(|p| p["text"].as_str())
                .collect()
        };
        match (texts("body").as_slice(), texts("button").as_slice()) {
            ([code], [button]) if code == button => {
                let wording = Wording::of(language);
                Self {
                    sender: brand.to_owned(),
                    body: wording.body(code),
                    footer: None,
                    button: Some(wording.button.to_owned()),
                    code: Some((*code).to_owned()),
                }
            }
            (body, _) => Self::text(brand, &format!("{name} ({language})\n{}", body.join("\n"))),
        }
    }
}

#[derive(Default)]
struct World {
    /// In the order they were added.
    phones: Vec<Kept>,
    /// Counts what happens, so that the phone that was silent the longest is known.
    moments: u64,
}

impl World {
    /// The phone with this number, added if need be, as the one that was not silent last.
    fn phone(&mut self, number: &Number) -> &mut Kept {
        self.moments += 1;
        let moment = self.moments;
        let at = self.phones.iter().position(|p| p.number == *number).unwrap_or_else(|| {
            if self.phones.len() >= PHONES_MAX {
                let silent = (0..self.phones.len())
                    .min_by_key(|at| self.phones[*at].heard_of)
                    .expect("there are phones");
                self.phones.remove(silent);
            }
            let messages = VecDeque::new();
            self.phones.push(Kept {
                number: number.clone(),
                network: Network::default(),
                messages,
                heard_of: moment,
            });
            self.phones.len() - 1
        });
        self.phones[at].heard_of = moment;
        &mut self.phones[at]
    }

    /// The phone that has a message, and its place there.
    fn find(&mut self, message: &str) -> Option<(&mut Kept, usize)> {
        self.phones.iter_mut().find_map(|phone| {
            let at = phone.messages.iter().rposition(|m| m.shown.id == message)?;
            Some((phone, at))
        })
    }
}

struct Kept {
    number: Number,
    network: Network,
    messages: VecDeque<KeptMessage>,
    heard_of: u64,
}

impl Kept {
    fn shown(&self) -> Phone {
        let messages = self.messages.iter().map(|m| m.shown.clone()).collect();
        Phone {
            number: self.number.clone(),
            network: self.network,
            messages,
        }
    }

    fn receive(&mut self, message: KeptMessage) {
        if self.messages.len() >= PHONE_MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }
}

struct KeptMessage {
    shown: PhoneMessage,
    line: Arc<Line>,
    told: Told,
}

/// How receipts name a message.
#[derive(Clone)]
struct Told {
    reference: Reference,
    provider_message_id: Box<str>,
    twice: bool,
}

impl Told {
    fn receipt(&self, kind: ReceiptKind, at: Timestamp) -> Receipt {
        Receipt {
            reference: Some(self.reference),
            provider_message_id: self.provider_message_id.clone(),
            kind,
            at: Some(at),
            billing: None,
            identity: None,
        }
    }
}

/// One sender's messages on their way.
struct Line {
    channel: Channel,
    from: Box<str>,
    scheduled: Mutex<Scheduled>,
    woken: Notify,
}

#[derive(Default)]
struct Scheduled {
    events: BinaryHeap<Reverse<Event>>,
    /// Events made so far: those of one moment happen in the order they were made.
    made: u64,
}

struct Event {
    due: Timestamp,
    order: u64,
    what: What,
    told: Told,
}

#[derive(Clone, Copy)]
enum What {
    Leaves,
    Arrives,
    IsUndeliverable,
    IsRead,
}

impl Line {
    fn scheduled(&self) -> MutexGuard<'_, Scheduled> {
        self.scheduled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Schedules all of it; `false`, and none of it, when there is no room.
    fn schedule(&self, what: Vec<(Timestamp, What)>, told: &Told) -> bool {
        let mut scheduled = self.scheduled();
        if scheduled.events.len() + what.len() > ON_THEIR_WAY_MAX {
            return false;
        }
        for (due, what) in what {
            scheduled.made += 1;
            let order = scheduled.made;
            scheduled.events.push(Reverse(Event {
                due,
                order,
                what,
                told: told.clone(),
            }));
        }
        drop(scheduled);
        self.woken.notify_one();
        true
    }

    /// The first event that is due, or how long to wait for it; `u64::MAX` when there is none at all. Milliseconds.
    fn next(&self, now: Timestamp) -> (Option<Event>, u64) {
        let mut scheduled = self.scheduled();
        match scheduled.events.peek() {
            None => (None, u64::MAX),
            Some(Reverse(first)) if first.due > now => (None, first.due.millis_since(now)),
            Some(_) => (scheduled.events.pop().map(|Reverse(event)| event), 0),
        }
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("brand", &self.brand).finish_non_exhaustive()
    }
}

impl fmt::Debug for SandboxSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxSender")
            .field("channel", &self.line.channel)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
