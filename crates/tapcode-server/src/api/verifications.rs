//! How does a caller begin, resend, check, cancel and look at a verification?

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use tapcode_core::code::Code as Otp;
use tapcode_core::id::{ID_BYTES, VerificationId};
use tapcode_core::number::Number;
use tapcode_core::plan::{Channel, PLAN_STEPS_MAX, WAIT_MS_MAX};
use tapcode_core::recipient::{Recipient, RecipientKey};
use tapcode_core::step::Answer;
use tapcode_core::text::APP_HASH_CHARS;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{
    ClientHints, METADATA_KEY_MAX, METADATA_PAIRS_MAX, METADATA_VALUE_MAX, Platform, Purpose, Status,
};
use tapcode_engine::contract::store::{Browse, Right, Subject};
use tapcode_engine::engine::{Remember, Rendered};
use tapcode_engine::requests::{BINDING_MAX, BeginRequest, Done, View};
use tapcode_engine::service::WorkflowStep;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::answers::{CheckAnswer, TimelineAnswer, VerificationAnswer, VerificationList};
use crate::api::call::{Answered, Call, answer, replayed, scope_of, to_json, written};
use crate::api::json::Json;
use crate::api::operation::{Body, Operation, Parameter, Route, Success, keyed, schema};
use crate::api::reader::{Field, Fields, Reading};
use crate::api::refusal;
use crate::limits::{LOCALE_MAX, ORIGIN_MAX, USER_AGENT_MAX};
use crate::problem::{Code, Problem};

const TAG: &str = "Verifications";

/// A verification to begin.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the documentation's form of what `begin_request` reads; a test holds the two together"
)]
pub(crate) struct BeginBody {
    /// The number in E.164; ASCII spaces, hyphens, dots and brackets are ignored.
    to: String,
    /// What the code is for: a code is good for its purpose only. 1 to 64 of a-z, 0-9, _, -, . and :.
    #[schema(default = "default")]
    purpose: Option<String>,
    /// BCP 47. Default: from the number's country, then the service.
    locale: Option<String>,
    /// 1 to 8 steps. Default: the service's routing.
    workflow: Option<Vec<WorkflowStepBody>>,
    /// Your own code, 4 to 10 ASCII letters and digits, where the service allows it.
    code: Option<String>,
    /// Dynamic linking: what the code is bound to; it must be repeated at the check. Strings, numbers and booleans; 1 KiB.
    #[schema(value_type = Option<Object>)]
    binding: Option<()>,
    /// Hints about the user's device.
    client: Option<ClientBody>,
    /// At most 10 pairs of your own, returned in answers and events.
    metadata: Option<std::collections::HashMap<String, String>>,
}

/// One step of a workflow.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct WorkflowStepBody {
    /// `whatsapp` or `sms`.
    channel: String,
    /// The account's or number's id in the configuration. Default: the service's own for the channel.
    sender: Option<u32>,
    /// How long to wait for `delivered` or `read` before the next step. Default 10000, at most 600000.
    wait_ms: Option<u32>,
}

/// Hints about the user's device.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct ClientBody {
    /// The user's address.
    ip: Option<String>,
    /// The user's browser or app.
    user_agent: Option<String>,
    /// `android`, `ios` or `web`.
    platform: Option<String>,
    /// The app's 11-character hash, for filling codes in on Android.
    app_hash: Option<String>,
    /// The origin that an SMS code is bound to, such as `https://example.com`.
    web_origin: Option<String>,
    /// Whether the app saw WhatsApp on the phone.
    whatsapp_installed: Option<bool>,
}

/// A code to check against one verification.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct CheckBody {
    /// What the user typed; spaces and hyphens are ignored.
    code: String,
    /// The binding that the verification was begun with.
    #[schema(value_type = Option<Object>)]
    binding: Option<()>,
}

/// A code to check against the pending, else the latest verification of a number for a purpose.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct CheckNumberBody {
    /// The number in E.164.
    to: String,
    #[schema(default = "default")]
    purpose: Option<String>,
    /// What the user typed; spaces and hyphens are ignored.
    code: String,
    /// The binding that the verification was begun with.
    #[schema(value_type = Option<Object>)]
    binding: Option<()>,
}

