//! How does a caller send a plain message, and what became of it?

use std::sync::Arc;

use http::{Method, StatusCode};
use tapcode_core::delivery::{Delivery, MessageStatus};
use tapcode_core::id::MessageId;
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{PlainMessage, Recipient};
use tapcode_core::step::Answer;
use tapcode_core::text::{Encoding, segments};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::provider::Content;
use tapcode_engine::contract::store::{Right, Subject};
use tapcode_engine::engine::Remember;
use tapcode_engine::requests::Done;
use tapcode_engine::service::{SANDBOX_SENDER, Sender};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::answers::MessageAnswer;
use crate::api::call::{Answered, Call, replayed, to_json, written};
use crate::api::json::Json;
use crate::api::operation::{Body, Operation, Parameter, Route, Success, keyed, schema};
use crate::api::reader::{Field, Reading};
use crate::api::refusal::{of_message, of_sender, unavailable};
use crate::limits::{SMS_BODY_CHARS_MAX, TEMPLATE_CODE_CHARS_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX};
use crate::problem::{Code, Problem};

const TAG: &str = "Messages";
/// Digits of a code that a dedicated number may carry.
const CODE_DIGITS: std::ops::RangeInclusive<usize> = 4..=10;

/// A WhatsApp template message, as Meta's API takes it but for `account_id`.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the documentation's form of what `whatsapp_message` reads; a test holds the two together"
)]
pub(crate) struct WhatsappMessageBody {
    /// The number that the configuration gave the account.
    account_id: u32,
    /// The number in E.164.
    to: String,
    /// Always `template`.
    r#type: String,
    template: TemplateBody,
}

/// An approved authentication template and its parameters.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct TemplateBody {
    /// Its name.
    name: String,
    language: LanguageBody,
    /// The code, in the body and in the button.
    components: Vec<ComponentBody>,
}

/// A language of a template.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct LanguageBody {
    /// As Meta writes it, such as `en` or `pt_BR`.
    code: String,
}

/// A part of a template that has parameters.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct ComponentBody {
    /// `body` or `button`.
    r#type: String,
    /// `url`, for a button.
    sub_type: Option<String>,
    /// The button's place, as a number or a string.
    #[schema(value_type = Option<String>)]
    index: Option<()>,
    parameters: Vec<ParameterBody>,
}

/// One parameter of a component.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct ParameterBody {
    /// Always `text`.
    r#type: String,
    /// The code, at most 15 characters.
    text: String,
}

/// A text message.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the documentation's form of what `sms_message` reads; a test holds the two together"
)]
pub(crate) struct SmsMessageBody {
    /// The id that the configuration gave the number; this or `from`.
    from_number_id: Option<u32>,
    /// The number to send from, as it is configured; this or `from_number_id`.
    from: Option<String>,
    /// The number in E.164.
    to: String,
    /// At most 1,600 characters.
    body: String,
}

