//! How is an SMS sent over Infobip? One message over version 3 of its SMS API out, delivery reports with the price in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::money::{Currency, Money};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Billing, Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference,
    Source,
};

use crate::answer::{self, is_message_id, micros, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::infobip_errors::{of_error, of_status};
use crate::request::{credential, post_json, sms_text};
use crate::secret::Secret;
use crate::vendor_text::{for_people, meaning_and_words};
use crate::{address_secret, signature};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-27" }
}

/// What Infobip is.
pub static MANIFEST: Manifest = Manifest {
    id: "infobip",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: false,
    sources: &[
        // The request (`models/sms_message.py` and those around it), its answer, and the report (`tests/test_sms_api.py`): version
        // 3 of the API. `/sms/2/text/advanced`, with `notifyUrl`, is the one before it.
        page("https://github.com/infobip/infobip-api-python-client"),
        // What an error looks like (`ApiErrorResponsesTest.java`, `ApiExceptionDetailsResolver.java`).
        page("https://github.com/infobip/infobip-api-java-client"),
        page("https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes"),
        // `DELIVERED_TO_OPERATOR` is on the way, though its group is called delivered.
        page("https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes"),
        // Basic credentials are of subscriptions.
        page("https://infobip.com/docs/api/platform/subscriptions-api/create-security-settings"),
    ],
};

/// Most reports of one call that are taken: ten times what Infobip puts into one unless told otherwise.
const REPORTS_MAX: usize = 1_000;
/// After how many milliseconds a send that met the rate limit is tried again. Infobip names no time: *unconfirmed*.
const RATE_LIMITED_MS: u32 = 1_000;
/// Where numbers of India's numbering plan begin.
const INDIA: &str = "+91";

/// Basic credentials with which Infobip calls the address of a subscription.
#[derive(Clone, Debug)]
pub struct BasicCredentials {
    /// The name, without a colon.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// What India's DLT wants to know of every message to India.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndiaDlt {
    /// The principal entity.
    pub principal_entity_id: String,
    /// The registered template that the service's text is.
    pub content_template_id: Option<String>,
    /// The telemarketer, for aggregators.
    pub telemarketer_id: Option<String>,
}

/// What is configured for one sender.
#[derive(Clone, Debug)]
pub struct InfobipConfig {
    /// The account's own address, `https://….api.infobip.com`, or a stand-in.
    pub base_url: String,
    /// The API key.
    pub api_key: Secret,
    /// What the phone shows: a number, a short code or an alphanumeric sender id.
    pub from: String,
    /// The public address of our hook for this sender.
    pub callback_url: String,
    /// A secret of ours in the address: 16 to 128 letters, digits, hyphens or underscores. At least one of the two is needed,
    /// and what is configured is asked of every report.
    pub callback_secret: Option<Secret>,
    /// The credentials of a subscription that sends this sender's reports to our address. Where they are given, messages name
    /// no address: Infobip would call it without them.
    pub callback_credentials: Option<BasicCredentials>,
    /// For numbers in India.
    pub india_dlt: Option<IndiaDlt>,
}

/// One sender of an account.
pub struct Infobip {
    messages_url: String,
    authorization: HeaderValue,
    config: InfobipConfig,
}

impl Infobip {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: InfobipConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        ensure(!config.api_key.is_empty(), "api_key", "an API key of the account's")?;
        ensure(
            !config.from.is_empty(),
            "from",
            "a number of the account, a short code or a sender id",
        )?;
        base_url("callback_url", &config.callback_url)?;
        ensure(
            config.callback_secret.is_some() || config.callback_credentials.is_some(),
            "callback_secret",
            "a secret of ours, or basic credentials: without either no report can be believed",
        )?;
        if let Some(secret) = &config.callback_secret {
            address_secret::ensure_usable("callback_secret", secret)?;
        }
        if let Some(BasicCredentials { username, password }) = &config.callback_credentials {
            let is_name = !username.is_empty() && !username.contains(':');
            ensure(is_name, "callback_username", "a name without a colon")?;
            ensure(!password.is_empty(), "callback_password", "the password of that name")?;
        }
        if let Some(dlt) = &config.india_dlt {
            ensure(
                !dlt.principal_entity_id.is_empty(),
                "dlt_principal_entity_id",
                "the principal entity's id",
            )?;
        }
        let api_key = format!("App {}", config.api_key.expose());
        let authorization = credential(&api_key, "api_key", "an API key of the account's, in ASCII")?;
        Ok(Self {
            messages_url: format!("{base}/sms/3/messages"),
            authorization,
            config,
        })
    }

    /// Whether a hook carries everything that is configured to prove it.
    fn is_proven(&self, hook: &InboundHook) -> bool {
        let InfobipConfig {
            callback_secret,
            callback_credentials,
            ..
        } = &self.config;
        let called = callback_secret
            .as_ref()
            .is_none_or(|secret| address_secret::is_proven(&hook.url, secret));
        called
            && callback_credentials
                .as_ref()
                .is_none_or(|credentials| credentials.are_in(hook))
    }
}