/// Another message for a pending verification.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct ResendBody {
    /// `whatsapp` or `sms`. Default: the next step of the workflow, else the last one again.
    channel: Option<String>,
}

/// Nothing.
#[derive(ToSchema)]
pub(crate) struct EmptyBody {}

const VERIFICATION: &str = r#"{"id":"vrf_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","status":"pending","to":"+31*****8058","purpose":"login","channel":"whatsapp","attempts":[{"id":"msg_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0EG","channel":"whatsapp","provider":"whatsapp_cloud","sender":1,"language":"nl","status":"queued","queued_at":"2026-11-23T09:00:00.000Z","accepted_at":null,"sent_at":null,"delivered_at":null,"read_at":null,"failed_at":null,"failure":null,"price":null,"provider_message_id":null}],"checks_left":5,"sends_left":4,"resend_at":"2026-11-23T09:01:00.000Z","expires_at":"2026-11-23T09:05:00.000Z","created_at":"2026-11-23T09:00:00.000Z","metadata":{"user_id":"u_17"}}"#;
const CHECKED: &str = r#"{"valid":false,"status":"pending","reason":"incorrect_code","checks_left":4,"id":"vrf_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","to":"+31*****8058","purpose":"login","metadata":{"user_id":"u_17"}}"#;
/// Parameters that let an admin key name a service.
pub(crate) const SERVICE: [Parameter; 2] = [
    Parameter {
        name: "service",
        kind: "string",
        means: "Admin keys only: the service to look at.",
    },
    Parameter {
        name: "mode",
        kind: "live|test",
        means: "Admin keys only: the mode to look at. Default: the key's.",
    },
];
const SENDS: &[Code] = &[
    Code::ResendTooSoon,
    Code::HourlySendLimit,
    Code::RecipientLocked,
    Code::ServiceNeeded,
];