const WHATSAPP: &str = r#"{"id":"msg_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0EG","status":"accepted","queued_at":"2026-11-23T09:00:00.000Z","accepted_at":null,"sent_at":null,"delivered_at":null,"read_at":null,"failed_at":null,"failure":null,"price":null,"provider_message_id":null,"to":"+31*****8058","channel":"whatsapp","provider":"whatsapp_cloud","sender":1,"created_at":"2026-11-23T09:00:00.000Z"}"#;
const SMS: &str = r#"{"id":"msg_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0EG","status":"accepted","queued_at":"2026-11-23T09:00:00.000Z","accepted_at":null,"sent_at":null,"delivered_at":null,"read_at":null,"failed_at":null,"failure":null,"price":null,"provider_message_id":null,"to":"+31*****8058","channel":"sms","provider":"twilio","sender":42,"created_at":"2026-11-23T09:00:00.000Z","segments":1,"encoding":"gsm7"}"#;
const WAIT: &[Parameter] = &[
    Parameter {
        name: "wait",
        kind: "accepted|sent|delivered|read",
        means: "Hold the answer until the message has come that far, has failed, or the time is over.",
    },
    Parameter {
        name: "timeout_ms",
        kind: "integer",
        means: "How long to hold it. Default 10000, at most 60000.",
    },
];

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const MESSAGE: Success = Success {
        status: 200,
        means: "The message as it stands.",
        media: "application/json",
        schema: Some(schema::<MessageAnswer<'static>>),
        example: WHATSAPP,
    };
    let base = |id, method, path, summary, description, needs| Operation {
        id,
        method,
        path,
        tag: TAG,
        summary,
        description,
        needs,
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers: &[MESSAGE],
        problems: &[],
    };
    let send = |op| Operation {
        idempotent: true,
        answers: &[Success {
            status: 201,
            means: "The message is durable and on its way.",
            ..MESSAGE
        }],
        ..op
    };
    let see = |op| Operation {
        query: WAIT.to_vec(),
        problems: &[Code::MessageNotFound, Code::TooManyWaiting],
        ..op
    };
    vec![
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<WhatsappMessageBody>,
                    required: true,
                    example: r#"{"account_id":1,"to":"+31611398058","type":"template","template":{"name":"login_otp","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"482913"}]},{"type":"button","sub_type":"url","index":0,"parameters":[{"type":"text","text":"482913"}]}]}}"#,
                }),
                problems: &[
                    Code::InvalidNumber,
                    Code::InvalidCode,
                    Code::UnknownSender,
                    Code::TemplateUnknown,
                    Code::TooManyMessages,
                    Code::ServiceNeeded,
                    Code::ServiceNotConfigured,
                ],
                ..send(base(
                    "sendWhatsappMessage",
                    Method::POST,
                    "/api/v1/whatsapp/messages",
                    "Send a WhatsApp template message",
                    "An authentication template with a code of your own. What the provider would refuse is refused here first.",
                    &[Right::Messages],
                ))
            },
            shared,
            send_whatsapp,
        ),
        keyed(
            see(base(
                "getWhatsappMessage",
                Method::GET,
                "/api/v1/whatsapp/messages/{id}",
                "Get a WhatsApp message",
                "With `wait`, nobody has to poll.",
                &[Right::Read, Right::Messages],
            )),
            shared,
            async |call| get(call, Channel::Whatsapp).await,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<SmsMessageBody>,
                    required: true,
                    example: r#"{"from_number_id":42,"to":"+31611398058","body":"Your code is 482913. Expires in 5 minutes."}"#,
                }),
                answers: &[Success {
                    status: 201,
                    means: "The message is durable and on its way.",
                    example: SMS,
                    ..MESSAGE
                }],
                problems: &[
                    Code::InvalidNumber,
                    Code::UnknownSender,
                    Code::NoRoute,
                    Code::NumberCarriesCodesOnly,
                    Code::TooManyMessages,
                    Code::ServiceNeeded,
                    Code::ServiceNotConfigured,
                ],
                ..send(base(
                    "sendSmsMessage",
                    Method::POST,
                    "/api/v1/sms/messages",
                    "Send a text message",
                    "A number that is dedicated to codes carries only texts with a group of 4 to 10 digits.",
                    &[Right::Messages],
                ))
            },
            shared,
            send_sms,
        ),
        keyed(
            see(base(
                "getSmsMessage",
                Method::GET,
                "/api/v1/sms/messages/{id}",
                "Get a text message",
                "With `wait`, nobody has to poll.",
                &[Right::Read, Right::Messages],
            )),
            shared,
            async |call| get(call, Channel::Sms).await,
        ),
    ]
}

/// A message that was read and can be sent.
struct Ready {
    to: Number,
    sender: Arc<Sender>,
    content: Content,
    segments: u8,
    ucs2: bool,
}

async fn send_whatsapp(call: Call) -> Answered {
    call.query().done()?;
    let ready = whatsapp_message(&call, &call.json()?)?;
    send(&call, ready, "sendWhatsappMessage").await
}

async fn send_sms(call: Call) -> Answered {
    call.query().done()?;
    let ready = sms_message(&call, &call.json()?)?;
    send(&call, ready, "sendSmsMessage").await
}

