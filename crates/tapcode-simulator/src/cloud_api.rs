//! What does Meta's WhatsApp Cloud API do with a message? A stand-in for `graph.facebook.com`.
//!
//! ```no_run
//! # async fn story() -> std::io::Result<()> {
//! use std::time::Duration;
//! use tapcode_simulator::cloud_api::{CloudApi, CloudApiConfig, Script};
//!
//! let meta = CloudApi::start(CloudApiConfig::default()).await?;
//! meta.script("+31612345678", Script::not_on_whatsapp());
//! // … point the server at `meta.base_url()` and begin a verification …
//! let sends = meta.wait_for_messages(1, Duration::from_secs(5)).await;
//! assert_eq!(sends[0].template.as_deref(), Some("login_otp"));
//! # Ok(())
//! # }
//! ```

mod account;
mod desk;
mod judge;
mod receipts;
mod refusal;
mod script;
mod templates;
mod webhook;

pub use script::{Answer, ReceiptStep, Script, Status};
pub use webhook::StatusUpdate;

use crate::listener::Listener;
use crate::{CallbackAnswer, Fault, Signing, clock};
use bytes::Bytes;
use desk::CloudDesk;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The business whose Cloud API is played.
#[derive(Clone)]
pub struct CloudApiConfig {
    /// Where to listen. Port 0 is any free port.
    pub listen: SocketAddr,
    /// The id of the sending number, in the address of the send.
    pub phone_number_id: String,
    /// The sending number itself, digits only.
    pub display_phone_number: String,
    /// The id of the WhatsApp Business account, in the webhooks.
    pub waba_id: String,
    /// The token that a caller must show.
    pub access_token: String,
    /// The key that webhooks are signed with.
    pub app_secret: String,
    /// Where webhooks go. [`CloudApi::set_callback_url`] sets it later.
    pub callback_url: Option<String>,
    /// Approved templates: name and language. [`CloudApi::template`] changes them later.
    pub templates: Vec<(String, String)>,
    /// What becomes of templates that are submitted.
    pub review: Review,
    /// Whether the app is subscribed to the account from the start: no webhook is sent otherwise.
    pub subscribed: bool,
    /// Receipts that are due within this time of each other travel in one webhook, up to 1,000. `None`: each in its own.
    pub batching: Option<Duration>,
    /// How long after each failed delivery a properly signed webhook is sent again.
    ///
    /// Meta sends again at once and then ever more rarely for 7 days, until it is answered 200.
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview> (read 2026-11-22)
    pub redelivery: Vec<Duration>,
    /// Whether requests and webhooks are remembered. Without it only [`CloudApi::counts`] knows of them, and nothing grows.
    pub log: bool,
}

impl Default for CloudApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            phone_number_id: "106540352242922".to_owned(),
            display_phone_number: "15550783881".to_owned(),
            waba_id: "102290129340398".to_owned(),
            access_token: "EAAJB-stand-in-token".to_owned(),
            app_secret: "stand-in-app-secret".to_owned(),
            callback_url: None,
            templates: vec![
                ("login_otp".to_owned(), "en_US".to_owned()),
                ("login_otp".to_owned(), "nl".to_owned()),
            ],
            review: Review::Approves(Duration::ZERO),
            subscribed: true,
            batching: None,
            redelivery: [0, 100, 500, 2_000, 8_000].map(Duration::from_millis).to_vec(),
            log: true,
        }
    }
}

/// What becomes of a template that is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// It is approved after so long, and a webhook says so. At once: before the answer.
    Approves(Duration),
    /// It stays pending until [`CloudApi::decide`].
    Waits,
}

