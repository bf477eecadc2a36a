//! What does a refusal look like until the API's own problems are there?

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(crate) fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Refused");
    let body = serde_json::json!({"type": "about:blank", "title": title, "status": status.as_u16(), "code": code, "detail": detail});
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