async fn send(call: &Call, ready: Ready, operation: &str) -> Answered {
    call.scope()?;
    let to = if call.caller.may(Right::Read) {
        ready.to.expose().to_owned()
    } else {
        ready.to.masked().as_str().to_owned()
    };
    let created = |message: &PlainMessage| to_json(&MessageAnswer::taken(message, &to));
    let render = |document: &Recipient, answer: &Answer, _: Timestamp| {
        let message = match answer {
            Answer::Queued { message } => document.message(*message),
            _ => None,
        };
        (StatusCode::CREATED.as_u16(), message.map(created).unwrap_or_default())
    };
    let key = call.idempotency_key(operation)?;
    let remember = key.as_ref().map(|k| Remember {
        key: k.key,
        fingerprint: k.fingerprint,
        render: &render,
    });
    let cost = (ready.segments, ready.ucs2);
    match call
        .engine()
        .send_message(&call.caller, &ready.to, ready.sender.route(), &ready.content, cost, remember)
        .await
    {
        Ok(Done::Now(snapshot)) => match &snapshot.subject {
            Subject::Message(message) => Ok(written(StatusCode::CREATED, created(message))),
            Subject::Verification(_) => Err(Problem::new(Code::MessageNotFound)),
        },
        Ok(Done::Before(rendered)) => Ok(replayed(rendered)),
        Err(error) => Err(of_message(error, call.engine().now())),
    }
}

async fn get(call: Call, channel: Channel) -> Answered {
    let id = call.id(MessageId::parse)?;
    let query = call.query();
    let until = query.read(
        "wait",
        (Code::InvalidRequest, "accepted, sent, delivered or read belongs here"),
        waited_for,
    );
    let timeout_is = "a whole number of milliseconds from 0 to 60000 belongs here";
    let timeout_ms = query.read("timeout_ms", (Code::InvalidRequest, timeout_is), |t| {
        t.parse::<u64>().ok().filter(|ms| *ms <= WAIT_MS_MAX)
    });
    query.done()?;
    let now = call.engine().now();
    let snapshot = match until {
        None => call.engine().message(&call.caller, id, None, 0).await,
        Some(status) => {
            let _place = call
                .shared
                .waits
                .try_acquire()
                .map_err(|_| Problem::new(Code::TooManyWaiting).retry_after(1))?;
            let reached = move |delivery: &Delivery| has_reached(delivery, status);
            call.engine()
                .message(&call.caller, id, Some(&reached), timeout_ms.unwrap_or(WAIT_MS_DEFAULT))
                .await
        }
    };
    let snapshot = snapshot.map_err(|error| of_message(error, now))?;
    let Subject::Message(message) = &snapshot.subject else {
        return Err(Problem::new(Code::MessageNotFound));
    };
    if message.route.channel != channel {
        return Err(Problem::new(Code::MessageNotFound));
    }
    let full = if call.caller.may(Right::Read) {
        let document = call
            .engine()
            .store()
            .load(&snapshot.key)
            .await
            .map_err(|error| unavailable(&error))?;
        document
            .and_then(|d| d.value.number)
            .and_then(|sealed| call.engine().keyring().open_number(&sealed))
    } else {
        None
    };
    let to = full.as_ref().map_or(snapshot.masked.as_str(), Number::expose);
    Ok(written(StatusCode::OK, to_json(&MessageAnswer::of(message, to))))
}

fn waited_for(text: &str) -> Option<MessageStatus> {
    [
        MessageStatus::Accepted,
        MessageStatus::Sent,
        MessageStatus::Delivered,
        MessageStatus::Read,
    ]
    .into_iter()
    .find(|s| s.as_str() == text)
}

/// Whether a message has come as far as `wanted` or further, or never will.
fn has_reached(delivery: &Delivery, wanted: MessageStatus) -> bool {
    let status = delivery.status();
    status == MessageStatus::Failed || status >= wanted
}

const READ: &str = "a reading without mistakes has read every required field";

fn whatsapp_message(call: &Call, json: &Json<'_>) -> Result<Ready, Problem> {
    let reading = Reading::default();
    let mut fields = reading.root(json);
    let account = fields.required("account_id", |f| f.whole(u32::MAX));
    let to = fields.required("to", Field::number);
    fields.required("type", |f| word(&f, "template"));
    let template = fields.required("template", |f| template(&f));
    fields.end();
    reading.done()?;
    let (account, (name, language, components)) = (account.expect(READ), template.expect(READ));
    let named = call.engine().directory();
    // What the account is configured with counts in test mode too, so that a test finds the same mistakes.
    let known = named.sender(Channel::Whatsapp, account).and_then(|s| s.template.as_deref());
    let unknown_account = |error| match of_message(error, call.engine().now()) {
        p if p.code() == Code::UnknownSender => Problem::at(
            Code::UnknownSender,
            "/account_id",
            "no WhatsApp account with this id is configured",
        ),
        p => p,
    };
    let sender = call
        .engine()
        .plain_sender(&call.caller, Channel::Whatsapp, account)
        .map_err(unknown_account)?;
    if known.is_some_and(|known| known != name) {
        return Err(Problem::at(
            Code::TemplateUnknown,
            "/template/name",
            "the account is configured with another template, so the provider would refuse this one",
        ));
    }
    let configured = named.sender(Channel::Whatsapp, account);
    if let Some(approved) = configured.and_then(|s| call.engine().approved_languages(s, &name))
        && !approved.iter().any(|l| **l == *language)
    {
        let detail = if approved.is_empty() {
            "Meta lets the template be sent in no language now".to_owned()
        } else {
            format!("Meta lets the template be sent in {} now", approved.join(", "))
        };
        return Err(Problem::at(Code::TemplateUnknown, "/template/language/code", detail));
    }
    let content = Content::Template {
        name,
        language,
        components,
    };
    Ok(Ready {
        to: to.expect(READ),
        sender,
        content,
        segments: 0,
        ucs2: false,
    })
}