/// What Meta says of the sending number and what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// `quality_rating`: `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    pub quality: String,
    /// `throughput.level`: `STANDARD`, `HIGH` or `NOT_APPLICABLE`.
    pub throughput: String,
    /// `whatsapp_business_manager_messaging_limit`, such as `TIER_2K`.
    pub messaging_limit: String,
    /// `status`, such as `CONNECTED`.
    pub status: String,
    /// The entity whose health is `BLOCKED`, such as `BUSINESS`.
    pub blocked: Option<String>,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            quality: "GREEN".to_owned(),
            throughput: "STANDARD".to_owned(),
            messaging_limit: "TIER_UNLIMITED".to_owned(),
            status: "CONNECTED".to_owned(),
            blocked: None,
        }
    }
}

/// A question or an order about the account that was read: everything but a send.
#[derive(Clone)]
pub struct Question {
    /// When it was read.
    pub at: SystemTime,
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// Its path behind the version.
    pub path: String,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// Its body; `null` when there was none.
    pub json: Value,
}

impl fmt::Debug for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may carry a token.
        formatter
            .debug_struct("Question")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What Meta thinks of a template in one language.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates> (read 2026-11-22)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateState {
    /// Waiting for review: sends get 132001.
    Pending,
    /// Sends are taken.
    Approved,
    /// Refused at review: sends get 132001.
    Rejected,
    /// Paused for low quality: sends get 132015.
    Paused,
    /// Switched off for good: sends get 132016.
    Disabled,
}

/// A send that was read.
#[derive(Clone)]
pub struct SendRequest {
    /// Its place among all requests that were read, from 0.
    pub index: usize,
    /// When it was read.
    pub at: SystemTime,
    /// The version in its address, such as `v25.0`.
    pub api_version: String,
    /// `to`
    pub to: Option<String>,
    /// The code in the template's body.
    pub code: Option<String>,
    /// The template's name.
    pub template: Option<String>,
    /// The template's language.
    pub language: Option<String>,
    /// `biz_opaque_callback_data`
    pub biz_opaque_callback_data: Option<String>,
    /// All of it; `null` when it was not JSON.
    pub json: Value,
    /// What came of it.
    pub fate: Fate,
}

/// What came of a send that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A message exists, and its sender was told.
    Accepted {
        /// The message's id.
        wamid: String,
    },
    /// A message exists (the receipts of the script follow), but its sender was not told.
    Faulted {
        /// The message's id.
        wamid: String,
        /// How the answer was spoiled.
        fault: Fault,
    },
    /// The request was in order, and the script refused it.
    Refused {
        /// `error.code`
        code: u32,
    },
    /// The request was not in order.
    Invalid {
        /// `error.code`
        code: u32,
        /// What the sender was told.
        reason: String,
    },
}

impl SendRequest {
    /// The message's id, if a message came to exist.
    #[must_use]
    pub fn wamid(&self) -> Option<&str> {
        match &self.fate {
            Fate::Accepted { wamid } | Fate::Faulted { wamid, .. } => Some(wamid),
            Fate::Refused { .. } | Fate::Invalid { .. } => None,
        }
    }

    /// A status of this message, for [`CloudApi::send_statuses`]; `None` when there is no message.
    #[must_use]
    pub fn update(&self, status: Status) -> Option<StatusUpdate> {
        Some(StatusUpdate {
            wamid: self.wamid()?.to_owned(),
            wa_id: desk::wa_id(self.to.as_deref()?),
            status,
            biz_opaque_callback_data: self.biz_opaque_callback_data.clone(),
            identity: None,
            timestamp: clock::unix_seconds(),
        })
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match &self.fate {
            Fate::Accepted { .. } => "accepted".to_owned(),
            Fate::Faulted { fault, .. } => format!("faulted: {fault:?}"),
            Fate::Refused { code } => format!("refused: {code}"),
            Fate::Invalid { code, reason } => format!("invalid: {code}, {reason}"),
        };
        formatter
            .debug_struct("SendRequest")
            .field("index", &self.index)
            .field("to", &self.to.as_deref().map(crate::log::masked))
            .field("template", &self.template)
            .field("language", &self.language)
            .field("biz_opaque_callback_data", &self.biz_opaque_callback_data)
            .field("outcome", &outcome)
            .finish_non_exhaustive()
    }
}

