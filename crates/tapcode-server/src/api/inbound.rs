//! What do providers call? Answered by [`crate::hooks`], and described together with the API.

use http::Method;

use crate::api::operation::{Operation, Success};
use crate::problem::Code;

/// The hooks, for the documentation.
pub(crate) fn operations() -> Vec<Operation> {
    const TAKEN: Success =
        Success { status: 200, means: "Every receipt in it is durable.", media: "text/plain", schema: None, example: "" };
    const CHALLENGE: Success = Success { means: "The challenge, as it came.", ..TAKEN };
    const NO_CONTENT: Success = Success { status: 204, ..TAKEN };
    let base = |id, path, summary, description| Operation {
        id,
        method: Method::POST,
        path,
        tag: "Hooks",
        summary,
        description,
        needs: &[],
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers: &[TAKEN],
        problems: &[
            Code::NotFound,
            Code::InvalidSignature,
            Code::MalformedHook,
            Code::ForeignHook,
            Code::BodyTooLarge,
            Code::RequestTimeout,
            Code::TooManyWaiting,
            Code::Unavailable,
        ],
    };
    let signed = "For the provider: the signature is made over the raw bytes, as the provider documents it. A hook twice is taken once.";
    vec![
        Operation {
            method: Method::GET,
            answers: &[CHALLENGE],
            problems: &[Code::NotFound, Code::HandshakeRefused],
            ..base(
                "whatsappHandshake",
                "/hooks/whatsapp/{account_id}",
                "Subscribe to a WhatsApp account's statuses",
                "For Meta: answers the challenge of a subscription with the configured `verify_token`.",
            )
        },
        base("whatsappHook", "/hooks/whatsapp/{account_id}", "Take a WhatsApp account's statuses", signed),
        Operation { answers: &[NO_CONTENT], ..base("smsHook", "/hooks/sms/{number_id}", "Take an SMS number's receipts", signed) },
    ]
}
