//! How does the stand-in handle a request?

use super::account::{Account, no_such_object};
use super::judge::{Sketch, judge};
use super::receipts::{Batches, Message};
use super::refusal::Refusal;
use super::script::{Answer, Script};
use super::{CloudApiConfig, Counts, Fate, Question, ReceiptStep, SendRequest, WebhookDelivery};
use crate::listener::{AnswerBody, COUNTS_PATH, Desk, Reply, answer, counts_answer, is_of_type, read_body};
use crate::log::Log;
use crate::scripts::Scripts;
use crate::sending;
use crate::tally::Tally;
use crate::webhook_client::WebhookClient;
use crate::{Fault, clock};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, header};
use serde_json::Value;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) struct CloudDesk {
    pub(super) config: CloudApiConfig,
    pub(super) callback_url: RwLock<Option<String>>,
    access_token: RwLock<String>,
    pub(super) account: Account,
    pub(super) questions: Log<Question>,
    /// Where it listens, once it does.
    pub(super) listening: OnceLock<SocketAddr>,
    pub(super) scripts: Scripts<Script>,
    pub(super) requests: Log<SendRequest>,
    pub(super) webhooks: Log<WebhookDelivery>,
    pub(super) tally: Tally,
    pub(super) client: WebhookClient,
    pub(super) receipts: TaskTracker,
    pub(super) batches: Batches,
    pub(super) stop: CancellationToken,
    /// Makes the ids of two runs different.
    salt: u64,
    serial: AtomicU64,
}

impl CloudDesk {
    pub(super) fn new(config: CloudApiConfig) -> Self {
        Self {
            callback_url: RwLock::new(config.callback_url.clone()),
            access_token: RwLock::new(config.access_token.clone()),
            account: Account::new(&config.templates, config.review, config.subscribed),
            questions: Log::new(),
            listening: OnceLock::new(),
            batches: Batches::new(),
            config,
            scripts: Scripts::new(),
            requests: Log::new(),
            webhooks: Log::new(),
            tally: Tally::default(),
            client: WebhookClient::new(),
            receipts: TaskTracker::new(),
            stop: CancellationToken::new(),
            salt: RandomState::new().build_hasher().finish(),
            serial: AtomicU64::new(0),
        }
    }

