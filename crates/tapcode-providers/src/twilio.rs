//! How is an SMS sent over Twilio? The Messages API out, signed status callbacks in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;
use tapcode_core::delivery::{Failure, FailureClass, PROVIDER_MESSAGE_ID_MAX, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{
    Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Source,
};

use crate::answer::{number, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::sms_text;
use crate::secret::Secret;
use crate::vendor_text::for_people;
use crate::{address_secret, answer, signature, twilio_errors};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-22" }
}

/// What Twilio is.
pub static MANIFEST: Manifest = Manifest {
    id: "twilio",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: false,
    sources: &[
        page("https://github.com/twilio/twilio-oai/blob/main/spec/json/twilio_api_v2010.json"),
        page("https://www.twilio.com/docs/messaging/api/message-resource"),
        page("https://www.twilio.com/docs/usage/webhooks/webhooks-security"),
        page("https://github.com/twilio/twilio-python/blob/main/twilio/request_validator.py"),
        twilio_errors::SOURCE,
    ],
};

/// Bounds of `ValidityPeriod`, in seconds (Twilio's OpenAPI document, 2.6.7 of 2026-04-14).
const VALIDITY_S: std::ops::RangeInclusive<u64> = 1..=36_000;
/// Most parameters of a callback that are looked at; Twilio sends about a dozen.
const PARAMETERS_MAX: usize = 100;

/// Who a message is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A number in E.164, or an alphanumeric sender id.
    Sender(String),
    /// A messaging service, which picks the sender: `MG…`.
    MessagingService(String),
}

/// Credentials for requests that can be withdrawn without changing the account's token.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// `SK…`: the user of Basic authentication.
    pub sid: String,
    /// Its secret: the password.
    pub secret: Secret,
}

/// What is configured for one number.
#[derive(Clone, Debug)]
pub struct TwilioConfig {
    /// `https://api.twilio.com`, or a stand-in.
    pub base_url: String,
    /// `AC…`.
    pub account_sid: String,
    /// The account's token: callbacks are signed with it, and requests carry it where there is no `api_key`.
    pub auth_token: Secret,
    /// What requests carry in place of the account and its token; callbacks stay signed with the token.
    pub api_key: Option<ApiKey>,
    /// Who messages are from.
    pub from: From,
    /// The public address of our hook for this number; `None`: Twilio is asked for no callbacks.
    pub callback_url: Option<String>,
}

/// One number, or one messaging service.
pub struct Twilio {
    messages_url: String,
    authorization: HeaderValue,
    config: TwilioConfig,
}

impl Twilio {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: TwilioConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        let is_sid = config.account_sid.starts_with("AC") && config.account_sid.bytes().all(|c| c.is_ascii_alphanumeric());
        ensure(is_sid, "account_sid", "an account's SID, which starts with AC")?;
        ensure(
            !config.auth_token.is_empty(),
            "auth_token",
            "the account's token: without it no callback can be believed",
        )?;
        if let Some(key) = &config.api_key {
            // A colon in the user would move the border to the password.
            let is_key = key.sid.starts_with("SK") && key.sid.bytes().all(|c| c.is_ascii_alphanumeric());
            ensure(is_key, "api_key_sid", "an API key's SID, which starts with SK")?;
            ensure(!key.secret.is_empty(), "api_key_secret", "the API key's secret")?;
        }
        if let Some(url) = &config.callback_url {
            base_url("callback_url", url)?;
        }
        match &config.from {
            From::Sender(sender) => ensure(
                !sender.is_empty(),
                "number",
                "a number of the account in E.164, or a sender id",
            )?,
            From::MessagingService(sid) => ensure(sid.starts_with("MG"), "messaging_service_sid", "a SID that starts with MG")?,
        }
        let (user, password) = match &config.api_key {
            Some(key) => (&key.sid, &key.secret),
            None => (&config.account_sid, &config.auth_token),
        };
        let credentials = BASE64.encode(format!("{user}:{}", password.expose()));
        let mut authorization =
            HeaderValue::from_str(&format!("Basic {credentials}")).expect("base 64 is ASCII without line breaks");
        authorization.set_sensitive(true);
        let messages_url = format!("{base}/2010-04-01/Accounts/{}/Messages.json", config.account_sid);
        Ok(Self {
            messages_url,
            authorization,
            config,
        })
    }
}

