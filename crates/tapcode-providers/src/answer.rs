//! What do answers have in common, whoever gave them?

use http::StatusCode;
use serde_json::Value;
use tapcode_core::delivery::{Failure, FailureClass, PROVIDER_MESSAGE_ID_MAX, SendOutcome};

/// The name of messages that the provider has none for: our reference in the address of the callback leads to them, and this
/// one is never asked for.
pub(crate) const UNNAMED: &str = "unnamed";

/// Nobody can say whether a message went out.
pub(crate) fn unclear(detail: &str) -> SendOutcome {
    SendOutcome::Unclear { detail: detail.into() }
}

/// No message came to exist.
pub(crate) fn refused(failure: Failure) -> SendOutcome {
    SendOutcome::Failed {
        failure,
        provider_message_id: None,
    }
}

/// A refusal of which the HTTP status is all that is known.
pub(crate) fn by_status(status: StatusCode, class: FailureClass, detail: &str) -> Failure {
    Failure::new(class, &format!("http_{}", status.as_u16()), detail)
}

/// Whether this can be a provider's name for a message. Examples are all letters, digits and hyphens, but nothing is promised
/// about ids, and to doubt an acceptance for the spelling of its id would send people a second, paid message.
pub(crate) fn is_message_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX && id.bytes().all(|c| c.is_ascii_graphic())
}

/// A string, or a number as a string.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number, also as a string.
pub(crate) fn number(value: &Value) -> Option<u32> {
    text(value)?.parse().ok()
}

/// A decimal number that is not negative, in millionths. What is finer than they are is no price that could be added up.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}
