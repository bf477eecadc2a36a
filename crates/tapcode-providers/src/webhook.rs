//! How is an SMS sent over a gateway that nobody wrote a file for? By templates of the operator's: what to call, what an
//! answer means, and what a receipt tells.
//!
//! Whatever is wrong with a template is found when the provider is made, and never when a code is waiting to be sent.

mod template;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;
use tapcode_core::delivery::{Failure, FailureClass, PROVIDER_MESSAGE_ID_MAX, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference, Source,
};

use crate::answer::{UNNAMED, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::sms_text;
use crate::secret::Secret;
use crate::vendor_text::for_people;
use crate::{address_secret, answer, signature};
use template::{Place, Template, Values};

/// What it is. There is no vendor: the status codes are HTTP's.
pub static MANIFEST: Manifest = Manifest {
    id: "webhook",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: true,
    sources: &[Source {
        url: "https://www.rfc-editor.org/rfc/rfc9110.html#section-15",
        read: "2026-11-27",
    }],
};

/// Most parameters of a receipt that are looked at.
const PARAMETERS_MAX: usize = 100;
/// Longest text of an answer or a receipt that is compared with a rule, in bytes.
const WORD_MAX: usize = 200;
/// How long to wait where the gateway says that there were too many requests. Milliseconds.
const RATE_LIMITED_MS: u32 = 1_000;

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing: everything is in the address.
    None,
    /// JSON. Placeholders stand within strings.
    Json(String),
    /// A form, `name=value&…` with placeholders in the values.
    Form(String),
}

/// What an answer with a 2xx status means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRules {
    /// Where the gateway's id of the message stands, as a JSON Pointer; `None`: our reference is its name.
    pub id: Option<String>,
    /// Where the word stands that tells whether it was taken, as a JSON Pointer. The empty pointer is the whole body, which
    /// then need not be JSON.
    pub status: Option<String>,
    /// The words that say that it was taken. A word with a `*` at its end is the beginning of one.
    pub taken: Vec<String>,
    /// The words that say that it was not, and will not be.
    pub refused: Vec<String>,
}

/// How receipts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON; fields are JSON Pointers.
    Json,
    /// A form in the body, or the parameters of the address; fields are names.
    Form,
}

/// What receipts tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRules {
    /// How they are written.
    pub format: Format,
    /// Where the gateway's id of the message stands; `None`: the reference in the address is enough.
    pub id: Option<String>,
    /// Where the word of the message's status stands.
    pub status: String,
    /// Where the reason of a failure stands.
    pub reason: Option<String>,
    /// Where an account's name stands, and what it has to be.
    pub account: Option<(String, String)>,
    /// The words for sent.
    pub sent: Vec<String>,
    /// The words for delivered.
    pub delivered: Vec<String>,
    /// The words for failed.
    pub failed: Vec<String>,
    /// The words for a number that nobody will ever reach.
    pub unreachable: Vec<String>,
}

/// How the gateway shows that a receipt is its own.
#[derive(Clone)]
pub enum Proof {
    /// By a secret in the address that it was given.
    Address(Secret),
    /// By the HMAC-SHA-256 of the raw body in a header: in hexadecimal digits or base 64, behind a prefix.
    Hmac {
        /// The header, in lower case.
        header: String,
        /// What stands before the hash, such as `sha256=`.
        prefix: String,
        /// The key.
        secret: Secret,
        /// Whether it is base 64 and not hexadecimal.
        is_base64: bool,
    },
}

