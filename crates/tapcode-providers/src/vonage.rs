//! How is an SMS sent over Vonage? One message over its Messages API or its older SMS API out, and signed calls back.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome};
use tapcode_core::money::{Currency, Money};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Billing, Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference,
    Source,
};

use crate::answer::{self, is_message_id, micros, text, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::{credential, post_json, sms_text};
use crate::secret::Secret;
use crate::{address_secret, jwt, signature, vonage_errors, vonage_sms};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-27" }
}

/// What Vonage is.
pub static MANIFEST: Manifest = Manifest {
    id: "vonage",
    channels: &[Channel::Sms],
    receipts: true,
    // The SMS API reports by the method that the account chose, and `GET` is one.
    receipts_by_get: true,
    sources: &[
        page("https://developer.vonage.com/en/api-errors"),
        page("https://developer.vonage.com/en/api-errors/sms"),
        page("https://developer.vonage.com/messaging/sms/guides/delivery-receipts"),
        page("https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms"),
        // The codes of the Messages API (`_open_api/errors/messages-olympus.md`).
        page("https://github.com/Nexmo/nexmo-oas-renderer"),
        // What a signed webhook claims (`_documentation/en/messages/concepts/signed-webhooks.md`), and how the SMS API signs
        // (`_documentation/en/concepts/guides/signing-messages.md`).
        page("https://github.com/Nexmo/station"),
    ],
};

/// Who has to have issued the token of a webhook.
const ISSUER: &str = "Vonage";
/// Bounds of how long the Messages API tries to deliver, in seconds. They are those of the SMS API and of Vonage's own 72 hours;
/// that the Messages API has the same is *unconfirmed*.
const TTL_S: (u64, u64) = (20, 259_200);

/// Which of Vonage's two APIs is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The Messages API, with webhooks that are signed by default.
    Messages,
    /// The SMS API, which answers HTTP 200 whatever happened.
    Sms,
}

/// What is configured for one sender.
#[derive(Clone, Debug)]
pub struct VonageConfig {
    /// Which API.
    pub api: Api,
    /// `https://api.nexmo.com` for the Messages API, `https://rest.nexmo.com` for the SMS API, or a stand-in.
    pub base_url: String,
    /// The account's key. No secret.
    pub api_key: String,
    /// The secret to it.
    pub api_secret: Secret,
    /// What the phone shows: a number, a short code or an alphanumeric sender id.
    pub from: String,
    /// The public address of our hook for this sender.
    pub callback_url: String,
    /// What Vonage signs its calls with.
    pub signature_secret: Option<Secret>,
    /// A secret of ours in the address: 16 to 128 letters, digits, hyphens or underscores. At least one of the two is needed,
    /// and what is configured is asked of every report.
    pub callback_secret: Option<Secret>,
}

/// One sender of an account.
pub struct Vonage {
    url: String,
    authorization: HeaderValue,
    callback: String,
    from: String,
    config: VonageConfig,
}

