//! What must a provider say? How to ask for a message, what an answer means, and what a hook tells: facts and pure
//! functions. The one HTTP client lives in the engine's `egress`; nothing here does IO.
//!
//! The suite in `tapcode-providers` holds for every provider: any bytes with any status give an outcome without a
//! panic; what an answer does not say clearly is [`SendOutcome::Unclear`], never accepted; a tampered, unsigned or
//! foreign hook is refused and a repeated receipt is the same fact; no `Debug` shows a secret, a number or a code.

use std::fmt;

use crate::contract::account::AccountApi;
use crate::rates::Category;
use async_trait::async_trait;
use tapcode_core::account::News;
use tapcode_core::code::Code;
use tapcode_core::delivery::{ReceiptKind, SendOutcome};
use tapcode_core::id::MessageId;
use tapcode_core::money::Money;
use tapcode_core::number::{Country, Number};
use tapcode_core::plan::Channel;
use tapcode_core::recipient::RecipientKey;
use tapcode_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Largest answer of a provider that is read, in bytes; a larger one is unclear.
pub const ANSWER_MAX: usize = 256 * 1024;

/// Where a fact about the outside world was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its address.
    pub url: &'static str,
    /// The day it was read, `YYYY-MM-DD`.
    pub read: &'static str,
}

/// What a provider is and can do.
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    /// Its name in the configuration.
    pub id: &'static str,
    /// Channels it speaks on.
    pub channels: &'static [Channel],
    /// Whether delivery receipts come by hook.
    pub receipts: bool,
    /// Whether they may come by `GET`, with what they tell in the address. Elsewhere a `GET` is a handshake.
    pub receipts_by_get: bool,
    /// Where its facts were read.
    pub sources: &'static [Source],
}

/// Our name for a message towards providers: they give it back with receipts, and it leads to the document without any look-up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The document.
    pub key: RecipientKey,
    /// The message in it.
    pub message: MessageId,
}

impl Reference {
    /// Reads what [`fmt::Display`] wrote: a message id, a full stop and 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (message, key) = text.split_once('.')?;
        let message = MessageId::parse(message).ok()?;
        if key.len() != 32 || !key.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let key = u128::from_str_radix(key, 16).ok()?.to_be_bytes();
        Some(Self {
            key: RecipientKey(key),
            message,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:032x}", self.message, u128::from_be_bytes(self.key.0))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

/// One message to send. `Debug` shows its reference and nothing of its content.
pub struct Message {
    /// Our name for it.
    pub reference: Reference,
    /// To whom.
    pub to: Number,
    /// What.
    pub content: Content,
    /// How long it is of use from now on, in milliseconds: providers that can should drop it afterwards.
    pub useful_ms: u64,
    /// The identity that the recipient had on this channel when they were last verified: a provider that can check it
    /// does not deliver to another one.
    pub identity: Option<Box<str>>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// What a message says.
pub enum Content {
    /// The code of a verification. A WhatsApp provider puts the code in its account's template; an SMS provider sends the text.
    Code {
        /// The code.
        code: Code,
        /// The whole text message, code included.
        text: String,
        /// The language asked for, BCP 47.
        locale: Box<str>,
        /// The language of the template, as the provider writes it, where one was chosen.
        language: Option<Box<str>>,
        /// Whole minutes until the code expires, at least 1.
        expires_minutes: u32,
        /// Who it is from.
        brand: Box<str>,
    },
    /// A caller's own WhatsApp template message.
    Template {
        /// Its name.
        name: String,
        /// Its language, as Meta writes it (`en`, `pt_BR`).
        language: String,
        /// Its components as JSON text, ready to be passed on.
        components: String,
    },
    /// A caller's own text message.
    Text(String),
}

/// A request to a provider's API. `Debug` shows the method and the host at most.
pub struct HttpRequest {
    /// `POST`, `GET`, …
    pub method: http::Method,
    /// The whole address.
    pub url: String,
    /// Headers, credentials among them.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A provider's answer, read whole. `Debug` shows the status.
pub struct HttpResponse {
    /// The status.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, at most [`ANSWER_MAX`] bytes.
    pub body: bytes::Bytes,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A provider calling us. `Debug` shows the method.
pub struct InboundHook {
    /// `GET` or `POST`.
    pub method: http::Method,
    /// The public address that was called, query included: `server.public_url` and the path, not what a proxy rewrote.
    pub url: String,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The raw bytes of the body: signatures are made over these.
    pub body: bytes::Bytes,
}

impl fmt::Debug for InboundHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundHook")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A delivery receipt, as told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Our reference, where the provider gave it back.
    pub reference: Option<Reference>,
    /// The provider's name for the message.
    pub provider_message_id: Box<str>,
    /// What it tells.
    pub kind: ReceiptKind,
    /// When it happened by the provider's clock.
    pub at: Option<Timestamp>,
    /// What the message is billed as, where the provider said so.
    pub billing: Option<Billing>,
    /// The identity of the recipient on this channel, as the provider names it; at most [`IDENTITY_MAX`] bytes.
    pub identity: Option<Box<str>>,
}

/// Longest identity that is taken, in bytes.
pub const IDENTITY_MAX: usize = 256;

/// What a message is billed as. WhatsApp tells a category and leaves the amount to its rate card; others tell the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    /// Nothing is charged.
    Free,
    /// The rate of this category, for the recipient's market.
    Category(Category),
    /// This.
    Amount(Money),
    /// Something that we have no rates for.
    Unknown,
}

/// What a hook told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Facts about messages.
    pub receipts: Vec<Receipt>,
    /// News about the account.
    pub news: Vec<News>,
}

impl From<Receipt> for Heard {
    /// One receipt, and nothing else.
    fn from(receipt: Receipt) -> Self {
        Self {
            receipts: vec![receipt],
            news: Vec::new(),
        }
    }
}

/// Why a hook is refused. It changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// No signature, or not the right one.
    #[error("the signature is missing or wrong")]
    Signature,
    /// Signed, but about somebody else's account or number.
    #[error("this is about another account")]
    Foreign,
    /// Signed, and not what the provider's documentation says it sends.
    #[error("the body is not what this provider sends")]
    Malformed,
    /// The handshake's token is wrong, or there is no handshake.
    #[error("the handshake is refused")]
    Handshake,
}

/// A provider that is spoken to by HTTP requests: one configured account or number of it.
pub trait HttpProvider: Send + Sync + fmt::Debug + 'static {
    /// What it is.
    fn manifest(&self) -> &'static Manifest;

