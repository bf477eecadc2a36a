//! How does Meta say no?
//!
//! The envelope, and the order of its fields, follow the examples of
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes> (read 2026-11-22).
//! Meta asks to rely on `code` and `error_data.details` only; the HTTP status and the other texts may differ from the live API (*unconfirmed*).

use serde::Serialize;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) http: u16,
    pub(super) code: u32,
    pub(super) subcode: Option<u32>,
    /// Replaces the text that belongs to the code.
    pub(super) text: Option<String>,
    pub(super) details: Option<String>,
}

impl Refusal {
    pub(super) fn new(http: u16, code: u32) -> Self {
        Self {
            http,
            code,
            subcode: None,
            text: None,
            details: None,
        }
    }

    pub(super) fn subcode(mut self, subcode: Option<u32>) -> Self {
        self.subcode = subcode;
        self
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    pub(super) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    pub(super) fn to_json(&self, trace: &str) -> String {
        let title = title(self.code);
        let message = match &self.text {
            Some(text) => text.clone(),
            None => format!("(#{}) {title}", self.code),
        };
        // Errors that Meta's messaging layer finds carry `error_data`; those of the Graph layer (33, 100, 190, 2500) do not.
        let details = match (&self.details, self.code) {
            (Some(details), _) => Some(details.clone()),
            (None, 130_000..) => Some(title.to_owned()),
            (None, _) => None,
        };
        let envelope = Envelope {
            error: Error {
                message,
                r#type: if self.subcode == Some(33) {
                    "GraphMethodException"
                } else {
                    "OAuthException"
                },
                code: self.code,
                error_subcode: self.subcode,
                error_data: details.map(|details| ErrorData {
                    messaging_product: "whatsapp",
                    details,
                }),
                fbtrace_id: trace,
            },
        };
        serde_json::to_string(&envelope).expect("an envelope of strings and numbers is JSON")
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: String,
    r#type: &'static str,
    code: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_subcode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_data: Option<ErrorData>,
    fbtrace_id: &'a str,
}

#[derive(Serialize)]
struct ErrorData {
    messaging_product: &'static str,
    details: String,
}

/// The short text of an error code, also used in the `errors` of a failed status. Texts *unconfirmed* unless quoted in the reference page above.
pub(super) fn title(code: u32) -> &'static str {
    match code {
        4 => "Application request limit reached",
        10 => "Permission denied",
        33 => "Parameter value is not valid",
        100 => "Invalid parameter",
        190 => "Access token has expired",
        368 => "Temporarily blocked for policies violations",
        80_007 => "Rate limit issues",
        130_429 => "Rate limit hit",
        130_472 => "User's number is part of an experiment",
        130_497 => "Business account is restricted from messaging users in this country",
        131_000 => "Something went wrong",
        131_005 => "Access denied",
        131_008 => "Required parameter is missing",
        131_009 => "Parameter value is not valid",
        131_016 => "Service unavailable",
        131_021 => "Recipient cannot be sender",
        131_026 => "Message undeliverable",
        131_031 => "Account has been locked",
        131_042 => "Business eligibility payment issue",
        131_045 => "Incorrect certificate",
        131_047 => "Re-engagement message",
        131_048 => "Spam rate limit hit",
        131_049 => "This message was not delivered to maintain healthy ecosystem engagement",
        131_051 => "Unsupported message type",
        131_056 => "(Business Account, Consumer Account) pair rate limit hit",
        131_057 => "Account in maintenance mode",
        131_062 => "Business-scoped user id recipients are not supported for this message",
        132_000 => "Number of parameters does not match the expected number of params",
        132_001 => "Template name does not exist in the translation",
        132_005 => "Translated text too long",
        132_007 => "Template format character policy violated",
        132_012 => "Parameter format does not match format in the created template",
        132_015 => "Template is paused",
        132_016 => "Template is disabled",
        132_018 => "There is an issue with the parameters in your template",
        133_010 => "Phone number not registered",
        137_000 => "Recipient identity key hash mismatch",
        _ => "Something went wrong",
    }
}
