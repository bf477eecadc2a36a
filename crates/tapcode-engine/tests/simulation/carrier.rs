//! What does a provider do with a message? Take it, lose it, refuse it, hang — and tell of it early, late, twice or never.
//! WhatsApp tells by hooks that it repeats until they are taken; SMS tells over the session of whichever node is there.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tapcode_core::delivery::{Failure, FailureClass, MessageStatus, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::id::MessageId;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::RecipientKey;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::provider::{Content, Manifest, Message, Receipt, Reference, SessionProvider, SessionReceipt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::plant::Plant;
use crate::world::{Life, World};

/// What a provider did with a call that reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Took it and says so.
    Accepted,
    /// Took it and never says so.
    Hung,
    /// Took it and the connection broke.
    Reset,
    /// Refused it for good.
    Refused(FailureClass),
    /// Holds it and will not deliver it.
    Held,
    /// Certain to have sent nothing; may be asked again.
    TryAgain,
}

/// A call as the provider's log has it.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Timestamp,
    pub number: String,
    /// The code, for messages of verifications.
    pub code: Option<String>,
    pub key: RecipientKey,
    pub message: MessageId,
    pub fate: Fate,
    /// When the provider had answered.
    pub answered_at: Option<Timestamp>,
    pub provider_message_id: String,
}

/// A receipt as the provider's log has it.
#[derive(Clone, Debug)]
pub struct Told {
    pub message: MessageId,
    pub channel: Channel,
    pub status: MessageStatus,
    pub with_reference: bool,
    pub provider_message_id: String,
    pub at: Timestamp,
    /// When our side said that it has it for good.
    pub taken_at: Option<Timestamp>,
    /// Not from the provider at all.
    pub forged: bool,
}

/// A carrier as one life of a node reaches it.
pub struct Carrier {
    pub world: Arc<World>,
    pub life: Arc<Life>,
    pub channel: Channel,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

static WHATSAPP: Manifest = Manifest {
    id: "sim_whatsapp",
    channels: &[Channel::Whatsapp],
    receipts: true,
    receipts_by_get: false,
    sources: &[],
};
static SMS: Manifest = Manifest {
    id: "sim_sms",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: false,
    sources: &[],
};

#[async_trait]
impl SessionProvider for Carrier {
    fn manifest(&self) -> &'static Manifest {
        match self.channel {
            Channel::Whatsapp => &WHATSAPP,
            Channel::Sms => &SMS,
        }
    }

    async fn send(&self, message: Message) -> SendOutcome {
        let world = &self.world;
        world.seam(&self.life, "crash before a call").await;
        let way = world.roll(|d| d.below(60));
        world.pause(way).await;
        self.life.goes_on().await;
        let outcome = self.take(&message).await;
        world.seam(&self.life, "crash before an answer was read").await;
        outcome
    }

    async fn run(&self, receipts: mpsc::Sender<SessionReceipt>, stop: CancellationToken) {
        if self.channel == Channel::Sms {
            self.world.sessions.lock().unwrap().push((Arc::clone(&self.life), receipts));
        }
        stop.cancelled().await;
        self.world
            .sessions
            .lock()
            .unwrap()
            .retain(|(life, _)| !Arc::ptr_eq(life, &self.life));
        self.life.goes_on().await;
    }
}

impl Carrier {
    /// The call has reached the provider.
    async fn take(&self, message: &Message) -> SendOutcome {
        let world = &self.world;
        let (fate, answer_ms, way) = world.roll(|d| (fate(d), answer_ms(d), Way::of(d)));
        let at = world.now();
        let code = match &message.content {
            Content::Code { code, .. } => Some(code.expose().to_owned()),
            Content::Template { .. } | Content::Text(_) => None,
        };
        let index = {
            let mut calls = world.calls.lock().unwrap();
            let provider_message_id = format!("{}.{}", self.manifest().id, calls.len());
            calls.push(Call {
                at,
                number: message.to.expose().to_owned(),
                code,
                key: message.reference.key,
                message: message.reference.message,
                fate,
                answered_at: None,
                provider_message_id,
            });
            calls.len() - 1
        };
        let id = world.calls.lock().unwrap()[index].provider_message_id.clone();
        world.note(|| format!("{} takes {} as {id}: {fate:?}", self.channel, message.reference.message));
        match fate {
            Fate::Accepted | Fate::Hung | Fate::Reset => way.tell(world, self.channel, message.reference, &id),
            Fate::Refused(_) | Fate::Held | Fate::TryAgain => {}
        }
        if fate == Fate::Hung && world.plant == Some(Plant::ResendOnTimeout) {
            world.pause(1_000).await;
            let again = Call {
                at: world.now(),
                fate: Fate::Accepted,
                ..world.calls.lock().unwrap()[index].clone()
            };
            world.calls.lock().unwrap().push(again);
            return SendOutcome::Accepted {
                provider_message_id: id.into(),
            };
        }
        if fate == Fate::Hung {
            std::future::pending::<()>().await;
        }
        world.pause(answer_ms).await;
        self.life.goes_on().await;
        world.calls.lock().unwrap()[index].answered_at = Some(world.now());
        match fate {
            Fate::Accepted | Fate::Hung => SendOutcome::Accepted {
                provider_message_id: id.into(),
            },
            Fate::Reset => SendOutcome::Unclear {
                detail: "the connection broke".into(),
            },
            Fate::Refused(class) => SendOutcome::Failed {
                failure: Failure::new(class, "131026", "cannot be reached here"),
                provider_message_id: None,
            },
            Fate::Held => SendOutcome::Failed {
                failure: Failure::new(FailureClass::NextRoute, "held", "held for quality assessment"),
                provider_message_id: Some(id.into()),
            },
            Fate::TryAgain => {
                let class = FailureClass::RetryHere { after_ms: 300 };
                SendOutcome::Failed {
                    failure: Failure::new(class, "429", "too many at once"),
                    provider_message_id: None,
                }
            }
        }
    }
}

