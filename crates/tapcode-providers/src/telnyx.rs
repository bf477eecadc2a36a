//! How is an SMS sent over Telnyx? One message over its Messaging API out, and a webhook signed with Ed25519 for each step back.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::HeaderValue;
use serde_json::{Value, json};
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::money::{Currency, Money};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Billing, Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference,
    Source,
};

use crate::answer::{self, is_message_id, micros, number, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::{credential, post_json, sms_text};
use crate::secret::Secret;
use crate::signature;
use crate::vendor_text::{for_people, meaning_and_words};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-27" }
}

/// What Telnyx is.
pub static MANIFEST: Manifest = Manifest {
    id: "telnyx",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: false,
    sources: &[
        page("https://developers.telnyx.com/docs/messaging/messages/send-message"),
        page("https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks"),
        page("https://developers.telnyx.com/api-reference/callbacks/delivery-update"),
        page("https://developers.telnyx.com/docs/messaging/messages/error-codes/index"),
        page("https://developers.telnyx.com/development/api-fundamentals/api-errors"),
    ],
};

const SIGNATURE: &str = "telnyx-signature-ed25519";
const TIMESTAMP: &str = "telnyx-timestamp";
/// Bytes of a public key of Ed25519 (RFC 8032, section 5.1.5).
const KEY_BYTES: usize = 32;
/// After how many milliseconds a send that met a limit is tried again. Telnyx names no time: *unconfirmed*.
const AGAIN_MS: u32 = 1_000;

/// What is configured for one sender.
#[derive(Clone, Debug)]
pub struct TelnyxConfig {
    /// `https://api.telnyx.com`, or a stand-in.
    pub base_url: String,
    /// An API key of the account's.
    pub api_key: Secret,
    /// The account's public key, with which webhooks are proven: base 64, as Telnyx shows it. No secret.
    pub public_key: String,
    /// What the phone shows: a number, a short code or an alphanumeric sender id; `None`: the messaging profile chooses.
    pub from: Option<String>,
    /// The messaging profile. Needed for alphanumeric senders, and where it chooses.
    pub messaging_profile_id: Option<String>,
    /// The public address of our hook for this sender.
    pub callback_url: String,
}

/// One sender of an account.
pub struct Telnyx {
    messages_url: String,
    authorization: HeaderValue,
    public_key: [u8; KEY_BYTES],
    config: TelnyxConfig,
}

impl Telnyx {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: TelnyxConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        ensure(!config.api_key.is_empty(), "api_key", "an API key of the account's")?;
        let public_key = public_key(&config.public_key).ok_or(ConfigError {
            key: "public_key",
            remedy: "the account's public key as Telnyx shows it: 44 characters of base 64",
        })?;
        let has_sender = config.from.as_ref().or(config.messaging_profile_id.as_ref());
        ensure(
            has_sender.is_some_and(|sender| !sender.is_empty()),
            "messaging_profile_id",
            "the messaging profile that chooses the sender, or `number`",
        )?;
        base_url("callback_url", &config.callback_url)?;
        let bearer = format!("Bearer {}", config.api_key.expose());
        let authorization = credential(&bearer, "api_key", "an API key of the account's, in ASCII")?;
        Ok(Self {
            messages_url: format!("{base}/v2/messages"),
            authorization,
            public_key,
            config,
        })
    }

    /// Whether Telnyx signed these very bytes at the time that it names. How old they are cannot be asked without a clock, and
    /// need not be: the same report twice is one fact.
    fn is_signed(&self, hook: &InboundHook) -> bool {
        let (Some(signature), Some(timestamp)) = (
            signature::the_one(&hook.headers, SIGNATURE),
            signature::the_one(&hook.headers, TIMESTAMP),
        ) else {
            return false;
        };
        let Ok(signature) = BASE64.decode(signature.as_bytes()) else {
            return false;
        };
        let signed = [timestamp.as_bytes(), b"|", &hook.body].concat();
        UnparsedPublicKey::new(&ED25519, self.public_key)
            .verify(&signed, &signature)
            .is_ok()
    }
}

/// The key behind its text.
pub fn public_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