impl Vonage {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: VonageConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        let is_key = !config.api_key.is_empty() && config.api_key.bytes().all(|c| c.is_ascii_alphanumeric());
        ensure(is_key, "api_key", "the account's API key: letters and digits")?;
        ensure(!config.api_secret.is_empty(), "api_secret", "the secret to the API key")?;
        ensure(
            !config.from.is_empty(),
            "from",
            "a number of the account, a short code or a sender id",
        )?;
        base_url("callback_url", &config.callback_url)?;
        ensure(
            config.signature_secret.is_some() || config.callback_secret.is_some(),
            "signature_secret",
            "the account's signature secret, or callback_secret: without either no report can be believed",
        )?;
        if let Some(secret) = &config.signature_secret {
            ensure(!secret.is_empty(), "signature_secret", "the account's signature secret")?;
        }
        if let Some(secret) = &config.callback_secret {
            address_secret::ensure_usable("callback_secret", secret)?;
        }
        let basic = BASE64.encode(format!("{}:{}", config.api_key, config.api_secret.expose()));
        let authorization = credential(&format!("Basic {basic}"), "api_secret", "the secret to the API key")?;
        let path = match config.api {
            Api::Messages => "/v1/messages",
            Api::Sms => "/sms/json",
        };
        Ok(Self {
            url: format!("{base}{path}"),
            authorization,
            callback: address_secret::callback(&config.callback_url, None, config.callback_secret.as_ref()),
            from: config.from.trim_start_matches('+').to_owned(),
            config,
        })
    }

    /// Whether a hook knows the address, where that is asked for.
    fn is_called(&self, hook: &InboundHook) -> bool {
        let secret = self.config.callback_secret.as_ref();
        secret.is_none_or(|secret| address_secret::is_proven(&hook.url, secret))
    }

    fn heard_of_messages(&self, hook: &InboundHook) -> Result<Heard, HookError> {
        if !self.is_called(hook) {
            return Err(HookError::Signature);
        }
        if let Some(secret) = &self.config.signature_secret {
            let claims = signed_claims(hook, secret).ok_or(HookError::Signature)?;
            if claims["api_key"].as_str().is_some_and(|key| key != self.config.api_key) {
                return Err(HookError::Foreign);
            }
        }
        let body: Value = serde_json::from_slice(&hook.body).map_err(|_| HookError::Malformed)?;
        let id = body["message_uuid"]
            .as_str()
            .filter(|id| is_message_id(id))
            .ok_or(HookError::Malformed)?;
        // What a person wrote has no status.
        let status = body["status"].as_str().ok_or(HookError::Foreign)?;
        let reference = ours(body["client_ref"].as_str())?;
        let kind = match status {
            "submitted" => ReceiptKind::Sent,
            "delivered" => ReceiptKind::Delivered,
            "read" => ReceiptKind::Read,
            "rejected" | "undeliverable" => ReceiptKind::Failed(reported(status, &body["error"])),
            // What is added one day tells nothing yet.
            _ => return Ok(Heard::default()),
        };
        let usage = &body["usage"];
        let currency = usage["currency"].as_str().and_then(Currency::parse);
        Ok(Heard::from(Receipt {
            reference,
            provider_message_id: id.into(),
            kind,
            at: None,
            billing: price(text(&usage["price"]).as_deref(), currency),
            identity: None,
        }))
    }

    fn heard_of_sms(&self, hook: &InboundHook) -> Result<Heard, HookError> {
        if !self.is_called(hook) {
            return Err(HookError::Signature);
        }
        let told = vonage_sms::parameters(hook);
        if let Some(secret) = &self.config.signature_secret
            && !told.as_ref().is_some_and(|told| vonage_sms::is_signed(told, secret))
        {
            return Err(HookError::Signature);
        }
        let told = told.ok_or(HookError::Malformed)?;
        if told.get("api-key").is_some_and(|key| *key != self.config.api_key) {
            return Err(HookError::Foreign);
        }
        vonage_sms::heard(&told)
    }
}

impl HttpProvider for Vonage {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let to = message.to.expose().trim_start_matches('+');
        if self.config.api == Api::Sms {
            let mut body = vonage_sms::body(message);
            for (name, value) in [
                ("api_key", &*self.config.api_key),
                ("api_secret", self.config.api_secret.expose()),
                ("from", &self.from),
                ("to", to),
                ("callback", &self.callback),
            ] {
                body[name] = json!(value);
            }
            let mut request = post_json(&self.url, &self.authorization, &body);
            // This API has its credentials in the body.
            request.headers.remove(AUTHORIZATION);
            return request;
        }
        let mut body = json!({
            "channel": "sms",
            "message_type": "text",
            "from": self.from,
            "to": to,
            "ttl": (message.useful_ms / 1_000).clamp(TTL_S.0, TTL_S.1),
            "client_ref": message.reference.to_string(),
            "webhook_url": self.callback,
            "webhook_version": "v1",
            "sms": { "encoding_type": "auto" },
        });
        if let Some(text) = sms_text(&message.content) {
            body["text"] = json!(text);
        }
        post_json(&self.url, &self.authorization, &body)
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match (response.status.is_success(), self.config.api) {
            (true, Api::Messages) => match body["message_uuid"].as_str().filter(|id| is_message_id(id)) {
                Some(id) => SendOutcome::Accepted {
                    provider_message_id: id.into(),
                },
                None => unclear("success was answered without an id"),
            },
            (true, Api::Sms) => vonage_sms::answered(&body),
            (false, _) => refused(response.status, &body),
        }
    }

    fn heard(&self, hook: &InboundHook, _sender: u32) -> Result<Heard, HookError> {
        match self.config.api {
            Api::Messages => self.heard_of_messages(hook),
            Api::Sms => self.heard_of_sms(hook),
        }
    }
}

