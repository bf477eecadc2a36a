//! What does a person see in a browser? The page of simulated phones and what the server decided about their messages.
//!
//! The page shows codes and needs no key, so it guards itself: it is there only with the sandbox, answers only under names
//! that lead here on purpose, runs only its own script, and lets nobody else's page ask for anything.
//! It sees what went by way of the sandbox and nothing else.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tapcode_core::recipient::{Mode, Scope, ServiceName};
use tapcode_engine::contract::phones::Phones;
use tapcode_engine::engine::Engine;
use tokio::sync::Semaphore;

use crate::App;

mod actions;
mod decisions;
mod guard;
mod shown;
mod stream;

/// Most pages that follow the phones at once.
pub const STREAMS_MAX: usize = 32;
/// Largest body of a request of the page, in bytes.
pub const CONSOLE_BODY_MAX: usize = 4 * 1024;

/// What the browser may do on the page: run its script, apply its style, talk to this server, nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The page of simulated phones.
#[derive(Clone)]
pub struct Console {
    /// The simulated phones.
    pub phones: Arc<dyn Phones>,
    /// The service whose verifications the page begins.
    pub service: ServiceName,
    /// Live where everything goes to the sandbox; test, which always does, beside real senders.
    pub mode: Mode,
}

impl Console {
    fn scope(&self) -> Scope {
        Scope {
            service: self.service.clone(),
            mode: self.mode,
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("service", &self.service)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What the page's requests use.
#[derive(Clone)]
struct Page {
    engine: Engine,
    console: Console,
    public_url: Arc<str>,
    streams: Arc<Semaphore>,
}

/// The routes of the console; none where the sandbox is not enabled.
pub fn router(app: &App) -> Router<App> {
    let Some(console) = app.console.clone() else {
        return Router::new();
    };
    let (engine, public_url) = (app.engine.clone(), Arc::clone(&app.public_url));
    let page = Page {
        engine,
        console,
        public_url,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
    };
    let html = || async { asset("text/html; charset=utf-8", include_str!("console/assets/phone.html")) };
    let css = || async { asset("text/css; charset=utf-8", include_str!("console/assets/phone.css")) };
    let js = || async { asset("text/javascript; charset=utf-8", include_str!("console/assets/phone.js")) };
    Router::new()
        .route("/phone", get(html))
        .route("/phone/phone.css", get(css))
        .route("/phone/phone.js", get(js))
        .route("/favicon.ico", get(StatusCode::NO_CONTENT))
        .route("/phone/stream", get(stream::stream))
        .route("/phone/api/begin", post(actions::begin))
        .route("/phone/api/check", post(actions::check))
        .route("/phone/api/network", post(actions::network))
        .route("/phone/api/phones", post(actions::phones))
        .route("/phone/api/read", post(actions::read))
        .layer(DefaultBodyLimit::max(CONSOLE_BODY_MAX))
        .layer(from_fn_with_state(page.clone(), guard::guard))
        .layer(map_response(with_safe_headers))
        .with_state(page)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn with_safe_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Codes are on the page, and the page belongs to the binary that serves it.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}