fn fate(dice: &mut Dice) -> Fate {
    match dice.below(100) {
        0..=54 => Fate::Accepted,
        55..=64 => Fate::Hung,
        65..=71 => Fate::Reset,
        72..=79 => Fate::Refused(FailureClass::NextRoute),
        80..=82 => Fate::Refused(FailureClass::TripBreaker(TripScope::Account)),
        83..=84 => Fate::Refused(FailureClass::OurMistake),
        85..=87 => Fate::Refused(FailureClass::NoFallback),
        88..=91 => Fate::Held,
        _ => Fate::TryAgain,
    }
}

fn answer_ms(dice: &mut Dice) -> u64 {
    match dice.below(10) {
        0..=6 => dice.below(200),
        7..=8 => dice.between(500, 3_000),
        // Later than the engine waits for.
        _ => dice.between(3_500, 9_000),
    }
}

/// The way of one message to its phone, and what is told of it.
struct Way {
    with_reference: bool,
    told: Vec<(u64, MessageStatus)>,
}

impl Way {
    fn of(dice: &mut Dice) -> Self {
        let with_reference = dice.chance(500);
        let mut told = Vec::new();
        match dice.below(12) {
            // Told before the call was answered.
            0..=1 => told.extend([(0, MessageStatus::Sent), (0, MessageStatus::Delivered)]),
            2..=5 => {
                let delivered = dice.between(200, 3_000);
                told.extend([
                    (dice.between(0, 1_500), MessageStatus::Sent),
                    (delivered, MessageStatus::Delivered),
                ]);
                if dice.chance(500) {
                    told.push((delivered + dice.below(4_000), MessageStatus::Read));
                }
            }
            // Around the deadlines and long after them.
            6..=7 => told.extend([
                (dice.between(0, 500), MessageStatus::Sent),
                (dice.between(3_000, 30_000), MessageStatus::Delivered),
            ]),
            8 => told.extend([
                (dice.between(0, 500), MessageStatus::Sent),
                (dice.between(60_000, 90_000), MessageStatus::Delivered),
            ]),
            9 => told.push((dice.between(0, 5_000), MessageStatus::Failed)),
            10 => told.extend([
                (dice.between(0, 3_000), MessageStatus::Failed),
                (dice.between(0, 6_000), MessageStatus::Delivered),
            ]),
            _ => {
                if dice.chance(500) {
                    told.push((dice.below(2_000), MessageStatus::Sent));
                }
            }
        }
        for (at, status) in told.clone() {
            if dice.chance(200) {
                told.push((at + dice.below(5_000), status));
            }
        }
        Self { with_reference, told }
    }

    fn tell(self, world: &Arc<World>, channel: Channel, reference: Reference, id: &str) {
        for (after, status) in self.told {
            let (world, id, with_reference) = (Arc::clone(world), id.to_owned(), self.with_reference);
            tokio::spawn(async move {
                world.pause(after).await;
                tell(&world, channel, reference, with_reference, &id, status, false).await;
            });
        }
    }
}

/// Tells of a message until somebody has taken it.
pub async fn tell(
    world: &Arc<World>,
    channel: Channel,
    reference: Reference,
    with_reference: bool,
    id: &str,
    status: MessageStatus,
    forged: bool,
) {
    let index = {
        let mut told = world.told.lock().unwrap();
        told.push(Told {
            message: reference.message,
            channel,
            status,
            with_reference,
            provider_message_id: id.to_owned(),
            at: world.now(),
            taken_at: None,
            forged,
        });
        told.len() - 1
    };
    let receipt = || Receipt {
        reference: with_reference.then_some(reference),
        provider_message_id: id.into(),
        kind: match status {
            MessageStatus::Sent => ReceiptKind::Sent,
            MessageStatus::Delivered => ReceiptKind::Delivered,
            MessageStatus::Read => ReceiptKind::Read,
            _ => ReceiptKind::Failed(Failure::new(FailureClass::NextRoute, "131026", "not delivered")),
        },
        at: None,
        billing: None,
        identity: None,
    };
    match channel {
        Channel::Whatsapp => loop {
            if let Some(node) = world.node() {
                let name = tapcode_engine::service::sender_name(channel, 1);
                let taken = tokio::select! {
                    biased;
                    () = node.life.dead.cancelled() => false,
                    taken = node.engine.receive(&name, receipt()) => taken.is_ok(),
                };
                if taken {
                    world.told.lock().unwrap()[index].taken_at = Some(world.now());
                    world.note(|| format!("taken: {status:?} of {} ({id})", reference.message));
                    return;
                }
                world.saw("a hook was sent again");
            }
            let wait = world.roll(|d| d.between(200, 3_000));
            world.pause(wait).await;
        },
        // A session has no way of knowing that it was heard: what a dying node had in its hands is gone.
        Channel::Sms => loop {
            let session = {
                let sessions = world.sessions.lock().unwrap();
                let mut living = sessions.iter().filter(|(life, _)| !life.dead.is_cancelled());
                living.next().map(|(_, sender)| sender.clone())
            };
            if let Some(session) = session
                && session.send(receipt().into()).await.is_ok()
            {
                world.note(|| format!("told: {status:?} of {} ({id})", reference.message));
                return;
            }
            world.pause(500).await;
        },
    }
}