impl HttpProvider for Telnyx {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let mut body = json!({
            "to": message.to.expose(),
            "type": "SMS",
            "encoding": "auto",
            "webhook_url": self.config.callback_url,
            "use_profile_webhooks": false,
            // They come back in every webhook, under its signature.
            "tags": [message.reference.to_string()],
        });
        if let Some(text) = sms_text(&message.content) {
            body["text"] = json!(text);
        }
        for (name, value) in [
            ("from", &self.config.from),
            ("messaging_profile_id", &self.config.messaging_profile_id),
        ] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        post_json(&self.messages_url, &self.authorization, &body)
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status.is_success() {
            taken(&body["data"])
        } else {
            refused(response.status, &body)
        }
    }

    fn heard(&self, hook: &InboundHook, _sender: u32) -> Result<Heard, HookError> {
        if !self.is_signed(hook) {
            return Err(HookError::Signature);
        }
        let body: Value = serde_json::from_slice(&hook.body).map_err(|_| HookError::Malformed)?;
        let event = body["data"]["event_type"].as_str().ok_or(HookError::Malformed)?;
        let payload = &body["data"]["payload"];
        if payload["direction"] == "inbound" {
            return Err(HookError::Foreign);
        }
        let id = payload["id"]
            .as_str()
            .filter(|id| is_message_id(id))
            .ok_or(HookError::Malformed)?;
        // The account's other messages have other tags. Without any the id is enough to find the message, if it is ours.
        let reference = match payload["tags"].as_array().filter(|tags| !tags.is_empty()) {
            Some(tags) => {
                let ours = tags.iter().find_map(|tag| Reference::parse(tag.as_str()?));
                Some(ours.ok_or(HookError::Foreign)?)
            }
            None => None,
        };
        let status = payload["to"][0]["status"].as_str().unwrap_or_default();
        let Some(kind) = told(event, status, payload) else {
            return Ok(Heard::default());
        };
        Ok(Heard::from(Receipt {
            reference,
            provider_message_id: id.into(),
            kind,
            at: None,
            billing: price(&payload["cost"]).map(Billing::Amount),
            identity: None,
        }))
    }
}

/// What a 2xx answer means: a message with an id that has not failed already.
fn taken(message: &Value) -> SendOutcome {
    let Some(id) = message["id"].as_str().filter(|id| is_message_id(id)) else {
        return unclear("success was answered without an id");
    };
    match message["to"][0]["status"].as_str() {
        Some(status @ ("sending_failed" | "delivery_failed")) => SendOutcome::Failed {
            failure: reported(status, message),
            provider_message_id: Some(id.into()),
        },
        _ => SendOutcome::Accepted {
            provider_message_id: id.into(),
        },
    }
}

/// What an error means: by its code where Telnyx gives one, else by the statuses with which a server declines to process a
/// request at all.
fn refused(status: StatusCode, body: &Value) -> SendOutcome {
    let error = &body["errors"][0];
    let failure = match (status.as_u16(), number(&error["code"])) {
        (429, _) => answer::by_status(status, AGAIN, "too many requests at once"),
        (400..=405 | 409 | 410 | 422, Some(code)) => by_code(code, error),
        (401..=403, None) => answer::by_status(status, ACCOUNT, "the API key is not valid, or the account may not send"),
        (404 | 405 | 410, None) => {
            answer::by_status(status, SENDER, "there is no such thing at this address: is base_url right?")
        }
        (400 | 411 | 413 | 414 | 415 | 422 | 431, None) => {
            answer::by_status(status, FailureClass::OurMistake, "the request is not what the API takes")
        }
        (other, _) => return unclear(&format!("HTTP {other}")),
    };
    answer::refused(failure)
}

/// The failure that an error names.
fn by_code(code: u32, error: &Value) -> Failure {
    let (class, meaning) = meaning(code, error["source"]["pointer"].as_str().unwrap_or_default());
    let words = error["detail"].as_str().or(error["title"].as_str()).unwrap_or_default();
    Failure::new(class, &code.to_string(), &meaning_and_words(meaning, words))
}

/// The failure that a message has: by the code of its first error, where it has one.
fn reported(status: &str, message: &Value) -> Failure {
    let error = &message["errors"][0];
    match number(&error["code"]) {
        Some(code) => {
            let failure = by_code(code, error);
            // What is over cannot be tried again here.
            let class = match failure.class {
                FailureClass::RetryHere { .. } | FailureClass::SlowDown { .. } => NEXT,
                class => class,
            };
            Failure { class, ..failure }
        }
        None => Failure::new(NEXT, status, &for_people(error["title"].as_str().unwrap_or_default())),
    }
}

