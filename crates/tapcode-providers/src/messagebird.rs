//! How is an SMS sent over MessageBird? One message over its SMS API out, and a `GET` of our address for each status back.

use std::fmt;

use http::StatusCode;
use http::header::HeaderValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference, Source,
};

use crate::answer::{self, is_message_id, number, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::{credential, post_json, sms_text};
use crate::secret::Secret;
use crate::vendor_text::{for_people, meaning_and_words};
use crate::{address_secret, jwt, signature};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-27" }
}

/// What MessageBird is.
pub static MANIFEST: Manifest = Manifest {
    id: "messagebird",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: true,
    sources: &[
        // The message and its answer (`sms/message.go`), errors (`error.go`), and what a signature claims
        // (`signature_jwt/claims.go` with `testdata/reference.json`).
        page("https://github.com/messagebird/go-rest-api"),
        // The words of a status (`Objects/Recipient.php`), the codes of errors (`Common/ResponseError.php`).
        page("https://github.com/messagebird/php-rest-api"),
        // Reports come by `GET`, and only about messages with a reference.
        page("https://docs.bird.com/connectivity-platform/getting-started/receiving-delivery-reports-dlrs"),
        page(
            "https://docs.bird.com/api/channels-api/message-status-and-interactions/message-failure-sources/sms-platform-extended-error-codes",
        ),
    ],
};

/// The header of the signature.
const SIGNATURE: &str = "messagebird-signature-jwt";
/// Who has to have issued it.
const ISSUER: &str = "MessageBird";
/// After how many milliseconds a send that met the rate limit is tried again. MessageBird names no time: *unconfirmed*.
const RATE_LIMITED_MS: u32 = 1_000;

/// What is configured for one sender.
#[derive(Clone, Debug)]
pub struct MessagebirdConfig {
    /// `https://rest.messagebird.com`, or a stand-in.
    pub base_url: String,
    /// The account's access key.
    pub access_key: Secret,
    /// What the phone shows: a number, a short code or an alphanumeric sender id.
    pub from: String,
    /// The public address of our hook for this sender.
    pub callback_url: String,
    /// What MessageBird signs its calls with.
    pub signing_key: Option<Secret>,
    /// A secret of ours in the address: 16 to 128 letters, digits, hyphens or underscores. At least one of the two is needed,
    /// and what is configured is asked of every report.
    pub callback_secret: Option<Secret>,
}

/// One sender of an account.
pub struct Messagebird {
    messages_url: String,
    authorization: HeaderValue,
    config: MessagebirdConfig,
}

impl Messagebird {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: MessagebirdConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        ensure(!config.access_key.is_empty(), "access_key", "the account's access key")?;
        ensure(
            !config.from.is_empty(),
            "from",
            "a number of the account, a short code or a sender id",
        )?;
        base_url("callback_url", &config.callback_url)?;
        ensure(
            config.signing_key.is_some() || config.callback_secret.is_some(),
            "callback_secret",
            "a secret of ours, or signing_key: without either no report can be believed",
        )?;
        if let Some(key) = &config.signing_key {
            ensure(!key.is_empty(), "signing_key", "the signing key from MessageBird's dashboard")?;
        }
        if let Some(secret) = &config.callback_secret {
            address_secret::ensure_usable("callback_secret", secret)?;
        }
        let access_key = format!("AccessKey {}", config.access_key.expose());
        let authorization = credential(&access_key, "access_key", "the account's access key, in ASCII")?;
        Ok(Self {
            messages_url: format!("{base}/messages"),
            authorization,
            config,
        })
    }

    /// Whether a hook carries everything that is configured to prove it.
    fn is_proven(&self, hook: &InboundHook) -> bool {
        let signed = self.config.signing_key.as_ref().is_none_or(|key| is_signed(hook, key));
        let called = self
            .config
            .callback_secret
            .as_ref()
            .is_none_or(|key| address_secret::is_proven(&hook.url, key));
        signed && called
    }
}

