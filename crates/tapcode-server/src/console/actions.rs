//! What may a person do on the page? Send a code, check one, add a phone, change its network, open a message.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tapcode_core::id::{KeyId, VerificationId};
use tapcode_core::number::Number;
use tapcode_core::recipient::Scope;
use tapcode_core::verification::{Purpose, Status};
use tapcode_engine::access::Caller;
use tapcode_engine::contract::store::{Right, Subject, SubjectId};
use tapcode_engine::requests::{BeginRequest, Done, RequestError};

use super::Page;
use super::decisions::is_sandboxed;
use super::shown::ShownNetwork;
use crate::problem_stub::problem;

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
fn as_the_api(status: StatusCode, body: &Value) -> Response {
    Json(json!({ "status": status.as_u16(), "body": body })).into_response()
}

pub(super) async fn begin(State(page): State<Page>, asked: Asked<OfNumber>) -> Response {
    let Json(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return unreadable(&rejection),
    };
    let to = match Number::parse(&asked.number) {
        Ok(to) => to,
        Err(error) => return as_the_api(StatusCode::BAD_REQUEST, &json!({ "title": "Invalid number", "code": "invalid_number", "detail": error.to_string() })),
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
        Ok(Done::Now((view, new))) => match &view.snapshot.subject {
            Subject::Verification(v) => {
                let status = if new { StatusCode::CREATED } else { StatusCode::OK };
                as_the_api(status, &json!({ "id": v.id.to_string(), "status": v.status.as_str() }))
            }
            Subject::Message(_) => refused(&RequestError::Unknown),
        },
        // Without an idempotency key nothing was answered before.
        Ok(Done::Before(_)) => refused(&RequestError::Unknown),
        Err(error) => refused(&error),
    }
}

pub(super) async fn check(State(page): State<Page>, asked: Asked<OfCheck>) -> Response {
    let Json(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return unreadable(&rejection),
    };
    let Ok(id) = VerificationId::parse(&asked.verification_id) else { return refused(&RequestError::Unknown) };
    // Whoever sees the page sees the code, so nothing is given away; what does not go by the sandbox is not the page's business.
    let scope = match page.engine.store().snapshot(SubjectId::Verification(id)).await {
        Ok(Some(snapshot)) if is_sandboxed(&snapshot.subject) => snapshot.scope,
        Ok(_) => return refused(&RequestError::Unknown),
        Err(error) => return refused(&error.into()),
    };
    match page.engine.check(&page.caller(scope), id, &asked.code, None).await {
        Ok(checked) => match &checked.view.snapshot.subject {
            Subject::Verification(v) => {
                let reason = checked.reason.map(|reason| reason.as_str());
                let left = (v.status == Status::Pending).then(|| v.checks_left());
                let body = json!({ "valid": reason.is_none(), "status": v.status.as_str(), "reason": reason, "checks_left": left });
                as_the_api(StatusCode::OK, &body)
            }
            Subject::Message(_) => refused(&RequestError::Unknown),
        },
        Err(error) => refused(&error),
    }
}

pub(super) async fn phones(State(page): State<Page>, asked: Asked<OfNumber>) -> Response {
    with_number(asked, |asked| asked.number.clone(), |number, _| {
        page.console.phones.add(number);
    })
}

pub(super) async fn network(State(page): State<Page>, asked: Asked<OfNetwork>) -> Response {
    with_number(asked, |asked| asked.number.clone(), |number, asked| page.console.phones.set_network(number, asked.network.into()))
}

pub(super) async fn read(State(page): State<Page>, asked: Asked<OfMessage>) -> Response {
    match asked {
        Ok(Json(asked)) if page.console.phones.open(&asked.message_id) => Json(json!({})).into_response(),
        Ok(_) => problem(StatusCode::NOT_FOUND, "not_found", "no phone has this message"),
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
        Err(error) => problem(StatusCode::BAD_REQUEST, "invalid_number", &error.to_string()),
    }
}

impl Page {
    /// The page as a caller: it may begin and check, and reads no number.
    fn caller(&self, scope: Scope) -> Caller {
        let key = KeyId::new(self.engine.now(), [0; 16]);
        Caller { key, service: Some(scope.service), mode: scope.mode, rights: vec![Right::Verify] }
    }
}

fn unreadable(rejection: &JsonRejection) -> Response {
    problem(rejection.status(), "invalid_request", "this is not what the page sends")
}

fn refused(error: &RequestError) -> Response {
    let (status, detail) = match error {
        RequestError::Unknown => (StatusCode::NOT_FOUND, error.to_string()),
        RequestError::Refused(refusal) => (StatusCode::TOO_MANY_REQUESTS, format!("{refusal:?}")),
        RequestError::Engine(_) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        other => (StatusCode::UNPROCESSABLE_ENTITY, other.to_string()),
    };
    as_the_api(status, &json!({ "title": status.canonical_reason(), "detail": detail }))
}