/// The operations of this page.
#[expect(clippy::too_many_lines, reason = "a list to be read from top to bottom")]
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const ONE: Success = Success {
        status: 200,
        means: "The verification.",
        media: "application/json",
        schema: Some(schema::<VerificationAnswer<'static>>),
        example: VERIFICATION,
    };
    const CHECK: Success = Success {
        status: 200,
        means: "The result, right or wrong.",
        media: "application/json",
        schema: Some(schema::<CheckAnswer<'static>>),
        example: CHECKED,
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
        answers: &[ONE],
        problems: &[Code::VerificationNotFound],
    };
    vec![
        keyed(
            Operation {
                idempotent: true,
                body: Some(Body {
                    schema: schema::<BeginBody>,
                    required: true,
                    example: r#"{"to":"+31611398058","purpose":"login","locale":"nl","metadata":{"user_id":"u_17"}}"#,
                }),
                answers: &[
                    Success {
                        status: 201,
                        means: "A verification began.",
                        ..ONE
                    },
                    Success {
                        status: 200,
                        means: "One was pending for the same service, number and purpose: its code was sent again.",
                        ..ONE
                    },
                ],
                problems: &[
                    Code::InvalidNumber,
                    Code::InvalidCode,
                    Code::UnknownChannel,
                    Code::OwnCodesOff,
                    Code::NoRoute,
                    Code::UnknownSender,
                    Code::ServiceNeeded,
                    Code::ServiceNotConfigured,
                    Code::PendingWithOtherCode,
                    Code::PendingWithOtherBinding,
                    Code::ResendTooSoon,
                    Code::HourlySendLimit,
                    Code::RecipientLocked,
                    Code::ErasureUnderWay,
                    Code::TooManyPurposes,
                    Code::TooManyPending,
                ],
                ..base(
                    "beginVerification",
                    Method::POST,
                    "/api/v1/verifications",
                    "Begin a verification",
                    "Sends a code. With one pending for the same service, number and purpose it is a resend of that one, with the same code. The answer is sent once the verification is durable; it does not wait for the provider.",
                    &[Right::Verify],
                )
            },
            shared,
            begin,
        ),
        keyed(
            Operation {
                query: {
                    let [service, mode] = SERVICE;
                    vec![
                        Parameter {
                            name: "to",
                            kind: "string",
                            means: "Of this number only.",
                        },
                        Parameter {
                            name: "status",
                            kind: "pending|approved|expired|canceled|max_checks_reached|failed|blocked",
                            means: "In this status only.",
                        },
                        Parameter {
                            name: "purpose",
                            kind: "string",
                            means: "For this purpose only.",
                        },
                        Parameter {
                            name: "after",
                            kind: "string",
                            means: "Created at or after this moment, RFC 3339.",
                        },
                        Parameter {
                            name: "before",
                            kind: "string",
                            means: "Created before this moment, RFC 3339.",
                        },
                        Parameter {
                            name: "limit",
                            kind: "integer",
                            means: "1 to 100. Default 20.",
                        },
                        Parameter {
                            name: "cursor",
                            kind: "string",
                            means: "The `next_cursor` of the page before.",
                        },
                        service,
                        mode,
                    ]
                },
                answers: &[Success {
                    status: 200,
                    means: "A page, newest first.",
                    media: "application/json",
                    schema: Some(schema::<VerificationList<'static>>),
                    example: r#"{"data":[],"next_cursor":null}"#,
                }],
                problems: &[Code::InvalidNumber, Code::InvalidCursor, Code::ServiceNeeded],
                ..base(
                    "listVerifications",
                    Method::GET,
                    "/api/v1/verifications",
                    "List verifications",
                    "Newest first. A page may be short, or empty, and not the last: go on while `next_cursor` is not null.",
                    &[Right::Read],
                )
            },
            shared,
            list,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<CheckNumberBody>,
                    required: true,
                    example: r#"{"to":"+31611398058","purpose":"login","code":"482913"}"#,
                }),
                answers: &[CHECK],
                problems: &[
                    Code::VerificationNotFound,
                    Code::InvalidNumber,
                    Code::InvalidCode,
                    Code::ServiceNeeded,
                ],
                ..base(
                    "checkNumber",
                    Method::POST,
                    "/api/v1/verifications/check",
                    "Check a code by number",
                    "Against the pending, else the latest verification of the number for the purpose.",
                    &[Right::Verify],
                )
            },
            shared,
            check_number,
        ),
        keyed(
            base(
                "getVerification",
                Method::GET,
                "/api/v1/verifications/{id}",
                "Get a verification",
                "As it stands now.",
                &[Right::Read, Right::Verify],
            ),
            shared,
            get,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<CheckBody>,
                    required: true,
                    example: r#"{"code":"482913"}"#,
                }),
                answers: &[CHECK],
                problems: &[Code::VerificationNotFound, Code::InvalidCode],
                ..base(
                    "checkVerification",
                    Method::POST,
                    "/api/v1/verifications/{id}/check",
                    "Check a code",
                    "A wrong code is an answer, not a problem. A text that could be no code is a problem, and is not counted.",
                    &[Right::Verify],
                )
            },
            shared,
            check,
        ),
        keyed(
            Operation {
                idempotent: true,
                body: Some(Body {
                    schema: schema::<ResendBody>,
                    required: false,
                    example: r#"{"channel":"sms"}"#,
                }),
                problems: &const {
                    [
                        SENDS[0],
                        SENDS[1],
                        SENDS[2],
                        SENDS[3],
                        Code::VerificationNotFound,
                        Code::VerificationNotPending,
                        Code::ChannelNotInPlan,
                        Code::UnknownChannel,
                    ]
                },
                ..base(
                    "resendVerification",
                    Method::POST,
                    "/api/v1/verifications/{id}/resend",
                    "Send the code again",
                    "The same code, over the next step of the workflow or the channel that is asked for.",
                    &[Right::Verify],
                )
            },
            shared,
            resend,
        ),
        keyed(
            Operation {
                idempotent: true,
                body: Some(Body {
                    schema: schema::<EmptyBody>,
                    required: false,
                    example: "{}",
                }),
                problems: &[Code::VerificationNotFound, Code::VerificationNotPending, Code::ServiceNeeded],
                ..base(
                    "cancelVerification",
                    Method::POST,
                    "/api/v1/verifications/{id}/cancel",
                    "Cancel a verification",
                    "Its code is good for nothing any more. Canceling twice is harmless.",
                    &[Right::Verify],
                )
            },
            shared,
            cancel,
        ),
        keyed(
            Operation {
                answers: &[Success {
                    status: 200,
                    means: "Every input that reached the verification and what was decided, in words.",
                    media: "application/json",
                    schema: Some(schema::<TimelineAnswer<'static>>),
                    example: r#"{"data":[{"id":"evt_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0F0","at":"2026-11-23T09:00:00.000Z","input":{"type":"begin"},"decisions":[{"title":"Began","why":"for the purpose login; the code is good for 5 min","kind":"begin"}]}],"next_cursor":null}"#,
                }],
                ..base(
                    "getTimeline",
                    Method::GET,
                    "/api/v1/verifications/{id}/timeline",
                    "Why did this happen?",
                    "Oldest first.",
                    &[Right::Read, Right::Verify],
                )
            },
            shared,
            timeline,
        ),
    ]
}

