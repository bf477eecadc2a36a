//! What does Tapcode answer over HTTP? The API, the providers' hooks and the console, on top of the engine.
#![warn(missing_docs)]

use std::fmt;
use std::sync::Arc;

use axum::Router;
use tapcode_engine::engine::Engine;
use tower_http::catch_panic::CatchPanicLayer;

pub mod api;
pub mod console;
mod edge;
pub mod hooks;
pub mod limits;
pub mod problem;

use problem::{Code, Problem};

/// Renders the metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Everything that a request may use. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Decides, keeps and calls.
    pub engine: Engine,
    /// Where the world reaches this server, without a slash at the end: signatures of inbound hooks are made over it.
    pub public_url: Arc<str>,
    /// The page of simulated phones; `None` where the sandbox is not enabled.
    pub console: Option<console::Console>,
    /// Renders `/metrics`.
    pub metrics: RenderMetrics,
    /// Whether this is a development server, whose console needs no key.
    pub dev: bool,
    /// The version of the binary, as `/healthz` and the OpenAPI document say it.
    pub version: &'static str,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("public_url", &self.public_url)
            .field("dev", &self.dev)
            .finish_non_exhaustive()
    }
}

/// The whole of the server less its sockets.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(api::router(&app))
        .merge(hooks::router(&app))
        .merge(console::router(&app))
        .fallback(async || Problem::new(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(axum::middleware::from_fn_with_state(app.clone(), edge::around))
        .with_state(app)
}
