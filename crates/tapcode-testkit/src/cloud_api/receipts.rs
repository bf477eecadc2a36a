//! When do a message's receipts go out, and where?

use super::desk::CloudDesk;
use super::script::{ReceiptStep, Script};
use super::webhook::{self, Origin, StatusUpdate};
use super::{SubscribeError, WebhookDelivery};
use crate::{CallbackAnswer, Signing, clock};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// The number id in the webhooks of foreign receipts.
const FOREIGN_PHONE_NUMBER_ID: &str = "999999999999999";

/// A message that exists.
pub(super) struct Message {
    pub(super) wamid: String,
    pub(super) wa_id: String,
    pub(super) callback_data: Option<String>,
}

impl CloudDesk {
    /// Sends all receipts of a script: the early ones, and after the answer or the break the others.
    pub(super) async fn send_receipts(
        self: Arc<Self>,
        message: Message,
        script: Arc<Script>,
        early_done: oneshot::Sender<()>,
        answered: oneshot::Receiver<()>,
    ) {
        let (early, late): (Vec<_>, Vec<_>) = together(&script.receipts).into_iter().partition(|group| group[0].early);
        self.send_groups(&message, early).await;
        // An error says that the caller went away while early receipts were sent.
        let _ = early_done.send(());
        // Always an error: the answer or the break drops the other end.
        let _ = answered.await;
        self.send_groups(&message, late).await;
    }

    async fn send_groups(self: &Arc<Self>, message: &Message, mut groups: Vec<&[ReceiptStep]>) {
        let start = clock::instant();
        groups.sort_by_key(|group| group[0].after);
        for group in groups {
            clock::sleep_until(start + group[0].after).await;
            let updates: Vec<_> = group
                .iter()
                .map(|step| StatusUpdate {
                    wamid: message.wamid.clone(),
                    wa_id: message.wa_id.clone(),
                    status: step.status,
                    biz_opaque_callback_data: message.callback_data.clone().filter(|_| !step.without_callback_data),
                    timestamp: clock::unix_seconds(),
                })
                .collect();
            let body = self.body(&updates, group[0].foreign);
            for _ in 0..group[0].times {
                self.send_until_taken(body.clone(), &group[0].signing).await;
            }
        }
    }

    /// Sends once, and again in the background for as long as the configuration says. Nobody redelivers forgeries.
    async fn send_until_taken(self: &Arc<Self>, body: Bytes, signing: &Signing) {
        if self.deliver(body.clone(), signing, 0).await.is_ok() || *signing != Signing::Proper {
            return;
        }
        let desk = Arc::clone(self);
        self.receipts.spawn(async move {
            let stop = desk.stop.clone();
            let redeliver = async {
                for (nth, pause) in desk.config.redelivery.iter().enumerate() {
                    clock::sleep(*pause).await;
                    if desk.deliver(body.clone(), &Signing::Proper, nth + 1).await.is_ok() {
                        return;
                    }
                }
            };
            stop.run_until_cancelled(redeliver).await;
        });
    }

    pub(super) async fn send_once(&self, body: Bytes, signing: &Signing) -> CallbackAnswer {
        self.deliver(body, signing, 0).await
    }
    pub(super) async fn send_receipt(&self, mut update: StatusUpdate, step: &ReceiptStep) -> CallbackAnswer {
        if step.without_callback_data {
            update.biz_opaque_callback_data = None;
        }
        let body = self.body(&[update], step.foreign);
        let mut answer = CallbackAnswer::NoAddress;
        for _ in 0..step.times.max(1) {
            answer = self.deliver(body.clone(), &step.signing, 0).await;
        }
        answer
    }

    pub(super) fn body(&self, updates: &[StatusUpdate], foreign: bool) -> Bytes {
        let origin = Origin {
            waba_id: &self.config.waba_id,
            display_phone_number: &self.config.display_phone_number,
            phone_number_id: if foreign {
                FOREIGN_PHONE_NUMBER_ID
            } else {
                &self.config.phone_number_id
            },
        };
        webhook::body(&origin, updates).into()
    }

    async fn deliver(&self, body: Bytes, signing: &Signing, redelivery: usize) -> CallbackAnswer {
        let url = self.callback_url.read().expect("no holder panics").clone();
        let signature = webhook::signature(&self.config.app_secret, &body, signing);
        let answer = match url {
            None => CallbackAnswer::NoAddress,
            Some(url) => {
                let header = signature.as_deref().map(|value| (webhook::SIGNATURE_HEADER, value));
                self.client.post(&url, "application/json", header, body.clone()).await
            }
        };
        let counter = if answer.is_ok() {
            &self.tally.webhooks_taken
        } else {
            &self.tally.webhooks_failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
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

    pub(super) async fn subscribe(&self, url: &str, verify_token: &str) -> Result<(), SubscribeError> {
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
        self.set_callback_url(url.to_owned());
        Ok(())
    }
}

/// Steps that travel in one webhook.
fn together(steps: &[ReceiptStep]) -> Vec<&[ReceiptStep]> {
    steps.chunk_by(|_, next| next.with_previous).collect()
}