    pub(super) fn config(&self) -> &CloudApiConfig {
        &self.config
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn set_callback_url(&self, url: String) {
        *self.callback_url.write().expect("no holder panics") = Some(url);
    }

    pub(super) fn set_access_token(&self, token: String) {
        *self.access_token.write().expect("no holder panics") = token;
    }

    pub(super) fn callback_url(&self) -> Option<String> {
        self.callback_url.read().expect("no holder panics").clone()
    }

    pub(super) fn access_token(&self) -> String {
        self.access_token.read().expect("no holder panics").clone()
    }

    /// `http://127.0.0.1:PORT`
    pub(super) fn address(&self) -> String {
        self.listening.get().map_or_else(String::new, |at| format!("http://{at}"))
    }

    pub(super) fn counts(&self) -> Counts {
        let tally = &self.tally;
        Counts {
            requests: tally.requests.get(),
            messages: tally.messages.get(),
            unread: tally.unread.get(),
            webhooks_taken: tally.taken.get(),
            webhooks_failed: tally.failed.get(),
        }
    }

    /// What is wrong with who asks, before anything else is looked at.
    pub(super) fn refuse_caller(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        self.refuse_other_token(request, &self.access_token())
    }

    pub(super) fn refuse_other_token(&self, request: &Request<Incoming>, token: &str) -> Result<(), Refusal> {
        let shown = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if shown != Some(token) {
            // The HTTP status is *unconfirmed*.
            return Err(Refusal::new(401, 190).text("Invalid OAuth access token - Cannot parse access token"));
        }
        Ok(())
    }

    async fn take_send(self: Arc<Self>, version: &str, id: &str, request: Request<Incoming>) -> Reply {
        let caller = self.refuse_caller(&request).and_then(|()| match id {
            id if id == self.config.phone_number_id => Ok(()),
            // A WhatsApp Business account is an object too, but sends no messages.
            id if id == self.config.waba_id => Err(unknown_path(request.uri().path())),
            id => Err(no_such_object(request.method(), id)),
        });
        let is_json = is_of_type(&request, "application/json");
        let Some(body) = read_body(request).await else {
            return Reply::Close;
        };
        // Meta reads other content types as forms, and finds no parameter in them.
        let json = if is_json {
            serde_json::from_slice(&body).unwrap_or(Value::Null)
        } else {
            Value::Null
        };
        let sketch = Sketch::of(&json);
        let judged = caller.and_then(|()| {
            judge(&json, &self.config.display_phone_number, |name, language| {
                self.account.template(name, language)
            })
        });
        if let Err(refusal) = judged {
            let fate = Fate::Invalid {
                code: refusal.code,
                reason: refusal.details.clone().or_else(|| refusal.text.clone()).unwrap_or_default(),
            };
            self.record(version, sketch, json, fate);
            return self.refuse(&refusal);
        }

        let to = sketch
            .to
            .clone()
            .expect("a request that was judged to be in order names its recipient");
        let script = self.scripts.take(&to);
        match &script.answer {
            Answer::Fault(Fault::CloseBeforeRead) => {
                self.tally.unread.add_one();
                Reply::Close
            }
            Answer::Error { http, code, subcode } => {
                let refusal = Refusal::new(*http, *code).subcode(*subcode);
                self.record(version, sketch, json, Fate::Refused { code: *code });
                clock::sleep(script.answer_delay).await;
                self.refuse(&refusal)
            }
            Answer::Accept => self.accept(version, sketch, json, &to, &script, "accepted", None).await,
            Answer::AcceptHeld => {
                self.accept(version, sketch, json, &to, &script, "held_for_quality_assessment", None)
                    .await
            }
            Answer::AcceptPaused => self.accept(version, sketch, json, &to, &script, "paused", None).await,
            Answer::Fault(fault) => {
                self.accept(version, sketch, json, &to, &script, "accepted", Some(*fault))
                    .await
            }
        }
    }

    /// A message comes to exist.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, and every argument is a different thing about the one message"
    )]
    async fn accept(
        self: &Arc<Self>,
        version: &str,
        sketch: Sketch,
        json: Value,
        to: &str,
        script: &Script,
        message_status: &str,
        fault: Option<Fault>,
    ) -> Reply {
        let wa_id = wa_id(to);
        let wamid = self.mint_wamid(&wa_id);
        let callback_data = sketch.callback_data.clone();
        let fate = match fault {
            None => Fate::Accepted { wamid: wamid.clone() },
            Some(fault) => Fate::Faulted {
                wamid: wamid.clone(),
                fault,
            },
        };
        // Only digits, base64 and known words are in it, so nothing needs escaping.
        let answer = format!(
            "{{\"messaging_product\":\"whatsapp\",\"contacts\":[{{\"input\":\"{to}\",\"wa_id\":\"{wa_id}\"}}],\
             \"messages\":[{{\"id\":\"{wamid}\",\"message_status\":\"{message_status}\"}}]}}"
        );
        let identity = self.account.identity(to);
        let shown = json.get("recipient_identity_key_hash").and_then(Value::as_str);
        let receipts = if shown.is_some_and(|shown| identity.as_deref() != Some(shown)) {
            // Somebody else may hold the number: it is not delivered, whatever the script.
            vec![ReceiptStep::failed(137_000)]
        } else if script.receipts.is_empty() {
            Vec::new()
        } else {
            // What could not be delivered within the template's time is dropped in silence.
            let named = |name: &Option<String>| name.clone().unwrap_or_default();
            let ttl = self.account.ttl(&named(&sketch.template), &named(&sketch.language));
            let mut receipts = script.receipts.clone();
            receipts.retain(|step| !step.arrives() || step.after <= ttl);
            receipts
        };
        self.record(version, sketch, json, fate);

        let mut unanswered = None;
        if !receipts.is_empty() {
            let message = Message {
                wamid,
                wa_id,
                callback_data,
                identity,
            };
            let desk = Arc::clone(self);
            let send = |answer| desk.send_receipts(message, receipts, answer);
            unanswered = Some(sending::start(&self.receipts, &self.stop, send).await);
        }

        clock::sleep(script.answer_delay).await;
        sending::reply(fault, 200, JSON, answer.into(), unanswered).await
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Reply {
        let trace = format!("A{:022x}", self.next_serial());
        json_answer(refusal.http, refusal.to_json(&trace).into())
    }

    fn record(&self, version: &str, sketch: Sketch, json: Value, fate: Fate) {
        self.tally.requests.add_one();
        if matches!(fate, Fate::Accepted { .. } | Fate::Faulted { .. }) {
            self.tally.messages.add_one();
        }
        if !self.config.log {
            return;
        }
        self.requests.push(|index| SendRequest {
            index,
            at: clock::wall(),
            api_version: version.to_owned(),
            to: sketch.to,
            code: sketch.code,
            template: sketch.template,
            language: sketch.language,
            biz_opaque_callback_data: sketch.callback_data,
            json,
            fate,
        });
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// An id of the shape that Meta's example decodes to: it contains the recipient's number, readable by anybody.
    pub(super) fn mint_wamid(&self, wa_id: &str) -> String {
        let unique = format!("{:010X}{:08X}", self.salt & 0xff_ffff_ffff, self.next_serial() & 0xffff_ffff);
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(b"\x1c\x18");
        bytes.push(u8::try_from(wa_id.len()).expect("a number has at most 17 digits"));
        bytes.extend_from_slice(wa_id.as_bytes());
        bytes.extend_from_slice(b"\x15\x02\x00\x11\x18\x12");
        bytes.extend_from_slice(unique.as_bytes());
        bytes.push(0);
        format!("wamid.{}", STANDARD.encode(bytes))
    }
}

/// A body of JSON as Meta labels it; the spelling is *unconfirmed*.
const JSON: &str = "application/json; charset=UTF-8";

pub(super) fn json_answer(http: u16, body: Bytes) -> Reply {
    answer(http, JSON, AnswerBody::whole(body))
}

pub(super) fn unknown_path(path: &str) -> Refusal {
    // The code and the words are *unconfirmed*.
    Refusal::new(400, 2500).text(format!("Unknown path components: {path}"))
}

/// The number as WhatsApp spells it, which for some countries has other digits than were asked for.
///
/// Brazil and Mexico: <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/phone-numbers>
/// (read 2026-11-22). Which digit goes or comes, and Argentina's, is *unconfirmed*; that they differ is the point.
pub(super) fn wa_id(to: &str) -> String {
    let digits = to.trim_start_matches('+');
    let (country, national) = digits.split_at(digits.len().min(2));
    match (country, national.len()) {
        ("55", 11) if national[2..].starts_with('9') => {
            format!("55{}{}", &national[..2], &national[3..])
        }
        ("52", 10) => format!("521{national}"),
        ("54", 10) => format!("549{national}"),
        _ => digits.to_owned(),
    }
}

/// `/v25.0/…`: the version, and what is behind it.
fn parse_path(path: &str) -> Option<(&str, &str)> {
    let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
    let number = version.strip_prefix('v')?.strip_suffix(".0")?;
    let is_version = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_version.then_some((version, rest))
}

impl Desk for CloudDesk {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        match parse_path(&path) {
            Some((version, rest)) => match rest.split_once('/') {
                Some((id, "messages")) if request.method() == Method::POST => self.take_send(version, id, request).await,
                _ => self.take_question(rest, request).await,
            },
            None if path == COUNTS_PATH => counts_answer(&self.counts()),
            None => self.refuse(&unknown_path(&path)),
        }
    }
}
