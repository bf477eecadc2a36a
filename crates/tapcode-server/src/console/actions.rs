//! What may a person do on the page? Send a code, check one, add a phone, change its network, open a message.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tapcode_core::id::{KeyId, VerificationId};
use tapcode_core::number::Number;
use tapcode_core::recipient::Scope;
use tapcode_core::verification::Purpose;
use tapcode_engine::access::Caller;
use tapcode_engine::contract::store::{Right, SubjectId};
use tapcode_engine::requests::{BeginRequest, Done, RequestError};

use super::Page;
use super::decisions::is_sandboxed;
use super::shown::ShownNetwork;
use crate::api::answers::{CheckAnswer, VerificationAnswer};
use crate::api::refusal::of_verification;
use crate::problem::{Code, Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfNumber {
    number: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfCheck {
    verification_id: String,
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfNetwork {
    number: String,
    network: ShownNetwork,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfMessage {
    message_id: String,
}

type Asked<T> = Result<Json<T>, JsonRejection>;

/// What the API would have answered, in its status and body: the page shows either.
fn as_the_api(status: u16, body: &impl Serialize) -> Response {
    Json(json!({ "status": status, "body": body })).into_response()
}

fn refused_by_the_api(problem: &Problem) -> Response {
    let registered = problem.code().registered();
    as_the_api(
        registered.status,
        &json!({ "title": registered.title, "code": registered.word, "detail": problem.says() }),
    )
}

pub(super) async fn begin(State(page): State<Page>, asked: Asked<OfNumber>) -> Response {
    let Json(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return unreadable(&rejection),
    };
    let to = match Number::parse(&asked.number) {
        Ok(to) => to,
        Err(error) => return refused_by_the_api(&Problem::new(Code::InvalidNumber).detail(error.to_string())),
    };
    page.console.phones.add(&to);
    let request = BeginRequest {
        to,
        purpose: Purpose::default_purpose(),
        locale: None,
        workflow: None,
        code: None,
        binding: None,
        client: None,
        metadata: Vec::new(),
    };
    match page.engine.begin(&page.caller(page.console.scope()), request, None).await {
        Ok(Done::Now((view, new))) => as_the_api(if new { 201 } else { 200 }, &VerificationAnswer::of(&view)),
        // Without an idempotency key nothing was answered before.
        Ok(Done::Before(_)) => page.refused(RequestError::Unknown),
        Err(error) => page.refused(error),
    }
}

pub(super) async fn check(State(page): State<Page>, asked: Asked<OfCheck>) -> Response {
    let Json(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return unreadable(&rejection),
    };
    let Ok(id) = VerificationId::parse(&asked.verification_id) else {
        return page.refused(RequestError::Unknown);
    };
    // Whoever sees the page sees the code, so nothing is given away; what does not go by the sandbox is not the page's business.
    let scope = match page.engine.store().snapshot(SubjectId::Verification(id)).await {
        Ok(Some(snapshot)) if is_sandboxed(&snapshot.subject) => snapshot.scope,
        Ok(_) => return page.refused(RequestError::Unknown),
        Err(error) => return page.refused(error.into()),
    };
    match page.engine.check(&page.caller(scope), id, &asked.code, None).await {
        Ok(checked) => as_the_api(200, &CheckAnswer::of(&checked)),
        Err(error) => page.refused(error),
    }
}

pub(super) async fn phones(State(page): State<Page>, asked: Asked<OfNumber>) -> Response {
    with_number(
        asked,
        |asked| asked.number.clone(),
        |number, _| {
            page.console.phones.add(number);
        },
    )
}

pub(super) async fn network(State(page): State<Page>, asked: Asked<OfNetwork>) -> Response {
    with_number(
        asked,
        |asked| asked.number.clone(),
        |number, asked| page.console.phones.set_network(number, asked.network.into()),
    )
}

pub(super) async fn read(State(page): State<Page>, asked: Asked<OfMessage>) -> Response {
    match asked {
        Ok(Json(asked)) if page.console.phones.open(&asked.message_id) => Json(json!({})).into_response(),
        Ok(_) => Problem::new(Code::MessageNotFound).into_response(),
        Err(rejection) => unreadable(&rejection),
    }
}

fn with_number<T>(asked: Asked<T>, number: impl Fn(&T) -> String, work: impl FnOnce(&Number, T)) -> Response {
    let Json(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return unreadable(&rejection),
    };
    match Number::parse(&number(&asked)) {
        Ok(number) => {
            work(&number, asked);
            Json(json!({})).into_response()
        }
        Err(error) => Problem::new(Code::InvalidNumber).detail(error.to_string()).into_response(),
    }
}

impl Page {
    /// The page as a caller: it may begin and check, and reads no number.
    fn caller(&self, scope: Scope) -> Caller {
        let key = KeyId::new(self.engine.now(), [0; 16]);
        Caller {
            key,
            service: Some(scope.service),
            mode: scope.mode,
            rights: vec![Right::Verify],
        }
    }

    fn refused(&self, error: RequestError) -> Response {
        refused_by_the_api(&of_verification(error, self.engine.now()))
    }
}

fn unreadable(rejection: &JsonRejection) -> Response {
    let code = match rejection {
        JsonRejection::JsonSyntaxError(_) => Code::InvalidJson,
        JsonRejection::MissingJsonContentType(_) => Code::UnsupportedMediaType,
        JsonRejection::BytesRejection(_) => Code::BodyTooLarge,
        _ => Code::InvalidRequest,
    };
    Problem::new(code).into_response()
}