/// A webhook that was sent and answered.
#[derive(Clone)]
pub struct WebhookDelivery {
    /// When the answer was there.
    pub at: SystemTime,
    /// The bytes.
    pub body: Bytes,
    /// The signature header's value.
    pub signature: Option<String>,
    /// 0 for the first delivery, then 1 and up for the same bytes after failures.
    pub redelivery: usize,
    /// What was answered.
    pub answer: CallbackAnswer,
}

impl fmt::Debug for WebhookDelivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebhookDelivery")
            .field("body_bytes", &self.body.len())
            .field("signed", &self.signature.is_some())
            .field("redelivery", &self.redelivery)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Sends that were read.
    pub requests: u64,
    /// Messages that came to exist.
    pub messages: u64,
    /// Sends that were cut unread by [`Fault::CloseBeforeRead`].
    pub unread: u64,
    /// Webhooks answered 2xx.
    pub webhooks_taken: u64,
    /// Webhooks answered otherwise, or not at all.
    pub webhooks_failed: u64,
}

/// Why [`CloudApi::subscribe`] failed.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The handshake was answered with another status than 200, or not at all.
    #[error("the handshake was answered {0:?}")]
    Answer(CallbackAnswer),
    /// The body of the answer was not the challenge.
    #[error("the answer to the handshake is not the challenge")]
    Challenge,
}

/// The running stand-in. It stops when dropped.
pub struct CloudApi {
    listener: Listener<CloudDesk>,
    desk: Arc<CloudDesk>,
}

impl CloudApi {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(config: CloudApiConfig) -> io::Result<Self> {
        let listen = config.listen;
        let desk = Arc::new(CloudDesk::new(config));
        let listener = Listener::open(listen, Arc::clone(&desk)).await?;
        desk.listening.set(listener.address()).expect("a stand-in is started once");
        Ok(Self { listener, desk })
    }

