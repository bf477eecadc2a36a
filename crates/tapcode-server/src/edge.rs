//! What happens to every request and answer, whichever room it is for? An id, one line in the log, safe headers, problems
//! written, panics caught.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tapcode_core::id::KeyId;
use tapcode_engine::engine::Engine;
use tapcode_engine::entropy::sixteen;
use tapcode_engine::trace::{Cause, caused_by};
use tracing::Instrument;

use crate::App;
use crate::limits::REQUEST_ID_MAX;
use crate::problem::{Code, Problem};

/// The header that carries a request's id both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header by which a caller says which of its spans a request is part of (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is known of a request besides itself.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Its id.
    pub(crate) id: Box<str>,
    /// The key it came with, once that is known.
    pub(crate) key: OnceLock<KeyId>,
}

/// The outermost layer.
pub(crate) async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let engine = &app.engine;
    let started = engine.now();
    let facts = Arc::new(Facts {
        id: request_id(engine, request.headers()),
        key: OnceLock::new(),
    });
    request.extensions_mut().insert(Arc::clone(&facts));
    let route = request.extensions().get::<MatchedPath>().cloned();
    // The template, never the path: a path may hold a number.
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = known(request.method());
    let span = tracing::info_span!("request", request.id = &*facts.id, http.method = method, http.route = route);
    let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let cause = traceparent.and_then(Cause::parse);
    let mut response = caused_by(cause, next.run(request)).instrument(span.clone()).await;
    let problem = response.extensions_mut().remove::<Problem>();
    let code = problem.as_ref().map(|p| p.code().registered().word);
    if let Some(problem) = problem {
        response = problem.render(&facts.id, response);
    }
    safe_headers(&app, &facts, response.headers_mut());
    let status = response.status().as_u16();
    let took_ms = engine.now().millis_since(started);
    let _in = span.enter();
    tracing::info!(
        http.status = status,
        http.took_ms = took_ms,
        key.id = facts.key.get().map(tracing::field::display),
        problem.code = code,
        "answered"
    );
    metrics::counter!("tapcode_http_requests_total", "method" => method, "route" => route.to_owned(), "status" => status_word(status))
        .increment(1);
    response
}

/// What a panic becomes: the message stays in the process.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    metrics::counter!("tapcode_panics_total").increment(1);
    tracing::error!("answering a request panicked");
    Problem::new(Code::InternalError).into_response()
}

fn request_id(engine: &Engine, headers: &HeaderMap) -> Box<str> {
    let sane = |text: &&str| {
        (1..=REQUEST_ID_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b':' | b'/'))
    };
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(sane);
    given.map_or_else(
        || format!("req_{:032x}", u128::from_be_bytes(sixteen(engine.entropy()))).into(),
        Into::into,
    )
}

fn safe_headers(app: &App, facts: &Facts, headers: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::from_str(&facts.id) {
        headers.insert(REQUEST_ID, id);
    }
    let mut unless_set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_set(header::X_FRAME_OPTIONS, "DENY");
    unless_set(header::REFERRER_POLICY, "no-referrer");
    unless_set(header::CACHE_CONTROL, "no-store");
    unless_set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    );
    if app.public_url.starts_with("https://") {
        unless_set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}

/// A method's name from a closed list: labels of metrics and log lines are not for strangers to choose.
const fn known(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "GET",
        http::Method::POST => "POST",
        http::Method::DELETE => "DELETE",
        http::Method::PUT => "PUT",
        http::Method::PATCH => "PATCH",
        http::Method::HEAD => "HEAD",
        http::Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

const fn status_word(status: u16) -> &'static str {
    match status {
        0..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
