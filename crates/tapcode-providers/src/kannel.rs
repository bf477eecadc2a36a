//! How is an SMS sent over Kannel, or over one of the many gateways that speak as it does? Everything in an address: `sendsms`
//! out, and a call of ours back with the state of the message.
//!
//! Kannel names no message in its answers: our reference in the address that it calls is the only name there is.

use std::fmt;

use http::{HeaderMap, Method, StatusCode};
use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::plan::Channel;
use tapcode_core::text::{self, Encoding};
use tapcode_engine::contract::provider::{
    Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Source,
};

use crate::address_secret;
use crate::answer::{UNNAMED, by_status, refused, unclear};
use crate::config_error::{ConfigError, base_url, ensure};
use crate::request::sms_text;
use crate::secret::Secret;
use crate::vendor_text::meaning_and_words;

/// What Kannel is.
pub static MANIFEST: Manifest = Manifest {
    id: "kannel",
    channels: &[Channel::Sms],
    receipts: true,
    receipts_by_get: true,
    sources: &[
        // The user guide: "Using the HTTP interface to send SMS messages" and "SMS Delivery Reports".
        Source {
            url: "https://sources.debian.org/src/kannel/1.4.5-22/doc/userguide/userguide.xml",
            read: "2026-11-27",
        },
        // Which answer means what: `obey_request` and `delayed_http_reply` in `gw/smsbox.c`, `gw/bb_boxc.c`; the escapes of
        // addresses: `gw/urltrans.c`.
        Source {
            url: "https://github.com/pruiz/kannel",
            read: "2026-11-27",
        },
    ],
};

/// The reports that are asked for: the phone has it (1), it never will (2), the operator took it (8), the operator did not (16).
/// That it waits at the operator (4) is no news.
const DLR_MASK: &str = "27";
/// The parameter of our address that carries the state.
const STATUS_PARAMETER: &str = "status";
/// After how many milliseconds Kannel is asked again after it had no room. It names no time.
const AGAIN_MS: u32 = 1_000;

/// What is configured for one sender.
#[derive(Clone, Debug)]
pub struct KannelConfig {
    /// The address of `sendsms`, such as `http://127.0.0.1:13013/cgi-bin/sendsms`.
    pub send_url: String,
    /// The name of a `sendsms-user` group.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// What the phone shows; `None`: what Kannel has for this user.
    pub from: Option<String>,
    /// The public address of our hook for this sender.
    pub callback_url: String,
    /// A secret of ours in that address: 16 to 128 letters, digits, hyphens or underscores.
    pub callback_secret: Secret,
}

/// One user of a Kannel.
pub struct Kannel {
    send_url: String,
    config: KannelConfig,
}

impl Kannel {
    /// A provider for this configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that has nothing usable.
    pub fn new(config: KannelConfig) -> Result<Self, ConfigError> {
        let send_url = base_url("send_url", &config.send_url)?;
        ensure(
            !config.username.is_empty(),
            "username",
            "the name of a sendsms-user of Kannel's",
        )?;
        ensure(!config.password.is_empty(), "password", "the password of that sendsms-user")?;
        base_url("callback_url", &config.callback_url)?;
        // Kannel would put something of its own in the place of `%d` and the like.
        ensure(!config.callback_url.contains('%'), "callback_url", "an address without %")?;
        address_secret::ensure_usable("callback_secret", &config.callback_secret)?;
        Ok(Self { send_url, config })
    }
}

impl HttpProvider for Kannel {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn request(&self, message: &Message) -> HttpRequest {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("username", &self.config.username);
        query.append_pair("password", self.config.password.expose());
        if let Some(from) = &self.config.from {
            query.append_pair("from", from);
        }
        // Without a text Kannel would send an empty message; it refuses one without a number.
        if let Some(text) = sms_text(&message.content) {
            // With its plus: the drivers make an international number of it.
            query.append_pair("to", message.to.expose());
            query.append_pair("text", text);
            // Older Kannels read Latin 1 where nothing is said, and what is not said to be UCS-2 loses its letters.
            query.append_pair("charset", "UTF-8");
            let (encoding, _) = text::segments(text);
            query.append_pair("coding", if encoding == Encoding::Gsm7 { "0" } else { "2" });
        }
        query.append_pair("validity", &(message.useful_ms / 60_000).max(1).to_string());
        query.append_pair("dlr-mask", DLR_MASK);
        // Not `%A`, the operator's own words: the beginning of the text is among them, with the code.
        let callback = address_secret::callback(
            &self.config.callback_url,
            Some(message.reference),
            Some(&self.config.callback_secret),
        );
        query.append_pair("dlr-url", &format!("{callback}&{STATUS_PARAMETER}=%d"));
        HttpRequest {
            method: Method::GET,
            url: format!("{}?{}", self.send_url, query.finish()),
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        let words = String::from_utf8_lossy(&response.body);
        let words = words.trim();
        if response.status.is_success() {
            taken(words)
        } else {
            declined(response.status, words)
        }
    }

