//! What does Vonage's older SMS API say? It answers HTTP 200 whatever happened, and reports by parameters that are signed with a
//! keyed hash.

use std::collections::BTreeMap;
use std::fmt;

use hmac::Hmac;
use http::Method;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use tapcode_core::delivery::{ReceiptKind, SendOutcome};
use tapcode_core::money::Currency;
use tapcode_core::text::{Encoding, segments};
use tapcode_engine::contract::provider::{Heard, HookError, InboundHook, Message, Receipt};

use crate::answer::{self, is_message_id, text, unclear};
use crate::request::sms_text;
use crate::secret::Secret;
use crate::signature::{self, is_hmac};
use crate::{vonage, vonage_errors};

/// The parameter of the signature.
const SIGNATURE: &str = "sig";
/// The parameter of our own secret, which Vonage was given with the address. Whether Vonage signs it along is *unconfirmed*; it
/// is left out.
const ADDRESS_SECRET: &str = "key";
/// Bounds of how long Vonage tries to deliver, in milliseconds (the API's specification, read 2026-11-27).
const TTL_MS: (u64, u64) = (20_000, 604_800_000);
/// In which currency the SMS API gives prices. Vonage's balances and prices are in euros; that a receipt's is, is *unconfirmed*.
const EUROS: &str = "EUR";

/// What a request says of a message; who it is from and to is added by the caller.
pub(crate) fn body(message: &Message) -> Value {
    let mut body = json!({
        "ttl": message.useful_ms.clamp(TTL_MS.0, TTL_MS.1),
        // Up to 100 characters; an older page says 40.
        "client-ref": message.reference.to_string(),
    });
    if let Some(text) = sms_text(&message.content) {
        let is_plain = matches!(segments(text).0, Encoding::Gsm7);
        body["type"] = json!(if is_plain { "text" } else { "unicode" });
        body["text"] = json!(text);
    }
    body
}

/// What a 2xx answer means: each part of the message has a status of its own, and only `0` is success.
pub(crate) fn answered(body: &Value) -> SendOutcome {
    let parts = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let statuses: Option<Vec<String>> = parts.iter().map(|part| text(&part["status"])).collect();
    let (Some(first), Some(statuses)) = (parts.first(), statuses) else {
        return unclear("an answer without a status");
    };
    let sent = statuses.iter().filter(|status| *status == "0").count();
    if sent == parts.len() {
        return match first["message-id"].as_str().filter(|id| is_message_id(id)) {
            Some(id) => SendOutcome::Accepted {
                provider_message_id: id.into(),
            },
            None => unclear("success was answered without an id"),
        };
    }
    if sent > 0 {
        return unclear("a part of the message was taken and another one was not");
    }
    let meanings: Option<Vec<_>> = statuses.iter().map(|status| vonage_errors::sms(status)).collect();
    let Some(meaning) = meanings.and_then(|meanings| meanings.first().copied()) else {
        return unclear("an error that does not say whether the message went out");
    };
    let words = first["error-text"].as_str().unwrap_or_default();
    answer::refused(vonage_errors::failure(&statuses[0], meaning, words))
}

/// What a report tells.
pub(crate) fn heard(told: &BTreeMap<String, String>) -> Result<Heard, HookError> {
    let field = |name| told.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let id = field("messageId")
        .filter(|id| is_message_id(id))
        .ok_or(HookError::Malformed)?;
    // What a person wrote has no status.
    let status = field("status").ok_or(HookError::Foreign)?;
    let reference = vonage::ours(field("client-ref"))?;
    let kind = match status {
        "accepted" => ReceiptKind::Sent,
        "delivered" => ReceiptKind::Delivered,
        "expired" | "failed" | "rejected" => {
            let code = field("err-code").unwrap_or_default();
            ReceiptKind::Failed(vonage_errors::reported(status, code, vonage_errors::receipt(code), ""))
        }
        // `buffered` tells that it waits, `unknown` nothing; what is added one day tells nothing yet.
        _ => return Ok(Heard::default()),
    };
    Ok(Heard::from(Receipt {
        reference,
        provider_message_id: id.into(),
        kind,
        at: None,
        // Of one part: each has a report of its own.
        billing: vonage::price(field("price"), Currency::parse(EUROS)),
        identity: None,
    }))
}

/// What is told, by name: the query of a `GET`, the form or the JSON of a `POST`, as the account chose. `None` where a name is
/// there twice, or has a character in it that would let one signature stand for two reports.
pub(crate) fn parameters(hook: &InboundHook) -> Option<BTreeMap<String, String>> {
    let pairs = if hook.method == Method::GET {
        let (_, query) = hook.url.split_once('?')?;
        form(query.as_bytes())
    } else if hook.body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<Pairs>(&hook.body).ok()?.0
    } else {
        form(&hook.body)
    };
    let mut told = BTreeMap::new();
    for (name, value) in pairs {
        let is_plain = !name.contains(['&', '=']);
        if name == ADDRESS_SECRET && hook.method == Method::GET {
            continue;
        }
        if !is_plain || told.insert(name, value).is_some() {
            return None;
        }
    }
    Some(told)
}

fn form(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// The members of a JSON object in which each is a text or a number, in their order and with what is there twice.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let value = text(&value).ok_or_else(|| serde::de::Error::custom("neither a text nor a number"))?;
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Whether Vonage signed what is told. Which keyed hash the account chose is told by its length; the key fits these alone, so that
/// a caller who chooses among them gains nothing. MD5, with a key or without, is not believed.
pub(crate) fn is_signed(told: &BTreeMap<String, String>, secret: &Secret) -> bool {
    let mut signed = String::new();
    for (name, value) in told.iter().filter(|(name, _)| *name != SIGNATURE) {
        signed.push('&');
        signed.push_str(name);
        signed.push('=');
        signed.push_str(&value.replace(['&', '='], "_"));
    }
    let Some(signature) = told.get(SIGNATURE).and_then(|text| from_hex(text.as_bytes())) else {
        return false;
    };
    let is_hash = match signature.len() {
        20 => is_hmac::<Hmac<Sha1>>,
        32 => is_hmac::<Hmac<Sha256>>,
        64 => is_hmac::<Hmac<Sha512>>,
        _ => return false,
    };
    is_hash(secret, signed.as_bytes(), &signature)
}

/// The bytes behind hexadecimal digits whose letters are all small or all large.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let is_one_case = !text.iter().any(u8::is_ascii_uppercase) || !text.iter().any(u8::is_ascii_lowercase);
    is_one_case.then(|| signature::from_hex(&text.to_ascii_lowercase()))?
}
