//! What does a status webhook look like on the wire, and how is it signed?
//!
//! The payload: <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status>
//! (read 2026-11-22). `conversation` is absent, as it is from v24.0 on.

use super::refusal::title;
use super::script::Status;
use crate::Signing;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use std::fmt::Write;

/// The header that carries the signature.
pub(super) const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// One status of one message, as it goes into a webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The message's id, as the send was answered.
    pub wamid: String,
    /// The recipient's number as WhatsApp spells it: digits without `+`, sometimes not the digits that were asked for.
    pub wa_id: String,
    /// What is said.
    pub status: Status,
    /// What the send carried, if it is echoed.
    pub biz_opaque_callback_data: Option<String>,
    /// The identity behind the number, where the check of identities is on.
    pub identity: Option<String>,
    /// Seconds since 1970.
    pub timestamp: u64,
}

impl std::fmt::Debug for StatusUpdate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The message id contains the number, so neither is shown.
        formatter
            .debug_struct("StatusUpdate")
            .field("status", &self.status)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// Whose webhook it is.
pub(super) struct Origin<'a> {
    pub(super) waba_id: &'a str,
    pub(super) display_phone_number: &'a str,
    pub(super) phone_number_id: &'a str,
}

/// The body of one webhook with these statuses.
///
/// Four or more are spread over two entries with two changes each: Meta may batch at each of the three levels.
pub(super) fn body(origin: &Origin<'_>, updates: &[StatusUpdate]) -> Vec<u8> {
    let per_change = if updates.len() >= 4 {
        updates.len().div_ceil(4)
    } else {
        updates.len().max(1)
    };
    let changes: Vec<Change> = updates.chunks(per_change).map(|updates| change(origin, updates)).collect();
    let mut entry = Vec::new();
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        entry.push(Entry {
            id: origin.waba_id,
            changes: changes.by_ref().take(2).collect(),
        });
    }
    let envelope = Envelope {
        object: "whatsapp_business_account",
        entry,
    };
    let json = serde_json::to_string(&envelope).expect("a webhook of strings and numbers is JSON");
    escape_as_meta_does(&json).into_bytes()
}

/// The body of a webhook about the account: one change of one field.
pub(super) fn change_body(waba_id: &str, field: &str, value: serde_json::Value) -> Vec<u8> {
    let body = serde_json::json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": waba_id, "time": crate::clock::unix_seconds(), "changes": [{ "value": value, "field": field }] }],
    });
    escape_as_meta_does(&body.to_string()).into_bytes()
}

/// What a webhook says when somebody presses the button under a message that they did not ask for it.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates>
/// (read 2026-11-22)
pub(super) fn press(origin: &Origin<'_>, wamid: &str, wa_id: &str, own_wamid: &str) -> serde_json::Value {
    serde_json::json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": origin.display_phone_number, "phone_number_id": origin.phone_number_id },
        "contacts": [{ "profile": { "name": "Zoë 🚲" }, "wa_id": wa_id, "user_id": user_id(wa_id) }],
        "messages": [{
            "context": { "from": origin.display_phone_number, "id": wamid },
            "from": wa_id,
            "from_user_id": user_id(wa_id),
            "id": own_wamid,
            "timestamp": crate::clock::unix_seconds().to_string(),
            "type": "button",
            "button": { "payload": "DID_NOT_REQUEST_CODE", "text": "I didn't request a code" },
        }],
    })
}

fn change<'a>(origin: &Origin<'a>, updates: &'a [StatusUpdate]) -> Change<'a> {
    Change {
        value: Value {
            messaging_product: "whatsapp",
            metadata: Metadata {
                display_phone_number: origin.display_phone_number,
                phone_number_id: origin.phone_number_id,
            },
            // Absent for failed. A profile here is *unconfirmed*; it is there to bring characters beyond ASCII onto the wire.
            contacts: updates
                .iter()
                .filter(|update| !matches!(update.status, Status::Failed { .. }))
                .map(|update| Contact {
                    profile: Profile { name: "Zoë 🚲" },
                    wa_id: &update.wa_id,
                    user_id: user_id(&update.wa_id),
                })
                .collect(),
            statuses: updates.iter().map(status).collect(),
        },
        field: "messages",
    }
}

