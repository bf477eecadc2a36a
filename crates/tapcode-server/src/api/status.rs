//! Is the server alive, can it work, and what does it count?

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use tapcode_core::time::Timestamp;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::App;
use crate::api::Shared;
use crate::api::call::answer;
use crate::api::operation::{Operation, Route, Success, open, schema};
use crate::api::refusal::unavailable;
use crate::limits::{READY_BELIEVED_MS, READY_MS_MAX};
use crate::problem::{Code, Problem};

/// The last look at the store: when, and whether it could be written to. Held while looking, so that one look serves all.
pub(crate) type LastLook = Mutex<Option<(Timestamp, bool)>>;

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthAnswer {
    /// Always `ok`.
    status: &'static str,
    version: &'static str,
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    let base = |id, path, summary, answers, problems| Operation {
        id,
        method: Method::GET,
        path,
        tag: "Operation",
        summary,
        description: "Open: it needs no key.",
        needs: &[],
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers,
        problems,
    };
    const HEALTH: Success = Success {
        status: 200,
        means: "It is.",
        media: "application/json",
        schema: Some(schema::<HealthAnswer>),
        example: r#"{"status":"ok","version":"0.1.0"}"#,
    };
    let shared = Arc::clone(shared);
    let ready = async move |State(app): State<App>| look(&app, &shared.ready).await;
    vec![
        open(
            base("health", "/healthz", "Is the process alive?", &[HEALTH], &[]),
            get(async |State(app): State<App>| healthy(&app)),
        ),
        open(
            base(
                "ready",
                "/readyz",
                "Can the store be written to?",
                &[HEALTH],
                &[Code::Unavailable],
            ),
            get(ready),
        ),
        open(
            base(
                "metrics",
                "/metrics",
                "Metrics",
                &[Success {
                    status: 200,
                    means: "Prometheus text.",
                    media: "text/plain",
                    schema: None,
                    example: "",
                }],
                &[],
            ),
            get(async |State(app): State<App>| metrics_text(&app)),
        ),
    ]
}

fn healthy(app: &App) -> Response {
    answer(
        StatusCode::OK,
        &HealthAnswer {
            status: "ok",
            version: app.version,
        },
    )
}

async fn look(app: &App, last: &LastLook) -> Response {
    let mut last = last.lock().await;
    let now = app.engine.now();
    let believed = last.filter(|(at, _)| now >= *at && now.millis_since(*at) < READY_BELIEVED_MS);
    let ready = match believed {
        Some((_, ready)) => ready,
        None => {
            let ready = match tokio::time::timeout(Duration::from_millis(READY_MS_MAX), app.engine.store().ping()).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    // For its line in the log; what the caller reads is made below.
                    drop(unavailable(&error));
                    false
                }
                Err(_) => {
                    tracing::warn!("the store did not answer in time");
                    false
                }
            };
            *last = Some((app.engine.now(), ready));
            ready
        }
    };
    if ready {
        healthy(app)
    } else {
        Problem::new(Code::Unavailable).retry_after(1).into_response()
    }
}

fn metrics_text(app: &App) -> Response {
    let mut response = Response::new((app.metrics)().into());
    // https://prometheus.io/docs/instrumenting/exposition_formats/ names this type; from memory, not read anew.
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
