//! How is WhatsApp spoken to over Meta's Cloud API? Authentication templates out, statuses in.
//!
//! A send call only ever says that Meta has the message; whether it arrives is told by webhook, or never. So nothing here
//! takes an acceptance for a delivery, and nothing but a documented answer for an acceptance.

use std::fmt;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tapcode_core::delivery::{
    Failure, FailureClass, PROVIDER_MESSAGE_ID_MAX, ReceiptKind, SendOutcome,
};
use tapcode_core::plan::Channel;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::provider::{
    Content, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message,
    Receipt, Reference, Source,
};

use crate::config_error::{ConfigError, base_url, ensure};
use crate::secret::Secret;
use crate::vendor_text::for_people;
use crate::whatsapp_languages::meta_code;
use crate::{signature, whatsapp_errors};

const fn page(url: &'static str) -> Source {
    Source {
        url,
        read: "2026-11-22",
    }
}

/// What the Cloud API is.
pub static MANIFEST: Manifest = Manifest {
    id: "whatsapp_cloud",
    channels: &[Channel::Whatsapp],
    receipts: true,
    sources: &[
        page(
            "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates",
        ),
        page(
            "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/portfolio-pacing",
        ),
        page(
            "https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint",
        ),
        page(
            "https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status",
        ),
        whatsapp_errors::SOURCE,
    ],
};

/// The language of a template where neither the configuration nor the locale names one that Meta has.
pub const DEFAULT_LANGUAGE: &str = "en";
/// Most statuses of one hook that are looked at. Meta sends up to 1,000 updates at once; the rest is room for growth.
pub const UPDATES_MAX: usize = 4_000;
/// Longest challenge of a handshake, in bytes: Meta's are some ten digits.
pub const CHALLENGE_MAX: usize = 128;
/// After how many milliseconds a 429 without Meta's own code may be tried again.
const RATE_LIMITED_MS: u32 = 1_000;
/// Milliseconds of a second: Meta's timestamps are whole seconds.
const SECOND_MS: i64 = 1_000;

/// What is configured for one business phone number.
#[derive(Clone, Debug)]
pub struct WhatsappCloudConfig {
    /// `https://graph.facebook.com`, or a stand-in.
    pub base_url: String,
    /// `v25.0`.
    pub api_version: String,
    /// The WhatsApp business account's id.
    pub waba_id: String,
    /// The business phone number's id.
    pub phone_number_id: String,
    /// A system user's token.
    pub access_token: Secret,
    /// The app's secret: webhooks are signed with it.
    pub app_secret: Secret,
    /// The word that the handshake must know.
    pub verify_token: Secret,
    /// The authentication template's name.
    pub template: String,
    /// Meta's codes of the languages in which the template is approved; empty: in all that Meta has.
    pub template_languages: Vec<String>,
    /// The language where the template has none for a locale; `None`: the first approved one, else English.
    pub default_language: Option<String>,
    /// Whether requests carry `appsecret_proof`, which an app can be set to require. From memory of the Graph API's
    /// general pages, not confirmed for the Cloud API; off unless asked for.
    pub appsecret_proof: bool,
}

/// One business phone number.
pub struct WhatsappCloud {
    messages_url: String,
    authorization: HeaderValue,
    default_language: String,
    config: WhatsappCloudConfig,
}

impl WhatsappCloud {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: WhatsappCloudConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        let version = config.api_version.strip_prefix('v').unwrap_or_default();
        let is_version =
            !version.is_empty() && version.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        ensure(
            is_version,
            "api_version",
            "a version of the Graph API, such as v25.0",
        )?;
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|c| c.is_ascii_alphanumeric());
        ensure(
            is_id(&config.waba_id),
            "waba_id",
            "the id of the WhatsApp business account, digits",
        )?;
        ensure(
            is_id(&config.phone_number_id),
            "phone_number_id",
            "the id of the business phone number, digits",
        )?;
        ensure(
            !config.app_secret.is_empty(),
            "app_secret",
            "the app's secret: without it no webhook can be believed",
        )?;
        ensure(
            !config.verify_token.is_empty(),
            "verify_token",
            "a word of your own, the one entered at Meta",
        )?;
        let is_name = |name: &str| {
            (1..=512).contains(&name.len())
                && name
                    .bytes()
                    .all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        ensure(
            is_name(&config.template),
            "template",
            "a template's name: small letters, digits and underscores",
        )?;
        let no_token = ConfigError {
            key: "access_token",
            remedy: "a system user's token, without line breaks",
        };
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", config.access_token.expose()))
                .map_err(|_| no_token)?;
        authorization.set_sensitive(true);
        ensure(
            !config.access_token.is_empty(),
            no_token.key,
            no_token.remedy,
        )?;
        let first = config
            .template_languages
            .first()
            .map_or(DEFAULT_LANGUAGE, String::as_str);
        let default_language = config
            .default_language
            .clone()
            .unwrap_or_else(|| first.to_owned());
        let is_approved = config.template_languages.is_empty()
            || config.template_languages.contains(&default_language);
        ensure(is_approved, "default_language", "one of template_languages")?;
        let mut messages_url = format!(
            "{base}/{}/{}/messages",
            config.api_version, config.phone_number_id
        );
        if config.appsecret_proof {
            let proof = signature::hmac_sha256_hex(
                &config.app_secret,
                config.access_token.expose().as_bytes(),
            );
            messages_url.push_str("?appsecret_proof=");
            messages_url.push_str(&proof);
        }
        Ok(Self {
            messages_url,
            authorization,
            default_language,
            config,
        })
    }

    fn content(&self, content: &Content) -> (&'static str, Value) {
        match content {
            Content::Code { code, locale, .. } => {
                let language = meta_code(
                    locale,
                    &self.config.template_languages,
                    &self.default_language,
                );
                // Meta wants the code twice, in the body and for the button, and reports the OTP button as a URL button.
                let parameters = json!([{ "type": "text", "text": code.expose() }]);
                let template = json!({
                    "name": self.config.template,
                    "language": { "code": language },
                    "components": [
                        { "type": "body", "parameters": parameters },
                        { "type": "button", "sub_type": "url", "index": "0", "parameters": parameters },
                    ],
                });
                ("template", template)
            }
            Content::Template {
                name,
                language,
                components,
            } => {
                // The server has read these components before; were they not JSON, Meta would refuse the empty list.
                let components: Value =
                    serde_json::from_str(components).unwrap_or_else(|_| json!([]));
                (
                    "template",
                    json!({ "name": name, "language": { "code": language }, "components": components }),
                )
            }
            Content::Text(text) => ("text", json!({ "body": text })),
        }
    }
}