async fn begin(call: Call) -> Answered {
    call.query().done()?;
    let request = begin_request(&call.json()?)?;
    call.scope()?;
    let render = |document: &Recipient, decided: &Answer, at: Timestamp| match decided {
        Answer::Begun { verification, new } => rendered(&call, document, *verification, at, begun(*new)),
        _ => (StatusCode::OK.as_u16(), Vec::new()),
    };
    let key = call.idempotency_key("beginVerification")?;
    let remember = key.as_ref().map(|k| Remember {
        key: k.key,
        fingerprint: k.fingerprint,
        render: &render,
    });
    match call.engine().begin(&call.caller, request, remember).await {
        Ok(Done::Now((view, new))) => seen(begun(new), &view),
        Ok(Done::Before(rendered)) => Ok(replayed(rendered)),
        Err(error) => Err(problem(&call, error)),
    }
}

const fn begun(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

async fn resend(call: Call) -> Answered {
    let id = call.id(VerificationId::parse)?;
    call.query().done()?;
    let json = call.json_if_any()?;
    let reading = Reading::default();
    let channel = {
        let mut fields = reading.root(&json);
        let channel = fields.optional("channel", Field::channel);
        fields.end();
        channel
    };
    reading.done()?;
    let render = |document: &Recipient, _: &Answer, at: Timestamp| rendered(&call, document, id, at, StatusCode::OK);
    let key = call.idempotency_key("resendVerification")?;
    let remember = key.as_ref().map(|k| Remember {
        key: k.key,
        fingerprint: k.fingerprint,
        render: &render,
    });
    done(&call, call.engine().resend(&call.caller, id, channel, remember).await)
}

async fn cancel(call: Call) -> Answered {
    let id = call.id(VerificationId::parse)?;
    call.query().done()?;
    let json = call.json_if_any()?;
    let reading = Reading::default();
    reading.root(&json).end();
    reading.done()?;
    let render = |document: &Recipient, _: &Answer, at: Timestamp| rendered(&call, document, id, at, StatusCode::OK);
    let key = call.idempotency_key("cancelVerification")?;
    let remember = key.as_ref().map(|k| Remember {
        key: k.key,
        fingerprint: k.fingerprint,
        render: &render,
    });
    done(&call, call.engine().cancel(&call.caller, id, remember).await)
}

fn done(call: &Call, result: Result<Done<View>, tapcode_engine::requests::RequestError>) -> Answered {
    match result {
        Ok(Done::Now(view)) => seen(StatusCode::OK, &view),
        Ok(Done::Before(rendered)) => Ok(replayed(rendered)),
        Err(error) => Err(problem(call, error)),
    }
}

/// The answer as it is remembered: the very bytes that the first asker gets too.
fn rendered(call: &Call, document: &Recipient, id: VerificationId, at: Timestamp, status: StatusCode) -> Rendered {
    // The document's key is not part of the answer.
    let view = call.engine().view_in(RecipientKey([0; 16]), document, id, at, &call.caller);
    let body = view.as_ref().and_then(VerificationAnswer::of).map(|v| to_json(&v));
    (status.as_u16(), body.unwrap_or_default())
}

fn seen(status: StatusCode, view: &View) -> Answered {
    let shown = VerificationAnswer::of(view).ok_or_else(|| Problem::new(Code::VerificationNotFound))?;
    Ok(written(status, to_json(&shown)))
}

fn problem(call: &Call, error: tapcode_engine::requests::RequestError) -> Problem {
    refusal::of_verification(error, call.engine().now())
}

async fn get(call: Call) -> Answered {
    let id = call.id(VerificationId::parse)?;
    call.query().done()?;
    let view = call
        .engine()
        .verification(&call.caller, id)
        .await
        .map_err(|error| problem(&call, error))?;
    seen(StatusCode::OK, &view)
}

async fn timeline(call: Call) -> Answered {
    let id = call.id(VerificationId::parse)?;
    call.query().done()?;
    let entries = call
        .engine()
        .timeline(&call.caller, id)
        .await
        .map_err(|error| problem(&call, error))?;
    Ok(answer(
        StatusCode::OK,
        &TimelineAnswer {
            data: entries.iter().map(Into::into).collect(),
            next_cursor: None,
        },
    ))
}

async fn check(call: Call) -> Answered {
    let id = call.id(VerificationId::parse)?;
    call.query().done()?;
    let json = call.json()?;
    let reading = Reading::default();
    let (code, bound) = {
        let mut fields = reading.root(&json);
        let code = fields.required("code", |f| typed(&f));
        let bound = fields.optional("binding", |f| binding(&f));
        fields.end();
        (code, bound)
    };
    reading.done()?;
    let checked = call
        .engine()
        .check(&call.caller, id, code.unwrap_or_default(), bound.as_deref())
        .await;
    checked_answer(&call, checked)
}

async fn check_number(call: Call) -> Answered {
    call.query().done()?;
    let json = call.json()?;
    let reading = Reading::default();
    let (to, purpose, code, bound) = {
        let mut fields = reading.root(&json);
        let to = fields.required("to", Field::number);
        let purpose = fields
            .optional("purpose", Field::purpose)
            .unwrap_or_else(Purpose::default_purpose);
        let code = fields.required("code", |f| typed(&f));
        let bound = fields.optional("binding", |f| binding(&f));
        fields.end();
        (to, purpose, code, bound)
    };
    reading.done()?;
    call.scope()?;
    let to = to.expect(READ);
    let checked = call
        .engine()
        .check_number(&call.caller, &to, &purpose, code.unwrap_or_default(), bound.as_deref())
        .await;
    checked_answer(&call, checked)
}

const READ: &str = "a reading without mistakes has read every required field";

fn checked_answer(
    call: &Call,
    checked: Result<tapcode_engine::requests::Checked, tapcode_engine::requests::RequestError>,
) -> Answered {
    let checked = checked.map_err(|error| problem(call, error))?;
    let shown = CheckAnswer::of(&checked).ok_or_else(|| Problem::new(Code::VerificationNotFound))?;
    Ok(answer(StatusCode::OK, &shown))
}

async fn list(call: Call) -> Answered {
    let query = call.query();
    let acting = call.acting(&query);
    let status_is = "a status is pending, approved, expired, canceled, max_checks_reached, failed or blocked";
    let to = query.number("to");
    let status = query.read("status", (Code::InvalidRequest, status_is), Status::parse);
    let purpose = query.purpose();
    let (after, before) = (query.moment("after"), query.moment("before"));
    let limit = query.limit();
    let cursor = query.read(
        "cursor",
        (Code::InvalidCursor, Code::InvalidCursor.registered().means),
        from_cursor,
    );
    query.done()?;
    let scope = scope_of(&acting)?;
    let key = to.map(|number| call.engine().keyring().recipient_key(&scope, &number));
    let browse = Browse {
        scope,
        key,
        status,
        purpose,
        after,
        before,
        cursor,
        limit,
    };
    let page = call.engine().browse(&browse).await.map_err(|error| problem(&call, error))?;
    let mut views = Vec::with_capacity(page.snapshots.len());
    for snapshot in page.snapshots {
        views.push(
            call.engine()
                .view_of(&acting, snapshot)
                .await
                .map_err(|error| problem(&call, error))?,
        );
    }
    // One that was over and is written down as such only now is no longer what was asked for.
    let still = |view: &&View| match &view.snapshot.subject {
        Subject::Verification(v) => status.is_none_or(|wanted| v.status == wanted),
        Subject::Message(_) => false,
    };
    let data = views.iter().filter(still).filter_map(VerificationAnswer::of).collect();
    Ok(answer(
        StatusCode::OK,
        &VerificationList {
            data,
            next_cursor: page.next.map(to_cursor),
        },
    ))
}

fn to_cursor(id: VerificationId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn from_cursor(text: &str) -> Option<VerificationId> {
    let bytes: [u8; ID_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    Some(VerificationId::from_bytes(bytes))
}

/// Reads the body of a begin.
fn begin_request(json: &Json<'_>) -> Result<BeginRequest, Problem> {
    let reading = Reading::default();
    let (to, request) = {
        let mut fields = reading.root(json);
        let to: Option<Number> = fields.required("to", Field::number);
        let request = |to: Number, fields: &mut Fields<'_>| BeginRequest {
            to,
            purpose: fields
                .optional("purpose", Field::purpose)
                .unwrap_or_else(Purpose::default_purpose),
            locale: fields.optional("locale", |f| locale(&f)),
            workflow: fields.optional("workflow", |f| workflow(&f)),
            code: fields.optional("code", |f| own_code(&f)),
            binding: fields.optional("binding", |f| binding(&f)),
            client: fields.optional("client", |f| client(&f)),
            metadata: fields.optional("metadata", |f| metadata(&f)).unwrap_or_default(),
        };
        // Without a number the rest is read all the same, for its mistakes.
        let stand_in = || Number::parse("+31611398058").expect("the documentation's example is a number");
        let there = to.is_some();
        let request = request(to.unwrap_or_else(stand_in), &mut fields);
        fields.end();
        (there, request)
    };
    reading.done()?;
    debug_assert!(to, "{READ}");
    Ok(request)
}

fn typed<'j>(field: &Field<'j>) -> Option<&'j str> {
    let text = field.text()?;
    if text.is_empty() {
        field.fail(Code::InvalidCode, "send the code that the user typed, as a string")
    } else {
        Some(text)
    }
}