/// What is configured for one number.
#[derive(Clone)]
pub struct WebhookConfig {
    /// `GET`, `POST` or `PUT`.
    pub method: String,
    /// The address, with placeholders behind its host.
    pub url: String,
    /// Headers besides: names and values without placeholders.
    pub headers: Vec<(String, String)>,
    /// The value of the header `authorization`.
    pub authorization: Option<Secret>,
    /// What a request carries.
    pub body: Body,
    /// What `{from}` stands for.
    pub from: Option<String>,
    /// What answers mean.
    pub answers: AnswerRules,
    /// The public address of our hook for this number, what receipts tell, and how they are known; `None`: there are none.
    pub receipts: Option<(String, ReceiptRules, Proof)>,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret may stand in the address or in a header.
        f.debug_struct("WebhookConfig")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// One number of a gateway.
pub struct Webhook {
    method: Method,
    url: Template,
    body: Option<(Template, &'static str)>,
    headers: HeaderMap,
    config: WebhookConfig,
}

impl Webhook {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: WebhookConfig) -> Result<Self, ConfigError> {
        let method = match &*config.method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            _ => return ensure(false, "method", "GET, POST or PUT").map(|()| unreachable!("nothing holds")),
        };
        // Whoever chooses the number must not choose whom we call.
        let host_ends = config
            .url
            .find("://")
            .and_then(|at| config.url[at + 3..].find('/').map(|slash| at + 3 + slash));
        let host = host_ends.map_or("", |end| &config.url[..end]);
        base_url("url", host)?;
        ensure(
            !host.contains(['{', '}']),
            "url",
            "an address with placeholders behind its host only",
        )?;
        let known = |text: &str, place, key| {
            Template::parse(text, place).ok_or(ConfigError {
                key,
                remedy: "a template with {to}, {to_digits}, {from}, {text}, {reference}, {ttl_s} and {callback_url} only",
            })
        };
        let url = known(&config.url, Place::Address, "url")?;
        let body = match &config.body {
            Body::None => None,
            Body::Json(text) => Some((known(text, Place::Json, "json")?, "application/json")),
            Body::Form(text) => Some((known(text, Place::Address, "form")?, "application/x-www-form-urlencoded")),
        };
        if let Some((template, "application/json")) = &body {
            let rendered = template.render(&Values::probing());
            let is_json = serde_json::from_str::<Value>(&rendered).is_ok();
            ensure(is_json, "json", "JSON in which every placeholder stands within a string")?;
        }
        let says = |name: &str| url.has(name) || body.as_ref().is_some_and(|(body, _)| body.has(name));
        ensure(
            says("text"),
            "url",
            "a template with {text} in the address or the body: nothing would be said without it",
        )?;
        ensure(
            says("to") || says("to_digits"),
            "url",
            "a template with {to} or {to_digits} in the address or the body: nobody would be reached without it",
        )?;
        ensure(
            config.from.is_some() || !says("from"),
            "number",
            "the sender, since a template names it",
        )?;
        let answers = &config.answers;
        for (key, pointer) in [("answer_id", &answers.id), ("answer_status", &answers.status)] {
            let fits = pointer.as_ref().is_none_or(|p| p.is_empty() || p.starts_with('/'));
            ensure(fits, key, "a JSON Pointer such as /message/id")?;
        }
        ensure(
            answers.status.is_none() || !answers.taken.is_empty(),
            "answer_taken",
            "the words that say that a message was taken",
        )?;
        if let Some((callback_url, rules, proof)) = &config.receipts {
            base_url("callback_url", callback_url)?;
            let pointers = [Some(&rules.status), rules.id.as_ref(), rules.reason.as_ref()];
            let is_place = |text: &str| match rules.format {
                Format::Json => text.starts_with('/'),
                Format::Form => !text.is_empty(),
            };
            ensure(
                pointers.into_iter().flatten().all(|text| is_place(text)),
                "receipt_status",
                "where it stands: a JSON Pointer such as /status, or a field of the form",
            )?;
            ensure(!rules.delivered.is_empty(), "receipt_delivered", "the words for delivered")?;
            let secret = match proof {
                Proof::Address(secret) | Proof::Hmac { secret, .. } => secret,
            };
            ensure(
                !secret.is_empty(),
                "receipt_secret",
                "a secret: without one anybody could say that a code was delivered",
            )?;
            ensure(
                says("callback_url") || says("reference") || rules.id.is_some(),
                "receipt_id",
                "where the id stands, or {callback_url} or {reference} in a template: receipts would be about nobody",
            )?;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let pair = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            let (name, value) = pair.ok_or(ConfigError {
                key: "headers",
                remedy: "names and values that HTTP has",
            })?;
            headers.insert(name, value);
        }
        if let Some(authorization) = &config.authorization {
            let mut value = HeaderValue::from_str(authorization.expose()).map_err(|_| ConfigError {
                key: "authorization",
                remedy: "a value that a header can have, such as Bearer and a token",
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some((_, kind)) = &body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Ok(Self {
            method,
            url,
            body,
            headers,
            config,
        })
    }

    fn callback_url(&self, reference: Reference) -> String {
        let Some((url, _, proof)) = &self.config.receipts else {
            return String::new();
        };
        let secret = match proof {
            Proof::Address(secret) => Some(secret),
            Proof::Hmac { .. } => None,
        };
        address_secret::callback(url, Some(reference), secret)
    }
}

impl HttpProvider for Webhook {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        // Of a template no SMS can be made. Some gateways send an empty one; to nobody, none does.
        let (to, text) = match sms_text(&message.content) {
            Some(text) => (message.to.expose(), text),
            None => ("", ""),
        };
        let values = Values {
            to,
            from: self.config.from.as_deref().unwrap_or_default(),
            text,
            reference: &message.reference.to_string(),
            ttl_s: (message.useful_ms / 1_000).max(1),
            callback_url: &self.callback_url(message.reference),
        };
        HttpRequest {
            method: self.method.clone(),
            url: self.url.render(&values),
            headers: self.headers.clone(),
            body: self
                .body
                .as_ref()
                .map(|(body, _)| body.render(&values).into_bytes())
                .unwrap_or_default(),
        }
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        if !response.status.is_success() {
            return refused(response.status);
        }
        let rules = &self.config.answers;
        let json: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let status = match rules.status.as_deref() {
            None => None,
            Some("") => Some(String::from_utf8_lossy(&response.body).trim().to_owned()),
            Some(pointer) => word(json.pointer(pointer)),
        };
        if rules.status.is_some() {
            let Some(status) = status.filter(|status| status.len() <= WORD_MAX) else {
                return unclear("success was answered without the word that tells whether it is one");
            };
            if is_one_of(&status, &rules.refused) {
                let failure = Failure::new(FailureClass::NextRoute, "refused", &for_people(&status));
                return answer::refused(failure);
            }
            if !is_one_of(&status, &rules.taken) {
                return unclear("success was answered with a word that no rule knows");
            }
        }
        let id = match &rules.id {
            None if rules.status.is_none() => return unclear("success was answered, and no rule says how to be sure of it"),
            None => Some(UNNAMED.to_owned()),
            Some(pointer) => word(json.pointer(pointer)).filter(|id| !id.is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX),
        };
        match id {
            Some(id) => SendOutcome::Accepted {
                provider_message_id: id.into(),
            },
            None => unclear("success was answered without an id"),
        }
    }

    fn heard(&self, hook: &InboundHook, _sender: u32) -> Result<Heard, HookError> {
        let Some((_, rules, proof)) = &self.config.receipts else {
            return Err(HookError::Signature);
        };
        let query = hook.url.split_once('?').map_or("", |(_, query)| query);
        let of_address = |name: &str| {
            let found = form_urlencoded::parse(query.as_bytes())
                .take(PARAMETERS_MAX)
                .find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        if !is_proven(proof, hook) {
            return Err(HookError::Signature);
        }
        let json: Value = match rules.format {
            Format::Json => serde_json::from_slice(&hook.body).map_err(|_| HookError::Malformed)?,
            Format::Form => Value::Null,
        };
        let field = |place: &str| match rules.format {
            Format::Json => word(json.pointer(place)),
            Format::Form => {
                let mut of_body = form_urlencoded::parse(&hook.body).take(PARAMETERS_MAX);
                let found = of_body.find(|(key, _)| key == place).map(|(_, value)| value.into_owned());
                found.or_else(|| of_address(place))
            }
        };
        if let Some((place, wanted)) = &rules.account
            && field(place).as_deref() != Some(wanted)
        {
            return Err(HookError::Foreign);
        }
        let status = field(&rules.status)
            .filter(|status| status.len() <= WORD_MAX)
            .ok_or(HookError::Malformed)?;
        let id = match &rules.id {
            None => None,
            Some(place) => {
                let id = field(place).filter(|id| !id.is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX);
                Some(id.ok_or(HookError::Malformed)?)
            }
        };
        let reason = rules.reason.as_deref().and_then(field).unwrap_or_default();
        let failed = |class| ReceiptKind::Failed(Failure::new(class, &status, &for_people(&reason)));
        let kind = if is_one_of(&status, &rules.delivered) {
            ReceiptKind::Delivered
        } else if is_one_of(&status, &rules.sent) {
            ReceiptKind::Sent
        } else if is_one_of(&status, &rules.unreachable) {
            failed(FailureClass::Unreachable)
        } else if is_one_of(&status, &rules.failed) {
            failed(FailureClass::NextRoute)
        } else {
            // A word that no rule knows tells nothing about a delivery.
            return Ok(Heard::default());
        };
        Ok(Heard::from(Receipt {
            reference: address_secret::reference(&hook.url),
            provider_message_id: id.unwrap_or_default().into(),
            kind,
            at: None,
            billing: None,
            identity: None,
        }))
    }
}

fn is_proven(proof: &Proof, hook: &InboundHook) -> bool {
    match proof {
        Proof::Address(secret) => address_secret::is_proven(&hook.url, secret),
        Proof::Hmac {
            header,
            prefix,
            secret,
            is_base64,
        } => {
            let shown = signature::the_one(&hook.headers, header);
            let hash = shown.and_then(|value| value.as_bytes().strip_prefix(prefix.as_bytes()));
            let hash: Option<Vec<u8>> = hash.and_then(|hash| match is_base64 {
                true => BASE64.decode(hash).ok(),
                false => signature::sha256_from_hex(hash).map(Vec::from),
            });
            hash.is_some_and(|hash| signature::is_hmac_sha256(secret, &hook.body, &hash))
        }
    }
}

/// A text, a number or a truth value as a word.
fn word(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a word is one of some, in whichever case; `queued*` is every word that begins so.
fn is_one_of(word: &str, words: &[String]) -> bool {
    let word = word.to_ascii_lowercase();
    words.iter().any(|known| {
        let known = known.to_ascii_lowercase();
        match known.strip_suffix('*') {
            Some(beginning) => word.starts_with(beginning),
            None => word == known,
        }
    })
}

/// What an error status means, by HTTP alone.
fn refused(status: StatusCode) -> SendOutcome {
    let class = match status.as_u16() {
        429 => FailureClass::RetryHere {
            after_ms: RATE_LIMITED_MS,
        },
        401..=403 => FailureClass::TripBreaker(TripScope::Sender),
        400 | 404 | 405 | 410 | 411 | 413 | 414 | 415 | 422 | 431 => FailureClass::OurMistake,
        other => return unclear(&format!("HTTP {other}")),
    };
    answer::refused(answer::by_status(status, class, "the gateway refused the request"))
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
