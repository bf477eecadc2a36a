//! How is WhatsApp spoken to over Meta's Cloud API? Authentication templates out, statuses in.
//!
//! A send call only ever says that Meta has the message; whether it arrives is told by webhook, or never. So nothing here
//! takes an acceptance for a delivery, and nothing but a documented answer for an acceptance.

use std::fmt;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tapcode_core::delivery::{Failure, FailureClass, PROVIDER_MESSAGE_ID_MAX, SendOutcome, TripScope};
use tapcode_core::number::Country;
use tapcode_core::plan::Channel;
use tapcode_engine::contract::account::AccountApi;
use tapcode_engine::contract::provider::{
    Content, Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Source,
};

use crate::answer::{number, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::secret::Secret;
use crate::vendor_text::for_people;
use crate::whatsapp_languages::meta_code;
use crate::whatsapp_webhook::{self, Ours, STANDARD_PER_SECOND};
use crate::{answer, signature, whatsapp_errors};

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-22" }
}

/// What the Cloud API is.
pub static MANIFEST: Manifest = Manifest {
    id: "whatsapp_cloud",
    channels: &[Channel::Whatsapp],
    receipts: true,
    receipts_by_get: false,
    sources: &[
        page(
            "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates",
        ),
        page("https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/portfolio-pacing"),
        page("https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint"),
        page("https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status"),
        whatsapp_errors::SOURCE,
    ],
};

/// The language of a template where neither the configuration nor the locale names one that Meta has.
pub const DEFAULT_LANGUAGE: &str = "en";
/// Where nobody can receive messages of businesses: Cuba, Iran, North Korea, Syria. Meta names some regions of Ukraine as well,
/// which no number tells (<https://developers.facebook.com/documentation/business-messaging/whatsapp/support>, read 2026-11-22).
const NOT_SERVED: [&str; 4] = ["CU", "IR", "KP", "SY"];
/// Meta refuses a second message to one person within six seconds with 131056:
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/about-the-platform> (read 2026-11-22). Milliseconds.
const SPACING_MS: u64 = 6_000;
/// Longest challenge of a handshake, in bytes: Meta's are some ten digits.
pub const CHALLENGE_MAX: usize = 128;
/// After how many milliseconds a 429 without Meta's own code may be tried again.
const RATE_LIMITED_MS: u32 = 1_000;

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
    /// Whether a message tells whose the number was when it was last verified, so that Meta delivers it to nobody else:
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/phone-numbers>
    /// (read 2026-11-22). The number must have the check switched on.
    pub identity_check: bool,
}

/// One business phone number.
pub struct WhatsappCloud {
    /// Base and version, with a slash at the end.
    graph: String,
    proof: Option<String>,
    messages_url: String,
    pub(crate) authorization: HeaderValue,
    pub(crate) default_language: String,
    pub(crate) config: WhatsappCloudConfig,
}