impl HttpProvider for Twilio {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("To", message.to.expose());
        match &self.config.from {
            From::Sender(sender) => form.append_pair("From", sender),
            From::MessagingService(sid) => form.append_pair("MessagingServiceSid", sid),
        };
        if let Some(text) = sms_text(&message.content) {
            form.append_pair("Body", text);
        }
        if let Some(url) = &self.config.callback_url {
            let callback = address_secret::callback(url, Some(message.reference), None);
            form.append_pair("StatusCallback", &callback);
        }
        let validity_s = (message.useful_ms / 1_000).clamp(*VALIDITY_S.start(), *VALIDITY_S.end());
        form.append_pair("ValidityPeriod", &validity_s.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        HttpRequest {
            method: Method::POST,
            url: self.messages_url.clone(),
            headers,
            body: form.finish().into_bytes(),
        }
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
        let header = signature::the_one(&hook.headers, "x-twilio-signature").ok_or(HookError::Signature)?;
        let signature = BASE64.decode(header.as_bytes()).map_err(|_| HookError::Signature)?;
        let mut parameters = BTreeMap::<String, BTreeSet<String>>::new();
        for (at, (name, value)) in form_urlencoded::parse(&hook.body).enumerate() {
            if at >= PARAMETERS_MAX {
                return Err(HookError::Signature);
            }
            parameters.entry(name.into_owned()).or_default().insert(value.into_owned());
        }
        let signed: String = parameters
            .iter()
            .flat_map(|(name, values)| values.iter().flat_map(move |v| [&**name, &**v]))
            .collect();
        let is_right =
            |url: &str| signature::is_hmac_sha1(&self.config.auth_token, format!("{url}{signed}").as_bytes(), &signature);
        // Twilio signs with or without the port that the scheme implies, depending on the product.
        if !is_right(&hook.url) && !other_spelling(&hook.url).is_some_and(|url| is_right(&url)) {
            return Err(HookError::Signature);
        }
        let the_one = |name: &str| {
            let values = parameters.get(name)?;
            values.first().filter(|value| values.len() == 1 && !value.is_empty())
        };
        if the_one("AccountSid") != Some(&self.config.account_sid) {
            return Err(HookError::Foreign);
        }
        let id = the_one("MessageSid")
            .filter(|id| id.len() <= PROVIDER_MESSAGE_ID_MAX)
            .ok_or(HookError::Malformed)?;
        let status = the_one("MessageStatus").ok_or(HookError::Malformed)?;
        let code = the_one("ErrorCode").and_then(|code| code.parse::<u32>().ok());
        let kind = match status.as_str() {
            "sent" => ReceiptKind::Sent,
            "delivered" => ReceiptKind::Delivered,
            "read" => ReceiptKind::Read,
            "undelivered" | "failed" | "canceled" => ReceiptKind::Failed(code.map_or_else(
                || Failure::new(FailureClass::NextRoute, status, "Twilio told no reason"),
                twilio_errors::reported,
            )),
            // `accepted`, `scheduled`, `queued` and `sending` tell nothing that the answer has not; inbound messages and
            // what Twilio adds one day tell nothing about a delivery.
            _ => return Ok(Heard::default()),
        };
        Ok(Heard::from(Receipt {
            reference: address_secret::reference(&hook.url),
            provider_message_id: id.as_str().into(),
            kind,
            at: None,
            billing: None,
            identity: None,
        }))
    }
}

/// What a 2xx answer means: the message's status tells.
fn taken(body: &Value) -> SendOutcome {
    let Some(id) = body["sid"].as_str().filter(|id| is_message_sid(id)) else {
        return unclear("success was answered without a message SID");
    };
    match body["status"].as_str().unwrap_or_default() {
        "accepted" | "scheduled" | "queued" | "sending" | "sent" | "delivered" | "read" => SendOutcome::Accepted {
            provider_message_id: id.into(),
        },
        status @ ("undelivered" | "failed" | "canceled") => {
            let code = number(&body["error_code"]);
            let failure = code.map_or_else(
                || Failure::new(FailureClass::NextRoute, status, "Twilio told no reason"),
                twilio_errors::reported,
            );
            SendOutcome::Failed {
                failure,
                provider_message_id: Some(id.into()),
            }
        }
        _ => unclear("success was answered with a message status that is not documented"),
    }
}

/// What an error means: by its code where Twilio gives one, else by the statuses with which a server declines to process a
/// request at all.
fn refused(status: StatusCode, body: &Value) -> SendOutcome {
    let words = body["message"].as_str().unwrap_or_default();
    let code = number(&body["code"]);
    let failure = match (status.as_u16(), code) {
        // A code in a 5xx does not say that nothing was sent.
        (429, _) => Failure::new(
            FailureClass::RetryHere {
                after_ms: twilio_errors::RATE_LIMITED_MS,
            },
            &code.unwrap_or(20_429).to_string(),
            "too many requests at once",
        ),
        (400..=499, Some(code)) => twilio_errors::answered(code, words)
            .unwrap_or_else(|| Failure::new(FailureClass::NextRoute, &code.to_string(), &for_people(words))),
        (401 | 403 | 404 | 405 | 410, None) => without_envelope(status, FailureClass::TripBreaker(TripScope::Sender)),
        (400 | 411 | 413 | 414 | 415 | 422 | 431, None) => without_envelope(status, FailureClass::OurMistake),
        (other, _) => return unclear(&format!("HTTP {other}")),
    };
    answer::refused(failure)
}

fn without_envelope(status: StatusCode, class: FailureClass) -> Failure {
    let detail = "refused without an error of Twilio's: is base_url right, and no proxy in between?";
    answer::by_status(status, class, detail)
}

/// `SM` or `MM` and 32 hexadecimal digits (Twilio's OpenAPI document).
fn is_message_sid(id: &str) -> bool {
    let digits = id.strip_prefix("SM").or_else(|| id.strip_prefix("MM")).unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit())
}

/// The same address with the scheme's own port where it has none, and without it where it has.
fn other_spelling(url: &str) -> Option<String> {
    let (scheme, port) = if url.starts_with("https://") {
        ("https://", ":443")
    } else {
        ("http://", ":80")
    };
    let rest = url.strip_prefix(scheme)?;
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    match host.strip_suffix(port) {
        Some(bare) => Some(format!("{scheme}{bare}{path}")),
        // Behind the brackets of an IPv6 address, or in a name, a colon is a port that means something else.
        None if host.rsplit(']').next().unwrap_or(host).contains(':') => None,
        None => Some(format!("{scheme}{host}{port}{path}")),
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio")
            .field("account_sid", &self.config.account_sid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
