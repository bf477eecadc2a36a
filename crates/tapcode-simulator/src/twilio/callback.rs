//! What does a status callback look like on the wire, and how is it signed?
//!
//! <https://www.twilio.com/docs/usage/webhooks/messaging-webhooks> and, for the signature,
//! <https://github.com/twilio/twilio-python/blob/main/twilio/request_validator.py> (both read 2026-11-22).

use super::desk::Message;
use super::script::{ReceiptStep, Status};
use crate::Signing;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The header that carries the signature.
pub(super) const SIGNATURE_HEADER: &str = "x-twilio-signature";

const FOREIGN_ACCOUNT_SID: &str = "ACffffffffffffffffffffffffffffffff";
const FOREIGN_MESSAGE_SID: &str = "SMffffffffffffffffffffffffffffffff";

/// The parameters of one callback.
pub(super) fn parameters(account_sid: &str, message: &Message, step: &ReceiptStep) -> Vec<(String, String)> {
    let (account, sid) = if step.foreign {
        (FOREIGN_ACCOUNT_SID, FOREIGN_MESSAGE_SID)
    } else {
        (account_sid, message.sid.as_str())
    };
    let mut parameters = vec![
        ("MessageSid", sid.to_owned()),
        ("SmsSid", sid.to_owned()),
        ("MessageStatus", step.status.word().to_owned()),
        ("SmsStatus", step.status.word().to_owned()),
        ("To", message.to.clone()),
        ("From", message.from.clone()),
        ("AccountSid", account.to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
    ];
    if let Some(code) = step.status.code() {
        parameters.push(("ErrorCode", code.to_string()));
    }
    if let Some(service) = &message.messaging_service_sid {
        parameters.push(("MessagingServiceSid", service.clone()));
    }
    if step.status == Status::Delivered {
        let now = jiff::Timestamp::try_from(crate::clock::wall()).expect("the machine's clock is in jiff's range");
        parameters.push(("RawDlrDoneDate", now.strftime("%y%m%d%H%M").to_string()));
    }
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// base64(HMAC-SHA-1(token, address + each name and value, sorted by name)). A pair that occurs twice counts once.
pub(super) fn sign(auth_token: &str, url: &str, parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The header value for a way of signing; `None` for no header.
pub(super) fn signature(auth_token: &str, url: &str, parameters: &[(String, String)], signing: &Signing) -> Option<String> {
    match signing {
        Signing::Proper => Some(sign(auth_token, url, parameters)),
        Signing::Forged => Some(sign("a token that is somebody else's", url, parameters)),
        Signing::Missing => None,
        Signing::Header(value) => Some(value.clone()),
    }
}

/// The address without its port.
pub(super) fn without_port(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut parsed) if parsed.port().is_some() => {
            let authority = format!(":{}", parsed.port().expect("the guard saw one"));
            let _ = parsed.set_port(None);
            // The rest of the address must stay byte for byte as it was given, so the port is cut out of the text.
            match url
                .split_once("://")
                .map(|(scheme, rest)| (scheme, rest.find(['/', '?', '#']).unwrap_or(rest.len()), rest))
            {
                Some((scheme, end, rest)) => {
                    format!("{scheme}://{}{}", rest[..end].trim_end_matches(&authority), &rest[end..])
                }
                None => url.to_owned(),
            }
        }
        _ => url.to_owned(),
    }
}
