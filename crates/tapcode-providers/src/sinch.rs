//! How is an SMS sent over Sinch? Batches of one over the SMS REST API (XMS) out, a delivery report for the final status in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::HeaderValue;
use serde_json::{Value, json};
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference, Source,
};

use crate::answer::{is_message_id, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::{credential, post_json, sms_text};
use crate::secret::Secret;
use crate::vendor_text::{for_people, meaning_and_words};
use crate::{address_secret, answer, signature};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-27" }
}

/// What Sinch is.
pub static MANIFEST: Manifest = Manifest {
    id: "sinch",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: false,
    sources: &[
        // The request: `sinch/domains/sms/models/v1/shared/text_request.py`; the report:
        // `sinch/domains/sms/models/v1/response/recipient_delivery_report.py`.
        page("https://github.com/sinch/sinch-sdk-python"),
        // The kinds of report (`DeliveryReportType`) and the codes 400 to 418 (`DeliveryReceiptStatusCode`).
        page("https://github.com/sinch/sinch-sdk-java"),
        page("https://developers.sinch.com/docs/sms/api-reference/status-codes/"),
        page("https://developers.sinch.com/docs/sms/api-reference/sms/tag/Delivery-reports/"),
        page("https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks/"),
        page("https://developers.sinch.com/docs/sms/smpp/error-codes/"),
        // The signature's headers and what is signed.
        page("https://developers.sinch.com/docs/conversation/callbacks/"),
    ],
};

/// The one algorithm that Sinch signs with (the Conversation API's page on callbacks, read 2026-11-27). Sinch's .NET library
/// also takes SHA-384 and SHA-512; an algorithm that the caller may choose is one more thing to get wrong.
const ALGORITHM: &str = "HmacSHA256";
/// After how many milliseconds a send that met the rate limit is tried again. Sinch names no time: *unconfirmed*.
const RATE_LIMITED_MS: u32 = 1_000;

/// What is configured for one sender.
#[derive(Clone, Debug)]
pub struct SinchConfig {
    /// `https://eu.sms.api.sinch.com`, another region, or a stand-in.
    pub base_url: String,
    /// The service plan that is sent from.
    pub service_plan_id: String,
    /// The service plan's API token.
    pub api_token: Secret,
    /// What the phone shows: a number of the plan, a short code or an alphanumeric sender id.
    pub from: String,
    /// The public address of our hook for this sender; `None`: Sinch is asked for no reports.
    pub callback_url: Option<String>,
    /// What Sinch signs callbacks with, where the account manager has switched that on.
    pub signing_secret: Option<Secret>,
    /// A secret of ours in the callback's address: 16 to 128 letters, digits, hyphens or underscores. At least one of the
    /// two secrets is needed, and what is configured is asked of every callback.
    pub address_secret: Option<Secret>,
}

/// One sender of a service plan.
pub struct Sinch {
    batches_url: String,
    authorization: HeaderValue,
    config: SinchConfig,
}

impl Sinch {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: SinchConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        let plan = &config.service_plan_id;
        let is_plan = !plan.is_empty() && plan.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        ensure(is_plan, "service_plan_id", "the service plan's id")?;
        ensure(!config.api_token.is_empty(), "api_token", "the service plan's API token")?;
        ensure(
            !config.from.is_empty(),
            "from",
            "a number of the plan, a short code or a sender id",
        )?;
        if let Some(url) = &config.callback_url {
            base_url("callback_url", url)?;
        }
        ensure(
            config.signing_secret.is_some() || config.address_secret.is_some(),
            "address_secret",
            "a secret of ours, or signing_secret: without either no callback can be believed",
        )?;
        if let Some(secret) = &config.signing_secret {
            ensure(
                !secret.is_empty(),
                "signing_secret",
                "what the account manager set callbacks to be signed with",
            )?;
        }
        if let Some(secret) = &config.address_secret {
            address_secret::ensure_usable("address_secret", secret)?;
        }
        let bearer = format!("Bearer {}", config.api_token.expose());
        let authorization = credential(&bearer, "api_token", "the service plan's API token, in ASCII")?;
        let batches_url = format!("{base}/xms/v1/{plan}/batches");
        Ok(Self {
            batches_url,
            authorization,
            config,
        })
    }

    /// Whether a hook carries everything that is configured to prove it.
    fn is_proven(&self, hook: &InboundHook) -> bool {
        let signed = self.config.signing_secret.as_ref().is_none_or(|key| is_signed(hook, key));
        let called = self
            .config
            .address_secret
            .as_ref()
            .is_none_or(|key| address_secret::is_proven(&hook.url, key));
        signed && called
    }
}