impl BasicCredentials {
    /// Whether a call carries them (RFC 7617, read 2026-11-27), once. Compared in constant time.
    fn are_in(&self, hook: &InboundHook) -> bool {
        let pair = format!("{}:{}", self.username, self.password.expose());
        let right = format!("Basic {}", BASE64.encode(pair));
        let told = signature::the_one(&hook.headers, AUTHORIZATION.as_str());
        told.is_some_and(|told| told.as_bytes().ct_eq(right.as_bytes()).into())
    }
}

impl HttpProvider for Infobip {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let mut sms = json!({
            "sender": self.config.from,
            "destinations": [{ "to": message.to.expose().trim_start_matches('+') }],
            "content": {},
            "options": { "validityPeriod": { "amount": (message.useful_ms / 1_000).max(1), "timeUnit": "SECONDS" } },
            "webhooks": { "contentType": "application/json", "callbackData": message.reference.to_string() },
        });
        if let Some(text) = sms_text(&message.content) {
            sms["content"]["text"] = json!(text);
        }
        if let Some(dlt) = self
            .config
            .india_dlt
            .as_ref()
            .filter(|_| message.to.expose().starts_with(INDIA))
        {
            let told = &mut sms["options"]["regional"]["indiaDlt"];
            told["principalEntityId"] = json!(dlt.principal_entity_id);
            for (name, id) in [
                ("contentTemplateId", &dlt.content_template_id),
                ("telemarketerId", &dlt.telemarketer_id),
            ] {
                if let Some(id) = id {
                    told[name] = json!(id);
                }
            }
        }
        if self.config.callback_credentials.is_none() {
            // Without our reference in it: Infobip puts the reports for one address together.
            let secret = self.config.callback_secret.as_ref();
            let url = address_secret::callback(&self.config.callback_url, None, secret);
            sms["webhooks"]["delivery"] = json!({ "url": url });
        }
        post_json(&self.messages_url, &self.authorization, &json!({ "messages": [sms] }))
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
        let reports = body["results"].as_array().ok_or(HookError::Malformed)?;
        if reports.len() > REPORTS_MAX {
            return Err(HookError::Malformed);
        }
        // A subscription hears of everything that the account sends: what is another's, or cannot be read, takes none of ours
        // with it. Only a call without anything else is refused for it.
        let read: Vec<Result<Option<Receipt>, HookError>> = reports.iter().map(receipt).collect();
        match read.first() {
            Some(Err(error)) if read.iter().all(Result::is_err) => Err(*error),
            _ => Ok(Heard {
                receipts: read.into_iter().flatten().flatten().collect(),
                news: Vec::new(),
            }),
        }
    }
}

/// One report; `None` for what is not news.
fn receipt(report: &Value) -> Result<Option<Receipt>, HookError> {
    let id = report["messageId"]
        .as_str()
        .filter(|id| is_message_id(id))
        .ok_or(HookError::Malformed)?;
    let group = report["status"]["groupName"].as_str().ok_or(HookError::Malformed)?;
    // What we sent comes back with every report. Where it is missing the id is enough to find the message, if it is ours.
    let reference = match report["callbackData"].as_str() {
        Some(told) => Some(Reference::parse(told).ok_or(HookError::Foreign)?),
        None => None,
    };
    let status = report["status"]["name"].as_str().unwrap_or_default();
    let kind = match (group, status) {
        ("DELIVERED", "DELIVERED_TO_OPERATOR") | ("PENDING", "PENDING_ENROUTE" | "PENDING_WAITING_DELIVERY") => ReceiptKind::Sent,
        ("DELIVERED", _) => ReceiptKind::Delivered,
        ("UNDELIVERABLE" | "EXPIRED" | "REJECTED", _) => ReceiptKind::Failed(failure(&report["status"], &report["error"])),
        // Accepted is no news, and what Infobip adds one day tells nothing yet.
        _ => return Ok(None),
    };
    Ok(Some(Receipt {
        reference,
        provider_message_id: id.into(),
        kind,
        at: None,
        billing: price(report).map(Billing::Amount),
        identity: None,
    }))
}

