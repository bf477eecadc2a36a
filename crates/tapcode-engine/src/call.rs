//! What is done once a claim is durable? One call to the provider, and its outcome written down.

use std::sync::Arc;

use tapcode_core::code::Code;
use tapcode_core::delivery::{CALL_ANSWER_MS, Failure, FailureClass, NOT_SENT, PROVIDER_MESSAGE_ID_MAX, SendOutcome, cut};
use tapcode_core::id::MessageId;
use tapcode_core::money::Money;
use tapcode_core::recipient::{Recipient, RecipientKey};
use tapcode_core::step::Input;
use tapcode_core::text::segments;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Attempt, Verification};

use crate::contract::provider::{Content, Message, Reference};
use crate::contract::store::{ProviderHandle, SubjectId};
use crate::egress::EgressError;
use crate::engine::{Beside, Engine, EngineError, Permit, route_of};
use crate::keyring::Use;
use crate::receive::{PARKED_MS, arrivals_first};
use crate::service::{Provider, Sender, Service, sender_name};
use crate::trace::{self, Cause, SpanId};

/// How long to wait before an outcome that could not be written is written again; doubled each time. Milliseconds.
const REWRITE_FIRST_MS: u64 = 50;
/// The longest such wait. Milliseconds.
const REWRITE_LAST_MS: u64 = 2_000;
/// How long a call that certainly sent nothing waits for its retry. Milliseconds.
const NOT_SENT_RETRY_MS: u32 = 500;

/// A plain message's content, as it is sealed: a tag byte and the text.
pub(crate) mod payload {
    use crate::contract::provider::Content;

    /// Packs a plain message's content for sealing.
    pub(crate) fn pack(content: &Content) -> Option<Vec<u8>> {
        match content {
            Content::Code { .. } => None,
            Content::Text(text) => Some([b"s", text.as_bytes()].concat()),
            Content::Template {
                name,
                language,
                components,
            } => serde_json::to_vec(&(name, language, components))
                .ok()
                .map(|json| [b"t", &json[..]].concat()),
        }
    }

    /// Unpacks what [`pack`] packed.
    pub(crate) fn unpack(bytes: &[u8]) -> Option<Content> {
        match bytes.split_first()? {
            (b's', text) => String::from_utf8(text.to_vec()).ok().map(Content::Text),
            (b't', json) => {
                let (name, language, components) = serde_json::from_slice(json).ok()?;
                Some(Content::Template {
                    name,
                    language,
                    components,
                })
            }
            _ => None,
        }
    }
}

impl Engine {
    /// Starts the one call of a claim. The task belongs to the engine: no caller's departure stops it.
    /// `claim` is the span that the call's own is part of.
    pub(crate) fn start_call(
        &self,
        key: RecipientKey,
        document: &Recipient,
        id: MessageId,
        permit: Permit,
        claim: Option<(SubjectId, SpanId)>,
    ) {
        let engine = self.clone();
        let message = self.compose(key, document, id);
        let route = route_of(document, id).cloned();
        let sender = route
            .as_ref()
            .and_then(|r| self.directory().sender(r.channel, r.sender).cloned());
        let country = document.country;
        let template = document.attempt(id).map(|(_, attempt)| attempt.language.clone());
        let name = route.map(|r| sender_name(r.channel, r.sender)).unwrap_or_default();
        if let Some(sender) = sender.as_ref().filter(|_| message.is_some()) {
            self.take_place(sender, key);
        }
        self.inner.tasks.spawn(async move {
            let mut cause = None;
            let (outcome, price) = match (sender, message) {
                (Some(sender), Some(message)) => {
                    let began_at = engine.now();
                    let (outcome, price) = engine.call(&sender, message).await;
                    cause = engine.record_call(claim, id, &sender, began_at, &outcome);
                    engine.judge_way(&sender, key, country, template.as_ref().map(|l| l.as_deref()), &outcome);
                    (outcome, price)
                }
                (None, _) => (ours("sender_gone", "the sender of this route is no longer configured"), None),
                (_, None) => (
                    ours("cannot_compose", "the message's seal does not open under this master key"),
                    None,
                ),
            };
            drop(permit);
            trace::caused_by(cause, engine.write_outcome(key, id, &name, outcome, price)).await;
        });
    }

    /// Tells of a call that has ended; its span, where anybody wants it.
    fn record_call(
        &self,
        claim: Option<(SubjectId, SpanId)>,
        id: MessageId,
        sender: &Sender,
        began_at: Timestamp,
        outcome: &SendOutcome,
    ) -> Option<Cause> {
        let (traces, claim) = self.inner.traces.as_ref().zip(claim)?;
        let span = trace::of_call(claim, id, sender, (began_at, self.now()), outcome);
        let cause = span.as_cause();
        traces.wants(span.trace).then(|| {
            traces.record(span);
            cause
        })
    }