impl WhatsappCloud {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: WhatsappCloudConfig) -> Result<Self, ConfigError> {
        let base = base_url("base_url", &config.base_url)?;
        let version = config.api_version.strip_prefix('v').unwrap_or_default();
        let is_version = !version.is_empty() && version.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        ensure(is_version, "api_version", "a version of the Graph API, such as v25.0")?;
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
        let is_name =
            |name: &str| (1..=512).contains(&name.len()) && name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
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
            HeaderValue::from_str(&format!("Bearer {}", config.access_token.expose())).map_err(|_| no_token)?;
        authorization.set_sensitive(true);
        ensure(!config.access_token.is_empty(), no_token.key, no_token.remedy)?;
        let first = config.template_languages.first().map_or(DEFAULT_LANGUAGE, String::as_str);
        let default_language = config.default_language.clone().unwrap_or_else(|| first.to_owned());
        let is_approved = config.template_languages.is_empty() || config.template_languages.contains(&default_language);
        ensure(is_approved, "default_language", "one of template_languages")?;
        let proof = config
            .appsecret_proof
            .then(|| signature::hmac_sha256_hex(&config.app_secret, config.access_token.expose().as_bytes()));
        let mut provider = Self {
            graph: format!("{base}/{}/", config.api_version),
            proof,
            messages_url: String::new(),
            authorization,
            default_language,
            config,
        };
        provider.messages_url = provider.address(&format!("{}/messages", provider.config.phone_number_id));
        Ok(provider)
    }

    /// The whole address of something, with the proof where one is wanted.
    pub(crate) fn address(&self, path: &str) -> String {
        let proof = self.proof.as_ref().map(|proof| {
            let mark = if path.contains('?') { '&' } else { '?' };
            format!("{mark}appsecret_proof={proof}")
        });
        format!("{}{path}{}", self.graph, proof.unwrap_or_default())
    }

    fn content(&self, content: &Content) -> (&'static str, Value) {
        match content {
            Content::Code {
                code, locale, language, ..
            } => {
                let configured = || meta_code(locale, &self.config.template_languages, &self.default_language);
                let language = language.as_deref().unwrap_or_else(configured);
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
                let components: Value = serde_json::from_str(components).unwrap_or_else(|_| json!([]));
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
        let mut body = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to.expose(),
            "biz_opaque_callback_data": message.reference.to_string(),
            "type": kind,
            kind: content,
        });
        if let Some(identity) = message.identity.as_deref().filter(|_| self.config.identity_check) {
            body["recipient_identity_key_hash"] = json!(identity);
        }
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

    fn heard(&self, hook: &InboundHook, _sender: u32) -> Result<Heard, HookError> {
        let header = signature::the_one(&hook.headers, "x-hub-signature-256").ok_or(HookError::Signature)?;
        let hex = header.as_bytes().strip_prefix(b"sha256=").ok_or(HookError::Signature)?;
        let signature = signature::sha256_from_hex(hex).ok_or(HookError::Signature)?;
        if !signature::is_hmac_sha256(&self.config.app_secret, &hook.body, &signature) {
            return Err(HookError::Signature);
        }
        let ours = Ours {
            waba_id: &self.config.waba_id,
            phone_number_id: &self.config.phone_number_id,
        };
        whatsapp_webhook::heard(&hook.body, &ours)
    }

    fn account_api(&self) -> Option<&dyn AccountApi> {
        Some(self)
    }

    fn serves(&self, country: Country) -> bool {
        !NOT_SERVED.contains(&country.as_str())
    }

    fn spacing_ms(&self) -> u64 {
        SPACING_MS
    }

    fn messages_per_second(&self) -> Option<u32> {
        Some(STANDARD_PER_SECOND)
    }

    fn handshake(&self, hook: &InboundHook) -> Result<String, HookError> {
        let query = hook.url.split_once('?').map_or("", |(_, query)| query);
        let the_one = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            values
                .next()
                .filter(|_| values.next().is_none())
                .map(|(_, value)| value.into_owned())
        };
        let token = the_one("hub.verify_token").ok_or(HookError::Handshake)?;
        let known = token.as_bytes().ct_eq(self.config.verify_token.expose().as_bytes());
        let challenge = the_one("hub.challenge").ok_or(HookError::Handshake)?;
        // What is echoed is of a shape that no browser takes for a page.
        let is_plain = (1..=CHALLENGE_MAX).contains(&challenge.len())
            && challenge
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
        let is_subscription = hook.method == Method::GET && the_one("hub.mode").as_deref() == Some("subscribe");
        let may = is_subscription && is_plain && bool::from(known) && !self.config.verify_token.is_empty();
        if may { Ok(challenge) } else { Err(HookError::Handshake) }
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
        Value::String(status) if status == "held_for_quality_assessment" || status == "paused" => SendOutcome::Failed {
            failure: Failure::new(
                FailureClass::NextRoute,
                status,
                "Meta holds the message back to judge its quality first",
            ),
            provider_message_id: Some(id.into()),
        },
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
        None if status.is_client_error() => Failure::new(FailureClass::NextRoute, &code.to_string(), &for_people(details)),
        None => {
            return unclear(&format!(
                "HTTP {} with error {code}, which is not in our table",
                status.as_u16()
            ));
        }
    };
    answer::refused(failure)
}

/// What a status without Meta's envelope means: something before the API answered. Only statuses with which a server
/// declines to process the request at all are a certain refusal; 408, 409 and 5xx are not.
fn refused_without_envelope(status: StatusCode) -> SendOutcome {
    let class = match status.as_u16() {
        401 | 403 | 404 | 405 | 410 => FailureClass::TripBreaker(TripScope::Sender),
        400 | 411 | 413 | 414 | 415 | 422 | 431 => FailureClass::OurMistake,
        429 => FailureClass::RetryHere {
            after_ms: RATE_LIMITED_MS,
        },
        other => return unclear(&format!("HTTP {other} without an error of Meta's")),
    };
    let detail = "refused without an error of Meta's: is base_url right, and no proxy in between?";
    answer::refused(answer::by_status(status, class, detail))
}

/// Whether this can be a message's name. Meta's examples all begin with `wamid.`, but nothing is promised about ids, and to
/// doubt an acceptance for the spelling of its id would send people a second, paid message that they do not need.
fn is_message_id(id: &str) -> bool {
    let is_printable = id.bytes().all(|c| c.is_ascii_graphic() || c == b' ');
    is_printable && !id.trim().is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX
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