impl HttpProvider for Messagebird {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let secret = self.config.callback_secret.as_ref();
        let mut body = json!({
            "originator": self.config.from,
            "recipients": [message.to.expose().trim_start_matches('+')],
            "type": "sms",
            // Plain where the text is within the GSM alphabet, else Unicode.
            "datacoding": "auto",
            "validity": (message.useful_ms / 1_000).max(1),
            // Without a reference there are no reports.
            "reference": message.reference.to_string(),
            "reportUrl": address_secret::callback(&self.config.callback_url, Some(message.reference), secret),
        });
        if let Some(text) = sms_text(&message.content) {
            body["body"] = json!(text);
        }
        post_json(&self.messages_url, &self.authorization, &body)
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status.is_success() {
            taken(&body)
        } else {
            refused(response.status, &body)
        }
    }

    fn heard(&self, hook: &InboundHook, _sender: u32) -> Result<Heard, HookError> {
        if !self.is_proven(hook) {
            return Err(HookError::Signature);
        }
        let field = |name| address_secret::the_one(&hook.url, name).filter(|value| !value.is_empty());
        let id = field("id").filter(|id| is_message_id(id)).ok_or(HookError::Malformed)?;
        let status = field("status").ok_or(HookError::Malformed)?;
        // The account's own address for reports may be ours, too: then reports about other applications' messages come here.
        let reference = address_secret::reference(&hook.url)
            .or_else(|| Reference::parse(&field("reference")?))
            .ok_or(HookError::Foreign)?;
        let reason = field("statusReason").unwrap_or_default();
        let code = field("statusErrorCode").and_then(|code| code.parse().ok());
        let Some(kind) = told(&status, code, &reason) else {
            return Ok(Heard::default());
        };
        Ok(Heard::from(Receipt {
            reference: Some(reference),
            provider_message_id: id.into(),
            kind,
            at: None,
            // The report has a price, under names that no documentation shows: *unconfirmed*.
            billing: None,
            identity: None,
        }))
    }
}

/// Whether MessageBird signed this: a token about this very address and body. How old it is cannot be asked without a clock, and
/// need not be: the same report twice is one fact.
fn is_signed(hook: &InboundHook, key: &Secret) -> bool {
    let token = signature::the_one(&hook.headers, SIGNATURE).map(HeaderValue::as_bytes);
    let Some(claims) = token.and_then(|token| jwt::claims(key, token)) else {
        return false;
    };
    let is_hash_of = |claim: &Value, bytes: &[u8]| {
        let told = claim.as_str().and_then(|hash| signature::sha256_from_hex(hash.as_bytes()));
        told.is_some_and(|told| told[..].ct_eq(&Sha256::digest(bytes)[..]).into())
    };
    let payload = &claims["payload_hash"];
    let body_is_right = if hook.body.is_empty() {
        payload.is_null()
    } else {
        is_hash_of(payload, &hook.body)
    };
    claims["iss"] == ISSUER && is_hash_of(&claims["url_hash"], hook.url.as_bytes()) && body_is_right
}

/// What a 2xx answer means: a message with an id that has not failed already.
fn taken(body: &Value) -> SendOutcome {
    let has_failed = |item: &Value| matches!(item["status"].as_str(), Some("delivery_failed" | "expired"));
    let recipients = body["recipients"]["items"].as_array();
    match body["id"].as_str().filter(|id| is_message_id(id)) {
        Some(_) if recipients.is_some_and(|items| items.iter().any(has_failed)) => {
            unclear("success was answered with a failure of the only recipient")
        }
        Some(id) => SendOutcome::Accepted {
            provider_message_id: id.into(),
        },
        None => unclear("success was answered without an id"),
    }
}