    /// The message as the provider gets it: the number is opened and the code made here, and nowhere earlier.
    fn compose(&self, key: RecipientKey, document: &Recipient, id: MessageId) -> Option<Message> {
        let keyring = &self.inner.keyring;
        let now = self.now();
        let to = keyring.open_number(document.number.as_ref()?)?;
        let reference = Reference { key, message: id };
        let identity = route_of(document, id)
            .and_then(|route| document.knowledge.identity(route.channel))
            .and_then(|sealed| keyring.open_text(Use::Identity, sealed))
            .map(|text| text.as_str().into());
        if let Some((verification, attempt)) = document.attempt(id) {
            let code = keyring.code(verification)?;
            let directory = self.directory();
            let service = directory.service(&document.scope.service)?;
            let useful_ms = verification.expires_at.millis_since(now);
            let expires_minutes = expires_minutes(verification, attempt)?;
            let text = self.text_of(verification, attempt, service, &code)?;
            let content = Content::Code {
                code,
                text,
                locale: verification.locale.clone(),
                language: attempt.language.clone(),
                expires_minutes,
                brand: service.brand.clone(),
            };
            return Some(Message {
                reference,
                to,
                content,
                useful_ms,
                identity,
            });
        }
        let plain = document.message(id)?;
        let content = payload::unpack(&keyring.open(Use::Payload, plain.payload.as_ref()?)?)?;
        Some(Message {
            reference,
            to,
            content,
            useful_ms: PLAIN_USEFUL_MS,
            identity,
        })
    }

    /// The text message that carries a code.
    fn text_of(&self, verification: &Verification, attempt: &Attempt, service: &Service, code: &Code) -> Option<String> {
        let binding = verification
            .binding
            .as_ref()
            .and_then(|b| self.inner.keyring.open_text(Use::Binding, &b.sealed));
        let minutes = expires_minutes(verification, attempt)?;
        let binding = binding.as_ref().map(|b| b.as_str());
        Some(crate::text::of_code(verification, service, code, minutes, binding))
    }

    /// In how many segments a text message goes, which is how it is billed.
    pub(crate) fn segments_of(&self, document: &Recipient, id: MessageId) -> Option<u8> {
        if let Some((verification, attempt)) = document.attempt(id) {
            let directory = self.directory();
            let service = directory.service(&document.scope.service)?;
            let code = self.inner.keyring.code(verification)?;
            let text = self.text_of(verification, attempt, service, &code)?;
            return Some(segments(&text).1);
        }
        document.message(id).map(|plain| plain.segments)
    }

    /// The call, and what the message costs where the answer that took it says so.
    async fn call(&self, sender: &Arc<Sender>, message: Message) -> (SendOutcome, Option<Money>) {
        let started = self.now();
        let mut price = None;
        let outcome = match &sender.provider {
            Provider::Http(provider) => match self.inner.egress.send(provider.request(&message), sender.deadline_ms).await {
                Ok(response) => {
                    let outcome = provider.outcome(&response);
                    let is_taken = matches!(outcome, SendOutcome::Accepted { .. });
                    price = is_taken.then(|| provider.price(&response)).flatten();
                    outcome
                }
                Err(error @ EgressError::NotSent(_)) => {
                    tracing::warn!(provider.id = provider.manifest().id, sender.id = sender.id, error = %chain(&error), "a call could not be sent");
                    SendOutcome::Failed {
                        failure: Failure::new(
                            FailureClass::RetryHere {
                                after_ms: NOT_SENT_RETRY_MS,
                            },
                            NOT_SENT,
                            &chain(&error),
                        ),
                        provider_message_id: None,
                    }
                }
                Err(error) => {
                    tracing::warn!(provider.id = provider.manifest().id, sender.id = sender.id, error = %chain(&error), "a call went unanswered");
                    SendOutcome::Unclear {
                        detail: chain(&error).into(),
                    }
                }
            },
            Provider::Session(provider) => {
                let deadline = std::time::Duration::from_millis(sender.deadline_ms);
                match tokio::time::timeout(deadline, provider.send(message)).await {
                    Ok(outcome) => outcome,
                    Err(_) => SendOutcome::Unclear {
                        detail: "the session did not answer in time".into(),
                    },
                }
            }
        };
        metrics::histogram!("tapcode_provider_call_ms", "provider" => sender.provider.id())
            .record(millis_f64(self.now().millis_since(started)));
        (outcome, price)
    }