impl HttpProvider for Sinch {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let mut batch = json!({
            "from": self.config.from,
            "to": [message.to.expose()],
            "type": "mt_text",
            "client_reference": message.reference.to_string(),
        });
        if let Some(text) = sms_text(&message.content) {
            batch["body"] = json!(text);
        }
        // `expire_at` is a moment, and Sinch has no field for a length of time: this function has no clock to make one of the
        // other with, so that Sinch's own three days stand (`text_request.py`, read 2026-11-27). A late code has expired here.
        if let Some(url) = &self.config.callback_url {
            // One callback for each recipient's final status; `per_recipient` is one for every change.
            batch["delivery_report"] = json!("per_recipient_final");
            let secret = self.config.address_secret.as_ref();
            batch["callback_url"] = json!(address_secret::callback(url, Some(message.reference), secret));
        } else {
            batch["delivery_report"] = json!("none");
        }
        post_json(&self.batches_url, &self.authorization, &batch)
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
        let body: Value = serde_json::from_slice(&hook.body).map_err(|_| HookError::Malformed)?;
        // Reports about whole batches, about MMS, and inbound messages tell nothing about one of ours.
        if body["type"].as_str().ok_or(HookError::Malformed)? != "recipient_delivery_report_sms" {
            return Ok(Heard::default());
        }
        let id = body["batch_id"]
            .as_str()
            .filter(|id| is_message_id(id))
            .ok_or(HookError::Malformed)?;
        let status = body["status"].as_str().ok_or(HookError::Malformed)?;
        let reference = self.reference(hook, &body["client_reference"])?;
        let Some(kind) = told(status, number(&body["code"])) else {
            return Ok(Heard::default());
        };
        Ok(Heard::from(Receipt {
            reference,
            provider_message_id: id.into(),
            kind,
            at: None,
            billing: None,
            identity: None,
        }))
    }
}

impl Sinch {
    /// Whose message a report is about. The body's reference is signed and the address is not, so that the body decides, and
    /// an address that names another message was put together by somebody else. A plan's default callback address may be
    /// ours, too: then reports of other applications come here, with references of theirs.
    fn reference(&self, hook: &InboundHook, told: &Value) -> Result<Option<Reference>, HookError> {
        let addressed = address_secret::reference(&hook.url);
        let Some(told) = told.as_str() else {
            return Ok(addressed.filter(|_| self.config.address_secret.is_some()));
        };
        let told = Reference::parse(told).ok_or(HookError::Foreign)?;
        if addressed.is_some_and(|addressed| addressed != told) {
            return Err(HookError::Foreign);
        }
        Ok(Some(told))
    }
}

/// Whether Sinch signed this: base 64 of the keyed hash over body, nonce and time, with full stops between. How old the time
/// is cannot be asked without a clock, and need not be: the same report twice is one fact.
fn is_signed(hook: &InboundHook, key: &Secret) -> bool {
    let header = |name| signature::the_one(&hook.headers, name).map(HeaderValue::as_bytes);
    let (Some(told), Some(nonce), Some(timestamp), Some(algorithm)) = (
        header("x-sinch-webhook-signature"),
        header("x-sinch-webhook-signature-nonce"),
        header("x-sinch-webhook-signature-timestamp"),
        header("x-sinch-webhook-signature-algorithm"),
    ) else {
        return false;
    };
    let Ok(told) = BASE64.decode(told) else {
        return false;
    };
    let signed = [&hook.body[..], nonce, timestamp].join(&b'.');
    algorithm.eq_ignore_ascii_case(ALGORITHM.as_bytes()) && signature::is_hmac_sha256(key, &signed, &told)
}

/// What a 2xx answer means: a batch with an id that is not already canceled.
fn taken(body: &Value) -> SendOutcome {
    match body["id"].as_str().filter(|id| is_message_id(id)) {
        Some(_) if body["canceled"] == Value::Bool(true) => unclear("success was answered with a canceled batch"),
        Some(id) => SendOutcome::Accepted {
            provider_message_id: id.into(),
        },
        None => unclear("success was answered without a batch id"),
    }
}

/// What an error means: by its code where Sinch gives one, else by the statuses with which a server declines to process a
/// request at all. Only 400 and 403 have a code (the page on status codes, read 2026-11-27).
fn refused(status: StatusCode, body: &Value) -> SendOutcome {
    let words = body["text"].as_str().unwrap_or_default();
    let failure = match (status.as_u16(), body["code"].as_str()) {
        (429, _) => Failure::new(
            FailureClass::RetryHere {
                after_ms: RATE_LIMITED_MS,
            },
            "http_429",
            "too many requests at once",
        ),
        (401, _) => Failure::new(ACCOUNT, "http_401", "the API token is not valid for this service plan"),
        (400 | 403, Some(code)) => match ANSWERED.iter().find(|row| row.0 == code) {
            Some((code, class, meaning)) => Failure::new(*class, code, &meaning_and_words(meaning, words)),
            // Whatever stands where the code should: its words are hidden as any others are.
            None => Failure::new(NEXT, &for_people(code), &for_people(words)),
        },
        (403, None) => without_envelope(status, ACCOUNT),
        (404 | 405 | 410, _) => without_envelope(status, FailureClass::TripBreaker(TripScope::Sender)),
        (400 | 411 | 413 | 414 | 415 | 422 | 431, _) => without_envelope(status, OURS),
        (other, _) => return unclear(&format!("HTTP {other}")),
    };
    answer::refused(failure)
}