impl HttpProvider for WhatsappCloud {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let (kind, content) = self.content(&message.content);
        // `to` keeps its plus sign: without it Meta may put the business's own country code in front.
        let body = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to.expose(),
            "biz_opaque_callback_data": message.reference.to_string(),
            "type": kind,
            kind: content,
        });
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        HttpRequest {
            method: Method::POST,
            url: self.messages_url.clone(),
            headers,
            body: body.to_string().into_bytes(),
        }
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status.is_success() {
            return taken(&body);
        }
        let error = &body["error"];
        match number(&error["code"]) {
            Some(code) => refused(response.status, code, error),
            None => refused_without_envelope(response.status),
        }
    }

    fn receipts(&self, hook: &InboundHook) -> Result<Vec<Receipt>, HookError> {
        let header =
            signature::the_one(&hook.headers, "x-hub-signature-256").ok_or(HookError::Signature)?;
        let hex = header
            .as_bytes()
            .strip_prefix(b"sha256=")
            .ok_or(HookError::Signature)?;
        let signature = signature::sha256_from_hex(hex).ok_or(HookError::Signature)?;
        if !signature::is_hmac_sha256(&self.config.app_secret, &hook.body, &signature) {
            return Err(HookError::Signature);
        }
        let body: Value = serde_json::from_slice(&hook.body).map_err(|_| HookError::Malformed)?;
        let entries = body["entry"].as_array().ok_or(HookError::Malformed)?;
        let mut receipts = Vec::new();
        let (mut ours, mut foreign) = (false, false);
        for entry in entries {
            let account = text(&entry["id"]);
            for change in list(&entry["changes"]) {
                let value = &change["value"];
                match text(&value["metadata"]["phone_number_id"]) {
                    Some(id) if id == self.config.phone_number_id => {
                        ours = true;
                        let room = UPDATES_MAX.saturating_sub(receipts.len());
                        if list(&value["statuses"]).len() > room {
                            return Err(HookError::Malformed);
                        }
                        receipts.extend(list(&value["statuses"]).iter().filter_map(receipt));
                    }
                    // News of templates and of the account carries no phone number id, and no receipts.
                    None if account.as_ref() == Some(&self.config.waba_id) => ours = true,
                    _ => foreign = true,
                }
            }
        }
        if foreign && !ours {
            Err(HookError::Foreign)
        } else {
            Ok(receipts)
        }
    }

    fn handshake(&self, hook: &InboundHook) -> Result<String, HookError> {
        let query = hook.url.split_once('?').map_or("", |(_, query)| query);
        let the_one = |name: &str| {
            let mut values =
                form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            values
                .next()
                .filter(|_| values.next().is_none())
                .map(|(_, value)| value.into_owned())
        };
        let token = the_one("hub.verify_token").ok_or(HookError::Handshake)?;
        let known = token
            .as_bytes()
            .ct_eq(self.config.verify_token.expose().as_bytes());
        let challenge = the_one("hub.challenge").ok_or(HookError::Handshake)?;
        // What is echoed is of a shape that no browser takes for a page.
        let is_plain = (1..=CHALLENGE_MAX).contains(&challenge.len())
            && challenge
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
        let is_subscription =
            hook.method == Method::GET && the_one("hub.mode").as_deref() == Some("subscribe");
        let may = is_subscription
            && is_plain
            && bool::from(known)
            && !self.config.verify_token.is_empty();
        if may {
            Ok(challenge)
        } else {
            Err(HookError::Handshake)
        }
    }
}