fn own_code(field: &Field<'_>) -> Option<Otp> {
    Otp::own(field.text()?).map_or_else(|error| field.fail(Code::InvalidCode, error.to_string()), Some)
}

pub(crate) fn locale(field: &Field<'_>) -> Option<Box<str>> {
    let text = field.text()?;
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric());
    let language = text
        .split('-')
        .next()
        .is_some_and(|l| (2..=8).contains(&l.len()) && l.bytes().all(|c| c.is_ascii_alphabetic()));
    if text.len() <= LOCALE_MAX && language && text.split('-').all(part) {
        Some(text.into())
    } else {
        field.fail(Code::InvalidRequest, "a locale is a BCP 47 tag such as nl or pt-BR")
    }
}

fn workflow(field: &Field<'_>) -> Option<Vec<WorkflowStep>> {
    let items = field.list(1, PLAN_STEPS_MAX)?;
    let step = |item: Field<'_>| {
        let mut fields = item.fields()?;
        let channel: Option<Channel> = fields.required("channel", Field::channel);
        let sender = fields.optional("sender", |f| f.whole(u32::MAX));
        let wait_ms = fields.optional("wait_ms", |f| f.whole(WAIT_MS_MAX));
        fields.end();
        Some(WorkflowStep {
            channel: channel?,
            sender,
            wait_ms,
        })
    };
    // Every step is read before any is judged, so that all mistakes are named.
    let steps: Vec<Option<WorkflowStep>> = items.into_iter().map(step).collect();
    steps.into_iter().collect()
}