/// What a webhook claims, if Vonage signed it for this very body. How old it is cannot be asked without a clock, and need not be:
/// the same report twice is one fact.
fn signed_claims(hook: &InboundHook, secret: &Secret) -> Option<Value> {
    let header = signature::the_one(&hook.headers, "authorization")?;
    let claims = jwt::claims(secret, header.as_bytes().strip_prefix(b"Bearer ")?)?;
    let told = signature::sha256_from_hex(claims["payload_hash"].as_str()?.as_bytes())?;
    let is_right: bool = told[..].ct_eq(&Sha256::digest(&hook.body)[..]).into();
    (is_right && claims["iss"] == ISSUER).then_some(claims)
}

/// The reference that came back. The account's other messages have other ones; without any the id is enough to find the message,
/// if it is ours.
pub(crate) fn ours(told: Option<&str>) -> Result<Option<Reference>, HookError> {
    match told.filter(|told| !told.is_empty()) {
        Some(told) => Reference::parse(told).map(Some).ok_or(HookError::Foreign),
        None => Ok(None),
    }
}

/// What a message costs; `None` unless it is there and exact. Vonage writes zeros behind the last digit that counts.
pub(crate) fn price(amount: Option<&str>, currency: Option<Currency>) -> Option<Billing> {
    let amount = amount?;
    let amount = if amount.contains('.') {
        amount.trim_end_matches('0')
    } else {
        amount
    };
    Some(Billing::Amount(Money {
        amount_micros: micros(amount)?,
        currency: currency?,
    }))
}

/// What an error means: by its code where Vonage gives one, else by the statuses with which a server declines to process a
/// request at all.
fn refused(status: StatusCode, body: &Value) -> SendOutcome {
    let kind = body["type"].as_str().unwrap_or_default();
    let code = kind.rsplit_once('#').map(|(_, code)| code).filter(|code| !code.is_empty());
    let words = body["detail"].as_str().or(body["title"].as_str()).unwrap_or_default();
    let failure = match (status.as_u16(), code.map(|code| (code, vonage_errors::messages(code)))) {
        (429, _) => answer::by_status(status, vonage_errors::AGAIN, "too many requests at once"),
        (400..=499, Some((code, Some(meaning)))) => vonage_errors::failure(code, meaning, words),
        (400..=499, Some((code, None))) if vonage_errors::may_be_sent(code) => {
            return unclear("an error inside Vonage's platform");
        }
        (401..=403, _) => answer::by_status(
            status,
            vonage_errors::ACCOUNT,
            "the API key is not valid, or the account may not send",
        ),
        (404 | 405 | 410, _) => answer::by_status(
            status,
            vonage_errors::SENDER,
            "there is no such thing at this address: is base_url right?",
        ),
        (400 | 411 | 413 | 414 | 415 | 422 | 431, _) => {
            answer::by_status(status, FailureClass::OurMistake, "the request is not what the API takes")
        }
        (other, _) => return unclear(&format!("HTTP {other}")),
    };
    answer::refused(failure)
}

/// The failure that a status webhook tells: its code is the `title`, or stands at the end of `type`.
fn reported(status: &str, error: &Value) -> Failure {
    let kind = error["type"].as_str().unwrap_or_default();
    let code = kind.rsplit_once('#').map(|(_, code)| code.to_owned());
    let code = code.or_else(|| text(&error["title"])).unwrap_or_default();
    let words = error["detail"].as_str().unwrap_or_default();
    vonage_errors::reported(status, &code, vonage_errors::messages(&code), words)
}

impl fmt::Debug for Vonage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vonage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