/// What a 2xx answer means. Infobip takes a request and tells of its only message whether it is on its way.
fn taken(body: &Value) -> SendOutcome {
    let Some([message]) = body["messages"].as_array().map(Vec::as_slice) else {
        return unclear("success was answered without one message");
    };
    match message["status"]["groupName"].as_str() {
        Some("ACCEPTED" | "PENDING" | "DELIVERED") => match message["messageId"].as_str().filter(|id| is_message_id(id)) {
            Some(id) => SendOutcome::Accepted {
                provider_message_id: id.into(),
            },
            None => unclear("success was answered without an id"),
        },
        Some("REJECTED" | "UNDELIVERABLE") => answer::refused(failure(&message["status"], &message["error"])),
        _ => unclear("success was answered without a status that says so"),
    }
}

/// The failure of a message: by its error where that says more, else by its status.
fn failure(status: &Value, error: &Value) -> Failure {
    let named = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let (error_name, status_name) = (named(error), named(status));
    if let Some((name, class, meaning)) = of_error(&error_name).or_else(|| of_status(&status_name)) {
        return Failure::new(*class, more_exact(name, &error_name), meaning);
    }
    let name = more_exact(&status_name, &error_name);
    let words = error["description"].as_str().or(status["description"].as_str());
    Failure::new(FailureClass::NextRoute, name, &for_people(words.unwrap_or_default()))
}

/// The name of an error where there is one, else of a status. Neither is repeated unless it is one: they come from outside.
fn more_exact<'a>(status: &'a str, error: &'a str) -> &'a str {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_');
    match (error != "NO_ERROR" && is_name(error), is_name(status)) {
        (true, _) => error,
        (false, true) => status,
        (false, false) => "failed",
    }
}

/// What an error status means. The envelope says more to people than to us: its codes are HTTP's own.
fn refused(status: StatusCode, body: &Value) -> SendOutcome {
    let violation = body["violations"][0]["property"].as_str().unwrap_or_default();
    let (class, meaning) = match status.as_u16() {
        429 => {
            let class = FailureClass::RetryHere {
                after_ms: RATE_LIMITED_MS,
            };
            (class, "too many requests at once")
        }
        401 => (ACCOUNT, "the API key is not valid for this address"),
        402 | 403 => (ACCOUNT, "the account or its API key may not send SMS"),
        404 | 405 | 410 => (SENDER, "there is no such thing at this address: is base_url right?"),
        400 | 422 if violation.contains("destinations") => (FailureClass::NextRoute, "no SMS can be sent to this number"),
        400 | 422 if violation.contains("sender") => (SENDER, "the sender is not valid"),
        400 | 411 | 413 | 414 | 415 | 422 | 431 => (FailureClass::OurMistake, "the request is not what the API takes"),
        other => return unclear(&format!("HTTP {other}")),
    };
    let exception = &body["requestError"]["serviceException"];
    let words = body["description"].as_str().or(exception["text"].as_str());
    answer::refused(answer::by_status(
        status,
        class,
        &meaning_and_words(meaning, words.unwrap_or_default()),
    ))
}

const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);

/// What a message costs: the price of one part, as often as there are parts. `None` unless all of it is there and exact.
fn price(report: &Value) -> Option<Money> {
    let price = &report["price"];
    let currency = Currency::parse(price["currency"].as_str()?)?;
    let of_one = micros(&price["pricePerMessage"].as_number()?.to_string())?;
    let parts = i64::try_from(report["messageCount"].as_u64()?).ok()?;
    Some(Money {
        amount_micros: of_one.checked_mul(parts)?,
        currency,
    })
}

impl fmt::Debug for Infobip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Infobip").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