/// What a 2xx answer means: accepted, held back, or nothing that is documented.
fn taken(body: &Value) -> SendOutcome {
    let message = &body["messages"][0];
    let Some(id) = message["id"].as_str().filter(|id| is_message_id(id)) else {
        return unclear("success was answered without a message id");
    };
    match &message["message_status"] {
        Value::Null => SendOutcome::Accepted {
            provider_message_id: id.into(),
        },
        Value::String(status) if status == "accepted" => SendOutcome::Accepted {
            provider_message_id: id.into(),
        },
        // Pacing: Meta may release the message later, or drop it with 132015. Nobody waits for that with a code.
        Value::String(status) if status == "held_for_quality_assessment" || status == "paused" => {
            SendOutcome::Failed {
                failure: Failure::new(
                    FailureClass::NextRoute,
                    status,
                    "Meta holds the message back to judge its quality first",
                ),
                provider_message_id: Some(id.into()),
            }
        }
        _ => unclear("success was answered with a message status that is not documented"),
    }
}

/// What an error envelope means. The code decides, whatever the status: so Meta says.
fn refused(status: StatusCode, code: u32, error: &Value) -> SendOutcome {
    let details = error["error_data"]["details"]
        .as_str()
        .or_else(|| error["message"].as_str())
        .unwrap_or_default();
    let failure = match whatsapp_errors::answered(code, number(&error["error_subcode"]), details) {
        Some(failure) => failure,
        // Not in our table, but a refusal all the same.
        None if status.is_client_error() => Failure::new(
            FailureClass::NextRoute,
            &code.to_string(),
            &for_people(details),
        ),
        None => {
            return unclear(&format!(
                "HTTP {} with error {code}, which is not in our table",
                status.as_u16()
            ));
        }
    };
    SendOutcome::Failed {
        failure,
        provider_message_id: None,
    }
}

/// What a status without Meta's envelope means: something before the API answered. Only statuses with which a server
/// declines to process the request at all are a certain refusal; 408, 409 and 5xx are not.
fn refused_without_envelope(status: StatusCode) -> SendOutcome {
    let class = match status.as_u16() {
        401 | 403 | 404 | 405 | 410 => FailureClass::TripBreaker,
        400 | 411 | 413 | 414 | 415 | 422 | 431 => FailureClass::OurMistake,
        429 => FailureClass::RetryHere {
            after_ms: RATE_LIMITED_MS,
        },
        other => return unclear(&format!("HTTP {other} without an error of Meta's")),
    };
    let code = format!("http_{}", status.as_u16());
    let failure = Failure::new(
        class,
        &code,
        "refused without an error of Meta's: is base_url right, and no proxy in between?",
    );
    SendOutcome::Failed {
        failure,
        provider_message_id: None,
    }
}

fn unclear(detail: &str) -> SendOutcome {
    SendOutcome::Unclear {
        detail: detail.into(),
    }
}

/// Whether this can be a message's name. Meta's examples all begin with `wamid.`, but nothing is promised about ids, and to
/// doubt an acceptance for the spelling of its id would send people a second, paid message that they do not need.
fn is_message_id(id: &str) -> bool {
    let is_printable = id.bytes().all(|c| c.is_ascii_graphic() || c == b' ');
    is_printable && !id.trim().is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX
}

/// The receipt in one status; `None` for a status that tells nothing about delivery, or that is none of ours to read.
fn receipt(status: &Value) -> Option<Receipt> {
    let kind = match status["status"].as_str()? {
        "sent" => ReceiptKind::Sent,
        "delivered" => ReceiptKind::Delivered,
        "read" => ReceiptKind::Read,
        "failed" => ReceiptKind::Failed(failure(&status["errors"][0])),
        // `played` is of voice messages; what Meta adds one day tells nothing until we know what.
        _ => return None,
    };
    let id = status["id"]
        .as_str()
        .filter(|id| !id.is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX)?;
    let seconds = text(&status["timestamp"]).and_then(|seconds| seconds.parse::<u32>().ok());
    Some(Receipt {
        reference: text(&status["biz_opaque_callback_data"])
            .and_then(|reference| Reference::parse(&reference)),
        provider_message_id: id.into(),
        kind,
        at: seconds.map(|seconds| Timestamp::from_millis(i64::from(seconds) * SECOND_MS)),
    })
}

fn failure(error: &Value) -> Failure {
    let words = error["error_data"]["details"]
        .as_str()
        .or_else(|| error["title"].as_str())
        .unwrap_or_default();
    match number(&error["code"]) {
        Some(code) => whatsapp_errors::reported(code, words),
        None => Failure::new(FailureClass::NextRoute, "failed", "Meta told no reason"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A string, or a number as a string: Meta writes ids and times either way.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value) -> Option<u32> {
    text(value)?.parse().ok()
}

impl fmt::Debug for WhatsappCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsappCloud")
            .field("phone_number_id", &self.config.phone_number_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