    /// What takes the place of `https://graph.facebook.com`: `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &CloudApiConfig {
        self.desk.config()
    }

    /// Where webhooks go from now on.
    pub fn set_callback_url(&self, url: impl Into<String>) {
        self.desk.set_callback_url(url.into());
    }

    /// Does the handshake that Meta does when a callback address is entered, and sends webhooks there if it succeeds.
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint> (read 2026-11-22)
    ///
    /// # Errors
    /// When the answer is not 200 with the bare challenge.
    pub async fn subscribe(&self, url: &str, verify_token: &str) -> Result<(), SubscribeError> {
        self.desk.shake_hands(url, verify_token).await?;
        self.desk.set_callback_url(url.to_owned());
        Ok(())
    }

    /// Changes the token that a caller must show: the old one expires.
    pub fn set_access_token(&self, token: impl Into<String>) {
        self.desk.set_access_token(token.into());
    }

    /// Sets what Meta thinks of a template in one language.
    pub fn template(&self, name: &str, language: &str, state: TemplateState) {
        self.desk.account.set_template(name, language, state);
    }

    /// Sets what Meta thinks of a template in one language, and tells it by webhook.
    pub async fn decide(&self, name: &str, language: &str, state: TemplateState) -> CallbackAnswer {
        self.desk.decide(name, language, state).await
    }

    /// Whether lists of templates leave everything out, as Meta's do with what was submitted a moment ago.
    pub fn hide_templates(&self, hide: bool) {
        self.desk.account.hide_templates(hide);
    }

    /// Changes what Meta says of the sending number.
    pub fn change_number(&self, change: impl FnOnce(&mut Number)) {
        self.desk.account.change_number(change);
    }

    /// Changes what the token may do.
    pub fn set_rights(&self, rights: &[&str]) {
        self.desk.account.set_scopes(rights);
    }

    /// Gives this answer to the next question whose path contains a text.
    pub fn answer_once(&self, path_part: &str, http: u16, body: &str) {
        self.desk.account.answer_once(path_part, http, body);
    }

    /// Holds back the answers to questions whose path contains a text, until what this returns is dropped. They say what was so
    /// when the question came.
    #[must_use]
    pub fn hold_answers(&self, path_part: &str) -> HeldAnswers {
        HeldAnswers(self.desk.account.hold(path_part))
    }

    /// Somebody else holds a number (`+` and digits) from now on, or its holder has a new phone.
    pub fn change_identity(&self, number: &str) {
        self.desk.account.change_identity(number);
    }

    /// Sends a webhook with one change of the account, such as `account_update`, until it is taken; returns the first answer.
    pub async fn send_change(&self, field: &str, value: Value) -> CallbackAnswer {
        self.desk.send_change(field, value).await
    }

    /// Somebody presses the button under a message that they did not ask for it.
    ///
    /// # Panics
    /// When the request did not become a message.
    pub async fn press_did_not_request(&self, message: &SendRequest) -> CallbackAnswer {
        self.desk.press(message).await
    }

    /// All questions and orders about the account that were read.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        self.desk.questions.entries()
    }

    /// Returns the questions as soon as `count` of this method have a path that contains a text.
    ///
    /// # Panics
    /// After `limit`, at the caller's line.
    #[track_caller]
    pub fn wait_for_questions<'a>(
        &'a self,
        method: &'a str,
        path_part: &'a str,
        count: usize,
        limit: Duration,
    ) -> impl Future<Output = Vec<Question>> + Send + 'a {
        let is = move |question: &Question| question.method == method && question.path.contains(path_part);
        let waiting = self
            .desk
            .questions
            .wait_for(format!("{count} times {method} {path_part}"), limit, move |questions| {
                questions.iter().filter(|question| is(question)).count() >= count
            });
        async move {
            let mut questions = waiting.await;
            questions.retain(is);
            questions
        }
    }

    /// The script for numbers that have none of their own. At first: [`Script::silent`].
    pub fn default_script(&self, script: Script) {
        self.desk.scripts.set_default(script);
    }

    /// Makes the script of every number (`+` and digits) that has none of its own. Used instead of [`CloudApi::default_script`]'s.
    pub fn script_by(&self, rule: impl Fn(&str) -> Script + Send + Sync + 'static) {
        self.desk.scripts.set_rule(rule);
    }

    /// The script for one number (`+` and digits), until it is changed.
    pub fn script(&self, number: &str, script: Script) {
        self.desk.scripts.set(number, script);
    }

    /// The script for the next message to one number; several queue up. Used before [`CloudApi::script`]'s.
    pub fn script_once(&self, number: &str, script: Script) {
        self.desk.scripts.push_once(number, script);
    }

    /// All sends that were read, also those that were refused.
    #[must_use]
    pub fn requests(&self) -> Vec<SendRequest> {
        self.desk.requests.entries()
    }

    /// Returns the sends from the `seen`th on as soon as there is one, and how many were seen with them.
    pub async fn requests_after(&self, seen: usize) -> (Vec<SendRequest>, usize) {
        self.desk.requests.after(seen).await
    }

    /// The sends of which a message came to exist, told or not: what may reach a phone, and what Meta may bill.
    #[must_use]
    pub fn messages(&self) -> Vec<SendRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.wamid().is_some());
        requests
    }

    /// [`CloudApi::messages`] to one number.
    #[must_use]
    pub fn messages_to(&self, number: &str) -> Vec<SendRequest> {
        let mut messages = self.messages();
        messages.retain(|message| message.to.as_deref() == Some(number));
        messages
    }

    /// All webhooks that were sent and answered.
    #[must_use]
    pub fn webhooks(&self) -> Vec<WebhookDelivery> {
        self.desk.webhooks.entries()
    }

    /// Returns the webhooks from the `seen`th on as soon as there is one, and how many were seen with them.
    pub async fn webhooks_after(&self, seen: usize) -> (Vec<WebhookDelivery>, usize) {
        self.desk.webhooks.after(seen).await
    }

    /// How often things happened. Known also when nothing is logged.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.desk.counts()
    }

    /// Forgets all requests and webhooks so far.
    pub fn forget(&self) {
        self.desk.requests.clear();
        self.desk.webhooks.clear();
    }

    /// Returns [`CloudApi::messages`] as soon as there are `count` of them.
    ///
    /// # Panics
    /// After `limit`, at the caller's line.
    #[track_caller]
    pub fn wait_for_messages(&self, count: usize, limit: Duration) -> impl Future<Output = Vec<SendRequest>> + Send + '_ {
        let waiting = self
            .desk
            .requests
            .wait_for(format!("{count} messages"), limit, move |requests| {
                requests.iter().filter(|request| request.wamid().is_some()).count() >= count
            });
        async move {
            let mut requests = waiting.await;
            requests.retain(|request| request.wamid().is_some());
            requests
        }
    }

    /// Returns [`CloudApi::requests`] as soon as `enough` holds for them.
    ///
    /// # Panics
    /// After `limit`, at the caller's line.
    #[track_caller]
    pub fn wait_for<'a>(
        &'a self,
        enough: impl Fn(&[SendRequest]) -> bool + Send + 'a,
        limit: Duration,
    ) -> impl Future<Output = Vec<SendRequest>> + Send + 'a {
        self.desk.requests.wait_for("the wanted requests", limit, enough)
    }

    /// Returns [`CloudApi::webhooks`] as soon as `count` were answered.
    ///
    /// # Panics
    /// After `limit`, at the caller's line.
    #[track_caller]
    pub fn wait_for_webhooks(&self, count: usize, limit: Duration) -> impl Future<Output = Vec<WebhookDelivery>> + Send + '_ {
        self.desk
            .webhooks
            .wait_for(format!("{count} webhooks"), limit, move |webhooks| webhooks.len() >= count)
    }

    /// Sends one receipt for a message now, whatever its script, and returns the answer (the last one, if `times` is more than 1).
    /// `after`, `early` and `with_previous` have no meaning here; nothing is sent again by itself.
    ///
    /// # Panics
    /// When the request did not become a message.
    pub async fn send_receipt(&self, message: &SendRequest, step: &ReceiptStep) -> CallbackAnswer {
        let update = message.update(step.status).expect("only a message has receipts");
        self.desk.send_receipt(update, step).await
    }

    /// Sends one properly signed webhook with all these statuses, once.
    pub async fn send_statuses(&self, updates: &[StatusUpdate]) -> CallbackAnswer {
        self.send_body(self.statuses_body(updates), &Signing::Proper).await
    }

    /// Sends any bytes, once.
    pub async fn send_body(&self, body: impl Into<Bytes>, signing: &Signing) -> CallbackAnswer {
        self.desk.send_once(body.into(), signing).await
    }

    /// The body of a webhook with all these statuses. Four or more are spread over several entries and changes.
    #[must_use]
    pub fn statuses_body(&self, updates: &[StatusUpdate]) -> Bytes {
        self.desk.body(updates, false)
    }

    /// The value of `X-Hub-Signature-256` for a body.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        webhook::sign(&self.config().app_secret, body)
    }

    /// Stops listening and ends all connections: from now on connecting is refused. Receipts that are due still go out.
    pub async fn go_down(&self) {
        self.listener.close().await;
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// When somebody else has taken the port.
    pub async fn come_back(&self) -> io::Result<()> {
        self.listener.reopen().await
    }

    /// While on, every connection is closed before anything is read from it.
    pub fn slam(&self, on: bool) {
        self.listener.slam(on);
    }
}

/// Answers that are held back; see [`CloudApi::hold_answers`].
#[derive(Debug)]
pub struct HeldAnswers(#[expect(dead_code, reason = "it is there to be dropped")] tokio::sync::watch::Sender<()>);

impl Drop for CloudApi {
    fn drop(&mut self) {
        self.desk.stop();
    }
}