/// The canonical form of a binding: an object with sorted names, without spaces. Two bodies with the same members in any
/// order are the same transaction.
pub(crate) fn binding(field: &Field<'_>) -> Option<String> {
    let pairs = field.pairs(crate::limits::JSON_ITEMS_MAX)?;
    let mut canonical = std::collections::BTreeMap::new();
    let mut whole = true;
    for (name, value) in pairs {
        let scalar = match value.json() {
            Json::Text(text) => serde_json::Value::from(text.as_ref()),
            Json::Number(number) => serde_json::Value::from(number.clone()),
            Json::Bool(value) => serde_json::Value::from(*value),
            Json::Null | Json::List(_) | Json::Object(_) => {
                whole = false;
                let _: Option<()> = value.fail(Code::WrongType, "strings, numbers and booleans belong in a binding");
                continue;
            }
        };
        canonical.insert(name, scalar);
    }
    if !whole {
        return None;
    }
    if canonical.is_empty() {
        return field.fail(Code::InvalidRequest, "a binding names at least one thing");
    }
    let text = serde_json::to_string(&canonical).expect("scalars under names are JSON");
    if text.len() > BINDING_MAX {
        field.fail(Code::InvalidRequest, "a binding has at most 1024 bytes")
    } else {
        Some(text)
    }
}