    fn heard(&self, hook: &InboundHook, _sender: u32) -> Result<Heard, HookError> {
        if !address_secret::is_proven(&hook.url, &self.config.callback_secret) {
            return Err(HookError::Signature);
        }
        // The user's own `dlr-url` in Kannel's configuration may be ours, for messages that others sent.
        let reference = address_secret::reference(&hook.url).ok_or(HookError::Foreign)?;
        let status = address_secret::the_one(&hook.url, STATUS_PARAMETER);
        let status: u32 = status.and_then(|status| status.parse().ok()).ok_or(HookError::Malformed)?;
        let Some(kind) = told(status) else {
            return Ok(Heard::default());
        };
        Ok(Heard::from(Receipt {
            reference: Some(reference),
            provider_message_id: UNNAMED.into(),
            kind,
            at: None,
            billing: None,
            identity: None,
        }))
    }
}

/// What a 2xx answer means. `Sent.` is the answer of a Kannel that does not wait for its own bearerbox
/// (`immediate-sendsms-reply`); what goes wrong behind it comes as a report.
fn taken(words: &str) -> SendOutcome {
    let is_taken = words.starts_with("0: Accepted for delivery")
        || words.starts_with("3: Queued for later delivery")
        || words == "Sent."
        || words.starts_with("Sent. Message splits: ");
    if is_taken {
        SendOutcome::Accepted {
            provider_message_id: UNNAMED.into(),
        }
    } else {
        unclear("success was answered without the words of an acceptance")
    }
}

/// What an error means: by its words where they are Kannel's, else by the statuses with which a server declines to process a
/// request at all. The user guide says of every 4xx that the message cannot be delivered in any circumstances; of 500, that
/// Kannel gives when one of its boxes lost the other, nobody can say what became of the message.
fn declined(status: StatusCode, words: &str) -> SendOutcome {
    let known = DECLINED
        .iter()
        .find(|row| row.0 == status.as_u16() && words.starts_with(row.1));
    let (class, meaning) = match (known, status.as_u16()) {
        (Some((_, _, class, meaning)), _) => (*class, *meaning),
        (None, 401 | 402 | 403 | 404 | 410) => (SENDER, "refused: are send_url, username and password right?"),
        (None, 400 | 405 | 411 | 413 | 414 | 415 | 422 | 431) => (FailureClass::OurMistake, "the request was not what it takes"),
        (None, 429) => (AGAIN, "too many requests at once"),
        (None, other) => return unclear(&format!("HTTP {other}")),
    };
    let detail = meaning_and_words(meaning, words);
    refused(by_status(status, class, &detail))
}

const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const AGAIN: FailureClass = FailureClass::RetryHere { after_ms: AGAIN_MS };

/// How Kannel's refusals begin, by status (`gw/smsbox.c`, read 2026-11-27); what to do about each is ours.
const DECLINED: &[(u16, &str, FailureClass, &str)] = &[
    (
        400,
        "Number(s) has/have been denied",
        FailureClass::NextRoute,
        "the recipient is not on the white list, or on a black list",
    ),
    (
        400,
        "Sender missing",
        SENDER,
        "Kannel has no sender for this user, and number is not set",
    ),
    (
        403,
        "Authorization failed",
        SENDER,
        "the user or its password is wrong, or this address may not use them",
    ),
    (
        403,
        "Not routable",
        FailureClass::NextRoute,
        "no connection to an operator takes this message",
    ),
    // The bearerbox dropped it, because its queue was full or it was about to stop (`gw/bb_boxc.c`).
    (503, "Temporal failure", AGAIN, "Kannel had no room for it"),
];

/// What a report tells; `None` for what is not news. The numbers are bits in what is asked for, and one of them in a report.
fn told(status: u32) -> Option<ReceiptKind> {
    let failed = |meaning| ReceiptKind::Failed(Failure::new(FailureClass::NextRoute, &status.to_string(), meaning));
    match status {
        1 => Some(ReceiptKind::Delivered),
        2 => Some(failed("it did not reach the phone")),
        8 => Some(ReceiptKind::Sent),
        16 => Some(failed("the operator rejected it")),
        _ => None,
    }
}

impl fmt::Debug for Kannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kannel")
            .field("username", &self.config.username)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