fn without_envelope(status: StatusCode, class: FailureClass) -> Failure {
    let detail = "refused without an error code of Sinch's: are base_url and service_plan_id right, and no proxy in between?";
    answer::by_status(status, class, detail)
}

/// What a report tells; `None` for what is not news. Sinch's libraries spell the words in two ways, `Delivered` and
/// `DELIVERED`.
fn told(status: &str, code: Option<u32>) -> Option<ReceiptKind> {
    let status = status.to_ascii_lowercase();
    match status.as_str() {
        // `Unknown` is final, and says that the operator has it and that nothing more will be heard.
        "dispatched" | "unknown" => Some(ReceiptKind::Sent),
        "delivered" => Some(ReceiptKind::Delivered),
        "aborted" | "cancelled" | "rejected" | "deleted" | "failed" | "expired" => {
            Some(ReceiptKind::Failed(reported(&status, code)))
        }
        // `Queued` tells nothing that the answer has not; what Sinch adds one day tells nothing yet.
        _ => None,
    }
}

/// The failure that a report tells. A code that is not in the table says nothing about the next message.
fn reported(status: &str, code: Option<u32>) -> Failure {
    // 0 is "no error, or an unknown one", 400 and 401 are on the way: none of them is a reason.
    let Some(code) = code.filter(|code| !matches!(code, 0 | 400 | 401)) else {
        return Failure::new(NEXT, status, "Sinch told no reason");
    };
    let (class, meaning) = REPORTED
        .iter()
        .find(|row| row.0 == code)
        .map_or((NEXT, "an error that is not in our table"), |row| (row.1, row.2));
    Failure::new(class, &code.to_string(), meaning)
}

const NEXT: FailureClass = FailureClass::NextRoute;
const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
const UNREACHABLE: FailureClass = FailureClass::Unreachable;
const OURS: FailureClass = FailureClass::OurMistake;

/// The codes of answers, from the page on status codes (read 2026-11-27); what to do about each is ours.
const ANSWERED: &[(&str, FailureClass, &str)] = &[
    (
        "missing_callback_url",
        OURS,
        "a report was asked for without an address for it",
    ),
    (
        "syntax_constraint_violation",
        OURS,
        "a field is missing, or out of its bounds",
    ),
    ("syntax_invalid_json", OURS, "the request is not what the API takes"),
    ("syntax_invalid_parameter_format", OURS, "a field is not in its format"),
    ("unknown_campaign", SENDER, "the campaign does not match the sender"),
    ("unknown_group", OURS, "there is no such group"),
];

/// The codes of reports, by number; what to do about each is ours. Those from 400 are the REST API's own
/// (`DeliveryReceiptStatusCode` of Sinch's Java library), those below are the networks' (Sinch's page on SMPP error codes, both
/// read 2026-11-27): of these only what is more than "next route" or what people may want explained.
const REPORTED: &[(u32, FailureClass, &str)] = &[
    (60, SENDER, "the sender is blocked"),
    (61, NEXT, "the recipient's number is blocked"),
    (62, NEXT, "a word of the text is blocked"),
    (64, NEXT, "blocked because a quota is used up"),
    (100, UNREACHABLE, "the subscriber is unidentified"),
    (150, UNREACHABLE, "the subscriber is unknown"),
    (151, NEXT, "the subscriber is barred"),
    (152, UNREACHABLE, "the subscriber has no SMS"),
    (153, NEXT, "the subscriber is absent"),
    (158, NEXT, "the handset's memory is full"),
    (159, NEXT, "the handset is not reachable"),
    (201, NEXT, "the subscriber is absent"),
    (202, NEXT, "the subscriber does not answer"),
    (205, NEXT, "the subscriber failed to authenticate"),
    (210, NEXT, "the handset's memory is full"),
    (300, NEXT, "the recipient's number is not valid"),
    (310, SENDER, "the sender is not valid"),
    (311, SENDER, "the sender's numbering plan is not valid"),
    (312, SENDER, "the sender's type of number is not valid"),
    (343, OURS, "the text has a length that is not allowed"),
    (360, NEXT, "the network's queue is full"),
    (402, NEXT, "no route leads to the recipient"),
    (403, NEXT, "an error at Sinch"),
    (404, NEXT, "a temporary failure"),
    (405, OURS, "a parameter of the text has no value"),
    (406, NEXT, "expired before it left Sinch"),
    (407, NEXT, "cancelled before it left Sinch"),
    (408, NEXT, "the network rejected it"),
    (410, OURS, "there is no sender"),
    (411, OURS, "the text has more parts than allowed"),
    (
        412,
        FailureClass::TripBreaker(TripScope::Country),
        "the account has not been set up for this region",
    ),
    (413, ACCOUNT, "the account is blocked, or out of credit"),
    (414, OURS, "an MMS whose media cannot be had"),
    (415, NEXT, "an MMS that was rejected"),
    (416, NEXT, "an MMS that is not supported"),
    (417, NEXT, "an MMS whose recipient cannot be reached"),
    (418, NEXT, "an MMS that the handset does not recognize"),
];

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}

impl fmt::Debug for Sinch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sinch")
            .field("service_plan_id", &self.config.service_plan_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