    /// Writes an outcome down and takes the receipts that came before it, trying again while the store is unavailable: for
    /// as long as those are kept, or, once the engine stops, as long as the claim does not count as unclear anyway. How many
    /// try is bounded by the calls that were under way when the store went: without it nothing new is claimed.
    async fn write_outcome(&self, key: RecipientKey, id: MessageId, sender: &str, outcome: SendOutcome, price: Option<Money>) {
        let (outcome, handle) = self.without_provider_name(sender, outcome);
        let handles: Vec<_> = handle
            .iter()
            .map(|digest| ProviderHandle {
                sender: sender.into(),
                provider_message_id: digest.as_str().into(),
                message: id,
            })
            .collect();
        let beside = Beside { handles, act: None };
        let began = self.now();
        let mut wait_ms = REWRITE_FIRST_MS;
        let mut written = false;
        loop {
            let input = |_: Option<&Recipient>, _: Timestamp| {
                Ok(Input::Outcome {
                    message: id,
                    outcome: outcome.clone(),
                    price,
                })
            };
            let mut done = Ok(());
            if !written {
                done = self.apply_with(key, None, beside.clone(), input).await.map(|_| ());
                written = done.is_ok();
            }
            if let (true, Some(digest)) = (written, &handle) {
                done = self.take_parked(key, id, sender, digest).await;
            }
            match done {
                Ok(()) => return,
                Err(error)
                    if self.now()
                        < began.plus_millis(if self.inner.stop.is_cancelled() {
                            CALL_ANSWER_MS
                        } else {
                            PARKED_MS
                        }) =>
                {
                    tracing::warn!(message.id = %id, error = %chain(&error), "an outcome could not be written yet");
                    self.inner.clock.sleep(wait_ms).await;
                    wait_ms = (wait_ms * 2).min(REWRITE_LAST_MS);
                }
                Err(error) if written => {
                    tracing::error!(message.id = %id, error = %chain(&error), "receipts that came early could not be read; a timer will");
                    return;
                }
                Err(error) => {
                    tracing::error!(message.id = %id, error = %chain(&error), "an outcome is lost; the message counts as unclear");
                    return;
                }
            }
        }
    }

    /// An outcome whose provider's message id is sealed, and the digest under which the store finds it.
    fn without_provider_name(&self, sender: &str, outcome: SendOutcome) -> (SendOutcome, Option<String>) {
        let keyring = &self.inner.keyring;
        let hide = |id: &str| {
            let id = cut(id, PROVIDER_MESSAGE_ID_MAX);
            (
                keyring.seal_provider_message_id(id, &*self.inner.entropy),
                keyring.provider_handle(sender, id),
            )
        };
        match outcome {
            SendOutcome::Accepted { provider_message_id } => {
                let (sealed, digest) = hide(&provider_message_id);
                (
                    SendOutcome::Accepted {
                        provider_message_id: sealed,
                    },
                    Some(digest),
                )
            }
            SendOutcome::Failed {
                failure,
                provider_message_id: Some(id),
            } => {
                let (sealed, digest) = hide(&id);
                (
                    SendOutcome::Failed {
                        failure,
                        provider_message_id: Some(sealed),
                    },
                    Some(digest),
                )
            }
            outcome @ (SendOutcome::Failed {
                provider_message_id: None,
                ..
            }
            | SendOutcome::Unclear { .. }) => (outcome, None),
        }
    }

    /// Receipts that came before our own record of the provider's id: applied now that the id leads somewhere.
    pub(crate) async fn take_parked(
        &self,
        key: RecipientKey,
        id: MessageId,
        sender: &str,
        digest: &str,
    ) -> Result<(), EngineError> {
        let mut parked = self.inner.store.parked(sender, digest).await?;
        arrivals_first(&mut parked, |told| &told.kind);
        for told in parked {
            self.apply_receipt(sender, key, id, told).await?;
        }
        Ok(())
    }
}

/// Whole minutes that the code of a message is good for, from when it was queued.
fn expires_minutes(verification: &Verification, attempt: &Attempt) -> Option<u32> {
    let ms = verification.expires_at.millis_since(attempt.delivery.queued_at);
    u32::try_from(ms.div_ceil(60_000)).ok()
}

/// How long a plain message is of use: providers that can should drop it afterwards. Milliseconds.
const PLAIN_USEFUL_MS: u64 = 600_000;

fn ours(code: &str, detail: &str) -> SendOutcome {
    SendOutcome::Failed {
        failure: Failure::new(FailureClass::OurMistake, code, detail),
        provider_message_id: None,
    }
}

/// An error with its causes, innermost last.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a duration in milliseconds is far below 2^52")]
pub(crate) const fn millis_f64(millis: u64) -> f64 {
    millis as f64
}
