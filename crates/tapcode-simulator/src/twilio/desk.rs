//! How does the stand-in handle a request, and when do its callbacks go out?

use super::callback;
use super::judge::{Form, Refusal, judge};
use super::script::{Answer, ReceiptStep, Script};
use super::{CallbackDelivery, Counts, Fate, SendRequest, TwilioConfig, rfc2822_now, segments};
use crate::listener::{AnswerBody, COUNTS_PATH, Desk, Reply, answer, counts_answer, is_of_type, read_body};
use crate::log::Log;
use crate::scripts::Scripts;
use crate::sending::{self, AnswerTime};
use crate::tally::Tally;
use crate::webhook_client::WebhookClient;
use crate::{CallbackAnswer, Fault, Signing, clock};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, header};
use serde_json::json;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How Twilio labels JSON.
const JSON: &str = "application/json; charset=utf-8";

pub(super) struct TwilioDesk {
    config: TwilioConfig,
    pub(super) scripts: Scripts<Script>,
    pub(super) requests: Log<SendRequest>,
    pub(super) callbacks: Log<CallbackDelivery>,
    tally: Tally,
    client: WebhookClient,
    receipts: TaskTracker,
    stop: CancellationToken,
    /// Makes the ids of two runs different.
    salt: u64,
    serial: AtomicU64,
}

/// A message that exists.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) sid: String,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) messaging_service_sid: Option<String>,
    pub(super) status_callback: Option<String>,
}

impl Message {
    pub(super) fn of(request: &SendRequest) -> Option<Self> {
        Some(Self {
            sid: request.sid()?.to_owned(),
            to: request.to.clone()?,
            from: request.from.clone().unwrap_or_default(),
            messaging_service_sid: request.messaging_service_sid.clone(),
            status_callback: request.status_callback.clone(),
        })
    }
}

impl TwilioDesk {
    pub(super) fn new(config: TwilioConfig) -> Self {
        Self {
            config,
            scripts: Scripts::new(),
            requests: Log::new(),
            callbacks: Log::new(),
            tally: Tally::default(),
            client: WebhookClient::new(),
            receipts: TaskTracker::new(),
            stop: CancellationToken::new(),
            salt: RandomState::new().build_hasher().finish(),
            serial: AtomicU64::new(0),
        }
    }