fn word(field: &Field<'_>, wanted: &'static str) -> Option<()> {
    let text = field.text()?;
    if text == wanted {
        Some(())
    } else {
        field.fail(Code::InvalidRequest, format!("only {wanted} belongs here"))
    }
}

/// Name, language and components of a template; the components as JSON text, written anew from what was understood, so
/// that nothing unread reaches the provider.
fn template(field: &Field<'_>) -> Option<(String, String, String)> {
    let mut fields = field.fields()?;
    let name = fields.required("name", |f| {
        let text = f.text()?;
        // Meta: lower-case letters, digits and underscores, at most 512 characters (as in the facts read 2026-11-22).
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if fits {
            Some(text.to_owned())
        } else {
            f.fail(Code::InvalidRequest, "a template's name is made of a-z, 0-9 and _")
        }
    });
    let language = fields.required("language", |f| {
        let mut fields = f.fields()?;
        let code = fields.required("code", |f| {
            let text = f.text()?;
            let fits = (2..=15).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
            if fits {
                Some(text.to_owned())
            } else {
                f.fail(Code::InvalidRequest, "a language is written like en or pt_BR")
            }
        });
        fields.end();
        code
    });
    let components = fields.required("components", |f| {
        let items: Vec<Option<serde_json::Value>> = f.list(1, 2)?.iter().map(component).collect();
        items.into_iter().collect::<Option<Vec<_>>>()
    });
    fields.end();
    Some((name?, language?, serde_json::Value::from(components?).to_string()))
}

fn component(field: &Field<'_>) -> Option<serde_json::Value> {
    let mut fields = field.fields()?;
    let kind = fields.required("type", |f| match f.text()? {
        "body" => Some("body"),
        "button" => Some("button"),
        _ => f.fail(Code::InvalidRequest, "body or button belongs here"),
    });
    let (mut sub_type, mut index) = (None, None);
    if kind == Some("button") {
        sub_type = fields.required("sub_type", |f| word(&f, "url"));
        index = fields.required("index", |f| place(&f));
    }
    let parameters = fields.required("parameters", |f| {
        let items: Vec<Option<serde_json::Value>> = f.list(1, 1)?.iter().map(parameter).collect();
        items.into_iter().collect::<Option<Vec<_>>>()
    });
    fields.end();
    let (kind, parameters) = (kind?, parameters?);
    if kind == "body" {
        return Some(serde_json::json!({ "type": "body", "parameters": parameters }));
    }
    sub_type?;
    // Meta writes the index as a string; a number is taken as well, because people write one.
    Some(serde_json::json!({ "type": "button", "sub_type": "url", "index": index?, "parameters": parameters }))
}

fn place(field: &Field<'_>) -> Option<String> {
    match field.json() {
        Json::Number(_) => field.whole(9).map(|n| n.to_string()),
        Json::Text(text) if text.len() == 1 && text.bytes().all(|c| c.is_ascii_digit()) => Some(text.to_string()),
        _ => field.fail(
            Code::InvalidRequest,
            "a button's place is a number from 0 to 9, or the same as a string",
        ),
    }
}