fn status(update: &StatusUpdate) -> StatusJson<'_> {
    let (word, priced, errors) = match update.status {
        Status::Sent => ("sent", true, Vec::new()),
        Status::Delivered => ("delivered", true, Vec::new()),
        Status::Read => ("read", false, Vec::new()),
        Status::Failed { code } => ("failed", false, vec![failure(code)]),
    };
    StatusJson {
        id: &update.wamid,
        status: word,
        timestamp: update.timestamp.to_string(),
        recipient_id: &update.wa_id,
        recipient_user_id: user_id(&update.wa_id),
        recipient_identity_key_hash: update.identity.as_deref(),
        biz_opaque_callback_data: update.biz_opaque_callback_data.as_deref(),
        pricing: priced.then_some(Pricing {
            billable: true,
            pricing_model: "PMP",
            category: "authentication",
            r#type: "regular",
        }),
        errors,
    }
}

fn failure(code: u32) -> Failure {
    Failure {
        code,
        title: title(code),
        message: title(code),
        error_data: FailureData {
            details: format!("{}.", title(code)),
        },
        href: "/docs/whatsapp/cloud-api/support/error-codes/",
    }
}

/// Something of the shape of a business-scoped user id. It must not be used to recognise anybody.
fn user_id(wa_id: &str) -> String {
    format!("US.{:0>20}", wa_id.chars().rev().collect::<String>())
}

/// Writes what is not ASCII as `\uXXXX`, and the slash as `\/`.
///
/// So a receiver that parses and prints the JSON again before checking the signature is found out.
/// Meta's webhooks escape what is not ASCII (same source); lower-case digits and the slash are *unconfirmed*.
fn escape_as_meta_does(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + 64);
    let mut units = [0; 2];
    for character in json.chars() {
        match character {
            '/' => escaped.push_str("\\/"),
            ascii if ascii.is_ascii() => escaped.push(ascii),
            other => {
                for unit in other.encode_utf16(&mut units) {
                    write!(escaped, "\\u{unit:04x}").expect("writing to a string does not fail");
                }
            }
        }
    }
    escaped
}

/// The value of the signature header: `sha256=` and the hexadecimal HMAC-SHA-256 of the raw body under the app secret.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint> (read 2026-11-22)
pub(super) fn sign(app_secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let mut value = String::with_capacity(71);
    value.push_str("sha256=");
    for byte in mac.finalize().into_bytes() {
        write!(value, "{byte:02x}").expect("writing to a string does not fail");
    }
    value
}

/// The header value for a way of signing; `None` for no header.
pub(super) fn signature(app_secret: &str, body: &[u8], signing: &Signing) -> Option<String> {
    match signing {
        Signing::Proper => Some(sign(app_secret, body)),
        Signing::Forged => Some(sign("a secret that is somebody else's", body)),
        Signing::Missing => None,
        Signing::Header(value) => Some(value.clone()),
    }
}

// The fields are in the order of Meta's example, which is not alphabetical:
// JSON that went through a sorted map comes out with other bytes.

#[derive(Serialize)]
struct Envelope<'a> {
    object: &'static str,
    entry: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    changes: Vec<Change<'a>>,
}

#[derive(Serialize)]
struct Change<'a> {
    value: Value<'a>,
    field: &'static str,
}

#[derive(Serialize)]
struct Value<'a> {
    messaging_product: &'static str,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<Contact<'a>>,
    statuses: Vec<StatusJson<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    display_phone_number: &'a str,
    phone_number_id: &'a str,
}

#[derive(Serialize)]
struct Contact<'a> {
    profile: Profile,
    wa_id: &'a str,
    user_id: String,
}

#[derive(Serialize)]
struct Profile {
    name: &'static str,
}

#[derive(Serialize)]
struct StatusJson<'a> {
    id: &'a str,
    status: &'static str,
    timestamp: String,
    recipient_id: &'a str,
    recipient_user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_identity_key_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz_opaque_callback_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<Pricing>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Failure>,
}

#[derive(Serialize)]
struct Pricing {
    billable: bool,
    pricing_model: &'static str,
    category: &'static str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Failure {
    code: u32,
    title: &'static str,
    message: &'static str,
    error_data: FailureData,
    href: &'static str,
}

#[derive(Serialize)]
struct FailureData {
    details: String,
}