    pub(super) fn config(&self) -> &TwilioConfig {
        &self.config
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn counts(&self) -> Counts {
        let tally = &self.tally;
        Counts {
            requests: tally.requests.get(),
            messages: tally.messages.get(),
            unread: tally.unread.get(),
            callbacks_taken: tally.taken.get(),
            callbacks_failed: tally.failed.get(),
        }
    }

    /// The HTTP status and the codes are *unconfirmed*.
    fn refuse_caller(&self, request: &Request<Incoming>, account: &str) -> Result<(), Refusal> {
        let shown = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .unwrap_or_default();
        let is = |user: &str, password: &str| shown == format!("{user}:{password}").as_bytes();
        let config = &self.config;
        let known =
            is(&config.account_sid, &config.auth_token) || config.api_key.as_ref().is_some_and(|(key, secret)| is(key, secret));
        if !known {
            return Err(Refusal::new(401, 20_003, "Authenticate"));
        }
        if account != config.account_sid {
            return Err(not_found(request.uri().path()));
        }
        Ok(())
    }

    async fn take_send(self: Arc<Self>, account: &str, request: Request<Incoming>) -> Reply {
        let caller = self.refuse_caller(&request, account);
        let is_form = is_of_type(&request, "application/x-www-form-urlencoded");
        let Some(body) = read_body(request).await else {
            return Reply::Close;
        };
        // Of another content type no parameter is read.
        let form = if is_form { Form::parse(&body) } else { Form(Vec::new()) };
        if let Err(refusal) = caller.and_then(|()| judge(&form, &self.config.senders)) {
            let fate = Fate::Invalid {
                code: refusal.code,
                reason: refusal.message.clone(),
            };
            self.record(form, fate);
            return refuse(&refusal);
        }

        let to = form
            .value("To")
            .expect("a request that was judged to be in order names its recipient")
            .to_owned();
        let script = self.scripts.take(&to);
        match &script.answer {
            Answer::Fault(Fault::CloseBeforeRead) => {
                self.tally.unread.add_one();
                Reply::Close
            }
            Answer::Error { http, code } => {
                self.record(form, Fate::Refused { code: *code });
                clock::sleep(script.answer_delay).await;
                refuse(&Refusal::new(*http, *code, message_of(*code)))
            }
            Answer::Accept => self.accept(form, to, &script, None).await,
            Answer::Fault(fault) => self.accept(form, to, &script, Some(*fault)).await,
        }
    }

    /// A message comes to exist.
    async fn accept(self: &Arc<Self>, form: Form, to: String, script: &Arc<Script>, fault: Option<Fault>) -> Reply {
        let sid = format!("SM{:016x}{:016x}", self.salt, self.serial.fetch_add(1, Ordering::Relaxed));
        let value = |name| form.value(name).map(str::to_owned);
        let message = Message {
            sid: sid.clone(),
            to,
            from: value("From").unwrap_or_default(),
            messaging_service_sid: value("MessagingServiceSid"),
            status_callback: value("StatusCallback"),
        };
        let answer: Bytes = self.resource(&message, form.value("Body").unwrap_or_default()).into();
        let fate = match fault {
            None => Fate::Accepted { sid },
            Some(fault) => Fate::Faulted { sid, fault },
        };
        self.record(form, fate);

        let mut unanswered = None;
        if !script.receipts.is_empty() {
            let (desk, script) = (Arc::clone(self), Arc::clone(script));
            let send = |answer| desk.send_receipts(message, script, answer);
            unanswered = Some(sending::start(&self.receipts, &self.stop, send).await);
        }

        clock::sleep(script.answer_delay).await;
        sending::reply(fault, 201, JSON, answer, unanswered).await
    }

    /// The message as Twilio shows it right after the send.
    fn resource(&self, message: &Message, body: &str) -> String {
        let account = &self.config.account_sid;
        let now = rfc2822_now();
        let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}", message.sid);
        let by_service = message.messaging_service_sid.is_some();
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": body,
            "date_created": now,
            "date_sent": null,
            "date_updated": now,
            "direction": "outbound-api",
            "error_code": null,
            "error_message": null,
            "from": if message.from.is_empty() { None } else { Some(&message.from) },
            "messaging_service_sid": message.messaging_service_sid,
            "num_media": "0",
            // A messaging service has not yet chosen the sender, nor counted.
            "num_segments": if by_service { "0".to_owned() } else { segments::count(body).to_string() },
            "price": null,
            "price_unit": if by_service { None } else { Some("USD") },
            "sid": message.sid,
            "status": if by_service { "accepted" } else { "queued" },
            "subresource_uris": { "media": format!("{uri}/Media.json") },
            "to": message.to,
            "uri": format!("{uri}.json"),
        })
        .to_string()
    }

    fn record(&self, form: Form, fate: Fate) {
        self.tally.requests.add_one();
        if matches!(fate, Fate::Accepted { .. } | Fate::Faulted { .. }) {
            self.tally.messages.add_one();
        }
        if !self.config.log {
            return;
        }
        let value = |name| form.value(name).map(str::to_owned);
        let (to, from, body) = (value("To"), value("From"), value("Body"));
        let messaging_service_sid = value("MessagingServiceSid");
        let (status_callback, validity_period) = (value("StatusCallback"), value("ValidityPeriod"));
        self.requests.push(|index| SendRequest {
            index,
            at: clock::wall(),
            to,
            from,
            messaging_service_sid,
            body,
            status_callback,
            validity_period,
            parameters: form.0,
            fate,
        });
    }

    /// Sends all callbacks of a script: the early ones, and after the answer or the break the others.
    async fn send_receipts(self: Arc<Self>, message: Message, script: Arc<Script>, answer: AnswerTime) {
        let (early, late): (Vec<_>, Vec<_>) = script.receipts.iter().partition(|step| step.early);
        self.send_steps(&message, early).await;
        answer.pass().await;
        self.send_steps(&message, late).await;
    }

    async fn send_steps(&self, message: &Message, mut steps: Vec<&ReceiptStep>) {
        let start = clock::instant();
        steps.sort_by_key(|step| step.after);
        for step in steps {
            clock::sleep_until(start + step.after).await;
            self.send_step(message, step).await;
        }
    }

    /// Sends one callback as often as the step says. That nothing is sent again after a failure is Twilio's default (*unconfirmed*).
    pub(super) async fn send_step(&self, message: &Message, step: &ReceiptStep) -> CallbackAnswer {
        let parameters = callback::parameters(&self.config.account_sid, message, step);
        let mut answer = CallbackAnswer::NoAddress;
        if let Some(url) = &message.status_callback {
            for _ in 0..step.times.max(1) {
                answer = self.deliver(url, parameters.clone(), &step.signing).await;
            }
        }
        answer
    }

    pub(super) async fn deliver(&self, url: &str, parameters: Vec<(String, String)>, signing: &Signing) -> CallbackAnswer {
        let signed_url = if self.config.sign_without_port {
            callback::without_port(url)
        } else {
            url.to_owned()
        };
        let signature = callback::signature(&self.config.auth_token, &signed_url, &parameters, signing);
        let target = match &self.config.reach {
            Some(reach) => match url.strip_prefix(&reach.public) {
                Some(rest) => format!("{}{rest}", reach.actual),
                None => url.to_owned(),
            },
            None => url.to_owned(),
        };
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&parameters)
            .finish();
        let header = signature.as_deref().map(|value| (callback::SIGNATURE_HEADER, value));
        let answer = self
            .client
            .post(
                &target,
                "application/x-www-form-urlencoded; charset=utf-8",
                header,
                body.into(),
            )
            .await;
        self.tally.called_back(&answer);
        if self.config.log {
            self.callbacks.push(|_| CallbackDelivery {
                at: clock::wall(),
                url: signed_url,
                parameters,
                signature,
                answer: answer.clone(),
            });
        }
        answer
    }
}

impl Desk for TwilioDesk {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let account = path
            .strip_prefix("/2010-04-01/Accounts/")
            .and_then(|rest| rest.strip_suffix("/Messages.json"));
        match (request.method(), account) {
            (&Method::POST, Some(account)) => self.take_send(account, request).await,
            (&Method::GET, None) if path == COUNTS_PATH => counts_answer(&self.counts()),
            _ => refuse(&not_found(&path)),
        }
    }
}

fn not_found(path: &str) -> Refusal {
    Refusal::new(404, 20_404, format!("The requested resource {path} was not found"))
}

fn refuse(refusal: &Refusal) -> Reply {
    answer(refusal.http, JSON, AnswerBody::whole(refusal.to_json().into()))
}

/// Texts are *unconfirmed* and not to be relied on.
fn message_of(code: u32) -> &'static str {
    match code {
        20_003 => "Authenticate",
        20_429 => "Too Many Requests",
        21_211 => "Invalid 'To' Phone Number",
        21_408 => "Permission to send an SMS has not been enabled for the region",
        21_610 => "Attempt to send to unsubscribed recipient",
        21_614 => "'To' number is not a valid mobile number",
        21_635 => "'To' number cannot be a landline",
        _ => "The message could not be sent",
    }
}