/// What an error means: by its code where MessageBird gives one, else by the statuses with which a server declines to process a
/// request at all.
fn refused(status: StatusCode, body: &Value) -> SendOutcome {
    let failure = match (status.as_u16(), told_error(body)) {
        (429, _) => {
            let class = FailureClass::RetryHere {
                after_ms: RATE_LIMITED_MS,
            };
            answer::by_status(status, class, "too many requests at once")
        }
        (400..=405 | 410 | 422, Some((code, error))) => {
            let (class, meaning) = answered(code, error["parameter"].as_str().unwrap_or_default());
            let words = error["description"].as_str().unwrap_or_default();
            Failure::new(class, &code.to_string(), &meaning_and_words(meaning, words))
        }
        (401 | 402, None) => answer::by_status(status, ACCOUNT, "the access key is not valid, or the account may not send"),
        (403 | 404 | 405 | 410, None) => without_envelope(status, SENDER),
        (400 | 411 | 413 | 414 | 415 | 422 | 431, None) => without_envelope(status, OURS),
        (other, _) => return unclear(&format!("HTTP {other}")),
    };
    answer::refused(failure)
}

/// The error that decides, of those that came: what is wrong with the account is wrong with every message.
fn told_error(body: &Value) -> Option<(u32, &Value)> {
    let errors = body["errors"].as_array()?;
    let with_codes = || errors.iter().filter_map(|error| Some((number(&error["code"])?, error)));
    with_codes()
        .find(|(code, _)| matches!(code, 2 | 25))
        .or_else(|| with_codes().next())
}

/// What to do about a code of an answer, and about which parameter it is.
fn answered(code: u32, parameter: &str) -> (FailureClass, &'static str) {
    match (code, parameter) {
        (2, _) => (ACCOUNT, "the access key is not allowed to do this"),
        (9 | 10, "recipients") => (NEXT, "no SMS can be sent to this number"),
        (9 | 10, "originator") => (SENDER, "the sender is missing or not one that the account may use"),
        (9, _) => (OURS, "a parameter is missing"),
        (10, _) => (OURS, "a parameter is not valid"),
        (20, _) => (SENDER, "there is no such thing at this address: is base_url right?"),
        (25, _) => (ACCOUNT, "the account is out of credit"),
        _ => (NEXT, "an error that is not in our table"),
    }
}

fn without_envelope(status: StatusCode, class: FailureClass) -> Failure {
    let detail = "refused without an error code of MessageBird's: is base_url right, and no proxy in between?";
    answer::by_status(status, class, detail)
}

/// What a report tells; `None` for what is not news.
fn told(status: &str, code: Option<u32>, reason: &str) -> Option<ReceiptKind> {
    match status {
        "sent" => Some(ReceiptKind::Sent),
        "delivered" => Some(ReceiptKind::Delivered),
        "expired" | "delivery_failed" => Some(ReceiptKind::Failed(reported(status, code, reason))),
        // `scheduled` tells nothing that the answer has not, `buffered` that it waits; what is added one day tells nothing yet.
        _ => None,
    }
}

/// The failure that a report tells. Most codes say nothing about the next message.
fn reported(status: &str, code: Option<u32>, reason: &str) -> Failure {
    let reason = for_people(reason);
    // 0 is that nobody gave a reason.
    let Some(code) = code.filter(|code| *code != 0) else {
        return Failure::new(NEXT, status, &reason);
    };
    let class = if NOBODY_THERE.contains(&code) {
        FailureClass::Unreachable
    } else {
        NEXT
    };
    Failure::new(class, &code.to_string(), &reason)
}

const NEXT: FailureClass = FailureClass::NextRoute;
const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
const OURS: FailureClass = FailureClass::OurMistake;

/// The codes of reports which say that SMS will never reach this number: the subscriber is unknown (1) or unidentified (5), or
/// has no such service (10, 11). Others that Bird's page calls "unknown subscriber" – a base station, an exchange, an illegal
/// or barred subscriber – may pass.
const NOBODY_THERE: [u32; 4] = [1, 5, 10, 11];

impl fmt::Debug for Messagebird {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messagebird").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