fn metadata(field: &Field<'_>) -> Option<Vec<(Box<str>, Box<str>)>> {
    let pairs = field.pairs(METADATA_PAIRS_MAX)?;
    let pair = |(name, value): (&str, Field<'_>)| {
        if name.is_empty() || name.len() > METADATA_KEY_MAX {
            return value.fail(
                Code::InvalidRequest,
                format!("a name of metadata has 1 to {METADATA_KEY_MAX} bytes"),
            );
        }
        let text = value.text()?;
        if text.len() > METADATA_VALUE_MAX {
            return value.fail(
                Code::InvalidRequest,
                format!("a value of metadata has at most {METADATA_VALUE_MAX} bytes"),
            );
        }
        Some((name.into(), text.into()))
    };
    let pairs: Vec<Option<_>> = pairs.into_iter().map(pair).collect();
    pairs.into_iter().collect()
}

pub(crate) fn client(field: &Field<'_>) -> Option<ClientHints> {
    let mut fields = field.fields()?;
    let ip = |f: Field<'_>| {
        let address = f.text()?.parse::<IpAddr>().ok().map(|ip| ip.to_string().into());
        address.or_else(|| f.fail(Code::InvalidRequest, "an IPv4 or IPv6 address belongs here"))
    };
    let platform = |f: Field<'_>| {
        let text = f.text()?;
        Platform::parse(text).or_else(|| f.fail(Code::InvalidRequest, "android, ios or web belongs here"))
    };
    let app_hash = |f: Field<'_>| {
        let text = f.text()?;
        let fits = text.len() == APP_HASH_CHARS && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'));
        if fits {
            Some(text.into())
        } else {
            f.fail(Code::InvalidRequest, "the app's hash has 11 characters of base 64")
        }
    };
    let web_origin = |f: Field<'_>| {
        let text = f.text()?;
        let host = text.strip_prefix("https://").unwrap_or_default();
        let fits = !host.is_empty()
            && text.len() <= ORIGIN_MAX
            && host
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b':'));
        if fits {
            Some(text.into())
        } else {
            f.fail(Code::InvalidRequest, "an origin is https://, a host and nothing behind it")
        }
    };
    let hints = ClientHints {
        ip: fields.optional("ip", ip),
        user_agent: fields.optional("user_agent", |f| f.line(USER_AGENT_MAX).map(Into::into)),
        platform: fields.optional("platform", platform),
        app_hash: fields.optional("app_hash", app_hash),
        web_origin: fields.optional("web_origin", web_origin),
        whatsapp_installed: fields.optional("whatsapp_installed", |f| f.boolean()),
    };
    fields.end();
    Some(hints)
}
