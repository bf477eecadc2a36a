//! Is this the request that Twilio asks for?
//!
//! <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource> (read 2026-11-22).
//! The error codes for missing and malformed parameters, and the order in which several mistakes are found, are *unconfirmed*.

/// The longest `Body`, in characters. Same source.
const BODY_MAX_CHARS: usize = 1_600;

/// The longest `ValidityPeriod`, in seconds. Same source.
const VALIDITY_MAX_S: u32 = 36_000;

/// Twilio's error document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) http: u16,
    pub(super) code: u32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(http: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            http,
            code,
            message: message.into(),
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.http,
        })
        .to_string()
    }
}

/// The parameters of a send.
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// An empty parameter is an absent one.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

/// Says what is wrong with a send, as Twilio would.
pub(super) fn judge(form: &Form, senders: &[String]) -> Result<(), Refusal> {
    let refuse = |code, message: &str| Err(Refusal::new(400, code, message));
    let Some(to) = form.value("To") else {
        return refuse(21_604, "A 'To' phone number is required.");
    };
    // *Stricter*: Twilio also takes some spellings with spaces and dashes.
    if !is_e164(to) {
        return refuse(21_211, "Invalid 'To' Phone Number");
    }
    match (form.value("From"), form.value("MessagingServiceSid")) {
        (None, None) => return refuse(21_603, "A 'From' phone number is required."),
        (_, Some(service)) if !is_sid(service, "MG") => {
            return refuse(21_701, "The Messaging Service does not exist.");
        }
        (Some(from), _) if !is_sender(from) => {
            return refuse(21_212, "Invalid 'From' Phone Number");
        }
        (Some(from), _) if !senders.is_empty() && !senders.iter().any(|sender| sender == from) => {
            return refuse(
                21_606,
                "The 'From' phone number provided is not a valid, message-capable number of this account.",
            );
        }
        (Some(from), _) if from == to => {
            return refuse(21_266, "'To' and 'From' number cannot be the same.");
        }
        _ => {}
    }
    let Some(body) = form.value("Body") else {
        return refuse(21_602, "Message body is required.");
    };
    if body.chars().count() > BODY_MAX_CHARS {
        return refuse(21_617, "The concatenated message body exceeds the 1600 character limit.");
    }
    if let Some(callback) = form.value("StatusCallback") {
        let is_http = callback.starts_with("http://") || callback.starts_with("https://");
        if !is_http || reqwest::Url::parse(callback).is_err() {
            return refuse(21_609, "The 'StatusCallback' URL is not a valid URL.");
        }
    }
    if let Some(validity) = form.value("ValidityPeriod") {
        let is_fine = validity
            .parse::<u32>()
            .is_ok_and(|seconds| (1..=VALIDITY_MAX_S).contains(&seconds));
        if !is_fine {
            return refuse(21_620, "Invalid 'ValidityPeriod'.");
        }
    }
    Ok(())
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A number, a short code, or 1–11 letters, digits and spaces with at least one letter.
fn is_sender(sender: &str) -> bool {
    let is_short_code = (3..=8).contains(&sender.len()) && sender.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = (1..=11).contains(&sender.len())
        && sender.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')
        && sender.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_e164(sender) || is_short_code || is_name
}

fn is_sid(sid: &str, prefix: &str) -> bool {
    sid.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
