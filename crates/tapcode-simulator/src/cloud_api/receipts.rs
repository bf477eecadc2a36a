//! When do a message's receipts go out, and where?

use super::desk::{CloudDesk, wa_id};
use super::script::ReceiptStep;
use super::webhook::{self, Origin, StatusUpdate};
use super::{SendRequest, SubscribeError, WebhookDelivery};
use crate::sending::AnswerTime;
use crate::{CallbackAnswer, Signing, clock};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// The number id in the webhooks of foreign receipts.
const FOREIGN_PHONE_NUMBER_ID: &str = "999999999999999";

/// Most updates in one webhook.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview> (read 2026-11-22)
const UPDATES_MAX: usize = 1_000;

/// What a webhook is about: an account can have those about messages go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Messages,
    Account,
}

/// A message that exists.
pub(super) struct Message {
    pub(super) wamid: String,
    pub(super) wa_id: String,
    pub(super) callback_data: Option<String>,
    pub(super) identity: Option<String>,
}

/// Updates that wait to travel together.
pub(super) struct Batches {
    waiting: mpsc::UnboundedSender<StatusUpdate>,
    /// Taken by the task that sends them.
    queue: Mutex<Option<mpsc::UnboundedReceiver<StatusUpdate>>>,
}

impl Batches {
    pub(super) fn new() -> Self {
        let (waiting, queue) = mpsc::unbounded_channel();
        Self {
            waiting,
            queue: Mutex::new(Some(queue)),
        }
    }
}

impl CloudDesk {
    /// Sends all receipts of a script: the early ones, and after the answer or the break the others.
    pub(super) async fn send_receipts(self: Arc<Self>, message: Message, receipts: Vec<ReceiptStep>, answer: AnswerTime) {
        let (early, late): (Vec<_>, Vec<_>) = together(&receipts).into_iter().partition(|group| group[0].early);
        self.send_groups(&message, early).await;
        answer.pass().await;
        self.send_groups(&message, late).await;
    }

    async fn send_groups(self: &Arc<Self>, message: &Message, mut groups: Vec<&[ReceiptStep]>) {
        let start = clock::instant();
        groups.sort_by_key(|group| group[0].after);
        for group in groups {
            clock::sleep_until(start + group[0].after).await;
            let mut updates: Vec<_> = group
                .iter()
                .map(|step| StatusUpdate {
                    wamid: message.wamid.clone(),
                    wa_id: message.wa_id.clone(),
                    status: step.status,
                    biz_opaque_callback_data: message.callback_data.clone().filter(|_| !step.without_callback_data),
                    identity: message.identity.clone(),
                    timestamp: clock::unix_seconds(),
                })
                .collect();
            let is_plain = !group[0].foreign && group[0].times == 1 && group[0].signing == Signing::Proper;
            if let Some(within) = self.config.batching
                && is_plain
            {
                self.send_batches(within);
                for update in updates.drain(..) {
                    // An error says that the stand-in is stopping.
                    let _ = self.batches.waiting.send(update);
                }
                continue;
            }
            let body = self.body(&updates, group[0].foreign);
            for _ in 0..group[0].times {
                self.send_until_taken(body.clone(), &group[0].signing, About::Messages).await;
            }
        }
    }

    /// Sends once, and again in the background for as long as the configuration says. Nobody redelivers forgeries.
    pub(super) async fn send_until_taken(self: &Arc<Self>, body: Bytes, signing: &Signing, about: About) -> CallbackAnswer {
        let first = self.deliver(body.clone(), signing, 0, about).await;
        if first.is_ok() || *signing != Signing::Proper {
            return first;
        }
        let desk = Arc::clone(self);
        self.receipts.spawn(async move {
            let stop = desk.stop.clone();
            let redeliver = async {
                for (nth, pause) in desk.config.redelivery.iter().enumerate() {
                    clock::sleep(*pause).await;
                    if desk.deliver(body.clone(), &Signing::Proper, nth + 1, about).await.is_ok() {
                        return;
                    }
                }
            };
            stop.run_until_cancelled(redeliver).await;
        });
        first
    }

