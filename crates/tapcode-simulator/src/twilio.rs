//! What does Twilio do with a message? A stand-in for `api.twilio.com`, its Messages API only.
//!
//! Fields, statuses and the shape of errors: twilio-oai `api_v2010` 2.6.7,
//! <https://github.com/twilio/twilio-oai/blob/main/spec/json/twilio_api_v2010.json> (read 2026-11-22).

mod callback;
mod desk;
mod judge;
mod script;
mod segments;

pub use script::{Answer, ReceiptStep, Script, Status};

use crate::listener::Listener;
use crate::{CallbackAnswer, Fault, clock};
use desk::TwilioDesk;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The account whose API is played.
#[derive(Clone)]
pub struct TwilioConfig {
    /// Where to listen. Port 0 is any free port.
    pub listen: SocketAddr,
    /// The account: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// The account's token: the password of a send, and always the key of the callbacks' signatures.
    pub auth_token: String,
    /// An API key and its secret, which a caller may use instead of the account and its token.
    pub api_key: Option<(String, String)>,
    /// The senders the account has. Empty: any sender of a proper form.
    pub senders: Vec<String>,
    /// Where callbacks really go, when the address that callers give is a public one that leads nowhere here.
    pub reach: Option<Reach>,
    /// Whether a port in the callback's address is left out of what is signed.
    /// Validators are advised to try both: <https://github.com/twilio/twilio-python/blob/main/twilio/request_validator.py> (read 2026-11-22)
    pub sign_without_port: bool,
    /// Whether requests and callbacks are remembered. Without it only [`Twilio::counts`] knows of them, and nothing grows.
    pub log: bool,
}

impl Default for TwilioConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            account_sid: "AC0123456789abcdef0123456789abcdef".to_owned(),
            auth_token: "stand-in-auth-token".to_owned(),
            api_key: None,
            senders: Vec::new(),
            reach: None,
            sign_without_port: false,
            log: true,
        }
    }
}

/// The way past a proxy: what begins with `public` is signed as it is and sent to `actual` instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Such as `https://otp.example.com`.
    pub public: String,
    /// Such as `http://127.0.0.1:8080`.
    pub actual: String,
}

/// A send that was read.
#[derive(Clone)]
pub struct SendRequest {
    /// Its place among all requests that were read, from 0.
    pub index: usize,
    /// When it was read.
    pub at: SystemTime,
    /// `To`
    pub to: Option<String>,
    /// `From`
    pub from: Option<String>,
    /// `MessagingServiceSid`
    pub messaging_service_sid: Option<String>,
    /// `Body`
    pub body: Option<String>,
    /// `StatusCallback`
    pub status_callback: Option<String>,
    /// `ValidityPeriod`, in seconds, as it was written.
    pub validity_period: Option<String>,
    /// All parameters, in their order.
    pub parameters: Vec<(String, String)>,
    /// What came of it.
    pub fate: Fate,
}

/// What came of a send that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A message exists, and its sender was told.
    Accepted {
        /// The message's id, `SM…`.
        sid: String,
    },
    /// A message exists (the receipts of the script follow), but its sender was not told.
    Faulted {
        /// The message's id, `SM…`.
        sid: String,
        /// How the answer was spoiled.
        fault: Fault,
    },
    /// The request was in order, and the script refused it.
    Refused {
        /// `code`
        code: u32,
    },
    /// The request was not in order.
    Invalid {
        /// `code`
        code: u32,
        /// `message`
        reason: String,
    },
}

impl SendRequest {
    /// The message's id, if a message came to exist.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        match &self.fate {
            Fate::Accepted { sid } | Fate::Faulted { sid, .. } => Some(sid),
            Fate::Refused { .. } | Fate::Invalid { .. } => None,
        }
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SendRequest")
            .field("index", &self.index)
            .field("to", &self.to.as_deref().map(crate::log::masked))
            .field("from", &self.from)
            .field("status_callback", &self.status_callback)
            .field("validity_period", &self.validity_period)
            .field("fate", &self.fate)
            .finish_non_exhaustive()
    }
}

/// A status callback that was sent and answered.
#[derive(Clone)]
pub struct CallbackDelivery {
    /// When the answer was there.
    pub at: SystemTime,
    /// The address that was signed.
    pub url: String,
    /// The parameters that were sent.
    pub parameters: Vec<(String, String)>,
    /// The signature header's value.
    pub signature: Option<String>,
    /// What was answered.
    pub answer: CallbackAnswer,
}

impl fmt::Debug for CallbackDelivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.parameters.iter().find(|(name, _)| name == "MessageStatus");
        formatter
            .debug_struct("CallbackDelivery")
            .field("status", &status.map(|(_, status)| status))
            .field("signed", &self.signature.is_some())
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
    /// Callbacks answered 2xx.
    pub callbacks_taken: u64,
    /// Callbacks answered otherwise, or not at all.
    pub callbacks_failed: u64,
}