const NEXT: FailureClass = FailureClass::NextRoute;
const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
const COUNTRY: FailureClass = FailureClass::TripBreaker(TripScope::Country);
const OURS: FailureClass = FailureClass::OurMistake;
const AGAIN: FailureClass = FailureClass::RetryHere { after_ms: AGAIN_MS };

/// What to do about a code of Telnyx's (its pages of messaging and of general errors, read 2026-11-27); what to do is ours.
/// `pointer` says which field of a request an error is about.
fn meaning(code: u32, pointer: &str) -> (FailureClass, &'static str) {
    match code {
        10_001 | 10_002 | 10_016 if pointer.contains("from") => (SENDER, "the sender is not a number that the account may use"),
        10_001 | 10_002 | 10_016 => (NEXT, "no SMS can be sent to this number"),
        10_003 | 10_004 | 10_014 | 10_015 | 10_023 => (OURS, "the request is not what the API takes"),
        10_005 | 10_006 | 10_017 => (SENDER, "there is no such thing: are base_url and messaging_profile_id right?"),
        10_009 | 10_010 => (ACCOUNT, "the API key is not valid, or may not send"),
        10_011 => (AGAIN, "too many requests at once"),
        10_039 => (ACCOUNT, "the account may write to verified numbers only"),
        40_001 => (FailureClass::Unreachable, "a landline, or a number that no SMS is routed to"),
        40_003 | 40_315 => (SENDER, "the sender is blocked as spam"),
        40_010 | 40_019 => (SENDER, "the sender is not registered for 10DLC as the carrier wants it"),
        40_013 | 40_305 | 40_100 | 40_150 | 40_151 | 40_155 => (SENDER, "the sender is not one that may send messages"),
        40_016 | 40_018 => (NEXT, "the carrier's limit for this sender is used up"),
        40_020 => (NEXT, "held as artificially inflated traffic"),
        40_300 => (NEXT, "the recipient has told this sender to stop"),
        40_302 | 40_304 | 40_316 | 40_317 | 40_009 => (OURS, "the content is not what can be sent"),
        40_306 | 40_307 | 40_325 => (SENDER, "the alphanumeric sender is not set up in the messaging profile"),
        40_309 | 40_331 => (COUNTRY, "the messaging profile does not allow this country"),
        40_310 | 40_012 => (NEXT, "no SMS can be sent to this number"),
        40_311 | 40_312 | 40_314 => (SENDER, "the messaging profile is disabled, or may not be used"),
        40_318 => (AGAIN, "the sender's queue is full"),
        40_329 | 40_330 => (SENDER, "the toll-free number is not verified yet"),
        40_333 => (SENDER, "the messaging profile has spent what it may"),
        40_002 | 40_015 | 40_017 | 40_322 => (NEXT, "blocked as spam"),
        40_004..=40_008 | 40_011 | 40_014 => (NEXT, "the carrier did not deliver it"),
        _ => (NEXT, "an error that is not in our table"),
    }
}

/// What a webhook tells; `None` for what is not news.
fn told(event: &str, status: &str, payload: &Value) -> Option<ReceiptKind> {
    match (event, status) {
        ("message.sent", "sent") => Some(ReceiptKind::Sent),
        ("message.finalized", "delivered") => Some(ReceiptKind::Delivered),
        // That nobody confirmed it says neither that it arrived nor that it did not.
        ("message.finalized", "sent" | "delivery_unconfirmed") => Some(ReceiptKind::Sent),
        (_, "sending_failed" | "delivery_failed" | "expired") => Some(ReceiptKind::Failed(reported(status, payload))),
        // `queued` and `sending` tell nothing that the answer has not; what is added one day tells nothing yet.
        _ => None,
    }
}

/// What a message costs; `None` unless it is there and exact.
fn price(cost: &Value) -> Option<Money> {
    Some(Money {
        amount_micros: micros(cost["amount"].as_str()?)?,
        currency: Currency::parse(cost["currency"].as_str()?)?,
    })
}

impl fmt::Debug for Telnyx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telnyx").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