fn parameter(field: &Field<'_>) -> Option<serde_json::Value> {
    let mut fields = field.fields()?;
    let kind = fields.required("type", |f| word(&f, "text"));
    let text = fields.required("text", |f| {
        let text = f.text()?;
        let fits = (1..=TEMPLATE_CODE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits {
            Some(text)
        } else {
            f.fail(Code::InvalidCode, "a code in a template has 1 to 15 characters")
        }
    });
    fields.end();
    kind?;
    Some(serde_json::json!({ "type": "text", "text": text? }))
}

fn sms_message(call: &Call, json: &Json<'_>) -> Result<Ready, Problem> {
    let reading = Reading::default();
    let mut fields = reading.root(json);
    let id = fields.optional("from_number_id", |f| f.whole(u32::MAX));
    let from = fields.optional("from", |f| f.line(64).map(str::to_owned));
    let to = fields.required("to", Field::number);
    let body = fields.required("body", |f| {
        let text = f.text()?;
        let fits = (1..=SMS_BODY_CHARS_MAX).contains(&text.chars().count()) && !text.contains('\0');
        if fits {
            Some(text.to_owned())
        } else {
            f.fail(Code::InvalidRequest, "a text of 1 to 1600 characters belongs here")
        }
    });
    fields.end();
    reading.done()?;
    let id = match (id, &from) {
        (Some(id), None) => id,
        (None, Some(from)) => {
            let directory = call.engine().directory();
            let same = |s: &&&Arc<Sender>| s.number.as_deref().is_some_and(|number| plain(number) == plain(from));
            let numbers = directory.senders();
            let sender = numbers
                .iter()
                .filter(|s| s.channel == Channel::Sms && s.id != SANDBOX_SENDER)
                .find(same);
            sender
                .map(|s| s.id)
                .ok_or_else(|| Problem::at(Code::UnknownSender, "/from", "no such number is configured"))?
        }
        (Some(_), Some(_)) => {
            return Err(Problem::at(
                Code::InvalidRequest,
                "/from",
                "send from_number_id or from, not both",
            ));
        }
        (None, None) => {
            return Err(Problem::at(
                Code::MissingField,
                "/from_number_id",
                "from_number_id or from is required",
            ));
        }
    };
    let body = body.expect(READ);
    let unknown_number = |error| match of_message(error, call.engine().now()) {
        p if p.code() == Code::UnknownSender => {
            Problem::at(Code::UnknownSender, "/from_number_id", "no number with this id is configured")
        }
        p => p,
    };
    let sender = call
        .engine()
        .plain_sender(&call.caller, Channel::Sms, id)
        .map_err(unknown_number)?;
    let directory = call.engine().directory();
    let configured = directory.sender(Channel::Sms, id);
    let to = to.expect(READ);
    if let Some(skip) = configured.filter(|s| s.id == sender.id).and_then(|s| s.never_to(&to)) {
        return Err(of_sender(&skip));
    }
    let codes_only = configured.is_some_and(|s| s.codes_only);
    if codes_only && !holds_a_code(&body) {
        return Err(Problem::at(
            Code::NumberCarriesCodesOnly,
            "/body",
            Code::NumberCarriesCodesOnly.registered().means,
        ));
    }
    let (encoding, segments) = segments(&body);
    Ok(Ready {
        to,
        sender,
        content: Content::Text(body),
        segments,
        ucs2: encoding == Encoding::Ucs2,
    })
}

fn plain(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect()
}

/// Whether a text has a group of digits as long as a code.
fn holds_a_code(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit())
        .any(|digits| CODE_DIGITS.contains(&digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dedicated_number_knows_a_code_when_it_sees_one() {
        for text in ["Your code is 123456. Expires in 5 minutes.", "1234", "G-123456 is yours"] {
            assert!(holds_a_code(text), "{text}");
        }
        for text in ["50% off until the 24th!", "Call 12345678901", "", "١٢٣٤٥٦"] {
            assert!(!holds_a_code(text), "{text}");
        }
    }

    #[test]
    fn who_waits_for_delivery_is_answered_by_anything_that_settles_it() {
        let now = Timestamp::from_millis(1);
        let queued = Delivery::queued(now);
        let with = |change: &dyn Fn(&mut Delivery)| {
            let mut delivery = queued.clone();
            change(&mut delivery);
            delivery
        };
        let wanted = MessageStatus::Delivered;
        assert!(!has_reached(&queued, wanted));
        assert!(!has_reached(&with(&|d| d.sent_at = Some(now)), wanted));
        assert!(!has_reached(&with(&|d| d.unclear_at = Some(now)), MessageStatus::Accepted));
        assert!(has_reached(&with(&|d| d.read_at = Some(now)), wanted));
        assert!(has_reached(&with(&|d| d.failed_at = Some(now)), wanted));
    }
}