/// The running stand-in. It stops when dropped.
pub struct Twilio {
    listener: Listener<TwilioDesk>,
    desk: Arc<TwilioDesk>,
}

impl Twilio {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(config: TwilioConfig) -> io::Result<Self> {
        let listen = config.listen;
        let desk = Arc::new(TwilioDesk::new(config));
        let listener = Listener::open(listen, Arc::clone(&desk)).await?;
        Ok(Self { listener, desk })
    }

    /// What takes the place of `https://api.twilio.com`: `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &TwilioConfig {
        self.desk.config()
    }

    /// The script for numbers that have none of their own. At first: [`Script::silent`].
    pub fn default_script(&self, script: Script) {
        self.desk.scripts.set_default(script);
    }

    /// Makes the script of every number (`+` and digits) that has none of its own. Used instead of [`Twilio::default_script`]'s.
    pub fn script_by(&self, rule: impl Fn(&str) -> Script + Send + Sync + 'static) {
        self.desk.scripts.set_rule(rule);
    }

    /// The script for one number (`+` and digits), until it is changed.
    pub fn script(&self, number: &str, script: Script) {
        self.desk.scripts.set(number, script);
    }

    /// The script for the next message to one number; several queue up. Used before [`Twilio::script`]'s.
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

    /// The sends of which a message came to exist, told or not: what may reach a phone, and what Twilio bills.
    #[must_use]
    pub fn messages(&self) -> Vec<SendRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.sid().is_some());
        requests
    }

    /// [`Twilio::messages`] to one number.
    #[must_use]
    pub fn messages_to(&self, number: &str) -> Vec<SendRequest> {
        let mut messages = self.messages();
        messages.retain(|message| message.to.as_deref() == Some(number));
        messages
    }

    /// All callbacks that were sent and answered.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackDelivery> {
        self.desk.callbacks.entries()
    }

    /// How often things happened. Known also when nothing is logged.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.desk.counts()
    }

    /// Forgets all requests and callbacks so far.
    pub fn forget(&self) {
        self.desk.requests.clear();
        self.desk.callbacks.clear();
    }

    /// Returns [`Twilio::messages`] as soon as there are `count` of them.
    ///
    /// # Panics
    /// After `limit`, at the caller's line.
    #[track_caller]
    pub fn wait_for_messages(&self, count: usize, limit: Duration) -> impl Future<Output = Vec<SendRequest>> + Send + '_ {
        let waiting = self
            .desk
            .requests
            .wait_for(format!("{count} messages"), limit, move |requests| {
                requests.iter().filter(|request| request.sid().is_some()).count() >= count
            });
        async move {
            let mut requests = waiting.await;
            requests.retain(|request| request.sid().is_some());
            requests
        }
    }

    /// Returns [`Twilio::requests`] as soon as `enough` holds for them.
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

    /// Returns [`Twilio::callbacks`] as soon as `count` were answered.
    ///
    /// # Panics
    /// After `limit`, at the caller's line.
    #[track_caller]
    pub fn wait_for_callbacks(&self, count: usize, limit: Duration) -> impl Future<Output = Vec<CallbackDelivery>> + Send + '_ {
        self.desk
            .callbacks
            .wait_for(format!("{count} callbacks"), limit, move |callbacks| callbacks.len() >= count)
    }

    /// Sends one receipt for a message now, whatever its script, and returns the answer (the last one, if `times` is more than 1).
    /// `after` and `early` have no meaning here. Without a `StatusCallback` in the send there is no address.
    ///
    /// # Panics
    /// When the request did not become a message.
    pub async fn send_receipt(&self, message: &SendRequest, step: &ReceiptStep) -> CallbackAnswer {
        let message = desk::Message::of(message).expect("only a message has receipts");
        self.desk.send_step(&message, step).await
    }

    /// Sends any form to an address, once.
    pub async fn send_form(&self, url: &str, parameters: &[(String, String)], signing: &crate::Signing) -> CallbackAnswer {
        self.desk.deliver(url, parameters.to_vec(), signing).await
    }

    /// The value of `X-Twilio-Signature` for a form sent to `url`.
    #[must_use]
    pub fn sign(&self, url: &str, parameters: &[(String, String)]) -> String {
        callback::sign(&self.config().auth_token, url, parameters)
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

impl Drop for Twilio {
    fn drop(&mut self) {
        self.desk.stop();
    }
}

/// Now, as Twilio writes the times of its resources: RFC 2822 in UTC.
fn rfc2822_now() -> String {
    let now = jiff::Timestamp::try_from(clock::wall()).expect("the machine's clock is in jiff's range");
    jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).expect("the year has four digits")
}