    /// Starts sending what waits in [`Batches`], once: up to 1,000 updates that come within a time in one webhook.
    fn send_batches(self: &Arc<Self>, within: Duration) {
        let queue = self.batches.queue.lock().expect("no holder panics").take();
        let Some(mut queue) = queue else {
            return;
        };
        let desk = Arc::clone(self);
        self.receipts.spawn(async move {
            let stop = desk.stop.clone();
            let sending = async {
                while let Some(first) = queue.recv().await {
                    clock::sleep(within).await;
                    let mut updates = vec![first];
                    while updates.len() < UPDATES_MAX
                        && let Ok(update) = queue.try_recv()
                    {
                        updates.push(update);
                    }
                    desk.send_until_taken(desk.body(&updates, false), &Signing::Proper, About::Messages)
                        .await;
                }
            };
            stop.run_until_cancelled(sending).await;
        });
    }

    pub(super) async fn send_once(&self, body: Bytes, signing: &Signing) -> CallbackAnswer {
        self.deliver(body, signing, 0, About::Messages).await
    }
    pub(super) async fn send_receipt(&self, mut update: StatusUpdate, step: &ReceiptStep) -> CallbackAnswer {
        if step.without_callback_data {
            update.biz_opaque_callback_data = None;
        }
        let body = self.body(&[update], step.foreign);
        let mut answer = CallbackAnswer::NoAddress;
        for _ in 0..step.times.max(1) {
            answer = self.deliver(body.clone(), &step.signing, 0, About::Messages).await;
        }
        answer
    }

    /// The webhook of a pressed button.
    pub(super) async fn press(self: &Arc<Self>, message: &SendRequest) -> CallbackAnswer {
        let wamid = message.wamid().expect("only a message can be answered");
        let wa_id = wa_id(message.to.as_deref().expect("a message has a recipient"));
        let value = webhook::press(&self.origin(false), wamid, &wa_id, &self.mint_wamid(&wa_id));
        self.send_change("messages", value).await
    }

    pub(super) fn body(&self, updates: &[StatusUpdate], foreign: bool) -> Bytes {
        webhook::body(&self.origin(foreign), updates).into()
    }

    fn origin(&self, foreign: bool) -> Origin<'_> {
        Origin {
            waba_id: &self.config.waba_id,
            display_phone_number: &self.config.display_phone_number,
            phone_number_id: if foreign {
                FOREIGN_PHONE_NUMBER_ID
            } else {
                &self.config.phone_number_id
            },
        }
    }

    async fn deliver(&self, body: Bytes, signing: &Signing, redelivery: usize, about: About) -> CallbackAnswer {
        let url = match (self.account.is_subscribed(), about) {
            (true, About::Messages) => self.account.override_url().or_else(|| self.callback_url()),
            (true, About::Account) => self.callback_url(),
            (false, _) => None,
        };
        let signature = webhook::signature(&self.config.app_secret, &body, signing);
        let answer = match url {
            None => CallbackAnswer::NoAddress,
            Some(url) => {
                let header = signature.as_deref().map(|value| (webhook::SIGNATURE_HEADER, value));
                self.client.post(&url, "application/json", header, body.clone()).await
            }
        };
        self.tally.called_back(&answer);
        if self.config.log {
            self.webhooks.push(|_| WebhookDelivery {
                at: clock::wall(),
                body,
                signature,
                redelivery,
                answer: answer.clone(),
            });
        }
        answer
    }

    /// The handshake with an address that webhooks are to go to.
    pub(super) async fn shake_hands(&self, url: &str, verify_token: &str) -> Result<(), SubscribeError> {
        let challenge = format!("{:010}", self.next_serial() + 1_158_201_444);
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("hub.mode", "subscribe")
            .append_pair("hub.challenge", &challenge)
            .append_pair("hub.verify_token", verify_token)
            .finish();
        let (status, body) = self
            .client
            .get(&format!("{url}?{query}"))
            .await
            .map_err(SubscribeError::Answer)?;
        if status != 200 {
            return Err(SubscribeError::Answer(CallbackAnswer::Status(status)));
        }
        if body != challenge.as_bytes() {
            return Err(SubscribeError::Challenge);
        }
        Ok(())
    }
}

/// Steps that travel in one webhook.
fn together(steps: &[ReceiptStep]) -> Vec<&[ReceiptStep]> {
    steps.chunk_by(|_, next| next.with_previous).collect()
}