    /// The request that sends a message. Pure.
    fn request(&self, message: &Message) -> HttpRequest;

    /// What an answer means. Pure and total: what it does not know is unclear.
    fn outcome(&self, response: &HttpResponse) -> SendOutcome;

    /// What a message costs, where the answer that took it says so exactly. Pure. Asked only after [`Self::outcome`] has found
    /// that the message was taken.
    fn price(&self, _response: &HttpResponse) -> Option<Money> {
        None
    }

    /// What a hook tells, after its signature was found right over the raw bytes. `sender` is the sender's id in our
    /// configuration. Pure.
    ///
    /// # Errors
    /// [`HookError`]; then nothing of the hook is used.
    fn heard(&self, hook: &InboundHook, sender: u32) -> Result<Heard, HookError>;

    /// Management of the account, for providers that have it.
    fn account_api(&self) -> Option<&dyn AccountApi> {
        None
    }

    /// Whether the provider serves a country at all.
    fn serves(&self, _country: Country) -> bool {
        true
    }

    /// How far apart two messages to one number have to be. Milliseconds.
    fn spacing_ms(&self) -> u64 {
        0
    }

    /// Messages a second that the provider takes from one sender unless it said otherwise; `None`: as many as there are.
    fn messages_per_second(&self) -> Option<u32> {
        None
    }

    /// The answer to a subscription handshake (a `GET` with a challenge), for providers that have one. Never asked where
    /// [`Manifest::receipts_by_get`] says that a `GET` is a receipt.
    ///
    /// # Errors
    /// [`HookError::Handshake`] for a wrong token, and for every provider without a handshake.
    fn handshake(&self, _hook: &InboundHook) -> Result<String, HookError> {
        Err(HookError::Handshake)
    }
}

/// A provider that is spoken to over a session of its own (SMPP, the sandbox).
#[async_trait]
pub trait SessionProvider: Send + Sync + fmt::Debug + 'static {
    /// What it is.
    fn manifest(&self) -> &'static Manifest;

    /// Sends a message; bounded in time by the caller.
    async fn send(&self, message: Message) -> SendOutcome;

    /// Keeps the session alive and hands on receipts until `stop`. Run once, by the engine.
    async fn run(&self, receipts: mpsc::Sender<Receipt>, stop: CancellationToken);
}
